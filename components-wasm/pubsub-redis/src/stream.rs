//! The commands on one stream and its consumer group.

use crate::message::{Read, Stored, read, successor};
use redis_core::{Client, Command, Error, Value};
use std::rc::Rc;
use std::time::Duration;

/// The consumer that holds what others gave back. Nobody reads under this name.
pub const HANDOVER: &str = "proa:handover";
/// A consumer of this component that has been silent for so long and has nothing pending is removed.
const SILENT: i64 = 3_600_000;

/// A stream, the group that reads it and the name under which this instance does.
pub struct Stream {
    pub client: Client,
    pub topic: String,
    pub group: String,
    pub consumer: Rc<str>,
}

/// A pending entry.
pub struct Pending {
    pub id: String,
    pub idle: i64,
    pub deliveries: u32,
}

impl Stream {
    fn group_command(&self, verb: &str) -> Command {
        Command::new(verb).key(&self.topic).arg(&self.group)
    }

    /// Makes the group, and the stream if need be. A new group begins with the oldest entry.
    pub async fn create_group(&self) -> Result<(), Error> {
        let create = Command::new("XGROUP").arg("CREATE").key(&self.topic).arg(&self.group).arg("0").arg("MKSTREAM");
        match self.client.call(&create).await {
            Err(Error::Server(text)) if text.starts_with("BUSYGROUP") => Ok(()),
            outcome => outcome.map(|_| ()),
        }
    }

    /// Waits on the server for new entries.
    pub fn read_command(&self, count: usize, block: Duration) -> Command {
        Command::new("XREADGROUP")
            .arg("GROUP")
            .arg(&self.group)
            .arg(&*self.consumer)
            .arg("COUNT")
            .int(count as u64)
            .arg("BLOCK")
            .int(block.as_millis() as u64)
            .arg("STREAMS")
            .key(&self.topic)
            .arg(">")
    }

    /// The entries in the reply to [`Stream::read_command`].
    pub fn entries(reply: Value) -> Vec<Read> {
        // `[[stream, entries]]`, or a map of the same where the server speaks RESP3.
        let first = reply.into_array().unwrap_or_default();
        let list = match first.as_slice() {
            [Value::Array(_)] => first.into_iter().next().and_then(Value::into_array).and_then(|mut s| s.pop()),
            _ => first.into_iter().nth(1),
        };
        list.and_then(Value::into_array).unwrap_or_default().into_iter().filter_map(read).collect()
    }

    pub async fn ack(&self, ids: &[&str]) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        let command = ids.iter().fold(self.group_command("XACK"), |c, id| c.arg(id));
        self.client.call(&command).await.map(|_| ())
    }

    /// Pending entries from `start` on, of one consumer or of all.
    pub async fn pending(&self, start: &str, count: usize, consumer: Option<&str>) -> Result<Vec<Pending>, Error> {
        let mut command = self.group_command("XPENDING").arg(start).arg("+").int(count as u64);
        if let Some(consumer) = consumer {
            command = command.arg(consumer);
        }
        let rows = self.client.call(&command).await?.into_array().unwrap_or_default();
        let row = |row: Value| {
            let mut row = row.into_array()?.into_iter();
            let (id, _consumer, idle, deliveries) = (row.next()?.into_text()?, row.next()?, row.next()?.as_int()?, row.next()?.as_int()?);
            Some(Pending { id, idle, deliveries: u32::try_from(deliveries).unwrap_or(u32::MAX) })
        };
        Ok(rows.into_iter().filter_map(row).collect())
    }

    /// Takes entries over that nobody has touched for `idle`. Those that somebody else took meanwhile are left out.
    pub async fn claim(&self, pending: &[Pending], idle: Duration) -> Result<Vec<Stored>, Error> {
        if pending.is_empty() {
            return Ok(Vec::new());
        }
        let command = self.group_command("XCLAIM").arg(&*self.consumer).int(idle.as_millis() as u64);
        let command = pending.iter().fold(command, |c, p| c.arg(&p.id));
        let rows = self.client.call(&command).await?.into_array().unwrap_or_default();
        let (mut taken, mut gone) = (Vec::new(), Vec::new());
        for row in rows {
            match read(row) {
                Some(Read::Entry(mut entry)) => {
                    entry.redeliveries = pending.iter().find(|p| p.id == entry.id).map_or(1, |p| p.deliveries);
                    taken.push(entry);
                }
                Some(Read::Gone(id)) => gone.push(id),
                None => {}
            }
        }
        self.ack(&gone.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        Ok(taken)
    }

    /// All pending entries, of any consumer, that have been idle for `idle`; at most `room`.
    pub async fn overdue(&self, idle: Duration, room: usize) -> Result<Vec<Pending>, Error> {
        const PAGE: usize = 100;
        let (mut start, mut found) = ("-".to_owned(), Vec::new());
        while found.len() < room {
            let page = self.pending(&start, PAGE, None).await?;
            let (size, last) = (page.len(), page.last().and_then(|p| successor(&p.id)));
            found.extend(page.into_iter().filter(|p| u128::try_from(p.idle).is_ok_and(|i| i >= idle.as_millis())));
            match last {
                Some(next) if size == PAGE => start = next,
                _ => break,
            }
        }
        found.truncate(room);
        Ok(found)
    }

    /// Gives entries back: they look as if they had been idle for `idle`, and as if they had never been handed out this time.
    pub async fn give_back(&self, entries: &[Stored], idle: Duration) -> Result<(), Error> {
        let mut commands = Vec::new();
        let mut rest: Vec<&Stored> = entries.iter().collect();
        // The count of deliveries is one of the command: one command a count.
        while let Some(count) = rest.first().map(|e| e.redeliveries) {
            let (same, other): (Vec<_>, Vec<_>) = rest.into_iter().partition(|e| e.redeliveries == count);
            let command = same.iter().fold(self.group_command("XCLAIM").arg(HANDOVER).arg("0"), |c, e| c.arg(&e.id));
            commands.push(command.arg("IDLE").int(idle.as_millis() as u64).arg("RETRYCOUNT").int(count).arg("JUSTID"));
            rest = other;
        }
        for reply in self.client.pipeline(&commands).await? {
            reply.into_result()?;
        }
        Ok(())
    }

    /// Removes this consumer from the group if it has nothing pending: removing it would drop what it has.
    pub async fn leave(&self) -> Result<(), Error> {
        if self.pending("-", 1, Some(&self.consumer)).await?.is_empty() {
            self.remove(&self.consumer).await?;
        }
        Ok(())
    }

    async fn remove(&self, consumer: &str) -> Result<(), Error> {
        let command = Command::new("XGROUP").arg("DELCONSUMER").key(&self.topic).arg(&self.group).arg(consumer);
        self.client.call(&command).await.map(|_| ())
    }

    /// Removes consumers that earlier instances left behind.
    pub async fn tidy(&self) -> Result<(), Error> {
        let list = Command::new("XINFO").arg("CONSUMERS").key(&self.topic).arg(&self.group);
        let prefix = format!("{}-", self.group);
        for row in self.client.call(&list).await?.into_array().unwrap_or_default() {
            let (mut name, mut pending, mut idle) = (String::new(), 1, 0);
            let mut fields = row.into_array().unwrap_or_default().into_iter();
            while let (Some(key), Some(value)) = (fields.next().and_then(Value::into_text), fields.next()) {
                match key.as_str() {
                    "name" => name = value.into_text().unwrap_or_default(),
                    "pending" => pending = value.as_int().unwrap_or(1),
                    "idle" => idle = value.as_int().unwrap_or(0),
                    _ => {}
                }
            }
            if pending == 0 && idle > SILENT && name.starts_with(&prefix) && name != *self.consumer {
                self.remove(&name).await?;
            }
        }
        Ok(())
    }
}
