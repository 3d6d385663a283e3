//! One request and its answer on the wire; repeated on a fresh connection when a kept one turns out to be dead.

use crate::pool::{Pool, Sender};
use crate::{Error, Target};
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;

/// What a request sends, kept for repetitions and redirections.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub method: Method,
    pub target: Target,
    pub headers: HeaderMap,
    /// None: no body, and no word about its length.
    pub body: Option<Bytes>,
    /// May be carried out twice, whatever the method says.
    pub safe: bool,
}

impl Outgoing {
    fn message(&self) -> Result<Request<Full<Bytes>>, Error> {
        let mut request = Request::new(Full::new(self.body.clone().unwrap_or_default()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target.path.parse().map_err(|e| Error::Invalid(format!("invalid URL: {e}")))?;
        *request.headers_mut() = self.headers.clone();
        let host = HeaderValue::from_str(&self.target.authority).map_err(|_| Error::Invalid("invalid host in URL".to_owned()))?;
        request.headers_mut().insert(HOST, host);
        Ok(request)
    }

    fn is_repeatable(&self) -> bool {
        self.safe || matches!(self.method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
    }
}

/// Sends; answers as soon as the head of the response is there, with the connection that it came over.
pub async fn send(pool: &Pool, outgoing: &Outgoing) -> Result<(Response<Incoming>, Sender), Error> {
    let mut request = outgoing.message()?;
    while let Some(mut sender) = pool.take(&outgoing.target) {
        match sender.try_send_request(request).await {
            Ok(response) => return Ok((response, sender)),
            Err(mut failure) => {
                // Never sent, or lost without a word of answer and harmless to repeat: the server had closed the connection meanwhile.
                match failure.take_message() {
                    Some(unsent) => request = unsent,
                    None if outgoing.is_repeatable() && is_loss(failure.error()) => request = outgoing.message()?,
                    None => return Err(Error::broken(failure.error())),
                }
            }
        }
    }
    let mut sender = pool.open(&outgoing.target).await?;
    match sender.send_request(request).await {
        Ok(response) => Ok((response, sender)),
        Err(error) => Err(Error::broken(&error)),
    }
}

/// The connection went down, as opposed to an answer that makes no sense.
fn is_loss(error: &hyper::Error) -> bool {
    let reset = |e: &std::io::Error| matches!(e.kind(), std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe);
    error.is_incomplete_message() || std::error::Error::source(error).and_then(|e| e.downcast_ref()).is_some_and(reset)
}

/// The body up to the limit in bytes, and whether that was all of it.
pub async fn read(mut body: Incoming, limit: Option<usize>) -> Result<(Vec<u8>, bool), Error> {
    let mut out = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| Error::broken(&e))?;
        let Some(data) = frame.data_ref() else { continue };
        let room = limit.map_or(usize::MAX, |l| l.saturating_sub(out.len()));
        out.extend_from_slice(data.get(..data.len().min(room)).unwrap_or_default());
        if data.len() > room {
            return Ok((out, false));
        }
    }
    Ok((out, true))
}
