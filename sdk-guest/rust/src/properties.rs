//! Reads a component's metadata: names without regard to case, values as Dapr understands them, errors that name the property.

use crate::component::{Config, InitError};
use std::time::Duration;

/// The properties of one component.
pub struct Properties {
    entries: Vec<(String, String)>,
}

impl From<&Config> for Properties {
    fn from(config: &Config) -> Self {
        Self { entries: config.properties.iter().map(|p| (p.name.to_lowercase(), p.value.clone())).collect() }
    }
}

/// What is wrong with a property.
pub fn invalid(name: &str, why: impl Into<String>) -> InitError {
    InitError::Property((name.to_owned(), why.into()))
}

impl Properties {
    /// The value as written; none when the property is missing or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        let name = name.to_lowercase();
        self.entries.iter().rev().find(|(n, v)| *n == name && !v.is_empty()).map(|(_, v)| v.as_str())
    }

    /// The first of several spellings that is set.
    pub fn any(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|n| self.get(n))
    }

    pub fn require(&self, name: &str) -> Result<&str, InitError> {
        self.get(name).ok_or_else(|| invalid(name, "is required"))
    }

    /// `1`, `t`, `true`, `y`, `yes`, `on` in any case are true; everything else is false.
    pub fn bool(&self, name: &str) -> Option<bool> {
        self.get(name).map(|v| matches!(v.trim().to_lowercase().as_str(), "1" | "t" | "true" | "y" | "yes" | "on"))
    }

    pub fn number<N: std::str::FromStr>(&self, name: &str) -> Result<Option<N>, InitError> {
        self.get(name).map(|v| v.trim().parse().map_err(|_| invalid(name, format!("{v:?} is not a number of the right size")))).transpose()
    }

    /// Go's durations (`1h30m`, `500ms`); a bare number counts in `unit`s.
    pub fn duration(&self, name: &str, unit: Duration) -> Result<Option<Duration>, InitError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let text = text.trim();
        if let Ok(n) = text.parse::<u32>() {
            return Ok(Some(unit * n));
        }
        parse_duration(text).map(Some).ok_or_else(|| invalid(name, format!("{text:?} is not a duration such as 500ms or 1m30s")))
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(n, _)| n.as_str())
    }
}

/// A duration in Go's notation. Negative ones are none.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut total = 0.0f64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * seconds;
        rest = tail;
    }
    Duration::try_from_secs_f64(total).ok()
}

#[cfg(test)]
mod tests {
    use super::parse_duration;
    use std::time::Duration;

    #[test]
    fn durations() {
        assert_eq!(parse_duration("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(parse_duration("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(parse_duration("0"), Some(Duration::ZERO));
        assert_eq!(parse_duration("5"), None);
        assert_eq!(parse_duration("-5s"), None);
        assert_eq!(parse_duration(""), None);
    }
}
