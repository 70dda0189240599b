//! What can go wrong between a program and the vault.

use std::collections::HashMap;
use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use tonic_types::StatusExt as _;
use vault_proto::sealed::SealedError;

use crate::transport::ConnectFault;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The vault ended the handshake: the certificate is unknown, revoked or too old.
    #[error("the vault does not accept this identity's certificate")]
    CertificateRefused(#[source] rustls::Error),
    /// The identity's folder cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The vault answered with something that this version does not understand or does not believe.
    #[error("the vault's answer is not acceptable: {0}")]
    Protocol(&'static str),
    /// The vault heard the call and refused it.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// Whoever answers at the address is not the vault that was pinned.
    #[error("the server is not the vault that was pinned")]
    ServerNotTrusted(#[source] rustls::Error),
    /// The key to seal a secret to is not the pinned core's. Nothing was sealed.
    #[error(transparent)]
    Ticket(#[from] SealedError),
    /// No answer in time.
    #[error("the vault did not answer in time")]
    Timeout,
    /// The vault cannot be reached, or the connection broke.
    #[error("the vault cannot be reached, or the connection broke")]
    Transport(#[source] Box<dyn Error + Send + Sync>),
}

/// Why an identity's folder cannot be used. None of the variants says anything of the key.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// `address` is not `host:port`.
    #[error("the address is not host:port")]
    Address,
    /// A certificate does not parse, or does not belong to the CA.
    #[error("the certificate in {0} is not valid")]
    Certificate(PathBuf),
    /// There is an identity in the folder already.
    #[error("the folder {0} is in use")]
    InUse(PathBuf),
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Its answer.
        source: std::io::Error,
    },
    /// The key is not a PKCS#8 P-256 or Ed25519 key in PEM.
    #[error("the key in {0} is not a P-256 or Ed25519 key")]
    Key(PathBuf),
    /// Others than the owner may read the key.
    #[error("the key in {0} can be read by others")]
    KeyMode(PathBuf),
    /// Key and certificate do not belong together.
    #[error("key and certificate in {0} do not belong together")]
    Mismatch(PathBuf),
    /// `identity.json` does not say what it should.
    #[error("{0} is not an identity")]
    NotAnIdentity(PathBuf),
}

/// The vault's refusal of a call.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// Kind, as in gRPC.
    pub code: tonic::Code,
    /// Stable and machine-readable: `SYMBOL_NOT_GRANTED`. Empty if the vault gave none.
    pub reason: String,
    /// For people.
    pub message: String,
    /// The catalogue's name of the operation outside the scope; may be empty.
    pub operation: String,
    /// Its class; may be empty.
    pub class: String,
    /// What would change the answer, each alone: `execute`, `assume=venue_checks`, `rights=A,B`.
    pub remedies: Vec<String>,
    /// What may be done about it; may be empty.
    pub hint: String,
    /// Index of the log entry that records it.
    pub entry_index: Option<u64>,
    /// When to try again, if that helps.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    fn read(
        code: tonic::Code,
        reason: String,
        message: String,
        metadata: &HashMap<String, String>,
    ) -> Self {
        let said = |key: &str| metadata.get(key).cloned().unwrap_or_default();
        let retry_after = said("retry_after_ms").parse().ok().map(Duration::from_millis);
        Self {
            code,
            reason,
            message,
            operation: said("operation"),
            class: said("class"),
            remedies: said("remedies").split_whitespace().map(str::to_owned).collect(),
            hint: said("hint"),
            entry_index: said("entry_index").parse().ok(),
            retry_after: retry_after.filter(|delay| !delay.is_zero()),
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.message.as_str(), self.reason.as_str()) {
            ("", "") => write!(f, "refused: {}", self.code.description().to_ascii_lowercase()),
            ("", reason) => write!(f, "refused: {reason}"),
            (message, "") => f.write_str(message),
            // Denials say their reason by themselves.
            (message, reason) if message.ends_with(reason) => f.write_str(message),
            (message, reason) => write!(f, "{message} ({reason})"),
        }
    }
}

impl ClientError {
    /// The vault's refusal, if it is one.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// Reads a gRPC status: the vault's own refusals carry details, all others come from the way to
    /// it.
    pub(crate) fn from_status(status: tonic::Status) -> Self {
        let info =
            status.get_details_error_info().filter(|info| info.domain == vault_proto::ERROR_DOMAIN);
        if info.is_none() && status.source().is_some() {
            return Self::from_transport(Box::new(status));
        }
        if info.is_none() && status.code() == tonic::Code::DeadlineExceeded {
            return Self::Timeout;
        }
        let (reason, metadata) = info.map(|info| (info.reason, info.metadata)).unwrap_or_default();
        let mut refusal =
            Refusal::read(status.code(), reason, status.message().to_owned(), &metadata);
        let delay = status.get_details_retry_info().and_then(|info| info.retry_delay);
        refusal.retry_after = delay.filter(|delay| !delay.is_zero()).or(refusal.retry_after);
        Self::Refused(Box::new(refusal))
    }

    /// Reads the vault's refusal of one Sign among others.
    pub(crate) fn from_failure(failure: vault_proto::v1::SignFailure) -> Self {
        let code = tonic::Code::from(failure.code);
        let refusal = Refusal::read(code, failure.reason, failure.message, &failure.metadata);
        Self::Refused(Box::new(refusal))
    }

    /// Tells a server that is not trusted, and one that does not trust us, from a broken way.
    pub(crate) fn from_transport(error: Box<dyn Error + Send + Sync>) -> Self {
        match find(error.as_ref()) {
            Some(Found::Slow) => Self::Timeout,
            Some(Found::Tls(tls @ rustls::Error::AlertReceived(alert))) if is_about_us(alert) => {
                Self::CertificateRefused(tls)
            }
            Some(Found::Tls(tls @ rustls::Error::InvalidCertificate(_))) => {
                Self::ServerNotTrusted(tls)
            }
            _ => Self::Transport(error),
        }
    }
}

enum Found {
    Slow,
    Tls(rustls::Error),
}

/// Looks through the causes for ours and for those of TLS, which hides in an `io::Error`.
fn find(error: &(dyn Error + 'static)) -> Option<Found> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(Found::Tls(tls.clone()));
        }
        if let Some(ConnectFault::Slow) = error.downcast_ref::<ConnectFault>() {
            return Some(Found::Slow);
        }
        if error.is::<tonic::TimeoutExpired>() {
            return Some(Found::Slow);
        }
        if let Some(inner) = error.downcast_ref::<std::io::Error>().and_then(|io| io.get_ref())
            && let Some(found) = find(inner)
        {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn is_about_us(alert: rustls::AlertDescription) -> bool {
    use rustls::AlertDescription as Alert;
    matches!(
        alert,
        Alert::AccessDenied
            | Alert::BadCertificate
            | Alert::CertificateExpired
            | Alert::CertificateRequired
            | Alert::CertificateRevoked
            | Alert::CertificateUnknown
            | Alert::DecryptError
            | Alert::UnknownCA
            | Alert::UnsupportedCertificate
    )
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::ClientError;

    #[test]
    fn decodes_the_vaults_own_details() {
        let metadata = [
            ("operation", "okx.withdraw"),
            ("class", "withdraw"),
            ("remedies", "execute assume=venue_checks"),
            ("entry_index", "7"),
            ("hint", "ask an admin"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
        let mut details = ErrorDetails::with_error_info(
            "CLASS_NOT_GRANTED",
            vault_proto::ERROR_DOMAIN,
            HashMap::from(metadata),
        );
        details.set_retry_info(Some(Duration::from_millis(250)));
        let status = tonic::Status::with_error_details(
            tonic::Code::PermissionDenied,
            "denied by policy",
            details,
        );

        let error = ClientError::from_status(status);
        let refusal = error.refusal().expect("a refusal");
        assert_eq!(refusal.code, tonic::Code::PermissionDenied);
        assert_eq!(refusal.reason, "CLASS_NOT_GRANTED");
        assert_eq!(refusal.operation, "okx.withdraw");
        assert_eq!(refusal.class, "withdraw");
        assert_eq!(refusal.remedies, ["execute", "assume=venue_checks"]);
        assert_eq!(refusal.hint, "ask an admin");
        assert_eq!(refusal.entry_index, Some(7));
        assert_eq!(refusal.retry_after, Some(Duration::from_millis(250)));
        assert_eq!(error.to_string(), "denied by policy (CLASS_NOT_GRANTED)");
    }

    #[test]
    fn takes_no_details_of_another_domain() {
        let details = ErrorDetails::with_error_info("NOT_OURS", "example", HashMap::new());
        let status =
            tonic::Status::with_error_details(tonic::Code::PermissionDenied, "no", details);

        let error = ClientError::from_status(status);
        assert_eq!(error.refusal().expect("a refusal").reason, "");
    }

    #[test]
    fn names_what_broke_on_the_way() {
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRevoked);
        let refused = std::io::Error::other(alert);
        assert!(matches!(
            ClientError::from_transport(Box::new(refused)),
            ClientError::CertificateRefused(_)
        ));
        let broken = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert!(matches!(ClientError::from_transport(Box::new(broken)), ClientError::Transport(_)));
    }
}
