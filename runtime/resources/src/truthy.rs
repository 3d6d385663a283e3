//! Booleans as Dapr reads them from metadata values: a short list of words means yes, everything else means no.

/// True for `y`, `yes`, `true`, `t`, `on` and `1` in any case, surrounding white space ignored.
pub fn is_truthy(value: &str) -> bool {
    matches!(value.trim().to_ascii_lowercase().as_str(), "y" | "yes" | "true" | "t" | "on" | "1")
}

#[cfg(test)]
mod tests {
    use super::is_truthy;

    #[test]
    fn only_the_listed_words_mean_yes() {
        for yes in ["y", "YES", "True", "t", "on", "1", " true "] {
            assert!(is_truthy(yes), "{yes}");
        }
        for no in ["", "0", "no", "2", "enabled", "truee"] {
            assert!(!is_truthy(no), "{no}");
        }
    }
}
