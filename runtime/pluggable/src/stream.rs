//! What subscriptions and input bindings have in common: a bounded inbox, and a ledger of what is handed out and not settled yet.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a stream outlives its last answer, so that it arrives.
const LINGER: Duration = Duration::from_millis(400);

/// A bounded queue that is taken from in batches. Whoever puts in waits for room.
pub struct Inbox<T> {
    queue: Mutex<Queue<T>>,
    arrived: Notify,
    room: Semaphore,
}

struct Queue<T> {
    items: VecDeque<T>,
    /// Why nothing more comes.
    closed: Option<String>,
}

impl<T> Inbox<T> {
    pub fn new(window: usize) -> Self {
        let queue = Queue { items: VecDeque::new(), closed: None };
        Self { queue: Mutex::new(queue), arrived: Notify::new(), room: Semaphore::new(window.clamp(1, 1024)) }
    }

    pub async fn put(&self, item: T) {
        if let Ok(permit) = self.room.acquire().await {
            permit.forget();
        }
        if let Ok(mut queue) = self.queue.lock() {
            queue.items.push_back(item);
        }
        self.arrived.notify_one();
    }

    pub fn close(&self, why: String) {
        if let Ok(mut queue) = self.queue.lock() {
            queue.closed.get_or_insert(why);
        }
        self.arrived.notify_one();
    }

    /// What is there, at most `max`; the error when nothing is and nothing more comes.
    pub fn take(&self, max: usize) -> Result<Vec<T>, String> {
        let Ok(mut queue) = self.queue.lock() else { return Ok(Vec::new()) };
        if queue.items.is_empty()
            && let Some(why) = &queue.closed
        {
            return Err(why.clone());
        }
        let count = queue.items.len().min(max.max(1));
        let items: Vec<T> = queue.items.drain(..count).collect();
        self.room.add_permits(items.len());
        Ok(items)
    }

    /// Waits for the first item, for `wait` at most and not beyond the end.
    pub async fn receive(&self, max: usize, wait: Duration, ending: &CancellationToken) -> Result<Vec<T>, String> {
        let deadline = Instant::now() + wait;
        loop {
            if ending.is_cancelled() {
                return Ok(Vec::new());
            }
            let items = self.take(max)?;
            if !items.is_empty() {
                return Ok(items);
            }
            tokio::select! {
                () = self.arrived.notified() => {}
                () = ending.cancelled() => {}
                () = tokio::time::sleep_until(deadline) => return Ok(Vec::new()),
            }
        }
    }
}

/// What is handed out under ids of ours; the component's own need not be unique.
pub struct Ledger {
    open: Mutex<Open>,
    count: watch::Sender<usize>,
    /// Nothing more is to be handed out.
    pub ending: CancellationToken,
    /// The stream is closed.
    pub over: CancellationToken,
}

#[derive(Default)]
struct Open {
    last: u64,
    ids: HashMap<u64, String>,
    settled: Option<Instant>,
}

impl Ledger {
    pub fn new() -> Self {
        Self { open: Mutex::default(), count: watch::Sender::new(0), ending: CancellationToken::new(), over: CancellationToken::new() }
    }

    pub fn idle(&self) -> bool {
        self.over.is_cancelled() || *self.count.borrow() == 0
    }

    pub fn hand_out(&self, theirs: String) -> String {
        let Ok(mut open) = self.open.lock() else { return String::new() };
        open.last += 1;
        let id = open.last;
        open.ids.insert(id, theirs);
        self.count.send_replace(open.ids.len());
        id.to_string()
    }

    /// The component's id; none when it is not handed out.
    pub fn look_up(&self, id: &str) -> Option<String> {
        self.open.lock().ok()?.ids.get(&id.parse().ok()?).cloned()
    }

    /// The answer is on its way.
    pub fn settled(&self, id: &str) {
        let Ok(mut open) = self.open.lock() else { return };
        if let Ok(id) = id.parse::<u64>() {
            open.ids.remove(&id);
        }
        open.settled = Some(Instant::now());
        self.count.send_replace(open.ids.len());
    }

    /// Resolves when an ended stream is needed no more: all is settled, and the last answer had its time to arrive.
    pub async fn drained(&self) {
        self.ending.cancelled().await;
        let mut count = self.count.subscribe();
        // The sender lives as long as this.
        let _ = count.wait_for(|count| *count == 0).await;
        let settled = self.open.lock().ok().and_then(|open| open.settled);
        if let Some(settled) = settled {
            tokio::time::sleep_until(settled + LINGER).await;
        }
    }

    /// Nothing that is handed out will be settled any more.
    pub fn give_up(&self) {
        let Ok(mut open) = self.open.lock() else { return };
        open.ids.clear();
        self.count.send_replace(0);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn an_inbox_bounds_what_waits() {
        let inbox = Arc::new(Inbox::new(2));
        let filling = inbox.clone();
        let task = tokio::spawn(async move {
            for n in 0..5 {
                filling.put(n).await;
            }
            filling.close("done".into());
        });
        let ending = CancellationToken::new();
        let mut all = Vec::new();
        while let Ok(batch) = inbox.receive(10, Duration::from_secs(5), &ending).await {
            assert!(batch.len() <= 2, "{batch:?}");
            all.extend(batch);
        }
        assert_eq!(all, [0, 1, 2, 3, 4]);
        task.await.unwrap();
    }

    #[tokio::test]
    async fn a_ledger_is_drained_when_all_is_settled() {
        let ledger = Arc::new(Ledger::new());
        let (a, b) = (ledger.hand_out("same".into()), ledger.hand_out("same".into()));
        ledger.ending.cancel();
        let waiting = {
            let ledger = ledger.clone();
            tokio::spawn(async move { ledger.drained().await })
        };
        assert_eq!((ledger.look_up(&a), ledger.look_up("9")), (Some("same".into()), None));
        ledger.settled(&a);
        assert!(!ledger.idle());
        ledger.settled(&b);
        let begun = Instant::now();
        waiting.await.unwrap();
        assert!(begun.elapsed() >= LINGER - Duration::from_millis(50));
    }
}
