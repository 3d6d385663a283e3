//! Name lookup of WASI 0.3, cut down to the names that the configuration holds. What a name resolves to may be connected to.

use crate::ctx::Ctx;
use std::net::IpAddr;
use wasmtime::component::{Accessor, Linker};
use wasmtime_wasi::p3::bindings::sockets::{ip_name_lookup::ErrorCode, types::IpAddress};

type Outcome = (Result<Vec<IpAddress>, ErrorCode>,);

pub fn add_to_linker(linker: &mut Linker<Ctx>) -> wasmtime::Result<()> {
    linker.instance("wasi:sockets/ip-name-lookup@0.3.0")?.func_wrap_concurrent("resolve-addresses", |accessor: &Accessor<Ctx>, (name,): (String,)| {
        Box::pin(async move { Ok::<Outcome, wasmtime::Error>((resolve(accessor, &name).await,)) })
    })
}

async fn resolve(accessor: &Accessor<Ctx>, name: &str) -> Result<Vec<IpAddress>, ErrorCode> {
    let reach = accessor.with(|mut access| access.get().reach.clone());
    if let Ok(ip) = name.parse::<IpAddr>() {
        return Ok(vec![convert(ip)]);
    }
    if !reach.may_resolve(name) {
        accessor.with(|mut access| access.get().log.denied("name", name));
        return Err(ErrorCode::AccessDenied);
    }
    let addresses: Vec<IpAddr> = tokio::net::lookup_host((name, 0)).await.map_err(|_| ErrorCode::NameUnresolvable)?.map(|a| a.ip()).collect();
    reach.learn(name, &addresses);
    Ok(addresses.into_iter().map(convert).collect())
}

fn convert(ip: IpAddr) -> IpAddress {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            IpAddress::Ipv4((a, b, c, d))
        }
        IpAddr::V6(v6) => {
            let [a, b, c, d, e, f, g, h] = v6.segments();
            IpAddress::Ipv6((a, b, c, d, e, f, g, h))
        }
    }
}
