//! The generated code has the names and the bytes that Dapr's clients expect.

#![allow(clippy::unwrap_used)]

use proa_protocol::runtime::v1::{self as rt, PublishEventRequest};
use proa_protocol::{FILE_DESCRIPTOR_SET, components, descriptors, internals, operator, placement, scheduler, sentry};
use prost::{Message, Name};
use tonic::server::NamedService;

#[test]
fn a_message_survives_the_wire() {
    let sent = PublishEventRequest { pubsub_name: "p".into(), topic: "t".into(), data: vec![0, 255].into(), ..Default::default() };
    let wire = sent.encode_to_vec();
    // Written out by hand: tag, length, content of the fields 1, 2 and 3.
    assert_eq!(wire, [0x0a, 1, b'p', 0x12, 1, b't', 0x1a, 2, 0, 255]);
    assert_eq!(PublishEventRequest::decode(wire.as_slice()).unwrap(), sent);
    assert_eq!(PublishEventRequest::type_url(), "type.googleapis.com/dapr.proto.runtime.v1.PublishEventRequest");
}

#[test]
fn services_have_dapr_s_names() {
    fn name<S: NamedService>(_: &std::marker::PhantomData<S>) -> &'static str {
        S::NAME
    }
    macro_rules! name {
        ($($server:tt)*) => { name(&std::marker::PhantomData::<$($server)*<()>>) };
    }
    assert_eq!(name!(rt::dapr_server::DaprServer), "dapr.proto.runtime.v1.Dapr");
    assert_eq!(name!(rt::app_callback_server::AppCallbackServer), "dapr.proto.runtime.v1.AppCallback");
    assert_eq!(name!(rt::app_callback_alpha_server::AppCallbackAlphaServer), "dapr.proto.runtime.v1.AppCallbackAlpha");
    assert_eq!(name!(rt::app_callback_health_check_server::AppCallbackHealthCheckServer), "dapr.proto.runtime.v1.AppCallbackHealthCheck");
    assert_eq!(name!(internals::v1::service_invocation_server::ServiceInvocationServer), "dapr.proto.internals.v1.ServiceInvocation");
    assert_eq!(name!(components::v1::state_store_server::StateStoreServer), "dapr.proto.components.v1.StateStore");
    assert_eq!(name!(placement::v1::placement_server::PlacementServer), "dapr.proto.placement.v1.Placement");
    assert_eq!(name!(scheduler::v1::scheduler_server::SchedulerServer), "dapr.proto.scheduler.v1.Scheduler");
    assert_eq!(name!(sentry::v1::ca_server::CaServer), "dapr.proto.sentry.v1.CA");
    assert_eq!(name!(operator::v1::operator_server::OperatorServer), "dapr.proto.operator.v1.Operator");
}

#[test]
fn each_descriptor_set_is_closed() {
    use descriptors::*;
    for set in [ALL, API, APP_CALLBACK, INTERNAL, COMPONENTS, PLACEMENT, SCHEDULER, SENTRY, OPERATOR] {
        let files = prost_types::FileDescriptorSet::decode(set).unwrap().file;
        assert!(!files.is_empty());
        for dependency in files.iter().flat_map(|f| &f.dependency) {
            assert!(files.iter().any(|f| f.name() == dependency), "{dependency} is missing");
        }
    }
    assert_eq!(FILE_DESCRIPTOR_SET, ALL);
}
