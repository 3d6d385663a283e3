//! One request to Sentry: a fresh key and a signing request in, an [`Identity`] out.
//!
//! Connecting takes 20 seconds at most, each try to have it signed 3, and a Sentry that is busy is tried five times.
//! The private key never leaves the process. Errors say which step failed.

use super::peer::{Expected, ServerIs};
use super::spiffe::SpiffeId;
use super::{Identity, TlsError, TrustAnchors};
use http::Uri;
use http::uri::Authority;
use hyper_util::rt::TokioIo;
use proa_protocol::sentry::v1::SignCertificateRequest;
use proa_protocol::sentry::v1::SignCertificateResponse;
use proa_protocol::sentry::v1::ca_client::CaClient;
use proa_protocol::sentry::v1::sign_certificate_request::TokenValidator;
use rustls::ClientConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::sign::CertifiedKey;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

const CONNECT: Duration = Duration::from_secs(20);
const SIGN: Duration = Duration::from_secs(3);
const TRIES: u32 = 5;
const BETWEEN: Duration = Duration::from_millis(50);
/// Where gRPC expects a server whose address names no port.
const PORT: u16 = 443;

/// Who asks, whom, and with which proof.
#[derive(Clone, Debug)]
pub struct IdentityOptions {
    /// The name to have signed: the application's ID unless the environment says otherwise.
    pub name: String,
    pub namespace: String,
    /// `host:port`.
    pub sentry_address: String,
    /// PEM.
    pub trust_anchors: String,
    pub control_plane_trust_domain: String,
    pub control_plane_namespace: String,
    /// A file with a token, read anew for each request.
    pub token_file: Option<PathBuf>,
    /// Audiences for which an identity token is wanted.
    pub jwt_audiences: Vec<String>,
}

/// Sentry as this sidecar reaches it.
#[derive(Debug)]
pub(super) struct Issuer {
    options: IdentityOptions,
    anchors: TrustAnchors,
    provider: Arc<CryptoProvider>,
    server: SpiffeId,
    tls: Arc<ClientConfig>,
}

/// A code after which the same request may succeed.
pub(super) fn is_passing(code: Code) -> bool {
    matches!(code, Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded)
}

impl Issuer {
    pub fn new(options: IdentityOptions) -> Result<Self, TlsError> {
        if options.control_plane_trust_domain.is_empty() {
            return Err(TlsError::NoTrustDomain);
        }
        let server =
            SpiffeId::new(&options.control_plane_trust_domain, &options.control_plane_namespace, "dapr-sentry").map_err(TlsError::ControlPlane)?;
        let anchors = TrustAnchors::from_pem(&options.trust_anchors)?;
        if options.sentry_address.is_empty() {
            return Err(TlsError::NoAddress);
        }
        let provider = Arc::new(ring::default_provider());
        let verifier = ServerIs { id: Expected::Exactly(server.clone()), roots: anchors.roots().clone(), provider: provider.clone() };
        let mut tls = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self { options, anchors, provider, server, tls: Arc::new(tls) })
    }

    /// The ID that Sentry must have.
    pub fn server(&self) -> &SpiffeId {
        &self.server
    }

    /// A new identity with a new key.
    pub async fn request(&self) -> Result<Identity, TlsError> {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).map_err(|e| TlsError::Key(e.to_string()))?;
        let csr = signing_request(&key)?;
        let channel = self.connect().await?;
        let (token, validator) = self.token().await?;
        let request = SignCertificateRequest {
            id: self.options.name.clone(),
            token,
            // Left to Sentry: only the control plane's own services name theirs.
            trust_domain: String::new(),
            namespace: self.options.namespace.clone(),
            certificate_signing_request: csr.into(),
            token_validator: validator.into(),
            jwt_audiences: self.options.jwt_audiences.clone(),
        };
        let answer = sign(channel, request).await.map_err(|s| TlsError::Refused { code: s.code(), message: s.message().to_owned() })?;
        self.identity(&key, answer)
    }

    async fn connect(&self) -> Result<Channel, TlsError> {
        let invalid = || TlsError::Address(self.options.sentry_address.clone());
        let bare = self.options.sentry_address.trim_start_matches("dns:///").trim_start_matches("passthrough:///");
        let authority: Authority = bare.parse().map_err(|_| invalid())?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(PORT);
        let name = ServerName::try_from(host.clone()).map_err(|_| invalid())?;
        let endpoint = Endpoint::from_shared(format!("http://{authority}")).map_err(|_| invalid())?;
        let connector = TlsConnector::from(self.tls.clone());
        let service = tower::service_fn(move |_: Uri| {
            let (host, name, connector) = (host.clone(), name.clone(), connector.clone());
            async move {
                let tcp = TcpStream::connect((host.as_str(), port)).await?;
                tcp.set_nodelay(true)?;
                Ok::<_, io::Error>(TokioIo::new(connector.connect(name, tcp).await?))
            }
        });
        match tokio::time::timeout(CONNECT, endpoint.connect_with_connector(service)).await {
            Ok(connected) => connected.map_err(|e| TlsError::Connection(told(&e))),
            Err(_) => Err(TlsError::Connection(format!("no connection within {CONNECT:?}"))),
        }
    }

    async fn token(&self) -> Result<(String, TokenValidator), TlsError> {
        let Some(path) = &self.options.token_file else {
            return Ok((String::new(), TokenValidator::Insecure));
        };
        if path.as_os_str().is_empty() {
            return Err(TlsError::Token("environmental variable DAPR_SENTRY_TOKEN_FILE is set with an empty value".to_owned()));
        }
        let token = tokio::fs::read_to_string(path).await;
        let path = path.display();
        let token = token.map_err(|e| TlsError::Token(format!("failed to read token at path '{path}': {e}")))?;
        if token.is_empty() {
            return Err(TlsError::Token(format!("token at path '{path}' is empty")));
        }
        tracing::debug!(target: "dapr.security.token", "Loaded token from path '{path}' specified in the DAPR_SENTRY_TOKEN_FILE environmental variable");
        Ok((token, TokenValidator::Jwks))
    }

    fn identity(&self, key: &rcgen::KeyPair, answer: SignCertificateResponse) -> Result<Identity, TlsError> {
        let expiry = answer.valid_until.ok_or(TlsError::ValidUntil("there is none"))?;
        let expiry = SystemTime::try_from(expiry).map_err(|_| TlsError::ValidUntil("it is out of range"))?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&answer.workload_certificate).collect();
        let chain = chain.map_err(|e| TlsError::Certificate(e.to_string()))?;
        let id = SpiffeId::of(chain.first().ok_or(TlsError::NoCertificate)?)?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        // This also finds a certificate that was made for another key.
        let certified =
            CertifiedKey::from_der(chain, PrivateKeyDer::Pkcs8(key.clone_key()), &self.provider).map_err(|e| TlsError::Certificate(e.to_string()))?;
        Ok(Identity {
            id,
            chain_pem: answer.workload_certificate.to_vec(),
            certified: Arc::new(certified),
            key,
            anchors: self.anchors.clone(),
            since: SystemTime::now(),
            expiry,
            jwt: answer.jwt.filter(|t| !t.is_empty()),
            audience_jwts: answer.per_audience_jwts.into_iter().collect(),
        })
    }
}

/// The request carries the public key and nothing else: Sentry decides on the names.
fn signing_request(key: &rcgen::KeyPair) -> Result<String, TlsError> {
    let mut parameters = rcgen::CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    let request = parameters.serialize_request(key).and_then(|csr| csr.pem());
    request.map_err(|e| TlsError::Csr(e.to_string()))
}

async fn sign(channel: Channel, request: SignCertificateRequest) -> Result<SignCertificateResponse, Status> {
    let mut client = CaClient::new(channel);
    let mut tried = 1;
    loop {
        let mut one = Request::new(request.clone());
        one.set_timeout(SIGN);
        let answer = tokio::time::timeout(SIGN, client.sign_certificate(one)).await;
        let error = match answer {
            Ok(Ok(answer)) => return Ok(answer.into_inner()),
            Ok(Err(status)) => status,
            Err(_) => Status::deadline_exceeded("context deadline exceeded"),
        };
        if tried >= TRIES || !is_passing(error.code()) {
            return Err(error);
        }
        tried += 1;
        tokio::time::sleep(BETWEEN).await;
    }
}

/// An error with its causes, which say what it was; some repeat what they wrap.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(one) = cause {
        let more = one.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = one.source();
    }
    text
}
