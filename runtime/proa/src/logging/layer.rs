//! The tracing layer: decides once per callsite, formats in a buffer of the thread, writes once per line.

use std::cell::Cell;
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::fields::{Collected, Collector};
use super::{LogLevel, Shared, clock};

/// Largest buffer a thread keeps between lines.
const KEPT_CAPACITY: usize = 16 * 1024;

thread_local! {
    /// Taken while in use, so that an event inside a field's `Debug` finds an empty one.
    static LINE: Cell<String> = const { Cell::new(String::new()) };
}

/// Prints events as lines.
pub struct LineLayer(Arc<Shared>);

impl LineLayer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    fn prints(&self, metadata: &Metadata<'_>) -> bool {
        if !metadata.is_event() {
            return false;
        }
        let least = self.0.level();
        let least = if is_ours(metadata.target()) { least } else { least.min(LogLevel::Warn) };
        // whether an error is fatal shows in its fields only
        level_of(*metadata.level()) <= least.max(LogLevel::Error) && *metadata.level() != Level::TRACE
    }
}

impl<S: Subscriber> Layer<S> for LineLayer {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.prints(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.prints(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match self.0.level() {
            LogLevel::Fatal | LogLevel::Error => LevelFilter::ERROR,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Debug => LevelFilter::DEBUG,
        })
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut collected = Collected::default();
        event.record(&mut Collector(&mut collected));
        let mut level = level_of(*event.metadata().level());
        if level == LogLevel::Error && collected.fatal {
            level = LogLevel::Fatal;
        }
        if level > self.0.level() {
            return;
        }
        let mut line = LINE.take();
        line.clear();
        self.0.style().write_line(&clock::now(), level, event.metadata().target(), collected, &mut line);
        self.0.write(line.as_bytes());
        if line.capacity() <= KEPT_CAPACITY {
            LINE.set(line);
        }
    }
}

fn is_ours(target: &str) -> bool {
    target.starts_with("dapr") || target.starts_with("proa")
}

fn level_of(level: Level) -> LogLevel {
    match level {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warn,
        Level::INFO => LogLevel::Info,
        _ => LogLevel::Debug,
    }
}

impl Visit for Collector<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.text(field.name(), format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), format_args!("{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.truth(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field.name(), value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.number(field.name(), value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.number(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.number(field.name(), value);
        } else {
            self.text(field.name(), format_args!("{value}"));
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.text(field.name(), format_args!("{value}"));
    }
}
