//! `dapr.proto.internals.v1.ServiceInvocation`: the port that other sidecars call.
//!
//! It answers as a sidecar without an application and without actors does; the work behind it comes with service invocation.

use super::error::failed;
use futures::stream::BoxStream;
use proa_core::Runtime;
use proa_model::error::absent;
use proa_protocol::internals::v1 as internals;
use proa_protocol::internals::v1::service_invocation_server::ServiceInvocation;
use std::sync::Arc;
use tonic::{Request, Response, Status, Streaming, async_trait};

const NO_CHANNEL: &str = "app channel is not initialized";

/// See the module's text.
pub(super) struct Internal {
    runtime: Arc<Runtime>,
}

impl Internal {
    pub(super) fn new(runtime: Arc<Runtime>) -> Self {
        Self { runtime }
    }

    fn no_actors(&self) -> Status {
        failed(self.runtime.metrics(), &absent::actors())
    }
}

#[async_trait]
impl ServiceInvocation for Internal {
    type CallLocalStreamStream = BoxStream<'static, Result<internals::InternalInvokeResponseStream, Status>>;
    type CallActorStreamStream = BoxStream<'static, Result<internals::InternalInvokeResponse, Status>>;

    async fn call_actor(&self, _: Request<internals::InternalInvokeRequest>) -> Result<Response<internals::InternalInvokeResponse>, Status> {
        Err(self.no_actors())
    }

    async fn call_local(&self, _: Request<internals::InternalInvokeRequest>) -> Result<Response<internals::InternalInvokeResponse>, Status> {
        Err(Status::internal(NO_CHANNEL))
    }

    async fn call_actor_reminder(&self, _: Request<internals::Reminder>) -> Result<Response<()>, Status> {
        Err(self.no_actors())
    }

    async fn call_local_stream(&self, _: Request<Streaming<internals::InternalInvokeRequestStream>>) -> Result<Response<Self::CallLocalStreamStream>, Status> {
        Err(Status::internal(NO_CHANNEL))
    }

    async fn call_actor_stream(&self, _: Request<internals::InternalInvokeRequest>) -> Result<Response<Self::CallActorStreamStream>, Status> {
        Err(self.no_actors())
    }
}
