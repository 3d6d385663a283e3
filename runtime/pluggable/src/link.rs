//! The way to one initialised component. When its process goes away and another takes its socket, that one is initialised with the same
//! metadata before any call reaches it.
//!
//! Calls that come while the process is away wait for its return, for a few seconds from the moment it went; a call that was on its way
//! is answered with an error, because nobody knows what became of it.

use crate::status::{self, Failure};
use crate::wire::{Instance, Wire, dial, never_left};
use futures::future::BoxFuture;
use proa_host::CallError;
use proa_host::generation::Stats;
use proa_model::error::Grpc;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

/// How long after its loss calls wait for a component to come back.
const PATIENCE: Duration = Duration::from_secs(5);
/// The first and the longest pause between two attempts to connect.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));
/// How long the news of a lost connection may lag behind the failure of a call.
const LAG: Duration = Duration::from_millis(50);
/// How often a call that never left is sent again.
const ATTEMPTS: u32 = 3;

/// What a component said when it was initialised.
#[derive(Clone, Debug, Default)]
pub struct Welcome {
    pub features: Vec<String>,
    pub operations: Vec<String>,
}

/// Initialises what answers on a connection.
pub type Greet = Arc<dyn Fn(Wire) -> BoxFuture<'static, Result<Welcome, tonic::Status>> + Send + Sync>;

/// What a link is made from.
pub struct Plan {
    pub socket: PathBuf,
    /// The component's name.
    pub name: String,
    pub greet: Greet,
    pub init_timeout: Duration,
    pub call_timeout: Duration,
    pub stats: Arc<Stats>,
}

/// A connection that was greeted.
#[derive(Clone)]
pub struct Session {
    pub wire: Wire,
    pub gone: CancellationToken,
    pub welcome: Arc<Welcome>,
}

#[derive(Clone)]
enum State {
    Up(Session),
    Down { since: Instant, why: Arc<str> },
}

/// See the module's text.
pub struct Link {
    plan: Arc<Plan>,
    state: watch::Receiver<State>,
    keeper: AbortHandle,
    running: AtomicUsize,
    kill: CancellationToken,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// Connects and greets.
async fn open(plan: &Plan) -> Result<Session, String> {
    let (wire, gone) = dial(&plan.socket, Instance::new(&plan.name)).await?;
    let welcome = (plan.greet)(wire.clone()).await.map_err(|s| status::text(&s))?;
    Ok(Session { wire, gone, welcome: Arc::new(welcome) })
}

impl Link {
    /// The first connection; the caller sets the deadline.
    pub async fn open(plan: Plan) -> Result<Self, String> {
        let plan = Arc::new(plan);
        let session = open(&plan).await?;
        let (sender, state) = watch::channel(State::Up(session.clone()));
        let keeper = tokio::spawn(keep(plan.clone(), session, sender)).abort_handle();
        Ok(Self { plan, state, keeper, running: AtomicUsize::new(0), kill: CancellationToken::new() })
    }

    pub fn name(&self) -> &str {
        &self.plan.name
    }

    /// What the component said of itself last.
    pub fn welcome(&self) -> Option<Arc<Welcome>> {
        match &*self.state.borrow() {
            State::Up(session) => Some(session.welcome.clone()),
            State::Down { .. } => None,
        }
    }

    pub fn idle(&self) -> bool {
        self.running.load(Ordering::Relaxed) == 0
    }

    pub fn kill(&self) {
        self.kill.cancel();
    }

    /// Waits until the component can be called, or until that has taken too long.
    pub async fn ready(&self) {
        let _ = timeout(Duration::from_secs(1), self.session()).await;
    }

    /// A connection that takes calls; waits for one while the component is on its way back.
    pub async fn session(&self) -> Result<Session, CallError> {
        let mut state = self.state.clone();
        let asked = Instant::now();
        loop {
            let (since, why) = match &*state.borrow_and_update() {
                State::Up(session) if !session.gone.is_cancelled() => return Ok(session.clone()),
                State::Up(_) => (asked, "connection lost".into()),
                State::Down { since, why } => (*since, why.clone()),
            };
            let changed = timeout_at(since + PATIENCE, state.changed()).await;
            if !matches!(changed, Ok(Ok(()))) {
                return Err(status::told(Grpc::Unavailable, &why));
            }
        }
    }

    /// One call within the call timeout. What the component itself answered as a failure is left to the caller.
    pub async fn call<Q, R, F, Fut>(&self, request: Q, send: F) -> Result<R, Failure>
    where
        Q: Clone,
        F: Fn(Wire, Q) -> Fut,
        Fut: Future<Output = Result<tonic::Response<R>, tonic::Status>>,
    {
        self.running.fetch_add(1, Ordering::Relaxed);
        let _done = Done(&self.running);
        self.plan.stats.calls.fetch_add(1, Ordering::Relaxed);
        let limit = self.plan.call_timeout;
        tokio::select! {
            outcome = timeout(limit, self.attempts(request, send)) => match outcome {
                Ok(outcome) => outcome,
                Err(_) => {
                    self.plan.stats.deadlines.fetch_add(1, Ordering::Relaxed);
                    Err(CallError::Deadline(limit).into())
                }
            },
            () = self.kill.cancelled() => Err(CallError::Trapped("its calls did not end in time".into()).into()),
        }
    }

    async fn attempts<Q, R, F, Fut>(&self, request: Q, send: F) -> Result<R, Failure>
    where
        Q: Clone,
        F: Fn(Wire, Q) -> Fut,
        Fut: Future<Output = Result<tonic::Response<R>, tonic::Status>>,
    {
        for _ in 0..ATTEMPTS {
            let session = self.session().await?;
            let failure = match send(session.wire.clone(), request.clone()).await {
                Ok(response) => return Ok(response.into_inner()),
                Err(status) => status,
            };
            if never_left(&failure) {
                continue;
            }
            let from_the_peer = std::error::Error::source(&failure).is_none();
            if from_the_peer || timeout(LAG, session.gone.cancelled()).await.is_err() {
                return Err(Failure::Answered(failure));
            }
            return Err(CallError::Trapped(format!("connection lost: {}", failure.message()).into()).into());
        }
        Err(CallError::NotStarted("its connections do not last".into()).into())
    }
}

struct Done<'a>(&'a AtomicUsize);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Opens the next connection whenever one is gone, until the link is dropped.
async fn keep(plan: Arc<Plan>, mut session: Session, state: watch::Sender<State>) {
    let socket = plan.socket.display();
    loop {
        session.gone.cancelled().await;
        let since = Instant::now();
        let mut why: Arc<str> = "connection lost".into();
        tracing::warn!(target: "proa.component", component = %plan.name, "component at socket {socket} is gone: its calls wait for its return");
        let mut pause = BACKOFF.0;
        session = loop {
            state.send_replace(State::Down { since, why });
            why = match timeout(plan.init_timeout, open(&plan)).await {
                Ok(Ok(session)) => break session,
                Ok(Err(why)) => why.into(),
                Err(_) => format!("socket {socket} does not answer").into(),
            };
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(BACKOFF.1);
        };
        plan.stats.restarts.fetch_add(1, Ordering::Relaxed);
        tracing::info!(target: "proa.component", component = %plan.name, "component at socket {socket} is back and initialised");
        state.send_replace(State::Up(session.clone()));
    }
}
