//! One invocation on the wire: send, follow redirections, read.

use crate::redirect;
use http::{HeaderMap, Response};
use http_core::{Error, Outgoing, Pool};
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

pub async fn run(pool: &Pool, mut outgoing: Outgoing, max_body: Option<usize>) -> Result<Answer, Error> {
    for _ in 0..=redirect::MOST {
        let (response, sender) = http_core::send(pool, &outgoing).await?;
        let (status, from) = (response.status().as_u16(), outgoing.target.clone());
        let again = redirect::follow(&mut outgoing, status, response.headers())?;
        let metadata = metadata(&response);
        // What a redirection says is of no interest, but reading it frees the connection.
        let limit = if again { Some(64 * 1024) } else { max_body };
        let (body, whole) = http_core::read(response.into_body(), limit).await?;
        if whole {
            pool.put(&from, sender);
        }
        if !again {
            return Ok(Answer { status, metadata, body });
        }
    }
    Err(Error::Invalid(format!("stopped after {} redirects", redirect::MOST)))
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
