//! `state.example-journal`: a state store of your own in two files. This one says what each call means; `journal.rs` keeps the data.
//! A write costs one line at the end of a file, a read none. What was answered with success is on disk and found again at the next start.

mod journal;

use journal::{Change, Journal};
use proa_sdk::component::{Component, Config, InitError, health::Health};
use proa_sdk::properties::invalid;
use proa_sdk::state::{
    Concurrency, DeleteRequest, Error, GetRequest, Item, Metadata, Operation, SetRequest, store::Store, transactions::Transactions,
};
use proa_sdk::Properties;
use std::cell::RefCell;
use std::path::Path;

struct JournalStore {
    // Calls are interleaved in one instance: shared state sits in a cell, and no borrow is held across an await.
    journal: RefCell<Journal>,
}

impl Component for JournalStore {
    async fn init(config: Config) -> Result<Self, InitError> {
        let properties = Properties::from(&config);
        // The manifest calls `dir` a folder, so the host has opened it to this component, and nothing else.
        let dir = properties.require("dir")?;
        let sync = properties.bool("sync").unwrap_or(true);
        let journal = Journal::open(Path::new(dir), sync).map_err(|e| invalid("dir", format!("{dir}: {e}")))?;
        proa_sdk::log::info(format!("{} items in {dir}", journal.len()));
        Ok(Self { journal: RefCell::new(journal) })
    }
}

impl Health for JournalStore {
    async fn ping(&self) -> Result<(), String> {
        self.journal.borrow_mut().catch_up().map_err(|e| e.to_string())
    }
}

fn unavailable(error: std::io::Error) -> Error {
    Error::Unavailable(error.to_string())
}

/// An empty etag means none.
fn wanted(etag: &Option<String>) -> Option<&str> {
    etag.as_deref().filter(|e| !e.is_empty())
}

/// Whether the operation may be carried out on what is stored now; if so, the change that it makes.
fn check(journal: &Journal, operation: Operation) -> Result<Change, Error> {
    let (key, etag, first_wins) = match &operation {
        Operation::Set(set) => (&set.key, wanted(&set.etag), set.concurrency == Concurrency::FirstWrite),
        Operation::Delete(delete) => (&delete.key, wanted(&delete.etag), false),
    };
    let stored = journal.get(key).map(|(_, version)| version.to_string());
    match (etag, &stored) {
        (Some(etag), Some(stored)) if etag != stored => {
            return Err(Error::EtagMismatch(format!("{key} is at version {stored}, not {etag}")));
        }
        (Some(_), None) => return Err(Error::EtagMismatch(format!("{key} does not exist"))),
        (None, Some(_)) if first_wins => return Err(Error::EtagMismatch(format!("{key} exists already"))),
        _ => {}
    }
    match operation {
        Operation::Set(set) if set.metadata.iter().any(|(name, _)| name == "ttlInSeconds") => {
            Err(Error::InvalidArgument("this store keeps items for ever: ttlInSeconds is not supported".into()))
        }
        Operation::Set(set) => Ok(Change { key: set.key, value: Some(set.value.into()) }),
        Operation::Delete(delete) => Ok(Change { key: delete.key, value: None }),
    }
}

impl JournalStore {
    fn write(&self, operations: Vec<Operation>) -> Result<(), Error> {
        let mut journal = self.journal.borrow_mut();
        journal.catch_up().map_err(unavailable)?;
        let changes = operations.into_iter().map(|o| check(&journal, o)).collect::<Result<Vec<_>, _>>()?;
        journal.append(&changes).map_err(unavailable)
    }
}

impl Store for JournalStore {
    async fn get(&self, request: GetRequest) -> Result<Option<Item>, Error> {
        let mut journal = self.journal.borrow_mut();
        journal.catch_up().map_err(unavailable)?;
        Ok(journal.get(&request.key).map(|(value, version)| Item {
            value: value.to_vec(),
            etag: Some(version.to_string()),
            content_type: None,
            metadata: Vec::new(),
        }))
    }

    async fn set(&self, request: SetRequest) -> Result<(), Error> {
        self.write(vec![Operation::Set(request)])
    }

    async fn delete(&self, request: DeleteRequest) -> Result<(), Error> {
        self.write(vec![Operation::Delete(request)])
    }
}

// Exporting this interface is what makes the store transactional, and with its etags fit for actors.
impl Transactions for JournalStore {
    async fn transact(&self, operations: Vec<Operation>, _metadata: Metadata) -> Result<(), Error> {
        self.write(operations)
    }

    fn max_operations() -> u32 {
        0
    }
}

proa_sdk::component! {
    manifest: "../manifest.json",
    JournalStore: state::store, state::transactions, component::health
}
