//! What components call. Chooses the connection, repeats what a server in transition refused, and otherwise stays out of the way.

use crate::cluster::Cluster;
use crate::dedicated::Dedicated;
use crate::link::Link;
use crate::pipeline::Pipeline;
use crate::server::Target;
use crate::{Command, Error, Settings, Value};
use proa_sdk::time;
use std::cell::RefCell;
use std::rc::Rc;

/// A Redis server, a master behind sentinels, or a cluster. Cheap to clone.
#[derive(Clone)]
pub struct Client(Rc<Inner>);

struct Inner {
    settings: Rc<Settings>,
    route: Route,
    /// For `WAIT`, which holds up its connection.
    second: RefCell<Option<Link>>,
}

enum Route {
    One(Link),
    Cluster(Cluster),
}

impl Client {
    /// Connects, and fails when that fails at the first attempt.
    pub async fn connect(settings: Settings) -> Result<Self, Error> {
        let settings = Rc::new(settings);
        let route = if settings.cluster {
            Route::Cluster(Cluster::connect(settings.clone()).await?)
        } else {
            let link = Link::start(settings.clone(), Target::Configured);
            if let Err(error) = link.pipeline().await {
                link.close().await;
                return Err(error);
            }
            Route::One(link)
        };
        Ok(Self(Rc::new(Inner { settings, route, second: RefCell::new(None) })))
    }

    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// One command; an error reply is an error.
    pub async fn call(&self, command: &Command) -> Result<Value, Error> {
        self.retried(async || match &self.0.route {
            Route::One(link) => link.pipeline().await?.run_one(command).await?.into_result(),
            Route::Cluster(cluster) => cluster.call(command).await,
        })
        .await
    }

    /// Many commands in one write; error replies are values of the list.
    pub async fn pipeline(&self, commands: &[Command]) -> Result<Vec<Value>, Error> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        self.retried(async || match &self.0.route {
            Route::One(link) => link.pipeline().await?.run(&commands.iter().collect::<Vec<_>>()).await,
            Route::Cluster(cluster) => cluster.pipeline(commands).await,
        })
        .await
    }

    /// `MULTI`, the commands, `EXEC`: nothing else comes between. The replies of the commands; a failing one does not undo the others.
    /// In a cluster the keys of one slot form one transaction.
    pub async fn transaction(&self, commands: &[Command]) -> Result<Vec<Value>, Error> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        self.retried(async || match &self.0.route {
            Route::One(link) => run_transaction(&link.pipeline().await?, &commands.iter().collect::<Vec<_>>()).await,
            Route::Cluster(cluster) => cluster.transaction(commands).await,
        })
        .await
    }

    /// Commands that must go over one connection of which the last may block for a moment (`WAIT`): they do not hold up others.
    pub async fn pipeline_apart(&self, commands: &[Command]) -> Result<Vec<Value>, Error> {
        let Route::One(_) = &self.0.route else { return self.pipeline(commands).await };
        let link = self.0.second.borrow_mut().get_or_insert_with(|| Link::start(self.0.settings.clone(), Target::Configured)).clone();
        self.retried(async || link.pipeline().await?.run(&commands.iter().collect::<Vec<_>>()).await).await
    }

    /// Attempts, until one succeeds or its failure is final.
    async fn retried<T>(&self, attempt: impl AsyncFn() -> Result<T, Error>) -> Result<T, Error> {
        let mut made = 0;
        loop {
            match attempt().await {
                Ok(value) => return Ok(value),
                Err(error) => self.pause(error, &mut made).await?,
            }
        }
    }

    /// One command on every master, for `SCAN` and the like; one reply a master.
    pub async fn masters(&self) -> Result<Vec<Master>, Error> {
        match &self.0.route {
            Route::One(link) => Ok(vec![Master(link.clone())]),
            Route::Cluster(cluster) => Ok(cluster.masters().await?.into_iter().map(Master).collect()),
        }
    }

    /// A connection of one's own, in a cluster to the node that has `key`.
    pub async fn dedicated(&self, key: &[u8]) -> Result<Dedicated, Error> {
        match &self.0.route {
            Route::One(link) => link.dedicated().await,
            Route::Cluster(cluster) => cluster.link(key).await?.dedicated().await,
        }
    }

    pub async fn ping(&self) -> Result<(), Error> {
        let ping = Command::new("PING");
        let ask = self.call(&ping);
        time::timeout(self.0.settings.dial_timeout, ask).await.unwrap_or(Err(Error::Timeout)).map(|_| ())
    }

    /// Answers what is under way, then closes the connections.
    pub async fn close(&self) {
        let second = self.0.second.borrow_mut().take();
        if let Some(link) = second {
            link.close().await;
        }
        match &self.0.route {
            Route::One(link) => link.close().await,
            Route::Cluster(cluster) => cluster.close().await,
        }
    }

    /// Waits before the next attempt, or gives the error back when there is none.
    async fn pause(&self, error: Error, attempt: &mut u32) -> Result<(), Error> {
        if let (true, Route::One(link)) = (error.is_demoted(), &self.0.route) {
            link.reconnect();
        }
        if !error.is_transient() || *attempt >= self.0.settings.max_retries {
            return Err(error);
        }
        *attempt += 1;
        time::sleep(self.0.settings.backoff(*attempt)).await;
        Ok(())
    }
}

/// One master of the deployment.
pub struct Master(Link);

impl Master {
    pub async fn call(&self, command: &Command) -> Result<Value, Error> {
        self.0.pipeline().await?.run_one(command).await?.into_result()
    }
}

pub(crate) async fn run_transaction(pipeline: &Pipeline, commands: &[&Command]) -> Result<Vec<Value>, Error> {
    let (multi, exec) = (Command::new("MULTI"), Command::new("EXEC"));
    let mut all = Vec::with_capacity(commands.len() + 2);
    all.push(&multi);
    all.extend_from_slice(commands);
    all.push(&exec);
    let mut replies = pipeline.run(&all).await?;
    let result = replies.pop().ok_or(Error::Closed)?;
    // A command that was refused while queueing says why; `EXEC` itself only says that it did nothing.
    if let Value::Error(text) = result {
        let cause = replies.into_iter().find_map(|r| match r {
            Value::Error(text) => Some(text),
            _ => None,
        });
        return Err(Error::Server(cause.unwrap_or(text)));
    }
    match result {
        Value::Array(values) => Ok(values),
        other => Err(other.unexpected()),
    }
}
