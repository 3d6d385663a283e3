//! Bindings, secrets, metadata and shutdown over either transport.

use std::collections::BTreeMap;

use bytes::Bytes;
use proa_protocol::runtime::v1 as pb;
use serde_json::{Value, json};

use super::{Api, ApiError, Pairs, Wire, accepted, metadata_query, pairs, segment};

/// What an output binding gave back. Metadata names are in lower case.
#[derive(Clone, Debug)]
pub struct BindingReply {
    pub data: Bytes,
    pub metadata: Pairs,
}

impl Api {
    /// Invokes an output binding; `data` is JSON over HTTP and the same text over gRPC (a string without its quotes).
    pub async fn invoke_binding(&self, name: &str, operation: &str, data: Value, metadata: &[(&str, &str)]) -> Result<BindingReply, ApiError> {
        let metadata = pairs(metadata);
        match self.wire {
            Wire::Http => {
                let body = json!({ "operation": operation, "data": data, "metadata": metadata });
                let reply = accepted(self.http.post(&format!("/v1.0/bindings/{}", segment(name)), &body).await)?;
                let found = reply.headers.iter().filter_map(|(name, value)| {
                    let name = name.as_str().strip_prefix("metadata.")?;
                    Some((name.to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
                });
                Ok(BindingReply { metadata: found.collect(), data: reply.body })
            }
            Wire::Grpc => {
                let data = match data {
                    Value::Null => Bytes::new(),
                    Value::String(text) => text.into(),
                    other => other.to_string().into(),
                };
                let request =
                    pb::InvokeBindingRequest { name: name.into(), data, metadata: metadata.into_iter().collect(), operation: operation.into() };
                let reply = self.grpc.clone().invoke_binding(self.call(request)).await?.into_inner();
                let metadata = reply.metadata.into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect();
                Ok(BindingReply { data: reply.data, metadata })
            }
        }
    }

    pub async fn secret(&self, store: &str, key: &str, metadata: &[(&str, &str)]) -> Result<Pairs, ApiError> {
        let metadata = pairs(metadata);
        match self.wire {
            Wire::Http => {
                let path = format!("/v1.0/secrets/{}/{}{}", segment(store), segment(key), metadata_query(&metadata));
                let reply = accepted(self.http.get(&path).await)?;
                Ok(serde_json::from_slice(&reply.body).unwrap_or_default())
            }
            Wire::Grpc => {
                let request = pb::GetSecretRequest { store_name: store.into(), key: key.into(), metadata: metadata.into_iter().collect() };
                Ok(self.grpc.clone().get_secret(self.call(request)).await?.into_inner().data.into_iter().collect())
            }
        }
    }

    pub async fn secrets(&self, store: &str) -> Result<BTreeMap<String, Pairs>, ApiError> {
        match self.wire {
            Wire::Http => {
                let reply = accepted(self.http.get(&format!("/v1.0/secrets/{}/bulk", segment(store))).await)?;
                Ok(serde_json::from_slice(&reply.body).unwrap_or_default())
            }
            Wire::Grpc => {
                let request = pb::GetBulkSecretRequest { store_name: store.into(), metadata: Default::default() };
                let reply = self.grpc.clone().get_bulk_secret(self.call(request)).await?.into_inner();
                Ok(reply.data.into_iter().map(|(name, secret)| (name, secret.secrets.into_iter().collect())).collect())
            }
        }
    }

    pub async fn set_metadata(&self, key: &str, value: &str) -> Result<(), ApiError> {
        match self.wire {
            Wire::Http => {
                let request = self.http.request("PUT", &format!("/v1.0/metadata/{}", segment(key))).body(value.to_owned());
                accepted(request.send().await).map(|reply| assert_eq!(reply.status, 204))
            }
            Wire::Grpc => {
                let request = pb::SetMetadataRequest { key: key.into(), value: value.into() };
                self.grpc.clone().set_metadata(self.call(request)).await?;
                Ok(())
            }
        }
    }

    /// The metadata in the shape of the HTTP API; over gRPC only the fields that the suites compare.
    pub async fn metadata(&self) -> Result<Value, ApiError> {
        match self.wire {
            Wire::Http => Ok(accepted(self.http.get("/v1.0/metadata").await)?.json()),
            Wire::Grpc => {
                let reply = self.grpc.clone().get_metadata(self.call(pb::GetMetadataRequest {})).await?.into_inner();
                Ok(metadata_json(reply))
            }
        }
    }

    pub async fn shutdown(&self) -> Result<(), ApiError> {
        match self.wire {
            Wire::Http => accepted(self.http.request("POST", "/v1.0/shutdown").send().await).map(|reply| assert_eq!(reply.status, 204)),
            Wire::Grpc => {
                self.grpc.clone().shutdown(self.call(pb::ShutdownRequest {})).await?;
                Ok(())
            }
        }
    }
}

fn metadata_json(reply: pb::GetMetadataResponse) -> Value {
    let components = reply.registered_components.into_iter();
    let components = components.map(|one| json!({ "name": one.name, "type": one.r#type, "version": one.version, "capabilities": one.capabilities }));
    let subscriptions = reply.subscriptions.into_iter().map(|one| {
        let kind = pb::PubsubSubscriptionType::try_from(one.r#type).map_or("", |kind| kind.as_str_name());
        let rules = one.rules.map(|rules| rules.rules).unwrap_or_default().into_iter();
        let rules: Vec<Value> = rules.map(|rule| json!({ "match": rule.r#match, "path": rule.path })).collect();
        json!({ "pubsubname": one.pubsub_name, "topic": one.topic, "deadLetterTopic": one.dead_letter_topic, "type": kind, "rules": rules })
    });
    let mut json = json!({
        "id": reply.id,
        "runtimeVersion": reply.runtime_version,
        "extended": reply.extended_metadata,
        "components": components.collect::<Vec<_>>(),
        "subscriptions": subscriptions.collect::<Vec<_>>(),
        "enabledFeatures": reply.enabled_features,
    });
    if let Some(app) = reply.app_connection_properties {
        json["appConnectionProperties"] = json!({ "port": app.port, "protocol": app.protocol, "channelAddress": app.channel_address });
    }
    json
}
