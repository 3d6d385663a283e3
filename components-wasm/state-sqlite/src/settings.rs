//! The component's metadata, read and checked. The wording of the errors is the one that users know from Dapr.

use proa_sdk::{InitError, Properties};
use sqlite_core::settings::{Common, duration, is_identifier};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(20);
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

pub struct Settings {
    pub common: Common,
    pub table: String,
    pub metadata_table: String,
    /// None: expired rows stay.
    pub cleanup: Option<Duration>,
}

fn identifier(properties: &Properties, name: &str, default: &str) -> Result<String, InitError> {
    let value = properties.get(name).unwrap_or(default);
    if is_identifier(value) { Ok(value.to_owned()) } else { Err(InitError::Other(format!("invalid identifier: {value}"))) }
}

impl Settings {
    pub fn read(properties: &Properties) -> Result<Self, InitError> {
        let common = Common::read(properties, TIMEOUT, BUSY_TIMEOUT)?;
        let cleanup = duration(properties, &["cleanupInterval", "cleanupIntervalInSeconds"], Duration::ZERO)?;
        Ok(Self {
            common,
            table: identifier(properties, "tableName", "state")?,
            metadata_table: identifier(properties, "metadataTableName", "metadata")?,
            cleanup: (!cleanup.is_zero()).then_some(cleanup),
        })
    }
}
