//! What one subscription has under way: messages on their way to the application, and verdicts on their way to the broker.
//!
//! All of it is driven by the task of the subscription's loop. A task for each message and another one for the verdicts would rouse other
//! threads several times for every message, which costs more than what there is to compute.

use super::message::error_text;
use super::pull::WINDOW;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use proa_host::generation::Generation;
use proa_host::kinds::pubsub::Verdict;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::sync::mpsc;

pub(super) type Verdicts = mpsc::Sender<(String, Verdict)>;

/// Takes up work. There is no more of it than the window has places.
pub(super) struct Hands(mpsc::UnboundedSender<BoxFuture<'static, ()>>);

impl Hands {
    pub fn take_up(&self, work: impl Future<Output = ()> + Send + 'static) {
        // Nobody takes it up any more only when the loop itself is gone.
        let _ = self.0.send(Box::pin(work));
    }
}

/// The place for work, the one for verdicts, and the future that does both: it ends when both places are given up and all is done.
/// `guard` is held until then.
pub(super) fn begin<G: Send + 'static>(generation: Arc<Generation>, id: u64, guard: G) -> (Hands, Verdicts, BoxFuture<'static, ()>) {
    let (hands, begun) = mpsc::unbounded_channel();
    let (verdicts, reached) = mpsc::channel(WINDOW);
    let work = async move {
        tokio::join!(carry(begun), settle(generation, id, reached));
        drop(guard);
    };
    (Hands(hands), verdicts, Box::pin(work))
}

async fn carry(mut begun: mpsc::UnboundedReceiver<BoxFuture<'static, ()>>) {
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            work = begun.recv() => match work {
                // A message whose handling panics is left to the broker, and harms no other.
                Some(work) => under_way.push(AssertUnwindSafe(work).catch_unwind()),
                None => break,
            },
            Some(_) = under_way.next() => {}
        }
    }
    while under_way.next().await.is_some() {}
}

/// Settles verdicts, as many at a time as there are.
async fn settle(generation: Arc<Generation>, id: u64, mut verdicts: mpsc::Receiver<(String, Verdict)>) {
    let mut batch = Vec::new();
    while verdicts.recv_many(&mut batch, WINDOW).await > 0 {
        let outcome = generation.pubsub().settle(id, std::mem::take(&mut batch)).await;
        let failed = outcome.map_err(|e| e.to_string()).and_then(|r| r.map_err(|e| error_text(&e)));
        if let Err(error) = failed {
            tracing::warn!(target: "dapr.runtime.pubsub", "cannot settle messages of {}: {error}", generation.identity().name);
        }
    }
}
