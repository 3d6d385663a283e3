//! Routing rules: CEL over `event`.

use cel::{Context, Program, Value as CelValue};
use serde_json::{Map, Value};

/// One rule, compiled when the subscription is made.
pub struct Compiled {
    /// None: matches everything.
    program: Option<Program>,
    pub path: String,
}

impl Compiled {
    /// The error is the compiler's own.
    pub fn new(expression: &str, path: &str) -> Result<Self, String> {
        let program = match expression.trim() {
            "" => None,
            text => Some(Program::compile(text).map_err(|e| e.to_string())?),
        };
        Ok(Self { program, path: path.to_owned() })
    }

    /// An expression that fails on this event (an attribute that is not there) does not match.
    pub fn matches(&self, event: &Map<String, Value>) -> bool {
        let Some(program) = &self.program else { return true };
        let mut context = Context::default();
        if context.add_variable("event", event).is_err() {
            return false;
        }
        matches!(program.execute(&context), Ok(CelValue::Bool(true)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn matches(expression: &str) -> bool {
        let event = serde_json::json!({"type": "order", "data": {"total": 12}});
        Compiled::new(expression, "/p").unwrap().matches(event.as_object().unwrap())
    }

    #[test]
    fn expressions() {
        assert!(matches("") && matches("event.type == 'order'") && matches("event.data.total > 10"));
        assert!(matches("has(event.data.total) && !has(event.data.other)"));
        assert!(!matches("event.type == 'x'") && !matches("event.missing.more == 1"));
        assert!(Compiled::new("event.type ==", "/p").is_err());
    }
}
