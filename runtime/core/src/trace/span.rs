//! One piece of work: who asked for it, what it was, how long it took, how it ended.
//!
//! A span that is not recorded is its identity and nothing more; a recorded one costs a lock for each attribute. It ends once: when it is
//! told so, or when nobody holds it any more, so that a call that was given up is still seen.

use super::context::{Link, SpanContext};
use super::tracer::Active;
use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// More attributes are counted, but not kept.
const ATTRIBUTES: usize = 128;

/// On which side of a call the work is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Internal,
    Server,
    Client,
    Producer,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Text(String),
    Number(i64),
}

pub type Attribute = (Cow<'static, str>, Value);

/// A span that has ended.
#[derive(Clone, Debug)]
pub struct Record {
    pub name: String,
    pub kind: Kind,
    pub link: Link,
    pub parent: Option<[u8; 8]>,
    /// Whether the parent is another process's.
    pub parent_is_remote: bool,
    pub begun: SystemTime,
    pub ended: SystemTime,
    pub attributes: Vec<Attribute>,
    pub attributes_dropped: u32,
    /// What went wrong; its text may be empty.
    pub failure: Option<String>,
}

/// See the module's text. Clones are the same span.
#[derive(Clone)]
pub struct Span(Arc<Inner>);

struct Inner {
    active: Option<Arc<Active>>,
    link: Link,
    name: Box<str>,
    /// None in an unrecorded span; emptied at the end.
    record: Option<Mutex<Option<Record>>>,
}

impl Span {
    /// Somebody else's span, handed on.
    pub(super) fn passing(link: Link) -> Self {
        Self(Arc::new(Inner { active: None, link, name: Box::default(), record: None }))
    }

    pub(super) fn begin(active: &Arc<Active>, kind: Kind, name: String, parent: Option<&Link>, parent_is_remote: bool) -> Self {
        let parent = parent.filter(|p| p.context.is_valid());
        let (context, recorded) = active.identify(parent.map(|p| p.context));
        let link = Link { context, state: parent.and_then(|p| p.state.clone()) };
        let record = recorded.then(|| Record {
            name: name.clone(),
            kind,
            link: link.clone(),
            parent: parent.map(|p| p.context.span_id),
            parent_is_remote,
            begun: SystemTime::now(),
            ended: SystemTime::UNIX_EPOCH,
            attributes: Vec::with_capacity(8),
            attributes_dropped: 0,
            failure: None,
        });
        Self(Arc::new(Inner { active: Some(active.clone()), link, name: name.into(), record: record.map(|r| Mutex::new(Some(r))) }))
    }

    /// A span within this one.
    pub fn child(&self, kind: Kind, name: String) -> Self {
        match &self.0.active {
            Some(active) => Self::begin(active, kind, name, Some(&self.0.link), false),
            None => self.clone(),
        }
    }

    /// What the next one in the chain is told.
    pub fn link(&self) -> &Link {
        &self.0.link
    }

    pub fn context(&self) -> SpanContext {
        self.0.link.context
    }

    /// The name at its beginning.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    pub fn is_recording(&self) -> bool {
        self.0.record.is_some()
    }

    /// Empty texts are left out, as in Dapr.
    pub fn set(&self, name: impl Into<Cow<'static, str>>, value: &str) {
        if !value.is_empty() {
            self.put(name, || Value::Text(value.to_owned()));
        }
    }

    pub fn set_number(&self, name: &'static str, value: i64) {
        self.put(name, || Value::Number(value));
    }

    pub fn rename(&self, name: String) {
        self.change(|record| record.name = name);
    }

    /// The work failed; the first reason stays.
    pub fn fail(&self, why: impl Into<String>) {
        self.change(|record| {
            record.failure.get_or_insert_with(|| why.into());
        });
    }

    /// How an HTTP call ended.
    pub fn http_status(&self, status: http::StatusCode) {
        if status.as_u16() >= 400 {
            self.fail(format!("Code({}): {}", status.as_u16(), status.canonical_reason().unwrap_or("Unknown")));
        }
    }

    pub fn end(&self) {
        self.0.end();
    }

    fn put(&self, name: impl Into<Cow<'static, str>>, value: impl FnOnce() -> Value) {
        self.change(|record| {
            let (name, room) = (name.into(), record.attributes.len() < ATTRIBUTES);
            match record.attributes.iter_mut().find(|(n, _)| *n == name) {
                Some((_, old)) => *old = value(),
                None if room => record.attributes.push((name, value())),
                None => record.attributes_dropped += 1,
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut Record)) {
        let Some(record) = &self.0.record else { return };
        if let Some(record) = record.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            change(record);
        }
    }
}

impl Inner {
    fn end(&self) {
        let (Some(record), Some(active)) = (&self.record, &self.active) else { return };
        let taken = record.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut record) = taken {
            record.ended = SystemTime::now();
            active.hand_out(record);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.end();
    }
}
