//! The map itself: what a write may do, when an item is gone, how the whole is written down.

use proa_sdk::state::{Concurrency, DeleteRequest, Error, Item, Metadata, Operation, SetRequest, list_keys::Page};
use serde::{Deserialize, Serialize};
use state_core::Like;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[derive(Serialize, Deserialize)]
struct Entry {
    #[serde(with = "hex_bytes")]
    value: Vec<u8>,
    etag: String,
    /// Milliseconds since the epoch.
    expires: Option<u64>,
}

/// Keys to entries.
pub struct Items {
    entries: HashMap<String, Entry>,
    random: u64,
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis() as u64
}

/// Seconds until the item expires; none for no expiry. Zero and negative numbers mean none as well.
fn ttl(metadata: &Metadata) -> Result<Option<u64>, Error> {
    let Some((_, text)) = metadata.iter().find(|(n, _)| n.eq_ignore_ascii_case("ttlInSeconds")) else { return Ok(None) };
    let wrong = || Error::InvalidArgument(format!("incorrect value for metadata 'ttlInSeconds': {text:?} is not a number of seconds"));
    let seconds: i64 = text.parse().map_err(|_| wrong())?;
    Ok((seconds > 0).then_some(seconds as u64))
}

impl Entry {
    fn live(&self, now: u64) -> bool {
        self.expires.is_none_or(|t| t > now)
    }

    fn item(&self) -> Item {
        let metadata = self.expires.and_then(expire_time).map(|t| vec![("ttlExpireTime".to_owned(), t)]).unwrap_or_default();
        Item { value: self.value.clone(), etag: Some(self.etag.clone()), content_type: None, metadata }
    }
}

fn expire_time(millis: u64) -> Option<String> {
    let time = jiff::Timestamp::from_second((millis / 1000) as i64).ok()?;
    Some(time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

impl Items {
    pub fn new() -> Self {
        let seed = uuid::Uuid::new_v4().as_u64_pair();
        Self { entries: HashMap::new(), random: seed.0 ^ seed.1 }
    }

    /// Asking the host for random bytes costs more than the write itself, so versions come from a generator seeded once.
    fn next_etag(&mut self) -> String {
        let mut draw = || {
            self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.random;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        };
        let bytes = (u128::from(draw()) << 64 | u128::from(draw())).to_be_bytes();
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }

    fn live(&self, key: &str) -> Option<&Entry> {
        // The clock is a call to the host: only items that can expire pay for it.
        self.entries.get(key).filter(|e| e.expires.is_none() || e.live(now()))
    }

    pub fn get(&self, key: &str) -> Option<Item> {
        self.live(key).map(Entry::item)
    }

    fn check_version(&self, key: &str, etag: Option<&str>, concurrency: Concurrency) -> Result<(), Error> {
        let etag = etag.filter(|e| !e.is_empty());
        match (etag, self.live(key)) {
            (None, Some(_)) if concurrency == Concurrency::FirstWrite => {
                Err(Error::EtagMismatch("item already exists and no etag was passed".into()))
            }
            (None, _) => Ok(()),
            (Some(_), None) => Err(Error::EtagMismatch(format!("state not exist or expired for key={key}"))),
            (Some(want), Some(entry)) if entry.etag != want => {
                Err(Error::EtagMismatch(format!("state etag not match for key={key}: current={}, expect={want}", entry.etag)))
            }
            _ => Ok(()),
        }
    }

    /// Whether an operation could be carried out now.
    pub fn check(&self, operation: &Operation) -> Result<(), Error> {
        match operation {
            Operation::Set(set) => {
                ttl(&set.metadata)?;
                self.check_version(&set.key, set.etag.as_deref(), set.concurrency)
            }
            Operation::Delete(delete) => self.check_version(&delete.key, delete.etag.as_deref(), Concurrency::Unspecified),
        }
    }

    pub fn put(&mut self, set: SetRequest) -> Result<(), Error> {
        let expires = ttl(&set.metadata)?.map(|s| now() + s * 1000);
        let etag = self.next_etag();
        self.entries.insert(set.key, Entry { value: set.value, etag, expires });
        Ok(())
    }

    pub fn set(&mut self, set: SetRequest) -> Result<(), Error> {
        self.check_version(&set.key, set.etag.as_deref(), set.concurrency)?;
        self.put(set)
    }

    pub fn remove(&mut self, key: &str) {
        self.entries.remove(key);
    }

    pub fn delete(&mut self, delete: &DeleteRequest) -> Result<(), Error> {
        self.check_version(&delete.key, delete.etag.as_deref(), Concurrency::Unspecified)?;
        self.remove(&delete.key);
        Ok(())
    }

    pub fn sweep(&mut self) {
        let now = now();
        self.entries.retain(|_, e| e.live(now));
    }

    /// Keys in order; the token is the last key of the page before.
    pub fn list(&self, pattern: &str, page_size: u32, token: Option<&str>) -> Result<Page, Error> {
        let pattern = parse_like(pattern)?;
        let now = now();
        let mut keys: Vec<&String> =
            self.entries.iter().filter(|(k, e)| e.live(now) && token.is_none_or(|t| k.as_str() > t) && pattern.matches(k)).map(|(k, _)| k).collect();
        keys.sort_unstable();
        let limit = if page_size == 0 { usize::MAX } else { page_size as usize };
        let more = keys.len() > limit;
        keys.truncate(limit);
        let token = if more { keys.last().map(|k| (*k).clone()) } else { None };
        Ok(Page { keys: keys.into_iter().cloned().collect(), token })
    }

    pub fn delete_prefix(&mut self, prefix: &str) -> u64 {
        let prefix = if prefix.ends_with("||") { prefix.to_owned() } else { format!("{prefix}||") };
        let before = self.entries.len();
        self.entries.retain(|k, _| k.strip_prefix(&prefix).is_none_or(|rest| rest.contains("||")));
        (before - self.entries.len()) as u64
    }

    pub fn save(&self) -> Result<Vec<u8>, String> {
        let ordered: BTreeMap<_, _> = self.entries.iter().collect();
        serde_json::to_vec(&ordered).map_err(|e| e.to_string())
    }

    pub fn load(&mut self, data: &[u8]) -> Result<(), String> {
        self.entries = serde_json::from_slice(data).map_err(|e| format!("not a snapshot of this component: {e}"))?;
        Ok(())
    }
}

fn parse_like(pattern: &str) -> Result<Like, Error> {
    if pattern.is_empty() {
        return Err(Error::InvalidArgument("the pattern is empty".into()));
    }
    if Like::is_unfinished(pattern) {
        return Err(Error::InvalidArgument("the pattern ends in an escape".into()));
    }
    Ok(Like::parse(pattern))
}

/// Values as hexadecimal text: JSON has no bytes, and a snapshot is written once a swap.
mod hex_bytes {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::fmt::Write;

    pub fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(bytes.len() * 2);
        for b in bytes {
            // Writing into a String cannot fail.
            let _ = write!(text, "{b:02x}");
        }
        s.serialize_str(&text)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(d)?;
        let digit = |b: u8| (b as char).to_digit(16).map(|v| v as u8);
        text.as_bytes()
            .chunks(2)
            .map(|pair| match pair {
                [a, b] => Some(digit(*a)? << 4 | digit(*b)?),
                _ => None,
            })
            .collect::<Option<Vec<u8>>>()
            .ok_or_else(|| D::Error::custom("malformed value"))
    }
}
