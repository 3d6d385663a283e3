//! The host's side of every interface, generated from `wit/`. One world holds them all; what a component really exports is found
//! interface by interface when it is loaded.
#![allow(clippy::all, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

wasmtime::component::bindgen!({
    inline: "
        package proa:host-side;
        world everything {
            import proa:host/log@0.1.0;
            import proa:host/files@0.1.0;
            import proa:host/sqlite@0.1.0;
            import proa:middleware/types@0.1.0;
            export proa:component/lifecycle@0.1.0;
            export proa:component/health@0.1.0;
            export proa:component/snapshot@0.1.0;
            export proa:state/store@0.1.0;
            export proa:state/transactions@0.1.0;
            export proa:state/bulk@0.1.0;
            export proa:state/query@0.1.0;
            export proa:state/list-keys@0.1.0;
            export proa:state/delete-prefix@0.1.0;
            export proa:pubsub/publisher@0.1.0;
            export proa:pubsub/bulk-publisher@0.1.0;
            export proa:pubsub/subscriber@0.1.0;
            export proa:bindings/output@0.1.0;
            export proa:bindings/input@0.1.0;
            export proa:secretstores/store@0.1.0;
            export proa:configuration/store@0.1.0;
            export proa:configuration/watch@0.1.0;
            export proa:lock/store@0.1.0;
            export proa:crypto/provider@0.1.0;
            export proa:conversation/provider@0.1.0;
            export proa:nameresolution/resolver@0.1.0;
            export proa:middleware/handler@0.1.0;
            export proa:middleware/phases@0.1.0;
        }
    ",
    path: [
        "../../wit/component", "../../wit/host", "../../wit/state", "../../wit/pubsub", "../../wit/bindings", "../../wit/secretstores",
        "../../wit/configuration", "../../wit/lock", "../../wit/crypto", "../../wit/conversation", "../../wit/nameresolution", "../../wit/middleware",
    ],
    world: "proa:host-side/everything",
    imports: {
        "proa:middleware/types.[method]exchange.request-body": store | trappable,
        "proa:middleware/types.[method]exchange.response-body": store | trappable,
        default: trappable,
    },
    exports: { default: async },
    with: {
        "proa:middleware/types.exchange": crate::middleware::Exchange,
        "proa:host/sqlite.connection": crate::imports::sqlite::Connection,
    },
});
