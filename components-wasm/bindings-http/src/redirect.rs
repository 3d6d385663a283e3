//! What a redirection makes of a request.

use http::{HeaderMap, Method, header};
use http_core::{Error, Outgoing};

/// At most so many, one after the other.
pub const MOST: usize = 10;

/// Turns `outgoing` into the request that follows a redirection; false: the answer is final.
pub fn follow(outgoing: &mut Outgoing, status: u16, answered: &HeaderMap) -> Result<bool, Error> {
    let keeps_method = match status {
        301..=303 => false,
        307 | 308 => true,
        _ => return Ok(false),
    };
    let Some(location) = answered.get(header::LOCATION) else { return Ok(false) };
    let location = location.to_str().map_err(|_| Error::Invalid("the Location of the redirection is not text".to_owned()))?;
    let next = outgoing.target.resolve(location)?;
    if !keeps_method && !matches!(outgoing.method, Method::GET | Method::HEAD) {
        outgoing.method = Method::GET;
        outgoing.body = None;
        outgoing.headers.remove(header::CONTENT_TYPE);
    }
    if !next.same_site(&outgoing.target) {
        for secret in [header::AUTHORIZATION, header::COOKIE, header::WWW_AUTHENTICATE] {
            outgoing.headers.remove(secret);
        }
    }
    outgoing.target = next;
    Ok(true)
}
