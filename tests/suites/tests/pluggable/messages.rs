//! Brokers and input bindings: what comes in reaches the application, what the application says reaches the component.

use std::time::Duration;

use proa_harness::protocol::components::v1 as pb;
use proa_harness::{Answer, App, GrpcApp, Sidecar, Wire, component, subscription, until};
use serde_json::json;

use crate::Place;

const LIMIT: Duration = Duration::from_secs(10);

async fn settled(place: &Place, topic: &str) {
    until("an empty topic", LIMIT, async || (place.backend.waiting(topic) == 0).then_some(())).await;
}

/// A sidecar whose application gets what is published to `news`.
async fn subscribed(place: &Place, app: &App) -> Sidecar {
    let (broker, news) = (component("broker", "pubsub.box", &[]), subscription("s", "broker", "news", "/news"));
    let sidecar = place.sidecar().app(app).resource(broker).resource(news).start().await;
    sidecar.wait_for_subscriptions(1).await;
    sidecar
}

#[tokio::test]
async fn a_topic_is_delivered_in_order() {
    let place = Place::default();
    let _process = place.process().await;
    let app = App::start().await;
    app.answer("/news", Answer::ok());
    let sidecar = subscribed(&place, &app).await;
    for (number, wire) in (0..10).zip(Wire::BOTH.into_iter().cycle()) {
        sidecar.api(wire).await.publish("broker", "news", number.to_string(), "application/json", &[]).await.expect("published");
    }
    let events: Vec<_> = (10..13).map(|n| json!(n)).collect();
    assert!(sidecar.api(Wire::Grpc).await.publish_bulk("broker", "news", &events).await.expect("published").is_empty());
    let received: Vec<_> = app.wait_for("/news", 13).await.iter().map(|r| r.json()["data"].clone()).collect();
    assert_eq!(received, (0..13).map(|n| json!(n)).collect::<Vec<_>>());
    settled(&place, "news").await;
}

#[tokio::test]
async fn a_refused_message_comes_again() {
    let place = Place::default();
    let _process = place.process().await;
    let app = App::start().await;
    app.answers("/news", vec![Answer::verdict("RETRY"), Answer::status(500), Answer::ok()]);
    let sidecar = subscribed(&place, &app).await;
    sidecar.api(Wire::Http).await.publish("broker", "news", "1", "application/json", &[]).await.expect("published");
    app.wait_for("/news", 3).await;
    settled(&place, "news").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(app.requests("/news").len(), 3, "an acknowledged message does not come again");
}

/// The process ends while messages are with the application: what was not acknowledged comes again, nothing is lost.
#[tokio::test]
async fn no_message_is_lost_when_the_broker_restarts() {
    let place = Place::default();
    let process = place.process().await;
    let app = App::start().await;
    app.on("/news", |_| Answer::ok().after(Duration::from_millis(20)));
    let _sidecar = subscribed(&place, &app).await;
    for number in 0..60 {
        let data = json!({ "specversion": "1.0", "id": number.to_string(), "source": "t", "type": "t", "data": number }).to_string();
        place.backend.enqueue(pb::PullMessagesResponse {
            data: data.into(),
            topic_name: "news".into(),
            id: format!("n{number}"),
            ..Default::default()
        });
    }
    app.wait_for("/news", 10).await;
    process.kill();
    place.backend.forget_inits();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let _process = place.process().await;
    until("every message", Duration::from_secs(30), async || {
        let seen: std::collections::BTreeSet<_> = app.requests("/news").iter().map(|r| r.json()["id"].to_string()).collect();
        (seen.len() == 60).then_some(())
    })
    .await;
    settled(&place, "news").await;
}

#[tokio::test]
async fn events_of_an_input_binding_are_answered() {
    let place = Place::default();
    let _process = place.process().await;
    let app = App::start().await;
    app.on("/bell", |request| if request.text() == "bad" { Answer::status(500) } else { Answer::ok().body("come in") });
    let sidecar = place.sidecar().app(&app).resource(component("bell", "bindings.box", &[("direction", "input")])).start().await;
    for (id, data) in [("1", "good"), ("2", "bad")] {
        place.backend.happen(pb::ReadResponse { data: data.into(), message_id: id.into(), ..Default::default() });
    }
    let answers = until("two answers", LIMIT, async || Some(place.backend.answers()).filter(|a| a.len() == 2)).await;
    assert_eq!((answers[0].message_id.as_str(), &answers[0].response_data[..], &answers[0].response_error), ("1", &b"come in"[..], &None));
    assert_eq!(answers[1].message_id, "2");
    assert!(answers[1].response_error.is_some(), "{:?}", answers[1]);
    sidecar.stop().await;
}

#[tokio::test]
async fn events_reach_a_grpc_application() {
    let place = Place::default();
    let _process = place.process().await;
    let app = GrpcApp::start().await;
    app.bind("bell");
    app.answer_bindings(proa_harness::protocol::runtime::v1::BindingEventResponse { data: "yes".into(), ..Default::default() });
    let _sidecar = place.sidecar().app(&app).resource(component("bell", "bindings.box", &[])).start().await;
    place.backend.happen(pb::ReadResponse { data: "ring".into(), message_id: "1".into(), ..Default::default() });
    let answers = until("an answer", LIMIT, async || Some(place.backend.answers()).filter(|a| !a.is_empty())).await;
    assert_eq!(&answers[0].response_data[..], b"yes");
    assert_eq!(&app.binding_events()[0].data[..], b"ring");
}

/// A message that is with the application when the sidecar is asked to end is acknowledged before it does.
#[tokio::test]
async fn the_last_message_is_acknowledged() {
    let place = Place::default();
    let _process = place.process().await;
    let app = App::start().await;
    app.on("/news", |_| Answer::ok().after(Duration::from_millis(700)));
    let sidecar = subscribed(&place, &app).await;
    sidecar.api(Wire::Http).await.publish("broker", "news", "1", "application/json", &[]).await.expect("published");
    app.wait_for("/news", 1).await;
    sidecar.stop().await;
    assert_eq!(place.backend.waiting("news"), 0, "it went back to its topic");
}
