//! The HTTPEndpoint resource: an external service that may be invoked by name.

use crate::component::{MetadataItem, MetadataValue, read_items, read_secret_store, read_value};
use crate::fields::{FieldError, Fields, Note};
use crate::resource::{Head, Kind, Origin, resource};
use serde::Serialize;

/// One HTTPEndpoint document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct HttpEndpoint {
    /// `metadata.name`: the app id under which it is invoked.
    pub name: String,
    /// `metadata.namespace`.
    pub namespace: Option<String>,
    /// `spec.baseUrl`.
    pub base_url: String,
    /// `spec.headers`, sent with every request.
    pub headers: Vec<MetadataItem>,
    /// `spec.clientTLS`.
    pub client_tls: Option<ClientTls>,
    /// `auth.secretStore`: the store that references in headers and TLS documents refer to.
    pub auth_secret_store: Option<String>,
    /// The app ids that may see it; empty means all.
    pub scopes: Vec<String>,
    /// Where it was read.
    pub origin: Origin,
}

/// How to speak TLS with the endpoint; each document is PEM text or a secret that holds it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ClientTls {
    /// Trusted root certificates.
    pub root_ca: Option<MetadataValue>,
    /// The client's certificate chain.
    pub certificate: Option<MetadataValue>,
    /// The client's private key.
    pub private_key: Option<MetadataValue>,
    /// `Never`, `OnceAsClient` or `FreelyAsClient`.
    pub renegotiation: Option<String>,
}

resource!(
    HttpEndpoint,
    |_| Kind::HttpEndpoint,
    fn log_name(&self) -> String {
        format!("{} ({})", self.name, self.base_url)
    }
);

impl HttpEndpoint {
    pub(crate) fn read(document: &mut Fields<'_>, origin: Origin, notes: &mut Vec<Note>) -> Result<Self, FieldError> {
        let head = Head::read(document, notes)?;
        let mut spec = document.child("spec")?;
        let endpoint = HttpEndpoint {
            name: head.name,
            namespace: head.namespace,
            base_url: spec.text("baseUrl")?,
            headers: read_items(&mut spec, "headers", notes)?,
            client_tls: read_tls(&mut spec, notes)?,
            auth_secret_store: read_secret_store(document, notes)?,
            scopes: document.texts("scopes")?,
            origin,
        };
        spec.finish(notes);
        Ok(endpoint)
    }
}

fn read_tls(spec: &mut Fields<'_>, notes: &mut Vec<Note>) -> Result<Option<ClientTls>, FieldError> {
    let Some(mut tls) = spec.child_option("clientTLS")? else {
        return Ok(None);
    };
    let mut document = |name| -> Result<Option<MetadataValue>, FieldError> {
        let Some(mut part) = tls.child_option(name)? else {
            return Ok(None);
        };
        let value = read_value(&mut part, notes)?;
        part.finish(notes);
        Ok(Some(value))
    };
    let (root_ca, certificate, private_key) = (document("rootCA")?, document("certificate")?, document("privateKey")?);
    let renegotiation = tls.text_option("renegotiation")?;
    tls.finish(notes);
    Ok(Some(ClientTls { root_ca, certificate, private_key, renegotiation }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::{Resource, yaml};

    #[test]
    fn reads_headers_and_tls() {
        let value = yaml::parse(
            "metadata: {name: github}\nspec:\n  baseUrl: https://api.example.com\n  headers:\n  - {name: Accept, value: text/plain}\n  \
             - {name: Authorization, secretKeyRef: {name: token}}\n  clientTLS:\n    rootCA: {value: PEM}\n    privateKey: {secretKeyRef: {name: tls, key: key}}\n    \
             renegotiation: OnceAsClient\nauth: {secretStore: local}\n",
        )
        .unwrap();
        let mut notes = Vec::new();
        let endpoint = HttpEndpoint::read(&mut Fields::of(Some(&value), "").unwrap(), Origin::default(), &mut notes).unwrap();
        assert!(notes.is_empty(), "{notes:?}");
        assert_eq!(endpoint.log_name(), "github (https://api.example.com)");
        assert_eq!(endpoint.headers.len(), 2);
        let tls = endpoint.client_tls.unwrap();
        assert_eq!(tls.root_ca, Some(MetadataValue::Literal("PEM".into())));
        assert_eq!(tls.private_key, Some(MetadataValue::SecretRef { name: "tls".into(), key: "key".into() }));
        assert_eq!(tls.certificate, None);
    }
}
