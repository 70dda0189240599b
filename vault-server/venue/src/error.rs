//! Errors of reading and signing. Codes and the catalogue's own names; never a caller's bytes.

/// Why a request cannot be read. Whatever cannot be read is denied.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReadError {
    /// A batch is empty or longer than the venue takes.
    #[error("the batch is empty or too long")]
    ArrayLength,
    /// Not the form the operation wants, or not of the strict kind.
    #[error("body is not strict JSON or form text of the kind that the operation takes")]
    BodyMalformed,
    /// The operation reads no body.
    #[error("the operation takes no body")]
    BodyNotAllowed,
    /// More than [`crate::BODY_BYTES_MAX`].
    #[error("body is longer than {} bytes", crate::BODY_BYTES_MAX)]
    BodyTooLarge,
    /// The venue has no such environment.
    #[error("the venue has no such environment")]
    EnvironmentUnknown,
    /// A header that the catalogue does not let callers send, or one sent twice.
    #[error("a header is not on the venue's list")]
    HeaderNotAllowed,
    /// A host that knows other accounts than the credential's: of another company, in another region,
    /// or another test network.
    #[error("host is of another site of the venue than the credential")]
    HostElsewhere,
    /// Not a host of the venue in this environment.
    #[error("host is not one of the venue's in this environment")]
    HostUnknown,
    /// What stands where the API key belongs is no placeholder: perhaps a real key, of a bot that
    /// still holds a secret.
    #[error("where the API key belongs there is something else than countersign:NAME")]
    KeyNotPlaceholder,
    /// A margin mode that has no meaning in the vault's words.
    #[error("margin mode is not in the catalogue")]
    MarginModeUnknown,
    /// Not an upper-case token.
    #[error("method is not an upper-case token")]
    MethodNotPlain,
    /// No such method and path in the catalogue.
    #[error("the catalogue has no such operation")]
    OperationUnknown,
    /// An order type or time in force that has no meaning in the vault's words.
    #[error("order type or time in force is not in the catalogue")]
    OrderTypeUnknown,
    /// Two parameters of one name.
    #[error("a parameter is there twice")]
    ParameterDuplicate,
    /// A required parameter is not there.
    #[error("parameter {0} is missing")]
    ParameterMissing(String),
    /// A parameter that the venue knows, and whose effect no rule could judge.
    #[error("parameter {0} is refused: no rule could judge what it does")]
    ParameterRefused(String),
    /// A parameter that the vault sets itself.
    #[error("parameter {0} is set by the vault")]
    ParameterReserved(String),
    /// A parameter that the operation's schema does not have.
    #[error("a parameter is not in the operation's schema")]
    ParameterUnknown,
    /// A value that the parameter does not take.
    #[error("parameter {0} does not take this value")]
    ParameterValue(String),
    /// Anything but `[A-Za-z0-9_./:-]`, an empty or a dot segment.
    #[error("path is not plain")]
    PathNotPlain,
    /// The request names two credentials.
    #[error("the request names more than one credential")]
    PlaceholdersDiffer,
    /// Not strict `name=value` pairs.
    #[error("query is not strict name=value pairs")]
    QueryMalformed,
    /// The operation reads no query.
    #[error("the operation takes no query")]
    QueryNotAllowed,
    /// The key lacks the right that the operation needs.
    #[error("the credential lacks the right that the operation needs")]
    RightNotHeld,
    /// Not `https`, or not `wss` for a WebSocket log-on.
    #[error("scheme is not the operation's")]
    SchemeNotAllowed,
}

impl ReadError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ArrayLength => "ARRAY_LENGTH",
            Self::BodyMalformed => "BODY_MALFORMED",
            Self::BodyNotAllowed => "BODY_NOT_ALLOWED",
            Self::BodyTooLarge => "BODY_TOO_LARGE",
            Self::EnvironmentUnknown => "ENVIRONMENT_UNKNOWN",
            Self::HeaderNotAllowed => "HEADER_NOT_ALLOWED",
            Self::HostElsewhere => "HOST_ELSEWHERE",
            Self::HostUnknown => "HOST_UNKNOWN",
            Self::KeyNotPlaceholder => "KEY_NOT_PLACEHOLDER",
            Self::MarginModeUnknown => "MARGIN_MODE_UNKNOWN",
            Self::MethodNotPlain => "METHOD_NOT_PLAIN",
            Self::OperationUnknown => "OPERATION_UNKNOWN",
            Self::OrderTypeUnknown => "ORDER_TYPE_UNKNOWN",
            Self::ParameterDuplicate => "PARAMETER_DUPLICATE",
            Self::ParameterMissing(_) => "PARAMETER_MISSING",
            Self::ParameterRefused(_) => "PARAMETER_REFUSED",
            Self::ParameterReserved(_) => "PARAMETER_RESERVED",
            Self::ParameterUnknown => "PARAMETER_UNKNOWN",
            Self::ParameterValue(_) => "PARAMETER_VALUE",
            Self::PathNotPlain => "PATH_NOT_PLAIN",
            Self::PlaceholdersDiffer => "PLACEHOLDERS_DIFFER",
            Self::QueryMalformed => "QUERY_MALFORMED",
            Self::QueryNotAllowed => "QUERY_NOT_ALLOWED",
            Self::RightNotHeld => "RIGHT_NOT_HELD",
            Self::SchemeNotAllowed => "SCHEME_NOT_ALLOWED",
        }
    }
}

/// Why a key cannot be used, or a request cannot be signed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum VenueError {
    /// Empty, too long or not printable ASCII.
    #[error("api key is not of the venue's form")]
    ApiKeyForm,
    /// The venue has no such environment.
    #[error("the venue has no such environment")]
    EnvironmentUnknown,
    /// The venue, or the operation, takes no key of this type.
    #[error("the venue takes no key of this type here")]
    KeyTypeNotTaken,
    /// Not one of the words for key types.
    #[error("no such key type")]
    KeyTypeUnknown,
    /// The secret is of another type than the credential says.
    #[error("secret is not of the stated key type")]
    KeyTypeWrong,
    /// The venue wants a nonce and none was given.
    #[error("a nonce is needed")]
    NonceMissing,
    /// A public key, a certificate or a request for one.
    #[error("secret is a public key or a certificate, where the private key is needed")]
    NotPrivateKey,
    /// Empty, too long or not printable ASCII.
    #[error("passphrase is not of the venue's form")]
    PassphraseForm,
    /// The venue wants a passphrase and the credential has none.
    #[error("the venue wants a passphrase")]
    PassphraseMissing,
    /// The passphrase travels beside the signature, and the credential does not disclose it.
    #[error(
        "the passphrase travels beside the signature, and this credential does not disclose it"
    )]
    PassphraseNotDisclosed,
    /// Not one PEM block with a private key, or text around it.
    #[error("secret is not PEM of one private key in PKCS#8, PKCS#1 or SEC 1")]
    PemForm,
    /// DSA, another curve than P-256, RSA for PSS alone, or what else no venue takes.
    #[error("the private key's algorithm or curve is none that a venue takes")]
    PrivateKeyAlgorithm,
    /// Its numbers are not those of a key, or its public half is another key's.
    #[error("private key is damaged, or its halves do not belong together")]
    PrivateKeyBroken,
    /// The vault encrypts a key itself and takes no password for one.
    #[error("private key is encrypted with a password; decrypt it first")]
    PrivateKeyEncrypted,
    /// The request has not the form in which the scheme signs.
    #[error("request has not the form that the scheme signs")]
    RequestForm,
    /// Too short to be safe, or too long to sign in time.
    #[error("RSA key has fewer than 2,048 or more than 4,096 bits")]
    RsaKeySize,
    /// Not the encoding or the length of the venue's secrets.
    #[error("secret is not of the venue's form")]
    SecretForm,
    /// The scheme does not compute its known answer.
    #[error("signing self-test does not give the known answer")]
    SelfTest,
    /// The arithmetic of a private key, or the system's randomness, failed.
    #[error("the signature cannot be computed")]
    Signing,
}

impl VenueError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ApiKeyForm => "API_KEY_FORM",
            Self::EnvironmentUnknown => "ENVIRONMENT_UNKNOWN",
            Self::KeyTypeNotTaken => "KEY_TYPE_NOT_TAKEN",
            Self::KeyTypeUnknown => "KEY_TYPE_UNKNOWN",
            Self::KeyTypeWrong => "KEY_TYPE_WRONG",
            Self::NonceMissing => "NONCE_MISSING",
            Self::NotPrivateKey => "NOT_PRIVATE_KEY",
            Self::PassphraseForm => "PASSPHRASE_FORM",
            Self::PassphraseMissing => "PASSPHRASE_MISSING",
            Self::PassphraseNotDisclosed => "PASSPHRASE_NOT_DISCLOSED",
            Self::PemForm => "PEM_FORM",
            Self::PrivateKeyAlgorithm => "PRIVATE_KEY_ALGORITHM",
            Self::PrivateKeyBroken => "PRIVATE_KEY_BROKEN",
            Self::PrivateKeyEncrypted => "PRIVATE_KEY_ENCRYPTED",
            Self::RequestForm => "REQUEST_FORM",
            Self::RsaKeySize => "RSA_KEY_SIZE",
            Self::SecretForm => "SECRET_FORM",
            Self::SelfTest => "SELF_TEST",
            Self::Signing => "SIGNING",
        }
    }
}
