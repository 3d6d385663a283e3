//! SQLite on the host: see `wit/host/host.wit`.

pub use crate::wit::host_sqlite::proa::host::sqlite::*;

/// A statement without a condition on its count of changed rows.
pub fn statement(sql: impl Into<String>, parameters: Vec<Value>) -> Statement {
    Statement { sql: sql.into(), parameters, require_changes: None }
}
