//! Resiliency: timeouts, retries and circuit breakers around every call that leaves the sidecar, and around what it brings to the
//! application. There is this one implementation; whoever makes calls asks for the [`Policy`] of its target and runs its attempts under it.
//!
//! Without resources a look-up is one pointer load. With resources it is a hash look-up more, and a short lock where there is a breaker.
//! Changed resources are in force for the next call; calls that run keep what they began with. A resource that makes no sense is
//! refused as a whole and the one before it stays.

mod breaker;
mod breakers;
mod defaults;
mod judged;
mod policy;
mod retry;
mod set;
#[cfg(test)]
mod tests;

pub use defaults::BuiltIn;
pub use judged::Judged;
pub use policy::{Policy, Spare, Verdict};

use crate::metrics::{Flow, Metrics};
use arc_swap::ArcSwap;
use breakers::Breakers;
use proa_host::manifest::Kind;
use proa_resources::diff::same_content;
use proa_resources::resiliency::{BreakerScope, Resiliency as Document};
use set::{Class, Guard, Set, Turn};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A policy stood before the outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// The last attempt took longer than it may.
    #[error("context deadline exceeded")]
    Timeout,
    #[error("circuit breaker is open")]
    Open,
    /// Half open, and the calls that it lets through are on their way.
    #[error("too many requests")]
    TooManyRequests,
    /// The caller wanted no further attempt.
    #[error("context canceled")]
    Ended,
}

/// See the module's text.
pub struct Resiliency {
    set: ArcSwap<Set>,
    breakers: Breakers,
    metrics: Metrics,
    /// Why the latest version of a resource is not in force, by name.
    refused: Mutex<BTreeMap<String, String>>,
}

impl Resiliency {
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self { set: ArcSwap::from_pointee(Set::built_in()), breakers: Breakers::default(), metrics, refused: Mutex::default() }
    }

    /// Puts these resources into force, in place of all others. One that is refused leaves the earlier one of its name.
    pub(crate) fn apply(&self, documents: &[Document]) {
        let before = self.set.load_full();
        let (mut next, mut refused) = (Set::built_in(), BTreeMap::new());
        for document in documents {
            match set::templates(document, &before) {
                Ok(templates) => next.add(document.clone(), templates),
                Err(why) => {
                    self.refuse(document, &why);
                    refused.insert(document.name.clone(), why);
                    let kept = before.documents.iter().find(|d| d.name == document.name);
                    if let Some((kept, templates)) = kept.and_then(|d| Some((d, set::templates(d, &before).ok()?))) {
                        next.add(kept.clone(), templates);
                    }
                }
            }
        }
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = refused;
        let same = next.documents.len() == before.documents.len() && next.documents.iter().zip(&before.documents).all(|(a, b)| same_content(a, b));
        if same {
            return;
        }
        for document in next.documents.iter().filter(|d| !before.documents.iter().any(|b| same_content(*d, b))) {
            tracing::info!(target: "dapr.runtime", "Loading Resiliency configuration: {}", document.name);
            self.metrics.resiliency_loaded(&document.name, document.namespace.as_deref().unwrap_or_default());
        }
        next.remarks().iter().for_each(|remark| tracing::warn!(target: "dapr.runtime", "{remark}"));
        self.breakers.retain(|template| next.has(template));
        self.set.store(Arc::new(next));
    }

    fn refuse(&self, document: &Document, why: &str) {
        let known = self.refused().get(&document.name).is_some_and(|w| w == why);
        if !known {
            let file = document.origin.file.display();
            tracing::error!(target: "dapr.runtime", "Could not read resiliency policy {}: {why} ({file})", document.name);
        }
    }

    /// Why the latest version of a resource is not in force, by name.
    pub(crate) fn refused(&self) -> BTreeMap<String, String> {
        self.refused.lock().map(|r| r.clone()).unwrap_or_default()
    }

    /// The policies for calls of an application or HTTPEndpoint. `endpoint` is what of it is called: each has a breaker of its own.
    pub fn app(&self, app: &str, endpoint: &str) -> Policy {
        self.policy(Class::App, app, |_| format!("{app}:{endpoint}"), |key| key.to_owned())
    }

    /// Whether calls of an application may be tried again: what is sent is worth keeping then.
    pub fn retries_app(&self, app: &str) -> bool {
        self.set.load().guard(Class::App, app, &self.metrics).is_some_and(|guard| guard.retries_at_all())
    }

    /// Whether a resource names this application: then the built-in retries do not apply to it.
    pub fn names_app(&self, app: &str) -> bool {
        self.set.load().names_app(app)
    }

    /// The policies for calls of a component, or for what it delivers.
    pub fn component(&self, kind: Kind, name: &str, flow: Flow) -> Policy {
        if defaults::kind_name(kind).is_none() {
            return Policy::none();
        }
        // The two directions of a component share a breaker unless they have different policies.
        let key = |guard: &Guard| guard.breaker.as_ref().map(|policy| format!("{}-{name}", policy.name)).unwrap_or_default();
        self.policy(Class::Component(kind, flow), name, key, |_| String::new())
    }

    /// The policies for a call of an actor before it has the actor's turn: retries and breakers.
    pub fn actor_before_turn(&self, actor_type: &str, id: &str) -> Policy {
        let key = |guard: &Guard| match guard.scope {
            BreakerScope::Type => actor_type.to_owned(),
            BreakerScope::Id | BreakerScope::Both => format!("{actor_type}-{id}"),
        };
        self.policy(Class::Actor(Turn::Before), actor_type, key, |_| id.to_owned())
    }

    /// The policy for a call of an actor once it has the actor's turn: the timeout.
    pub fn actor_within_turn(&self, actor_type: &str, id: &str) -> Policy {
        self.policy(Class::Actor(Turn::Within), actor_type, |_| String::new(), |_| id.to_owned())
    }

    /// A policy that is there without any resource.
    pub fn built_in(&self, which: BuiltIn) -> Policy {
        self.policy(Class::BuiltIn(which), which.name(), |_| String::new(), |_| String::new())
    }

    /// `key` is the breaker's name among those of the target, `part` what the log says of the call.
    fn policy(&self, class: Class, target: &str, key: impl Fn(&Guard) -> String, part: impl Fn(&str) -> String) -> Policy {
        let Some(guard) = self.set.load().guard(class, target, &self.metrics) else { return Policy::none() };
        let key = key(&guard);
        let breaker = guard.breaker.as_ref().map(|template| self.breakers.get(&guard.group, &key, guard.capacity, template));
        let part = part(&key);
        Policy::new(guard, breaker, part)
    }
}
