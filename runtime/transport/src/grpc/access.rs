//! The methods of both services: which group of the API each belongs to and whether it streams. Allow- and deny-lists, metrics and
//! dispatch read this one table.
//!
//! A denied method is refused before its token is looked at, as in Dapr.

use proa_core::Runtime;
use std::collections::HashMap;

/// One method that is served.
pub(super) struct Method {
    /// `/package.Service/Method`.
    pub(super) path: &'static str,
    /// More than one message in one of the directions; such calls have no series of their own.
    pub(super) streams: bool,
    /// Whether the configuration forbids it.
    pub(super) denied: bool,
}

/// The methods of the API by path.
pub(super) struct Methods(HashMap<&'static str, Method>);

/// A group of the API, its methods, and those among them that stream.
type Group = (&'static str, &'static [&'static str]);

macro_rules! groups {
    ($($group:literal: $($method:literal)*;)*) => {
        const GROUPS: &[Group] = &[$(($group, &[$(concat!("/dapr.proto.runtime.v1.Dapr/", $method)),*])),*];
    };
}

groups! {
    "invoke.v1": "InvokeService";
    "state.v1": "GetState" "GetBulkState" "SaveState" "DeleteState" "DeleteBulkState" "ExecuteStateTransaction";
    "state.v1alpha1": "QueryStateAlpha1";
    "publish.v1": "PublishEvent" "BulkPublishEvent";
    "publish.v1alpha1": "BulkPublishEventAlpha1";
    "bindings.v1": "InvokeBinding";
    "secrets.v1": "GetSecret" "GetBulkSecret";
    "actors.v1": "RegisterActorTimer" "UnregisterActorTimer" "RegisterActorReminder" "GetActorReminder" "UnregisterActorReminder"
        "UnregisterActorRemindersByType" "ListActorReminders" "GetActorState" "ExecuteActorStateTransaction" "InvokeActor";
    "actors.v1alpha1": "SubscribeActorEventsAlpha1";
    "metadata.v1": "GetMetadata" "SetMetadata";
    "configuration.v1alpha1": "GetConfigurationAlpha1" "SubscribeConfigurationAlpha1" "UnsubscribeConfigurationAlpha1";
    "configuration.v1": "GetConfiguration" "SubscribeConfiguration" "UnsubscribeConfiguration";
    "lock.v1alpha1": "TryLockAlpha1";
    "unlock.v1alpha1": "UnlockAlpha1";
    "subtlecrypto.v1alpha1": "SubtleGetKeyAlpha1" "SubtleEncryptAlpha1" "SubtleDecryptAlpha1" "SubtleSignAlpha1"
        "SubtleVerifyAlpha1" "SubtleWrapKeyAlpha1" "SubtleUnwrapKeyAlpha1";
    "crypto.v1alpha1": "EncryptAlpha1" "DecryptAlpha1";
    "workflows.v1alpha1": "StartWorkflowAlpha1" "GetWorkflowAlpha1" "TerminateWorkflowAlpha1" "RaiseEventWorkflowAlpha1"
        "PurgeWorkflowAlpha1" "PauseWorkflowAlpha1" "ResumeWorkflowAlpha1";
    "workflows.v1beta1": "StartWorkflowBeta1" "GetWorkflowBeta1" "TerminateWorkflowBeta1" "RaiseEventWorkflowBeta1"
        "PurgeWorkflowBeta1" "PauseWorkflowBeta1" "ResumeWorkflowBeta1";
    "jobs.v1alpha1": "ScheduleJobAlpha1" "DeleteJobAlpha1" "GetJobAlpha1" "DeleteJobsByPrefixAlpha1" "ListJobsAlpha1";
    "jobs.v1": "ScheduleJob" "DeleteJob" "GetJob" "DeleteJobsByPrefix" "ListJobs";
    "shutdown.v1": "Shutdown";
    "subscribe.v1alpha1": "SubscribeTopicEventsAlpha1";
    "conversation.v1alpha1": "ConverseAlpha1";
    "conversation.v1alpha2": "ConverseAlpha2";
}

const STREAMS: &[&str] = &[
    "/dapr.proto.runtime.v1.Dapr/SubscribeTopicEventsAlpha1",
    "/dapr.proto.runtime.v1.Dapr/SubscribeActorEventsAlpha1",
    "/dapr.proto.runtime.v1.Dapr/SubscribeConfigurationAlpha1",
    "/dapr.proto.runtime.v1.Dapr/SubscribeConfiguration",
    "/dapr.proto.runtime.v1.Dapr/EncryptAlpha1",
    "/dapr.proto.runtime.v1.Dapr/DecryptAlpha1",
];

const INTERNAL: &[(&str, bool)] = &[
    ("/dapr.proto.internals.v1.ServiceInvocation/CallLocal", false),
    ("/dapr.proto.internals.v1.ServiceInvocation/CallActor", false),
    ("/dapr.proto.internals.v1.ServiceInvocation/CallActorReminder", false),
    ("/dapr.proto.internals.v1.ServiceInvocation/CallLocalStream", true),
    ("/dapr.proto.internals.v1.ServiceInvocation/CallActorStream", true),
];

impl Methods {
    /// The API's methods under the configuration's lists.
    pub(super) fn of_api(runtime: &Runtime) -> Self {
        let configuration = runtime.configuration();
        let lists = &configuration.api;
        if !lists.allowed.is_empty() || !lists.denied.is_empty() {
            tracing::info!(target: "dapr.runtime.grpc.api", "Enabled API access list on gRPC server");
        }
        let allowed = rule_names(lists.allowed.iter().map(|rule| (&*rule.name, &*rule.version, &*rule.protocol)));
        let denied = rule_names(lists.denied.iter().map(|rule| (&*rule.name, &*rule.version, &*rule.protocol)));
        Self::under(&allowed, &denied)
    }

    /// The methods under lists of groups; an empty list says nothing.
    fn under(allowed: &[String], denied: &[String]) -> Self {
        // A list that names no known group of this protocol is no list.
        let some_allowed = GROUPS.iter().any(|(group, _)| allowed.iter().any(|a| a == group));
        let mut methods = HashMap::new();
        for (group, paths) in GROUPS {
            let listed = |list: &[String]| list.iter().any(|name| name == group);
            let denied = listed(denied) || (some_allowed && !listed(allowed));
            for path in *paths {
                methods.insert(*path, Method { path, streams: STREAMS.contains(path), denied });
            }
        }
        Self(methods)
    }

    /// The methods between sidecars, which no list covers.
    pub(super) fn of_internal() -> Self {
        Self(INTERNAL.iter().map(|(path, streams)| (*path, Method { path, streams: *streams, denied: false })).collect())
    }

    pub(super) fn find(&self, path: &str) -> Option<&Method> {
        self.0.get(path)
    }
}

/// `name.version` of the rules that are about gRPC.
fn rule_names<'a>(rules: impl Iterator<Item = (&'a str, &'a str, &'a str)>) -> Vec<String> {
    rules
        .filter(|(_, _, protocol)| protocol.is_empty() || protocol.eq_ignore_ascii_case("grpc"))
        .map(|(name, version, _)| format!("{name}.{version}"))
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn denied(methods: &Methods, name: &str) -> bool {
        methods.find(&format!("/dapr.proto.runtime.v1.Dapr/{name}")).unwrap().denied
    }

    #[test]
    fn every_method_of_the_service_is_in_the_table() {
        use prost::Message;
        let set = prost_types::FileDescriptorSet::decode(proa_protocol::descriptors::API).unwrap();
        let file = set.file.iter().find(|f| f.name() == "dapr/proto/runtime/v1/dapr.proto").unwrap();
        let methods = Methods::under(&[], &[]);
        let declared = &file.service[0].method;
        assert_eq!(declared.len(), methods.0.len());
        for method in declared {
            let path = format!("/dapr.proto.runtime.v1.Dapr/{}", method.name());
            let row = methods.find(&path).unwrap_or_else(|| panic!("{path} is missing"));
            assert_eq!(row.streams, method.client_streaming() || method.server_streaming(), "{path}");
        }
    }

    #[test]
    fn lists_name_groups() {
        let rules = [("state", "v1", "grpc"), ("secrets", "v1", "http")];
        let names = rule_names(rules.into_iter());
        assert_eq!(names, ["state.v1"]);

        let only = Methods::under(&names, &[]);
        assert!(!denied(&only, "GetState"));
        assert!(denied(&only, "QueryStateAlpha1"));
        assert!(denied(&only, "GetSecret"));

        let without = Methods::under(&[], &names);
        assert!(denied(&without, "GetState"));
        assert!(!denied(&without, "GetSecret"));

        let nothing = Methods::under(&["unknown.v1".to_owned()], &[]);
        assert!(!denied(&nothing, "GetSecret"));
    }
}
