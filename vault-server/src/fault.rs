//! What ends a command: an exit code, words, and what may be done.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use vault_ipc::{Code, Failure};

/// Exit codes, as `--help` documents them; the same as `vaultctl`'s.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    Ok = 0,
    Other = 1,
    Usage = 2,
    Denied = 3,
    NotFound = 4,
    Sealed = 5,
    Unreachable = 6,
    NotVerified = 8,
    /// A process of the vault died. `EX_SOFTWARE` of `sysexits.h`.
    Died = 70,
    /// The configuration is not what it was, and a person has to look. `EX_CONFIG`.
    Held = 78,
}

impl Exit {
    /// In one word, for machines.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Other => "other",
            Self::Usage => "usage",
            Self::Denied => "denied",
            Self::NotFound => "not_found",
            Self::Sealed => "sealed",
            Self::Unreachable => "unreachable",
            Self::NotVerified => "not_verified",
            Self::Died => "died",
            Self::Held => "held",
        }
    }
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
    /// The core's reason, if it was the core that refused.
    pub reason: String,
    /// When to try again; 0 if that does not help.
    pub retry_after_ms: u64,
}

impl Fault {
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        let (hint, reason) = (String::new(), String::new());
        Self { exit, message: message.into(), hint, reason, retry_after_ms: 0 }
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

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        let exit = match failure.code() {
            Code::Denied => Exit::Denied,
            Code::NotFound => Exit::NotFound,
            Code::Sealed => Exit::Sealed,
            Code::Unavailable => Exit::Unreachable,
            Code::BadRequest
            | Code::Conflict
            | Code::DeadlineExceeded
            | Code::Exhausted
            | Code::Internal
            | Code::Precondition
            | Code::Unauthenticated
            | Code::Unspecified => Exit::Other,
        };
        let hint = match (failure.hint.is_empty(), exit) {
            (true, Exit::Sealed) => "vault-server unseal --data DIR".to_owned(),
            _ => failure.hint,
        };
        Self {
            exit,
            message: failure.message,
            hint,
            reason: failure.reason,
            retry_after_ms: failure.retry_after_ms,
        }
    }
}

/// Adds the path to an answer of the operating system.
pub fn file(path: &Path) -> impl FnOnce(io::Error) -> Fault {
    let path = path.to_owned();
    move |error| Fault::other(format!("{}: {error}", path.display()))
}
