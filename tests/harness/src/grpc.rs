//! Connecting to the gRPC API.

use std::time::Duration;

use proa_protocol::runtime::v1::dapr_client::DaprClient;
pub use tonic::Request;
use tonic::transport::{Channel, Endpoint};

/// Far above the sidecar's own limit, which is the one under test.
const MESSAGE_LIMIT: usize = 256 << 20;

/// A client of the API on 127.0.0.1; panics when nobody listens. Calls have a deadline of 30 seconds.
pub async fn connect(port: u16) -> DaprClient<Channel> {
    DaprClient::new(channel(port).await).max_decoding_message_size(MESSAGE_LIMIT).max_encoding_message_size(MESSAGE_LIMIT)
}

/// A plain channel to 127.0.0.1, for other services.
pub async fn channel(port: u16) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}")).expect("address");
    let endpoint = endpoint.timeout(Duration::from_secs(30)).connect_timeout(Duration::from_secs(5));
    endpoint.connect().await.unwrap_or_else(|failure| panic!("gRPC port {port}: {failure}"))
}
