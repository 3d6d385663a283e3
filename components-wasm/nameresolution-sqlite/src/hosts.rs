//! The table of the sidecars. A row counts for `updateInterval` after it was renewed, by the database's clock in whole seconds.
//! Every request ends within `timeout`.

use crate::settings::Settings;
use proa_sdk::InitError;
use proa_sdk::sqlite::{self, Connection, Outcome, Statement, Value, statement};
use sqlite_core::settings::Common;
use sqlite_core::text;
use std::time::Duration;

/// Schema steps; the row `nr-migrations` of the metadata table counts how many were taken.
const SCHEMA: i64 = 1;
/// A cleanup may take its time.
const LONG: Duration = Duration::from_secs(600);

pub struct Hosts {
    connection: Connection,
    table: String,
    metadata_table: String,
    timeout: Duration,
    update: u64,
}

/// Why a request failed.
#[derive(Debug)]
pub enum Failure {
    /// The file is locked for too long, or the answer took too long.
    Busy(String),
    Other(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Busy(text) | Self::Other(text)) = self;
        f.write_str(text)
    }
}

fn words(value: &str) -> Value {
    Value::Text(value.to_owned())
}

impl Hosts {
    pub async fn open(settings: &Settings) -> Result<Self, InitError> {
        let Common { location, timeout, busy_timeout, wal } = &settings.common;
        let hosts = Self {
            connection: sqlite_core::connect(location, *wal, *busy_timeout, *timeout).await?,
            table: settings.table.clone(),
            metadata_table: settings.metadata_table.clone(),
            timeout: *timeout,
            update: settings.update.as_secs(),
        };
        hosts.migrate().await.map_err(|e| InitError::Other(format!("failed to perform migrations: {e}")))?;
        Ok(hosts)
    }

    async fn migrate(&self) -> Result<(), String> {
        let (table, metadata) = (&self.table, &self.metadata_table);
        let plain = |sql: String| statement(sql, Vec::new());
        let meta = plain(format!("CREATE TABLE IF NOT EXISTS {metadata} (key text NOT NULL PRIMARY KEY, value text NOT NULL)"));
        self.connection.execute(vec![meta]).await.map_err(|e| text(&e))?;
        let level = plain(format!("SELECT value FROM {metadata} WHERE key = 'nr-migrations'"));
        let found = self.connection.query(vec![level]).await.map_err(|e| text(&e))?;
        if first(&found).map_or(Ok(0), level_of)? >= SCHEMA {
            return Ok(());
        }
        // All of it tolerates a sidecar that does the same at this moment.
        let statements = vec![
            plain(format!(
                "CREATE TABLE IF NOT EXISTS {table} (
                    registration_id TEXT NOT NULL PRIMARY KEY,
                    address TEXT NOT NULL,
                    app_id TEXT NOT NULL,
                    namespace TEXT NOT NULL,
                    last_update INTEGER NOT NULL
                )"
            )),
            plain(format!("CREATE UNIQUE INDEX IF NOT EXISTS {table}_address_idx ON {table} (address)")),
            plain(format!("CREATE INDEX IF NOT EXISTS {table}_last_update_idx ON {table} (last_update)")),
            statement(format!("REPLACE INTO {metadata} (key, value) VALUES ('nr-migrations', ?)"), vec![words(&SCHEMA.to_string())]),
        ];
        self.connection.execute(statements).await.map_err(|e| text(&e))?;
        proa_sdk::log::info(format!("created hosts table '{table}' where it was missing"));
        Ok(())
    }

    async fn limited<T>(&self, limit: Duration, request: impl Future<Output = Result<T, sqlite::Error>>) -> Result<T, Failure> {
        let late = || Failure::Busy("context deadline exceeded".into());
        proa_sdk::time::timeout(limit, request).await.ok_or_else(late)?.map_err(|e| match e {
            sqlite::Error::Busy(t) => Failure::Busy(t),
            other => Failure::Other(text(&other)),
        })
    }

    async fn change(&self, limit: Duration, one: Statement) -> Result<u64, Failure> {
        let outcomes = self.limited(limit, self.connection.execute(vec![one])).await?;
        Ok(outcomes.first().map_or(0, |o| o.changes))
    }

    /// Writes a row, in the place of any other with this address.
    pub async fn register(&self, id: &str, address: &str, app_id: &str) -> Result<(), Failure> {
        let sql = format!(
            "REPLACE INTO {} (registration_id, address, app_id, namespace, last_update) VALUES (?, ?, ?, '', unixepoch(CURRENT_TIMESTAMP))",
            self.table
        );
        self.change(self.timeout, statement(sql, vec![words(id), words(address), words(app_id)])).await.map(drop)
    }

    /// Lets the row count from now on again. False: it is not there any more.
    pub async fn renew(&self, id: &str, address: &str) -> Result<bool, Failure> {
        let sql = format!("UPDATE {} SET last_update = unixepoch(CURRENT_TIMESTAMP) WHERE registration_id = ? AND address = ?", self.table);
        Ok(self.change(self.timeout, statement(sql, vec![words(id), words(address)])).await? > 0)
    }

    /// False: the row was not there.
    pub async fn deregister(&self, id: &str, address: &str) -> Result<bool, Failure> {
        let sql = format!("DELETE FROM {} WHERE registration_id = ? AND address = ?", self.table);
        Ok(self.change(self.timeout, statement(sql, vec![words(id), words(address)])).await? > 0)
    }

    /// The addresses of an application.
    pub async fn find(&self, app_id: &str) -> Result<Vec<String>, Failure> {
        let sql = format!(
            "SELECT address FROM {} WHERE app_id = ? AND unixepoch(CURRENT_TIMESTAMP) - last_update < {} ORDER BY RANDOM() LIMIT 256",
            self.table, self.update
        );
        let outcomes = self.limited(self.timeout, self.connection.query(vec![statement(sql, vec![words(app_id)])])).await?;
        let rows = outcomes.into_iter().flat_map(|o| o.rows);
        Ok(rows.filter_map(|row| if let Some(Value::Text(address)) = row.into_iter().next() { Some(address) } else { None }).collect())
    }

    /// Deletes rows that do not count any more, unless some sidecar did within `interval`.
    pub async fn clean_up(&self, interval: Duration) -> Result<Option<u64>, String> {
        // A little less than the interval, so that a timer that is early by a hair still counts.
        let age = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX).saturating_sub(100);
        let mark = format!(
            "INSERT INTO {} (key, value) VALUES ('nr-last-cleanup', CURRENT_TIMESTAMP)
             ON CONFLICT (key) DO UPDATE SET value = CURRENT_TIMESTAMP
             WHERE (unixepoch(CURRENT_TIMESTAMP) - unixepoch(value)) * 1000 > ?",
            self.metadata_table
        );
        let marked = self.change(LONG, statement(mark, vec![Value::Integer(age)])).await;
        if marked.map_err(|e| format!("failed to read last cleanup time from database: {e}"))? == 0 {
            return Ok(None);
        }
        let old = format!("DELETE FROM {} WHERE unixepoch(CURRENT_TIMESTAMP) - last_update >= {}", self.table, self.update);
        self.change(LONG, statement(old, Vec::new())).await.map(Some).map_err(|e| format!("failed to execute query: {e}"))
    }
}

fn first(outcomes: &[Outcome]) -> Option<&Value> {
    outcomes.first()?.rows.first()?.first()
}

fn level_of(value: &Value) -> Result<i64, String> {
    let level = match value {
        Value::Integer(n) => Some(*n),
        Value::Text(t) => t.parse().ok(),
        _ => None,
    };
    level.filter(|n| *n >= 0).ok_or_else(|| format!("invalid migration level found in metadata table: {value:?}"))
}
