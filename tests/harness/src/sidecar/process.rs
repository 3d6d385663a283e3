//! The child process: spawned with captured output, killed when dropped.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use crate::logs::Logs;

/// How a process ended.
#[derive(Clone)]
pub struct Stopped {
    /// Exit code; nothing when a signal ended it.
    pub code: Option<i32>,
    pub logs: Logs,
}

pub(crate) struct Process {
    child: Child,
    pid: u32,
    logs: Logs,
}

impl Process {
    pub(crate) fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|failure| panic!("cannot start {command:?}: {failure}"));
        let logs = Logs::default();
        if let Some(pipe) = child.stdout.take() {
            logs.follow(pipe);
        }
        if let Some(pipe) = child.stderr.take() {
            logs.follow(pipe);
        }
        let pid = child.id().expect("a child that was just started has an id");
        Self { child, pid, logs }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) fn logs(&self) -> &Logs {
        &self.logs
    }

    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub(crate) fn signal(&self, signal: i32) {
        // SAFETY: kill(2) takes plain numbers; the pid is our own child, which is not reaped before `wait`.
        unsafe { libc::kill(self.pid as i32, signal) };
    }

    pub(crate) async fn wait(&mut self, limit: Duration) -> Stopped {
        let status = tokio::time::timeout(limit, self.child.wait()).await;
        let Ok(status) = status else {
            panic!("still running after {limit:?}, log:\n{}", self.logs.text());
        };
        // The pipes close with the process; give their readers a turn to take the last lines.
        tokio::time::sleep(Duration::from_millis(50)).await;
        Stopped { code: status.expect("child status").code(), logs: self.logs.clone() }
    }
}
