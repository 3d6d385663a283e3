//! From requests to statements and from rows to items. Values are stored as Dapr stores them: JSON as text, bytes as base64.

use base64::{Engine, engine::general_purpose::STANDARD};
use proa_sdk::sqlite::{Statement, Value, statement};
use proa_sdk::state::{Concurrency, DeleteRequest, Encoding, Error, GetRequest, Item, Metadata, SetRequest};

const LIVE: &str = "(expiration_time IS NULL OR expiration_time > CURRENT_TIMESTAMP)";
/// The moment at which an item expires: a number of seconds from now, or never for NULL.
const EXPIRES: &str = "DATETIME(CURRENT_TIMESTAMP, ?)";
/// SQLite's own limit of parameters in one statement is 32 766.
const KEYS_AT_ONCE: usize = 1000;

fn text(value: impl Into<String>) -> Value {
    Value::Text(value.into())
}

/// Parameter of `EXPIRES`.
fn expiration(metadata: &Metadata) -> Result<Value, Error> {
    let Some((_, value)) = metadata.iter().find(|(n, v)| n == "ttlInSeconds" && !v.is_empty()) else { return Ok(Value::Null) };
    let wrong = |why: String| Error::InvalidArgument(format!("error parsing TTL: incorrect value for metadata 'ttlInSeconds': {why}"));
    let seconds: i64 = value.parse().map_err(|e: std::num::ParseIntError| {
        let overflow = matches!(e.kind(), std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow);
        wrong(format!("strconv.ParseInt: parsing {value:?}: {}", if overflow { "value out of range" } else { "invalid syntax" }))
    })?;
    match seconds {
        s if s < -1 || s > i32::MAX.into() => Err(wrong("must be -1 or greater".into())),
        s if s > 0 => Ok(text(format!("+{s} seconds"))),
        _ => Ok(Value::Null),
    }
}

fn encode(set: &SetRequest) -> Result<(String, bool), Error> {
    match set.encoding {
        Encoding::Bytes => Ok((STANDARD.encode(&set.value), true)),
        Encoding::Json => {
            let json = std::str::from_utf8(&set.value).map_err(|e| Error::InvalidArgument(format!("the value is no JSON text: {e}")))?;
            Ok((json.to_owned(), false))
        }
    }
}

fn wanted(etag: &Option<String>) -> Option<&String> {
    etag.as_ref().filter(|e| !e.is_empty())
}

pub fn set(table: &str, set: &SetRequest) -> Result<Statement, Error> {
    if set.key.is_empty() {
        return Err(Error::InvalidArgument("missing key in set option".into()));
    }
    let expiration = expiration(&set.metadata)?;
    let (value, binary) = encode(set)?;
    let (value, binary, etag) = (text(value), Value::Integer(binary.into()), text(uuid::Uuid::new_v4().to_string()));
    let columns = "(key, value, is_binary, etag, expiration_time, update_time)";
    let row = format!("?, ?, ?, ?, {EXPIRES}, CURRENT_TIMESTAMP");
    let key = || text(set.key.clone());
    Ok(match (wanted(&set.etag), set.concurrency) {
        (Some(old), _) => Statement {
            sql: format!(
                "UPDATE {table} SET value = ?, is_binary = ?, etag = ?, expiration_time = {EXPIRES}, update_time = CURRENT_TIMESTAMP
                 WHERE key = ? AND etag = ? AND {LIVE}"
            ),
            parameters: vec![value, binary, etag, expiration, key(), text(old.clone())],
            require_changes: Some(1),
        },
        // A row that has expired and was not deleted yet counts as absent.
        (None, Concurrency::FirstWrite) => Statement {
            sql: format!("INSERT OR REPLACE INTO {table} {columns} SELECT {row} WHERE NOT EXISTS (SELECT 1 FROM {table} WHERE key = ? AND {LIVE})"),
            parameters: vec![key(), value, binary, etag, expiration, key()],
            require_changes: Some(1),
        },
        (None, _) => statement(format!("INSERT OR REPLACE INTO {table} {columns} VALUES ({row})"), vec![key(), value, binary, etag, expiration]),
    })
}

pub fn delete(table: &str, delete: &DeleteRequest) -> Result<Statement, Error> {
    if delete.key.is_empty() {
        return Err(Error::InvalidArgument("missing key in delete operation".into()));
    }
    let key = text(delete.key.clone());
    Ok(match wanted(&delete.etag) {
        Some(etag) => Statement {
            sql: format!("DELETE FROM {table} WHERE key = ? AND etag = ?"),
            parameters: vec![key, text(etag.clone())],
            require_changes: Some(1),
        },
        None => statement(format!("DELETE FROM {table} WHERE key = ?"), vec![key]),
    })
}

/// One SELECT a thousand keys, so that a bulk read costs one request.
pub fn select(table: &str, requests: &[GetRequest]) -> Vec<Statement> {
    let one = |keys: &[GetRequest]| {
        let marks = vec!["?"; keys.len()].join(",");
        statement(
            format!(
                "SELECT key, value, is_binary, etag, strftime('%Y-%m-%dT%H:%M:%SZ', expiration_time) FROM {table}
                 WHERE key IN ({marks}) AND {LIVE}"
            ),
            keys.iter().map(|r| text(r.key.clone())).collect(),
        )
    };
    requests.chunks(KEYS_AT_ONCE).map(one).collect()
}

fn owned_text(value: Value) -> Option<String> {
    match value {
        Value::Text(t) => Some(t),
        Value::Blob(b) => String::from_utf8(b).ok(),
        Value::Integer(n) => Some(n.to_string()),
        Value::Real(n) => Some(n.to_string()),
        Value::Null => None,
    }
}

/// The key and the item of one row of `select`.
pub fn item(row: Vec<Value>) -> Option<(String, Result<Item, Error>)> {
    let [key, value, binary, etag, expires]: [Value; 5] = row.try_into().ok()?;
    let bytes = match value {
        Value::Blob(b) => b,
        other => owned_text(other).unwrap_or_default().into_bytes(),
    };
    let binary = match binary {
        Value::Integer(n) => n != 0,
        Value::Text(t) => matches!(t.as_str(), "1" | "true" | "TRUE"),
        _ => false,
    };
    let value = if binary { STANDARD.decode(&bytes).map_err(|e| Error::Other(format!("failed to decode binary data: {e}"))) } else { Ok(bytes) };
    let metadata = owned_text(expires).map(|t| vec![("ttlExpireTime".to_owned(), t)]).unwrap_or_default();
    let etag = owned_text(etag);
    Some((owned_text(key)?, value.map(|value| Item { value, etag, content_type: None, metadata })))
}

pub fn keys_like(table: &str, pattern: String, page_size: u32, token: Option<&str>) -> Result<Statement, Error> {
    if pattern.is_empty() {
        return Err(Error::InvalidArgument("keys like pattern cannot be empty".into()));
    }
    let mut sql = format!("SELECT key, rowid FROM {table} WHERE key LIKE ? ESCAPE '\\' AND {LIVE}");
    let mut parameters = vec![Value::Text(pattern)];
    if let Some(token) = token {
        let after = token.parse().map_err(|_| Error::InvalidArgument(format!("{token:?} is no continuation token of this store")))?;
        sql.push_str(" AND rowid > ?");
        parameters.push(Value::Integer(after));
    }
    sql.push_str(" ORDER BY rowid ASC");
    if page_size > 0 {
        sql.push_str(" LIMIT ?");
        parameters.push(Value::Integer(page_size.into()));
    }
    Ok(statement(sql, parameters))
}
