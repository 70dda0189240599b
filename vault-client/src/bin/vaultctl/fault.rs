//! What ends a command: an exit code, words, and what may be done.

use std::process::ExitCode;

use tonic::Code;
use vault_client::{ClientError, IdentityError, Refusal};

/// Exit codes, as `vaultctl --help` documents them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    Ok = 0,
    Other = 1,
    Usage = 2,
    Denied = 3,
    NotFound = 4,
    Sealed = 5,
    Unreachable = 6,
    Unauthenticated = 7,
    NotVerified = 8,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command failed. An empty message is not shown.
#[derive(Debug)]
pub struct Fault {
    pub exit: Exit,
    pub message: String,
    pub hint: String,
    pub refusal: Option<Box<Refusal>>,
}

impl Fault {
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: String::new(), refusal: None }
    }

    pub fn other(message: impl Into<String>) -> Self {
        Self::new(Exit::Other, message)
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

/// Adds the path to an answer of the operating system.
pub fn file(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Fault {
    let path = path.to_owned();
    move |error| Fault::other(format!("{}: {error}", path.display()))
}

impl From<ClientError> for Fault {
    fn from(error: ClientError) -> Self {
        let (exit, hint) = match &error {
            ClientError::CertificateRefused(_) => (
                Exit::Unauthenticated,
                "it may be revoked or have run out: ask an admin for a new invite token",
            ),
            ClientError::Identity(error) => return Self::identity(error),
            ClientError::Protocol(_) => (Exit::NotVerified, ""),
            ClientError::Refused(refusal) => (exit_of(refusal), refusal.hint.as_str()),
            ClientError::ServerNotTrusted(_) => (
                Exit::NotVerified,
                "check the address; if it is right, somebody stands between you and the vault",
            ),
            ClientError::Ticket(_) => {
                (Exit::NotVerified, "nothing was sent; somebody may stand in front of the core")
            }
            ClientError::Timeout => (Exit::Unreachable, ""),
            ClientError::Transport(_) => (Exit::Unreachable, "is the vault running?"),
        };
        let hint = match (hint, &error) {
            ("", ClientError::Refused(_)) if exit == Exit::Sealed => "vaultctl unseal",
            (hint, _) => hint,
        };
        let mut message = error.to_string();
        if let ClientError::Transport(_) | ClientError::ServerNotTrusted(_) = &error
            && let Some(cause) = last_cause(&error)
        {
            message = format!("{message}: {cause}");
        }
        let refusal = error.refusal().cloned().map(Box::new);
        Self { exit, message, hint: hint.to_owned(), refusal }
    }
}

impl From<IdentityError> for Fault {
    fn from(error: IdentityError) -> Self {
        Self::identity(&error)
    }
}

impl Fault {
    fn identity(error: &IdentityError) -> Self {
        let fault = Self::other(error.to_string());
        match error {
            IdentityError::InUse(_) => fault.with_hint("choose another folder with --out"),
            IdentityError::KeyMode(path) => {
                fault.with_hint(format!("chmod 600 {}", path.display()))
            }
            _ => fault,
        }
    }
}

fn exit_of(refusal: &Refusal) -> Exit {
    match refusal.code {
        _ if refusal.reason == SEALED => Exit::Sealed,
        Code::NotFound => Exit::NotFound,
        Code::PermissionDenied => Exit::Denied,
        Code::Unauthenticated => Exit::Unauthenticated,
        Code::Unavailable => Exit::Unreachable,
        _ => Exit::Other,
    }
}

fn last_cause(error: &dyn std::error::Error) -> Option<String> {
    let mut cause = error.source()?;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Some(cause.to_string())
}

/// The reason by which the vault says that it is sealed.
const SEALED: &str = "SEALED";
