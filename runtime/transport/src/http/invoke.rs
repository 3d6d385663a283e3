//! Calls to other applications: who is meant. It is also what answers to every path that no route knows.

use super::path;
use super::query::{unescape, unescape_path};
use super::reply::Reply;
use super::request::{Call, text};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::HeaderMap;
use proa_model::Error;
use proa_model::error::invoke;

const APP_ID: &str = "dapr-app-id";

/// No name can be resolved without a name resolution component, so every call ends as it does for an unknown application.
pub fn invoke(call: &Call<'_>) -> Result<Reply, Error> {
    let path = unescape_path(call.parts.uri.path());
    match target(&path, &call.parts.headers) {
        None => Err(invoke::no_target()),
        Some((app_id, _)) => Err(invoke::failed(&app_id, &format!("couldn't find service: {app_id}"))),
    }
}

/// The application and the method of a request, from the header, the user of basic authentication, or the (decoded) path.
pub fn target(path: &str, headers: &HeaderMap) -> Option<(String, String)> {
    if let Some(app_id) = text(headers, APP_ID).filter(|a| !a.is_empty()).map(str::to_owned).or_else(|| user(headers)) {
        return Some((app_id, method(path)));
    }
    let rest = after(path, "v1.0").and_then(|p| after(p, "invoke"))?;
    let (app_id, called) = rest.split_once("/method/").filter(|(app_id, _)| !app_id.is_empty())?;
    let app_id = match unescape(app_id) {
        Ok(plain) if !plain.is_empty() => plain.into_owned(),
        _ => app_id.to_owned(),
    };
    Some((app_id, method(called)))
}

fn method(path: &str) -> String {
    path::clean(path).trim_start_matches('/').to_owned()
}

/// What follows a segment and the slashes after it.
fn after<'p>(path: &'p str, segment: &str) -> Option<&'p str> {
    let rest = path.trim_start_matches('/').strip_prefix(segment)?;
    rest.starts_with('/').then(|| rest.trim_start_matches('/'))
}

fn user(headers: &HeaderMap) -> Option<String> {
    let encoded = text(headers, "authorization")?.strip_prefix("Basic ")?;
    let plain = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (user, password) = plain.split_once(':')?;
    (user.eq_ignore_ascii_case(APP_ID) && !password.is_empty() && !password.contains(':')).then(|| password.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_found_in_three_places() {
        let none = HeaderMap::new();
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(target("/v1.0/invoke/app/method/a/b", &none), pair("app", "a/b"));
        assert_eq!(target("/v1.0//invoke/http://host/method/x", &none), pair("http://host", "x"));
        assert_eq!(target("/v1.0/invoke/app/method/", &none), pair("app", ""));
        assert_eq!(target("/v1.0/invoke/app", &none), None);
        assert_eq!(target("/other", &none), None);
        let mut headers = HeaderMap::new();
        headers.insert("authorization", format!("Basic {}", STANDARD.encode("dapr-app-id:other")).parse().unwrap());
        assert_eq!(target("/a//b", &headers), pair("other", "a/b"));
        headers.insert("dapr-app-id", "first".parse().unwrap());
        assert_eq!(target("/a", &headers), pair("first", "a"));
    }
}
