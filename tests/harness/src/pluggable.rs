//! A component in a process of its own: every service of `components.v1` on one Unix socket, over a memory that tests hold in their hands.
//!
//! [`Backend`] is what survives the process; [`Process`] serves it from a runtime of its own, so that killing it ends every connection at
//! once, as the end of a real process does.

mod backend;
mod streams;
mod unary;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use proa_protocol::components::v1 as pb;
use proa_protocol::descriptors;
use tempfile::TempDir;
use tokio::net::UnixListener;
use tonic::transport::Server;
use tonic_reflection::server::Builder;

use backend::Served;

pub use backend::{Backend, Call};

/// A folder for sockets, removed when dropped; its path is short, as the path of a socket has to be.
pub fn folder() -> TempDir {
    tempfile::Builder::new().prefix("px").tempdir_in("/tmp").expect("temporary folder")
}

/// The services that one process offers.
const ALL: &[&str] = &[
    "StateStore",
    "TransactionalStateStore",
    "QueriableStateStore",
    "TransactionalStoreMultiMaxSize",
    "PubSub",
    "InputBinding",
    "OutputBinding",
    "SecretStore",
];

/// A running component; killed when dropped.
pub struct Process {
    socket: PathBuf,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Process {
    /// Listens on `<name>.sock` in `folder` with all services.
    pub async fn start(folder: &Path, name: &str, backend: &Arc<Backend>) -> Self {
        Self::start_with(folder, name, backend, ALL).await
    }

    /// The same with some of the services. What lies at the socket's path is replaced.
    pub async fn start_with(folder: &Path, name: &str, backend: &Arc<Backend>, services: &[&str]) -> Self {
        let socket = folder.join(format!("{name}.sock"));
        let _ = std::fs::remove_file(&socket);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let (path, backend) = (socket.clone(), backend.clone());
        let services: Vec<String> = services.iter().map(|s| (*s).to_owned()).collect();
        runtime.spawn(async move { serve(&path, backend, &services).await });
        let process = Self { socket, runtime: Some(runtime) };
        crate::until("the component's socket", Duration::from_secs(5), async || process.socket.exists().then_some(())).await;
        process
    }

    /// Ends it in the middle of whatever it does. The socket file stays, as it does after a crash.
    pub fn kill(mut self) {
        self.end();
    }

    /// Ends it and removes the socket file.
    pub fn remove(mut self) {
        self.end();
        let _ = std::fs::remove_file(&self.socket);
    }

    fn end(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Like a process that is gone: when this returns, it answers nobody any more. A thread, because a test may not block its own tasks' runtime
            // by shutting down another one.
            let ends = std::thread::spawn(move || runtime.shutdown_timeout(std::time::Duration::from_secs(5)));
            let _ = ends.join();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

async fn serve(socket: &Path, backend: Arc<Backend>, services: &[String]) {
    let served = Arc::new(Served(backend));
    let listener = UnixListener::bind(socket).expect("a socket");
    let incoming = futures::stream::unfold(listener, |listener| async move {
        let accepted = listener.accept().await.map(|(stream, _)| stream);
        Some((accepted, listener))
    });
    let named = |s: &String| format!("dapr.proto.components.v1.{s}");
    let reflection = services
        .iter()
        .map(named)
        .fold(Builder::configure().register_encoded_file_descriptor_set(descriptors::COMPONENTS), Builder::with_service_name);
    let has = |service: &str| services.iter().any(|s| s == service);
    let mut server = Server::builder().add_service(reflection.build_v1alpha().expect("reflection"));
    if has("StateStore") {
        server = server.add_service(pb::state_store_server::StateStoreServer::from_arc(served.clone()));
    }
    if has("TransactionalStateStore") {
        server = server.add_service(pb::transactional_state_store_server::TransactionalStateStoreServer::from_arc(served.clone()));
    }
    if has("QueriableStateStore") {
        server = server.add_service(pb::queriable_state_store_server::QueriableStateStoreServer::from_arc(served.clone()));
    }
    if has("TransactionalStoreMultiMaxSize") {
        server = server.add_service(pb::transactional_store_multi_max_size_server::TransactionalStoreMultiMaxSizeServer::from_arc(served.clone()));
    }
    if has("PubSub") {
        server = server.add_service(pb::pub_sub_server::PubSubServer::from_arc(served.clone()));
    }
    if has("InputBinding") {
        server = server.add_service(pb::input_binding_server::InputBindingServer::from_arc(served.clone()));
    }
    if has("OutputBinding") {
        server = server.add_service(pb::output_binding_server::OutputBindingServer::from_arc(served.clone()));
    }
    if has("SecretStore") {
        server = server.add_service(pb::secret_store_server::SecretStoreServer::from_arc(served));
    }
    server.serve_with_incoming(incoming).await.expect("the component serves");
}
