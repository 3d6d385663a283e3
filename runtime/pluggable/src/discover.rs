//! What a socket offers, told by gRPC's own reflection service; the older of its two versions is asked first, because that is the one that
//! Dapr asks.

use crate::wire::{Instance, Wire, dial};
use crate::{bindings, pubsub, secrets, state};
use std::path::Path;
use std::time::{Duration, Instant};
use tonic_reflection::pb::{v1, v1alpha};

/// How long a socket may take to answer at first, and later.
const LIMIT: (Duration, Duration) = (Duration::from_secs(3), Duration::from_millis(500));
/// How long a socket may refuse, before it counts as one that nobody listens at.
const REFUSAL: Duration = Duration::from_millis(500);
/// The pause before a socket that refuses is tried again: a process that has just bound it may not listen yet.
const PAUSE: Duration = Duration::from_millis(50);

/// Every service of ours that a socket offers, sorted. One that is asked for the first time has more time to answer.
pub async fn services(socket: &Path, first: bool) -> Result<Vec<String>, String> {
    let begun = Instant::now();
    let limit = if first { LIMIT.0 } else { LIMIT.1 };
    let mut latest = "no answer".to_owned();
    let asking = async {
        loop {
            match ask(socket).await {
                Ok(services) => return Ok(services),
                Err(why) => latest = why,
            }
            if begun.elapsed() > REFUSAL {
                return Err(());
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    match tokio::time::timeout(limit, asking).await {
        Ok(Ok(services)) => Ok(sorted(services)),
        Ok(Err(())) | Err(_) => Err(latest),
    }
}

fn sorted(mut services: Vec<String>) -> Vec<String> {
    services.sort();
    services.dedup();
    services
}

async fn ask(socket: &Path) -> Result<Vec<String>, String> {
    let (wire, _) = dial(socket, Instance::none()).await?;
    match older(wire.clone()).await {
        Ok(services) => Ok(services),
        Err(first) => newer(wire).await.map_err(|second| format!("{} ({})", second.message(), first.message())),
    }
}

async fn older(wire: Wire) -> Result<Vec<String>, tonic::Status> {
    use v1alpha::server_reflection_client::ServerReflectionClient;
    use v1alpha::server_reflection_request::MessageRequest;
    use v1alpha::server_reflection_response::MessageResponse;
    let request = v1alpha::ServerReflectionRequest { host: String::new(), message_request: Some(MessageRequest::ListServices(String::new())) };
    let stream = ServerReflectionClient::new(wire).server_reflection_info(tokio_stream::once(request)).await?;
    match stream.into_inner().message().await?.and_then(|r| r.message_response) {
        Some(MessageResponse::ListServicesResponse(list)) => Ok(list.service.into_iter().map(|s| s.name).collect()),
        _ => Err(tonic::Status::unimplemented("no list of services")),
    }
}

async fn newer(wire: Wire) -> Result<Vec<String>, tonic::Status> {
    use v1::server_reflection_client::ServerReflectionClient;
    use v1::server_reflection_request::MessageRequest;
    use v1::server_reflection_response::MessageResponse;
    let request = v1::ServerReflectionRequest { host: String::new(), message_request: Some(MessageRequest::ListServices(String::new())) };
    let stream = ServerReflectionClient::new(wire).server_reflection_info(tokio_stream::once(request)).await?;
    match stream.into_inner().message().await?.and_then(|r| r.message_response) {
        Some(MessageResponse::ListServicesResponse(list)) => Ok(list.service.into_iter().map(|s| s.name).collect()),
        _ => Err(tonic::Status::unimplemented("no list of services")),
    }
}

/// The services that make a component, as opposed to those that only add to one.
pub const COMPONENTS: &[&str] = &[state::SERVICE, pubsub::SERVICE, bindings::INPUT, bindings::OUTPUT, secrets::SERVICE];
