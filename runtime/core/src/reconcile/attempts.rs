//! Which components are being changed at the moment. One change at a time for each; changes of different ones run side by side, and a
//! pass does not wait for one that takes long.
//!
//! What a pass finds busy is looked at again when that attempt ends; so is the whole set when an attempt outlasted its pass and
//! succeeded, because what depends on it (subscriptions, input bindings) starts in a pass. An attempt whose resource has changed
//! once more is given up as long as it only starts something: nobody waits for the `init` of what is not wanted any more.

use proa_resources::component::Component;
use proa_resources::diff::same_content;
use std::collections::BTreeMap;
use std::sync::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

struct Attempt {
    /// None: a removal.
    wanted: Option<Component>,
    /// Another pass has asked for the component meanwhile.
    asked: bool,
    superseded: CancellationToken,
}

/// See the module's text.
#[derive(Default)]
pub struct Attempts {
    running: Mutex<BTreeMap<String, Attempt>>,
    again: Notify,
}

impl Attempts {
    /// The token tells when something else is wanted. None: the component is being changed already; it is looked at again afterwards.
    pub fn begin(&self, name: &str, wanted: Option<&Component>) -> Option<CancellationToken> {
        let mut running = self.running.lock().ok()?;
        if let Some(attempt) = running.get_mut(name) {
            attempt.asked = true;
            let same = match (&attempt.wanted, wanted) {
                (Some(a), Some(b)) => same_content(a, b),
                (a, b) => a.is_none() && b.is_none(),
            };
            if !same {
                attempt.superseded.cancel();
            }
            return None;
        }
        let superseded = CancellationToken::new();
        running.insert(name.to_owned(), Attempt { wanted: wanted.cloned(), asked: false, superseded: superseded.clone() });
        Some(superseded)
    }

    /// Ends what `begin` began. `late`: its pass is over and something new runs.
    pub fn end(&self, name: &str, late: bool) {
        let attempt = self.running.lock().ok().and_then(|mut running| running.remove(name));
        if late || attempt.is_some_and(|a| a.asked) {
            self.again.notify_one();
        }
    }

    /// Waits until another pass is wanted.
    pub async fn wanted(&self) {
        self.again.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::Attempts;
    use futures::FutureExt;

    #[test]
    fn one_at_a_time_and_another_look_for_who_asked_meanwhile() {
        let attempts = Attempts::default();
        assert!(attempts.begin("a", None).is_some());
        assert!(attempts.begin("b", None).is_some(), "another component has nothing to do with it");
        attempts.end("b", false);
        assert!(attempts.wanted().now_or_never().is_none());
        assert!(attempts.begin("a", None).is_none());
        attempts.end("a", false);
        assert!(attempts.wanted().now_or_never().is_some());
        assert!(attempts.begin("a", None).is_some());
        attempts.end("a", true);
        assert!(attempts.wanted().now_or_never().is_some());
    }
}
