//! Durations in Go's notation: `5s`, `1h30m`, `500ms`, `1.5h`, `-2us`; printed as Go prints them (`3m0s`, `1.5s`).
//!
//! Values are whole nanoseconds in an `i64`, as in Go: about 292 years. Errors carry Go's own wording, because they
//! end up inside messages that people already know.

use serde::Serializer;
use std::time::Duration;

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not of the form number-unit number-unit…, or out of range.
    #[error("time: invalid duration {0:?}")]
    Invalid(String),
    /// A number without a unit.
    #[error("time: missing unit in duration {0:?}")]
    MissingUnit(String),
    /// A unit that does not exist.
    #[error("time: unknown unit {unit:?} in duration {text:?}")]
    UnknownUnit {
        /// The unit as written.
        unit: String,
        /// The whole text.
        text: String,
    },
}

/// Nanoseconds of a text such as `1h30m`. A lone `0` needs no unit.
pub fn parse_nanos(text: &str) -> Result<i64, DurationError> {
    let invalid = || DurationError::Invalid(text.to_owned());
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after_number) = match after.strip_prefix('.') {
            Some(tail) => digits(tail),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let end = after_number.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after_number.len());
        let (unit, next) = after_number.split_at(end);
        if unit.is_empty() {
            return Err(DurationError::MissingUnit(text.to_owned()));
        }
        let scale = unit_nanos(unit).ok_or_else(|| DurationError::UnknownUnit { unit: unit.to_owned(), text: text.to_owned() })?;
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| invalid())? };
        total = whole
            .checked_mul(scale)
            .and_then(|nanos| nanos.checked_add(fraction_nanos(fraction, scale)))
            .and_then(|nanos| total.checked_add(nanos))
            .filter(|nanos| *nanos <= i128::from(i64::MAX) + i128::from(negative))
            .ok_or_else(invalid)?;
        rest = next;
    }
    i64::try_from(if negative { -total } else { total }).map_err(|_| invalid())
}

/// A duration of a text; a negative one counts as zero, which is what every consumer of Dapr's does with it.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    parse_nanos(text).map(|nanos| Duration::from_nanos(u64::try_from(nanos).unwrap_or(0)))
}

/// Like [`parse`], but a bare integer counts milliseconds, as in resiliency policies.
pub fn parse_or_millis(text: &str) -> Result<Duration, DurationError> {
    match text.parse::<i64>() {
        Ok(millis) => Ok(Duration::from_millis(u64::try_from(millis).unwrap_or(0))),
        Err(_) => parse(text),
    }
}

/// Go's text of a duration: `0s`, `1.5ms`, `3m0s`, `1h30m0s`.
pub fn format(duration: Duration) -> String {
    format_nanos(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
}

/// Go's text of a signed number of nanoseconds.
pub fn format_nanos(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let magnitude = nanos.unsigned_abs();
    let body = match magnitude {
        0 => return "0s".to_owned(),
        1..1_000 => format!("{magnitude}ns"),
        1_000..1_000_000 => format!("{}µs", decimal(magnitude, 1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", decimal(magnitude, 1_000_000)),
        _ => {
            let minutes = magnitude / 60_000_000_000;
            let seconds = decimal(magnitude % 60_000_000_000, 1_000_000_000);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    };
    format!("{sign}{body}")
}

/// For `#[serde(serialize_with)]` on a `Duration`: Go's text.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*duration))
}

/// For `#[serde(serialize_with)]` on an `Option<Duration>`: Go's text or null.
pub fn serialize_option<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => serializer.serialize_some(&format(*duration)),
        None => serializer.serialize_none(),
    }
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

fn unit_nanos(unit: &str) -> Option<i128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// Eighteen decimals are more than any unit needs; further ones are dropped, as is what is below a nanosecond.
fn fraction_nanos(fraction: &str, scale: i128) -> i128 {
    let (mut value, mut places) = (0_i128, 1_i128);
    for digit in fraction.bytes().take(18) {
        value = value * 10 + i128::from(digit - b'0');
        places *= 10;
    }
    scale * value / places
}

/// `value / unit` with as many decimals as are needed.
fn decimal(value: u64, unit: u64) -> String {
    let whole = value / unit;
    let rest = value % unit;
    if rest == 0 {
        return whole.to_string();
    }
    let width = unit.ilog10() as usize;
    format!("{whole}.{}", format!("{rest:0width$}").trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads() {
        for (text, nanos) in [
            ("5s", 5_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("500ms", 500_000_000),
            ("1.5h", 5_400_000_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("0.01m", 600_000_000),
            ("2us", 2_000),
            ("2µs", 2_000),
            ("-3s", -3_000_000_000),
            ("+3s", 3_000_000_000),
            ("0", 0),
        ] {
            assert_eq!(parse_nanos(text), Ok(nanos), "{text}");
        }
    }

    #[test]
    fn errors_are_worded_as_in_go() {
        let text = |input: &str| parse_nanos(input).err().map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(text(""), "time: invalid duration \"\"");
        assert_eq!(text("abc"), "time: invalid duration \"abc\"");
        assert_eq!(text("5"), "time: missing unit in duration \"5\"");
        assert_eq!(text("5x"), "time: unknown unit \"x\" in duration \"5x\"");
        assert_eq!(text("9999999999h"), "time: invalid duration \"9999999999h\"");
    }

    #[test]
    fn prints_what_go_prints() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5µs"),
            (500_000_000, "500ms"),
            (1_500_000_000, "1.5s"),
            (60_000_000_000, "1m0s"),
            (180_000_000_000, "3m0s"),
            (5_400_000_000_000, "1h30m0s"),
            (-5_000_000_000, "-5s"),
        ] {
            assert_eq!(format_nanos(nanos), text);
        }
    }

    #[test]
    fn bare_integers_are_milliseconds_in_policies() {
        assert_eq!(parse_or_millis("250"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_or_millis("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(parse("-2s"), Ok(Duration::ZERO));
    }
}
