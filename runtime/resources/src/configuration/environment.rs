//! The OpenTelemetry exporter from its standard environment variables. A configured endpoint always wins.

use super::tracing::Tracing;
use std::collections::BTreeMap;
use std::time::Duration;

type Env<'e> = &'e dyn Fn(&str) -> Option<String>;

pub(super) fn apply(tracing: &mut Tracing, env: Env<'_>) -> Result<(), String> {
    if !tracing.otel.endpoint_address.is_empty() {
        return Ok(());
    }
    if let Some(endpoint) = either(env, "ENDPOINT") {
        let bare = endpoint.strip_prefix("http://").unwrap_or(&endpoint);
        tracing.otel.endpoint_address = bare.strip_prefix("https://").unwrap_or(bare).to_owned();
        if tracing.sampling_rate.is_empty() {
            tracing.sampling_rate = "1".to_owned();
        }
        let over_http = either(env, "PROTOCOL").is_some_and(|protocol| protocol.starts_with("http"));
        tracing.otel.protocol = if over_http { "http" } else { "grpc" }.to_owned();
        if env("OTEL_EXPORTER_OTLP_INSECURE").as_deref() == Some("true") {
            tracing.otel.is_secure = false;
        }
    }
    if let Some(headers) = either(env, "HEADERS") {
        tracing.otel.headers.extend(parse_headers(&headers)?.into_iter().map(|(name, value)| format!("{name}={value}")));
    }
    if let Some(text) = either(env, "TIMEOUT") {
        let millis: i64 = text.parse().map_err(|_| format!("strconv.Atoi: parsing {text:?}: invalid syntax"))?;
        if let Ok(millis @ 1..) = u64::try_from(millis) {
            tracing.otel.timeout = Some(Duration::from_millis(millis));
        }
    }
    Ok(())
}

/// The variable for traces, else the one for all signals; empty counts as unset.
fn either(env: Env<'_>, name: &str) -> Option<String> {
    let set = |variable: String| env(&variable).filter(|value| !value.is_empty());
    set(format!("OTEL_EXPORTER_OTLP_TRACES_{name}")).or_else(|| set(format!("OTEL_EXPORTER_OTLP_{name}")))
}

/// `name=value,name=value` with percent-encoded values.
fn parse_headers(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut headers = BTreeMap::new();
    for header in text.split(',') {
        let (name, value) = header.split_once('=').ok_or_else(|| format!("missing '=' parse headers input{header}"))?;
        let name = name.trim();
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || !name.chars().all(token) {
            return Err(format!("invalid header key{name}"));
        }
        let value = percent_decode(value).ok_or_else(|| format!("escape header value{value}"))?;
        headers.insert(name.to_owned(), value.trim().to_owned());
    }
    Ok(headers)
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let pair = [rest.next()?, rest.next()?];
        bytes.push(u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}
