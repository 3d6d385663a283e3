//! `state.hostile`: a map in memory that misbehaves when the last part of a key (behind `||`) asks for it; see [`misdeeds`].
//! The properties `init`, `ping` and `snapshot` choose how the rest of its life goes wrong.

mod misdeeds;

use proa_sdk::Properties;
use proa_sdk::component::{Component, Config, InitError, health::Health, snapshot::Snapshot};
use proa_sdk::properties::invalid;
use proa_sdk::state::{DeleteRequest, Error, GetRequest, Item, SetRequest, store::Store};
use std::{cell::Cell, cell::RefCell, collections::BTreeMap, time::Duration};

struct Hostile {
    items: RefCell<BTreeMap<String, (Vec<u8>, u64)>>,
    writes: Cell<u64>,
    ping: String,
    snapshot: String,
    mark: String,
}

impl Component for Hostile {
    async fn init(config: Config) -> Result<Self, InitError> {
        let properties = Properties::from(&config);
        let text = |name: &str| properties.get(name).unwrap_or_default().to_owned();
        match text("init").as_str() {
            "fail" => return Err(InitError::Unavailable("the hostile component refuses to start".into())),
            "property" => return Err(invalid("init", "was told to be wrong")),
            "trap" => panic!("trap in init"),
            "hang" => misdeeds::never().await,
            "spin" => misdeeds::spin(),
            other => {
                let (verb, argument) = other.split_once(':').unwrap_or((other, ""));
                if verb == "slow" {
                    proa_sdk::time::sleep(Duration::from_millis(argument.parse().unwrap_or(100))).await;
                }
                // A component that cannot work without what it was not granted.
                if let Some(Err(why)) = misdeeds::attempt(verb, argument) {
                    return Err(InitError::Unavailable(format!("{other}: {why}")));
                }
            }
        }
        Ok(Self {
            items: RefCell::default(),
            writes: Cell::new(0),
            ping: text("ping"),
            snapshot: text("snapshot"),
            mark: text("mark"),
        })
    }

    async fn close(&self) {
        if self.ping == "close-hang" {
            misdeeds::never().await;
        }
    }
}

impl Hostile {
    fn version(&self) -> u64 {
        self.writes.set(self.writes.get() + 1);
        self.writes.get()
    }

    fn check(&self, key: &str, etag: Option<&str>) -> Result<(), Error> {
        let Some(etag) = etag.filter(|e| !e.is_empty()) else { return Ok(()) };
        let items = self.items.borrow();
        match items.get(key) {
            Some((_, version)) if version.to_string() == etag => Ok(()),
            _ => Err(Error::EtagMismatch(format!("etag {etag} does not match for {key}"))),
        }
    }
}

impl Store for Hostile {
    async fn get(&self, request: GetRequest) -> Result<Option<Item>, Error> {
        let name = misdeeds::name(&request.key);
        if name == "mark" {
            return Ok(Some(misdeeds::plain(self.mark.clone())));
        }
        if let Some(outcome) = misdeeds::commit(name).await {
            return outcome.map(Some);
        }
        let items = self.items.borrow();
        let found = items.get(&request.key);
        Ok(found.map(|(value, version)| Item { value: value.clone(), etag: Some(version.to_string()), content_type: None, metadata: Vec::new() }))
    }

    async fn set(&self, request: SetRequest) -> Result<(), Error> {
        if let Some(outcome) = misdeeds::commit(misdeeds::name(&request.key)).await {
            outcome?;
        }
        self.check(&request.key, request.etag.as_deref())?;
        let version = self.version();
        self.items.borrow_mut().insert(request.key, (request.value, version));
        Ok(())
    }

    async fn delete(&self, request: DeleteRequest) -> Result<(), Error> {
        if let Some(outcome) = misdeeds::commit(misdeeds::name(&request.key)).await {
            outcome?;
        }
        self.check(&request.key, request.etag.as_deref())?;
        self.items.borrow_mut().remove(&request.key);
        Ok(())
    }
}

impl Health for Hostile {
    async fn ping(&self) -> Result<(), String> {
        match self.ping.as_str() {
            "fail" => Err("the hostile component is not well".into()),
            "trap" => panic!("trap in ping"),
            "hang" => misdeeds::never().await,
            _ => Ok(()),
        }
    }
}

impl Snapshot for Hostile {
    async fn save(&self) -> Result<Vec<u8>, String> {
        match self.snapshot.as_str() {
            "save-fail" => return Err("the hostile component does not save".into()),
            "save-trap" => panic!("trap in save"),
            "save-hang" => misdeeds::never().await,
            _ => {}
        }
        let lines = self.items.borrow().iter().map(|(k, (v, _))| format!("{k}\t{}\n", String::from_utf8_lossy(v))).collect::<String>();
        Ok(lines.into_bytes())
    }

    async fn load(&self, data: Vec<u8>) -> Result<(), String> {
        match self.snapshot.as_str() {
            "load-fail" => return Err("the hostile component does not load".into()),
            "load-trap" => panic!("trap in load"),
            "load-hang" => misdeeds::never().await,
            _ => {}
        }
        for (key, value) in String::from_utf8_lossy(&data).lines().filter_map(|line| line.split_once('\t')) {
            let version = self.version();
            self.items.borrow_mut().insert(key.to_owned(), (value.as_bytes().to_vec(), version));
        }
        Ok(())
    }
}

proa_sdk::component! {
    manifest: "../manifest.json",
    Hostile: state::store, component::health, component::snapshot
}
