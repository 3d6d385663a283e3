//! Trace context on the wires: what callers send is read, what the next one is told is written.
//!
//! Clients write the [`current`] span. Without one, headers stay as they came; where Dapr then sends a context of zeros, so do we. A header
//! that is not well-formed is left out and counted.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use proa_core::Metrics;
use proa_core::metrics::Series;
use proa_core::trace::{Link, Span, SpanContext, check_baggage, current};
use tonic::metadata::{MetadataMap, MetadataValue};

mod lenient {
    //! Base64 with or without padding, as gRPC peers send it.
    use base64::alphabet::STANDARD;
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

    pub(super) const ENGINE: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new().with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
}

pub(crate) const PARENT: HeaderName = HeaderName::from_static("traceparent");
pub(crate) const STATE: HeaderName = HeaderName::from_static("tracestate");
pub(crate) const BINARY: HeaderName = HeaderName::from_static("grpc-trace-bin");
pub(crate) const BAGGAGE: HeaderName = HeaderName::from_static("baggage");
/// The same for metadata, which wants a name for ever.
const BINARY_KEY: &str = "grpc-trace-bin";
/// A context that is none.
const ZERO: HeaderValue = HeaderValue::from_static("00-00000000000000000000000000000000-0000000000000000-00");
/// Never an attribute, whatever its name begins with.
const SECRET: &str = "dapr-api-token";

/// The caller's span in HTTP headers.
pub(crate) fn parent(headers: &HeaderMap, metrics: &Metrics) -> Option<Link> {
    let found = headers.get(&PARENT)?;
    let link = found.to_str().ok().and_then(|parent| Link::from_text(parent, headers.get(&STATE).and_then(|v| v.to_str().ok())));
    if link.is_none() && !found.is_empty() && *found != ZERO {
        metrics.count(Series::TraceContextDropped, &["traceparent"]);
    }
    link
}

/// The caller's span in gRPC metadata; the binary form goes before the text.
pub(crate) fn grpc_parent(headers: &HeaderMap, metrics: &Metrics) -> Option<Link> {
    let Some(binary) = headers.get(&BINARY) else { return parent(headers, metrics) };
    let context = lenient::ENGINE.decode(binary).ok().and_then(|bytes| SpanContext::from_binary(&bytes));
    if context.is_none() {
        metrics.count(Series::TraceContextDropped, &["grpc-trace-bin"]);
    }
    context.filter(SpanContext::is_valid).map(|context| Link { context, state: None })
}

/// All baggage of a call.
///
/// # Errors
/// What is wrong with it; the call is refused.
pub(crate) fn baggage(headers: &HeaderMap, metrics: &Metrics) -> Result<Option<String>, String> {
    let Some(baggage) = joined(headers, &BAGGAGE) else { return Ok(None) };
    match check_baggage(&baggage) {
        Ok(()) => Ok(Some(baggage)),
        Err(why) => {
            metrics.count(Series::TraceContextDropped, &["baggage"]);
            Err(why)
        }
    }
}

/// All values of a header, joined by commas.
pub(crate) fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let mut values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let first = values.next()?;
    Some(values.fold(first.to_owned(), |all, one| format!("{all},{one}")))
}

/// Headers that callers begin with `dapr-` in order to see them in the span.
pub(crate) fn wishes(span: &Span, headers: &HeaderMap) {
    for (name, value) in headers {
        let name = name.as_str();
        if name.starts_with("dapr-") && !name.ends_with("-bin") && name != SECRET {
            span.set(name.to_owned(), value.to_str().unwrap_or_default());
        }
    }
}

/// Tells the next one, or the caller, in HTTP headers.
pub(crate) fn put(headers: &mut HeaderMap, link: &Link) {
    headers.insert(PARENT, text(&link.context));
    match link.state.as_deref().and_then(|state| HeaderValue::from_str(state).ok()) {
        Some(state) => headers.insert(STATE, state),
        None => headers.remove(&STATE),
    };
}

/// Tells an HTTP application of the current span.
pub(crate) fn put_http(headers: &mut HeaderMap) {
    match current() {
        Some(span) => put(headers, span.link()),
        None if headers.contains_key(&PARENT) => {}
        None => {
            headers.insert(PARENT, ZERO);
        }
    }
}

/// Tells another sidecar of the current span, in the headers of the call that it hands over.
pub(crate) fn put_relayed(headers: &mut HeaderMap) {
    let Some(span) = current() else { return };
    put(headers, span.link());
    if headers.contains_key(&BINARY)
        && let Ok(binary) = HeaderValue::from_str(&STANDARD.encode(span.context().binary()))
    {
        headers.insert(BINARY, binary);
    }
}

/// Tells whoever a proxied call goes to of the current span, in both forms.
pub(crate) fn put_proxied(headers: &mut HeaderMap) {
    let Some(span) = current() else { return };
    put(headers, span.link());
    headers.insert(BINARY, binary(&span.context()));
}

/// Tells another sidecar of the current span, where there is one.
pub(crate) fn put_peer(metadata: &mut MetadataMap) {
    if current().is_some() {
        put_grpc(metadata);
    }
}

/// Tells a gRPC server of the current span, in both forms.
pub(crate) fn put_grpc(metadata: &mut MetadataMap) {
    let context = match current() {
        Some(span) => {
            put(metadata.as_mut(), span.link());
            span.context()
        }
        None if metadata.contains_key(BINARY_KEY) => return,
        None => {
            let headers: &mut HeaderMap = metadata.as_mut();
            headers.entry(PARENT).or_insert(ZERO);
            SpanContext::default()
        }
    };
    metadata.insert_bin(BINARY_KEY, MetadataValue::from_bytes(&context.binary()));
}

/// The header `traceparent`.
pub(crate) fn text(context: &SpanContext) -> HeaderValue {
    HeaderValue::from_str(&context.text()).unwrap_or(ZERO)
}

/// The header `grpc-trace-bin`.
pub(crate) fn binary(context: &SpanContext) -> HeaderValue {
    // Base64 is always a header's value.
    HeaderValue::from_str(&STANDARD_NO_PAD.encode(context.binary())).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use proa_core::trace::{Kind, Tracer, within};

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-02";

    #[test]
    fn the_binary_header_wins() {
        let mut headers = HeaderMap::new();
        headers.insert(PARENT, "00-11111111111111111111111111111111-2222222222222222-01".parse().unwrap());
        headers.insert(STATE, "a=b".parse().unwrap());
        let metrics = Metrics::disabled();
        let text = grpc_parent(&headers, &metrics).unwrap();
        assert_eq!((text.context.trace_id, text.state.as_deref()), ([0x11; 16], Some("a=b")));
        let given = SpanContext::from_text(GIVEN).unwrap();
        headers.insert(BINARY, binary(&given));
        assert_eq!(grpc_parent(&headers, &metrics).unwrap().context, given);
        headers.insert(BINARY, "not base64!".parse().unwrap());
        assert!(grpc_parent(&headers, &metrics).is_none());
    }

    #[tokio::test]
    async fn the_next_one_is_told_of_the_current_span() {
        let mut headers = HeaderMap::new();
        headers.insert(PARENT, GIVEN.parse().unwrap());
        headers.insert(STATE, "a=b".parse().unwrap());
        let link = parent(&headers, &Metrics::disabled());
        let span = Tracer::new("1", None).start(Kind::Client, String::new, link).unwrap();
        let mut metadata = MetadataMap::new();
        within(Some(span.clone()), async {
            put_http(&mut headers);
            put_grpc(&mut metadata);
        })
        .await;
        assert_eq!((headers[&PARENT].to_str().unwrap(), headers[&STATE].to_str().unwrap()), (&*span.context().text(), "a=b"));
        assert_eq!(metadata.get_bin(BINARY_KEY).unwrap().to_bytes().unwrap(), span.context().binary());
        assert_ne!(headers[&PARENT], GIVEN);
    }

    #[test]
    fn without_a_span_headers_stay() {
        let mut headers = HeaderMap::new();
        put_http(&mut headers);
        assert_eq!(headers[&PARENT], ZERO);
        headers.insert(PARENT, GIVEN.parse().unwrap());
        put_http(&mut headers);
        put_relayed(&mut headers);
        assert_eq!(headers[&PARENT], GIVEN);
    }

    #[test]
    fn secrets_are_no_attributes() {
        struct Kept(std::sync::Mutex<Option<proa_core::trace::Record>>);
        impl proa_core::trace::Sink for Kept {
            fn take(&self, span: proa_core::trace::Record) {
                *self.0.lock().unwrap() = Some(span);
            }
        }
        let kept = std::sync::Arc::new(Kept(Default::default()));
        let span = Tracer::new("1", Some(kept.clone())).start(Kind::Client, String::new, None).unwrap();
        let mut headers = HeaderMap::new();
        for name in ["dapr-api-token", "dapr-mine", "dapr-x-bin", "other"] {
            headers.insert(HeaderName::from_static(name), "v".parse().unwrap());
        }
        wishes(&span, &headers);
        span.end();
        let attributes = kept.0.lock().unwrap().take().unwrap().attributes;
        assert_eq!(attributes.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["dapr-mine"]);
    }
}
