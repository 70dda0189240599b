//! The server's TLS key and certificate: outside the seal, because they are needed before it opens.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use vault_model::{SecretBytes, Timestamp};
use zeroize::Zeroizing;

use crate::certificate::{ServerCertificate, lifetime, not_after};
use crate::error::VaultError;
use crate::vault::Vault;

/// Reads the server's certificate and key.
///
/// # Errors
///
/// The operating system's, or `InvalidData` for a file that is not ours.
pub fn load(path: &Path) -> std::io::Result<ServerCertificate> {
    let malformed = || std::io::Error::from(std::io::ErrorKind::InvalidData);
    let text = Zeroizing::new(std::fs::read(path)?);
    let chain: Vec<Vec<u8>> = CertificateDer::pem_slice_iter(&text)
        .map(|certificate| certificate.map(|der| der.to_vec()))
        .collect::<Result<_, _>>()
        .map_err(|_| malformed())?;
    let key = PrivatePkcs8KeyDer::from_pem_slice(&text).map_err(|_| malformed())?;
    let end = chain.first().and_then(|leaf| not_after(leaf)).ok_or_else(malformed)?;
    let private_key = SecretBytes::copy_of(key.secret_pkcs8_der());
    Ok(ServerCertificate { chain, private_key, not_after: end })
}

/// Writes the server's certificate and key, whole or not at all.
///
/// # Errors
///
/// The operating system's.
pub fn store(path: &Path, server: &ServerCertificate) -> std::io::Result<()> {
    let mut text = Zeroizing::new(Vec::with_capacity(8_192));
    for certificate in &server.chain {
        text.extend_from_slice(pem("CERTIFICATE", certificate).as_bytes());
    }
    text.extend_from_slice(pem("PRIVATE KEY", server.private_key.expose_secret()).as_bytes());
    write_whole(path, &text)
}

/// DER as PEM.
pub fn pem(label: &str, der: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(BASE64_STANDARD.encode(der));
    let mut text = Zeroizing::new(String::with_capacity(body.len() + body.len() / 64 + 80));
    text.push_str(&format!("-----BEGIN {label}-----\n"));
    for line in body.as_bytes().chunks(64) {
        text.extend(line.iter().copied().map(char::from));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// Writes a file that only its owner reads: beside it first, then in its place.
///
/// # Errors
///
/// The operating system's.
pub fn write_whole(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

impl Vault {
    /// Makes a new server certificate at two thirds of the life of the one in use, or when the names
    /// in the configuration are others.
    ///
    /// # Errors
    ///
    /// [`VaultError::Csr`] if a configured name is not one.
    pub(crate) fn renew_server_certificate(&mut self, now: Timestamp) -> Result<(), VaultError> {
        let fresh_until = self.server.not_after.minus(lifetime::SERVER / 3);
        let named = self
            .server
            .chain
            .first()
            .is_some_and(|leaf| has_names(leaf, &self.config.server_names));
        if now < fresh_until && named {
            return Ok(());
        }
        let server =
            self.opened()?.authority.issue_server(&self.config.server_names, now, &self.rng)?;
        if let Err(error) = store(&self.config.data.server_identity(), &server) {
            // The old one serves on; the next tick tries again.
            tracing::warn!(%error, "the server certificate cannot be stored");
            return Ok(());
        }
        self.server = server;
        self.send_server_identity();
        Ok(())
    }
}

/// Whether a certificate (DER) carries all of the names.
fn has_names(leaf: &[u8], names: &[String]) -> bool {
    use x509_parser::prelude::{FromDer, GeneralName};
    let Ok((_, certificate)) = x509_parser::certificate::X509Certificate::from_der(leaf) else {
        return false;
    };
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return false;
    };
    names.iter().all(|name| {
        let address = name.parse::<std::net::IpAddr>().ok().map(|address| address.to_canonical());
        extension.value.general_names.iter().any(|general| match (general, address) {
            (GeneralName::DNSName(dns), None) => dns == name,
            (GeneralName::IPAddress(bytes), Some(std::net::IpAddr::V4(v4))) => {
                *bytes == v4.octets()
            }
            (GeneralName::IPAddress(bytes), Some(std::net::IpAddr::V6(v6))) => {
                *bytes == v6.octets()
            }
            _ => false,
        })
    })
}
