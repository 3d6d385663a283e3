//! What the sidecar tells of itself.

use crate::app::Rule;
use crate::runtime::Runtime;
use crate::slots::{Current, Slot};
use proa_host::manifest::Kind;
use proa_resources::IssueClass;
use proa_resources::resource::Resource;
use serde::Serialize;
use std::collections::BTreeMap;

/// One component, as Dapr shows it, and how its latest change ended.
#[derive(Clone, Debug, Serialize)]
pub struct ComponentInfo {
    pub name: String,
    #[serde(rename = "type")]
    pub component_type: String,
    pub version: String,
    pub capabilities: Vec<String>,
    /// The number of the generation that serves.
    #[serde(skip)]
    pub generation: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct RuleInfo {
    #[serde(rename = "match", skip_serializing_if = "String::is_empty")]
    pub match_expr: String,
    pub path: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct SubscriptionInfo {
    pub pubsubname: String,
    pub topic: String,
    pub rules: Vec<RuleInfo>,
    #[serde(rename = "deadLetterTopic")]
    pub dead_letter_topic: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    #[serde(rename = "type")]
    pub origin: &'static str,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AppHealthInfo {
    pub health_check_path: String,
    /// Go durations, as in Dapr.
    pub health_probe_interval: String,
    pub health_probe_timeout: String,
    pub health_threshold: u32,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AppConnectionInfo {
    pub port: u16,
    pub protocol: &'static str,
    pub channel_address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<AppHealthInfo>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ActorRuntimeInfo {
    pub runtime_status: &'static str,
    pub host_ready: bool,
    pub placement: &'static str,
}

#[derive(Clone, Debug, Serialize)]
pub struct Named {
    pub name: String,
}

/// Everything of the metadata API.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Info {
    pub id: String,
    pub runtime_version: String,
    pub enabled_features: Vec<String>,
    pub components: Vec<ComponentInfo>,
    pub extended: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subscriptions: Vec<SubscriptionInfo>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub http_endpoints: Vec<Named>,
    pub app_connection_properties: AppConnectionInfo,
    pub actor_runtime: ActorRuntimeInfo,
    pub scheduler_addresses: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resiliencies: Vec<Named>,
}

const ORDER: [&str; 8] = ["ETAG", "TRANSACTIONAL", "TTL", "DELETE_WITH_PREFIX", "KEYS_LIKE", "QUERY_API", "PARTITION_KEY", "ACTOR"];

/// The features that Dapr shows of a component: from its manifest, and from what it exports.
pub fn capabilities(current: &Current) -> Vec<String> {
    let generation = &current.generation;
    let exports = generation.interfaces();
    let mut list = generation.capabilities();
    let derived = [
        ("state/transactions", "TRANSACTIONAL"),
        ("state/query", "QUERY_API"),
        ("state/list-keys", "KEYS_LIKE"),
        ("state/delete-prefix", "DELETE_WITH_PREFIX"),
        ("pubsub/bulk-publisher", "BULK_PUBSUB"),
    ];
    // A component elsewhere has told its features itself.
    let told = generation.is_remote();
    list.extend(derived.iter().filter(|(export, _)| !told && exports.contains(export)).map(|(_, name)| (*name).to_owned()));
    let direction = current.prepared.get("direction").map(str::to_lowercase);
    if generation.kind() == Kind::Bindings {
        let asked = |way: &str| direction.as_deref().is_none_or(|d| d.split(',').any(|p| p.trim() == way));
        list.extend(
            [("bindings/input", "INPUT_BINDING", "input"), ("bindings/output", "OUTPUT_BINDING", "output")]
                .iter()
                .filter(|(e, _, way)| exports.contains(e) && asked(way))
                .map(|(_, n, _)| (*n).to_owned()),
        );
    }
    let has = |name: &str| list.iter().any(|c| c == name);
    if generation.kind() == Kind::State && has("ETAG") && has("TRANSACTIONAL") {
        list.push("ACTOR".into());
    }
    // Tools compare the list as a whole, in Dapr's order.
    list.sort_by_key(|c| ORDER.iter().position(|o| o == c).unwrap_or(ORDER.len()));
    list.dedup();
    list
}

fn component(slot: &Slot) -> Option<ComponentInfo> {
    let current = slot.peek()?;
    let component = &current.prepared.component;
    Some(ComponentInfo {
        name: slot.name.clone(),
        component_type: component.type_.clone(),
        version: if component.version_given { component.version.clone() } else { String::new() },
        capabilities: capabilities(&current),
        generation: current.generation.identity().generation,
    })
}

fn rules(spec_rules: &[Rule], default_path: &str) -> Vec<RuleInfo> {
    let mut rules: Vec<RuleInfo> = spec_rules.iter().map(|r| RuleInfo { match_expr: r.match_expr.clone(), path: r.path.clone() }).collect();
    if !default_path.is_empty() {
        rules.push(RuleInfo { match_expr: String::new(), path: default_path.to_owned() });
    }
    rules
}

pub fn get(runtime: &Runtime) -> Info {
    let options = runtime.options();
    let snapshot = runtime.reconciler.current();
    let mut extended = runtime.extended.lock().map(|e| e.clone()).unwrap_or_default();
    extended.insert("daprRuntimeVersion".into(), options.version.clone());
    let components: Vec<ComponentInfo> = runtime.slots.all().iter().filter_map(|s| component(s)).collect();
    // Dapr has no field for these; tools that do not know them pass them over.
    for c in &components {
        extended.insert(format!("proa.component.{}.generation", c.name), c.generation.to_string());
    }
    for slot in runtime.slots.all() {
        if let Some(error) = slot.last.lock().ok().and_then(|l| l.error.clone()) {
            extended.insert(format!("proa.component.{}.error", slot.name), error);
        }
    }
    // A resource that does not even read, and one of which a policy makes no sense: in both cases the one before it goes on.
    for issue in snapshot.errors.iter().filter(|e| e.class == IssueClass::Policy) {
        extended.insert(format!("proa.resiliency.{}.error", issue.name.as_deref().unwrap_or_default()), issue.problem.clone());
    }
    extended.extend(runtime.resiliency().refused().into_iter().map(|(name, why)| (format!("proa.resiliency.{name}.error"), why)));
    let subscriptions = runtime.deliveries.subscriptions().into_iter().map(|s| SubscriptionInfo {
        rules: rules(&s.spec.rules, &s.spec.default_path),
        origin: s.origin.as_str(),
        pubsubname: s.spec.pubsub_name,
        topic: s.spec.topic,
        dead_letter_topic: s.spec.dead_letter_topic,
        metadata: s.spec.metadata.into_iter().collect(),
    });
    Info {
        id: options.app_id.clone(),
        runtime_version: options.version.clone(),
        enabled_features: runtime.configuration().enabled_features().iter().map(|f| (*f).to_owned()).collect(),
        components,
        extended,
        subscriptions: subscriptions.collect(),
        http_endpoints: snapshot.http_endpoints.iter().map(|e| Named { name: e.name().to_owned() }).collect(),
        app_connection_properties: app_connection(runtime),
        actor_runtime: ActorRuntimeInfo { runtime_status: "DISABLED", host_ready: false, placement: "placement: disconnected" },
        scheduler_addresses: options.scheduler_addresses.clone(),
        resiliencies: snapshot.resiliencies.iter().map(|r| Named { name: r.name().to_owned() }).collect(),
    }
}

fn app_connection(runtime: &Runtime) -> AppConnectionInfo {
    let options = runtime.options();
    let go = proa_resources::go_duration::format;
    AppConnectionInfo {
        port: options.app_port.unwrap_or(0),
        protocol: options.app_protocol.as_str(),
        channel_address: options.app_channel_address.clone(),
        max_concurrency: options.app_max_concurrency,
        health: options.app_health.as_ref().map(|h| AppHealthInfo {
            health_check_path: if options.app_protocol.is_grpc() { String::new() } else { h.path.clone() },
            health_probe_interval: go(h.interval),
            health_probe_timeout: go(h.timeout),
            health_threshold: h.threshold,
        }),
    }
}

pub fn set(runtime: &Runtime, key: String, value: String) {
    if let Ok(mut extended) = runtime.extended.lock() {
        extended.insert(key, value);
    }
}
