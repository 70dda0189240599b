//! TLS: 1.3 only, post-quantum key exchange first, no resumption, certificates of our CA.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{
    DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use tokio::sync::watch;
use vault_ipc::{Listener, ServerIdentity};
use x509_parser::prelude::{FromDer, X509Certificate};

/// The protocol of gRPC, spoken everywhere.
pub(crate) const ALPN_H2: &[u8] = b"h2";

/// Spoken where clients are proxied.
pub(crate) const ALPN_HTTP1: &[u8] = b"http/1.1";

/// How long after its end a client certificate still passes the handshake. The core decides what it
/// may do: renew, if its serial is still allowed.
const EXPIRED_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long before its beginning a client certificate passes too. The core knows it, so it was issued:
/// by a wall clock that was ahead then, and was put back.
const EARLY_MAX: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// Why an identity cannot serve TLS.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The CA certificate cannot be a trust anchor.
    #[error("the ca certificate cannot be used")]
    Ca,
    /// Certificate and key do not fit each other, or cannot be read.
    #[error("the server certificate or its key cannot be used")]
    Certificate(#[source] rustls::Error),
    /// The provider refuses TLS 1.3.
    #[error("tls cannot be set up")]
    Protocol(#[source] rustls::Error),
}

/// The configuration that new handshakes use, swapped as a whole.
#[derive(Debug)]
pub(crate) struct TlsCell(watch::Sender<Option<Configs>>);

#[derive(Clone, Debug)]
struct Configs {
    /// For enrolment: whoever comes has no certificate yet.
    anonymous: Arc<ServerConfig>,
    mutual: Arc<ServerConfig>,
    /// As `mutual`, for libraries that know no HTTP/2.
    proxied: Arc<ServerConfig>,
}

impl Default for TlsCell {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl TlsCell {
    /// Makes an identity the one that new handshakes use.
    ///
    /// # Errors
    ///
    /// [`IdentityError`]; the old identity stays then.
    pub(crate) fn install(&self, identity: ServerIdentity) -> Result<(), IdentityError> {
        let configs = Configs::new(identity)?;
        self.0.send_replace(Some(configs));
        Ok(())
    }

    pub(crate) fn is_installed(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// The configuration for a listener, as soon as there is one.
    pub(crate) async fn config(&self, listener: Listener) -> Arc<ServerConfig> {
        let mut receiver = self.0.subscribe();
        loop {
            if let Some(configs) = &*receiver.borrow_and_update() {
                return Arc::clone(match listener {
                    Listener::Enroll => &configs.anonymous,
                    Listener::Bot => &configs.proxied,
                    Listener::Operator | Listener::Unspecified => &configs.mutual,
                });
            }
            // Cannot fail: the sender lives as long as `self`.
            let _ = receiver.changed().await;
        }
    }
}

impl Configs {
    fn new(identity: ServerIdentity) -> Result<Self, IdentityError> {
        let provider = Arc::new(CryptoProvider {
            kx_groups: vec![
                aws_lc_rs::kx_group::X25519MLKEM768,
                aws_lc_rs::kx_group::X25519,
                aws_lc_rs::kx_group::SECP256R1,
            ],
            ..aws_lc_rs::default_provider()
        });
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(identity.ca_certificate)).map_err(|_| IdentityError::Ca)?;
        let verifier = Arc::new(LenientVerifier {
            strict: WebPkiClientVerifier::builder_with_provider(
                Arc::new(roots),
                Arc::clone(&provider),
            )
            .build()
            .map_err(|_| IdentityError::Ca)?,
        });
        let chain: Vec<_> = identity.chain.into_iter().map(CertificateDer::from).collect();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(identity.private_key));

        let builder = || {
            ServerConfig::builder_with_provider(Arc::clone(&provider))
                .with_protocol_versions(&[&rustls::version::TLS13])
                .map_err(IdentityError::Protocol)
        };
        let mutual = builder()?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(IdentityError::Certificate)?;
        let anonymous = builder()?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(IdentityError::Certificate)?;
        let mutual = hardened(mutual);
        let mut proxied = mutual.clone();
        proxied.alpn_protocols.push(ALPN_HTTP1.to_vec());
        Ok(Self {
            anonymous: Arc::new(hardened(anonymous)),
            mutual: Arc::new(mutual),
            proxied: Arc::new(proxied),
        })
    }
}

fn hardened(mut config: ServerConfig) -> ServerConfig {
    config.alpn_protocols = vec![ALPN_H2.to_vec()];
    // A resumed session would not ask the verifier again.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.max_early_data_size = 0;
    config
}

/// Verifies as webpki does, but takes a certificate that ended up to [`EXPIRED_MAX`] ago as if it
/// were the moment of its end, and one that begins up to [`EARLY_MAX`] from now as if it had begun.
#[derive(Debug)]
struct LenientVerifier {
    strict: Arc<dyn ClientCertVerifier>,
}

/// The time at which to judge `certificate`. What cannot be read is judged now, and refused then.
fn judged_at(certificate: &CertificateDer<'_>, now: UnixTime) -> UnixTime {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else {
        return now;
    };
    let Ok(end) = u64::try_from(parsed.validity().not_after.timestamp()) else {
        return now;
    };
    let Ok(begin) = u64::try_from(parsed.validity().not_before.timestamp()) else {
        return now;
    };
    let expired_for = now.as_secs().saturating_sub(end);
    let early_by = begin.saturating_sub(now.as_secs());
    if expired_for > 0 && expired_for <= EXPIRED_MAX.as_secs() {
        UnixTime::since_unix_epoch(Duration::from_secs(end))
    } else if early_by > 0 && early_by <= EARLY_MAX.as_secs() {
        UnixTime::since_unix_epoch(Duration::from_secs(begin))
    } else {
        now
    }
}

impl ClientCertVerifier for LenientVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.strict.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.strict.verify_client_cert(end_entity, intermediates, judged_at(end_entity, now))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.strict.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.strict.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.strict.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls_pki_types::UnixTime;

    use super::{EARLY_MAX, EXPIRED_MAX, IdentityError, TlsCell, judged_at};

    #[test]
    fn a_certificate_is_judged_within_its_life_for_some_days_around_it_and_not_a_second_more() {
        let pair = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::default();
        params.not_before = time::OffsetDateTime::from_unix_timestamp(1_000_000).expect("a time");
        params.not_after = time::OffsetDateTime::from_unix_timestamp(2_000_000).expect("a time");
        let certificate = params.self_signed(&pair).expect("a certificate");
        let judged = |now| {
            judged_at(certificate.der(), UnixTime::since_unix_epoch(Duration::from_secs(now)))
                .as_secs()
        };

        let last = 2_000_000 + EXPIRED_MAX.as_secs();
        assert_eq!(judged(500_000), 500_000);
        assert_eq!(judged(2_000_000), 2_000_000);
        assert_eq!(judged(2_000_001), 2_000_000);
        assert_eq!(judged(last), 2_000_000);
        assert_eq!(judged(last + 1), last + 1);
        let first = 1_000_000 - EARLY_MAX.as_secs();
        assert_eq!(judged(999_999), 1_000_000);
        assert_eq!(judged(first), 1_000_000);
        assert_eq!(judged(first - 1), first - 1);
    }

    #[test]
    fn refuses_an_identity_that_is_none() {
        let cell = TlsCell::default();

        assert!(matches!(
            cell.install(vault_ipc::ServerIdentity::default()),
            Err(IdentityError::Ca)
        ));
        assert!(!cell.is_installed());
    }
}
