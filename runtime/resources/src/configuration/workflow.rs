//! `workflow`: how much runs at once and how long finished instances are kept.

use crate::fields::{FieldError, Fields, Note};
use crate::go_duration;
use serde::Serialize;
use std::time::Duration;

/// `workflow`; limits that are absent or not positive mean no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Workflow {
    /// Workflows at once in this sidecar.
    pub max_concurrent_workflows: Option<u32>,
    /// Activities at once in this sidecar.
    pub max_concurrent_activities: Option<u32>,
    /// Workflows at once in all replicas.
    pub global_max_concurrent_workflows: Option<u32>,
    /// Activities at once in all replicas.
    pub global_max_concurrent_activities: Option<u32>,
    /// Per workflow name, in all replicas.
    pub workflow_limits: Vec<ConcurrencyLimit>,
    /// Per activity name, in all replicas.
    pub activity_limits: Vec<ConcurrencyLimit>,
    /// When finished instances are purged.
    pub retention: StateRetention,
}

/// A limit for one name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ConcurrencyLimit {
    /// The workflow's or activity's name; none when the document has none.
    pub name: Option<String>,
    /// How many at once; none when the document has none.
    pub max_concurrent: Option<i32>,
}

/// Time until finished instances are purged; none means never. The specific one goes before `any_terminal`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct StateRetention {
    /// However they ended.
    #[serde(serialize_with = "go_duration::serialize_option")]
    pub any_terminal: Option<Duration>,
    /// Completed ones.
    #[serde(serialize_with = "go_duration::serialize_option")]
    pub completed: Option<Duration>,
    /// Failed ones.
    #[serde(serialize_with = "go_duration::serialize_option")]
    pub failed: Option<Duration>,
    /// Terminated ones.
    #[serde(serialize_with = "go_duration::serialize_option")]
    pub terminated: Option<Duration>,
}

impl Workflow {
    pub(super) fn read(spec: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<Self, FieldError> {
        let mut workflow = spec.child("workflow")?;
        let mut retention = workflow.child("stateRetentionPolicy")?;
        let read = Workflow {
            max_concurrent_workflows: limit(&mut workflow, "maxConcurrentWorkflowInvocations")?,
            max_concurrent_activities: limit(&mut workflow, "maxConcurrentActivityInvocations")?,
            global_max_concurrent_workflows: limit(&mut workflow, "globalMaxConcurrentWorkflowInvocations")?,
            global_max_concurrent_activities: limit(&mut workflow, "globalMaxConcurrentActivityInvocations")?,
            workflow_limits: limits(&mut workflow, "workflowConcurrencyLimits", notes)?,
            activity_limits: limits(&mut workflow, "activityConcurrencyLimits", notes)?,
            retention: StateRetention {
                any_terminal: retention.duration_option("anyTerminal")?,
                completed: retention.duration_option("completed")?,
                failed: retention.duration_option("failed")?,
                terminated: retention.duration_option("terminated")?,
            },
        };
        retention.finish(notes);
        workflow.finish(notes);
        Ok(read)
    }
}

fn limit(workflow: &mut Fields<'_>, name: &'static str) -> Result<Option<u32>, FieldError> {
    let limit: Option<i32> = workflow.integer_option(name)?;
    Ok(limit.and_then(|limit| u32::try_from(limit).ok()).filter(|limit| *limit > 0))
}

fn limits(workflow: &mut Fields<'_>, name: &'static str, notes: &mut Vec<Note>) -> Result<Vec<ConcurrencyLimit>, FieldError> {
    let mut limits = Vec::new();
    for (value, path) in workflow.items(name)? {
        let mut limit = Fields::of(Some(value), &path)?;
        limits.push(ConcurrencyLimit { name: limit.text_option("name")?, max_concurrent: limit.integer_option("maxConcurrent")? });
        limit.finish(notes);
    }
    Ok(limits)
}
