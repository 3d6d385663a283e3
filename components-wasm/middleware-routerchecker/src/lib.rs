//! `middleware.http.routerchecker`: requests whose path and query do not match a rule are answered with 400.
//! Bodies never enter it.

mod rule;

use proa_sdk::component::{Component, Config, InitError};
use proa_sdk::middleware::{Body, Error, Exchange, Reply, RequestHead, handler::Handler, respond};
use proa_sdk::{Properties, properties::invalid};
use rule::Rule;

struct RouterChecker {
    rule: Rule,
}

impl Component for RouterChecker {
    async fn init(config: Config) -> Result<Self, InitError> {
        let properties = Properties::from(&config);
        let expression = properties.get("rule").unwrap_or_default();
        if expression.is_empty() {
            proa_sdk::log::warn("no rule is set: every request passes");
        }
        let rule = Rule::new(expression).map_err(|e| invalid("rule", format!("failed to compile rule regexp: {e}")))?;
        Ok(Self { rule })
    }
}

impl Handler for RouterChecker {
    async fn handle(&self, exchange: Exchange, head: RequestHead) -> Result<Reply, Error> {
        if !self.rule.admits(&head.path) {
            let headers = vec![("content-type".to_owned(), b"text/plain; charset=utf-8".to_vec())];
            return Ok(respond(400, headers, "invalid router"));
        }
        exchange.next(None, Body::Keep).await?;
        Ok(Reply { head: None, body: Body::Keep })
    }
}

proa_sdk::component! {
    manifest: "../manifest.json",
    RouterChecker: middleware::handler
}
