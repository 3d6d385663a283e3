//! The component's metadata, read and checked. The wording of the errors is the one that users know from Dapr.

use crate::location::Location;
use proa_sdk::{InitError, Properties};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Where the database is and how it is used.
pub struct Settings {
    pub location: Location,
    pub timeout: Duration,
    pub busy_timeout: Duration,
    pub wal: bool,
    pub table: String,
    pub metadata_table: String,
    /// None: expired rows stay.
    pub cleanup: Option<Duration>,
}

/// A duration under the first of several names that is set. Negative ones count as zero.
fn duration(properties: &Properties, names: &[&str], default: Duration) -> Result<Duration, InitError> {
    let Some(name) = names.iter().find(|n| properties.get(n).is_some()) else { return Ok(default) };
    if properties.get(name).is_some_and(|v| v.trim_start().starts_with('-')) {
        return Ok(Duration::ZERO);
    }
    Ok(properties.duration(name, SECOND)?.unwrap_or(default))
}

fn identifier(properties: &Properties, name: &str, default: &str) -> Result<String, InitError> {
    let value = properties.get(name).unwrap_or(default);
    if value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        Ok(value.to_owned())
    } else {
        Err(InitError::Other(format!("invalid identifier: {value}")))
    }
}

impl Settings {
    pub fn read(properties: &Properties) -> Result<Self, InitError> {
        let connection = properties.any(&["connectionString", "url"]).ok_or_else(|| InitError::Other("missing connection string".into()))?;
        let location = Location::parse(connection).map_err(InitError::Other)?;
        let timeout = duration(properties, &["timeout", "timeoutInSeconds"], SECOND * 20)?;
        if timeout < SECOND {
            return Err(InitError::Other("invalid value for 'timeout': must be greater than 1s".into()));
        }
        let cleanup = duration(properties, &["cleanupInterval", "cleanupIntervalInSeconds"], Duration::ZERO)?;
        Ok(Self {
            wal: !(location.memory || location.read_only || properties.bool("disableWAL").unwrap_or(false)),
            location,
            timeout,
            busy_timeout: duration(properties, &["busyTimeout"], SECOND * 2)?,
            table: identifier(properties, "tableName", "state")?,
            metadata_table: identifier(properties, "metadataTableName", "metadata")?,
            cleanup: (!cleanup.is_zero()).then_some(cleanup),
        })
    }
}
