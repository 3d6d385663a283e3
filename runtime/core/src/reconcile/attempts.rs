//! Which components are being changed at the moment. One change at a time for each; changes of different ones run side by side, and a
//! pass does not wait for one that takes long.
//!
//! What a pass finds busy is looked at again when that attempt ends; so is the whole set when an attempt outlasted its pass and
//! succeeded, because what depends on it (subscriptions, input bindings) starts in a pass.

use std::collections::BTreeMap;
use std::sync::Mutex;
use tokio::sync::Notify;

/// See the module's text.
#[derive(Default)]
pub struct Attempts {
    /// By name; true: another pass has asked for the component meanwhile.
    running: Mutex<BTreeMap<String, bool>>,
    again: Notify,
}

impl Attempts {
    /// False: the component is being changed already; then it is looked at again afterwards.
    pub fn begin(&self, name: &str) -> bool {
        let Ok(mut running) = self.running.lock() else { return false };
        match running.get_mut(name) {
            Some(asked) => {
                *asked = true;
                false
            }
            None => {
                running.insert(name.to_owned(), false);
                true
            }
        }
    }

    /// Ends what `begin` began. `late`: its pass is over and something new runs.
    pub fn end(&self, name: &str, late: bool) {
        let asked = self.running.lock().ok().and_then(|mut r| r.remove(name)).unwrap_or(false);
        if asked || late {
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
        assert!(attempts.begin("a"));
        assert!(attempts.begin("b"), "another component has nothing to do with it");
        attempts.end("b", false);
        assert!(attempts.wanted().now_or_never().is_none());
        assert!(!attempts.begin("a"));
        attempts.end("a", false);
        assert!(attempts.wanted().now_or_never().is_some());
        assert!(attempts.begin("a"));
        attempts.end("a", true);
        assert!(attempts.wanted().now_or_never().is_some());
    }
}
