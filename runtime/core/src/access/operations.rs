//! Operations of a policy as a tree of path segments. `*` within a segment stands for any text, `/*` for one segment at the end, `/**` for
//! all that follow. Which of several that match is taken follows Dapr, where the order of the list counts.

const ONE: &str = "*";
const MANY: &str = "**";

/// What an operation's entry says.
#[derive(Debug, Default)]
pub struct Action {
    pub verbs: Vec<String>,
    pub action: String,
}

#[derive(Debug, Default)]
struct Node {
    segment: String,
    action: Option<Action>,
    below: Vec<Node>,
}

/// See the module's text.
#[derive(Debug, Default)]
pub struct Operations(Node);

fn segments(operation: &str) -> impl Iterator<Item = &str> {
    operation.strip_prefix('/').unwrap_or(operation).split('/')
}

impl Operations {
    /// The first entry for an operation stays.
    pub fn put(&mut self, operation: &str, action: Action) {
        let mut node = &mut self.0;
        for segment in segments(operation) {
            let position = node.below.iter().position(|n| n.segment == segment).unwrap_or_else(|| {
                node.below.push(Node { segment: segment.to_owned(), ..Node::default() });
                node.below.len() - 1
            });
            let Some(next) = node.below.get_mut(position) else { return };
            node = next;
        }
        node.action.get_or_insert(action);
    }

    /// The entry that counts for an operation.
    pub fn find(&self, operation: &str) -> Option<&Action> {
        let mut node = &self.0;
        let mut parts = segments(operation).peekable();
        while let Some(segment) = parts.next() {
            let last = parts.peek().is_none();
            node = node.under(segment, last)?;
            match &node.action {
                // A wildcard of one segment says nothing about what lies below it.
                Some(_) if !last && node.segment.ends_with(ONE) && node.segment == ONE => {}
                Some(action) => return Some(action),
                None if last => return node.under(ONE, true).and_then(|n| n.action.as_ref()),
                None => {}
            }
        }
        None
    }
}

impl Node {
    fn under(&self, segment: &str, last: bool) -> Option<&Node> {
        self.below.iter().find(|node| match node.segment.as_str() {
            same if same == segment => true,
            ONE => last,
            MANY => true,
            pattern => matches(segment, pattern),
        })
    }
}

/// Whether a text fits a pattern in which each `*` stands for any text. Costs at most the product of both lengths, and no memory.
fn matches(text: &str, pattern: &str) -> bool {
    let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
    let (mut t, mut p) = (0, 0);
    // Where the last star stands, and how far the text was when it was met.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(byte) if text.get(t) == Some(byte) => (t, p) = (t + 1, p + 1),
            _ => {
                let Some((at, from)) = star else { return false };
                (t, p) = (from + 1, at + 1);
                star = Some((at, from + 1));
            }
        }
    }
    pattern.iter().skip(p).all(|byte| *byte == b'*')
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn tree(names: &[&str]) -> Operations {
        let mut operations = Operations::default();
        for name in names {
            operations.put(name, Action { verbs: Vec::new(), action: (*name).to_owned() });
        }
        operations
    }

    #[test]
    fn stars_stand_for_any_text() {
        for (text, pattern, fits) in [("abc", "a*", true), ("abc.a", "*a", true), ("abcd", "a*d", true), ("abc", "b*", false), ("", "*", true)] {
            assert_eq!(matches(text, pattern), fits, "{text} {pattern}");
        }
    }

    #[test]
    fn the_entry_that_counts() {
        let tree = tree(&["/op", "/op1/*", "/op2/a*/c", "/all/**"]);
        let found = |operation: &str| tree.find(operation).map(|a| a.action.as_str());
        assert_eq!((found("/op"), found("/op/x"), found("/other")), (Some("/op"), Some("/op"), None));
        assert_eq!((found("/op1"), found("/op1/x"), found("/op1/x/y")), (Some("/op1/*"), Some("/op1/*"), None));
        assert_eq!((found("/op2/abc/c"), found("/op2/b/c")), (Some("/op2/a*/c"), None));
        assert_eq!((found("/all/a"), found("/all/a/b/c"), found("/all")), (Some("/all/**"), Some("/all/**"), Some("/all/**")));
    }
}
