//! Input bindings: a schedule that reaches the app.

use std::time::{Duration, Instant};

use proa_harness::protocol::runtime::v1::BindingEventResponse;
use proa_harness::{Answer, App, AppEndpoint, GrpcApp, Sidecar, component, stays, until};

fn cron(schedule: &str, more: &[(&str, &str)]) -> String {
    component("tick", "bindings.cron", &[&[("schedule", schedule)], more].concat())
}

#[tokio::test]
async fn a_schedule_reaches_an_http_app() {
    let app = App::start().await;
    app.answer("/tick", Answer::ok());
    let _sidecar = Sidecar::builder().resource(cron("@every 1s", &[("direction", "input")])).app(&app).start().await;
    let before = Instant::now();
    let events = app.wait_for("/tick", 2).await;
    assert!(before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());
    assert_eq!(events[0].method, "POST");
    assert_eq!(events[0].text(), "");
    assert!(events[0].header("readtimeutc").is_some(), "{:?}", events[0].headers);
}

#[tokio::test]
async fn seconds_are_an_optional_sixth_field() {
    let app = App::start().await;
    app.answer("/tick", Answer::ok());
    let _sidecar = Sidecar::builder().resource(cron("* * * * * *", &[])).app(&app).start().await;
    app.wait_for("/tick", 2).await;
}

#[tokio::test]
async fn a_schedule_reaches_a_grpc_app() {
    let app = GrpcApp::start().await;
    app.bind("tick");
    let _sidecar = Sidecar::builder().resource(cron("@every 1s", &[])).app(&app).start().await;
    let events = until("two events", Duration::from_secs(10), || async {
        let events = app.binding_events();
        (events.len() >= 2).then_some(events)
    })
    .await;
    assert_eq!(events[0].name, "tick");
}

#[tokio::test]
async fn the_route_can_be_chosen() {
    let app = App::start().await;
    app.answer("/elsewhere", Answer::ok());
    let _sidecar = Sidecar::builder().resource(cron("@every 1s", &[("route", "/elsewhere")])).app(&app).start().await;
    app.wait_for("/elsewhere", 1).await;
    assert!(app.requests("/tick").is_empty());
}

/// Without a stated direction the app is asked by OPTIONS; an app that does not know the route gets nothing.
#[tokio::test]
async fn an_app_that_does_not_want_it_is_left_alone() {
    let app = App::start().await;
    let sidecar = Sidecar::builder().resource(cron("@every 1s", &[])).app(&app).start().await;
    until("the question", Duration::from_secs(10), || async {
        app.all_requests().iter().any(|request| request.method == "OPTIONS" && request.path == "/tick").then_some(())
    })
    .await;
    stays("no event", Duration::from_millis(2200), || app.requests("/tick").is_empty()).await;
    drop(sidecar);
}

#[tokio::test]
async fn a_failing_app_gets_the_next_event_all_the_same() {
    let app = App::start().await;
    app.answers("/tick", vec![Answer::ok(), Answer::status(500), Answer::status(500), Answer::ok()]);
    let _sidecar = Sidecar::builder().resource(cron("@every 1s", &[("direction", "input")])).app(&app).start().await;
    app.wait_for("/tick", 3).await;
}

#[tokio::test]
async fn a_malformed_schedule_stops_the_start() {
    let app = App::start().await;
    let stopped = Sidecar::builder().resource(cron("every now and then", &[])).app(&app).start_failing().await;
    assert_eq!(stopped.code, Some(1));
    assert!(stopped.logs.contain("Failed to init component tick (bindings.cron/v1)"), "{}", stopped.logs.text());
}

/// What a gRPC app answers to an event is sent on to the bindings it names. (Dapr does not look at an HTTP app's answer.)
#[tokio::test]
async fn the_answer_of_a_grpc_app_is_sent_on() {
    let app = GrpcApp::start().await;
    app.bind("tick");
    app.answer_bindings(BindingEventResponse { to: vec!["next".into()], data: "{\"passed\":\"on\"}".into(), ..Default::default() });
    let target = App::start().await;
    target.answer("/next", Answer::ok());
    let url = format!("http://127.0.0.1:{}/next", target.port());
    let next = component("next", "bindings.http", &[("url", &url), ("direction", "output")]);
    let sidecar = Sidecar::builder().resource(cron("@every 1s", &[])).resource(next).app(&app).start().await;
    let asked = until("the other binding or its refusal", Duration::from_secs(10), || async {
        let seen = target.requests("/next");
        (!seen.is_empty() || sidecar.logs().contain("error executing app response")).then_some(seen)
    })
    .await;
    // The operation of a passed-on event is "create", which the web binding takes for POST.
    assert_eq!(asked.first().map(|request| request.method.as_str()), Some("POST"), "{}", sidecar.logs().text());
    assert_eq!(asked[0].json(), serde_json::json!({"passed": "on"}));
}
