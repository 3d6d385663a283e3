//! One invocation on the wire: send, repeat on a fresh connection when a kept one turns out to be dead, follow redirections, read.

use crate::pool::{Pool, Sender};
use crate::{Outgoing, redirect};
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use proa_sdk::bindings::Metadata;

/// What came back.
pub struct Answer {
    pub status: u16,
    pub metadata: Metadata,
    pub body: Vec<u8>,
}

/// `content-type` as `Content-Type`, `GET` as `Get`.
pub fn title(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut start = true;
    for c in name.chars() {
        out.push(if start { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() });
        start = c == '-';
    }
    out
}

pub async fn run(pool: &Pool, mut outgoing: Outgoing, max_body: Option<usize>) -> Result<Answer, String> {
    for _ in 0..=redirect::MOST {
        let (response, sender) = send(pool, &outgoing).await?;
        let (status, from) = (response.status().as_u16(), outgoing.target.clone());
        let again = redirect::follow(&mut outgoing, status, response.headers())?;
        let metadata = metadata(&response);
        // What a redirection says is of no interest, but reading it frees the connection.
        let limit = if again { Some(64 * 1024) } else { max_body };
        let (body, whole) = read(response.into_body(), limit).await?;
        if whole {
            pool.put(&from, sender);
        }
        if !again {
            return Ok(Answer { status, metadata, body });
        }
    }
    Err(format!("stopped after {} redirects", redirect::MOST))
}

fn message(outgoing: &Outgoing) -> Result<Request<Full<Bytes>>, String> {
    let mut request = Request::new(Full::new(outgoing.body.clone().unwrap_or_default()));
    *request.method_mut() = outgoing.method.clone();
    *request.uri_mut() = outgoing.target.path.parse().map_err(|e| format!("invalid URL: {e}"))?;
    *request.headers_mut() = outgoing.headers.clone();
    let host = HeaderValue::from_str(&outgoing.target.authority).map_err(|_| "invalid host in URL".to_owned())?;
    request.headers_mut().insert(HOST, host);
    Ok(request)
}

async fn send(pool: &Pool, outgoing: &Outgoing) -> Result<(Response<Incoming>, Sender), String> {
    let mut request = message(outgoing)?;
    while let Some(mut sender) = pool.take(&outgoing.target) {
        match sender.try_send_request(request).await {
            Ok(response) => return Ok((response, sender)),
            Err(mut failure) => {
                // Never sent, or lost without a word of answer and harmless to repeat: the server had closed the connection meanwhile.
                let repeatable = matches!(outgoing.method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE);
                match failure.take_message() {
                    Some(unsent) => request = unsent,
                    None if repeatable && failure.error().is_incomplete_message() => request = message(outgoing)?,
                    None => return Err(text(failure.error())),
                }
            }
        }
    }
    let mut sender = pool.open(&outgoing.target).await?;
    match sender.send_request(request).await {
        Ok(response) => Ok((response, sender)),
        Err(error) => Err(text(&error)),
    }
}

fn text(error: &hyper::Error) -> String {
    if error.is_incomplete_message() {
        return "EOF".to_owned();
    }
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    text
}

/// The body up to the limit, and whether that was all of it.
async fn read(mut body: Incoming, limit: Option<usize>) -> Result<(Vec<u8>, bool), String> {
    let mut out = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| text(&e))?;
        let Some(data) = frame.data_ref() else { continue };
        let room = limit.map_or(usize::MAX, |l| l.saturating_sub(out.len()));
        out.extend_from_slice(data.get(..data.len().min(room)).unwrap_or_default());
        if data.len() > room {
            return Ok((out, false));
        }
    }
    Ok((out, true))
}

fn metadata(response: &Response<Incoming>) -> Metadata {
    let status = response.status();
    let reason = match response.extensions().get::<hyper::ext::ReasonPhrase>() {
        Some(reason) => String::from_utf8_lossy(reason.as_bytes()).into_owned(),
        None => status.canonical_reason().unwrap_or_default().to_owned(),
    };
    let mut out = vec![("statusCode".to_owned(), status.as_u16().to_string()), ("status".to_owned(), format!("{} {reason}", status.as_u16()))];
    out.extend(headers(response.headers()));
    out
}

fn headers(headers: &HeaderMap) -> impl Iterator<Item = (String, String)> {
    headers.keys().map(|name| {
        let values: Vec<_> = headers.get_all(name).iter().map(|v| String::from_utf8_lossy(v.as_bytes())).collect();
        (title(name.as_str()), values.join(", "))
    })
}
