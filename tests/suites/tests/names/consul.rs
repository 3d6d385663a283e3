//! The resolver over Consul, against an application that speaks as much of Consul's API as name resolution needs.

use super::{app, asks, chooses, sidecar};
use proa_harness::{Answer, App, AppEndpoint, Recorded, Sidecar, until};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const REGISTER: &str = "/v1/agent/service/register";

/// What one service's look-ups are answered with: the index and the instances.
type Service = Arc<Mutex<(u64, Value)>>;

/// An agent that takes every registration.
async fn agent() -> App {
    let agent = App::start().await;
    agent.answer(REGISTER, Answer::ok());
    agent.answer("/v1/agent/self", Answer::json(json!({"Config": {}})));
    agent
}

/// One healthy instance, whose sidecar listens at this port.
fn instance(port: u16) -> Value {
    json!({"Node": {"Address": "192.0.2.9"}, "Service": {"Address": "127.0.0.1", "Port": 1, "Meta": {"DAPR_PORT": port.to_string()}}, "Checks": []})
}

/// Answers look-ups; a blocking query is held until the index is another, for a second at most.
fn serve(agent: &App, name: &str, service: &Service) {
    let service = service.clone();
    agent.on(&format!("/v1/health/service/{name}"), move |request: &Recorded| {
        let asked: u64 = request.query.split('&').find_map(|p| p.strip_prefix("index=")).map_or(0, |i| i.parse().expect("an index"));
        for _ in 0..20 {
            if asked == 0 || service.lock().expect("service").0 != asked {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let (index, instances) = service.lock().expect("service").clone();
        Answer::json(instances).header("X-Consul-Index", &index.to_string())
    });
}

fn client(agent: &App, more: &str) -> String {
    chooses("consul", &format!("{{client: {{address: \"127.0.0.1:{}\", token: secret}}{more}}}", agent.port()))
}

#[tokio::test(flavor = "multi_thread")]
async fn healthy_services_are_found() {
    let (agent, callee) = (agent().await, app("callee").await);
    let there = Sidecar::builder().app_id("callee").app(&callee).start().await;
    let service: Service = Arc::new(Mutex::new((1, json!([instance(there.ports().internal)]))));
    serve(&agent, "callee", &service);
    let more = ", queryOptions: {useCache: true, MaxAge: 10s, filter: 'Checks.ServiceTags contains dapr', token: query, nodeMeta: {rack: '7'}}";
    let caller = sidecar("caller", &client(&agent, more)).start().await;
    assert_eq!(agent.requests("/v1/agent/self").len(), 1, "the agent is looked for once");
    assert_eq!(asks(&caller, "callee").await.as_deref(), Ok("callee"));

    let asked = agent.requests("/v1/health/service/callee").first().cloned().expect("a look-up");
    assert_eq!(asked.query, "passing=1&cached&filter=Checks.ServiceTags%20contains%20dapr&node-meta=rack%3A7");
    assert_eq!(asked.header("x-consul-token").as_deref(), Some("query"));
    assert_eq!(asked.header("cache-control").as_deref(), Some("max-age=10"));
    assert_eq!(agent.requests("/v1/health/service/callee").len(), 1, "the second call is answered from memory");

    agent.answer("/v1/health/service/nobody", Answer::json(json!([])));
    let why = asks(&caller, "nobody").await.expect_err("nobody is there");
    assert!(why.contains("no healthy services found with AppID 'nobody'"), "{why}");
    agent.answer("/v1/health/service/plain", Answer::json(json!([{"Node": {"Address": "a"}, "Service": {"Address": "b", "Meta": null}}])));
    let why = asks(&caller, "plain").await.expect_err("no port");
    assert!(why.contains("target service AppID 'plain' found but DAPR_PORT missing from meta"), "{why}");
    agent.answer("/v1/health/service/broken", Answer::status(500).body("No cluster leader"));
    let why = asks(&caller, "broken").await.expect_err("no leader");
    assert!(why.contains("failed to query healthy consul services: Unexpected response code: 500 (No cluster leader)"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_registers_and_leaves() {
    let (agent, own) = (agent().await, app("own").await);
    let more = ", selfRegister: true, SelfDeregister: true, tags: [dapr, '${APP_ID}'], meta: {team: red}";
    let sidecar = sidecar("mine", &client(&agent, more)).app(&own).start().await;
    let ports = sidecar.ports();
    let registered = agent.requests(REGISTER).first().cloned().expect("a registration");
    assert_eq!((registered.method.as_str(), registered.header("x-consul-token").as_deref()), ("PUT", Some("secret")));
    let id = format!("mine-127.0.0.1-{}", ports.http);
    let wanted = json!({
        "ID": id, "Name": "mine", "Address": "127.0.0.1", "Port": own.port(), "Tags": ["dapr", "mine"],
        "Meta": {"team": "red", "DAPR_PORT": ports.internal.to_string()},
        "Checks": [{
            "Name": "Dapr Health Status", "CheckID": format!("daprHealth:{id}"), "Interval": "15s",
            "HTTP": format!("http://127.0.0.1:{}/v1.0/healthz?appid=mine", ports.http),
        }],
    });
    assert_eq!(registered.json(), wanted);
    let leave = format!("/v1/agent/service/deregister/{id}");
    agent.answer(&leave, Answer::ok());
    assert!(agent.requests(&leave).is_empty());
    sidecar.stop().await;
    assert_eq!(agent.requests(&leave).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_advanced_registration_goes_out_as_it_is() {
    let agent = agent().await;
    let more = ", daprPortMetaKey: PORT, advancedRegistration: {name: special, check: {name: alive, tcp: 'a:1', interval: 3s, tlsSkipVerify: true}, weights: {passing: 2}}";
    let sidecar = sidecar("mine", &client(&agent, more)).start().await;
    let wanted = json!({
        "Name": "special", "Weights": {"Passing": 2}, "Meta": {"PORT": sidecar.ports().internal.to_string()},
        "Check": {"Name": "alive", "TCP": "a:1", "Interval": "3s", "TLSSkipVerify": true},
    });
    assert_eq!(agent.requests(REGISTER).first().expect("a registration").json(), wanted);
    sidecar.stop().await;
    assert!(agent.all_requests().iter().all(|r| !r.path.contains("deregister")), "it was not asked to leave");
}

/// With `useCache` changes arrive by blocking queries: the address is another before anything fails.
#[tokio::test(flavor = "multi_thread")]
async fn changes_are_followed() {
    let (agent, one, two) = (agent().await, app("one").await, app("two").await);
    let first = Sidecar::builder().app_id("callee").app(&one).start().await;
    let second = Sidecar::builder().app_id("callee").app(&two).start().await;
    let service: Service = Arc::new(Mutex::new((5, json!([instance(first.ports().internal)]))));
    serve(&agent, "callee", &service);
    let caller = sidecar("caller", &client(&agent, ", useCache: true, queryOptions: {waitTime: 1s}")).start().await;
    assert_eq!(asks(&caller, "callee").await.as_deref(), Ok("one"));
    *service.lock().expect("service") = (6, json!([instance(second.ports().internal)]));
    until("the other one answers", Duration::from_secs(20), || async {
        let reply = caller.http().get("/v1.0/invoke/callee/method/who").await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        (reply.text() == "two").then_some(())
    })
    .await;
    let blocking = agent.requests("/v1/health/service/callee").iter().filter(|r| r.query.contains("index=6&wait=1000ms")).count();
    assert!(blocking > 0, "no blocking query");
}

/// What was known is good enough while the agent is away.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_may_be_away() {
    let (agent, callee) = (agent().await, app("callee").await);
    let there = Sidecar::builder().app_id("callee").app(&callee).start().await;
    let service: Service = Arc::new(Mutex::new((1, json!([instance(there.ports().internal)]))));
    serve(&agent, "callee", &service);
    let caller = sidecar("caller", &client(&agent, "")).start().await;
    assert_eq!(asks(&caller, "callee").await.as_deref(), Ok("callee"));
    drop(agent);
    let end = tokio::time::Instant::now() + Duration::from_secs(24);
    while tokio::time::Instant::now() < end {
        assert_eq!(asks(&caller, "callee").await.as_deref(), Ok("callee"));
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_registration_is_told() {
    let (agent, own) = (agent().await, app("own").await);
    agent.answer(REGISTER, Answer::status(403).body("Permission denied"));
    let sidecar = sidecar("mine", &client(&agent, ", selfRegister: true")).app(&own).start().await;
    let log = "nr (consul/v1): failed to register consul service: Unexpected response code: 403 (Permission denied)";
    sidecar.logs_contain(log).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_needs_the_applications_port() {
    let agent = agent().await;
    let sidecar = sidecar("mine", &client(&agent, ", selfRegister: true")).start().await;
    sidecar.logs_contain("nr (consul/v1): metadata property missing: APP_PORT").await;
    assert!(agent.requests(REGISTER).is_empty());
}
