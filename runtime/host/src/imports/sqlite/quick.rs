//! Point reads on the thread of their caller: to wake a thread for one and to be woken by it costs several times what the read does.
//!
//! Only one statement that reads, only while its steps are few, and only if a connection is free and no lock is in the way; whatever
//! is none of that has no answer here and goes to the thread of the reader, from its beginning.

use super::thread::carry_out;
use crate::wit::proa::host::sqlite::{Error, Outcome, Statement};
use rusqlite::Connection;
use std::sync::Mutex;

/// As many as there are calls that compute at the same moment on small machines.
const CONNECTIONS: usize = 2;

/// Steps of SQLite's machine before a read is no longer quick: some hundred microseconds. A read by key takes about thirty.
const STEPS: i32 = 4000;

#[derive(Default)]
pub(super) struct Quick {
    connections: Vec<Mutex<Connection>>,
}

impl Quick {
    pub fn open(connect: impl Fn() -> Result<Connection, Error>) -> Result<Self, Error> {
        let one = |_| {
            let connection = connect()?;
            // Called after that many steps, and its word ends the statement.
            connection.progress_handler(STEPS, Some(|| true));
            Ok(Mutex::new(connection))
        };
        Ok(Self { connections: (0..CONNECTIONS).map(one).collect::<Result<_, Error>>()? })
    }

    pub fn query(&self, statement: &Statement) -> Option<Outcome> {
        let connection = self.connections.iter().find_map(|c| c.try_lock().ok())?;
        let prepared = connection.prepare_cached(&statement.sql).ok()?;
        if !prepared.readonly() {
            return None;
        }
        // An error too is for the reader's thread to find: there it has time to wait for locks.
        carry_out(&connection, prepared, statement).ok()
    }
}
