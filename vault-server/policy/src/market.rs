//! What is known of markets when a request is judged: approved instruments and reference prices.

use rustc_hash::FxHashMap;
use vault_model::{Instrument, Money, Pair, Product};

/// Instruments that admins approved, and the prices that are fresh now.
#[derive(Clone, Debug, Default)]
pub struct Market {
    /// By venue, then symbol.
    instruments: FxHashMap<String, FxHashMap<String, Vec<Instrument>>>,
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

    /// The instrument of an order. What is traded on margin is the spot instrument.
    pub fn instrument(&self, venue: &str, symbol: &str, product: Product) -> Option<&Instrument> {
        let product = if product == Product::Margin { Product::Spot } else { product };
        let products = self.instruments.get(venue)?.get(symbol)?;
        products.iter().find(|instrument| instrument.product == product)
    }

    /// Whether two symbols are names of one market, as far as that is known: equal, or of approved
    /// spot instruments with the same assets. A venue may have several names for one.
    pub fn is_same(&self, venue: &str, one: &str, other: &str) -> bool {
        let assets = |symbol| {
            self.instrument(venue, symbol, Product::Spot).map(|known| (&known.base, &known.quote))
        };
        one == other || assets(one).is_some_and(|found| assets(other) == Some(found))
    }

    /// Sets the price of a pair: above 0.
    pub fn set_price(&mut self, pair: Pair, price: Money) {
        self.prices.insert(pair, price);
    }

    /// Takes back the price of a pair that nobody has confirmed for too long.
    pub fn forget_price(&mut self, pair: &Pair) {
        self.prices.remove(pair);
    }

    /// The reference price of a pair, if there is a fresh one.
    pub fn price(&self, pair: &Pair) -> Option<Money> {
        self.prices.get(pair).copied()
    }
}
