//! What a sidecar costs and tells: its memory, its log, what it says of a component.

use std::time::Duration;

use proa_harness::{Sidecar, until};

/// Resident memory in MiB.
pub fn resident(sidecar: &Sidecar) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", sidecar.pid())).expect("the sidecar's status");
    let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("VmRSS");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") / 1024
}

/// One of the fields `proa.component.<name>.<field>` of the metadata API.
pub async fn told(sidecar: &Sidecar, component: &str, field: &str) -> Option<String> {
    let metadata = sidecar.http().get("/v1.0/metadata").await.json();
    metadata["extended"][format!("proa.component.{component}.{field}")].as_str().map(str::to_owned)
}

/// The number of the generation that serves; zero for none.
pub async fn generation(sidecar: &Sidecar, component: &str) -> u64 {
    told(sidecar, component, "generation").await.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Waits until another generation than `before` serves, and gives its number.
pub async fn swapped(sidecar: &Sidecar, component: &str, before: u64) -> u64 {
    let mut error = None;
    for _ in 0..1500 {
        let now = generation(sidecar, component).await;
        if now > before {
            return now;
        }
        error = told(sidecar, component, "error").await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{component} is still at generation {before} ({error:?}), log:\n{}", tail(sidecar, 40));
}

/// The last lines of the log.
pub fn tail(sidecar: &Sidecar, lines: usize) -> String {
    let text = sidecar.logs().text();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Waits for one log line that has all `parts`.
pub async fn logged(sidecar: &Sidecar, parts: &[&str]) {
    let has = || sidecar.logs().text().lines().any(|line| parts.iter().all(|part| line.contains(part)));
    for _ in 0..500 {
        if has() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no log line with all of {parts:?} in:\n{}", tail(sidecar, 60));
}

/// The sum of a metric's series whose labels have all `parts`.
pub async fn metric(sidecar: &Sidecar, name: &str, parts: &[&str]) -> f64 {
    let page = sidecar.metrics().await;
    let lines = page.lines().filter(|line| line.starts_with(&format!("{name}{{")) && parts.iter().all(|part| line.contains(part)));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Waits until the resident memory is below `limit` MiB.
pub async fn slim(sidecar: &Sidecar, limit: u64) {
    until(&format!("resident memory below {limit} MiB (it is {})", resident(sidecar)), Duration::from_secs(10), || async {
        (resident(sidecar) < limit).then_some(())
    })
    .await;
}

/// The value at `share` (0 to 1) of a list of durations; zero of none.
pub fn percentile(times: &mut [Duration], share: f64) -> Duration {
    times.sort_unstable();
    let place = (times.len() as f64 * share) as usize;
    times.get(place.min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}
