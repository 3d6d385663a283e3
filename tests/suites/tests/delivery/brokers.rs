//! An app of either protocol behind a sidecar with one broker, called `broker`, of any of the kinds under test.

use std::collections::BTreeMap;
use std::time::Duration;

use proa_harness::{Answer, Api, App, BrokerServer, GrpcApp, Redis, Sidecar, SidecarBuilder, Verdict, Wire, component, until};
use serde_json::{Value, json};

/// The brokers that every case runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broker {
    InMemory,
    Redis,
    RabbitMq,
    JetStream,
    Mqtt,
}

/// What the component talks to, for as long as the case lasts.
// One a case: its size does not matter.
#[allow(clippy::large_enum_variant)]
enum Server {
    None,
    Redis { _server: Redis },
    Other { _server: BrokerServer },
}

/// The app, of either protocol.
pub enum AnyApp {
    Http(App),
    Grpc(GrpcApp),
}

/// One delivered event, the same whichever protocol brought it.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub id: String,
    pub topic: String,
    pub pubsub: String,
    pub kind: String,
    pub data: Value,
}

/// What a case starts from: the app, the broker's component, and a sidecar to be built.
pub struct Bench {
    pub broker: Broker,
    pub app: AnyApp,
    resources: Vec<String>,
    _server: Server,
}

impl Broker {
    /// The component's resource, and what it talks to. Short times, so that a redelivery is seen within a test.
    async fn start(self) -> (String, Server) {
        match self {
            Self::InMemory => (component("broker", "pubsub.in-memory", &[]), Server::None),
            Self::Redis => {
                let server = Redis::start().await;
                let metadata = [("redisHost", server.host()), ("redeliverInterval", "200".into()), ("processingTimeout", "500".into())];
                (resource("pubsub.redis", &metadata), Server::Redis { _server: server })
            }
            Self::RabbitMq => {
                let metadata = [("connectionString", BrokerServer::rabbitmq_vhost().await), ("requeueInFailure", "true".into())];
                (resource("pubsub.rabbitmq", &metadata), Server::None)
            }
            Self::JetStream => {
                let server = BrokerServer::nats().await;
                // A stream takes an event's id once: a dead letter, which keeps it, needs another one.
                server.stream("all", &["orders", "a", "b", "one", "two", "theirs", "mine"]).await;
                server.stream("letters", &["dead"]).await;
                let metadata = [("natsURL", server.url()), ("ackWait", "500ms".into()), ("concurrency", "parallel".into())];
                (resource("pubsub.jetstream", &metadata), Server::Other { _server: server })
            }
            Self::Mqtt => {
                let server = BrokerServer::mosquitto().await;
                (resource("pubsub.mqtt3", &[("url", server.url())]), Server::Other { _server: server })
            }
        }
    }
}

fn resource(kind: &str, metadata: &[(&str, String)]) -> String {
    let metadata: Vec<(&str, &str)> = metadata.iter().map(|(name, value)| (*name, value.as_str())).collect();
    component("broker", kind, &metadata)
}

impl Bench {
    pub async fn new(broker: Broker, wire: Wire) -> Self {
        let app = match wire {
            Wire::Http => AnyApp::Http(App::start().await),
            Wire::Grpc => AnyApp::Grpc(GrpcApp::start().await),
        };
        let (component, server) = broker.start().await;
        Self { broker, app, resources: vec![component], _server: server }
    }

    /// A sidecar with the broker and the app, to be completed.
    pub fn sidecar(&self) -> SidecarBuilder {
        let mut builder = Sidecar::builder();
        for resource in &self.resources {
            builder = builder.resource(resource.clone());
        }
        match &self.app {
            AnyApp::Http(app) => builder.app(app),
            AnyApp::Grpc(app) => builder.app(app),
        }
    }

    /// Starts the sidecar and waits for `subscriptions` of them.
    pub async fn start(&self, builder: SidecarBuilder, subscriptions: usize) -> (Sidecar, Api) {
        let sidecar = builder.start().await;
        sidecar.wait_for_subscriptions(subscriptions).await;
        let api = sidecar.api(Wire::Http).await;
        (sidecar, api)
    }

    /// Starts a sidecar whose app programmatically subscribes `topic` on `path`.
    pub async fn subscribed(&self, topic: &str, path: &str) -> (Sidecar, Api) {
        self.app.subscribe(json!([{"pubsubname": "broker", "topic": topic, "routes": {"default": path}}]));
        self.start(self.sidecar(), 1).await
    }
}

impl AnyApp {
    /// Subscribes in the JSON shape of `/dapr/subscribe` (version 2).
    pub fn subscribe(&self, list: Value) {
        match self {
            Self::Http(app) => app.subscribe(list),
            Self::Grpc(app) => list.as_array().expect("a list").iter().for_each(|one| app.subscribe_to(subscription(one))),
        }
    }

    /// Answers events on `path` with each verdict in turn, then with the last for ever.
    pub fn verdicts(&self, path: &str, verdicts: &[Verdict]) {
        match self {
            Self::Http(app) => app.answers(path, verdicts.iter().map(answer).collect()),
            Self::Grpc(app) => app.verdicts(path, verdicts.to_vec()),
        }
    }

    /// Accepts everything on `path`.
    pub fn accept(&self, path: &str) {
        self.verdicts(path, &[Verdict::Success]);
    }

    /// Events delivered on `path` so far.
    pub fn events(&self, path: &str) -> Vec<Event> {
        match self {
            Self::Http(app) => app.requests(path).iter().map(|request| from_envelope(&request.json())).collect(),
            Self::Grpc(app) => app.events(path).into_iter().map(from_message).collect(),
        }
    }

    /// Waits for `count` events on `path`.
    pub async fn wait_for(&self, path: &str, count: usize) -> Vec<Event> {
        until(&format!("{count} events on {path}"), Duration::from_secs(20), || async {
            let events = self.events(path);
            (events.len() >= count).then_some(events)
        })
        .await
    }
}

fn answer(verdict: &Verdict) -> Answer {
    match verdict {
        Verdict::Success => Answer::verdict("SUCCESS"),
        Verdict::Retry => Answer::verdict("RETRY"),
        Verdict::Drop => Answer::verdict("DROP"),
        Verdict::Fail(_) => Answer::status(500),
    }
}

fn text(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn from_envelope(event: &Value) -> Event {
    Event {
        id: text(event, "id"),
        topic: text(event, "topic"),
        pubsub: text(event, "pubsubname"),
        kind: text(event, "type"),
        data: event["data"].clone(),
    }
}

fn from_message(event: proa_harness::protocol::runtime::v1::TopicEventRequest) -> Event {
    let data = serde_json::from_slice(&event.data).unwrap_or_else(|_| String::from_utf8_lossy(&event.data).into_owned().into());
    Event { id: event.id, topic: event.topic, pubsub: event.pubsub_name, kind: event.r#type, data }
}

fn subscription(one: &Value) -> proa_harness::protocol::runtime::v1::TopicSubscription {
    use proa_harness::protocol::runtime::v1 as pb;
    let rules = one["routes"]["rules"].as_array().into_iter().flatten();
    let rules = rules.map(|rule| pb::TopicRule { r#match: text(rule, "match"), path: text(rule, "path") }).collect();
    let metadata: BTreeMap<String, String> = one.get("metadata").map(|map| serde_json::from_value(map.clone()).expect("strings")).unwrap_or_default();
    let bulk = one.get("bulkSubscribe").map(|bulk| pb::BulkSubscribeConfig {
        enabled: bulk["enabled"].as_bool().unwrap_or(false),
        max_messages_count: bulk["maxMessagesCount"].as_i64().unwrap_or(0) as i32,
        max_await_duration_ms: bulk["maxAwaitDurationMs"].as_i64().unwrap_or(0) as i32,
    });
    pb::TopicSubscription {
        pubsub_name: text(one, "pubsubname"),
        topic: text(one, "topic"),
        metadata: metadata.into_iter().collect(),
        routes: Some(pb::TopicRoutes { rules, default: text(&one["routes"], "default") }),
        dead_letter_topic: text(one, "deadLetterTopic"),
        bulk_subscribe: bulk,
    }
}
