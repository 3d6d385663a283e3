//! The threads that own the connections. They end when the last handle is dropped.

use super::quick::Quick;
use crate::wit::proa::host::sqlite::{Error, Options, Outcome, Statement, Value};
use rusqlite::{CachedStatement, Connection, OpenFlags, types::ValueRef};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;
use tokio::sync::oneshot::Sender;

type Reply = Sender<Result<Vec<Outcome>, Error>>;

/// One thing to do. The reply may have nobody waiting for it any more; then it is done all the same.
pub enum Work {
    Query(Vec<Statement>, Reply),
    Execute(Vec<Statement>, Reply),
    Plain(Statement, Reply),
}

const QUEUE: usize = 4096;
/// The most writes that share one commit.
const GROUP: usize = 64;

/// A connection that writes and, where the database is a file in WAL mode, others that read.
pub struct Pair {
    writer: SyncSender<Work>,
    reader: Option<SyncSender<Work>>,
    quick: Quick,
}

fn other(e: rusqlite::Error) -> Error {
    use rusqlite::ErrorCode;
    match e.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::Busy(e.to_string()),
        Some(ErrorCode::ConstraintViolation) => Error::Constraint(e.to_string()),
        _ => Error::Other(e.to_string()),
    }
}

impl Pair {
    pub fn open(path: &str, options: Options) -> Result<Self, Error> {
        let writer = connect(path, options)?;
        let wal = !options.read_only && options.wal && crate::grants::database_path(path).is_some();
        if wal {
            writer.pragma_update(None, "journal_mode", "WAL").map_err(other)?;
            // What was acknowledged survives the loss of the machine; the group commit below pays for it.
            writer.pragma_update(None, "synchronous", "FULL").map_err(other)?;
        }
        let (mut reader, mut quick) = (None, Quick::default());
        if wal {
            reader = Some(start(connect(path, options)?)?);
            quick = Quick::open(|| connect(path, Options { busy_timeout_ms: 0, ..options }))?;
        }
        Ok(Self { writer: start(writer)?, reader, quick })
    }

    /// The answer of a read that is a matter of microseconds, on the caller's thread; none where it is not, and `send` is the way.
    pub fn quick(&self, statements: &[Statement]) -> Option<Vec<Outcome>> {
        match statements {
            [one] => self.quick.query(one).map(|outcome| vec![outcome]),
            _ => None,
        }
    }

    pub fn send(&self, work: Work) -> Result<(), Error> {
        let queue = match (&work, &self.reader) {
            (Work::Query(..), Some(reader)) => reader,
            _ => &self.writer,
        };
        queue.try_send(work).map_err(|e| match e {
            TrySendError::Full(_) => Error::Busy(format!("{QUEUE} statements are waiting")),
            TrySendError::Disconnected(_) => Error::Other("the database was closed".into()),
        })
    }
}

fn connect(path: &str, options: Options) -> Result<Connection, Error> {
    let mut flags = OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags |= if options.read_only { OpenFlags::SQLITE_OPEN_READ_ONLY } else { OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE };
    let connection = Connection::open_with_flags(path, flags).map_err(other)?;
    connection.busy_timeout(Duration::from_millis(options.busy_timeout_ms.into())).map_err(other)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn start(connection: Connection) -> Result<SyncSender<Work>, Error> {
    let (queue, work) = sync_channel(QUEUE);
    let run = move || serve(connection, &work);
    std::thread::Builder::new().name("sqlite".into()).stack_size(256 << 10).spawn(run).map_err(|e| Error::Other(e.to_string()))?;
    Ok(queue)
}

fn serve(mut connection: Connection, work: &Receiver<Work>) {
    let mut held: Option<Work> = None;
    while let Some(next) = held.take().or_else(|| work.recv().ok()) {
        match next {
            Work::Query(statements, reply) => answer(reply, query(&mut connection, &statements)),
            Work::Plain(statement, reply) => answer(reply, run(&connection, &statement).map(|o| vec![o])),
            Work::Execute(statements, reply) => {
                let mut group = vec![(statements, reply)];
                while group.len() < GROUP {
                    match work.try_recv() {
                        Ok(Work::Execute(statements, reply)) => group.push((statements, reply)),
                        Ok(other) => {
                            held = Some(other);
                            break;
                        }
                        Err(_) => break,
                    }
                }
                execute(&mut connection, group);
            }
        }
    }
}

fn answer(reply: Reply, outcome: Result<Vec<Outcome>, Error>) {
    // The caller may have gone; there is nobody else to tell.
    let _ = reply.send(outcome);
}

fn query(connection: &mut Connection, statements: &[Statement]) -> Result<Vec<Outcome>, Error> {
    if let [one] = statements {
        return Ok(vec![run(connection, one)?]);
    }
    let transaction = connection.transaction().map_err(other)?;
    statements.iter().map(|s| run(&transaction, s)).collect()
}

/// Carries out a group of writes in one transaction. A member that fails is rolled back alone; when the commit itself fails, all have failed.
fn execute(connection: &mut Connection, group: Vec<(Vec<Statement>, Reply)>) {
    let mut outcomes = Vec::with_capacity(group.len());
    let mut replies = Vec::with_capacity(group.len());
    let alone = group.len() == 1;
    let committed = (|| {
        let mut transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(other)?;
        for (statements, reply) in group {
            replies.push(reply);
            if alone {
                let outcome = statements_of(&transaction, &statements);
                if outcome.is_err() {
                    outcomes.push(outcome);
                    return transaction.rollback().map_err(other);
                }
                outcomes.push(outcome);
                continue;
            }
            let savepoint = transaction.savepoint().map_err(other)?;
            let outcome = statements_of(&savepoint, &statements);
            if outcome.is_ok() {
                savepoint.commit().map_err(other)?;
            }
            outcomes.push(outcome);
        }
        transaction.commit().map_err(other)
    })();
    match committed {
        Ok(()) => replies.into_iter().zip(outcomes).for_each(|(reply, outcome)| answer(reply, outcome)),
        Err(e) => replies.into_iter().for_each(|reply| answer(reply, Err(e.clone()))),
    }
}

fn statements_of(connection: &Connection, statements: &[Statement]) -> Result<Vec<Outcome>, Error> {
    let mut outcomes = Vec::with_capacity(statements.len());
    for (index, statement) in statements.iter().enumerate() {
        let outcome = run(connection, statement)?;
        if statement.require_changes.is_some_and(|n| n != outcome.changes) {
            return Err(Error::UnexpectedChanges(index as u32));
        }
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

fn bind(value: &Value) -> rusqlite::types::ToSqlOutput<'_> {
    use rusqlite::types::ToSqlOutput::Borrowed;
    match value {
        Value::Null => Borrowed(ValueRef::Null),
        Value::Integer(i) => Borrowed(ValueRef::Integer(*i)),
        Value::Real(r) => Borrowed(ValueRef::Real(*r)),
        Value::Text(t) => Borrowed(ValueRef::Text(t.as_bytes())),
        Value::Blob(b) => Borrowed(ValueRef::Blob(b)),
    }
}

fn run(connection: &Connection, statement: &Statement) -> Result<Outcome, Error> {
    carry_out(connection, connection.prepare_cached(&statement.sql).map_err(other)?, statement)
}

pub(super) fn carry_out(connection: &Connection, mut prepared: CachedStatement<'_>, statement: &Statement) -> Result<Outcome, Error> {
    let columns: Vec<String> = prepared.column_names().into_iter().map(str::to_owned).collect();
    let parameters = rusqlite::params_from_iter(statement.parameters.iter().map(bind));
    if columns.is_empty() {
        let changes = prepared.execute(parameters).map_err(other)? as u64;
        return Ok(Outcome { columns, rows: Vec::new(), changes });
    }
    let width = columns.len();
    let readonly = prepared.readonly();
    let mut rows = Vec::new();
    let mut cursor = prepared.query(parameters).map_err(other)?;
    while let Some(row) = cursor.next().map_err(other)? {
        let values = (0..width).map(|i| row.get_ref(i).map(value)).collect::<Result<Vec<_>, _>>().map_err(other)?;
        rows.push(values);
    }
    drop(cursor);
    let changes = if readonly { 0 } else { connection.changes() };
    Ok(Outcome { columns, rows, changes })
}

fn value(v: ValueRef<'_>) -> Value {
    match v {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(i) => Value::Integer(i),
        ValueRef::Real(r) => Value::Real(r),
        ValueRef::Text(t) => Value::Text(String::from_utf8_lossy(t).into_owned()),
        ValueRef::Blob(b) => Value::Blob(b.to_vec()),
    }
}
