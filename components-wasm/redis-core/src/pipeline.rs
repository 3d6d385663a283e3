//! One connection shared by all calls: what is queued in one turn leaves in one write; replies are matched to callers by order.
//!
//! A command costs two small allocations and no timer of its own: a clock ticks once a while for the whole connection and ends it when
//! the oldest command has waited too long. Commands on a broken connection all fail at once; nothing is sent twice here.

mod tasks;

use crate::connection::Connection;
use crate::{Command, Error, Settings, Value};
use proa_sdk::wit_bindgen::JoinHandle;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// Commands that may wait for replies, and bytes that may wait to be written.
const MAX_PENDING: usize = 20_000;
const MAX_QUEUED: usize = 64 * 1024 * 1024;

/// The shared connection. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Pipeline(Rc<Shared>);

/// Why a pipeline ended.
#[derive(Clone, Debug)]
pub(crate) enum End {
    Broken(Error),
    /// Too old, or unused for too long; it still answers what was asked.
    Retired,
}

struct Shared {
    queued: RefCell<Vec<u8>>,
    pending: RefCell<VecDeque<Entry>>,
    /// Counts the clock's turns; a command remembers when it came.
    tick: Cell<u32>,
    end: RefCell<Option<End>>,
    write_waker: Cell<Option<Waker>>,
    clock_waker: Cell<Option<Waker>>,
    end_waker: Cell<Option<Waker>>,
    tasks: RefCell<Vec<JoinHandle<()>>>,
}

struct Entry {
    want: u32,
    got: Vec<Value>,
    since: u32,
    reply: Rc<Reply>,
}

/// Where a caller finds its reply.
struct Reply(RefCell<State>);

enum State {
    Waiting(Option<Waker>),
    One(Value),
    Many(Vec<Value>),
    Failed(Error),
    Taken,
}

impl Reply {
    fn fulfil(&self, state: State) {
        if let State::Waiting(Some(waker)) = self.0.replace(state) {
            waker.wake();
        }
    }

    async fn wait(&self) -> Result<State, Error> {
        poll_fn(|cx| {
            let mut state = self.0.borrow_mut();
            if let State::Waiting(waker) = &mut *state {
                match waker {
                    Some(known) if known.will_wake(cx.waker()) => {}
                    _ => *waker = Some(cx.waker().clone()),
                }
                return Poll::Pending;
            }
            match std::mem::replace(&mut *state, State::Taken) {
                State::Failed(error) => Poll::Ready(Err(error)),
                state => Poll::Ready(Ok(state)),
            }
        })
        .await
    }
}

fn wake(slot: &Cell<Option<Waker>>) {
    if let Some(waker) = slot.take() {
        waker.wake();
    }
}

impl Pipeline {
    /// Takes the connection over; its tasks run until [`Pipeline::break_off`] or a failure.
    pub(crate) fn start(connection: Connection, settings: &Settings) -> Self {
        let shared = Rc::new(Shared {
            queued: RefCell::new(Vec::new()),
            pending: RefCell::new(VecDeque::new()),
            tick: Cell::new(0),
            end: RefCell::new(None),
            write_waker: Cell::new(None),
            clock_waker: Cell::new(None),
            end_waker: Cell::new(None),
            tasks: RefCell::new(Vec::new()),
        });
        let started = tasks::start(&shared, connection, settings);
        *shared.tasks.borrow_mut() = started;
        Self(shared)
    }

    /// Queues commands and waits for the one reply to each, in order.
    pub(crate) async fn run(&self, commands: &[&Command]) -> Result<Vec<Value>, Error> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        match self.enqueue(commands)?.wait().await? {
            State::One(value) => Ok(vec![value]),
            State::Many(values) => Ok(values),
            State::Waiting(_) | State::Failed(_) | State::Taken => Err(Error::Closed),
        }
    }

    /// One command. The reply is not judged: an error reply is a value.
    pub(crate) async fn run_one(&self, command: &Command) -> Result<Value, Error> {
        match self.enqueue(&[command])?.wait().await? {
            State::One(value) => Ok(value),
            State::Waiting(_) | State::Many(_) | State::Failed(_) | State::Taken => Err(Error::Closed),
        }
    }

    fn enqueue(&self, commands: &[&Command]) -> Result<Rc<Reply>, Error> {
        let shared = &*self.0;
        if let Some(End::Broken(error)) = &*shared.end.borrow() {
            return Err(error.clone());
        }
        let mut pending = shared.pending.borrow_mut();
        let mut queued = shared.queued.borrow_mut();
        if pending.len() >= MAX_PENDING || queued.len() >= MAX_QUEUED {
            return Err(Error::Busy);
        }
        for command in commands {
            command.write_to(&mut queued);
        }
        let reply = Rc::new(Reply(RefCell::new(State::Waiting(None))));
        pending.push_back(Entry { want: commands.len() as u32, got: Vec::new(), since: shared.tick.get(), reply: reply.clone() });
        drop((pending, queued));
        wake(&shared.write_waker);
        wake(&shared.clock_waker);
        Ok(reply)
    }

    /// Waits until the connection is lost, or due to be replaced.
    pub(crate) async fn ended(&self) -> End {
        poll_fn(|cx| match &*self.0.end.borrow() {
            Some(end) => Poll::Ready(end.clone()),
            None => {
                self.0.end_waker.set(Some(cx.waker().clone()));
                Poll::Pending
            }
        })
        .await
    }

    pub(crate) fn is_usable(&self) -> bool {
        self.0.end.borrow().is_none()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.0.pending.borrow().is_empty()
    }

    /// Ends the connection; whoever waits gets `error`.
    pub(crate) fn break_off(&self, error: Error) {
        self.0.break_off(error);
    }
}

impl Shared {
    fn is_broken(&self) -> bool {
        matches!(&*self.end.borrow(), Some(End::Broken(_)))
    }

    fn retire(&self) {
        self.end.borrow_mut().get_or_insert(End::Retired);
        wake(&self.end_waker);
    }

    fn break_off(&self, error: Error) {
        if self.is_broken() {
            return;
        }
        *self.end.borrow_mut() = Some(End::Broken(error.clone()));
        let pending = std::mem::take(&mut *self.pending.borrow_mut());
        for entry in pending {
            entry.reply.fulfil(State::Failed(error.clone()));
        }
        for mut task in self.tasks.take() {
            task.cancel();
        }
        wake(&self.end_waker);
    }

    /// Gives a reply to the command that has waited longest.
    fn deliver(&self, value: Value) -> Result<(), Error> {
        let mut pending = self.pending.borrow_mut();
        let Some(front) = pending.front_mut() else { return Err(value.unexpected()) };
        if front.want > 1 {
            if front.got.is_empty() {
                front.got.reserve_exact(front.want as usize);
            }
            front.got.push(value);
            if front.got.len() < front.want as usize {
                return Ok(());
            }
            let entry = pending.pop_front();
            drop(pending);
            if let Some(entry) = entry {
                entry.reply.fulfil(State::Many(entry.got));
            }
        } else {
            let entry = pending.pop_front();
            drop(pending);
            if let Some(entry) = entry {
                entry.reply.fulfil(State::One(value));
            }
        }
        Ok(())
    }
}
