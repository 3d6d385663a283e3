//! `nameresolution.kubernetes`: the service of an application's sidecar by its DNS name. A call is one look-up of a name; it fails when the
//! name has no address.

mod template;

use proa_sdk::component::{Component, Config, InitError};
use proa_sdk::nameresolution::{Error, Request, SelfInfo, resolver::Resolver};
use proa_sdk::net::{self, join_host_port, split_host_port};
use proa_sdk::properties::invalid;
use proa_sdk::wasip3::sockets::types::IpSocketAddress;
use proa_sdk::{Properties, log};
use std::net::{Ipv4Addr, Ipv6Addr};
use template::{Fields, Template};

const DOMAIN: &str = "cluster.local";

struct Kubernetes {
    domain: String,
    template: Option<Template>,
}

impl Component for Kubernetes {
    async fn init(config: Config) -> Result<Self, InitError> {
        let properties = Properties::from(&config);
        let template = match properties.get("template") {
            Some(text) => {
                log::debug(format!("using custom template {text}"));
                Some(Template::parse(text).map_err(|why| invalid("template", why))?)
            }
            None => None,
        };
        Ok(Self { domain: properties.get("clusterDomain").unwrap_or(DOMAIN).to_owned(), template })
    }
}

impl Kubernetes {
    /// The name and the port of a service.
    fn name(&self, request: &Request) -> Result<(String, u16), Error> {
        let Some(template) = &self.template else {
            return Ok((format!("{}-dapr.{}.svc.{}", request.app_id, request.namespace, self.domain), request.port));
        };
        let fields = Fields { id: &request.app_id, namespace: &request.namespace, port: request.port, data: &request.data };
        let text = template.fill(&fields);
        split_host_port(&text, request.port).ok_or_else(|| Error::InvalidArgument(format!("{text:?} is not host:port")))
    }
}

impl Resolver for Kubernetes {
    async fn announce(&self, _me: SelfInfo) -> Result<(), Error> {
        Ok(())
    }

    async fn resolve(&self, request: Request) -> Result<Vec<String>, Error> {
        let (name, port) = self.name(&request)?;
        let found = net::resolve(&name, port).await.map_err(|why| {
            let text = format!("failed to resolve address for '{name}': {why}");
            if why.kind() == std::io::ErrorKind::NotFound { Error::NotFound(text) } else { Error::Unavailable(text) }
        })?;
        let mut addresses: Vec<String> = found.iter().map(address).collect();
        addresses.sort();
        addresses.dedup();
        Ok(addresses)
    }
}

fn address(socket: &IpSocketAddress) -> String {
    match socket {
        IpSocketAddress::Ipv4(v4) => {
            let (a, b, c, d) = v4.address;
            join_host_port(&Ipv4Addr::new(a, b, c, d).to_string(), v4.port)
        }
        IpSocketAddress::Ipv6(v6) => {
            let (a, b, c, d, e, f, g, h) = v6.address;
            join_host_port(&Ipv6Addr::new(a, b, c, d, e, f, g, h).to_string(), v6.port)
        }
    }
}

proa_sdk::component! {
    manifest: "../manifest.json",
    Kubernetes: nameresolution::resolver
}
