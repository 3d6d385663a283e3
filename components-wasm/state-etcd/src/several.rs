//! Many requests at once: reads and unconditional writes share round trips, the others go side by side.

use crate::Etcd;
use crate::wire::{Op, Outcome, Range, Txn};
use crate::write::Change;
use futures::StreamExt;
use proa_sdk::state::{Error, GetRequest, Item};

/// The server refuses requests above one and a half MiB.
const MOST_BYTES: usize = 1 << 20;
const SIDE_BY_SIDE: usize = 16;

impl Etcd {
    fn per_round(&self) -> usize {
        if self.max_operations == 0 { 128 } else { self.max_operations as usize }
    }

    /// One outcome a request, in their order.
    pub async fn read_each(&self, requests: &[GetRequest]) -> Vec<Result<Option<Item>, Error>> {
        let mut out = Vec::with_capacity(requests.len());
        for part in requests.chunks(self.per_round()) {
            let keys: Vec<_> = part.iter().map(|r| self.full(&r.key)).collect();
            let txn = Txn { success: keys.iter().map(|k| Op::Range(Range::one(k))).collect(), ..Txn::default() };
            match self.gateway.call::<Outcome>("/v3/kv/txn", &txn, true).await {
                Ok(outcome) => {
                    let mut responses = outcome.responses.into_iter();
                    out.extend(keys.iter().map(|_| {
                        let found = responses.next().and_then(|r| r.response_range).unwrap_or_default();
                        self.item(found)
                    }));
                }
                Err(failure) => out.extend(keys.iter().map(|k| Err(failure.clone().of(&format!("couldn't get key {k}"))))),
            }
        }
        out
    }

    /// One outcome a change, in their order.
    pub async fn write_each(&self, changes: Vec<Result<Change, Error>>) -> Vec<Result<(), Error>> {
        let mut out: Vec<Option<Result<(), Error>>> = changes.iter().map(|c| c.as_ref().err().cloned().map(Err)).collect();
        let (mut alone, mut together) = (Vec::new(), Vec::new());
        for (index, change) in changes.into_iter().enumerate() {
            match change {
                Ok(change) if change.is_conditional() => alone.push((index, change)),
                Ok(change) => together.push((index, change)),
                Err(_) => {}
            }
        }
        for round in rounds(together, self.per_round()) {
            let (indices, changes): (Vec<_>, Vec<_>) = round.into_iter().unzip();
            match self.apply(&changes).await {
                // Something in it is not to the server's liking: one by one it shows what.
                Err(Error::Other(_)) if changes.len() > 1 => alone.extend(indices.into_iter().zip(changes)),
                outcome => indices.into_iter().for_each(|i| settle(&mut out, i, outcome.clone())),
            }
        }
        let mut running = futures::stream::iter(alone)
            .map(|(index, change)| async move { (index, self.apply(std::slice::from_ref(&change)).await) })
            .buffer_unordered(SIDE_BY_SIDE);
        while let Some((index, outcome)) = running.next().await {
            settle(&mut out, index, outcome);
        }
        out.into_iter().map(|outcome| outcome.unwrap_or(Ok(()))).collect()
    }
}

fn settle(out: &mut [Option<Result<(), Error>>], index: usize, outcome: Result<(), Error>) {
    if let Some(slot) = out.get_mut(index) {
        *slot = Some(outcome);
    }
}

fn rounds(changes: Vec<(usize, Change)>, most: usize) -> Vec<Vec<(usize, Change)>> {
    let mut rounds: Vec<Vec<(usize, Change)>> = Vec::new();
    let mut bytes = 0;
    for (index, change) in changes {
        bytes += change.size();
        match rounds.last_mut() {
            Some(round) if round.len() < most && bytes <= MOST_BYTES => round.push((index, change)),
            _ => {
                bytes = change.size();
                rounds.push(vec![(index, change)]);
            }
        }
    }
    rounds
}
