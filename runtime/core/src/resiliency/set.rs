//! All Resiliency resources as one: policies by name, and what applies to which target.
//!
//! Of several resources a later one replaces what an earlier one calls by the same name. What applies to a target is worked out when
//! it is first asked for and then kept.

use super::breaker::Template;
use super::defaults::{self, BuiltIn, Sort};
use crate::metrics::{Flow, Metrics, Policy as Sorted, ResiliencySeries};
use proa_host::manifest::Kind;
use proa_resources::resiliency::{ActorTarget, AppTarget, BreakerScope, CircuitBreaker, ComponentTarget, PolicyNames, Resiliency as Document, Retry};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// How many breakers of a target are kept that no resource names.
const BREAKERS: usize = 100;
/// A component has one a direction.
const COMPONENT_BREAKERS: usize = 2;
/// Targets of a class that are kept; app ids may be anything that callers make up.
const KEPT: usize = 4096;
/// A built-in policy retries as often as this at least, whatever a resource says.
const LEAST: i64 = 3;

/// Where in the call of an actor a policy applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Turn {
    Before,
    Within,
}

/// What a target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Class {
    App,
    Actor(Turn),
    Component(Kind, Flow),
    BuiltIn(BuiltIn),
}

/// What applies to a target.
pub(super) struct Guard {
    pub class: Class,
    pub target: String,
    pub timeout: Option<Duration>,
    pub retry: Option<Arc<Retry>>,
    pub breaker: Option<Arc<Template>>,
    pub scope: BreakerScope,
    pub capacity: usize,
    /// Under which its breakers are kept.
    pub group: String,
    pub timeouts: ResiliencySeries,
    pub retries: ResiliencySeries,
    pub breakers: ResiliencySeries,
}

impl Guard {
    pub fn retries_at_all(&self) -> bool {
        self.retry.as_ref().is_some_and(|retry| retry.max_retries != 0)
    }
}

type Guards = HashMap<Class, HashMap<String, Option<Arc<Guard>>>>;

/// See the module's text.
#[derive(Default)]
pub(super) struct Set {
    /// The resources that are in force.
    pub documents: Vec<Document>,
    timeouts: BTreeMap<String, Duration>,
    retries: BTreeMap<String, Arc<Retry>>,
    templates: BTreeMap<String, Arc<Template>>,
    apps: BTreeMap<String, AppTarget>,
    actors: BTreeMap<String, ActorTarget>,
    components: BTreeMap<String, ComponentTarget>,
    guards: RwLock<Guards>,
}

/// The breakers' policies of a resource, those of `known` where they are the same. The error says which one makes no sense.
pub(super) fn templates(document: &Document, known: &Set) -> Result<Vec<Arc<Template>>, String> {
    let compile = |(name, policy): (&String, &CircuitBreaker)| match known.templates.get(name).filter(|t| t.policy == *policy) {
        Some(same) => Ok(same.clone()),
        None => Template::new(name, policy).map(Arc::new).map_err(|e| format!("invalid circuit breaker configuration {name:?}: trip: {e}")),
    };
    document.policies.circuit_breakers.iter().map(compile).collect()
}

impl Set {
    /// The built-in policies only.
    pub fn built_in() -> Self {
        let retries = BuiltIn::ALL.into_iter().map(|b| (b.name().to_owned(), Arc::new(b.retry())));
        Self { retries: retries.collect(), ..Self::default() }
    }

    pub fn add(&mut self, document: Document, templates: Vec<Arc<Template>>) {
        let (policies, targets) = (&document.policies, &document.targets);
        self.timeouts.extend(policies.timeouts.clone());
        for (name, retry) in &policies.retries {
            self.add_retry(name, retry.clone());
        }
        self.templates.extend(templates.into_iter().map(|t| (t.name.clone(), t)));
        self.apps.extend(targets.apps.clone());
        self.actors.extend(targets.actors.clone());
        self.components.extend(targets.components.clone());
        self.documents.push(document);
    }

    fn add_retry(&mut self, name: &str, mut retry: Retry) {
        match BuiltIn::named(name) {
            Some(built_in) if built_in.is_protected() => {
                tracing::warn!(target: "dapr.runtime", "Attempted to override protected policy {name} which is not allowed. Ignoring provided policy and using default.");
                return;
            }
            Some(_) if retry.max_retries < LEAST => {
                tracing::warn!(target: "dapr.runtime", "Attempted override of {name} did not meet minimum retry count, resetting to {LEAST}.");
                retry.max_retries = LEAST;
            }
            _ => {}
        }
        self.retries.insert(name.to_owned(), Arc::new(retry));
    }

    /// What resources say about a target by its name.
    fn named(&self, class: Class, target: &str) -> Option<&PolicyNames> {
        match class {
            Class::App => self.apps.get(target).map(|t| &t.policies),
            Class::Actor(_) => self.actors.get(target).map(|t| &t.policies),
            Class::Component(_, Flow::Outbound) => self.components.get(target).map(|t| &t.outbound),
            Class::Component(_, Flow::Inbound) => self.components.get(target).map(|t| &t.inbound),
            Class::BuiltIn(_) => None,
        }
    }

    pub fn names_app(&self, app: &str) -> bool {
        self.apps.contains_key(app)
    }

    pub fn has(&self, template: &Arc<Template>) -> bool {
        self.templates.get(&template.name).is_some_and(|t| Arc::ptr_eq(t, template))
    }

    /// Policies that targets name and that no resource has, and conditions that never come true.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        let mut look = |what: &str, target: &str, names: &PolicyNames| {
            let missing = |sort: &str, name: &Option<String>, known: bool| {
                let name = name.as_ref().filter(|_| !known)?;
                Some(format!("resiliency target {what} {target} names the {sort} {name}, which no resource defines"))
            };
            let known = |name: &Option<String>, has: &dyn Fn(&String) -> bool| name.as_ref().is_some_and(has);
            remarks.extend(missing("timeout", &names.timeout, known(&names.timeout, &|n| self.timeouts.contains_key(n))));
            remarks.extend(missing("retry", &names.retry, known(&names.retry, &|n| self.retries.contains_key(n))));
            let breaker = known(&names.circuit_breaker, &|n| self.templates.contains_key(n));
            remarks.extend(missing("circuit breaker", &names.circuit_breaker, breaker));
        };
        self.apps.iter().for_each(|(name, t)| look("app", name, &t.policies));
        self.actors.iter().for_each(|(name, t)| look("actor", name, &t.policies));
        for (name, target) in &self.components {
            look("component", name, &target.outbound);
            look("component", name, &target.inbound);
        }
        for template in self.templates.values() {
            for unknown in template.unknown_names() {
                remarks.push(format!("circuit breaker {} does not open: its condition refers to {unknown}, which there is not", template.name));
            }
        }
        remarks
    }

    /// What applies to a target; none: nothing does.
    pub fn guard(&self, class: Class, target: &str, metrics: &Metrics) -> Option<Arc<Guard>> {
        if self.documents.is_empty() && !matches!(class, Class::BuiltIn(_)) {
            return None;
        }
        let read = self.guards.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = read.get(&class).and_then(|targets| targets.get(target)) {
            return known.clone();
        }
        drop(read);
        let guard = self.build(class, target, metrics).map(Arc::new);
        let mut guards = self.guards.write().unwrap_or_else(PoisonError::into_inner);
        let targets = guards.entry(class).or_default();
        if targets.len() < KEPT {
            targets.insert(target.to_owned(), guard.clone());
        }
        guard
    }

    fn build(&self, class: Class, target: &str, metrics: &Metrics) -> Option<Guard> {
        let names = match (class, self.named(class, target)) {
            (Class::BuiltIn(built_in), _) => PolicyNames { retry: Some(built_in.name().to_owned()), ..PolicyNames::default() },
            (_, Some(names)) => names.clone(),
            (_, None) => self.default_names(class),
        };
        // Waiting for an actor's turn has no limit, and what is done within it is done once.
        let (before, within) = (class != Class::Actor(Turn::Within), class != Class::Actor(Turn::Before));
        let timeout = names.timeout.and_then(|n| self.timeouts.get(&n)).copied().filter(|t| within && !t.is_zero());
        let retry = names.retry.and_then(|n| self.retries.get(&n)).cloned().filter(|_| before);
        let breaker = names.circuit_breaker.and_then(|n| self.templates.get(&n)).cloned().filter(|_| before);
        if timeout.is_none() && retry.is_none() && breaker.is_none() {
            return None;
        }
        tracing::debug!(target: "dapr.runtime", "Found policies for {class:?} {target}");
        // Dapr counts all policies under the name of the resource that was read last, and its own retries not at all.
        let source = self.documents.last().filter(|_| !matches!(class, Class::BuiltIn(_)));
        let (label, flow) = (label(class, target), if matches!(class, Class::Component(_, Flow::Inbound)) { Flow::Inbound } else { Flow::Outbound });
        let series = |sort: Sorted| match source {
            Some(document) => metrics.resiliency(&document.name, document.namespace.as_deref().unwrap_or_default(), sort, flow, &label),
            None => ResiliencySeries::default(),
        };
        let actor = self.actors.get(target).filter(|_| matches!(class, Class::Actor(_)));
        let capacity = match class {
            Class::App => self.apps.get(target).map_or(BREAKERS, |t| t.breaker_cache_size),
            Class::Actor(_) => actor.map_or(BREAKERS, |t| t.breaker_cache_size),
            Class::Component(..) | Class::BuiltIn(_) => COMPONENT_BREAKERS,
        };
        Some(Guard {
            class,
            target: target.to_owned(),
            timeout,
            retry,
            breaker,
            scope: actor.and_then(|t| t.breaker_scope).unwrap_or(BreakerScope::Type),
            capacity,
            group: group(class, target),
            timeouts: series(Sorted::Timeout),
            retries: series(Sorted::Retry),
            breakers: series(Sorted::CircuitBreaker),
        })
    }

    fn default_names(&self, class: Class) -> PolicyNames {
        let first = |sort, known: &dyn Fn(&str) -> bool| defaults::names(class, sort).into_iter().find(|name| known(name));
        PolicyNames {
            timeout: first(Sort::Timeout, &|n| self.timeouts.contains_key(n)),
            retry: first(Sort::Retry, &|n| self.retries.contains_key(n)),
            circuit_breaker: first(Sort::CircuitBreaker, &|n| self.templates.contains_key(n)),
        }
    }
}

/// The label `target`.
fn label(class: Class, target: &str) -> String {
    match class {
        Class::App => format!("app_{target}"),
        Class::Actor(_) => format!("actor_{target}"),
        Class::Component(kind, _) => format!("{}_{target}", defaults::kind_name(kind).unwrap_or_default()),
        Class::BuiltIn(built_in) => built_in.name().to_owned(),
    }
}

/// Both directions of a component share a breaker, if it is of one policy.
fn group(class: Class, target: &str) -> String {
    match class {
        Class::App => format!("app/{target}"),
        Class::Actor(_) => format!("actor/{target}"),
        Class::Component(..) => format!("component/{target}"),
        Class::BuiltIn(built_in) => built_in.name().to_owned(),
    }
}
