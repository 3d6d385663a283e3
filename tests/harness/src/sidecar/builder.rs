//! What a sidecar is started with.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::process::Command;

use super::process::{Process, Stopped};
use super::{Ports, Sidecar};
use crate::http::Http;
use crate::ports::free_port;

/// Generous, because a first start may compile its modules on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Something that a sidecar can have as its app.
pub trait AppEndpoint {
    fn port(&self) -> u16;
    /// `http` or `grpc`, as `--app-protocol` wants it.
    fn protocol(&self) -> &'static str;
}

/// Collects everything a sidecar is started with.
pub struct SidecarBuilder {
    app_id: String,
    resources: Vec<(String, String)>,
    configs: Vec<String>,
    flags: Vec<String>,
    env: Vec<(String, String)>,
    log_level: String,
    binary: Option<PathBuf>,
}

impl SidecarBuilder {
    pub(super) fn new() -> Self {
        Self {
            app_id: "app".into(),
            resources: Vec::new(),
            configs: Vec::new(),
            flags: Vec::new(),
            env: Vec::new(),
            log_level: "debug".into(),
            binary: None,
        }
    }

    pub fn app_id(mut self, app_id: &str) -> Self {
        self.app_id = app_id.into();
        self
    }

    /// Adds one YAML file (one or several documents) to the resources folder.
    pub fn resource(self, yaml: impl Into<String>) -> Self {
        let file = format!("{:03}.yaml", self.resources.len());
        self.resource_file(&file, yaml)
    }

    /// The same under a chosen file name, for tests that rewrite it later.
    pub fn resource_file(mut self, file: &str, yaml: impl Into<String>) -> Self {
        self.resources.push((file.into(), yaml.into()));
        self
    }

    /// Adds a Configuration document, passed by `--config`.
    pub fn config(mut self, yaml: impl Into<String>) -> Self {
        self.configs.push(yaml.into());
        self
    }

    pub fn app(self, app: &impl AppEndpoint) -> Self {
        self.flag("--app-port", &app.port().to_string()).flag("--app-protocol", app.protocol())
    }

    /// Another binary than the one under test, for tests of two that talk to each other.
    pub fn binary(mut self, path: impl Into<PathBuf>) -> Self {
        self.binary = Some(path.into());
        self
    }

    /// One flag with its value.
    pub fn flag(mut self, name: &str, value: &str) -> Self {
        self.flags.push(format!("{name}={value}"));
        self
    }

    pub fn log_level(mut self, level: &str) -> Self {
        self.log_level = level.into();
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Starts it and waits until it is healthy; panics with the log otherwise.
    pub async fn start(self) -> Sidecar {
        match self.try_start().await {
            Ok(sidecar) => sidecar,
            Err(stopped) => panic!("sidecar did not start (exit code {:?}), log:\n{}", stopped.code, stopped.logs.text()),
        }
    }

    /// Starts it and expects that it gives up; panics when it becomes healthy.
    pub async fn start_failing(self) -> Stopped {
        match self.try_start().await {
            Err(stopped) => stopped,
            Ok(sidecar) => panic!("sidecar started against expectation, log:\n{}", sidecar.logs().text()),
        }
    }

    /// Starts it; the error is how it ended before it was healthy.
    pub async fn try_start(self) -> Result<Sidecar, Stopped> {
        let mut sidecar = self.spawn();
        let http = Http::to_port(sidecar.ports.http);
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if !sidecar.is_running() {
                return Err(sidecar.ended().await);
            }
            let answer = http.request("GET", "/v1.0/healthz").try_send().await;
            if answer.is_ok_and(|reply| reply.status == 204) {
                return Ok(sidecar);
            }
            assert!(Instant::now() < deadline, "not healthy after {START_LIMIT:?}, log:\n{}", sidecar.logs().text());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Starts the process without waiting for anything.
    pub fn spawn(self) -> Sidecar {
        let home = tempfile::tempdir().expect("temporary folder");
        self.write_files(&home);
        let ports = Ports { http: free_port(), grpc: free_port(), internal: free_port(), metrics: free_port() };
        let mut command = Command::new(self.binary.clone().unwrap_or_else(binary));
        command.current_dir(home.path()).args(self.arguments(&home, ports));
        for name in ["DAPR_API_TOKEN", "APP_API_TOKEN", "NAMESPACE", "DAPR_TRUST_ANCHORS"] {
            command.env_remove(name);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        let token = self.env.iter().find(|(name, _)| name == "DAPR_API_TOKEN").map(|(_, value)| value.clone());
        Sidecar { process: Process::spawn(command), ports, app_id: self.app_id, token, home }
    }

    fn write_files(&self, home: &TempDir) {
        let resources = home.path().join("resources");
        std::fs::create_dir(&resources).expect("resources folder");
        for (file, yaml) in &self.resources {
            std::fs::write(resources.join(file), yaml).expect("resource written");
        }
        for (index, yaml) in self.configs.iter().enumerate() {
            std::fs::write(home.path().join(format!("config-{index}.yaml")), yaml).expect("configuration written");
        }
    }

    fn arguments(&self, home: &TempDir, ports: Ports) -> Vec<String> {
        let mut arguments = vec![
            format!("--app-id={}", self.app_id),
            format!("--dapr-http-port={}", ports.http),
            format!("--dapr-grpc-port={}", ports.grpc),
            format!("--dapr-internal-grpc-port={}", ports.internal),
            format!("--metrics-port={}", ports.metrics),
            "--metrics-listen-address=127.0.0.1".into(),
            "--dapr-listen-addresses=127.0.0.1".into(),
            "--dapr-internal-grpc-listen-address=127.0.0.1".into(),
            format!("--resources-path={}", home.path().join("resources").display()),
            format!("--log-level={}", self.log_level),
        ];
        for index in 0..self.configs.len() {
            arguments.push(format!("--config={}", home.path().join(format!("config-{index}.yaml")).display()));
        }
        arguments.extend(self.flags.iter().cloned());
        arguments
    }
}

/// The binary under test: `PROA_BIN`, or the one in the repository's `bin` folder.
pub fn binary() -> PathBuf {
    match std::env::var_os("PROA_BIN") {
        Some(path) => path.into(),
        None => PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../bin/daprd")),
    }
}
