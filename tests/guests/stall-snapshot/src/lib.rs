//! `state.stall-snapshot`: a map in memory whose snapshot stalls where the property `stall` says:
//! `save` never returns, `stream` returns a stream that is never written on, `endless` one that never ends, `load` never returns.

use proa_sdk::Properties;
use proa_sdk::component::{Component, Config, InitError, snapshot};
use proa_sdk::state::{DeleteRequest, Error, GetRequest, Item, SetRequest, store::Store};
use proa_sdk::wit_bindgen::StreamReader;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::pending;

thread_local! {
    static STALL: RefCell<String> = const { RefCell::new(String::new()) };
    static ITEMS: RefCell<BTreeMap<String, Vec<u8>>> = const { RefCell::new(BTreeMap::new()) };
}

struct Stall {
    mark: String,
}

impl Component for Stall {
    async fn init(config: Config) -> Result<Self, InitError> {
        let properties = Properties::from(&config);
        STALL.set(properties.get("stall").unwrap_or_default().to_owned());
        Ok(Self { mark: properties.get("mark").unwrap_or_default().to_owned() })
    }
}

impl Store for Stall {
    async fn get(&self, request: GetRequest) -> Result<Option<Item>, Error> {
        let value = match request.key.rsplit("||").next() {
            Some("mark") => Some(self.mark.clone().into_bytes()),
            _ => ITEMS.with_borrow(|items| items.get(&request.key).cloned()),
        };
        Ok(value.map(|value| Item { value, etag: None, content_type: None, metadata: Vec::new() }))
    }
    async fn set(&self, request: SetRequest) -> Result<(), Error> {
        ITEMS.with_borrow_mut(|items| items.insert(request.key, request.value));
        Ok(())
    }
    async fn delete(&self, request: DeleteRequest) -> Result<(), Error> {
        ITEMS.with_borrow_mut(|items| items.remove(&request.key));
        Ok(())
    }
}

/// The export itself: the SDK's own takes whole values, and a stream that stalls is the point here.
struct Raw;

impl snapshot::exports::proa::component::snapshot::Guest for Raw {
    async fn save() -> Result<StreamReader<u8>, String> {
        let stall = STALL.with_borrow(Clone::clone);
        if stall == "save" {
            pending::<()>().await;
        }
        let text = ITEMS.with_borrow(|items| items.iter().map(|(k, v)| format!("{k}\t{}\n", String::from_utf8_lossy(v))).collect::<String>());
        let (mut writer, reader) = snapshot::wit_stream::new();
        proa_sdk::spawn(async move {
            writer.write_all(text.into_bytes()).await;
            if stall == "stream" {
                pending::<()>().await;
            }
            while stall == "endless" && writer.write_all(vec![b'\n'; 64 * 1024]).await.is_empty() {}
        });
        Ok(reader)
    }

    async fn load(data: StreamReader<u8>) -> Result<(), String> {
        if STALL.with_borrow(|stall| stall == "load") {
            pending::<()>().await;
        }
        let text = String::from_utf8(data.collect().await).map_err(|e| e.to_string())?;
        let pairs = text.lines().filter_map(|line| line.split_once('\t')).map(|(k, v)| (k.to_owned(), v.as_bytes().to_vec()));
        ITEMS.with_borrow_mut(|items| items.extend(pairs));
        Ok(())
    }
}

const _: () = {
    proa_sdk::component::snapshot::export!(Raw with_types_in proa_sdk::component::snapshot);
};

proa_sdk::component! {
    manifest: "../manifest.json",
    Stall: state::store
}
