//! What a runtime is built from, and what accompanies each call.

use crate::trace::Span;
use std::path::PathBuf;
use std::time::Duration;

/// What the application speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppProtocol {
    Http,
    Https,
    Grpc,
    Grpcs,
    H2c,
}

impl AppProtocol {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Grpc => "grpc",
            Self::Grpcs => "grpcs",
            Self::H2c => "h2c",
        }
    }
    pub fn is_grpc(self) -> bool {
        matches!(self, Self::Grpc | Self::Grpcs)
    }
}

/// Probing of the application.
#[derive(Clone, Debug)]
pub struct AppHealth {
    pub path: String,
    pub interval: Duration,
    pub timeout: Duration,
    /// Failures in a row that make it unhealthy.
    pub threshold: u32,
}

/// Everything that the process decided before the runtime is built.
#[derive(Clone, Debug)]
pub struct RuntimeOptions {
    pub app_id: String,
    /// `NAMESPACE`, or `default`.
    pub namespace: String,
    /// Whether `NAMESPACE` is set.
    pub namespace_set: bool,
    pub pod_name: String,
    pub hostname: String,
    pub host_address: String,
    pub version: String,
    pub http_port: u16,
    pub grpc_port: u16,
    pub internal_grpc_port: u16,
    pub public_port: Option<u16>,
    pub metrics_port: u16,
    pub app_port: Option<u16>,
    pub app_protocol: AppProtocol,
    pub app_channel_address: String,
    pub app_max_concurrency: Option<usize>,
    pub app_api_token: Option<String>,
    pub app_health: Option<AppHealth>,
    pub binding_options_timeout: Duration,
    pub api_token: Option<String>,
    pub max_body_size: usize,
    pub read_buffer_size: usize,
    pub allowed_origins: String,
    pub enable_api_logging: Option<bool>,
    pub disable_init_endpoints: Vec<String>,
    pub resources_paths: Vec<PathBuf>,
    pub graceful_shutdown: Duration,
    /// Actors and jobs are off when their services have no address.
    pub placement_addresses: Vec<String>,
    pub scheduler_addresses: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Http,
    Grpc,
}

/// What accompanies a call from an application.
#[derive(Clone, Debug)]
pub struct Cx {
    pub transport: Transport,
    pub traceparent: Option<String>,
    pub tracestate: Option<String>,
    pub baggage: Option<String>,
}

impl Cx {
    pub fn new(transport: Transport) -> Self {
        Self { transport, traceparent: None, tracestate: None, baggage: None }
    }

    /// Within a span.
    pub fn of(transport: Transport, span: &Span, baggage: Option<String>) -> Self {
        let link = span.link();
        Self { transport, traceparent: Some(link.context.text()), tracestate: link.state.as_deref().map(str::to_owned), baggage }
    }
}
