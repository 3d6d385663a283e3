//! The rows.

use super::Operation as Op;
use super::Version::{self, V1, V1Alpha1, V1Alpha2, V1Beta1};
use super::{Operation, Route, Verbs};

const GET: Verbs = Verbs::GET;
const POST: Verbs = Verbs::POST;
const PUT: Verbs = Verbs::PUT;
const DELETE: Verbs = Verbs::DELETE;
const WRITE: Verbs = POST.or(PUT);
const ANY: Verbs = GET.or(POST).or(PUT).or(DELETE);

const fn row(version: Version, verbs: Verbs, group: &'static str, pattern: &'static str, operation: Operation, name: &'static str) -> Route {
    Route { version, verbs, pattern, group, operation, name }
}

/// Every route of the API.
pub static ROUTES: &[Route] = &[
    row(V1, GET, "state", "state/{store}/{key}", Op::GetState, "GetState"),
    row(V1, WRITE, "state", "state/{store}", Op::SaveState, "SaveState"),
    row(V1, DELETE, "state", "state/{store}/{key}", Op::DeleteState, "DeleteState"),
    row(V1, WRITE, "state", "state/{store}/bulk", Op::GetBulkState, "GetBulkState"),
    row(V1, WRITE, "state", "state/{store}/transaction", Op::StateTransaction, "ExecuteStateTransaction"),
    row(V1Alpha1, WRITE, "state", "state/{store}/query", Op::QueryState, "QueryStateAlpha1"),
    row(V1, GET, "secrets", "secrets/{store}/bulk", Op::GetBulkSecret, "GetBulkSecret"),
    row(V1, GET, "secrets", "secrets/{store}/{key}", Op::GetSecret, "GetSecret"),
    row(V1, WRITE, "publish", "publish/{pubsub}/*", Op::Publish, "PublishEvent"),
    row(V1, WRITE, "publish", "publish/bulk/{pubsub}/*", Op::BulkPublish, "BulkPublishEvent"),
    row(V1Alpha1, WRITE, "publish", "publish/bulk/{pubsub}/*", Op::BulkPublish, "BulkPublishEvent"),
    row(V1, WRITE, "bindings", "bindings/{name}", Op::InvokeBinding, "InvokeBinding"),
    row(V1, GET, "metadata", "metadata", Op::GetMetadata, "GetMetadata"),
    row(V1, PUT, "metadata", "metadata/{key}", Op::PutMetadata, "PutMetadata"),
    row(V1, POST, "shutdown", "shutdown", Op::Shutdown, "Shutdown"),
    row(V1, GET, "healthz", "healthz", Op::Health, "Healthz"),
    row(V1, GET, "healthz", "healthz/outbound", Op::OutboundHealth, "HealthzOutbound"),
    row(V1, Verbs::ALL, "invoke", "invoke/*", Op::InvokeService, "InvokeService"),
    row(V1, WRITE, "actors", "actors/{type}/{id}/state", Op::Actors, "ExecuteActorStateTransaction"),
    row(V1, ANY, "actors", "actors/{type}/{id}/method/{method}", Op::Actors, "InvokeActor"),
    row(V1, GET, "actors", "actors/{type}/{id}/state/{key}", Op::Actors, "GetActorState"),
    row(V1, WRITE, "actors", "actors/{type}/{id}/reminders/{name}", Op::Actors, "RegisterActorReminder"),
    row(V1, WRITE, "actors", "actors/{type}/{id}/timers/{name}", Op::Actors, "RegisterActorTimer"),
    row(V1, DELETE, "actors", "actors/{type}/{id}/reminders/{name}", Op::Actors, "UnregisterActorReminder"),
    row(V1, DELETE, "actors", "actors/{type}/{id}/timers/{name}", Op::Actors, "UnregisterActorTimer"),
    row(V1, GET, "actors", "actors/{type}/{id}/reminders/{name}", Op::Actors, "GetActorReminder"),
    row(V1, GET, "configuration", "configuration/{store}", Op::Configuration, "GetConfiguration"),
    row(V1Alpha1, GET, "configuration", "configuration/{store}", Op::Configuration, "GetConfiguration"),
    row(V1, GET, "configuration", "configuration/{store}/subscribe", Op::Configuration, "SubscribeConfiguration"),
    row(V1Alpha1, GET, "configuration", "configuration/{store}/subscribe", Op::Configuration, "SubscribeConfiguration"),
    row(V1, GET, "configuration", "configuration/{store}/{id}/unsubscribe", Op::Configuration, "UnsubscribeConfiguration"),
    row(V1Alpha1, GET, "configuration", "configuration/{store}/{id}/unsubscribe", Op::Configuration, "UnsubscribeConfiguration"),
    row(V1Alpha1, POST, "lock", "lock/{store}", Op::Lock, "TryLock"),
    row(V1Alpha1, POST, "unlock", "unlock/{store}", Op::Lock, "Unlock"),
    row(V1Alpha1, PUT, "crypto", "crypto/{name}/encrypt", Op::Crypto, "Encrypt"),
    row(V1Alpha1, PUT, "crypto", "crypto/{name}/decrypt", Op::Crypto, "Decrypt"),
    row(V1Alpha1, POST, "subtlecrypto", "subtlecrypto/{name}/getkey", Op::SubtleCrypto, "SubtleGetKey"),
    row(V1Alpha1, POST, "subtlecrypto", "subtlecrypto/{name}/encrypt", Op::SubtleCrypto, "SubtleEncrypt"),
    row(V1Alpha1, POST, "subtlecrypto", "subtlecrypto/{name}/decrypt", Op::SubtleCrypto, "SubtleDecrypt"),
    row(V1Alpha1, POST, "subtlecrypto", "subtlecrypto/{name}/wrapkey", Op::SubtleCrypto, "SubtleWrapKey"),
    row(V1Alpha1, POST, "subtlecrypto", "subtlecrypto/{name}/unwrapkey", Op::SubtleCrypto, "SubtleUnwrapKey"),
    row(V1Alpha1, POST, "subtlecrypto", "subtlecrypto/{name}/sign", Op::SubtleCrypto, "SubtleSign"),
    row(V1Alpha1, POST, "subtlecrypto", "subtlecrypto/{name}/verify", Op::SubtleCrypto, "SubtleVerify"),
    workflow(V1, GET, "workflows/{component}/{instance}", "GetWorkflow"),
    workflow(V1, POST, "workflows/{component}/{instance}/raiseEvent/{event}", "RaiseEventWorkflow"),
    workflow(V1, POST, "workflows/{component}/{name}/start", "StartWorkflow"),
    workflow(V1, POST, "workflows/{component}/{instance}/pause", "PauseWorkflow"),
    workflow(V1, POST, "workflows/{component}/{instance}/resume", "ResumeWorkflow"),
    workflow(V1, POST, "workflows/{component}/{instance}/terminate", "TerminateWorkflow"),
    workflow(V1, POST, "workflows/{component}/{instance}/purge", "PurgeWorkflow"),
    workflow(V1Beta1, GET, "workflows/{component}/{instance}", "GetWorkflow"),
    workflow(V1Beta1, POST, "workflows/{component}/{instance}/raiseEvent/{event}", "RaiseEventWorkflow"),
    workflow(V1Beta1, POST, "workflows/{component}/{name}/start", "StartWorkflow"),
    workflow(V1Beta1, POST, "workflows/{component}/{instance}/pause", "PauseWorkflow"),
    workflow(V1Beta1, POST, "workflows/{component}/{instance}/resume", "ResumeWorkflow"),
    workflow(V1Beta1, POST, "workflows/{component}/{instance}/terminate", "TerminateWorkflow"),
    workflow(V1Beta1, POST, "workflows/{component}/{instance}/purge", "PurgeWorkflow"),
    workflow(V1Alpha1, GET, "workflows/{component}/{instance}", "GetWorkflow"),
    workflow(V1Alpha1, POST, "workflows/{component}/{instance}/raiseEvent/{event}", "RaiseEventWorkflow"),
    workflow(V1Alpha1, POST, "workflows/{component}/{name}/start", "StartWorkflow"),
    workflow(V1Alpha1, POST, "workflows/{component}/{instance}/pause", "PauseWorkflow"),
    workflow(V1Alpha1, POST, "workflows/{component}/{instance}/resume", "ResumeWorkflow"),
    workflow(V1Alpha1, POST, "workflows/{component}/{instance}/terminate", "TerminateWorkflow"),
    workflow(V1Alpha1, POST, "workflows/{component}/{instance}/purge", "PurgeWorkflow"),
    row(V1, POST, "jobs", "jobs/{name}", Op::Jobs, "ScheduleJob"),
    row(V1, DELETE, "jobs", "jobs/{name}", Op::Jobs, "DeleteJob"),
    row(V1, GET, "jobs", "jobs/{name}", Op::Jobs, "GetJob"),
    row(V1Alpha1, POST, "jobs", "jobs/{name}", Op::Jobs, "ScheduleJob"),
    row(V1Alpha1, DELETE, "jobs", "jobs/{name}", Op::Jobs, "DeleteJob"),
    row(V1Alpha1, GET, "jobs", "jobs/{name}", Op::Jobs, "GetJob"),
    row(V1Alpha1, POST, "conversation", "conversation/{name}/converse", Op::Conversation, "Converse"),
    row(V1Alpha2, POST, "conversation", "conversation/{name}/converse", Op::Conversation, "Converse"),
];

const fn workflow(version: Version, verbs: Verbs, pattern: &'static str, name: &'static str) -> Route {
    row(version, verbs, "workflows", pattern, Op::Workflow, name)
}
