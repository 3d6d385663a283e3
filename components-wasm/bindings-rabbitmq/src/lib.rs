//! `bindings.rabbitmq`: `create` puts a message into one queue; the input hands out what is in it.

mod reading;
mod settings;

use amqp_core::{Channel, Client, Failure, Properties, Value};
use broker_core::{entry, ttl};
use proa_sdk::bindings::{Error, Event, Metadata, Request, Response, Verdict, input::Input, output::Output};
use proa_sdk::component::{Component, Config, InitError, health::Health};
use reading::Reading;
use settings::Settings;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

struct RabbitMq {
    client: Client,
    settings: Rc<Settings>,
    channel: RefCell<Option<Channel>>,
    reading: Rc<Reading>,
}

pub(crate) fn failure(failure: &Failure) -> Error {
    match failure {
        Failure::Lost => Error::Unavailable(failure.to_string()),
        Failure::Refused(404, _) => Error::NotFound(failure.to_string()),
        Failure::Refused(406, _) => Error::InvalidArgument(failure.to_string()),
        Failure::Refused(..) => Error::Other(failure.to_string()),
    }
}

impl Component for RabbitMq {
    async fn init(config: Config) -> Result<Self, InitError> {
        let (settings, dial) = Settings::read(&config)?;
        let settings = Rc::new(settings);
        let client = Client::connect(dial, settings.reconnect_wait).await.map_err(InitError::Unavailable)?;
        let reading = Reading::new(client.clone(), settings.clone());
        let binding = Self { client, settings, channel: RefCell::default(), reading };
        binding.ready().await.map_err(|e| InitError::Other(e.to_string()))?;
        Ok(binding)
    }

    async fn close(&self) {
        self.reading.close().await;
        self.client.close().await;
    }
}

impl Health for RabbitMq {
    async fn ping(&self) -> Result<(), String> {
        self.client.ping()
    }
}

fn properties(metadata: &Metadata) -> Result<Properties, Error> {
    let of = |name: &str| entry(metadata, name).map(str::to_owned);
    let life = ttl(metadata).map_err(|e| Error::InvalidArgument(format!("failed to get TTL: {e}")))?;
    let priority = metadata.iter().find(|(n, v)| n == "priority" && !v.is_empty()).map(|(_, v)| {
        let number = v.parse::<i64>().map_err(|_| Error::InvalidArgument(format!("priority value must be a valid integer: actual is '{v}'")))?;
        Ok::<_, Error>(u8::try_from(number.clamp(0, 255)).unwrap_or(u8::MAX))
    });
    Ok(Properties {
        content_type: Some(of("contentType").unwrap_or_else(|| "text/plain".into())),
        headers: Some(metadata.iter().map(|(n, v)| (n.clone(), Value::Text(v.as_bytes().to_vec()))).collect()),
        delivery_mode: Some(2),
        priority: priority.transpose()?.filter(|p| *p > 0),
        correlation_id: of("correlationID"),
        expiration: life.map(|t| t.as_millis().to_string()),
        message_id: of("messageID"),
        kind: of("type"),
    })
}

impl RabbitMq {
    /// A channel on which the queue is known to be there.
    async fn ready(&self) -> Result<Channel, Failure> {
        if let Some(channel) = self.channel.borrow().clone().filter(Channel::is_open) {
            return Ok(channel);
        }
        let channel = self.client.channel().await?;
        channel.call(&self.settings.declare()).await?;
        *self.channel.borrow_mut() = Some(channel.clone());
        Ok(channel)
    }
}

impl Output for RabbitMq {
    fn operations() -> Vec<String> {
        vec!["create".into()]
    }

    async fn invoke(&self, request: Request) -> Result<Response, Error> {
        if request.operation != "create" {
            return Err(Error::UnsupportedOperation(format!("invalid operation type: {}", request.operation)));
        }
        let properties = properties(&request.metadata)?;
        self.client.connected(self.settings.reconnect_wait).await;
        let channel = self.ready().await.map_err(|e| failure(&e))?;
        channel.publish("", &self.settings.queue, &properties, &request.data).await.map_err(|e| failure(&e))?;
        Ok(Response { data: None, content_type: None, metadata: Metadata::new() })
    }
}

impl Input for RabbitMq {
    async fn start(&self) -> Result<(), Error> {
        self.reading.start().await
    }

    async fn receive(&self, max: u32, wait_ms: u32) -> Result<Vec<Event>, Error> {
        Ok(self.reading.receive(max as usize, Duration::from_millis(u64::from(wait_ms))).await)
    }

    async fn settle(&self, verdicts: Vec<(String, Verdict)>) -> Result<(), Error> {
        self.reading.settle(&verdicts);
        Ok(())
    }

    async fn stop(&self) -> Result<(), Error> {
        self.reading.stop().await;
        Ok(())
    }
}

proa_sdk::component! {
    manifest: "../manifest.json",
    RabbitMq: bindings::output, bindings::input, component::health
}
