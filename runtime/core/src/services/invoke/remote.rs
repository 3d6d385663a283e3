//! Calls of other sidecars. One that cannot be reached is tried again under the built-in policy, unless a resource names the application
//! or the body cannot be sent again; the address is looked up anew meanwhile.

use super::Target;
use crate::invocation::{InvokeError, InvokeRequest, InvokeResponse, Neighbours, Peer};
use crate::metrics::CallShape;
use crate::resiliency::{BuiltIn, Policy, Spare, Verdict};
use crate::runtime::Runtime;
use proa_model::Grpc;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use tokio::task::JoinSet;

/// Sends a request to a sidecar of the target.
pub(super) async fn call(
    runtime: &Runtime,
    neighbours: &Neighbours,
    target: &Target<'_>,
    request: InvokeRequest,
) -> Result<InvokeResponse, InvokeError> {
    let policy = match runtime.resiliency().names_app(target.app_id) {
        true => Policy::none(),
        false => runtime.resiliency().built_in(BuiltIn::Service),
    };
    let route = Route::find(runtime, neighbours, target).await?;
    let requests = Spare::new(request, if policy.retries() { InvokeRequest::again } else { |_| None });
    let judge = |outcome: &Result<_, InvokeError>| match outcome {
        Ok(_) => Verdict::Success,
        Err(error) if unreachable(error) && requests.is_left() => Verdict::Failure,
        Err(_) => Verdict::Permanent,
    };
    let mut retries = 0;
    let outcome = policy.run(judge, |number| {
        retries = number - 1;
        let sending = requests.take().map(|request| route.send(request));
        async {
            match sending {
                Some(sending) => sending.await,
                None => Err(InvokeError::Plain("the body was sent already".into())),
            }
        }
    });
    match outcome.await? {
        Err(error) if unreachable(&error) && requests.is_left() => {
            Err(InvokeError::Plain(format!("failed to invoke target {} after {retries} retries. Error: {error}", target.app_id)))
        }
        outcome => outcome,
    }
}

pub(super) fn unreachable(error: &InvokeError) -> bool {
    error.is(Grpc::Unavailable) || error.is(Grpc::Unauthenticated)
}

/// The way to a peer, which may change from one attempt to the next.
struct Route<'a> {
    runtime: &'a Runtime,
    neighbours: &'a Neighbours,
    target: &'a Target<'a>,
    address: Mutex<String>,
    /// A search that began when the peer could not be reached; it goes on during the pause.
    search: Mutex<JoinSet<Result<String, String>>>,
}

impl<'a> Route<'a> {
    async fn find(runtime: &'a Runtime, neighbours: &'a Neighbours, target: &'a Target<'a>) -> Result<Self, InvokeError> {
        let names = neighbours.names.as_ref().ok_or_else(|| InvokeError::Plain("name resolver not initialized".into()))?;
        let address = names.resolve(target.app_id, target.namespace).await.map_err(InvokeError::Plain)?;
        Ok(Self { runtime, neighbours, target, address: Mutex::new(address), search: Mutex::default() })
    }

    async fn send(&self, request: InvokeRequest) -> Result<InvokeResponse, InvokeError> {
        let app_id = self.target.app_id;
        let peer = self.target.at(self.address().await);
        let metrics = self.runtime.metrics();
        metrics.invoke_request_sent(app_id, CallShape::Unary);
        let begun = Instant::now();
        let outcome = self.neighbours.peers.call(&peer, request).await;
        match &outcome {
            Ok(response) => metrics.invoke_response_received(app_id, response.status, CallShape::Unary, begun.elapsed()),
            Err(error) if unreachable(error) => self.lost(&peer),
            Err(_) => {}
        }
        outcome
    }

    /// A peer that started anew may be somewhere else; one that nobody knows of any more may still come back where it was.
    async fn address(&self) -> String {
        let mut search = std::mem::take(&mut *self.search.lock().unwrap_or_else(PoisonError::into_inner));
        let found = search.join_next().await.and_then(|ended| ended.ok()?.ok());
        let mut address = self.address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = found {
            *address = found;
        }
        address.clone()
    }

    fn lost(&self, peer: &Peer) {
        self.neighbours.peers.failed(peer);
        let Some(names) = &self.neighbours.names else { return };
        names.failed(self.target.app_id, &peer.address);
        let (names, app_id, namespace) = (names.clone(), self.target.app_id.to_owned(), self.target.namespace.to_owned());
        let mut search = self.search.lock().unwrap_or_else(PoisonError::into_inner);
        search.spawn(async move { names.resolve(&app_id, &namespace).await });
    }
}
