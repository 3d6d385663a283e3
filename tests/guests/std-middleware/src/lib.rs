//! `middleware.http.std-example`: a stage of the standard world `wasi:http/middleware`. It adds the header `x-std-request` to requests and
//! `x-std-response` to responses. The request header `x-std` chooses more:
//! `upper` turns both bodies into capitals · `answer` answers by itself · `trap` panics · `trap-body` panics in the middle of the
//! response body · `twice` calls the next handler a second time, without a body, and returns that response.

#[allow(warnings)]
mod bindings {
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}

use bindings::exports::wasi::http::handler::Guest;
use bindings::wasi::http::handler::handle as next;
use bindings::wasi::http::types::{ErrorCode, Fields, Request, Response};
use bindings::{wit_future, wit_stream};
use wit_bindgen::{FutureReader, StreamReader, StreamResult, spawn_local};

#[cfg(target_arch = "wasm32")]
#[used]
#[unsafe(link_section = "proa:manifest")]
static MANIFEST: [u8; include_bytes!("../manifest.json").len()] = *include_bytes!("../manifest.json");

type Trailers = Result<Option<Fields>, ErrorCode>;

struct Stage;
bindings::export!(Stage with_types_in bindings);

impl Guest for Stage {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let wish = request.get_headers().get("x-std").into_iter().next();
        let wish = wish.and_then(|v| String::from_utf8(v).ok()).unwrap_or_default();
        match wish.as_str() {
            "trap" => panic!("trap on request"),
            "answer" => return Ok(answer()),
            "twice" => {
                let again = copy_of(&request)?;
                next(with_header(request, false)?).await?;
                return with_response_header(next(again).await?, Change::Nothing);
            }
            _ => {}
        }
        let upper = wish == "upper";
        let response = next(with_header(request, upper)?).await?;
        let change = match wish.as_str() {
            "upper" => Change::Upper,
            "trap-body" => Change::Trap,
            _ => Change::Nothing,
        };
        with_response_header(response, change)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Change {
    Nothing,
    Upper,
    Trap,
}

fn internal(what: &str) -> ErrorCode {
    ErrorCode::InternalError(Some(what.to_owned()))
}

/// Headers of a message cannot be changed: a changed copy goes into a new message.
fn changed_headers(headers: &Fields, name: &str, drops_length: bool) -> Result<Fields, ErrorCode> {
    let headers = headers.clone();
    headers.append(name, b"yes").map_err(|_| internal("a header was refused"))?;
    if drops_length {
        headers.delete("content-length").map_err(|_| internal("content-length was kept"))?;
    }
    Ok(headers)
}

fn new_request(from: &Request, headers: Fields, body: Option<StreamReader<u8>>, trailers: FutureReader<Trailers>) -> Result<Request, ErrorCode> {
    let (request, _sent) = Request::new(headers, body, trailers, from.get_options());
    let refused = |()| internal("a part of the request was refused");
    request.set_method(&from.get_method()).map_err(refused)?;
    request.set_scheme(from.get_scheme().as_ref()).map_err(refused)?;
    request.set_authority(from.get_authority().as_deref()).map_err(refused)?;
    request.set_path_with_query(from.get_path_with_query().as_deref()).map_err(refused)?;
    Ok(request)
}

/// The request without its body.
fn copy_of(request: &Request) -> Result<Request, ErrorCode> {
    let headers = changed_headers(&request.get_headers(), "x-std-again", true)?;
    new_request(request, headers, None, ended())
}

fn with_header(request: Request, upper: bool) -> Result<Request, ErrorCode> {
    let headers = changed_headers(&request.get_headers(), "x-std-request", upper)?;
    let shell = new_request(&request, Fields::new(), None, ended())?;
    let (body, trailers) = Request::consume_body(request, ended_unit());
    let body = if upper { transformed(body, Change::Upper) } else { body };
    new_request(&shell, headers, Some(body), trailers)
}

fn with_response_header(response: Response, change: Change) -> Result<Response, ErrorCode> {
    let status = response.get_status_code();
    let headers = changed_headers(&response.get_headers(), "x-std-response", change != Change::Nothing)?;
    let (body, trailers) = Response::consume_body(response, ended_unit());
    let body = if change == Change::Nothing { body } else { transformed(body, change) };
    let (response, _sent) = Response::new(headers, Some(body), trailers);
    response.set_status_code(status).map_err(|()| internal("the status was refused"))?;
    Ok(response)
}

fn transformed(mut source: StreamReader<u8>, change: Change) -> StreamReader<u8> {
    let (mut writer, reader) = wit_stream::new();
    spawn_local(async move {
        loop {
            let (status, mut bytes) = source.read(Vec::with_capacity(64 * 1024)).await;
            bytes.make_ascii_uppercase();
            if !bytes.is_empty() && !writer.write_all(bytes).await.is_empty() {
                return;
            }
            if change == Change::Trap {
                panic!("trap in the middle of a body");
            }
            if !matches!(status, StreamResult::Complete(_)) {
                return;
            }
        }
    });
    reader
}

fn answer() -> Response {
    let (mut writer, reader) = wit_stream::new();
    spawn_local(async move {
        writer.write_all(b"answered by a standard component".to_vec()).await;
    });
    Response::new(Fields::new(), Some(reader), ended()).0
}

/// Trailers that say: complete, and none.
fn ended() -> FutureReader<Trailers> {
    let (writer, reader) = wit_future::new::<Trailers>(|| Ok(None));
    spawn_local(async move {
        let _ = writer.write(Ok(None)).await;
    });
    reader
}

/// What `consume-body` wants to hear of how the body fared.
fn ended_unit() -> FutureReader<Result<(), ErrorCode>> {
    let (writer, reader) = wit_future::new::<Result<(), ErrorCode>>(|| Ok(()));
    spawn_local(async move {
        let _ = writer.write(Ok(())).await;
    });
    reader
}
