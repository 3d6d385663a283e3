//! `middleware.http.routeralias`: rewrites the path of a request by a table; everything else passes unchanged.
//! Bodies never enter it.

mod query;
mod routes;

use proa_sdk::component::{Component, Config, InitError, Property};
use proa_sdk::log;
use proa_sdk::middleware::{Body, Error, Exchange, Reply, RequestHead, handler::Handler};
use proa_sdk::properties::invalid;
use routes::Routes;
use yaml_serde::{Mapping, Value};

const ROUTES: &str = "routes";

struct RouterAlias {
    routes: Routes,
}

impl Component for RouterAlias {
    async fn init(config: Config) -> Result<Self, InitError> {
        let (routes, ignored) = Routes::new(pairs(&config.properties)?).map_err(|e| invalid(ROUTES, e))?;
        for why in ignored {
            log::warn(format!("a route is ignored: {why}"));
        }
        Ok(Self { routes })
    }
}

impl Handler for RouterAlias {
    async fn handle(&self, exchange: Exchange, mut head: RequestHead) -> Result<Reply, Error> {
        let changed = self.routes.rewrite(&head.path).map(|path| {
            head.path = path;
            head
        });
        exchange.next(changed, Body::Keep).await?;
        Ok(Reply { head: None, body: Body::Keep })
    }
}

/// Templates and targets, from the map in `routes` or, in the deprecated form, from the properties themselves.
fn pairs(properties: &[Property]) -> Result<Vec<(String, String)>, InitError> {
    match properties {
        [] => Ok(Vec::new()),
        [one] if one.name.eq_ignore_ascii_case(ROUTES) && !one.value.is_empty() => parse(&one.value),
        all => {
            log::warn("routes as key-value pairs are deprecated: use the property 'routes'");
            if all.iter().any(|p| p.name.eq_ignore_ascii_case(ROUTES)) {
                log::warn("the property 'routes' is not read as a map because it is not the only one");
            }
            if all.iter().any(|p| p.name.is_empty() || p.value.is_empty()) {
                return Err(InitError::Other("invalid key/value pair in metadata: must not be empty".into()));
            }
            Ok(all.iter().map(|p| (p.name.clone(), p.value.clone())).collect())
        }
    }
}

/// JSON is YAML, so one reader does for both.
fn parse(text: &str) -> Result<Vec<(String, String)>, InitError> {
    let wrong = |why: String| invalid(ROUTES, format!("failed to decode 'routes' property as JSON or YAML: {why}"));
    let map: Mapping = yaml_serde::from_str(text).map_err(|e| wrong(e.to_string()))?;
    map.into_iter()
        .map(|(template, target)| match (scalar(template), scalar(target)) {
            (Some(template), Some(target)) => Ok((template, target)),
            _ => Err(wrong("every entry must be a pair of texts".into())),
        })
        .collect()
}

fn scalar(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null => Some(String::new()),
        _ => None,
    }
}

proa_sdk::component! {
    manifest: "../manifest.json",
    RouterAlias: middleware::handler
}
