//! Why a broker did not take a message, and what that means to policies.
//!
//! Retries match the codes of the caller's protocol: a broker's kinds of failure are gRPC's codes, and so is the status of a broker in
//! another process; over HTTP they are what HTTP calls the same.

use crate::options::Transport;
use crate::resiliency::{Judged, Verdict};
use proa_host::CallError;
use proa_host::kinds::pubsub::Error as BrokerError;
use proa_host::remote::Status;
use proa_model::error::Grpc;
use std::sync::Arc;

/// Why a broker did not take a message.
#[derive(Clone)]
pub(super) enum Refusal {
    Broker(BrokerError),
    /// The status of a broker in another process.
    Status(Arc<Status>),
}

impl Refusal {
    pub fn text(self) -> String {
        match self {
            Self::Broker(error) => crate::delivery::error_text(&error),
            Self::Status(status) => status.to_string(),
        }
    }

    /// What it means to policies. Their lists are of the codes that the caller's protocol has.
    pub fn verdict(&self, transport: Transport) -> Verdict {
        let code = match self {
            Self::Broker(error) => match error.verdict() {
                Verdict::Code(code) => Grpc::of(code),
                verdict => return verdict,
            },
            Self::Status(status) => status.code,
        };
        Verdict::Code(if transport == Transport::Http { http(code) } else { code as i32 })
    }
}

/// What the broker answered, a status included, apart from why it did not answer.
pub(super) fn answered<R>(outcome: Result<Result<R, BrokerError>, CallError>) -> Result<Result<R, Refusal>, CallError> {
    match outcome {
        Err(CallError::Status(status)) => Ok(Err(Refusal::Status(status))),
        other => other.map(|answer| answer.map_err(Refusal::Broker)),
    }
}

/// The same of a part of what was sent, which fails by itself.
pub(super) fn sent<R>(outcome: Result<Result<R, BrokerError>, CallError>) -> Result<R, Refusal> {
    answered(outcome).unwrap_or_else(|why| Err(Refusal::Broker(BrokerError::Other(why.to_string()))))
}

/// The HTTP status that says the same.
fn http(code: Grpc) -> i32 {
    match code {
        Grpc::Ok => 200,
        Grpc::InvalidArgument | Grpc::FailedPrecondition | Grpc::OutOfRange => 400,
        Grpc::Unauthenticated => 401,
        Grpc::PermissionDenied => 403,
        Grpc::NotFound => 404,
        Grpc::Cancelled => 408,
        Grpc::AlreadyExists | Grpc::Aborted => 409,
        Grpc::ResourceExhausted => 429,
        Grpc::Unknown | Grpc::Internal | Grpc::DataLoss => 500,
        Grpc::Unimplemented => 501,
        Grpc::Unavailable => 503,
        Grpc::DeadlineExceeded => 504,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: Grpc) -> Refusal {
        Refusal::Status(Arc::new(Status { code, message: "no".into(), api: None }))
    }

    #[test]
    fn policies_see_the_code_of_the_callers_protocol() {
        let both = |refusal: Refusal| (refusal.verdict(Transport::Grpc), refusal.verdict(Transport::Http));
        assert_eq!(both(status(Grpc::ResourceExhausted)), (Verdict::Code(8), Verdict::Code(429)));
        assert_eq!(both(status(Grpc::FailedPrecondition)), (Verdict::Code(9), Verdict::Code(400)));
        assert_eq!(both(Refusal::Broker(BrokerError::Unavailable("down".into()))), (Verdict::Code(14), Verdict::Code(503)));
        assert_eq!(both(Refusal::Broker(BrokerError::Other("odd".into()))), (Verdict::Failure, Verdict::Failure));
    }

    #[test]
    fn a_status_is_an_answer_and_an_end_is_none() {
        let told = CallError::Status(Arc::new(Status { code: Grpc::Internal, message: "no".into(), api: None }));
        assert!(matches!(answered::<()>(Err(told)), Ok(Err(Refusal::Status(_)))));
        assert!(answered::<()>(Err(CallError::Trapped("gone".into()))).is_err());
    }
}
