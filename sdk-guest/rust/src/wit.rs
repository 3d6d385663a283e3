//! The generated side of the interfaces: one module an interface, so that a component exports just what it implements.
//! Nothing here is written by hand or meant to be named by authors; the kinds' own modules re-export it.

/// One world of one interface, in a module of its own.
macro_rules! world {
    ($module:ident, $world:literal, $inline:literal, [$($path:literal),+] $(, $types:literal => $to:path)?) => {
        pub mod $module {
            wit_bindgen::generate!({
                inline: $inline,
                path: [$($path),+],
                world: $world,
                pub_export_macro: true,
                generate_all,
                $(with: { $types: $to },)?
            });
        }
    };
}

world!(
    component_lifecycle,
    "proa:sdk-component-lifecycle/sdk-component-lifecycle",
    "package proa:sdk-component-lifecycle; world sdk-component-lifecycle { export proa:component/lifecycle@0.1.0; }",
    ["../../wit/component"]
);

world!(
    component_health,
    "proa:sdk-component-health/sdk-component-health",
    "package proa:sdk-component-health; world sdk-component-health { export proa:component/health@0.1.0; }",
    ["../../wit/component"]
);

world!(
    component_snapshot,
    "proa:sdk-component-snapshot/sdk-component-snapshot",
    "package proa:sdk-component-snapshot; world sdk-component-snapshot { export proa:component/snapshot@0.1.0; }",
    ["../../wit/component"]
);

world!(
    state_types,
    "proa:sdk-state-types/sdk-state-types",
    "package proa:sdk-state-types; world sdk-state-types { import proa:state/types@0.1.0; }",
    ["../../wit/component", "../../wit/state"]
);

world!(
    state_store, "proa:sdk-state-store/sdk-state-store",
    "package proa:sdk-state-store; world sdk-state-store { export proa:state/store@0.1.0; }",
    ["../../wit/component", "../../wit/state"],
    "proa:state/types@0.1.0" => crate::wit::state_types::proa::state::types
);

world!(
    state_transactions, "proa:sdk-state-transactions/sdk-state-transactions",
    "package proa:sdk-state-transactions; world sdk-state-transactions { export proa:state/transactions@0.1.0; }",
    ["../../wit/component", "../../wit/state"],
    "proa:state/types@0.1.0" => crate::wit::state_types::proa::state::types
);

world!(
    state_bulk, "proa:sdk-state-bulk/sdk-state-bulk",
    "package proa:sdk-state-bulk; world sdk-state-bulk { export proa:state/bulk@0.1.0; }",
    ["../../wit/component", "../../wit/state"],
    "proa:state/types@0.1.0" => crate::wit::state_types::proa::state::types
);

world!(
    state_query, "proa:sdk-state-query/sdk-state-query",
    "package proa:sdk-state-query; world sdk-state-query { export proa:state/query@0.1.0; }",
    ["../../wit/component", "../../wit/state"],
    "proa:state/types@0.1.0" => crate::wit::state_types::proa::state::types
);

world!(
    state_list_keys, "proa:sdk-state-list-keys/sdk-state-list-keys",
    "package proa:sdk-state-list-keys; world sdk-state-list-keys { export proa:state/list-keys@0.1.0; }",
    ["../../wit/component", "../../wit/state"],
    "proa:state/types@0.1.0" => crate::wit::state_types::proa::state::types
);

world!(
    state_delete_prefix, "proa:sdk-state-delete-prefix/sdk-state-delete-prefix",
    "package proa:sdk-state-delete-prefix; world sdk-state-delete-prefix { export proa:state/delete-prefix@0.1.0; }",
    ["../../wit/component", "../../wit/state"],
    "proa:state/types@0.1.0" => crate::wit::state_types::proa::state::types
);

world!(
    pubsub_types,
    "proa:sdk-pubsub-types/sdk-pubsub-types",
    "package proa:sdk-pubsub-types; world sdk-pubsub-types { import proa:pubsub/types@0.1.0; }",
    ["../../wit/component", "../../wit/pubsub"]
);

world!(
    pubsub_publisher, "proa:sdk-pubsub-publisher/sdk-pubsub-publisher",
    "package proa:sdk-pubsub-publisher; world sdk-pubsub-publisher { export proa:pubsub/publisher@0.1.0; }",
    ["../../wit/component", "../../wit/pubsub"],
    "proa:pubsub/types@0.1.0" => crate::wit::pubsub_types::proa::pubsub::types
);

world!(
    pubsub_bulk_publisher, "proa:sdk-pubsub-bulk-publisher/sdk-pubsub-bulk-publisher",
    "package proa:sdk-pubsub-bulk-publisher; world sdk-pubsub-bulk-publisher { export proa:pubsub/bulk-publisher@0.1.0; }",
    ["../../wit/component", "../../wit/pubsub"],
    "proa:pubsub/types@0.1.0" => crate::wit::pubsub_types::proa::pubsub::types
);

world!(
    pubsub_subscriber, "proa:sdk-pubsub-subscriber/sdk-pubsub-subscriber",
    "package proa:sdk-pubsub-subscriber; world sdk-pubsub-subscriber { export proa:pubsub/subscriber@0.1.0; }",
    ["../../wit/component", "../../wit/pubsub"],
    "proa:pubsub/types@0.1.0" => crate::wit::pubsub_types::proa::pubsub::types
);

world!(
    bindings_types,
    "proa:sdk-bindings-types/sdk-bindings-types",
    "package proa:sdk-bindings-types; world sdk-bindings-types { import proa:bindings/types@0.1.0; }",
    ["../../wit/component", "../../wit/bindings"]
);

world!(
    bindings_output, "proa:sdk-bindings-output/sdk-bindings-output",
    "package proa:sdk-bindings-output; world sdk-bindings-output { export proa:bindings/output@0.1.0; }",
    ["../../wit/component", "../../wit/bindings"],
    "proa:bindings/types@0.1.0" => crate::wit::bindings_types::proa::bindings::types
);

world!(
    bindings_input, "proa:sdk-bindings-input/sdk-bindings-input",
    "package proa:sdk-bindings-input; world sdk-bindings-input { export proa:bindings/input@0.1.0; }",
    ["../../wit/component", "../../wit/bindings"],
    "proa:bindings/types@0.1.0" => crate::wit::bindings_types::proa::bindings::types
);

world!(
    secretstores_types,
    "proa:sdk-secretstores-types/sdk-secretstores-types",
    "package proa:sdk-secretstores-types; world sdk-secretstores-types { import proa:secretstores/types@0.1.0; }",
    ["../../wit/component", "../../wit/secretstores"]
);

world!(
    secretstores_store, "proa:sdk-secretstores-store/sdk-secretstores-store",
    "package proa:sdk-secretstores-store; world sdk-secretstores-store { export proa:secretstores/store@0.1.0; }",
    ["../../wit/component", "../../wit/secretstores"],
    "proa:secretstores/types@0.1.0" => crate::wit::secretstores_types::proa::secretstores::types
);

world!(
    configuration_types,
    "proa:sdk-configuration-types/sdk-configuration-types",
    "package proa:sdk-configuration-types; world sdk-configuration-types { import proa:configuration/types@0.1.0; }",
    ["../../wit/component", "../../wit/configuration"]
);

world!(
    configuration_store, "proa:sdk-configuration-store/sdk-configuration-store",
    "package proa:sdk-configuration-store; world sdk-configuration-store { export proa:configuration/store@0.1.0; }",
    ["../../wit/component", "../../wit/configuration"],
    "proa:configuration/types@0.1.0" => crate::wit::configuration_types::proa::configuration::types
);

world!(
    configuration_watch, "proa:sdk-configuration-watch/sdk-configuration-watch",
    "package proa:sdk-configuration-watch; world sdk-configuration-watch { export proa:configuration/watch@0.1.0; }",
    ["../../wit/component", "../../wit/configuration"],
    "proa:configuration/types@0.1.0" => crate::wit::configuration_types::proa::configuration::types
);

world!(
    lock_types,
    "proa:sdk-lock-types/sdk-lock-types",
    "package proa:sdk-lock-types; world sdk-lock-types { import proa:lock/types@0.1.0; }",
    ["../../wit/component", "../../wit/lock"]
);

world!(
    lock_store, "proa:sdk-lock-store/sdk-lock-store",
    "package proa:sdk-lock-store; world sdk-lock-store { export proa:lock/store@0.1.0; }",
    ["../../wit/component", "../../wit/lock"],
    "proa:lock/types@0.1.0" => crate::wit::lock_types::proa::lock::types
);

world!(
    crypto_types,
    "proa:sdk-crypto-types/sdk-crypto-types",
    "package proa:sdk-crypto-types; world sdk-crypto-types { import proa:crypto/types@0.1.0; }",
    ["../../wit/component", "../../wit/crypto"]
);

world!(
    crypto_provider, "proa:sdk-crypto-provider/sdk-crypto-provider",
    "package proa:sdk-crypto-provider; world sdk-crypto-provider { export proa:crypto/provider@0.1.0; }",
    ["../../wit/component", "../../wit/crypto"],
    "proa:crypto/types@0.1.0" => crate::wit::crypto_types::proa::crypto::types
);

world!(
    conversation_types,
    "proa:sdk-conversation-types/sdk-conversation-types",
    "package proa:sdk-conversation-types; world sdk-conversation-types { import proa:conversation/types@0.1.0; }",
    ["../../wit/component", "../../wit/conversation"]
);

world!(
    conversation_provider, "proa:sdk-conversation-provider/sdk-conversation-provider",
    "package proa:sdk-conversation-provider; world sdk-conversation-provider { export proa:conversation/provider@0.1.0; }",
    ["../../wit/component", "../../wit/conversation"],
    "proa:conversation/types@0.1.0" => crate::wit::conversation_types::proa::conversation::types
);

world!(
    nameresolution_types,
    "proa:sdk-nameresolution-types/sdk-nameresolution-types",
    "package proa:sdk-nameresolution-types; world sdk-nameresolution-types { import proa:nameresolution/types@0.1.0; }",
    ["../../wit/component", "../../wit/nameresolution"]
);

world!(
    nameresolution_resolver, "proa:sdk-nameresolution-resolver/sdk-nameresolution-resolver",
    "package proa:sdk-nameresolution-resolver; world sdk-nameresolution-resolver { export proa:nameresolution/resolver@0.1.0; }",
    ["../../wit/component", "../../wit/nameresolution"],
    "proa:nameresolution/types@0.1.0" => crate::wit::nameresolution_types::proa::nameresolution::types
);

world!(
    middleware_types,
    "proa:sdk-middleware-types/sdk-middleware-types",
    "package proa:sdk-middleware-types; world sdk-middleware-types { import proa:middleware/types@0.1.0; }",
    ["../../wit/component", "../../wit/middleware"]
);

world!(
    middleware_handler, "proa:sdk-middleware-handler/sdk-middleware-handler",
    "package proa:sdk-middleware-handler; world sdk-middleware-handler { export proa:middleware/handler@0.1.0; }",
    ["../../wit/component", "../../wit/middleware"],
    "proa:middleware/types@0.1.0" => crate::wit::middleware_types::proa::middleware::types
);

world!(
    host_log,
    "proa:sdk-host-log/sdk-host-log",
    "package proa:sdk-host-log; world sdk-host-log { import proa:host/log@0.1.0; }",
    ["../../wit/host"]
);

world!(
    host_files,
    "proa:sdk-host-files/sdk-host-files",
    "package proa:sdk-host-files; world sdk-host-files { import proa:host/files@0.1.0; }",
    ["../../wit/host"]
);

#[cfg(feature = "sqlite")]
world!(
    host_sqlite,
    "proa:sdk-host-sqlite/sdk-host-sqlite",
    "package proa:sdk-host-sqlite; world sdk-host-sqlite { import proa:host/sqlite@0.1.0; }",
    ["../../wit/host"]
);
