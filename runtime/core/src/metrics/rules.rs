//! `metrics.rules`: regular expressions that rewrite label values before they become series.
//!
//! Costs nothing for families without a rule. A family with rules pays the expressions on every record, because
//! the rewritten value, not the raw one, is what bounds the number of series. A pattern that is no regular
//! expression is an error when metrics are built.

use std::borrow::Cow;
use std::collections::HashMap;

use regex::bytes::{Regex, RegexBuilder};

use super::options::{MetricsError, Rule};

struct Rewrite {
    pattern: Regex,
    replacement: Vec<u8>,
}

/// Rewrites by metric name and label, in Dapr's spelling of names: `/` for `_`.
#[derive(Default)]
pub(super) struct Rules(HashMap<(String, String), Vec<Rewrite>>);

impl Rules {
    pub(super) fn compile(rules: &[Rule]) -> Result<Self, MetricsError> {
        let mut compiled = HashMap::new();
        for rule in rules {
            let metric = rule.name.replacen("dapr_", "", 1).replace('_', "/");
            for label in &rule.labels {
                let rewrites = label
                    .regex
                    .iter()
                    .map(|(replacement, pattern)| rewrite(&metric, &label.name, replacement, pattern))
                    .collect::<Result<Vec<_>, _>>()?;
                compiled.insert((metric.clone(), label.name.clone()), rewrites);
            }
        }
        Ok(Self(compiled))
    }

    /// The rewrites of one metric, one entry per label of `labels`; `None` when no label has any.
    pub(super) fn take(&mut self, metric: &str, labels: &[&str]) -> Option<LabelRules> {
        let metric = metric.replace('_', "/");
        let rules: Vec<_> = labels.iter().map(|label| self.0.remove(&(metric.clone(), (*label).to_owned())).unwrap_or_default()).collect();
        rules.iter().any(|rewrites| !rewrites.is_empty()).then_some(LabelRules(rules))
    }
}

fn rewrite(metric: &str, label: &str, replacement: &str, pattern: &str) -> Result<Rewrite, MetricsError> {
    // Go's classes (\d, \w, \s) are ASCII, and so are all label values
    let pattern = RegexBuilder::new(pattern).unicode(false).build().map_err(|error| MetricsError::Rule {
        rule: format!("{metric}{label}"),
        replacement: replacement.to_owned(),
        reason: error.to_string(),
    })?;
    Ok(Rewrite { pattern, replacement: replacement.as_bytes().to_vec() })
}

/// The rewrites of one metric, by position of the label.
pub(super) struct LabelRules(Vec<Vec<Rewrite>>);

impl LabelRules {
    /// The value of the label at `position` after all its rewrites. An empty value stays empty.
    pub(super) fn apply<'a>(&self, position: usize, value: &'a str) -> Cow<'a, str> {
        let mut value = Cow::Borrowed(value);
        if value.is_empty() {
            return value;
        }
        for rewrite in self.0.get(position).into_iter().flatten() {
            if let Cow::Owned(changed) = rewrite.pattern.replace_all(value.as_bytes(), rewrite.replacement.as_slice()) {
                value = Cow::Owned(String::from_utf8_lossy(&changed).into_owned());
            }
        }
        value
    }
}
