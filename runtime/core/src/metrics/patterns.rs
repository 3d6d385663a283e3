//! Path patterns in the grammar of Go's `ServeMux`, which is what `pathMatching` is written in.
//!
//! `/a/{x}` matches one segment, `/a/{rest...}` and `/a/` match everything below, `/a/{$}` only `/a/` itself. A literal
//! wins over `{x}`, `{x}` over `{rest...}`. Of two patterns for the same paths the first in text order counts (Go
//! refuses such a pair). A look-up walks the path once per alternative and allocates only for unclean paths.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::options::MetricsError;
use super::path::with_one_slash;

/// A literal that no path segment can be, for `{$}` and a path's final slash.
const SLASH: &str = "/";

#[derive(Default)]
struct Node {
    literals: BTreeMap<Box<str>, Node>,
    single: Option<Box<Node>>,
    multi: Option<Leaf>,
    leaf: Option<Leaf>,
}

#[derive(Clone)]
struct Leaf {
    pattern: Box<str>,
    segments: usize,
    multi: bool,
}

enum Segment {
    Literal(String),
    Single,
    Multi,
}

/// A set of patterns.
pub(super) struct Patterns {
    root: Node,
    /// Nothing matched means: the path itself.
    raw_fallback: bool,
}

impl Patterns {
    /// Registers `patterns` and, for each outside `/v1.0/invoke/`, the same path behind an invocation of any app.
    pub(super) fn new(patterns: &[String], increased: bool) -> Result<Self, MetricsError> {
        let mut all = BTreeSet::new();
        for raw in patterns {
            let pattern = with_one_slash(raw).into_owned();
            if !pattern.starts_with("/v1.0/invoke/") {
                all.insert(format!("/v1.0/invoke/{{app_id}}/method{pattern}"));
            }
            all.insert(pattern);
        }
        let raw_fallback = increased && !all.contains(SLASH);
        let mut root = Node::default();
        for pattern in &all {
            let segments = parse(pattern).map_err(|reason| MetricsError::PathPattern { pattern: pattern.clone(), reason })?;
            root.insert(pattern, segments);
        }
        Ok(Self { root, raw_fallback })
    }

    /// The pattern that `path` matches, `path` itself where that is the fallback, or an empty string. `None` for
    /// an empty path.
    pub(super) fn find<'a>(&'a self, path: &'a str) -> Option<Cow<'a, str>> {
        if path.is_empty() {
            return None;
        }
        let path = with_one_slash(path);
        if let Some(leaf) = self.look_up(&clean(&path)) {
            return Some(Cow::Borrowed(&leaf.pattern));
        }
        Some(if self.raw_fallback { path } else { Cow::Borrowed("") })
    }

    /// An exact match wins; then one with a slash appended, which Go would redirect to; then a subtree.
    fn look_up(&self, path: &str) -> Option<&Leaf> {
        let found = self.root.find(path);
        if found.is_some_and(|leaf| leaf.is_exact(path)) || path.ends_with('/') {
            return found;
        }
        let slashed = format!("{path}/");
        let redirected = self.root.find(&slashed).filter(|leaf| leaf.is_exact(&slashed));
        redirected.or(found)
    }
}

impl Leaf {
    /// Whether the match left nothing to a trailing wildcard.
    fn is_exact(&self, path: &str) -> bool {
        !self.multi || (path.ends_with('/') && self.segments == path.matches('/').count())
    }
}

impl Node {
    fn insert(&mut self, pattern: &str, segments: Vec<Segment>) {
        let multi = matches!(segments.last(), Some(Segment::Multi));
        let leaf = Leaf { pattern: pattern.into(), segments: segments.len(), multi };
        let mut node = self;
        for segment in segments {
            node = match segment {
                Segment::Literal(text) => node.literals.entry(text.into()).or_default(),
                Segment::Single => node.single.get_or_insert_default(),
                Segment::Multi => {
                    node.multi.get_or_insert(leaf);
                    return;
                }
            };
        }
        node.leaf.get_or_insert(leaf);
    }

    fn find(&self, path: &str) -> Option<&Leaf> {
        if path.is_empty() {
            return self.leaf.as_ref();
        }
        let (segment, rest) = first_segment(path);
        if let Some(found) = self.literals.get(segment).and_then(|node| node.find(rest)) {
            return Some(found);
        }
        if segment != SLASH
            && let Some(found) = self.single.as_ref().and_then(|node| node.find(rest))
        {
            return Some(found);
        }
        self.multi.as_ref()
    }
}

fn first_segment(path: &str) -> (&str, &str) {
    if path == SLASH {
        return (SLASH, "");
    }
    let path = path.strip_prefix('/').unwrap_or(path);
    path.split_at(path.find('/').unwrap_or(path.len()))
}

fn parse(pattern: &str) -> Result<Vec<Segment>, &'static str> {
    if pattern.contains([' ', '\t']) {
        return Err("a method in front of the path is not supported");
    }
    let mut segments = Vec::new();
    let mut names = BTreeSet::new();
    let mut parts = pattern.split('/').skip(1).peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        segments.push(if part.is_empty() && last {
            Segment::Multi
        } else if part.contains('{') {
            wildcard(part, last, &mut names)?
        } else {
            Segment::Literal(unescape(part))
        });
    }
    Ok(segments)
}

fn wildcard<'a>(part: &'a str, last: bool, names: &mut BTreeSet<&'a str>) -> Result<Segment, &'static str> {
    let name = part.strip_prefix('{').ok_or("bad wildcard segment (must start with '{')")?;
    let name = name.strip_suffix('}').ok_or("bad wildcard segment (must end with '}')")?;
    if name == "$" {
        return if last { Ok(Segment::Literal(SLASH.to_owned())) } else { Err("{$} not at end") };
    }
    let (name, multi) = name.strip_suffix("...").map_or((name, false), |name| (name, true));
    if multi && !last {
        return Err("{...} wildcard not at end");
    }
    let mut characters = name.chars();
    let starts_well = characters.next().ok_or("empty wildcard")?;
    if !(starts_well == '_' || starts_well.is_alphabetic()) || !characters.all(|c| c == '_' || c.is_alphanumeric()) {
        return Err("bad wildcard name");
    }
    if !names.insert(name) {
        return Err("duplicate wildcard name");
    }
    Ok(if multi { Segment::Multi } else { Segment::Single })
}

/// `part` with its `%xx` decoded; as it is if one of them is malformed.
fn unescape(part: &str) -> String {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        let Some(code) = digit().zip(digit()).and_then(|(high, low)| u8::try_from(high * 16 + low).ok()) else {
            return part.to_owned();
        };
        bytes.push(code);
    }
    String::from_utf8(bytes).unwrap_or_else(|_| part.to_owned())
}

/// `path` without `.` and `..` segments; a final slash stays.
fn clean(path: &str) -> Cow<'_, str> {
    if !path.contains("/.") {
        return Cow::Borrowed(path);
    }
    let mut kept = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            part => kept.push(part),
        }
    }
    let mut cleaned = String::with_capacity(path.len());
    kept.iter().for_each(|part| cleaned.extend(["/", part]));
    if cleaned.is_empty() || path.ends_with('/') {
        cleaned.push('/');
    }
    Cow::Owned(cleaned)
}
