//! `metrics` and its older name `metric`: read together, field by field the newer name wins.

use crate::fields::{FieldError, Fields, Note};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::time::Duration;

/// What is counted and how.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Metrics {
    /// True by default.
    pub enabled: bool,
    /// Whether error codes are counted; false by default.
    pub record_error_codes: bool,
    /// HTTP server metrics.
    pub http: HttpMetrics,
    /// Upper bounds in milliseconds; empty means the built-in ones.
    pub latency_distribution_buckets: Vec<i64>,
    /// Upper bounds in milliseconds for workflows and activities; empty means those above.
    pub workflow_latency_buckets: Vec<f64>,
    /// Rewriting of label values.
    pub rules: Vec<MetricRule>,
}

/// `metrics.http`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HttpMetrics {
    /// Whether paths appear in labels; true by default.
    pub increased_cardinality: bool,
    /// Patterns in the syntax of Go's `ServeMux` that paths are reduced to.
    pub path_matching: Vec<String>,
    /// Whether the method is left out; false by default.
    pub exclude_verbs: bool,
}

/// A metric whose labels are rewritten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MetricRule {
    /// The metric's name.
    pub name: String,
    /// Its labels.
    pub labels: Vec<MetricLabel>,
}

/// How the values of one label are rewritten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MetricLabel {
    /// The label's name.
    pub name: String,
    /// Replacement to regular expression.
    pub regex: BTreeMap<String, String>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            enabled: true,
            record_error_codes: false,
            http: HttpMetrics { increased_cardinality: true, path_matching: Vec::new(), exclude_verbs: false },
            latency_distribution_buckets: Vec::new(),
            workflow_latency_buckets: Vec::new(),
            rules: Vec::new(),
        }
    }
}

impl Metrics {
    pub(super) fn read(spec: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<Self, FieldError> {
        let mut merged: Map<String, Value> = spec.raw("metric").and_then(Value::as_object).cloned().unwrap_or_default();
        let newer = spec.raw("metrics").and_then(Value::as_object).into_iter().flatten();
        for (key, value) in newer {
            let says_nothing = value.is_null() || (key == "rules" && value.as_array().is_some_and(Vec::is_empty));
            if !says_nothing {
                merged.insert(key.clone(), value.clone());
            }
        }
        let merged = Value::Object(merged);
        let mut metrics = Fields::of(Some(&merged), "spec.metrics")?;
        let mut http = metrics.child("http")?;
        let read = Metrics {
            enabled: metrics.flag_option("enabled")?.unwrap_or(true),
            record_error_codes: metrics.flag("recordErrorCodes")?,
            http: HttpMetrics {
                increased_cardinality: http.flag_option("increasedCardinality")?.unwrap_or(true),
                path_matching: http.texts("pathMatching")?,
                exclude_verbs: http.flag("excludeVerbs")?,
            },
            latency_distribution_buckets: metrics.integers("latencyDistributionBuckets")?.unwrap_or_default(),
            workflow_latency_buckets: read_workflow(&mut metrics, notes)?,
            rules: read_rules(&mut metrics, notes)?,
        };
        http.finish(notes);
        metrics.finish(notes);
        Ok(read)
    }
}

fn read_workflow(metrics: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<Vec<f64>, FieldError> {
    let mut workflow = metrics.child("workflow")?;
    let buckets: Vec<i64> = workflow.integers("latencyDistributionBuckets")?.unwrap_or_default();
    let unit = workflow.duration_option("latencyDistributionUnits")?.filter(|unit| !unit.is_zero());
    workflow.finish(notes);
    let millis_per_unit = unit.unwrap_or(Duration::from_millis(1)).as_secs_f64() * 1000.0;
    Ok(buckets.into_iter().map(|bucket| bucket as f64 * millis_per_unit).collect())
}

fn read_rules(metrics: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<Vec<MetricRule>, FieldError> {
    let mut rules = Vec::new();
    for (value, path) in metrics.items("rules")? {
        let mut rule = Fields::of(Some(value), &path)?;
        let mut labels = Vec::new();
        for (value, path) in rule.items("labels")? {
            let mut label = Fields::of(Some(value), &path)?;
            labels.push(MetricLabel { name: label.text("name")?, regex: label.text_map("regex")? });
            label.finish(notes);
        }
        rules.push(MetricRule { name: rule.text("name")?, labels });
        rule.finish(notes);
    }
    Ok(rules)
}
