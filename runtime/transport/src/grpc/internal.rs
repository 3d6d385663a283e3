//! `dapr.proto.internals.v1.ServiceInvocation`: the port that other sidecars call.
//!
//! Calls for the application are handed to it ([`super::local`]); about actors it answers as a sidecar without any does.

use super::entry::Known;
use super::error::failed;
use super::local;
use futures::stream::BoxStream;
use proa_core::Runtime;
use proa_model::error::absent;
use proa_protocol::internals::v1 as internals;
use proa_protocol::internals::v1::service_invocation_server::ServiceInvocation;
use std::sync::Arc;
use tonic::{Request, Response, Status, Streaming, async_trait};

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

fn known<T>(request: &Request<T>) -> Known {
    request.extensions().get().cloned().unwrap_or_default()
}

#[async_trait]
impl ServiceInvocation for Internal {
    type CallLocalStreamStream = BoxStream<'static, Result<internals::InternalInvokeResponseStream, Status>>;
    type CallActorStreamStream = BoxStream<'static, Result<internals::InternalInvokeResponse, Status>>;

    async fn call_actor(&self, _: Request<internals::InternalInvokeRequest>) -> Result<Response<internals::InternalInvokeResponse>, Status> {
        Err(self.no_actors())
    }

    async fn call_local(&self, request: Request<internals::InternalInvokeRequest>) -> Result<Response<internals::InternalInvokeResponse>, Status> {
        let known = known(&request);
        local::unary(&self.runtime, &known, request.into_inner()).await.map(Response::new)
    }

    async fn call_actor_reminder(&self, _: Request<internals::Reminder>) -> Result<Response<()>, Status> {
        Err(self.no_actors())
    }

    async fn call_local_stream(
        &self,
        request: Request<Streaming<internals::InternalInvokeRequestStream>>,
    ) -> Result<Response<Self::CallLocalStreamStream>, Status> {
        let known = known(&request);
        local::streamed(&self.runtime, &known, request.into_inner()).await.map(Response::new)
    }

    async fn call_actor_stream(&self, _: Request<internals::InternalInvokeRequest>) -> Result<Response<Self::CallActorStreamStream>, Status> {
        Err(self.no_actors())
    }
}
