//! Entries of a stream: the field `data` is the message, the field `metadata` its metadata as a JSON object of strings.

use proa_sdk::pubsub::Metadata;
use redis_core::Value;
use std::collections::BTreeMap;

/// One entry that was read and not handed out yet.
pub struct Stored {
    pub id: String,
    pub data: Vec<u8>,
    pub metadata: Metadata,
    /// How often it was handed out before.
    pub redeliveries: u32,
}

/// The metadata field of an entry; none when there is nothing to keep.
pub fn encode_metadata(metadata: &Metadata) -> Option<Vec<u8>> {
    if metadata.is_empty() {
        return None;
    }
    let ordered: BTreeMap<&str, &str> = metadata.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    serde_json::to_vec(&ordered).ok()
}

fn decode_metadata(id: &str, bytes: &[u8]) -> Metadata {
    match serde_json::from_slice::<BTreeMap<String, String>>(bytes) {
        Ok(map) => map.into_iter().collect(),
        Err(error) => {
            proa_sdk::log::warn(format!("redis streams: the metadata of entry {id} cannot be read: {error}"));
            Metadata::new()
        }
    }
}

/// What became of a listed entry.
pub enum Read {
    Entry(Stored),
    /// Deleted from the stream while it was pending.
    Gone(String),
}

/// One `[id, [field, value, …]]`.
pub fn read(entry: Value) -> Option<Read> {
    let mut parts = entry.into_array()?.into_iter();
    let id = parts.next()?.into_text()?;
    let Some(fields) = parts.next().and_then(Value::into_array) else { return Some(Read::Gone(id)) };
    let (mut data, mut metadata) = (Vec::new(), Metadata::new());
    let mut fields = fields.into_iter();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        match &name {
            Value::Bulk(n) if n == b"data" => data = value.into_bytes().unwrap_or_default(),
            Value::Bulk(n) if n == b"metadata" => metadata = decode_metadata(&id, &value.into_bytes().unwrap_or_default()),
            _ => {}
        }
    }
    Some(Read::Entry(Stored { id, data, metadata, redeliveries: 0 }))
}

/// The stream's own id behind a message id, which has a suffix from the second hand-out on.
pub fn entry_id(message_id: &str) -> Option<&str> {
    let id = message_id.split('#').next()?;
    let (time, sequence) = id.split_once('-')?;
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    (digits(time) && digits(sequence)).then_some(id)
}

/// A message id: unique also among several hand-outs of one entry.
pub fn message_id(id: &str, redeliveries: u32) -> String {
    if redeliveries == 0 { id.to_owned() } else { format!("{id}#{redeliveries}") }
}

/// The id right after `id`, to continue a listing.
pub fn successor(id: &str) -> Option<String> {
    let (time, sequence) = id.split_once('-')?;
    let sequence: u64 = sequence.parse().ok()?;
    Some(match sequence.checked_add(1) {
        Some(next) => format!("{time}-{next}"),
        None => format!("{}-0", time.parse::<u64>().ok()?.checked_add(1)?),
    })
}
