//! Secret stores.

use crate::link::{Greet, Link, Welcome};
use crate::wire::Wire;
use futures::future::BoxFuture;
use pb::secret_store_client::SecretStoreClient;
use proa_host::CallError;
use proa_host::kinds::secretstores as host;
use proa_host::remote::Answer;
use proa_protocol::components::v1 as pb;
use std::collections::HashMap;
use std::sync::Arc;

pub const SERVICE: &str = "dapr.proto.components.v1.SecretStore";

/// A secret store of another process.
pub struct Secrets {
    pub link: Arc<Link>,
}

fn client(wire: Wire) -> SecretStoreClient<Wire> {
    SecretStoreClient::new(wire).max_decoding_message_size(usize::MAX)
}

pub fn greet(properties: HashMap<String, String>) -> Greet {
    Arc::new(move |wire| {
        let properties = properties.clone();
        Box::pin(async move {
            let mut client = client(wire);
            client.init(pb::SecretStoreInitRequest { metadata: Some(pb::MetadataRequest { properties }) }).await?;
            let features = client.features(pb::FeaturesRequest {}).await?.into_inner().features;
            Ok(Welcome { features, operations: Vec::new() })
        })
    })
}

fn pairs(secret: HashMap<String, String>) -> host::Secret {
    let mut pairs: host::Secret = secret.into_iter().collect();
    pairs.sort();
    pairs
}

impl Secrets {
    pub fn ping(&self) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let pong = self.link.call(pb::PingRequest {}, |wire, request| async move { client(wire).ping(request).await });
            pong.await.map(drop).map_err(|f| CallError::from(f).to_string())
        })
    }
}

impl host::RemoteSecrets for Secrets {
    fn get(&self, name: String, metadata: host::Metadata) -> Answer<'_, Result<host::Secret, host::Error>> {
        Box::pin(async move {
            let request = pb::GetSecretRequest { key: name, metadata: metadata.into_iter().collect() };
            let response = self.link.call(request, |wire, request| async move { client(wire).get(request).await }).await?;
            Ok(Ok(pairs(response.data)))
        })
    }

    fn get_all(&self, metadata: host::Metadata) -> Answer<'_, Result<Vec<(String, host::Secret)>, host::Error>> {
        Box::pin(async move {
            let request = pb::BulkGetSecretRequest { metadata: metadata.into_iter().collect() };
            let response = self.link.call(request, |wire, request| async move { client(wire).bulk_get(request).await }).await?;
            let mut all: Vec<_> = response.data.into_iter().map(|(name, secret)| (name, pairs(secret.secrets))).collect();
            all.sort_by(|(a, _), (b, _)| a.cmp(b));
            Ok(Ok(all))
        })
    }
}
