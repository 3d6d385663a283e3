//! Path templates and what takes their place. Building reports malformed templates one by one; matching costs one
//! regular expression a route, in linear time, and never fails.

use crate::query;
use regex::Regex;

/// Routes in the order of the file.
pub struct Routes(Vec<Route>);

struct Route {
    template: Regex,
    /// Names of the template's variables, in order.
    variables: Vec<String>,
    target: String,
}

/// Why a template is none.
#[derive(Debug, PartialEq, Eq)]
pub enum Malformed {
    /// It matches nothing; the text says why.
    Never(String),
    /// It cannot be meant: the component must not start with it.
    Fatal(String),
}

impl Routes {
    /// The routes of well-formed templates, and the others with what is wrong with them.
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Result<(Self, Vec<String>), String> {
        let (mut routes, mut ignored) = (Vec::new(), Vec::new());
        for (template, target) in pairs {
            match compile(&template) {
                Ok((regex, variables)) => routes.push(Route { template: regex, variables, target }),
                Err(Malformed::Never(why)) => ignored.push(why),
                Err(Malformed::Fatal(why)) => return Err(why),
            }
        }
        Ok((Self(routes), ignored))
    }

    /// The target of the first route that matches, with the variables in its query; none when no route does.
    pub fn rewrite(&self, target: &str) -> Option<String> {
        let (path, query) = target.split_once('?').map_or((target, None), |(p, q)| (p, Some(q)));
        let path = query::decode(path, false);
        self.0.iter().find_map(|route| route.apply(&path, query))
    }
}

impl Route {
    fn apply(&self, path: &str, query: Option<&str>) -> Option<String> {
        let found = self.template.captures(path)?;
        let mut query = query.map(str::to_owned);
        if !self.variables.is_empty() {
            let mut pairs = query::parse(query.as_deref().unwrap_or_default());
            for (at, name) in self.variables.iter().enumerate() {
                let later = self.variables.iter().skip(at + 1).any(|other| other == name);
                if !later {
                    pairs.push((name.clone(), found.get(at + 1).map_or("", |m| m.as_str()).to_owned()));
                }
            }
            query = Some(query::encode(pairs));
        }
        let mut out = query::path(&self.target);
        if let Some(query) = query.filter(|q| !q.is_empty()) {
            out.push(if out.contains('?') { '&' } else { '?' });
            out.push_str(&query);
        }
        Some(out)
    }
}

/// A template as an expression for the whole path.
fn compile(template: &str) -> Result<(Regex, Vec<String>), Malformed> {
    if !template.is_empty() && !template.starts_with('/') {
        return Err(Malformed::Never(format!("path must start with a slash, got {template:?}")));
    }
    let (mut expression, mut variables) = (String::from("^"), Vec::new());
    let mut literal = String::new();
    let mut inner: Option<String> = None;
    let mut level = 0u32;
    let unbalanced = || Malformed::Never(format!("unbalanced braces in {template:?}"));
    for c in template.chars() {
        match (c, inner.as_mut()) {
            ('{', None) => {
                level = 1;
                expression.push_str(&regex::escape(&std::mem::take(&mut literal)));
                inner = Some(String::new());
            }
            ('}', None) => return Err(unbalanced()),
            ('}', Some(_)) if level == 1 => {
                let (name, pattern) = variable(&inner.take().unwrap_or_default(), template)?;
                expression.push_str(&format!("({pattern})"));
                variables.push(name);
            }
            (c, Some(text)) => {
                level = if c == '{' {
                    level + 1
                } else if c == '}' {
                    level - 1
                } else {
                    level
                };
                text.push(c);
            }
            (c, None) => literal.push(c),
        }
    }
    if inner.is_some() {
        return Err(unbalanced());
    }
    expression.push_str(&regex::escape(&literal));
    expression.push('$');
    let regex = Regex::new(&expression).map_err(|e| Malformed::Never(format!("{template:?}: {e}")))?;
    if regex.captures_len() != variables.len() + 1 {
        return Err(Malformed::Fatal(format!(
            "route {template} contains capture groups in its regexp. Only non-capturing groups are accepted: e.g. (?:pattern) instead of (pattern)"
        )));
    }
    Ok((regex, variables))
}

/// `name` or `name:expression`.
fn variable(text: &str, template: &str) -> Result<(String, String), Malformed> {
    let (name, pattern) = text.split_once(':').unwrap_or((text, "[^/]+"));
    if name.is_empty() || pattern.is_empty() {
        return Err(Malformed::Never(format!("missing name or pattern in \"{{{text}}}\" of {template:?}")));
    }
    Ok((name.to_owned(), pattern.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::Routes;

    fn routes(pairs: &[(&str, &str)]) -> Routes {
        Routes::new(pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))).unwrap().0
    }

    fn documented() -> Routes {
        routes(&[
            ("/v1.0/mall/activity/info", "/v1.0/invoke/srv.default/method/mall/activity/info"),
            ("/v1.0/hello/activity/{id}/info", "/v1.0/invoke/srv.default/method/hello/activity/info"),
            ("/v1.0/hello/activity/{id}/user", "/v1.0/invoke/srv.default/method/hello/activity/user"),
        ])
    }

    #[test]
    fn the_documented_routes() {
        for (from, to) in [
            ("/v1.0/mall/activity/info?id=123", Some("/v1.0/invoke/srv.default/method/mall/activity/info?id=123")),
            ("/v1.0/mall/activity/info", Some("/v1.0/invoke/srv.default/method/mall/activity/info")),
            ("/v1.0/hello/activity/1/info", Some("/v1.0/invoke/srv.default/method/hello/activity/info?id=1")),
            ("/v1.0/hello/activity/1/user?userid=123", Some("/v1.0/invoke/srv.default/method/hello/activity/user?id=1&userid=123")),
            ("/v1.0/hello/activity/a%20b/info", Some("/v1.0/invoke/srv.default/method/hello/activity/info?id=a+b")),
            ("/v1.0/hello/activity/1/2/info", None),
            ("/v1.0/mall/activity/info/", None),
            ("/v1.0/invoke/srv.default", None),
        ] {
            assert_eq!(documented().rewrite(from).as_deref(), to, "{from}");
        }
    }

    #[test]
    fn expressions_and_several_variables() {
        let routes = routes(&[("/a/{n:[0-9]{2,3}}/{rest:.*}", "/b?x=1"), ("/a/{n}/{rest}", "/c d")]);
        assert_eq!(routes.rewrite("/a/12/x/y").as_deref(), Some("/b?x=1&n=12&rest=x%2Fy"));
        assert_eq!(routes.rewrite("/a/1/x?n=0").as_deref(), Some("/c%20d?n=0&n=1&rest=x"));
    }

    #[test]
    fn malformed_templates() {
        let pairs = ["no-slash", "/a/{", "/a/}", "/a/{:x}", "/a/{x:}", "/a/{x:[}"].map(|t| (t.to_owned(), "/b".to_owned()));
        let (routes, ignored) = Routes::new(pairs).unwrap();
        assert_eq!(ignored.len(), 6);
        assert_eq!(routes.rewrite("/a/{"), None);
        assert!(Routes::new([("/a/{x:(y)}".to_owned(), "/b".to_owned())]).is_err());
    }
}
