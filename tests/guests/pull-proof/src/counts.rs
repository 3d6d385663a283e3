//! Which calls came while a `receive` waited in the same instance.

use std::cell::Cell;
use std::rc::Rc;

/// Numbers since the instance began, and how many calls are open now.
#[derive(Default)]
pub struct Counts {
    waiting: Cell<u32>,
    open: Cell<u32>,
    /// The most calls that were open at one time.
    pub most_open: Cell<u32>,
    /// The most receives that waited at one time: more than one means several subscriptions.
    pub most_waiting: Cell<u32>,
    pub subscribed: Cell<u32>,
    pub published: Cell<u32>,
    pub settled: Cell<u32>,
    pub received: Cell<u32>,
}

/// Counts one call until it is dropped.
pub struct Open {
    counts: Rc<Counts>,
    waits: bool,
}

fn add(cell: &Cell<u32>) -> u32 {
    cell.set(cell.get() + 1);
    cell.get()
}

impl Counts {
    /// A call begins. When a receive waits meanwhile, `kind` grows.
    pub fn begin(self: &Rc<Self>, kind: impl Fn(&Self) -> &Cell<u32>, waits: bool) -> Open {
        if self.waiting.get() > 0 {
            add(kind(self));
        }
        self.most_open.set(self.most_open.get().max(add(&self.open)));
        if waits {
            self.most_waiting.set(self.most_waiting.get().max(add(&self.waiting)));
        }
        Open { counts: self.clone(), waits }
    }

    /// Names (fit for CloudEvents attributes) and values.
    pub fn report(&self) -> Vec<(String, String)> {
        [
            ("proofopen", &self.most_open),
            ("proofwaiting", &self.most_waiting),
            ("proofsubscribed", &self.subscribed),
            ("proofpublished", &self.published),
            ("proofsettled", &self.settled),
            ("proofreceived", &self.received),
        ]
        .map(|(name, value)| (name.to_owned(), value.get().to_string()))
        .to_vec()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.counts.open.set(self.counts.open.get() - 1);
        if self.waits {
            self.counts.waiting.set(self.counts.waiting.get() - 1);
        }
    }
}
