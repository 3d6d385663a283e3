//! The circuit breakers of all targets. They outlive the resources that name them: one whose policy did not change keeps its state.
//!
//! A target has at most as many as its resource allows, and there are at most a thousand targets; of too many the one goes that was
//! longest not asked for.

use super::breaker::{Breaker, Template};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

const GROUPS: usize = 1000;

struct Aged<T> {
    value: T,
    used: u64,
}

#[derive(Default)]
struct Inner {
    groups: HashMap<String, Aged<HashMap<String, Aged<Arc<Breaker>>>>>,
    clock: u64,
}

/// See the module's text.
#[derive(Default)]
pub(super) struct Breakers {
    inner: Mutex<Inner>,
}

impl Breakers {
    /// The breaker `key` of a target, of this policy; a new one where there is none, or one of another policy.
    pub fn get(&self, group: &str, key: &str, capacity: usize, template: &Arc<Template>) -> Arc<Breaker> {
        let mut guard = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *guard;
        inner.clock += 1;
        let used = inner.clock;
        if !inner.groups.contains_key(group) {
            make_room(&mut inner.groups, GROUPS);
            inner.groups.insert(group.to_owned(), Aged { value: HashMap::new(), used });
        }
        let new = || Arc::new(Breaker::new(key.to_owned(), template.clone(), Instant::now()));
        let Some(found) = inner.groups.get_mut(group) else { return new() };
        found.used = used;
        if let Some(known) = found.value.get_mut(key).filter(|known| Arc::ptr_eq(&known.value.template, template)) {
            known.used = used;
            return known.value.clone();
        }
        make_room(&mut found.value, capacity.max(1));
        let breaker = new();
        found.value.insert(key.to_owned(), Aged { value: breaker.clone(), used });
        breaker
    }

    /// Lets go of the breakers of policies that are no more.
    pub fn retain(&self, keep: impl Fn(&Arc<Template>) -> bool) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.groups.retain(|_, group| {
            group.value.retain(|_, breaker| keep(&breaker.value.template));
            !group.value.is_empty()
        });
    }
}

fn make_room<T>(map: &mut HashMap<String, Aged<T>>, capacity: usize) {
    while map.len() >= capacity {
        let Some(oldest) = map.iter().min_by_key(|(_, aged)| aged.used).map(|(key, _)| key.clone()) else { return };
        map.remove(&oldest);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proa_resources::resiliency::CircuitBreaker;
    use std::time::Duration;

    fn template() -> Arc<Template> {
        let policy = CircuitBreaker { max_requests: 1, interval: Duration::ZERO, timeout: Duration::from_secs(1), trip: None };
        Arc::new(Template::new("t", &policy).unwrap())
    }

    #[test]
    fn the_one_longest_not_used_makes_room() {
        let (breakers, template) = (Breakers::default(), template());
        let get = |key: &str| breakers.get("g", key, 2, &template);
        let (a, b) = (get("a"), get("b"));
        assert!(Arc::ptr_eq(&a, &get("a")));
        get("c");
        assert!(Arc::ptr_eq(&a, &get("a")) && !Arc::ptr_eq(&b, &get("b")));
        (0..GROUPS).for_each(|n| drop(breakers.get(&n.to_string(), "k", 1, &template)));
        assert!(!Arc::ptr_eq(&a, &get("a")));
    }

    #[test]
    fn another_policy_is_another_breaker() {
        let (breakers, first, second) = (Breakers::default(), template(), template());
        let a = breakers.get("g", "k", 9, &first);
        breakers.retain(|t| Arc::ptr_eq(t, &first));
        assert!(Arc::ptr_eq(&a, &breakers.get("g", "k", 9, &first)));
        let b = breakers.get("g", "k", 9, &second);
        assert!(!Arc::ptr_eq(&a, &b));
        breakers.retain(|t| Arc::ptr_eq(t, &first));
        assert!(!Arc::ptr_eq(&b, &breakers.get("g", "k", 9, &second)));
    }
}
