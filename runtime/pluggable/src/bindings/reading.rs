//! The events of an input binding: they come in on a stream, what the application made of them goes out on it.
//!
//! After the end events are refused with an error, so that the component knows at once; the stream stays until the ones before are settled,
//! and a moment longer, so that their answers arrive.

use crate::status;
use crate::stream::{Inbox, Ledger};
use crate::wire::Wire;
use pb::input_binding_client::InputBindingClient;
use proa_host::kinds::bindings as host;
use proa_protocol::components::v1 as pb;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_stream::wrappers::ReceiverStream;

/// Events that may wait to be received.
const WINDOW: usize = 16;
/// Answers that may wait for the wire.
const ANSWERS: usize = 64;
/// How long the events that the application has may take.
const DRAIN: Duration = Duration::from_secs(30);
/// What Dapr tells a component whose event comes too late.
const CLOSED: &str = "input binding is closed";

struct Shared {
    inbox: Inbox<pb::ReadResponse>,
    ledger: Ledger,
}

/// See the module's text. Dropping it closes the stream.
pub struct Reading {
    answers: mpsc::Sender<pb::ReadRequest>,
    shared: Arc<Shared>,
    task: AbortHandle,
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn refusal(message_id: String) -> pb::ReadRequest {
    let response_error = Some(pb::AckResponseError { message: CLOSED.into() });
    pb::ReadRequest { message_id, response_error, ..Default::default() }
}

impl Reading {
    /// Opens the stream. Failures show when events are asked for: a component may say nothing before its first event.
    pub fn begin(client: InputBindingClient<Wire>) -> Arc<Self> {
        let (answers, requests) = mpsc::channel(ANSWERS);
        let shared = Arc::new(Shared { inbox: Inbox::new(WINDOW), ledger: Ledger::new() });
        let task = tokio::spawn(run(client, requests, answers.clone(), shared.clone())).abort_handle();
        Arc::new(Self { answers, shared, task })
    }

    pub fn idle(&self) -> bool {
        self.shared.ledger.idle()
    }

    pub async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<host::Event>, host::Error> {
        let received = self.shared.inbox.receive(max, wait, &self.shared.ledger.ending).await;
        Ok(received.map_err(host::Error::Unavailable)?.into_iter().map(|e| self.hand_out(e)).collect())
    }

    fn hand_out(&self, event: pb::ReadResponse) -> host::Event {
        host::Event {
            id: self.shared.ledger.hand_out(event.message_id),
            data: event.data.into(),
            content_type: Some(event.content_type).filter(|c| !c.is_empty()),
            metadata: event.metadata.into_iter().collect(),
            lane: None,
        }
    }

    pub async fn settle(&self, verdicts: Vec<(String, host::Verdict)>) -> Result<(), host::Error> {
        let ledger = &self.shared.ledger;
        for (id, verdict) in verdicts {
            let Some(message_id) = ledger.look_up(&id) else { continue };
            let (response_data, response_error) = match verdict {
                host::Verdict::Handled(data) => (data.unwrap_or_default(), None),
                host::Verdict::Failed(message) => (Vec::new(), Some(pb::AckResponseError { message })),
            };
            let answer = pb::ReadRequest { response_data: response_data.into(), message_id, response_error };
            let sent = tokio::select! {
                sent = self.answers.send(answer) => sent.is_ok(),
                () = ledger.over.cancelled() => false,
            };
            ledger.settled(&id);
            if !sent {
                return Err(host::Error::Unavailable("the stream to the component is gone".into()));
            }
        }
        Ok(())
    }

    /// Hands out nothing more, and refuses what waits to be.
    pub fn end(&self) {
        self.shared.ledger.ending.cancel();
        for event in self.shared.inbox.take(usize::MAX).unwrap_or_default() {
            // There is no room only when the component does not listen; then it learns by the end of the stream.
            let _ = self.answers.try_send(refusal(event.message_id));
        }
    }

    /// Waits until an ended reading has closed its stream. What the application still has by then is not waited for any longer.
    pub async fn over(&self) {
        let _ = tokio::time::timeout(DRAIN, self.shared.ledger.over.cancelled()).await;
    }
}

async fn run(
    mut client: InputBindingClient<Wire>,
    requests: mpsc::Receiver<pb::ReadRequest>,
    answers: mpsc::Sender<pb::ReadRequest>,
    shared: Arc<Shared>,
) {
    let over = shared.ledger.over.clone().drop_guard();
    let why = tokio::select! {
        why = pull(&mut client, requests, answers, &shared) => why,
        () = shared.ledger.drained() => "the binding is stopped".into(),
    };
    drop(over);
    shared.inbox.close(why);
}

/// Reads the stream until it ends, and tells why it did.
async fn pull(
    client: &mut InputBindingClient<Wire>,
    requests: mpsc::Receiver<pb::ReadRequest>,
    answers: mpsc::Sender<pb::ReadRequest>,
    shared: &Shared,
) -> String {
    let mut stream = match client.read(ReceiverStream::new(requests)).await {
        Ok(response) => response.into_inner(),
        Err(status) => return status::text(&status),
    };
    loop {
        let event = match stream.message().await {
            Ok(Some(event)) => event,
            Ok(None) => return "the component ended the stream".into(),
            Err(status) => return status::text(&status),
        };
        let late = event.message_id.clone();
        let taken = tokio::select! {
            biased;
            () = shared.ledger.ending.cancelled() => false,
            () = shared.inbox.put(event) => true,
        };
        if !taken && answers.send(refusal(late)).await.is_err() {
            return "the binding is stopped".into();
        }
    }
}
