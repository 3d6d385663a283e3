//! `proa:host/sqlite`: databases on the host, each writer and each long read on a thread of its own.
//!
//! Reads and writes have connections of their own, so that in WAL mode a reader never waits for a writer. Writes that queue up while
//! one is committing are carried out in one transaction, each under its own savepoint: one sync to disk serves them all.

mod quick;
mod thread;

use crate::ctx::Ctx;
use crate::grants::database_path;
use crate::imports::OnCtx;
use crate::wit::proa::host::sqlite::{Error, Host, HostConnection, HostConnectionWithStore, Options, Outcome, Statement};
use std::path::Path;
use std::sync::Arc;
use thread::{Pair, Work};
use wasmtime::component::{Accessor, Resource};

/// An open database.
#[derive(Clone)]
pub struct Connection {
    pair: Arc<Pair>,
}

impl Connection {
    async fn ask(self, work: impl FnOnce(tokio::sync::oneshot::Sender<Result<Vec<Outcome>, Error>>) -> Work) -> Result<Vec<Outcome>, Error> {
        let (reply, answer) = tokio::sync::oneshot::channel();
        self.pair.send(work(reply))?;
        answer.await.unwrap_or_else(|_| Err(Error::Other("the database was closed".into())))
    }
}

fn granted(ctx: &Ctx, path: &str) -> Result<(), Error> {
    match database_path(path) {
        None => Ok(()),
        Some(file) if ctx.grants.databases.iter().any(|d| d == Path::new(&file)) => Ok(()),
        Some(file) => {
            ctx.log.denied("sqlite", &file.display().to_string());
            Err(Error::Denied(format!("database {} is not granted: no metadata field names it", file.display())))
        }
    }
}

impl HostConnectionWithStore<Ctx> for OnCtx {
    async fn open(accessor: &Accessor<Ctx, Self>, path: String, options: Options) -> wasmtime::Result<Result<Resource<Connection>, Error>> {
        if let Err(denied) = accessor.with(|mut access| granted(access.get(), &path)) {
            return Ok(Err(denied));
        }
        let opened = tokio::task::spawn_blocking(move || Pair::open(&path, options)).await?;
        match opened {
            Ok(pair) => {
                let connection = Connection { pair: Arc::new(pair) };
                Ok(Ok(accessor.with(|mut access| access.get().table.push(connection))?))
            }
            Err(e) => Ok(Err(e)),
        }
    }

    async fn query(
        accessor: &Accessor<Ctx, Self>,
        this: Resource<Connection>,
        statements: Vec<Statement>,
    ) -> wasmtime::Result<Result<Vec<Outcome>, Error>> {
        let connection = accessor.with(|mut access| access.get().table.get(&this).cloned())?;
        if let Some(outcomes) = connection.pair.quick(&statements) {
            return Ok(Ok(outcomes));
        }
        Ok(connection.ask(|reply| Work::Query(statements, reply)).await)
    }

    async fn execute(
        accessor: &Accessor<Ctx, Self>,
        this: Resource<Connection>,
        statements: Vec<Statement>,
    ) -> wasmtime::Result<Result<Vec<Outcome>, Error>> {
        let connection = accessor.with(|mut access| access.get().table.get(&this).cloned())?;
        Ok(connection.ask(|reply| Work::Execute(statements, reply)).await)
    }

    async fn execute_plain(
        accessor: &Accessor<Ctx, Self>,
        this: Resource<Connection>,
        statement: Statement,
    ) -> wasmtime::Result<Result<Outcome, Error>> {
        let connection = accessor.with(|mut access| access.get().table.get(&this).cloned())?;
        let outcomes = connection.ask(|reply| Work::Plain(statement, reply)).await;
        Ok(outcomes.and_then(|o| o.into_iter().next().ok_or_else(|| Error::Other("no outcome".into()))))
    }
}

impl HostConnection for &mut Ctx {
    fn drop(&mut self, this: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl Host for &mut Ctx {}
