//! The three sorts of policies with Dapr's defaults filled in and their texts turned into numbers.

use crate::fields::{FieldError, Fields, Note};
use crate::go_duration;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// `spec.policies`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Policies {
    /// How long one attempt may take; zero means no limit.
    pub timeouts: BTreeMap<String, Duration>,
    /// When to try again.
    pub retries: BTreeMap<String, Retry>,
    /// When to stop trying for a while.
    pub circuit_breakers: BTreeMap<String, CircuitBreaker>,
}

/// The shape of the pauses between attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum RetryKind {
    /// The same pause each time.
    Constant,
    /// Growing pauses.
    Exponential,
}

/// A retry policy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Retry {
    /// Constant unless the document says otherwise.
    pub kind: RetryKind,
    /// The constant pause, 5 s by default. Exponential pauses ignore it.
    #[serde(serialize_with = "go_duration::serialize")]
    pub duration: Duration,
    /// The first exponential pause: always 500 ms, growing by 1.5 with a random half more or less.
    #[serde(serialize_with = "go_duration::serialize")]
    pub initial_interval: Duration,
    /// The longest exponential pause, 60 s by default.
    #[serde(serialize_with = "go_duration::serialize")]
    pub max_interval: Duration,
    /// When exponential retrying ends however many attempts are left: 15 min.
    #[serde(serialize_with = "go_duration::serialize")]
    pub max_elapsed: Duration,
    /// Attempts after the first one; negative (-1 by default) means without end.
    pub max_retries: i64,
    /// Which failures are tried again.
    pub matching: RetryMatching,
}

/// Status codes that are tried again; `None` means all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RetryMatching {
    /// HTTP codes, 100 to 599.
    pub http: Option<Vec<CodeRange>>,
    /// gRPC codes, 0 to 16.
    pub grpc: Option<Vec<CodeRange>>,
}

/// Codes from `start` to `end`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CodeRange {
    /// The first code.
    pub start: i32,
    /// The last code.
    pub end: i32,
}

impl CodeRange {
    /// Whether `code` lies in the range.
    pub fn contains(self, code: i32) -> bool {
        self.start <= code && code <= self.end
    }
}

/// A circuit breaker policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CircuitBreaker {
    /// Calls let through while half open; 1 by default.
    pub max_requests: u32,
    /// How often counts are cleared while closed; zero means never.
    #[serde(serialize_with = "go_duration::serialize")]
    pub interval: Duration,
    /// How long it stays open; 60 s by default.
    #[serde(serialize_with = "go_duration::serialize")]
    pub timeout: Duration,
    /// The CEL condition that opens it; by default `consecutiveFailures > 5`.
    pub trip: Option<String>,
}

impl Policies {
    pub(crate) fn read(policies: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<Self, FieldError> {
        let mut read = Policies::default();
        for (name, text) in policies.text_map("timeouts")? {
            let timeout = go_duration::parse_or_millis(&text).map_err(|error| FieldError {
                field: format!("spec.policies.timeouts.{name}"),
                problem: format!("invalid duration {name:?}, {text}: {error}"),
            })?;
            read.timeouts.insert(name, timeout);
        }
        for (name, value, path) in policies.entries("retries")? {
            let mut fields = Fields::of(Some(value), &path)?;
            read.retries.insert(name.to_owned(), Retry::read(&mut fields, name, notes)?);
            fields.finish(notes);
        }
        for (name, value, path) in policies.entries("circuitBreakers")? {
            let mut fields = Fields::of(Some(value), &path)?;
            read.circuit_breakers.insert(name.to_owned(), CircuitBreaker::read(&mut fields, name)?);
            fields.finish(notes);
        }
        Ok(read)
    }
}

impl Retry {
    fn read(fields: &mut Fields<'_>, name: &str, notes: &mut Vec<Note>) -> Result<Self, FieldError> {
        let kind = match fields.text("policy")?.to_ascii_lowercase().as_str() {
            "" | "constant" => RetryKind::Constant,
            "exponential" => RetryKind::Exponential,
            other => {
                return Err(FieldError {
                    field: fields.path_of("policy"),
                    problem: format!("invalid retry configuration {name:?}: unexpected back off policy type: {other}"),
                });
            }
        };
        let duration = span(fields, "duration", name)?;
        let max_interval = span(fields, "maxInterval", name)?;
        let mut matching = fields.child("matching")?;
        let codes = RetryMatching {
            http: patterns(&mut matching, "httpStatusCodes", CodeRange { start: 100, end: 599 })?,
            grpc: patterns(&mut matching, "gRPCStatusCodes", CodeRange { start: 0, end: 16 })?,
        };
        matching.finish(notes);
        Ok(Retry {
            kind,
            duration: duration.unwrap_or(Duration::from_secs(5)),
            initial_interval: Duration::from_millis(500),
            max_interval: max_interval.unwrap_or(Duration::from_secs(60)),
            max_elapsed: Duration::from_secs(15 * 60),
            max_retries: fields.integer_option("maxRetries")?.unwrap_or(-1),
            matching: codes,
        })
    }
}

impl CircuitBreaker {
    fn read(fields: &mut Fields<'_>, name: &str) -> Result<Self, FieldError> {
        Ok(CircuitBreaker {
            max_requests: fields.integer_option("maxRequests")?.unwrap_or(0).max(1),
            interval: span(fields, "interval", name)?.unwrap_or_default(),
            timeout: span(fields, "timeout", name)?.filter(|span| !span.is_zero()).unwrap_or(Duration::from_secs(60)),
            trip: fields.text_option("trip")?.filter(|trip| !trip.is_empty()),
        })
    }
}

fn span(fields: &mut Fields<'_>, field: &'static str, policy: &str) -> Result<Option<Duration>, FieldError> {
    let Some(text) = fields.text_option(field)?.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    go_duration::parse_or_millis(&text).map(Some).map_err(|_| FieldError {
        field: fields.path_of(field),
        problem: format!("invalid retry configuration {policy:?}: error decoding '{field}': invalid duration {text:?}"),
    })
}

/// `429,500-599` as ranges within `valid`; an absent or empty text is no restriction.
fn patterns(fields: &mut Fields<'_>, field: &'static str, valid: CodeRange) -> Result<Option<Vec<CodeRange>>, FieldError> {
    let text = fields.text(field)?;
    if text.is_empty() {
        return Ok(None);
    }
    let ranges = text.split(',').filter(|part| !part.is_empty()).map(|part| range(part, valid));
    ranges.collect::<Result<Vec<_>, String>>().map(Some).map_err(|problem| FieldError { field: fields.path_of(field), problem })
}

fn range(pattern: &str, valid: CodeRange) -> Result<CodeRange, String> {
    let parts: Vec<&str> = pattern.split('-').collect();
    let (first, last) = match parts.as_slice() {
        [only] => (*only, *only),
        [first, last] => (*first, *last),
        _ => return Err(format!("invalid pattern {pattern}, more than one '-' exists")),
    };
    let code = |text: &str, which: &str| -> Result<i32, String> {
        let code: i32 = text.parse().map_err(|_| {
            let cause = format!("strconv.Atoi: parsing {text:?}: invalid syntax");
            format!("failed to parse {which} code {text} from pattern {pattern} to int, {cause}")
        })?;
        if !valid.contains(code) {
            return Err(format!("invalid pattern {pattern}, {which} code {code} is not valid"));
        }
        Ok(code)
    };
    let range = CodeRange { start: code(first, "start")?, end: code(last, "end")? };
    if range.end < range.start {
        return Err(format!("invalid pattern {pattern}, start value should not bigger than end value"));
    }
    Ok(range)
}
