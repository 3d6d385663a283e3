//! Resiliency resources: how often and how long calls are tried, when they are refused, and what a changed resource does to both.
//!
//! Deliveries of brokers under policies are cases of the suite `delivery`.

/// One test per transport for each case `async fn case(wire: Wire)`.
macro_rules! over_both_wires {
    ($($case:ident),* $(,)?) => {
        mod http {
            $(#[tokio::test] async fn $case() { super::$case(proa_harness::Wire::Http).await })*
        }
        mod grpc {
            $(#[tokio::test] async fn $case() { super::$case(proa_harness::Wire::Grpc).await })*
        }
    };
}

#[path = "resiliency/apps.rs"]
mod apps;
#[path = "resiliency/changes.rs"]
mod changes;
#[path = "resiliency/components.rs"]
mod components;

/// A Resiliency resource of this `spec`.
fn resiliency(name: &str, spec: &str) -> String {
    let spec: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    format!("apiVersion: dapr.io/v1alpha1\nkind: Resiliency\nmetadata:\n  name: {name}\nspec:\n{spec}")
}
