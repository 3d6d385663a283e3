//! Figures of this process, read from `/proc` when somebody asks.
//!
//! A figure that cannot be read is left out. Names are those of Prometheus' own client libraries.

use std::fmt::Write;
use std::fs;

/// Linux reports CPU times and the start time in hundredths of a second on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

/// Appends the figures to `text`. `tasks` is the number of live tasks, if known.
pub(super) fn render(tasks: Option<u64>, text: &mut String) {
    if let Some(tasks) = tasks {
        sample(text, "go_goroutines", "gauge", "Live tasks.", tasks as f64);
    }
    let stat = Stat::read();
    if let Some(stat) = &stat {
        sample(text, "go_threads", "gauge", "Threads of the process.", stat.threads);
        sample(text, "process_cpu_seconds_total", "counter", "CPU seconds used, user and system.", stat.cpu_seconds);
    }
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    if let Some(limit) = limit(&limits, "Max open files") {
        sample(text, "process_max_fds", "gauge", "Most file descriptors that may be open.", limit);
    }
    if let Some((received, sent)) = network() {
        sample(text, "process_network_receive_bytes_total", "counter", "Bytes received over IP.", received);
        sample(text, "process_network_transmit_bytes_total", "counter", "Bytes sent over IP.", sent);
    }
    if let Ok(descriptors) = fs::read_dir("/proc/self/fd") {
        // one of them is the directory being read
        let open = descriptors.count().saturating_sub(1);
        sample(text, "process_open_fds", "gauge", "Open file descriptors.", open as f64);
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(bytes) = bytes(&status, "RssAnon:") {
        // Dashboards look for the heap under this name.
        sample(text, "go_memstats_alloc_bytes", "gauge", "Memory in use that no file backs.", bytes);
    }
    if let Some(bytes) = bytes(&status, "VmRSS:") {
        sample(text, "process_resident_memory_bytes", "gauge", "Resident memory.", bytes);
    }
    if let Some((stat, boot)) = stat.as_ref().zip(boot_time()) {
        let help = "Start of the process in seconds since 1970.";
        sample(text, "process_start_time_seconds", "gauge", help, boot + stat.started_seconds);
    }
    if let Some(stat) = &stat {
        sample(text, "process_virtual_memory_bytes", "gauge", "Address space in use.", stat.virtual_bytes);
    }
    if let Some(limit) = limit(&limits, "Max address space") {
        sample(text, "process_virtual_memory_max_bytes", "gauge", "Most address space that may be used.", limit);
    }
}

fn sample(text: &mut String, name: &str, kind: &str, help: &str, value: f64) {
    // writing to a String cannot fail
    let _infallible = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
}

struct Stat {
    cpu_seconds: f64,
    threads: f64,
    started_seconds: f64,
    virtual_bytes: f64,
}

impl Stat {
    fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // the second field is the command, which may contain anything; the rest starts at field 3
        let (_, rest) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        Some(Self {
            cpu_seconds: (field(14)? + field(15)?) / TICKS_PER_SECOND,
            threads: field(20)?,
            started_seconds: field(22)? / TICKS_PER_SECOND,
            virtual_bytes: field(23)?,
        })
    }
}

fn bytes(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: f64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kib * 1024.0)
}

fn boot_time() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// The soft limit; no limit is the largest number, as in Prometheus' client libraries.
fn limit(limits: &str, name: &str) -> Option<f64> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    match line.split_ascii_whitespace().next()? {
        "unlimited" => Some(u64::MAX as f64),
        limit => limit.parse().ok(),
    }
}

fn network() -> Option<(f64, f64)> {
    let netstat = fs::read_to_string("/proc/self/net/netstat").ok()?;
    let mut rows = netstat.lines().filter_map(|line| line.strip_prefix("IpExt:"));
    let (names, values) = (rows.next()?, rows.next()?);
    let figure = |wanted: &str| {
        let mut pairs = names.split_ascii_whitespace().zip(values.split_ascii_whitespace());
        pairs.find(|(name, _)| *name == wanted)?.1.parse::<f64>().ok()
    };
    Some((figure("InOctets")?, figure("OutOctets")?))
}
