//! What a client needs to know of a certificate.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, UnixTime};
use sha2::{Digest as _, Sha256};
use vault_model::Serial;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// One certificate, parsed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Certificate {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) serial: Serial,
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
    /// SubjectPublicKeyInfo, DER.
    pub(crate) spki: Vec<u8>,
}

impl Certificate {
    /// Parses; checks no signature. `None` if it is no certificate or its serial is none of ours.
    pub(crate) fn parse(der: &[u8]) -> Option<Self> {
        let (rest, parsed) = X509Certificate::from_der(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let validity = parsed.validity();
        let time =
            |seconds: i64| Some(UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).ok()?));
        Some(Self {
            serial: Serial::from_der_integer(parsed.raw_serial())?,
            not_before: time(validity.not_before.timestamp())?,
            not_after: time(validity.not_after.timestamp())?,
            spki: parsed.public_key().raw.to_vec(),
            der: CertificateDer::from(der.to_vec()),
        })
    }

    pub(crate) fn from_pem(text: &[u8]) -> Option<Self> {
        Self::parse(&CertificateDer::from_pem_slice(text).ok()?)
    }

    /// Whether `ca` issued it for a client. Asks about the moment from which it is valid: a clock
    /// that is wrong here is no reason to throw a new certificate away.
    pub(crate) fn is_issued_by(&self, ca: &CertificateDer<'_>) -> bool {
        let Ok(anchor) = webpki::anchor_from_trusted_cert(ca) else {
            return false;
        };
        let since_epoch = self.not_before.duration_since(UNIX_EPOCH).unwrap_or_default();
        webpki::EndEntityCert::try_from(&self.der).is_ok_and(|leaf| {
            leaf.verify_for_usage(
                webpki::ALL_VERIFICATION_ALGS,
                &[anchor],
                &[],
                UnixTime::since_unix_epoch(since_epoch),
                webpki::KeyUsage::client_auth(),
                None,
                None,
            )
            .is_ok()
        })
    }
}

/// Reads the CA's certificate from PEM. `None` if it cannot be trusted as one.
pub(crate) fn ca_from_pem(text: &[u8]) -> Option<CertificateDer<'static>> {
    let ca = CertificateDer::from_pem_slice(text).ok()?;
    webpki::anchor_from_trusted_cert(&ca).is_ok().then(|| ca.clone().into_owned())
}

/// A certificate as PEM.
pub(crate) fn to_pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::prelude::BASE64_STANDARD.encode(der);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for line in text.as_bytes().chunks(64) {
        pem.extend(line.iter().map(|&b| char::from(b)));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

/// SHA-256 of a DER certificate: what invite tokens pin.
pub(crate) fn fingerprint(der: &[u8]) -> [u8; 32] {
    Sha256::digest(der).into()
}
