//! Where spans go when they have ended: OTLP over gRPC or HTTP, Zipkin, the log.
//!
//! Ending a span costs a place in a bounded queue; one task takes spans out in batches and sends each batch everywhere. A full queue and
//! a batch that a collector does not take within its time lose spans, which is counted in `proa_trace_spans_dropped_total` and said once
//! in the log. No call ever waits for a collector. Batches follow the `OTEL_BSP_*` variables.

mod log;
mod otlp;
mod queue;
mod target;
mod tls;
mod zipkin;

use proa_core::Runtime;
use proa_core::trace::{Sink, Tracer};
use queue::{Batches, Queue};
use std::sync::Arc;
use std::time::Duration;

type Env<'e> = &'e dyn Fn(&str) -> Option<String>;

/// What exports a runtime's spans.
pub struct Exporter(Queue);

impl Exporter {
    /// Makes the runtime's spans, and sends them where its configuration says; none when nothing is to be sent.
    ///
    /// # Errors
    /// A protocol, address or header that is none. A collector that is not there is no error.
    pub fn start(runtime: &Arc<Runtime>) -> Result<Option<Self>, String> {
        let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let tracing = &runtime.configuration().tracing;
        let rate = &tracing.sampling_rate;
        let targets = target::configured(runtime, &env)?;
        ::tracing::info!(target: "dapr.runtime", "Dapr trace sampler initialized: {}", described(rate));
        if targets.is_empty() {
            runtime.trace_with(Tracer::new(rate, None));
            return Ok(None);
        }
        let queue = Queue::start(targets, Batches::from_env(&env), runtime.metrics().clone());
        let sink: Arc<dyn Sink> = Arc::new(queue.entry());
        runtime.trace_with(Tracer::new(rate, Some(sink)));
        Ok(Some(Self(queue)))
    }

    /// Sends what there is, for at most `limit`.
    pub async fn close(self, limit: Duration) {
        if !self.0.close(limit).await {
            ::tracing::warn!(target: "dapr.runtime", "Error flushing tracing provider: context deadline exceeded");
        }
    }
}

/// The sampler as Dapr's log names it.
fn described(rate: &str) -> String {
    let rate: f64 = rate.trim().parse().unwrap_or(1e-4);
    let root = match rate {
        _ if rate >= 1.0 => "AlwaysOnSampler".to_owned(),
        _ => format!("TraceIDRatioBased{{{}}}", rate.max(0.0)),
    };
    format!(
        "ParentBased{{root:{root},remoteParentSampled:AlwaysOnSampler,remoteParentNotSampled:AlwaysOffSampler,\
         localParentSampled:AlwaysOnSampler,localParentNotSampled:AlwaysOffSampler}}"
    )
}
