//! Templates in Go's notation, as far as an address needs them: fields of the request between `{{` and `}}`. Anything else is an error of
//! the configuration.

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Id,
    Namespace,
    Port,
    Data(String),
}

/// See the module's text.
#[derive(Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

/// What the fields stand for.
pub struct Fields<'a> {
    pub id: &'a str,
    pub namespace: &'a str,
    pub port: u16,
    pub data: &'a [(String, String)],
}

impl Template {
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let (mut rest, mut trim) = (text, false);
        loop {
            let (literal, action) = match rest.split_once("{{") {
                Some((literal, tail)) => {
                    let (action, tail) = tail.split_once("}}").ok_or("unclosed action")?;
                    rest = tail;
                    (literal, Some(action))
                }
                None => (rest, None),
            };
            let mut literal = if trim { literal.trim_start() } else { literal };
            let Some(mut action) = action else {
                parts.push(Part::Text(literal.to_owned()));
                return Ok(Self(parts));
            };
            if let Some(inner) = action.strip_prefix('-').filter(|a| a.starts_with(char::is_whitespace)) {
                (action, literal) = (inner, literal.trim_end());
            }
            trim = false;
            if let Some(inner) = action.strip_suffix('-').filter(|a| a.ends_with(char::is_whitespace)) {
                (action, trim) = (inner, true);
            }
            parts.push(Part::Text(literal.to_owned()));
            parts.push(Part::parse(action.trim())?);
        }
    }

    pub fn fill(&self, fields: &Fields<'_>) -> String {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Id => out.push_str(fields.id),
                Part::Namespace => out.push_str(fields.namespace),
                Part::Port => out.push_str(&fields.port.to_string()),
                // What Go prints for a key that is not there.
                Part::Data(name) => out.push_str(fields.data.iter().find(|(n, _)| n == name).map_or("<no value>", |(_, v)| v)),
            }
        }
        out
    }
}

impl Part {
    fn parse(action: &str) -> Result<Self, String> {
        match action {
            ".ID" => Ok(Self::Id),
            ".Namespace" => Ok(Self::Namespace),
            ".Port" => Ok(Self::Port),
            _ => match action.strip_prefix(".Data.") {
                Some(name) if !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_') => Ok(Self::Data(name.to_owned())),
                _ => Err(format!("{{{{{action}}}}} is none of .ID, .Namespace, .Port and .Data.name")),
            },
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn fill(template: &str) -> String {
        let data = [("region".to_owned(), "myland".to_owned())];
        Template::parse(template).unwrap().fill(&Fields { id: "myid", namespace: "abc", port: 1234, data: &data })
    }

    #[test]
    fn fields_are_filled_in() {
        assert_eq!(fill("{{.ID}}-{{ .Namespace }}.internal:{{.Port}}"), "myid-abc.internal:1234");
        assert_eq!(fill("{{.ID}}-{{.Data.region}}.{{.Data.none}}"), "myid-myland.<no value>");
        assert_eq!(fill("a  {{- .ID -}}  b {{.Port}}"), "amyidb 1234");
        assert_eq!(fill("plain"), "plain");
    }

    #[test]
    fn anything_else_is_refused() {
        for wrong in ["{{.ID", "{{.Id}}", "{{printf .ID}}", "{{}}", "{{.Data}}", "{{-.ID}}", "{{if .ID}}x{{end}}"] {
            assert!(Template::parse(wrong).is_err(), "{wrong}");
        }
    }
}
