//! Topic filters: `+` stands for one level, `#` for all that follow; `$share/<group>/` in front is the broker's affair.

/// Whether a message of `topic` belongs to `filter`.
pub fn matches(filter: &str, topic: &str) -> bool {
    let shared = filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/')).map(|(_, f)| f);
    let mut levels = topic.split('/');
    for wanted in shared.unwrap_or(filter).split('/') {
        match (wanted, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (wanted, Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn filters() {
        for (filter, topic, yes) in [
            ("a/b", "a/b", true),
            ("a/b", "a/b/c", false),
            ("a/+", "a/b", true),
            ("a/+", "a", false),
            ("+/b", "a/b", true),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("#", "x", true),
            ("$share/g/a/+", "a/b", true),
            ("$share/g/a", "b", false),
            ("a/b/c", "a/b", false),
        ] {
            assert_eq!(matches(filter, topic), yes, "{filter} {topic}");
        }
    }
}
