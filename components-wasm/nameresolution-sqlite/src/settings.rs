//! The component's configuration, read and checked. The wording of the errors is the one that users know from Dapr.

use proa_sdk::{InitError, Properties};
use sqlite_core::settings::{Common, duration, is_identifier};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(1);
const BUSY_TIMEOUT: Duration = Duration::from_millis(800);
const UPDATE: Duration = Duration::from_secs(5);
const CLEANUP: Duration = Duration::from_secs(3600);

pub struct Settings {
    pub common: Common,
    pub table: String,
    pub metadata_table: String,
    /// Whole seconds.
    pub update: Duration,
    /// None: rows that no longer count stay.
    pub cleanup: Option<Duration>,
}

impl Settings {
    pub fn read(properties: &Properties) -> Result<Self, InitError> {
        let wrong = |text: String| Err(InitError::Other(text));
        let common = Common::read(properties, TIMEOUT, BUSY_TIMEOUT)?;
        let table = properties.get("tableName").unwrap_or("hosts").to_owned();
        if !is_identifier(&table) {
            return wrong(format!("invalid identifier for table name: {table}"));
        }
        let metadata_table = properties.get("metadataTableName").unwrap_or("metadata").to_owned();
        if !is_identifier(&metadata_table) {
            return wrong(format!("invalid identifier for metadata table name: {metadata_table}"));
        }
        let update = duration(properties, &["updateInterval"], UPDATE)?;
        if update.subsec_nanos() != 0 {
            return wrong("update interval must not contain fractions of seconds".into());
        }
        if update < common.timeout + Duration::from_secs(1) {
            return wrong("update interval must be at least 1s greater than timeout".into());
        }
        let cleanup = duration(properties, &["cleanupInterval", "cleanupIntervalInSeconds"], CLEANUP)?;
        Ok(Self { common, table, metadata_table, update, cleanup: (!cleanup.is_zero()).then_some(cleanup) })
    }

    /// How often the row is renewed: so that a renewal that takes all of its time is still in time.
    pub fn renewal(&self) -> Duration {
        self.update.saturating_sub(self.common.timeout)
    }
}
