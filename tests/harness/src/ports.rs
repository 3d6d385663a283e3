//! Free TCP ports for child processes.
//!
//! A child needs its port before it starts, so the port is probed here and bound there. Ports are taken from below the
//! kernel's ephemeral range, where no outgoing connection can land on them in between, and each is handed out once per
//! test process. Panics when no port is left.

use std::collections::HashSet;
use std::net::TcpListener;
use std::sync::Mutex;

use rand::Rng;

static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);

/// A port that was free on every interface a moment ago and that no other caller in this process received.
pub fn free_port() -> u16 {
    for _ in 0..2_000 {
        let port = rand::rng().random_range(12_000..32_000);
        let mut given = GIVEN.lock().expect("port list");
        let given = given.get_or_insert_with(HashSet::new);
        if given.contains(&port) || TcpListener::bind(("0.0.0.0", port)).is_err() {
            continue;
        }
        given.insert(port);
        return port;
    }
    panic!("no free port between 12000 and 32000");
}
