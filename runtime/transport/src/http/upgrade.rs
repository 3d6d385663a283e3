//! From HTTP/1.1 to HTTP/2 on a running connection (`Upgrade: h2c`), as Go's server does it: some clients ask for it with their first
//! request, which is then answered as stream 1.
//!
//! The HTTP/2 side knows nothing of that stream, so a HEADERS frame for it is put between the client's first frame and all that
//! follows; the request that arrives for it is exchanged for the original. A request with a body is not upgraded: it is answered
//! where it came from.

use super::server::{Handler, Server};
use crate::body::{Inbound, Payload};
use http::header::{CONNECTION, HOST, HeaderName, HeaderValue, UPGRADE};
use http::{Request, Response, StatusCode, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, join, split};

const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
/// How long the client may take for its first frame.
const PATIENCE: Duration = Duration::from_secs(10);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The longest first frame; it holds a few settings.
const LONGEST: usize = 16 << 10;
/// Headers of HTTP/1.1 that mean nothing in HTTP/2.
const OLD: [&str; 5] = ["connection", "upgrade", "http2-settings", "keep-alive", "transfer-encoding"];

/// Whether the client asks for HTTP/2 with this request.
pub fn wanted(request: &Request<Incoming>) -> bool {
    let Some(upgrade) = request.headers().get(UPGRADE) else { return false };
    request.version() == Version::HTTP_11
        && upgrade.as_bytes().eq_ignore_ascii_case(b"h2c")
        && request.headers().contains_key(HTTP2_SETTINGS)
        && request.body().is_end_stream()
}

/// The answer that switches; the connection goes on in a task of its own.
pub fn begin<H: Handler>(server: &Arc<Server<H>>, mut request: Request<Incoming>, peer: Option<SocketAddr>) -> Response<Payload> {
    let upgraded = hyper::upgrade::on(&mut request);
    for name in OLD {
        request.headers_mut().remove(name);
    }
    let task = {
        let server = server.clone();
        async move {
            let Ok(Ok(io)) = tokio::time::timeout(PATIENCE, upgraded).await else { return };
            // A connection that breaks is the client's business.
            let _ = go_on(server, TokioIo::new(io), request.map(Inbound::Wire), peer).await;
        }
    };
    server.tasks.spawn(task);
    let mut response = Response::new(Payload::Empty);
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static("h2c"));
    response
}

async fn go_on<H: Handler>(
    server: Arc<Server<H>>,
    io: TokioIo<hyper::upgrade::Upgraded>,
    request: Request<Inbound>,
    peer: Option<SocketAddr>,
) -> io::Result<()> {
    let (mut reader, writer) = split(io);
    let mut begin = tokio::time::timeout(PATIENCE, first_frame(&mut reader)).await??;
    stream_one(&mut begin, &request);
    let io = TokioIo::new(join(io::Cursor::new(begin).chain(reader), writer));
    let original = Arc::new(Mutex::new(Some(request)));
    let stop = server.stop.child_token();
    let service = {
        let server = server.clone();
        service_fn(move |request: Request<Incoming>| {
            let server = server.clone();
            let original = original.lock().ok().and_then(|mut slot| slot.take());
            async move {
                let request = original.unwrap_or_else(|| request.map(Inbound::Wire));
                Ok::<_, Infallible>(server.handler.handle(request, peer).await)
            }
        })
    };
    let connection = server.settings.http2().serve_connection(io, service);
    tokio::pin!(connection);
    tokio::select! {
        biased;
        _ = connection.as_mut() => return Ok(()),
        () = stop.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
    Ok(())
}

/// The preface and the frame that must follow it.
async fn first_frame(reader: &mut (impl AsyncReadExt + Unpin)) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; PREFACE.len() + 9];
    reader.read_exact(&mut bytes).await?;
    let Some((PREFACE, [a, b, c, ..])) = bytes.split_at_checked(PREFACE.len()) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
    if length > LONGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut payload = vec![0; length];
    reader.read_exact(&mut payload).await?;
    bytes.append(&mut payload);
    Ok(bytes)
}

/// A HEADERS frame that opens and ends stream 1. Nothing goes into the table of header fields, so the client's stays in step.
fn stream_one(out: &mut Vec<u8>, request: &Request<Inbound>) {
    let mut block = Vec::new();
    literal(&mut block, 2, request.method().as_str());
    // `:scheme: http` and `:path: /` are known to both sides.
    block.extend_from_slice(&[0x86, 0x84]);
    if let Some(host) = request.headers().get(HOST).and_then(|h| h.to_str().ok()) {
        literal(&mut block, 1, host);
    }
    let length = block.len() as u32;
    out.extend(length.to_be_bytes().iter().skip(1));
    // HEADERS, END_STREAM and END_HEADERS, stream 1
    out.extend_from_slice(&[0x1, 0x5, 0, 0, 0, 1]);
    out.append(&mut block);
}

/// A value for a name of the fixed table. One too long for a length of one byte is left out.
fn literal(block: &mut Vec<u8>, name: u8, value: &str) {
    if value.len() < 127 {
        block.extend_from_slice(&[name, value.len() as u8]);
        block.extend_from_slice(value.as_bytes());
    }
}
