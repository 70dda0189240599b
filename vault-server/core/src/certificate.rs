//! The built-in certificate authority: CSRs in, certificates out.
//!
//! Only the public key of a CSR is taken. Its signature proves possession of the private key, which
//! never comes here. A CSR that asks for names or extensions is refused, so that nobody believes
//! that they were granted.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber, SubjectPublicKeyInfo,
};
use ring::rand::SecureRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1, ED25519, UnparsedPublicKey};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use std::time::Duration;
use vault_model::{Name, SecretBytes, Serial, Timestamp};
use x509_parser::prelude::FromDer;

/// How long certificates last.
pub mod lifetime {
    use std::time::Duration;

    /// Of a client.
    pub const CLIENT: Duration = Duration::from_secs(24 * 3_600);
    /// How long after its end a client's certificate may still be renewed.
    pub const CLIENT_GRACE: Duration = Duration::from_secs(7 * 24 * 3_600);
    /// Of an operator.
    pub const OPERATOR: Duration = Duration::from_secs(90 * 24 * 3_600);
    /// Of the server.
    pub const SERVER: Duration = Duration::from_secs(30 * 24 * 3_600);
    /// Of the CA.
    pub const AUTHORITY: Duration = Duration::from_secs(20 * 365 * 24 * 3_600);
    /// How long before its issue a certificate is valid, for clocks that are behind.
    pub const BACKDATED: Duration = Duration::from_secs(5 * 60);
    /// The same of the server's: one that is made while our own clock is a day ahead must be good when
    /// it is put right, or nobody could connect until then.
    pub const SERVER_BACKDATED: Duration = Duration::from_secs(2 * 24 * 3_600);
}

/// Why a certificate cannot be made.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CertificateError {
    /// The CSR asks for a subject, names or extensions.
    #[error("the CSR asks for names or extensions; only its key is taken")]
    CsrHasNames,
    /// The CSR does not parse, or its signature does not fit its key.
    #[error("the CSR does not parse or is not signed by its own key")]
    CsrInvalid,
    /// Encoding or signing failed.
    #[error("the certificate cannot be made")]
    Issue,
    /// Neither P-256 nor Ed25519.
    #[error("the key is neither P-256 nor Ed25519")]
    KeyType,
}

/// A public key that has proven possession of its private half, or is known from a row.
#[derive(Clone, Eq, PartialEq)]
pub struct SubjectKey {
    spki: Vec<u8>,
    raw: Vec<u8>,
    kind: KeyKind,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum KeyKind {
    Ed25519,
    P256,
}

impl SubjectKey {
    /// Takes the key of a CSR (PKCS#10, DER) after checking the CSR's own signature.
    ///
    /// # Errors
    ///
    /// [`CertificateError::CsrInvalid`], [`CertificateError::CsrHasNames`],
    /// [`CertificateError::KeyType`].
    pub fn from_csr(der: &[u8]) -> Result<Self, CertificateError> {
        let (rest, csr) =
            x509_parser::certification_request::X509CertificationRequest::from_der(der)
                .map_err(|_| CertificateError::CsrInvalid)?;
        if !rest.is_empty() {
            return Err(CertificateError::CsrInvalid);
        }
        let info = &csr.certification_request_info;
        let key = Self::from_spki(info.subject_pki.raw)?;
        csr.verify_signature().map_err(|_| CertificateError::CsrInvalid)?;
        if info.subject.iter().next().is_some() || !info.attributes().is_empty() {
            return Err(CertificateError::CsrHasNames);
        }
        Ok(key)
    }

    /// Reads a SubjectPublicKeyInfo (DER).
    ///
    /// # Errors
    ///
    /// [`CertificateError::KeyType`] for anything but one P-256 or Ed25519 key.
    pub fn from_spki(spki: &[u8]) -> Result<Self, CertificateError> {
        let (rest, parsed) = x509_parser::x509::SubjectPublicKeyInfo::from_der(spki)
            .map_err(|_| CertificateError::KeyType)?;
        let raw = parsed.subject_public_key.data.to_vec();
        let kind = match spki {
            _ if spki.starts_with(P256_SPKI_HEAD) && raw.len() == 65 => KeyKind::P256,
            _ if spki.starts_with(ED25519_SPKI_HEAD) && raw.len() == 32 => KeyKind::Ed25519,
            _ => return Err(CertificateError::KeyType),
        };
        if !rest.is_empty() {
            return Err(CertificateError::KeyType);
        }
        Ok(Self { spki: spki.to_vec(), raw, kind })
    }

    /// The SubjectPublicKeyInfo, DER.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// Whether `signature` is this key's over `message`: ECDSA with SHA-256 in ASN.1 DER, or
    /// Ed25519.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self.kind {
            KeyKind::Ed25519 => {
                UnparsedPublicKey::new(&ED25519, &self.raw).verify(message, signature)
            }
            KeyKind::P256 => UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.raw)
                .verify(message, signature),
        }
        .is_ok()
    }
}

/// Whom a certificate is for.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// A program.
    Client(&'a Name),
    /// A person.
    Operator(&'a Name),
}

/// A certificate that was just made.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate, DER.
    pub der: Vec<u8>,
    /// Its serial: 126 random bits.
    pub serial: Serial,
    /// SHA-256 of `der`.
    pub fingerprint: [u8; 32],
    /// Its end.
    pub not_after: Timestamp,
}

/// The server's key and certificates, as the front needs them.
pub struct ServerCertificate {
    /// DER, leaf first, the CA last.
    pub chain: Vec<Vec<u8>>,
    /// PKCS#8, DER.
    pub private_key: SecretBytes,
    /// End of the leaf.
    pub not_after: Timestamp,
}

/// The CA: its certificate and its opened key.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Vec<u8>,
    trust_domain: String,
}

impl Authority {
    /// Makes the CA's certificate for a new key (PKCS#8, DER, P-256). Returns DER.
    ///
    /// # Errors
    ///
    /// [`CertificateError::Issue`].
    pub fn create(
        trust_domain: &str,
        key_pkcs8: &SecretBytes,
        now: Timestamp,
        rng: &dyn SecureRandom,
    ) -> Result<Vec<u8>, CertificateError> {
        let mut params = base_params(now, lifetime::AUTHORITY, rng)?.0;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, format!("Countersign CA {trust_domain}"));
        let certificate =
            params.self_signed(&key_pair(key_pkcs8)?).map_err(|_| CertificateError::Issue)?;
        Ok(certificate.der().to_vec())
    }

    /// Opens the CA with its certificate (DER) and key (PKCS#8, DER).
    ///
    /// # Errors
    ///
    /// [`CertificateError::Issue`] if one of them does not parse.
    pub fn open(
        trust_domain: &str,
        certificate: &[u8],
        key_pkcs8: &SecretBytes,
    ) -> Result<Self, CertificateError> {
        let der = CertificateDer::from(certificate.to_vec());
        let issuer = Issuer::from_ca_cert_der(&der, key_pair(key_pkcs8)?)
            .map_err(|_| CertificateError::Issue)?;
        Ok(Self {
            issuer,
            certificate: certificate.to_vec(),
            trust_domain: trust_domain.to_owned(),
        })
    }

    /// The CA's certificate, DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Issues a certificate for client authentication.
    ///
    /// # Errors
    ///
    /// [`CertificateError::Issue`].
    pub fn issue(
        &self,
        subject: Subject<'_>,
        key: &SubjectKey,
        now: Timestamp,
        rng: &dyn SecureRandom,
    ) -> Result<Issued, CertificateError> {
        let (kind, name, life) = match subject {
            Subject::Client(name) => ("client", name, lifetime::CLIENT),
            Subject::Operator(name) => ("operator", name, lifetime::OPERATOR),
        };
        let (mut params, serial) = base_params(now, life, rng)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.distinguished_name.push(DnType::CommonName, name.as_str());
        let uri = format!("spiffe://{}/{kind}/{name}", self.trust_domain);
        params.subject_alt_names =
            vec![SanType::URI(uri.try_into().map_err(|_| CertificateError::Issue)?)];
        let public_key =
            SubjectPublicKeyInfo::from_der(key.spki()).map_err(|_| CertificateError::KeyType)?;
        let certificate =
            params.signed_by(&public_key, &self.issuer).map_err(|_| CertificateError::Issue)?;
        let der = certificate.der().to_vec();
        let fingerprint = Sha256::digest(&der).into();
        Ok(Issued { der, serial, fingerprint, not_after: now.plus(life) })
    }

    /// Makes a key and a certificate for the server.
    ///
    /// # Errors
    ///
    /// [`CertificateError::Issue`], also if a name is not a DNS name or address.
    pub fn issue_server(
        &self,
        names: &[String],
        now: Timestamp,
        rng: &dyn SecureRandom,
    ) -> Result<ServerCertificate, CertificateError> {
        let (mut params, _) = base_params(now, lifetime::SERVER, rng)?;
        params.not_before = date(now.minus(lifetime::SERVER_BACKDATED))?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.distinguished_name.push(DnType::CommonName, "countersign");
        let mut sans = vec![SanType::URI(
            format!("spiffe://{}/server", self.trust_domain)
                .try_into()
                .map_err(|_| CertificateError::Issue)?,
        )];
        for name in names {
            sans.push(match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address.to_canonical()),
                Err(_) => {
                    SanType::DnsName(name.clone().try_into().map_err(|_| CertificateError::Issue)?)
                }
            });
        }
        params.subject_alt_names = sans;
        let key = KeyPair::generate().map_err(|_| CertificateError::Issue)?;
        let certificate =
            params.signed_by(&key, &self.issuer).map_err(|_| CertificateError::Issue)?;
        Ok(ServerCertificate {
            chain: vec![certificate.der().to_vec(), self.certificate.clone()],
            private_key: SecretBytes::new(key.serialize_der()),
            not_after: now.plus(lifetime::SERVER),
        })
    }
}

/// The end of a certificate (DER), if it parses.
pub fn not_after(der: &[u8]) -> Option<Timestamp> {
    let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(der).ok()?;
    Some(Timestamp(certificate.validity().not_after.timestamp().saturating_mul(1_000_000)))
}

fn key_pair(pkcs8: &SecretBytes) -> Result<KeyPair, CertificateError> {
    let der = PrivatePkcs8KeyDer::from(pkcs8.expose_secret());
    KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_ECDSA_P256_SHA256)
        .map_err(|_| CertificateError::Issue)
}

fn base_params(
    now: Timestamp,
    life: Duration,
    rng: &dyn SecureRandom,
) -> Result<(CertificateParams, Serial), CertificateError> {
    let mut serial = [0; 16];
    rng.fill(&mut serial).map_err(|_| CertificateError::Issue)?;
    // A DER integer with the top bit set would be negative: one bit is given up, and the next one
    // is set, so that the number has always 16 bytes.
    serial[0] = serial[0] & 0x7f | 0x40;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.not_before = date(now.minus(lifetime::BACKDATED))?;
    params.not_after = date(now.plus(life))?;
    params.use_authority_key_identifier_extension = true;
    Ok((params, Serial(serial)))
}

fn date(at: Timestamp) -> Result<time::OffsetDateTime, CertificateError> {
    time::OffsetDateTime::from_unix_timestamp(at.seconds()).map_err(|_| CertificateError::Issue)
}

/// SEQUENCE { SEQUENCE { id-ecPublicKey, prime256v1 }, BIT STRING ...
const P256_SPKI_HEAD: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];
/// SEQUENCE { SEQUENCE { id-Ed25519 }, BIT STRING ...
const ED25519_SPKI_HEAD: &[u8] =
    &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};
    use ring::rand::SystemRandom;
    use vault_model::{SecretBytes, Serial, Timestamp};
    use x509_parser::prelude::FromDer;

    use super::{Authority, CertificateError, Subject, SubjectKey, not_after};

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

    fn authority() -> Authority {
        let key = SecretBytes::new(KeyPair::generate().expect("a key").serialize_der());
        let certificate =
            Authority::create("test.local", &key, NOW, &SystemRandom::new()).expect("a CA");
        Authority::open("test.local", &certificate, &key).expect("the CA")
    }

    fn csr(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        params.serialize_request(&key).expect("a CSR").der().to_vec()
    }

    #[test]
    fn issues_for_the_key_of_a_csr() {
        let authority = authority();
        let key = SubjectKey::from_csr(&csr(|_| ())).expect("a plain CSR");
        let name = "mm-1".parse().expect("a name");
        let issued = authority
            .issue(Subject::Client(&name), &key, NOW, &SystemRandom::new())
            .expect("a certificate");

        let (_, certificate) =
            x509_parser::certificate::X509Certificate::from_der(&issued.der).expect("DER");
        let (_, ca) = x509_parser::certificate::X509Certificate::from_der(authority.certificate())
            .expect("DER");
        certificate.verify_signature(Some(ca.public_key())).expect("signed by the CA");
        assert_eq!(certificate.public_key().raw, key.spki());
        assert_eq!(Serial::from_der_integer(certificate.raw_serial()), Some(issued.serial));
        assert_eq!(not_after(&issued.der), Some(issued.not_after));
        let uri = format!("{:?}", certificate.subject_alternative_name());
        assert!(uri.contains("spiffe://test.local/client/mm-1"), "{uri}");
    }

    #[test]
    fn refuses_csrs_with_names() {
        let named = csr(|params| params.distinguished_name.push(DnType::CommonName, "admin"));
        let with_san = csr(|params| {
            params.subject_alt_names =
                vec![rcgen::SanType::DnsName("vault.example".try_into().expect("a name"))];
        });

        for csr in [named, with_san] {
            assert_eq!(SubjectKey::from_csr(&csr).err(), Some(CertificateError::CsrHasNames));
        }
    }

    #[test]
    fn refuses_csrs_that_are_damaged_or_of_another_key_type() {
        let good = csr(|_| ());
        let last = good.len() - 1;
        for at in [10, 40, 70, last] {
            let mut damaged = good.clone();
            damaged[at] ^= 1;
            assert!(SubjectKey::from_csr(&damaged).is_err(), "byte {at}");
        }
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let p384 = params.serialize_request(&key).expect("a CSR").der().to_vec();
        assert_eq!(SubjectKey::from_csr(&p384).err(), Some(CertificateError::KeyType));
    }
}
