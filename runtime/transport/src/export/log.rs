//! Spans as lines of the log.

use proa_core::trace::Record;
use std::time::SystemTime;

pub(super) fn write(batch: &[Record]) {
    for span in batch {
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let (trace, own) = (hex(&span.link.context.trace_id), hex(&span.link.context.span_id));
        let parent = hex(&span.parent.unwrap_or_default());
        tracing::info!(
            target: "dapr.runtime.trace",
            "[{}] Trace: {trace} Span: {parent}/{own} Time: [{} ->  {}] Annotations: []",
            span.name,
            time(span.begun),
            time(span.ended)
        );
    }
}

fn time(at: SystemTime) -> String {
    jiff::Timestamp::try_from(at).map_or_else(|_| String::new(), |at| at.strftime("%Y-%m-%d %H:%M:%S%.f +0000 UTC").to_string())
}
