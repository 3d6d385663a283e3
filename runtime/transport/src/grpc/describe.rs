//! What the span of a gRPC call says about it: attributes from the request, for the blocks that have any in Dapr.

use proa_core::trace::{self, Span};
use proa_protocol::runtime::v1 as pb;
use std::any::Any;

/// Describes the current span, if it is recorded.
pub(super) fn describe(request: &dyn Any) {
    let Some(span) = trace::recording() else { return };
    if let Some(r) = request.downcast_ref::<pb::InvokeServiceRequest>() {
        let method = r.message.as_ref().map_or("", |m| m.method.as_str());
        span.set("rpc.service", "ServiceInvocation");
        span.set("net.peer.name", &r.id);
        span.rename(format!("CallLocal/{}/{method}", r.id));
    } else if let Some(r) = request.downcast_ref::<pb::PublishEventRequest>() {
        published(&span, &r.topic);
    } else if let Some(r) = request.downcast_ref::<pb::BulkPublishRequest>() {
        published(&span, &r.topic);
    } else if let Some(r) = request.downcast_ref::<pb::InvokeBindingRequest>() {
        stored(&span, "bindings", &r.name);
    } else if let Some(r) = request.downcast_ref::<pb::GetStateRequest>() {
        stored(&span, "state", &r.store_name);
    } else if let Some(r) = request.downcast_ref::<pb::SaveStateRequest>() {
        stored(&span, "state", &r.store_name);
    } else if let Some(r) = request.downcast_ref::<pb::DeleteStateRequest>() {
        stored(&span, "state", &r.store_name);
    } else if let Some(r) = request.downcast_ref::<pb::GetSecretRequest>() {
        stored(&span, "secrets", &r.store_name);
    } else if let Some(r) = request.downcast_ref::<pb::ConversationRequest>() {
        span.set("rpc.system", &r.name);
    } else if let Some(r) = request.downcast_ref::<pb::ConversationRequestAlpha2>() {
        span.set("rpc.system", &r.name);
    }
}

/// A call that another sidecar hands over.
pub(super) fn local(app_id: &str, method: &str) {
    let Some(span) = trace::recording() else { return };
    span.set("rpc.service", "ServiceInvocation");
    span.set("dapr.invoke_method", method);
    span.rename(format!("CallLocal/{app_id}/{method}"));
}

fn published(span: &Span, topic: &str) {
    span.set("rpc.service", "Dapr");
    span.set("messaging.system", "pubsub");
    span.set("messaging.destination.name", topic);
}

fn stored(span: &Span, system: &str, name: &str) {
    span.set("db.name", name);
    span.set("rpc.service", "Dapr");
    span.set("db.system", system);
    span.set("db.statement", span.name());
    span.set("db.connection_string", system);
}
