use super::*;
use std::future::ready;

/// Attempts until a policy is content with failures.
async fn attempts(policy: Policy) -> u32 {
    let mut count = 0;
    let outcome = policy.run(
        |_: &()| Verdict::Failure,
        |number| {
            count = number;
            ready(())
        },
    );
    let _ = outcome.await;
    count
}

fn retries(names: &[(&str, u32)]) -> String {
    let one = |(name, retries): &(&str, u32)| format!("    {name}: {{ policy: constant, duration: 0s, maxRetries: {retries} }}\n");
    format!("policies:\n  retries:\n{}", names.iter().map(one).collect::<String>())
}

#[tokio::test]
async fn the_most_special_default_applies() {
    let resiliency = with(&document(
        "mine",
        &retries(&[
            ("DefaultRetryPolicy", 1),
            ("DefaultAppRetryPolicy", 2),
            ("DefaultComponentRetryPolicy", 3),
            ("DefaultComponentOutboundRetryPolicy", 4),
            ("DefaultStatestoreComponentOutboundRetryPolicy", 5),
        ]),
    ));
    assert_eq!(attempts(resiliency.app("any", "m")).await, 3);
    assert_eq!(attempts(resiliency.actor_before_turn("any", "1")).await, 2);
    assert_eq!(attempts(resiliency.component(Kind::State, "s", Flow::Outbound)).await, 6);
    assert_eq!(attempts(resiliency.component(Kind::Pubsub, "p", Flow::Outbound)).await, 5);
    assert_eq!(attempts(resiliency.component(Kind::Pubsub, "p", Flow::Inbound)).await, 4);
    assert_eq!(attempts(resiliency.component(Kind::Middleware, "m", Flow::Outbound)).await, 1);
    assert!(!resiliency.names_app("any"));
}

#[tokio::test]
async fn a_named_target_has_no_defaults() {
    let spec = retries(&[("DefaultRetryPolicy", 1), ("four", 4)])
        + "  circuitBreakers: { b: { trip: consecutiveFailures >= 2 } }\ntargets:\n  apps: { mine: { timeout: none } }\n  components:\n    store: { outbound: { retry: four } }\n  actors:\n    typed: { retry: four, circuitBreaker: b, circuitBreakerScope: type }\n    single: { circuitBreaker: b, circuitBreakerScope: id }\n";
    let resiliency = with(&document("mine", &spec));
    assert!(resiliency.names_app("mine"));
    assert_eq!(attempts(resiliency.app("mine", "m")).await, 1);
    assert_eq!(attempts(resiliency.component(Kind::State, "store", Flow::Outbound)).await, 5);
    assert_eq!(attempts(resiliency.component(Kind::State, "store", Flow::Inbound)).await, 1);
    assert_eq!(attempts(resiliency.actor_before_turn("typed", "1")).await, 2, "the breaker opens");
    assert_eq!(attempts(resiliency.actor_before_turn("typed", "2")).await, 0, "one breaker for the type");
    assert_eq!(attempts(resiliency.actor_within_turn("typed", "1")).await, 1);
    assert_eq!(attempts(resiliency.actor_before_turn("single", "1")).await, 1);
    assert_eq!(attempts(resiliency.actor_before_turn("single", "1")).await, 1);
    assert_eq!(attempts(resiliency.actor_before_turn("single", "1")).await, 0);
    assert_eq!(attempts(resiliency.actor_before_turn("single", "2")).await, 1, "a breaker for each actor");
}

#[tokio::test]
async fn later_resources_replace_earlier_ones_by_name() {
    let targets = "targets: { apps: { a: { retry: r }, b: { retry: r } } }\n";
    let both = document("first", &(retries(&[("r", 1)]) + targets)) + &document("second", &(retries(&[("r", 2)]) + "targets: { apps: { b: {} } }\n"));
    let resiliency = with(&both);
    assert_eq!(attempts(resiliency.app("a", "m")).await, 3);
    assert_eq!(attempts(resiliency.app("b", "m")).await, 1);
}

#[tokio::test]
async fn built_in_policies_may_be_replaced_within_limits() {
    let names = [("DaprBuiltInServiceRetries", 1), ("DaprBuiltInActorRetries", 7), ("DaprBuiltInActorNotFoundRetries", 9)];
    let resiliency = with(&document("mine", &retries(&names)));
    assert_eq!(attempts(resiliency.built_in(BuiltIn::Service)).await, 4);
    assert_eq!(attempts(resiliency.built_in(BuiltIn::Actor)).await, 8);
    assert!(resiliency.built_in(BuiltIn::ActorNotFound).retries());
    let none = Resiliency::new(metrics());
    assert!(none.built_in(BuiltIn::Service).retries() && none.built_in(BuiltIn::Initialization).retries());
    assert_eq!(none.app("a", "m").to_string(), "none");
    assert_eq!(none.built_in(BuiltIn::Service).to_string(), "DaprBuiltInServiceRetries");
}

const BREAKS: &str = "policies: { circuitBreakers: { b: { trip: consecutiveFailures >= 1 } } }\ntargets: { apps: { a: { circuitBreaker: b } } }\n";

#[tokio::test]
async fn a_breaker_survives_changes_that_are_not_its_own() {
    let resiliency = with(&document("mine", BREAKS));
    attempts(resiliency.app("a", "m")).await;
    let open = |resiliency: &Resiliency| resiliency.app("a", "m");
    assert_eq!(attempts(open(&resiliency)).await, 0);
    resiliency.apply(&read(&(document("mine", BREAKS) + &document("more", &retries(&[("r", 1)])))).resiliencies);
    assert_eq!(attempts(open(&resiliency)).await, 0);
    resiliency.apply(&read(&document("mine", &BREAKS.replace(">= 1", ">= 2"))).resiliencies);
    assert_eq!(attempts(open(&resiliency)).await, 1);
    resiliency.apply(&[]);
    assert_eq!(attempts(open(&resiliency)).await, 1);
    assert_eq!(open(&resiliency).to_string(), "none");
}

#[tokio::test]
async fn a_bad_resource_leaves_the_one_before_it() {
    let resiliency = with(&document("mine", BREAKS));
    let bad =
        document("mine", &BREAKS.replace(">= 1", ">=")) + &document("other", &(retries(&[("r", 1)]) + "targets: { apps: { o: { retry: r } } }\n"));
    resiliency.apply(&read(&bad).resiliencies);
    let why = resiliency.refused();
    assert!(why["mine"].starts_with("invalid circuit breaker configuration \"b\": trip: "), "{why:?}");
    attempts(resiliency.app("a", "m")).await;
    assert_eq!(attempts(resiliency.app("a", "m")).await, 0);
    assert_eq!(attempts(resiliency.app("o", "m")).await, 2);
    resiliency.apply(&read(&document("mine", BREAKS)).resiliencies);
    assert!(resiliency.refused().is_empty());
    assert_eq!(attempts(resiliency.app("o", "m")).await, 1);
}

#[test]
fn names_that_lead_nowhere_are_told() {
    let yaml = document("mine", "policies: { circuitBreakers: { b: { trip: failures > 1 } } }\ntargets: { apps: { a: { retry: lost } } }\n");
    let resiliency = with(&yaml);
    let remarks = resiliency.set.load().remarks();
    assert_eq!(remarks.len(), 2, "{remarks:?}");
    assert!(remarks[0].contains("app a names the retry lost") && remarks[1].contains("refers to failures"), "{remarks:?}");
}
