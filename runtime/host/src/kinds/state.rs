//! State stores.

use super::calls;
pub use crate::wit::exports::proa::state::list_keys::Page;
pub use crate::wit::exports::proa::state::query::QueryResult;
pub use crate::wit::proa::state::types::*;

/// A generation, seen as this kind.
#[derive(Clone, Copy)]
pub struct State<'a>(pub &'a crate::Generation);

impl crate::Generation {
    pub fn state(&self) -> State<'_> {
        State(self)
    }
}

calls! { State, state_store, "state/store", RemoteStore:
    get = call_get(request: GetRequest) -> Result<Option<Item>, Error>;
    set = call_set(request: SetRequest) -> Result<(), Error>;
    delete = call_delete(request: DeleteRequest) -> Result<(), Error>;
}

calls! { State, state_transactions, "state/transactions", RemoteTransactions:
    transact = call_transact(operations: Vec<Operation>, metadata: Metadata) -> Result<(), Error>;
}

impl State<'_> {
    /// The most operations that one transaction may hold; 0 for no limit. A remote store is asked when it matters, once.
    pub async fn max_operations(&self) -> u32 {
        match self.0.elsewhere() {
            Some(elsewhere) => elsewhere.max_operations().await,
            None => self.0.facts().max_operations,
        }
    }
}

calls! { State, state_bulk, "state/bulk", RemoteBulk:
    get_bulk = call_get_bulk(requests: Vec<GetRequest>) -> Vec<Result<Option<Item>, Error>>;
    set_bulk = call_set_bulk(requests: Vec<SetRequest>) -> Vec<Result<(), Error>>;
    delete_bulk = call_delete_bulk(requests: Vec<DeleteRequest>) -> Vec<Result<(), Error>>;
}

calls! { State, state_query, "state/query", RemoteQuery:
    query = call_query(query: String, metadata: Metadata) -> Result<QueryResult, Error>;
}

calls! { State, state_list_keys, "state/list-keys":
    list_keys = call_list_keys(pattern: String, page_size: u32, token: Option<String>) -> Result<Page, Error>;
}

calls! { State, state_delete_prefix, "state/delete-prefix":
    delete_with_prefix = call_delete_with_prefix(prefix: String) -> Result<u64, Error>;
}
