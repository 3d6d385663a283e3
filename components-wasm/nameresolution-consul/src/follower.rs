//! What was found of services that somebody asked for, kept up to date with blocking queries: one task a service. While the agent does not
//! answer, nothing is known, and look-ups ask it themselves.

use crate::agent::{Agent, Instance};
use proa_sdk::{log, time};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::time::Duration;

const PAUSE: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(180);
/// An agent that does not hold queries is not to be asked without end.
const APART: Duration = Duration::from_millis(200);
/// The most services that are followed; others are looked up each time.
const MOST: usize = 256;

#[derive(Default)]
pub struct Follower {
    services: RefCell<HashMap<String, Vec<Instance>>>,
}

impl Follower {
    /// What is known of a service now; follows it from now on.
    pub fn get(self: &Rc<Self>, agent: &Rc<Agent>, service: &str) -> Vec<Instance> {
        let mut services = self.services.borrow_mut();
        if let Some(known) = services.get(service) {
            return known.clone();
        }
        if services.len() < MOST {
            services.insert(service.to_owned(), Vec::new());
            proa_sdk::spawn(follow(Rc::downgrade(self), Rc::downgrade(agent), service.to_owned()));
        }
        Vec::new()
    }

    fn put(&self, service: &str, instances: Vec<Instance>) {
        self.services.borrow_mut().insert(service.to_owned(), instances);
    }
}

/// Until the component is closed.
async fn follow(follower: Weak<Follower>, agent: Weak<Agent>, service: String) {
    let (mut index, mut pause) = (0, PAUSE);
    loop {
        let Some(agent) = agent.upgrade() else { return };
        let answer = agent.follow(&service, index).await;
        drop(agent);
        let Some(follower) = follower.upgrade() else { return };
        match answer {
            Ok((now, instances)) => {
                follower.put(&service, instances);
                // An index that went back means that the servers began anew.
                index = if now < index { 0 } else { now };
                pause = PAUSE;
                time::sleep(APART).await;
            }
            Err(why) => {
                log::error(format!("consul service-watcher error: {}, retry in {}s", why.text, pause.as_secs()));
                follower.put(&service, Vec::new());
                drop(follower);
                index = 0;
                time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST);
            }
        }
    }
}
