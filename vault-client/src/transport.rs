//! The way to the vault: TCP, TLS 1.3, HTTP/2.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::AsyncBufReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};

use crate::certificate::fingerprint;
use crate::error::{ClientError, IdentityError};
use crate::gathered::Gathered;
use crate::identity::Identity;

/// What kept a connection from being made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectFault {
    #[error("no TCP connection: {0}")]
    Dial(#[source] io::Error),
    #[error("no connection in time")]
    Slow,
    #[error("no TLS connection: {0}")]
    Tls(#[source] io::Error),
}

/// Connects with the identity's certificate to its address, trusting its CA alone.
pub(crate) async fn connect(identity: &Identity) -> Result<Channel, ClientError> {
    let target = Target::parse(identity.address())?;
    let tls = mutual_tls(identity)?;
    let endpoint = endpoint(&target)?;
    endpoint
        .connect_with_connector(connector(target, tls))
        .await
        .map_err(|error| ClientError::from_transport(Box::new(error)))
}

/// A connection that was made, measured and given up.
pub(crate) struct Probe {
    pub(crate) from: SocketAddr,
    pub(crate) tcp: Duration,
    pub(crate) tls: Duration,
    pub(crate) server_certificate: Option<CertificateDer<'static>>,
}

/// Looks up what the identity's address stands for.
pub(crate) async fn resolve(identity: &Identity) -> Result<Vec<SocketAddr>, ClientError> {
    let target = Target::parse(identity.address())?;
    let found = within(DIAL_TIMEOUT, tokio::net::lookup_host(target.address.as_str())).await;
    let found = found.and_then(|found| found.map_err(ConnectFault::Dial));
    Ok(found.map_err(|fault| ClientError::from_transport(Box::new(fault)))?.collect())
}

/// Makes the connection of [`connect`] to one address, as far as the handshake goes.
pub(crate) async fn probe(identity: &Identity, to: SocketAddr) -> Result<Probe, ClientError> {
    let target = Target::parse(identity.address())?;
    let tls = mutual_tls(identity)?;
    let made = async {
        let began = Instant::now();
        let tcp =
            within(DIAL_TIMEOUT, TcpStream::connect(to)).await?.map_err(ConnectFault::Dial)?;
        let dialled = Instant::now();
        let from = tcp.local_addr().map_err(ConnectFault::Dial)?;
        let handshake = TlsConnector::from(tls).connect(target.name, tcp);
        let mut stream = within(HANDSHAKE_TIMEOUT, handshake).await?.map_err(ConnectFault::Tls)?;
        hear(&mut stream).await?;
        let chain = stream.get_ref().1.peer_certificates();
        Ok(Probe {
            from,
            tcp: dialled - began,
            tls: dialled.elapsed(),
            server_certificate: chain.and_then(|chain| Some(chain.first()?.clone().into_owned())),
        })
    };
    made.await.map_err(|fault: ConnectFault| ClientError::from_transport(Box::new(fault)))
}

/// As [`connect`], but waits for the first call.
pub(crate) fn connect_lazy(identity: &Identity) -> Result<Channel, ClientError> {
    let target = Target::parse(identity.address())?;
    let tls = mutual_tls(identity)?;
    Ok(endpoint(&target)?.connect_with_connector_lazy(connector(target, tls)))
}

/// As [`connect`], for HTTP/2 without gRPC.
pub(crate) async fn connect_http(identity: &Identity) -> Result<Stream, ClientError> {
    let target = Target::parse(identity.address())?;
    let stream = dial(target, mutual_tls(identity)?).await;
    let stream = stream.map_err(|fault| ClientError::from_transport(Box::new(fault)))?;
    Ok(TokioIo::new(Gathered(stream)))
}

/// As [`connect`], for HTTP/1.1 without gRPC. That the vault does not take the certificate is seen
/// with the first answer only.
pub(crate) async fn connect_http1(identity: &Identity) -> Result<Stream, ClientError> {
    let target = Target::parse(identity.address())?;
    let mut config = ClientConfig::clone(&*mutual_tls(identity)?);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let stream = shake_hands(target, Arc::new(config)).await;
    let stream = stream.map_err(|fault| ClientError::from_transport(Box::new(fault)))?;
    Ok(TokioIo::new(Gathered(stream)))
}

/// Connects without a certificate of ours to a server whose CA has the given fingerprint.
pub(crate) async fn connect_pinned(
    address: &str,
    ca_fingerprint: [u8; 32],
) -> Result<Channel, ClientError> {
    let target = Target::parse(address)?;
    let provider = provider();
    let verifier = Arc::new(PinnedCa { ca_fingerprint, provider: provider.clone() });
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(ClientError::ServerNotTrusted)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    endpoint(&target)?
        .connect_with_connector(connector(target, finish(config)))
        .await
        .map_err(|error| ClientError::from_transport(Box::new(error)))
}

fn mutual_tls(identity: &Identity) -> Result<Arc<ClientConfig>, ClientError> {
    let mut roots = RootCertStore::empty();
    roots.add(identity.ca().clone()).map_err(ClientError::ServerNotTrusted)?;
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(ClientError::ServerNotTrusted)?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![identity.certificate().der.clone()], identity.key().for_tls())
        .map_err(ClientError::CertificateRefused)?;
    Ok(finish(config))
}

fn finish(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn endpoint(target: &Target) -> Result<Endpoint, ClientError> {
    let uri = format!("https://{}", target.address);
    Ok(Endpoint::from_shared(uri)
        .map_err(|_| IdentityError::Address)?
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true))
}

/// Where to connect, and under which name the server must be certified.
#[derive(Clone, Debug)]
struct Target {
    address: String,
    name: ServerName<'static>,
}

impl Target {
    /// Reads `host:port`, `192.0.2.1:port` or `[2001:db8::1]:port`.
    fn parse(address: &str) -> Result<Self, IdentityError> {
        let (host, port) = address.rsplit_once(':').ok_or(IdentityError::Address)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port_fits = port.parse::<u16>().is_ok_and(|port| port != 0);
        if !port_fits || (bare.contains(':') && bare == host) {
            return Err(IdentityError::Address);
        }
        let name = ServerName::try_from(bare.to_owned()).map_err(|_| IdentityError::Address)?;
        Ok(Self { address: address.to_owned(), name })
    }
}

pub(crate) type Tls = tokio_rustls::client::TlsStream<TcpStream>;
pub(crate) type Stream = TokioIo<Gathered<Tls>>;

fn connector(
    target: Target,
    config: Arc<ClientConfig>,
) -> impl tower::Service<
    http::Uri,
    Response = Stream,
    Error = ConnectFault,
    Future = impl Future<Output = Result<Stream, ConnectFault>> + Send,
> + Send
+ 'static {
    tower::service_fn(move |_| {
        let (target, tls) = (target.clone(), config.clone());
        async move { Ok(TokioIo::new(Gathered(dial(target, tls).await?))) }
    })
}

async fn shake_hands(target: Target, tls: Arc<ClientConfig>) -> Result<Tls, ConnectFault> {
    let dial = TcpStream::connect(target.address.as_str());
    let tcp = within(DIAL_TIMEOUT, dial).await?.map_err(ConnectFault::Dial)?;
    tcp.set_nodelay(true).map_err(ConnectFault::Dial)?;
    let handshake = TlsConnector::from(tls).connect(target.name, tcp);
    within(HANDSHAKE_TIMEOUT, handshake).await?.map_err(ConnectFault::Tls)
}

async fn dial(target: Target, tls: Arc<ClientConfig>) -> Result<Tls, ConnectFault> {
    let mut stream = shake_hands(target, tls).await?;
    hear(&mut stream).await?;
    Ok(stream)
}

/// Waits for the server's first word. In TLS 1.3 it refuses our certificate after our half of the
/// handshake is done; HTTP/2 lets it speak first: its settings, or the alert. Nothing is consumed.
async fn hear(stream: &mut Tls) -> Result<(), ConnectFault> {
    let first = within(HANDSHAKE_TIMEOUT, stream.fill_buf()).await?;
    let closed = first.map_err(ConnectFault::Tls)?.is_empty();
    if closed {
        return Err(ConnectFault::Tls(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(())
}

async fn within<F: Future>(limit: Duration, work: F) -> Result<F::Output, ConnectFault> {
    timeout(limit, work).await.map_err(|_| ConnectFault::Slow)
}

/// Accepts a server whose chain holds the pinned CA, and whose leaf that CA issued for the name.
#[derive(Debug)]
struct PinnedCa {
    ca_fingerprint: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedCa {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let unknown = || rustls::Error::from(rustls::CertificateError::UnknownIssuer);
        let ca = intermediates
            .iter()
            .find(|certificate| fingerprint(certificate) == self.ca_fingerprint)
            .ok_or_else(unknown)?;
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone().into_owned())?;
        // What else the server sent plays no part.
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone())
            .build()
            .map_err(|_| unknown())?
            .verify_server_cert(end_entity, &[], server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

const DIAL_TIMEOUT: Duration = Duration::from_secs(5);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn reads_addresses_of_every_kind() {
        for address in ["vault.example:7443", "192.0.2.1:1", "[2001:db8::1]:65535"] {
            assert!(Target::parse(address).is_ok(), "{address}");
        }
        for address in ["", "vault", "vault:", ":1", "vault:0", "vault:65536", "::1:7", "a b:1"] {
            assert!(Target::parse(address).is_err(), "{address:?}");
        }
    }
}
