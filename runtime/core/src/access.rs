//! Who may call what of this sidecar's application: the access control list of the Configuration, which the callee applies.
//!
//! A decision costs a map look-up and one walk down the operations of a policy. Callers are known by their certificate; without one only
//! the general action counts, as in Dapr. An identity that cannot be read denies.

mod operations;

use crate::metrics::{AclDecision, AclScope, Metrics};
use operations::{Action, Operations};
use proa_resources::configuration::AccessControl;
use std::collections::HashMap;

const LOG: &str = "dapr.acl";
const ALLOW: &str = "allow";
const DENY: &str = "deny";

/// Who a peer's certificate speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    trust_domain: String,
    namespace: String,
    app_id: String,
    /// As it is written in texts.
    id: String,
}

impl Caller {
    /// `path` is the part of a SPIFFE ID after the trust domain, with its leading slash.
    ///
    /// # Errors
    /// The text that the caller reads when the path names no application.
    pub fn parse(trust_domain: &str, path: &str) -> Result<Self, String> {
        let id = format!("spiffe://{trust_domain}{path}");
        let mut parts = path.split('/');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(""), Some("ns"), Some(namespace), Some(app_id)) if !namespace.is_empty() && !app_id.is_empty() => {
                Ok(Self { trust_domain: trust_domain.to_owned(), namespace: namespace.to_owned(), app_id: app_id.to_owned(), id })
            }
            _ => Err(format!("malformed SPIFFE ID: {id}")),
        }
    }
}

/// What is about to be called.
#[derive(Clone, Copy, Debug)]
pub struct Called<'a> {
    /// The normalised method.
    pub operation: &'a str,
    /// Empty when the caller named none, and for applications that speak gRPC.
    pub verb: &'a str,
}

struct Policy {
    trust_domain: String,
    default_action: String,
    operations: Operations,
}

/// See the module's text.
pub struct AccessList {
    default_action: String,
    /// By application and namespace.
    policies: HashMap<(String, String), Policy>,
    is_http: bool,
}

impl AccessList {
    /// None when the configuration controls nothing.
    ///
    /// # Errors
    /// The text that ends the sidecar when a policy does not say whom it is about.
    pub fn new(control: Option<&AccessControl>, is_http: bool) -> Result<Option<Self>, String> {
        let Some(control) = control else { return Ok(None) };
        if control.trust_domain.is_empty() && control.default_action.is_empty() && control.policies.is_empty() {
            return Ok(None);
        }
        let default_action = match control.default_action.to_ascii_lowercase() {
            action if !action.is_empty() => action,
            _ if control.policies.is_empty() => ALLOW.to_owned(),
            _ => {
                tracing::warn!(target: LOG, "No global default action has been specified. Setting default global action as Deny");
                DENY.to_owned()
            }
        };
        let mut policies = HashMap::new();
        let (mut no_domain, mut no_namespace, mut no_app) = (Vec::new(), Vec::new(), false);
        for policy in &control.policies {
            no_app |= policy.app_id.is_empty();
            if policy.trust_domain.is_empty() {
                no_domain.push(policy.app_id.as_str());
            }
            if policy.namespace.is_empty() {
                no_namespace.push(policy.app_id.as_str());
            }
            let mut operations = Operations::default();
            for operation in &policy.operations {
                let slash = if operation.name.starts_with('/') { "" } else { "/" };
                let name = format!("{slash}{}", operation.name);
                let name = if is_http { name.to_lowercase() } else { name };
                operations.put(&name, Action { verbs: operation.http_verb.clone(), action: operation.action.clone() });
            }
            let key = (policy.app_id.clone(), policy.namespace.clone());
            let (trust_domain, default_action) = (policy.trust_domain.clone(), policy.default_action.clone());
            policies.insert(key, Policy { trust_domain, default_action, operations });
        }
        if no_app || !no_domain.is_empty() || !no_namespace.is_empty() {
            return Err(format!(
                "invalid access control spec. missing trustdomain for apps: [{}], missing namespace for apps: [{}], missing app name on at least one of the app policies: {no_app}",
                no_domain.join(" "),
                no_namespace.join(" ")
            ));
        }
        Ok(Some(Self { default_action, policies, is_http }))
    }

    /// Whether the call may be made. The error is the text that the caller reads.
    ///
    /// # Errors
    /// The call is denied.
    pub fn check(&self, metrics: &Metrics, caller: Option<&Caller>, called: Called<'_>) -> Result<(), String> {
        let (allowed, scope) = self.decide(caller, called);
        let decision = if allowed { AclDecision::Allowed } else { AclDecision::Blocked };
        let (app_id, domain, namespace) = caller.map_or(("", "", ""), |c| (&c.app_id, &c.trust_domain, &c.namespace));
        metrics.acl(scope, decision, app_id, domain, namespace);
        if allowed {
            return Ok(());
        }
        let verb = if called.verb.is_empty() || !self.is_http { "NONE" } else { called.verb };
        let id = caller.map_or("", |c| c.id.as_str());
        let text = format!("access control policy has denied access to id: {id} operation: {} verb: {verb}", called.operation);
        tracing::debug!(target: LOG, "{text}");
        Err(text)
    }

    fn decide(&self, caller: Option<&Caller>, called: Called<'_>) -> (bool, AclScope) {
        let allows = |action: &str| action.eq_ignore_ascii_case(ALLOW);
        let general = (allows(&self.default_action), AclScope::Global);
        let Some(caller) = caller else { return general };
        let Some(policy) = self.policies.get(&(caller.app_id.clone(), caller.namespace.clone())) else { return general };
        if policy.trust_domain != caller.trust_domain {
            return general;
        }
        let (mut action, scope) = match policy.default_action.as_str() {
            "" => (self.default_action.as_str(), AclScope::Global),
            own => (own, AclScope::App),
        };
        let slash = if called.operation.starts_with('/') { "" } else { "/" };
        let operation = format!("{slash}{}", called.operation);
        let operation = if self.is_http { operation.to_lowercase() } else { operation };
        if let Some(found) = policy.operations.find(&operation) {
            let lists = |verb: &str| found.verbs.iter().any(|v| v == verb);
            action = match (self.is_http, called.verb) {
                (false, _) => &found.action,
                (true, "") => &policy.default_action,
                (true, verb) if lists(verb) || lists("*") => &found.action,
                (true, _) => action,
            };
        }
        (allows(action), scope)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests;
