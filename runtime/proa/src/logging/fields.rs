//! The fields of one event, before they are put in order.

use std::borrow::Cow;
use std::fmt::{Display, Write};

/// A field's value, already as text.
pub(super) enum Value {
    /// Quoted in JSON.
    Text(String),
    /// A number or a truth value: bare in JSON.
    Bare(String),
}

impl Value {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Text(text) | Self::Bare(text) => text,
        }
    }
}

/// What an event says.
#[derive(Default)]
pub(super) struct Collected {
    /// The event's `message`.
    pub(super) message: String,
    /// Whether the event has `fatal = true`.
    pub(super) fatal: bool,
    /// All other fields, in the order of the event.
    pub(super) fields: Vec<(Cow<'static, str>, Value)>,
}

/// Fills [`Collected`].
pub(super) struct Collector<'a>(pub(super) &'a mut Collected);

impl Collector<'_> {
    pub(super) fn text(&mut self, name: &'static str, value: std::fmt::Arguments<'_>) {
        if name == "message" {
            // writing to a String fails only if the value's own formatting does; what it wrote is kept
            let _kept = self.0.message.write_fmt(value);
            return;
        }
        let mut text = String::new();
        let _kept = text.write_fmt(value);
        self.push(name, Value::Text(text));
    }

    pub(super) fn number(&mut self, name: &'static str, value: impl Display) {
        self.push(name, Value::Bare(value.to_string()));
    }

    pub(super) fn truth(&mut self, name: &'static str, value: bool) {
        if name == "fatal" {
            self.0.fatal = value;
        } else {
            self.push(name, Value::Bare(value.to_string()));
        }
    }

    /// The names of the fixed part of a line get a prefix, so that a line never has a key twice.
    fn push(&mut self, name: &'static str, value: Value) {
        let name = match name.strip_prefix("r#").unwrap_or(name) {
            taken @ ("time" | "level" | "msg") => Cow::Owned(format!("fields.{taken}")),
            free => Cow::Borrowed(free),
        };
        self.0.fields.push((name, value));
    }
}
