//! A ledger per broker: what was published arrives, whatever happens to the sidecar, its configuration and the broker meanwhile.
//!
//! Eight lanes from four publishers. A message counts once its publish was acknowledged; until then its publisher repeats it, and the lane's
//! next one waits. Meanwhile, spread over the run and in random order, the sidecar is killed and started again, the component's YAML and
//! `.wasm` are swapped, a field is changed, and the broker is restarted. None may be missing. What came twice, and what came late, is
//! counted and printed with its reason.
//!
//! `PROA_LEDGER` says how many messages (default 1000), `PROA_LEDGER_BLOWS` how many disturbances (default 4), `PROA_LEDGER_RESTARTS` how many
//! restarts of the broker (default 1), `PROA_LEDGER_SEED` repeats an order. The full run:
//! `PROA_LEDGER=50000 PROA_LEDGER_BLOWS=30 PROA_LEDGER_RESTARTS=3 cargo test --release -p proa-suites --test reload ledger:: -- --nocapture --test-threads 1`

#[path = "ledger/book.rs"]
mod book;
#[path = "ledger/case.rs"]
mod case;
#[path = "ledger/publishers.rs"]
mod publishers;

use std::sync::Arc;
use std::time::{Duration, Instant};

use proa_harness::{Answer, App, Wire, against_dapr, free_port};
use tokio::sync::RwLock;

use crate::number;
use crate::process::tail;
use book::Book;
use case::{Blow, Case, Kind};
use publishers::Publishers;

const LANES: usize = 8;
const PUBLISHERS: usize = 4;

/// How long nothing may arrive in the end before what is missing counts as lost.
const QUIET: Duration = Duration::from_secs(60);
/// How long the next disturbance may be waited for.
const STALLED: Duration = Duration::from_secs(180);

/// Small and repeatable.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let seed = number("PROA_LEDGER_SEED").unwrap_or_else(|| Instant::now().elapsed().as_nanos() as u64 ^ u64::from(free_port()) << 16);
        println!("ledger: PROA_LEDGER_SEED={seed}");
        Self(seed | 1)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

/// Each kind as often as any other, in random order, and the restarts of the broker among them.
fn plan(blows: usize, restarts: usize, dice: &mut Dice) -> Vec<Blow> {
    let kinds = [Blow::Kill, Blow::Revision, Blow::Field, Blow::Module];
    let mut plan: Vec<Blow> = (0..blows).map(|n| kinds[n % kinds.len()]).collect();
    for at in (1..plan.len()).rev() {
        plan.swap(at, dice.below(at + 1));
    }
    for n in (0..restarts).rev() {
        plan.insert(((2 * n + 1) * blows / (2 * restarts)).min(plan.len()), Blow::Broker);
    }
    plan
}

async fn ledger(kind: Kind) {
    if against_dapr() {
        return;
    }
    let (messages, blows, restarts) =
        (number("PROA_LEDGER").unwrap_or(1000), number("PROA_LEDGER_BLOWS").unwrap_or(4), number("PROA_LEDGER_RESTARTS").unwrap_or(1));
    let mut dice = Dice::new();
    let plan = plan(blows, restarts, &mut dice);
    let each = (messages / LANES) as u64;
    let book = Arc::new(Book::default());
    let app = App::start().await;
    let taken = book.clone();
    app.on("/ledger", move |request| {
        let data = &request.json()["data"];
        taken.enter(data["lane"].as_u64().expect("a lane") as usize, data["n"].as_u64().expect("a number"));
        Answer::ok()
    });
    let mut case = Case::new(kind).await;
    let mut running = case.start(&app).await;
    let api = Arc::new(RwLock::new(running.api(Wire::Http).await));
    let begun = Instant::now();
    let publishers = Publishers::start(&api, &case, each);
    for (at, blow) in plan.iter().enumerate() {
        let share = at * 1000 + 500 + dice.below(500);
        let due = (share as u64 * each * LANES as u64) / (1000 * (plan.len() as u64 + 1));
        publishers.reached(due, STALLED).await;
        let struck = Instant::now();
        if *blow == Blow::Kill {
            running.signal(libc::SIGKILL);
            running = case.start(&app).await;
            *api.write().await = running.api(Wire::BOTH[at % 2]).await;
        } else {
            case.strike(*blow, &running).await;
        }
        println!("ledger {kind:?}: after {:.1} s {blow:?}, in {:.1} s", begun.elapsed().as_secs_f64(), struck.elapsed().as_secs_f64());
    }
    let repeated = publishers.finish().await;
    let published = begun.elapsed();
    book.complete(each, QUIET).await;
    let sum = book.sum(each);
    let times = |blow: Blow| plan.iter().filter(|b| **b == blow).count();
    println!(
        "ledger {kind:?}: {} messages in {LANES} lanes from {PUBLISHERS} publishers; {} kills, {} revisions, {} changed fields, {} modules, {} restarts of the broker; {} lost; published in {:.1} s, all there after {:.1} s",
        each * LANES as u64,
        times(Blow::Kill),
        times(Blow::Revision),
        times(Blow::Field),
        times(Blow::Module),
        times(Blow::Broker),
        sum.missing,
        published.as_secs_f64(),
        begun.elapsed().as_secs_f64()
    );
    println!("ledger {kind:?}: {} deliveries of what had come before: {}", sum.again, case.why_again(repeated));
    println!("ledger {kind:?}: {} came behind a later one of their lane: {}", sum.late, case.why_late());
    assert_eq!(sum.missing, 0, "{kind:?}: lost {:?}\nlog:\n{}", book.missing(each), tail(&running, 60));
    assert!(case.may_be_late() || sum.late == 0, "{kind:?}: out of order: {:?}\nlog:\n{}", book.late(), tail(&running, 60));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis() {
    ledger(Kind::Redis).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq() {
    ledger(Kind::RabbitMq).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jetstream() {
    ledger(Kind::JetStream).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mqtt3() {
    ledger(Kind::Mqtt).await;
}

#[test]
fn a_plan_has_every_kind_of_blow() {
    let plan = plan(30, 3, &mut Dice(7));
    assert_eq!(plan.len(), 33);
    assert_eq!(plan.iter().filter(|blow| **blow == Blow::Broker).count(), 3);
    assert!([Blow::Kill, Blow::Revision, Blow::Field, Blow::Module].iter().all(|kind| plan.iter().filter(|blow| blow == &kind).count() >= 7));
}
