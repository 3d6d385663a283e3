//! The bindings of RabbitMQ and MQTT: what goes out, and what comes in.

use std::time::Duration;

use proa_harness::{Answer, App, BrokerServer, GrpcApp, Sidecar, Wire, component, stays, until};
use serde_json::{Value, json};

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Rabbit,
    Mqtt,
}

impl Kind {
    async fn server(self) -> BrokerServer {
        match self {
            Self::Rabbit => BrokerServer::rabbitmq().await,
            Self::Mqtt => BrokerServer::mosquitto().await,
        }
    }

    /// A server, or a part of one, that nobody else uses; restarts are for [`Kind::server`].
    async fn place(self) -> (String, Option<BrokerServer>) {
        match self {
            Self::Rabbit => (BrokerServer::rabbitmq_vhost().await, None),
            Self::Mqtt => {
                let server = BrokerServer::mosquitto().await;
                (server.url(), Some(server))
            }
        }
    }
}

/// The binding `queue`, in both directions where nothing else is said.
fn binding(kind: Kind, url: &str, more: &[(&str, &str)]) -> String {
    let (name, mut metadata) = match kind {
        Kind::Rabbit => ("bindings.rabbitmq", vec![("host", url), ("queueName", "orders"), ("durable", "true"), ("reconnectWaitInSeconds", "1")]),
        Kind::Mqtt => ("bindings.mqtt3", vec![("url", url), ("topic", "orders"), ("consumerID", "app"), ("backOffMaxRetries", "-1")]),
    };
    if more.iter().all(|(name, _)| *name != "direction") {
        metadata.push(("direction", "input,output"));
    }
    metadata.extend_from_slice(more);
    component("queue", name, &metadata)
}

fn numbers(app: &App) -> Vec<i64> {
    app.requests("/queue").iter().filter_map(|event| event.json()["n"].as_i64()).collect()
}

/// Sends until it is taken: the broker may be away.
async fn send(sidecar: &Sidecar, wire: Wire, n: i64) {
    let api = sidecar.api(wire).await;
    until("a message that is taken", Duration::from_secs(60), || async { api.invoke_binding("queue", "create", json!({"n": n}), &[]).await.ok() })
        .await;
}

async fn to_and_from(kind: Kind, wire: Wire) {
    let (url, _server) = kind.place().await;
    let builder = Sidecar::builder().resource(binding(kind, &url, &[]));
    let bodies: Vec<Value> = match wire {
        Wire::Http => {
            let app = App::start().await;
            app.answer("/queue", Answer::ok());
            let sidecar = builder.app(&app).start().await;
            for n in 0..5 {
                send(&sidecar, wire, n).await;
            }
            let events = app.wait_for("/queue", 5).await;
            stays("each event once", Duration::from_millis(500), || app.requests("/queue").len() == 5).await;
            if kind == Kind::Mqtt {
                assert_eq!(events[0].header("topic").as_deref(), Some("orders"));
            }
            events.iter().map(|event| event.json()).collect()
        }
        Wire::Grpc => {
            let app = GrpcApp::start().await;
            app.bind("queue");
            let sidecar = builder.app(&app).start().await;
            for n in 0..5 {
                send(&sidecar, wire, n).await;
            }
            let events = until("five events", Duration::from_secs(20), || async {
                let events = app.binding_events();
                (events.len() >= 5).then_some(events)
            })
            .await;
            assert_eq!(events[0].name, "queue");
            events.iter().map(|event| serde_json::from_slice(&event.data).expect("JSON")).collect()
        }
    };
    assert_eq!(bodies, (0..5).map(|n| json!({"n": n})).collect::<Vec<_>>());
}

/// RabbitMQ hands it out at once, MQTT's rests for five seconds.
async fn an_event_that_the_app_fails_comes_again(kind: Kind) {
    let (url, _server) = kind.place().await;
    let app = App::start().await;
    app.answers("/queue", vec![Answer::status(500), Answer::ok()]);
    let sidecar = Sidecar::builder().resource(binding(kind, &url, &[])).app(&app).start().await;
    send(&sidecar, Wire::Http, 7).await;
    app.wait_for("/queue", 2).await;
    assert_eq!(numbers(&app), [7, 7]);
    stays("not after its success", Duration::from_millis(500), || numbers(&app).len() == 2).await;
}

/// What is sent while no sidecar reads, and what a killed one had, comes to the next.
async fn events_wait_for_a_sidecar(kind: Kind) {
    let (url, _server) = kind.place().await;
    let slow = App::start().await;
    slow.answer("/queue", Answer::ok().after(Duration::from_secs(30)));
    let first = Sidecar::builder().resource(binding(kind, &url, &[])).app(&slow).start().await;
    send(&first, Wire::Http, 0).await;
    slow.wait_for("/queue", 1).await;
    first.signal(libc::SIGKILL);
    drop(first);
    let sender = Sidecar::builder().app_id("sender").resource(binding(kind, &url, &[("direction", "output")])).start().await;
    send(&sender, Wire::Grpc, 1).await;
    let app = App::start().await;
    app.answer("/queue", Answer::ok());
    let _second = Sidecar::builder().resource(binding(kind, &url, &[])).app(&app).start().await;
    app.wait_for("/queue", 2).await;
    let mut seen = numbers(&app);
    seen.sort_unstable();
    assert_eq!(seen, [0, 1]);
}

/// The broker is restarted while events wait and the application holds one: none is lost, and both directions go on.
async fn a_restart_of_the_broker_is_survived(kind: Kind) {
    let mut server = kind.server().await;
    let app = App::start().await;
    app.answer("/queue", Answer::ok().after(Duration::from_millis(50)));
    let sidecar = Sidecar::builder().resource(binding(kind, &server.url(), &[])).app(&app).start().await;
    for n in 0..20 {
        send(&sidecar, Wire::Http, n).await;
    }
    server.restart().await;
    for n in 20..30 {
        send(&sidecar, Wire::Grpc, n).await;
    }
    until("every event", Duration::from_secs(60), || async {
        let mut seen = numbers(&app);
        seen.sort_unstable();
        seen.dedup();
        (seen == (0..30).collect::<Vec<_>>()).then_some(())
    })
    .await;
}

macro_rules! cases {
    ($($module:ident $kind:ident),*) => {
        $(mod $module {
            use super::{Kind, Wire};

            #[tokio::test]
            async fn to_and_from_over_http() {
                super::to_and_from(Kind::$kind, Wire::Http).await;
            }
            #[tokio::test]
            async fn to_and_from_over_grpc() {
                super::to_and_from(Kind::$kind, Wire::Grpc).await;
            }
            #[tokio::test]
            async fn an_event_that_the_app_fails_comes_again() {
                super::an_event_that_the_app_fails_comes_again(Kind::$kind).await;
            }
            #[tokio::test]
            async fn events_wait_for_a_sidecar() {
                super::events_wait_for_a_sidecar(Kind::$kind).await;
            }
            #[tokio::test]
            async fn a_restart_of_the_broker_is_survived() {
                super::a_restart_of_the_broker_is_survived(Kind::$kind).await;
            }
        })*
    };
}
cases!(rabbitmq Rabbit, mqtt3 Mqtt);

/// A request's metadata are headers of the message, and an event's metadata on the other side; an expired message is gone.
#[tokio::test]
async fn rabbitmq_keeps_headers_and_times_to_live() {
    let (url, _) = Kind::Rabbit.place().await;
    let sender = Sidecar::builder().app_id("sender").resource(binding(Kind::Rabbit, &url, &[("direction", "output")])).start().await;
    let api = sender.api(Wire::Http).await;
    api.invoke_binding("queue", "create", json!({"n": 1}), &[("ttlInSeconds", "1")]).await.expect("create");
    api.invoke_binding("queue", "create", json!({"n": 2}), &[("ttlInSeconds", "60"), ("colour", "red")]).await.expect("create");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let app = App::start().await;
    app.answer("/queue", Answer::ok());
    let _sidecar = Sidecar::builder().resource(binding(Kind::Rabbit, &url, &[])).app(&app).start().await;
    let events = app.wait_for("/queue", 1).await;
    assert_eq!((numbers(&app), events[0].header("colour").as_deref()), (vec![2], Some("red")));
}

/// A request's topic comes before the component's; what the input does not subscribe to, it does not get.
#[tokio::test]
async fn mqtt3_publishes_where_a_request_says() {
    let (url, _server) = Kind::Mqtt.place().await;
    let app = App::start().await;
    app.answer("/queue", Answer::ok());
    let sidecar = Sidecar::builder().resource(binding(Kind::Mqtt, &url, &[("topic", "orders/+")])).app(&app).start().await;
    let api = sidecar.api(Wire::Grpc).await;
    let error = api.invoke_binding("queue", "create", json!({"n": 0}), &[]).await.expect_err("a filter is no topic");
    error.says("is no topic to publish to");
    api.invoke_binding("queue", "create", json!({"n": 1}), &[("topic", "elsewhere")]).await.expect("create");
    until("the event", Duration::from_secs(20), || async {
        // Until the session is there, nothing is kept for it.
        api.invoke_binding("queue", "create", json!({"n": 2}), &[("topic", "orders/new")]).await.expect("create");
        app.requests("/queue").into_iter().next()
    })
    .await;
    assert!(app.requests("/queue").iter().all(|event| event.header("topic").as_deref() == Some("orders/new")));
    assert!(numbers(&app).iter().all(|n| *n == 2));
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let app = App::start().await;
    let missing = component("queue", "bindings.mqtt3", &[("url", "mqtt://127.0.0.1:1"), ("topic", "orders")]);
    let stopped = Sidecar::builder().resource(missing).app(&app).start_failing().await;
    assert!(stopped.logs.contain("consumerID"), "{}", stopped.logs.text());
}
