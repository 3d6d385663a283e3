//! What changed between two snapshots, by content: a resource that moved to another file or place did not change.

use crate::load::Snapshot;
use crate::resource::{Kind, Resource};
use serde::Serialize;
use std::collections::HashMap;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The kind of the resource; `Module` for a `.wasm` file.
    pub kind: Kind,
    /// Its name; for a module file its path.
    pub name: String,
    /// What happened to it.
    pub what: What,
}

/// What happened to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum What {
    /// It was not there before.
    Added,
    /// It says something else now.
    Changed,
    /// It is gone.
    Removed,
}

/// The changes that lead from `old` to `new`: kind by kind (components first, module files last), within a kind the
/// removals before the rest, otherwise in the order of the snapshots. See `Snapshot::keep_last_good` for how not to
/// take an unreadable file for a removal.
pub fn diff(old: &Snapshot, new: &Snapshot) -> Vec<Change> {
    let mut changes = Vec::new();
    compare(Kind::Component, &old.components, &new.components, &mut changes);
    compare(Kind::Subscription, &old.subscriptions, &new.subscriptions, &mut changes);
    compare(Kind::HttpEndpoint, &old.http_endpoints, &new.http_endpoints, &mut changes);
    compare(Kind::Resiliency, &old.resiliencies, &new.resiliencies, &mut changes);
    compare(Kind::McpServer, &old.mcp_servers, &new.mcp_servers, &mut changes);
    compare(Kind::WorkflowAccessPolicy, &old.workflow_access_policies, &new.workflow_access_policies, &mut changes);
    let modules = |snapshot: &Snapshot| snapshot.modules.iter().map(|file| (file.path.display().to_string(), file.clone())).collect();
    by_key(Kind::Module, modules(old), modules(new), |a, b| a == b, &mut changes);
    changes
}

/// Whether two resources say the same, wherever they stand.
pub fn same_content<T: Resource + PartialEq + Clone>(a: &T, b: &T) -> bool {
    if a.origin() == b.origin() {
        return a == b;
    }
    let mut moved = b.clone();
    moved.set_origin(a.origin().clone());
    *a == moved
}

fn compare<T: Resource + PartialEq + Clone>(kind: Kind, old: &[T], new: &[T], changes: &mut Vec<Change>) {
    let named = |list: &[T]| list.iter().map(|resource| (resource.name().to_owned(), resource.clone())).collect();
    by_key(kind, named(old), named(new), same_content, changes);
}

/// Names may repeat: the n-th of a name is compared with the n-th of that name.
fn by_key<T>(kind: Kind, old: Vec<(String, T)>, new: Vec<(String, T)>, same: impl Fn(&T, &T) -> bool, changes: &mut Vec<Change>) {
    let numbered = |list: Vec<(String, T)>| -> Vec<((String, usize), T)> {
        let mut seen: HashMap<String, usize> = HashMap::new();
        let number = |(name, value): (String, T)| {
            let count = seen.entry(name.clone()).or_default();
            *count += 1;
            ((name, *count), value)
        };
        list.into_iter().map(number).collect()
    };
    let (old, new) = (numbered(old), numbered(new));
    let change = |name: &str, what| Change { kind, name: name.to_owned(), what };
    let kept: HashMap<_, _> = new.iter().map(|(key, value)| (key, value)).collect();
    let known: HashMap<_, _> = old.iter().map(|(key, value)| (key, value)).collect();
    changes.extend(old.iter().filter(|(key, _)| !kept.contains_key(key)).map(|((name, _), _)| change(name, What::Removed)));
    for (key, value) in &new {
        match known.get(key) {
            None => changes.push(change(&key.0, What::Added)),
            Some(before) if !same(before, value) => changes.push(change(&key.0, What::Changed)),
            Some(_) => {}
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::{Component, FileStamp, ModuleFile, Origin, Subscription};

    fn component(name: &str, type_: &str, file: &str) -> Component {
        Component { name: name.into(), type_: type_.into(), origin: Origin { file: file.into(), document: 1 }, ..Component::default() }
    }

    #[test]
    fn compares_contents_not_places() {
        let old = Snapshot { components: vec![component("a", "x", "1"), component("b", "x", "1"), component("c", "x", "1")], ..Snapshot::default() };
        let new = Snapshot {
            components: vec![component("d", "x", "1"), component("b", "y", "1"), component("a", "x", "2")],
            files: vec![FileStamp { path: "z".into(), digest: [0; 32] }],
            ..Snapshot::default()
        };
        let change = |name: &str, what| Change { kind: Kind::Component, name: name.into(), what };
        assert_eq!(diff(&old, &new), [change("c", What::Removed), change("d", What::Added), change("b", What::Changed)]);
        assert!(diff(&new, &new).is_empty());
    }

    #[test]
    fn repeated_names_are_compared_one_by_one() {
        let subscription = |topic: &str| Subscription { name: "s".into(), topic: topic.into(), ..Subscription::default() };
        let old = Snapshot { subscriptions: vec![subscription("a"), subscription("b")], ..Snapshot::default() };
        let new = Snapshot { subscriptions: vec![subscription("a")], ..Snapshot::default() };
        assert_eq!(diff(&old, &new), [Change { kind: Kind::Subscription, name: "s".into(), what: What::Removed }]);
    }

    #[test]
    fn modules_are_compared_by_stamp() {
        let module = |size| Snapshot { modules: vec![ModuleFile { path: "/r/x.wasm".into(), size, modified: None }], ..Snapshot::default() };
        let changes = diff(&module(1), &module(2));
        assert_eq!(changes, [Change { kind: Kind::Module, name: "/r/x.wasm".into(), what: What::Changed }]);
    }
}
