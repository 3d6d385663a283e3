//! Requests and items of the host as messages of the protocol, and back.

use bytes::Bytes;
use proa_host::kinds::state as host;
use proa_protocol::components::v1 as pb;
use std::collections::HashMap;

pub fn metadata(pairs: host::Metadata) -> HashMap<String, String> {
    pairs.into_iter().collect()
}

fn consistency(consistency: host::Consistency) -> i32 {
    use pb::state_options::StateConsistency;
    let consistency = match consistency {
        host::Consistency::Unspecified => StateConsistency::ConsistencyUnspecified,
        host::Consistency::Eventual => StateConsistency::ConsistencyEventual,
        host::Consistency::Strong => StateConsistency::ConsistencyStrong,
    };
    consistency.into()
}

fn options(concurrency: host::Concurrency, wanted: host::Consistency) -> Option<pb::StateOptions> {
    use pb::state_options::StateConcurrency;
    let concurrency = match concurrency {
        host::Concurrency::Unspecified => StateConcurrency::ConcurrencyUnspecified,
        host::Concurrency::FirstWrite => StateConcurrency::ConcurrencyFirstWrite,
        host::Concurrency::LastWrite => StateConcurrency::ConcurrencyLastWrite,
    };
    Some(pb::StateOptions { concurrency: concurrency.into(), consistency: consistency(wanted) })
}

fn etag(value: Option<String>) -> Option<pb::Etag> {
    value.map(|value| pb::Etag { value })
}

pub fn get_request(request: host::GetRequest) -> pb::GetRequest {
    pb::GetRequest { key: request.key, consistency: consistency(request.consistency), metadata: metadata(request.metadata) }
}

pub struct Set(pub host::SetRequest);

impl From<Set> for pb::SetRequest {
    fn from(Set(request): Set) -> Self {
        Self {
            key: request.key,
            value: request.value.into(),
            etag: etag(request.etag),
            metadata: metadata(request.metadata),
            options: options(request.concurrency, request.consistency),
            content_type: request.content_type.unwrap_or_default(),
        }
    }
}

pub struct Delete(pub host::DeleteRequest);

impl From<Delete> for pb::DeleteRequest {
    fn from(Delete(request): Delete) -> Self {
        Self {
            key: request.key,
            etag: etag(request.etag),
            metadata: metadata(request.metadata),
            options: options(request.concurrency, request.consistency),
        }
    }
}

pub fn operation(operation: host::Operation) -> pb::TransactionalStateOperation {
    use pb::transactional_state_operation::Request;
    let request = match operation {
        host::Operation::Set(request) => Request::Set(Set(request).into()),
        host::Operation::Delete(request) => Request::Delete(Delete(request).into()),
    };
    pb::TransactionalStateOperation { request: Some(request) }
}

/// The protocol has no word for a key that is absent: it is an answer without anything.
pub fn found(data: Bytes, etag: Option<pb::Etag>, content_type: String, about: HashMap<String, String>) -> Option<host::Item> {
    let etag = etag.map(|e| e.value);
    if data.is_empty() && etag.as_deref().is_none_or(str::is_empty) {
        return None;
    }
    let mut metadata: host::Metadata = about.into_iter().collect();
    metadata.sort();
    Some(host::Item { value: data.into(), etag, content_type: Some(content_type).filter(|c| !c.is_empty()), metadata })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_anything_is_an_absent_key() {
        let empty = || (Bytes::new(), String::new(), HashMap::new());
        let (data, content_type, about) = empty();
        assert!(found(data, None, content_type, about).is_none());
        let (data, content_type, about) = empty();
        let item = found(data, Some(pb::Etag { value: "7".into() }), content_type, about).unwrap();
        assert_eq!((item.value.len(), item.etag.as_deref(), item.content_type), (0, Some("7"), None));
    }
}
