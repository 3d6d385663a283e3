//! `proa:host/log` and the guest's stderr: both end in `tracing`, named by component and generation, thinned out when they flood.

use crate::ctx::Ctx;
use crate::generation::{Identity, Stats};
use crate::wit::proa::host::log::{Host, Level};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

const LINE: usize = 8 << 10;
/// Lines a second that pass; the rest is counted and told once a second.
const RATE: u32 = 200;

struct Window {
    since: Instant,
    lines: u32,
    dropped: u64,
}

/// The log of one instance.
#[derive(Clone)]
pub struct GuestLog {
    identity: Arc<Identity>,
    stats: Arc<Stats>,
    window: Arc<Mutex<Window>>,
    partial: Arc<Mutex<Vec<u8>>>,
}

impl GuestLog {
    pub fn new(identity: Arc<Identity>, stats: Arc<Stats>) -> Self {
        let window = Arc::new(Mutex::new(Window { since: Instant::now(), lines: 0, dropped: 0 }));
        Self { identity, stats, window, partial: Arc::default() }
    }

    /// Whether a line may pass now, and how many were dropped in the second that ended.
    fn admit(&self) -> (bool, u64) {
        let Ok(mut window) = self.window.lock() else { return (false, 0) };
        let mut report = 0;
        if window.since.elapsed() > Duration::from_secs(1) {
            report = window.dropped;
            *window = Window { since: Instant::now(), lines: 0, dropped: 0 };
        }
        window.lines += 1;
        let pass = window.lines <= RATE;
        if !pass {
            window.dropped += 1;
            self.stats.log_dropped.fetch_add(1, Ordering::Relaxed);
            // The first one that is dropped says so at once; the count follows.
            if window.dropped == 1 {
                report = 1;
            }
        }
        (pass, report)
    }

    pub fn write(&self, level: Level, message: &str) {
        let (pass, dropped) = self.admit();
        let id = &*self.identity;
        if dropped > 0 {
            tracing::warn!(target: "proa.component", component = %id.name, type_ = %id.component_type, generation = id.generation, dropped, "log flood: lines of this component are dropped");
        }
        if !pass {
            return;
        }
        let mut end = message.len().min(LINE);
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        let text = message.get(..end).unwrap_or_default();
        macro_rules! emit {
            ($m:ident) => {
                tracing::$m!(target: "proa.component", component = %id.name, type_ = %id.component_type, generation = id.generation, "{text}")
            };
        }
        match level {
            Level::Debug => emit!(debug),
            Level::Info => emit!(info),
            Level::Warn => emit!(warn),
            Level::Error => emit!(error),
        }
    }

    /// Tells of something that the guest tried and may not.
    pub fn denied(&self, grant: &'static str, what: &str) {
        self.stats.denied(grant);
        self.write(Level::Warn, &format!("denied: {grant} {what} is not among the grants that the configuration implies"));
    }

    fn stderr(&self, bytes: &[u8]) {
        let Ok(mut partial) = self.partial.lock() else { return };
        partial.extend_from_slice(bytes);
        let mut lines = Vec::new();
        while let Some(end) = partial.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = partial.drain(..=end).collect();
            lines.push(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
        if partial.len() > LINE {
            lines.push(String::from_utf8_lossy(&std::mem::take(&mut *partial)).into_owned());
        }
        drop(partial);
        for line in lines.iter().filter(|l| !l.is_empty()) {
            self.write(Level::Info, line);
        }
    }

    /// Writes out a last line without an end.
    pub fn flush(&self) {
        let rest = self.partial.lock().map(|mut p| std::mem::take(&mut *p)).unwrap_or_default();
        if !rest.is_empty() {
            self.write(Level::Info, &String::from_utf8_lossy(&rest));
        }
    }
}

impl Host for Ctx {
    fn write(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        self.log.write(level, &message);
        Ok(())
    }
}

/// The guest's stdout and stderr, line by line.
pub struct Stderr(GuestLog);

impl Stderr {
    pub fn new(log: GuestLog) -> Self {
        Self(log)
    }
}

impl IsTerminal for Stderr {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stderr {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(Self(self.0.clone()))
    }
}

impl AsyncWrite for Stderr {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.0.stderr(bytes);
        Poll::Ready(Ok(bytes.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
