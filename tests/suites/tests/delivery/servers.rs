//! RabbitMQ and NATS: what each keeps, and what its metadata promise.

use std::time::Duration;

use proa_harness::{Answer, App, BrokerServer, Sidecar, SidecarBuilder, Wire, component, stays, until};
use serde_json::{Value, json};

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Rabbit,
    Nats,
}

async fn server(kind: Kind) -> BrokerServer {
    match kind {
        Kind::Rabbit => BrokerServer::rabbitmq().await,
        Kind::Nats => {
            let server = BrokerServer::nats().await;
            server.stream("all", &["orders", "dead"]).await;
            server
        }
    }
}

fn broker(kind: Kind, server: &BrokerServer, more: &[(&str, &str)]) -> String {
    let url = server.url();
    let mut metadata: Vec<(&str, &str)> = match kind {
        Kind::Rabbit => vec![
            ("connectionString", &url),
            ("publisherConfirm", "true"),
            ("deletedWhenUnused", "false"),
            ("deliveryMode", "2"),
            ("reconnectWaitSeconds", "1"),
        ],
        Kind::Nats => vec![("natsURL", &url), ("durableName", "orders"), ("ackWait", "2s")],
    };
    metadata.extend_from_slice(more);
    component("broker", if kind == Kind::Rabbit { "pubsub.rabbitmq" } else { "pubsub.jetstream" }, &metadata)
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
    let mut server = server(kind).await;
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

macro_rules! cases {
    ($($module:ident $kind:ident),*) => {
        $(mod $module {
            #[tokio::test]
            async fn published_singly_and_in_bulk() {
                super::published_singly_and_in_bulk(super::Kind::$kind).await;
            }
            #[tokio::test]
            async fn survives_a_restart_of_the_broker() {
                super::survives_a_restart_of_the_broker(super::Kind::$kind).await;
            }
        })*
    };
}
cases!(rabbitmq Rabbit, jetstream Nats);

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
