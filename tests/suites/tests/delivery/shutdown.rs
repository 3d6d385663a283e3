//! The end of a sidecar with messages in the application's hands: what was begun is finished, nothing new begins.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use proa_harness::{Answer, App, Sidecar, SidecarBuilder, Wire, component, stays, subscription, until};

/// An app that takes two seconds for an event, and is well as long as it says so.
async fn slow_app() -> (App, Arc<AtomicBool>) {
    let app = App::start().await;
    app.answer("/slow", Answer::ok().after(Duration::from_secs(2)));
    app.answer("/quick", Answer::ok());
    app.answer("/tick", Answer::ok());
    let well = Arc::new(AtomicBool::new(true));
    let says = well.clone();
    app.on("/healthz", move |_| if says.load(Ordering::SeqCst) { Answer::ok() } else { Answer::status(503) });
    (app, well)
}

fn sidecar(app: &App) -> SidecarBuilder {
    Sidecar::builder()
        .resource(component("broker", "pubsub.in-memory", &[]))
        .resource(component("tick", "bindings.cron", &[("schedule", "@every 1s"), ("direction", "input")]))
        .resource(subscription("slow", "broker", "slow", "/slow"))
        .resource(subscription("quick", "broker", "quick", "/quick"))
        .app(app)
}

async fn begun(sidecar: &Sidecar, app: &App) {
    sidecar.wait_for_subscriptions(2).await;
    // A subscription is shown before it begins, and what is published before that is nobody's.
    let api = sidecar.api(Wire::Http).await;
    until("an event is with the app", Duration::from_secs(20), || async {
        api.publish("broker", "slow", "x", "text/plain", &[]).await.expect("publish");
        tokio::time::sleep(Duration::from_millis(200)).await;
        (!app.requests("/slow").is_empty()).then_some(())
    })
    .await;
}

async fn no_port_is_left(sidecar: &Sidecar) {
    let ports = sidecar.ports();
    for port in [ports.http, ports.grpc, ports.internal, ports.metrics] {
        until(&format!("port {port} is free"), Duration::from_secs(5), || async { std::net::TcpListener::bind(("127.0.0.1", port)).ok() }).await;
    }
}

#[tokio::test]
async fn what_is_with_the_app_is_waited_for() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let (app, _) = slow_app().await;
        let sidecar = sidecar(&app).start().await;
        begun(&sidecar, &app).await;
        let before = Instant::now();
        sidecar.signal(signal);
        let stopped = sidecar.ended().await;
        assert_eq!(stopped.code, Some(0), "{}", stopped.logs.text());
        assert!(before.elapsed() > Duration::from_millis(1200), "ended after {:?}, with an event still with the app", before.elapsed());
        for line in
            ["Dapr is shutting down", "Shutting down component broker (pubsub.in-memory/v1)", "Dapr runtime stopped", "Daprd shutdown gracefully"]
        {
            assert!(stopped.logs.contain(line), "{line}: {}", stopped.logs.text());
        }
    }
}

#[tokio::test]
async fn the_graceful_period_is_the_limit() {
    let (app, _) = slow_app().await;
    app.answer("/slow", Answer::ok().after(Duration::from_secs(20)));
    let sidecar = sidecar(&app).flag("--dapr-graceful-shutdown-seconds", "1").start().await;
    begun(&sidecar, &app).await;
    let before = Instant::now();
    sidecar.signal(libc::SIGTERM);
    let stopped = sidecar.ended().await;
    assert_eq!(stopped.code, Some(1), "{}", stopped.logs.text());
    assert!(stopped.logs.contain("Graceful shutdown timeout exceeded, forcing shutdown"), "{}", stopped.logs.text());
    assert!(before.elapsed() < Duration::from_secs(6), "{:?}", before.elapsed());
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let (app, _) = slow_app().await;
    app.answer("/slow", Answer::ok().after(Duration::from_secs(20)));
    let sidecar = sidecar(&app).flag("--dapr-graceful-shutdown-seconds", "30").start().await;
    begun(&sidecar, &app).await;
    sidecar.signal(libc::SIGTERM);
    sidecar.logs_contain("Dapr is shutting down").await;
    let before = Instant::now();
    sidecar.signal(libc::SIGTERM);
    let stopped = sidecar.ended().await;
    assert_eq!(stopped.code, Some(1), "{}", stopped.logs.text());
    assert!(before.elapsed() < Duration::from_secs(4), "{:?}", before.elapsed());
}

/// The API goes on, messages and events do not.
async fn is_blocked(sidecar: &Sidecar, app: &App) {
    sidecar.logs_contain("Blocking graceful shutdown for ").await;
    until("the event is finished", Duration::from_secs(5), || async { sidecar.logs().contain("Blocking graceful").then_some(()) }).await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let (ticks, quick) = (app.requests("/tick").len(), app.requests("/quick").len());
    sidecar.api(Wire::Grpc).await.publish("broker", "quick", "x", "text/plain", &[]).await.expect("the API is open");
    stays("nothing is delivered", Duration::from_millis(1300), || app.requests("/tick").len() == ticks && app.requests("/quick").len() == quick)
        .await;
}

#[tokio::test]
async fn a_blocked_shutdown_ends_when_its_time_is_over() {
    let (app, _) = slow_app().await;
    let sidecar = sidecar(&app).flag("--dapr-block-shutdown-duration", "5s").start().await;
    begun(&sidecar, &app).await;
    sidecar.signal(libc::SIGTERM);
    is_blocked(&sidecar, &app).await;
    sidecar.logs_contain("Blocking graceful shutdown for 5s or until app reports unhealthy...").await;
    let stopped = sidecar.ended().await;
    assert_eq!(stopped.code, Some(0), "{}", stopped.logs.text());
    assert!(stopped.logs.contain("Block shutdown period expired, entering shutdown..."), "{}", stopped.logs.text());
}

#[tokio::test]
async fn a_blocked_shutdown_ends_when_the_app_is_unwell() {
    let (app, well) = slow_app().await;
    let probed = sidecar(&app)
        .flag("--enable-app-health-check", "true")
        .flag("--app-health-probe-interval", "1")
        .flag("--app-health-threshold", "1")
        .flag("--dapr-block-shutdown-duration", "180s");
    let sidecar = probed.start().await;
    begun(&sidecar, &app).await;
    sidecar.signal(libc::SIGTERM);
    is_blocked(&sidecar, &app).await;
    sidecar.logs_contain("Blocking graceful shutdown for 3m0s or until app reports unhealthy...").await;
    well.store(false, Ordering::SeqCst);
    let stopped = sidecar.ended().await;
    assert_eq!(stopped.code, Some(0), "{}", stopped.logs.text());
    assert!(stopped.logs.contain("App reported unhealthy, entering shutdown..."), "{}", stopped.logs.text());
}

#[tokio::test]
async fn a_hangup_builds_it_anew_in_the_same_process() {
    let (app, _) = slow_app().await;
    let mut sidecar = sidecar(&app).start().await;
    begun(&sidecar, &app).await;
    let pid = sidecar.pid();
    sidecar.signal(libc::SIGHUP);
    sidecar.logs_contain("Dapr runtime stopped").await;
    let http = sidecar.http();
    until("ready again", Duration::from_secs(20), || async {
        let reply = http.request("GET", "/v1.0/healthz").try_send().await;
        reply.is_ok_and(|reply| reply.status == 204).then_some(())
    })
    .await;
    assert!(sidecar.is_running());
    assert_eq!(sidecar.pid(), pid);
    sidecar.wait_for_subscriptions(2).await;
    sidecar.api(Wire::Grpc).await.publish("broker", "quick", "x", "text/plain", &[]).await.expect("publish");
    app.wait_for("/quick", 1).await;
    sidecar.stop().await;
}

#[tokio::test]
async fn ports_and_sockets_are_released() {
    let folder = tempfile::tempdir().expect("a folder");
    let sidecar = Sidecar::builder().app_id("sockets").flag("--unix-domain-socket", &folder.path().display().to_string()).spawn();
    let files = || std::fs::read_dir(folder.path()).expect("the folder").count();
    until("both sockets", Duration::from_secs(20), || async { (files() == 2).then_some(()) }).await;
    sidecar.logs_contain("dapr initialized").await;
    sidecar.signal(libc::SIGTERM);
    let stopped = sidecar.ended().await;
    assert_eq!((stopped.code, files()), (Some(0), 0), "{}", stopped.logs.text());

    let (app, _) = slow_app().await;
    let sidecar = self::sidecar(&app).start().await;
    sidecar.signal(libc::SIGTERM);
    sidecar.logs_contain("Daprd shutdown gracefully").await;
    no_port_is_left(&sidecar).await;
}
