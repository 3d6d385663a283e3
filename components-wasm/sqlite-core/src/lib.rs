//! What the components over SQLite share: connection strings, the metadata that all of them have, opening a database.

mod location;
pub mod settings;

pub use location::Location;

use proa_sdk::InitError;
use proa_sdk::sqlite::{self, Connection, Options, statement};
use std::time::Duration;

/// The text of a failure of the database.
pub fn text(error: &sqlite::Error) -> String {
    match error {
        sqlite::Error::UnexpectedChanges(index) => format!("statement {index} changed an unexpected number of rows"),
        sqlite::Error::Denied(t) | sqlite::Error::Busy(t) | sqlite::Error::Constraint(t) | sqlite::Error::Other(t) => t.clone(),
    }
}

/// Opens the database within `timeout`, and runs the pragmas of the connection string.
pub async fn connect(location: &Location, wal: bool, busy_timeout: Duration, timeout: Duration) -> Result<Connection, InitError> {
    let failed = |e: sqlite::Error| match e {
        sqlite::Error::Denied(t) => InitError::Property(("connectionString".into(), t)),
        other => InitError::Unavailable(format!("failed to ping: {}", text(&other))),
    };
    let busy_timeout_ms = u32::try_from(busy_timeout.as_millis()).unwrap_or(u32::MAX);
    let options = Options { read_only: location.read_only, wal, busy_timeout_ms };
    let opened = proa_sdk::time::timeout(timeout, Connection::open(location.path.clone(), options)).await;
    let connection = opened.ok_or_else(|| InitError::Unavailable("failed to ping: context deadline exceeded".into()))?.map_err(failed)?;
    for pragma in &location.pragmas {
        connection.execute_plain(statement(format!("PRAGMA {pragma}"), Vec::new())).await.map_err(failed)?;
    }
    Ok(connection)
}
