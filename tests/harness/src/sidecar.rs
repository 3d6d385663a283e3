//! A sidecar process under test.
//!
//! [`Sidecar::builder`] collects resources, configuration, flags and the app; `start` writes them to a temporary folder, starts
//! the binary named by `PROA_BIN` (default: `bin/daprd` in the repository) on free loopback ports and waits for
//! `/v1.0/healthz`. Dropping it kills the process at once; [`Sidecar::stop`] asks politely and checks the exit code.
//! Whatever goes wrong panics with the sidecar's own log.

mod builder;
mod process;

use std::path::{Path, PathBuf};
use std::time::Duration;

use proa_protocol::runtime::v1::dapr_client::DaprClient;
use tempfile::TempDir;
use tonic::transport::Channel;

pub use builder::{AppEndpoint, SidecarBuilder};
pub use process::Stopped;

use crate::api::{Api, Wire};
use crate::grpc::connect;
use crate::http::Http;
use crate::logs::Logs;
use crate::wait::until;
use process::Process;

/// The ports a sidecar listens on, all on 127.0.0.1.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    pub http: u16,
    pub grpc: u16,
    pub internal: u16,
    pub metrics: u16,
}

/// A running sidecar; killed when dropped.
pub struct Sidecar {
    pub(crate) process: Process,
    pub(crate) ports: Ports,
    pub(crate) app_id: String,
    pub(crate) token: Option<String>,
    pub(crate) home: TempDir,
}

impl Sidecar {
    pub fn builder() -> SidecarBuilder {
        SidecarBuilder::new()
    }

    pub fn app_id(&self) -> &str {
        &self.app_id
    }

    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// The process id, for reading `/proc` or sending a signal.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// A client of the HTTP API that sends the API token, when there is one.
    pub fn http(&self) -> Http {
        let http = Http::to_port(self.ports.http);
        match &self.token {
            Some(token) => http.with_header("dapr-api-token", token),
            None => http,
        }
    }

    /// A plain client of the gRPC API, message limit raised far above the sidecar's own.
    pub async fn grpc(&self) -> DaprClient<Channel> {
        connect(self.ports.grpc).await
    }

    /// The API over `wire`, with the differences between the transports evened out.
    pub async fn api(&self, wire: Wire) -> Api {
        Api::new(wire, self.http(), self.grpc().await, self.token.clone())
    }

    /// The Prometheus page.
    pub async fn metrics(&self) -> String {
        Http::to_port(self.ports.metrics).get("/metrics").await.expect_status(200).text()
    }

    /// The folder given as `--resources-path`; writing here is a hot reload.
    pub fn resources_dir(&self) -> PathBuf {
        self.home.path().join("resources")
    }

    /// The sidecar's temporary folder and working directory.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Puts one resource file in place in a single step, as an editor or a volume mount does.
    pub fn write_resource(&self, file: &str, yaml: &str) {
        let hidden = self.home.path().join(format!("{file}.next"));
        std::fs::write(&hidden, yaml).expect("resource written");
        std::fs::rename(&hidden, self.resources_dir().join(file)).expect("resource in place");
    }

    pub fn remove_resource(&self, file: &str) {
        std::fs::remove_file(self.resources_dir().join(file)).expect("resource removed");
    }

    pub fn logs(&self) -> &Logs {
        self.process.logs()
    }

    /// Waits for a log line with `part`.
    pub async fn logs_contain(&self, part: &str) {
        self.process.logs().wait_for(part).await;
    }

    /// Waits until `/v1.0/metadata` satisfies `look`.
    pub async fn wait_for_metadata<T>(&self, what: &str, look: impl Fn(&serde_json::Value) -> Option<T>) -> T {
        let http = self.http();
        until(what, Duration::from_secs(20), || async { look(&http.get("/v1.0/metadata").await.json()) }).await
    }

    /// Waits until as many subscriptions are in the metadata.
    pub async fn wait_for_subscriptions(&self, count: usize) {
        self.wait_for_metadata(&format!("{count} subscriptions"), |metadata| {
            let found = metadata.get("subscriptions").and_then(|list| list.as_array()).map_or(0, Vec::len);
            (found >= count).then_some(())
        })
        .await;
    }

    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// SIGINT, then waits for the end; panics unless the exit code is 0.
    pub async fn stop(mut self) -> Stopped {
        self.process.signal(libc::SIGINT);
        let stopped = self.process.wait(Duration::from_secs(20)).await;
        assert_eq!(stopped.code, Some(0), "exit code after SIGINT, log:\n{}", stopped.logs.text());
        stopped
    }

    /// Waits for the process to end by itself (or after [`Sidecar::signal`]).
    pub async fn ended(mut self) -> Stopped {
        self.process.wait(Duration::from_secs(20)).await
    }

    pub fn signal(&self, signal: i32) {
        self.process.signal(signal);
    }
}
