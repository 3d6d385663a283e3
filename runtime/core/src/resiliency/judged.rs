//! What the errors of components mean to policies.

use super::Verdict;
use crate::app::ChannelError;
use proa_host::kinds::{bindings, configuration, conversation, crypto, lock, pubsub, secretstores, state};
use proa_model::error::state::Outcome;

/// An error that policies can judge. As in Dapr, everything may be tried again that is not certain to fail again.
pub trait Judged {
    fn verdict(&self) -> Verdict {
        Verdict::Failure
    }
}

impl Judged for bindings::Error {}
impl Judged for configuration::Error {}
impl Judged for conversation::Error {}
impl Judged for crypto::Error {}
impl Judged for lock::Error {}
impl Judged for secretstores::Error {}
impl Judged for String {}

impl Judged for state::Error {
    /// An etag that does not match will not match the next time either.
    fn verdict(&self) -> Verdict {
        match self {
            Self::EtagMismatch(_) | Self::EtagInvalid(_) => Verdict::Permanent,
            _ => Verdict::Failure,
        }
    }
}

impl Judged for (Outcome, String) {
    fn verdict(&self) -> Verdict {
        match self.0 {
            Outcome::EtagMismatch | Outcome::EtagInvalid => Verdict::Permanent,
            Outcome::Other => Verdict::Failure,
        }
    }
}

impl Judged for pubsub::Error {
    /// By gRPC's codes, where the broker said what kind of failure it was.
    fn verdict(&self) -> Verdict {
        match self {
            Self::InvalidArgument(_) => Verdict::Code(3),
            Self::NotFound(_) => Verdict::Code(5),
            Self::Denied(_) => Verdict::Code(7),
            Self::Unavailable(_) => Verdict::Code(14),
            Self::Other(_) => Verdict::Failure,
        }
    }
}

impl Judged for ChannelError {
    fn verdict(&self) -> Verdict {
        self.status.map_or(Verdict::Failure, |status| Verdict::Code(status.into()))
    }
}
