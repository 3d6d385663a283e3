//! From flags and environment to the options of a runtime.

use crate::flags::{AppProtocol as FlagProtocol, SidecarFlags};
use proa_core::{AppHealth, AppProtocol, RuntimeOptions};
use proa_transport::tls::IdentityOptions;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|v| !v.is_empty())
}

/// The ports that were really bound.
pub struct Ports {
    pub http: u16,
    pub grpc: u16,
    pub internal: u16,
    pub metrics: u16,
}

pub fn runtime(flags: &SidecarFlags, ports: &Ports) -> RuntimeOptions {
    let namespace = variable("NAMESPACE");
    let mut disabled = Vec::new();
    if flags.disable_config_endpoint {
        disabled.push("config".to_owned());
    }
    if flags.disable_subscribe_endpoint {
        disabled.push("subscribe".to_owned());
    }
    RuntimeOptions {
        app_id: flags.app_id.clone(),
        namespace_set: namespace.is_some(),
        namespace: namespace.unwrap_or_else(|| "default".into()),
        pod_name: variable("POD_NAME").unwrap_or_default(),
        hostname: gethostname::gethostname().to_string_lossy().into_owned(),
        host_address: host_address(),
        version: crate::VERSION.to_owned(),
        http_port: ports.http,
        grpc_port: ports.grpc,
        internal_grpc_port: ports.internal,
        public_port: flags.public_port,
        metrics_port: ports.metrics,
        app_port: flags.app_port,
        app_protocol: protocol(flags.app_protocol),
        app_channel_address: flags.app_channel_address.clone(),
        app_max_concurrency: flags.app_max_concurrency,
        app_api_token: variable("APP_API_TOKEN"),
        app_health: flags.app_health_check.as_ref().map(|h| AppHealth {
            path: h.path.clone(),
            interval: h.interval,
            timeout: h.timeout,
            threshold: h.threshold,
        }),
        binding_options_timeout: flags.app_binding_options_timeout,
        api_token: variable("DAPR_API_TOKEN"),
        max_body_size: flags.max_body_size.unwrap_or(usize::MAX),
        read_buffer_size: flags.read_buffer_size.unwrap_or(1 << 20),
        allowed_origins: flags.allowed_origins.clone(),
        enable_api_logging: flags.enable_api_logging,
        disable_init_endpoints: disabled,
        resources_paths: flags.resources_paths.clone(),
        graceful_shutdown: flags.graceful_shutdown,
        placement_addresses: flags.placement_addresses.clone(),
        scheduler_addresses: flags.scheduler_addresses.clone(),
    }
}

/// What Sentry is asked for.
pub fn identity(flags: &SidecarFlags) -> IdentityOptions {
    IdentityOptions {
        name: variable("SENTRY_LOCAL_IDENTITY").unwrap_or_else(|| flags.app_id.clone()),
        namespace: variable("NAMESPACE").unwrap_or_else(|| "default".into()),
        sentry_address: flags.sentry_address.clone(),
        trust_anchors: flags.trust_anchors.clone(),
        control_plane_trust_domain: flags.control_plane_trust_domain.clone(),
        control_plane_namespace: flags.control_plane_namespace.clone(),
        // A variable that is set but empty is an error, not the absence of a token.
        token_file: std::env::var_os("DAPR_SENTRY_TOKEN_FILE").map(Into::into),
        jwt_audiences: flags.jwt_audiences.clone(),
    }
}

fn protocol(protocol: FlagProtocol) -> AppProtocol {
    match protocol {
        FlagProtocol::Http => AppProtocol::Http,
        FlagProtocol::Https => AppProtocol::Https,
        FlagProtocol::Grpc => AppProtocol::Grpc,
        FlagProtocol::Grpcs => AppProtocol::Grpcs,
        FlagProtocol::H2c => AppProtocol::H2c,
    }
}

/// `DAPR_HOST_IP`, or the machine's address.
fn host_address() -> String {
    variable("DAPR_HOST_IP").unwrap_or_else(|| proa_core::names::machine::address().to_string())
}

/// Where peers reach this sidecar: on the one address that it listens on for them, or else on the machine's.
pub fn peers_address(listening: &str, host: &str) -> String {
    let bare = listening.trim().trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<std::net::IpAddr>() {
        Ok(address) if !address.is_unspecified() => bare.to_owned(),
        Err(_) if bare.eq_ignore_ascii_case("localhost") => "127.0.0.1".to_owned(),
        _ => host.to_owned(),
    }
}

/// Variables that components may refer to, besides those of the process.
pub fn environment(flags: &SidecarFlags, options: &RuntimeOptions) -> BTreeMap<String, String> {
    let ports = Ports { http: options.http_port, grpc: options.grpc_port, internal: options.internal_grpc_port, metrics: options.metrics_port };
    variables(flags, &ports, options.host_address.clone())
}

/// The same before anything is bound, for the Configuration: a port that is yet to be found is the one that will be tried first.
pub fn early_environment(flags: &SidecarFlags) -> BTreeMap<String, String> {
    let internal = flags.internal_grpc_port.unwrap_or_else(|| stable_internal_port(&flags.app_id));
    let ports = Ports { http: flags.http_port, grpc: flags.grpc_port, internal, metrics: flags.metrics_port };
    variables(flags, &ports, host_address())
}

fn variables(flags: &SidecarFlags, ports: &Ports, host_address: String) -> BTreeMap<String, String> {
    [
        ("APP_ID", flags.app_id.clone()),
        ("APP_PORT", flags.app_port.map(|p| p.to_string()).unwrap_or_default()),
        ("HOST_ADDRESS", host_address),
        ("DAPR_PORT", ports.internal.to_string()),
        ("DAPR_HTTP_PORT", ports.http.to_string()),
        ("DAPR_GRPC_PORT", ports.grpc.to_string()),
        ("DAPR_METRICS_PORT", ports.metrics.to_string()),
        ("DAPR_PROFILE_PORT", flags.profile_port.to_string()),
    ]
    .into_iter()
    .map(|(n, v)| (n.to_owned(), v))
    .collect()
}

/// The port for other sidecars where none is given: the same for the same application in the same folder, so that it survives a restart.
pub fn stable_internal_port(app_id: &str) -> u16 {
    let folder = std::env::current_dir().unwrap_or_default();
    // SAFETY: getuid has no preconditions and cannot fail.
    let user = unsafe { libc::getuid() };
    let seed = format!("{app_id}{}{user}{}", folder.display(), gethostname::gethostname().to_string_lossy());
    let digest = Sha256::digest(seed.as_bytes());
    let word = u16::from_le_bytes([digest.first().copied().unwrap_or(0), digest.get(1).copied().unwrap_or(0)]);
    47300 + word % 18235
}
