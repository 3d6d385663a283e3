//! A small authority over real TLS stands in for Sentry.

use super::*;
use futures::stream;
use hyper_util::rt::TokioIo;
use proa_core::Metrics;
use proa_protocol::sentry::v1::ca_server::{Ca, CaServer};
use proa_protocol::sentry::v1::sign_certificate_request::TokenValidator;
use proa_protocol::sentry::v1::{SignCertificateRequest, SignCertificateResponse};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, IsCa, Issuer, KeyPair, PublicKeyData, SanType, SignatureAlgorithm};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use std::sync::Mutex;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

const SENTRY: &str = "spiffe://cluster.local/ns/default/dapr-sentry";

/// The key of a signing request.
struct Requested(Vec<u8>);

impl PublicKeyData for Requested {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }
    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ED25519
    }
}

fn named(uri: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
    parameters
}

struct Root {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn root() -> Root {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = parameters.self_signed(&key).unwrap().pem();
    Root { pem, issuer: Issuer::new(parameters, key) }
}

/// Signs what it is asked to, for `life`, or refuses everyone.
#[derive(Clone)]
struct Authority {
    root: Arc<Root>,
    life: Duration,
    refuses: Option<Status>,
    asked: Arc<Mutex<Vec<SignCertificateRequest>>>,
}

impl Authority {
    fn new(life: Duration) -> Self {
        Self { root: Arc::new(root()), life, refuses: None, asked: Arc::default() }
    }
}

#[tonic::async_trait]
impl Ca for Authority {
    async fn sign_certificate(&self, request: Request<SignCertificateRequest>) -> Result<Response<SignCertificateResponse>, Status> {
        let request = request.into_inner();
        self.asked.lock().unwrap().push(request.clone());
        if let Some(status) = &self.refuses {
            return Err(status.clone());
        }
        let csr = rustls::pki_types::CertificateSigningRequestDer::from_pem_slice(&request.certificate_signing_request).unwrap();
        let before_key = [0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
        let at = csr.windows(before_key.len()).position(|w| w == before_key).unwrap() + before_key.len();
        let key = Requested(csr[at..at + 32].to_vec());
        let id = format!("spiffe://public/ns/{}/{}", request.namespace, request.id);
        let leaf = named(&id).signed_by(&key, &self.root.issuer).unwrap();
        Ok(Response::new(SignCertificateResponse {
            workload_certificate: format!("{}{}", leaf.pem(), self.root.pem).into(),
            valid_until: Some((SystemTime::now() + self.life).into()),
            jwt: Some("token".into()),
            ..Default::default()
        }))
    }
}

/// Serves `authority` under the name `uri` until the test ends.
fn serve(listener: TcpListener, authority: Authority, uri: &str) {
    let key = KeyPair::generate().unwrap();
    let leaf = named(uri).signed_by(&key, &authority.root.issuer).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        let incoming = stream::unfold((listener, acceptor), |(listener, acceptor)| async move {
            loop {
                let (tcp, _): (TcpStream, _) = listener.accept().await.ok()?;
                if let Ok(tls) = acceptor.accept(tcp).await {
                    return Some((tls, (listener, acceptor)));
                }
            }
        });
        let mut incoming = std::pin::pin!(incoming);
        while let Some(tls) = futures::StreamExt::next(&mut incoming).await {
            let service = hyper_util::service::TowerToHyperService::new(CaServer::new(authority.clone()));
            tokio::spawn(async move {
                let server = hyper::server::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new());
                let _ended = server.serve_connection(TokioIo::new(tls), service).await;
            });
        }
    });
}

fn options(address: String, anchors: &str) -> IdentityOptions {
    IdentityOptions {
        name: "myapp".to_owned(),
        namespace: "here".to_owned(),
        sentry_address: address,
        trust_anchors: anchors.to_owned(),
        control_plane_trust_domain: "cluster.local".to_owned(),
        control_plane_namespace: "default".to_owned(),
        token_file: None,
        jwt_audiences: vec!["them".to_owned()],
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.unwrap()
}

async fn running(authority: &Authority, uri: &str) -> IdentityOptions {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    serve(listener, authority.clone(), uri);
    options(address, &authority.root.pem)
}

#[tokio::test]
async fn an_identity_is_what_sentry_signed() {
    let authority = Authority::new(Duration::from_secs(1000));
    let security = within(Security::acquire(running(&authority, SENTRY).await)).await.unwrap();
    let identity = security.identity();
    assert_eq!(identity.id, SpiffeId::new("public", "here", "myapp").unwrap());
    assert_eq!((identity.certified.cert.len(), identity.jwt.as_deref()), (2, Some("token")));
    let left = identity.renewal().duration_since(identity.since).unwrap().as_secs();
    assert!((690..=700).contains(&left), "{left}");
    let asked = authority.asked.lock().unwrap();
    assert_eq!((asked[0].token_validator(), asked[0].token.as_str(), asked[0].trust_domain.as_str()), (TokenValidator::Insecure, "", ""));
    assert_eq!(asked[0].jwt_audiences, ["them"]);
    assert!(asked[0].certificate_signing_request.starts_with(b"-----BEGIN CERTIFICATE REQUEST-----"));
}

#[tokio::test]
async fn sentry_may_come_later() {
    let authority = Authority::new(Duration::from_secs(1000));
    // Nobody else gets the port in between: it stays reserved, but nothing listens.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let acquiring = tokio::spawn(Security::acquire(options(address, &authority.root.pem)));
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(!acquiring.is_finished());
    serve(socket.listen(8).unwrap(), authority, SENTRY);
    within(acquiring).await.unwrap().unwrap();
}

#[tokio::test]
async fn nobody_else_is_taken_for_sentry() {
    let authority = Authority::new(Duration::from_secs(1000));
    let other_root = root();
    for (uri, anchors) in [("spiffe://cluster.local/ns/default/dapr-placement", &authority.root.pem), (SENTRY, &other_root.pem)] {
        let mut options = running(&authority, uri).await;
        options.trust_anchors = anchors.clone();
        let refused = within(super::sentry::Issuer::new(options).unwrap().request()).await.unwrap_err();
        assert!(matches!(refused, TlsError::Connection(_)), "{refused}");
        assert_eq!(refused.to_string().contains("unexpected ID"), uri != SENTRY, "{refused}");
    }
    assert!(authority.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_refusal_is_final() {
    let mut authority = Authority::new(Duration::from_secs(1000));
    authority.refuses = Some(Status::permission_denied("token validation failed"));
    let refused = within(Security::acquire(running(&authority, SENTRY).await)).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "failed to retrieve the initial identity: error from sentry SignCertificate: rpc error: code = PermissionDenied desc = token validation failed"
    );
    assert_eq!((refused.reason(), authority.asked.lock().unwrap().len()), (Some("sign"), 1));
}

#[tokio::test]
async fn an_identity_is_renewed_before_it_ends() {
    let authority = Authority::new(Duration::from_secs(2));
    let security = within(Security::acquire(running(&authority, SENTRY).await)).await.unwrap();
    let before = security.identity();
    let mut changes = security.watch();
    let stop = CancellationToken::new();
    let renewing = tokio::spawn(security.clone().renew(Metrics::disabled(), stop.clone()));
    within(changes.changed()).await.unwrap();
    assert!(SystemTime::now() < before.expiry);
    assert_ne!(security.identity().key.secret_pkcs8_der(), before.key.secret_pkcs8_der());
    stop.cancel();
    within(renewing).await.unwrap();
}

#[tokio::test]
async fn a_token_is_sent_as_it_is() {
    let authority = Authority::new(Duration::from_secs(1000));
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut options = running(&authority, SENTRY).await;
    options.token_file = Some(file.path().to_owned());
    let empty = within(Security::acquire(options.clone())).await.unwrap_err();
    assert_eq!(
        empty.to_string(),
        format!("failed to retrieve the initial identity: error obtaining token: token at path '{}' is empty", file.path().display())
    );
    std::fs::write(file.path(), "proof").unwrap();
    within(Security::acquire(options)).await.unwrap();
    let asked = authority.asked.lock().unwrap();
    assert_eq!((asked[0].token_validator(), asked[0].token.as_str()), (TokenValidator::Jwks, "proof"));
}

#[tokio::test]
async fn options_that_cannot_work_are_refused_at_once() {
    let pem = root().pem;
    let text = |change: fn(&mut IdentityOptions)| {
        let mut options = options("127.0.0.1:1".to_owned(), &pem);
        change(&mut options);
        super::sentry::Issuer::new(options).unwrap_err().to_string()
    };
    assert_eq!(text(|o| o.trust_anchors.clear()), "trust anchors are required");
    assert_eq!(text(|o| o.trust_anchors = "x".to_owned()), "failed to decode trust anchors: no certificate found");
    assert_eq!(text(|o| o.control_plane_trust_domain.clear()), "control plane trust domain is required");
    assert_eq!(text(|o| o.sentry_address.clear()), "the address of sentry is required when mTLS is enabled");
    assert!(text(|o| o.control_plane_trust_domain = "A".to_owned()).starts_with("failed to parse sentry SPIFFE ID: trust domain"));
}

#[test]
fn ids_are_read_strictly() {
    let id = SpiffeId::parse("spiffe://public/ns/default/My-app_1").unwrap();
    assert_eq!((id.trust_domain(), id.path(), id.to_string().as_str()), ("public", "/ns/default/My-app_1", "spiffe://public/ns/default/My-app_1"));
    assert_eq!(SpiffeId::parse("https://public/ns"), Err(InvalidId::Scheme));
    for path in ["/", "/a/", "/a//b", "/a/../b", "/a%20b"] {
        assert_eq!(SpiffeId::parse(&format!("spiffe://public{path}")), Err(InvalidId::Path), "{path}");
    }
    assert_eq!(SpiffeId::new("public", "a/b", "c"), Err(InvalidId::Path));
    assert_eq!(SpiffeId::parse("spiffe://Public/a"), Err(InvalidId::TrustDomain));
}

/// Shows no certificate.
#[derive(Debug)]
struct Nothing;

impl rustls::client::ResolvesClientCert for Nothing {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<rustls::sign::CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// A handshake of two sidecars: who the server found at the other end.
async fn meet(server: &Security, client: rustls::ClientConfig) -> Result<String, String> {
    let (near, far) = tokio::io::duplex(1 << 16);
    let acceptor = TlsAcceptor::from(server.server().unwrap());
    let accepting = async {
        let tls = acceptor.accept(far).await.map_err(|e| e.to_string())?;
        let known = caller(tls.get_ref().1.peer_certificates().and_then(<[_]>::first)).map_err(|e| e.to_string())?;
        Ok(format!("{:?}", known.unwrap()))
    };
    let connecting = async {
        let name = rustls::pki_types::ServerName::try_from("127.0.0.1").unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
        connector.connect(name, near).await.map_err(|e| e.to_string())
    };
    let (accepted, connected) = within(async { tokio::join!(accepting, connecting) }).await;
    connected.map(drop)?;
    accepted
}

#[tokio::test]
async fn sidecars_believe_the_application_that_they_mean() {
    let authority = Authority::new(Duration::from_secs(1000));
    let named = |options: IdentityOptions, name: &str| IdentityOptions { name: name.to_owned(), ..options };
    let caller = within(Security::acquire(named(running(&authority, SENTRY).await, "caller"))).await.unwrap();
    let callee = within(Security::acquire(named(running(&authority, SENTRY).await, "callee"))).await.unwrap();

    let known = meet(&callee, caller.client("here", "callee").unwrap()).await.unwrap();
    assert!(known.contains("spiffe://public/ns/here/caller"), "{known}");
    for (namespace, app_id) in [("here", "other"), ("elsewhere", "callee")] {
        let refused = meet(&callee, caller.client(namespace, app_id).unwrap()).await.unwrap_err();
        assert!(refused.contains(r#"unexpected SPIFFE ID: "spiffe://public/ns/here/callee""#), "{refused}");
    }
    let stranger = Authority::new(Duration::from_secs(1000));
    let stranger = within(Security::acquire(named(running(&stranger, SENTRY).await, "caller"))).await.unwrap();
    assert!(meet(&callee, stranger.client("here", "callee").unwrap()).await.is_err(), "another trust");
    let mut anonymous = caller.client("here", "callee").unwrap();
    anonymous.client_auth_cert_resolver = Arc::new(Nothing);
    assert!(meet(&callee, anonymous).await.is_err(), "no certificate");
}
