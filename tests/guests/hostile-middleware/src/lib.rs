//! `middleware.http.hostile`: passes requests on, unless the request header `x-hostile` asks for something else:
//!
//! `spin` loops without end · `trap-before` panics before `next` · `trap-after` behind it · `trap-mid-request` panics while the next stage reads
//! the request body · `trap-mid-response` while the client reads the response · `never` never answers · `abort-body` ends the response body
//! with an error · `stall-body` never ends it · `endless` sends bytes until the reader goes · `sse` sends five events by itself, 50 ms apart ·
//! `double-next` calls `next` twice and reports the second outcome · `deny`, `timeout`, `broken`, `other` return that error ·
//! `bad-status`, `bad-header` answer with a head that is no HTTP · `rewrite:<path>` changes the path · `slow:<ms>` waits before `next`.

mod streams;

use proa_sdk::Properties;
use proa_sdk::component::{Component, Config, InitError};
use proa_sdk::middleware::{Body, Error, Exchange, Reply, RequestHead, handler::Handler, header, respond};
use std::future::pending;
use std::time::Duration;

struct Hostile {
    mark: String,
}

impl Component for Hostile {
    async fn init(config: Config) -> Result<Self, InitError> {
        let properties = Properties::from(&config);
        match properties.get("init") {
            Some("fail") => return Err(InitError::Other("the hostile middleware refuses to start".into())),
            Some("trap") => panic!("trap in init"),
            Some("hang") => pending().await,
            _ => {}
        }
        Ok(Self { mark: properties.get("mark").unwrap_or_default().to_owned() })
    }
}

impl Handler for Hostile {
    async fn handle(&self, exchange: Exchange, head: RequestHead) -> Result<Reply, Error> {
        let wish = header(&head.headers, "x-hostile").unwrap_or_default().to_owned();
        let mut reply = self.carry_out(&wish, exchange, head).await?;
        if let Some(head) = reply.head.as_mut().filter(|_| !self.mark.is_empty()) {
            head.headers.push(("x-hostile-mark".into(), self.mark.clone().into_bytes()));
        }
        Ok(reply)
    }
}

impl Hostile {
    async fn carry_out(&self, wish: &str, exchange: Exchange, mut head: RequestHead) -> Result<Reply, Error> {
        let text = || format!("{wish} was asked for");
        match wish.split_once(':').unwrap_or((wish, "")) {
            ("spin", _) => spin(),
            ("trap-before", _) => panic!("trap before next"),
            ("trap-after", _) => {
                exchange.next(Some(head), Body::Keep).await?;
                panic!("trap after next");
            }
            ("never", _) => pending().await,
            ("trap-mid-request", _) => {
                let body = streams::trap_in(exchange.request_body());
                exchange.next(Some(head), body).await.map(keep)
            }
            ("trap-mid-response", _) => {
                let mut head = exchange.next(Some(head), Body::Keep).await?;
                head.headers.retain(|(name, _)| name != "content-length");
                Ok(Reply { head: Some(head), body: streams::trap_in(exchange.response_body()) })
            }
            (kind @ ("abort-body" | "stall-body" | "endless" | "sse"), _) => Ok(streams::own(kind)),
            ("double-next", _) => {
                let first = exchange.next(Some(head.clone()), Body::Keep).await.map(|h| h.status);
                let second = exchange.next(Some(head), Body::Keep).await.map(|h| h.status);
                Ok(respond(200, Vec::new(), format!("first: {first:?}, second: {second:?}")))
            }
            ("deny", _) => Err(Error::Denied(text())),
            ("timeout", _) => Err(Error::Timeout),
            ("broken", _) => Err(Error::Broken(text())),
            ("other", _) => Err(Error::Other(text())),
            ("bad-status", _) => Ok(respond(9999, Vec::new(), text())),
            ("bad-header", _) => Ok(respond(200, vec![("x bad\r\nname".into(), b"value\r\nx-smuggled: yes".to_vec())], text())),
            ("rewrite", path) => {
                head.path = path.to_owned();
                exchange.next(Some(head), Body::Keep).await.map(keep)
            }
            (verb, argument) => {
                if verb == "slow" {
                    proa_sdk::time::sleep(Duration::from_millis(argument.parse().unwrap_or(100))).await;
                }
                exchange.next(Some(head), Body::Keep).await.map(keep)
            }
        }
    }
}

fn keep(head: proa_sdk::middleware::ResponseHead) -> Reply {
    Reply { head: Some(head), body: Body::Keep }
}

fn spin() -> ! {
    let mut n = 0u64;
    loop {
        n = std::hint::black_box(n.wrapping_add(1));
    }
}

proa_sdk::component! {
    manifest: "../manifest.json",
    Hostile: middleware::handler
}
