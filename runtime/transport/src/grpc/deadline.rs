//! The time that a caller gives a call (`grpc-timeout`). One that has run out ends with `DeadlineExceeded`, whatever is still going on.

use http::{HeaderMap, HeaderName};
use std::time::Duration;
use tokio::time::Instant;
use tonic::Status;

const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// The most digits that the protocol allows.
const DIGITS: usize = 8;

/// When the call's time is over; none when the caller waits for as long as it takes, or wrote no time.
pub(super) fn of(headers: &HeaderMap) -> Option<Instant> {
    Instant::now().checked_add(parse(headers.get(&TIMEOUT)?.to_str().ok()?)?)
}

pub(super) fn exceeded() -> Status {
    Status::deadline_exceeded("context deadline exceeded")
}

fn parse(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if number.is_empty() || number.len() > DIGITS || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: u64 = number.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        assert_eq!(parse("2S"), Some(Duration::from_secs(2)));
        assert_eq!(parse("99999999n"), Some(Duration::from_nanos(99_999_999)));
        for none in ["", "S", "2", "-1S", "123456789m", "2X"] {
            assert_eq!(parse(none), None, "{none}");
        }
    }
}
