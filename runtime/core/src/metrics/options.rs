//! What can be configured about metrics, and what can be wrong with it.

/// Settings of [`super::Metrics`], already read from the Configuration resource.
#[derive(Clone, Debug)]
pub struct MetricsOptions {
    /// Value of the `app_id` label on every series.
    pub app_id: String,
    /// Value of the `namespace` label where a series has one; empty when self-hosted without a namespace.
    pub namespace: String,
    /// `spec.metrics.enabled`; true when not configured.
    pub enabled: bool,
    /// `spec.metrics.http`.
    pub http: HttpOptions,
    /// Upper bounds of the latency histograms in milliseconds; `None` or empty means Dapr's default buckets.
    pub latency_buckets: Option<Vec<f64>>,
    /// Upper bounds, in milliseconds, of the workflow and activity execution histograms; `None` shares `latency_buckets`.
    pub workflow_latency_buckets: Option<Vec<f64>>,
    /// `spec.metrics.recordErrorCodes`; false when not configured.
    pub record_error_codes: bool,
    /// `spec.metrics.rules`: label values rewritten before they are recorded.
    pub rules: Vec<Rule>,
}

impl Default for MetricsOptions {
    fn default() -> Self {
        Self {
            app_id: String::new(),
            namespace: String::new(),
            enabled: true,
            http: HttpOptions::default(),
            latency_buckets: None,
            workflow_latency_buckets: None,
            record_error_codes: false,
            rules: Vec::new(),
        }
    }
}

/// How HTTP requests become `method` and `path` labels.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// True (Dapr's default) labels series with the request path; false leaves `path` empty unless a pattern matches.
    pub increased_cardinality: bool,
    /// Go `ServeMux` path patterns whose text becomes the `path` label of matching requests.
    pub path_matching: Vec<String>,
    /// Leaves `method` empty.
    pub exclude_verbs: bool,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self { increased_cardinality: true, path_matching: Vec::new(), exclude_verbs: false }
    }
}

/// Rewrites labels of one metric.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    /// Metric name, with or without the `dapr_` prefix.
    pub name: String,
    /// The labels to rewrite.
    pub labels: Vec<RuleLabel>,
}

/// Rewrites one label of a metric.
#[derive(Clone, Debug, Default)]
pub struct RuleLabel {
    /// Label name.
    pub name: String,
    /// `(replacement, pattern)` pairs, applied one after the other to every match; `$1` refers to a group.
    pub regex: Vec<(String, String)>,
}

/// Why metrics could not be built.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// A rule's pattern is not a regular expression.
    #[error("failed to compile regex for rule {rule}/{replacement}: {reason}")]
    Rule {
        /// Metric and label the rule is for.
        rule: String,
        /// What the pattern should have been replaced with.
        replacement: String,
        /// What is wrong with the pattern.
        reason: String,
    },
    /// A path pattern is malformed.
    #[error("invalid metrics path pattern {pattern:?}: {reason}")]
    PathPattern {
        /// The pattern as configured.
        pattern: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A family of series could not be registered.
    #[error("failed to register metrics: {0}")]
    Register(#[from] prometheus::Error),
}
