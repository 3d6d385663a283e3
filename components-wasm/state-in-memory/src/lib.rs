//! `state.in-memory`: a map in the component's own memory, with etags, transactions, expiry and key listing.
//! The data survive a swap through `snapshot` and end with the sidecar. Expired items are invisible at once and freed once a minute.

mod items;

use items::Items;
use proa_sdk::component::{Component, Config, InitError, health::Health, snapshot::Snapshot};
use proa_sdk::state::{
    DeleteRequest, Error, GetRequest, Item, Metadata, Operation, SetRequest,
    bulk::Bulk,
    delete_prefix::DeletePrefix,
    list_keys::{ListKeys, Page},
    store::Store,
    transactions::Transactions,
};
use std::{cell::RefCell, rc::Rc, time::Duration};

const SWEEP: Duration = Duration::from_secs(60);

struct Memory {
    items: Rc<RefCell<Items>>,
}

impl Component for Memory {
    async fn init(_config: Config) -> Result<Self, InitError> {
        let items = Rc::new(RefCell::new(Items::new()));
        let weak = Rc::downgrade(&items);
        proa_sdk::spawn(async move {
            loop {
                proa_sdk::time::sleep(SWEEP).await;
                let Some(items) = weak.upgrade() else { return };
                items.borrow_mut().sweep();
            }
        });
        Ok(Self { items })
    }
}

impl Health for Memory {
    async fn ping(&self) -> Result<(), String> {
        Ok(())
    }
}

impl Store for Memory {
    async fn get(&self, request: GetRequest) -> Result<Option<Item>, Error> {
        Ok(self.items.borrow().get(&request.key))
    }
    async fn set(&self, request: SetRequest) -> Result<(), Error> {
        self.items.borrow_mut().set(request)
    }
    async fn delete(&self, request: DeleteRequest) -> Result<(), Error> {
        self.items.borrow_mut().delete(&request)
    }
}

impl Transactions for Memory {
    async fn transact(&self, operations: Vec<Operation>, _metadata: Metadata) -> Result<(), Error> {
        let mut items = self.items.borrow_mut();
        for operation in &operations {
            items.check(operation)?;
        }
        for operation in operations {
            match operation {
                Operation::Set(set) => items.put(set)?,
                Operation::Delete(delete) => items.remove(&delete.key),
            }
        }
        Ok(())
    }
    fn max_operations() -> u32 {
        0
    }
}

impl Bulk for Memory {
    async fn get_bulk(&self, requests: Vec<GetRequest>) -> Vec<Result<Option<Item>, Error>> {
        let items = self.items.borrow();
        requests.iter().map(|r| Ok(items.get(&r.key))).collect()
    }
    async fn set_bulk(&self, requests: Vec<SetRequest>) -> Vec<Result<(), Error>> {
        let mut items = self.items.borrow_mut();
        requests.into_iter().map(|r| items.set(r)).collect()
    }
    async fn delete_bulk(&self, requests: Vec<DeleteRequest>) -> Vec<Result<(), Error>> {
        let mut items = self.items.borrow_mut();
        requests.iter().map(|r| items.delete(r)).collect()
    }
}

impl ListKeys for Memory {
    async fn list_keys(&self, pattern: String, page_size: u32, token: Option<String>) -> Result<Page, Error> {
        self.items.borrow().list(&pattern, page_size, token.as_deref())
    }
}

impl DeletePrefix for Memory {
    async fn delete_with_prefix(&self, prefix: String) -> Result<u64, Error> {
        Ok(self.items.borrow_mut().delete_prefix(&prefix))
    }
}

impl Snapshot for Memory {
    async fn save(&self) -> Result<Vec<u8>, String> {
        self.items.borrow().save()
    }
    async fn load(&self, data: Vec<u8>) -> Result<(), String> {
        self.items.borrow_mut().load(&data)
    }
}

proa_sdk::component! {
    manifest: "../manifest.json",
    Memory: state::store, state::transactions, state::bulk, state::list_keys, state::delete_prefix,
            component::health, component::snapshot
}
