//! Whether the sidecar is ready, and its end.

use super::reply::{self, Reply};
use super::request::Call;
use proa_model::Error;
use proa_model::error::common;

pub fn all(call: &Call<'_>) -> Result<Reply, Error> {
    let health = call.runtime.health();
    if !health.ready {
        return Err(common::not_ready(&health.unready));
    }
    match call.query("appid") {
        Some(app_id) if app_id != call.runtime.options().app_id.as_str() => Err(common::app_id_mismatch()),
        _ => Ok(reply::empty()),
    }
}

/// Whether calls from the application to elsewhere can be made.
pub fn outbound(call: &Call<'_>) -> Result<Reply, Error> {
    if call.runtime.health().outbound { Ok(reply::empty()) } else { Err(common::outbound_not_ready()) }
}

pub fn shutdown(call: &Call<'_>) -> Reply {
    call.runtime.request_shutdown(call.header("dapr-force-shutdown").is_some_and(|v| v.eq_ignore_ascii_case("true")));
    reply::empty()
}
