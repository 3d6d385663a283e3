//! Secrets over gRPC.

use super::api::Api;
use super::{map, open, pairs};
use proa_core::services::secrets as service;
use proa_protocol::runtime::v1 as pb;
use tonic::{Request, Response, Status};

pub(super) async fn get(api: &Api, request: Request<pb::GetSecretRequest>) -> Result<Response<pb::GetSecretResponse>, Status> {
    let (cx, r) = open(request);
    let secret = service::get(&api.runtime, &cx, &r.store_name, &r.key, pairs(r.metadata)).await;
    secret.map(|secret| Response::new(pb::GetSecretResponse { data: map(secret) })).map_err(|error| api.fail(&error))
}

pub(super) async fn get_bulk(api: &Api, request: Request<pb::GetBulkSecretRequest>) -> Result<Response<pb::GetBulkSecretResponse>, Status> {
    let (cx, r) = open(request);
    let secrets = service::get_bulk(&api.runtime, &cx, &r.store_name, pairs(r.metadata)).await.map_err(|error| api.fail(&error))?;
    let data = secrets.into_iter().map(|(key, secret)| (key, pb::SecretResponse { secrets: map(secret) })).collect();
    Ok(Response::new(pb::GetBulkSecretResponse { data }))
}
