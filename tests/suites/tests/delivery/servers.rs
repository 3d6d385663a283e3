//! RabbitMQ, NATS and Mosquitto: what each keeps, and what the metadata of its component promise.

use std::time::Duration;

use proa_harness::{Answer, App, BrokerServer, Sidecar, SidecarBuilder, Wire, component, stays, until};
use serde_json::{Value, json};

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Rabbit,
    Nats,
    Mosquitto,
}

/// RabbitMQ starts slowly: cases that do not restart it have a part of a server that others use too.
struct Place {
    url: String,
    server: Option<BrokerServer>,
}

impl Place {
    async fn restart(&mut self) {
        self.server.as_mut().expect("a server of one's own").restart().await;
    }
}

async fn server(kind: Kind) -> Place {
    if kind == Kind::Rabbit {
        return Place { url: BrokerServer::rabbitmq_vhost().await, server: None };
    }
    own_server(kind).await
}

async fn own_server(kind: Kind) -> Place {
    let server = match kind {
        Kind::Rabbit => BrokerServer::rabbitmq().await,
        Kind::Nats => {
            let server = BrokerServer::nats().await;
            server.stream("all", &["orders"]).await;
            server
        }
        Kind::Mosquitto => BrokerServer::mosquitto().await,
    };
    Place { url: server.url(), server: Some(server) }
}

fn broker(kind: Kind, server: &Place, more: &[(&str, &str)]) -> String {
    let url = &server.url;
    let mut metadata: Vec<(&str, &str)> = match kind {
        Kind::Rabbit => vec![
            ("connectionString", url),
            ("publisherConfirm", "true"),
            ("deletedWhenUnused", "false"),
            ("deliveryMode", "2"),
            ("reconnectWaitSeconds", "1"),
        ],
        Kind::Nats => vec![("natsURL", url), ("durableName", "orders"), ("ackWait", "2s")],
        Kind::Mosquitto => vec![("url", url)],
    };
    metadata.extend_from_slice(more);
    let name = match kind {
        Kind::Rabbit => "pubsub.rabbitmq",
        Kind::Nats => "pubsub.jetstream",
        Kind::Mosquitto => "pubsub.mqtt3",
    };
    component("broker", name, &metadata)
}

fn with_app(resource: String, app: &App) -> SidecarBuilder {
    app.subscribe(json!([{"pubsubname": "broker", "topic": "orders", "route": "/events"}]));
    Sidecar::builder().resource(resource).app(app)
}

fn numbers(app: &App, path: &str) -> Vec<i64> {
    app.requests(path).iter().filter_map(|event| event.json()["data"].as_i64()).collect()
}

async fn all(app: &App, wanted: std::ops::Range<i64>) {
    until(&format!("{wanted:?}"), Duration::from_secs(60), || async {
        let mut seen = numbers(app, "/events");
        seen.sort_unstable();
        seen.dedup();
        (seen == wanted.clone().collect::<Vec<_>>()).then_some(())
    })
    .await;
}

async fn published_singly_and_in_bulk(kind: Kind) {
    let server = server(kind).await;
    let app = App::start().await;
    app.answer("/events", Answer::ok());
    let sidecar = with_app(broker(kind, &server, &[]), &app).start().await;
    sidecar.wait_for_subscriptions(1).await;
    for (turn, wire) in Wire::BOTH.into_iter().enumerate() {
        let (api, first) = (sidecar.api(wire).await, turn as i64 * 20);
        for n in first..first + 10 {
            api.publish("broker", "orders", n.to_string(), "application/json", &[]).await.expect("publish");
        }
        let bulk: Vec<Value> = (first + 10..first + 20).map(|n| json!(n)).collect();
        assert_eq!(api.publish_bulk("broker", "orders", &bulk).await.expect("bulk"), Vec::<String>::new());
    }
    all(&app, 0..40).await;
    stays("each event once", Duration::from_millis(500), || numbers(&app, "/events").len() == 40).await;
}

/// The broker is restarted while the application holds events and more are waiting: none is lost.
async fn survives_a_restart_of_the_broker(kind: Kind) {
    let mut server = own_server(kind).await;
    let app = App::start().await;
    app.answer("/events", Answer::ok().after(Duration::from_millis(100)));
    let sidecar = with_app(broker(kind, &server, &[]), &app).start().await;
    sidecar.wait_for_subscriptions(1).await;
    let api = sidecar.api(Wire::Http).await;
    for n in 0..30 {
        api.publish("broker", "orders", n.to_string(), "application/json", &[]).await.expect("publish");
    }
    server.restart().await;
    for n in 30..40 {
        until("a publish", Duration::from_secs(30), || async { api.publish("broker", "orders", n.to_string(), "application/json", &[]).await.ok() })
            .await;
    }
    all(&app, 0..40).await;
}

/// What was published while no sidecar reads comes to the next one, and so does what a killed one had.
async fn events_wait_for_a_sidecar(kind: Kind) {
    let server = server(kind).await;
    let slow = App::start().await;
    slow.answer("/events", Answer::ok().after(Duration::from_secs(30)));
    let more: &[(&str, &str)] = if kind == Kind::Rabbit { &[("requeueInFailure", "true")] } else { &[] };
    let first = with_app(broker(kind, &server, more), &slow).start().await;
    first.wait_for_subscriptions(1).await;
    first.api(Wire::Http).await.publish("broker", "orders", "0", "application/json", &[]).await.expect("publish");
    slow.wait_for("/events", 1).await;
    first.signal(libc::SIGKILL);
    drop(first);
    let publisher = Sidecar::builder().app_id("publisher").resource(broker(kind, &server, more)).start().await;
    publisher.api(Wire::Grpc).await.publish("broker", "orders", "1", "application/json", &[]).await.expect("publish");
    let app = App::start().await;
    app.answer("/events", Answer::ok());
    let _second = with_app(broker(kind, &server, more), &app).start().await;
    all(&app, 0..2).await;
}

/// An event that the application refuses is handed out again by the broker, or by the component in its stead.
async fn a_refused_event_comes_again(kind: Kind) {
    let server = server(kind).await;
    let app = App::start().await;
    app.answers("/events", vec![Answer::verdict("RETRY"), Answer::status(500), Answer::ok()]);
    let more: &[(&str, &str)] = if kind == Kind::Rabbit { &[("requeueInFailure", "true")] } else { &[] };
    let sidecar = with_app(broker(kind, &server, more), &app).start().await;
    sidecar.wait_for_subscriptions(1).await;
    sidecar.api(Wire::Http).await.publish("broker", "orders", "7", "application/json", &[]).await.expect("publish");
    app.wait_for("/events", 3).await;
    stays("not after its success", Duration::from_millis(500), || numbers(&app, "/events") == [7, 7, 7]).await;
}

/// The three fields of certificates: without the authority's, or without one's own, there is no connection.
async fn reached_by_tls(kind: Kind) {
    let mut server = if kind == Kind::Rabbit { BrokerServer::rabbitmq().await } else { BrokerServer::mosquitto().await };
    let (url, pem) = server.encrypt().await;
    let place = Place { url, server: Some(server) };
    let app = App::start().await;
    app.answer("/events", Answer::ok());
    let (ca, own) = (("caCert", pem.ca.as_str()), [("clientCert", pem.certificate.as_str()), ("clientKey", pem.key.as_str())]);
    let sidecar = with_app(broker(kind, &place, &[&[ca], &own[..]].concat()), &app).start().await;
    sidecar.wait_for_subscriptions(1).await;
    sidecar.api(Wire::Http).await.publish("broker", "orders", "0", "application/json", &[]).await.expect("publish");
    all(&app, 0..1).await;
    for missing in [&[ca][..], &own[..]] {
        let stopped = with_app(broker(kind, &place, missing), &app).start_failing().await;
        assert!(stopped.logs.contain("Failed to init component broker"), "{}", stopped.logs.text());
    }
}

macro_rules! cases {
    ($($module:ident $kind:ident),*) => {
        $(mod $module {
            use super::Kind;

            #[tokio::test]
            async fn published_singly_and_in_bulk() {
                super::published_singly_and_in_bulk(Kind::$kind).await;
            }
            #[tokio::test]
            async fn survives_a_restart_of_the_broker() {
                super::survives_a_restart_of_the_broker(Kind::$kind).await;
            }
            #[tokio::test]
            async fn events_wait_for_a_sidecar() {
                super::events_wait_for_a_sidecar(Kind::$kind).await;
            }
            #[tokio::test]
            async fn a_refused_event_comes_again() {
                super::a_refused_event_comes_again(Kind::$kind).await;
            }
        })*
    };
}
cases!(rabbitmq Rabbit, jetstream Nats, mqtt3 Mosquitto);

/// An event that has expired before anybody read it is gone; one that lives is not.
#[tokio::test]
async fn rabbitmq_forgets_what_has_expired() {
    let server = server(Kind::Rabbit).await;
    let app = App::start().await;
    app.answer("/events", Answer::ok());
    // The queue must be there before events are.
    let first = with_app(broker(Kind::Rabbit, &server, &[]), &app).start().await;
    first.wait_for_subscriptions(1).await;
    first.stop().await;
    let publisher = Sidecar::builder().app_id("publisher").resource(broker(Kind::Rabbit, &server, &[])).start().await;
    let api = publisher.api(Wire::Http).await;
    api.publish("broker", "orders", "0", "application/json", &[("ttlInSeconds", "1")]).await.expect("publish");
    api.publish("broker", "orders", "1", "application/json", &[("ttlInSeconds", "60")]).await.expect("publish");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let second = with_app(broker(Kind::Rabbit, &server, &[]), &app).start().await;
    second.wait_for_subscriptions(1).await;
    app.wait_for("/events", 1).await;
    stays("only the one that lives", Duration::from_millis(500), || numbers(&app, "/events") == [1]).await;
}

/// What the application refuses goes to the exchange of dead letters.
#[tokio::test]
async fn rabbitmq_keeps_dead_letters() {
    let server = server(Kind::Rabbit).await;
    let app = App::start().await;
    app.answer("/events", Answer::verdict("RETRY"));
    app.answer("/dead", Answer::ok());
    app.subscribe(json!([
        {"pubsubname": "broker", "topic": "orders", "route": "/events"},
        {"pubsubname": "letters", "topic": "dlx-app-orders", "route": "/dead"}
    ]));
    let letters = broker(Kind::Rabbit, &server, &[]).replacen("name: broker", "name: letters", 1);
    let sidecar =
        Sidecar::builder().resource(broker(Kind::Rabbit, &server, &[("enableDeadLetter", "true")])).resource(letters).app(&app).start().await;
    sidecar.wait_for_subscriptions(2).await;
    let api = sidecar.api(Wire::Http).await;
    api.publish("broker", "orders", "7", "application/json", &[]).await.expect("publish");
    app.wait_for("/dead", 1).await;
    assert_eq!(numbers(&app, "/dead"), [7]);
}

/// Two subscriptions cannot share a durable consumer, and the second one says so.
#[tokio::test]
async fn jetstream_refuses_a_durable_name_that_is_another_topics() {
    let server = BrokerServer::nats().await;
    server.stream("all", &["orders", "others"]).await;
    let app = App::start().await;
    app.subscribe(json!([
        {"pubsubname": "broker", "topic": "orders", "route": "/events"},
        {"pubsubname": "broker", "topic": "others", "route": "/events"},
    ]));
    let resource = component("broker", "pubsub.jetstream", &[("natsURL", &server.url()), ("durableName", "one")]);
    let sidecar = Sidecar::builder().resource(resource).app(&app).start().await;
    sidecar.logs_contain("consumer name already in use").await;
}

/// An address that nobody listens on is a failed start that names the component; a field that is wrong is named.
#[tokio::test]
async fn what_is_wrong_is_named() {
    /// A type of component, its metadata, what the log says.
    type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str);
    let cases: &[Case] = &[
        ("pubsub.rabbitmq", &[("connectionString", "amqp://127.0.0.1:1")], "Failed to init component broker (pubsub.rabbitmq/v1)"),
        ("pubsub.rabbitmq", &[("connectionString", "amqp://127.0.0.1:1"), ("exchangeKind", "square")], "exchangeKind"),
        ("pubsub.rabbitmq", &[("connectionString", "amqp://127.0.0.1:1"), ("protocol", "amqps")], "protocol does not match"),
        ("pubsub.rabbitmq", &[("connectionString", "amqp://127.0.0.1:1"), ("saslExternal", "true")], "saslExternal"),
        ("pubsub.jetstream", &[("natsURL", "nats://127.0.0.1:1")], "Failed to init component broker (pubsub.jetstream/v1)"),
        ("pubsub.jetstream", &[("natsURL", "nats://127.0.0.1:1"), ("jwt", "x")], "missing seed key"),
        ("pubsub.jetstream", &[("natsURL", "nats://127.0.0.1:1"), ("deliverPolicy", "some")], "deliver"),
        ("pubsub.mqtt3", &[("url", "mqtt://127.0.0.1:1")], "Failed to init component broker (pubsub.mqtt3/v1)"),
        ("pubsub.mqtt3", &[("url", "mqtt://127.0.0.1:1"), ("qos", "8")], "qos"),
        ("pubsub.mqtt3", &[("url", "mqtts://127.0.0.1:1"), ("caCert", "no PEM")], "caCert"),
    ];
    for (kind, metadata, said) in cases {
        let stopped = Sidecar::builder().resource(component("broker", kind, metadata)).start_failing().await;
        assert!(stopped.logs.contain(said), "{kind} {metadata:?} does not say {said:?}:\n{}", stopped.logs.text());
    }
}

#[tokio::test]
async fn rabbitmq_is_reached_by_tls() {
    reached_by_tls(Kind::Rabbit).await;
}

#[tokio::test]
async fn mqtt3_is_reached_by_tls() {
    reached_by_tls(Kind::Mosquitto).await;
}
