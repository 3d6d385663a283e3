//! Output bindings, and what an application asks for in its answer to an input binding.

use crate::app::BindingReply;
use crate::call::{CallFailure, Operation, call};
use crate::metrics::Family;
use crate::options::{Cx, Transport};
use crate::runtime::Runtime;
use crate::slots::Slot;
use bytes::Bytes;
use futures::future::join_all;
use proa_host::kinds::bindings::{Error as BindingError, Request, Response};
use proa_host::manifest::Kind;
use proa_model::{Error, Metadata, error};
use std::sync::Arc;

pub struct Invoke {
    pub name: String,
    pub operation: String,
    pub data: Bytes,
    pub metadata: Metadata,
}

#[derive(Debug, Default)]
pub struct Output {
    pub data: Option<Bytes>,
    pub metadata: Metadata,
    pub content_type: Option<String>,
}

/// The second part of the error is what the other side's answer came with.
pub async fn invoke(runtime: &Runtime, _cx: &Cx, request: Invoke) -> Result<Output, (Error, Metadata)> {
    let fail = |why: &str| (error::binding::invoke(&request.name, why), Metadata::new());
    let slot = find(runtime, &request.name).map_err(|why| fail(&why))?;
    check(&slot, &request).map_err(|why| fail(&why))?;
    let operation = Operation { family: Family::OutputBinding, name: &request.operation, read: false };
    let answer: Result<Result<Response, BindingError>, CallFailure> = call(runtime, &slot, operation, |lease| {
        let request = Request { operation: request.operation.clone(), data: request.data.to_vec(), metadata: request.metadata.clone() };
        async move { lease.generation.binding().invoke(request).await }
    })
    .await;
    match answer {
        Ok(Ok(response)) => Ok(Output { data: response.data.map(Bytes::from), metadata: response.metadata, content_type: response.content_type }),
        Ok(Err(BindingError::Rejected((why, metadata, _)))) => Err((error::binding::invoke(&request.name, &why), metadata)),
        Ok(Err(failure)) => Err(fail(&text(failure))),
        Err(failure) => Err(fail(&failure.to_string())),
    }
}

fn text(error: BindingError) -> String {
    match error {
        BindingError::UnsupportedOperation(t)
        | BindingError::InvalidArgument(t)
        | BindingError::NotFound(t)
        | BindingError::Unavailable(t)
        | BindingError::Other(t)
        | BindingError::Rejected((t, _, _)) => t,
    }
}

fn find(runtime: &Runtime, name: &str) -> Result<Arc<Slot>, String> {
    let unknown = || format!("couldn't find output binding {name}");
    let slot = runtime.slots.find(Kind::Bindings, name).ok_or_else(unknown)?;
    let current = slot.peek().ok_or_else(unknown)?;
    let direction = current.prepared.get("direction").map(str::to_lowercase);
    let outward = direction.is_none_or(|d| d.split(',').any(|p| p.trim() == "output"));
    if !outward || !current.generation.offers("bindings/output") {
        return Err(unknown());
    }
    Ok(slot)
}

fn check(slot: &Slot, request: &Invoke) -> Result<(), String> {
    if request.operation.is_empty() {
        return Err("operation field is missing from request".into());
    }
    let Some(current) = slot.peek() else { return Ok(()) };
    let operations = &current.generation.facts().operations;
    if operations.contains(&request.operation) {
        return Ok(());
    }
    Err(format!("binding {} does not support operation {}. supported operations:{}", request.name, request.operation, operations.join(" ")))
}

/// Saves the state and calls the output bindings that an application's answer names.
pub(crate) async fn carry_out(runtime: &Arc<Runtime>, reply: &BindingReply) -> Result<(), Error> {
    let cx = Cx::new(Transport::Http);
    if !reply.store_name.is_empty() && reply.state.as_array().is_some_and(|s| !s.is_empty()) {
        let items = super::state::items_of_json(&reply.state).map_err(error::common::malformed)?;
        super::state::save(runtime, &cx, &reply.store_name, items).await?;
    }
    let calls = reply.to.iter().map(|name| {
        let request =
            Invoke { name: name.clone(), operation: "create".into(), data: reply.data.clone().unwrap_or_default(), metadata: Metadata::new() };
        invoke(runtime, &cx, request)
    });
    if reply.concurrency == "parallel" {
        join_all(calls).await.into_iter().try_for_each(|r| r.map(drop)).map_err(|(e, _)| e)
    } else {
        for call in calls {
            call.await.map_err(|(e, _)| e)?;
        }
        Ok(())
    }
}
