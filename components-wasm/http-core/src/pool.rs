//! Connections that wait for their next request. The one used last is taken first; those unused for long are dropped when seen.

use crate::io::Io;
use crate::{Error, Target};
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use proa_sdk::net::{self, Stream, tls};
use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

const DIAL: Duration = Duration::from_secs(15);
const IDLE: Duration = Duration::from_secs(90);
const MOST_IDLE: usize = 64;

/// One connection, idle or with an exchange under way.
pub type Sender = SendRequest<Full<Bytes>>;

type Place = (bool, String, u16);

/// The kept connections of one component, by server. Cheap to ask; closing is done by dropping.
pub struct Pool {
    tls: tls::Connector,
    dial: Duration,
    idle: RefCell<HashMap<Place, Vec<(Sender, Instant)>>>,
}

fn place(target: &Target) -> Place {
    (target.secure, target.host.to_ascii_lowercase(), target.port)
}

impl Pool {
    /// `tls` opens the connections of `https` targets.
    pub fn new(tls: tls::Connector) -> Self {
        Self { tls, dial: DIAL, idle: RefCell::default() }
    }

    /// Limits how long opening a connection may take, and the TLS handshake after it; 15 seconds each otherwise.
    #[must_use]
    pub fn dial_within(self, dial: Duration) -> Self {
        Self { dial, ..self }
    }

    /// A connection that is open as far as is known.
    pub fn take(&self, target: &Target) -> Option<Sender> {
        let mut idle = self.idle.borrow_mut();
        let waiting = idle.get_mut(&place(target))?;
        while let Some((sender, since)) = waiting.pop() {
            if sender.is_ready() && since.elapsed() < IDLE {
                return Some(sender);
            }
        }
        None
    }

    /// Keeps a connection whose last answer was read to its end.
    pub fn put(&self, target: &Target, sender: Sender) {
        if sender.is_closed() {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        let waiting = idle.entry(place(target)).or_default();
        waiting.retain(|(_, since)| since.elapsed() < IDLE);
        if waiting.len() < MOST_IDLE {
            waiting.push((sender, Instant::now()));
        }
    }

    /// A fresh connection.
    pub async fn open(&self, target: &Target) -> Result<Sender, Error> {
        let dial = |e: std::io::Error| Error::Dial(e.to_string());
        let stream: Stream = if target.secure {
            self.tls.connect(&target.host, target.port, self.dial).await.map_err(dial)?.into()
        } else {
            net::connect(&target.host, target.port, self.dial).await.map_err(dial)?.into()
        };
        let (sender, connection) = http1::handshake(Io(stream)).await.map_err(|e| Error::Dial(e.to_string()))?;
        // Ends when the sender is dropped or the server hangs up.
        proa_sdk::spawn(async move {
            let _ = connection.await;
        });
        Ok(sender)
    }

    /// Drops all that wait.
    pub fn clear(&self) {
        self.idle.borrow_mut().clear();
    }
}
