//! The call path of every component: its policies, a lease of its current generation inside each attempt, the count.
//!
//! One function for all kinds and operations. The lease is taken inside the attempt, so that an attempt after a swap lands on the
//! new generation.

use crate::metrics::{Family, Flow};
use crate::options::{Cx, Transport};
use crate::resiliency::{Judged, Stopped, Verdict};
use crate::runtime::Runtime;
use crate::slots::{Lease, Slot};
use crate::trace::{self, Kind, Span};
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
    #[error(transparent)]
    Stopped(#[from] Stopped),
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
    E: Judged,
    F: Fn(Lease) -> Fut,
    Fut: Future<Output = Result<Result<R, E>, CallError>>,
{
    call_judged(runtime, slot, operation, E::verdict, attempt).await
}

/// The same; `judge` says what an error of the component means to the policies.
pub async fn call_judged<R, E, F, Fut>(
    runtime: &Runtime,
    slot: &Slot,
    operation: Operation<'_>,
    judge: impl Fn(&E) -> Verdict,
    attempt: F,
) -> Result<Result<R, E>, CallFailure>
where
    F: Fn(Lease) -> Fut,
    Fut: Future<Output = Result<Result<R, E>, CallError>>,
{
    let begun = Instant::now();
    let span = observed(slot, operation);
    let outcome = guarded(runtime, slot, operation.read, span.as_ref(), judge, attempt).await;
    let success = matches!(outcome, Ok(Ok(_)));
    if let Some(span) = span {
        match &outcome {
            Ok(Ok(_)) => {}
            // What the component says may quote data.
            Ok(Err(_)) => span.fail("the component refused"),
            Err(failure) => span.fail(failure.to_string()),
        }
        span.end();
    }
    runtime.metrics().component(operation.family, &slot.name, operation.name).observe(success, begun.elapsed());
    outcome
}

/// The call without its count, for what is not an operation of its own.
pub async fn guarded<R, E, F, Fut>(
    runtime: &Runtime,
    slot: &Slot,
    read: bool,
    span: Option<&Span>,
    judge: impl Fn(&E) -> Verdict,
    attempt: F,
) -> Result<Result<R, E>, CallFailure>
where
    F: Fn(Lease) -> Fut,
    Fut: Future<Output = Result<Result<R, E>, CallError>>,
{
    let policy = runtime.resiliency().component(slot.kind, &slot.name, Flow::Outbound);
    let verdict = |outcome: &Result<Result<R, E>, CallFailure>| match outcome {
        Ok(Ok(_)) => Verdict::Success,
        Ok(Err(error)) => judge(error),
        Err(CallFailure::Call(CallError::Unsupported(_))) => Verdict::Permanent,
        Err(_) => Verdict::Failure,
    };
    policy.run(verdict, |_| attempts(slot, read, span, &attempt)).await?
}

/// The span of one component call, where the call around it is recorded.
fn observed(slot: &Slot, operation: Operation<'_>) -> Option<Span> {
    let span = trace::recording()?.child(Kind::Internal, format!("component/{}/{}", slot.name, operation.name));
    span.set("proa.component.name", &slot.name);
    span.set("proa.component.operation", operation.name);
    Some(span)
}

/// Which generation answers; it changes when a swap comes between two attempts.
fn leased(span: Option<&Span>, lease: &Lease, before: &mut Option<u64>) {
    let Some(span) = span else { return };
    let identity = lease.generation.identity();
    span.set("proa.component.type", &identity.component_type);
    span.set_number("proa.component.generation", i64::try_from(identity.generation).unwrap_or(i64::MAX));
    if let Some(before) = before.replace(identity.generation).filter(|before| *before != identity.generation) {
        span.set_number("proa.component.swapped_from", i64::try_from(before).unwrap_or(i64::MAX));
    }
}

async fn attempts<R, E, F, Fut>(slot: &Slot, read: bool, span: Option<&Span>, attempt: &F) -> Result<Result<R, E>, CallFailure>
where
    F: Fn(Lease) -> Fut,
    Fut: Future<Output = Result<Result<R, E>, CallError>>,
{
    let (mut restarts, mut repeated, mut before) = (0, false, None);
    loop {
        let lease = slot.lease().await.ok_or_else(|| CallFailure::Gone(slot.name.clone()))?;
        leased(span, &lease, &mut before);
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
