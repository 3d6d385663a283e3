//! One open connection, used by one task at a time: write commands, read replies.

use crate::value::Decoder;
use crate::{Command, Error, Value};
use proa_sdk::net::{Stream, Writer};
use std::time::Duration;

/// The reading half: bytes, and the replies in them.
pub(crate) struct Incoming {
    bytes: broker_core::Incoming,
    decoder: Decoder,
}

impl Incoming {
    /// The next reply that is already here.
    pub(crate) fn ready(&mut self) -> Result<Option<Value>, Error> {
        let mut read = 0;
        let value = self.decoder.next(self.bytes.bytes(), &mut read);
        self.bytes.consume(read);
        value
    }

    /// Waits for more bytes.
    pub(crate) async fn fill(&mut self) -> Result<(), Error> {
        self.bytes.fill().await.map_err(Error::network)
    }

    async fn next(&mut self) -> Result<Value, Error> {
        loop {
            if let Some(value) = self.ready()? {
                return Ok(value);
            }
            self.fill().await?;
        }
    }
}

/// A connection with nothing under way.
pub(crate) struct Connection {
    pub(crate) incoming: Incoming,
    pub(crate) writer: Writer,
}

impl Connection {
    pub(crate) fn new(stream: Stream) -> Result<Self, Error> {
        let (reader, writer) = stream.into_halves().map_err(Error::network)?;
        let incoming = Incoming { bytes: broker_core::Incoming::new(reader), decoder: Decoder::default() };
        Ok(Self { incoming, writer })
    }

    pub(crate) async fn send(&mut self, commands: &[Command]) -> Result<(), Error> {
        let mut out = Vec::with_capacity(commands.iter().map(|c| c.size() + 16).sum());
        for command in commands {
            command.write_to(&mut out);
        }
        self.writer.write_all(&mut out).await.map_err(Error::network)
    }

    /// The next reply, whatever it is.
    pub(crate) async fn next(&mut self, limit: Option<Duration>) -> Result<Value, Error> {
        if let Some(value) = self.incoming.ready()? {
            return Ok(value);
        }
        match limit {
            None => self.incoming.next().await,
            Some(limit) => proa_sdk::time::timeout(limit, self.incoming.next()).await.unwrap_or(Err(Error::Timeout)),
        }
    }

    pub(crate) async fn call(&mut self, command: &Command, limit: Option<Duration>) -> Result<Value, Error> {
        self.send(std::slice::from_ref(command)).await?;
        self.next(limit).await?.into_result()
    }

    /// Commands that must all succeed.
    pub(crate) async fn greet(&mut self, commands: &[Command], limit: Duration) -> Result<(), Error> {
        if commands.is_empty() {
            return Ok(());
        }
        self.send(commands).await?;
        for _ in commands {
            self.next(Some(limit)).await?.into_result()?;
        }
        Ok(())
    }
}
