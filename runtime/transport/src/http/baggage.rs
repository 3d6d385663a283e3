//! The `baggage` header (W3C): members `key=value;property`, separated by commas.

use http::HeaderMap;

/// The longest list, and the most members, that are accepted.
const LONGEST: usize = 8192;
const MOST: usize = 64;

/// All `baggage` headers as one.
pub fn joined(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all("baggage").iter().filter_map(|v| v.to_str().ok());
    let first = values.next()?;
    Some(values.fold(first.to_owned(), |all, one| format!("{all},{one}")))
}

/// Whether a list is well formed; the error says why not.
pub fn check(list: &str) -> Result<(), String> {
    if list.is_empty() {
        return Ok(());
    }
    if list.len() > LONGEST {
        return Err(format!("baggage size exceeds {LONGEST} bytes: {}", list.len()));
    }
    let mut count = 0;
    for member in list.split(',') {
        count += 1;
        if count > MOST {
            return Err(format!("too many list-members in baggage-string: {count}"));
        }
        let pair = member.split(';').next().unwrap_or_default();
        let Some((key, value)) = pair.split_once('=') else {
            return Err(format!("invalid baggage list-member: {member:?}"));
        };
        let key = key.trim();
        if key.is_empty() || !key.bytes().all(is_token) {
            return Err(format!("invalid baggage list-member: invalid key: {key:?}"));
        }
        let value = value.trim();
        if !value.bytes().all(is_value) {
            return Err(format!("invalid baggage list-member: invalid value: {value:?}"));
        }
    }
    Ok(())
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_value(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::check;

    #[test]
    fn members_are_checked() {
        assert_eq!(check("a=1, b=x%20y;p=q"), Ok(()));
        for bad in ["a", "=1", "a b=1", "a=1 2", "a=\"1\"", "a=1,,b=2"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
