//! What the JSON gateway of etcd's v3 API is told and what it answers: bytes in base64, 64 bit numbers as texts, zero values left out.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;

/// Bytes to send.
#[derive(Clone)]
pub struct Bytes<'a>(pub Cow<'a, [u8]>);

impl<'a> From<&'a str> for Bytes<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text.as_bytes()))
    }
}

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&STANDARD.encode(&self.0))
    }
}

fn bytes<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
    let text = Cow::<str>::deserialize(d)?;
    STANDARD.decode(text.as_bytes()).map_err(de::Error::custom)
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Plain(i64),
    Text(String),
}

fn number<'de, D: Deserializer<'de>>(d: D) -> Result<i64, D::Error> {
    match Number::deserialize(d)? {
        Number::Plain(n) => Ok(n),
        Number::Text(text) => text.parse().map_err(de::Error::custom),
    }
}

/// `/v3/kv/range`
#[derive(Serialize, Default)]
pub struct Range<'a> {
    pub key: Option<Bytes<'a>>,
    /// One past the last key; only `key` itself without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range_end: Option<Bytes<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub keys_only: bool,
}

impl<'a> Range<'a> {
    pub fn one(key: &'a str) -> Self {
        Self { key: Some(key.into()), ..Self::default() }
    }
}

/// `/v3/kv/put`
#[derive(Serialize)]
pub struct Put<'a> {
    pub key: Bytes<'a>,
    pub value: Bytes<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease: Option<String>,
}

/// `/v3/kv/deleterange`
#[derive(Serialize)]
pub struct Delete<'a> {
    pub key: Bytes<'a>,
}

/// A condition of a transaction.
#[derive(Serialize)]
pub struct Compare<'a> {
    pub key: Bytes<'a>,
    pub result: &'static str,
    #[serde(flatten)]
    pub target: Revision,
}

/// Which of a key's revisions is compared with what; that of a key that is not there is 0.
#[derive(Serialize)]
#[serde(tag = "target")]
pub enum Revision {
    #[serde(rename = "MOD")]
    Modified { mod_revision: String },
    #[serde(rename = "CREATE")]
    Created { create_revision: String },
}

#[derive(Serialize)]
pub enum Op<'a> {
    #[serde(rename = "request_range")]
    Range(Range<'a>),
    #[serde(rename = "request_put")]
    Put(Put<'a>),
    #[serde(rename = "request_delete_range")]
    DeleteRange(Delete<'a>),
}

/// `/v3/kv/txn`
#[derive(Serialize, Default)]
pub struct Txn<'a> {
    pub compare: Vec<Compare<'a>>,
    pub success: Vec<Op<'a>>,
    pub failure: Vec<Op<'a>>,
}

/// `/v3/lease/grant`
#[derive(Serialize)]
pub struct Grant {
    #[serde(rename = "TTL")]
    pub ttl: String,
}

/// `/v3/lease/revoke`
#[derive(Serialize)]
pub struct Revoke<'a> {
    #[serde(rename = "ID")]
    pub id: &'a str,
}

#[derive(Deserialize)]
pub struct Granted {
    #[serde(rename = "ID", deserialize_with = "number")]
    pub id: i64,
}

#[derive(Deserialize, Default)]
pub struct Found {
    #[serde(default)]
    pub kvs: Vec<Pair>,
    #[serde(default)]
    pub more: bool,
}

#[derive(Deserialize)]
pub struct Pair {
    #[serde(default, deserialize_with = "bytes")]
    pub key: Vec<u8>,
    #[serde(default, deserialize_with = "bytes")]
    pub value: Vec<u8>,
    #[serde(default, alias = "modRevision", deserialize_with = "number")]
    pub mod_revision: i64,
}

#[derive(Deserialize)]
pub struct Outcome {
    #[serde(default)]
    pub succeeded: bool,
    #[serde(default)]
    pub responses: Vec<Response>,
}

/// Answer to one operation of a transaction; those that found or changed something of another kind are of no interest.
#[derive(Deserialize)]
pub struct Response {
    #[serde(default, alias = "responseRange")]
    pub response_range: Option<Found>,
}

/// An answer nothing is read from.
#[derive(Deserialize)]
pub struct Done {}

#[derive(Deserialize)]
pub struct Refusal {
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    pub error: String,
    /// Of gRPC.
    #[serde(default)]
    pub code: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks() {
        let txn = Txn {
            compare: vec![Compare { key: "a".into(), result: "EQUAL", target: Revision::Modified { mod_revision: "7".into() } }],
            success: vec![Op::Put(Put { key: "a".into(), value: "b".into(), lease: None })],
            failure: vec![Op::Range(Range::one("a"))],
        };
        let want = r#"{"compare":[{"key":"YQ==","result":"EQUAL","target":"MOD","mod_revision":"7"}],"success":[{"request_put":{"key":"YQ==","value":"Yg=="}}],"failure":[{"request_range":{"key":"YQ=="}}]}"#;
        assert_eq!(serde_json::to_string(&txn).unwrap(), want);
    }

    #[test]
    fn understands() {
        let found: Found = serde_json::from_str(r#"{"header":{"revision":"9"},"kvs":[{"key":"YQ==","mod_revision":"7"}],"count":"1"}"#).unwrap();
        assert_eq!((found.kvs[0].key.as_slice(), found.kvs[0].mod_revision, found.kvs[0].value.len()), (&b"a"[..], 7, 0));
        let found: Found = serde_json::from_str("{}").unwrap();
        assert!(found.kvs.is_empty() && !found.more);
    }
}
