//! Decisions, and why requests are denied.

use vault_model::Class;

/// The answer to one request. `Deny` says which rule and why, for the audit log.
#[must_use]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Decision {
    /// All rules allow it.
    Allow,
    /// A rule denies it.
    Deny(Denial),
}

/// An operation that the scope does not cover.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outside {
    /// Its name in the catalogue.
    pub operation: String,
    /// Its class.
    pub class: Class,
    /// Whether it is the one that the caller stated, not another that the signature would
    /// authorise too.
    pub stated: bool,
}

/// Why a request is denied.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Denial {
    /// No scope can grant the operation's class.
    ClassNotGrantable(Outside),
    /// The scope does not grant the operation's class.
    ClassNotGranted(Outside),
    /// The address is not in the client's own networks.
    ClientNetworkNotAllowed,
    /// The scope does not grant the credential.
    CredentialNotGranted,
    /// The operation touches every product, or nobody knows which.
    EveryProductNotGranted(Outside),
    /// The operation touches every symbol, or nobody knows which.
    EverySymbolNotGranted(Outside),
    /// Only reads and cancels pass.
    HaltNoNewRisk(Outside),
    /// Nothing passes.
    HaltNothing,
    /// The scope does not grant the mode.
    ModeNotGranted,
    /// The address is in a denied network.
    NetworkDenied,
    /// The address is in no allowed network.
    NetworkNotAllowed,
    /// The scope does not name the operation, whose class is `other`.
    OperationNotGranted(Outside),
    /// The scope does not grant a product of the operation.
    ProductNotGranted(Outside),
    /// The operation writes, and its schema is not sourced.
    SchemaNotSourced(Outside),
    /// The scope does not grant a symbol of the operation.
    SymbolNotGranted(Outside),
}

impl Denial {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ClassNotGrantable(_) => "CLASS_NOT_GRANTABLE",
            Self::ClassNotGranted(_) => "CLASS_NOT_GRANTED",
            Self::ClientNetworkNotAllowed => "CLIENT_NETWORK_NOT_ALLOWED",
            Self::CredentialNotGranted => "CREDENTIAL_NOT_GRANTED",
            Self::EveryProductNotGranted(_) => "EVERY_PRODUCT_NOT_GRANTED",
            Self::EverySymbolNotGranted(_) => "EVERY_SYMBOL_NOT_GRANTED",
            Self::HaltNoNewRisk(_) => "HALT_NO_NEW_RISK",
            Self::HaltNothing => "HALT_NOTHING",
            Self::ModeNotGranted => "MODE_NOT_GRANTED",
            Self::NetworkDenied => "NETWORK_DENIED",
            Self::NetworkNotAllowed => "NETWORK_NOT_ALLOWED",
            Self::OperationNotGranted(_) => "OPERATION_NOT_GRANTED",
            Self::ProductNotGranted(_) => "PRODUCT_NOT_GRANTED",
            Self::SchemaNotSourced(_) => "SCHEMA_NOT_SOURCED",
            Self::SymbolNotGranted(_) => "SYMBOL_NOT_GRANTED",
        }
    }

    /// The operation outside the scope, where the denial is about one.
    pub fn outside(&self) -> Option<&Outside> {
        match self {
            Self::ClassNotGrantable(outside)
            | Self::ClassNotGranted(outside)
            | Self::EveryProductNotGranted(outside)
            | Self::EverySymbolNotGranted(outside)
            | Self::HaltNoNewRisk(outside)
            | Self::OperationNotGranted(outside)
            | Self::ProductNotGranted(outside)
            | Self::SchemaNotSourced(outside)
            | Self::SymbolNotGranted(outside) => Some(outside),
            Self::ClientNetworkNotAllowed
            | Self::CredentialNotGranted
            | Self::HaltNothing
            | Self::ModeNotGranted
            | Self::NetworkDenied
            | Self::NetworkNotAllowed => None,
        }
    }

    /// The name of the operation outside the scope, as the catalogue has it.
    pub fn operation(&self) -> Option<&str> {
        self.outside().map(|outside| outside.operation.as_str())
    }

    /// What people can do about it, where nobody has looked for remedies.
    pub fn hint(&self) -> &'static str {
        if self.outside().is_some_and(|outside| !outside.stated) {
            return "the signature would authorise this operation too; Execute may serve the request";
        }
        match self {
            Self::ClassNotGrantable(_) => "no scope can grant this class",
            Self::ClassNotGranted(_) => "the scope does not grant this class",
            Self::ClientNetworkNotAllowed => "the client's own networks do not include the address",
            Self::CredentialNotGranted => "the scope does not grant this credential",
            Self::EveryProductNotGranted(_) => {
                "the request does not say which product it touches, so the scope must grant \"*\""
            }
            Self::EverySymbolNotGranted(_) => {
                "the request does not say which symbol it touches, so the scope must grant \"*\""
            }
            Self::HaltNoNewRisk(_) => "halted: only reads and cancels pass until an admin resumes",
            Self::HaltNothing => "halted: nothing passes until an admin resumes",
            Self::ModeNotGranted => "the scope does not grant this way to the venue",
            Self::NetworkDenied => "the scope denies the network of the address",
            Self::NetworkNotAllowed => "the scope does not allow the network of the address",
            Self::OperationNotGranted(_) => "the scope must grant this operation by its name",
            Self::ProductNotGranted(_) => "the scope does not grant a product that is touched",
            Self::SchemaNotSourced(_) => "the catalogue does not know this operation well enough",
            Self::SymbolNotGranted(_) => "the scope does not grant a symbol that is touched",
        }
    }
}
