//! `nameresolution.hashicorp.consul`: sidecars among the healthy services of a Consul agent.
//!
//! `announce` registers this sidecar where the configuration wants that, `close` takes it back. A look-up is one request to the agent, five
//! seconds at most, or none while the service is followed. An agent that is out of reach is `unavailable`.

mod agent;
mod follower;
mod registration;
mod settings;
mod shape;

use agent::{Agent, Failure, Instance};
use follower::Follower;
use proa_sdk::component::{Component, Config, InitError};
use proa_sdk::nameresolution::{Error, Request, SelfInfo, resolver::Resolver};
use proa_sdk::net::join_host_port;
use proa_sdk::{log, time};
use settings::{Registration, Settings};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// The host waits two seconds for a component to close.
const CLOSING: Duration = Duration::from_millis(1500);

struct Consul {
    app_id: String,
    agent: Rc<Agent>,
    follower: Option<Rc<Follower>>,
    registration: Registration,
    deregister: bool,
    port_key: String,
    registered: RefCell<Option<String>>,
}

impl Component for Consul {
    async fn init(config: Config) -> Result<Self, InitError> {
        let settings = Settings::read(&(&config).into())?;
        Ok(Self {
            app_id: config.app_id,
            agent: Rc::new(Agent::new(settings.client, settings.query, settings.port_key.clone())),
            follower: settings.follow.then(Rc::default),
            registration: settings.registration,
            deregister: settings.deregister,
            port_key: settings.port_key,
            registered: RefCell::default(),
        })
    }

    async fn close(&self) {
        let Some(id) = self.registered.take().filter(|_| self.deregister) else { return };
        match time::timeout(CLOSING, self.agent.deregister(&id)).await {
            Some(Ok(())) => log::info("deregistered service from consul"),
            Some(Err(why)) => log::error(format!("failed to deregister consul service: {}", why.text)),
            None => log::error("failed to deregister consul service: context deadline exceeded"),
        }
    }
}

impl Resolver for Consul {
    async fn announce(&self, me: SelfInfo) -> Result<(), Error> {
        let registration = self.registration.of(&self.app_id, &me, &self.port_key).map_err(Error::InvalidArgument)?;
        let Some(registration) = registration else {
            return self.agent.check().await.map_err(|e| failure(e, "failed check on consul agent"));
        };
        self.agent.register(&registration).await.map_err(|e| failure(e, "failed to register consul service"))?;
        let name = registration.get("Name").and_then(|n| n.as_str()).unwrap_or_default();
        log::info(format!("service:{name} registered on consul agent"));
        self.registered.replace(registration::id(&registration).map(str::to_owned));
        Ok(())
    }

    async fn resolve(&self, request: Request) -> Result<Vec<String>, Error> {
        let app_id = &request.app_id;
        let known = self.follower.as_ref().map(|f| f.get(&self.agent, app_id)).unwrap_or_default();
        let instances =
            if known.is_empty() { self.agent.find(app_id).await.map_err(|e| failure(e, "failed to query healthy consul services"))? } else { known };
        if instances.is_empty() {
            return Err(Error::NotFound(format!("no healthy services found with AppID '{app_id}'")));
        }
        let addresses: Vec<String> = instances.iter().filter_map(address).collect();
        if addresses.is_empty() {
            return Err(Error::NotFound(format!("target service AppID '{app_id}' found but {} missing from meta", self.port_key)));
        }
        Ok(addresses)
    }
}

fn address(instance: &Instance) -> Option<String> {
    let port = instance.port.as_ref()?.parse().ok()?;
    Some(join_host_port(&instance.host, port))
}

fn failure(failure: Failure, what: &str) -> Error {
    let text = format!("{what}: {}", failure.text);
    if failure.gone { Error::Unavailable(text) } else { Error::Other(text) }
}

proa_sdk::component! {
    manifest: "../manifest.json",
    Consul: nameresolution::resolver
}
