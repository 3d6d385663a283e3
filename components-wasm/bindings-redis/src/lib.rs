//! `bindings.redis`: plain keys of a Redis server: `create`, `get`, `delete` and `increment`, each on the key that the request's metadata name.

use proa_sdk::bindings::{Error, Metadata, Request, Response, output::Output};
use proa_sdk::component::{Component, Config, InitError, health::Health};
use proa_sdk::properties::parse_duration;
use redis_core::{Client, Command, Family, Settings};

struct Redis {
    client: Client,
}

fn failure(error: redis_core::Error) -> Error {
    let text = error.to_string();
    if error.is_unavailable() { Error::Unavailable(text) } else { Error::Other(text) }
}

fn entry<'a>(metadata: &'a Metadata, name: &str) -> Option<&'a str> {
    metadata.iter().find(|(n, _)| n == name).or_else(|| metadata.iter().find(|(n, _)| n.eq_ignore_ascii_case(name))).map(|(_, v)| v.as_str())
}

/// Seconds to live, as a duration (`90s`) or a number above zero; none when the request says nothing.
fn ttl(metadata: &Metadata) -> Result<Option<u64>, Error> {
    let text = ["ttl", "ttlInSeconds"].iter().find_map(|n| entry(metadata, n).filter(|t| !t.is_empty()));
    let Some(text) = text else { return Ok(None) };
    match (parse_duration(text), text.parse::<i64>()) {
        (_, Ok(seconds)) if seconds > 0 => Ok(Some(seconds.unsigned_abs())),
        (_, Ok(seconds)) => Err(Error::InvalidArgument(format!("ttlInSeconds value must be higher than zero: actual is '{seconds}'"))),
        (Some(duration), _) => Ok(Some(duration.as_secs())),
        // A negative duration has already passed.
        (None, _) if text.strip_prefix('-').and_then(parse_duration).is_some() => Ok(Some(0)),
        (None, _) => Err(Error::InvalidArgument(format!("ttlInSeconds value must be a valid integer: actual is '{text}'"))),
    }
}

fn response(data: Option<Vec<u8>>) -> Response {
    Response { data, content_type: None, metadata: Metadata::new() }
}

impl Component for Redis {
    async fn init(config: Config) -> Result<Self, InitError> {
        let settings = Settings::read(&config, Family::Binding)?;
        let host = settings.host.clone();
        let away = |e: redis_core::Error| InitError::Unavailable(format!("redis binding: error connecting to redis at {host}: {e}"));
        let client = Client::connect(settings).await.map_err(away)?;
        client.ping().await.map_err(away)?;
        Ok(Self { client })
    }

    async fn close(&self) {
        self.client.close().await;
    }
}

impl Health for Redis {
    async fn ping(&self) -> Result<(), String> {
        self.client.ping().await.map_err(|e| format!("redis binding: error connecting to redis at {}: {e}", self.client.settings().host))
    }
}

impl Redis {
    async fn get(&self, key: &str, and_delete: bool) -> Result<Response, Error> {
        let command = Command::new(if and_delete { "GETDEL" } else { "GET" }).key(key);
        let value = self.client.call(&command).await.map_err(failure)?;
        Ok(response(value.into_bytes()))
    }

    /// One change, and the time to live right behind it.
    async fn change(&self, key: &str, change: Command, ttl: Option<u64>) -> Result<Response, Error> {
        let mut commands = vec![change];
        commands.extend(ttl.map(|seconds| Command::new("EXPIRE").key(key).int(seconds)));
        for reply in self.client.pipeline(&commands).await.map_err(failure)? {
            reply.into_result().map_err(failure)?;
        }
        Ok(response(None))
    }
}

impl Output for Redis {
    fn operations() -> Vec<String> {
        ["create", "delete", "get", "increment"].map(str::to_owned).into()
    }

    async fn invoke(&self, request: Request) -> Result<Response, Error> {
        let key = entry(&request.metadata, "key").filter(|k| !k.is_empty());
        let key = key.ok_or_else(|| Error::InvalidArgument("redis binding: missing key in request metadata".into()))?;
        match request.operation.as_str() {
            "get" => self.get(key, entry(&request.metadata, "delete") == Some("true")).await,
            "delete" => {
                self.client.call(&Command::new("DEL").key(key)).await.map_err(failure)?;
                Ok(response(None))
            }
            "create" => self.change(key, Command::new("SET").key(key).arg(&request.data), ttl(&request.metadata)?).await,
            "increment" => self.change(key, Command::new("INCR").key(key), ttl(&request.metadata)?).await,
            other => Err(Error::UnsupportedOperation(format!("invalid operation type: {other}"))),
        }
    }
}

proa_sdk::component! {
    manifest: "../manifest.json",
    Redis: bindings::output, component::health
}
