//! `tracing`: how many requests are traced and where spans are sent.

use crate::fields::{FieldError, Fields, Note, text_of};
use crate::go_duration;
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;

/// `tracing`; off by default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tracing {
    /// The share of traced requests from 0 to 1, as written; empty means none.
    pub sampling_rate: String,
    /// Whether spans are printed.
    pub stdout: bool,
    /// Zipkin's address; none means no Zipkin.
    pub zipkin_endpoint: Option<String>,
    /// The OpenTelemetry exporter.
    pub otel: Otel,
}

/// `tracing.otel`; off while the address is empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Otel {
    /// `grpc` or `http`.
    pub protocol: String,
    /// Host and port.
    pub endpoint_address: String,
    /// Whether TLS is used; true by default.
    pub is_secure: bool,
    /// Headers as `name=value`.
    pub headers: Vec<String>,
    /// How long an export may take; the exporter's own default when not given.
    #[serde(serialize_with = "go_duration::serialize_option")]
    pub timeout: Option<Duration>,
}

impl Default for Otel {
    fn default() -> Self {
        Self { protocol: String::new(), endpoint_address: String::new(), is_secure: true, headers: Vec::new(), timeout: None }
    }
}

impl Tracing {
    pub(super) fn read(spec: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<Self, FieldError> {
        let mut tracing = spec.child("tracing")?;
        let mut zipkin = tracing.child("zipkin")?;
        let mut otel = tracing.child("otel")?;
        let read = Tracing {
            sampling_rate: tracing.text("samplingRate")?,
            stdout: tracing.flag("stdout")?,
            zipkin_endpoint: zipkin.text_option("endpointAddress")?.filter(|address| !address.is_empty()),
            otel: Otel {
                protocol: otel.text("protocol")?,
                endpoint_address: otel.text("endpointAddress")?,
                is_secure: otel.flag_option("isSecure")?.unwrap_or(true),
                headers: read_headers(&mut otel)?,
                timeout: otel.duration_option("timeout")?,
            },
        };
        otel.finish(notes);
        zipkin.finish(notes);
        tracing.finish(notes);
        Ok(read)
    }
}

/// `name=value` texts in files; name/value pairs from the operator.
fn read_headers(otel: &mut Fields<'_>) -> Result<Vec<String>, FieldError> {
    let mut headers = Vec::new();
    for (value, path) in otel.items("headers")? {
        headers.push(match value {
            Value::Object(_) => {
                let mut pair = Fields::of(Some(value), &path)?;
                format!("{}={}", pair.text("name")?, pair.text("value")?)
            }
            other => text_of(other, &path)?,
        });
    }
    Ok(headers)
}
