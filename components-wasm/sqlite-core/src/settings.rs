//! Metadata that every component over SQLite has. The wording of the errors is the one that users know from Dapr.

use crate::Location;
use proa_sdk::{InitError, Properties};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Where the database is and how it is used.
pub struct Common {
    pub location: Location,
    pub timeout: Duration,
    pub busy_timeout: Duration,
    pub wal: bool,
}

impl Common {
    /// With the component's own defaults for the two limits.
    pub fn read(properties: &Properties, timeout: Duration, busy_timeout: Duration) -> Result<Self, InitError> {
        let connection = properties.any(&["connectionString", "url"]).ok_or_else(|| InitError::Other("missing connection string".into()))?;
        let location = Location::parse(connection).map_err(InitError::Other)?;
        let timeout = duration(properties, &["timeout", "timeoutInSeconds"], timeout)?;
        if timeout < SECOND {
            return Err(InitError::Other("invalid value for 'timeout': must be greater than 1s".into()));
        }
        Ok(Self {
            wal: !(location.memory || location.read_only || properties.bool("disableWAL").unwrap_or(false)),
            location,
            timeout,
            busy_timeout: duration(properties, &["busyTimeout"], busy_timeout)?,
        })
    }

    /// What the connection string asks for in vain.
    pub fn warn(&self) {
        if self.location.other_lock {
            proa_sdk::log::warn("the connection string asks for a _txlock other than 'immediate'; every write is immediate nevertheless");
        }
    }
}

/// A duration under the first of several names that is set. Negative ones count as zero.
pub fn duration(properties: &Properties, names: &[&str], default: Duration) -> Result<Duration, InitError> {
    let Some(name) = names.iter().find(|n| properties.get(n).is_some()) else { return Ok(default) };
    if properties.get(name).is_some_and(|v| v.trim_start().starts_with('-')) {
        return Ok(Duration::ZERO);
    }
    Ok(properties.duration(name, SECOND)?.unwrap_or(default))
}

/// Whether a text can stand for a table in a statement.
pub fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
