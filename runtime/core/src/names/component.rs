//! A resolver that is a component. It has a slot of its own, beside those of the resources: no YAML of a resources folder describes it,
//! and the metadata API does not list it.
//!
//! Starting it announces this sidecar, in a fresh instance after a trap too. While the registry is out of reach, what it said last is
//! still good; what it does not know any more is forgotten.

use super::addresses::{Addresses, Found, Key};
use super::{Failure, LOG, Resolver, is_first, settings};
use crate::prepare::{KeyPrefix, Prepared};
use crate::runtime::Runtime;
use crate::scopes::TopicScopes;
use crate::slots::{Current, Slot};
use futures::future::BoxFuture;
use proa_host::kinds::nameresolution::{Error, Request, SelfInfo, text};
use proa_host::start::Found as Offer;
use proa_host::{CallError, Kind, StartError, StartSpec};
use proa_resources::component::Component as Resource;
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::task::TaskTracker;

/// Registering may have to wait for a registry that is just starting; the sidecar's own start waits with it.
const INIT_TIMEOUT: Duration = Duration::from_secs(10);
/// A registry that names no address is asked again this often, with this pause.
const EMPTY: u32 = 5;
const PAUSE: Duration = Duration::from_millis(100);
/// How often a call that its instance did not answer is sent again.
const RESTARTS: u32 = 3;
/// The port of the application, for manifests that have this field.
const APP_PORT: &str = "APP_PORT";

/// See the module's text.
struct Component {
    inner: Arc<Inner>,
    tasks: TaskTracker,
}

struct Inner {
    slot: Arc<Slot>,
    port: u16,
    addresses: Mutex<Addresses>,
    closed: AtomicBool,
}

/// Starts the component and lets it announce this sidecar.
pub async fn start(runtime: &Arc<Runtime>, name: &str, version: &str, configuration: &Value, address: &str) -> Result<Arc<dyn Resolver>, Failure> {
    let options = runtime.options();
    let component_type = format!("nameresolution.{}", name.to_lowercase());
    let asked = if is_first(version) { super::VERSION.to_owned() } else { version.to_lowercase() };
    let files = crate::reconcile::modules(runtime).await;
    let found = match runtime.host.find(&component_type, &asked, None, &files, None) {
        Ok(Offer::Module(found)) => found,
        // No process elsewhere resolves names.
        Ok(Offer::Remote(_)) | Err(StartError::UnknownType { .. }) => {
            return Err(Failure::Creation(format!("couldn't find name resolver {name}/{version}")));
        }
        Err(other) => return Err(Failure::Creation(other.to_string())),
    };
    let mut properties = settings::flatten(configuration, found.manifest()).map_err(Failure::Init)?;
    if let (Some(port), Some(_)) = (options.app_port, found.manifest().field(APP_PORT)) {
        properties.push((APP_PORT.into(), port.to_string()));
    }
    let slot = Arc::new(Slot::new(name, Kind::NameResolution));
    let spec = StartSpec {
        name: name.to_owned(),
        component_type: component_type.clone(),
        version: asked.clone(),
        generation: slot.next_number(),
        app_id: options.app_id.clone(),
        namespace: options.namespace.clone(),
        properties: properties.clone(),
        allow_hosts: None,
        strict: false,
        memory_limit: None,
        instances: None,
        init_timeout: INIT_TIMEOUT,
        announce: Some(SelfInfo {
            host_address: address.to_owned(),
            http_port: options.http_port,
            grpc_port: options.grpc_port,
            internal_grpc_port: options.internal_grpc_port,
        }),
        call_timeout: None,
        stats: slot.stats.clone(),
    };
    let init = |e: StartError| Failure::Init(e.to_string());
    let module = runtime.host.load(&found).await.map_err(init)?;
    let generation = runtime.host.start(module, &spec).await.map_err(init)?;
    let component = Resource { name: name.to_owned(), type_: component_type, version: asked, ..Resource::default() };
    slot.install(Some(Arc::new(Current { generation, prepared: prepared(component, properties, &options.app_id), stamps: Vec::new() })));
    // Once in a runtime's life.
    let _ = runtime.resolver.set(slot.clone());
    let inner = Inner { slot, port: options.internal_grpc_port, addresses: Mutex::default(), closed: AtomicBool::new(false) };
    Ok(Arc::new(Component { inner: Arc::new(inner), tasks: runtime.tasks.clone() }))
}

fn prepared(component: Resource, properties: Vec<(String, String)>, app_id: &str) -> Prepared {
    Prepared {
        outbox: None,
        topics: TopicScopes::of(&properties, app_id),
        component,
        properties,
        key_prefix: KeyPrefix::None,
        encryption: None,
        namespaced: false,
        actor_state_store: false,
    }
}

impl Resolver for Component {
    fn resolve<'a>(&'a self, app_id: &'a str, namespace: &'a str) -> BoxFuture<'a, Result<String, String>> {
        Box::pin(async move {
            let key = (namespace.to_owned(), app_id.to_owned());
            let found = self.inner.addresses().find(&key, Instant::now());
            match found {
                Found::Fresh(address) => Ok(address),
                Found::Aged(address) => {
                    if !self.inner.closed.load(Ordering::Relaxed) {
                        let inner = self.inner.clone();
                        self.tasks.spawn(async move {
                            if let Err(why) = inner.ask(&key).await {
                                tracing::debug!(target: LOG, "name resolution of {}/{}: {why}", key.0, key.1);
                            }
                        });
                    }
                    Ok(address)
                }
                Found::Missing => self.inner.ask(&key).await,
            }
        })
    }

    fn failed(&self, app_id: &str, address: &str) {
        self.inner.addresses().forget(app_id, address);
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.inner.closed.store(true, Ordering::Relaxed);
            if let Some(current) = self.inner.slot.install(None) {
                current.generation.release(None).await;
            }
        })
    }
}

/// Where there is no port, it is the one that gRPC takes for granted.
fn with_port(address: String) -> String {
    let host = address.rsplit_once(']').map_or(address.as_str(), |(_, rest)| rest);
    if host.contains(':') { address } else { format!("{address}:443") }
}

impl Inner {
    fn addresses(&self) -> MutexGuard<'_, Addresses> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the registry, and remembers what it says.
    async fn ask(&self, key: &Key) -> Result<String, String> {
        let mut attempts = 0;
        loop {
            match self.call(key).await {
                Ok(Ok(addresses)) => {
                    let addresses: Vec<String> = addresses.into_iter().filter(|address| !address.is_empty()).map(with_port).collect();
                    if addresses.is_empty() {
                        if attempts == EMPTY {
                            self.addresses().remove(key);
                            return Err(format!("resolver returned empty address for app id {}/{}", key.0, key.1));
                        }
                        attempts += 1;
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                    let mut known = self.addresses();
                    known.put(key.clone(), addresses, Instant::now());
                    return known.last(key).ok_or_else(|| "no address".into());
                }
                Ok(Err(Error::Unavailable(why))) | Err(why) => return self.addresses().last(key).ok_or(why),
                Ok(Err(error)) => {
                    self.addresses().remove(key);
                    return Err(text(error));
                }
            }
        }
    }

    /// One call of the component. The outer error is that there was no answer of its own.
    async fn call(&self, key: &Key) -> Result<Result<Vec<String>, Error>, String> {
        let mut restarts = 0;
        loop {
            let lease = self.slot.lease().await.ok_or("the name resolver is closed")?;
            let request = Request { app_id: key.1.clone(), namespace: key.0.clone(), port: self.port, data: Vec::new() };
            match lease.generation.resolver().resolve(request).await {
                Err(CallError::NotStarted(_) | CallError::Trapped(_)) if restarts < RESTARTS => restarts += 1,
                answer => return answer.map_err(|e| e.to_string()),
            }
            lease.generation.ready().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::with_port;

    #[test]
    fn addresses_get_a_port() {
        for (given, wanted) in [("a:1", "a:1"), ("a.b", "a.b:443"), ("[::1]:2", "[::1]:2"), ("[::1]", "[::1]:443")] {
            assert_eq!(with_port(given.into()), wanted);
        }
    }
}
