//! Trace context between its forms: `traceparent` text, the 29 bytes of `grpc-trace-bin`, and baggage.
//!
//! Without an exporter a sidecar starts no spans of its own: it hands on what came, and all zeros when nothing came.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http::{HeaderMap, HeaderValue};
use proa_core::{Cx, Transport};
use tonic::Status;

mod lenient {
    //! Base64 with or without padding, as gRPC peers send it.
    use base64::alphabet::STANDARD;
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

    pub(super) const ENGINE: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new().with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
}

/// The header of the binary form.
pub(crate) const BINARY: &str = "grpc-trace-bin";
/// A span that is none.
const NONE: Span = Span { trace: [0; 16], parent: [0; 8], flags: 0 };

/// What identifies a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    trace: [u8; 16],
    parent: [u8; 8],
    flags: u8,
}

impl Span {
    /// From a `traceparent`; none when it is not well-formed or all zero.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('-');
        let version = hex::<1>(parts.next()?)?;
        let (trace, parent) = (hex::<16>(parts.next()?)?, hex::<8>(parts.next()?)?);
        let [flags] = hex::<1>(parts.next()?)?;
        // Version 255 is reserved; the first version has exactly four parts.
        if version == [0xff] || (version == [0] && parts.next().is_some()) {
            return None;
        }
        (trace != [0; 16] && parent != [0; 8]).then_some(Self { trace, parent, flags })
    }

    /// Like [`Span::from_text`]; all zeros instead of none.
    pub(crate) fn from_text_or_zero(text: Option<&str>) -> Self {
        text.and_then(Self::from_text).unwrap_or(NONE)
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::with_capacity(55);
        text.push_str("00-");
        for (bytes, end) in [(&self.trace[..], "-"), (&self.parent[..], "-"), (&[self.flags][..], "")] {
            for byte in bytes {
                for digit in [byte >> 4, byte & 15] {
                    text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
                }
            }
            text.push_str(end);
        }
        text
    }

    pub(crate) fn from_binary(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&[0, 0])?;
        let (trace, rest) = rest.split_first_chunk::<16>()?;
        let (parent, rest) = match rest.strip_prefix(&[1]).and_then(|rest| rest.split_first_chunk::<8>()) {
            Some((parent, rest)) => (*parent, rest),
            None => ([0; 8], rest),
        };
        let flags = rest.strip_prefix(&[2]).and_then(|rest| rest.first()).copied().unwrap_or(0);
        Some(Self { trace: *trace, parent, flags })
    }

    /// The binary form.
    pub(crate) fn binary(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(29);
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&self.trace);
        bytes.push(1);
        bytes.extend_from_slice(&self.parent);
        bytes.extend_from_slice(&[2, self.flags]);
        bytes
    }
}

/// The trace context of a call and the header that answers it.
pub(super) struct Incoming {
    pub(super) cx: Cx,
    pub(super) echo: Option<HeaderValue>,
    pub(super) baggage: Option<HeaderValue>,
}

/// Reads the trace headers; with `tracing` off only baggage is taken over.
///
/// # Errors
/// Baggage that is not well-formed refuses the call.
pub(super) fn incoming(headers: &HeaderMap, tracing: bool) -> Result<Incoming, Status> {
    let mut cx = Cx::new(Transport::Grpc);
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    cx.baggage = joined(headers, "baggage");
    if !tracing {
        return Ok(Incoming { cx, echo: None, baggage: None });
    }
    if let Some(baggage) = &cx.baggage {
        check_baggage(baggage)?;
    }
    let span = match headers.get(BINARY) {
        Some(binary) => lenient::ENGINE.decode(binary).ok().and_then(|bytes| Span::from_binary(&bytes)),
        None => {
            let span = text("traceparent").and_then(Span::from_text);
            if span.is_some() {
                cx.tracestate = text("tracestate").map(str::to_owned);
            }
            span
        }
    };
    cx.traceparent = span.map(|span| span.text());
    let echo = STANDARD_NO_PAD.encode(span.unwrap_or(NONE).binary());
    Ok(Incoming { echo: HeaderValue::from_str(&echo).ok(), baggage: cx.baggage.as_deref().and_then(|b| HeaderValue::from_str(b).ok()), cx })
}

/// Whether trace context is looked at: everything but a sampling rate of zero, as in Dapr.
pub(crate) fn enabled(sampling_rate: &str) -> bool {
    sampling_rate.trim().parse::<f64>() != Ok(0.0)
}

/// All values of a header, joined by commas.
fn joined(headers: &HeaderMap, name: &str) -> Option<String> {
    let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    (!values.is_empty()).then(|| values.join(","))
}

/// Whether the text is baggage: `key=value;property,…`.
pub(crate) fn check_baggage(text: &str) -> Result<(), Status> {
    let wrong = |what: &str, member: &str| Status::invalid_argument(format!("invalid baggage header: {what}: {member:?}"));
    for member in text.split(',') {
        let pair = member.split(';').next().unwrap_or_default();
        let Some((key, value)) = pair.split_once('=') else {
            return Err(wrong("invalid baggage list-member", member));
        };
        if key.trim().is_empty() || !key.trim().bytes().all(is_token) {
            return Err(wrong("invalid key", key));
        }
        if !value.trim().bytes().all(is_baggage_octet) {
            return Err(wrong("invalid value", value));
        }
    }
    Ok(())
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_baggage_octet(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e)
}

/// Exactly `N` bytes of hexadecimal digits.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-02";

    #[test]
    fn both_forms_carry_the_same() {
        let span = Span::from_text(PARENT).unwrap();
        assert_eq!(span.text(), PARENT);
        let binary = span.binary();
        assert_eq!(binary.len(), 29);
        assert_eq!(Span::from_binary(&binary), Some(span));
        assert_eq!(Span::from_text_or_zero(None).text(), "00-00000000000000000000000000000000-0000000000000000-00");
        for wrong in
            ["", "nonsense", "00-00000000000000000000000000000000-00f067aa0ba902b7-01", "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"]
        {
            assert_eq!(Span::from_text(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_binary_header_wins() {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", "00-11111111111111111111111111111111-2222222222222222-01".parse().unwrap());
        headers.insert("tracestate", "a=b".parse().unwrap());
        let text_only = incoming(&headers, true).ok().unwrap();
        assert!(text_only.cx.traceparent.unwrap().starts_with("00-1111"));
        assert_eq!(text_only.cx.tracestate.as_deref(), Some("a=b"));

        let encoded = STANDARD_NO_PAD.encode(Span::from_text(PARENT).unwrap().binary());
        headers.insert(BINARY, encoded.parse().unwrap());
        let both = incoming(&headers, true).ok().unwrap();
        assert_eq!(both.cx.traceparent.as_deref(), Some(PARENT));
        assert_eq!(both.echo.unwrap(), encoded.as_str());
        assert!(incoming(&headers, false).ok().unwrap().cx.traceparent.is_none());
    }

    #[test]
    fn baggage_is_checked() {
        assert!(check_baggage("key1=value1,key2=value2;p=1").is_ok());
        let refused = check_baggage("invalid-baggage").unwrap_err();
        assert_eq!(refused.code(), tonic::Code::InvalidArgument);
        assert!(refused.message().contains("invalid baggage header"));
    }
}
