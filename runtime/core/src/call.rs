//! The call path of every component: find the slot, lease its current generation inside each attempt, observe.
//!
//! One function for all kinds and operations. The lease is taken inside the attempt, so that an attempt after a swap lands on the
//! new generation.

use crate::metrics::Family;
use crate::options::{Cx, Transport};
use crate::runtime::Runtime;
use crate::slots::{Lease, Slot};
use proa_host::CallError;
use proa_model::Error;
use std::time::Instant;

/// What a call is, for policies, metrics and traces.
#[derive(Clone, Copy)]
pub struct Operation<'a> {
    pub family: Family,
    /// The label `operation` (or the topic).
    pub name: &'a str,
    /// A read may be repeated on a fresh instance after a trap.
    pub read: bool,
}

/// How often a call that had not begun is sent again.
const RESTARTS: u32 = 3;

/// Why no answer of the component's came.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallFailure {
    #[error("component {0} is not loaded")]
    Gone(String),
    #[error(transparent)]
    Call(#[from] CallError),
}

impl CallFailure {
    /// What a component elsewhere wants to be shown for its failure.
    pub fn own(&self) -> Option<&Error> {
        match self {
            Self::Call(CallError::Status(status)) => status.api.as_ref(),
            _ => None,
        }
    }

    /// The failure as the API shows it: in the component's own words over gRPC; over HTTP in ours, with the component's status.
    pub fn shown(&self, cx: &Cx, ours: Error) -> Error {
        match (self.own(), cx.transport) {
            (Some(own), Transport::Grpc) => own.clone(),
            (Some(own), Transport::Http) => Error { http: own.http, ..ours },
            (None, _) => ours,
        }
    }
}

/// Runs one operation on one slot. `attempt` gets a lease and may run more than once. The inner result is the component's own.
pub async fn call<R, E, F, Fut>(runtime: &Runtime, slot: &Slot, operation: Operation<'_>, attempt: F) -> Result<Result<R, E>, CallFailure>
where
    F: Fn(Lease) -> Fut,
    Fut: Future<Output = Result<Result<R, E>, CallError>>,
{
    let begun = Instant::now();
    let outcome = attempts(slot, operation.read, attempt).await;
    let success = matches!(outcome, Ok(Ok(_)));
    runtime.metrics().component(operation.family, &slot.name, operation.name).observe(success, begun.elapsed());
    outcome
}

async fn attempts<R, E, F, Fut>(slot: &Slot, read: bool, attempt: F) -> Result<Result<R, E>, CallFailure>
where
    F: Fn(Lease) -> Fut,
    Fut: Future<Output = Result<Result<R, E>, CallError>>,
{
    let (mut restarts, mut repeated) = (0, false);
    loop {
        let lease = slot.lease().await.ok_or_else(|| CallFailure::Gone(slot.name.clone()))?;
        let generation = lease.generation.clone();
        match attempt(lease).await {
            Err(CallError::NotStarted(_)) if restarts < RESTARTS => restarts += 1,
            // Once: a call that takes its instance down twice takes others with it.
            Err(CallError::Trapped(_)) if read && !repeated => repeated = true,
            Err(error) => return Err(error.into()),
            Ok(answer) => return Ok(answer),
        }
        generation.ready().await;
    }
}
