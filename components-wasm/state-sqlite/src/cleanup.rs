//! Deletes expired rows now and then. The row `last-cleanup` of the metadata table keeps several sidecars on one file from doing it
//! more often than once an interval. Failures are logged and tried again an interval later.

use crate::database::Database;
use proa_sdk::sqlite::{Value, statement};
use std::{rc::Rc, time::Duration};

/// Runs until the component is closed.
pub fn start(database: &Rc<Database>, table: String, metadata: String, interval: Duration) {
    let weak = Rc::downgrade(database);
    proa_sdk::log::info(format!("expired rows are deleted every {interval:?}"));
    proa_sdk::spawn(async move {
        loop {
            proa_sdk::time::sleep(interval).await;
            let Some(database) = weak.upgrade() else { return };
            match once(&database, &table, &metadata, interval).await {
                Ok(Some(rows)) => proa_sdk::log::info(format!("removed {rows} expired rows")),
                Ok(None) => proa_sdk::log::debug("the last cleanup was too recent"),
                Err(why) => proa_sdk::log::error(format!("error removing expired data: {why}")),
            }
        }
    });
}

async fn once(database: &Database, table: &str, metadata: &str, interval: Duration) -> Result<Option<u64>, String> {
    // A little less than the interval, so that a timer that is early by a hair still counts.
    let age = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX).saturating_sub(100);
    let mark = statement(
        format!(
            "INSERT INTO {metadata} (key, value) VALUES ('last-cleanup', CURRENT_TIMESTAMP)
             ON CONFLICT (key) DO UPDATE SET value = CURRENT_TIMESTAMP
             WHERE (unixepoch(CURRENT_TIMESTAMP) - unixepoch(value)) * 1000 > ?"
        ),
        vec![Value::Integer(age)],
    );
    let marked = database.execute_slowly(mark).await.map_err(|e| format!("failed to read last cleanup time from database: {e}"))?;
    if marked == 0 {
        return Ok(None);
    }
    let delete = format!("DELETE FROM {table} WHERE expiration_time IS NOT NULL AND expiration_time < CURRENT_TIMESTAMP");
    database.execute_slowly(statement(delete, Vec::new())).await.map(Some).map_err(|e| format!("failed to execute query: {e}"))
}
