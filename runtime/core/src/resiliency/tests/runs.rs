use super::*;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const SPEC: &str = r#"policies:
  timeouts: { short: 20ms }
  retries:
    twice: { policy: constant, duration: 1ms, maxRetries: 2 }
    slowly: { policy: constant, duration: 1h, maxRetries: -1 }
    listed: { policy: constant, duration: 1ms, maxRetries: 2, matching: { httpStatusCodes: "500-599", gRPCStatusCodes: "14" } }
    never: { policy: constant, duration: 1ms, maxRetries: 0 }
  circuitBreakers:
    third: { maxRequests: 1, timeout: 60s, trip: consecutiveFailures >= 3 }
targets:
  apps:
    twice: { retry: twice }
    slowly: { retry: slowly }
    listed: { retry: listed }
    never: { retry: never }
    all: { timeout: short, retry: twice, circuitBreaker: third }
    breaks: { retry: slowly, circuitBreaker: third }
    short: { timeout: short }
"#;

type Outcome = Result<u32, i32>;

fn judge(outcome: &Outcome) -> Verdict {
    match outcome {
        Ok(_) => Verdict::Success,
        Err(0) => Verdict::Failure,
        Err(-1) => Verdict::Permanent,
        Err(code) => Verdict::Code(*code),
    }
}

/// Runs under the policies of an app; the n-th attempt (from one) ends as `end` says. Also the number of attempts.
async fn run(resiliency: &Resiliency, app: &str, end: impl Fn(u32) -> Outcome) -> (Result<Outcome, Stopped>, u32) {
    let attempts = AtomicU32::new(0);
    let policy1 = resiliency.app(app, "method");
    let outcome = policy1.run(judge, |number| {
        let attempts = attempts.fetch_add(1, Ordering::Relaxed) + 1;
        assert_eq!(number, attempts);
        std::future::ready(end(number))
    });
    let outcome = outcome.await;
    (outcome, attempts.into_inner())
}

#[tokio::test]
async fn failures_are_tried_again_until_they_are_none() {
    let resiliency = with(&document("mine", SPEC));
    assert_eq!(run(&resiliency, "twice", |n| if n < 3 { Err(0) } else { Ok(n) }).await, (Ok(Ok(3)), 3));
    assert_eq!(run(&resiliency, "twice", |_| Err(0)).await, (Ok(Err(0)), 3));
    assert_eq!(run(&resiliency, "twice", |_| Err(-1)).await, (Ok(Err(-1)), 1));
    assert_eq!(run(&resiliency, "never", |_| Err(0)).await, (Ok(Err(0)), 1));
    assert_eq!(run(&resiliency, "nobody", |_| Err(0)).await, (Ok(Err(0)), 1));
    assert!(resiliency.app("twice", "m").retries() && !resiliency.app("never", "m").retries() && !resiliency.app("nobody", "m").retries());
    let labels = r#"{app_id="me",flow_direction="outbound",name="mine",namespace="",policy="retry",status="",target="app_twice"}"#;
    assert_eq!(value(&resiliency, &format!("dapr_resiliency_count{labels}")).as_deref(), Some("3"));
    assert_eq!(value(&resiliency, &format!("dapr_resiliency_activations_total{labels}")).as_deref(), Some("2"));
    assert_eq!(value(&resiliency, r#"dapr_resiliency_loaded{app_id="me",name="mine",namespace=""}"#).as_deref(), Some("1"));
}

#[tokio::test]
async fn lists_say_which_codes_are_tried_again() {
    let resiliency = with(&document("mine", SPEC));
    for (code, attempts) in [(503, 3), (404, 1), (14, 3), (3, 1), (0, 3), (20, 1)] {
        assert_eq!(run(&resiliency, "listed", |_| Err(code)).await.1, attempts, "{code}");
    }
    assert_eq!(run(&resiliency, "twice", |_| Err(404)).await.1, 3);
}

#[tokio::test]
async fn each_attempt_has_its_own_time() {
    let resiliency = with(&document("mine", SPEC));
    let begun = Instant::now();
    let policy2 = resiliency.app("short", "m");
    let slow = policy2.run(judge, |_| async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        Ok(1)
    });
    assert_eq!(slow.await, Err(Stopped::Timeout));
    assert!(begun.elapsed() < Duration::from_secs(10));
    let policy3 = resiliency.app("all", "m");
    let late_once = policy3.run(judge, |number| async move {
        if number == 1 {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        Ok(number)
    });
    assert_eq!(late_once.await, Ok(Ok(2)));
    let labels = r#"{app_id="me",flow_direction="outbound",name="mine",namespace="",policy="timeout",status="",target="app_all"}"#;
    assert_eq!(value(&resiliency, &format!("dapr_resiliency_activations_total{labels}")).as_deref(), Some("1"));
}

#[tokio::test]
async fn an_open_breaker_ends_the_retries() {
    let resiliency = with(&document("mine", SPEC));
    // Three attempts fail, which opens it; the retries of the next run see it open.
    assert_eq!(run(&resiliency, "all", |_| Err(0)).await, (Ok(Err(0)), 3));
    assert_eq!(run(&resiliency, "all", Ok).await, (Err(Stopped::Open), 0));
    let policy4 = resiliency.app("all", "another");
    let other = policy4.run(judge, |n| std::future::ready(Ok(n)));
    assert_eq!(other.await, Ok(Ok(1)), "a breaker for each endpoint");
    let state = |state: &str| {
        let labels = r#"app_id="me",flow_direction="outbound",name="mine",namespace="",policy="circuitbreaker""#;
        value(&resiliency, &format!(r#"dapr_resiliency_activations_total{{{labels},status="{state}",target="app_all"}}"#))
    };
    assert_eq!((state("open").as_deref(), state("closed")), (Some("1"), None));
}

#[tokio::test]
async fn nothing_begins_after_the_end() {
    let resiliency = with(&document("mine", SPEC));
    let (end, attempts) = (CancellationToken::new(), AtomicU32::new(0));
    let policy = resiliency.app("slowly", "m");
    let running = policy.run_until(Some(&end), judge, |_| {
        attempts.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Outcome::Err(0))
    });
    let ending = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        end.cancel();
    };
    assert_eq!(tokio::join!(running, ending).0, Err(Stopped::Ended));
    assert_eq!(attempts.into_inner(), 1);
}

#[tokio::test]
async fn a_caller_that_leaves_is_a_failure() {
    let resiliency = with(&document("mine", SPEC));
    let policy = resiliency.app("breaks", "method");
    for _ in 0..3 {
        let endless = policy.run(judge, |_| std::future::pending::<Outcome>());
        assert!(tokio::time::timeout(Duration::from_millis(5), endless).await.is_err());
    }
    assert_eq!(run(&resiliency, "breaks", Ok).await, (Err(Stopped::Open), 0));
}

#[test]
fn a_spare_is_kept_as_long_as_it_can_be_copied() {
    let once = Spare::new(1, |_| None);
    assert!(once.is_left());
    assert_eq!((once.take(), once.is_left(), once.take()), (Some(1), false, None));
    let many = Spare::new(1, |n| Some(n + 1));
    assert_eq!((many.take(), many.take(), many.is_left()), (Some(1), Some(2), true));
}
