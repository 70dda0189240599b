//! A request that two scopes answer differently.

use std::fmt;
use std::net::IpAddr;

use vault_model::{
    Class, ClockTime, Instrument, Leg, Member, Mode, Money, Name, OrderType, Pair, Reading,
    Timestamp,
};

use crate::denial::Decision;
use crate::document::{Country, HoursDocument, Span};
use crate::history::{History, Spend};
use crate::judge::{Question, judge};
use crate::lattice::week;
use crate::market::Market;
use crate::rule::halt::Halts;
use crate::scope::Scope;

/// A request, and all that an answer to it depends on. It is made up: no client sent it.
#[derive(Clone, Debug)]
pub struct Example {
    /// The credential that is to sign.
    pub credential: Name,
    /// How it is to reach the venue.
    pub mode: Mode,
    /// Where it comes from.
    pub address: IpAddr,
    /// The country of the address.
    pub country: Option<Country>,
    /// When, on the wall clock.
    pub at: Timestamp,
    /// Its venue.
    pub venue: &'static str,
    /// Whether that takes a signature once.
    pub takes_signatures_once: bool,
    /// What it asks for; it is all that its signature would authorise.
    pub member: Member,
    /// The instrument of its order.
    pub instrument: Option<Instrument>,
    /// The reference prices, all of them fresh.
    pub prices: Vec<(Pair, Money)>,
    /// What the client was given before.
    pub before: Option<Before>,
    /// On whose clock the moment is told.
    pub(crate) hours: Option<HoursDocument>,
}

/// What a client was given before a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Before {
    /// How long ago.
    pub ago: Span,
    /// What; its time does not matter.
    pub spend: Spend,
    /// The same for people: `20 orders`.
    pub words: String,
}

/// When examples are judged, on the vault's own clock: later than any window is long.
const CLOCK: ClockTime = ClockTime(100 * 86_400 * 1_000_000);

impl Example {
    /// What a scope answers.
    pub fn judge(&self, scope: &Scope) -> Decision {
        let mut market = Market::default();
        self.instrument.iter().cloned().for_each(|instrument| market.approve(instrument));
        self.prices.iter().cloned().for_each(|(pair, price)| market.set_price(pair, price));
        let mut history = History::default();
        if let Some(before) = &self.before {
            let at = ClockTime(CLOCK.0 - before.ago.as_micros());
            history.add(&Spend { at, ..before.spend.clone() });
        }
        let reading = Reading {
            venue: self.venue,
            stated: self.member.clone(),
            closure: vec![self.member.clone()],
            closure_hash: [0; 32],
            catalog_hash: [0; 32],
        };
        judge(&Question {
            // Scopes do not know who holds them.
            client: &self.credential,
            credential: &self.credential,
            mode: self.mode,
            address: self.address,
            reading: &reading,
            scope,
            client_networks: &[],
            halts: &Halts::default(),
            market: &market,
            history: &history,
            withdrawn: &history,
            now: self.at,
            steady_now: self.at,
            clock: CLOCK,
            country: self.country,
            takes_signatures_once: self.takes_signatures_once,
        })
    }

    /// What it asks for: `buy 0.5 BTC-USDT (spot)`, `a read`.
    fn subject(&self) -> String {
        let member = &self.member;
        let what = || match member.symbols {
            vault_model::Symbols::Every => String::new(),
            vault_model::Symbols::Named(ref symbols) => match symbols.first() {
                Some(symbol) => format!(" of {symbol}"),
                None => String::new(),
            },
        };
        let product = match member.products.as_deref() {
            Some([product, ..]) => format!(" ({product})"),
            _ => String::new(),
        };
        match (member.class, member.legs.first(), member.transfers.first()) {
            (Class::Trade, Some(leg), _) => format!("{}{product}", order(leg)),
            (Class::Account, Some(leg), _) => format!("set {}{}{product}", setting(leg), what()),
            (Class::Withdraw, _, Some(transfer)) => {
                let part = |text: &Option<String>| text.clone().unwrap_or_default();
                format!(
                    "withdraw {} {} to {}",
                    part(&transfer.amount),
                    part(&transfer.asset),
                    part(&transfer.address)
                )
            }
            (Class::Other, ..) => member.operation.to_string(),
            (Class::Public | Class::Read, ..) => format!("a request of class {}", member.class),
            (class, ..) => format!("a request of class {class}{}{product}", what()),
        }
    }
}

impl fmt::Display for Example {
    /// In a line: `buy 0.5 BTC-USDT (spot) at okx, limit 60000, GTC, by sign ...`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = vec![format!("{} at {}", self.subject(), self.venue)];
        if let Some(leg) = self.member.legs.first().filter(|_| self.member.class == Class::Trade) {
            parts.extend(details(leg));
        }
        parts.push(format!("by {} with {}", self.mode, self.credential));
        parts.push(match self.country {
            Some(country) => format!("from {} ({country})", self.address),
            None => format!("from {}", self.address),
        });
        parts.push(format!("on {}", week::words(self.hours.as_ref(), self.at)));
        f.write_str(&parts.join(", "))?;
        if let Some(before) = &self.before {
            write!(f, "; {} ago: {}", before.ago, before.words)?;
        }
        if !self.prices.is_empty() {
            let prices = self.prices.iter().map(|(pair, price)| format!("{pair} at {price}"));
            write!(f, "; {}", prices.collect::<Vec<_>>().join(", "))?;
        }
        Ok(())
    }
}

fn order(leg: &Leg) -> String {
    let side = leg.side.map_or("order", vault_model::Side::as_str);
    let quantity = leg.quantity.as_deref().unwrap_or("some");
    format!("{side} {quantity} {}", leg.symbol.as_deref().unwrap_or_default())
}

fn setting(leg: &Leg) -> String {
    match (&leg.leverage, leg.margin_mode) {
        (Some(leverage), _) => format!("leverage {leverage}"),
        (None, Some(mode)) => format!("margin mode {mode}"),
        (None, None) => "something".to_owned(),
    }
}

fn details(leg: &Leg) -> Vec<String> {
    let mut parts = Vec::new();
    let flag = |flag: Option<bool>, word: &str| (flag == Some(true)).then(|| word.to_owned());
    match leg.order_type {
        Some(OrderType::Limit) => {}
        Some(other) => parts.push(other.to_string()),
        None => {}
    }
    parts.extend(leg.price.as_ref().map(|price| format!("limit {price}")));
    parts.extend(leg.trigger_price.as_ref().map(|price| format!("trigger {price}")));
    parts.extend(leg.tif.map(|tif| tif.to_string()));
    parts.extend(flag(leg.reduce_only, "reduce-only"));
    parts.extend(flag(leg.post_only, "post-only"));
    parts.extend(leg.leverage.as_ref().map(|leverage| format!("leverage {leverage}")));
    parts.extend(leg.margin_mode.map(|mode| format!("{mode} margin")));
    parts
}
