//! What survives a replacement when the database lives in memory: all rows, as JSON. A database file needs none of this.

use proa_sdk::sqlite::{Outcome, Statement, Value, statement};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

impl From<Value> for Cell {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Integer(n) => Self::Integer(n),
            Value::Real(n) => Self::Real(n),
            Value::Text(t) => Self::Text(t),
            Value::Blob(b) => Self::Blob(b),
        }
    }
}

impl From<Cell> for Value {
    fn from(cell: Cell) -> Self {
        match cell {
            Cell::Null => Self::Null,
            Cell::Integer(n) => Self::Integer(n),
            Cell::Real(n) => Self::Real(n),
            Cell::Text(t) => Self::Text(t),
            Cell::Blob(b) => Self::Blob(b),
        }
    }
}

const COLUMNS: &str = "key, value, is_binary, etag, expiration_time, update_time";

pub fn select(table: &str) -> Statement {
    statement(format!("SELECT {COLUMNS} FROM {table}"), Vec::new())
}

pub fn write(outcome: Outcome) -> Result<Vec<u8>, String> {
    let rows: Vec<Vec<Cell>> = outcome.rows.into_iter().map(|row| row.into_iter().map(Cell::from).collect()).collect();
    serde_json::to_vec(&rows).map_err(|e| e.to_string())
}

/// The statements that bring the rows back.
pub fn read(table: &str, data: &[u8]) -> Result<Vec<Statement>, String> {
    let rows: Vec<Vec<Cell>> = serde_json::from_slice(data).map_err(|e| format!("not a snapshot of this component: {e}"))?;
    let insert = |row: Vec<Cell>| {
        let parameters = row.into_iter().map(Value::from).collect();
        statement(format!("INSERT OR REPLACE INTO {table} ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)"), parameters)
    };
    Ok(rows.into_iter().map(insert).collect())
}
