use super::*;
use proa_core::AppProtocol;
use proa_core::app::{Rule, Source};
use proa_core::metrics::MetricsOptions;
use proa_model::Metadata;
use proa_protocol::common::v1::{InvokeRequest, InvokeResponse};
use proa_protocol::runtime::v1::app_callback_health_check_server::{AppCallbackHealthCheck, AppCallbackHealthCheckServer};
use proa_protocol::runtime::v1::app_callback_server::{AppCallback, AppCallbackServer};
use proa_protocol::runtime::v1::topic_event_response::TopicEventResponseStatus;
use std::net::SocketAddr;
use std::sync::Mutex;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::async_trait;

type Answer<T> = Result<Response<T>, Status>;

/// An application that answers as its tests want, and keeps what it got.
#[derive(Default)]
struct Fake {
    events: Mutex<Vec<(MetadataMap, pb::TopicEventRequest)>>,
    bindings: Mutex<Vec<(MetadataMap, pb::BindingEventRequest)>>,
    lists: Mutex<u32>,
}

#[async_trait]
impl AppCallback for Fake {
    async fn on_invoke(&self, _: Request<InvokeRequest>) -> Answer<InvokeResponse> {
        Err(Status::unimplemented(""))
    }

    async fn list_topic_subscriptions(&self, _: Request<()>) -> Answer<pb::ListTopicSubscriptionsResponse> {
        let routed = pb::TopicSubscription {
            pubsub_name: "p".into(),
            topic: "t".into(),
            routes: Some(pb::TopicRoutes {
                rules: vec![pb::TopicRule { r#match: "event.type == 'a'".into(), path: "/a".into() }],
                default: "/d".into(),
            }),
            ..pb::TopicSubscription::default()
        };
        let plain = pb::TopicSubscription { pubsub_name: "p".into(), topic: "u".into(), ..pb::TopicSubscription::default() };
        Ok(Response::new(pb::ListTopicSubscriptionsResponse { subscriptions: vec![routed, plain] }))
    }

    async fn on_topic_event(&self, request: Request<pb::TopicEventRequest>) -> Answer<pb::TopicEventResponse> {
        let (headers, _, event) = request.into_parts();
        let status = match event.path.as_str() {
            "/retry" => TopicEventResponseStatus::Retry,
            "/drop" => TopicEventResponseStatus::Drop,
            "/unimplemented" => return Err(Status::unimplemented("no")),
            "/fail" => return Err(Status::unavailable("later")),
            _ => TopicEventResponseStatus::Success,
        };
        self.events.lock().unwrap().push((headers, event));
        Ok(Response::new(pb::TopicEventResponse { status: status.into() }))
    }

    async fn list_input_bindings(&self, _: Request<()>) -> Answer<pb::ListInputBindingsResponse> {
        *self.lists.lock().unwrap() += 1;
        Ok(Response::new(pb::ListInputBindingsResponse { bindings: vec!["mine".into()] }))
    }

    async fn on_binding_event(&self, request: Request<pb::BindingEventRequest>) -> Answer<pb::BindingEventResponse> {
        let (headers, _, event) = request.into_parts();
        self.bindings.lock().unwrap().push((headers, event));
        let reply = pb::BindingEventResponse { to: vec!["out".into()], data: "{}".into(), concurrency: 1, ..pb::BindingEventResponse::default() };
        Ok(Response::new(reply))
    }

    async fn on_bulk_topic_event(&self, _: Request<pb::TopicEventBulkRequest>) -> Answer<pb::TopicEventBulkResponse> {
        Err(Status::unimplemented(""))
    }

    async fn on_job_event(&self, _: Request<pb::JobEventRequest>) -> Answer<pb::JobEventResponse> {
        Err(Status::unimplemented(""))
    }
}

#[async_trait]
impl AppCallbackHealthCheck for Fake {
    async fn health_check(&self, _: Request<()>) -> Answer<pb::HealthCheckResponse> {
        Ok(Response::new(pb::HealthCheckResponse::default()))
    }
}

/// Serves the fake until the token is cancelled.
async fn start(fake: &Arc<Fake>, address: &str) -> (SocketAddr, CancellationToken) {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let incoming = futures::stream::unfold(listener, |listener| async {
        let accepted = listener.accept().await.map(|(stream, _)| stream);
        Some((accepted, listener))
    });
    let server = tonic::transport::Server::builder()
        .add_service(AppCallbackServer::from_arc(fake.clone()))
        .add_service(AppCallbackHealthCheckServer::from_arc(fake.clone()))
        .serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned());
    tokio::spawn(server);
    (address, stop)
}

fn app(address: SocketAddr, change: impl FnOnce(&mut RuntimeOptions), permits: Option<Arc<Semaphore>>) -> GrpcApp {
    let mut options = crate::grpc::tests::options();
    options.app_port = Some(address.port());
    options.app_protocol = AppProtocol::Grpc;
    change(&mut options);
    let metrics = Metrics::new(MetricsOptions { app_id: "myapp".into(), ..MetricsOptions::default() }).unwrap();
    GrpcApp::new(&options, metrics, true, permits).unwrap()
}

fn delivery(path: &str) -> TopicDelivery {
    TopicDelivery {
        subscription: Arc::new(Source { pubsub: "p".into(), topic: "t".into(), metadata: Metadata::new() }),
        path: path.into(),
        cloud_event: serde_json::json!({"id": "7", "source": "s", "type": "k", "specversion": "1.0", "datacontenttype": "text/plain", "data": "hi", "own": "x"}),
        raw_payload: false,
        body: bytes::Bytes::new(),
        content_type: String::new(),
        metadata: vec![("Content-Length".into(), "5".into()), ("Own".into(), "y".into()), ("bad name".into(), "z".into())],
        traceparent: None,
        tracestate: None,
    }
}

#[tokio::test]
async fn events_arrive_whole_with_trace_and_token() {
    let fake = Arc::new(Fake::default());
    let (address, _stop) = start(&fake, "127.0.0.1:0").await;
    let app = app(address, |options| options.app_api_token = Some("secret".into()), None);
    assert_eq!(app.deliver(delivery("/ok")).await.unwrap(), DeliveryStatus::Success);

    let events = fake.events.lock().unwrap();
    let (headers, event) = &events[0];
    assert_eq!((event.id.as_str(), event.r#type.as_str(), event.pubsub_name.as_str(), event.path.as_str()), ("7", "k", "p", "/ok"));
    assert_eq!(event.data, "hi");
    assert_eq!(event.extensions.as_ref().unwrap().fields.keys().collect::<Vec<_>>(), ["own"]);
    assert_eq!(headers.get("dapr-api-token").unwrap(), "secret");
    assert_eq!(headers.get("own").unwrap(), "y");
    assert!(headers.get("content-length").is_none());
    assert_eq!(headers.get("traceparent").unwrap(), "00-00000000000000000000000000000000-0000000000000000-00");
    assert_eq!(headers.get_bin("grpc-trace-bin").unwrap().to_bytes().unwrap().len(), 29);
    let text = app.metrics.render();
    assert!(text.contains(&format!(r#"grpc_client_method="{ON_TOPIC_EVENT}",grpc_client_status="OK"}} 1"#)), "{text}");
}

#[tokio::test]
async fn answers_become_verdicts() {
    let fake = Arc::new(Fake::default());
    let (address, _stop) = start(&fake, "127.0.0.1:0").await;
    let app = app(address, |_| {}, None);
    assert_eq!(app.deliver(delivery("/retry")).await.unwrap(), DeliveryStatus::Retry);
    assert_eq!(app.deliver(delivery("/drop")).await.unwrap(), DeliveryStatus::Drop);
    assert_eq!(app.deliver(delivery("/unimplemented")).await.unwrap(), DeliveryStatus::Unwanted);
    let error = app.deliver(delivery("/fail")).await.unwrap_err();
    assert_eq!(error.status, Some(14));
    assert!(error.message.ends_with("rpc error: code = Unavailable desc = later"), "{}", error.message);
    assert!(verdict("7", 9).is_err());
}

#[tokio::test]
async fn lists_are_read() {
    let fake = Arc::new(Fake::default());
    let (address, _stop) = start(&fake, "127.0.0.1:0").await;
    let app = app(address, |_| {}, None);
    let list = app.subscriptions().await.unwrap();
    assert_eq!((list[0].rules[0].path.as_str(), list[0].default_path.as_str()), ("/a", "/d"));
    assert_eq!(list[1].rules, [Rule::default()]);

    let second = Duration::from_secs(1);
    assert!(app.binding_wanted("mine", "", second).await.unwrap());
    assert!(!app.binding_wanted("other", "", second).await.unwrap());
    assert_eq!(*fake.lists.lock().unwrap(), 1);
    assert!(app.app_config().await.unwrap().is_null());
}

#[tokio::test]
async fn binding_events_are_answered() {
    let fake = Arc::new(Fake::default());
    let (address, _stop) = start(&fake, "127.0.0.1:0").await;
    let app = app(address, |_| {}, None);
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let event = BindingDelivery {
        name: "mine".into(),
        route: "mine".into(),
        data: "x".into(),
        content_type: None,
        metadata: vec![("k".into(), "v".into())],
        traceparent: Some(parent.into()),
        tracestate: None,
    };
    let reply = app.binding_event(event).await.unwrap();
    assert_eq!((reply.to, reply.data.unwrap(), reply.concurrency), (vec!["out".to_owned()], bytes::Bytes::from("{}"), "parallel".to_owned()));
    let events = fake.bindings.lock().unwrap();
    assert_eq!(events[0].1.metadata["k"], "v");
    assert_eq!(events[0].0.get("traceparent").unwrap(), parent);
}

#[tokio::test]
async fn the_connection_comes_back() {
    let fake = Arc::new(Fake::default());
    let (address, stop) = start(&fake, "127.0.0.1:0").await;
    let app = app(address, |_| {}, None);
    let second = Duration::from_secs(1);
    assert!(app.healthy(second).await);
    stop.cancel();
    while app.healthy(second).await {
        tokio::task::yield_now().await;
    }
    let (_, _stop) = start(&fake, &address.to_string()).await;
    assert!(app.healthy(second).await);
}

#[tokio::test]
async fn a_full_application_is_waited_for() {
    let fake = Arc::new(Fake::default());
    let (address, _stop) = start(&fake, "127.0.0.1:0").await;
    let permits = Arc::new(Semaphore::new(1));
    let app = app(address, |_| {}, Some(permits.clone()));
    let taken = permits.acquire().await.unwrap();
    let waiting = app.deliver(delivery("/ok"));
    tokio::pin!(waiting);
    assert!(tokio::time::timeout(Duration::from_millis(100), &mut waiting).await.is_err());
    drop(taken);
    assert_eq!(waiting.await.unwrap(), DeliveryStatus::Success);
}
