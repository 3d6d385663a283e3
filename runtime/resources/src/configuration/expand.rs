//! Variables in the raw text of a configuration, as Go's `os.ExpandEnv` replaces them: unset ones by nothing,
//! malformed ones (`${}`, `${` without an end) are swallowed, a `$` before anything else stays.

/// `text` with `$NAME` and `${NAME}` replaced.
pub(super) fn expand(text: &str, env: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if after.is_empty() {
            out.push('$');
            return out;
        }
        let (name, consumed) = name_of(after);
        match (name, consumed) {
            ("", 0) => out.push('$'),
            ("", _) => {}
            (name, _) => out.push_str(&env(name).unwrap_or_default()),
        }
        rest = after.get(consumed..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// The name that follows a `$` and how many bytes it takes with its braces.
fn name_of(after: &str) -> (&str, usize) {
    if let Some(inner) = after.strip_prefix('{') {
        return match inner.find('}') {
            Some(0) => ("", 2),
            Some(end) => (inner.get(..end).unwrap_or_default(), end + 2),
            None => ("", 1),
        };
    }
    if after.starts_with(|c: char| c.is_ascii_digit() || "*#$@!?-".contains(c)) {
        return (after.get(..1).unwrap_or_default(), 1);
    }
    let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len());
    (after.get(..end).unwrap_or_default(), end)
}

#[cfg(test)]
mod tests {
    use super::expand;

    #[test]
    fn replaces_as_go_does() {
        let env = |name: &str| match name {
            "HOST" => Some("example".to_owned()),
            "A_1" => Some("x".to_owned()),
            _ => None,
        };
        for (text, expanded) in [
            ("http://$HOST:80/${A_1}", "http://example:80/x"),
            ("$UNSET|${UNSET}|", "||"),
            ("^a$\"", "^a$\""),
            ("cost: 5$", "cost: 5$"),
            ("${}x${", "x"),
            ("$1$$", ""),
            ("größe $HOST", "größe example"),
        ] {
            assert_eq!(expand(text, &env), expanded, "{text}");
        }
    }
}
