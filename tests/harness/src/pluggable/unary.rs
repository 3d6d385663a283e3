//! The services without streams: state with versions and transactions, an output binding that echoes, two secrets.

use std::collections::HashMap;

use proa_protocol::components::v1 as pb;
use tonic::{Code, Request, Response, Status};
use tonic_types::{BadRequest, FieldViolation, StatusExt};

use super::backend::{Backend, Entry, Served, instance};

fn violated(code: Code, why: &str) -> Status {
    Status::with_error_details_vec(code, why, vec![BadRequest::new(vec![FieldViolation::new("etag", why)]).into()])
}

impl Backend {
    /// Whether a write may go ahead.
    fn check(&self, id: &(String, String), etag: Option<&pb::Etag>) -> Result<(), Status> {
        let Some(etag) = etag.map(|e| &e.value).filter(|e| !e.is_empty()) else { return Ok(()) };
        let wanted: u64 = etag.parse().map_err(|_| violated(Code::InvalidArgument, "etags are numbers"))?;
        let version = self.state.lock().expect("not poisoned").get(id).map_or(0, |e| e.version);
        if version == wanted { Ok(()) } else { Err(violated(Code::FailedPrecondition, "another version is stored")) }
    }

    fn write(&self, instance: &str, request: pb::SetRequest) -> Result<(), Status> {
        let id = (instance.to_owned(), request.key);
        self.check(&id, request.etag.as_ref())?;
        let mut state = self.state.lock().expect("not poisoned");
        let version = state.get(&id).map_or(0, |e| e.version) + 1;
        state.insert(id, Entry { value: request.value.into(), version });
        Ok(())
    }

    fn erase(&self, instance: &str, request: pb::DeleteRequest) -> Result<(), Status> {
        let id = (instance.to_owned(), request.key);
        self.check(&id, request.etag.as_ref())?;
        self.state.lock().expect("not poisoned").remove(&id);
        Ok(())
    }

    fn entry(&self, instance: &str, key: &str) -> Option<Entry> {
        self.state.lock().expect("not poisoned").get(&(instance.to_owned(), key.to_owned())).cloned()
    }
}

#[tonic::async_trait]
impl pb::state_store_server::StateStore for Served {
    async fn init(&self, request: Request<pb::InitRequest>) -> Result<Response<pb::InitResponse>, Status> {
        let instance = instance(&request);
        let metadata = request.into_inner().metadata;
        if let Some(why) = metadata.as_ref().and_then(|m| m.properties.get("refuse")) {
            return Err(Status::invalid_argument(why.clone()));
        }
        self.note("state", instance, metadata);
        Ok(Response::new(Default::default()))
    }
    async fn features(&self, _: Request<pb::FeaturesRequest>) -> Result<Response<pb::FeaturesResponse>, Status> {
        Ok(Response::new(pb::FeaturesResponse { features: vec!["ETAG".into(), "TRANSACTIONAL".into()] }))
    }
    async fn get(&self, request: Request<pb::GetRequest>) -> Result<Response<pb::GetResponse>, Status> {
        let instance = instance(&request);
        self.ready("state", &instance)?;
        let found = self.entry(&instance, &request.into_inner().key);
        Ok(Response::new(found.map_or_else(Default::default, |entry| pb::GetResponse {
            data: entry.value.into(),
            etag: Some(pb::Etag { value: entry.version.to_string() }),
            ..Default::default()
        })))
    }
    async fn set(&self, request: Request<pb::SetRequest>) -> Result<Response<pb::SetResponse>, Status> {
        let instance = instance(&request);
        self.ready("state", &instance)?;
        self.write(&instance, request.into_inner())?;
        Ok(Response::new(Default::default()))
    }
    async fn delete(&self, request: Request<pb::DeleteRequest>) -> Result<Response<pb::DeleteResponse>, Status> {
        let instance = instance(&request);
        self.ready("state", &instance)?;
        self.erase(&instance, request.into_inner())?;
        Ok(Response::new(Default::default()))
    }
    async fn bulk_get(&self, request: Request<pb::BulkGetRequest>) -> Result<Response<pb::BulkGetResponse>, Status> {
        let instance = instance(&request);
        self.ready("state", &instance)?;
        // In another order than asked, and without what is not there.
        let items = request.into_inner().items.into_iter().rev().filter_map(|wanted| {
            let entry = self.entry(&instance, &wanted.key)?;
            let etag = Some(pb::Etag { value: entry.version.to_string() });
            Some(pb::BulkStateItem { key: wanted.key, data: entry.value.into(), etag, ..Default::default() })
        });
        Ok(Response::new(pb::BulkGetResponse { items: items.collect() }))
    }
    async fn bulk_set(&self, request: Request<pb::BulkSetRequest>) -> Result<Response<pb::BulkSetResponse>, Status> {
        let instance = instance(&request);
        self.ready("state", &instance)?;
        for item in request.into_inner().items {
            self.write(&instance, item)?;
        }
        Ok(Response::new(Default::default()))
    }
    async fn bulk_delete(&self, request: Request<pb::BulkDeleteRequest>) -> Result<Response<pb::BulkDeleteResponse>, Status> {
        let instance = instance(&request);
        self.ready("state", &instance)?;
        for item in request.into_inner().items {
            self.erase(&instance, item)?;
        }
        Ok(Response::new(Default::default()))
    }
    async fn ping(&self, _: Request<pb::PingRequest>) -> Result<Response<pb::PingResponse>, Status> {
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl pb::transactional_state_store_server::TransactionalStateStore for Served {
    async fn transact(&self, request: Request<pb::TransactionalStateRequest>) -> Result<Response<pb::TransactionalStateResponse>, Status> {
        use pb::transactional_state_operation::Request as Operation;
        let instance = instance(&request);
        self.ready("state", &instance)?;
        for operation in request.into_inner().operations {
            match operation.request {
                Some(Operation::Set(set)) => self.write(&instance, set)?,
                Some(Operation::Delete(delete)) => self.erase(&instance, delete)?,
                None => return Err(Status::invalid_argument("an operation that is none")),
            }
        }
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl pb::transactional_store_multi_max_size_server::TransactionalStoreMultiMaxSize for Served {
    async fn multi_max_size(&self, _: Request<pb::MultiMaxSizeRequest>) -> Result<Response<pb::MultiMaxSizeResponse>, Status> {
        Ok(Response::new(pb::MultiMaxSizeResponse { max_size: 3 }))
    }
}

#[tonic::async_trait]
impl pb::queriable_state_store_server::QueriableStateStore for Served {
    /// Every item whose value is the operand of `EQ`.
    async fn query(&self, request: Request<pb::QueryRequest>) -> Result<Response<pb::QueryResponse>, Status> {
        let instance = instance(&request);
        self.ready("state", &instance)?;
        let query = request.into_inner().query.unwrap_or_default();
        let wanted = query.filter.get("EQ").map(|any| any.value.clone()).ok_or_else(|| Status::invalid_argument("only EQ"))?;
        let state = self.state.lock().expect("not poisoned");
        let hits = state.iter().filter(|((of, _), entry)| *of == instance && entry.value == wanted);
        let items = hits.map(|((_, key), entry)| pb::QueryItem { key: key.clone(), data: entry.value.clone().into(), ..Default::default() });
        Ok(Response::new(pb::QueryResponse { items: items.collect(), ..Default::default() }))
    }
}

#[tonic::async_trait]
impl pb::output_binding_server::OutputBinding for Served {
    async fn init(&self, request: Request<pb::OutputBindingInitRequest>) -> Result<Response<pb::OutputBindingInitResponse>, Status> {
        let instance = instance(&request);
        self.note("output", instance, request.into_inner().metadata);
        Ok(Response::new(Default::default()))
    }
    async fn invoke(&self, request: Request<pb::InvokeRequest>) -> Result<Response<pb::InvokeResponse>, Status> {
        self.ready("output", &instance(&request))?;
        let request = request.into_inner();
        Ok(Response::new(pb::InvokeResponse { data: request.data, metadata: request.metadata, content_type: "application/json".into() }))
    }
    async fn list_operations(&self, _: Request<pb::ListOperationsRequest>) -> Result<Response<pb::ListOperationsResponse>, Status> {
        Ok(Response::new(pb::ListOperationsResponse { operations: vec!["echo".into(), "create".into()] }))
    }
    async fn ping(&self, _: Request<pb::PingRequest>) -> Result<Response<pb::PingResponse>, Status> {
        Ok(Response::new(Default::default()))
    }
}

fn secret(value: &str) -> HashMap<String, String> {
    HashMap::from([("value".to_owned(), value.to_owned()), ("kind".to_owned(), "word".to_owned())])
}

#[tonic::async_trait]
impl pb::secret_store_server::SecretStore for Served {
    async fn init(&self, request: Request<pb::SecretStoreInitRequest>) -> Result<Response<pb::SecretStoreInitResponse>, Status> {
        let instance = instance(&request);
        self.note("secrets", instance, request.into_inner().metadata);
        Ok(Response::new(Default::default()))
    }
    async fn features(&self, _: Request<pb::FeaturesRequest>) -> Result<Response<pb::FeaturesResponse>, Status> {
        Ok(Response::new(pb::FeaturesResponse { features: vec!["MULTIPLE_KEY_VALUES_PER_SECRET".into()] }))
    }
    async fn get(&self, request: Request<pb::GetSecretRequest>) -> Result<Response<pb::GetSecretResponse>, Status> {
        self.ready("secrets", &instance(&request))?;
        match request.into_inner().key.as_str() {
            "first" => Ok(Response::new(pb::GetSecretResponse { data: secret("sesame") })),
            other => Err(Status::not_found(format!("no secret {other}"))),
        }
    }
    async fn bulk_get(&self, request: Request<pb::BulkGetSecretRequest>) -> Result<Response<pb::BulkGetSecretResponse>, Status> {
        self.ready("secrets", &instance(&request))?;
        let one = |value: &str| pb::SecretResponse { secrets: secret(value) };
        let data = HashMap::from([("first".to_owned(), one("sesame")), ("second".to_owned(), one("mellon"))]);
        Ok(Response::new(pb::BulkGetSecretResponse { data }))
    }
    async fn ping(&self, _: Request<pb::PingRequest>) -> Result<Response<pb::PingResponse>, Status> {
        Ok(Response::new(Default::default()))
    }
}
