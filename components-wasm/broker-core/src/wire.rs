//! The two halves of a connection. What is queued in one turn of the instance leaves in one write.

use crate::Waiters;
use proa_sdk::net::{Reader, Writer};
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

/// What a read asks for at least.
const READ_SIZE: usize = 64 * 1024;
/// Callers that can wait do so while this much is queued.
const QUEUE_LIMIT: usize = 1024 * 1024;

/// What arrives: read bytes, looked at in place.
pub struct Incoming {
    reader: Reader,
    buffer: Vec<u8>,
    at: usize,
}

impl Incoming {
    pub fn new(reader: Reader) -> Self {
        Self { reader, buffer: Vec::new(), at: 0 }
    }

    /// What is here and not consumed.
    pub fn bytes(&self) -> &[u8] {
        self.buffer.get(self.at..).unwrap_or_default()
    }

    pub fn consume(&mut self, count: usize) {
        self.at = (self.at + count).min(self.buffer.len());
    }

    /// Waits for more. The end of the stream is an error.
    pub async fn fill(&mut self) -> io::Result<()> {
        if self.at == self.buffer.len() {
            self.buffer.clear();
        } else if self.at > 0 {
            self.buffer.drain(..self.at);
        }
        self.at = 0;
        // A buffer that one huge message has blown up is not kept.
        if self.buffer.is_empty() && self.buffer.capacity() > 16 * READ_SIZE {
            self.buffer = Vec::new();
        }
        if self.buffer.capacity() - self.buffer.len() < READ_SIZE / 4 {
            self.buffer.reserve(READ_SIZE.max(self.buffer.len()));
        }
        match self.reader.read(&mut self.buffer).await {
            Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "EOF")),
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// What leaves: a queue, and a task that writes it.
#[derive(Clone, Default)]
pub struct Outgoing(Rc<Queue>);

#[derive(Default)]
struct Queue {
    bytes: RefCell<Vec<u8>>,
    closed: Cell<bool>,
    written: Cell<bool>,
    changed: Waiters,
}

impl Outgoing {
    /// Starts the task. `ended` is called when a write fails, and never after [`Outgoing::close`] unless what was queued cannot leave.
    pub fn start(mut writer: Writer, ended: impl FnOnce(io::Error) + 'static) -> Self {
        let queue = Rc::new(Queue::default());
        let shared = queue.clone();
        proa_sdk::spawn(async move {
            let mut outcome = Ok(());
            loop {
                shared.changed.until(|| shared.closed.get() || !shared.bytes.borrow().is_empty()).await;
                let mut batch = shared.bytes.take();
                if batch.is_empty() {
                    break;
                }
                shared.changed.wake();
                outcome = writer.write_all(&mut batch).await;
                if outcome.is_err() {
                    break;
                }
            }
            shared.closed.set(true);
            let _ = writer.finish().await;
            shared.written.set(true);
            shared.changed.wake();
            if let Err(error) = outcome {
                ended(error);
            }
        });
        Self(queue)
    }

    pub fn is_closed(&self) -> bool {
        self.0.closed.get()
    }

    /// Queues what `write` appends. Nothing leaves any more once the connection is closed.
    pub fn send(&self, write: impl FnOnce(&mut Vec<u8>)) {
        if !self.0.closed.get() {
            write(&mut self.0.bytes.borrow_mut());
            self.0.changed.wake();
        }
    }

    /// Waits while much is queued: the peer, or the network, is slower than the callers.
    pub async fn room(&self) {
        self.0.changed.until(|| self.0.closed.get() || self.0.bytes.borrow().len() < QUEUE_LIMIT).await;
    }

    /// What is queued still leaves; then the outgoing direction ends.
    pub fn close(&self) {
        self.0.closed.set(true);
        self.0.changed.wake();
    }

    /// Waits until all that was queued before [`Outgoing::close`] has left.
    pub async fn finished(&self) {
        self.0.changed.until(|| self.0.written.get()).await;
    }
}
