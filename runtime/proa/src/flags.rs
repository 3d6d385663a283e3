//! The sidecar's command line: Dapr's flags with Dapr's spelling, defaults and objections, as one typed record.
//!
//! Nothing is read from the process: arguments and environment come in as parameters. An error says how it must be
//! shown (`FlagError`); what to do with it and with `version`, `build_info` and `wait` is up to the caller.

mod check;
mod parse;
pub mod table;

use parse::Given;
use std::path::PathBuf;
use std::time::Duration;

/// Why the sidecar cannot start with these arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FlagError {
    /// Help was asked for: print `table::usage`, exit 0.
    Help,
    /// The command line itself is wrong: print the sentence and the usage, exit 2.
    Usage(String),
    /// A value does not parse: "Failed to parse flags: …", exit 1.
    Options(String),
    /// Values contradict each other: "Fatal error from runtime: …", exit 1.
    Runtime(String),
}

impl std::fmt::Display for FlagError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Help => f.write_str("help requested"),
            Self::Usage(text) | Self::Runtime(text) => f.write_str(text),
            Self::Options(text) => write!(f, "Failed to parse flags: {text}"),
        }
    }
}

impl std::error::Error for FlagError {}

/// How the sidecar gets its resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// From folders.
    Standalone,
    /// From the operator.
    Kubernetes,
}

/// What the app speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AppProtocol {
    /// HTTP/1.1.
    #[default]
    Http,
    /// HTTP/1.1 over TLS.
    Https,
    /// gRPC.
    Grpc,
    /// gRPC over TLS.
    Grpcs,
    /// HTTP/2 without TLS.
    H2c,
}

/// How the app's health is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppHealthCheck {
    /// The path over HTTP; gRPC uses its own call.
    pub path: String,
    /// Time between checks.
    pub interval: Duration,
    /// How long one check may take; at most `interval`.
    pub timeout: Duration,
    /// Failed checks in a row that make the app unhealthy; at least 1.
    pub threshold: u32,
}

/// Everything the command line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SidecarFlags {
    /// Print the version and exit; nothing else has been checked.
    pub version: bool,
    /// Print version and build and exit; nothing else has been checked.
    pub build_info: bool,
    /// Wait for the sidecar at `http_port` and exit; nothing else has been checked.
    pub wait: bool,
    /// Where resources come from.
    pub mode: Mode,
    /// The app's name; never empty, without dots.
    pub app_id: String,
    /// The app's port; none when there is no app to call.
    pub app_port: Option<u16>,
    /// What the app speaks, `app-ssl` taken into account.
    pub app_protocol: AppProtocol,
    /// The app's address.
    pub app_channel_address: String,
    /// Calls the app gets at once; none for no limit.
    pub app_max_concurrency: Option<usize>,
    /// Health checks; none when they are off.
    pub app_health_check: Option<AppHealthCheck>,
    /// How long asking the app for input bindings may take.
    pub app_binding_options_timeout: Duration,
    /// Port of the HTTP API; 0 for any free one.
    pub http_port: u16,
    /// Port of the gRPC API; 0 for any free one.
    pub grpc_port: u16,
    /// Port for other sidecars; none for a stable free one.
    pub internal_grpc_port: Option<u16>,
    /// Address for other sidecars; empty for all.
    pub internal_grpc_listen_address: String,
    /// Port of the public endpoints; none when off.
    pub public_port: Option<u16>,
    /// Address of the public endpoints; empty for all.
    pub public_listen_address: String,
    /// Addresses of the API; empty for all.
    pub listen_addresses: Vec<String>,
    /// Folder for sockets that replace the API's ports.
    pub unix_domain_socket: Option<PathBuf>,
    /// Resources folders; empty means no resources.
    pub resources_paths: Vec<PathBuf>,
    /// Configuration files, or in Kubernetes the name of a Configuration.
    pub config: Vec<String>,
    /// The operator.
    pub control_plane_address: String,
    /// The control plane's trust domain.
    pub control_plane_trust_domain: String,
    /// The control plane's namespace.
    pub control_plane_namespace: String,
    /// The certificate authority.
    pub sentry_address: String,
    /// PEM certificates from `DAPR_TRUST_ANCHORS`; empty when not set.
    pub trust_anchors: String,
    /// Extra audiences of the identity token.
    pub jwt_audiences: Vec<String>,
    /// Whether sidecars speak mTLS.
    pub enable_mtls: bool,
    /// Placement services; empty turns actors off.
    pub placement_addresses: Vec<String>,
    /// Scheduler services; empty turns jobs off.
    pub scheduler_addresses: Vec<String>,
    /// Connections per scheduler.
    pub scheduler_job_streams: u32,
    /// How long one round of placement may take.
    pub actors_disseminate_timeout: Duration,
    /// Origins for CORS: empty for none, `*` for all, else comma-separated.
    pub allowed_origins: String,
    /// Whether profiles are served.
    pub enable_profiling: bool,
    /// Port for profiles.
    pub profile_port: u16,
    /// Largest request in bytes; none for no limit.
    pub max_body_size: Option<usize>,
    /// Largest request head in bytes; none for no limit.
    pub read_buffer_size: Option<usize>,
    /// How long a shutdown may take.
    pub graceful_shutdown: Duration,
    /// How long a shutdown waits before it begins; none when it does not.
    pub block_shutdown: Option<Duration>,
    /// Overrides the configuration's `logging.apiLogging.enabled` when given.
    pub enable_api_logging: Option<bool>,
    /// No secret store of Kubernetes.
    pub disable_builtin_k8s_secret_store: bool,
    /// Do not ask the app for its configuration.
    pub disable_config_endpoint: bool,
    /// Do not ask the app for its subscriptions.
    pub disable_subscribe_endpoint: bool,
    /// Time between full comparisons of all resources.
    pub reconcile_interval: Duration,
    /// `debug`, `info`, `warn`, `error` or `fatal`, as written.
    pub log_level: String,
    /// JSON log lines.
    pub log_as_json: bool,
    /// A file for log lines.
    pub log_file: Option<PathBuf>,
    /// Whether metrics are served.
    pub enable_metrics: bool,
    /// Port for metrics; 0 for any free one.
    pub metrics_port: u16,
    /// Address for metrics.
    pub metrics_listen_address: String,
    /// Sentences to show, for example about deprecated flags.
    pub notes: Vec<String>,
}

impl SidecarFlags {
    /// Reads the arguments (without the program's name) and the few environment variables that stand in for flags.
    pub fn parse(args: impl Iterator<Item = String>, env: impl Fn(&str) -> Option<String>) -> Result<Self, FlagError> {
        let given = Given::read(args)?;
        check::build(given, &env)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
