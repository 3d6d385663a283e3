//! From a request to its handler, and the log of API calls around it.

use super::log::ApiLog;
use super::reply::Reply;
use super::request::Call;
use super::{absent, api, bindings, error, health, invoke, metadata, path, pubsub, query, reply, secrets, state, trace};
use crate::body::Inbound;
use crate::routes::{Access, Found, Operation, Params, ROUTES, Route, Tree, Verbs};
use http::request::Parts;
use proa_core::Runtime;
use proa_model::Error;
use std::sync::Arc;

/// The routes that one server serves.
pub struct Router {
    runtime: Arc<Runtime>,
    tree: Tree,
    /// What answers to everything that no route knows.
    fallback: Option<&'static Route>,
    log: Option<ApiLog>,
}

impl Router {
    /// All routes that the configuration allows.
    pub fn api(runtime: &Arc<Runtime>) -> Self {
        let configuration = runtime.configuration();
        let api = &configuration.api;
        let allowed = api.allowed.iter().map(|r| (r.name.as_str(), r.version.as_str(), r.protocol.as_str()));
        let denied = api.denied.iter().map(|r| (r.name.as_str(), r.version.as_str(), r.protocol.as_str()));
        let access = Access::new("http", allowed, denied);
        let served = || ROUTES.iter().filter(|r| access.permits(r));
        Self {
            runtime: runtime.clone(),
            tree: Tree::new(served()),
            fallback: served().find(|r| r.operation == Operation::InvokeService),
            log: ApiLog::new(runtime),
        }
    }

    /// Health and metadata only.
    pub fn public(runtime: &Arc<Runtime>) -> Self {
        let public = ROUTES.iter().filter(|r| r.is_health() || matches!(r.operation, Operation::GetMetadata | Operation::PutMetadata));
        Self { runtime: runtime.clone(), tree: Tree::new(public), fallback: None, log: None }
    }

    pub async fn route(&self, parts: &Parts, body: Inbound) -> Reply {
        let clean = path::clean(parts.uri.path());
        let (route, params) = match self.tree.find(Verbs::of(&parts.method), &clean) {
            Found::Route(route, params) => (Some(route), params),
            _ => (self.fallback, Params::default()),
        };
        if let Some(route) = route {
            trace::describe_route(route, &params, parts);
        }
        let begun = self.log.as_ref().map(|log| log.begin());
        let reply = match route {
            Some(route) => self.answer(route, parts, params, body).await,
            None => api::nowhere(matches!(self.tree.find(Verbs::of(&parts.method), &clean), Found::OtherMethod)),
        };
        if let (Some(log), Some(begun)) = (&self.log, begun) {
            log.write(begun, route, parts, &reply);
        }
        reply
    }

    async fn answer(&self, route: &'static Route, parts: &Parts, params: Params<'_>, body: Inbound) -> Reply {
        if let Some(bad) = params.iter().find_map(|p| query::unescape(p).err()) {
            let text = format!("failed to unescape request parameter. Error: invalid URL escape {bad:?}");
            return reply::text(http::StatusCode::BAD_REQUEST, &text);
        }
        let call = Call::new(&self.runtime, parts, params, body);
        match dispatch(route.operation, call).await {
            Ok(reply) => reply,
            Err(failure) => error::render(self.runtime.metrics(), &failure),
        }
    }
}

/// Frequent operations stay in the future of their connection; the others are boxed, to keep it small.
async fn dispatch(operation: Operation, call: Call<'_>) -> Result<Reply, Error> {
    match operation {
        Operation::GetState => state::get(call).await,
        Operation::SaveState => state::save(call).await,
        Operation::Publish => pubsub::publish(call).await,
        Operation::DeleteState => Box::pin(state::delete(call)).await,
        Operation::GetBulkState => Box::pin(state::get_bulk(call)).await,
        Operation::StateTransaction => Box::pin(state::transact(call)).await,
        Operation::QueryState => Box::pin(state::query(call)).await,
        Operation::BulkPublish => Box::pin(pubsub::publish_bulk(call)).await,
        Operation::InvokeBinding => Box::pin(bindings::invoke(call)).await,
        Operation::GetSecret => Box::pin(secrets::get(call)).await,
        Operation::GetBulkSecret => Box::pin(secrets::get_bulk(call)).await,
        Operation::GetMetadata => metadata::get(&call),
        Operation::PutMetadata => Box::pin(metadata::put(call)).await,
        Operation::Shutdown => Ok(health::shutdown(&call)),
        Operation::Health => health::all(&call),
        Operation::OutboundHealth => health::outbound(&call),
        Operation::InvokeService => Box::pin(invoke::invoke(call)).await,
        Operation::Actors
        | Operation::Configuration
        | Operation::Lock
        | Operation::Crypto
        | Operation::SubtleCrypto
        | Operation::Workflow
        | Operation::Jobs
        | Operation::Conversation => Err(absent::answer(operation, &call)),
    }
}
