//! A sidecar that is killed between every two steps of the outbox: no event without its state, no state without its event.
//!
//! Its steps are commands to Redis, so a proxy before the broker (and one before the store, where that is Redis too) kills it right
//! before a step reaches the server, or once the step is done and before the sidecar knows. SQLite's steps lie inside the sidecar: there the
//! moments around their neighbours are the ones between. `PROA_OUTBOX_TRANSACTIONS` sets how many transactions each case tries.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::future::join_all;
use proa_harness::redis::{Fate, Moment, Proxy, Value as Reply, Words};
use proa_harness::{Answer, App, Redis, Sidecar, SidecarBuilder, Wire, against_dapr, component, subscription, until};
use serde_json::{Value, json};

use crate::outbox::{Item, transact};

const INTERNAL: &str = "defaultappordersoutbox";
/// How long one transaction may take to reach the step at which its sidecar is killed.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the outbox does for a transaction, in this order. The broker sees the first, third and last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// The internal message is published.
    Announce,
    /// The state and the markers are saved.
    Commit,
    /// The event is published.
    Tell,
    /// The marker is deleted.
    Forget,
    /// The internal message is settled.
    Settle,
}

impl Step {
    /// What a command is of it; nothing for reads and for what is not the outbox's.
    fn of(command: &Words) -> Option<Self> {
        let word = |at: usize| command.get(at).map(Vec::as_slice).unwrap_or_default();
        let has = |wanted: &[u8]| command.iter().any(|word| word == wanted);
        match (word(0), word(1)) {
            (b"XADD", topic) if topic == INTERNAL.as_bytes() => Some(Self::Announce),
            (b"XADD", b"orders") => Some(Self::Tell),
            (b"XACK", topic) if topic == INTERNAL.as_bytes() => Some(Self::Settle),
            (b"EVAL" | b"EVALSHA", _) if has(b"set") => Some(Self::Commit),
            (b"EVAL" | b"EVALSHA", _) if has(b"del") => Some(Self::Forget),
            _ => None,
        }
    }
}

/// The next end of the sidecar.
#[derive(Clone, Copy)]
struct Trap {
    moment: Moment,
    step: Step,
    /// How often it goes well before.
    skip: usize,
    pid: u32,
}

/// Kills where it is told to, and counts.
#[derive(Default)]
struct Reaper {
    trap: Mutex<Option<Trap>>,
    killed: Mutex<BTreeMap<(Step, Moment), usize>>,
}

impl Reaper {
    fn see(&self, moment: Moment, command: &Words) -> Fate {
        let Some(step) = Step::of(command) else { return Fate::Pass };
        let mut set = self.trap.lock().expect("trap");
        let Some(trap) = set.as_mut().filter(|trap| (trap.step, trap.moment) == (step, moment)) else { return Fate::Pass };
        if trap.skip > 0 {
            trap.skip -= 1;
            return Fate::Pass;
        }
        // SAFETY: kill(2) takes plain numbers; the pid is our own child, which is not reaped before its end was waited for.
        unsafe { libc::kill(trap.pid as i32, libc::SIGKILL) };
        *set = None;
        *self.killed.lock().expect("kills").entry((step, moment)).or_default() += 1;
        Fate::Cut
    }

    async fn proxy(self: &Arc<Self>, redis: &Redis) -> Proxy {
        let reaper = self.clone();
        Proxy::start(&redis.host(), move |moment, command| reaper.see(moment, command)).await
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Store {
    Redis,
    Sqlite,
}

impl Store {
    fn steps(self) -> Vec<(Step, Moment)> {
        let steps = match self {
            Self::Redis => vec![Step::Announce, Step::Commit, Step::Tell, Step::Forget, Step::Settle],
            Self::Sqlite => vec![Step::Announce, Step::Tell, Step::Settle],
        };
        steps.into_iter().flat_map(|step| [(step, Moment::Before), (step, Moment::After)]).collect()
    }
}

/// Everything that outlives a sidecar.
struct World {
    redis: Redis,
    files: tempfile::TempDir,
    reaper: Arc<Reaper>,
    broker: Proxy,
    state: Proxy,
    app: App,
    /// The data of the events that the app got.
    told: Arc<Mutex<BTreeSet<String>>>,
    store: Store,
    projected: bool,
}

/// One transaction: its items, and whether it was answered for.
struct Tried {
    keys: Vec<String>,
    confirmed: bool,
}

impl World {
    async fn new(store: Store, projected: bool) -> Self {
        let (redis, reaper, app) = (Redis::start().await, Arc::new(Reaper::default()), App::start().await);
        let told: Arc<Mutex<BTreeSet<String>>> = Arc::default();
        let seen = told.clone();
        app.on("/orders", move |request| {
            seen.lock().expect("events").insert(data(&request.json()));
            Answer::ok()
        });
        let (broker, state) = (reaper.proxy(&redis).await, reaper.proxy(&redis).await);
        Self { redis, files: tempfile::tempdir().expect("folder"), reaper, broker, state, app, told, store, projected }
    }

    /// The last one of all gives up what has no state.
    fn sidecar(&self, last: bool) -> SidecarBuilder {
        let (state, broker, file) = (self.state.host(), self.broker.host(), self.files.path().join("state.db").display().to_string());
        let discard = ("outboxDiscardWhenMissingState", if last { "true" } else { "false" });
        let outbox = [("outboxPublishPubsub", "broker"), ("outboxPublishTopic", "orders"), discard];
        let (kind, place) = match self.store {
            Store::Redis => ("state.redis", ("redisHost", state.as_str())),
            Store::Sqlite => ("state.sqlite", ("connectionString", file.as_str())),
        };
        // Nothing is redelivered while it is being relayed, which takes up to ten seconds.
        let quick = [("redisHost", broker.as_str()), ("redeliverInterval", "100"), ("processingTimeout", "20000"), ("concurrency", "64")];
        Sidecar::builder()
            .resource(component("store", kind, &[&[place], &outbox[..]].concat()))
            .resource(component("broker", "pubsub.redis", &quick))
            .resource(subscription("orders", "broker", "orders", "/orders"))
            .app(&self.app)
    }

    /// Of so many starts one may find its port taken by a connection of somebody else's.
    async fn start(&self, last: bool) -> Sidecar {
        for _ in 0..3 {
            match self.sidecar(last).try_start().await {
                Ok(sidecar) => return sidecar,
                Err(stopped) => println!("outbox: a sidecar did not start: {}", stopped.logs.text().lines().last().unwrap_or_default()),
            }
        }
        panic!("three sidecars did not start")
    }

    /// What an event of `key` says.
    fn shown(&self, key: &str) -> String {
        if self.projected { format!("shown-{key}") } else { key.to_owned() }
    }

    async fn transact(&self, sidecar: &Sidecar, keys: Vec<String>) -> Tried {
        let shown: Vec<String> = keys.iter().map(|key| self.shown(key)).collect();
        let mut items: Vec<Item<'_>> = keys.iter().map(|key| (key.as_str(), json!(key), &[][..])).collect();
        if self.projected {
            items.extend(keys.iter().zip(&shown).map(|(key, shown)| (key.as_str(), json!(shown), &[("outbox.projection", "true")][..])));
        }
        let confirmed = transact(sidecar, Wire::Http, &items).await.is_ok();
        Tried { keys, confirmed }
    }

    /// Lets time pass for what dead sidecars had in their hands, so that the next one gets it at once: all of it, or what no more than
    /// `lives` of them had. What has no state only takes the time of the next one.
    async fn age(&self, lives: i64) {
        for topic in [INTERNAL, "orders"] {
            let Reply::List(rows) = self.redis.command(&["XPENDING", topic, "app", "-", "+", "10000"]).await else { continue };
            let id = |row: &Reply| if let Reply::List(row) = row { (row[3].int() <= lives).then(|| row[0].text().to_owned()) } else { None };
            let ids: Vec<String> = rows.iter().filter_map(id).collect();
            if !ids.is_empty() {
                let mut claim = vec!["XCLAIM", topic, "app", "dead", "0"];
                claim.extend(ids.iter().map(String::as_str));
                claim.extend(["IDLE", "60000", "JUSTID"]);
                self.redis.command(&claim).await;
            }
        }
    }

    /// Nothing of the internal topic is unread or unsettled.
    async fn is_quiet(&self) -> bool {
        let Reply::List(groups) = self.redis.command(&["XINFO", "GROUPS", INTERNAL]).await else { return false };
        let Some(Reply::List(fields)) = groups.first() else { return false };
        let of = |name: &str| fields.chunks(2).find(|pair| pair[0] == Reply::Text(name.into())).map(|pair| pair[1].clone());
        of("pending") == Some(Reply::Int(0)) && of("lag") == Some(Reply::Int(0))
    }

    /// The data of the events on the broker.
    async fn published(&self) -> BTreeSet<String> {
        let Reply::List(entries) = self.redis.command(&["XRANGE", "orders", "-", "+"]).await else { panic!("no stream") };
        let fields = entries.iter().map(|entry| if let Reply::List(parts) = entry { parts[1].clone() } else { Reply::Nil });
        let event = |fields| if let Reply::List(fields) = fields { serde_json::from_str(fields[1].text()).expect("an event") } else { Value::Null };
        fields.map(event).map(|event| data(&event)).collect()
    }

    async fn saved(&self, sidecar: &Sidecar, key: &str) -> bool {
        let reply = sidecar.http().get(&format!("/v1.0/state/store/{key}")).await;
        assert!(reply.status == 204 || reply.json() == json!(key), "{key}: {} {}", reply.status, reply.text());
        reply.status == 200
    }
}

fn data(event: &Value) -> String {
    event["data"].as_str().unwrap_or_else(|| panic!("an event without data: {event}")).to_owned()
}

/// One life of a sidecar. How many transactions it begins, how many items they have and which of them is the last one differ.
async fn round(world: &World, number: usize, numbers: &AtomicU32) -> Vec<Tried> {
    let steps = world.store.steps();
    let (step, moment) = steps[number % steps.len()];
    let (transactions, items) = (1 + number % 2, 1 + (number / steps.len()) % 2);
    let times = match step {
        Step::Settle => 1,
        Step::Commit => transactions,
        _ => transactions * items,
    };
    world.age(2).await;
    let sidecar = world.start(false).await;
    let skip = (number / steps.len()) % times;
    *world.reaper.trap.lock().expect("trap") = Some(Trap { moment, step, skip, pid: sidecar.pid() });
    let keys = |_| (0..items).map(|_| numbers.fetch_add(1, Ordering::Relaxed).to_string()).collect();
    let tried = join_all((0..transactions).map(keys).map(|keys| world.transact(&sidecar, keys))).await;
    let deadline = Instant::now() + PATIENCE;
    while world.reaper.trap.lock().expect("trap").is_some() {
        assert!(Instant::now() < deadline, "round {number} never came {moment:?} {step:?}, log:\n{}", sidecar.logs().text());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(sidecar.ended().await.code, None);
    tried
}

fn wanted() -> usize {
    std::env::var("PROA_OUTBOX_TRANSACTIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(40)
}

async fn killed_between_any_two_steps(store: Store, projected: bool) {
    if against_dapr() {
        return;
    }
    let (world, numbers, mut tried) = (World::new(store, projected).await, AtomicU32::new(0), Vec::new());
    let mut rounds = 0;
    while tried.len() < wanted() {
        tried.extend(round(&world, rounds, &numbers).await);
        rounds += 1;
    }
    world.age(i64::MAX).await;
    let sidecar = world.start(true).await;
    // What has no state is given up after ten seconds, so many at a time; everything else is relayed: then nothing is left.
    let limit = Duration::from_secs(60) + Duration::from_millis(300) * tried.len() as u32;
    until("the internal topic to be done with", limit, || async { world.is_quiet().await.then_some(()) }).await;
    let (mut saved, mut confirmed) = (BTreeSet::new(), 0);
    for one in &tried {
        let mut there = Vec::new();
        for key in &one.keys {
            there.push(world.saved(&sidecar, key).await);
            saved.extend(there.ends_with(&[true]).then(|| world.shown(key)));
        }
        assert!(there.iter().all(|t| *t == there[0]), "half a transaction: {:?} {there:?}", one.keys);
        assert!(there[0] || !one.confirmed, "answered for and not saved: {:?}", one.keys);
        confirmed += usize::from(one.confirmed);
    }
    let published = world.published().await;
    assert_eq!(published, saved, "events that were published, and those whose state is there");
    until("the app to have every event", Duration::from_secs(30), || async { (*world.told.lock().expect("events") == saved).then_some(()) }).await;
    assert_eq!(world.redis.command(&["KEYS", "*outbox-*"]).await, Reply::List(Vec::new()), "markers that nobody deletes");
    let killed = world.reaper.killed.lock().expect("kills").clone();
    println!("outbox: {} transactions, {confirmed} confirmed, {} items saved, {rounds} kills: {killed:?}", tried.len(), saved.len());
    for step in store.steps() {
        assert!(killed.get(&step).is_some_and(|count| *count > 0), "never killed at {step:?}: {killed:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_redis() {
    killed_between_any_two_steps(Store::Redis, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_redis_with_projections() {
    killed_between_any_two_steps(Store::Redis, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite() {
    killed_between_any_two_steps(Store::Sqlite, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_with_projections() {
    killed_between_any_two_steps(Store::Sqlite, true).await;
}
