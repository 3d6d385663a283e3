//! The API over one transport, with the differences between HTTP and gRPC evened out.
//!
//! Suites call these functions with [`Wire::Http`] and with [`Wire::Grpc`] and expect the same outcome. What the transports
//! do not share (status numbers, where a detail is written) is normalised into [`ApiError`].

mod blocks;
mod error;
mod pubsub;
mod state;

use std::collections::BTreeMap;

use proa_protocol::runtime::v1::dapr_client::DaprClient;
use tonic::transport::Channel;

pub use error::{ApiError, Detail};
pub use state::{BulkItem, Found, Item, Operation};

use crate::http::{Http, Reply};

/// The two transports of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    Http,
    Grpc,
}

impl Wire {
    pub const BOTH: [Wire; 2] = [Wire::Http, Wire::Grpc];
}

/// String pairs, in order.
pub type Pairs = BTreeMap<String, String>;

/// Turns a slice of pairs into a map.
pub fn pairs(list: &[(&str, &str)]) -> Pairs {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A client of the API over one transport.
#[derive(Clone)]
pub struct Api {
    wire: Wire,
    http: Http,
    grpc: DaprClient<Channel>,
    token: Option<String>,
}

impl Api {
    pub(crate) fn new(wire: Wire, http: Http, grpc: DaprClient<Channel>, token: Option<String>) -> Self {
        Self { wire, http, grpc, token }
    }

    pub fn wire(&self) -> Wire {
        self.wire
    }

    /// A gRPC request with the API token, if there is one.
    fn call<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("dapr-api-token", token.parse().expect("an ASCII token"));
        }
        request
    }
}

/// The reply as it is when its status is 2xx, an error otherwise.
fn accepted(reply: Reply) -> Result<Reply, ApiError> {
    if (200..300).contains(&reply.status) { Ok(reply) } else { Err(ApiError::from_reply(&reply)) }
}

/// `?metadata.a=1&metadata.b=2`, escaped; empty without pairs.
fn metadata_query(metadata: &Pairs) -> String {
    let escape = |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
    let fields: Vec<String> = metadata.iter().map(|(name, value)| format!("metadata.{}={}", escape(name), escape(value))).collect();
    if fields.is_empty() { String::new() } else { format!("?{}", fields.join("&")) }
}

/// The path segment for `text`.
fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
