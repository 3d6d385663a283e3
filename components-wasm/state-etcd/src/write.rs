//! Sets and deletes. One that depends on the stored version is a transaction of the server: check and change are one step, in one round trip.

use crate::Etcd;
use crate::gateway::Failure;
use crate::wire::{Bytes, Compare, Delete, Done, Grant, Granted, Op, Outcome, Put, Range, Response, Revision, Revoke, Txn};
use proa_sdk::state::{Concurrency, DeleteRequest, Error, Metadata, Operation, SetRequest};
use std::borrow::Cow;
use std::collections::HashMap;

/// What must hold of the stored item.
enum Check {
    Nothing,
    Absent,
    /// The etag is the revision in which the key was written last.
    Etag(String),
}

/// One change.
pub struct Change {
    /// As in the store, path included.
    key: String,
    check: Check,
    /// None: delete.
    value: Option<Vec<u8>>,
    /// Seconds.
    ttl: Option<i64>,
}

/// Seconds to live. -1 and 0 mean for ever, as they do in the other stores.
fn ttl(metadata: &Metadata) -> Result<Option<i64>, Error> {
    let text = metadata.iter().find(|(n, _)| n.eq_ignore_ascii_case("ttlInSeconds")).map(|(_, v)| v.as_str()).filter(|v| !v.is_empty());
    let Some(text) = text else { return Ok(None) };
    let wrong = |why: String| Error::InvalidArgument(format!("incorrect value for metadata 'ttlInSeconds': {why}"));
    let seconds: i64 = text.parse().map_err(|_| wrong(format!("{text:?} is not a number of seconds")))?;
    if !(-1..=i64::from(i32::MAX)).contains(&seconds) {
        return Err(wrong("must be -1 or greater".into()));
    }
    Ok((seconds > 0).then_some(seconds))
}

fn check(etag: Option<String>, concurrency: Concurrency) -> Check {
    match etag.filter(|e| !e.is_empty()) {
        Some(etag) => Check::Etag(etag),
        None if concurrency == Concurrency::FirstWrite => Check::Absent,
        None => Check::Nothing,
    }
}

impl Change {
    pub fn set(store: &Etcd, request: SetRequest) -> Result<Self, Error> {
        let ttl = ttl(&request.metadata)?;
        let value = Some(store.schema.encode(request.value, ttl));
        Ok(Self { key: store.full(&request.key), check: check(request.etag, request.concurrency), value, ttl })
    }

    pub fn delete(store: &Etcd, request: DeleteRequest) -> Self {
        Self { key: store.full(&request.key), check: check(request.etag, request.concurrency), value: None, ttl: None }
    }

    pub fn of(store: &Etcd, operation: Operation) -> Result<Self, Error> {
        match operation {
            Operation::Set(set) => Self::set(store, set),
            Operation::Delete(delete) => Ok(Self::delete(store, delete)),
        }
    }

    pub fn is_conditional(&self) -> bool {
        !matches!(self.check, Check::Nothing)
    }

    /// Roughly, in bytes.
    pub fn size(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, Vec::len)
    }

    fn failed(&self) -> String {
        format!("couldn't {} key {}", if self.value.is_some() { "set" } else { "delete" }, self.key)
    }

    fn compare(&self) -> Option<Compare<'_>> {
        let target = match &self.check {
            Check::Nothing => return None,
            Check::Absent => Revision::Created { create_revision: "0".to_owned() },
            Check::Etag(etag) => {
                // What is no revision matches no item.
                let revision = etag.parse::<i64>().ok().filter(|r| *r > 0 && r.to_string() == *etag).unwrap_or(-1);
                Revision::Modified { mod_revision: revision.to_string() }
            }
        };
        Some(Compare { key: self.key.as_str().into(), result: "EQUAL", target })
    }

    fn op(&self, leases: &HashMap<i64, String>) -> Op<'_> {
        let key = Bytes::from(self.key.as_str());
        match &self.value {
            Some(value) => {
                let lease = self.ttl.and_then(|ttl| leases.get(&ttl).cloned());
                Op::Put(Put { key, value: Bytes(Cow::Borrowed(value)), lease })
            }
            None => Op::DeleteRange(Delete { key }),
        }
    }

    /// What is wrong when the stored item has this revision; none: nothing is.
    fn mismatch(&self, revision: Option<i64>) -> Option<String> {
        match (&self.check, revision) {
            (Check::Absent, Some(_)) => Some("item already exists and no etag was passed".to_owned()),
            (Check::Etag(_), None) => Some(format!("state not exist or expired for key={}", self.key)),
            (Check::Etag(etag), Some(current)) if current.to_string() != *etag => {
                Some(format!("state etag not match for key={}: current={current}, expect={etag}", self.key))
            }
            _ => None,
        }
    }
}

impl Etcd {
    /// All or nothing. Of several changes of one key every check counts and the last change stands, for the server takes only one.
    pub async fn apply(&self, changes: &[Change]) -> Result<(), Error> {
        let what = match changes {
            [] => return Ok(()),
            [only] => only.failed(),
            _ => String::new(),
        };
        let last: HashMap<&str, usize> = changes.iter().enumerate().map(|(i, c)| (c.key.as_str(), i)).collect();
        let standing: Vec<&Change> = changes.iter().enumerate().filter(|(i, c)| last.get(c.key.as_str()) == Some(i)).map(|(_, c)| c).collect();
        let leases = self.leases(&standing).await?;
        let outcome = self.commit(changes, &standing, &leases).await;
        let outcome = match outcome {
            Ok(None) => return Ok(()),
            Ok(Some(mismatch)) => Error::EtagMismatch(mismatch),
            Err(failure) => failure.of(&what),
        };
        // Whether a write whose answer was lost needs them is not known; those of any other are of no use.
        if !matches!(outcome, Error::Unavailable(_)) {
            for id in leases.values() {
                let _ = self.gateway.call::<Done>("/v3/lease/revoke", &Revoke { id }, true).await;
            }
        }
        Err(outcome)
    }

    /// One lease for each time to live that occurs.
    async fn leases(&self, changes: &[&Change]) -> Result<HashMap<i64, String>, Error> {
        let mut leases = HashMap::new();
        for (change, ttl) in changes.iter().filter_map(|c| c.ttl.map(|ttl| (c, ttl))) {
            if leases.contains_key(&ttl) {
                continue;
            }
            let granted = self.gateway.call::<Granted>("/v3/lease/grant", &Grant { ttl: ttl.to_string() }, true).await;
            let granted = granted.map_err(|f| f.of(&format!("couldn't grant lease {}", change.key)))?;
            leases.insert(ttl, granted.id.to_string());
        }
        Ok(leases)
    }

    /// What did not hold, if something did not.
    async fn commit(&self, changes: &[Change], standing: &[&Change], leases: &HashMap<i64, String>) -> Result<Option<String>, Failure> {
        let checked: Vec<&Change> = changes.iter().filter(|c| c.is_conditional()).collect();
        if let ([only], []) = (standing, checked.as_slice()) {
            match only.op(leases) {
                Op::Put(put) => self.gateway.call::<Done>("/v3/kv/put", &put, true).await?,
                Op::DeleteRange(delete) => self.gateway.call::<Done>("/v3/kv/deleterange", &delete, true).await?,
                Op::Range(_) => return Ok(None),
            };
            return Ok(None);
        }
        let txn = Txn {
            compare: checked.iter().filter_map(|c| c.compare()).collect(),
            success: standing.iter().map(|c| c.op(leases)).collect(),
            failure: checked.iter().map(|c| Op::Range(Range { keys_only: true, ..Range::one(&c.key) })).collect(),
        };
        let outcome: Outcome = self.gateway.call("/v3/kv/txn", &txn, checked.is_empty()).await?;
        if outcome.succeeded {
            return Ok(None);
        }
        let revision = |r: &Response| r.response_range.as_ref().and_then(|f| f.kvs.first()).map(|kv| kv.mod_revision);
        let found = checked.iter().zip(&outcome.responses).find_map(|(c, r)| c.mismatch(revision(r)));
        Ok(Some(found.unwrap_or_else(|| "the stored items have other versions".to_owned())))
    }
}
