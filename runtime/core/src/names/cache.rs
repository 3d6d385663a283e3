//! Addresses that were learned, each for a minute after it was last heard of, handed out in turn.
//!
//! Only applications that somebody asked for are kept, and a bounded number of them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long an address is trusted.
const TRUST: Duration = Duration::from_secs(60);
/// The most applications that are remembered.
const MOST: usize = 4096;

struct Known {
    address: String,
    until: Instant,
}

#[derive(Default)]
struct App {
    known: Vec<Known>,
    turn: usize,
}

/// See the module's text.
#[derive(Default)]
pub struct Cache {
    apps: HashMap<String, App>,
}

impl Cache {
    /// Somebody asks for this application: what is heard of it is worth keeping. False: no room.
    pub fn want(&mut self, app_id: &str) -> bool {
        if !self.apps.contains_key(app_id) {
            if self.apps.len() >= MOST {
                return false;
            }
            self.apps.insert(app_id.to_owned(), App::default());
        }
        true
    }

    /// Forgets an application of which nothing was heard.
    pub fn give_up(&mut self, app_id: &str) {
        if self.apps.get(app_id).is_some_and(|app| app.known.is_empty()) {
            self.apps.remove(app_id);
        }
    }

    /// Takes an address of an application that somebody asked for; true when it was new.
    pub fn learn(&mut self, app_id: &str, address: String, now: Instant) -> bool {
        let Some(app) = self.apps.get_mut(app_id) else { return false };
        let until = now + TRUST;
        match app.known.iter_mut().find(|k| k.address == address) {
            Some(known) => {
                known.until = until;
                false
            }
            None => {
                app.known.push(Known { address, until });
                true
            }
        }
    }

    pub fn forget(&mut self, app_id: &str, address: &str) {
        if let Some(app) = self.apps.get_mut(app_id) {
            app.known.retain(|k| k.address != address);
        }
    }

    /// The next address in turn.
    pub fn next(&mut self, app_id: &str, now: Instant) -> Option<String> {
        let app = self.apps.get_mut(app_id)?;
        app.known.retain(|k| k.until > now);
        app.turn = app.turn.wrapping_add(1);
        let position = app.turn.checked_rem(app.known.len())?;
        app.known.get(position).map(|k| k.address.clone())
    }

    /// The applications to ask about again.
    pub fn asked_for(&mut self, now: Instant) -> Vec<String> {
        for app in self.apps.values_mut() {
            app.known.retain(|k| k.until > now);
        }
        self.apps.keys().cloned().collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn addresses_take_turns_and_grow_old() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        assert!(!cache.learn("a", "1".into(), now), "nobody asked");
        assert!(cache.want("a") && cache.learn("a", "1".into(), now) && cache.learn("a", "2".into(), now));
        assert_ne!(cache.next("a", now), cache.next("a", now));
        cache.forget("a", "1");
        assert_eq!(cache.next("a", now).as_deref(), Some("2"));
        assert_eq!(cache.next("a", now + TRUST), None);
        cache.give_up("a");
        assert!(cache.asked_for(now).is_empty());
    }
}
