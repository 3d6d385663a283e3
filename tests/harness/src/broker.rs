//! Brokers of one's own, for one test: RabbitMQ, NATS with JetStream, Mosquitto.
//!
//! Each runs on free loopback ports with its data in a temporary folder, so that it can be killed and started again with what it had
//! kept. Ended when dropped. Panics when the binary is missing (`scripts/setup.sh test` installs them).

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::ports::free_port;
use crate::wait::until;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Rabbit,
    Nats,
    Mosquitto,
}

/// A running broker.
pub struct BrokerServer {
    kind: Kind,
    home: TempDir,
    port: u16,
    /// RabbitMQ's port between nodes.
    second: u16,
    server: Option<Child>,
}

/// The group ends with the server: RabbitMQ is a script that starts a virtual machine.
fn end(child: &mut Child, signal: &str) {
    let _ = Command::new("kill").args([signal, "--", &format!("-{}", child.id())]).stderr(Stdio::null()).status();
}

impl Drop for BrokerServer {
    fn drop(&mut self) {
        if let Some(mut child) = self.server.take() {
            end(&mut child, "-KILL");
            let _ = child.wait();
        }
    }
}

impl BrokerServer {
    pub async fn rabbitmq() -> Self {
        Self::start(Kind::Rabbit).await
    }

    /// With JetStream.
    pub async fn nats() -> Self {
        Self::start(Kind::Nats).await
    }

    /// MQTT 3.1.1, persistent.
    pub async fn mosquitto() -> Self {
        Self::start(Kind::Mosquitto).await
    }

    async fn start(kind: Kind) -> Self {
        let home = tempfile::tempdir().expect("temporary folder");
        let mut broker = Self { kind, home, port: free_port(), second: free_port(), server: None };
        broker.resume().await;
        broker
    }

    /// As the component's metadata want it.
    pub fn url(&self) -> String {
        let scheme = match self.kind {
            Kind::Rabbit => "amqp://guest:guest@",
            Kind::Nats => "nats://",
            Kind::Mosquitto => "mqtt://",
        };
        format!("{scheme}127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn command(&self) -> Command {
        match self.kind {
            Kind::Rabbit => self.rabbitmq_command(),
            Kind::Nats => {
                let mut command = Command::new("nats-server");
                command.args(["-js", "-a", "127.0.0.1", "-p", &self.port.to_string(), "-sd"]).arg(self.file("data"));
                command
            }
            Kind::Mosquitto => {
                let home = self.home.path().display();
                let text = format!(
                    "listener {} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {home}/\nautosave_interval 1\n\
                     autosave_on_changes true\nmax_queued_messages 0\nmax_inflight_messages 100\n",
                    self.port
                );
                std::fs::write(self.file("mosquitto.conf"), text).expect("configuration");
                let mut command = Command::new("mosquitto");
                command.arg("-c").arg(self.file("mosquitto.conf"));
                command
            }
        }
    }

    fn rabbitmq_command(&self) -> Command {
        std::fs::write(self.file("plugins"), "[].").expect("plugins");
        let mut command = Command::new("/usr/lib/rabbitmq/bin/rabbitmq-server");
        command.env("RABBITMQ_NODENAME", format!("proa{}@localhost", self.port));
        command.env("RABBITMQ_NODE_PORT", self.port.to_string()).env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1");
        command.env("RABBITMQ_DIST_PORT", self.second.to_string());
        command.env("RABBITMQ_MNESIA_BASE", self.file("mnesia")).env("RABBITMQ_LOG_BASE", self.file("log"));
        command.env("RABBITMQ_ENABLED_PLUGINS_FILE", self.file("plugins")).env("RABBITMQ_CONF_ENV_FILE", self.file("none"));
        command.env("RABBITMQ_PID_FILE", self.file("pid")).env("HOME", self.home.path());
        command.env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+S 1:1 -setcookie proa");
        command
    }

    /// Starts the server (again) and waits until it answers.
    pub async fn resume(&mut self) {
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        self.server = Some(command.spawn().unwrap_or_else(|failure| panic!("cannot start {command:?}: {failure}")));
        let port = self.port;
        until(&format!("{:?} on port {port}", self.kind), Duration::from_secs(120), || async {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()?;
            if self.kind != Kind::Rabbit {
                return Some(());
            }
            // The port is open before the server is there.
            stream.write_all(b"AMQP\0\0\x09\x01").await.ok()?;
            tokio::time::timeout(Duration::from_secs(2), stream.read_u8()).await.ok()?.ok().map(|_| ())
        })
        .await;
    }

    /// Ends the server as an operator does. What it keeps is there again after [`BrokerServer::resume`].
    pub async fn stop(&mut self) {
        if let Some(mut child) = self.server.take() {
            end(&mut child, "-TERM");
            let gone = tokio::task::spawn_blocking(move || child.wait());
            tokio::time::timeout(Duration::from_secs(60), gone).await.expect("the broker ends").expect("joined").expect("waited");
            let port = self.port;
            until("a free port", Duration::from_secs(60), || async { tokio::net::TcpStream::connect(("127.0.0.1", port)).await.err().map(|_| ()) })
                .await;
        }
    }

    /// Stops the server, and starts it again after a moment.
    pub async fn restart(&mut self) {
        self.stop().await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        self.resume().await;
    }

    /// Makes a stream on a NATS server.
    pub async fn stream(&self, name: &str, subjects: &[&str]) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let body = serde_json::json!({ "name": name, "subjects": subjects, "retention": "limits", "storage": "file", "max_msgs": -1,
            "max_bytes": -1, "max_age": 0, "num_replicas": 1, "discard": "old", "max_consumers": -1, "max_msg_size": -1 })
        .to_string();
        until("a stream", Duration::from_secs(10), || async {
            let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
            let create = format!("CONNECT {{\"verbose\":false}}\r\nSUB made 1\r\nPUB $JS.API.STREAM.CREATE.{name} made {}\r\n{body}\r\n", body.len());
            stream.write_all(create.as_bytes()).await.ok()?;
            let (mut seen, mut buffer) = (String::new(), [0; 4096]);
            while !seen.contains("MSG made") || !seen.trim_end().ends_with('}') {
                let read = tokio::time::timeout(Duration::from_secs(2), stream.read(&mut buffer)).await.ok()?.ok()?;
                if read == 0 {
                    return None;
                }
                seen.push_str(&String::from_utf8_lossy(&buffer[..read]));
            }
            assert!(!seen.contains("\"error\""), "{seen}");
            Some(())
        })
        .await;
    }
}
