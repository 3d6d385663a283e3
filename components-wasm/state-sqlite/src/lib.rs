//! `state.sqlite`: state in one SQLite database of the host, in the tables of Dapr's component of this name.
//! A write is one request and one transaction, a bulk read one SELECT. Fails with `unavailable` when the file is locked for longer
//! than `busyTimeout` or an answer takes longer than `timeout`.

mod cleanup;
mod database;
mod rows;
mod settings;
mod snapshot;

use database::Database;
use proa_sdk::component::{Component, Config, InitError, health::Health, snapshot::Snapshot};
use proa_sdk::sqlite::{Statement, Value, statement};
use proa_sdk::state::{
    DeleteRequest, Error, GetRequest, Item, Metadata, Operation, SetRequest,
    bulk::Bulk,
    list_keys::{ListKeys, Page},
    store::Store,
    transactions::Transactions,
};
use settings::Settings;
use std::{collections::HashMap, rc::Rc};

struct Sqlite {
    database: Rc<Database>,
    table: String,
    memory: bool,
}

impl Component for Sqlite {
    async fn init(config: Config) -> Result<Self, InitError> {
        let settings = Settings::read(&(&config).into())?;
        settings.common.warn();
        let database = Rc::new(Database::open(&settings).await?);
        if let Some(interval) = settings.cleanup {
            cleanup::start(&database, settings.table.clone(), settings.metadata_table, interval);
        }
        Ok(Self { database, table: settings.table, memory: settings.common.location.memory })
    }
}

impl Health for Sqlite {
    async fn ping(&self) -> Result<(), String> {
        match self.database.query(vec![statement("SELECT 1", Vec::new())]).await {
            Ok(_) => Ok(()),
            Err(Error::Unavailable(t) | Error::Other(t)) => Err(t),
            Err(e) => Err(format!("{e:?}")),
        }
    }
}

impl Sqlite {
    /// Items by key; a row that cannot be read is an error of its own.
    async fn fetch(&self, requests: &[GetRequest]) -> Result<HashMap<String, Result<Item, Error>>, Error> {
        let outcomes = self.database.query(rows::select(&self.table, requests)).await?;
        Ok(outcomes.into_iter().flat_map(|o| o.rows).filter_map(rows::item).collect())
    }

    /// Requests that have no condition share a transaction with their neighbours; the others stand alone, so that
    /// a mismatch of one does not undo another.
    async fn each(&self, statements: Vec<Result<Statement, Error>>) -> Vec<Result<(), Error>> {
        let mut results = Vec::with_capacity(statements.len());
        let mut together = Vec::new();
        for next in statements {
            match next {
                Ok(s) if s.require_changes.is_none() => together.push(s),
                other => {
                    self.flush(&mut together, &mut results).await;
                    results.push(match other {
                        Ok(s) => self.database.execute(vec![s]).await.map(drop),
                        Err(e) => Err(e),
                    });
                }
            }
        }
        self.flush(&mut together, &mut results).await;
        results
    }

    async fn flush(&self, together: &mut Vec<Statement>, results: &mut Vec<Result<(), Error>>) {
        if together.is_empty() {
            return;
        }
        let statements = std::mem::take(together);
        let count = statements.len();
        let outcome = self.database.execute(statements).await.map(drop);
        results.extend(std::iter::repeat_n(outcome, count));
    }
}

impl Store for Sqlite {
    async fn get(&self, request: GetRequest) -> Result<Option<Item>, Error> {
        if request.key.is_empty() {
            return Err(Error::InvalidArgument("missing key in get operation".into()));
        }
        self.fetch(&[request]).await?.into_values().next().transpose()
    }
    async fn set(&self, request: SetRequest) -> Result<(), Error> {
        self.database.execute(vec![rows::set(&self.table, &request)?]).await.map(drop)
    }
    async fn delete(&self, request: DeleteRequest) -> Result<(), Error> {
        self.database.execute(vec![rows::delete(&self.table, &request)?]).await.map(drop)
    }
}

impl Transactions for Sqlite {
    async fn transact(&self, operations: Vec<Operation>, _metadata: Metadata) -> Result<(), Error> {
        if operations.is_empty() {
            return Ok(());
        }
        let one = |operation: &Operation| match operation {
            Operation::Set(set) => rows::set(&self.table, set),
            Operation::Delete(delete) => rows::delete(&self.table, delete),
        };
        let statements = operations.iter().map(one).collect::<Result<_, _>>()?;
        self.database.execute(statements).await.map(drop)
    }
    fn max_operations() -> u32 {
        0
    }
}

impl Bulk for Sqlite {
    async fn get_bulk(&self, requests: Vec<GetRequest>) -> Vec<Result<Option<Item>, Error>> {
        match self.fetch(&requests).await {
            Ok(found) => requests.iter().map(|r| found.get(&r.key).cloned().transpose()).collect(),
            Err(e) => vec![Err(e); requests.len()],
        }
    }
    async fn set_bulk(&self, requests: Vec<SetRequest>) -> Vec<Result<(), Error>> {
        self.each(requests.iter().map(|r| rows::set(&self.table, r)).collect()).await
    }
    async fn delete_bulk(&self, requests: Vec<DeleteRequest>) -> Vec<Result<(), Error>> {
        self.each(requests.iter().map(|r| rows::delete(&self.table, r)).collect()).await
    }
}

impl ListKeys for Sqlite {
    async fn list_keys(&self, pattern: String, page_size: u32, token: Option<String>) -> Result<Page, Error> {
        let outcomes = self.database.query(vec![rows::keys_like(&self.table, pattern, page_size, token.as_deref())?]).await?;
        let mut keys = Vec::new();
        let mut last = None;
        for row in outcomes.into_iter().flat_map(|o| o.rows) {
            if let Ok([Value::Text(key), Value::Integer(rowid)]) = <[Value; 2]>::try_from(row) {
                keys.push(key);
                last = Some(rowid.to_string());
            }
        }
        let full = page_size > 0 && keys.len() == page_size as usize;
        Ok(Page { keys, token: last.filter(|_| full) })
    }
}

impl Snapshot for Sqlite {
    async fn save(&self) -> Result<Vec<u8>, String> {
        if !self.memory {
            return Ok(Vec::new());
        }
        let outcomes = self.database.query(vec![snapshot::select(&self.table)]).await.map_err(|e| format!("{e:?}"))?;
        outcomes.into_iter().next().map_or_else(|| Ok(Vec::new()), snapshot::write)
    }
    async fn load(&self, data: Vec<u8>) -> Result<(), String> {
        if !self.memory || data.is_empty() {
            return Ok(());
        }
        let statements = snapshot::read(&self.table, &data)?;
        self.database.execute(statements).await.map(drop).map_err(|e| format!("{e:?}"))
    }
}

proa_sdk::component! {
    manifest: "../manifest.json",
    Sqlite: state::store, state::transactions, state::bulk, state::list_keys, component::health, component::snapshot
}
