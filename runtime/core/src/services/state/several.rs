//! Several requests as one operation: what failed may be tried again, what is done is not done twice.

use super::failure;
use proa_host::kinds::state as store;
use proa_model::error::state::Outcome;
use std::sync::{Mutex, PoisonError};

struct Inner<T> {
    left: Vec<T>,
    /// Failures that another attempt does not mend.
    lasting: Vec<(Outcome, String)>,
}

/// The requests of an operation over its attempts.
pub(super) struct Several<T> {
    inner: Mutex<Inner<T>>,
}

impl<T: Clone> Several<T> {
    pub fn new(requests: Vec<T>) -> Self {
        Self { inner: Mutex::new(Inner { left: requests, lasting: Vec::new() }) }
    }

    /// The requests of the next attempt.
    pub fn left(&self) -> Vec<T> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).left.clone()
    }

    /// Takes the outcomes of an attempt, in the order of its requests, or the one outcome of a batch that goes as a whole. The error is what Dapr makes of all failures so far.
    pub fn settle(&self, outcomes: Vec<Result<(), store::Error>>) -> Result<(), (Outcome, String)> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let mut passing = Vec::new();
        let mut outcomes = outcomes.into_iter().map(|outcome| outcome.map_err(failure));
        let Inner { left, lasting } = &mut *inner;
        left.retain(|_| match outcomes.next() {
            Some(Ok(())) => false,
            Some(Err(failure)) if failure.0 == Outcome::Other => {
                passing.push(failure);
                true
            }
            Some(Err(failure)) => {
                lasting.push(failure);
                false
            }
            None => true,
        });
        joined(lasting.iter().cloned().chain(passing).collect())
    }
}

fn joined(failures: Vec<(Outcome, String)>) -> Result<(), (Outcome, String)> {
    if failures.is_empty() {
        return Ok(());
    }
    let any = |outcome| failures.iter().any(|(o, _)| *o == outcome);
    let outcome = match () {
        () if any(Outcome::Other) => Outcome::Other,
        () if any(Outcome::EtagInvalid) => Outcome::EtagInvalid,
        () => Outcome::EtagMismatch,
    };
    let text = failures.into_iter().map(|(_, t)| t).collect::<Vec<_>>().join("\n");
    Err((outcome, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_still_succeed_is_tried_again() {
        let several = Several::new(vec![1, 2, 3, 4]);
        let mismatch = || Err(store::Error::EtagMismatch(String::new()));
        let first = several.settle(vec![Ok(()), mismatch(), Err(store::Error::Unavailable("down".into())), Err(store::Error::Other("odd".into()))]);
        assert!(matches!(first, Err((Outcome::Other, text)) if text.ends_with("down\nodd")));
        assert_eq!(several.left(), [3, 4]);
        assert!(matches!(several.settle(vec![Ok(()), Ok(())]), Err((Outcome::EtagMismatch, _))), "the mismatch is not forgotten");
        assert!(several.left().is_empty());
        assert_eq!(Several::new(vec![1]).settle(vec![Ok(())]), Ok(()));
    }

    #[test]
    fn a_batch_that_failed_as_a_whole_is_tried_again_as_a_whole() {
        let several = Several::new(vec![1, 2]);
        assert!(several.settle(vec![Err(store::Error::Unavailable("down".into()))]).is_err());
        assert_eq!(several.left(), [1, 2]);
        assert_eq!(several.settle(vec![Ok(())]), Ok(()));
    }
}
