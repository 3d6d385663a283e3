//! Calls between applications, in the forms that the wires have: headers of HTTP, metadata of gRPC, and the map between sidecars.
//!
//! Headers that belong to one connection end here, in every direction.

use crate::grpc::trace::Span;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use proa_core::Transport;
use proa_core::invocation::InvokeBody;
use proa_host::middleware::{Body, BoxError};
use proa_protocol::internals::v1::ListStringValue;
use std::collections::HashMap;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue, BinaryMetadataKey, MetadataMap, MetadataValue};

const DESTINATION: &str = "destination-app-id";
const BINARY_TRACE: &str = "grpc-trace-bin";
/// The largest piece of a body in one message between sidecars.
pub(crate) const PIECE: usize = 32 << 10;

/// Headers as HTTP sends them on, from whatever the other side spoke. Type and length of the content are told apart from them.
pub(crate) fn http_headers(headers: &HeaderMap) -> HeaderMap {
    let nominated = nominated(headers);
    let mut out = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let text = name.as_str();
        if is_own(text) || nominated.iter().any(|n| n == text) || text == DESTINATION || text == "content-type" || text == "content-length" {
            continue;
        }
        if text == BINARY_TRACE {
            let span = STANDARD.decode(value).ok().and_then(|bytes| Span::from_binary(&bytes));
            if let Some(span) = span.and_then(|s| HeaderValue::from_str(&s.text()).ok()).filter(|_| !headers.contains_key("traceparent")) {
                out.insert("traceparent", span);
            }
        } else if text.ends_with("-bin") {
        } else if text.starts_with("grpc-") {
            if let Ok(name) = HeaderName::try_from(format!("dapr-{text}")) {
                out.append(name, value.clone());
            }
        } else {
            out.append(name.clone(), value.clone());
        }
    }
    out
}

/// Headers as metadata for an application that speaks gRPC; those that HTTP gave a meaning to get a prefix.
pub(crate) fn grpc_metadata(headers: &HeaderMap) -> MetadataMap {
    let nominated = nominated(headers);
    let mut out = MetadataMap::with_capacity(headers.len());
    for (name, value) in headers {
        let text = name.as_str();
        if text == DESTINATION || nominated.iter().any(|n| n == text) || matches!(text, "te" | "trailer" | "http2-settings") {
            continue;
        }
        if text.ends_with("-bin") {
            if let (Ok(key), Ok(bytes)) = (BinaryMetadataKey::from_bytes(text.as_bytes()), STANDARD.decode(value)) {
                out.append_bin(key, MetadataValue::from_bytes(&bytes));
            }
            continue;
        }
        let prefix = if is_permanent(text) || text.starts_with("grpc-") { "dapr-" } else { "" };
        let key = AsciiMetadataKey::from_bytes(format!("{prefix}{text}").as_bytes());
        if let (Ok(key), Ok(value)) = (key, AsciiMetadataValue::try_from(value.as_bytes())) {
            out.append(key, value);
        }
    }
    if !out.contains_key(BINARY_TRACE)
        && let Some(span) = headers.get("traceparent").and_then(|t| t.to_str().ok()).and_then(Span::from_text)
    {
        out.insert_bin(BINARY_TRACE, MetadataValue::from_bytes(&span.binary()));
    }
    out
}

/// Headers as sidecars exchange them; names as they are written in HTTP when that is where they came from.
pub(crate) fn to_map(headers: &HeaderMap, origin: Transport) -> HashMap<String, ListStringValue> {
    let mut map: HashMap<String, ListStringValue> = HashMap::with_capacity(headers.len());
    for (name, value) in headers {
        let text = name.as_str();
        // The sidecars' own headers are looked for in lower case.
        let plain = origin == Transport::Grpc || text.starts_with("dapr-") || text == DESTINATION;
        let key = if plain { text.to_owned() } else { canonical(text) };
        map.entry(key).or_default().values.push(String::from_utf8_lossy(value.as_bytes()).into_owned());
    }
    map
}

/// The other way round, and what the caller spoke. What no header can carry is left out.
pub(crate) fn from_map(map: HashMap<String, ListStringValue>) -> (HeaderMap, Transport) {
    let grpc = map.get("content-type").and_then(|v| v.values.first()).is_some_and(|t| t.starts_with("application/grpc"));
    let mut headers = HeaderMap::with_capacity(map.len());
    for (key, list) in map {
        let name = match key.strip_prefix(':') {
            Some(pseudo) => HeaderName::try_from(format!("dapr-{pseudo}")),
            None => HeaderName::try_from(key.as_str()),
        };
        let Ok(name) = name else { continue };
        for value in list.values {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.append(name.clone(), value);
            }
        }
    }
    (headers, if grpc { Transport::Grpc } else { Transport::Http })
}

/// `x-some-name` as `X-Some-Name`.
fn canonical(name: &str) -> String {
    let mut start = true;
    let capital = |c: char| {
        let written = if start { c.to_ascii_uppercase() } else { c };
        start = c == '-';
        written
    };
    name.chars().map(capital).collect()
}

/// Headers of one connection, by their names in small letters.
pub(crate) fn is_own(name: &str) -> bool {
    const OWN: [&str; 10] = [
        "connection",
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
        "te",
        "trailer",
        "proxy-authorization",
        "proxy-authenticate",
    ];
    OWN.contains(&name) || name == "host"
}

/// What `Connection` names besides.
fn nominated(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(CONNECTION).iter().filter_map(|v| v.to_str().ok());
    values.flat_map(|v| v.split(',')).map(|token| token.trim().to_ascii_lowercase()).filter(|t| !t.is_empty()).collect()
}

/// Headers of HTTP that gRPC metadata would give another meaning.
fn is_permanent(name: &str) -> bool {
    const PERMANENT: [&str; 27] = [
        "accept",
        "accept-charset",
        "accept-language",
        "accept-ranges",
        "connection",
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
        "cache-control",
        "content-type",
        "content-length",
        "cookie",
        "date",
        "expect",
        "from",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-schedule-tag-match",
        "if-unmodified-since",
        "max-forwards",
        "origin",
        "pragma",
        "referer",
        "via",
    ];
    PERMANENT.contains(&name) || matches!(name, "warning" | "user-agent")
}

/// A body in pieces that fit into messages. A failed body is an error in its place.
pub(crate) fn pieces(body: InvokeBody) -> BoxStream<'static, Result<Bytes, BoxError>> {
    let body = match body {
        InvokeBody::Full(bytes) => return Box::pin(stream::iter(split(bytes).into_iter().map(Ok))),
        InvokeBody::Stream(body) => body,
    };
    let step = |(mut body, mut rest): (Body, Bytes)| async move {
        loop {
            if !rest.is_empty() {
                let piece = rest.split_to(rest.len().min(PIECE));
                return Some((Ok(piece), (body, rest)));
            }
            match body.frame().await? {
                Ok(frame) => rest = frame.into_data().unwrap_or_default(),
                Err(error) => return Some((Err(error), (body, rest))),
            }
        }
    };
    Box::pin(stream::unfold((body, Bytes::new()), step))
}

fn split(mut bytes: Bytes) -> Vec<Bytes> {
    let mut pieces = Vec::with_capacity(bytes.len() / PIECE + 1);
    while !bytes.is_empty() {
        pieces.push(bytes.split_to(bytes.len().min(PIECE)));
    }
    pieces
}

/// The other way round.
pub(crate) fn body(pieces: impl futures::Stream<Item = Result<Bytes, BoxError>> + Send + 'static) -> Body {
    use futures::StreamExt;
    StreamBody::new(pieces.map(|piece| piece.map(Frame::data))).boxed_unsync()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn what_belongs_to_a_connection_stays_there() {
        let came = headers(&[
            ("connection", "close, X-Mine"),
            ("x-mine", "1"),
            ("te", "trailers"),
            ("x-kept", "a"),
            ("x-kept", "b"),
            ("destination-app-id", "x"),
        ]);
        assert_eq!(http_headers(&came), headers(&[("x-kept", "a"), ("x-kept", "b")]));
        let metadata = grpc_metadata(&headers(&[("accept", "*/*"), ("x-kept", "a"), ("x-some-bin", "aGk=")]));
        assert_eq!((metadata.get("dapr-accept").unwrap().to_str().unwrap(), metadata.get("x-kept").unwrap().to_str().unwrap()), ("*/*", "a"));
        assert_eq!(metadata.get_bin("x-some-bin").unwrap().to_bytes().unwrap(), "hi");
    }

    #[test]
    fn sidecars_write_http_names_as_http_does() {
        let map = to_map(&headers(&[("content-type", "text/plain"), ("dapr-caller-app-id", "a"), ("x-two", "1"), ("x-two", "2")]), Transport::Http);
        assert_eq!(map["X-Two"].values, ["1", "2"]);
        assert!(map.contains_key("Content-Type") && map.contains_key("dapr-caller-app-id"));
        let (back, origin) = from_map(map);
        assert_eq!((back.get("content-type").unwrap(), origin), (&HeaderValue::from_static("text/plain"), Transport::Http));
        let grpc = to_map(&headers(&[("content-type", "application/grpc")]), Transport::Grpc);
        assert_eq!(from_map(grpc).1, Transport::Grpc);
    }
}
