//! `bindings.mqtt3`: `create` publishes to a topic; the input hands out what is published there.
//!
//! Publishing has a connection of its own, which the first request opens.

mod reading;
mod settings;

use broker_core::{Turns, entry};
use mqtt_core::{Publish, Session};
use proa_sdk::bindings::{Error, Event, Metadata, Request, Response, Verdict, input::Input, output::Output};
use proa_sdk::component::{Component, Config, InitError, health::Health};
use proa_sdk::{log, time};
use reading::Reading;
use settings::Settings;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long the broker may take for one message.
const LIMIT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(200);
const RETRIES: u32 = 3;

struct Mqtt {
    settings: Rc<Settings>,
    publishing: RefCell<Option<Session>>,
    connecting: Turns,
    reading: Rc<Reading>,
}

impl Component for Mqtt {
    async fn init(config: Config) -> Result<Self, InitError> {
        let settings = Rc::new(Settings::read(&config)?);
        let reading = Reading::new(settings.clone());
        Ok(Self { settings, publishing: RefCell::default(), connecting: Turns::default(), reading })
    }

    async fn close(&self) {
        self.reading.close().await;
        let publishing = self.publishing.borrow_mut().take();
        if let Some(session) = publishing {
            session.close().await;
        }
    }
}

impl Health for Mqtt {
    async fn ping(&self) -> Result<(), String> {
        self.publishing.borrow().as_ref().map_or(Ok(()), Session::ping)?;
        self.reading.ping()
    }
}

impl Mqtt {
    async fn publishing(&self) -> Result<Session, String> {
        let _turn = self.connecting.next().await;
        let current = self.publishing.borrow().clone();
        if let Some(session) = current {
            return Ok(session);
        }
        let connected = time::timeout(LIMIT, Session::connect(self.settings.publishing(), Rc::new(|_, _| {}))).await;
        let session = connected.unwrap_or_else(|| Err("mqtt client timed out connecting".into()))?;
        *self.publishing.borrow_mut() = Some(session.clone());
        Ok(session)
    }
}

impl Output for Mqtt {
    fn operations() -> Vec<String> {
        vec!["create".into()]
    }

    async fn invoke(&self, request: Request) -> Result<Response, Error> {
        if request.operation != "create" {
            return Err(Error::UnsupportedOperation(format!("invalid operation type: {}", request.operation)));
        }
        let topic = entry(&request.metadata, "topic").unwrap_or(&self.settings.topic).to_owned();
        if topic.contains(['#', '+', '\0']) || topic.len() > 65_535 {
            return Err(Error::InvalidArgument(format!("failed to publish: {topic:?} is no topic to publish to")));
        }
        let session = self.publishing().await;
        let session = session.map_err(|e| Error::Unavailable(format!("failed to create producer connection: failed to connect: {e}")))?;
        let message = Publish { topic, payload: request.data, qos: 1, retain: self.settings.retain, duplicate: false, id: 0 };
        let deadline = Instant::now() + LIMIT;
        let mut attempt = 0;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match time::timeout(left, session.publish(&message)).await {
                Some(Ok(())) => return Ok(Response { data: None, content_type: None, metadata: Metadata::new() }),
                Some(Err(_)) if attempt < RETRIES => log::debug("Could not publish MQTT message. Retrying..."),
                Some(Err(_)) => return Err(Error::Unavailable("failed to publish: connection lost before Publish completed".into())),
                None => return Err(Error::Unavailable("failed to publish: mqtt client timeout".into())),
            }
            attempt += 1;
            // Again on the next connection: the broker may then have it twice.
            time::sleep(PAUSE).await;
        }
    }
}

impl Input for Mqtt {
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
        self.reading.stop();
        Ok(())
    }
}

proa_sdk::component! {
    manifest: "../manifest.json",
    Mqtt: bindings::output, bindings::input, component::health
}
