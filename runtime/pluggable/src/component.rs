//! One initialised component of another process, of whatever kind, as the host calls it.

use crate::bindings::Binding;
use crate::link::Link;
use crate::pubsub::PubSub;
use crate::secrets::Secrets;
use crate::state::State;
use futures::future::BoxFuture;
use proa_host::kinds::{bindings, pubsub, secretstores, state};
use proa_host::remote::{Answer, Remote};
use std::sync::{Arc, Mutex};

/// What the component is.
pub enum Role {
    State(State),
    PubSub(PubSub),
    Binding(Binding),
    Secrets(Secrets),
}

/// See the module's text.
pub struct Component {
    role: Role,
    /// What it said of its features last; it may be away now.
    features: Mutex<Arc<[String]>>,
}

impl Component {
    pub fn new(role: Role) -> Self {
        Self { role, features: Mutex::new(Arc::default()) }
    }

    fn link(&self) -> &Link {
        match &self.role {
            Role::State(it) => &it.link,
            Role::PubSub(it) => &it.link,
            Role::Binding(it) => &it.link,
            Role::Secrets(it) => &it.link,
        }
    }

    fn features(&self) -> Arc<[String]> {
        let Ok(mut known) = self.features.lock() else { return Arc::default() };
        if let Some(welcome) = self.link().welcome()
            && **known != *welcome.features
        {
            *known = welcome.features.as_slice().into();
        }
        known.clone()
    }

    fn state(&self) -> Option<&State> {
        match &self.role {
            Role::State(it) => Some(it),
            _ => None,
        }
    }

    fn broker(&self) -> Option<&PubSub> {
        match &self.role {
            Role::PubSub(it) => Some(it),
            _ => None,
        }
    }

    fn binding(&self) -> Option<&Binding> {
        match &self.role {
            Role::Binding(it) => Some(it),
            _ => None,
        }
    }
}

impl Remote for Component {
    fn interfaces(&self) -> Vec<&'static str> {
        match &self.role {
            Role::State(it) => it.interfaces(&self.features()),
            Role::PubSub(it) => it.interfaces(&self.features()),
            Role::Binding(it) => it.interfaces(),
            Role::Secrets(_) => vec!["component/health", "secretstores/store"],
        }
    }

    fn capabilities(&self) -> Vec<String> {
        self.features().to_vec()
    }

    fn idle(&self) -> bool {
        let streams = match &self.role {
            Role::PubSub(it) => it.idle(),
            Role::Binding(it) => it.idle(),
            Role::State(_) | Role::Secrets(_) => true,
        };
        streams && self.link().idle()
    }

    fn kill(&self) {
        self.link().kill();
    }

    fn ready(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.link().ready())
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), String>> {
        match &self.role {
            Role::State(it) => it.ping(),
            Role::PubSub(it) => it.ping(),
            Role::Binding(it) => it.ping(),
            Role::Secrets(it) => it.ping(),
        }
    }

    fn state_store(&self) -> Option<&dyn state::RemoteStore> {
        Some(self.state()?)
    }
    fn state_transactions(&self) -> Option<&dyn state::RemoteTransactions> {
        Some(self.state()?)
    }
    fn state_bulk(&self) -> Option<&dyn state::RemoteBulk> {
        Some(self.state()?)
    }
    fn state_query(&self) -> Option<&dyn state::RemoteQuery> {
        Some(self.state()?)
    }
    fn max_operations(&self) -> BoxFuture<'_, u32> {
        match self.state() {
            Some(state) => state.max_operations(),
            None => Box::pin(async { 0 }),
        }
    }
    fn publisher(&self) -> Option<&dyn pubsub::RemotePublisher> {
        Some(self.broker()?)
    }
    fn bulk_publisher(&self) -> Option<&dyn pubsub::RemoteBulkPublisher> {
        Some(self.broker()?)
    }
    fn subscriber(&self) -> Option<&dyn pubsub::RemoteSubscriber> {
        Some(self.broker()?)
    }
    fn pause(&self) -> Answer<'_, ()> {
        match self.broker() {
            Some(broker) => broker.pause(),
            None => Box::pin(async { Ok(()) }),
        }
    }
    fn output(&self) -> Option<&dyn bindings::RemoteOutput> {
        Some(self.binding()?)
    }
    fn input(&self) -> Option<&dyn bindings::RemoteInput> {
        Some(self.binding()?)
    }
    fn secrets(&self) -> Option<&dyn secretstores::RemoteSecrets> {
        match &self.role {
            Role::Secrets(it) => Some(it),
            _ => None,
        }
    }
}
