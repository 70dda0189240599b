//! The words of policy: classes, modes, products, roles, environments.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A word that is none of those allowed in its place.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected one of: {expected}")]
pub struct UnknownWord {
    /// The words that are allowed, comma-separated.
    pub expected: String,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word as people write it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(UnknownWord { expected: [$($word),+].join(", ") }),
                }
            }
        }
    };
}
pub(crate) use words;

words! {
    /// What an operation does, from the harmless to the dangerous: the order of `closure_widest`.
    Class {
        /// No account data; unsigned.
        Public = "public",
        /// Changes nothing.
        Read = "read",
        /// Cancels orders.
        Cancel = "cancel",
        /// Places, amends or replaces orders, closes positions, converts.
        Trade = "trade",
        /// Settings: leverage, margin and position mode.
        Account = "account",
        /// No scope class grants it; an operation may be granted by its own name.
        Other = "other",
        /// Standing authority: listen keys, WebSocket tokens and log-ons.
        Logon = "logon",
        /// Moves funds inside the customer.
        Transfer = "transfer",
        /// API keys and sub-accounts.
        Keys = "keys",
        /// Moves value out.
        Withdraw = "withdraw",
    }
}

words! {
    /// How a request reaches the venue.
    Mode {
        /// The vault signs and sends.
        Execute = "execute",
        /// The vault signs, the bot sends.
        Sign = "sign",
    }
}

words! {
    /// What is traded.
    Product {
        /// Coin-margined derivatives.
        Inverse = "inverse",
        /// Derivatives margined in the quote currency.
        Linear = "linear",
        /// Borrowed funds on a spot market.
        Margin = "margin",
        /// Options.
        Option = "option",
        /// Spot markets.
        Spot = "spot",
        /// Several legs traded as one instrument.
        Spread = "spread",
    }
}

words! {
    /// What kind of account at the venue a credential is for.
    Environment {
        /// The venue's test hosts, or its demo header.
        Demo = "demo",
        /// Real money.
        Live = "live",
    }
}

words! {
    /// What a caller is. The roles are disjoint.
    Role {
        /// An operator who administers.
        Admin = "admin",
        /// An operator who reads and exports the log.
        Auditor = "auditor",
        /// A client that signs.
        Bot = "bot",
        /// An operator who halts and seals, nothing else.
        Guard = "guard",
        /// A client that puts reference prices, nothing else.
        Pricer = "pricer",
    }
}

impl Role {
    /// Whether this is a person (admin, auditor, guard), not a program (bot, pricer).
    pub fn is_operator(self) -> bool {
        matches!(self, Self::Admin | Self::Auditor | Self::Guard)
    }
}

impl Class {
    /// Whether requests of this class change something at the venue.
    pub fn is_write(self) -> bool {
        !matches!(self, Self::Public | Self::Read)
    }
}

#[cfg(test)]
mod tests {
    use super::{Class, Mode};

    #[test]
    fn words_read_back() {
        for class in Class::ALL {
            assert_eq!(class.as_str().parse(), Ok(*class));
        }
        assert_eq!(
            "Sign".parse::<Mode>().expect_err("upper case").to_string(),
            "expected one of: execute, sign"
        );
    }
}
