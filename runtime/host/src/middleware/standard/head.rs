//! Heads between the host and a standard guest: what the world withholds from guests goes on from the request as it came.

use crate::middleware::head::{PEER, Peer};
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Uri, request};
use wasmtime_wasi_http::DEFAULT_FORBIDDEN_HEADERS;

/// Takes the headers that a guest sees out of a request; the others stay.
pub fn withhold(parts: &mut request::Parts) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for name in DEFAULT_FORBIDDEN_HEADERS {
        for value in parts.headers.get_all(&name) {
            kept.append(name.clone(), value.clone());
        }
        parts.headers.remove(name);
    }
    let mut seen = std::mem::replace(&mut parts.headers, kept);
    seen.remove(PEER);
    if let Some(peer) = parts.extensions.get::<Peer>().and_then(|Peer(p)| HeaderValue::try_from(p.to_string()).ok()) {
        seen.insert(PEER, peer);
    }
    seen
}

/// A server's request has no authority of its own; the world wants one.
pub fn authority(parts: &request::Parts) -> Option<Authority> {
    let host = || parts.headers.get(HOST).and_then(|h| Authority::try_from(h.as_bytes()).ok());
    parts.uri.authority().cloned().or_else(host)
}

/// What a guest may know as the path; it could not set `*` on a request of its own.
pub fn path(parts: &request::Parts) -> Option<PathAndQuery> {
    let whole = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    is_path(&whole).then_some(whole)
}

fn is_path(target: &PathAndQuery) -> bool {
    target.as_str().starts_with('/')
}

/// The guest's head with what the guest could not know.
pub fn merged(came: &request::Parts, made: request::Parts, asked: Option<Authority>, path: Option<PathAndQuery>) -> Option<request::Parts> {
    let mut parts = came.clone();
    let path = match path {
        None => came.uri.path_and_query().filter(|p| !is_path(p)).cloned().unwrap_or_else(|| PathAndQuery::from_static("/")),
        Some(path) if is_path(&path) => path,
        // A query alone: as text it has the slash that the field lacks.
        Some(path) => PathAndQuery::try_from(path.to_string()).ok()?,
    };
    let mut uri = parts.uri.into_parts();
    uri.path_and_query = Some(path);
    if asked.is_some() && asked != authority(came) {
        // Another host: the header must say the same.
        let host = asked.as_ref().and_then(|a| HeaderValue::from_str(a.as_str()).ok())?;
        parts.headers.insert(HOST, host);
        if uri.authority.is_some() {
            uri.authority = asked;
        }
    }
    parts.uri = Uri::from_parts(uri).ok()?;
    parts.method = made.method;
    let withheld = std::mem::replace(&mut parts.headers, made.headers);
    parts.headers.remove(PEER);
    parts.headers.extend(withheld);
    if parts.headers.contains_key(CONTENT_LENGTH) {
        parts.headers.remove(TRANSFER_ENCODING);
    }
    Some(parts)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parts(uri: &str, headers: &[(&'static str, &str)]) -> request::Parts {
        let mut parts = http::Request::new(()).into_parts().0;
        parts.uri = uri.parse().unwrap();
        for (name, value) in headers {
            parts.headers.append(*name, value.parse().unwrap());
        }
        parts
    }

    fn again(came: &mut request::Parts, asked: Option<&'static str>, path: Option<&'static str>) -> request::Parts {
        let mut made = parts("/", &[]);
        made.headers = withhold(came);
        merged(came, made, asked.map(Authority::from_static), path.map(PathAndQuery::from_static)).unwrap()
    }

    #[test]
    fn a_guest_that_changes_nothing_loses_nothing() {
        let mut came = parts("/a?b=1", &[("host", "h:1"), ("connection", "close"), ("x-a", "1"), ("x-a", "2"), (PEER, "a lie")]);
        let mut expected = came.headers.clone();
        expected.remove(PEER);
        let made = again(&mut came, Some("h:1"), Some("/a?b=1"));
        assert_eq!((made.uri.to_string().as_str(), made.headers), ("/a?b=1", expected));
    }

    #[test]
    fn a_guest_sees_the_client_and_no_lie_about_it() {
        let mut came = parts("/", &[(PEER, "a lie"), ("host", "h")]);
        came.extensions.insert(Peer(([1, 2, 3, 4], 5).into()));
        let seen = withhold(&mut came);
        assert_eq!((seen.get(PEER).unwrap(), seen.get(HOST)), (&HeaderValue::from_static("1.2.3.4:5"), None));
    }

    #[test]
    fn another_authority_is_another_host() {
        let mut came = parts("http://h:1/a", &[("host", "h:1")]);
        let made = again(&mut came, Some("other"), Some("?c"));
        assert_eq!((made.uri.to_string().as_str(), made.headers.get(HOST).unwrap().as_bytes()), ("http://other/?c", &b"other"[..]));
    }

    #[test]
    fn the_star_stays() {
        let mut came = parts("*", &[]);
        assert_eq!(path(&came), None);
        assert_eq!(again(&mut came, None, None).uri.to_string(), "*");
    }

    #[test]
    fn a_length_and_chunks_exclude_each_other() {
        let mut came = parts("/", &[("transfer-encoding", "chunked")]);
        let mut made = parts("/", &[("content-length", "4")]);
        made.headers.extend(withhold(&mut came));
        assert_eq!(merged(&came, made, None, None).unwrap().headers.get(TRANSFER_ENCODING), None);
    }
}
