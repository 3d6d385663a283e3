//! Services outside as targets: HTTPEndpoint resources by name, and addresses as they are.
//!
//! What a resource refers to is resolved when it is first called and again when the resource changed; a call costs one look-up. A secret that
//! cannot be read fails the call.

use crate::invocation::{Endpoint, EndpointTls, InvokeError, InvokeRequest, InvokeResponse};
use crate::metrics::CallShape;
use crate::prepare::value;
use crate::runtime::Runtime;
use proa_resources::component::MetadataValue;
use proa_resources::http_endpoint::HttpEndpoint;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// The endpoints that were called, each with the resource that it was made of.
#[derive(Default)]
pub(crate) struct Endpoints(Mutex<HashMap<String, (HttpEndpoint, Arc<Endpoint>)>>);

/// Whether a target is an address and no name.
pub(super) fn is_address(target: &str) -> bool {
    target.starts_with("http://") || target.starts_with("https://")
}

/// The endpoint at an address.
pub(super) fn at(address: &str) -> Arc<Endpoint> {
    Arc::new(Endpoint { name: address.to_owned(), base_url: address.to_owned(), ..Endpoint::default() })
}

/// The endpoint of this name, if there is one.
pub(super) async fn find(runtime: &Runtime, name: &str) -> Result<Option<Arc<Endpoint>>, InvokeError> {
    let snapshot = runtime.reconciler.current();
    let Some(resource) = snapshot.http_endpoints.iter().find(|e| e.name == name) else { return Ok(None) };
    let known = |endpoints: &HashMap<String, (HttpEndpoint, Arc<Endpoint>)>| {
        endpoints.get(name).filter(|(made_of, _)| made_of == resource).map(|(_, endpoint)| endpoint.clone())
    };
    if let Some(endpoint) = known(&runtime.endpoints.0.lock().unwrap_or_else(PoisonError::into_inner)) {
        return Ok(Some(endpoint));
    }
    let failed = |why: String| InvokeError::Plain(format!("cannot invoke http endpoint {name}: {why}"));
    let endpoint = Arc::new(resolve(runtime, resource).await.map_err(failed)?);
    let mut endpoints = runtime.endpoints.0.lock().unwrap_or_else(PoisonError::into_inner);
    // Somebody else may have been quicker; all calls should share one.
    let endpoint = known(&endpoints).unwrap_or(endpoint);
    endpoints.insert(name.to_owned(), (resource.clone(), endpoint.clone()));
    Ok(Some(endpoint))
}

async fn resolve(runtime: &Runtime, resource: &HttpEndpoint) -> Result<Endpoint, String> {
    let store = resource.auth_secret_store.as_deref().unwrap_or_default();
    let mut headers = Vec::with_capacity(resource.headers.len());
    for header in &resource.headers {
        let text = value(runtime, store, &header.value).await.map_err(|e| format!("header {}: {e}", header.name))?;
        headers.push((header.name.clone(), text));
    }
    let text = async |document: &Option<MetadataValue>, name: &str| match document {
        Some(document) => value(runtime, store, document).await.map_err(|e| format!("{name}: {e}")),
        None => Ok(String::new()),
    };
    let tls = match &resource.client_tls {
        Some(tls) => Some(EndpointTls {
            root_ca: text(&tls.root_ca, "rootCA").await?,
            certificate: text(&tls.certificate, "certificate").await?,
            private_key: text(&tls.private_key, "privateKey").await?,
            renegotiation: tls.renegotiation.clone(),
        }),
        None => None,
    };
    Ok(Endpoint { name: resource.name.clone(), base_url: resource.base_url.clone(), headers, tls })
}

/// One attempt; an answer of any status is `Ok`.
pub(super) async fn call(runtime: &Runtime, endpoint: &Arc<Endpoint>, request: InvokeRequest) -> Result<InvokeResponse, InvokeError> {
    let missing = || InvokeError::Plain(format!("cannot invoke http endpoint {}: app channel not initialized", endpoint.name));
    let outside = runtime.outside.get().ok_or_else(missing)?;
    runtime.metrics().invoke_request_sent(&endpoint.name, CallShape::Unary);
    let begun = Instant::now();
    let response = outside.call(endpoint, request).await?;
    runtime.metrics().invoke_response_received(&endpoint.name, response.status, CallShape::Unary, begun.elapsed());
    Ok(response)
}
