//! The Subscription resource; both API versions become one record, so that nobody else needs to know there are two.

use crate::fields::{FieldError, Fields, Note};
use crate::resource::{Head, Kind, Origin, resource};
use serde::Serialize;
use std::collections::BTreeMap;

/// One Subscription document of either version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Subscription {
    /// `metadata.name`; names may repeat.
    pub name: String,
    /// `metadata.namespace`.
    pub namespace: Option<String>,
    /// The pub/sub component.
    pub pubsubname: String,
    /// The topic.
    pub topic: String,
    /// Passed to the component with the subscription.
    pub metadata: BTreeMap<String, String>,
    /// Where undeliverable messages go.
    pub dead_letter_topic: Option<String>,
    /// Tried in order; the first match decides.
    pub rules: Vec<Rule>,
    /// Where messages go that no rule matches (v1alpha1 `route`); none drops them.
    pub default_path: Option<String>,
    /// Delivery in batches.
    pub bulk_subscribe: BulkSubscribe,
    /// The app ids that it is for; empty means all.
    pub scopes: Vec<String>,
    /// Where it was read.
    pub origin: Origin,
}

/// A CEL condition over `event` and the path for events that fulfil it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// The expression; an empty one always matches.
    #[serde(rename = "match")]
    pub match_: String,
    /// The app's path.
    pub path: String,
}

/// Batch delivery; zero means the default (100 messages, 1000 ms).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct BulkSubscribe {
    /// Whether messages are delivered in batches.
    pub enabled: bool,
    /// The largest batch.
    pub max_messages_count: i32,
    /// How long a batch may wait to fill, in milliseconds.
    pub max_await_duration_ms: i32,
}

resource!(Subscription, |_| Kind::Subscription);

impl Subscription {
    /// `first_version`: the document is v1alpha1, with one `route` instead of `routes`.
    pub(crate) fn read(document: &mut Fields<'_>, first_version: bool, origin: Origin, notes: &mut Vec<Note>) -> Result<Self, FieldError> {
        let head = Head::read(document, notes)?;
        let mut spec = document.child("spec")?;
        let (rules, default_path) = if first_version { (Vec::new(), spec.text_option("route")?) } else { read_routes(&mut spec, notes)? };
        let mut bulk = spec.child("bulkSubscribe")?;
        let subscription = Subscription {
            name: head.name,
            namespace: head.namespace,
            pubsubname: spec.text("pubsubname")?,
            topic: spec.text("topic")?,
            metadata: spec.text_map("metadata")?,
            dead_letter_topic: spec.text_option("deadLetterTopic")?.filter(|topic| !topic.is_empty()),
            rules,
            default_path: default_path.filter(|path| !path.is_empty()),
            bulk_subscribe: BulkSubscribe {
                enabled: bulk.flag("enabled")?,
                max_messages_count: bulk.integer_option("maxMessagesCount")?.unwrap_or_default(),
                max_await_duration_ms: bulk.integer_option("maxAwaitDurationMs")?.unwrap_or_default(),
            },
            scopes: document.texts("scopes")?,
            origin,
        };
        bulk.finish(notes);
        spec.finish(notes);
        Ok(subscription)
    }
}

fn read_routes(spec: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<(Vec<Rule>, Option<String>), FieldError> {
    let mut routes = spec.child("routes")?;
    let mut rules = Vec::new();
    for (value, path) in routes.items("rules")? {
        let mut rule = Fields::of(Some(value), &path)?;
        rules.push(Rule { match_: rule.text("match")?, path: rule.text("path")? });
        rule.finish(notes);
    }
    let default = routes.text_option("default")?;
    routes.finish(notes);
    Ok((rules, default))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::yaml;

    fn read(text: &str, first_version: bool) -> (Subscription, Vec<Note>) {
        let value = yaml::parse(text).unwrap();
        let mut notes = Vec::new();
        let mut fields = Fields::of(Some(&value), "").unwrap();
        let subscription = Subscription::read(&mut fields, first_version, Origin::default(), &mut notes).unwrap();
        (subscription, notes)
    }

    #[test]
    fn both_versions_become_one_record() {
        let (first, _) = read("metadata: {name: s}\nspec: {topic: t, pubsubname: p, route: /in, deadLetterTopic: dead}\nscopes: [a]\n", true);
        let (second, _) =
            read("metadata: {name: s}\nspec: {topic: t, pubsubname: p, routes: {default: /in}, deadLetterTopic: dead}\nscopes: [a]\n", false);
        assert_eq!(first, second);
        assert_eq!(first.default_path.as_deref(), Some("/in"));
        assert_eq!(first.dead_letter_topic.as_deref(), Some("dead"));
    }

    #[test]
    fn rules_and_batches() {
        let (subscription, notes) = read(
            "metadata: {name: s}\nspec:\n  topic: t\n  pubsubname: p\n  metadata: {rawPayload: true}\n  bulkSubscribe: {enabled: true, maxMessagesCount: 10}\n  \
             routes:\n    rules:\n    - {match: 'event.type == \"x\"', path: /x}\n    - {path: /y}\n",
            false,
        );
        assert_eq!(subscription.rules.len(), 2);
        assert_eq!(subscription.rules[1], Rule { match_: String::new(), path: "/y".into() });
        assert_eq!(subscription.metadata["rawPayload"], "true");
        assert_eq!(subscription.bulk_subscribe, BulkSubscribe { enabled: true, max_messages_count: 10, max_await_duration_ms: 0 });
        assert!(notes.is_empty());
    }

    #[test]
    fn a_route_in_the_second_version_is_pointed_out() {
        let (_, notes) = read("metadata: {name: s}\nspec: {topic: t, pubsubname: p, route: /x}\n", false);
        assert!(notes[0].text.contains("nearest known name is \"routes\""), "{notes:?}");
    }
}
