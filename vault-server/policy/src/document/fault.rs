//! What can be wrong with a part of a scope.

use crate::rule::network::NetworkError;

/// Why a part of a scope is not what it has to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotADocument {
    /// Not an address that can be compared.
    #[error(
        "an address is 1 to 200 bytes without control characters, and without space at its ends"
    )]
    Address,
    /// Not an asset's name.
    #[error("an asset is 1 to 20 of letters, digits, '.', '_' and '-'")]
    Asset,
    /// More caps than anybody needs.
    #[error("at most 16 caps of a kind")]
    CapsTooMany,
    /// Two caps on the same window: one of them says nothing.
    #[error("two caps on the same window; keep the smaller")]
    CapTwice,
    /// `keys` among the classes.
    #[error("class keys cannot be granted: no scope may make or change keys at a venue")]
    ClassKeys,
    /// `other` among the classes.
    #[error("class other is granted by the names of its operations, under operations")]
    ClassOther,
    /// `withdraw` among the classes of a scope that does not say where to.
    #[error("class withdraw is granted only beside a [withdrawal] table of addresses and amounts")]
    ClassWithdraw,
    /// A number of orders that is none.
    #[error("a count is at most 1000000000")]
    Count,
    /// Not a country.
    #[error("a country is two capital letters, as in ISO 3166-1")]
    Country,
    /// A table of a venue that lists nothing.
    #[error("a venue without symbols says nothing; leave it out")]
    Empty,
    /// Not a fraction.
    #[error("a fraction is between 0 and 1")]
    Fraction,
    /// A leverage below 1.
    #[error("a leverage is 1 or more")]
    Leverage,
    /// An amount below 0.
    #[error("an amount is 0 or more")]
    Negative,
    /// Not a network that can be used.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// Not an operation's name.
    #[error("an operation is written METHOD /path")]
    Operation,
    /// A scope that runs beside itself.
    #[error("a scope cannot be its own shadow")]
    Shadow,
    /// Not a span of time.
    #[error("a span of time is written 10s, 5m, 24h or 30d, and is at most 31d")]
    Span,
    /// A span for which nobody keeps what was there.
    #[error("duplicates are found again for 24h at most")]
    SpanTooLong,
    /// More than anybody needs.
    #[error("at most {at_most} in this list")]
    TooMany {
        /// So many may stand there.
        at_most: usize,
    },
    /// Not a time zone.
    #[error("a time zone is a name of the IANA database, such as Europe/Berlin or UTC")]
    Timezone,
    /// Not a weekly window.
    #[error("a window is written \"mon-fri 09:00-17:30\"; it ends at 24:00 at the latest")]
    Window,
}
