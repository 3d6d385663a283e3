//! Cleaning of paths: `//`, `.`, `..` and a slash at the end go away before a route is looked for. A clean path costs one scan.

use std::borrow::Cow;

/// The shortest path that means the same.
pub fn clean(path: &str) -> Cow<'_, str> {
    if is_clean(path) {
        return Cow::Borrowed(path);
    }
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            other => kept.push(other),
        }
    }
    let mut clean = String::with_capacity(path.len() + 1);
    for segment in &kept {
        clean.push('/');
        clean.push_str(segment);
    }
    if clean.is_empty() {
        clean.push('/');
    }
    Cow::Owned(clean)
}

fn is_clean(path: &str) -> bool {
    let bytes = path.as_bytes();
    if path == "/" {
        return true;
    }
    if bytes.first() != Some(&b'/') || bytes.last() == Some(&b'/') {
        return false;
    }
    // A segment that starts with a dot is left to the slow way.
    !bytes.windows(2).any(|pair| matches!(pair, b"//" | b"/."))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::clean;

    #[test]
    fn paths_become_short() {
        assert!(matches!(clean("/v1.0/state/s/k"), std::borrow::Cow::Borrowed(_)));
        for (path, short) in [("/a//b/", "/a/b"), ("/a/./b/../c", "/a/c"), ("//", "/"), ("", "/"), ("/..", "/"), ("/a/.b", "/a/.b"), ("a", "/a")] {
            assert_eq!(clean(path), short, "{path}");
        }
    }
}
