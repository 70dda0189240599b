//! The certificate that the mock venues show, and the authority behind it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// TLS on a port of its own, beside plain HTTP. HTTP/1.1 and HTTP/2 by ALPN, TLS 1.2 and 1.3.
/// Neither the name that a client asks for nor the host of a request decides anything.
pub struct Tls {
    /// Where to listen, on loopback; port 0 picks a free one.
    pub address: SocketAddr,
    /// What is shown to clients.
    pub identity: Identity,
    /// Whether HTTP/2 is offered.
    pub http2: bool,
}

/// Which certificate is shown.
pub enum Identity {
    /// One made at start for these names (`*.` and IP addresses are taken), by an authority made at
    /// start: [`MockVenues::ca_pem`](crate::MockVenues::ca_pem).
    Made(Vec<String>),
    /// One that exists.
    Given {
        /// The chain in PEM, the server's certificate first.
        chain_pem: String,
        /// Its private key in PEM: PKCS#8, PKCS#1 or SEC1.
        key_pem: String,
    },
}

/// The hosts of the REST APIs that the mock plays, and this machine.
///
/// Source: `urls` of the classes binance, bybit, okx, kraken and coinbase of ccxt 4.5.90.
pub const HOSTS: &[&str] = &[
    "*.binance.com",
    "*.binance.vision",
    "*.binancefuture.com",
    "*.bybit.com",
    "*.bytick.com",
    "*.coinbase.com",
    "*.kraken.com",
    "*.okx.com",
    "127.0.0.1",
    "localhost",
];

impl Tls {
    /// A certificate for [`HOSTS`], made at start, on a free port of 127.0.0.1, with HTTP/2.
    pub fn made() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            identity: Identity::Made(HOSTS.iter().map(|host| (*host).to_owned()).collect()),
            http2: true,
        }
    }
}

/// What the server needs; the authority in PEM if it was made here.
pub(crate) fn server(tls: &Tls) -> io::Result<(Arc<ServerConfig>, Option<String>)> {
    let (chain_pem, key_pem, ca_pem) = match &tls.identity {
        Identity::Made(names) => {
            let (chain, key, ca) = make(names.clone()).map_err(io::Error::other)?;
            (chain, key, Some(ca))
        }
        Identity::Given { chain_pem, key_pem } => (chain_pem.clone(), key_pem.clone(), None),
    };
    let chain = CertificateDer::pem_slice_iter(chain_pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|_| crate::invalid("certificate chain is not PEM"))?;
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes())
        .map_err(|_| crate::invalid("private key is not PEM"))?;

    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|_| crate::invalid("certificate and key do not fit"))?;
    let protocols: &[&[u8]] = if tls.http2 { &[HTTP2, HTTP1] } else { &[HTTP1] };
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok((Arc::new(config), ca_pem))
}

pub(crate) const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// Chain, key and authority in PEM.
fn make(names: Vec<String>) -> Result<(String, String, String), rcgen::Error> {
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, "mock venue authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

    let key = KeyPair::generate()?;
    let mut leaf = CertificateParams::new(names)?;
    leaf.distinguished_name.push(DnType::CommonName, "mock venue");
    // Python's ssl refuses a leaf that does not name its authority's key.
    leaf.use_authority_key_identifier_extension = true;
    let leaf = leaf.signed_by(&key, &authority)?;
    Ok((leaf.pem(), key.serialize_pem(), authority.pem()))
}
