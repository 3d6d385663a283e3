//! Log lines in Dapr's format, as text or JSON, to stdout or to a file.
//!
//! A disabled event costs one load of a cached flag; a line is formatted in a buffer of its thread and leaves in one
//! write under a lock, so lines never mix. Writing blocks when the reader of stdout does not read, as in Dapr; a
//! write that fails is dropped, since there is nowhere left to report it. Spans are not recorded.
//!
//! Events use `target:` as the scope (`dapr.runtime`, `dapr.runtime.http`, …); a field `scope` overrides it. A field
//! `fatal = true` on an error prints the level `fatal`; ending the process is the caller's business. Events of
//! libraries (any other target) appear from warning upwards only.

mod clock;
mod fields;
mod format;
mod layer;
mod quote;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use tracing_subscriber::layer::SubscriberExt;

use format::Style;
use layer::LineLayer;

/// What is logged and how; the values of `--log-level`, `--log-as-json` and `--log-file` and the common fields.
#[derive(Clone, Debug, Default)]
pub struct LogOptions {
    /// Least severe level that is printed.
    pub level: LogLevel,
    /// JSON objects in place of text.
    pub json: bool,
    /// File that lines are appended to in place of stdout; it is created if missing.
    pub file: Option<String>,
    /// Field `app_id`; left out when empty.
    pub app_id: String,
    /// Field `instance`, the host's name.
    pub instance: String,
    /// Field `ver`.
    pub version: String,
}

/// Severity, most severe first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum LogLevel {
    /// The process is about to end.
    Fatal,
    /// Something failed.
    Error,
    /// Something may be wrong.
    Warn,
    /// What the sidecar does.
    #[default]
    Info,
    /// How it does it.
    Debug,
}

impl LogLevel {
    /// The name in a line.
    fn name(self) -> &'static str {
        match self {
            Self::Fatal => "fatal",
            Self::Error => "error",
            Self::Warn => "warning",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }

    fn from_u8(level: u8) -> Self {
        match level {
            0 => Self::Fatal,
            1 => Self::Error,
            2 => Self::Warn,
            3 => Self::Info,
            _ => Self::Debug,
        }
    }
}

impl FromStr for LogLevel {
    type Err = LogError;

    /// Dapr's five names in any case, and `warning`, which is how that level is printed.
    fn from_str(name: &str) -> Result<Self, LogError> {
        match name.to_ascii_lowercase().as_str() {
            "debug" => Ok(Self::Debug),
            "info" => Ok(Self::Info),
            "warn" | "warning" => Ok(Self::Warn),
            "error" => Ok(Self::Error),
            "fatal" => Ok(Self::Fatal),
            _ => Err(LogError::Level(name.to_owned())),
        }
    }
}

impl fmt::Display for LogLevel {
    /// The name as `--log-level` takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Warn { "warn" } else { self.name() })
    }
}

/// Why logging could not be set up.
#[derive(Debug)]
pub enum LogError {
    /// `--log-level` is none of the levels.
    Level(String),
    /// `--log-file` cannot be opened.
    File {
        /// The path as given.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// Another subscriber was installed in this process before.
    Taken,
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Level(level) => write!(f, "invalid value for --log-level: {level}"),
            Self::File { path, source } => {
                // Go's wording: the operation, the path, the reason without its number
                let reason = source.to_string();
                let reason = reason.split(" (os error").next().unwrap_or_default();
                let reason = reason.to_lowercase();
                let mut quoted = String::new();
                quote::push_quoted(path, &mut quoted);
                write!(f, "failed to open log file {quoted}: open {path}: {reason}")
            }
            Self::Taken => f.write_str("another subscriber already receives this process's events"),
        }
    }
}

impl std::error::Error for LogError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { source, .. } => Some(source),
            Self::Level(_) | Self::Taken => None,
        }
    }
}

/// Where lines go.
enum Sink {
    Stdout,
    File(File),
}

impl Sink {
    fn open(path: Option<&str>) -> Result<Self, LogError> {
        let Some(path) = path.filter(|path| !path.is_empty()) else {
            return Ok(Self::Stdout);
        };
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o644)
            .open(path)
            .map(Self::File)
            .map_err(|source| LogError::File { path: path.to_owned(), source })
    }
}

/// What the layer and the handle share.
struct Shared {
    level: AtomicU8,
    style: RwLock<Arc<Style>>,
    sink: Mutex<Sink>,
}

impl Shared {
    fn level(&self) -> LogLevel {
        LogLevel::from_u8(self.level.load(Ordering::Relaxed))
    }

    fn style(&self) -> Arc<Style> {
        Arc::clone(&self.style.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, line: &[u8]) {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        // stdout is line buffered and empty between lines, so a whole line is one write there too
        let _nowhere_to_report = match &mut *sink {
            Sink::Stdout => io::stdout().lock().write_all(line),
            Sink::File(file) => file.write_all(line),
        };
    }
}

static INSTALLED: OnceLock<Arc<Shared>> = OnceLock::new();

/// Changes logging while it runs.
#[derive(Clone)]
pub struct LogHandle(Arc<Shared>);

impl LogHandle {
    /// Prints events from `level` upwards from now on, in all threads.
    pub fn set_level(&self, level: LogLevel) {
        self.0.level.store(level as u8, Ordering::Relaxed);
        tracing::callsite::rebuild_interest_cache();
    }

    /// Applies all of `options`, as after a restart of the sidecar inside the process.
    ///
    /// # Errors
    /// [`LogError::File`] if the file cannot be opened; nothing changes then.
    pub fn apply(&self, options: &LogOptions) -> Result<(), LogError> {
        let sink = Sink::open(options.file.as_deref())?;
        let style = Arc::new(Style::new(options));
        *self.0.sink.lock().unwrap_or_else(PoisonError::into_inner) = sink;
        *self.0.style.write().unwrap_or_else(PoisonError::into_inner) = style;
        self.set_level(options.level);
        Ok(())
    }
}

/// Sends this process's events to the log. A second call changes the first one's settings.
///
/// # Errors
/// [`LogError`] if the file cannot be opened or somebody else's subscriber is installed.
pub fn init(options: &LogOptions) -> Result<LogHandle, LogError> {
    if let Some(shared) = INSTALLED.get() {
        let handle = LogHandle(Arc::clone(shared));
        handle.apply(options)?;
        return Ok(handle);
    }
    let (layer, handle) = layer(options)?;
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::Taken)?;
    let _first_wins = INSTALLED.set(Arc::clone(&handle.0));
    Ok(handle)
}

/// The layer alone, for a subscriber that has others too. It switches off spans and disabled events for the whole
/// subscriber, which is what makes them free.
///
/// # Errors
/// [`LogError::File`] if the file cannot be opened.
pub fn layer(options: &LogOptions) -> Result<(LineLayer, LogHandle), LogError> {
    let shared = Arc::new(Shared {
        level: AtomicU8::new(options.level as u8),
        style: RwLock::new(Arc::new(Style::new(options))),
        sink: Mutex::new(Sink::open(options.file.as_deref())?),
    });
    Ok((LineLayer::new(Arc::clone(&shared)), LogHandle(shared)))
}
