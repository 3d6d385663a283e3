//! One line: `time`, `level` and `msg` first and the rest by name (text), or everything by name (JSON).
//!
//! The common fields are rendered once; an event with fields of its own pays a sort.

use super::fields::{Collected, Value};
use super::quote::{push_json, push_text};
use super::{LogLevel, LogOptions};

/// A field of a line, borrowed.
struct Entry<'a> {
    name: &'a str,
    value: &'a str,
    bare: bool,
}

/// How lines look.
pub(super) struct Style {
    json: bool,
    app_id: String,
    instance: String,
    version: String,
}

impl Style {
    pub(super) fn new(options: &LogOptions) -> Self {
        Self { json: options.json, app_id: options.app_id.clone(), instance: options.instance.clone(), version: options.version.clone() }
    }

    /// Appends one line, with its line feed, to `line`.
    pub(super) fn write_line(&self, time: &str, level: LogLevel, target: &str, event: Collected, line: &mut String) {
        let mut entries = self.common(target);
        for (name, value) in &event.fields {
            let entry = Entry { name, value: value.as_str(), bare: matches!(value, Value::Bare(_)) };
            // an event's own field replaces the common one, and a later one an earlier one
            match entries.iter_mut().find(|known| known.name == entry.name) {
                Some(known) => *known = entry,
                None => entries.push(entry),
            }
        }
        let fixed = |name, value| Entry { name, value, bare: false };
        if self.json {
            entries.extend([fixed("time", time), fixed("level", level.name()), fixed("msg", &event.message)]);
            entries.sort_unstable_by_key(|entry| entry.name);
            json(&entries, line);
        } else {
            if !event.fields.is_empty() {
                entries.sort_unstable_by_key(|entry| entry.name);
            }
            text(&[fixed("time", time), fixed("level", level.name())], line);
            if !event.message.is_empty() {
                line.push(' ');
                text(&[fixed("msg", &event.message)], line);
            }
            line.push(' ');
            text(&entries, line);
        }
        line.push('\n');
    }

    /// The fields of every line, by name.
    fn common<'a>(&'a self, target: &'a str) -> Vec<Entry<'a>> {
        let mut entries = Vec::with_capacity(12);
        let mut push = |name, value| entries.push(Entry { name, value, bare: false });
        if !self.app_id.is_empty() {
            push("app_id", &self.app_id);
        }
        push("instance", &self.instance);
        push("scope", target);
        push("type", "log");
        push("ver", &self.version);
        entries
    }
}

fn text(entries: &[Entry<'_>], line: &mut String) {
    for (position, entry) in entries.iter().enumerate() {
        if position > 0 {
            line.push(' ');
        }
        line.push_str(entry.name);
        line.push('=');
        push_text(entry.value, line);
    }
}

fn json(entries: &[Entry<'_>], line: &mut String) {
    line.push('{');
    for (position, entry) in entries.iter().enumerate() {
        if position > 0 {
            line.push(',');
        }
        push_json(entry.name, line);
        line.push(':');
        if entry.bare {
            line.push_str(entry.value);
        } else {
            push_json(entry.value, line);
        }
    }
    line.push('}');
}
