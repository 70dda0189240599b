//! The market of generated cases: every kind of instrument, quotes at par and not, and prices.

use vault_model::{Instrument, Money, Pair, Product, SizeUnit};

use crate::generate::VENUE;

/// Symbols and the products that orders for them say; the last of each has no instrument.
pub const TRADED: &[(&str, Product)] = &[
    ("BTC-USDT", Product::Spot),
    ("BTC-USDT", Product::Spot),
    ("BTC-USDT", Product::Margin),
    ("BTC-USDT-SWAP", Product::Linear),
    ("BTC-USDT-SWAP", Product::Linear),
    ("BTC-USD-SWAP", Product::Inverse),
    ("BTC-USD-OPT", Product::Option),
    ("ETH-BTC", Product::Spot),
    ("NEW-USDT", Product::Spot),
    ("BTC-USDT_BTC-USDT-SWAP", Product::Spread),
];

pub const SYMBOLS: &[&str] = &[
    "BTC-USD-OPT",
    "BTC-USD-SWAP",
    "BTC-USDT",
    "BTC-USDT-SWAP",
    "BTC-USDT_BTC-USDT-SWAP",
    "ETH-BTC",
    "NEW-USDT",
];

/// What admins approved.
pub fn instruments() -> Vec<Instrument> {
    let instrument =
        |symbol: &str, product, size: &str, size_unit, quote: &str, reference: &str| {
            let (base, _) = symbol.split_once('-').expect("parts");
            Instrument {
                base: base.parse().expect("an asset"),
                contract_size: size.parse().expect("a decimal"),
                price_tick: None,
                product,
                quantity_step: None,
                quote: quote.parse().expect("an asset"),
                reference: reference.parse().expect("a pair"),
                size_unit,
                symbol: symbol.to_owned(),
                venue: VENUE.parse().expect("a name"),
            }
        };
    use SizeUnit::{Base, Quote};
    vec![
        instrument("BTC-USDT", Product::Spot, "1", Base, "USDT", "BTC/USDT"),
        instrument("BTC-USDT-SWAP", Product::Linear, "0.01", Base, "USDT", "BTC/USDT"),
        instrument("BTC-USD-SWAP", Product::Inverse, "100", Quote, "USD", "BTC/USD"),
        // Quoted in coin, and what it is on is in USD.
        instrument("BTC-USD-OPT", Product::Option, "0.1", Base, "BTC", "BTC/USD"),
        instrument("ETH-BTC", Product::Spot, "1", Base, "BTC", "ETH/BTC"),
    ]
}

/// Reference prices.
pub fn prices() -> Vec<(Pair, Money)> {
    [("BTC/USD", "60000"), ("BTC/USDT", "59990"), ("ETH/BTC", "0.05"), ("USDT/USD", "0.9995")]
        .map(|(pair, price)| (pair.parse().expect("a pair"), price.parse().expect("a decimal")))
        .into()
}
