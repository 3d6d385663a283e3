//! State stores: the basic service, which has bulk operations as well, and three optional ones.

mod convert;
mod query;

use crate::link::{Greet, Link, Welcome};
use crate::status::{Failure, only_detail};
use crate::wire::Wire;
use convert::{found, get_request, metadata};
use futures::future::BoxFuture;
use pb::queriable_state_store_client::QueriableStateStoreClient;
use pb::state_store_client::StateStoreClient;
use pb::transactional_state_store_client::TransactionalStateStoreClient;
use pb::transactional_store_multi_max_size_client::TransactionalStoreMultiMaxSizeClient;
use proa_host::CallError;
use proa_host::kinds::state as host;
use proa_host::remote::Answer;
use proa_protocol::components::v1 as pb;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::OnceCell;
use tonic::Code;
use tonic_types::ErrorDetail;

pub const SERVICE: &str = "dapr.proto.components.v1.StateStore";
const QUERIES: &str = "dapr.proto.components.v1.QueriableStateStore";
const MAX_SIZE: &str = "dapr.proto.components.v1.TransactionalStoreMultiMaxSize";

/// A state store of another process.
pub struct State {
    pub link: Arc<Link>,
    services: Vec<String>,
    max_operations: OnceCell<u32>,
}

fn basic(wire: Wire) -> StateStoreClient<Wire> {
    StateStoreClient::new(wire).max_decoding_message_size(usize::MAX)
}

pub fn greet(properties: HashMap<String, String>) -> Greet {
    Arc::new(move |wire| {
        let properties = properties.clone();
        Box::pin(async move {
            let mut client = basic(wire);
            client.init(pb::InitRequest { metadata: Some(pb::MetadataRequest { properties }) }).await?;
            let features = client.features(pb::FeaturesRequest {}).await?.into_inner().features;
            Ok(Welcome { features, operations: Vec::new() })
        })
    })
}

/// A write's failure: a single violation of the field `etag` says that it is about that.
fn written(outcome: Result<(), Failure>) -> Result<Result<(), host::Error>, CallError> {
    let failure = match outcome {
        Ok(()) => return Ok(Ok(())),
        Err(failure) => failure,
    };
    if let Failure::Answered(status) = &failure
        && let Some(ErrorDetail::BadRequest(bad)) = only_detail(status)
        && let [violation] = bad.field_violations.as_slice()
        && violation.field == "etag"
    {
        let why = violation.description.clone();
        match status.code() {
            Code::FailedPrecondition => return Ok(Err(host::Error::EtagMismatch(why))),
            Code::InvalidArgument => return Ok(Err(host::Error::EtagInvalid(why))),
            _ => {}
        }
    }
    Err(failure.into())
}

/// A bulk delete that hit fewer rows than it was to hit says so in numbers.
fn rows(status: &tonic::Status) -> Option<host::Error> {
    let Some(ErrorDetail::ErrorInfo(info)) = only_detail(status).filter(|_| status.code() == Code::Internal) else { return None };
    let number = |name: &str| info.metadata.get(name).and_then(|n| n.parse::<u64>().ok());
    let (affected, expected) = (number("affected")?, number("expected")?);
    Some(host::Error::Other(format!("delete affected only {affected} rows, expected {expected}")))
}

impl State {
    pub fn new(link: Arc<Link>, services: Vec<String>) -> Self {
        Self { link, services, max_operations: OnceCell::new() }
    }

    fn has(&self, service: &str) -> bool {
        self.services.iter().any(|s| s == service)
    }

    pub fn interfaces(&self, features: &[String]) -> Vec<&'static str> {
        let mut names = vec!["component/health", "state/store", "state/bulk"];
        if features.iter().any(|f| f == "TRANSACTIONAL") {
            names.push("state/transactions");
        }
        if self.has(QUERIES) {
            names.push("state/query");
        }
        names
    }

    /// Asked when the first transaction comes, as in Dapr: a store that offers the service need not have an answer before.
    pub fn max_operations(&self) -> BoxFuture<'_, u32> {
        let ask = async {
            if !self.has(MAX_SIZE) {
                return Ok(0);
            }
            let size = self.link.call(pb::MultiMaxSizeRequest {}, |wire, request| async move {
                TransactionalStoreMultiMaxSizeClient::new(wire).multi_max_size(request).await
            });
            size.await.map(|size| u32::try_from(size.max_size.max(0)).unwrap_or(u32::MAX))
        };
        Box::pin(async move {
            let known = self.max_operations.get_or_try_init(|| ask).await;
            known.copied().unwrap_or_else(|failure| {
                let failure = CallError::from(failure);
                tracing::error!(target: "proa.component", component = %self.link.name(), "failed to get multi max size from state store: {failure}");
                0
            })
        })
    }

    pub fn ping(&self) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let pong = self.link.call(pb::PingRequest {}, |wire, request| async move { basic(wire).ping(request).await });
            pong.await.map(drop).map_err(|f| CallError::from(f).to_string())
        })
    }
}

impl host::RemoteStore for State {
    fn get(&self, request: host::GetRequest) -> Answer<'_, Result<Option<host::Item>, host::Error>> {
        Box::pin(async move {
            let response = self.link.call(get_request(request), |wire, request| async move { basic(wire).get(request).await }).await?;
            Ok(Ok(found(response.data, response.etag, response.content_type, response.metadata)))
        })
    }

    fn set(&self, request: host::SetRequest) -> Answer<'_, Result<(), host::Error>> {
        Box::pin(async move {
            let outcome = self.link.call(pb::SetRequest::from(convert::Set(request)), |wire, request| async move { basic(wire).set(request).await });
            written(outcome.await.map(drop))
        })
    }

    fn delete(&self, request: host::DeleteRequest) -> Answer<'_, Result<(), host::Error>> {
        Box::pin(async move {
            let request = pb::DeleteRequest::from(convert::Delete(request));
            let outcome = self.link.call(request, |wire, request| async move { basic(wire).delete(request).await });
            written(outcome.await.map(drop))
        })
    }
}

impl host::RemoteTransactions for State {
    fn transact(&self, operations: Vec<host::Operation>, about: host::Metadata) -> Answer<'_, Result<(), host::Error>> {
        Box::pin(async move {
            let operations = operations.into_iter().map(convert::operation).collect();
            let request = pb::TransactionalStateRequest { operations, metadata: metadata(about) };
            let outcome = self.link.call(request, |wire, request| async move {
                TransactionalStateStoreClient::new(wire).max_decoding_message_size(usize::MAX).transact(request).await
            });
            Ok(outcome.await.map(|_| Ok(()))?)
        })
    }
}

/// The failure of a whole batch is one outcome: it is shown once, not once an item.
impl host::RemoteBulk for State {
    fn get_bulk(&self, requests: Vec<host::GetRequest>) -> Answer<'_, Vec<Result<Option<host::Item>, host::Error>>> {
        Box::pin(async move {
            let keys: Vec<String> = requests.iter().map(|r| r.key.clone()).collect();
            let request = pb::BulkGetRequest { items: requests.into_iter().map(get_request).collect(), options: None };
            let response = self.link.call(request, |wire, request| async move { basic(wire).bulk_get(request).await }).await?;
            let mut by_key: HashMap<String, pb::BulkStateItem> = response.items.into_iter().map(|i| (i.key.clone(), i)).collect();
            let mut one = |key: String| match by_key.remove(&key) {
                None => Ok(None),
                Some(item) if !item.error.is_empty() => Err(host::Error::Other(item.error)),
                Some(item) => Ok(found(item.data, item.etag, item.content_type, item.metadata)),
            };
            Ok(keys.into_iter().map(&mut one).collect())
        })
    }

    fn set_bulk(&self, requests: Vec<host::SetRequest>) -> Answer<'_, Vec<Result<(), host::Error>>> {
        Box::pin(async move {
            let items = requests.into_iter().map(|r| convert::Set(r).into()).collect();
            let request = pb::BulkSetRequest { items, options: None };
            let outcome = self.link.call(request, |wire, request| async move { basic(wire).bulk_set(request).await });
            written(outcome.await.map(drop)).map(|outcome| vec![outcome])
        })
    }

    fn delete_bulk(&self, requests: Vec<host::DeleteRequest>) -> Answer<'_, Vec<Result<(), host::Error>>> {
        Box::pin(async move {
            let items = requests.into_iter().map(|r| convert::Delete(r).into()).collect();
            let request = pb::BulkDeleteRequest { items, options: None };
            let outcome = self.link.call(request, |wire, request| async move { basic(wire).bulk_delete(request).await }).await;
            if let Err(Failure::Answered(status)) = &outcome
                && let Some(error) = rows(status)
            {
                return Ok(vec![Err(error)]);
            }
            written(outcome.map(drop)).map(|outcome| vec![outcome])
        })
    }
}

impl host::RemoteQuery for State {
    fn query(&self, text: String, about: host::Metadata) -> Answer<'_, Result<host::QueryResult, host::Error>> {
        Box::pin(async move {
            let query = match query::parse(&text) {
                Ok(query) => query,
                Err(why) => return Ok(Err(host::Error::InvalidArgument(format!("failed to parse JSON query body: {why}")))),
            };
            let request = pb::QueryRequest { query: Some(query), metadata: metadata(about) };
            let response = self.link.call(request, |wire, request| async move {
                QueriableStateStoreClient::new(wire).max_decoding_message_size(usize::MAX).query(request).await
            });
            Ok(Ok(query::result(response.await?)))
        })
    }
}
