//! Output bindings. The data are written anew as JSON, as Dapr does.

use super::error;
use super::json::{self, Fields};
use super::reply::{self, Reply};
use super::request::Call;
use bytes::Bytes;
use http::StatusCode;
use proa_core::services::bindings::{self, Invoke};
use proa_core::trace::{SpanContext, check_baggage};
use proa_model::error::common;
use proa_model::{Error, Metadata};

const PLACE: &str = "OutputBindingRequest";

pub async fn invoke(mut call: Call<'_>) -> Result<Reply, Error> {
    let cx = call.cx();
    let body = call.body().await?;
    let mut request = read(call.param(0), &body)?;
    if let Some(list) = &cx.baggage {
        check_baggage(list).map_err(|why| common::malformed(&why))?;
        put(&mut request.metadata, "baggage", list);
    }
    if call.runtime.tracer().is_on() {
        put(&mut request.metadata, "traceparent", &SpanContext::from_text_or_zero(cx.traceparent.as_deref()).text());
    }
    if let Some(state) = &cx.tracestate {
        put(&mut request.metadata, "tracestate", state);
    }
    let output = match bindings::invoke(call.runtime, &cx, request).await {
        Ok(output) => output,
        Err((failure, metadata)) => {
            let mut answer = error::render(call.runtime.metrics(), &failure);
            reply::metadata(&mut answer, &metadata);
            return Ok(answer);
        }
    };
    let mut answer = match output.data {
        Some(data) => reply::data(StatusCode::OK, data),
        None => reply::empty(),
    };
    reply::metadata(&mut answer, &output.metadata);
    Ok(answer)
}

fn read(name: String, body: &[u8]) -> Result<Invoke, Error> {
    let fields: Fields<'_> = json::decode(body, "http.OutputBindingRequest").map_err(|why| common::malformed_request(&why))?;
    let mismatch = |json::Mismatch(why)| common::malformed_request(&why);
    let operation = fields.text("operation", PLACE).map_err(mismatch)?.unwrap_or_default();
    let metadata = fields.pairs("metadata", PLACE).map_err(mismatch)?.unwrap_or_default();
    let data: serde_json::Value = serde_json::from_str(fields.raw("data").unwrap_or("null")).map_err(|e| common::malformed_data(&e.to_string()))?;
    Ok(Invoke { name, operation, data: Bytes::from(json::encode(&data)), metadata })
}

fn put(metadata: &mut Metadata, name: &str, value: &str) {
    metadata.retain(|(n, _)| n != name);
    metadata.push((name.to_owned(), value.to_owned()));
}
