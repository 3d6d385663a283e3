//! Which spans are made and which are recorded: as the caller decided; without a caller, a share of the traces, by their ids, so that
//! every sidecar decides the same.

use super::context::{Link, SpanContext};
use super::span::{Kind, Record, Span};
use std::sync::Arc;

/// The share of traces that is recorded when the configuration gives none that is a number.
const DEFAULT_RATE: f64 = 1e-4;

/// Where spans go when they have ended. It must not wait.
pub trait Sink: Send + Sync {
    fn take(&self, span: Record);
}

/// See the module's text. Clones are the same one.
#[derive(Clone, Default)]
pub struct Tracer {
    off: bool,
    active: Option<Arc<Active>>,
}

pub(super) struct Active {
    /// Trace ids below are recorded; 2^63 for all.
    threshold: u64,
    sink: Option<Arc<dyn Sink>>,
}

fn rate(text: &str) -> f64 {
    text.trim().parse().unwrap_or(DEFAULT_RATE)
}

/// Whether trace context is looked at: everything but a rate of zero.
pub fn is_on(sampling_rate: &str) -> bool {
    rate(sampling_rate) != 0.0
}

impl Tracer {
    /// A tracer for a configured rate. Without rate and sink it hands on what comes and makes no spans.
    pub fn new(sampling_rate: &str, sink: Option<Arc<dyn Sink>>) -> Self {
        if !is_on(sampling_rate) {
            return Self { off: true, active: None };
        }
        if sampling_rate.is_empty() && sink.is_none() {
            return Self::default();
        }
        const ALL: u64 = 1 << 63;
        // Beyond the ends of the range the conversion stays at its end.
        let threshold = ((rate(sampling_rate).max(0.0) * ALL as f64) as u64).min(ALL);
        Self { off: false, active: Some(Arc::new(Active { threshold, sink })) }
    }

    /// Whether trace context is looked at.
    pub fn is_on(&self) -> bool {
        !self.off
    }

    /// A span for a call that came in. None when there is nothing to hand on.
    pub fn start(&self, kind: Kind, name: impl FnOnce() -> String, parent: Option<Link>) -> Option<Span> {
        match &self.active {
            _ if self.off => None,
            Some(active) => Some(Span::begin(active, kind, name(), parent.as_ref(), true)),
            None => parent.map(Span::passing),
        }
    }
}

impl Active {
    /// A new span's identity, and whether it is recorded.
    pub(super) fn identify(&self, parent: Option<SpanContext>) -> (SpanContext, bool) {
        let (trace_id, sampled) = match parent.filter(SpanContext::is_valid) {
            Some(parent) => (parent.trace_id, parent.is_sampled()),
            None => {
                let trace_id: [u8; 16] = rand::random();
                let [.., a, b, c, d, e, f, g, h] = trace_id;
                (trace_id, u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1 < self.threshold)
            }
        };
        let context = SpanContext { trace_id, span_id: rand::random(), flags: u8::from(sampled) };
        (context, sampled && self.sink.is_some())
    }

    pub(super) fn hand_out(&self, record: Record) {
        if let Some(sink) = &self.sink {
            sink.take(record);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Kept(Mutex<Vec<Record>>);

    impl Sink for Kept {
        fn take(&self, span: Record) {
            self.0.lock().unwrap().push(span);
        }
    }

    fn parent(flags: u8) -> Option<Link> {
        Link::from_text(&format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0{flags}"), Some("a=b"))
    }

    #[test]
    fn without_configuration_what_came_goes_on() {
        let tracer = Tracer::new("", None);
        assert!(tracer.start(Kind::Client, || panic!("no name is made"), None).is_none());
        assert_eq!(*tracer.start(Kind::Client, String::new, parent(1)).unwrap().link(), parent(1).unwrap());
        assert!(Tracer::new("0", None).start(Kind::Client, String::new, parent(1)).is_none());
    }

    #[test]
    fn the_caller_decides() {
        let kept = Arc::new(Kept::default());
        let tracer = Tracer::new("0.0000001", Some(kept.clone()));
        let unsampled = tracer.start(Kind::Server, String::new, parent(0)).unwrap();
        assert!(!unsampled.is_recording() && !unsampled.child(Kind::Internal, String::new()).is_recording());
        let span = tracer.start(Kind::Server, || "a".into(), parent(1)).unwrap();
        span.set("x", "y");
        span.set("empty", "");
        let child = span.child(Kind::Internal, "b".into());
        child.fail("why");
        child.end();
        child.end();
        drop((child, span, unsampled));
        let kept = kept.0.lock().unwrap();
        assert_eq!(kept.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(kept[0].parent, Some(kept[1].link.context.span_id));
        assert_eq!((kept[1].parent, kept[1].link.state.as_deref()), (Some(parent(1).unwrap().context.span_id), Some("a=b")));
        assert_eq!((kept[0].failure.as_deref(), kept[1].attributes.len()), (Some("why"), 1));
        assert_eq!(kept[0].link.context.trace_id, parent(1).unwrap().context.trace_id);
    }

    #[test]
    fn a_share_of_the_traces_is_recorded() {
        for (rate, least, most) in [("1", 1000, 1000), ("0.5", 400, 600), ("2", 1000, 1000), ("-1", 0, 0)] {
            let tracer = Tracer::new(rate, Some(Arc::new(Kept::default())));
            let recorded = (0..1000).filter(|_| tracer.start(Kind::Client, String::new, None).unwrap().is_recording()).count();
            assert!((least..=most).contains(&recorded), "{rate}: {recorded}");
        }
    }
}
