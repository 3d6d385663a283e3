//! Publishing: one `XADD` a message; many messages leave in one write.

use crate::{failure, message};
use proa_sdk::pubsub::{Error, Metadata, PublishRequest, bulk_publisher::Entry};
use redis_core::{Client, Command, Value};
use std::time::{SystemTime, UNIX_EPOCH};

fn command(client: &Client, topic: &str, data: &[u8], metadata: &Metadata) -> Command {
    let settings = &client.settings().pubsub;
    let mut command = Command::new("XADD").key(topic);
    if let Some(length) = settings.max_len_approx {
        command = command.arg("MAXLEN").arg("~").int(length);
    } else if let Some(ttl) = settings.stream_ttl {
        let oldest = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(ttl);
        command = command.arg("MINID").arg("~").arg(format!("{}-1", oldest.as_millis()));
    }
    command = command.arg("*").arg("data").arg(data);
    match message::encode_metadata(metadata) {
        Some(json) => command.arg("metadata").arg(json),
        None => command,
    }
}

pub async fn one(client: &Client, request: &PublishRequest) -> Result<(), Error> {
    let command = command(client, &request.topic, &request.data, &request.metadata);
    client.call(&command).await.map(|_| ()).map_err(|e| failure("error from publish", e))
}

pub async fn many(client: &Client, topic: &str, entries: &[Entry]) -> Result<Vec<(String, Error)>, Error> {
    let commands: Vec<_> = entries.iter().map(|e| command(client, topic, &e.data, &e.metadata)).collect();
    let replies = client.pipeline(&commands).await.map_err(|e| failure("error from publish", e))?;
    let failed = |(entry, reply): (&Entry, Value)| match reply.into_result() {
        Ok(_) => None,
        Err(error) => Some((entry.id.clone(), failure("error from publish", error))),
    };
    Ok(entries.iter().zip(replies).filter_map(failed).collect())
}
