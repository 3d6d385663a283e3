//! What a registry said: the addresses of each application that was asked for, handed out in turn.
//!
//! For a few seconds they are taken as they are; then they are still handed out, while somebody asks again; after that the registry must
//! answer first. An address that fails is forgotten at once. A bounded number of applications is kept: the one that was heard of longest
//! ago makes room.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Taken as they are.
const FRESH: Duration = Duration::from_secs(5);
/// Handed out while somebody asks again.
const USABLE: Duration = Duration::from_secs(20);
/// The most applications that are remembered.
const MOST: usize = 4096;

/// Namespace and application.
pub type Key = (String, String);

struct Known {
    addresses: Vec<String>,
    turn: usize,
    /// When the registry said so.
    heard: Instant,
    /// When somebody last went to ask again.
    asked: Instant,
}

impl Known {
    fn next(&mut self) -> Option<String> {
        self.turn = self.turn.wrapping_add(1);
        let position = self.turn.checked_rem(self.addresses.len())?;
        self.addresses.get(position).cloned()
    }
}

#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    Fresh(String),
    /// Whoever gets this asks the registry again; nobody else does for a while.
    Aged(String),
    Missing,
}

/// See the module's text.
#[derive(Default)]
pub struct Addresses {
    known: HashMap<Key, Known>,
}

impl Addresses {
    pub fn find(&mut self, key: &Key, now: Instant) -> Found {
        let Some(known) = self.known.get_mut(key) else { return Found::Missing };
        let age = now.saturating_duration_since(known.heard);
        if age >= USABLE {
            return Found::Missing;
        }
        let Some(address) = known.next() else { return Found::Missing };
        if age < FRESH || now.saturating_duration_since(known.asked) < FRESH {
            return Found::Fresh(address);
        }
        known.asked = now;
        Found::Aged(address)
    }

    /// What was known last, however old: for a registry that is out of reach.
    pub fn last(&mut self, key: &Key) -> Option<String> {
        self.known.get_mut(key)?.next()
    }

    pub fn put(&mut self, key: Key, addresses: Vec<String>, now: Instant) {
        if self.known.len() >= MOST && !self.known.contains_key(&key) {
            let oldest = self.known.iter().min_by_key(|(_, known)| known.heard).map(|(key, _)| key.clone());
            oldest.and_then(|key| self.known.remove(&key));
        }
        let turn = self.known.get(&key).map_or(0, |known| known.turn);
        self.known.insert(key, Known { addresses, turn, heard: now, asked: now });
    }

    /// The application is not there any more.
    pub fn remove(&mut self, key: &Key) {
        self.known.remove(key);
    }

    /// An address that does not answer, whatever the namespace.
    pub fn forget(&mut self, app_id: &str, address: &str) {
        for (_, known) in self.known.iter_mut().filter(|(key, _)| key.1 == app_id) {
            known.addresses.retain(|a| a != address);
        }
        self.known.retain(|_, known| !known.addresses.is_empty());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn addresses_age_and_are_asked_for_again_once() {
        let (mut all, key, now) = (Addresses::default(), ("ns".to_owned(), "app".to_owned()), Instant::now());
        assert_eq!(all.find(&key, now), Found::Missing);
        all.put(key.clone(), vec!["a".into(), "b".into()], now);
        let (Found::Fresh(one), Found::Fresh(two)) = (all.find(&key, now), all.find(&key, now)) else { panic!("fresh") };
        assert_ne!(one, two);
        assert!(matches!(all.find(&key, now + FRESH), Found::Aged(_)));
        assert!(matches!(all.find(&key, now + FRESH), Found::Fresh(_)), "somebody is asking");
        assert_eq!(all.find(&key, now + USABLE), Found::Missing);
        assert!(all.last(&key).is_some());
        all.forget("app", "a");
        assert_eq!(all.find(&key, now), Found::Fresh("b".into()));
        all.forget("app", "b");
        assert_eq!((all.find(&key, now), all.last(&key)), (Found::Missing, None));
    }

    #[test]
    fn the_oldest_makes_room() {
        let (mut all, now) = (Addresses::default(), Instant::now());
        for n in 0..=MOST {
            all.put((String::new(), n.to_string()), vec!["a".into()], now + Duration::from_millis(n as u64));
        }
        assert_eq!(all.known.len(), MOST);
        assert_eq!(all.find(&(String::new(), "0".into()), now), Found::Missing);
    }
}
