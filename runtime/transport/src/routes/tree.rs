//! Paths to rows. A fixed segment is preferred to a parameter, a parameter to `*`; a way that ends without the method is given up for
//! the next one.

use super::{Route, Verbs};

/// The most parameters that a pattern has.
const MOST: usize = 4;

/// The parameters of a path, as they stand in it (still escaped), in the order of the pattern.
#[derive(Clone, Copy, Debug, Default)]
pub struct Params<'p> {
    values: [&'p str; MOST],
    count: usize,
}

impl<'p> Params<'p> {
    /// The parameter at a position; empty when the route has none there.
    pub fn get(&self, position: usize) -> &'p str {
        self.values.get(position).copied().unwrap_or_default()
    }

    pub fn iter(&self) -> impl Iterator<Item = &'p str> + '_ {
        self.values.iter().copied().take(self.count)
    }

    fn push(&mut self, value: &'p str) {
        if let Some(slot) = self.values.get_mut(self.count) {
            *slot = value;
            self.count += 1;
        }
    }
}

/// What a path leads to.
#[derive(Clone, Copy, Debug)]
pub enum Found<'p> {
    Route(&'static Route, Params<'p>),
    /// The path is known, with other methods.
    OtherMethod,
    Nothing,
}

#[derive(Debug, Default)]
struct Node {
    fixed: Vec<(&'static str, Node)>,
    parameter: Option<Box<Node>>,
    /// Routes that end here.
    ends: Vec<&'static Route>,
    /// Routes that take everything that follows.
    rest: Vec<&'static Route>,
}

/// The routes that are served.
#[derive(Debug, Default)]
pub struct Tree {
    root: Node,
}

impl Tree {
    pub fn new(routes: impl IntoIterator<Item = &'static Route>) -> Self {
        let mut tree = Self::default();
        for route in routes {
            tree.root.insert(route, &mut std::iter::once(route.version.path()).chain(route.pattern.split('/')));
        }
        tree
    }

    /// `path` starts with a slash and is clean.
    pub fn find<'p>(&self, verb: Verbs, path: &'p str) -> Found<'p> {
        let mut search = Search { verb, params: Params::default(), known: false };
        match search.walk(&self.root, path.strip_prefix('/')) {
            Some(route) => Found::Route(route, search.params),
            None if search.known => Found::OtherMethod,
            None => Found::Nothing,
        }
    }
}

impl Node {
    fn insert(&mut self, route: &'static Route, segments: &mut dyn Iterator<Item = &'static str>) {
        match segments.next() {
            None => self.ends.push(route),
            Some("*") => self.rest.push(route),
            Some(segment) if segment.starts_with('{') => self.parameter.get_or_insert_default().insert(route, segments),
            Some(segment) => {
                if !self.fixed.iter().any(|(name, _)| *name == segment) {
                    self.fixed.push((segment, Self::default()));
                }
                if let Some((_, node)) = self.fixed.iter_mut().find(|(name, _)| *name == segment) {
                    node.insert(route, segments);
                }
            }
        }
    }
}

struct Search<'p> {
    verb: Verbs,
    params: Params<'p>,
    known: bool,
}

impl<'p> Search<'p> {
    fn walk(&mut self, node: &Node, path: Option<&'p str>) -> Option<&'static Route> {
        let Some(path) = path else { return self.choose(&node.ends) };
        let (segment, following) = match path.split_once('/') {
            Some((segment, following)) => (segment, Some(following)),
            None => (path, None),
        };
        if let Some((_, next)) = node.fixed.iter().find(|(name, _)| *name == segment)
            && let Some(route) = self.walk(next, following)
        {
            return Some(route);
        }
        let before = self.params;
        if let Some(next) = &node.parameter {
            self.params.push(segment);
            if let Some(route) = self.walk(next, following) {
                return Some(route);
            }
            self.params = before;
        }
        let route = self.choose(&node.rest)?;
        self.params.push(path);
        Some(route)
    }

    fn choose(&mut self, routes: &[&'static Route]) -> Option<&'static Route> {
        self.known |= !routes.is_empty();
        routes.iter().copied().find(|route| route.verbs.matches(self.verb))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::super::{Access, Operation, ROUTES};
    use super::*;
    use http::Method;

    fn found(method: Method, path: &str) -> Option<(Operation, Vec<&str>)> {
        match Tree::new(ROUTES).find(Verbs::of(&method), path) {
            Found::Route(route, params) => Some((route.operation, params.values[..params.count].to_vec())),
            _ => None,
        }
    }

    #[test]
    fn a_fixed_segment_wins_unless_its_method_is_another() {
        assert_eq!(found(Method::GET, "/v1.0/state/s/k"), Some((Operation::GetState, vec!["s", "k"])));
        assert_eq!(found(Method::GET, "/v1.0/state/s/bulk"), Some((Operation::GetState, vec!["s", "bulk"])));
        assert_eq!(found(Method::POST, "/v1.0/state/s/bulk"), Some((Operation::GetBulkState, vec!["s"])));
        assert_eq!(found(Method::GET, "/v1.0/secrets/s/bulk"), Some((Operation::GetBulkSecret, vec!["s"])));
        assert_eq!(found(Method::PATCH, "/v1.0/state/s/k"), None);
        assert!(matches!(Tree::new(ROUTES).find(Verbs::POST, "/v1.0/state/s/k"), Found::OtherMethod));
    }

    #[test]
    fn topics_may_hold_slashes() {
        assert_eq!(found(Method::POST, "/v1.0/publish/p/a/b"), Some((Operation::Publish, vec!["p", "a/b"])));
        assert_eq!(found(Method::POST, "/v1.0/publish/bulk/t"), Some((Operation::Publish, vec!["bulk", "t"])));
        assert_eq!(found(Method::PUT, "/v1.0/publish/bulk/p/t"), Some((Operation::BulkPublish, vec!["p", "t"])));
        assert_eq!(found(Method::POST, "/v1.0/publish/p"), None);
        assert_eq!(found(Method::PATCH, "/v1.0/invoke/app/method/x"), Some((Operation::InvokeService, vec!["app/method/x"])));
    }

    #[test]
    fn rules_take_routes_away() {
        let permitted = |access: &Access, operation| ROUTES.iter().any(|r| r.operation == operation && access.permits(r));
        let denied = Access::new("http", [], [("state", "v1", "http"), ("publish", "v1", "grpc")]);
        assert!(!permitted(&denied, Operation::GetState) && permitted(&denied, Operation::QueryState) && permitted(&denied, Operation::Publish));
        let allowed = Access::new("http", [("secrets", "v1.0", "")], []);
        assert!(permitted(&allowed, Operation::GetSecret) && !permitted(&allowed, Operation::GetState) && permitted(&allowed, Operation::Health));
        assert!(!permitted(&allowed, Operation::InvokeService));
    }
}
