//! A map from label values to series that is read without allocating.
//!
//! A hit costs one keyed hash and a shared lock on one of sixteen shards. Entries are never removed: their number
//! is bounded by the series limit of the registry. Hashing is keyed per process, so label values taken from
//! requests cannot be chosen to collide.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::{PoisonError, RwLock};

const SHARDS: usize = 16;

/// The key is already a hash.
#[derive(Default)]
struct Verbatim(u64);

impl Hasher for Verbatim {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

struct Entry<V> {
    id: u32,
    values: Box<[Box<str>]>,
    series: V,
}

impl<V> Entry<V> {
    fn is(&self, id: u32, values: &[&str]) -> bool {
        self.id == id && self.values.len() == values.len() && self.values.iter().zip(values).all(|(a, b)| **a == **b)
    }
}

type Shard<V> = HashMap<u64, Vec<Entry<V>>, BuildHasherDefault<Verbatim>>;

/// Series by an id and their label values.
pub(super) struct Cache<V> {
    seed: RandomState,
    shards: [RwLock<Shard<V>>; SHARDS],
}

impl<V> Default for Cache<V> {
    fn default() -> Self {
        Self { seed: RandomState::new(), shards: std::array::from_fn(|_| RwLock::default()) }
    }
}

impl<V> Cache<V> {
    /// Calls `with` on the entry, which `make` builds the first time; `None` from `make` is not kept.
    /// `with` runs under the shard's shared lock: atomic updates only.
    pub(super) fn with<R>(&self, id: u32, values: &[&str], make: impl FnOnce() -> Option<V>, with: impl FnOnce(&V) -> R) -> Option<R> {
        let hash = self.hash(id, values);
        let shard = self.shard(hash)?;
        {
            let entries = shard.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(entry) = entries.get(&hash).and_then(|found| found.iter().find(|e| e.is(id, values))) {
                return Some(with(&entry.series));
            }
        }
        let series = make()?;
        let mut entries = shard.write().unwrap_or_else(PoisonError::into_inner);
        let same_hash = entries.entry(hash).or_default();
        if let Some(entry) = same_hash.iter().find(|e| e.is(id, values)) {
            return Some(with(&entry.series));
        }
        let answer = with(&series);
        let values = values.iter().map(|value| Box::from(*value)).collect();
        same_hash.push(Entry { id, values, series });
        Some(answer)
    }

    fn hash(&self, id: u32, values: &[&str]) -> u64 {
        let mut hasher = self.seed.build_hasher();
        hasher.write_u32(id);
        for value in values {
            hasher.write(value.as_bytes());
            // 0xff never occurs in UTF-8, so it keeps neighbours apart
            hasher.write_u8(0xff);
        }
        hasher.finish()
    }

    fn shard(&self, hash: u64) -> Option<&RwLock<Shard<V>>> {
        // the top bits, because the map inside a shard uses the bottom ones
        self.shards.get((hash >> 60) as usize % SHARDS)
    }
}
