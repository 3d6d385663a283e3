//! Bindings: two services, either or both of which a process may offer.

mod reading;

use crate::link::{Greet, Link, Welcome};
use crate::wire::Wire;
use futures::future::BoxFuture;
use pb::input_binding_client::InputBindingClient;
use pb::output_binding_client::OutputBindingClient;
use proa_host::CallError;
use proa_host::kinds::bindings as host;
use proa_host::remote::Answer;
use proa_protocol::components::v1 as pb;
use reading::Reading;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub const INPUT: &str = "dapr.proto.components.v1.InputBinding";
pub const OUTPUT: &str = "dapr.proto.components.v1.OutputBinding";

/// Which of the two services are there and wanted.
#[derive(Clone, Copy, Debug)]
pub struct Ways {
    pub input: bool,
    pub output: bool,
}

/// A binding of another process.
pub struct Binding {
    pub link: Arc<Link>,
    ways: Ways,
    reading: Mutex<Option<Arc<Reading>>>,
}

fn input(wire: Wire) -> InputBindingClient<Wire> {
    InputBindingClient::new(wire).max_decoding_message_size(usize::MAX)
}

fn output(wire: Wire) -> OutputBindingClient<Wire> {
    OutputBindingClient::new(wire).max_decoding_message_size(usize::MAX)
}

pub fn greet(properties: HashMap<String, String>, ways: Ways) -> Greet {
    Arc::new(move |wire| {
        let metadata = Some(pb::MetadataRequest { properties: properties.clone() });
        Box::pin(async move {
            let mut operations = Vec::new();
            if ways.input {
                input(wire.clone()).init(pb::InputBindingInitRequest { metadata: metadata.clone() }).await?;
            }
            if ways.output {
                let mut client = output(wire);
                client.init(pb::OutputBindingInitRequest { metadata }).await?;
                operations = client.list_operations(pb::ListOperationsRequest {}).await?.into_inner().operations;
            }
            Ok(Welcome { features: Vec::new(), operations })
        })
    })
}

impl Binding {
    pub fn new(link: Arc<Link>, ways: Ways) -> Self {
        Self { link, ways, reading: Mutex::default() }
    }

    pub fn interfaces(&self) -> Vec<&'static str> {
        let all = [(true, "component/health"), (self.ways.output, "bindings/output"), (self.ways.input, "bindings/input")];
        all.into_iter().filter(|(there, _)| *there).map(|(_, name)| name).collect()
    }

    fn current(&self) -> Option<Arc<Reading>> {
        self.reading.lock().ok()?.clone()
    }

    pub fn idle(&self) -> bool {
        self.current().is_none_or(|r| r.idle())
    }

    pub fn ping(&self) -> BoxFuture<'_, Result<(), String>> {
        let reads = self.ways.input;
        Box::pin(async move {
            let pong = self.link.call(pb::PingRequest {}, |wire, request| async move {
                if reads { input(wire).ping(request).await } else { output(wire).ping(request).await }
            });
            pong.await.map(drop).map_err(|f| CallError::from(f).to_string())
        })
    }
}

impl host::RemoteOutput for Binding {
    fn invoke(&self, request: host::Request) -> Answer<'_, Result<host::Response, host::Error>> {
        Box::pin(async move {
            let request =
                pb::InvokeRequest { data: request.data.into(), metadata: request.metadata.into_iter().collect(), operation: request.operation };
            let response = self.link.call(request, |wire, request| async move { output(wire).invoke(request).await }).await?;
            Ok(Ok(host::Response {
                data: Some(response.data.to_vec()).filter(|d| !d.is_empty()),
                content_type: Some(response.content_type).filter(|c| !c.is_empty()),
                metadata: response.metadata.into_iter().collect(),
            }))
        })
    }
}

impl host::RemoteInput for Binding {
    fn start(&self) -> Answer<'_, Result<(), host::Error>> {
        Box::pin(async move {
            let session = self.link.session().await?;
            let reading = Reading::begin(input(session.wire));
            let before = self.reading.lock().ok().and_then(|mut current| current.replace(reading));
            if let Some(before) = before {
                before.end();
            }
            Ok(Ok(()))
        })
    }

    fn receive(&self, max: u32, wait_ms: u32) -> Answer<'_, Result<Vec<host::Event>, host::Error>> {
        Box::pin(async move {
            match self.current() {
                Some(reading) => Ok(reading.receive(max as usize, Duration::from_millis(wait_ms.into())).await),
                None => Ok(Err(host::Error::InvalidArgument("the binding is not started".into()))),
            }
        })
    }

    fn settle(&self, verdicts: Vec<(String, host::Verdict)>) -> Answer<'_, Result<(), host::Error>> {
        Box::pin(async move {
            match self.current() {
                Some(reading) => Ok(reading.settle(verdicts).await),
                None => Ok(Ok(())),
            }
        })
    }

    fn stop(&self) -> Answer<'_, Result<(), host::Error>> {
        Box::pin(async move {
            if let Some(reading) = self.current() {
                reading.end();
                reading.over().await;
            }
            Ok(Ok(()))
        })
    }
}
