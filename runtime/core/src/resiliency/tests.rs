#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod runs;
mod targets;

use super::*;
use crate::metrics::MetricsOptions;
use proa_resources::{LoadOptions, Snapshot};

/// The resources of a folder that holds these documents.
fn read(yaml: &str) -> Snapshot {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("proa-resiliency-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("policies.yaml"), yaml).unwrap();
    let snapshot = proa_resources::load(&LoadOptions { paths: vec![folder.clone()], app_id: "me".into(), namespace: None });
    std::fs::remove_dir_all(folder).unwrap();
    assert!(snapshot.errors.is_empty(), "{:?}", snapshot.errors);
    snapshot
}

fn document(name: &str, spec: &str) -> String {
    let spec: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    format!("apiVersion: dapr.io/v1alpha1\nkind: Resiliency\nmetadata:\n  name: {name}\nspec:\n{spec}---\n")
}

fn metrics() -> Metrics {
    Metrics::new(MetricsOptions { app_id: "me".into(), ..MetricsOptions::default() }).unwrap()
}

fn with(yaml: &str) -> Resiliency {
    let resiliency = Resiliency::new(metrics());
    resiliency.apply(&read(yaml).resiliencies);
    resiliency
}

/// What a rendered series says.
fn value(resiliency: &Resiliency, series: &str) -> Option<String> {
    let text = resiliency.metrics.render();
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')).map(str::to_owned)
}
