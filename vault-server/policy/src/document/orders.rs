//! What orders may be like, what they may cost, and how much of them there may be.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use vault_model::{Asset, MarginMode, Money, Name, OrderType, TimeInForce};

use super::Span;
use crate::rule::symbol::Symbol;

/// What every order must be like. What is absent is not restricted.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct OrdersDocument {
    /// Order types; an empty list allows no order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub types: Option<BTreeSet<OrderType>>,
    /// Times in force. An order that states none is not restricted by this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_in_force: Option<BTreeSet<TimeInForce>>,
    /// Whether every order must carry the venue's reduce-only flag.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reduce_only: bool,
    /// Whether every order must be post-only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub post_only: bool,
    /// The largest order by venue and symbol, in the base asset; a symbol that is not listed gets
    /// none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_quantity: Option<BTreeMap<Name, BTreeMap<Symbol, Money>>>,
    /// The largest notional of one request, all its orders together, in USD.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_notional_usd: Option<Money>,
    /// How far a price may be from the reference price, as a fraction of it, either way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_band: Option<Money>,
    /// The largest leverage that an order or setting may say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_leverage: Option<Money>,
    /// The margin modes that an order or setting may say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin_modes: Option<BTreeSet<MarginMode>>,
}

/// How orders are turned into USD.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct PricingDocument {
    /// Assets that count as one USD each.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub usd_par: BTreeSet<Asset>,
    /// How far beyond the reference price an order without a limit is taken to fill, as a fraction
    /// of it. Absent: [`PricingDocument::SLIPPAGE`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slippage: Option<Money>,
}

impl PricingDocument {
    /// The slippage of a scope that says none: 5 %.
    pub fn slippage_or_default(&self) -> Money {
        self.slippage.unwrap_or_else(|| {
            let twenty = Money::whole(20);
            // 1/20, exactly.
            debug_assert_eq!(
                Self::SLIPPAGE.parse::<Money>().map(|s| s.checked_mul(twenty)),
                Ok(Some(Money::ONE))
            );
            Self::SLIPPAGE.parse().unwrap_or(Money::ONE)
        })
    }

    /// What [`PricingDocument::slippage`] is if it is absent.
    pub const SLIPPAGE: &'static str = "0.05";
}

/// How much there may be in a window that slides.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct CumulativeDocument {
    /// Notional.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notional_usd: Vec<NotionalCap>,
    /// Orders; every order of a batch counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<OrderCap>,
    /// Orders that may rest at the venue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_orders: Option<u64>,
}

/// At most so much notional in any span of this length.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(deny_unknown_fields)]
pub struct NotionalCap {
    /// How long the window is.
    pub per: Span,
    /// In USD.
    pub at_most: Money,
}

/// At most so many orders in any span of this length.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OrderCap {
    /// How long the window is.
    pub per: Span,
    /// How many.
    pub at_most: u64,
}

/// What is refused because it was there already.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct DuplicatesDocument {
    /// For how long a client order id may not come again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_order_id: Option<Span>,
    /// For how long the same order may not come again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<Span>,
}

/// Where value may go. Without it, nowhere.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct WithdrawalDocument {
    /// Exact addresses, or the names under which the venue keeps them.
    pub addresses: BTreeSet<WithdrawalAddress>,
    /// The largest amount of an asset in any 24 hours; an asset that is not listed cannot be
    /// withdrawn.
    pub per_day: BTreeSet<AmountCap>,
}

/// An address at a venue.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(deny_unknown_fields)]
pub struct WithdrawalAddress {
    /// The venue that sends.
    pub venue: Name,
    /// As the venue writes it.
    pub asset: String,
    /// As the request has it.
    pub address: String,
}

/// At most so much of an asset.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AmountCap {
    /// The venue that sends.
    pub venue: Name,
    /// As the venue writes it.
    pub asset: String,
    /// In units of the asset.
    pub at_most: Money,
}
