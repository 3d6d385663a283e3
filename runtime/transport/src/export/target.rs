//! What the configuration and the environment say of the places that spans go to.

use super::otlp::{Grpc, Http, Resource};
use super::zipkin::Zipkin;
use super::{Env, log};
use proa_core::Runtime;
use proa_core::trace::Record;
use std::fmt;
use std::time::Duration;

/// How long a collector may take for a batch.
const PATIENCE: Duration = Duration::from_secs(10);

/// A place that spans go to.
pub(super) enum Target {
    Log,
    Grpc(Grpc),
    Http(Http),
    Zipkin(Zipkin),
}

impl Target {
    pub(super) async fn send(&mut self, batch: &[Record]) -> Result<(), String> {
        match self {
            Self::Log => {
                log::write(batch);
                Ok(())
            }
            Self::Grpc(grpc) => grpc.send(batch).await,
            Self::Http(http) => http.send(batch).await,
            Self::Zipkin(zipkin) => zipkin.send(batch).await,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log => f.write_str("log"),
            Self::Grpc(grpc) => write!(f, "{}", grpc.address),
            Self::Http(http) => write!(f, "{}", http.url),
            Self::Zipkin(zipkin) => write!(f, "{}", zipkin.url),
        }
    }
}

/// Every target that is configured.
pub(super) fn configured(runtime: &Runtime, env: Env<'_>) -> Result<Vec<Target>, String> {
    let configuration = runtime.configuration();
    let tracing = &configuration.tracing;
    let resource = resource(&runtime.options().app_id, env);
    let mut targets = Vec::new();
    if tracing.stdout {
        targets.push(Target::Log);
    }
    if let Some(url) = &tracing.zipkin_endpoint {
        targets.push(Target::Zipkin(Zipkin::new(url, resource.service.clone(), PATIENCE)?));
    }
    let otel = &tracing.otel;
    if !otel.endpoint_address.is_empty() && !otel.protocol.is_empty() {
        let patience = otel.timeout.or_else(|| timeout(env)).unwrap_or(PATIENCE);
        let headers = headers(&otel.headers, env);
        let address = bare(&otel.endpoint_address);
        let trusted = either(env, "CERTIFICATE");
        let secure = otel.is_secure.then_some(trusted.as_deref());
        targets.push(match otel.protocol.as_str() {
            "grpc" => Target::Grpc(Grpc::new(address, secure, &headers, patience, resource)?),
            "http" => Target::Http(Http::new(address, secure, &headers, patience, resource)?),
            other => return Err(format!("invalid protocol {other} provided for Otel endpoint")),
        });
    }
    Ok(targets)
}

/// The address without a scheme; whether TLS is used is said elsewhere.
fn bare(address: &str) -> &str {
    let address = address.strip_prefix("http://").or_else(|| address.strip_prefix("https://")).unwrap_or(address);
    address.trim_end_matches('/')
}

/// The variable for traces, else the one for everything.
fn either(env: Env<'_>, name: &str) -> Option<String> {
    env(&format!("OTEL_EXPORTER_OTLP_TRACES_{name}")).or_else(|| env(&format!("OTEL_EXPORTER_OTLP_{name}")))
}

fn timeout(env: Env<'_>) -> Option<Duration> {
    either(env, "TIMEOUT").and_then(|ms| ms.parse().ok()).filter(|ms| *ms > 0).map(Duration::from_millis)
}

/// `name=value` as configured; the environment's only when nothing is.
fn headers(configured: &[String], env: Env<'_>) -> Vec<(String, String)> {
    let pair = |text: &str| text.split_once('=').map(|(name, value)| (name.trim().to_owned(), value.to_owned()));
    if !configured.is_empty() {
        return configured.iter().filter_map(|h| pair(h)).collect();
    }
    let listed = either(env, "HEADERS").unwrap_or_default();
    let decoded = |value: String| percent_encoding::percent_decode_str(value.trim()).decode_utf8_lossy().into_owned();
    listed.split(',').filter_map(pair).map(|(name, value)| (name, decoded(value))).collect()
}

/// What all spans of this sidecar have in common. A name of its own goes before the application's.
fn resource(app_id: &str, env: Env<'_>) -> Resource {
    let mut resource = Resource { service: app_id.to_owned(), attributes: Vec::new() };
    let listed = env("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    for (name, value) in listed.split(',').filter_map(|pair| pair.split_once('=')) {
        let value = percent_encoding::percent_decode_str(value.trim()).decode_utf8_lossy().into_owned();
        match name.trim() {
            "service.name" => resource.service = value,
            name => resource.attributes.push((name.to_owned(), value)),
        }
    }
    if let Some(service) = env("OTEL_SERVICE_NAME") {
        resource.service = service;
    }
    resource
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_names_the_service() {
        let env = |name: &str| match name {
            "OTEL_RESOURCE_ATTRIBUTES" => Some("service.namespace=production,k8s.pod.name=pod%2D1, service.name = x".to_owned()),
            "OTEL_SERVICE_NAME" => Some("mine".to_owned()),
            _ => None,
        };
        let named = resource("app", &env);
        assert_eq!(named.service, "mine");
        assert_eq!(named.attributes, [("service.namespace".into(), "production".into()), ("k8s.pod.name".into(), "pod-1".into())]);
        assert_eq!(resource("app", &|_| None).service, "app");
    }

    #[test]
    fn configured_headers_go_before_the_environments() {
        let env = |name: &str| (name == "OTEL_EXPORTER_OTLP_HEADERS").then(|| "a=b%20c,d=e".to_owned());
        assert_eq!(headers(&[], &env), [("a".into(), "b c".into()), ("d".into(), "e".into())]);
        assert_eq!(headers(&["x=y=z".to_owned(), "none".to_owned()], &env), [("x".into(), "y=z".into())]);
        assert_eq!((bare("http://a:1/"), bare("a:1")), ("a:1", "a:1"));
    }
}
