//! `state.sync-example`: the interface of state stores implemented with the synchronous ABI and blocking calls of std.
//! An instance serves one call at a time; the host keeps several, which agree because the items are files of one folder.
//! The key `slow` (last part behind `||`) takes 5 ms of blocking sleep, `instance` answers a number that differs by instance.

mod folder;

use folder::{Folder, Refused};
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::time::Duration;

wit_bindgen::generate!({
    inline: "
        package tests:sync-state;
        world sync-state {
            export proa:component/lifecycle@0.1.0;
            export proa:component/health@0.1.0;
            export proa:state/store@0.1.0;
        }
    ",
    path: ["../../../wit/component", "../../../wit/state"],
    world: "tests:sync-state/sync-state",
    sync: true,
    generate_all,
});

use exports::proa::component::{health, lifecycle};
use exports::proa::state::store;
use lifecycle::{Config, InitError};
use proa::state::types::{Concurrency, DeleteRequest, Error, GetRequest, Item, SetRequest};

#[cfg(target_arch = "wasm32")]
#[used]
#[unsafe(link_section = "proa:manifest")]
static MANIFEST: [u8; include_bytes!("../manifest.json").len()] = *include_bytes!("../manifest.json");

struct SyncState {
    folder: Folder,
    instance: u64,
}

static STATE: OnceLock<SyncState> = OnceLock::new();

struct Component;
export!(Component);

fn state() -> Result<&'static SyncState, Error> {
    STATE.get().ok_or_else(|| Error::Other("called before init".into()))
}

fn refused(refused: Refused) -> Error {
    match refused {
        Refused::Version(why) => Error::EtagMismatch(why),
        Refused::Io(e) => Error::Unavailable(e.to_string()),
    }
}

fn pause(key: &str) -> &str {
    let name = key.rsplit("||").next().unwrap_or(key);
    if name == "slow" {
        std::thread::sleep(Duration::from_millis(5));
    }
    name
}

impl lifecycle::Guest for Component {
    fn init(config: Config) -> Result<(), InitError> {
        let folder = config.properties.iter().find(|p| p.name.eq_ignore_ascii_case("folder"));
        let Some(folder) = folder else { return Err(InitError::Property(("folder".into(), "is required".into()))) };
        let folder = Folder::open(&folder.value).map_err(|e| InitError::Unavailable(format!("{}: {e}", folder.value)))?;
        let instance = RandomState::new().hash_one(0);
        STATE.set(SyncState { folder, instance }).map_err(|_| InitError::Other("init was called twice".into()))
    }
    fn close() {}
}

impl health::Guest for Component {
    fn ping() -> Result<(), String> {
        STATE.get().map(|_| ()).ok_or_else(|| "called before init".to_owned())
    }
}

impl store::Guest for Component {
    fn get(request: GetRequest) -> Result<Option<Item>, Error> {
        let state = state()?;
        if pause(&request.key) == "instance" {
            let value = state.instance.to_string().into_bytes();
            return Ok(Some(Item { value, etag: None, content_type: None, metadata: Vec::new() }));
        }
        let found = state.folder.get(&request.key).map_err(|e| Error::Unavailable(e.to_string()))?;
        Ok(found.map(|(value, version)| Item { value, etag: Some(version), content_type: None, metadata: Vec::new() }))
    }

    fn set(request: SetRequest) -> Result<(), Error> {
        pause(&request.key);
        let only_new = request.concurrency == Concurrency::FirstWrite;
        state()?.folder.change(&request.key, Some(&request.value), request.etag.as_deref(), only_new).map_err(refused)
    }

    fn delete(request: DeleteRequest) -> Result<(), Error> {
        pause(&request.key);
        state()?.folder.change(&request.key, None, request.etag.as_deref(), false).map_err(refused)
    }
}
