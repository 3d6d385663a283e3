//! A Redis server of one's own, for one test.
//!
//! Starts `redis-server` on a free loopback port with nothing on disk (unless durable); optionally with a password, with TLS (a throw-away
//! certificate made by `openssl`) or behind a Sentinel. Killed when dropped. Panics when the binary is missing.

mod proxy;
mod wire;

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::{Child, Command};

pub use proxy::{Fate, Moment, Proxy, Words};
pub use wire::Value;

use crate::ports::free_port;
use crate::wait::until;

/// How the server is set up.
#[derive(Default)]
pub struct RedisBuilder {
    password: Option<String>,
    tls: bool,
    sentinel: bool,
    durable: bool,
    port: Option<u16>,
}

/// A running Redis server (and its Sentinel).
pub struct Redis {
    home: TempDir,
    port: u16,
    password: Option<String>,
    tls: bool,
    durable: bool,
    sentinel_port: Option<u16>,
    server: Option<Child>,
    _sentinel: Option<Child>,
}

/// The master's name that the Sentinel announces.
pub const SENTINEL_MASTER: &str = "mymaster";

impl RedisBuilder {
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.into());
        self
    }

    /// TLS only; the plain port is closed.
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Adds a Sentinel watching the server under the name [`SENTINEL_MASTER`].
    pub fn sentinel(mut self) -> Self {
        self.sentinel = true;
        self
    }

    /// Every write is on the disk before it is answered, and there again after [`Redis::kill`] and [`Redis::resume`].
    pub fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    pub async fn start(self) -> Redis {
        let home = tempfile::tempdir().expect("temporary folder");
        let port = self.port.unwrap_or_else(free_port);
        if self.tls {
            make_certificate(&home).await;
        }
        let mut redis =
            Redis { home, port, password: self.password, tls: self.tls, durable: self.durable, sentinel_port: None, server: None, _sentinel: None };
        redis.resume().await;
        if self.sentinel {
            redis.start_sentinel().await;
        }
        redis
    }
}

impl Redis {
    pub fn builder() -> RedisBuilder {
        RedisBuilder::default()
    }

    /// A plain server without password.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// `127.0.0.1:<port>`, as `redisHost` wants it.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The Sentinel's address; panics without one.
    pub fn sentinel_host(&self) -> String {
        format!("127.0.0.1:{}", self.sentinel_port.expect("started with a sentinel"))
    }

    /// The PEM file of the certificate that signed the server's (itself).
    pub fn certificate(&self) -> PathBuf {
        self.home.path().join("redis.crt")
    }

    /// Kills the server; its data is gone unless it is durable. [`Redis::resume`] starts an empty one on the same port.
    pub async fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().await.expect("redis killed");
        }
    }

    /// Starts the server (again) and waits until it answers.
    pub async fn resume(&mut self) {
        let mut command = Command::new("redis-server");
        let port = self.port.to_string();
        let append = if self.durable { "yes" } else { "no" };
        command.args(["--save", "", "--appendonly", append, "--appendfsync", "always", "--bind", "127.0.0.1", "--dir"]).arg(self.home.path());
        if self.tls {
            command.args(["--port", "0", "--tls-port", &port, "--tls-auth-clients", "no", "--tls-cert-file"]);
            command.arg(self.certificate()).arg("--tls-key-file").arg(self.home.path().join("redis.key"));
            command.arg("--tls-ca-cert-file").arg(self.certificate());
        } else {
            command.args(["--port", &port]);
        }
        if let Some(password) = &self.password {
            command.args(["--requirepass", password]);
        }
        self.server = Some(spawn(command));
        wait_for_port(self.port).await;
        if self.durable {
            // It listens while it reads what it has kept.
            until("redis with its data", Duration::from_secs(60), || async {
                (!matches!(self.command(&["PING"]).await, Value::Error(_))).then_some(())
            })
            .await;
        }
    }

    /// Runs one command over its own connection; not for TLS servers.
    pub async fn command(&self, words: &[&str]) -> Value {
        wire::command(self.port, self.password.as_deref(), words).await
    }

    async fn start_sentinel(&mut self) {
        let port = free_port();
        let mut text = format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor {SENTINEL_MASTER} 127.0.0.1 {} 1\nsentinel down-after-milliseconds {SENTINEL_MASTER} 2000\n",
            self.port
        );
        if let Some(password) = &self.password {
            text.push_str(&format!("sentinel auth-pass {SENTINEL_MASTER} {password}\n"));
        }
        let file = self.home.path().join("sentinel.conf");
        std::fs::write(&file, text).expect("sentinel configuration");
        let mut command = Command::new("redis-server");
        command.arg(file).arg("--sentinel");
        self._sentinel = Some(spawn(command));
        self.sentinel_port = Some(port);
        wait_for_port(port).await;
    }
}

fn spawn(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    command.spawn().unwrap_or_else(|failure| panic!("cannot start {command:?}: {failure}"))
}

async fn wait_for_port(port: u16) {
    until(&format!("port {port}"), Duration::from_secs(10), || async { tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok() }).await;
}

async fn make_certificate(home: &TempDir) {
    let made = Command::new("openssl")
        .current_dir(home.path())
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", "redis.key", "-out", "redis.crt"])
        .output()
        .await
        .expect("openssl");
    assert!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
}
