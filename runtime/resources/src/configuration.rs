//! The sidecar's own configuration: all fields with Dapr's defaults, several files laid over one another.
//!
//! Later files win: mappings are merged, scalars and lists replaced, `null` puts a part back to nothing. `$VAR` and
//! `${VAR}` are replaced in the raw text first. A file that cannot be read or has a field of the wrong shape is an
//! error; unknown fields are remarks.

mod access;
mod environment;
mod expand;
mod merge;
mod metrics;
mod tracing;
mod workflow;

pub use access::{AccessControl, AccessOperation, AccessPolicy, ApiAccess, ApiRule, SecretScope};
pub use metrics::{HttpMetrics, MetricLabel, MetricRule, Metrics};
pub use tracing::{Otel, Tracing};
pub use workflow::{ConcurrencyLimit, StateRetention, Workflow};

use crate::Error;
use crate::fields::{FieldError, Fields, Note};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The merged configuration.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Configuration {
    /// `metadata.name` of the last file that has one.
    pub name: Option<String>,
    /// Middleware of the sidecar's API, outermost first.
    pub http_pipeline: Vec<Handler>,
    /// Middleware of calls to the app, outermost first.
    pub app_http_pipeline: Vec<Handler>,
    /// Where spans go.
    pub tracing: Tracing,
    /// Identity and encryption between sidecars.
    pub mtls: Mtls,
    /// What is counted and how.
    pub metrics: Metrics,
    /// Which secrets the app may read, by store; the lists are sorted.
    pub secrets: Vec<SecretScope>,
    /// Who may call the app; none when put to `null`.
    pub access_control: Option<AccessControl>,
    /// How app ids become addresses.
    pub name_resolution: Option<NameResolution>,
    /// Feature gates with those that are on by default.
    pub features: Vec<Feature>,
    /// Which API endpoints exist.
    pub api: ApiAccess,
    /// `components.deny`: `type` or `type/version`.
    pub denied_components: Vec<String>,
    /// `logging.apiLogging`.
    pub api_logging: ApiLogging,
    /// `wasm.strictSandbox`.
    pub wasm_strict_sandbox: bool,
    /// Limits and retention of workflows.
    pub workflow: Workflow,
    /// The files that were read.
    pub files: Vec<PathBuf>,
    /// Remarks about unknown fields, one sentence each.
    pub warnings: Vec<String>,
}

/// A middleware of a pipeline.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Handler {
    /// The component's name.
    pub name: String,
    /// The component's type.
    #[serde(rename = "type")]
    pub type_: String,
    /// The component's version; empty means `v1`.
    pub version: String,
    /// Fields and values that select requests; kept, as in Dapr without effect.
    pub selector: Vec<(String, String)>,
}

/// `mtls`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Mtls {
    /// Whether sidecars speak mTLS.
    pub enabled: bool,
    /// Lifetime of certificates, as written (Go duration).
    pub workload_cert_ttl: String,
    /// Tolerated difference of clocks, as written (Go duration).
    pub allowed_clock_skew: String,
    /// The certificate authority's address.
    pub sentry_address: String,
    /// The trust domain of the control plane.
    pub control_plane_trust_domain: String,
    /// Further ways to prove an identity.
    pub token_validators: Vec<TokenValidator>,
}

/// A way to prove an identity to the certificate authority.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct TokenValidator {
    /// Its name, for example `jwks`.
    pub name: String,
    /// Its options as texts.
    pub options: BTreeMap<String, String>,
}

/// `nameResolution`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct NameResolution {
    /// The implementation, for example `mdns`; empty means the mode's default.
    pub component: String,
    /// Its version.
    pub version: String,
    /// Its settings as they stand.
    pub configuration: Value,
}

/// A feature gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Feature {
    /// Its name.
    pub name: String,
    /// Whether it is on.
    pub enabled: bool,
}

/// `logging.apiLogging`; all off by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ApiLogging {
    /// Whether calls are logged; `--enable-api-logging` overrides it.
    pub enabled: bool,
    /// Log route names instead of paths.
    pub obfuscate_urls: bool,
    /// Leave out health checks.
    pub omit_health_checks: bool,
}

/// Feature gates that are on unless a configuration says otherwise.
pub const DEFAULT_FEATURES: [&str; 2] = ["HotReload", "WorkflowsRemoteActivityReminder"];

/// Reads the files in order with the process's environment. No files: the defaults.
pub fn load_configuration(paths: &[PathBuf]) -> Result<Configuration, Error> {
    load_configuration_with(paths, &|name| std::env::var(name).ok())
}

/// Like [`load_configuration`] with another environment.
pub fn load_configuration_with(paths: &[PathBuf], env: &dyn Fn(&str) -> Option<String>) -> Result<Configuration, Error> {
    let mut merged = Value::Object(serde_json::Map::new());
    for path in paths {
        merge::overlay(&mut merged, merge::read_file(path, env)?);
    }
    let mut configuration = Configuration::from_value(&merged)?;
    configuration.files = paths.to_vec();
    Ok(configuration)
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            name: None,
            http_pipeline: Vec::new(),
            app_http_pipeline: Vec::new(),
            tracing: Tracing::default(),
            mtls: Mtls::default(),
            metrics: Metrics::default(),
            secrets: Vec::new(),
            access_control: Some(AccessControl::default()),
            name_resolution: None,
            features: DEFAULT_FEATURES.iter().map(|name| Feature { name: (*name).to_owned(), enabled: true }).collect(),
            api: ApiAccess::default(),
            denied_components: Vec::new(),
            api_logging: ApiLogging::default(),
            wasm_strict_sandbox: false,
            workflow: Workflow::default(),
            files: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

impl Configuration {
    /// A configuration from one document in JSON, as files or the operator deliver it.
    pub fn from_value(document: &Value) -> Result<Self, Error> {
        let mut notes = Vec::new();
        let mut configuration = Self::read(document, &mut notes).map_err(|error| Error::Invalid(format!("{}: {}", error.field, error.problem)))?;
        access::check_secrets(&mut configuration.secrets).map_err(Error::Invalid)?;
        configuration.warnings = notes.into_iter().map(|note: Note| format!("{}: {}", note.field, note.text)).collect();
        Ok(configuration)
    }

    /// Whether a feature gate is on. Of several entries the last one counts.
    pub fn feature_enabled(&self, name: &str) -> bool {
        self.features.iter().rev().find(|feature| feature.name == name).is_some_and(|feature| feature.enabled)
    }

    /// The names of all gates that are on, each once.
    pub fn enabled_features(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for feature in self.features.iter().filter(|feature| !feature.name.is_empty()) {
            if self.feature_enabled(&feature.name) && !names.contains(&feature.name.as_str()) {
                names.push(feature.name.as_str());
            }
        }
        names
    }

    /// Fills in an OpenTelemetry exporter from the `OTEL_EXPORTER_OTLP_*` variables when no endpoint is configured.
    pub fn apply_otel_environment(&mut self, env: &dyn Fn(&str) -> Option<String>) -> Result<(), Error> {
        environment::apply(&mut self.tracing, env).map_err(Error::Invalid)
    }

    fn read(document: &Value, notes: &mut Vec<Note>) -> Result<Self, FieldError> {
        let mut document = Fields::of(Some(document), "")?;
        document.ignore(&["apiVersion", "kind", "status"]);
        let name = document.child("metadata")?.text_option("name")?;
        let mut spec = document.child("spec")?;
        let configuration = Configuration {
            name,
            http_pipeline: read_pipeline(&mut spec, "httpPipeline", notes)?,
            app_http_pipeline: read_pipeline(&mut spec, "appHttpPipeline", notes)?,
            tracing: Tracing::read(&mut spec, notes)?,
            mtls: read_mtls(&mut spec, notes)?,
            metrics: Metrics::read(&mut spec, notes)?,
            secrets: access::read_secrets(&mut spec, notes)?,
            access_control: access::read_control(&mut spec, notes)?,
            name_resolution: read_name_resolution(&mut spec, notes)?,
            features: read_features(&mut spec, notes)?,
            api: access::read_api(&mut spec, notes)?,
            denied_components: read_denied(&mut spec, notes)?,
            api_logging: read_logging(&mut spec, notes)?,
            wasm_strict_sandbox: read_wasm(&mut spec, notes)?,
            workflow: Workflow::read(&mut spec, notes)?,
            files: Vec::new(),
            warnings: Vec::new(),
        };
        spec.finish(notes);
        document.finish(notes);
        Ok(configuration)
    }
}

fn read_pipeline(spec: &mut Fields<'_>, name: &'static str, notes: &mut Vec<Note>) -> Result<Vec<Handler>, FieldError> {
    let mut pipeline = spec.child(name)?;
    let mut handlers = Vec::new();
    for (value, path) in pipeline.items("handlers")? {
        let mut handler = Fields::of(Some(value), &path)?;
        let mut selector = handler.child("selector")?;
        let mut pairs = Vec::new();
        for (value, path) in selector.items("fields")? {
            let mut pair = Fields::of(Some(value), &path)?;
            pairs.push((pair.text("field")?, pair.text("value")?));
        }
        selector.finish(notes);
        handlers.push(Handler { name: handler.text("name")?, type_: handler.text("type")?, version: handler.text("version")?, selector: pairs });
        handler.finish(notes);
    }
    pipeline.finish(notes);
    Ok(handlers)
}

fn read_mtls(spec: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<Mtls, FieldError> {
    let mut mtls = spec.child("mtls")?;
    let mut token_validators = Vec::new();
    for (value, path) in mtls.items("tokenValidators")? {
        let mut validator = Fields::of(Some(value), &path)?;
        token_validators.push(TokenValidator { name: validator.text("name")?, options: validator.text_map("options")? });
        validator.finish(notes);
    }
    let read = Mtls {
        enabled: mtls.flag("enabled")?,
        workload_cert_ttl: mtls.text("workloadCertTTL")?,
        allowed_clock_skew: mtls.text("allowedClockSkew")?,
        sentry_address: mtls.text("sentryAddress")?,
        control_plane_trust_domain: mtls.text("controlPlaneTrustDomain")?,
        token_validators,
    };
    mtls.finish(notes);
    Ok(read)
}

fn read_name_resolution(spec: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<Option<NameResolution>, FieldError> {
    let Some(mut resolution) = spec.child_option("nameResolution")? else {
        return Ok(None);
    };
    let read = NameResolution {
        component: resolution.text("component")?,
        version: resolution.text("version")?,
        configuration: resolution.raw("configuration").cloned().unwrap_or(Value::Null),
    };
    resolution.finish(notes);
    Ok(Some(read))
}

fn read_features(spec: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<Vec<Feature>, FieldError> {
    let mut features: Vec<Feature> = Vec::new();
    for (value, path) in spec.items("features")? {
        let mut feature = Fields::of(Some(value), &path)?;
        features.push(Feature { name: feature.text("name")?, enabled: feature.flag("enabled")? });
        feature.finish(notes);
    }
    for name in DEFAULT_FEATURES {
        if !features.iter().any(|feature| feature.name == name) {
            features.push(Feature { name: name.to_owned(), enabled: true });
        }
    }
    Ok(features)
}

fn read_denied(spec: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<Vec<String>, FieldError> {
    let mut components = spec.child("components")?;
    let denied = components.texts("deny")?;
    components.finish(notes);
    Ok(denied)
}

fn read_logging(spec: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<ApiLogging, FieldError> {
    let mut logging = spec.child("logging")?;
    let mut api = logging.child("apiLogging")?;
    let read =
        ApiLogging { enabled: api.flag("enabled")?, obfuscate_urls: api.flag("obfuscateURLs")?, omit_health_checks: api.flag("omitHealthChecks")? };
    api.finish(notes);
    logging.finish(notes);
    Ok(read)
}

fn read_wasm(spec: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<bool, FieldError> {
    let mut wasm = spec.child("wasm")?;
    let strict = wasm.flag("strictSandbox")?;
    wasm.finish(notes);
    Ok(strict)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
