//! What is known of markets when a request is judged: approved instruments and reference prices.

use rustc_hash::FxHashMap;
use vault_model::{Instrument, Money, Pair, Product};

/// Instruments that admins approved, and the prices that are fresh now.
#[derive(Clone, Debug, Default)]
pub struct Market {
    /// By venue, then symbol.
    instruments: FxHashMap<String, FxHashMap<String, Vec<Instrument>>>,
    /// By venue: says a name of a market in one way.
    names: FxHashMap<String, fn(&str) -> String>,
    prices: FxHashMap<Pair, Money>,
}

impl Market {
    /// Adds an instrument, or replaces the one of its venue, symbol and product.
    pub fn approve(&mut self, instrument: Instrument) {
        let symbols = self.instruments.entry(instrument.venue.to_string()).or_default();
        let products = symbols.entry(instrument.symbol.clone()).or_default();
        products.retain(|known| known.product != instrument.product);
        products.push(instrument);
    }

    /// Takes an instrument back.
    pub fn withdraw(&mut self, venue: &str, symbol: &str, product: Product) {
        let Some(symbols) = self.instruments.get_mut(venue) else {
            return;
        };
        if let Some(products) = symbols.get_mut(symbol) {
            products.retain(|known| known.product != product);
            if products.is_empty() {
                symbols.remove(symbol);
            }
        }
        if symbols.is_empty() {
            self.instruments.remove(venue);
        }
    }

    /// The instrument of an order. What is traded on margin is the spot instrument.
    pub fn instrument(&self, venue: &str, symbol: &str, product: Product) -> Option<&Instrument> {
        let product = if product == Product::Margin { Product::Spot } else { product };
        let products = self.instruments.get(venue)?.get(symbol)?;
        products.iter().find(|instrument| instrument.product == product)
    }

    /// Takes over how a venue says one market by several names: what comes out alike is one.
    pub fn name_by(&mut self, venue: &str, name: fn(&str) -> String) {
        self.names.insert(venue.to_owned(), name);
    }

    /// Whether two symbols are names of one market, as far as that is known: equal, by the venue's
    /// way to name markets, or of approved spot instruments with the same assets.
    pub fn is_same(&self, venue: &str, one: &str, other: &str) -> bool {
        let assets = |symbol| {
            self.instrument(venue, symbol, Product::Spot).map(|known| (&known.base, &known.quote))
        };
        one == other
            || assets(one).is_some_and(|found| assets(other) == Some(found))
            || self.names.get(venue).is_some_and(|name| name(one) == name(other))
    }

    /// Whether an instrument of a symbol, or of another name of it, is approved.
    pub fn knows(&self, venue: &str, symbol: &str) -> bool {
        let symbols = self.instruments.get(venue).into_iter().flat_map(|symbols| symbols.keys());
        symbols.into_iter().any(|known| self.is_same(venue, known, symbol))
    }

    /// Sets the price of a pair: above 0.
    pub fn set_price(&mut self, pair: Pair, price: Money) {
        self.prices.insert(pair, price);
    }

    /// Takes back the price of a pair that nobody has confirmed for too long.
    pub fn forget_price(&mut self, pair: &Pair) {
        self.prices.remove(pair);
    }

    /// Takes back all prices.
    pub fn forget_prices(&mut self) {
        self.prices.clear();
    }

    /// The reference price of a pair, if there is a fresh one.
    pub fn price(&self, pair: &Pair) -> Option<Money> {
        self.prices.get(pair).copied()
    }
}
