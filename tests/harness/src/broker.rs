//! Brokers of one's own, for one test: RabbitMQ, NATS with JetStream, Mosquitto.
//!
//! Each runs on free loopback ports with its data in a temporary folder, so that it can be killed and started again with what it had
//! kept. Ended when dropped, and with the test process however that ends. Panics when the binary is missing
//! (`scripts/setup.sh test` installs them).

mod shared;
mod tls;

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

pub use tls::Certificates;

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
    /// RabbitMQ's ports between nodes: of the server, and of the daemon that finds servers.
    second: u16,
    third: u16,
    /// RabbitMQ's virtual hosts beside the default one, Mosquitto's unacknowledged messages.
    limit: usize,
    /// The port where a certificate is asked for.
    encrypted: Option<u16>,
    server: Option<Child>,
}

/// Runs a server until it ends or this process does: then nobody holds the other end of its input any more, and its folder goes too.
const GUARD: &str = r#"exec 3<&0
trap : TERM
"$@" </dev/null & server=$!
(trap '' TERM; read -r _ <&3; kill -KILL "$server"; rm -rf -- "$BROKER_HOME"; kill -KILL 0) &
while kill -0 "$server" 2>/dev/null; do wait "$server"; done
kill -KILL 0"#;

/// Erlang's daemon has a port of its own, and goes with the server.
const RABBIT: &str = r#"epmd -port "$ERL_EPMD_PORT" &
exec /usr/lib/rabbitmq/bin/rabbitmq-server"#;

/// To the server and everything that it has started.
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
        Self::start(Kind::Rabbit, 0).await
    }

    /// With JetStream.
    pub async fn nats() -> Self {
        Self::start(Kind::Nats, 0).await
    }

    /// MQTT 3.1.1, persistent.
    pub async fn mosquitto() -> Self {
        Self::start(Kind::Mosquitto, 100).await
    }

    /// The same, with one unacknowledged message to a client at a time: the order is kept also where one is sent again.
    pub async fn mosquitto_in_order() -> Self {
        Self::start(Kind::Mosquitto, 1).await
    }

    async fn start(kind: Kind, limit: usize) -> Self {
        let home = tempfile::tempdir().expect("temporary folder");
        let mut broker = Self { kind, home, port: free_port(), second: free_port(), third: free_port(), limit, encrypted: None, server: None };
        broker.resume().await;
        broker
    }

    /// Adds a port to RabbitMQ or Mosquitto that is reached by TLS, with a certificate only, and gives its URL.
    pub async fn encrypt(&mut self) -> (String, Certificates) {
        self.stop().await;
        let (home, port) = (self.home.path().to_owned(), free_port());
        tokio::task::spawn_blocking(move || Certificates::make(&home)).await.expect("certificates");
        self.encrypted = Some(port);
        self.resume().await;
        let scheme = if self.kind == Kind::Rabbit { "amqps://guest:guest@" } else { "mqtts://" };
        (format!("{scheme}localhost:{port}"), Certificates::read(self.home.path()))
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
                let mut text = format!(
                    "user root\nlistener {} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {home}/\nautosave_interval 1\n\
                     autosave_on_changes true\nmax_queued_messages 0\nmax_inflight_messages {}\n",
                    self.port, self.limit
                );
                if let Some(port) = self.encrypted {
                    text += &format!(
                        "listener {port} 127.0.0.1\ncafile {home}/ca.crt\ncertfile {home}/leaf.crt\nkeyfile {home}/leaf.key\nrequire_certificate true\n"
                    );
                }
                std::fs::write(self.file("mosquitto.conf"), text).expect("configuration");
                let mut command = Command::new("mosquitto");
                command.arg("-c").arg(self.file("mosquitto.conf"));
                command
            }
        }
    }

    fn rabbitmq_command(&self) -> Command {
        std::fs::write(self.file("plugins"), "[].").expect("plugins");
        let names: Vec<String> = ["/".to_owned()].into_iter().chain((0..self.limit).map(|n| format!("v{n}"))).collect();
        let definitions = serde_json::json!({
            "users": [{ "name": "guest", "password": "guest", "tags": "administrator" }],
            "vhosts": names.iter().map(|name| serde_json::json!({ "name": name })).collect::<Vec<_>>(),
            "permissions": names.iter().map(|name| serde_json::json!({ "user": "guest", "vhost": name, "configure": ".*", "write": ".*", "read": ".*" }))
                .collect::<Vec<_>>(),
        });
        std::fs::write(self.file("definitions.json"), definitions.to_string()).expect("definitions");
        let home = self.home.path().display();
        let mut text = format!("load_definitions = {home}/definitions.json\n");
        if let Some(port) = self.encrypted {
            text += &format!(
                "listeners.ssl.1 = 127.0.0.1:{port}\nssl_options.cacertfile = {home}/ca.crt\nssl_options.certfile = {home}/leaf.crt\n\
                 ssl_options.keyfile = {home}/leaf.key\nssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n"
            );
        }
        std::fs::write(self.file("rabbitmq.conf"), text).expect("configuration");
        let mut command = Command::new("sh");
        command.args(["-c", RABBIT]);
        command.env("RABBITMQ_NODENAME", format!("proa{}@localhost", self.port)).env("RABBITMQ_CONFIG_FILE", self.file("rabbitmq.conf"));
        command.env("RABBITMQ_NODE_PORT", self.port.to_string()).env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1");
        command.env("RABBITMQ_DIST_PORT", self.second.to_string());
        command.env("ERL_EPMD_PORT", self.third.to_string()).env("ERL_EPMD_ADDRESS", "127.0.0.1");
        command.env("RABBITMQ_MNESIA_BASE", self.file("mnesia")).env("RABBITMQ_LOG_BASE", self.file("log"));
        command.env("RABBITMQ_ENABLED_PLUGINS_FILE", self.file("plugins")).env("RABBITMQ_CONF_ENV_FILE", self.file("none"));
        command.env("RABBITMQ_PID_FILE", self.file("pid")).env("HOME", self.home.path());
        // The virtual machine itself, without a shell that watches it; it says so when somebody listens, and nobody does.
        command.env("RUNNING_UNDER_SYSTEMD", "1");
        command.env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+S 1:1 -setcookie proa");
        command
    }

    fn guarded(&self) -> Command {
        let inner = self.command();
        let mut command = Command::new("sh");
        command.args(["-c", GUARD, "broker"]).arg(inner.get_program()).args(inner.get_args());
        command.envs(inner.get_envs().filter_map(|(name, value)| value.map(|value| (name, value))));
        command.env_remove("NOTIFY_SOCKET").env("BROKER_HOME", self.home.path()).current_dir(self.home.path());
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        command
    }

    /// Starts the server (again) and waits until it answers.
    pub async fn resume(&mut self) {
        let mut command = self.guarded();
        self.server = Some(command.spawn().unwrap_or_else(|failure| panic!("cannot start {command:?}: {failure}")));
        let port = self.port;
        until(&format!("{:?} on port {port}", self.kind), Duration::from_secs(120), || async {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()?;
            if self.kind != Kind::Rabbit {
                return Some(());
            }
            if let Some(port) = self.encrypted {
                tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()?;
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
            // Held until the server is gone: its end is the sign that this process is.
            let _alive = child.stdin.take();
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
