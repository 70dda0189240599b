//! What was read in a request: intents, and the closure they come from.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::class::{UnknownWord, words};
use crate::{Class, Product, Timestamp};

words! {
    /// Which way an order goes.
    Side {
        /// Buys.
        Buy = "buy",
        /// Sells.
        Sell = "sell",
    }
}

words! {
    /// The vault's own words for order types.
    OrderType {
        /// At a price or better.
        Limit = "LIMIT",
        /// At a price, never taking: post-only.
        LimitMaker = "LIMIT_MAKER",
        /// At any price.
        Market = "MARKET",
        /// None of these.
        Other = "OTHER",
        /// A market order behind a trigger.
        Stop = "STOP",
        /// A limit order behind a trigger.
        StopLimit = "STOP_LIMIT",
        /// A market order behind a profit trigger.
        TakeProfit = "TAKE_PROFIT",
        /// A limit order behind a profit trigger.
        TakeProfitLimit = "TAKE_PROFIT_LIMIT",
        /// A trigger that follows the price.
        TrailingStop = "TRAILING_STOP",
    }
}

impl OrderType {
    /// Whether it fills at its limit or better, sooner or later.
    pub fn has_limit(self) -> bool {
        matches!(self, Self::Limit | Self::LimitMaker | Self::StopLimit | Self::TakeProfitLimit)
    }
}

words! {
    /// How long an order stays.
    TimeInForce {
        /// Until the end of the day.
        Day = "DAY",
        /// All at once or not at all.
        Fok = "FOK",
        /// Until cancelled.
        Gtc = "GTC",
        /// Until a date.
        Gtd = "GTD",
        /// Never taking.
        Gtx = "GTX",
        /// At once, the rest cancelled.
        Ioc = "IOC",
    }
}

words! {
    /// How a position is secured.
    MarginMode {
        /// With nothing borrowed.
        Cash = "cash",
        /// By everything in the account.
        Cross = "cross",
        /// By what is set aside for it.
        Isolated = "isolated",
    }
}

/// One order in a request. Decimals are exact texts that match `^-?[0-9]{1,18}(\.[0-9]{1,18})?$`.
/// What the request does not say is absent.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Leg {
    /// Product; absent when no rule of the catalogue matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<Product>,
    /// Instrument as the venue writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symbol: Option<String>,
    /// Side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub side: Option<Side>,
    /// Order type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub order_type: Option<OrderType>,
    /// Time in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tif: Option<TimeInForce>,
    /// Quantity, in the venue's unit for the instrument.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity: Option<String>,
    /// Quantity in the quote currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quote_quantity: Option<String>,
    /// Limit price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<String>,
    /// Trigger price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger_price: Option<String>,
    /// Whether it may only reduce a position.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reduce_only: Option<bool>,
    /// Whether it never takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post_only: Option<bool>,
    /// Leverage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leverage: Option<String>,
    /// Margin mode. Not written with the rest: an entry of the log has it in its `detail`.
    #[serde(skip)]
    pub margin_mode: Option<MarginMode>,
    /// Whether it changes an order that is there (by that order's id), and so keeps what it does not
    /// say. Not written: an entry's operation says it.
    #[serde(skip)]
    pub amends: bool,
    /// Until when the venue takes the order, not how long it stays there then. Not written: the time
    /// of an entry is later than that soon.
    #[serde(skip)]
    pub deadline: Option<Timestamp>,
}

/// Value that an operation moves. What the request does not say is absent.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Transfer {
    /// What, as the venue writes it.
    pub asset: Option<String>,
    /// How much of it: an exact decimal.
    pub amount: Option<String>,
    /// Where to: an address, or the name under which the venue keeps one.
    pub address: Option<String>,
}

/// Which symbols an operation touches.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Symbols {
    /// All of the venue's: a write or cancel that names none.
    Every,
    /// These, and a read without symbols has an empty list.
    Named(Vec<String>),
}

/// What an operation would do with the parameters of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Intent {
    /// Products it touches; empty for a read without one. Absent: it could touch every product.
    pub products: Option<Vec<Product>>,
    /// Symbols it touches.
    pub symbols: Symbols,
    /// Its orders, in the request's order; empty for what is not an order.
    pub legs: Vec<Leg>,
    /// The client order id, where it has exactly one.
    pub client_order_id: Option<String>,
    /// Every client order id of it, in the request's order.
    pub client_order_ids: Vec<String>,
    /// What it moves, of class `transfer` or `withdraw`; empty if it does not say.
    pub transfers: Vec<Transfer>,
}

/// One operation of a closure, read with its own schema.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    /// `METHOD path`, unique in the catalogue of its venue.
    pub operation: Arc<str>,
    /// Class.
    pub class: Class,
    /// Whether the catalogue sources its schema; a write without cannot be granted.
    pub schema_sourced: bool,
    /// What it would do. Operations that would do the same share one; a member's fields are its own
    /// again as soon as one is changed.
    pub intent: Arc<Intent>,
}

impl Deref for Member {
    type Target = Intent;

    fn deref(&self) -> &Intent {
        &self.intent
    }
}

impl DerefMut for Member {
    fn deref_mut(&mut self) -> &mut Intent {
        Arc::make_mut(&mut self.intent)
    }
}

/// What a request is: the operation it states, and everything that its signature would authorise.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reading {
    /// Venue name.
    pub venue: &'static str,
    /// The operation the caller states. It is a member of the closure too.
    pub stated: Member,
    /// Every operation that would accept the signed bytes, sorted by name, the stated one included.
    pub closure: Vec<Member>,
    /// SHA-256 over the names of the closure's operations, each followed by a line feed.
    pub closure_hash: [u8; 32],
    /// SHA-256 of the catalogue file.
    pub catalog_hash: [u8; 32],
}

impl Reading {
    /// The most dangerous operation of the closure: the last by class, then the first by name.
    pub fn widest(&self) -> &Member {
        self.closure.iter().rev().max_by_key(|member| member.class).unwrap_or(&self.stated)
    }
}

#[cfg(test)]
mod tests {
    use super::{Intent, Leg, Member, Reading, Symbols};
    use crate::Class;

    fn member(operation: &str, class: Class) -> Member {
        Member {
            operation: operation.into(),
            class,
            schema_sourced: true,
            intent: Intent {
                products: None,
                symbols: Symbols::Every,
                legs: Vec::new(),
                client_order_id: None,
                client_order_ids: Vec::new(),
                transfers: Vec::new(),
            }
            .into(),
        }
    }

    #[test]
    fn a_change_to_one_member_is_none_to_another() {
        let one = member("A", Class::Trade);
        let mut other = one.clone();
        other.legs.push(Leg::default());
        assert!(one.legs.is_empty() && other.legs.len() == 1);
    }

    #[test]
    fn the_widest_is_the_last_by_class_then_the_first_by_name() {
        let widest = |closure: Vec<Member>| {
            let stated = member("GET /stated", Class::Read);
            let reading = Reading {
                venue: "okx",
                stated,
                closure,
                closure_hash: [0; 32],
                catalog_hash: [0; 32],
            };
            reading.widest().operation.to_string()
        };
        for pair in Class::ALL.windows(2) {
            let both = vec![member("A /wider", pair[1]), member("B /narrower", pair[0])];
            assert_eq!(widest(both.clone()), "A /wider");
            assert_eq!(widest(both.into_iter().rev().collect()), "A /wider");
        }
        let ties = ["A", "B", "C"].map(|name| member(name, Class::Trade));
        assert_eq!(widest(ties.to_vec()), "A");
        assert_eq!(widest(Vec::new()), "GET /stated");
    }
}
