//! The open database. The host reads and writes side by side on one connection and gathers writes that wait; here is only the limit of
//! time that every request has. A write past it may still take effect. Opening creates missing tables and records the schema's version.

use crate::settings::Settings;
use proa_sdk::InitError;
use proa_sdk::sqlite::{self, Connection, Outcome, Statement, Value, statement};
use proa_sdk::state::Error;
use sqlite_core::settings::Common;
use sqlite_core::text;
use std::time::Duration;

/// Schema steps; the row `migrations` of the metadata table counts how many were taken.
const SCHEMA: i64 = 1;

pub struct Database {
    connection: Connection,
    timeout: Duration,
}

fn failure(error: sqlite::Error) -> Error {
    match error {
        // Only statements that carry an etag have a condition. Dapr gives no cause either.
        sqlite::Error::UnexpectedChanges(_) => Error::EtagMismatch(String::new()),
        sqlite::Error::Busy(t) => Error::Unavailable(t),
        other => Error::Other(text(&other)),
    }
}

impl Database {
    pub async fn open(settings: &Settings) -> Result<Self, InitError> {
        let Common { location, timeout, busy_timeout, wal } = &settings.common;
        let database = Self { connection: sqlite_core::connect(location, *wal, *busy_timeout, *timeout).await?, timeout: *timeout };
        let migrated = database.migrate(&settings.table, &settings.metadata_table).await;
        migrated.map_err(|e| InitError::Other(format!("failed to perform migrations: {e}")))?;
        Ok(database)
    }

    async fn migrate(&self, table: &str, metadata: &str) -> Result<(), String> {
        let level = self.level(metadata).await?;
        if level >= SCHEMA {
            return Ok(());
        }
        // All of it tolerates a sidecar that does the same at this moment, and tables from before versions were recorded.
        let statements = vec![
            statement(format!("CREATE TABLE IF NOT EXISTS {metadata} (key text NOT NULL PRIMARY KEY, value text NOT NULL)"), Vec::new()),
            statement(
                format!(
                    "CREATE TABLE IF NOT EXISTS {table} (
                        key TEXT NOT NULL PRIMARY KEY,
                        value TEXT NOT NULL,
                        is_binary BOOLEAN NOT NULL,
                        etag TEXT NOT NULL,
                        expiration_time TIMESTAMP DEFAULT NULL,
                        update_time TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
                    )"
                ),
                Vec::new(),
            ),
            statement(format!("REPLACE INTO {metadata} (key, value) VALUES ('migrations', ?)"), vec![Value::Text(SCHEMA.to_string())]),
        ];
        self.connection.execute(statements).await.map_err(|e| text(&e))?;
        proa_sdk::log::info(format!("created the tables '{table}' and '{metadata}' where they were missing"));
        Ok(())
    }

    async fn level(&self, metadata: &str) -> Result<i64, String> {
        let exists = statement("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", vec![Value::Text(metadata.to_owned())]);
        let found = self.connection.query(vec![exists]).await.map_err(|e| text(&e))?;
        if found.first().is_none_or(|o| o.rows.is_empty()) {
            return Ok(0);
        }
        let select = statement(format!("SELECT value FROM {metadata} WHERE key = 'migrations'"), Vec::new());
        let outcome = self.connection.query(vec![select]).await.map_err(|e| text(&e))?;
        match outcome.first().and_then(|o| o.rows.first()).and_then(|r| r.first()) {
            None => Ok(0),
            Some(Value::Integer(n)) if *n >= 0 => Ok(*n),
            Some(Value::Text(t)) => match t.parse() {
                Ok(n) if n >= 0 => Ok(n),
                _ => Err(format!("invalid migration level found in metadata table: {t}")),
            },
            Some(other) => Err(format!("invalid migration level found in metadata table: {other:?}")),
        }
    }

    async fn limited<T>(&self, request: impl Future<Output = Result<T, sqlite::Error>>) -> Result<T, Error> {
        let answer = proa_sdk::time::timeout(self.timeout, request).await;
        answer.ok_or_else(|| Error::Unavailable("context deadline exceeded".into()))?.map_err(failure)
    }

    /// Statements that see one consistent state.
    pub async fn query(&self, statements: Vec<Statement>) -> Result<Vec<Outcome>, Error> {
        self.limited(self.connection.query(statements)).await
    }

    /// Statements that all take effect or none.
    pub async fn execute(&self, statements: Vec<Statement>) -> Result<Vec<Outcome>, Error> {
        self.limited(self.connection.execute(statements)).await
    }

    /// Like `execute`, for work in the background that may take its time.
    pub async fn execute_slowly(&self, one: Statement) -> Result<u64, String> {
        let answer = proa_sdk::time::timeout(Duration::from_secs(600), self.connection.execute(vec![one])).await;
        let outcomes = answer.ok_or("context deadline exceeded")?.map_err(|e| text(&e))?;
        Ok(outcomes.first().map_or(0, |o| o.changes))
    }
}
