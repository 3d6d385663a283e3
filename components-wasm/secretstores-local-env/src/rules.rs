//! Which variables may be seen, and under which name.

/// Everything but the sidecar's own credentials and settings.
pub fn allowed(variable: &str) -> bool {
    let variable = variable.to_uppercase();
    variable != "APP_API_TOKEN" && !variable.starts_with("DAPR_")
}

/// The name under which a variable is listed.
pub fn listed<'a>(variable: &'a str, prefix: &str) -> Option<&'a str> {
    let name = variable.strip_prefix(prefix)?;
    // A variable that is nothing but the prefix has no name left.
    let named = prefix.is_empty() || !name.is_empty();
    (named && allowed(variable)).then_some(name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_hidden() {
        for hidden in ["APP_API_TOKEN", "app_api_token", "DAPR_API_TOKEN", "dapr_x", "DAPR_"] {
            assert!(!allowed(hidden), "{hidden}");
        }
        for shown in ["APP_API_TOKENS", "DAPR", "MY_DAPR_TOKEN", ""] {
            assert!(allowed(shown), "{shown}");
        }
    }

    #[test]
    fn prefixes() {
        assert_eq!(listed("MYAPP_KEY", "MYAPP_"), Some("KEY"));
        assert_eq!(listed("MYAPP_", "MYAPP_"), None);
        assert_eq!(listed("myapp_KEY", "MYAPP_"), None);
        assert_eq!(listed("PATH", ""), Some("PATH"));
        assert_eq!(listed("DAPR_API_TOKEN", "DAPR_"), None);
    }
}
