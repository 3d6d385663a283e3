//! Who may publish to and subscribe to which topic: the scopes in a broker's own metadata.

use proa_model::lookup;

/// The scopes of one broker for one application.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TopicScopes {
    allowed: Vec<String>,
    protected: Vec<String>,
    publishing: Option<Vec<String>>,
    subscribing: Option<Vec<String>>,
}

fn list(text: Option<&str>) -> Vec<String> {
    text.unwrap_or_default().split(',').map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned).collect()
}

/// `app1=topic1,topic2;app2=`: the topics of one application; none when it is not named.
fn scoped(text: Option<&str>, app_id: &str) -> Option<Vec<String>> {
    let mut found = None;
    for part in text.unwrap_or_default().split(';') {
        let Some((app, topics)) = part.split_once('=') else { continue };
        if app.trim() == app_id {
            found.get_or_insert_with(Vec::new).extend(list(Some(topics)));
        }
    }
    found
}

impl TopicScopes {
    pub fn of(properties: &[(String, String)], app_id: &str) -> Self {
        Self {
            allowed: list(lookup(properties, "allowedTopics")),
            protected: list(lookup(properties, "protectedTopics")),
            publishing: scoped(lookup(properties, "publishingScopes"), app_id),
            subscribing: scoped(lookup(properties, "subscriptionScopes"), app_id),
        }
    }

    pub fn may_publish(&self, topic: &str) -> bool {
        self.permits(topic, self.publishing.as_deref())
    }

    pub fn may_subscribe(&self, topic: &str) -> bool {
        self.permits(topic, self.subscribing.as_deref())
    }

    fn permits(&self, topic: &str, scoped: Option<&[String]>) -> bool {
        let has = |topics: &[String]| topics.iter().any(|t| t == topic);
        if !self.allowed.is_empty() && !has(&self.allowed) {
            return false;
        }
        let protected = has(&self.protected);
        match scoped {
            // A protected topic must be named.
            None => !protected,
            Some(topics) => has(topics),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(pairs: &[(&str, &str)]) -> TopicScopes {
        let properties: Vec<_> = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        TopicScopes::of(&properties, "app")
    }

    #[test]
    fn everything_is_open_by_default() {
        assert!(scopes(&[]).may_publish("a"));
    }

    #[test]
    fn scopes_allow_what_they_name() {
        let s = scopes(&[("publishingScopes", "app=a,b;other=c"), ("subscriptionScopes", "app=")]);
        assert!(s.may_publish("a") && s.may_publish("b") && !s.may_publish("c"));
        assert!(!s.may_subscribe("a"));
    }

    #[test]
    fn allowed_and_protected() {
        let s = scopes(&[("allowedTopics", "a,p"), ("protectedTopics", "p"), ("publishingScopes", "app=p")]);
        assert!(!s.may_subscribe("b") && s.may_subscribe("a") && !s.may_subscribe("p"));
        assert!(s.may_publish("p"));
    }
}
