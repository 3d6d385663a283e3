//! Series of gRPC calls, service invocation, access control and error codes.
//!
//! One cache look-up per bundle of series with the same labels.

use std::time::Duration;

use super::Metrics;
use super::table::Series;

/// Whether a call has one message each way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallShape {
    /// One request, one response.
    Unary,
    /// A proxied stream.
    Streaming,
}

impl CallShape {
    fn label(self) -> &'static str {
        match self {
            Self::Unary => "unary",
            Self::Streaming => "streaming",
        }
    }
}

/// Which part of an access control policy decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AclScope {
    /// The policy for the calling app.
    App,
    /// The default of the whole policy.
    Global,
}

/// What an access control policy decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AclDecision {
    /// The call went on.
    Allowed,
    /// The call was refused.
    Blocked,
}

impl Metrics {
    /// A unary call to `method` (`/package.Service/Method`) was served and ended with `status`, the name of its
    /// code (`OK`, `NotFound`, …). Sizes are encoded messages without framing.
    pub fn grpc_server(&self, method: &str, status: &str, elapsed: Duration, received: u64, sent: u64) {
        self.grpc_server_stream(method, status, elapsed);
        self.observe(Series::GrpcServerReceivedBytes, &[method], received as f64);
        self.observe(Series::GrpcServerSentBytes, &[method], sent as f64);
    }

    /// A proxied stream from the app ended. Streams have no size.
    pub fn grpc_server_stream(&self, method: &str, status: &str, elapsed: Duration) {
        self.event(&[Series::GrpcServerCount, Series::GrpcServerLatency], &[method, status], Some(ms(elapsed)));
    }

    /// A unary call to `method` somewhere else ended with `status`.
    pub fn grpc_client(&self, method: &str, status: &str, elapsed: Duration, sent: u64, received: u64) {
        self.grpc_client_stream(method, status, elapsed);
        self.observe(Series::GrpcClientSentBytes, &[method], sent as f64);
        self.observe(Series::GrpcClientReceivedBytes, &[method], received as f64);
    }

    /// A proxied stream from another sidecar ended.
    pub fn grpc_client_stream(&self, method: &str, status: &str, elapsed: Duration) {
        self.event(&[Series::GrpcClientCount, Series::GrpcClientLatency], &[method, status], Some(ms(elapsed)));
    }

    /// A health probe of the app over gRPC ended with `status`.
    pub fn grpc_probe(&self, status: &str, elapsed: Duration) {
        self.event(&[Series::GrpcProbeCount, Series::GrpcProbeLatency], &[status], Some(ms(elapsed)));
    }

    /// A request goes to the sidecar of `destination`.
    pub fn invoke_request_sent(&self, destination: &str, shape: CallShape) {
        self.count(Series::InvokeRequestSent, &[destination, shape.label()]);
    }

    /// A request came from the sidecar of `source`.
    pub fn invoke_request_received(&self, source: &str) {
        self.count(Series::InvokeRequestReceived, &[source]);
    }

    /// A response with `status` (HTTP, or a gRPC code number) goes back to the sidecar of `destination`.
    pub fn invoke_response_sent(&self, destination: &str, status: i32) {
        self.count(Series::InvokeResponseSent, &[destination, &status.to_string()]);
    }

    /// A response with `status` came back from the sidecar of `source`. Only unary calls have a latency.
    pub fn invoke_response_received(&self, source: &str, status: i32, shape: CallShape, elapsed: Duration) {
        let status = status.to_string();
        self.count(Series::InvokeResponseReceived, &[source, &status, shape.label()]);
        if shape == CallShape::Unary {
            self.observe(Series::InvokeLatency, &[source, &status], ms(elapsed));
        }
    }

    /// Access control decided about a call of `app_id` in `namespace` of `trust_domain`: the caller's identity,
    /// not this sidecar's.
    pub fn acl(&self, scope: AclScope, decision: AclDecision, app_id: &str, trust_domain: &str, namespace: &str) {
        let series = match (scope, decision) {
            (AclScope::App, AclDecision::Allowed) => Series::AclAppAllowed,
            (AclScope::App, AclDecision::Blocked) => Series::AclAppBlocked,
            (AclScope::Global, AclDecision::Allowed) => Series::AclGlobalAllowed,
            (AclScope::Global, AclDecision::Blocked) => Series::AclGlobalBlocked,
        };
        self.count(series, &[app_id, trust_domain, namespace]);
    }

    /// An error with `code` (`ERR_STATE_STORE_NOT_FOUND`) of `category` (`state`) was answered. Recorded only when
    /// `recordErrorCodes` is on and both are known.
    pub fn error_code(&self, code: &str, category: &str) {
        let wanted = self.registry.as_ref().is_some_and(|registry| registry.records_error_codes());
        if wanted && !code.is_empty() && !category.is_empty() {
            self.count(Series::ErrorCode, &[code, category]);
        }
    }
}

/// Milliseconds with their fraction.
pub(super) fn ms(elapsed: Duration) -> f64 {
    elapsed.as_secs_f64() * 1e3
}
