//! The sidecar's own facts, and its end, over gRPC.

use super::api::Api;
use super::open;
use proa_core::services::metadata as service;
use proa_core::services::metadata::{AppConnectionInfo, Info, Named, SubscriptionInfo};
use proa_protocol::runtime::v1 as pb;
use tonic::{Request, Response, Status};

pub(super) async fn get(api: &Api, _: Request<pb::GetMetadataRequest>) -> Result<Response<pb::GetMetadataResponse>, Status> {
    Ok(Response::new(response(service::get(&api.runtime))))
}

pub(super) async fn set(api: &Api, request: Request<pb::SetMetadataRequest>) -> Result<Response<()>, Status> {
    let (_, r) = open(request);
    // Without a name there is nothing to set, which is no failure.
    if !r.key.is_empty() {
        service::set(&api.runtime, r.key, r.value);
    }
    Ok(Response::new(()))
}

pub(super) async fn shutdown(api: &Api, request: Request<pb::ShutdownRequest>) -> Result<Response<()>, Status> {
    let wishes = request.metadata().get_all("dapr-force-shutdown");
    let force = wishes.iter().any(|value| value.as_bytes().eq_ignore_ascii_case(b"true"));
    api.runtime.request_shutdown(force);
    Ok(Response::new(()))
}

fn response(info: Info) -> pb::GetMetadataResponse {
    let components = info.components.into_iter().map(|component| pb::RegisteredComponents {
        name: component.name,
        r#type: component.component_type,
        version: component.version,
        capabilities: component.capabilities,
    });
    let scheduler = (!info.scheduler_addresses.is_empty()).then_some(pb::MetadataScheduler { connected_addresses: info.scheduler_addresses });
    pb::GetMetadataResponse {
        id: info.id,
        registered_components: components.collect(),
        extended_metadata: info.extended.into_iter().collect(),
        subscriptions: info.subscriptions.into_iter().map(subscription).collect(),
        http_endpoints: names(info.http_endpoints).map(|name| pb::MetadataHttpEndpoint { name }).collect(),
        app_connection_properties: Some(app_connection(info.app_connection_properties)),
        runtime_version: info.runtime_version,
        enabled_features: info.enabled_features,
        actor_runtime: Some(pb::ActorRuntime {
            runtime_status: pb::actor_runtime::ActorRuntimeStatus::from_str_name(info.actor_runtime.runtime_status).unwrap_or_default().into(),
            host_ready: info.actor_runtime.host_ready,
            placement: info.actor_runtime.placement.to_owned(),
            ..pb::ActorRuntime::default()
        }),
        scheduler,
        workflows: Some(pb::MetadataWorkflows::default()),
        resiliencies: names(info.resiliencies).map(|name| pb::MetadataResiliency { name }).collect(),
        ..pb::GetMetadataResponse::default()
    }
}

fn names(named: Vec<Named>) -> impl Iterator<Item = String> {
    named.into_iter().map(|n| n.name)
}

fn subscription(info: SubscriptionInfo) -> pb::PubsubSubscription {
    let rules = info.rules.into_iter().map(|rule| pb::PubsubSubscriptionRule { r#match: rule.match_expr, path: rule.path }).collect();
    pb::PubsubSubscription {
        pubsub_name: info.pubsubname,
        topic: info.topic,
        metadata: info.metadata.into_iter().collect(),
        rules: Some(pb::PubsubSubscriptionRules { rules }),
        dead_letter_topic: info.dead_letter_topic,
        r#type: pb::PubsubSubscriptionType::from_str_name(info.origin).unwrap_or_default().into(),
    }
}

fn app_connection(info: AppConnectionInfo) -> pb::AppConnectionProperties {
    pb::AppConnectionProperties {
        port: info.port.into(),
        protocol: info.protocol.to_owned(),
        channel_address: info.channel_address,
        max_concurrency: info.max_concurrency.and_then(|max| i32::try_from(max).ok()).unwrap_or(0),
        health: info.health.map(|health| pb::AppConnectionHealthProperties {
            health_check_path: health.health_check_path,
            health_probe_interval: health.health_probe_interval,
            health_probe_timeout: health.health_probe_timeout,
            health_threshold: i32::try_from(health.health_threshold).unwrap_or(i32::MAX),
        }),
    }
}
