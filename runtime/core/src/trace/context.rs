//! What identifies a span, between its forms: `traceparent` text, the 29 bytes of `grpc-trace-bin`, and `tracestate` beside them.

use std::sync::Arc;

/// The most members that a `tracestate` may have.
const MEMBERS: usize = 32;
/// The longest `tracestate` that is sent on.
const LONGEST: usize = 512;

/// See the module's text. All zeros is no span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpanContext {
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
    pub flags: u8,
}

/// A span of somebody else's, or of ours for somebody else, with what vendors say about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    pub context: SpanContext,
    pub state: Option<Arc<str>>,
}

impl SpanContext {
    /// From a `traceparent`; none when it is not well-formed or all zero.
    pub fn from_text(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('-');
        let version = hex::<1>(parts.next()?)?;
        let (trace_id, span_id) = (hex::<16>(parts.next()?)?, hex::<8>(parts.next()?)?);
        let [flags] = hex::<1>(parts.next()?)?;
        // Version 255 is reserved; the first version has exactly four parts.
        if version == [0xff] || (version == [0] && parts.next().is_some()) {
            return None;
        }
        let context = Self { trace_id, span_id, flags };
        context.is_valid().then_some(context)
    }

    /// Like [`SpanContext::from_text`]; all zeros instead of none.
    pub fn from_text_or_zero(text: Option<&str>) -> Self {
        text.and_then(Self::from_text).unwrap_or_default()
    }

    pub fn text(&self) -> String {
        let mut text = String::with_capacity(55);
        text.push_str("00-");
        for (bytes, end) in [(&self.trace_id[..], "-"), (&self.span_id[..], "-"), (&[self.flags][..], "")] {
            for byte in bytes {
                for digit in [byte >> 4, byte & 15] {
                    text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
                }
            }
            text.push_str(end);
        }
        text
    }

    pub fn from_binary(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&[0, 0])?;
        let (trace_id, rest) = rest.split_first_chunk::<16>()?;
        let (span_id, rest) = match rest.strip_prefix(&[1]).and_then(|rest| rest.split_first_chunk::<8>()) {
            Some((span_id, rest)) => (*span_id, rest),
            None => ([0; 8], rest),
        };
        let flags = rest.strip_prefix(&[2]).and_then(|rest| rest.first()).copied().unwrap_or(0);
        Some(Self { trace_id: *trace_id, span_id, flags })
    }

    /// The binary form.
    pub fn binary(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(29);
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&self.trace_id);
        bytes.push(1);
        bytes.extend_from_slice(&self.span_id);
        bytes.extend_from_slice(&[2, self.flags]);
        bytes
    }

    pub fn is_valid(&self) -> bool {
        self.trace_id != [0; 16] && self.span_id != [0; 8]
    }

    pub fn is_sampled(&self) -> bool {
        self.flags & 1 == 1
    }
}

impl Link {
    /// From the two headers; a `tracestate` that is not well-formed is left out.
    pub fn from_text(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let context = SpanContext::from_text(traceparent)?;
        Some(Self { context, state: tracestate.filter(|state| is_tracestate(state)).map(Arc::from) })
    }
}

/// Whether a text is a `tracestate` that can be sent on: `vendor=value,…`.
pub fn is_tracestate(text: &str) -> bool {
    let members = || text.split(',').map(str::trim).filter(|member| !member.is_empty());
    text.len() <= LONGEST && members().count() <= MEMBERS && members().next().is_some() && members().all(is_member)
}

fn is_member(member: &str) -> bool {
    let Some((key, value)) = member.split_once('=') else { return false };
    let of_key = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-*/@".contains(&b);
    let of_value = |b: u8| (0x20..=0x7e).contains(&b) && b != b'=';
    !key.is_empty() && key.len() <= 256 && key.bytes().all(of_key) && !value.is_empty() && value.len() <= 256 && value.bytes().all(of_value)
}

/// Exactly `N` bytes of hexadecimal digits; small letters only, as the header has them.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = *pair else { return None };
        *byte = digit(high)? << 4 | digit(low)?;
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
        let span = SpanContext::from_text(PARENT).unwrap();
        assert_eq!(span.text(), PARENT);
        let binary = span.binary();
        assert_eq!(binary.len(), 29);
        assert_eq!(SpanContext::from_binary(&binary), Some(span));
        assert_eq!(SpanContext::from_text_or_zero(None).text(), "00-00000000000000000000000000000000-0000000000000000-00");
        let later = format!("cc{}-what-will-be", &PARENT[2..]);
        assert_eq!(SpanContext::from_text(&later), Some(span));
    }

    #[test]
    fn what_is_malformed_is_no_span() {
        for wrong in [
            "",
            "nonsense",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-é4f92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        ] {
            assert_eq!(SpanContext::from_text(wrong), None, "{wrong}");
        }
        for wrong in [&[][..], &[0, 0, 1], &[1, 0], &[0; 17]] {
            assert_eq!(SpanContext::from_binary(wrong), None);
        }
    }

    #[test]
    fn tracestates() {
        for right in ["a=b", "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7", "a@v=1 2,, b=c"] {
            assert!(is_tracestate(right), "{right}");
        }
        for wrong in ["", "a", "=b", "a=", "A=b", "a=b=c", &"a=b,".repeat(200)] {
            assert!(!is_tracestate(wrong), "{wrong}");
        }
        assert_eq!(Link::from_text(PARENT, Some("A")).unwrap().state, None);
    }
}
