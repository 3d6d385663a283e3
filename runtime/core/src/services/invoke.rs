//! Service invocation: who is meant, where that is, and trying again.
//!
//! A call of the application itself goes straight to its channel. A call runs under the policies for the application; within them, what
//! a peer cannot be reached for is tried again under the built-in policy, unless a resource names the application. Nothing is sent again
//! whose body cannot be, and the address is looked up anew each time.

mod policies;
mod remote;

pub use policies::retries;

use crate::invocation::{InvokeError, InvokeRequest, InvokeResponse};
use crate::options::RuntimeOptions;
use crate::runtime::Runtime;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use proa_model::Grpc;

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

/// Calls a method of an application. Whatever the application answers is `Ok`.
pub async fn invoke(runtime: &Runtime, target: &str, mut request: InvokeRequest) -> Result<InvokeResponse, InvokeError> {
    request.method = normalise(&request.method).map_err(|why| InvokeError::status(Grpc::InvalidArgument, format!("invalid method: {why}")))?;
    let policy = runtime.resiliency().app(target, &request.method);
    policies::under(&policy, request, |request| dispatch(runtime, target, request)).await
}

/// One attempt of the caller's.
async fn dispatch(runtime: &Runtime, target: &str, mut request: InvokeRequest) -> Result<InvokeResponse, InvokeError> {
    let options = runtime.options();
    if target.starts_with("http://") || target.starts_with("https://") {
        return Err(InvokeError::Plain(format!("cannot invoke http endpoint {target}: app channel not initialized")));
    }
    let target = parse(target, &options.namespace)?;
    stamp(&mut request.headers, options, target.app_id);
    if target.app_id == options.app_id && target.namespace == options.namespace {
        let app = runtime.app().ok_or_else(|| InvokeError::Plain("cannot invoke local endpoint: app channel not initialized".into()))?;
        if !runtime.app_is_well() {
            return Err(InvokeError::status(Grpc::Internal, "app is not in a healthy state"));
        }
        return app.invoke(request).await;
    }
    let neighbours = runtime.neighbours.get().ok_or_else(|| InvokeError::Plain("name resolver not initialized".into()))?;
    forward(&mut request.headers, options, target.app_id);
    remote::call(runtime, neighbours, &target, request).await
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

/// The method without dot segments and without a slash in front. What could hide another path is refused.
pub fn normalise(method: &str) -> Result<String, String> {
    if method.contains(['#', '?', '\0']) {
        return Err(format!("method contains forbidden character: {}", quoted(method)));
    }
    if let Some((position, _)) = method.char_indices().find(|(_, c)| c.is_ascii_control()) {
        return Err(format!("method contains control character at position {position}: {}", quoted(method)));
    }
    let mut kept: Vec<&str> = Vec::new();
    for segment in method.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            other => kept.push(other),
        }
    }
    Ok(kept.join("/"))
}

/// As Go quotes a text.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0b' => out.push_str("\\v"),
            '\x0c' => out.push_str("\\f"),
            '\n' | '\r' | '\t' | '"' | '\\' => out.extend(c.escape_default()),
            c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
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

    #[test]
    fn methods_are_made_plain() {
        for (method, plain) in [("a/b", "a/b"), ("/a//./b/", "a/b"), ("../../a/../b", "b"), ("..", ""), ("", "")] {
            assert_eq!(normalise(method).unwrap(), plain, "{method}");
        }
        assert_eq!(normalise("a#b").unwrap_err(), r#"method contains forbidden character: "a#b""#);
        assert_eq!(normalise("a\nb").unwrap_err(), r#"method contains control character at position 1: "a\nb""#);
    }
}
