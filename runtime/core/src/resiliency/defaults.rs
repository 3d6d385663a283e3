//! Policies that nobody has to name: the built-in retries, and those that apply by their name alone.

use super::set::Class;
use crate::metrics::Flow;
use proa_host::manifest::Kind;
use proa_resources::resiliency::{Retry, RetryKind, RetryMatching};
use std::time::Duration;

/// A retry policy of Dapr's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BuiltIn {
    /// Calls of other sidecars that did not arrive.
    Service,
    /// Calls of actors on other hosts.
    Actor,
    /// Reminders of actors.
    ActorReminder,
    /// Actors that no host has at the moment.
    ActorNotFound,
    /// What is asked of the application when it starts.
    Initialization,
}

impl BuiltIn {
    pub const ALL: [Self; 5] = [Self::Service, Self::Actor, Self::ActorReminder, Self::ActorNotFound, Self::Initialization];

    pub fn name(self) -> &'static str {
        match self {
            Self::Service => "DaprBuiltInServiceRetries",
            Self::Actor => "DaprBuiltInActorRetries",
            Self::ActorReminder => "DaprBuiltInActorReminderRetries",
            Self::ActorNotFound => "DaprBuiltInActorNotFoundRetries",
            Self::Initialization => "DaprBuiltInInitializationRetries",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|built_in| built_in.name() == name)
    }

    /// Whether a resource may say otherwise.
    pub(super) fn is_protected(self) -> bool {
        self == Self::ActorNotFound
    }

    pub(super) fn retry(self) -> Retry {
        let constant = |max_retries| Retry {
            kind: RetryKind::Constant,
            duration: Duration::from_secs(1),
            initial_interval: Duration::from_millis(500),
            max_interval: Duration::from_secs(60),
            max_elapsed: Duration::from_secs(15 * 60),
            max_retries,
            matching: RetryMatching::default(),
        };
        match self {
            Self::Service | Self::Actor => constant(3),
            Self::ActorNotFound => constant(5),
            // Without a number of retries, Dapr's own policy never retries.
            Self::ActorReminder => Retry { kind: RetryKind::Exponential, ..constant(0) },
            Self::Initialization => Retry {
                kind: RetryKind::Exponential,
                duration: Duration::from_secs(2),
                max_interval: Duration::from_secs(1),
                max_elapsed: Duration::from_secs(10),
                ..constant(3)
            },
        }
    }
}

/// A sort of policies, as names spell it.
#[derive(Clone, Copy)]
pub(super) enum Sort {
    Timeout,
    Retry,
    CircuitBreaker,
}

/// The names under which a policy applies to a target that no resource names, the most special one first.
pub(super) fn names(class: Class, sort: Sort) -> Vec<String> {
    let levels = match class {
        Class::App => vec!["App".to_owned()],
        Class::Actor(_) => vec!["Actor".to_owned()],
        Class::Component(kind, flow) => {
            let (kind, flow) = (kind_name(kind).unwrap_or_default(), if flow == Flow::Inbound { "Inbound" } else { "Outbound" });
            vec![format!("{kind}Component{flow}"), format!("Component{flow}"), "Component".to_owned()]
        }
        Class::BuiltIn(_) => return Vec::new(),
    };
    let sort = match sort {
        Sort::Timeout => "Timeout",
        Sort::Retry => "Retry",
        Sort::CircuitBreaker => "CircuitBreaker",
    };
    levels.into_iter().chain([String::new()]).map(|level| format!("Default{level}{sort}Policy")).collect()
}

/// How names of policies and labels spell a kind of component; none: no policies for it.
pub(super) fn kind_name(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::State => "Statestore",
        Kind::Pubsub => "Pubsub",
        Kind::Bindings => "Binding",
        Kind::SecretStores => "Secretstore",
        Kind::Configuration => "Configuration",
        Kind::Lock => "Lock",
        Kind::Crypto => "Crypto",
        Kind::Conversation => "Conversation",
        Kind::NameResolution | Kind::Middleware => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::set::Turn;
    use super::*;

    #[test]
    fn the_most_special_name_comes_first() {
        assert_eq!(names(Class::App, Sort::Retry), ["DefaultAppRetryPolicy", "DefaultRetryPolicy"]);
        assert_eq!(names(Class::Actor(Turn::Within), Sort::Timeout), ["DefaultActorTimeoutPolicy", "DefaultTimeoutPolicy"]);
        let store = [
            "DefaultStatestoreComponentOutboundCircuitBreakerPolicy",
            "DefaultComponentOutboundCircuitBreakerPolicy",
            "DefaultComponentCircuitBreakerPolicy",
            "DefaultCircuitBreakerPolicy",
        ];
        assert_eq!(names(Class::Component(Kind::State, Flow::Outbound), Sort::CircuitBreaker), store);
        let broker = "DefaultPubsubComponentInboundTimeoutPolicy";
        assert_eq!(names(Class::Component(Kind::Pubsub, Flow::Inbound), Sort::Timeout).first().map(String::as_str), Some(broker));
        assert!(BuiltIn::ALL.iter().all(|b| BuiltIn::named(b.name()) == Some(*b)));
    }
}
