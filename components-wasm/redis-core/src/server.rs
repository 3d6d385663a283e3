//! From settings to an open, authenticated connection: dialling, TLS, `AUTH`, `SELECT`, and asking sentinels for the master.

use crate::connection::Connection;
use crate::settings::Sentinel;
use crate::{Command, Error, Settings, Value};
use proa_sdk::net::{self, Stream};
use std::rc::Rc;

/// Whom to connect to.
#[derive(Clone)]
pub(crate) enum Target {
    /// What the settings name: a server (the first that answers) or the master that the sentinels know.
    Configured,
    /// One node of a cluster.
    Node(String, u16),
}

/// Opens connections to one target.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) settings: Rc<Settings>,
    pub(crate) target: Target,
}

impl Endpoint {
    /// A connection that is ready for commands. Each step is bounded by `dialTimeout`.
    pub(crate) async fn open(&self) -> Result<Connection, Error> {
        match (&self.target, &self.settings.sentinel) {
            (Target::Node(host, port), _) => self.server(host, *port, false).await,
            (Target::Configured, None) => {
                let mut last = Error::Network("redisHost names no server".into());
                for (host, port) in &self.settings.servers {
                    match self.server(host, *port, true).await {
                        Ok(connection) => return Ok(connection),
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
            (Target::Configured, Some(sentinel)) => self.master(sentinel).await,
        }
    }

    async fn dial(&self, host: &str, port: u16) -> Result<Connection, Error> {
        let limit = self.settings.dial_timeout;
        let stream: Stream = match &self.settings.tls {
            None => net::connect(host, port, limit).await.map_err(Error::network)?.into(),
            Some(tls) => tls.connect(host, port, limit).await.map_err(Error::network)?.into(),
        };
        Connection::new(stream)
    }

    async fn server(&self, host: &str, port: u16, select: bool) -> Result<Connection, Error> {
        let mut connection = self.dial(host, port).await?;
        let mut greeting = Vec::new();
        greeting.extend(auth(self.settings.username.as_deref(), self.settings.password.as_deref()));
        if select && self.settings.db != 0 {
            greeting.push(Command::new("SELECT").int(self.settings.db));
        }
        connection.greet(&greeting, self.settings.dial_timeout).await?;
        Ok(connection)
    }

    async fn master(&self, sentinel: &Sentinel) -> Result<Connection, Error> {
        let mut last = Error::Network("redis: all sentinels specified in configuration are unreachable".into());
        for (host, port) in &self.settings.servers {
            match self.master_by(sentinel, host, *port).await {
                Ok(connection) => return Ok(connection),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn master_by(&self, sentinel: &Sentinel, host: &str, port: u16) -> Result<Connection, Error> {
        let limit = self.settings.dial_timeout;
        let mut watcher = self.dial(host, port).await?;
        let greeting: Vec<_> = auth(sentinel.username.as_deref(), sentinel.password.as_deref()).into_iter().collect();
        watcher.greet(&greeting, limit).await?;
        let question = Command::new("SENTINEL").arg("get-master-addr-by-name").arg(&sentinel.master);
        let answer = watcher.call(&question, Some(limit)).await?;
        let parts = answer.into_array().unwrap_or_default();
        let mut parts = parts.into_iter().filter_map(Value::into_text);
        let (Some(host), Some(port)) = (parts.next(), parts.next().and_then(|p| p.parse().ok())) else {
            return Err(Error::Network(format!("redis: the sentinel knows no master named {:?}", sentinel.master)));
        };
        let mut connection = self.server(&host, port, true).await?;
        // A sentinel may be behind the times: the server itself knows best.
        let role = connection.call(&Command::new("ROLE"), Some(limit)).await?;
        let role = role.into_array().unwrap_or_default().into_iter().next().and_then(Value::into_text);
        match role.as_deref() {
            Some("master") => Ok(connection),
            _ => Err(Error::Network(format!("redis: {} is not the master now", net::join_host_port(&host, port)))),
        }
    }
}

fn auth(username: Option<&str>, password: Option<&str>) -> Option<Command> {
    let password = password?;
    Some(match username {
        Some(username) => Command::new("AUTH").arg(username).arg(password),
        None => Command::new("AUTH").arg(password),
    })
}
