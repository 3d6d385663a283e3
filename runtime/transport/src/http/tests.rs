//! The API over real sockets, with a runtime that has no components.

use super::serve;
use crate::listen::Listeners;
use proa_core::{AppProtocol, Runtime, RuntimeOptions};
use proa_host::{Host, HostOptions};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

pub fn options() -> RuntimeOptions {
    RuntimeOptions {
        app_id: "me".into(),
        namespace: "default".into(),
        namespace_set: false,
        pod_name: String::new(),
        hostname: "here".into(),
        host_address: "127.0.0.1".into(),
        version: "1.18.0".into(),
        http_port: 0,
        grpc_port: 0,
        internal_grpc_port: 0,
        public_port: None,
        metrics_port: 0,
        app_port: None,
        app_protocol: AppProtocol::Http,
        app_channel_address: "127.0.0.1".into(),
        app_max_concurrency: None,
        app_api_token: None,
        app_health: None,
        binding_options_timeout: Duration::from_secs(3),
        api_token: None,
        max_body_size: 1024,
        read_buffer_size: 4096,
        allowed_origins: String::new(),
        enable_api_logging: None,
        disable_init_endpoints: Vec::new(),
        resources_paths: Vec::new(),
        graceful_shutdown: Duration::from_secs(5),
        placement_addresses: Vec::new(),
        scheduler_addresses: Vec::new(),
    }
}

pub fn runtime(options: RuntimeOptions) -> Arc<Runtime> {
    let host = Host::new(&HostOptions { catalogue: None, cache: std::env::temp_dir() }).unwrap();
    Runtime::new(options, Default::default(), host, Default::default()).unwrap()
}

struct Served {
    port: u16,
    stop: CancellationToken,
    task: AbortOnDropHandle<()>,
}

async fn served(options: RuntimeOptions) -> Served {
    let listeners = Listeners::tcp("HTTP", &["127.0.0.1".into()], 0).await.unwrap();
    let (port, stop) = (listeners.port().unwrap(), CancellationToken::new());
    let task = AbortOnDropHandle::new(tokio::spawn(serve(runtime(options), listeners, stop.clone())));
    Served { port, stop, task }
}

/// What the server says to the end of the connection.
async fn said(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n")
}

#[tokio::test]
async fn unknown_paths_are_invocations_without_a_target() {
    let server = served(options()).await;
    for path in ["/", "/x", "/v1.0/state", "/v1.0/invoke/app"] {
        let answer = said(server.port, &get(path, "")).await;
        assert!(answer.starts_with("HTTP/1.1 404") && answer.contains(r#""errorCode":"ERR_DIRECT_INVOKE""#), "{answer}");
    }
    let answer = said(server.port, &get("/any", "dapr-app-id: other\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 500") && answer.contains("failed to invoke, id: other, err: "), "{answer}");
    let answer = said(server.port, &get("/v1.0//state/s/a%2Fb/", "")).await;
    assert!(answer.contains("ERR_STATE_STORE_NOT_CONFIGURED") && answer.contains(r#""reason":"DAPR_STATE_NOT_CONFIGURED""#), "{answer}");
    let answer = said(server.port, &get("/v1.0/state/s/%zz", "")).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let answer = said(server.port, &get("/v1.0/metadata", "")).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(r#""id":"me""#) && !answer.contains("access-control"), "{answer}");
    let answer = said(server.port, &get("/v1.0/healthz", "")).await;
    assert!(answer.contains("dapr is not ready: ["), "{answer}");
}

#[tokio::test]
async fn tokens_and_origins_are_checked_in_order() {
    let server = served(RuntimeOptions { api_token: Some("open".into()), allowed_origins: "*".into(), ..options() }).await;
    let preflight = "OPTIONS /v1.0/metadata HTTP/1.1\r\nhost: x\r\nconnection: close\r\norigin: *\r\naccess-control-request-method: GET\r\n\r\n";
    let answer = said(server.port, preflight).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("access-control-allow-origin: *"), "{answer}");
    let answer = said(server.port, &get("/v1.0/metadata", "")).await;
    assert!(answer.starts_with("HTTP/1.1 401") && answer.ends_with("invalid api token\n") && answer.contains("vary: Origin"), "{answer}");
    let answer = said(server.port, &get("/v1.0/metadata", "dapr-api-token: open\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn large_bodies_and_heads_are_refused() {
    let server = served(options()).await;
    let body = "x".repeat(300_000);
    let length = body.len();
    let answer =
        said(server.port, &format!("PUT /v1.0/metadata/k HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("ERR_BODY_READ"), "{answer}");
    let chunked = format!(
        "PUT /v1.0/metadata/k HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"
    );
    let answer = said(server.port, &chunked).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    let answer = said(server.port, &get("/v1.0/metadata", &format!("a: {}\r\n", "x".repeat(9000)))).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let answer = said(server.port, &get("/v1.0/metadata", &format!("a: {}\r\n", "x".repeat(5000)))).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_connection_can_become_http2() {
    let server = served(options()).await;
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    let upgrade = "GET /v1.0/metadata HTTP/1.1\r\nhost: x\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n";
    stream.write_all(upgrade.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101") && head.contains("connection: Upgrade") && head.contains("upgrade: h2c"), "{head}");
    // The preface and empty settings.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut body = Vec::new();
    loop {
        let mut frame = [0; 9];
        tokio::time::timeout(Duration::from_secs(5), stream.read_exact(&mut frame)).await.unwrap().unwrap();
        let length = u32::from_be_bytes([0, frame[0], frame[1], frame[2]]);
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).await.unwrap();
        let stream_id = u32::from_be_bytes([frame[5], frame[6], frame[7], frame[8]]);
        if stream_id == 1 && frame[3] == 0 {
            body.extend_from_slice(&payload);
        }
        if stream_id == 1 && frame[4] & 1 == 1 {
            break;
        }
    }
    assert!(String::from_utf8_lossy(&body).contains(r#""id":"me""#));
    drop(stream);
    server.stop.cancel();
    tokio::time::timeout(Duration::from_secs(5), server.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn the_end_closes_idle_connections_and_frees_the_port() {
    let server = served(options()).await;
    let mut idle = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    idle.write_all(b"GET /v1.0/healthz/outbound HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut some = [0; 12];
    idle.read_exact(&mut some).await.unwrap();
    server.stop.cancel();
    tokio::time::timeout(Duration::from_secs(5), server.task).await.unwrap().unwrap();
    assert!(TcpStream::connect(("127.0.0.1", server.port)).await.is_err());
}

mod app {
    use super::*;
    use crate::app::app_channel;
    use proa_core::app::{AppChannel, BindingDelivery, DeliveryStatus, Source, TopicDelivery};
    use std::sync::Mutex;
    use tokio::net::TcpListener;

    /// An application that answers each connection's requests with one text; what it was sent is kept.
    async fn application(answer: &'static str) -> (u16, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = seen.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let kept = kept.clone();
                tokio::spawn(async move {
                    let mut buffer = vec![0; 64 << 10];
                    while let Ok(n @ 1..) = stream.read(&mut buffer).await {
                        kept.lock().unwrap().push(String::from_utf8_lossy(&buffer[..n]).into_owned());
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        (port, seen)
    }

    async fn channel(answer: &'static str) -> (Arc<Runtime>, Arc<dyn AppChannel>, Arc<Mutex<Vec<String>>>) {
        let (port, seen) = application(answer).await;
        let runtime =
            runtime(RuntimeOptions { app_port: Some(port), app_api_token: Some("secret".into()), app_max_concurrency: Some(1), ..options() });
        let channel = app_channel(&runtime).unwrap().unwrap();
        (runtime, channel, seen)
    }

    #[tokio::test]
    async fn events_go_out_as_given() {
        let (_runtime, channel, seen) = channel("HTTP/1.1 200 OK\r\ncontent-length: 17\r\n\r\n{\"status\":\"DROP\"}").await;
        for _ in 0..2 {
            let delivery = TopicDelivery {
                subscription: Arc::new(Source { pubsub: "p".into(), topic: "t".into(), metadata: Vec::new() }),
                path: "orders/new".into(),
                cloud_event: serde_json::json!({"id": "1"}),
                raw_payload: false,
                body: "{\"id\":\"1\"}".into(),
                content_type: "application/cloudevents+json".into(),
                metadata: vec![("Content-Length".into(), "99".into()), ("x-mine".into(), "yes".into())],
                traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
                tracestate: None,
            };
            assert_eq!(channel.deliver(delivery).await.unwrap(), DeliveryStatus::Drop);
        }
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), 2);
        let sent = &seen[1];
        assert!(sent.starts_with("POST /orders/new HTTP/1.1\r\n") && sent.ends_with("\r\n\r\n{\"id\":\"1\"}"), "{sent}");
        for header in
            ["content-type: application/cloudevents+json", "dapr-api-token: secret", "x-mine: yes", "content-length: 10", "traceparent: 00-4bf9"]
        {
            assert!(sent.contains(header), "{header}: {sent}");
        }
    }

    #[tokio::test]
    async fn questions_name_the_sidecar() {
        let (_runtime, channel, seen) = channel("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
        assert!(channel.subscriptions().await.unwrap().is_empty());
        assert!(channel.app_config().await.unwrap().is_null());
        assert!(!channel.binding_wanted("b", "b", Duration::from_secs(1)).await.unwrap());
        assert!(!channel.healthy(Duration::from_secs(1)).await);
        let event = BindingDelivery {
            name: "b".into(),
            route: "b".into(),
            data: "1".into(),
            content_type: None,
            metadata: Vec::new(),
            traceparent: None,
            tracestate: None,
        };
        assert_eq!(channel.binding_event(event).await.unwrap_err().status, Some(404));
        let seen = seen.lock().unwrap();
        assert!(seen[0].starts_with("GET /dapr/subscribe ") && seen[0].contains("dapr-app-id: me"), "{}", seen[0]);
        assert!(seen[2].starts_with("OPTIONS /b ") && seen[3].starts_with("GET /healthz "), "{seen:?}");
    }

    #[tokio::test]
    async fn an_application_that_is_away_is_an_error() {
        let runtime = runtime(RuntimeOptions { app_port: Some(1), ..options() });
        let channel = app_channel(&runtime).unwrap().unwrap();
        assert!(channel.subscriptions().await.is_err() && !channel.healthy(Duration::from_secs(1)).await);
    }
}
