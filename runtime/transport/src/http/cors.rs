//! Cross-origin requests from browsers. Off unless origins are allowed; preflight requests are answered before any token is asked for.

use super::reply::{self, Reply};
use super::request::text;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderValue, ORIGIN, VARY,
};
use http::{Method, Request, StatusCode};

const METHODS: [&str; 7] = ["HEAD", "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const ANY: HeaderValue = HeaderValue::from_static("*");
const VARY_ORIGIN: HeaderValue = HeaderValue::from_static("Origin");

/// Who may ask.
#[derive(Debug)]
pub struct Cors {
    all: bool,
    /// In lower case, each as what stands before and after a `*`, or whole.
    origins: Vec<(String, Option<String>)>,
}

/// What an answer gets.
pub struct Mark(Option<HeaderValue>);

impl Mark {
    pub fn apply(self, reply: &mut Reply) {
        reply.headers_mut().append(VARY, VARY_ORIGIN);
        if let Some(origin) = self.0 {
            reply.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        }
    }
}

impl Cors {
    /// From `--allowed-origins`; none when nothing is allowed.
    pub fn new(origins: &str) -> Option<Self> {
        if origins.is_empty() {
            return None;
        }
        let origins: Vec<String> = origins.split(',').map(str::to_lowercase).collect();
        let split = |origin: &String| match origin.split_once('*') {
            Some((begin, end)) => (begin.to_owned(), Some(end.to_owned())),
            None => (origin.clone(), None),
        };
        Some(Self { all: origins.iter().any(|o| o == "*"), origins: origins.iter().map(split).collect() })
    }

    /// The answer to a preflight request; none when the request is another.
    pub fn preflight<B>(&self, request: &Request<B>) -> Option<Reply> {
        let headers = request.headers();
        let wanted = text(headers, ACCESS_CONTROL_REQUEST_METHOD.as_str()).filter(|m| !m.is_empty())?;
        if request.method() != Method::OPTIONS {
            return None;
        }
        let mut answer = reply::status(StatusCode::OK);
        for name in ["Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"] {
            answer.headers_mut().append(VARY, HeaderValue::from_static(name));
        }
        let wanted = wanted.to_uppercase();
        if let Some(origin) = self.origin(request)
            && METHODS.contains(&wanted.as_str())
            && let Ok(method) = HeaderValue::from_str(&wanted)
        {
            answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_METHODS, method);
            if let Some(names) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS).filter(|n| !n.is_empty()) {
                answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
            }
        }
        Some(answer)
    }

    /// What the answer to another request gets.
    pub fn mark<B>(&self, request: &Request<B>) -> Mark {
        Mark(METHODS.contains(&request.method().as_str()).then(|| self.origin(request)).flatten())
    }

    fn origin<B>(&self, request: &Request<B>) -> Option<HeaderValue> {
        let value = request.headers().get(ORIGIN).filter(|o| !o.is_empty())?;
        if self.all {
            return Some(ANY);
        }
        let origin = value.to_str().ok()?.to_lowercase();
        let allowed = |(begin, end): &(String, Option<String>)| match end {
            None => origin == *begin,
            Some(end) => origin.len() >= begin.len() + end.len() && origin.starts_with(begin.as_str()) && origin.ends_with(end.as_str()),
        };
        self.origins.iter().any(allowed).then(|| value.clone())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn asked(cors: &str, origin: &str) -> Option<String> {
        let request = Request::options("/x").header("origin", origin).header("access-control-request-method", "get").body(()).unwrap();
        let answer = Cors::new(cors).unwrap().preflight(&request).unwrap();
        assert!(answer.status() == 200 && answer.headers().contains_key("vary"));
        answer.headers().get("access-control-allow-origin").map(|v| v.to_str().unwrap().to_owned())
    }

    #[test]
    fn origins_are_checked() {
        assert!(Cors::new("").is_none());
        assert_eq!(asked("*", "https://a").as_deref(), Some("*"));
        assert_eq!(asked("https://a,https://*.b", "https://x.B").as_deref(), Some("https://x.B"));
        assert_eq!(asked("https://a", "https://b"), None);
        let plain = Request::get("/x").body(()).unwrap();
        assert!(Cors::new("*").unwrap().preflight(&plain).is_none() && Cors::new("*").unwrap().mark(&plain).0.is_none());
    }
}
