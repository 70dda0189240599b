//! TLS of the load generator.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::Error;

/// A certificate and its key.
pub(crate) type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// TLS 1.3 with one protocol, and a certificate if the server asks for one.
pub(crate) fn client(
    ca: CertificateDer<'static>,
    pair: Option<Pair>,
    protocol: &[u8],
) -> Result<Arc<rustls::ClientConfig>, Error> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots);
    let mut config = match pair {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(Arc::new(config))
}

/// As a client of the vault: `ca.pem`, `cert.pem` and `key.pem` of its folder.
pub(crate) fn of_identity(
    folder: &Path,
    protocol: &[u8],
) -> Result<Arc<rustls::ClientConfig>, Error> {
    let ca = CertificateDer::from_pem_file(folder.join("ca.pem"))?;
    let chain = vec![CertificateDer::from_pem_file(folder.join("cert.pem"))?];
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem"))?;
    client(ca, Some((chain, key)), protocol)
}
