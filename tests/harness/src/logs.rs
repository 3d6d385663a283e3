//! Captured output of a child process.
//!
//! Both pipes are read to the end by background tasks, so a talkative child never blocks on a full pipe. Lines are kept in
//! memory for assertions and for the message of a failing test.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

use crate::wait::until;

/// Lines written so far; clones share them.
#[derive(Clone, Default)]
pub struct Logs {
    lines: Arc<Mutex<Vec<String>>>,
}

impl Logs {
    /// Reads `pipe` until the child closes it.
    pub(crate) fn follow(&self, pipe: impl AsyncRead + Unpin + Send + 'static) {
        let lines = self.lines.clone();
        tokio::spawn(async move {
            let mut reader = BufReader::new(pipe).lines();
            while let Ok(Some(line)) = reader.next_line().await {
                lines.lock().expect("log lines").push(line);
            }
        });
    }

    /// Everything so far, one line per entry.
    pub fn text(&self) -> String {
        self.lines.lock().expect("log lines").join("\n")
    }

    /// Whether a line holds `part`.
    pub fn contain(&self, part: &str) -> bool {
        self.count(part) > 0
    }

    /// In how many lines `part` occurs.
    pub fn count(&self, part: &str) -> usize {
        self.lines.lock().expect("log lines").iter().filter(|line| line.contains(part)).count()
    }

    /// Waits up to ten seconds for a line with `part`; panics with the log otherwise.
    pub async fn wait_for(&self, part: &str) {
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        until(&format!("log line {part:?}"), Duration::from_secs(11), || async {
            if self.contain(part) {
                return Some(());
            }
            assert!(std::time::Instant::now() < deadline, "no log line with {part:?} in:\n{}", self.text());
            None
        })
        .await;
    }
}
