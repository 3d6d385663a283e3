//! How long a message lives, as requests and metadata say it.

use proa_sdk::properties::parse_duration;
use std::time::Duration;

/// A value of a request's metadata, without regard to case; the exact name comes first. Empty ones do not count.
pub fn entry<'a>(metadata: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let set = || metadata.iter().filter(|(_, v)| !v.is_empty());
    set().find(|(n, _)| n == name).or_else(|| set().find(|(n, _)| n.eq_ignore_ascii_case(name))).map(|(_, v)| v.as_str())
}

/// `ttl` or `ttlInSeconds`: a duration, or a number of seconds above zero.
pub fn ttl(metadata: &[(String, String)]) -> Result<Option<Duration>, String> {
    let Some(text) = entry(metadata, "ttl").or_else(|| entry(metadata, "ttlInSeconds")) else { return Ok(None) };
    match (text.parse::<i64>(), parse_duration(text)) {
        (Ok(seconds), _) if seconds > 0 => Ok(Some(Duration::from_secs(seconds.unsigned_abs()))),
        // As in Go, a bare nought is a duration.
        (Ok(0), Some(zero)) => Ok(Some(zero)),
        (Ok(seconds), _) => Err(format!("ttl value must be higher than zero: actual is '{seconds}'")),
        (_, Some(duration)) => Ok(Some(duration)),
        // A negative duration has already passed.
        _ if text.strip_prefix('-').and_then(parse_duration).is_some() => Ok(Some(Duration::ZERO)),
        _ => Err(format!("ttl value must be a valid integer: actual is '{text}'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_to_live() {
        let of = |text: &str| ttl(&[("ttlInSeconds".to_owned(), text.to_owned())]);
        assert_eq!(of("5"), Ok(Some(Duration::from_secs(5))));
        assert_eq!(of("150ms"), Ok(Some(Duration::from_millis(150))));
        assert_eq!(of("-1s"), Ok(Some(Duration::ZERO)));
        assert_eq!(of(""), Ok(None));
        assert!(of("-1").is_err() && of("x").is_err());
    }
}
