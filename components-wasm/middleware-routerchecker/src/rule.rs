//! A rule in RE2's notation, run by a linear-time engine whose notation differs in a few corners.
//! Fails when the expression is none; matching never fails.

use regex::Regex;

/// A compiled rule.
pub struct Rule(Regex);

impl Rule {
    /// The error is the engine's explanation.
    pub fn new(expression: &str) -> Result<Self, String> {
        Regex::new(&translate(expression)).map(Self).map_err(|e| e.to_string())
    }

    /// Whether path and query, as on the wire, match somewhere.
    pub fn admits(&self, target: &str) -> bool {
        self.0.is_match(&escaped(target))
    }
}

/// Rewrites what RE2 takes literally and this engine does not: `\Q…\E`, `\<`, braces that are no repetition, and inside a
/// class `[`, `&&`, `~~` and `--`.
fn translate(expression: &str) -> String {
    let chars: Vec<char> = expression.chars().collect();
    let mut out = String::with_capacity(expression.len() + 8);
    let mut class = Class::Outside;
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let rest = chars.get(at + 1..).unwrap_or_default();
        at += 1;
        if c == '\\' {
            at += escape(rest, &mut out);
            class = class.after_item();
            continue;
        }
        match class {
            Class::Outside => {
                if c == '[' {
                    class = Class::Start;
                }
                if c == '{' && !repetition(rest) {
                    out.push('\\');
                }
            }
            Class::Start if c == '^' => {}
            Class::Start | Class::Inside => {
                let named = c == '[' && rest.first() == Some(&':');
                if named {
                    at += named_class(rest, &mut out);
                    class = Class::Inside;
                    continue;
                }
                let first = matches!(class, Class::Start);
                class = if c == ']' && !first { Class::Outside } else { Class::Inside };
                let doubled = match c {
                    '&' | '~' => rest.first() == Some(&c) || out.ends_with(c),
                    // `[--/]` is a range from the hyphen, `[+--]` a range to it.
                    '-' => (first && rest.first() == Some(&c)) || (out.ends_with('-') && !out.ends_with("\\-")),
                    _ => false,
                };
                if c == '[' || (c == ']' && first) || doubled {
                    out.push('\\');
                }
            }
        }
        out.push(c);
    }
    out
}

#[derive(Clone, Copy)]
enum Class {
    Outside,
    /// Behind `[` or `[^`, where `]` is a literal.
    Start,
    Inside,
}

impl Class {
    fn after_item(self) -> Self {
        if matches!(self, Class::Start) { Class::Inside } else { self }
    }
}

/// What follows a backslash; tells how many characters it took.
fn escape(rest: &[char], out: &mut String) -> usize {
    match rest.first() {
        Some('Q') => {
            let body = rest.get(1..).unwrap_or_default();
            let end = body.windows(2).position(|w| w == ['\\', 'E']);
            let literal: String = body.get(..end.unwrap_or(body.len())).unwrap_or_default().iter().collect();
            out.push_str(&regex::escape(&literal));
            1 + end.map_or(body.len(), |e| e + 2)
        }
        Some(c @ ('<' | '>')) => {
            out.push(*c);
            1
        }
        Some(c) => {
            out.extend(['\\', *c]);
            1
        }
        None => {
            out.push('\\');
            0
        }
    }
}

/// `[:name:]`, whose `[` is already taken; tells how many characters it took.
fn named_class(rest: &[char], out: &mut String) -> usize {
    let length = rest.windows(2).position(|w| w == [':', ']']).map_or(0, |end| end + 2);
    if length == 0 {
        out.push('\\');
    }
    out.push('[');
    out.extend(rest.get(..length).unwrap_or_default());
    length
}

/// Whether what stands behind `{` makes it a repetition: `n}`, `n,}` or `n,m}`.
fn repetition(rest: &[char]) -> bool {
    let Some(end) = rest.iter().position(|c| *c == '}') else { return false };
    let inner: String = rest.get(..end).unwrap_or_default().iter().collect();
    let (low, high) = inner.split_once(',').unwrap_or((&inner, ""));
    !low.is_empty() && [low, high].iter().all(|n| n.chars().all(|c| c.is_ascii_digit()))
}

/// The form in which rules see a target: an empty path is `/`, and characters that no path may hold are percent-encoded.
fn escaped(target: &str) -> String {
    let (path, query) = target.split_once('?').map_or((target, None), |(p, q)| (p, Some(q)));
    let mut out = String::with_capacity(target.len() + 1);
    if path.is_empty() {
        out.push('/');
    }
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/[]%".contains(&byte) {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    if let Some(query) = query {
        out.push('?');
        out.push_str(query);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Rule, escaped, translate};

    fn admits(rule: &str, target: &str) -> bool {
        Rule::new(rule).unwrap_or_else(|e| panic!("{rule}: {e}")).admits(target)
    }

    #[test]
    fn plain_rules() {
        assert!(admits("^[A-Za-z0-9/._-]+$", "/v1.0/invoke/qcg.default/method"));
        assert!(!admits("^[A-Za-z0-9/._-]+$", "/v1.0/invoke/qcg.default/method?a=b"));
        assert!(!admits("^[A-Za-z0-9/._-]+$", "/v1.0/invoke/%20cat%20password%20"));
        assert!(admits("", "/anything"));
        assert!(admits("^/$", ""));
        assert!(Rule::new("[").is_err());
        assert!(Rule::new("(").is_err());
    }

    #[test]
    fn corners_where_the_notations_differ() {
        assert!(admits(r"^/\Qa.b+\E$", "/a.b+"));
        assert!(!admits(r"^/\Qa.b+\E$", "/axb+"));
        assert!(admits(r"^/a{?x", "/ax"));
        assert!(admits(r"a={x}$", "/?a={x}"));
        assert!(admits(r"^/a{2}$", "/aa"));
        assert!(admits(r"^/a{2,}$", "/aaa"));
        assert!(admits(r"^/[[a]+$", "/[a["));
        assert!(admits(r"^/[]a]+$", "/]a"));
        assert!(admits(r"^/[^]a]+$", "/bc"));
        assert!(admits(r"^/[a&&b]+$", "/a&b"));
        assert!(admits(r"^/[[:alpha:]_]+$", "/ab_"));
        assert!(admits(r"^/[a-z-]+$", "/a-z"));
        assert!(admits(r"^/[\w.-]+$", "/a.b-c"));
        assert!(admits(r"\?x=\<1\>$", "/?x=<1>"));
        assert_eq!(translate(r"[+--]"), r"[+-\-]");
        assert_eq!(translate(r"[--/]"), r"[\--/]");
        assert!(admits(r"^/[+--]+$", "/+,-") && !admits(r"^/[+--]+$", "/."));
        assert!(admits(r"^/[--/]+$", "/-./"));
    }

    #[test]
    fn targets() {
        assert_eq!(escaped("/a\"b?c=\"d\""), "/a%22b?c=\"d\"");
        assert_eq!(escaped("?"), "/?");
        assert_eq!(escaped("//x"), "//x");
    }
}
