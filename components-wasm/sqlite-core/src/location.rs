//! Connection strings: a path, a `file:` URI of SQLite with Dapr's options behind `?`, or `:memory:`. Pure text, no I/O.

/// What a connection string says.
#[derive(Debug, PartialEq, Eq)]
pub struct Location {
    /// The file, or `:memory:`.
    pub path: String,
    pub memory: bool,
    pub read_only: bool,
    /// Statements without the word PRAGMA, for example `synchronous(1)`.
    pub pragmas: Vec<String>,
    /// A lock mode was asked for that is not the one in use.
    pub other_lock: bool,
}

fn percent_decode(text: &str, plus: bool) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        let digit = |b: &u8| (*b as char).to_digit(16);
        let escaped = match tail {
            [a, b, ..] if byte == b'%' => digit(a).zip(digit(b)).map(|(a, b)| (a * 16 + b) as u8),
            _ => None,
        };
        match escaped {
            Some(value) => {
                out.push(value);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => out.push(if plus && byte == b'+' { b' ' } else { byte }),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn strip_scheme(text: &str) -> &str {
    match text.split_at_checked(5) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("file:") => rest,
        _ => text,
    }
}

/// The file that a URI without its query names.
fn file_path(uri: &str) -> Result<String, String> {
    let rest = strip_scheme(uri);
    let rest = rest.split('#').next().unwrap_or_default();
    let path = match rest.strip_prefix("//") {
        None => rest,
        Some(after) => {
            let slash = after.find('/').unwrap_or(after.len());
            let (authority, path) = after.split_at(slash);
            if !authority.is_empty() && authority != "localhost" {
                return Err(format!("invalid uri authority: {authority}"));
            }
            path
        }
    };
    Ok(percent_decode(path, false))
}

const FORBIDDEN: [(&str, &str); 3] = [
    ("busy_timeout", "found forbidden option '_pragma=busy_timeout' in the connection string"),
    ("journal_mode", "found forbidden option '_pragma=journal_mode' in the connection string"),
    ("foreign_keys", "found forbidden option '_pragma=foreign_keys' in the connection string"),
];

impl Location {
    pub fn parse(text: &str) -> Result<Self, String> {
        let (uri, query) = text.split_once('?').unwrap_or((text, ""));
        let lower = uri.to_lowercase();
        let mut out = Self {
            path: file_path(uri)?,
            memory: lower.starts_with(":memory:") || lower.starts_with("file::memory:"),
            read_only: false,
            pragmas: Vec::new(),
            other_lock: false,
        };
        let (mut mode, mut immutable, mut lock) = (None, None, None);
        for pair in query.split('&').filter(|p| !p.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode(value, true);
            // Of an option that is given twice the first counts.
            match percent_decode(name, true).as_str() {
                "mode" => mode = mode.or(Some(value)),
                "immutable" => immutable = immutable.or(Some(value)),
                "_txlock" => lock = lock.or(Some(value)),
                "_pragma" => out.pragma(value)?,
                _ => {}
            }
        }
        out.memory |= mode.as_deref() == Some("memory");
        out.read_only = mode.as_deref() == Some("ro") || immutable.as_deref() == Some("1");
        out.other_lock = lock.is_some_and(|l| !l.eq_ignore_ascii_case("immediate"));
        if out.memory {
            out.path = ":memory:".to_owned();
        }
        Ok(out)
    }

    fn pragma(&mut self, value: String) -> Result<(), String> {
        let lower = value.to_lowercase();
        if let Some((_, why)) = FORBIDDEN.iter().find(|(name, _)| lower.starts_with(name)) {
            return Err((*why).to_owned());
        }
        self.pragmas.push(value);
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn path(text: &str) -> String {
        Location::parse(text).unwrap().path
    }

    #[test]
    fn paths() {
        assert_eq!(path("data.db"), "data.db");
        assert_eq!(path("/var/lib/data.db"), "/var/lib/data.db");
        assert_eq!(path("file:data.db"), "data.db");
        assert_eq!(path("FILE:/a/b.db?cache=shared"), "/a/b.db");
        assert_eq!(path("file:///a/b%20c.db"), "/a/b c.db");
        assert_eq!(path("file://localhost/a.db"), "/a.db");
        assert!(Location::parse("file://elsewhere/a.db").is_err());
    }

    #[test]
    fn memory() {
        for text in [":memory:", "file::memory:", "file::memory:?cache=shared", "file:x.db?mode=memory"] {
            let location = Location::parse(text).unwrap();
            assert!(location.memory && location.path == ":memory:", "{text}");
        }
    }

    #[test]
    fn options() {
        let l = Location::parse("file:a.db?mode=ro&_txlock=Deferred&_pragma=synchronous(1)&_pragma=cache_size%28-2000%29").unwrap();
        assert!(l.read_only && l.other_lock);
        assert_eq!(l.pragmas, ["synchronous(1)", "cache_size(-2000)"]);
        assert!(Location::parse("a.db?immutable=1").unwrap().read_only);
        assert!(!Location::parse("a.db?_txlock=immediate").unwrap().other_lock);
        assert!(Location::parse("a.db?_pragma=Journal_mode(WAL)").unwrap_err().contains("journal_mode"));
    }
}
