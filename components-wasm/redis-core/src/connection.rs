//! One open connection, used by one task at a time: write commands, read replies.

use crate::value::Decoder;
use crate::{Command, Error, Value};
use proa_sdk::net::{Reader, Stream, Writer};
use std::time::Duration;

/// What a read asks for at least; more when a large value is on its way.
const READ_SIZE: usize = 64 * 1024;

/// The reading half with its buffer.
pub(crate) struct Incoming {
    reader: Reader,
    buffer: Vec<u8>,
    at: usize,
    decoder: Decoder,
}

impl Incoming {
    /// The next reply that is already here.
    pub(crate) fn ready(&mut self) -> Result<Option<Value>, Error> {
        self.decoder.next(&self.buffer, &mut self.at)
    }

    /// Waits for more bytes.
    pub(crate) async fn fill(&mut self) -> Result<(), Error> {
        if self.at == self.buffer.len() {
            self.buffer.clear();
        } else if self.at > 0 {
            self.buffer.drain(..self.at);
        }
        self.at = 0;
        // A buffer that one huge reply has blown up is not kept.
        if self.buffer.is_empty() && self.buffer.capacity() > 16 * READ_SIZE {
            self.buffer = Vec::new();
        }
        if self.buffer.capacity() - self.buffer.len() < READ_SIZE / 4 {
            self.buffer.reserve(READ_SIZE.max(self.buffer.len()));
        }
        match self.reader.read(&mut self.buffer).await {
            Ok(0) => Err(Error::Network("EOF".into())),
            Ok(_) => Ok(()),
            Err(error) => Err(Error::network(error)),
        }
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
        let incoming = Incoming { reader, buffer: Vec::new(), at: 0, decoder: Decoder::default() };
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
