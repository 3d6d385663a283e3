//! What arrived, in the order of arrival, and what that amounts to.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::LANES;

#[derive(Default)]
pub struct Book {
    lanes: Mutex<[Vec<u64>; LANES]>,
}

#[derive(Debug, Default, PartialEq)]
pub struct Sum {
    pub missing: u64,
    /// Deliveries of messages that had been delivered before.
    pub again: u64,
    /// Messages that came for the first time after a later one of their lane.
    pub late: u64,
}

impl Book {
    pub fn enter(&self, lane: usize, number: u64) {
        self.lanes.lock().expect("lanes")[lane].push(number);
    }

    pub fn sum(&self, each: u64) -> Sum {
        let mut sum = Sum { late: self.late().len() as u64, ..Sum::default() };
        for lane in self.lanes.lock().expect("lanes").iter() {
            let seen: HashSet<u64> = lane.iter().copied().collect();
            sum.again += (lane.len() - seen.len()) as u64;
            sum.missing += each - seen.iter().filter(|n| **n < each).count() as u64;
        }
        sum
    }

    /// Waits until everything is there, or nothing has come for so long.
    pub async fn complete(&self, each: u64, quiet: Duration) {
        let (mut seen, mut since) = (0, Instant::now());
        loop {
            let entries: usize = self.lanes.lock().expect("lanes").iter().map(Vec::len).sum();
            if entries != seen {
                (seen, since) = (entries, Instant::now());
            }
            let enough = entries as u64 >= each * LANES as u64;
            if (enough && self.sum(each).missing == 0) || since.elapsed() > quiet {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// The first of those that are missing, as (lane, number).
    pub fn missing(&self, each: u64) -> Vec<(usize, u64)> {
        let lanes = self.lanes.lock().expect("lanes");
        let of = |(at, lane): (usize, &Vec<u64>)| {
            let seen: HashSet<u64> = lane.iter().copied().collect();
            (0..each).filter(|n| !seen.contains(n)).map(|n| (at, n)).collect::<Vec<_>>()
        };
        lanes.iter().enumerate().flat_map(of).take(30).collect()
    }

    /// Those that came late, as (lane, number).
    pub fn late(&self) -> Vec<(usize, u64)> {
        let lanes = self.lanes.lock().expect("lanes");
        let mut late = Vec::new();
        for (at, lane) in lanes.iter().enumerate() {
            let (mut seen, mut most) = (HashSet::new(), None);
            for number in lane {
                if seen.insert(*number) && most.is_some_and(|m| m > *number) {
                    late.push((at, *number));
                }
                most = most.max(Some(*number));
            }
        }
        late
    }
}

/// A gap, a repetition and a message out of turn are seen.
#[test]
fn the_book_sees_what_goes_wrong() {
    let book = Book::default();
    for lane in 1..LANES {
        (0..5).for_each(|number| book.enter(lane, number));
    }
    [0, 2, 1, 1, 4].into_iter().for_each(|number| book.enter(0, number));
    assert_eq!(book.sum(5), Sum { missing: 1, again: 1, late: 1 });
    assert_eq!((book.missing(5), book.late()), (vec![(0, 3)], vec![(0, 1)]));
}
