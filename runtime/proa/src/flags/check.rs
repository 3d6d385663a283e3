//! From given values to the typed record: Dapr's checks in Dapr's order, with Dapr's sentences.

use super::parse::Given;
use super::{AppHealthCheck, AppProtocol, FlagError, Mode, SidecarFlags};
use proa_resources::{go_duration, quantity};
use std::path::PathBuf;
use std::time::Duration;

type Env<'e> = &'e dyn Fn(&str) -> Option<String>;

pub(super) fn build(given: Given, env: Env<'_>) -> Result<SidecarFlags, FlagError> {
    let max_body_size = size(&given, "max-body-size", "dapr-http-max-request-size", 20)?;
    let read_buffer_size = size(&given, "read-buffer-size", "dapr-http-read-buffer-size", 10)?;
    let actors_disseminate_timeout = disseminate_timeout(&given)?;
    let mode = mode(&given)?;
    let query = given.switch("version") || given.switch("build-info") || given.switch("wait");
    let checked = if query { Checked::lenient(&given) } else { Checked::strict(&given, mode)? };
    Ok(SidecarFlags {
        version: given.switch("version"),
        build_info: given.switch("build-info"),
        wait: given.switch("wait"),
        mode,
        app_id: given.text("app-id"),
        app_port: checked.app_port,
        app_protocol: checked.app_protocol,
        app_channel_address: given.text("app-channel-address"),
        app_max_concurrency: usize::try_from(given.integer("app-max-concurrency")).ok().filter(|most| *most > 0),
        app_health_check: checked.app_health_check.filter(|_| given.switch("enable-app-health-check")),
        app_binding_options_timeout: positive(&given, "app-binding-options-timeout", Duration::from_secs(3)),
        http_port: checked.http_port,
        grpc_port: checked.grpc_port,
        internal_grpc_port: checked.internal_grpc_port,
        internal_grpc_listen_address: given.text("dapr-internal-grpc-listen-address"),
        public_port: checked.public_port,
        public_listen_address: given.text("dapr-public-listen-address"),
        listen_addresses: addresses(&given.text("dapr-listen-addresses")),
        unix_domain_socket: path(&given, "unix-domain-socket"),
        resources_paths: resources(&given),
        config: given.list("config"),
        control_plane_address: given.text("control-plane-address"),
        control_plane_trust_domain: flag_or_env(&given, "control-plane-trust-domain", "DAPR_CONTROLPLANE_TRUST_DOMAIN", env),
        control_plane_namespace: flag_or_env(&given, "control-plane-namespace", "DAPR_CONTROLPLANE_NAMESPACE", env),
        sentry_address: given.text("sentry-address"),
        trust_anchors: env("DAPR_TRUST_ANCHORS").unwrap_or_default(),
        jwt_audiences: given.list("sentry-request-jwt-audiences"),
        enable_mtls: given.switch("enable-mtls"),
        placement_addresses: addresses(&given.text("placement-host-address")),
        scheduler_addresses: schedulers(&given, env),
        scheduler_job_streams: u32::try_from(given.integer("scheduler-job-streams")).unwrap_or_default(),
        actors_disseminate_timeout,
        allowed_origins: given.text("allowed-origins"),
        enable_profiling: given.switch("enable-profiling"),
        profile_port: checked.profile_port,
        max_body_size,
        read_buffer_size,
        graceful_shutdown: Duration::from_secs(u64::try_from(given.integer("dapr-graceful-shutdown-seconds")).unwrap_or(5)),
        block_shutdown: given.has("dapr-block-shutdown-duration").then(|| positive(&given, "dapr-block-shutdown-duration", Duration::ZERO)),
        enable_api_logging: given.has("enable-api-logging").then(|| given.switch("enable-api-logging")),
        disable_builtin_k8s_secret_store: given.switch("disable-builtin-k8s-secret-store"),
        disable_config_endpoint: checked.disabled_endpoints.iter().any(|name| name == "config"),
        disable_subscribe_endpoint: checked.disabled_endpoints.iter().any(|name| name == "subscribe"),
        reconcile_interval: positive(&given, "hot-reload-reconcile-interval", Duration::from_secs(60)),
        log_level: given.text("log-level"),
        log_as_json: given.switch("log-as-json"),
        log_file: path(&given, "log-file"),
        enable_metrics: given.switch("enable-metrics"),
        metrics_port: checked.metrics_port,
        metrics_listen_address: given.text("metrics-listen-address"),
        notes: given.notes.iter().cloned().chain(checked.note).collect(),
    })
}

/// What is checked only when the sidecar is really to run.
#[derive(Default)]
struct Checked {
    http_port: u16,
    grpc_port: u16,
    profile_port: u16,
    metrics_port: u16,
    internal_grpc_port: Option<u16>,
    public_port: Option<u16>,
    app_port: Option<u16>,
    app_protocol: AppProtocol,
    app_health_check: Option<AppHealthCheck>,
    disabled_endpoints: Vec<String>,
    note: Option<String>,
}

impl Checked {
    fn lenient(given: &Given) -> Self {
        Self { http_port: given.text("dapr-http-port").parse().unwrap_or(3500), ..Self::default() }
    }

    fn strict(given: &Given, mode: Mode) -> Result<Self, FlagError> {
        if mode == Mode::Standalone {
            check_app_id(&given.text("app-id"))?;
        }
        let http_port = port(given, "dapr-http-port", " flag")?;
        let grpc_port = port(given, "dapr-grpc-port", " flag")?;
        let profile_port = port(given, "profile-port", " flag")?;
        let internal_grpc_port = optional_port(given, "dapr-internal-grpc-port")?.filter(|port| *port != 0);
        let public_port = optional_port(given, "dapr-public-port")?;
        let app_port = optional_port(given, "app-port")?.filter(|port| *port != 0);
        for (flag, ours) in [("dapr-http-port", http_port), ("dapr-grpc-port", grpc_port)] {
            if app_port == Some(ours) {
                return Err(FlagError::Runtime(format!("the '{flag}' argument value {ours} conflicts with 'app-port'")));
            }
        }
        let (app_protocol, note) = protocol(given)?;
        let disabled_endpoints = disabled_endpoints(given)?;
        let app_health_check = Some(health_check(given)?);
        let metrics_port = if given.switch("enable-metrics") { port(given, "metrics-port", " flag")? } else { 0 };
        Ok(Self {
            http_port,
            grpc_port,
            profile_port,
            metrics_port,
            internal_grpc_port,
            public_port,
            app_port,
            app_protocol,
            app_health_check,
            disabled_endpoints,
            note,
        })
    }
}

fn disseminate_timeout(given: &Given) -> Result<Duration, FlagError> {
    let nanos = given.nanos("actors-disseminate-timeout");
    if nanos <= 0 {
        let value = go_duration::format_nanos(nanos);
        let text = format!("invalid value for 'actors-disseminate-timeout' option: must be positive, got {value}");
        return Err(FlagError::Options(text));
    }
    Ok(Duration::from_nanos(nanos.unsigned_abs()))
}

fn mode(given: &Given) -> Result<Mode, FlagError> {
    match given.text("mode").as_str() {
        "standalone" => Ok(Mode::Standalone),
        "kubernetes" => Ok(Mode::Kubernetes),
        other => Err(FlagError::Options(format!("invalid value for 'mode' option: {other}"))),
    }
}

fn check_app_id(app_id: &str) -> Result<(), FlagError> {
    match app_id {
        "" => Err(FlagError::Runtime("parameter app-id cannot be empty".to_owned())),
        id if id.contains('.') => Err(FlagError::Runtime("parameter app-id cannot contain dots".to_owned())),
        _ => Ok(()),
    }
}

fn port(given: &Given, name: &str, suffix: &str) -> Result<u16, FlagError> {
    let text = given.text(name);
    text.parse::<u16>().map_err(|_| {
        let reason = if text.parse::<i64>().is_ok() { "value out of range" } else { "invalid syntax" };
        FlagError::Runtime(format!("error parsing {name}{suffix}: strconv.Atoi: parsing {text:?}: {reason}"))
    })
}

fn optional_port(given: &Given, name: &str) -> Result<Option<u16>, FlagError> {
    if given.text(name).is_empty() { Ok(None) } else { port(given, name, "").map(Some) }
}

fn protocol(given: &Given) -> Result<(AppProtocol, Option<String>), FlagError> {
    let written = given.text("app-protocol");
    let upgraded = |protocol: &str| Some(format!("The 'app-ssl' flag is deprecated; use 'app-protocol={protocol}' instead"));
    Ok(match (written.to_ascii_lowercase().as_str(), given.switch("app-ssl")) {
        ("grpcs", _) => (AppProtocol::Grpcs, None),
        ("https", _) => (AppProtocol::Https, None),
        ("h2c", _) => (AppProtocol::H2c, None),
        ("http", true) => (AppProtocol::Https, upgraded("https")),
        ("grpc", true) => (AppProtocol::Grpcs, upgraded("grpcs")),
        ("http" | "", _) => (AppProtocol::Http, None),
        ("grpc", false) => (AppProtocol::Grpc, None),
        _ => return Err(FlagError::Runtime(format!("invalid value for 'app-protocol': {written}"))),
    })
}

fn disabled_endpoints(given: &Given) -> Result<Vec<String>, FlagError> {
    let names = given.list("disable-init-endpoints").into_iter().map(|name| name.trim().to_ascii_lowercase());
    let names: Vec<String> = names.filter(|name| !name.is_empty()).collect();
    match names.iter().find(|name| !matches!(name.as_str(), "config" | "subscribe")) {
        Some(name) => Err(FlagError::Runtime(format!("invalid value for 'disable-init-endpoints': {name}"))),
        None => Ok(names),
    }
}

fn health_check(given: &Given) -> Result<AppHealthCheck, FlagError> {
    let number = |name| u64::try_from(given.integer(name)).ok().filter(|number| *number > 0);
    let interval = Duration::from_secs(number("app-health-probe-interval").unwrap_or(5));
    let timeout = Duration::from_millis(number("app-health-probe-timeout").unwrap_or(500));
    if timeout > interval {
        let text = "value for 'health-probe-timeout' must be smaller than 'health-probe-interval'";
        return Err(FlagError::Runtime(text.to_owned()));
    }
    let threshold = i32::try_from(given.integer("app-health-threshold")).ok().filter(|threshold| (1..i32::MAX).contains(threshold));
    let threshold = threshold.map_or(3, i32::unsigned_abs);
    Ok(AppHealthCheck { path: given.text("app-health-check-path"), interval, timeout, threshold })
}

/// A size flag, or its older form that counts in units of `1 << shift` bytes; -1 means the default, 0 no limit.
fn size(given: &Given, name: &str, older: &str, shift: u32) -> Result<Option<usize>, FlagError> {
    let default = 4_i64 << shift;
    let bytes = if given.has(name) {
        let failed = |error: quantity::QuantityError| FlagError::Options(format!("invalid value for '{name}' option: {error}"));
        quantity::parse(&given.text(name)).map_err(failed)?
    } else if given.has(older) {
        match given.integer(older) {
            units @ 1.. => units.checked_shl(shift).unwrap_or(i64::MAX),
            other => other,
        }
    } else {
        default
    };
    let bytes = if bytes == -1 { default } else { bytes };
    Ok(usize::try_from(bytes).ok().filter(|bytes| *bytes > 0))
}

fn positive(given: &Given, name: &str, otherwise: Duration) -> Duration {
    u64::try_from(given.nanos(name)).ok().filter(|nanos| *nanos > 0).map_or(otherwise, Duration::from_nanos)
}

fn path(given: &Given, name: &str) -> Option<PathBuf> {
    Some(given.text(name)).filter(|path| !path.is_empty()).map(PathBuf::from)
}

fn resources(given: &Given) -> Vec<PathBuf> {
    let paths: Vec<PathBuf> = given.list("resources-path").into_iter().filter(|path| !path.is_empty()).map(PathBuf::from).collect();
    if paths.is_empty() { path(given, "components-path").into_iter().collect() } else { paths }
}

/// Addresses in a comma-separated text; empty ones, also when written as quotes or spaces, do not count.
fn addresses(text: &str) -> Vec<String> {
    let bare = text.split(',').map(|one| one.trim().trim_matches('"').trim().to_owned());
    bare.filter(|address| !address.is_empty()).collect()
}

fn schedulers(given: &Given, env: Env<'_>) -> Vec<String> {
    if given.has("scheduler-host-address") {
        return given.list("scheduler-host-address").iter().flat_map(|text| addresses(text)).collect();
    }
    env("DAPR_SCHEDULER_HOST_ADDRESS_DNS_A").map(|text| addresses(&text)).unwrap_or_default()
}

fn flag_or_env(given: &Given, name: &str, variable: &str, env: Env<'_>) -> String {
    if given.has(name) { given.text(name) } else { env(variable).unwrap_or_else(|| given.text(name)) }
}
