//! The HTTP front: request lines, headers, bodies of every API. An input is a request as text, or `RAW ` and the bytes of a connection.
#![no_main]

use proa_fuzz::wire::{Input, exchange, framed};
use proa_fuzz::{App, Ports, Sidecar};

const RESOURCES: &str = "apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: store
spec:
  type: state.in-memory
  version: v1
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: broker
spec:
  type: pubsub.in-memory
  version: v1
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: env
spec:
  type: secretstores.local.env
  version: v1
";
/// Whatever is published comes back: as an event, and raw.
const SUBSCRIPTIONS: &str =
    r#"[{"pubsubname":"broker","topic":"t","route":"/t"},{"pubsubname":"broker","topic":"r","route":"/r","metadata":{"rawPayload":"true"}}]"#;
/// Looking for a name that nobody has takes a second; here nobody looks.
const NOBODY: &str = "  nameResolution:\n    component: nobody\n";

struct Http(Sidecar);

impl Http {
    fn start() -> Self {
        let app = App::start(SUBSCRIPTIONS);
        Self(Sidecar::start("fuzz", Ports { app: app.port, internal: 0 }, &[RESOURCES], NOBODY))
    }

    fn run(&mut self, data: &[u8]) {
        if let Some(raw) = data.strip_prefix(b"RAW ") {
            exchange(&self.0.http, raw, true);
            return;
        }
        let answer = exchange(&self.0.http, &framed(&Input::parse(data)), false);
        assert!(answer.starts_with(b"HTTP/1.1 "), "no answer to a whole request: {:?}", String::from_utf8_lossy(&answer));
    }
}

proa_fuzz::target!(Http);
