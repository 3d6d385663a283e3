//! The subscriptions of a component by the numbers that the host knows them by. A number is never used twice.

use proa_sdk::pubsub::Error;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

pub struct Table<T> {
    all: RefCell<BTreeMap<u64, Rc<T>>>,
    last: Cell<u64>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { all: RefCell::default(), last: Cell::new(0) }
    }
}

impl<T> Table<T> {
    pub fn add(&self, subscription: Rc<T>) -> u64 {
        let number = self.last.get() + 1;
        self.last.set(number);
        self.all.borrow_mut().insert(number, subscription);
        number
    }

    pub fn get(&self, number: u64) -> Option<Rc<T>> {
        self.all.borrow().get(&number).cloned()
    }

    /// # Errors
    /// `not-found` for a number that was never given, or whose subscription has been removed.
    pub fn known(&self, number: u64) -> Result<Rc<T>, Error> {
        self.get(number).ok_or_else(|| Error::NotFound(format!("no subscription {number}")))
    }

    pub fn remove(&self, number: u64) {
        self.all.borrow_mut().remove(&number);
    }

    /// All of them, the oldest first.
    pub fn list(&self) -> Vec<(u64, Rc<T>)> {
        self.all.borrow().iter().map(|(number, subscription)| (*number, subscription.clone())).collect()
    }

    /// Takes all of them out.
    pub fn take(&self) -> Vec<Rc<T>> {
        self.all.take().into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_given_once() {
        let table = Table::default();
        let first = table.add(Rc::new("a"));
        table.remove(first);
        let second = table.add(Rc::new("b"));
        assert_ne!(first, second);
        assert!(matches!(table.known(first), Err(Error::NotFound(_))));
        assert_eq!(table.list(), [(second, Rc::new("b"))]);
        assert_eq!((table.take(), table.list().len()), (vec![Rc::new("b")], 0));
    }
}
