//! Publishing, one message or many.

mod bulk;

use super::json;
use super::reply::{self, Reply};
use super::request::Call;
use http::StatusCode;
use proa_core::services::pubsub::{self, FailedEntry, Publish};
use proa_model::error::pubsub as errors;
use proa_model::{Error, Metadata, lookup};
use serde::Serialize;

pub async fn publish(mut call: Call<'_>) -> Result<Reply, Error> {
    let cx = call.cx();
    let request = Publish {
        pubsub: call.param(0),
        topic: call.param(1),
        content_type: call.header("content-type").unwrap_or_default().to_owned(),
        metadata: call.metadata(),
        data: call.body().await?,
    };
    check_raw(&call, &request.pubsub, &request.metadata)?;
    pubsub::publish(call.runtime, &cx, request).await?;
    Ok(reply::empty())
}

/// `rawPayload` must be a truth value in Go's spelling. Whether the broker exists is said first.
fn check_raw(call: &Call<'_>, broker: &str, metadata: &Metadata) -> Result<(), Error> {
    let Some(value) = lookup(metadata, "rawPayload") else { return Ok(()) };
    if matches!(value, "1" | "t" | "T" | "TRUE" | "true" | "True" | "0" | "f" | "F" | "FALSE" | "false" | "False") {
        return Ok(());
    }
    exists(call, broker)?;
    let why = format!("rawPayload value must be a valid boolean: actual is '{value}'");
    Err(errors::metadata(broker, &call.runtime.options().app_id, &why))
}

/// Only for requests that fail anyway: it looks at every component.
fn exists(call: &Call<'_>, broker: &str) -> Result<(), Error> {
    let app_id = &call.runtime.options().app_id;
    let components = proa_core::services::metadata::get(call.runtime).components;
    let mut brokers = components.iter().filter(|c| c.component_type.starts_with("pubsub.")).peekable();
    if brokers.peek().is_none() {
        return Err(errors::not_configured(broker, app_id));
    }
    if brokers.any(|c| c.name == broker) { Ok(()) } else { Err(errors::not_found(broker, app_id)) }
}

pub async fn publish_bulk(mut call: Call<'_>) -> Result<Reply, Error> {
    let cx = call.cx();
    let (broker, topic, metadata) = (call.param(0), call.param(1), call.metadata());
    check_raw(&call, &broker, &metadata)?;
    let body = call.body().await?;
    let entries = match bulk::read(&body, &broker, &topic, &call.runtime.options().app_id) {
        Ok(entries) => entries,
        Err(error) => {
            exists(&call, &broker)?;
            return Err(error);
        }
    };
    let failed = pubsub::publish_bulk(call.runtime, &cx, &broker, &topic, entries, metadata).await?;
    if failed.is_empty() {
        return Ok(reply::empty());
    }
    Ok(partial(&call, &broker, &topic, &failed))
}

#[derive(Serialize)]
struct Failures<'a> {
    #[serde(rename = "failedEntries")]
    entries: Vec<Failure<'a>>,
    #[serde(rename = "errorCode")]
    code: &'a str,
}

#[derive(Serialize)]
struct Failure<'a> {
    #[serde(rename = "entryId")]
    id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    error: &'a str,
}

fn partial(call: &Call<'_>, broker: &str, topic: &str, failed: &[FailedEntry]) -> Reply {
    let cause = failed.first().map(|f| f.error.as_str()).unwrap_or_default();
    let error = errors::publish(broker, topic, cause);
    call.runtime.metrics().error_code(&error.code, error.category);
    let entries = failed.iter().map(|f| Failure { id: &f.id, error: &f.error }).collect();
    let body = json::encode(&Failures { entries, code: &error.code });
    let headers = vec![
        ("responseData".to_owned(), String::from_utf8_lossy(&body).into_owned()),
        ("error".to_owned(), format!("api error: code = Internal desc = {}", error.message)),
    ];
    let mut answer = reply::data(StatusCode::INTERNAL_SERVER_ERROR, body.into());
    reply::metadata(&mut answer, &headers);
    answer
}
