//! State over gRPC.

use super::api::Api;
use super::{map, open, pairs};
use bytes::Bytes;
use proa_core::Cx;
use proa_core::services::state as service;
use proa_core::services::state::{Concurrency, Consistency, DeleteItem, GetRequest, Operation, SetItem, Value};
use proa_model::error::state as failures;
use proa_model::{Metadata, lookup};
use proa_protocol::common::v1::state_options::{StateConcurrency, StateConsistency};
use proa_protocol::common::v1::{StateItem, StateOptions};
use proa_protocol::runtime::v1 as pb;
use serde::de::IgnoredAny;
use tonic::{Request, Response, Status};

pub(super) async fn get(api: &Api, request: Request<pb::GetStateRequest>) -> Result<Response<pb::GetStateResponse>, Status> {
    let (cx, r) = open(request);
    let wanted = GetRequest { store: r.store_name, key: r.key, consistency: consistency(r.consistency), metadata: pairs(r.metadata) };
    let found = service::get(&api.runtime, &cx, wanted).await.map_err(|error| api.fail(&error))?;
    // A missing key is an empty answer.
    let response = found.map_or_else(pb::GetStateResponse::default, |item| pb::GetStateResponse {
        data: item.data,
        etag: item.etag.unwrap_or_default(),
        metadata: map(item.metadata),
    });
    Ok(Response::new(response))
}

pub(super) async fn get_bulk(api: &Api, request: Request<pb::GetBulkStateRequest>) -> Result<Response<pb::GetBulkStateResponse>, Status> {
    let (cx, r) = open(request);
    let answer = service::get_bulk(&api.runtime, &cx, &r.store_name, r.keys, r.parallelism, pairs(r.metadata)).await;
    let items = answer.map_err(|error| api.fail(&error))?.into_iter().map(|item| pb::BulkStateItem {
        key: item.key,
        data: item.data,
        etag: item.etag.unwrap_or_default(),
        error: item.error.unwrap_or_default(),
        metadata: map(item.metadata),
    });
    Ok(Response::new(pb::GetBulkStateResponse { items: items.collect() }))
}

pub(super) async fn save(api: &Api, request: Request<pb::SaveStateRequest>) -> Result<Response<()>, Status> {
    let (cx, r) = open(request);
    known(api, &cx, &r.store_name).await?;
    if r.states.is_empty() {
        return Ok(Response::new(()));
    }
    let mut items = Vec::with_capacity(r.states.len());
    for state in r.states {
        if state.key.is_empty() {
            return Err(api.fail(&failures::key_empty()));
        }
        let item = set_item(state);
        if let (Value::Bytes(value), Some("application/json")) = (&item.value, lookup(&item.metadata, "contentType")) {
            serde_json::from_slice::<IgnoredAny>(value).map_err(|error| Status::unknown(error.to_string()))?;
        }
        items.push(item);
    }
    service::save(&api.runtime, &cx, &r.store_name, items).await.map(Response::new).map_err(|error| api.fail(&error))
}

pub(super) async fn delete(api: &Api, request: Request<pb::DeleteStateRequest>) -> Result<Response<()>, Status> {
    let (cx, r) = open(request);
    let (concurrency, consistency) = options(r.options);
    let item = DeleteItem { key: r.key, etag: r.etag.map(|etag| etag.value), metadata: pairs(r.metadata), concurrency, consistency };
    service::delete(&api.runtime, &cx, &r.store_name, item).await.map(Response::new).map_err(|error| api.fail(&error))
}

pub(super) async fn delete_bulk(api: &Api, request: Request<pb::DeleteBulkStateRequest>) -> Result<Response<()>, Status> {
    let (cx, r) = open(request);
    let items = r.states.into_iter().map(delete_item).collect();
    service::delete_bulk(&api.runtime, &cx, &r.store_name, items).await.map(Response::new).map_err(|error| api.fail(&error))
}

pub(super) async fn transact(api: &Api, request: Request<pb::ExecuteStateTransactionRequest>) -> Result<Response<()>, Status> {
    let (cx, r) = open(request);
    let mut operations = Vec::with_capacity(r.operations.len());
    for operation in r.operations {
        let item = operation.request.unwrap_or_default();
        operations.push(match operation.operation_type.as_str() {
            "upsert" => Operation::Set(set_item(item)),
            "delete" => Operation::Delete(delete_item(item)),
            other => {
                // What speaks against the store comes first.
                service::transact(&api.runtime, &cx, &r.store_name, Vec::new(), Metadata::new()).await.map_err(|error| api.fail(&error))?;
                return Err(api.fail(&failures::unsupported_operation(other)));
            }
        });
    }
    let outcome = service::transact(&api.runtime, &cx, &r.store_name, operations, pairs(r.metadata)).await;
    outcome.map(Response::new).map_err(|error| api.fail(&error))
}

pub(super) async fn query(api: &Api, request: Request<pb::QueryStateRequest>) -> Result<Response<pb::QueryStateResponse>, Status> {
    let (cx, r) = open(request);
    let query = Bytes::from(r.query);
    let result = service::query(&api.runtime, &cx, &r.store_name, query, pairs(r.metadata)).await.map_err(|error| api.fail(&error))?;
    if result.items.is_empty() {
        return Ok(Response::new(pb::QueryStateResponse::default()));
    }
    let results = result.items.into_iter().map(|item| pb::QueryStateItem {
        key: item.key,
        data: item.data,
        etag: item.etag.unwrap_or_default(),
        error: item.error.unwrap_or_default(),
    });
    let (results, token, metadata) = (results.collect(), result.token.unwrap_or_default(), map(result.metadata));
    Ok(Response::new(pb::QueryStateResponse { results, token, metadata }))
}

/// Fails when there is no such store; reading no keys touches nothing else.
async fn known(api: &Api, cx: &Cx, store: &str) -> Result<(), Status> {
    service::get_bulk(&api.runtime, cx, store, Vec::new(), 0, Metadata::new()).await.map(drop).map_err(|error| api.fail(&error))
}

fn set_item(item: StateItem) -> SetItem {
    let (concurrency, consistency) = options(item.options);
    SetItem {
        key: item.key,
        value: Value::Bytes(item.value),
        etag: item.etag.map(|etag| etag.value),
        metadata: pairs(item.metadata),
        concurrency,
        consistency,
    }
}

fn delete_item(item: StateItem) -> DeleteItem {
    let (concurrency, consistency) = options(item.options);
    DeleteItem { key: item.key, etag: item.etag.map(|etag| etag.value), metadata: pairs(item.metadata), concurrency, consistency }
}

fn options(options: Option<StateOptions>) -> (Concurrency, Consistency) {
    let Some(options) = options else { return Default::default() };
    let concurrency = match StateConcurrency::try_from(options.concurrency) {
        Ok(StateConcurrency::ConcurrencyFirstWrite) => Concurrency::FirstWrite,
        Ok(StateConcurrency::ConcurrencyLastWrite) => Concurrency::LastWrite,
        _ => Concurrency::Unspecified,
    };
    (concurrency, consistency(options.consistency))
}

fn consistency(number: i32) -> Consistency {
    match StateConsistency::try_from(number) {
        Ok(StateConsistency::ConsistencyEventual) => Consistency::Eventual,
        Ok(StateConsistency::ConsistencyStrong) => Consistency::Strong,
        _ => Consistency::Unspecified,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proa_protocol::common::v1::Etag;

    #[test]
    fn an_empty_etag_is_an_etag() {
        let item = |etag| set_item(StateItem { etag, ..StateItem::default() });
        assert_eq!(item(None).etag, None);
        assert_eq!(item(Some(Etag::default())).etag.as_deref(), Some(""));
    }

    #[test]
    fn options_are_taken_over() {
        assert_eq!(options(None), (Concurrency::Unspecified, Consistency::Unspecified));
        let given = StateOptions { concurrency: 1, consistency: 2 };
        assert_eq!(options(Some(given)), (Concurrency::FirstWrite, Consistency::Strong));
        assert_eq!(consistency(77), Consistency::Unspecified);
    }
}
