//! The Resiliency resource: named policies and which target uses which of them.
//!
//! Policies are checked and typed here; a document with a bad one is refused as a whole, so that no target runs with
//! half of what was meant. Built-in policies, defaults by name and the merging of documents are the reader's part.

mod policies;

pub use policies::{CircuitBreaker, CodeRange, Policies, Retry, RetryKind, RetryMatching};

use crate::fields::{FieldError, Fields, Note};
use crate::resource::{Head, Kind, Origin, resource};
use serde::Serialize;
use std::collections::BTreeMap;

/// One Resiliency document.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Resiliency {
    /// `metadata.name`; names may repeat, documents are merged.
    pub name: String,
    /// `metadata.namespace`.
    pub namespace: Option<String>,
    /// The policies by name.
    pub policies: Policies,
    /// Who uses them.
    pub targets: Targets,
    /// The app ids that it is for; empty means all.
    pub scopes: Vec<String>,
    /// Where it was read.
    pub origin: Origin,
}

/// Policies per target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Targets {
    /// By app id or HTTPEndpoint name.
    pub apps: BTreeMap<String, AppTarget>,
    /// By actor type.
    pub actors: BTreeMap<String, ActorTarget>,
    /// By component name.
    pub components: BTreeMap<String, ComponentTarget>,
}

/// Names of policies; none means no such policy for this target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PolicyNames {
    /// A name under `policies.timeouts`.
    pub timeout: Option<String>,
    /// A name under `policies.retries`.
    pub retry: Option<String>,
    /// A name under `policies.circuitBreakers`.
    pub circuit_breaker: Option<String>,
}

/// What applies to calls of an app.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AppTarget {
    /// The policies.
    pub policies: PolicyNames,
    /// How many breakers (one per endpoint) are remembered; 100 by default.
    pub breaker_cache_size: usize,
}

/// What applies to calls of actors of a type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ActorTarget {
    /// The policies.
    pub policies: PolicyNames,
    /// What shares a breaker; given exactly when there is one.
    pub breaker_scope: Option<BreakerScope>,
    /// How many breakers (one per actor) are remembered; 5000 by default.
    pub breaker_cache_size: usize,
}

/// What shares a circuit breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum BreakerScope {
    /// All actors of a type.
    Type,
    /// One actor.
    Id,
    /// Both kinds at once.
    Both,
}

/// What applies to a component: `outbound` to calls of it, `inbound` to what it delivers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ComponentTarget {
    /// Deliveries to the app.
    pub inbound: PolicyNames,
    /// Calls by the sidecar.
    pub outbound: PolicyNames,
}

resource!(Resiliency, |_| Kind::Resiliency);

/// A document that does not read, or a policy that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    Field(FieldError),
    Policy { resource: String, field: String, problem: String },
}

impl From<FieldError> for Refusal {
    fn from(error: FieldError) -> Self {
        Refusal::Field(error)
    }
}

impl Resiliency {
    pub(crate) fn read(document: &mut Fields<'_>, origin: Origin, notes: &mut Vec<Note>) -> Result<Self, Refusal> {
        let head = Head::read(document, notes)?;
        let refuse = |error: FieldError| Refusal::Policy { resource: head.name.clone(), field: error.field, problem: error.problem };
        let mut spec = document.child("spec")?;
        let policies = Policies::read(&mut spec.child("policies")?, notes).map_err(refuse)?;
        let targets = read_targets(&mut spec.child("targets")?, notes).map_err(refuse)?;
        spec.finish(notes);
        let scopes = document.texts("scopes")?;
        Ok(Resiliency { name: head.name, namespace: head.namespace, policies, targets, scopes, origin })
    }
}

fn read_targets(targets: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<Targets, FieldError> {
    let mut read = Targets::default();
    for (name, value, path) in targets.entries("apps")? {
        let mut target = Fields::of(Some(value), &path)?;
        let policies = read_names(&mut target)?;
        let breaker_cache_size = cache_size(&mut target, 100)?;
        target.finish(notes);
        read.apps.insert(name.to_owned(), AppTarget { policies, breaker_cache_size });
    }
    for (name, value, path) in targets.entries("actors")? {
        let mut target = Fields::of(Some(value), &path)?;
        let policies = read_names(&mut target)?;
        let breaker_scope = breaker_scope(&mut target, policies.circuit_breaker.is_some())?;
        let breaker_cache_size = cache_size(&mut target, 5000)?;
        target.finish(notes);
        read.actors.insert(name.to_owned(), ActorTarget { policies, breaker_scope, breaker_cache_size });
    }
    for (name, value, path) in targets.entries("components")? {
        let mut target = Fields::of(Some(value), &path)?;
        let (mut inbound, mut outbound) = (target.child("inbound")?, target.child("outbound")?);
        let component = ComponentTarget { inbound: read_names(&mut inbound)?, outbound: read_names(&mut outbound)? };
        inbound.finish(notes);
        outbound.finish(notes);
        target.finish(notes);
        read.components.insert(name.to_owned(), component);
    }
    Ok(read)
}

fn read_names(target: &mut Fields<'_>) -> Result<PolicyNames, FieldError> {
    let mut name = |field| -> Result<Option<String>, FieldError> { Ok(target.text_option(field)?.filter(|name| !name.is_empty())) };
    Ok(PolicyNames { timeout: name("timeout")?, retry: name("retry")?, circuit_breaker: name("circuitBreaker")? })
}

fn cache_size(target: &mut Fields<'_>, default: usize) -> Result<usize, FieldError> {
    match target.integer_option::<i64>("circuitBreakerCacheSize")? {
        None | Some(0) => Ok(default),
        Some(size) => usize::try_from(size)
            .map_err(|_| FieldError { field: target.path_of("circuitBreakerCacheSize"), problem: "must provide a positive size".to_owned() }),
    }
}

fn breaker_scope(target: &mut Fields<'_>, has_breaker: bool) -> Result<Option<BreakerScope>, FieldError> {
    let text = target.text("circuitBreakerScope")?;
    let problem = match (has_breaker, text.as_str()) {
        (false, _) => return Ok(None),
        (true, "type") => return Ok(Some(BreakerScope::Type)),
        (true, "id") => return Ok(Some(BreakerScope::Id)),
        (true, "both") => return Ok(Some(BreakerScope::Both)),
        (true, "") => "actor circuit breakers must include scope".to_owned(),
        (true, other) => format!("unknown circuit breaker scope {other:?}"),
    };
    Err(FieldError { field: target.path_of("circuitBreakerScope"), problem })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
