//! Publishing over gRPC.

use super::api::Api;
use super::{open, pairs};
use proa_core::services::pubsub as service;
use proa_core::services::pubsub::{BulkEntry, Publish};
use proa_model::Error;
use proa_model::error::pubsub as failures;
use proa_protocol::runtime::v1 as pb;
use std::collections::HashSet;
use tonic::{Request, Response, Status};

pub(super) async fn publish(api: &Api, request: Request<pb::PublishEventRequest>) -> Result<Response<()>, Status> {
    let (cx, r) = open(request);
    let metadata = pairs(r.metadata);
    service::check(&api.runtime, &r.pubsub_name, &r.topic, &metadata).map_err(|error| api.fail(&error))?;
    let publish = Publish { pubsub: r.pubsub_name, topic: r.topic, data: r.data, content_type: r.data_content_type, metadata };
    service::publish(&api.runtime, &cx, publish).await.map(Response::new).map_err(|error| api.fail(&error))
}

pub(super) async fn publish_bulk(api: &Api, request: Request<pb::BulkPublishRequest>) -> Result<Response<pb::BulkPublishResponse>, Status> {
    let (cx, r) = open(request);
    let metadata = pairs(r.metadata);
    let checked = service::check(&api.runtime, &r.pubsub_name, &r.topic, &metadata);
    checked.and_then(|()| entry_ids(api, &r.pubsub_name, &r.topic, &r.entries)).map_err(|error| api.fail(&error))?;
    let entries = r.entries.into_iter().map(|entry| BulkEntry {
        id: entry.entry_id,
        data: entry.event,
        content_type: entry.content_type,
        metadata: pairs(entry.metadata),
    });
    let outcome = service::publish_bulk(&api.runtime, &cx, &r.pubsub_name, &r.topic, entries.collect(), metadata).await;
    // Entries that failed are an answer, not a failure of the call.
    let failed = outcome.map_err(|error| api.fail(&error))?.into_iter();
    let failed_entries = failed.map(|entry| pb::BulkPublishResponseFailedEntry { entry_id: entry.id, error: entry.error }).collect();
    Ok(Response::new(pb::BulkPublishResponse { failed_entries }))
}

/// Every entry needs an id of its own.
fn entry_ids(api: &Api, pubsub: &str, topic: &str, entries: &[pb::BulkPublishRequestEntry]) -> Result<(), Error> {
    let mut seen = HashSet::with_capacity(entries.len());
    let unique = entries.iter().all(|entry| !entry.entry_id.is_empty() && seen.insert(entry.entry_id.as_str()));
    let why = "entryId is duplicated or not present for entry";
    if unique { Ok(()) } else { Err(failures::marshal_events(pubsub, topic, &api.runtime.options().app_id, why)) }
}
