//! Services outside: HTTPEndpoint resources and addresses as targets of service invocation.
//!
//! A client is made when an endpoint is first called and again when its settings changed; connections are pooled. Servers are believed by the
//! system's certificates, or by those of the endpoint. Whatever the service answers is an answer, except that redirects of an endpoint are
//! followed; what fails on the way says why.

mod redirect;
mod tls;

use crate::app::http::connect;
use crate::app::http::invoke::{Way, address, outgoing};
use futures::future::BoxFuture;
use http::{HeaderName, HeaderValue, Uri};
use proa_core::Runtime;
use proa_core::invocation::{Endpoint, InvokeError, InvokeRequest, InvokeResponse, Outside};
use redirect::Step;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::Semaphore;

/// An endpoint and the client that was made for it.
type Made = (Arc<Endpoint>, Arc<Way>);

/// See the module's text.
pub struct HttpOutside {
    /// Weak: the runtime holds this.
    runtime: Weak<Runtime>,
    /// By name; addresses share the entry of the empty one.
    ways: Mutex<HashMap<String, Made>>,
}

impl HttpOutside {
    pub fn new(runtime: &Arc<Runtime>) -> Self {
        Self { runtime: Arc::downgrade(runtime), ways: Mutex::default() }
    }

    fn way(&self, endpoint: &Arc<Endpoint>) -> Result<Arc<Way>, InvokeError> {
        let is_address = is_address(endpoint);
        let key = if is_address { "" } else { endpoint.name.as_str() };
        let mut ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made_for, way)) = ways.get(key)
            && (is_address || Arc::ptr_eq(made_for, endpoint))
        {
            return Ok(way.clone());
        }
        let failed = |why: String| InvokeError::Plain(format!("cannot invoke http endpoint {}: {why}", endpoint.name));
        let runtime = self.runtime.upgrade().ok_or_else(|| failed("the sidecar is shutting down".to_owned()))?;
        let client = connect::secure(tls::config(endpoint).map_err(failed)?);
        let permits = runtime.options().app_max_concurrency.filter(|most| *most > 0).map(|most| Arc::new(Semaphore::new(most)));
        let way = Arc::new(crate::app::http::way(&runtime, client, permits));
        ways.insert(key.to_owned(), (endpoint.clone(), way.clone()));
        Ok(way)
    }

    async fn send(&self, endpoint: &Arc<Endpoint>, request: InvokeRequest) -> Result<InvokeResponse, InvokeError> {
        let path = request.method.clone();
        let uri = uri(&endpoint.base_url, &address(&request)?)?;
        let mut request = outgoing(uri, request)?;
        for (name, value) in &endpoint.headers {
            let name = HeaderName::try_from(name).map_err(|e| InvokeError::Plain(format!("header {name:?}: {e}")))?;
            let value = HeaderValue::from_str(value).map_err(|e| InvokeError::Plain(format!("header {name}: {e}")))?;
            request.headers_mut().insert(name, value);
        }
        let way = self.way(endpoint)?;
        if is_address(endpoint) {
            return way.send(&path, request).await;
        }
        for _ in 0..=redirect::MOST {
            let step = Step::of(&request);
            let answer = way.send(&path, request).await?;
            match step.next(&answer)? {
                Some(next) => request = next,
                None => return Ok(answer),
            }
        }
        Err(InvokeError::Plain(format!("stopped after {} redirects", redirect::MOST)))
    }
}

impl Outside for HttpOutside {
    fn call<'a>(&'a self, endpoint: &'a Arc<Endpoint>, request: InvokeRequest) -> BoxFuture<'a, Result<InvokeResponse, InvokeError>> {
        Box::pin(self.send(endpoint, request))
    }
}

fn is_address(endpoint: &Endpoint) -> bool {
    endpoint.name == endpoint.base_url
}

/// The address of a method below a base, which may have a path of its own.
fn uri(base: &str, method: &str) -> Result<Uri, InvokeError> {
    let invalid = |why: &dyn std::fmt::Display| InvokeError::Plain(format!("{base:?} is not an address: {why}"));
    let parsed: Uri = base.parse().map_err(|e| invalid(&e))?;
    let (Some(scheme), Some(authority)) = (parsed.scheme(), parsed.authority()) else { return Err(invalid(&"no scheme or no host")) };
    let slash = if method.is_empty() || method.starts_with(['/', '?']) { "" } else { "/" };
    let path = crate::app::http::escaped(&format!("{}{slash}{method}", parsed.path().trim_end_matches('/')));
    let path = if path.starts_with('/') { path } else { format!("/{path}") };
    Uri::builder().scheme(scheme.clone()).authority(authority.clone()).path_and_query(path).build().map_err(|e| invalid(&e))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn methods_lie_below_the_base() {
        for (base, method, address) in [
            ("http://host:1", "a/b", "http://host:1/a/b"),
            ("https://host/base/", "x?y=1", "https://host/base/x?y=1"),
            ("http://host", "", "http://host/"),
            ("http://host", "/a b", "http://host/a%20b"),
        ] {
            assert_eq!(uri(base, method).unwrap().to_string(), address);
        }
        assert!(uri("nowhere", "x").is_err());
    }
}
