//! Methods made plain before anything is decided about them: what is allowed is what is called.

/// The shortest path that means the same; a slash in front stays. What could hide another path is refused.
///
/// # Errors
/// The text says what is wrong with the method.
pub fn normalise(method: &str) -> Result<String, String> {
    if method.contains(['#', '?', '\0']) {
        return Err(format!("method contains forbidden character: {}", quoted(method)));
    }
    if let Some((position, _)) = method.char_indices().find(|(_, c)| c.is_ascii_control()) {
        return Err(format!("method contains control character at position {position}: {}", quoted(method)));
    }
    Ok(clean(method))
}

/// Without `//`, `.`, `..` and a slash at the end.
pub fn clean(method: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in method.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            other => kept.push(other),
        }
    }
    let root = if method.starts_with('/') { "/" } else { "" };
    format!("{root}{}", kept.join("/"))
}

/// As Go quotes a text.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0b' => out.push_str("\\v"),
            '\x0c' => out.push_str("\\f"),
            '\n' | '\r' | '\t' | '"' | '\\' => out.extend(c.escape_default()),
            c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_made_plain() {
        let pairs = [("a/b", "a/b"), ("/a//./b/", "/a/b"), ("../../a/../b", "b"), ("..", ""), ("", ""), ("/..", "/"), ("/x\\..\\y", "/x\\..\\y")];
        for (method, plain) in pairs {
            assert_eq!(normalise(method).unwrap(), plain, "{method}");
        }
        assert_eq!(normalise("a%2F..%2Fb").unwrap(), "a%2F..%2Fb", "an escape is text");
        assert_eq!(normalise("a#b").unwrap_err(), r#"method contains forbidden character: "a#b""#);
        assert_eq!(normalise("a\nb").unwrap_err(), r#"method contains control character at position 1: "a\nb""#);
    }
}
