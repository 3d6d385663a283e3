//! Bodies that go wrong.

use proa_sdk::middleware::{Body, Error, Headers, Reply, ResponseHead, wit_future, wit_stream};
use proa_sdk::time::sleep;
use proa_sdk::wit_bindgen::{FutureReader, StreamReader};
use std::future::pending;
use std::time::Duration;

type Trailers = Result<Option<Headers>, Error>;

/// Hands on the first bytes and then panics, or panics after a few bytes of its own when there is no body.
pub fn trap_in(content: Option<(StreamReader<u8>, FutureReader<Trailers>)>) -> Body {
    let (mut writer, reader) = wit_stream::new();
    let (done, trailers) = wit_future::new::<Trailers>(|| Ok(None));
    proa_sdk::spawn(async move {
        // Held so that nobody can take the body for complete.
        let _done = done;
        let first = match content {
            Some((mut source, _)) => source.read(Vec::with_capacity(1024)).await.1,
            None => b"begin".to_vec(),
        };
        writer.write_all(first).await;
        sleep(Duration::from_millis(50)).await;
        panic!("trap in the middle of a body");
    });
    Body::Data((reader, trailers))
}

/// An answer of the stage's own.
pub fn own(kind: &str) -> Reply {
    let (mut writer, reader) = wit_stream::new();
    let (done, trailers) = wit_future::new::<Trailers>(|| Ok(None));
    let kind = kind.to_owned();
    let mime = if kind == "sse" { "text/event-stream" } else { "text/plain" };
    proa_sdk::spawn(async move {
        match kind.as_str() {
            "sse" => {
                for n in 0..5 {
                    if !writer.write_all(format!("data: event {n}\n\n").into_bytes()).await.is_empty() {
                        return;
                    }
                    sleep(Duration::from_millis(50)).await;
                }
                drop(writer);
                let _ = done.write(Ok(None)).await;
            }
            "abort-body" => {
                writer.write_all(b"begin".to_vec()).await;
                drop(writer);
                let _ = done.write(Err(Error::Broken("the body was broken off".into()))).await;
            }
            "endless" => while writer.write_all(vec![b'x'; 64 * 1024]).await.is_empty() {},
            _ => {
                writer.write_all(b"begin".to_vec()).await;
                pending::<()>().await;
            }
        }
    });
    let headers = vec![("content-type".to_owned(), mime.as_bytes().to_vec())];
    Reply { head: Some(ResponseHead { status: 200, headers }), body: Body::Data((reader, trailers)) }
}
