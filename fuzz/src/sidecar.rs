//! A sidecar on threads of this process, reached by Unix sockets (the API) and a port (other sidecars).

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where a sidecar and its application listen.
#[derive(Clone, Copy, Default)]
pub struct Ports {
    /// 0: there is no application.
    pub app: u16,
    pub internal: u16,
}

pub struct Sidecar {
    pub http: PathBuf,
    pub grpc: PathBuf,
    pub internal: u16,
}

/// Nothing in the API may end the process; a target names its own way to find others.
const CONFIGURATION: &str = "apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata:
  name: fuzz
spec:
  api:
    denied:
      - name: shutdown
        version: v1.0
        protocol: http
      - name: shutdown
        version: v1
        protocol: grpc
  tracing:
    samplingRate: \"1\"
";

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Sidecar {
    /// `resources` are the texts of its resource files; `more` is added to the configuration's spec.
    pub fn start(app_id: &str, mut ports: Ports, resources: &[&str], more: &str) -> Self {
        let home = std::env::temp_dir().join(format!("proa-fuzz-{}-{app_id}", std::process::id()));
        let _ = std::fs::remove_dir_all(&home);
        std::fs::create_dir_all(home.join("resources")).unwrap();
        for (number, text) in resources.iter().enumerate() {
            std::fs::write(home.join(format!("resources/{number}.yaml")), text).unwrap();
        }
        std::fs::write(home.join("config.yaml"), format!("{CONFIGURATION}{more}")).unwrap();
        if ports.internal == 0 {
            ports.internal = free_port();
        }
        let arguments = arguments(app_id, ports, &home);
        let ended = app_id.to_owned();
        std::thread::spawn(move || {
            proa::sidecar::main("daprd", arguments);
            // A signal ends the sidecar, and so the run; anything else is seen by the target, which finds nobody.
            eprintln!("the sidecar {ended} has ended");
            std::process::exit(0);
        });
        let socket = |protocol: &str| home.join(format!("dapr-{app_id}-{protocol}.socket"));
        let sidecar = Self { http: socket("http"), grpc: socket("grpc"), internal: ports.internal };
        sidecar.wait(&home);
        sidecar
    }

    fn wait(&self, home: &Path) {
        let begun = Instant::now();
        while !matches!(self.ask("/v1.0/healthz"), Ok(answer) if answer.starts_with("HTTP/1.1 204")) {
            if begun.elapsed() > Duration::from_secs(60) {
                panic!("no sidecar: {}", std::fs::read_to_string(home.join("log")).unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The answer to a plain GET.
    pub fn ask(&self, path: &str) -> std::io::Result<String> {
        let mut stream = UnixStream::connect(&self.http)?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: fuzz\r\nconnection: close\r\n\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

fn arguments(app_id: &str, ports: Ports, home: &Path) -> Vec<String> {
    let path = |name: &str| home.join(name).display().to_string();
    let mut flags = vec![
        ("app-id", app_id.to_owned()),
        ("unix-domain-socket", home.display().to_string()),
        ("dapr-internal-grpc-port", ports.internal.to_string()),
        ("dapr-internal-grpc-listen-address", "127.0.0.1".to_owned()),
        ("metrics-port", free_port().to_string()),
        ("metrics-listen-address", "127.0.0.1".to_owned()),
        ("resources-path", path("resources")),
        ("config", path("config.yaml")),
        ("max-body-size", "64Ki".to_owned()),
        ("log-level", "error".to_owned()),
        ("log-file", path("log")),
    ];
    if ports.app > 0 {
        flags.push(("app-port", ports.app.to_string()));
    }
    flags.into_iter().map(|(name, value)| format!("--{name}={value}")).collect()
}
