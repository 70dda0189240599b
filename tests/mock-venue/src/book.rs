//! What an account holds: open orders, the latest closed ones, and balances.
//!
//! Nothing ever matches: a limit order rests until it is cancelled and keeps its funds locked, a
//! market order is filled at once at the price of [`last_price`]. Only spot orders in the assets
//! of [`ASSETS`] move balances.

use std::collections::{HashSet, VecDeque};

use serde_json::{Map, Value};

use crate::account::text;
use crate::amount::Amount;
use crate::powers::KeyPowers;

/// The assets of every account, what it starts with, and their price in dollars.
pub(crate) const ASSETS: &[(&str, i64, i64)] = &[
    ("BTC", 10_000, 60_000),
    ("ETH", 100_000, 3_000),
    ("USD", 1_000_000_000, 1),
    ("USDC", 1_000_000_000, 1),
    ("USDT", 1_000_000_000, 1),
];
const CLOSED_MAX: usize = 1_000;

/// The orders and balances of one account.
pub(crate) struct Book {
    open: Vec<Order>,
    /// The latest that were cancelled or filled, oldest first.
    closed: VecDeque<Order>,
    /// Market and client order id of every open order that has one.
    names: HashSet<(&'static str, String)>,
    purses: Vec<Purse>,
    serial: u64,
    /// Orders as they were left by what changed them, until somebody is told.
    changes: Vec<Order>,
    /// Listen keys and tokens by what they are for, the newest last.
    passes: Vec<(&'static str, String)>,
    /// What the key may do.
    pub(crate) powers: KeyPowers,
}

/// What an account holds of one asset.
pub(crate) struct Purse {
    pub(crate) asset: &'static str,
    pub(crate) free: Amount,
    pub(crate) locked: Amount,
}

/// One order: the venue's id and the parameters it was placed with.
#[derive(Clone)]
pub(crate) struct Order {
    pub(crate) id: String,
    /// Its owner's name for it; empty if it has none.
    pub(crate) client_id: String,
    /// Which of the venue's markets it rests in; empty where the venue has one.
    pub(crate) market: &'static str,
    pub(crate) fields: Map<String, Value>,
    pub(crate) placed_ms: i64,
    pub(crate) state: State,
    /// What it exchanges, where that moves balances.
    pub(crate) trade: Option<Trade>,
}

/// How far an order is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum State {
    Open,
    Cancelled,
    Filled,
}

/// An exchange of one asset for another.
#[derive(Clone, Copy)]
pub(crate) struct Trade {
    pub(crate) base: &'static str,
    pub(crate) quote: &'static str,
    pub(crate) buys: bool,
    pub(crate) size: Amount,
    pub(crate) price: Amount,
}

/// The account does not have what the order needs.
pub(crate) struct Insufficient;

impl Book {
    /// An account that has placed nothing yet; its numbers follow `serial`.
    pub(crate) fn new(serial: u64, powers: KeyPowers) -> Self {
        let purse = |&(asset, units, _): &(&'static str, i64, i64)| Purse {
            asset,
            free: Amount::units(units),
            locked: Amount::default(),
        };
        Self {
            open: Vec::new(),
            closed: VecDeque::new(),
            names: HashSet::new(),
            purses: ASSETS.iter().map(purse).collect(),
            serial,
            changes: Vec::new(),
            passes: Vec::new(),
            powers,
        }
    }

    /// Returns a number that no other account of this server gets.
    pub(crate) fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// Returns such a number in the shape of a UUID.
    pub(crate) fn next_uuid(&mut self) -> String {
        let serial = self.next_serial();
        format!("{:08x}-0000-4000-8000-{:012x}", serial >> 32, serial & 0xffff_ffff)
    }

    /// Takes out what has changed since it was last asked for, oldest first.
    pub(crate) fn take_changes(&mut self) -> Vec<Order> {
        std::mem::take(&mut self.changes)
    }

    /// Keeps a text that opens a stream of this account.
    pub(crate) fn add_pass(&mut self, purpose: &'static str, pass: String) {
        self.passes.push((purpose, pass));
    }

    /// The newest text for a purpose.
    pub(crate) fn pass(&self, purpose: &str) -> Option<&str> {
        let newest = self.passes.iter().rev().find(|(known, _)| *known == purpose);
        newest.map(|(_, pass)| pass.as_str())
    }

    /// What a text is for, if it opens anything.
    pub(crate) fn purpose(&self, pass: &str) -> Option<&'static str> {
        self.passes.iter().find(|(_, known)| known == pass).map(|(purpose, _)| *purpose)
    }

    /// Forgets all texts for a purpose.
    pub(crate) fn drop_passes(&mut self, purpose: &str) {
        self.passes.retain(|(known, _)| *known != purpose);
    }

    /// The open orders, oldest first.
    pub(crate) fn open(&self) -> &[Order] {
        &self.open
    }

    /// All balances.
    pub(crate) fn purses(&self) -> &[Purse] {
        &self.purses
    }

    /// Whether an open order of this market has that name.
    pub(crate) fn is_taken(&self, market: &'static str, client_id: &str) -> bool {
        !client_id.is_empty() && self.names.contains(&(market, client_id.to_owned()))
    }

    /// Takes an order in: locks its funds, or moves them if it is filled.
    pub(crate) fn place(&mut self, order: Order) -> Result<&Order, Insufficient> {
        if let Some(trade) = order.trade {
            let (asset, amount) = trade.gives();
            if self.purse(asset).is_some_and(|purse| purse.free < amount) {
                return Err(Insufficient);
            }
            match order.state {
                State::Open => self.lock(&trade, amount),
                State::Filled => self.fill(&trade),
                State::Cancelled => {}
            }
        }
        self.changes.push(order.clone());
        if order.state == State::Open {
            if !order.client_id.is_empty() {
                self.names.insert((order.market, order.client_id.clone()));
            }
            self.open.push(order);
            return Ok(&self.open[self.open.len() - 1]);
        }
        Ok(self.keep(order))
    }

    /// Where the first open order is that `matches`.
    pub(crate) fn position(&self, matches: impl Fn(&Order) -> bool) -> Option<usize> {
        self.open.iter().position(matches)
    }

    /// The latest order that `matches`, open or closed.
    pub(crate) fn find(&self, matches: impl Fn(&Order) -> bool) -> Option<&Order> {
        let open = self.open.iter().rev().find(|order| matches(order));
        open.or_else(|| self.closed.iter().rev().find(|order| matches(order)))
    }

    /// Changes parameters of an open order; its price and size count anew.
    pub(crate) fn amend(&mut self, index: usize, change: impl FnOnce(&mut Order)) -> &Order {
        self.unlock(index);
        change(&mut self.open[index]);
        if let Some(trade) = self.open[index].trade {
            let (_, amount) = trade.gives();
            self.lock(&trade, amount);
        }
        self.changes.push(self.open[index].clone());
        &self.open[index]
    }

    /// Cancels one open order.
    pub(crate) fn cancel(&mut self, index: usize) -> &Order {
        self.unlock(index);
        let mut order = self.open.remove(index);
        order.state = State::Cancelled;
        self.names.remove(&(order.market, order.client_id.clone()));
        self.changes.push(order.clone());
        self.keep(order)
    }

    /// Cancels every open order that `matches`.
    pub(crate) fn cancel_all(&mut self, matches: impl Fn(&Order) -> bool) -> Vec<Order> {
        let mut gone = Vec::new();
        while let Some(index) = self.position(&matches) {
            gone.push(self.cancel(index).clone());
        }
        gone
    }

    /// Takes an amount out of the account.
    pub(crate) fn withdraw(&mut self, asset: &str, amount: Amount) -> Result<(), Insufficient> {
        match self.purses.iter_mut().find(|purse| purse.asset == asset) {
            Some(purse) if purse.free < amount => Err(Insufficient),
            Some(purse) => {
                purse.free = purse.free - amount;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn purse(&mut self, asset: &str) -> Option<&mut Purse> {
        self.purses.iter_mut().find(|purse| purse.asset == asset)
    }

    fn lock(&mut self, trade: &Trade, amount: Amount) {
        if let Some(purse) = self.purse(trade.gives().0) {
            purse.free = purse.free - amount;
            purse.locked = purse.locked + amount;
        }
    }

    fn unlock(&mut self, index: usize) {
        if let Some(trade) = self.open[index].trade {
            let (asset, amount) = trade.gives();
            if let Some(purse) = self.purse(asset) {
                purse.free = purse.free + amount;
                purse.locked = purse.locked - amount;
            }
        }
    }

    fn fill(&mut self, trade: &Trade) {
        let ((given, out), (taken, into)) = (trade.gives(), trade.takes());
        if let Some(purse) = self.purse(given) {
            purse.free = purse.free - out;
        }
        if let Some(purse) = self.purse(taken) {
            purse.free = purse.free + into;
        }
    }

    fn keep(&mut self, order: Order) -> &Order {
        if self.closed.len() == CLOSED_MAX {
            self.closed.pop_front();
        }
        self.closed.push_back(order);
        &self.closed[self.closed.len() - 1]
    }
}

impl Order {
    /// The text of a parameter; empty if it is absent or not text.
    pub(crate) fn text(&self, name: &str) -> &str {
        text(&self.fields, name)
    }

    /// What is filled so far, and what that cost; zero for both while it is open.
    pub(crate) fn filled(&self) -> (Amount, Amount) {
        match self.trade {
            Some(trade) if self.state == State::Filled => {
                (trade.size, trade.size.times(trade.price))
            }
            _ => (Amount::default(), Amount::default()),
        }
    }
}

impl Trade {
    /// A trade in the given assets; `None` where either is not of [`ASSETS`]. Without a price it is
    /// [`last_price`], without a size as much as the cost pays for.
    pub(crate) fn new(
        (base, quote): (&str, &str),
        buys: bool,
        size: Option<Amount>,
        cost: Option<Amount>,
        price: Option<Amount>,
    ) -> Option<Self> {
        let known = |name| ASSETS.iter().map(|(asset, ..)| *asset).find(|asset| *asset == name);
        let (base, quote) = (known(base)?, known(quote)?);
        let price = price.unwrap_or_else(|| last_price(base, quote));
        let size = size.or_else(|| cost.map(|cost| cost.over(price)))?;
        Some(Self { base, quote, buys, size, price })
    }

    fn gives(&self) -> (&'static str, Amount) {
        if self.buys { (self.quote, self.size.times(self.price)) } else { (self.base, self.size) }
    }

    fn takes(&self) -> (&'static str, Amount) {
        let other = Self { buys: !self.buys, ..*self };
        other.gives()
    }
}

/// Splits `BTCUSDT` into base and quote.
pub(crate) fn pair(symbol: &str) -> Option<(&str, &str)> {
    // The longest first: USDT ends in no other asset, USD is in USDT.
    ["USDT", "USDC", "USD", "BTC"]
        .iter()
        .find_map(|quote| symbol.strip_suffix(quote).map(|base| (base, *quote)))
}

/// What one unit of `base` costs in `quote`; zero for assets that are not of [`ASSETS`].
pub(crate) fn last_price(base: &str, quote: &str) -> Amount {
    let dollars = |name: &str| {
        let asset = ASSETS.iter().find(|(asset, ..)| *asset == name);
        asset.map(|(_, _, dollars)| Amount::units(*dollars)).unwrap_or_default()
    };
    dollars(base).over(dollars(quote))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(state: State, buys: bool, size: &str, price: Option<&str>) -> Order {
        let amount = |text| Amount::parse(text);
        Order {
            id: "1".to_owned(),
            client_id: "mine".to_owned(),
            market: "",
            fields: Map::new(),
            placed_ms: 0,
            state,
            trade: Trade::new(("BTC", "USD"), buys, amount(size), None, price.and_then(amount)),
        }
    }

    fn balances(book: &mut Book, asset: &str) -> (String, String) {
        let purse = book.purse(asset).expect("asset");
        (purse.free.to_string(), purse.locked.to_string())
    }

    fn texts(free: &str, locked: &str) -> (String, String) {
        (free.to_owned(), locked.to_owned())
    }

    #[test]
    fn an_open_order_locks_what_it_gives_until_it_is_cancelled() {
        let mut book = Book::new(0, KeyPowers::trading(crate::Venue::Kraken));
        assert!(book.place(order(State::Open, true, "2", Some("50000"))).is_ok());
        assert!(book.place(order(State::Open, false, "3", Some("70000"))).is_ok());
        assert_eq!(balances(&mut book, "USD"), texts("999900000", "100000"));
        assert_eq!(balances(&mut book, "BTC"), texts("9997", "3"));
        assert!(book.is_taken("", "mine") && !book.is_taken("spot", "mine"));

        assert_eq!(book.cancel_all(|_| true).len(), 2);
        assert_eq!(balances(&mut book, "USD"), texts("1000000000", "0"));
        assert_eq!(balances(&mut book, "BTC"), texts("10000", "0"));
        assert!(!book.is_taken("", "mine"));
        assert!(book.find(|order| order.state == State::Cancelled).is_some());
    }

    #[test]
    fn a_filled_order_exchanges_at_the_last_price() {
        let mut book = Book::new(0, KeyPowers::trading(crate::Venue::Kraken));
        assert!(book.place(order(State::Filled, true, "2", None)).is_ok());
        assert_eq!(balances(&mut book, "USD"), texts("999880000", "0"));
        assert_eq!(balances(&mut book, "BTC"), texts("10002", "0"));
        let cost = Trade::new(("ETH", "USDT"), true, None, Amount::parse("6000"), None);
        assert_eq!(cost.expect("trade").size, Amount::units(2));
    }

    #[test]
    fn nobody_gives_what_they_do_not_have() {
        let mut book = Book::new(0, KeyPowers::trading(crate::Venue::Kraken));
        assert!(book.place(order(State::Open, false, "10000.1", Some("1"))).is_err());
        assert!(book.place(order(State::Filled, true, "16667", None)).is_err());
        assert!(book.withdraw("BTC", Amount::units(10_001)).is_err());
        assert!(book.withdraw("BTC", Amount::units(10_000)).is_ok());
        assert_eq!(balances(&mut book, "BTC"), texts("0", "0"));
        assert!(book.open().is_empty());
    }

    #[test]
    fn splits_symbols() {
        assert_eq!(pair("BTCUSDT"), Some(("BTC", "USDT")));
        assert_eq!(pair("ETHBTC"), Some(("ETH", "BTC")));
        assert_eq!(pair("BTCEUR"), None);
        assert_eq!(last_price("ETH", "BTC").to_string(), "0.05");
    }
}
