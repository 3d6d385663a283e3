//! Heads as records and back. What the record does not hold (extensions, version, the form of the target) stays with the request.

use crate::wit::proa::middleware::types::{Headers, RequestHead, ResponseHead};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, request, response};
use std::net::SocketAddr;

/// The address of the client, as a request extension; stages see it in the header `x-proa-peer`.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

pub(super) const PEER: &str = "x-proa-peer";

fn headers(map: &HeaderMap) -> Headers {
    map.iter().filter(|(n, _)| n.as_str() != PEER).map(|(n, v)| (n.as_str().to_owned(), v.as_bytes().to_vec())).collect()
}

/// The header map of a guest's list; the error names the header.
pub fn header_map(list: Headers) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::with_capacity(list.len());
    for (name, value) in list {
        if name == PEER {
            continue;
        }
        let key = HeaderName::try_from(name.as_str()).map_err(|_| format!("{name:?} is not the name of a header"))?;
        let value =
            HeaderValue::from_maybe_shared(bytes::Bytes::from(value)).map_err(|_| format!("header {name} has a value that no header may have"))?;
        map.append(key, value);
    }
    Ok(map)
}

pub fn request_head(parts: &request::Parts) -> RequestHead {
    let host = || parts.headers.get(http::header::HOST).and_then(|h| h.to_str().ok()).unwrap_or_default().to_owned();
    let mut list = headers(&parts.headers);
    if let Some(Peer(peer)) = parts.extensions.get() {
        list.push((PEER.to_owned(), peer.to_string().into_bytes()));
    }
    RequestHead {
        method: parts.method.as_str().to_owned(),
        scheme: parts.uri.scheme_str().unwrap_or("http").to_owned(),
        authority: parts.uri.authority().map_or_else(host, |a| a.as_str().to_owned()),
        path: parts.uri.path_and_query().map_or("/", |p| p.as_str()).to_owned(),
        headers: list,
    }
}

/// The parts of a request with another head.
pub fn apply_request_head(mut parts: request::Parts, head: RequestHead) -> Result<request::Parts, String> {
    parts.method = head.method.parse().map_err(|_| format!("{:?} is not a method", head.method))?;
    let mut uri = parts.uri.clone().into_parts();
    uri.path_and_query = Some(head.path.parse().map_err(|_| format!("{:?} is not a path", head.path))?);
    if uri.authority.is_some() {
        uri.authority = Some(head.authority.parse().map_err(|_| format!("{:?} is not an authority", head.authority))?);
    }
    parts.uri = Uri::from_parts(uri).map_err(|e| format!("{:?}: {e}", head.path))?;
    parts.headers = header_map(head.headers)?;
    Ok(parts)
}

pub fn response_head(parts: &response::Parts) -> ResponseHead {
    ResponseHead { status: parts.status.as_u16(), headers: headers(&parts.headers) }
}

pub fn response_parts(head: ResponseHead) -> Result<response::Parts, String> {
    let (mut parts, ()) = http::Response::new(()).into_parts();
    parts.status = http::StatusCode::from_u16(head.status).map_err(|_| format!("{} is not a status", head.status))?;
    parts.headers = header_map(head.headers)?;
    Ok(parts)
}
