//! Families of series and the handles through which they are recorded.
//!
//! One family per row of the table, registered in a registry of its own. A bundle is a list of rows with the same
//! labels (a count and its latency); the cache holds a bundle's handles together, so one lookup serves them all.

use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use prometheus::core::Collector;
use prometheus::{Counter, CounterVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, TextEncoder};

use super::cache::Cache;
use super::component::Slot;
use super::options::{MetricsError, MetricsOptions};
use super::path::HttpLabels;
use super::rules::{LabelRules, Rules};
use super::table::{Buckets, Kind, Row, Series};

/// More series than this in one family are dropped: a label taken from requests must not eat the memory.
const SERIES_LIMIT: usize = 20_000;
/// Longest label value that Dapr's metrics library accepts; a record with a longer one is lost there too.
const LABEL_LIMIT: usize = 255;
/// Marks cache entries of families with rules, whose values are complete and rewritten.
const RULED: u32 = 1 << 31;

/// One series. A call that does not fit its kind is ignored.
#[derive(Clone)]
pub(super) enum Handle {
    Count(IntCounter),
    Seconds(Counter),
    Gauge(IntGauge),
    Histogram(Histogram),
}

impl Handle {
    pub(super) fn add(&self, amount: u64) {
        if let Self::Count(counter) = self {
            counter.inc_by(amount);
        }
    }

    pub(super) fn add_seconds(&self, seconds: f64) {
        if let Self::Seconds(counter) = self {
            counter.inc_by(seconds);
        }
    }

    pub(super) fn set(&self, level: i64) {
        if let Self::Gauge(gauge) = self {
            gauge.set(level);
        }
    }

    pub(super) fn shift(&self, change: i64) {
        if let Self::Gauge(gauge) = self {
            gauge.add(change);
        }
    }

    pub(super) fn observe(&self, sample: f64) {
        if let Self::Histogram(histogram) = self {
            histogram.observe(sample);
        }
    }

    /// One event of a bundle: a counter counts it, a histogram takes its sample, if there is one.
    pub(super) fn event(&self, sample: Option<f64>) {
        match (self, sample) {
            (Self::Count(counter), _) => counter.inc(),
            (Self::Histogram(histogram), Some(sample)) => histogram.observe(sample),
            _ => {}
        }
    }
}

/// The handles of a bundle, in its order.
pub(super) type Handles = Arc<[Handle]>;

enum Children {
    Count(IntCounterVec),
    Seconds(CounterVec),
    Gauge(IntGaugeVec),
    Histogram(HistogramVec),
}

struct FamilyOf {
    children: Children,
    /// Whether the row itself names `app_id`, so that the caller supplies it.
    own_app_id: bool,
    rules: Option<LabelRules>,
    size: AtomicUsize,
}

/// Everything behind an enabled [`super::Metrics`].
pub(super) struct Registry {
    app_id: String,
    namespace: String,
    record_error_codes: bool,
    prometheus: prometheus::Registry,
    families: Vec<FamilyOf>,
    cache: Cache<Handles>,
    pub(super) components: Cache<Arc<Slot>>,
    pub(super) labels: HttpLabels,
    pub(super) http_sizes: OnceLock<Handles>,
}

impl Registry {
    pub(super) fn new(options: MetricsOptions) -> Result<Self, MetricsError> {
        let mut rules = Rules::compile(&options.rules)?;
        let labels = HttpLabels::new(&options.http)?;
        let buckets = Buckets::new(options.latency_buckets, options.workflow_latency_buckets);
        let prometheus = prometheus::Registry::new();
        let families = Row::all().iter().map(|row| family(row, &buckets, &mut rules, &prometheus)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            app_id: options.app_id,
            namespace: options.namespace,
            record_error_codes: options.record_error_codes,
            prometheus,
            families,
            cache: Cache::default(),
            components: Cache::default(),
            labels,
            http_sizes: OnceLock::new(),
        })
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(super) fn records_error_codes(&self) -> bool {
        self.record_error_codes
    }

    pub(super) fn render(&self, text: &mut String) {
        // the only failures are a family without samples, which gather leaves out, and a full String
        let _always_fits = TextEncoder::new().encode_utf8(&self.prometheus.gather(), text);
    }

    /// Hands the handles of `bundle` for `values` to `with`.
    pub(super) fn record(&self, bundle: &[Series], values: &[&str], with: impl FnOnce(&[Handle])) {
        if self.is_ruled(bundle) {
            return with(&self.rewritten(bundle, values));
        }
        self.cache.with(bundle_id(bundle), values, || self.make(bundle, values), |handles| with(handles));
    }

    /// The handles themselves, for callers that keep them. `None` if a label value is not acceptable.
    pub(super) fn handles(&self, bundle: &[Series], values: &[&str]) -> Option<Handles> {
        if self.is_ruled(bundle) {
            return Some(self.rewritten(bundle, values).into());
        }
        self.cache.with(bundle_id(bundle), values, || self.make(bundle, values), Arc::clone)
    }

    fn is_ruled(&self, bundle: &[Series]) -> bool {
        bundle.iter().any(|series| self.family(*series).is_some_and(|family| family.rules.is_some()))
    }

    fn family(&self, series: Series) -> Option<&FamilyOf> {
        self.families.get(series as usize)
    }

    fn make(&self, bundle: &[Series], values: &[&str]) -> Option<Handles> {
        let mut handles = Vec::with_capacity(bundle.len());
        for series in bundle {
            let family = self.family(*series)?;
            handles.push(self.child(*series, family, &self.all_values(family, values))?);
        }
        Some(handles.into())
    }

    /// The handles that are left after each row's own rules; keyed by the rewritten values.
    fn rewritten(&self, bundle: &[Series], values: &[&str]) -> Vec<Handle> {
        let one = |series: &Series| {
            let family = self.family(*series)?;
            let values = self.all_values(family, values);
            let rewritten: Vec<_> = match &family.rules {
                None => values.into_iter().map(Cow::Borrowed).collect(),
                Some(rules) => values.into_iter().enumerate().map(|(at, value)| rules.apply(at, value)).collect(),
            };
            let values: Vec<&str> = rewritten.iter().map(AsRef::as_ref).collect();
            let make = || self.child(*series, family, &values).map(|handle| Handles::from([handle]));
            self.cache.with(RULED | *series as u32, &values, make, |handles| handles.first().cloned())?
        };
        bundle.iter().filter_map(one).collect()
    }

    fn all_values<'a>(&'a self, family: &FamilyOf, values: &[&'a str]) -> Vec<&'a str> {
        let app_id = (!family.own_app_id).then_some(self.app_id.as_str());
        app_id.into_iter().chain(values.iter().copied()).collect()
    }

    fn child(&self, series: Series, family: &FamilyOf, values: &[&str]) -> Option<Handle> {
        if let Some(reason) = refusal(family, values) {
            // the counter's own labels are constants, so it is never refused itself
            if series != Series::MetricsDropped {
                self.record(&[Series::MetricsDropped], &[reason], |handles| handles.iter().for_each(|h| h.add(1)));
            }
            return None;
        }
        family.size.fetch_add(1, Ordering::Relaxed);
        match &family.children {
            Children::Count(vec) => vec.get_metric_with_label_values(values).ok().map(Handle::Count),
            Children::Seconds(vec) => vec.get_metric_with_label_values(values).ok().map(Handle::Seconds),
            Children::Gauge(vec) => vec.get_metric_with_label_values(values).ok().map(Handle::Gauge),
            Children::Histogram(vec) => vec.get_metric_with_label_values(values).ok().map(Handle::Histogram),
        }
    }
}

/// Why a record cannot be stored, as the value of the `reason` label.
fn refusal(family: &FamilyOf, values: &[&str]) -> Option<&'static str> {
    let acceptable = |value: &&str| value.len() <= LABEL_LIMIT && value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if !values.iter().all(acceptable) {
        return Some("invalid_label");
    }
    (family.size.load(Ordering::Relaxed) >= SERIES_LIMIT).then_some("series_limit")
}

/// Bundles start with different rows or differ in length.
fn bundle_id(bundle: &[Series]) -> u32 {
    let first = bundle.first().map_or(0, |series| *series as u32);
    (first << 8) | (bundle.len() as u32 & 0xff)
}

fn family(row: &Row, buckets: &Buckets, rules: &mut Rules, registry: &prometheus::Registry) -> Result<FamilyOf, prometheus::Error> {
    let own_app_id = row.labels.contains(&"app_id");
    let labels: Vec<&str> = (!own_app_id).then_some("app_id").into_iter().chain(row.labels.iter().copied()).collect();
    let name = row.exposed_name();
    let histogram = |bounds: &[f64]| {
        let vec = HistogramVec::new(HistogramOpts::new(&name, row.help).buckets(bounds.to_vec()), &labels)?;
        Ok::<_, prometheus::Error>((Box::new(vec.clone()) as Box<dyn Collector>, Children::Histogram(vec)))
    };
    let (collector, children): (Box<dyn Collector>, Children) = match row.kind {
        Kind::Count => {
            let vec = IntCounterVec::new(Opts::new(&name, row.help), &labels)?;
            (Box::new(vec.clone()), Children::Count(vec))
        }
        Kind::Seconds => {
            let vec = CounterVec::new(Opts::new(&name, row.help), &labels)?;
            (Box::new(vec.clone()), Children::Seconds(vec))
        }
        Kind::Gauge => {
            let vec = IntGaugeVec::new(Opts::new(&name, row.help), &labels)?;
            (Box::new(vec.clone()), Children::Gauge(vec))
        }
        Kind::Latency => histogram(&buckets.latency)?,
        Kind::WorkflowLatency => histogram(&buckets.workflow)?,
        Kind::Size => histogram(Buckets::SIZE)?,
        Kind::Ratio => histogram(Buckets::RATIO)?,
    };
    registry.register(collector)?;
    let rules = rules.take(row.name, &labels);
    Ok(FamilyOf { children, own_app_id, rules, size: AtomicUsize::new(0) })
}
