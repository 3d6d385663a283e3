//! Publishing, one message or many.

mod bulk;

use super::json;
use super::reply::{self, Reply};
use super::request::Call;
use http::StatusCode;
use proa_core::services::pubsub::{self, FailedEntry, Publish};
use proa_model::Error;
use proa_model::error::pubsub as errors;
use serde::Serialize;

pub async fn publish(mut call: Call<'_>) -> Result<Reply, Error> {
    let cx = call.cx();
    let (pubsub, topic, metadata) = (call.param(0), call.param(1), call.metadata());
    // What is wrong with the request is said before its body is looked at.
    pubsub::check(call.runtime, &pubsub, &topic, &metadata)?;
    let content_type = call.header("content-type").unwrap_or_default().to_owned();
    let request = Publish { pubsub, topic, content_type, metadata, data: call.body().await? };
    pubsub::publish(call.runtime, &cx, request).await?;
    Ok(reply::empty())
}

pub async fn publish_bulk(mut call: Call<'_>) -> Result<Reply, Error> {
    let cx = call.cx();
    let (broker, topic, metadata) = (call.param(0), call.param(1), call.metadata());
    pubsub::check(call.runtime, &broker, &topic, &metadata)?;
    let body = call.body().await?;
    let entries = bulk::read(&body, &broker, &topic, &call.runtime.options().app_id)?;
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
