//! What a component keeps, whichever process serves it: state by instance and key, topics, events, and who initialised what.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use proa_protocol::components::v1 as pb;
use tokio::sync::Notify;
use tonic::{Request, Status};

/// One initialisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The kind: `state`, `pubsub`, `input`, `output`, `secrets`.
    pub kind: &'static str,
    /// The header that names the component.
    pub instance: String,
    pub properties: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    pub value: Vec<u8>,
    pub version: u64,
}

/// See the module's text.
#[derive(Default)]
pub struct Backend {
    pub(super) inits: Mutex<Vec<Call>>,
    pub(super) state: Mutex<HashMap<(String, String), Entry>>,
    pub(super) topics: Mutex<HashMap<String, VecDeque<pb::PullMessagesResponse>>>,
    numbered: AtomicU64,
    pub(super) published: Notify,
    pub(super) events: Mutex<VecDeque<pb::ReadResponse>>,
    pub(super) happened: Notify,
    pub(super) answers: Mutex<Vec<pb::ReadRequest>>,
    /// A status that every call of state and every publication gets instead of an answer.
    failure: Mutex<Option<Status>>,
}

/// What the generated services are implemented for: streams outlive the call that opens them.
#[derive(Clone)]
pub(super) struct Served(pub Arc<Backend>);

impl std::ops::Deref for Served {
    type Target = Backend;
    fn deref(&self) -> &Backend {
        &self.0
    }
}

/// The instance that a call is for.
pub(super) fn instance<T>(request: &Request<T>) -> String {
    request.metadata().get("x-component-instance").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned()
}

impl Backend {
    /// Every initialisation so far, in order.
    pub fn inits(&self) -> Vec<Call> {
        self.inits.lock().expect("not poisoned").clone()
    }

    pub(super) fn note(&self, kind: &'static str, instance: String, metadata: Option<pb::MetadataRequest>) {
        let properties = metadata.map(|m| m.properties.into_iter().collect()).unwrap_or_default();
        self.inits.lock().expect("not poisoned").push(Call { kind, instance, properties });
    }

    /// From now on calls fail with this; none: they succeed again.
    pub fn fail_with(&self, failure: Option<Status>) {
        *self.failure.lock().expect("not poisoned") = failure;
    }

    /// A call is for an instance that was initialised, and not to fail.
    pub(super) fn ready(&self, kind: &str, instance: &str) -> Result<(), Status> {
        if !self.inits().iter().any(|c| c.kind == kind && c.instance == instance) {
            return Err(Status::failed_precondition(format!("instance {instance:?} is not initialised as {kind}")));
        }
        self.failure.lock().expect("not poisoned").clone().map_or(Ok(()), Err)
    }

    /// Forgets who was initialised, as a process that ends does.
    pub fn forget_inits(&self) {
        self.inits.lock().expect("not poisoned").clear();
    }

    /// The value that an instance keeps under a full key.
    pub fn value(&self, instance: &str, key: &str) -> Option<String> {
        let state = self.state.lock().expect("not poisoned");
        state.get(&(instance.to_owned(), key.to_owned())).map(|e| String::from_utf8_lossy(&e.value).into_owned())
    }

    /// Messages that wait in a topic.
    pub fn waiting(&self, topic: &str) -> usize {
        self.topics.lock().expect("not poisoned").get(topic).map_or(0, VecDeque::len)
    }

    pub(super) fn accept(&self, topic: &str, data: bytes::Bytes, content_type: String) {
        let id = format!("m{}", self.numbered.fetch_add(1, Ordering::Relaxed));
        self.enqueue(pb::PullMessagesResponse { data, topic_name: topic.to_owned(), metadata: HashMap::new(), content_type, id });
    }

    /// Puts a message into a topic.
    pub fn enqueue(&self, message: pb::PullMessagesResponse) {
        self.topics.lock().expect("not poisoned").entry(message.topic_name.clone()).or_default().push_back(message);
        self.published.notify_waiters();
    }

    pub(super) fn put_back(&self, message: pb::PullMessagesResponse) {
        self.topics.lock().expect("not poisoned").entry(message.topic_name.clone()).or_default().push_front(message);
        self.published.notify_waiters();
    }

    /// Lets an event of the input binding happen.
    pub fn happen(&self, event: pb::ReadResponse) {
        self.events.lock().expect("not poisoned").push_back(event);
        self.happened.notify_waiters();
    }

    /// What applications made of the events.
    pub fn answers(&self) -> Vec<pb::ReadRequest> {
        self.answers.lock().expect("not poisoned").clone()
    }
}
