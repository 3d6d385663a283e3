//! Components of other processes: what drives them implements these traits, and a generation then serves calls through them as it does
//! through instances of a module. Nothing of a wire protocol is known here.
//!
//! A call that cannot be answered is a [`CallError`]: [`CallError::Status`] when the component said so in a way that its interface has no
//! place for, [`CallError::Trapped`] when it went away during the call.

use crate::driver::CallError;
use crate::generation::{Facts, Source};
use crate::kinds::{bindings, pubsub, secretstores, state};
use crate::manifest::Kind;
use crate::start::StartSpec;
use futures::future::BoxFuture;
use proa_model::error::Grpc;
use std::path::Path;
use std::sync::Arc;

/// What a call comes to.
pub type Answer<'a, R> = BoxFuture<'a, Result<R, CallError>>;

/// A status that a component elsewhere answered with.
#[derive(Clone, Debug)]
pub struct Status {
    pub code: Grpc,
    pub message: String,
    /// The failure as the API is to show it, where the component said so itself.
    pub api: Option<proa_model::Error>,
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let origin = if self.api.is_some() { "api" } else { "rpc" };
        write!(f, "{origin} error: code = {} desc = {}", self.code.name(), self.message)
    }
}

/// One initialised component of another process. Dropping it ends the connection.
pub trait Remote: Send + Sync {
    /// Names as `state/bulk`.
    fn interfaces(&self) -> Vec<&'static str>;
    fn capabilities(&self) -> Vec<String>;
    /// Whether no call is running and nothing waits to be settled.
    fn idle(&self) -> bool;
    /// Gives up every call.
    fn kill(&self);
    /// Waits, for a second at most, until the component can be called.
    fn ready(&self) -> BoxFuture<'_, ()>;
    fn ping(&self) -> BoxFuture<'_, Result<(), String>>;

    fn state_store(&self) -> Option<&dyn state::RemoteStore> {
        None
    }
    fn state_transactions(&self) -> Option<&dyn state::RemoteTransactions> {
        None
    }
    fn state_bulk(&self) -> Option<&dyn state::RemoteBulk> {
        None
    }
    fn state_query(&self) -> Option<&dyn state::RemoteQuery> {
        None
    }
    fn max_operations(&self) -> BoxFuture<'_, u32> {
        Box::pin(async { 0 })
    }
    fn publisher(&self) -> Option<&dyn pubsub::RemotePublisher> {
        None
    }
    fn bulk_publisher(&self) -> Option<&dyn pubsub::RemoteBulkPublisher> {
        None
    }
    fn subscriber(&self) -> Option<&dyn pubsub::RemoteSubscriber> {
        None
    }
    fn pause(&self) -> Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }
    fn output(&self) -> Option<&dyn bindings::RemoteOutput> {
        None
    }
    fn input(&self) -> Option<&dyn bindings::RemoteInput> {
        None
    }
    fn secrets(&self) -> Option<&dyn secretstores::RemoteSecrets> {
        None
    }
}

/// Makes generations of one type.
pub trait Starter: Send + Sync {
    /// Connects and initialises; the caller sets the deadline.
    fn start<'a>(&'a self, spec: &'a StartSpec) -> BoxFuture<'a, Result<(Facts, Box<dyn Remote>), String>>;
}

/// A type that a process elsewhere offers.
pub struct RemoteType {
    pub kind: Kind,
    pub source: Source,
    pub starter: Arc<dyn Starter>,
}

/// The processes that offer components.
pub trait Remotes: Send + Sync {
    /// Where they are announced; something new there is a reason to look again.
    fn folder(&self) -> &Path;
    /// Looks which are there now, and tells whether that differs from before. Bounded in time; what does not answer is passed over.
    fn scan(&self) -> BoxFuture<'_, bool>;
    /// Resolves when it is time to look again for what did not answer; never, if everything did.
    fn again(&self) -> BoxFuture<'_, ()>;
    /// What the latest look found for a type.
    fn find(&self, component_type: &str, version: &str) -> Option<RemoteType>;
}
