//! HTTP applications.

use proa_harness::{Answer, App, Http};

use crate::pair::{Pair, Two};

over_every_pair!(requests_and_answers_pass, every_way_to_name_the_target, large_bodies_pass, statuses_are_the_apps, heads_keep_their_length);

async fn pair(pair: Pair) -> (App, Two) {
    let app = App::start().await;
    app.on("/echo", |request| {
        let mut answer = Answer::ok();
        answer.status = 201;
        answer.headers = vec![("x-method".into(), request.method.clone()), ("content-type".into(), "text/x-echo".into())];
        answer.body = request.body.clone();
        answer
    });
    let two = pair.start(&app).await;
    (app, two)
}

fn path(two: &Two, method: &str) -> String {
    format!("/v1.0/invoke/{}/method/{method}", two.callee())
}

async fn requests_and_answers_pass(with: Pair) {
    let (app, two) = pair(with).await;
    let request =
        two.caller.http().request("PUT", &path(&two, "echo?a=1&b=%20")).header("x-mine", "1").header("connection", "x-hop").header("x-hop", "1");
    let reply = request.header("dapr-caller-app-id", "forged").header("content-type", "text/plain").body("hello").send().await;
    assert_eq!((reply.status, reply.text().as_str()), (201, "hello"));
    assert_eq!((&reply.headers["x-method"], &reply.headers["content-type"]), (&"PUT".parse().unwrap(), &"text/x-echo".parse().unwrap()));
    let seen = app.requests("/echo").remove(0);
    assert_eq!((seen.query.as_str(), seen.headers["x-mine"].to_str().ok()), ("a=1&b=%20", Some("1")));
    if with != Pair::CalledByThePeer {
        assert_eq!(seen.headers["dapr-caller-app-id"], two.caller.app_id(), "nobody calls in another's name");
    }
    assert_eq!(
        (&seen.headers["dapr-callee-app-id"], &seen.headers["content-type"]),
        (&two.callee().parse().unwrap(), &"text/plain".parse().unwrap())
    );
    assert!(seen.headers.contains_key("x-forwarded-for") && seen.headers.contains_key("forwarded"));
    assert!(!seen.headers.contains_key("x-hop"), "a header of one hop stays there");
}

async fn every_way_to_name_the_target(with: Pair) {
    let (app, two) = pair(with).await;
    let http = two.caller.http();
    let full = format!("/v1.0/invoke/{}.default/method/echo", two.callee());
    assert_eq!(http.get(&full).await.status, 201);
    assert_eq!(http.request("GET", "/echo").header("dapr-app-id", two.callee()).send().await.status, 201);
    assert!(app.requests("/echo").iter().all(|request| !request.headers.contains_key("dapr-app-id")));
    let unknown = http.get("/v1.0/invoke/nobody.else.at-all/method/x").await;
    assert_eq!((unknown.status, unknown.json()["errorCode"].as_str()), (500, Some("ERR_DIRECT_INVOKE")));
    assert_eq!(http.get("/no/such/path").await.status, 404);
}

async fn large_bodies_pass(with: Pair) {
    let (_app, two) = pair(with).await;
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| n as u8).collect();
    let reply = two.caller.http().request("POST", &path(&two, "echo")).body(body.clone()).send().await;
    assert_eq!(reply.status, 201);
    assert!(reply.body == body, "{} bytes came back", reply.body.len());
    let empty = two.caller.http().request("POST", &path(&two, "echo")).send().await;
    assert_eq!((empty.status, empty.body.len()), (201, 0));
}

async fn statuses_are_the_apps(with: Pair) {
    let (app, two) = pair(with).await;
    app.answer("/broken", Answer { status: 503, headers: vec![("x-why".into(), "test".into())], ..Answer::ok() });
    let broken = two.caller.http().get(&path(&two, "broken")).await;
    assert_eq!((broken.status, &broken.headers["x-why"]), (503, &"test".parse().unwrap()));
    assert_eq!(app.requests("/broken").len(), 1, "an answer is not tried again");
    assert_eq!(two.caller.http().get(&path(&two, "unknown")).await.status, 404);
}

async fn heads_keep_their_length(with: Pair) {
    let (app, two) = pair(with).await;
    app.answer("/head", Answer { headers: vec![("content-length".into(), "7".into())], ..Answer::ok() });
    let head = two.caller.http().request("HEAD", &path(&two, "head")).send().await;
    assert_eq!(head.status, 200);
    if with == Pair::Alike && !proa_harness::against_dapr() {
        // Dapr's sidecars drop it.
        assert_eq!(head.headers["content-length"], "7");
    }
}

#[tokio::test]
async fn a_method_means_what_is_left_of_it() {
    let (app, two) = pair(Pair::Alike).await;
    let http = Http::to_port(two.caller.ports().http);
    for method in ["x/..//echo", "./echo/", "%65cho"] {
        assert_eq!(http.get(&path(&two, method)).await.status, 201, "{method}");
    }
    for method in ["echo%23", "echo%3Fx", "echo%00", "echo%0A"] {
        assert_eq!(http.get(&path(&two, method)).await.status, 500, "{method}");
    }
    assert_eq!(app.requests("/echo").len(), 3);
}
