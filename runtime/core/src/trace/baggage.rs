//! Baggage: facts that callers send along with a call, and that sidecars hand on as they are.

/// Whether the text is baggage: `key=value;property,…`. The error says what is wrong, in Dapr's words.
pub fn check_baggage(text: &str) -> Result<(), String> {
    let wrong = |what: &str, member: &str| Err(format!("invalid baggage header: {what}: {member:?}"));
    for member in text.split(',') {
        let pair = member.split(';').next().unwrap_or_default();
        let Some((key, value)) = pair.split_once('=') else {
            return wrong("invalid baggage list-member", member);
        };
        if key.trim().is_empty() || !key.trim().bytes().all(is_token) {
            return wrong("invalid key", key);
        }
        if !value.trim().bytes().all(is_octet) {
            return wrong("invalid value", value);
        }
    }
    Ok(())
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_octet(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::check_baggage;

    #[test]
    fn baggage_is_checked() {
        assert!(check_baggage("key1=value1,key2=value2;p=1").is_ok());
        for wrong in ["invalid-baggage", "a b=c", "=c", "a=\"b\"", ""] {
            assert!(check_baggage(wrong).unwrap_err().starts_with("invalid baggage header: "), "{wrong}");
        }
    }
}
