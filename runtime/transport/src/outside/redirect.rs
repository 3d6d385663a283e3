//! Following redirects of an endpoint, as clients written in Go do unless they are told otherwise: ten at most.
//!
//! What was sent with a body is asked for without one where the service says so (301, 302, 303); where the body would have to be sent again
//! (307, 308) the redirect itself is the answer. Credentials are not shown to another host.

use crate::body::Payload;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, Request, Uri};
use proa_core::invocation::{InvokeError, InvokeResponse};

/// How many redirects are followed.
pub(super) const MOST: usize = 10;

/// A request without its body, for the next step.
pub(super) struct Step {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    has_body: bool,
}

impl Step {
    pub(super) fn of(request: &Request<Payload>) -> Self {
        let has_body = !http_body::Body::is_end_stream(request.body());
        Self { method: request.method().clone(), uri: request.uri().clone(), headers: request.headers().clone(), has_body }
    }

    /// The request that an answer asks for; none when the answer is the last one.
    pub(super) fn next(mut self, answer: &InvokeResponse) -> Result<Option<Request<Payload>>, InvokeError> {
        let keeps = matches!(answer.status, 307 | 308);
        if !(keeps || matches!(answer.status, 301..=303)) || (keeps && self.has_body) {
            return Ok(None);
        }
        let Some(location) = answer.headers.get("location").and_then(|l| l.to_str().ok()) else { return Ok(None) };
        let target = resolve(&self.uri, location).ok_or_else(|| InvokeError::Plain(format!("failed to parse Location header {location:?}")))?;
        if target.authority() != self.uri.authority() {
            for name in [AUTHORIZATION, WWW_AUTHENTICATE, COOKIE] {
                self.headers.remove(name);
            }
        }
        if !keeps && self.method != Method::HEAD {
            self.method = Method::GET;
            self.headers.remove(CONTENT_TYPE);
        }
        self.headers.remove(CONTENT_LENGTH);
        let mut request = Request::new(Payload::Empty);
        (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (self.method, target, self.headers);
        Ok(Some(request))
    }
}

/// An address, or a path below the host or beside the last path.
fn resolve(base: &Uri, location: &str) -> Option<Uri> {
    let scheme = base.scheme()?;
    let location = location.split('#').next().unwrap_or_default();
    if location.starts_with("http://") || location.starts_with("https://") {
        return location.parse().ok();
    }
    if location.starts_with("//") {
        return format!("{scheme}:{location}").parse().ok();
    }
    let path = match location.strip_prefix('/') {
        Some(_) => location.to_owned(),
        None => format!("{}/{location}", base.path().rsplit_once('/').map_or("", |(folder, _)| folder)),
    };
    Uri::builder().scheme(scheme.clone()).authority(base.authority()?.clone()).path_and_query(path).build().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proa_core::invocation::InvokeBody;

    fn answer(status: i32, location: &str) -> InvokeResponse {
        InvokeResponse {
            status,
            message: String::new(),
            details: Vec::new(),
            headers: HeaderMap::from_iter([(http::header::LOCATION, location.parse().unwrap())]),
            trailers: HeaderMap::new(),
            content_type: String::new(),
            type_url: String::new(),
            body: InvokeBody::Full(Bytes::new()),
        }
    }

    fn request(method: Method, body: Payload) -> Step {
        let mut request = Request::new(body);
        (*request.method_mut(), *request.uri_mut()) = (method, "http://host/a/b?x=1".parse().unwrap());
        request.headers_mut().insert(AUTHORIZATION, "secret".parse().unwrap());
        Step::of(&request)
    }

    #[test]
    fn where_and_how_it_goes_on() {
        let next = |method: Method, body, status, location| request(method, body).next(&answer(status, location)).unwrap();
        let moved = next(Method::POST, Payload::Full("x".into()), 302, "c").unwrap();
        assert_eq!((moved.method(), moved.uri().to_string().as_str()), (&Method::GET, "http://host/a/c"));
        assert!(moved.headers().contains_key(AUTHORIZATION));
        let beside = next(Method::GET, Payload::Empty, 301, "/c?y=2#part").unwrap();
        assert_eq!(beside.uri().to_string(), "http://host/c?y=2");
        let away = next(Method::GET, Payload::Empty, 307, "https://other/").unwrap();
        assert_eq!((away.uri().to_string().as_str(), away.headers().contains_key(AUTHORIZATION)), ("https://other/", false));
        assert!(next(Method::POST, Payload::Full("x".into()), 308, "/c").is_none(), "the body is gone");
        assert!(next(Method::GET, Payload::Empty, 304, "/c").is_none() && next(Method::GET, Payload::Empty, 200, "/c").is_none());
    }
}
