//! `middleware.http.uppercase`: capitals for the bodies of requests, responses or both.
//! Bodies stream in pieces of at most 64 KiB, so memory does not grow with them; an error of the source reaches the reader.

mod upper;

use proa_sdk::Properties;
use proa_sdk::component::{Component, Config, InitError};
use proa_sdk::middleware::{Body, Error, Exchange, Headers, Reply, RequestHead, handler::Handler, wit_stream};
use proa_sdk::wit_bindgen::{FutureReader, StreamReader, StreamResult, StreamWriter};
use upper::Upper;

const PIECE: usize = 64 * 1024;

type Content = (StreamReader<u8>, FutureReader<Result<Option<Headers>, Error>>);

struct Uppercase {
    request: bool,
    response: bool,
}

impl Component for Uppercase {
    async fn init(config: Config) -> Result<Self, InitError> {
        let direction = Properties::from(&config).get("direction").unwrap_or_default().to_lowercase();
        let (request, response) = match direction.as_str() {
            "response" => (false, true),
            "both" => (true, true),
            _ => (true, false),
        };
        Ok(Self { request, response })
    }
}

impl Handler for Uppercase {
    async fn handle(&self, exchange: Exchange, mut head: RequestHead) -> Result<Reply, Error> {
        let body = if self.request { changed(exchange.request_body(), &mut head.headers) } else { Body::Keep };
        let mut head = exchange.next(Some(head), body).await?;
        let body = if self.response { changed(exchange.response_body(), &mut head.headers) } else { Body::Keep };
        Ok(Reply { head: Some(head), body })
    }
}

/// The body in capitals. Its length is not known in advance, so the header that states one goes.
fn changed(content: Option<Content>, headers: &mut Headers) -> Body {
    let Some((source, trailers)) = content else { return Body::Keep };
    headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-length"));
    let (writer, reader) = wit_stream::new();
    proa_sdk::spawn(pump(source, writer));
    // The trailers are handed on as they are: with them the truth about whether the source was complete.
    Body::Data((reader, trailers))
}

async fn pump(mut source: StreamReader<u8>, mut writer: StreamWriter<u8>) {
    let mut upper = Upper::default();
    let mut buffer = Vec::with_capacity(PIECE);
    loop {
        let (status, read) = source.read(buffer).await;
        buffer = upper.push(read);
        if !buffer.is_empty() {
            buffer = writer.write_all(buffer).await;
            if !buffer.is_empty() {
                // The reader went away; dropping the source tells its writer.
                return;
            }
        }
        if !matches!(status, StreamResult::Complete(_)) {
            break;
        }
        // Capitals can take more room than their letters: without this the buffer would grow with every turn.
        if buffer.capacity() != PIECE {
            buffer = Vec::with_capacity(PIECE);
        }
    }
    let rest = upper.finish();
    if !rest.is_empty() {
        writer.write_all(rest).await;
    }
}

proa_sdk::component! {
    manifest: "../manifest.json",
    Uppercase: middleware::handler
}
