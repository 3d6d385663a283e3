//! Service invocation: who is meant, where that is, and trying again.
//!
//! A call of the application itself goes straight to its channel, one of an HTTPEndpoint or of an address straight there. A call runs under
//! the policies for the application; within them, what a peer cannot be reached for is tried again under the built-in policy, unless a
//! resource names the application. Nothing is sent again whose body cannot be, and the address is looked up anew each time.

mod endpoint;
mod method;
mod policies;
mod remote;

pub(crate) use endpoint::Endpoints;
pub use method::{clean, normalise};
pub use policies::retries;

use crate::app::AppChannel;
use crate::invocation::{InvokeError, InvokeRequest, InvokeResponse, Peer};
use crate::options::{RuntimeOptions, Transport};
use crate::runtime::Runtime;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use proa_host::middleware::Body;
use proa_model::Grpc;
use std::sync::Arc;

const CALLER: HeaderName = HeaderName::from_static("dapr-caller-app-id");
const CALLER_NAMESPACE: HeaderName = HeaderName::from_static("dapr-caller-namespace");
const CALLEE: HeaderName = HeaderName::from_static("dapr-callee-app-id");
const DESTINATION: HeaderName = HeaderName::from_static("destination-app-id");

/// An application and its namespace.
#[derive(Debug, PartialEq, Eq)]
struct Target<'a> {
    app_id: &'a str,
    namespace: &'a str,
}

impl Target<'_> {
    fn at(&self, address: String) -> Peer {
        Peer { app_id: self.app_id.to_owned(), namespace: self.namespace.to_owned(), address }
    }
}

/// Calls a method of an application. Whatever the application answers is `Ok`.
pub async fn invoke(runtime: &Runtime, target: &str, mut request: InvokeRequest) -> Result<InvokeResponse, InvokeError> {
    request.method = normalise(&request.method).map_err(|why| InvokeError::status(Grpc::InvalidArgument, format!("invalid method: {why}")))?;
    let base = Some(()).filter(|()| request.origin == Transport::Http).and_then(|()| endpoint::base_url(runtime, target));
    let policy = runtime.resiliency().app(target, base.as_deref().unwrap_or(&request.method));
    policies::under(&policy, request, |request| dispatch(runtime, target, request)).await
}

/// One attempt of the caller's.
async fn dispatch(runtime: &Runtime, target: &str, mut request: InvokeRequest) -> Result<InvokeResponse, InvokeError> {
    let options = runtime.options();
    if endpoint::is_address(target) {
        return endpoint::call(runtime, &endpoint::at(target), request).await;
    }
    let target = parse(target, &options.namespace)?;
    if let Some(endpoint) = endpoint::find(runtime, target.app_id).await? {
        return endpoint::call(runtime, &endpoint, request).await;
    }
    stamp(&mut request.headers, options, target.app_id);
    if target.app_id == options.app_id && target.namespace == options.namespace {
        return own(runtime)?.invoke(request).await;
    }
    let neighbours = runtime.neighbours.get().ok_or_else(no_names)?;
    forward(&mut request.headers, options, target.app_id);
    remote::call(runtime, neighbours, &target, request).await
}

/// The channel to this sidecar's application, while that is well.
fn own(runtime: &Runtime) -> Result<Arc<dyn AppChannel>, InvokeError> {
    let app = runtime.app().ok_or_else(|| InvokeError::Plain("cannot invoke local endpoint: app channel not initialized".into()))?;
    if !runtime.app_is_well() {
        return Err(InvokeError::status(Grpc::Internal, "app is not in a healthy state"));
    }
    Ok(app)
}

fn no_names() -> InvokeError {
    InvokeError::Plain("name resolver not initialized".into())
}

/// Where a call of gRPC goes that is passed on as it is.
pub enum Place {
    Own,
    Peer(Peer),
}

/// Finds the application that a proxied call names.
pub async fn locate(runtime: &Runtime, target: &str) -> Result<Place, InvokeError> {
    let options = runtime.options();
    let target = parse(target, &options.namespace)?;
    if target.app_id == options.app_id {
        return Ok(Place::Own);
    }
    let names = runtime.neighbours.get().and_then(|n| n.names.as_ref()).ok_or_else(no_names)?;
    let address = names.resolve(target.app_id, target.namespace).await.map_err(InvokeError::Plain)?;
    Ok(Place::Peer(target.at(address)))
}

/// Where the sidecar of that application is now.
pub async fn find_again(runtime: &Runtime, peer: &Peer) -> Result<Peer, InvokeError> {
    let names = runtime.neighbours.get().and_then(|n| n.names.as_ref()).ok_or_else(no_names)?;
    let address = names.resolve(&peer.app_id, &peer.namespace).await.map_err(InvokeError::Plain)?;
    Ok(Peer { address, ..peer.clone() })
}

/// Passes a call of gRPC on. A peer that cannot be reached is looked up anew and tried once more by the caller of this, if at all.
pub async fn proxy(runtime: &Runtime, peer: &Peer, request: http::Request<Body>) -> Result<http::Response<Body>, InvokeError> {
    let neighbours = runtime.neighbours.get().ok_or_else(no_names)?;
    let answer = neighbours.peers.proxy(peer, request).await;
    if let Err(error) = &answer
        && remote::unreachable(error)
    {
        neighbours.peers.failed(peer);
        if let Some(names) = &neighbours.names {
            names.failed(&peer.app_id, &peer.address);
        }
    }
    answer
}

/// Who calls whom through a proxied call.
pub fn stamp_proxied(headers: &mut HeaderMap, runtime: &Runtime, peer: &Peer) {
    let (caller, callee) = (HeaderValue::from_str(&runtime.options().app_id), HeaderValue::from_str(&peer.app_id));
    for (name, value) in [(CALLER, caller), (CALLEE, callee)] {
        headers.remove(&name);
        if let Ok(value) = value {
            headers.insert(name, value);
        }
    }
}

fn parse<'a>(target: &'a str, own: &'a str) -> Result<Target<'a>, InvokeError> {
    let mut parts = target.split('.');
    match (parts.next(), parts.next(), parts.next()) {
        (None | Some(""), None, _) => Err(InvokeError::Plain("app id is empty".into())),
        (Some(app_id), None, _) => Ok(Target { app_id, namespace: own }),
        (Some(app_id), Some(namespace), None) => Ok(Target { app_id, namespace }),
        _ => Err(InvokeError::Plain(format!("invalid app id {target}"))),
    }
}

/// Who calls whom; what the caller may have said about that is not believed.
fn stamp(headers: &mut HeaderMap, options: &RuntimeOptions, app_id: &str) {
    for (name, value) in [(CALLER, options.app_id.as_str()), (CALLER_NAMESPACE, &options.namespace), (CALLEE, app_id)] {
        headers.remove(&name);
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
}

/// Which way the call came.
fn forward(headers: &mut HeaderMap, options: &RuntimeOptions, app_id: &str) {
    if let Ok(value) = HeaderValue::from_str(app_id) {
        headers.insert(DESTINATION, value);
    }
    let (address, host) = (options.host_address.as_str(), options.hostname.as_str());
    let mut forwarded = Vec::new();
    let mut add = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.append(HeaderName::from_static(name), value);
        }
    };
    if !address.is_empty() {
        add("x-forwarded-for", address);
        let address = if address.contains(':') { format!("\"[{address}]\"") } else { address.to_owned() };
        forwarded.push(format!("for={address};by={address}"));
    }
    if !host.is_empty() {
        add("x-forwarded-host", host);
        forwarded.push(format!("host={host}"));
    }
    add("forwarded", &forwarded.join(";"));
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_one_dot_at_most() {
        assert_eq!(parse("app", "ns").unwrap(), Target { app_id: "app", namespace: "ns" });
        assert_eq!(parse("app.other", "ns").unwrap(), Target { app_id: "app", namespace: "other" });
        assert_eq!(parse("a.b.c", "ns").unwrap_err().to_string(), "invalid app id a.b.c");
        assert_eq!(parse("", "ns").unwrap_err().to_string(), "app id is empty");
    }
}
