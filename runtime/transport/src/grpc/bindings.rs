//! Output bindings over gRPC. The caller's gRPC metadata go along with the request's own, as in Dapr.

use super::api::Api;
use super::trace::Span;
use super::{map, pairs};
use proa_core::services::bindings as service;
use proa_core::services::bindings::Invoke;
use proa_core::{Cx, Transport};
use proa_model::Metadata;
use proa_protocol::runtime::v1 as pb;
use tonic::metadata::{KeyAndValueRef, MetadataKey, MetadataMap};
use tonic::{Request, Response, Status};

/// Headers of the wire that no caller means.
const HIDDEN: &[&str] = &["te", "grpc-timeout", "grpc-encoding", "grpc-accept-encoding", "grpc-message-type"];

pub(super) async fn invoke(api: &Api, request: Request<pb::InvokeBindingRequest>) -> Result<Response<pb::InvokeBindingResponse>, Status> {
    let (headers, mut extensions, r) = request.into_parts();
    let cx = extensions.remove::<Cx>().unwrap_or_else(|| Cx::new(Transport::Grpc));
    let metadata = merged(pairs(r.metadata), &cx, &headers);
    let wanted = Invoke { name: r.name, operation: r.operation, data: r.data, metadata };
    match service::invoke(&api.runtime, &cx, wanted).await {
        Ok(output) => {
            let mut response = Response::new(pb::InvokeBindingResponse::default());
            add_headers(response.metadata_mut(), &output.metadata);
            let message = response.get_mut();
            message.data = output.data.unwrap_or_default();
            message.metadata = map(output.metadata);
            Ok(response)
        }
        Err((error, metadata)) => {
            let mut status = api.fail(&error);
            add_headers(status.metadata_mut(), &metadata);
            Err(status)
        }
    }
}

/// The request's metadata, then the trace, then what came as gRPC metadata; only the trace may replace what is there.
fn merged(mut metadata: Metadata, cx: &Cx, headers: &MetadataMap) -> Metadata {
    let set = |metadata: &mut Metadata, name: &str, value: &str, replace: bool| match metadata.iter_mut().find(|(n, _)| n == name) {
        Some((_, old)) if replace => *old = value.to_owned(),
        Some(_) => {}
        None => metadata.push((name.to_owned(), value.to_owned())),
    };
    set(&mut metadata, "traceparent", &Span::from_text_or_zero(cx.traceparent.as_deref()).text(), false);
    if let Some(tracestate) = &cx.tracestate {
        set(&mut metadata, "tracestate", tracestate, false);
    }
    if let Some(baggage) = &cx.baggage {
        set(&mut metadata, "baggage", baggage, true);
    }
    for header in headers.iter() {
        let KeyAndValueRef::Ascii(name, value) = header else { continue };
        let (name, Ok(value)) = (name.as_str(), value.to_str()) else { continue };
        if HIDDEN.contains(&name) {
            continue;
        }
        let prefix = if name.starts_with("grpc-") { "dapr-" } else { "" };
        set(&mut metadata, &format!("{prefix}{name}"), value, name == "traceparent" || name == "tracestate");
    }
    metadata
}

/// The component's metadata as `metadata.<name>` headers; names that no header can have are left out.
fn add_headers(headers: &mut MetadataMap, metadata: &Metadata) {
    for (name, value) in metadata {
        let name = format!("metadata.{}", name.to_lowercase());
        if let (Ok(name), Ok(value)) = (MetadataKey::from_bytes(name.as_bytes()), value.parse()) {
            headers.insert(name, value);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn metadata_are_merged() {
        let mut headers = MetadataMap::new();
        for (name, value) in [("traceparent", "tp-header"), ("own", "header"), ("x", "y"), ("grpc-foo", "z"), ("te", "trailers")] {
            headers.insert(MetadataKey::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let own = vec![("own".to_owned(), "request".to_owned())];
        let merged = merged(own, &Cx::new(Transport::Grpc), &headers);
        let get = |name: &str| merged.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        assert_eq!(get("own"), Some("request"));
        assert_eq!(get("traceparent"), Some("tp-header"));
        assert_eq!((get("x"), get("dapr-grpc-foo"), get("te")), (Some("y"), Some("z"), None));
    }

    #[test]
    fn without_a_trace_the_parent_is_zero() {
        let merged = merged(Metadata::new(), &Cx::new(Transport::Grpc), &MetadataMap::new());
        assert_eq!(merged, [("traceparent".to_owned(), "00-00000000000000000000000000000000-0000000000000000-00".to_owned())]);
    }

    #[test]
    fn response_metadata_are_headers() {
        let mut headers = MetadataMap::new();
        add_headers(&mut headers, &vec![("statusCode".into(), "404".into()), ("bad name".into(), "x".into())]);
        assert_eq!(headers.get("metadata.statuscode").unwrap(), "404");
        assert_eq!(headers.len(), 1);
    }
}
