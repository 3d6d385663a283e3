//! Redis Cluster: which node has which slot, one connection a node, and redirections.
//! The map is read at the start, after a `MOVED`, and after a node was lost. Nodes are reached under the addresses that they announce;
//! the host lets through only those that the configuration names.

use crate::client::run_transaction;
use crate::link::Link;
use crate::server::Target;
use crate::{Command, Error, Settings, Value, slot};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

const SLOTS: usize = 16384;
const REDIRECTIONS: usize = 8;

type Address = (String, u16);

/// A cluster seen from one client.
pub(crate) struct Cluster {
    settings: Rc<Settings>,
    nodes: RefCell<HashMap<Address, Link>>,
    owners: RefCell<Vec<Option<Rc<Address>>>>,
}

enum Redirection {
    Moved(Address),
    Ask(Address),
}

fn redirection(text: &str) -> Option<Redirection> {
    let mut words = text.split(' ');
    let kind = words.next()?;
    let (host, port) = words.nth(1)?.rsplit_once(':')?;
    let address = (host.to_owned(), port.parse().ok()?);
    match kind {
        "MOVED" => Some(Redirection::Moved(address)),
        "ASK" => Some(Redirection::Ask(address)),
        _ => None,
    }
}

impl Cluster {
    pub(crate) async fn connect(settings: Rc<Settings>) -> Result<Self, Error> {
        let cluster = Self { settings, nodes: RefCell::default(), owners: RefCell::new(vec![None; SLOTS]) };
        match cluster.refresh().await {
            Ok(()) => Ok(cluster),
            Err(error) => {
                cluster.close().await;
                Err(error)
            }
        }
    }

    fn node(&self, address: &Address) -> Link {
        let start = || Link::start(self.settings.clone(), Target::Node(address.0.clone(), address.1));
        self.nodes.borrow_mut().entry(address.clone()).or_insert_with(start).clone()
    }

    /// Asks known nodes first, then the seeds, for the map.
    async fn refresh(&self) -> Result<(), Error> {
        let mut candidates: Vec<Address> = self.nodes.borrow().keys().cloned().collect();
        candidates.extend(self.settings.servers.iter().cloned());
        let mut last = Error::Network("redis: cluster has no nodes".into());
        for address in candidates {
            let answer = match self.node(&address).pipeline().await {
                Ok(pipeline) => pipeline.run_one(&Command::new("CLUSTER").arg("SLOTS")).await.and_then(Value::into_result),
                Err(error) => Err(error),
            };
            match answer {
                Ok(map) => return self.learn(map, &address).await,
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn learn(&self, map: Value, asked: &Address) -> Result<(), Error> {
        let mut owners = vec![None; SLOTS];
        let mut known = Vec::new();
        for range in map.into_array().unwrap_or_default() {
            let mut parts = range.into_array().unwrap_or_default().into_iter();
            let (Some(from), Some(to), Some(master)) = (parts.next(), parts.next(), parts.next()) else { continue };
            let mut master = master.into_array().unwrap_or_default().into_iter();
            let host = master.next().and_then(Value::into_text).filter(|h| !h.is_empty() && h != "?").unwrap_or_else(|| asked.0.clone());
            let port = master.next().and_then(|p| p.as_int()).and_then(|p| u16::try_from(p).ok()).unwrap_or(asked.1);
            let owner = Rc::new((host, port));
            known.push((*owner).clone());
            let bounds = (from.as_int().and_then(|n| usize::try_from(n).ok()), to.as_int().and_then(|n| usize::try_from(n).ok()));
            if let (Some(from), Some(to)) = bounds
                && let Some(slots) = owners.get_mut(from..=to)
            {
                slots.fill(Some(owner));
            }
        }
        if known.is_empty() {
            return Err(Error::Network("redis: the cluster serves no slots".into()));
        }
        *self.owners.borrow_mut() = owners;
        let gone: Vec<Link> = self.nodes.borrow_mut().extract_if(|address, _| !known.contains(address)).map(|(_, link)| link).collect();
        for link in gone {
            link.close().await;
        }
        Ok(())
    }

    fn owner(&self, slot: u16) -> Option<Rc<Address>> {
        self.owners.borrow().get(usize::from(slot)).cloned().flatten()
    }

    pub(crate) async fn link(&self, key: &[u8]) -> Result<Link, Error> {
        self.link_of(Some(slot::of(key))).await
    }

    async fn link_of(&self, slot: Option<u16>) -> Result<Link, Error> {
        let find = || match slot {
            Some(slot) => self.owner(slot),
            None => self.owners.borrow().iter().flatten().next().cloned(),
        };
        if let Some(owner) = find() {
            return Ok(self.node(&owner));
        }
        self.refresh().await?;
        find().map(|o| self.node(&o)).ok_or_else(|| Error::Network("redis: no node of the cluster serves this key".into()))
    }

    pub(crate) async fn call(&self, command: &Command) -> Result<Value, Error> {
        let slot = command.routing_key().map(slot::of);
        let mut link = self.link_of(slot).await?;
        let asking = Command::new("ASKING");
        let mut ask = false;
        for _ in 0..REDIRECTIONS {
            let reply = match link.pipeline().await {
                Ok(pipeline) if ask => pipeline.run(&[&asking, command]).await.map(|mut r| r.pop().unwrap_or(Value::Nil)),
                Ok(pipeline) => pipeline.run_one(command).await,
                Err(error) => Err(error),
            };
            ask = false;
            match reply {
                Ok(Value::Error(text)) => match redirection(&text) {
                    Some(Redirection::Moved(address)) => {
                        // One slot is known now; the rest of the map has most likely changed too. The direction given is right in any case.
                        let _ = self.refresh().await;
                        if let Some(slot) = slot {
                            self.assign(slot, &address);
                        }
                        link = self.node(&address);
                    }
                    Some(Redirection::Ask(address)) => {
                        ask = true;
                        link = self.node(&address);
                    }
                    None => return Err(Error::Server(text)),
                },
                Ok(value) => return Ok(value),
                Err(error @ Error::Network(_)) => {
                    // The node may have been replaced; the caller tries again with what is learnt here.
                    let _ = self.refresh().await;
                    return Err(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(Error::Network("redis: too many redirections".into()))
    }

    fn assign(&self, slot: u16, address: &Address) {
        if let Some(place) = self.owners.borrow_mut().get_mut(usize::from(slot)) {
            *place = Some(Rc::new(address.clone()));
        }
    }

    /// Runs commands grouped by node; those that are redirected are repeated one by one.
    pub(crate) async fn pipeline(&self, commands: &[Command]) -> Result<Vec<Value>, Error> {
        let mut groups: BTreeMap<Option<Address>, Vec<usize>> = BTreeMap::new();
        for (index, command) in commands.iter().enumerate() {
            let owner = command.routing_key().and_then(|k| self.owner(slot::of(k)));
            groups.entry(owner.map(|o| (*o).clone())).or_default().push(index);
        }
        let mut out: Vec<Value> = vec![Value::Nil; commands.len()];
        for (owner, indices) in groups {
            let link = match &owner {
                Some(owner) => self.node(owner),
                None => self.link_of(None).await?,
            };
            let part: Vec<&Command> = indices.iter().filter_map(|i| commands.get(*i)).collect();
            let replies = link.pipeline().await?.run(&part).await?;
            for ((index, command), reply) in indices.into_iter().zip(part).zip(replies) {
                let reply = match reply {
                    Value::Error(text) if redirection(&text).is_some() => match self.call(command).await {
                        Ok(value) => value,
                        Err(Error::Server(text)) => Value::Error(text),
                        Err(error) => return Err(error),
                    },
                    reply => reply,
                };
                if let Some(place) = out.get_mut(index) {
                    *place = reply;
                }
            }
        }
        Ok(out)
    }

    /// One transaction a slot.
    pub(crate) async fn transaction(&self, commands: &[Command]) -> Result<Vec<Value>, Error> {
        let mut groups: BTreeMap<Option<u16>, Vec<usize>> = BTreeMap::new();
        for (index, command) in commands.iter().enumerate() {
            groups.entry(command.routing_key().map(slot::of)).or_default().push(index);
        }
        let mut out: Vec<Value> = vec![Value::Nil; commands.len()];
        for (slot, indices) in groups {
            let part: Vec<&Command> = indices.iter().filter_map(|i| commands.get(*i)).collect();
            let mut outcome = run_transaction(&self.link_of(slot).await?.pipeline().await?, &part).await;
            if let Err(Error::Server(text)) = &outcome
                && let Some(Redirection::Moved(address)) = redirection(text)
            {
                let _ = self.refresh().await;
                outcome = run_transaction(&self.node(&address).pipeline().await?, &part).await;
            }
            for (index, reply) in indices.into_iter().zip(outcome?) {
                if let Some(place) = out.get_mut(index) {
                    *place = reply;
                }
            }
        }
        Ok(out)
    }

    pub(crate) async fn masters(&self) -> Result<Vec<Link>, Error> {
        let mut addresses: Vec<Address> = self.owners.borrow().iter().flatten().map(|o| (**o).clone()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        Ok(addresses.iter().map(|a| self.node(a)).collect())
    }

    pub(crate) async fn close(&self) {
        let links: Vec<Link> = self.nodes.borrow_mut().drain().map(|(_, link)| link).collect();
        for link in links {
            link.close().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_redirections() {
        assert!(matches!(redirection("MOVED 3999 127.0.0.1:6381"), Some(Redirection::Moved((h, 6381))) if h == "127.0.0.1"));
        assert!(matches!(redirection("ASK 1 ::1:7"), Some(Redirection::Ask((h, 7))) if h == "::1"));
        assert!(redirection("ERR no").is_none());
    }
}
