//! One subscription: messages come in on a stream, acknowledgements go out on it.
//!
//! Messages are handed out one after the other, as Dapr does with brokers of other processes. When the subscription ends, nothing more is
//! handed out; the stream stays until the messages that were are settled, and a moment longer, so that their acknowledgements arrive. What
//! comes meanwhile is left unanswered: the broker hands it out again to whoever asks next.

use crate::status;
use crate::stream::{Inbox, Ledger};
use crate::wire::Wire;
use pb::pub_sub_client::PubSubClient;
use proa_host::kinds::pubsub as host;
use proa_protocol::components::v1 as pb;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_stream::wrappers::ReceiverStream;

/// Acknowledgements that may wait for the wire.
const ACKS: usize = 256;

struct Shared {
    inbox: Inbox<pb::PullMessagesResponse>,
    ledger: Ledger,
}

/// See the module's text. Dropping it closes the stream.
pub struct Subscription {
    acks: mpsc::Sender<pb::PullMessagesRequest>,
    shared: Arc<Shared>,
    task: AbortHandle,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Subscription {
    /// Opens the stream. A broker may not say anything before the first message, so failures show when messages are asked for.
    pub fn begin(client: PubSubClient<Wire>, request: host::SubscribeRequest) -> Arc<Self> {
        let (acks, requests) = mpsc::channel(ACKS);
        let topic = pb::Topic { name: request.topic, metadata: request.metadata.into_iter().collect() };
        // There is room: nothing was sent before.
        let _ = acks.try_send(pb::PullMessagesRequest { topic: Some(topic), ..Default::default() });
        let shared = Arc::new(Shared { inbox: Inbox::new(request.window as usize), ledger: Ledger::new() });
        let task = tokio::spawn(run(client, requests, shared.clone())).abort_handle();
        Arc::new(Self { acks, shared, task })
    }

    pub fn idle(&self) -> bool {
        self.shared.ledger.idle()
    }

    pub fn is_over(&self) -> bool {
        self.shared.ledger.over.is_cancelled()
    }

    pub async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<host::Message>, host::Error> {
        let received = self.shared.inbox.receive(max, wait, &self.shared.ledger.ending).await;
        Ok(received.map_err(host::Error::Unavailable)?.into_iter().map(|m| self.hand_out(m)).collect())
    }

    fn hand_out(&self, message: pb::PullMessagesResponse) -> host::Message {
        host::Message {
            id: self.shared.ledger.hand_out(message.id),
            topic: message.topic_name,
            data: message.data.into(),
            content_type: Some(message.content_type).filter(|c| !c.is_empty()),
            metadata: message.metadata.into_iter().collect(),
            lane: Some(String::new()),
            redeliveries: 0,
        }
    }

    pub async fn settle(&self, verdicts: Vec<(String, host::Verdict)>) -> Result<(), host::Error> {
        let ledger = &self.shared.ledger;
        for (id, verdict) in verdicts {
            let Some(ack_message_id) = ledger.look_up(&id) else { continue };
            let ack_error = match verdict {
                host::Verdict::Ack | host::Verdict::Drop => None,
                host::Verdict::Retry => Some(pb::AckMessageError { message: "retry required".into() }),
            };
            let request = pb::PullMessagesRequest { topic: None, ack_message_id, ack_error };
            let sent = tokio::select! {
                sent = self.acks.send(request) => sent.is_ok(),
                () = ledger.over.cancelled() => false,
            };
            ledger.settled(&id);
            if !sent {
                return Err(host::Error::Unavailable("the stream to the broker is gone: it hands the message out again".into()));
            }
        }
        Ok(())
    }

    /// Hands out nothing more. Said again, it waits until the last acknowledgements had time to arrive; what is not settled by then goes
    /// back to the broker with the stream.
    pub async fn end(&self) {
        let ledger = &self.shared.ledger;
        if ledger.ending.is_cancelled() {
            ledger.give_up();
            ledger.over.cancelled().await;
        }
        ledger.ending.cancel();
    }
}

async fn run(mut client: PubSubClient<Wire>, requests: mpsc::Receiver<pb::PullMessagesRequest>, shared: Arc<Shared>) {
    let over = shared.ledger.over.clone().drop_guard();
    let why = tokio::select! {
        why = pull(&mut client, requests, &shared) => why,
        () = shared.ledger.drained() => "the subscription is ended".into(),
    };
    drop(over);
    shared.inbox.close(why);
}

/// Reads the stream until it ends, and tells why it did; after the subscription's end what comes is passed over.
async fn pull(client: &mut PubSubClient<Wire>, requests: mpsc::Receiver<pb::PullMessagesRequest>, shared: &Shared) -> String {
    let mut stream = match client.pull_messages(ReceiverStream::new(requests)).await {
        Ok(response) => response.into_inner(),
        Err(status) => return status::text(&status),
    };
    loop {
        match stream.message().await {
            Ok(Some(message)) => tokio::select! {
                biased;
                () = shared.ledger.ending.cancelled() => {}
                () = shared.inbox.put(message) => {}
            },
            Ok(None) => return "the broker ended the stream".into(),
            Err(status) => return status::text(&status),
        }
    }
}
