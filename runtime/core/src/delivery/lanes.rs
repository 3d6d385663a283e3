//! Messages of one lane go one after the other, lanes side by side.

use super::pull::{Held, Job};
use super::work::Hands;
use std::collections::HashMap;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;
use tokio_util::sync::CancellationToken;

/// Lanes remembered before those without a message on its way are forgotten.
const REMEMBERED: usize = 1024;

/// The last message of each lane that is still on its way.
pub(super) struct Lanes {
    tails: HashMap<String, oneshot::Receiver<()>>,
    /// Set when the subscription ends: what still waits for its turn is left to the successor.
    over: CancellationToken,
    hands: Hands,
}

impl Lanes {
    pub fn new(over: CancellationToken, hands: Hands) -> Self {
        Self { tails: HashMap::new(), over, hands }
    }

    /// Hands a message on; one of a lane waits for the one before it.
    pub fn dispatch(&mut self, job: &Job, (message, place): Held) {
        let (done, before) = match message.lane.as_ref().filter(|_| job.target.ordered()) {
            None => (None, None),
            Some(lane) => {
                if self.tails.len() > REMEMBERED {
                    self.tails.retain(|_, tail| matches!(tail.try_recv(), Err(TryRecvError::Empty)));
                }
                let (done, tail) = oneshot::channel();
                (Some(done), self.tails.insert(lane.clone(), tail))
            }
        };
        let (job, over) = (job.clone(), self.over.clone());
        self.hands.take_up(async move {
            if let Some(before) = before {
                // Ends with its sender, however that one ended.
                let _ = before.await;
                if over.is_cancelled() {
                    // Not settled: the broker hands it out again, and nobody has seen it twice.
                    return;
                }
            }
            let id = message.id.clone();
            let verdict = job.target.handle(&job.runtime, &job.slot, message, &over).await;
            if let Some(verdict) = verdict {
                // The settler is gone only with the generation; the broker will hand the message out again.
                let _ = job.verdicts.send((id, verdict)).await;
            }
            // Only now: the broker should hear of the messages of a lane in their order.
            drop(done);
            drop(place);
        });
    }
}
