//! Sets and deletes: from requests to the words of the script, and from its answers to errors.

use crate::scripts::Scripts;
use crate::{Redis, failure, is_json, layout};
use proa_sdk::state::{Concurrency, Consistency, DeleteRequest, Error, Metadata, SetRequest};
use redis_core::{Command, Value};
use std::borrow::Cow;

/// One change, ready for the script.
pub struct Write<'a> {
    key: &'a str,
    set: bool,
    json: bool,
    /// The version wanted; `0` for any.
    version: Cow<'a, str>,
    value: Cow<'a, [u8]>,
    first_write: bool,
    ttl: Option<i64>,
    strong: bool,
    has_etag: bool,
}

/// Seconds to live; none when the request says nothing.
fn ttl(metadata: &Metadata) -> Result<Option<i64>, Error> {
    let text = metadata.iter().find(|(n, _)| n.eq_ignore_ascii_case("ttlInSeconds")).map(|(_, v)| v.as_str()).filter(|v| !v.is_empty());
    let Some(text) = text else { return Ok(None) };
    let wrong = |_| Error::InvalidArgument(format!("failed to parse ttl from metadata: {text:?} is not a number of seconds"));
    text.parse().map(Some).map_err(wrong)
}

impl<'a> Write<'a> {
    pub fn set(store: &Redis, request: &'a SetRequest) -> Result<Self, Error> {
        let etag = request.etag.as_deref().filter(|e| !e.is_empty());
        let version = match etag {
            Some(etag) if request.concurrency != Concurrency::LastWrite => {
                let number: i64 = etag.parse().map_err(|_| Error::EtagInvalid(format!("{etag:?} is not a version number")))?;
                Cow::Owned(number.to_string())
            }
            _ => Cow::Borrowed("0"),
        };
        let json = store.json && (is_json(&request.metadata) || request.content_type.as_deref() == Some("application/json"));
        let value = if json { layout::to_document(&request.value).into_bytes().into() } else { Cow::Borrowed(request.value.as_slice()) };
        Ok(Self {
            key: &request.key,
            set: true,
            json,
            version,
            value,
            first_write: request.concurrency == Concurrency::FirstWrite,
            ttl: ttl(&request.metadata)?.or(store.client.settings().state.ttl_in_seconds),
            strong: request.consistency == Consistency::Strong,
            has_etag: etag.is_some(),
        })
    }

    pub fn delete(store: &Redis, request: &'a DeleteRequest) -> Self {
        let etag = request.etag.as_deref().filter(|e| !e.is_empty());
        Self {
            key: &request.key,
            set: false,
            json: store.json && is_json(&request.metadata),
            version: Cow::Borrowed(etag.unwrap_or("0")),
            value: Cow::Borrowed(b""),
            first_write: false,
            ttl: None,
            strong: false,
            has_etag: true,
        }
    }

    /// A set of a transaction that is JSON as a whole.
    pub fn json_too(mut self, all: bool, request: &SetRequest) -> Self {
        if all && !self.json {
            self.json = true;
            self.value = layout::to_document(&request.value).into_bytes().into();
        }
        self
    }

    pub fn into_json(mut self, all: bool) -> Self {
        self.json |= all;
        self
    }

    fn push_words(&self, command: &mut Command) {
        command.push(if self.set { b"set" } else { b"del" });
        command.push(if self.json { b"json" } else { b"hash" });
        command.push(self.version.as_bytes());
        command.push(&self.value);
        command.push(if self.first_write { b"1" } else { b"0" });
        match self.ttl {
            Some(ttl) => command.push(ttl.to_string().as_bytes()),
            None => command.push(b""),
        }
    }

    fn error(&self, error: redis_core::Error) -> Error {
        match error {
            redis_core::Error::Server(text) if text.starts_with("MISMATCH ") => {
                let text = text.splitn(3, ' ').last().unwrap_or_default().to_owned();
                // A first-write that came too late without naming a version is no mismatch of etags.
                if self.has_etag { Error::EtagMismatch(text) } else { Error::Other(format!("failed to set key {}: {text}", self.key)) }
            }
            error => match failure(error) {
                Error::Other(text) if self.set => Error::Other(format!("failed to set key {}: {text}", self.key)),
                error => error,
            },
        }
    }
}

fn is_unknown_script(error: &redis_core::Error) -> bool {
    matches!(error, redis_core::Error::Server(text) if text.starts_with("NOSCRIPT"))
}

impl Redis {
    /// By digest when the server knows the script, which is shorter and cheaper for both.
    fn script(&self, digest: Option<&str>, writes: &[&Write<'_>]) -> Command {
        let mut command = match digest {
            Some(digest) => Command::new("EVALSHA").arg(digest),
            None => Command::new("EVAL").arg(Scripts::text()),
        };
        command.push(writes.len().to_string().as_bytes());
        for (index, write) in writes.iter().enumerate() {
            if index == 0 {
                command = command.key(write.key);
            } else {
                command.push(write.key.as_bytes());
            }
        }
        for write in writes {
            write.push_words(&mut command);
        }
        command
    }

    async fn digest(&self) -> Option<String> {
        if let Some(digest) = self.scripts.digest() {
            return Some(digest);
        }
        // In a cluster each node has its own scripts.
        if self.client.settings().cluster {
            return None;
        }
        let load = Command::new("SCRIPT").arg("LOAD").arg(Scripts::text());
        let digest = self.client.call(&load).await.ok()?.into_text()?;
        self.scripts.learn(digest.clone());
        Some(digest)
    }

    async fn run(&self, writes: &[&Write<'_>]) -> Result<Value, redis_core::Error> {
        let digest = self.digest().await;
        match self.client.call(&self.script(digest.as_deref(), writes)).await {
            Err(error) if is_unknown_script(&error) => {
                // The server was restarted or its scripts were flushed.
                self.scripts.forget();
                self.client.call(&self.script(None, writes)).await
            }
            outcome => outcome,
        }
    }

    pub async fn write(&self, write: &Write<'_>) -> Result<(), Error> {
        if write.strong && self.replicas > 0 {
            return self.write_strong(write).await;
        }
        self.run(&[write]).await.map(|_| ()).map_err(|e| write.error(e))
    }

    /// Waits until the replicas have the write, at most a second.
    async fn write_strong(&self, write: &Write<'_>) -> Result<(), Error> {
        let commands = [self.script(None, &[write]), Command::new("WAIT").int(self.replicas).int(1000)];
        let replies = self.client.pipeline_apart(&commands).await.map_err(|e| write.error(e))?;
        let mut replies = replies.into_iter().map(Value::into_result);
        if let Some(Err(error)) = replies.next() {
            return Err(write.error(error));
        }
        match replies.next() {
            Some(Err(error)) => Err(Error::Other(format!("redis waiting for {} replicas to acknowledge write, err: {error}", self.replicas))),
            _ => Ok(()),
        }
    }

    /// Side by side, one outcome each.
    pub async fn write_each(&self, writes: Vec<Result<Write<'_>, Error>>) -> Vec<Result<(), Error>> {
        let digest = self.digest().await;
        let plain = |w: &Write<'_>| !w.strong || self.replicas == 0;
        let commands: Vec<Command> = writes.iter().flatten().filter(|w| plain(w)).map(|w| self.script(digest.as_deref(), &[w])).collect();
        let mut replies = match self.client.pipeline(&commands).await {
            Ok(replies) => Ok(replies.into_iter()),
            Err(error) => Err(error),
        };
        let mut out = Vec::with_capacity(writes.len());
        for write in writes {
            out.push(match write {
                Err(error) => Err(error),
                Ok(write) if !plain(&write) => self.write(&write).await,
                Ok(write) => match &mut replies {
                    Err(error) => Err(write.error(error.clone())),
                    Ok(replies) => match replies.next().unwrap_or(Value::Nil).into_result() {
                        Err(error) if is_unknown_script(&error) => {
                            self.scripts.forget();
                            self.write(&write).await
                        }
                        outcome => outcome.map(|_| ()).map_err(|e| write.error(e)),
                    },
                },
            });
        }
        out
    }

    /// One script for all; in a cluster one transaction a slot, because no script reaches over two.
    pub async fn write_all_or_none(&self, writes: &[Write<'_>]) -> Result<(), Error> {
        if writes.is_empty() {
            return Ok(());
        }
        if !self.client.settings().cluster {
            return match self.run(&writes.iter().collect::<Vec<_>>()).await {
                Ok(_) => Ok(()),
                Err(redis_core::Error::Server(text)) if text.starts_with("MISMATCH ") => {
                    Err(Error::EtagMismatch(text.splitn(3, ' ').last().unwrap_or_default().to_owned()))
                }
                Err(error) => Err(failure(error)),
            };
        }
        let commands: Vec<Command> = writes.iter().map(|w| self.script(None, &[w])).collect();
        let replies = self.client.transaction(&commands).await.map_err(failure)?;
        for (write, reply) in writes.iter().zip(replies) {
            reply.into_result().map_err(|e| write.error(e))?;
        }
        Ok(())
    }
}
