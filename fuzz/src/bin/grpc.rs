//! The gRPC side: calls of the API (`API /service/method`) and of other sidecars (`PEER /service/method`) with messages as bytes, calls for
//! the application with a head that is whole (`LOCAL method VERB`, in one message with `UNARY …`), and the bytes behind HTTP/2's preface
//! (`RAW `). Messages are apart by a line of two dashes; one that begins with the byte 255 has no length in front.
#![no_main]

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use proa_fuzz::wire::{Input, exchange, split};
use proa_fuzz::{App, DEADLINE, Ports, Sidecar};
use proa_protocol::common::v1::{HttpExtension, InvokeRequest, StreamPayload, http_extension::Verb};
use proa_protocol::internals::v1::{InternalInvokeRequest, InternalInvokeRequestStream, ListStringValue};
use prost::Message;
use std::collections::HashMap;
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Runtime;

const RESOURCES: &str = "apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: store
spec:
  type: state.in-memory
  version: v1
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: broker
spec:
  type: pubsub.in-memory
  version: v1
";
const NOBODY: &str = "  nameResolution:\n    component: nobody\n";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const LOCAL: &str = "/dapr.proto.internals.v1.ServiceInvocation/";

type Client = SendRequest<Full<Bytes>>;

struct Grpc {
    sidecar: Sidecar,
    runtime: Runtime,
    /// To the API, and to the port of other sidecars; made when needed.
    clients: [Option<Client>; 2],
}

#[derive(Clone, Copy)]
enum Side {
    Api,
    Peer,
}

impl Grpc {
    fn start() -> Self {
        let app = App::start(r#"[{"pubsubname":"broker","topic":"t","route":"/t"}]"#);
        let sidecar = Sidecar::start("fuzz", Ports { app: app.port, internal: 0 }, &[RESOURCES], NOBODY);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { sidecar, runtime, clients: [None, None] }
    }

    fn run(&mut self, data: &[u8]) {
        if let Some(raw) = data.strip_prefix(b"RAW ") {
            exchange(&self.sidecar.grpc, &[PREFACE, raw].concat(), true);
            return;
        }
        let input = Input::parse(data);
        let first = String::from_utf8_lossy(input.first).into_owned();
        let mut words = first.splitn(3, ' ');
        let (kind, target, verb) = (words.next().unwrap_or_default(), words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (side, path, body) = match kind {
            "API" => (Side::Api, target.to_owned(), frames(input.body)),
            "PEER" => (Side::Peer, target.to_owned(), frames(input.body)),
            "LOCAL" => (Side::Peer, format!("{LOCAL}CallLocalStream"), streamed(&input, target, verb)),
            "UNARY" => (Side::Peer, format!("{LOCAL}CallLocal"), prefixed(&head(&input, target, verb, input.body).encode_to_vec())),
            _ => return,
        };
        let Ok(uri) = Uri::try_from(format!("http://fuzz{path}")) else { return };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        request.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
        request.headers_mut().insert("te", HeaderValue::from_static("trailers"));
        if matches!(kind, "API" | "PEER") {
            for (name, value) in input.headers() {
                if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
                    request.headers_mut().append(name, value);
                }
            }
        }
        self.call(side, request);
    }

    fn call(&mut self, side: Side, request: Request<Full<Bytes>>) {
        let (slot, sidecar) = (&mut self.clients[side as usize], &self.sidecar);
        self.runtime.block_on(async {
            let told = format!("{:?}", request.uri());
            let call = async {
                if slot.as_ref().is_none_or(SendRequest::is_closed) {
                    *slot = Some(connect(sidecar, side).await);
                }
                let client = slot.as_mut().unwrap();
                // Refusals of the request or of the whole connection are answers too.
                match client.send_request(request).await {
                    Ok(answer) => drop(answer.into_body().collect().await),
                    Err(_) => *slot = None,
                }
            };
            tokio::time::timeout(DEADLINE, call).await.unwrap_or_else(|_| panic!("{told}: no end after {DEADLINE:?}"));
        });
    }
}

async fn connect(sidecar: &Sidecar, side: Side) -> Client {
    let executor = TokioExecutor::new();
    match side {
        Side::Api => {
            let stream = UnixStream::connect(&sidecar.grpc).await.expect("the sidecar listens");
            let (client, connection) = http2::handshake(executor, TokioIo::new(stream)).await.expect("HTTP/2");
            tokio::spawn(connection);
            client
        }
        Side::Peer => {
            let stream = TcpStream::connect(("127.0.0.1", sidecar.internal)).await.expect("the sidecar listens");
            // Head and body leave apart; waiting for an acknowledgement in between takes 40 ms.
            stream.set_nodelay(true).expect("a socket");
            let (client, connection) = http2::handshake(executor, TokioIo::new(stream)).await.expect("HTTP/2");
            tokio::spawn(connection);
            client
        }
    }
}

fn pieces(mut body: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    while let Some((piece, rest)) = split(body, b"\n--\n") {
        pieces.push(piece);
        body = rest;
    }
    pieces.push(body);
    pieces
}

fn prefixed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.extend_from_slice(&[0]);
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(message);
    frame.freeze()
}

fn frames(body: &[u8]) -> Bytes {
    let frames = pieces(body).into_iter().map(|piece| match piece.strip_prefix(&[255]) {
        Some(bare) => Bytes::copy_from_slice(bare),
        None => prefixed(piece),
    });
    frames.collect::<Vec<_>>().concat().into()
}

fn head(input: &Input<'_>, method: &str, verb: &str, data: &[u8]) -> InternalInvokeRequest {
    let mut metadata: HashMap<String, ListStringValue> = HashMap::new();
    for (name, value) in input.headers() {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        metadata.entry(text(name)).or_default().values.push(text(value));
    }
    let (verb, querystring) = verb.split_once('?').unwrap_or((verb, ""));
    let extension = HttpExtension { verb: Verb::from_str_name(verb).map_or(99, |v| v as i32), querystring: querystring.to_owned() };
    let data = any(data);
    let message =
        InvokeRequest { method: method.to_owned(), data: Some(data), content_type: "text/plain".to_owned(), http_extension: Some(extension) };
    InternalInvokeRequest { metadata, message: Some(message), ..InternalInvokeRequest::default() }
}

fn any<T: Message + Default>(data: &[u8]) -> T {
    // `Any`: its second field is the value. Written by hand, so that no further crate is needed.
    let mut any = vec![0x12];
    prost::encoding::encode_varint(data.len() as u64, &mut any);
    any.extend_from_slice(data);
    T::decode(&*any).unwrap_or_default()
}

/// A piece that begins with the byte 255 has a number of its own, the byte behind it.
fn streamed(input: &Input<'_>, method: &str, verb: &str) -> Bytes {
    let mut out = BytesMut::new();
    for (number, piece) in pieces(input.body).into_iter().enumerate() {
        let (seq, data) = match piece {
            [255, seq, data @ ..] => (u64::from(*seq), data),
            data => (number as u64, data),
        };
        let request = (number == 0).then(|| head(input, method, verb, &[]));
        let payload = Some(StreamPayload { data: Bytes::copy_from_slice(data), seq });
        out.extend_from_slice(&prefixed(&InternalInvokeRequestStream { request, payload }.encode_to_vec()));
    }
    out.freeze()
}

proa_fuzz::target!(Grpc);
