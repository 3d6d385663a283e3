//! A connection of one's own, for commands that block the connection they are sent on, and for subscriptions to channels.

use crate::connection::Connection;
use crate::server::Endpoint;
use crate::{Command, Error, Value};
use std::time::Duration;

/// One connection, used by one task. It does not reconnect: after an error, open another.
pub struct Dedicated {
    connection: Connection,
    id: Option<i64>,
}

impl Dedicated {
    pub(crate) async fn open(endpoint: &Endpoint) -> Result<Self, Error> {
        let mut connection = endpoint.open().await?;
        // The number lets another connection release this one from a blocking command; a server that keeps it secret is fine too.
        let id = connection.call(&Command::new("CLIENT").arg("ID"), Some(endpoint.settings.dial_timeout)).await;
        let id = match id {
            Ok(value) => value.as_int(),
            Err(Error::Server(_)) => None,
            Err(error) => return Err(error),
        };
        Ok(Self { connection, id })
    }

    /// For `CLIENT UNBLOCK`.
    pub fn id(&self) -> Option<i64> {
        self.id
    }

    pub async fn send(&mut self, commands: &[Command]) -> Result<(), Error> {
        self.connection.send(commands).await
    }

    /// The next reply or push, waiting at most `limit`. A reply that is an error is a value here, so that the order is kept.
    pub async fn next(&mut self, limit: Option<Duration>) -> Result<Value, Error> {
        self.connection.next(limit).await
    }

    pub async fn call(&mut self, command: &Command, limit: Option<Duration>) -> Result<Value, Error> {
        self.connection.call(command, limit).await
    }
}
