//! What the sidecar tells of itself, and what an application adds.

use super::reply::{self, Reply};
use super::request::Call;
use proa_core::services::metadata;
use proa_model::Error;
use proa_model::error::common;
use serde_json::{Value, json};

/// The record in the shape of Dapr's: the scheduler's addresses have an object of their own, what is empty is left out.
pub fn get(call: &Call<'_>) -> Result<Reply, Error> {
    let mut info =
        serde_json::to_value(metadata::get(call.runtime)).map_err(|e| common::internal(format!("failed to encode response as JSON: {e}")))?;
    if let Some(fields) = info.as_object_mut() {
        match fields.remove("schedulerAddresses") {
            Some(Value::Array(addresses)) if !addresses.is_empty() => {
                fields.insert("scheduler".into(), json!({ "connectedAddresses": addresses }));
            }
            _ => {}
        }
        fields.retain(|_, value| !is_empty(value));
        if let Some(Value::Object(app)) = fields.get_mut("appConnectionProperties") {
            app.retain(|_, value| !is_empty(value) && *value != json!(0));
        }
        if let Some(Value::Object(actors)) = fields.get_mut("actorRuntime") {
            actors.retain(|_, value| !is_empty(value));
        }
    }
    Ok(reply::json(&info))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

pub async fn put(mut call: Call<'_>) -> Result<Reply, Error> {
    let value = call.body().await?;
    metadata::set(call.runtime, call.param(0), String::from_utf8_lossy(&value).into_owned());
    Ok(reply::empty())
}
