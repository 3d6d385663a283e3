//! Input bindings: a schedule that reaches the app.

use std::time::{Duration, Instant};

use proa_harness::{Answer, App, GrpcApp, Sidecar, component, stays, until};

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

/// What the app answers to an event can be written to a store and sent on to other bindings.
#[tokio::test]
async fn the_answer_can_write_state_and_call_bindings() {
    let app = App::start().await;
    app.answer(
        "/tick",
        Answer::json(serde_json::json!({
            "storeName": "store",
            "state": [{"key": "ticked", "value": {"n": 1}}],
            "to": ["next"],
            "concurrency": "sequential",
            "data": {"passed": "on"},
        })),
    );
    let target = App::start().await;
    target.answer("/next", Answer::ok());
    let url = format!("http://127.0.0.1:{}/next", proa_harness::AppEndpoint::port(&target));
    let sidecar = Sidecar::builder()
        .resource(cron("@every 1s", &[("direction", "input")]))
        .resource(component("store", "state.in-memory", &[]))
        .resource(component("next", "bindings.http", &[("url", &url)]))
        .app(&app)
        .start()
        .await;
    let http = sidecar.http();
    until("the state", Duration::from_secs(10), || async {
        let found = http.get("/v1.0/state/store/ticked").await;
        (found.status == 200).then(|| assert_eq!(found.json(), serde_json::json!({"n": 1})))
    })
    .await;
    drop(target);
}
