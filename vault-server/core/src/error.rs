//! What can go wrong with a call, and how it crosses to the front.

use vault_ipc::{Code, Failure};
use vault_model::Role;
use vault_policy::Denial;
use vault_venue::{ReadError, VenueError};

use crate::certificate::CertificateError;

/// Why a call is refused. Its words never repeat input.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// Another admin's approval is missing, or does not hold.
    #[error("{0}")]
    Approval(ApprovalProblem),
    /// Policy rows beside this one forbid the act.
    #[error("{0}")]
    Conflict(Conflict),
    /// The CSR cannot be used.
    #[error(transparent)]
    Csr(#[from] CertificateError),
    /// The certificate is over, or its holder is.
    #[error("{0}")]
    Certificate(CertificateProblem),
    /// The signed command does not hold.
    #[error("{0}")]
    Command(CommandProblem),
    /// The operation takes a credential, and the request names none.
    #[error("the operation takes a credential, and the request names none")]
    CredentialMissing,
    /// The venue did not say what the key of an import may do; the text is a code.
    #[error("the venue did not say what the key may do: {0}")]
    CheckNotPossible(String),
    /// An operator has disabled the credential.
    #[error("the credential is disabled")]
    CredentialDisabled,
    /// The key's rights at the venue are not those that are stated: closures may be too small.
    #[error(
        "the venue says that the key has rights that are not stated; what its signature is good for is not known"
    )]
    CredentialDrifted,
    /// The credential is held by another client that signs with the venue's nonces.
    #[error("another client holds this credential; nonces must arrive in the order of their issue")]
    CredentialLeased {
        /// When it may be free, in milliseconds.
        retry_after_ms: u64,
    },
    /// The sender does not wait any more.
    #[error("the deadline passed before the decision")]
    DeadlineExceeded,
    /// Policy says no. The numbers behind it go to the log.
    #[error("denied by policy: {}", .0.code())]
    Deny(Denial),
    /// The log's disk is nearly full.
    #[error("the log's disk is nearly full")]
    DiskFull,
    /// The entry would be longer than an entry may be.
    #[error("the request has too many parts to be logged in one entry")]
    EntryTooLong,
    /// A handle is none of this client's at this venue.
    #[error("a listen key or token in the request is not one that the vault holds for this client")]
    HandleUnknown,
    /// A field of the request is not what it must be; the text names the field and the form.
    #[error("{0}")]
    Field(&'static str),
    /// A defect of the vault.
    #[error("internal error")]
    Internal(&'static str),
    /// The invitation cannot be used.
    #[error("{0}")]
    Invitation(InvitationProblem),
    /// Not there, or not the caller's to know. The text says what: "credential", "scope" ...
    #[error("{0} not found")]
    NotFound(&'static str),
    /// The client has asked for so much that is no order, or that could not be sent.
    #[error("the client has made too many requests that are no orders, or that could not be sent")]
    RequestsExhausted {
        /// When the next may be made, in milliseconds.
        retry_after_ms: u64,
    },
    /// The id was used for another request.
    #[error("the request id was used for another request")]
    RequestIdReused,
    /// The request was signed before and its answer is gone, or it was sent before.
    #[error("the request was decided before; its answer is not kept any more")]
    OutcomeUnknown {
        /// Index of its entry.
        index: u64,
    },
    /// The key of an import may withdraw, or nobody says that it may not.
    #[error("the venue says that the key may withdraw, or does not say that it may not")]
    KeyMayWithdraw,
    /// Too much is on its way, or waits for its turn.
    #[error("too many requests are on their way")]
    Overloaded,
    /// The venue's rules for requests say no.
    #[error("the request does not fit the venue: {}", .0.code())]
    Read(#[from] ReadError),
    /// The caller's role does not allow it.
    #[error("this call is not for the role {0}")]
    Role(Role),
    /// What a WebSocket does not allow.
    #[error("{0}")]
    Stream(StreamProblem),
    /// Keys are needed and there are none.
    #[error("the vault is sealed")]
    Sealed,
    /// What was sealed does not open.
    #[error("the sealed secret does not open, or its ticket was used or has run out")]
    SealedSecret,
    /// The holder has got a new certificate within the last minute.
    #[error("a certificate is renewed at most once a minute")]
    RenewedLately {
        /// When it may be again, in milliseconds.
        retry_after_ms: u64,
    },
    /// The same guard has sealed a short while ago.
    #[error("a guard seals once in five minutes")]
    SealedBefore {
        /// When the guard may again, in milliseconds.
        retry_after_ms: u64,
    },
    /// Another admin act waits to be written.
    #[error("too many acts are waiting")]
    TooManyActs,
    /// As many halts are in force as may be.
    #[error("1,000 halts are in force")]
    TooManyHalts,
    /// Unsealing failed.
    #[error("{0}")]
    Unseal(UnsealProblem),
    /// Too many failures in a row, or an attempt is under way.
    #[error("wait before the next attempt to unseal")]
    UnsealBackoff {
        /// How long, in milliseconds.
        retry_after_ms: u64,
    },
    /// Signing failed.
    #[error("the credential cannot sign this request: {}", .0.code())]
    Venue(#[from] VenueError),
    /// What was uploaded as a credential cannot be one.
    #[error("the secret is not one of this venue: {}", .0.code())]
    VenueKey(VenueError),
    /// A scope document is not acceptable; the words name the dimension.
    #[error("the scope is not acceptable: {0}")]
    Scope(String),
}

macro_rules! problems {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = ($reason:literal, $words:literal),)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// The stable reason code.
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $reason,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $words,)+
                })
            }
        }
    };
}

problems! {
    /// What is wrong with another admin's approval.
    ApprovalProblem {
        /// Not of another admin who is active, or twice of the same.
        Approver = ("APPROVAL_APPROVER", "an approval is not of another active admin"),
        /// Out of its time.
        Expired = ("APPROVAL_EXPIRED", "an approval has expired, or is made for more than 24 h"),
        /// There is none.
        Required = ("APPROVAL_REQUIRED", "this change of withdrawals wants the approval of another admin"),
        /// Not signed by him for this change.
        Signature = ("APPROVAL_SIGNATURE", "an approval is not for this document at this revision, or not signed with its admin's certificate key"),
        /// Good once, and it was.
        Used = ("APPROVAL_USED", "an approval was used before"),
    }
}

problems! {
    /// What stands in the way of an act.
    Conflict {
        /// Clients hold the scope.
        ScopeInUse = ("SCOPE_IN_USE", "clients hold this scope"),
        /// Another scope has the scope as its shadow.
        ScopeIsShadow = ("SCOPE_IS_SHADOW", "another scope has this scope as its shadow"),
        /// The revision asked for is not the present one.
        Revision = ("REVISION_CONFLICT", "the scope has changed meanwhile"),
        /// The name is taken by something that is still active.
        NameTaken = ("NAME_TAKEN", "the name is taken"),
        /// The role of an existing client differs.
        ClientDiffers = ("CLIENT_DIFFERS", "a client of this name exists with another role"),
        /// Nobody could administer the vault any more.
        LastAdmin = ("LAST_ADMIN", "the last active admin cannot be revoked"),
        /// Another import was faster.
        CredentialChanged = ("CREDENTIAL_CHANGED", "the credential has changed meanwhile"),
        /// The halt in force is another one.
        HaltChanged = ("HALT_CHANGED", "another halt is in force than the one that was named"),
        /// A later call has stopped it, which was heard first.
        StoppedSince = ("STOPPED_SINCE", "it was stopped again after this was asked"),
        /// Whoever still may trade would place the orders again.
        NotHalted = ("NOT_HALTED", "the target is not halted"),
        /// It is so already.
        AlreadySo = ("ALREADY_SO", "nothing to change: it is so already"),
        /// The venue or environment of an existing credential differs.
        CredentialDiffers = ("CREDENTIAL_DIFFERS", "the credential exists for another venue or environment"),
    }
}

problems! {
    /// What is wrong with a caller's certificate.
    CertificateProblem {
        /// Over.
        Expired = ("CERTIFICATE_EXPIRED", "the certificate has expired"),
        /// Its holder's or its own allowance was taken.
        Revoked = ("CERTIFICATE_REVOKED", "the certificate has been revoked"),
        /// Not on the allow-list.
        Unknown = ("CERTIFICATE_UNKNOWN", "the certificate is not on the allow-list"),
        /// Too old or too superseded to be renewed.
        NotRenewable = ("NOT_RENEWABLE", "the certificate can no longer be renewed"),
        /// A bot at the operators' listener, or the other way round.
        WrongListener = ("WRONG_LISTENER", "this identity belongs to another listener"),
    }
}

problems! {
    /// What is wrong with a signed command.
    CommandProblem {
        /// Its body does not decode.
        Body = ("COMMAND_BODY", "the command does not decode"),
        /// Out of its time.
        Expired = ("COMMAND_EXPIRED", "the command has expired, or is made for too far ahead"),
        /// Signed for another RPC.
        Method = ("COMMAND_METHOD", "the command is signed for another call"),
        /// Seen before.
        Replayed = ("COMMAND_REPLAYED", "the command was used before"),
        /// Not signed by the certificate's key.
        Signature = ("COMMAND_SIGNATURE", "the command is not signed by the caller's certificate key"),
    }
}

problems! {
    /// What is wrong with an enrolment.
    InvitationProblem {
        /// Over.
        Expired = ("INVITATION_EXPIRED", "the invitation has expired"),
        /// The proof does not fit.
        Proof = ("INVITATION_PROOF", "the token or its proof is not valid"),
        /// Used with another key.
        Used = ("INVITATION_USED", "the invitation has been used"),
    }
}

problems! {
    /// What stands in the way of a WebSocket or of a message on one.
    StreamProblem {
        /// Policy has changed, and what it stands on with it.
        Changed = ("STREAM_CHANGED", "what the WebSocket stands on has changed; open it again"),
        /// Something else than text, or too much of it.
        Message = ("STREAM_MESSAGE", "a message is not text of at most 64 KiB"),
        /// Nothing is logged on to it.
        NotLoggedOn = ("STREAM_NOT_LOGGED_ON", "no credential is logged on to the WebSocket, which this message takes"),
        /// Another credential is logged on to it.
        OtherCredential = ("STREAM_OTHER_CREDENTIAL", "another credential is logged on to the WebSocket, which is for one alone"),
        /// The client has too many open, or all have.
        TooMany = ("STREAMS_EXHAUSTED", "too many WebSockets are open"),
        /// Too many messages on it were refused.
        TooManyRefused = ("STREAM_REFUSED", "too many messages on the WebSocket were refused"),
    }
}

problems! {
    /// Why the vault did not unseal.
    UnsealProblem {
        /// It is open.
        AlreadyUnsealed = ("ALREADY_UNSEALED", "the vault is unsealed already"),
        /// The state does not fit the log, or its MACs do not hold.
        StateRefused = ("STATE_REFUSED", "the database does not fit its keys or the log; see the status"),
        /// No slot opened.
        WrongKeyFile = ("WRONG_KEY_FILE", "no slot opens with this key file"),
        /// No slot opened.
        WrongPassphrase = ("WRONG_PASSPHRASE", "no slot opens with this passphrase"),
    }
}

impl VaultError {
    /// The stable, machine-readable reason: for the caller and the log.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Approval(problem) => problem.code(),
            Self::Certificate(problem) => problem.code(),
            Self::Command(problem) => problem.code(),
            Self::Conflict(conflict) => conflict.code(),
            Self::CheckNotPossible(_) => "CHECK_NOT_POSSIBLE",
            Self::CredentialDisabled => "CREDENTIAL_DISABLED",
            Self::CredentialDrifted => "CREDENTIAL_DRIFTED",
            Self::CredentialLeased { .. } => "CREDENTIAL_LEASED",
            Self::CredentialMissing => "CREDENTIAL_MISSING",
            Self::Csr(CertificateError::CsrHasNames) => "CSR_HAS_NAMES",
            Self::Csr(CertificateError::CsrInvalid) => "CSR_INVALID",
            Self::Csr(CertificateError::KeyType) => "CSR_KEY_TYPE",
            Self::Csr(CertificateError::Issue) | Self::Internal(_) => "INTERNAL",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::Deny(denial) => denial.code(),
            Self::DiskFull => "AUDIT_DISK_FULL",
            Self::EntryTooLong => "ENTRY_TOO_LONG",
            Self::Field(_) => "BAD_FIELD",
            Self::HandleUnknown => "HANDLE_UNKNOWN",
            Self::Invitation(problem) => problem.code(),
            Self::KeyMayWithdraw => "KEY_MAY_WITHDRAW",
            Self::NotFound(_) => "NOT_FOUND",
            Self::OutcomeUnknown { .. } => "OUTCOME_UNKNOWN",
            Self::Overloaded => "OVERLOADED",
            Self::Read(error) => error.code(),
            Self::RequestIdReused => "REQUEST_ID_REUSED",
            Self::RequestsExhausted { .. } => "REQUESTS_EXHAUSTED",
            Self::Role(_) => "ROLE",
            Self::Scope(_) => "SCOPE_INVALID",
            Self::Stream(problem) => problem.code(),
            Self::Sealed => "SEALED",
            Self::SealedSecret => "SEALED_SECRET",
            Self::RenewedLately { .. } => "RENEWED_LATELY",
            Self::SealedBefore { .. } => "SEALED_BEFORE",
            Self::TooManyActs => "TOO_MANY_ACTS",
            Self::TooManyHalts => "TOO_MANY_HALTS",
            Self::Unseal(problem) => problem.code(),
            Self::UnsealBackoff { .. } => "UNSEAL_BACKOFF",
            Self::Venue(error) | Self::VenueKey(error) => error.code(),
        }
    }

    fn code(&self) -> Code {
        match self {
            Self::Approval(ApprovalProblem::Required) => Code::Precondition,
            Self::Approval(_) => Code::Denied,
            Self::Certificate(_) => Code::Unauthenticated,
            Self::Command(CommandProblem::Body) => Code::BadRequest,
            Self::Command(_) => Code::Unauthenticated,
            Self::Conflict(
                Conflict::AlreadySo
                | Conflict::LastAdmin
                | Conflict::NotHalted
                | Conflict::ScopeInUse
                | Conflict::ScopeIsShadow,
            ) => Code::Precondition,
            Self::Conflict(_) => Code::Conflict,
            Self::CredentialLeased { .. }
            | Self::DiskFull
            | Self::Overloaded
            | Self::RequestsExhausted { .. }
            | Self::Stream(StreamProblem::TooMany)
            | Self::RenewedLately { .. }
            | Self::SealedBefore { .. }
            | Self::TooManyActs
            | Self::TooManyHalts => Code::Exhausted,
            Self::Csr(CertificateError::Issue) | Self::Internal(_) => Code::Internal,
            Self::Csr(_) | Self::Field(_) | Self::Scope(_) | Self::SealedSecret => Code::BadRequest,
            Self::DeadlineExceeded => Code::DeadlineExceeded,
            Self::CheckNotPossible(_) => Code::Unavailable,
            Self::KeyMayWithdraw => Code::Precondition,
            Self::CredentialDisabled
            | Self::CredentialDrifted
            | Self::CredentialMissing
            | Self::Deny(_)
            | Self::EntryTooLong
            | Self::HandleUnknown
            | Self::Read(_)
            | Self::Role(_)
            | Self::Stream(_)
            | Self::Venue(_) => Code::Denied,
            Self::Invitation(_) => Code::Unauthenticated,
            Self::NotFound(_) => Code::NotFound,
            Self::OutcomeUnknown { .. } => Code::Precondition,
            Self::RequestIdReused => Code::Conflict,
            Self::Sealed => Code::Sealed,
            Self::UnsealBackoff { .. } => Code::Exhausted,
            Self::Unseal(UnsealProblem::WrongPassphrase) => Code::Denied,
            Self::Unseal(_) => Code::Precondition,
            Self::VenueKey(_) => Code::BadRequest,
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Approval(ApprovalProblem::Required) => {
                "another admin runs vaultctl scope approve FILE --expect REVISION; hand its text in with --approval"
            }
            Self::Approval(ApprovalProblem::Signature) => {
                "approve the very file that is put, with --expect of the revision that it replaces"
            }
            Self::Approval(ApprovalProblem::Used) => {
                "an approval is good for one change: have it approved again with vaultctl scope approve"
            }
            Self::Certificate(CertificateProblem::Expired) => {
                "renew it within 7 days of its end (vaultctl renew), or have it invited anew"
            }
            Self::Certificate(CertificateProblem::WrongListener) => {
                "bots use the bot listener, operators the operator listener"
            }
            Self::CheckNotPossible(_) => {
                "nothing was stored; an account of another site of the venue wants --site (vaultctl catalog show VENUE); else try again, or import with --no-check and check it later: vaultctl credential check NAME"
            }
            Self::CredentialDrifted => {
                "vaultctl credential check NAME says which; take them away at the venue and check again, or import the key again with the rights that it has; Execute is not concerned"
            }
            Self::KeyMayWithdraw => {
                "nothing was stored; make a key without withdrawals, or import this one with --allow-withdrawals"
            }
            Self::CredentialMissing => {
                "name it: in Execute in its field, through the proxy as the API key countersign:NAME"
            }
            Self::Command(CommandProblem::Expired) => "compare the clocks of both machines",
            Self::Conflict(Conflict::NotHalted) => {
                "halt it first: vaultctl halt TARGET --level no-new-risk --reason WHY --cancel-all"
            }
            Self::Conflict(Conflict::HaltChanged | Conflict::StoppedSince) => {
                "look at what is stopped, by whom and why (vaultctl halt status, vaultctl credential list), and ask again if it shall go on"
            }
            Self::Conflict(Conflict::ScopeInUse) => "revoke its clients or give them another scope",
            Self::Conflict(Conflict::ScopeIsShadow) => "take it out of that scope's shadow first",
            Self::Deny(denial) => denial.hint(),
            Self::Read(ReadError::HostElsewhere) => {
                "vaultctl catalog show VENUE lists its sites, vaultctl credential describe NAME that of the key; a key of another site is imported with --site"
            }
            Self::Read(ReadError::OperationUnknown) => {
                "vaultctl explain shows how a request is read; only catalogued operations are known"
            }
            Self::Read(ReadError::ParameterReserved(_)) => {
                "leave time, nonce, api key and signature out: the vault adds them"
            }
            Self::HandleUnknown => {
                "ask the venue for a new one through the vault: its own texts are held there, for 24 h"
            }
            Self::Stream(StreamProblem::NotLoggedOn) => {
                "send the venue's log-on first, with countersign:NAME as the API key"
            }
            Self::Stream(StreamProblem::OtherCredential) => "open a WebSocket for each credential",
            Self::Stream(StreamProblem::TooMany) => "close some of those that are open",
            Self::OutcomeUnknown { .. } => {
                "look the entry up in the log, and ask the venue what became of the request"
            }
            Self::RequestsExhausted { .. } => {
                "ask less often; config.toml says how often: limits.requests_per_second"
            }
            Self::SealedBefore { .. } => "halt meanwhile: vaultctl halt all --level nothing",
            Self::TooManyHalts => "halt the venue, or resume what is not needed any more",
            Self::Sealed => "an admin unseals it: vaultctl unseal",
            Self::Csr(CertificateError::CsrHasNames) => {
                "make the CSR without subject and extensions"
            }
            Self::SealedSecret => "begin the import again",
            Self::RequestIdReused => "use a new request id for every new request",
            Self::Venue(VenueError::PassphraseNotDisclosed) => {
                "import the credential with --disclose-passphrase, or let the vault send (Execute)"
            }
            _ => "",
        }
    }
}

impl From<&VaultError> for Failure {
    fn from(error: &VaultError) -> Self {
        // This error's own words only: its sources go to our own log, never to a caller.
        let mut failure =
            Self::new(error.code(), error.reason(), error.to_string()).with_hint(error.hint());
        match error {
            VaultError::CredentialLeased { retry_after_ms }
            | VaultError::RequestsExhausted { retry_after_ms }
            | VaultError::RenewedLately { retry_after_ms }
            | VaultError::SealedBefore { retry_after_ms }
            | VaultError::UnsealBackoff { retry_after_ms } => {
                failure.retry_after_ms = *retry_after_ms;
            }
            VaultError::Overloaded => failure.retry_after_ms = OVERLOAD_MS,
            VaultError::Deny(denial) => {
                failure.operation = denial.operation().unwrap_or_default().to_owned();
                failure.class =
                    denial.outside().map(|outside| outside.class.to_string()).unwrap_or_default();
                // Rounded up: who comes back then is not early.
                let wait = denial.retry_after().map(|wait| wait.as_micros().div_ceil(1_000));
                failure.retry_after_ms = wait.map_or(0, |ms| u64::try_from(ms).unwrap_or(u64::MAX));
            }
            VaultError::OutcomeUnknown { index } => failure.entry_index = Some(*index),
            _ => {}
        }
        failure
    }
}

/// After which there may be room again. Milliseconds.
const OVERLOAD_MS: u64 = 200;
