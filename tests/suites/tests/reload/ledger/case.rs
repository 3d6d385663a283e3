//! A broker under test: its server, its component, and what is done to them.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use proa_harness::{App, BrokerServer, Redis, Sidecar, component, subscription, until};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::LANES;
use crate::guests::{annotated, sidecar};
use crate::process::{generation, swapped};

/// How long a module may take that is not compiled yet.
const COMPILED: Duration = Duration::from_secs(180);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Redis,
    RabbitMq,
    JetStream,
    Mqtt,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// The sidecar is killed and started again.
    Kill,
    /// The component's YAML is written anew.
    Revision,
    /// The value of a field is another one.
    Field,
    /// The component's module is another build.
    Module,
    /// The broker is stopped and started again.
    Broker,
}

// One a case: its size does not matter.
#[allow(clippy::large_enum_variant)]
enum Server {
    Redis(Redis),
    Other(BrokerServer),
}

pub struct Case {
    kind: Kind,
    server: Server,
    /// The resources folder: it outlives a killed sidecar.
    folder: TempDir,
    revision: usize,
    other_value: bool,
    build: usize,
}

fn binary() -> PathBuf {
    std::env::var_os("PROA_BIN").map_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../../bin/daprd").into(), PathBuf::from)
}

impl Kind {
    fn component_type(self) -> &'static str {
        match self {
            Self::Redis => "pubsub.redis",
            Self::RabbitMq => "pubsub.rabbitmq",
            Self::JetStream => "pubsub.jetstream",
            Self::Mqtt => "pubsub.mqtt3",
        }
    }

    /// A field, and the two values between which it changes.
    fn field(self) -> (&'static str, [&'static str; 2]) {
        match self {
            Self::Redis => ("queueDepth", ["100", "50"]),
            Self::RabbitMq => ("prefetchCount", ["20", "40"]),
            Self::JetStream => ("maxAckPending", ["100", "50"]),
            Self::Mqtt => ("retain", ["false", "true"]),
        }
    }
}

impl Case {
    pub async fn new(kind: Kind) -> Self {
        let server = match kind {
            Kind::Redis => Server::Redis(Redis::builder().durable().start().await),
            Kind::RabbitMq => Server::Other(BrokerServer::rabbitmq().await),
            Kind::JetStream => {
                let server = BrokerServer::nats().await;
                server.stream("lanes", &["lanes.*"]).await;
                Server::Other(server)
            }
            Kind::Mqtt => Server::Other(BrokerServer::mosquitto_in_order().await),
        };
        let case = Self { kind, server, folder: tempfile::tempdir().expect("resources"), revision: 0, other_value: false, build: 0 };
        case.write();
        for (number, topic) in case.subscribed().iter().enumerate() {
            let name = format!("lane{number}");
            std::fs::write(case.folder.path().join(format!("{name}.yaml")), subscription(&name, "broker", topic, "/ledger")).expect("a subscription");
        }
        case
    }

    pub fn topic(&self, lane: usize) -> String {
        format!("lanes{}{lane}", if self.kind == Kind::JetStream { "." } else { "-" })
    }

    /// A durable consumer of JetStream is of one subscription: that one takes all lanes.
    fn subscribed(&self) -> Vec<String> {
        if self.kind == Kind::JetStream { vec!["lanes.*".into()] } else { (0..LANES).map(|lane| self.topic(lane)).collect() }
    }

    fn metadata(&self) -> Vec<(&'static str, String)> {
        let metadata: &[(&str, &str)] = match self.kind {
            // One at a time, so that a lane keeps its order.
            Kind::Redis => &[("redeliverInterval", "1s"), ("processingTimeout", "4s"), ("concurrency", "1")],
            Kind::RabbitMq => &[
                ("publisherConfirm", "true"),
                ("deletedWhenUnused", "false"),
                ("deliveryMode", "2"),
                ("requeueInFailure", "true"),
                ("concurrency", "single"),
                ("reconnectWaitSeconds", "1"),
            ],
            Kind::JetStream => &[("durableName", "ledger"), ("ackWait", "3s"), ("concurrency", "single")],
            Kind::Mqtt => &[("consumerID", "ledger"), ("cleanSession", "false"), ("qos", "1")],
        };
        let address = match &self.server {
            Server::Redis(redis) => ("redisHost", redis.host()),
            Server::Other(server) => match self.kind {
                Kind::JetStream => ("natsURL", server.url()),
                Kind::Mqtt => ("url", server.url()),
                _ => ("connectionString", server.url()),
            },
        };
        let (field, values) = self.kind.field();
        let value = values[usize::from(self.other_value)].to_owned();
        let fixed = metadata.iter().map(|(name, value)| (*name, (*value).to_owned()));
        fixed.chain([address, (field, value)]).collect()
    }

    fn write(&self) {
        let metadata = self.metadata();
        let metadata: Vec<(&str, &str)> = metadata.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let yaml = annotated(&component("broker", self.kind.component_type(), &metadata), &[("test/revision", &self.revision.to_string())]);
        std::fs::write(self.folder.path().join("broker.yaml"), yaml).expect("the component");
    }

    pub async fn start(&self, app: &App) -> Sidecar {
        let sidecar = sidecar().flag("--resources-path", &self.folder.path().display().to_string()).app(app).start().await;
        sidecar.wait_for_subscriptions(self.subscribed().len()).await;
        sidecar
    }

    /// Everything but a kill.
    pub async fn strike(&mut self, blow: Blow, running: &Sidecar) {
        if blow == Blow::Broker {
            return self.restart_broker().await;
        }
        let before = generation(running, "broker").await;
        match blow {
            Blow::Module => self.put_module(),
            blow => {
                self.revision += 1;
                self.other_value ^= blow == Blow::Field;
                self.write();
            }
        }
        let seen = || async { (generation(running, "broker").await > before).then_some(()) };
        if blow == Blow::Module {
            // It is compiled first, in a process of its own.
            until("the new build", COMPILED, seen).await;
        } else {
            swapped(running, "broker", before).await;
        }
    }

    async fn restart_broker(&mut self) {
        match &mut self.server {
            Server::Redis(redis) => {
                redis.kill().await;
                redis.resume().await;
            }
            Server::Other(server) => server.restart().await,
        }
    }

    /// The catalogue's module under another build id, in the resources folder; the two builds take turns.
    fn put_module(&mut self) {
        self.build += 1;
        let name = self.kind.component_type().replace('.', "-");
        let binary = binary().canonicalize().expect("the binary under test");
        let source = binary.parent().expect("its folder").join("components").join(format!("{name}.wasm"));
        let manifest = format!("{}/../../components-wasm/{name}/manifest.json", env!("CARGO_MANIFEST_DIR"));
        let mut manifest: Value = serde_json::from_slice(&std::fs::read(manifest).expect("manifest")).expect("JSON");
        manifest["buildId"] = json!(format!("ledger {}", self.build % 2));
        let builds = tempfile::tempdir().expect("builds");
        let (edited, next) = (builds.path().join("manifest.json"), self.folder.path().join(".broker.next"));
        std::fs::write(&edited, manifest.to_string()).expect("manifest written");
        let done = Command::new(binary).args(["component", "embed"]).arg(source).arg(&edited).arg(&next).output().expect("the binary runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        std::fs::rename(next, self.folder.path().join("broker.wasm")).expect("in place");
    }

    pub fn why_again(&self, repeated: u64) -> String {
        let unsettled = match self.kind {
            Kind::Redis => "what a killed sidecar had, and what was acknowledged while Redis was away, is handed out again after processingTimeout",
            Kind::RabbitMq => "what was unacknowledged when a connection ended is the queue's again",
            Kind::JetStream => "what was unacknowledged is handed out again after ackWait",
            Kind::Mqtt => "what was unacknowledged when a connection ended comes with the session's next one",
        };
        format!("{repeated} publishes were repeated for want of an acknowledgement, and each may be there twice; {unsettled}")
    }

    /// Whether the broker's own redelivery brings messages behind later ones.
    pub fn may_be_late(&self) -> bool {
        matches!(self.kind, Kind::Redis | Kind::JetStream)
    }

    pub fn why_late(&self) -> &'static str {
        match self.kind {
            Kind::Redis => "a killed sidecar's messages are taken over after processingTimeout, and later ones are read meanwhile",
            Kind::JetStream => "unacknowledged messages come again after ackWait, and up to maxAckPending later ones meanwhile",
            Kind::RabbitMq => "messages that come back to a queue have their place in it",
            Kind::Mqtt => "the server sends one at a time",
        }
    }
}
