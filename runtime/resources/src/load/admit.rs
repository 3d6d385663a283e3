//! Which of the resources that were read are for this sidecar. The order of the checks is part of the contract:
//! namespace, then a name that is already taken, then scopes. So a second definition is reported even when it is for
//! another app, but a first one for another app does not take the name.

use super::{LoadOptions, Snapshot};
use crate::issue::Duplicate;
use crate::resource::Resource;
use std::collections::HashMap;

/// Applies the checks to all kinds. Names of subscriptions and resiliency documents may repeat.
pub(super) fn filter(snapshot: &mut Snapshot, options: &LoadOptions) {
    let found = &mut snapshot.duplicates;
    unique(&mut snapshot.components, options, found);
    unique(&mut snapshot.http_endpoints, options, found);
    unique(&mut snapshot.mcp_servers, options, found);
    unique(&mut snapshot.workflow_access_policies, options, found);
    snapshot.subscriptions.retain(|resource| in_namespace(resource, options) && in_scope(resource, options));
    snapshot.resiliencies.retain(|resource| in_namespace(resource, options) && in_scope(resource, options));
}

fn unique<T: Resource>(resources: &mut Vec<T>, options: &LoadOptions, found: &mut Vec<Duplicate>) {
    let mut taken: HashMap<String, String> = HashMap::new();
    resources.retain(|resource| {
        if !in_namespace(resource, options) {
            return false;
        }
        if let Some(existing) = taken.get(resource.name()) {
            found.push(Duplicate {
                kind: resource.kind(),
                name: resource.name().to_owned(),
                log_name: resource.log_name(),
                existing: existing.clone(),
                origin: resource.origin().clone(),
            });
            return false;
        }
        if !in_scope(resource, options) {
            return false;
        }
        taken.insert(resource.name().to_owned(), resource.log_name());
        true
    });
}

fn in_namespace(resource: &impl Resource, options: &LoadOptions) -> bool {
    match (options.namespace.as_deref(), resource.namespace()) {
        (Some(ours), Some(theirs)) if !ours.is_empty() => ours == theirs,
        _ => true,
    }
}

fn in_scope(resource: &impl Resource, options: &LoadOptions) -> bool {
    resource.scopes().is_empty() || resource.scopes().contains(&options.app_id)
}
