//! Listing keys in their order. The token is the last key of the page before, so that a page needs nothing of the server's history and what is
//! written or deleted between two pages neither repeats nor hides another key.

use crate::Etcd;
use crate::wire::{Bytes, Found, Range};
use proa_sdk::state::{Error, list_keys::Page};
use state_core::Like;
use std::borrow::Cow;

const STEP: u32 = 1024;

/// The first key after all that begin with `prefix`.
fn end_of(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(byte) = end.pop() {
        if byte < 0xff {
            end.push(byte + 1);
            return Some(end);
        }
    }
    None
}

impl Etcd {
    pub async fn list(&self, pattern: &str, page_size: u32, token: Option<&str>) -> Result<Page, Error> {
        if pattern.is_empty() {
            return Err(Error::InvalidArgument("keys like pattern cannot be empty".into()));
        }
        let like = Like::parse(pattern);
        let base = self.full("");
        let prefix = self.full(&like.literal_prefix());
        let end = end_of(prefix.as_bytes());
        let after = |key: &[u8]| [key, b"\0"].concat();
        let mut start = prefix.clone().into_bytes();
        if let Some(token) = token.filter(|t| !t.is_empty()) {
            start = start.max(after(self.full(token).as_bytes()));
        }
        let limit = if page_size == 0 { usize::MAX } else { page_size as usize };
        let mut keys: Vec<String> = Vec::new();
        loop {
            let question = Range {
                key: Some(Bytes(Cow::Borrowed(&start))),
                range_end: end.as_deref().map(|e| Bytes(Cow::Borrowed(e))),
                limit: Some(STEP),
                keys_only: true,
            };
            let found: Found = self.gateway.call("/v3/kv/range", &question, true).await.map_err(|f| f.of(""))?;
            for kv in &found.kvs {
                // What is not text was not written by a store.
                let key = std::str::from_utf8(&kv.key).ok().and_then(|k| k.strip_prefix(&base)).filter(|k| like.matches(k));
                let Some(key) = key else { continue };
                if keys.len() == limit {
                    let token = keys.last().cloned();
                    return Ok(Page { keys, token });
                }
                keys.push(key.to_owned());
            }
            match found.kvs.last() {
                Some(last) if found.more => start = after(&last.key),
                _ => return Ok(Page { keys, token: None }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::end_of;

    #[test]
    fn ends() {
        assert_eq!(end_of(b"a/"), Some(b"a0".to_vec()));
        assert_eq!(end_of(b"a\xff"), Some(b"b".to_vec()));
        assert_eq!(end_of(b"\xff"), None);
    }
}
