//! `spec.api` of the configuration: which routes exist.
//!
//! A rule names a group (`v1`, `state`) or, in the older spelling, the beginning of a path (`v1.0`, `state`). A rule for no protocol is
//! for both.

use super::Route;

/// The rules for one protocol.
#[derive(Clone, Debug, Default)]
pub struct Access {
    allowed: Vec<String>,
    denied: Vec<String>,
}

impl Access {
    /// From `(name, version, protocol)` of each rule.
    pub fn new<'a>(
        protocol: &str,
        allowed: impl IntoIterator<Item = (&'a str, &'a str, &'a str)>,
        denied: impl IntoIterator<Item = (&'a str, &'a str, &'a str)>,
    ) -> Self {
        let keys =
            |(name, version, of): (&str, &str, &str)| (of.is_empty() || of.eq_ignore_ascii_case(protocol)).then(|| format!("{version}/{name}"));
        Self { allowed: allowed.into_iter().filter_map(keys).collect(), denied: denied.into_iter().filter_map(keys).collect() }
    }

    /// Whether a route exists. Health checks always do.
    pub fn permits(&self, route: &Route) -> bool {
        route.is_health() || (!names(&self.denied, route) && (self.allowed.is_empty() || names(&self.allowed, route)))
    }
}

fn names(rules: &[String], route: &Route) -> bool {
    if rules.is_empty() {
        return false;
    }
    let group = format!("{}/{}", route.version.group(), route.group);
    let path = format!("{}/{}", route.version.path(), route.pattern);
    rules.iter().any(|rule| *rule == group || path.starts_with(rule.as_str()))
}
