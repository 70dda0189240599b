//! Decisions, and why requests are denied.

use std::time::Duration;

use vault_model::{Class, Pair};

use crate::cost::Cost;
use crate::document::Span;

/// The answer to one request. `Deny` says which rule and why, for the audit log.
#[must_use]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Decision {
    /// All rules allow it, and this is what it counts for.
    Allow(Cost),
    /// A rule denies it.
    Deny(Denial),
}

impl Decision {
    /// Whether the answer is yes.
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow(_))
    }
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

/// A cap over a window that slides is reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reached {
    /// How long the window is.
    pub per: Span,
    /// After how long there is room for the same request, if nothing else comes; `None`: never, for
    /// it is more than the cap by itself.
    pub wait: Option<Duration>,
}

/// Why a request is denied.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Denial {
    /// A withdrawal goes to an address that the scope does not list.
    AddressNotAllowed(Outside),
    /// More of an asset would leave than the scope allows in 24 hours.
    AmountCapReached(Reached),
    /// A cap that counts, over a signature that the vault cannot count.
    CapNotEnforceable(Outside),
    /// No scope can grant the operation's class.
    ClassNotGrantable(Outside),
    /// The scope does not grant the operation's class.
    ClassNotGranted(Outside),
    /// The address is not in the client's own networks.
    ClientNetworkNotAllowed,
    /// The address is in a country that the scope does not list.
    CountryNotAllowed,
    /// The scope lists countries, and nobody knows that of the address.
    CountryUnknown,
    /// The scope does not grant the credential.
    CredentialNotGranted,
    /// A client order id was there already, or is there twice.
    DuplicateClientOrderId,
    /// The same order was there already.
    DuplicateOrder,
    /// The operation touches every product, or nobody knows which.
    EveryProductNotGranted(Outside),
    /// The operation touches every symbol, or nobody knows which.
    EverySymbolNotGranted(Outside),
    /// Only reads, cancels and what surely reduces a position pass.
    HaltNoNewRisk(Outside),
    /// Nothing passes.
    HaltNothing,
    /// A symbol of the operation is halted.
    HaltSymbol(Outside),
    /// The operation writes outside of the scope's hours.
    HoursClosed(Outside),
    /// An order is for an instrument that no admin approved.
    InstrumentUnknown(Outside),
    /// More leverage is stated than the scope allows.
    LeverageTooHigh(Outside),
    /// A log-on would let orders go without signature, past the scope's rules on orders.
    LogonBypassesCaps(Outside),
    /// A margin mode is stated that the scope does not list.
    MarginModeNotAllowed(Outside),
    /// The scope does not grant the mode.
    ModeNotGranted,
    /// The address is in a denied network.
    NetworkDenied,
    /// The address is in no allowed network.
    NetworkNotAllowed,
    /// More notional than the scope allows in a window.
    NotionalCapReached(Reached),
    /// The orders of the request are worth more than the scope allows.
    NotionalTooLarge(Outside),
    /// An order under a cap on notional that cannot be priced.
    NotionalUnknown(Outside),
    /// More orders could rest than the scope allows.
    OpenOrdersReached,
    /// The scope does not name the operation, whose class is `other`.
    OperationNotGranted(Outside),
    /// More orders than the scope allows in a window.
    OrderRateReached(Reached),
    /// An order is of a type that the scope does not list.
    OrderTypeNotAllowed(Outside),
    /// The operation trades, under rules on orders, and says nothing of its orders.
    OrderUnknown(Outside),
    /// An order is not post-only.
    PostOnlyRequired(Outside),
    /// An order under a price band that no limit price bounds.
    PriceBandUnbounded(Outside),
    /// A limit or trigger price is too far from the reference price.
    PriceOutsideBand(Outside),
    /// A rule needs a reference price, and there is no fresh one.
    PriceStale(Outside, Pair),
    /// The scope does not grant a product of the operation.
    ProductNotGranted(Outside),
    /// An order is larger than the scope allows for its symbol.
    QuantityTooLarge(Outside),
    /// Nobody can say how large an order is.
    QuantityUnknown(Outside),
    /// An order may open a position.
    ReduceOnlyRequired(Outside),
    /// The operation writes, and its schema is not sourced.
    SchemaNotSourced(Outside),
    /// The scope does not grant a symbol of the operation.
    SymbolNotGranted(Outside),
    /// An order stays as long as the scope does not allow.
    TimeInForceNotAllowed(Outside),
    /// A withdrawal does not say what goes where.
    WithdrawalUnknown(Outside),
}

impl Denial {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::AddressNotAllowed(_) => "ADDRESS_NOT_ALLOWED",
            Self::AmountCapReached(_) => "AMOUNT_CAP_REACHED",
            Self::CapNotEnforceable(_) => "CAP_NOT_ENFORCEABLE",
            Self::ClassNotGrantable(_) => "CLASS_NOT_GRANTABLE",
            Self::ClassNotGranted(_) => "CLASS_NOT_GRANTED",
            Self::ClientNetworkNotAllowed => "CLIENT_NETWORK_NOT_ALLOWED",
            Self::CountryNotAllowed => "COUNTRY_NOT_ALLOWED",
            Self::CountryUnknown => "COUNTRY_UNKNOWN",
            Self::CredentialNotGranted => "CREDENTIAL_NOT_GRANTED",
            Self::DuplicateClientOrderId => "DUPLICATE_CLIENT_ORDER_ID",
            Self::DuplicateOrder => "DUPLICATE_ORDER",
            Self::EveryProductNotGranted(_) => "EVERY_PRODUCT_NOT_GRANTED",
            Self::EverySymbolNotGranted(_) => "EVERY_SYMBOL_NOT_GRANTED",
            Self::HaltNoNewRisk(_) => "HALT_NO_NEW_RISK",
            Self::HaltNothing => "HALT_NOTHING",
            Self::HaltSymbol(_) => "HALT_NOTHING",
            Self::HoursClosed(_) => "HOURS_CLOSED",
            Self::InstrumentUnknown(_) => "INSTRUMENT_UNKNOWN",
            Self::LeverageTooHigh(_) => "LEVERAGE_TOO_HIGH",
            Self::LogonBypassesCaps(_) => "LOGON_BYPASSES_CAPS",
            Self::MarginModeNotAllowed(_) => "MARGIN_MODE_NOT_ALLOWED",
            Self::ModeNotGranted => "MODE_NOT_GRANTED",
            Self::NetworkDenied => "NETWORK_DENIED",
            Self::NetworkNotAllowed => "NETWORK_NOT_ALLOWED",
            Self::NotionalCapReached(_) => "NOTIONAL_CAP_REACHED",
            Self::NotionalTooLarge(_) => "NOTIONAL_TOO_LARGE",
            Self::NotionalUnknown(_) => "NOTIONAL_UNKNOWN",
            Self::OpenOrdersReached => "OPEN_ORDERS_REACHED",
            Self::OperationNotGranted(_) => "OPERATION_NOT_GRANTED",
            Self::OrderRateReached(_) => "ORDER_RATE_REACHED",
            Self::OrderTypeNotAllowed(_) => "ORDER_TYPE_NOT_ALLOWED",
            Self::OrderUnknown(_) => "ORDER_UNKNOWN",
            Self::PostOnlyRequired(_) => "POST_ONLY_REQUIRED",
            Self::PriceBandUnbounded(_) => "PRICE_BAND_UNBOUNDED",
            Self::PriceOutsideBand(_) => "PRICE_OUTSIDE_BAND",
            Self::PriceStale(..) => "PRICE_STALE",
            Self::ProductNotGranted(_) => "PRODUCT_NOT_GRANTED",
            Self::QuantityTooLarge(_) => "QUANTITY_TOO_LARGE",
            Self::QuantityUnknown(_) => "QUANTITY_UNKNOWN",
            Self::ReduceOnlyRequired(_) => "REDUCE_ONLY_REQUIRED",
            Self::SchemaNotSourced(_) => "SCHEMA_NOT_SOURCED",
            Self::SymbolNotGranted(_) => "SYMBOL_NOT_GRANTED",
            Self::TimeInForceNotAllowed(_) => "TIME_IN_FORCE_NOT_ALLOWED",
            Self::WithdrawalUnknown(_) => "WITHDRAWAL_UNKNOWN",
        }
    }

    /// The operation outside the scope, where the denial is about one.
    pub fn outside(&self) -> Option<&Outside> {
        match self {
            Self::AddressNotAllowed(outside)
            | Self::CapNotEnforceable(outside)
            | Self::ClassNotGrantable(outside)
            | Self::ClassNotGranted(outside)
            | Self::EveryProductNotGranted(outside)
            | Self::EverySymbolNotGranted(outside)
            | Self::HaltNoNewRisk(outside)
            | Self::HaltSymbol(outside)
            | Self::HoursClosed(outside)
            | Self::InstrumentUnknown(outside)
            | Self::LeverageTooHigh(outside)
            | Self::LogonBypassesCaps(outside)
            | Self::MarginModeNotAllowed(outside)
            | Self::NotionalTooLarge(outside)
            | Self::NotionalUnknown(outside)
            | Self::OperationNotGranted(outside)
            | Self::OrderTypeNotAllowed(outside)
            | Self::OrderUnknown(outside)
            | Self::PostOnlyRequired(outside)
            | Self::PriceBandUnbounded(outside)
            | Self::PriceOutsideBand(outside)
            | Self::PriceStale(outside, _)
            | Self::ProductNotGranted(outside)
            | Self::QuantityTooLarge(outside)
            | Self::QuantityUnknown(outside)
            | Self::ReduceOnlyRequired(outside)
            | Self::SchemaNotSourced(outside)
            | Self::SymbolNotGranted(outside)
            | Self::TimeInForceNotAllowed(outside)
            | Self::WithdrawalUnknown(outside) => Some(outside),
            Self::AmountCapReached(_)
            | Self::ClientNetworkNotAllowed
            | Self::CountryNotAllowed
            | Self::CountryUnknown
            | Self::CredentialNotGranted
            | Self::DuplicateClientOrderId
            | Self::DuplicateOrder
            | Self::HaltNothing
            | Self::ModeNotGranted
            | Self::NetworkDenied
            | Self::NetworkNotAllowed
            | Self::NotionalCapReached(_)
            | Self::OpenOrdersReached
            | Self::OrderRateReached(_) => None,
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
            Self::AddressNotAllowed(_) => {
                "the scope lists the addresses to which value may go, each for its venue and asset"
            }
            Self::AmountCapReached(_) => {
                "the scope allows so much of an asset in 24 hours, and none of one that it does not list"
            }
            Self::CapNotEnforceable(_) => {
                "a cap that counts holds over a signature only where the venue takes it once and every order states a deadline, at most 60 s ahead (Kraken); Execute may serve the request"
            }
            Self::ClassNotGrantable(_) => {
                "no scope can grant keys, and withdraw only beside a table of withdrawals"
            }
            Self::ClassNotGranted(_) => "the scope does not grant this class",
            Self::ClientNetworkNotAllowed => "the client's own networks do not include the address",
            Self::CountryNotAllowed => "the scope does not allow the country of the address",
            Self::CountryUnknown => {
                "the scope allows countries by name, and the vault's database does not know that of the address"
            }
            Self::CredentialNotGranted => "the scope does not grant this credential",
            Self::DuplicateClientOrderId => {
                "the client order id was used already: use a new one, or look what became of the order"
            }
            Self::DuplicateOrder => {
                "the same order was sent already: look what became of it, or wait until the scope's interval is over"
            }
            Self::EveryProductNotGranted(_) => {
                "the request does not say which product it touches, so the scope must grant \"*\""
            }
            Self::EverySymbolNotGranted(_) => {
                "the request does not say which symbol it touches, so the scope must grant \"*\""
            }
            Self::HaltNoNewRisk(_) => {
                "halted: only reads, cancels and orders that surely reduce a position pass until an admin resumes"
            }
            Self::HaltNothing => "halted: nothing passes until an admin resumes",
            Self::HaltSymbol(_) => {
                "a symbol that is touched is halted: nothing but reads passes until an admin resumes"
            }
            Self::HoursClosed(_) => {
                "outside of the scope's weekly hours only reads and cancels pass"
            }
            Self::InstrumentUnknown(_) => {
                "an admin imports the venue's instruments: vaultctl instrument import"
            }
            Self::LeverageTooHigh(_) => "state at most the leverage that the scope allows",
            Self::LogonBypassesCaps(_) => {
                "a log-on lets orders go unsigned, so no scope with rules on orders or caps grants one"
            }
            Self::MarginModeNotAllowed(_) => "use a margin mode that the scope lists",
            Self::ModeNotGranted => "the scope does not grant this way to the venue",
            Self::NetworkDenied => "the scope denies the network of the address",
            Self::NetworkNotAllowed => "the scope does not allow the network of the address",
            Self::NotionalCapReached(_) => "the scope allows so much notional in any such window",
            Self::NotionalTooLarge(_) => {
                "the orders together are judged at the worst price they could fill at: make them smaller, or set a limit"
            }
            Self::NotionalUnknown(_) => {
                "under a cap on notional an order states its type, its size and, where it has them, limit and trigger; amendments state price and size"
            }
            Self::OpenOrdersReached => {
                "cancel orders that rest at the venue, or send one that cannot rest"
            }
            Self::OperationNotGranted(_) => "the scope must grant this operation by its name",
            Self::OrderRateReached(_) => "the scope allows so many orders in any such window",
            Self::OrderTypeNotAllowed(_) => "use an order type that the scope lists, and state it",
            Self::OrderUnknown(_) => {
                "the scope has rules on orders, and the request does not say what it orders"
            }
            Self::PostOnlyRequired(_) => "the scope wants every order post-only",
            Self::PriceBandUnbounded(_) => "under a price band an order states a limit price",
            Self::PriceOutsideBand(_) => {
                "state limit and trigger prices nearer to the reference price"
            }
            Self::PriceStale(..) => "a pricer puts the reference price that is missing",
            Self::ProductNotGranted(_) => "the scope does not grant a product that is touched",
            Self::QuantityTooLarge(_) => {
                "the scope has a largest order for each symbol, and none for one that it does not list"
            }
            Self::QuantityUnknown(_) => {
                "under a largest quantity every order and amendment states its size"
            }
            Self::ReduceOnlyRequired(_) => {
                "the scope wants every order reduce-only, at a product where the venue heeds that"
            }
            Self::SchemaNotSourced(_) => "the catalogue does not know this operation well enough",
            Self::SymbolNotGranted(_) => "the scope does not grant a symbol that is touched",
            Self::TimeInForceNotAllowed(_) => {
                "use a time in force that the scope lists; none stated counts as GTC"
            }
            Self::WithdrawalUnknown(_) => "a withdrawal states asset, amount and address",
        }
    }

    /// [`Denial::hint`] with what is known beyond the words: which price is missing, how long to
    /// wait.
    pub fn advice(&self) -> String {
        let hint = self.hint();
        match self {
            Self::PriceStale(_, pair) => format!("{hint}: {pair}"),
            Self::AmountCapReached(reached)
            | Self::NotionalCapReached(reached)
            | Self::OrderRateReached(reached) => match reached.wait {
                Some(wait) => {
                    // Rounded up: who waits so long finds room.
                    let seconds = wait.as_micros().div_ceil(1_000_000);
                    format!("{hint} ({}): wait {seconds} s", reached.per)
                }
                None => format!("{hint} ({}): this request alone is more", reached.per),
            },
            _ => hint.to_owned(),
        }
    }

    /// After how long the same request may pass, where waiting helps and it is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::AmountCapReached(reached)
            | Self::NotionalCapReached(reached)
            | Self::OrderRateReached(reached) => reached.wait,
            _ => None,
        }
    }
}
