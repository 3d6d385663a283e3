//! The API token. Health checks need none; whoever has it must not pass it on, so it is taken from the request.

use super::query::unescape_path;
use super::reply::{self, Reply};
use http::{HeaderName, Method, Request, StatusCode};

const HEADER: HeaderName = HeaderName::from_static("dapr-api-token");
const FREE: [&str; 2] = ["v1.0/healthz", "v1.0/healthz/outbound"];

/// The token that is asked for.
pub struct Token(Box<[u8]>);

impl Token {
    pub fn new(token: Option<&str>) -> Option<Self> {
        token.filter(|t| !t.is_empty()).map(|t| Self(t.as_bytes().into()))
    }

    /// Whether the request may go on.
    pub fn accept<B>(&self, request: &mut Request<B>) -> bool {
        let given = request.headers_mut().remove(HEADER);
        given.is_some_and(|g| same(g.as_bytes(), &self.0)) || is_free(request)
    }

    pub fn refusal() -> Reply {
        reply::text(StatusCode::UNAUTHORIZED, "invalid api token")
    }
}

fn is_free<B>(request: &Request<B>) -> bool {
    request.method() == Method::GET && FREE.contains(&unescape_path(request.uri().path()).trim_matches('/'))
}

/// Takes as long for a good guess as for a bad one of the same length.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |all, (x, y)| all | (x ^ y)) == 0
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn only_health_is_free() {
        let token = Token::new(Some("open")).unwrap();
        let accepts = |path: &str, given: Option<&str>| {
            let mut request = Request::get(path);
            if let Some(given) = given {
                request = request.header("dapr-api-token", given);
            }
            let mut request = request.body(()).unwrap();
            let accepted = token.accept(&mut request);
            assert!(request.headers().is_empty());
            accepted
        };
        assert!(accepts("/v1.0/state/a/b", Some("open")) && accepts("/v1.0/healthz/", None) && accepts("/v1.0/healthz/outbound", Some("shut")));
        assert!(!accepts("/v1.0/state/a/b", Some("shut")) && !accepts("/v1.0/state/a/b?dapr-api-token=open", None));
        assert!(Token::new(Some("")).is_none());
    }
}
