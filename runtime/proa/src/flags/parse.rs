//! From arguments to values per flag, with pflag's rules: one or two dashes, `--flag=value` or `--flag value`,
//! switches bare or with `=`, `--` ends the flags, anything else between them is left aside.

use super::FlagError;
use super::table::{FlagKind, FlagSpec, find};
use proa_resources::{go_duration, nearest};
use std::collections::BTreeMap;

/// What was given on the command line; everything has been checked against its flag's kind.
#[derive(Debug, Default)]
pub struct Given {
    values: BTreeMap<&'static str, Vec<String>>,
    /// One sentence for each deprecated flag that was used.
    pub notes: Vec<String>,
}

impl Given {
    /// Reads the arguments without the program's name.
    pub fn read(args: impl Iterator<Item = String>) -> Result<Self, FlagError> {
        let mut given = Self::default();
        let mut args = args;
        while let Some(arg) = args.next() {
            if arg == "--" {
                break;
            }
            let Some(body) = arg.strip_prefix("--").or_else(|| arg.strip_prefix('-')).filter(|body| !body.is_empty()) else {
                continue;
            };
            if body.starts_with(['-', '=']) {
                return Err(FlagError::Usage(format!("bad flag syntax: {arg}")));
            }
            let (name, inline) = match body.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (body, None),
            };
            if name == "help" || name == "h" {
                return Err(FlagError::Help);
            }
            let spec = find(name).ok_or_else(|| unknown(name))?;
            let value = match (inline, spec.kind) {
                (Some(value), _) => value,
                (None, FlagKind::Switch) => "true".to_owned(),
                (None, _) => args.next().ok_or_else(|| FlagError::Usage(format!("flag needs an argument: --{name}")))?,
            };
            given.take(spec, value)?;
        }
        Ok(given)
    }

    fn take(&mut self, spec: &'static FlagSpec, value: String) -> Result<(), FlagError> {
        let wrong = |reason: String| FlagError::Usage(format!("invalid argument {value:?} for \"--{}\" flag: {reason}", spec.name));
        let syntax = |function: &str| format!("strconv.{function}: parsing {value:?}: invalid syntax");
        match spec.kind {
            FlagKind::Text | FlagKind::List => {}
            FlagKind::Integer => drop(value.parse::<i64>().map_err(|_| wrong(syntax("ParseInt")))?),
            FlagKind::Unsigned => drop(value.parse::<u32>().map_err(|_| wrong(syntax("ParseUint")))?),
            FlagKind::Switch => drop(go_bool(&value).ok_or_else(|| wrong(syntax("ParseBool")))?),
            FlagKind::Duration => drop(go_duration::parse_nanos(&value).map_err(|error| wrong(error.to_string()))?),
        }
        if let Some(instead) = spec.deprecated {
            self.notes.push(format!("Flag --{} has been deprecated, {instead}", spec.name));
        }
        let values = self.values.entry(spec.name).or_default();
        if spec.kind == FlagKind::List {
            values.extend(
                split_csv(&value).map_err(|reason| FlagError::Usage(format!("invalid argument {value:?} for \"--{}\" flag: {reason}", spec.name)))?,
            );
        } else {
            *values = vec![value];
        }
        Ok(())
    }

    /// Whether the flag was given at all.
    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// The last value, else the flag's default.
    pub fn text(&self, name: &str) -> String {
        let default = || find(name).map(|spec| spec.default).unwrap_or_default().to_owned();
        self.values.get(name).and_then(|values| values.last().cloned()).unwrap_or_else(default)
    }

    /// All values of a list.
    pub fn list(&self, name: &str) -> Vec<String> {
        self.values.get(name).cloned().unwrap_or_default()
    }

    /// Whether a switch is on.
    pub fn switch(&self, name: &str) -> bool {
        go_bool(&self.text(name)).unwrap_or_default()
    }

    /// A whole number.
    pub fn integer(&self, name: &str) -> i64 {
        self.text(name).parse().unwrap_or_default()
    }

    /// A duration in nanoseconds.
    pub fn nanos(&self, name: &str) -> i64 {
        go_duration::parse_nanos(&self.text(name)).unwrap_or_default()
    }
}

fn unknown(name: &str) -> FlagError {
    let visible = super::table::FLAGS.iter().filter(|spec| spec.deprecated.is_none()).map(|spec| spec.name);
    let hint = nearest(name, visible).map(|known| format!(" (did you mean --{known}?)")).unwrap_or_default();
    FlagError::Usage(format!("unknown flag: --{name}{hint}"))
}

/// The words that Go's `ParseBool` knows.
fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// One line of comma-separated values; a value in double quotes may hold commas, and quotes when doubled.
fn split_csv(line: &str) -> Result<Vec<String>, &'static str> {
    let mut values = Vec::new();
    if line.is_empty() {
        return Ok(values);
    }
    let mut rest = line;
    loop {
        if let Some(mut quoted) = rest.strip_prefix('"') {
            let mut value = String::new();
            loop {
                let (part, after) = quoted.split_once('"').ok_or("extraneous or missing \" in quoted-field")?;
                value.push_str(part);
                match after.strip_prefix('"') {
                    Some(more) => {
                        value.push('"');
                        quoted = more;
                    }
                    None => {
                        rest = after;
                        break;
                    }
                }
            }
            values.push(value);
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None if rest.is_empty() => return Ok(values),
                None => return Err("extraneous or missing \" in quoted-field"),
            }
        } else {
            let (value, more) = rest.split_once(',').map_or((rest, None), |(value, more)| (value, Some(more)));
            if value.contains('"') {
                return Err("bare \" in non-quoted-field");
            }
            values.push(value.to_owned());
            match more {
                Some(more) => rest = more,
                None => return Ok(values),
            }
        }
    }
}
