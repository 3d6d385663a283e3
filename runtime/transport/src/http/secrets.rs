//! Secrets as JSON objects.

use super::reply::{self, Reply};
use super::request::Call;
use proa_core::services::secrets;
use proa_model::Error;
use std::collections::BTreeMap;

/// A secret without values is no content.
pub async fn get(call: Call<'_>) -> Result<Reply, Error> {
    let cx = call.cx();
    let values = secrets::get(call.runtime, &cx, &call.param(0), &call.param(1), call.metadata()).await?;
    if values.is_empty() {
        return Ok(reply::empty());
    }
    Ok(reply::json(&values.into_iter().collect::<BTreeMap<_, _>>()))
}

pub async fn get_bulk(call: Call<'_>) -> Result<Reply, Error> {
    let cx = call.cx();
    let secrets = secrets::get_bulk(call.runtime, &cx, &call.param(0), call.metadata()).await?;
    let sorted = secrets.into_iter().map(|(name, values)| (name, values.into_iter().collect::<BTreeMap<_, _>>()));
    Ok(reply::json(&sorted.collect::<BTreeMap<_, _>>()))
}
