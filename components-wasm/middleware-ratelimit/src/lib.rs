//! `middleware.http.ratelimit`: a token bucket for each client and path; 429 when it is empty.
//! Bodies never enter it. The peer's address comes from the header that the host adds for stages and removes behind them.

mod buckets;
mod client;

use buckets::{Buckets, Outcome};
use proa_sdk::component::{Component, Config, InitError};
use proa_sdk::middleware::{Body, Error, Exchange, Headers, Reply, RequestHead, handler::Handler, header, respond};
use proa_sdk::{Properties, properties::invalid};
use std::cell::RefCell;
use std::time::Instant;

const DEFAULT_RATE: f64 = 100.0;
const PEER: &str = "x-proa-peer";
const MESSAGE: &str = "You have reached maximum request limit.";

struct RateLimit {
    buckets: RefCell<Buckets>,
    started: Instant,
}

impl Component for RateLimit {
    async fn init(config: Config) -> Result<Self, InitError> {
        const NAME: &str = "maxRequestsPerSecond";
        let rate = Properties::from(&config).number::<f64>(NAME)?.unwrap_or(DEFAULT_RATE);
        if !rate.is_finite() || rate <= 0.0 {
            return Err(invalid(NAME, "must be a positive value"));
        }
        Ok(Self { buckets: RefCell::new(Buckets::new(rate)), started: Instant::now() })
    }
}

impl Handler for RateLimit {
    async fn handle(&self, exchange: Exchange, mut head: RequestHead) -> Result<Reply, Error> {
        let peer = header(&head.headers, PEER).unwrap_or_default().to_owned();
        let client = client::client(header(&head.headers, "x-forwarded-for"), header(&head.headers, "x-real-ip"), Some(&peer));
        let client = client.unwrap_or_else(|| {
            head.headers.retain(|(name, _)| name != "x-forwarded-for");
            head.headers.push(("x-forwarded-for".into(), client::UNKNOWN.into()));
            client::UNKNOWN.to_owned()
        });
        let path = head.path.split('?').next().unwrap_or_default();
        let outcome = self.buckets.borrow_mut().take(&client, path, self.started.elapsed());
        let told = self.told(&head.headers, &peer, &outcome);
        if outcome == Outcome::Limited {
            let mut headers = told;
            headers.push(("content-type".into(), b"text/plain; charset=utf-8".to_vec()));
            return Ok(respond(429, headers, MESSAGE));
        }
        let mut response = exchange.next(Some(head), Body::Keep).await?;
        response.headers.extend(told);
        Ok(Reply { head: Some(response), body: Body::Keep })
    }
}

impl RateLimit {
    /// The headers that tell the client where it stands.
    fn told(&self, request: &Headers, peer: &str, outcome: &Outcome) -> Headers {
        let rate = self.buckets.borrow().rate();
        let left = match outcome {
            Outcome::Pass(left) => *left,
            Outcome::Limited => 0,
        };
        let mut told: Vec<(&str, String)> = vec![
            ("x-rate-limit-limit", format!("{rate:.2}")),
            ("x-rate-limit-duration", "1".into()),
            ("x-rate-limit-request-remote-addr", peer.into()),
            ("ratelimit-limit", format!("{}", rate.round())),
            ("ratelimit-reset", "1".into()),
            ("ratelimit-remaining", left.to_string()),
        ];
        if let Some(list) = header(request, "x-forwarded-for").filter(|l| !l.trim().is_empty()) {
            told.push(("x-rate-limit-request-forwarded-for", list.into()));
        }
        told.into_iter().map(|(name, value)| (name.to_owned(), value.into_bytes())).collect()
    }
}

proa_sdk::component! {
    manifest: "../manifest.json",
    RateLimit: middleware::handler
}
