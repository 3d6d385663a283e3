//! `nameresolution.sqlite`: sidecars in a table of a SQLite database, as Dapr's component of this name keeps them.
//!
//! This sidecar's row is written by `announce`, renewed by a task, and deleted by `close`. A look-up is one SELECT within `timeout`. It fails
//! with `unavailable` when the file is locked for longer than `busyTimeout`, and with `not-found` when no row counts.

mod hosts;
mod settings;

use hosts::{Failure, Hosts};
use proa_sdk::component::{Component, Config, InitError};
use proa_sdk::nameresolution::{Error, Request, SelfInfo, resolver::Resolver};
use proa_sdk::{log, time};
use settings::Settings;
use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

/// Between two attempts to renew the row.
const AGAIN: Duration = Duration::from_millis(50);

struct Sqlite {
    app_id: String,
    hosts: Rc<Hosts>,
    renewal: Duration,
    timeout: Duration,
    row: RefCell<Option<Rc<Row>>>,
}

/// This sidecar's row.
struct Row {
    id: String,
    address: String,
    app_id: String,
}

impl Component for Sqlite {
    async fn init(config: Config) -> Result<Self, InitError> {
        let settings = Settings::read(&(&config).into())?;
        if config.app_id.is_empty() {
            return Err(InitError::Other("name is missing".into()));
        }
        settings.common.warn();
        if settings.common.location.memory {
            log::warn("Configuring name resolution with an in-memory SQLite database. Service invocation across different apps will not work.");
        } else {
            log::info(format!("Configuring SQLite name resolution with path {}", settings.common.location.path));
        }
        let hosts = Rc::new(Hosts::open(&settings).await?);
        if let Some(interval) = settings.cleanup {
            clean_up(Rc::downgrade(&hosts), interval);
        }
        Ok(Self { app_id: config.app_id, hosts, renewal: settings.renewal(), timeout: settings.common.timeout, row: RefCell::default() })
    }

    async fn close(&self) {
        let Some(row) = self.row.take() else { return };
        match self.hosts.deregister(&row.id, &row.address).await {
            Ok(true) => {}
            Ok(false) => log::error("failed to unregister host: no row deleted"),
            Err(why) => log::error(format!("failed to unregister host: {why}")),
        }
    }
}

impl Resolver for Sqlite {
    async fn announce(&self, me: SelfInfo) -> Result<(), Error> {
        if me.host_address.is_empty() {
            return Err(Error::InvalidArgument("address is missing".into()));
        }
        if me.internal_grpc_port == 0 {
            return Err(Error::InvalidArgument("port is missing or invalid".into()));
        }
        let host = if me.host_address.contains(':') { format!("[{}]", me.host_address) } else { me.host_address };
        let address = format!("{host}:{}", me.internal_grpc_port);
        let row = Rc::new(Row { id: uuid::Uuid::new_v4().to_string(), address, app_id: self.app_id.clone() });
        let registered = self.hosts.register(&row.id, &row.address, &row.app_id).await;
        registered.map_err(|e| failure(e, "failed to register host"))?;
        renew(Rc::downgrade(&self.hosts), Rc::downgrade(&row), self.renewal, self.timeout);
        self.row.replace(Some(row));
        Ok(())
    }

    async fn resolve(&self, request: Request) -> Result<Vec<String>, Error> {
        let found = self.hosts.find(&request.app_id).await.map_err(|e| failure(e, "failed to look up address"))?;
        if found.is_empty() { Err(Error::NotFound("no host found with the given ID".into())) } else { Ok(found) }
    }
}

fn failure(failure: Failure, what: &str) -> Error {
    let text = format!("{what}: {failure}");
    match failure {
        Failure::Busy(_) => Error::Unavailable(text),
        Failure::Other(_) => Error::Other(text),
    }
}

/// Keeps the row alive until it is given up.
fn renew(hosts: Weak<Hosts>, row: Weak<Row>, every: Duration, within: Duration) {
    proa_sdk::spawn(async move {
        loop {
            time::sleep(every).await;
            let begun = Instant::now();
            loop {
                let (Some(hosts), Some(row)) = (hosts.upgrade(), row.upgrade()) else { return };
                let outcome = match hosts.renew(&row.id, &row.address).await {
                    Ok(false) => {
                        log::error("Host registration lost; it is made anew");
                        hosts.register(&row.id, &row.address, &row.app_id).await
                    }
                    other => other.map(drop),
                };
                let Err(why) = outcome else { break };
                if begun.elapsed() >= within {
                    log::error(format!("Failed to update host registration: {why}"));
                    break;
                }
                time::sleep(AGAIN).await;
            }
        }
    });
}

fn clean_up(hosts: Weak<Hosts>, interval: Duration) {
    proa_sdk::spawn(async move {
        loop {
            time::sleep(interval).await;
            let Some(hosts) = hosts.upgrade() else { return };
            match hosts.clean_up(interval).await {
                Ok(Some(rows)) => log::info(format!("Removed {rows} expired rows")),
                Ok(None) => log::debug("Last cleanup was performed too recently"),
                Err(why) => log::error(format!("Error removing expired data: {why}")),
            }
        }
    });
}

proa_sdk::component! {
    manifest: "../manifest.json",
    Sqlite: nameresolution::resolver
}
