//! The `method` and `path` labels of HTTP series.
//!
//! With increased cardinality (the default) `path` is the request path with keys and ids taken out where Dapr takes
//! them out: state and secret keys, actor ids, workflow instances. Paths of invoked methods stay as they are.
//! Otherwise `path` is empty, unless one of the configured patterns matches; then it is the pattern.

use std::borrow::Cow;

use super::options::{HttpOptions, MetricsError};
use super::patterns::Patterns;

/// Paths that are their own label in every mode.
const FIXED_PATHS: [&str; 4] = ["/dapr/config", "/dapr/metrics", "/dapr/subscribe", "/healthz"];
const VERBS: [&str; 9] = ["GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE"];

/// Turns requests into label values.
pub(super) struct HttpLabels {
    increased: bool,
    exclude_verbs: bool,
    patterns: Option<Patterns>,
}

impl HttpLabels {
    pub(super) fn new(options: &HttpOptions) -> Result<Self, MetricsError> {
        let patterns =
            (!options.path_matching.is_empty()).then(|| Patterns::new(&options.path_matching, options.increased_cardinality)).transpose()?;
        Ok(Self { increased: options.increased_cardinality, exclude_verbs: options.exclude_verbs, patterns })
    }

    pub(super) fn is_increased(&self) -> bool {
        self.increased
    }

    pub(super) fn method<'a>(&self, method: &'a str) -> &'a str {
        match method {
            _ if self.exclude_verbs => "",
            verb if VERBS.contains(&verb) => verb,
            _ => "UNKNOWN",
        }
    }

    /// The label of a request to the API.
    pub(super) fn server_path<'a>(&'a self, path: &'a str) -> Cow<'a, str> {
        match &self.patterns {
            None if !self.increased => Cow::Borrowed(""),
            None => low_cardinality(path),
            Some(_) => match with_one_slash(path) {
                Cow::Borrowed(path) => self.label(path),
                Cow::Owned(path) => Cow::Owned(self.label(&path).into_owned()),
            },
        }
    }

    /// The label of a request to the app.
    pub(super) fn client_path<'a>(&'a self, path: &'a str) -> Cow<'a, str> {
        match self.label(path) {
            label if !self.increased && self.patterns.is_none() => label,
            Cow::Borrowed(label) => low_cardinality(label),
            Cow::Owned(label) => Cow::Owned(low_cardinality(&label).into_owned()),
        }
    }

    fn label<'a>(&'a self, path: &'a str) -> Cow<'a, str> {
        if FIXED_PATHS.contains(&path) {
            return Cow::Borrowed(path);
        }
        if let Some(patterns) = &self.patterns {
            // with increased cardinality everything matches the path itself, which must not hide a better label
            let telling = |found: &Cow<'_, str>| !found.is_empty() && (!self.increased || found != path);
            if let Some(found) = patterns.find(path).filter(telling) {
                return found;
            }
            let low = low_cardinality(path);
            if low != path
                && let Some(found) = patterns.find(&low).filter(|found| !found.is_empty() && found != "/")
            {
                return Cow::Owned(found.into_owned());
            }
        }
        if self.increased { low_cardinality(path) } else { Cow::Borrowed("") }
    }
}

/// `path` with a leading slash and no slash directly after another.
pub(super) fn with_one_slash(path: &str) -> Cow<'_, str> {
    let mut path = Cow::Borrowed(path);
    while path.contains("//") {
        path = Cow::Owned(path.replace("//", "/"));
    }
    if path.starts_with('/') { path } else { Cow::Owned(format!("/{path}")) }
}

/// `path` without the parts that name single things.
pub(super) fn low_cardinality(path: &str) -> Cow<'_, str> {
    if path.is_empty() {
        return Cow::Borrowed(path);
    }
    match with_one_slash(path) {
        Cow::Borrowed(path) => shorten(path),
        Cow::Owned(path) => Cow::Owned(shorten(&path).into_owned()),
    }
}

/// `path`, which starts with a slash, with at most six parts looked at: a slash in the last belongs to it.
fn shorten(path: &str) -> Cow<'_, str> {
    let mut parts = [""; 6];
    let mut count = 0;
    for (slot, part) in parts.iter_mut().zip(path.get(1..).unwrap_or_default().splitn(6, '/')) {
        *slot = part;
        count += 1;
    }
    let short = match parts.get(..count).unwrap_or_default() {
        // the app's callback has no version in front, and no leading slash in Dapr's label
        ["actors", kind, _, rest @ ..] => {
            let mut label = format!("actors/{kind}/{{id}}");
            rest.iter().for_each(|part| label.extend(["/", part]));
            label
        }
        [version, block @ ("state" | "secrets"), store, ..] => {
            let end = version.len() + block.len() + store.len() + 3;
            return Cow::Borrowed(path.get(..end).unwrap_or(path));
        }
        [version, "actors", kind, _, verb, ..] => format!("/{version}/actors/{kind}/{{id}}/{verb}"),
        [version, "workflows", component, _] => {
            format!("/{version}/workflows/{component}/{{instanceId}}")
        }
        [version, "workflows", component, name, start] if start.starts_with("start") => {
            format!("/{version}/workflows/{component}/{name}/start")
        }
        [version, "workflows", component, _, "raiseEvent", event] if !event.is_empty() => {
            format!("/{version}/workflows/{component}/{{instanceId}}/raiseEvent/{{eventName}}")
        }
        [version, "workflows", component, _, operation, ..] => {
            format!("/{version}/workflows/{component}/{{instanceId}}/{operation}")
        }
        _ => return Cow::Borrowed(path),
    };
    Cow::Owned(short)
}
