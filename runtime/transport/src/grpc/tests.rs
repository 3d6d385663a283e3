use super::*;
use crate::listen::Listeners;
use proa_core::{AppProtocol, Runtime, RuntimeOptions};
use proa_host::{Host, HostOptions};
use proa_protocol::common::v1::StateItem;
use proa_protocol::internals::v1::InternalInvokeRequest;
use proa_protocol::internals::v1::service_invocation_client::ServiceInvocationClient;
use proa_protocol::runtime::v1 as pb;
use proa_protocol::runtime::v1::dapr_client::DaprClient;
use proa_resources::Configuration;
use proa_resources::configuration::ApiRule;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Options of a sidecar without anything.
pub(crate) fn options() -> RuntimeOptions {
    RuntimeOptions {
        app_id: "myapp".into(),
        namespace: "default".into(),
        namespace_set: false,
        pod_name: String::new(),
        hostname: "here".into(),
        host_address: "127.0.0.1".into(),
        version: "1.2.3".into(),
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
        binding_options_timeout: Duration::from_secs(1),
        api_token: None,
        max_body_size: 4 << 20,
        read_buffer_size: 4 << 10,
        allowed_origins: "*".into(),
        enable_api_logging: None,
        disable_init_endpoints: Vec::new(),
        resources_paths: Vec::new(),
        graceful_shutdown: Duration::from_secs(5),
        placement_addresses: Vec::new(),
        scheduler_addresses: Vec::new(),
    }
}

/// A served sidecar without components.
struct Sidecar {
    runtime: Arc<Runtime>,
    port: u16,
    stop: CancellationToken,
    served: JoinHandle<()>,
    _cache: tempfile::TempDir,
}

impl Sidecar {
    async fn start(role: Role, change: impl FnOnce(&mut RuntimeOptions, &mut Configuration)) -> Self {
        let listeners = Listeners::tcp("gRPC", &["127.0.0.1".to_owned()], 0).await.unwrap();
        Self::on(role, listeners, change)
    }

    fn on(role: Role, listeners: Listeners, change: impl FnOnce(&mut RuntimeOptions, &mut Configuration)) -> Self {
        let (mut options, mut configuration) = (options(), Configuration::default());
        change(&mut options, &mut configuration);
        let cache = tempfile::tempdir().unwrap();
        let host = Host::new(&HostOptions { catalogue: None, cache: cache.path().to_owned() }).unwrap();
        let runtime = Runtime::new(options, configuration, host, BTreeMap::new()).unwrap();
        let (port, stop) = (listeners.port().unwrap_or(0), CancellationToken::new());
        let served = tokio::spawn(serve(runtime.clone(), role, listeners, None, stop.clone()));
        Self { runtime, port, stop, served, _cache: cache }
    }

    fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://127.0.0.1:{}", self.port)).unwrap().connect_lazy()
    }

    fn client(&self) -> DaprClient<Channel> {
        DaprClient::new(self.channel())
    }
}

fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

fn get_state() -> pb::GetStateRequest {
    pb::GetStateRequest { store_name: "s".into(), key: "k".into(), ..pb::GetStateRequest::default() }
}

#[tokio::test]
async fn blocks_without_components_say_so() {
    let sidecar = Sidecar::start(Role::Api, |_, _| {}).await;
    let mut client = sidecar.client();

    let state = client.get_state(get_state()).await.unwrap_err();
    assert_eq!((state.code(), state.message()), (Code::FailedPrecondition, "state store s is not configured"));
    assert_eq!(reason(&state), "DAPR_STATE_NOT_CONFIGURED");
    assert!(state.get_error_details().error_info().unwrap().metadata.is_empty());
    // An empty key is looked at only once the store is found.
    let save = pb::SaveStateRequest { store_name: "s".into(), states: vec![StateItem::default()] };
    assert_eq!(client.save_state(save).await.unwrap_err().code(), Code::FailedPrecondition);

    let publish = pb::BulkPublishRequest { pubsub_name: "p".into(), topic: "t".into(), entries: vec![Default::default()], ..Default::default() };
    let publish = client.bulk_publish_event(publish).await.unwrap_err();
    assert_eq!((publish.code(), reason(&publish).as_str()), (Code::InvalidArgument, "DAPR_PUBSUB_NOT_FOUND"));

    let secret = client.get_secret(pb::GetSecretRequest::default()).await.unwrap_err();
    assert_eq!((secret.code(), secret.message()), (Code::FailedPrecondition, "secret store is not configured"));
    let binding = pb::InvokeBindingRequest { name: "b".into(), operation: "create".into(), ..Default::default() };
    let binding = client.invoke_binding(binding).await.unwrap_err();
    assert_eq!((binding.code(), binding.message()), (Code::Internal, "error invoking output binding b: couldn't find output binding b"));
    let lock = pb::TryLockRequest { store_name: "l".into(), ..Default::default() };
    assert_eq!(client.try_lock_alpha1(lock).await.unwrap_err().message(), "ExpiryInSeconds is not positive in lock store l");
    let subtle = client.subtle_sign_alpha1(pb::SubtleSignRequest::default()).await.unwrap_err();
    assert_eq!((subtle.code(), subtle.message()), (Code::Unimplemented, "this API is currently not implemented"));
    let ended = pb::UnsubscribeConfigurationRequest { id: "7".into(), ..Default::default() };
    assert!(!client.unsubscribe_configuration(ended).await.unwrap().into_inner().ok);
    let chunks = futures::stream::iter([pb::EncryptRequest::default()]);
    let encrypt = client.encrypt_alpha1(chunks).await.unwrap().into_inner().message().await.unwrap_err();
    assert_eq!(encrypt.message(), "invalid request: first message does not contain the required options");

    let metrics = sidecar.runtime.metrics().render();
    let series = r#"grpc_server_method="/dapr.proto.runtime.v1.Dapr/GetState",grpc_server_status="FailedPrecondition"} 1"#;
    assert!(metrics.contains(series), "{metrics}");
    assert!(!metrics.contains("EncryptAlpha1"));
}

#[tokio::test]
async fn metadata_are_kept_and_the_trace_is_echoed() {
    let sidecar = Sidecar::start(Role::Api, |_, _| {}).await;
    let mut client = sidecar.client();
    client.set_metadata(pb::SetMetadataRequest { key: "k".into(), value: "v".into() }).await.unwrap();
    client.set_metadata(pb::SetMetadataRequest::default()).await.unwrap();
    let mut request = Request::new(pb::GetMetadataRequest {});
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    request.metadata_mut().insert("traceparent", parent.parse().unwrap());
    request.metadata_mut().insert("baggage", "a=b".parse().unwrap());
    let response = client.get_metadata(request).await.unwrap();
    let echo = response.metadata().get_bin(trace::BINARY).unwrap().to_bytes().unwrap();
    assert_eq!(echo, trace::Span::from_text(parent).unwrap().binary());
    assert_eq!(response.metadata().get("baggage").unwrap(), "a=b");
    let info = response.into_inner();
    assert_eq!((info.id.as_str(), info.runtime_version.as_str()), ("myapp", "1.2.3"));
    assert_eq!(info.extended_metadata["k"], "v");
    assert!(!info.extended_metadata.contains_key(""));

    let mut request = Request::new(pb::GetMetadataRequest {});
    request.metadata_mut().insert("baggage", "nonsense".parse().unwrap());
    assert_eq!(client.get_metadata(request).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn the_token_and_the_lists_guard_the_api() {
    let rule = ApiRule { name: "metadata".into(), version: "v1".into(), protocol: "grpc".into() };
    let sidecar = Sidecar::start(Role::Api, |options, configuration| {
        options.api_token = Some("secret".into());
        configuration.api.allowed = vec![rule];
    });
    let sidecar = sidecar.await;
    let mut client = sidecar.client();
    let with = |token: &str| {
        let mut request = Request::new(pb::GetMetadataRequest {});
        request.metadata_mut().insert("dapr-api-token", token.parse().unwrap());
        request
    };
    client.get_metadata(with("secret")).await.unwrap();
    let wrong = client.get_metadata(with("guess")).await.unwrap_err();
    assert_eq!((wrong.code(), wrong.message()), (Code::Unauthenticated, "Unauthorized"));
    let missing = client.get_metadata(pb::GetMetadataRequest {}).await.unwrap_err();
    assert_eq!(missing.get_error_details().error_info().unwrap().metadata["http.error_message"], "missing api token in request metadata");
    // A method that is not there is not there for anyone.
    let denied = client.get_state(get_state()).await.unwrap_err();
    assert_eq!(denied.code(), Code::Unimplemented);
    assert_eq!(denied.get_error_details().error_info().unwrap().metadata["http.error_message"], "requested endpoint is not available");
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused() {
    let sidecar = Sidecar::start(Role::Api, |options, _| options.max_body_size = 1000).await;
    let large = pb::GetStateRequest { key: "k".repeat(2000), ..get_state() };
    let status = sidecar.client().get_state(large).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, "grpc: received message larger than max (2006 vs. 1000)"));
}

#[tokio::test]
async fn what_is_not_served_is_passed_on_to_whom_the_call_names() {
    let api = Sidecar::start(Role::Api, |_, _| {}).await;
    let local = ServiceInvocationClient::new(api.channel()).call_local(InternalInvokeRequest::default()).await.unwrap_err();
    let nobody = "cannot proxy request: missing dapr-callee-app-id or dapr-app-id metadata";
    assert_eq!((local.code(), local.message()), (Code::Unknown, nobody));

    let internal = Sidecar::start(Role::Internal, |_, _| {}).await;
    let local = ServiceInvocationClient::new(internal.channel()).call_local(InternalInvokeRequest::default()).await.unwrap_err();
    assert_eq!((local.code(), local.message()), (Code::Internal, "app channel is not initialized"));
    assert_eq!(internal.client().get_state(get_state()).await.unwrap_err().message(), nobody);
}

#[tokio::test]
async fn both_servers_describe_themselves() {
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

    for (role, service) in [(Role::Api, "dapr.proto.runtime.v1.Dapr"), (Role::Internal, "dapr.proto.internals.v1.ServiceInvocation")] {
        let sidecar = Sidecar::start(role, |_, _| {}).await;
        let ask = ServerReflectionRequest { message_request: Some(MessageRequest::ListServices(String::new())), ..Default::default() };
        let stream = ServerReflectionClient::new(sidecar.channel()).server_reflection_info(futures::stream::iter([ask])).await.unwrap();
        let answer = stream.into_inner().message().await.unwrap().unwrap();
        let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else { panic!("no list") };
        assert!(list.service.iter().any(|s| s.name == service), "{list:?}");
        assert!(!list.service.iter().any(|s| s.name.contains("AppCallback")), "{list:?}");
    }
}

#[tokio::test]
async fn shutdown_is_asked_for_and_frees_the_port() {
    let sidecar = Sidecar::start(Role::Api, |_, _| {}).await;
    let mut client = sidecar.client();
    let mut request = Request::new(pb::ShutdownRequest {});
    request.metadata_mut().insert("dapr-force-shutdown", "TRUE".parse().unwrap());
    client.shutdown(request).await.unwrap();
    assert!(sidecar.runtime.shutdown_requested().await);
    sidecar.stop.cancel();
    // The client's idle connection does not hold the server up.
    tokio::time::timeout(Duration::from_secs(3), sidecar.served).await.unwrap().unwrap();
    std::net::TcpListener::bind(("127.0.0.1", sidecar.port)).unwrap();
}

#[tokio::test]
async fn a_unix_socket_is_served_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dapr-myapp-grpc.socket");
    let sidecar = Sidecar::on(Role::Api, Listeners::unix("gRPC", &path).unwrap(), |_, _| {});
    let channel = Endpoint::from_static("http://socket").connect_with_connector_lazy(tower::service_fn({
        let path = path.clone();
        move |_| dial(path.clone())
    }));
    DaprClient::new(channel).get_metadata(pb::GetMetadataRequest {}).await.unwrap();
    sidecar.stop.cancel();
    sidecar.served.await.unwrap();
    assert!(!Path::exists(&path));
}

async fn dial(path: std::path::PathBuf) -> std::io::Result<hyper_util::rt::TokioIo<tokio::net::UnixStream>> {
    tokio::net::UnixStream::connect(path).await.map(hyper_util::rt::TokioIo::new)
}
