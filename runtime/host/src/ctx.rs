//! What one store holds: its WASI context cut down to the grants, its limits, its counters and its log.

use crate::generation::{Identity, Stats};
use crate::grants::{Grants, Reach};
use crate::imports::log::{GuestLog, Stderr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use wasmtime::component::ResourceTable;
use wasmtime::{ResourceLimiter, Store, UpdateDeadline};
use wasmtime_wasi::filesystem::FsPerms;
use wasmtime_wasi::sockets::SocketAddrUse;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

/// Bounds of one instance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Bytes of linear memory in all.
    pub memory: usize,
    /// Ticks (10 ms) that a guest may compute without giving way.
    pub slice: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: 512 << 20, slice: 100 }
    }
}

/// The data of a store.
pub struct Ctx {
    wasi: WasiCtx,
    pub table: ResourceTable,
    limiter: Limiter,
    pub grants: Arc<Grants>,
    pub reach: Arc<Reach>,
    pub log: GuestLog,
    pub standard: crate::middleware::standard::State,
    /// Ticks since the driver's loop last ran.
    pub slice: Arc<AtomicU32>,
    pub stats: Arc<Stats>,
}

/// Bounds memory, tables and their number, and keeps the count of bytes for the metrics.
struct Limiter {
    limit: usize,
    used: u64,
    stats: Arc<Stats>,
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let allowed = self.used + (desired - current) as u64 <= self.limit as u64;
        if allowed {
            self.used += (desired - current) as u64;
            self.stats.memory.fetch_add((desired - current) as u64, Ordering::Relaxed);
        } else {
            self.stats.memory_denied.fetch_add(1, Ordering::Relaxed);
        }
        Ok(allowed)
    }
    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= 100_000)
    }
    fn instances(&self) -> usize {
        64
    }
    fn tables(&self) -> usize {
        64
    }
    fn memories(&self) -> usize {
        16
    }
}

impl WasiView for Ctx {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl Ctx {
    /// Bytes of linear memory of this instance.
    pub fn memory(&self) -> u64 {
        self.limiter.used
    }

    fn new(identity: &Arc<Identity>, grants: &Arc<Grants>, limits: Limits, stats: &Arc<Stats>) -> wasmtime::Result<Self> {
        let reach = Arc::new(Reach::of(grants));
        let log = GuestLog::new(identity.clone(), stats.clone());
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdout(Stderr::new(log.clone())).stderr(Stderr::new(log.clone()));
        if grants.environment {
            let granted = std::env::vars().filter(|(n, _)| n != "APP_API_TOKEN" && !n.starts_with("DAPR_"));
            wasi.envs(&granted.collect::<Vec<_>>());
        }
        // The local time zone is no secret, and schedules mean it.
        if let Ok(zone) = std::env::var("TZ") {
            wasi.env("TZ", zone);
        }
        for dir in &grants.dirs {
            // The folder may be the component's to make; one that cannot be made shows when the guest looks for it.
            let _ = std::fs::create_dir_all(dir);
            let guest = dir.to_string_lossy();
            wasi.preopened_dir(dir, guest.as_ref(), FsPerms::ReadWrite).map_err(|e| wasmtime::format_err!("folder {}: {e:#}", dir.display()))?;
        }
        network(&mut wasi, &reach, &log);
        let slice = Arc::new(AtomicU32::new(0));
        Ok(Self {
            wasi: wasi.build(),
            table: ResourceTable::new(),
            limiter: Limiter { limit: limits.memory, used: 0, stats: stats.clone() },
            grants: grants.clone(),
            reach,
            standard: crate::middleware::standard::State::new(log.clone()),
            log,
            slice,
            stats: stats.clone(),
        })
    }

    /// A store for one instance, with all its bounds in force.
    pub fn store(
        engine: &wasmtime::Engine,
        identity: &Arc<Identity>,
        grants: &Arc<Grants>,
        limits: Limits,
        stats: &Arc<Stats>,
    ) -> wasmtime::Result<Store<Self>> {
        let mut store = Store::new(engine, Self::new(identity, grants, limits, stats)?);
        store.limiter(|ctx| &mut ctx.limiter);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |ctx| {
            let ticks = ctx.data().slice.fetch_add(1, Ordering::Relaxed);
            if ticks > limits.slice {
                return Err(wasmtime::format_err!("computed for more than {} ms without giving way", u64::from(limits.slice) * 10));
            }
            Ok(UpdateDeadline::Yield(1))
        });
        Ok(store)
    }
}

impl Drop for Ctx {
    fn drop(&mut self) {
        self.log.flush();
    }
}

/// TCP to the granted endpoints and nothing else. Name lookup through WASI 0.3 is checked name by name (see `imports::names`);
/// for WASI 0.2, whose lookup the host does not see, the granted names are resolved here when an address is checked.
fn network(wasi: &mut WasiCtxBuilder, reach: &Arc<Reach>, log: &GuestLog) {
    if reach.is_empty() {
        let log = log.clone();
        wasi.allow_tcp(true).allow_udp(false).socket_addr_check(move |address, usage| {
            let log = log.clone();
            Box::pin(async move {
                if matches!(usage, SocketAddrUse::TcpConnect) {
                    log.denied("tcp", &address.to_string());
                }
                false
            })
        });
        return;
    }
    let by_name = reach.names().next().is_some();
    let (reach, log) = (reach.clone(), log.clone());
    wasi.allow_tcp(true).allow_udp(false).allow_ip_name_lookup(by_name).socket_addr_check(move |address, usage| {
        let (reach, log) = (reach.clone(), log.clone());
        Box::pin(async move {
            match usage {
                // A connect binds the wildcard address first.
                SocketAddrUse::TcpBind => address.port() == 0,
                SocketAddrUse::TcpConnect => {
                    let allowed = reach.may_connect(address) || resolves(&reach, address).await;
                    if !allowed {
                        log.denied("tcp", &address.to_string());
                    }
                    allowed
                }
                _ => false,
            }
        })
    });
}

async fn resolves(reach: &Reach, address: std::net::SocketAddr) -> bool {
    let names: Vec<_> = reach.names().filter(|e| e.port == address.port()).cloned().collect();
    for endpoint in names {
        if let Ok(addresses) = tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port)).await {
            reach.learn(&endpoint.host, &addresses.map(|a| a.ip()).collect::<Vec<_>>());
        }
    }
    reach.may_connect(address)
}
