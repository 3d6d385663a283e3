//! Policies around calls of applications: which answers are failures, and what may be sent again.

use crate::invocation::{InvokeError, InvokeRequest, InvokeResponse};
use crate::options::Transport;
use crate::resiliency::{Policy, Spare, Verdict};
use crate::runtime::Runtime;

/// Whether there may be another attempt at calling this target, so that it is worth keeping a body of any length.
pub fn retries(runtime: &Runtime, target: &str) -> bool {
    runtime.resiliency().retries_app(target)
}

/// Sends a request under a policy. The last answer is the result, a failure or not; what cannot be sent again is sent once.
pub(super) async fn under<F, Fut>(policy: &Policy, request: InvokeRequest, send: F) -> Result<InvokeResponse, InvokeError>
where
    F: Fn(InvokeRequest) -> Fut,
    Fut: Future<Output = Result<InvokeResponse, InvokeError>>,
{
    let origin = request.origin;
    let requests = Spare::new(request, if policy.retries() { InvokeRequest::again } else { |_| None });
    let judge = |outcome: &Result<InvokeResponse, InvokeError>| match verdict(origin, outcome) {
        Verdict::Code(_) | Verdict::Failure if !requests.is_left() => Verdict::Permanent,
        verdict => verdict,
    };
    let attempt = |_| {
        let sending = requests.take().map(&send);
        async {
            match sending {
                Some(sending) => sending.await,
                None => Err(InvokeError::Plain("the body was sent already".into())),
            }
        }
    };
    policy.run(judge, attempt).await?
}

/// What an answer means: a failure is an HTTP status beyond what the caller's protocol takes for success, or a gRPC status other than OK.
fn verdict(origin: Transport, outcome: &Result<InvokeResponse, InvokeError>) -> Verdict {
    let Ok(response) = outcome else { return Verdict::Failure };
    match response.status {
        0 | 200..=299 => Verdict::Success,
        300..=399 if origin == Transport::Http => Verdict::Success,
        status => Verdict::Code(status),
    }
}
