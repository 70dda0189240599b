//! The market that a file of confusable requests describes: prices as numbers, instruments and
//! stablecoins in prose. Prose that is not known here is said loudly, and gives no instrument: what
//! cannot be priced is then denied.

use std::collections::BTreeSet;

use serde_json::Value;
use vault_model::{Asset, Instrument, Money, Pair, Product, SizeUnit};
use vault_policy::Market;

use crate::field::text_at;

/// What the cases share.
#[derive(Default)]
pub struct Context {
    pub market: Market,
    /// Assets that count as one USD each.
    pub usd_par: BTreeSet<Asset>,
    /// What of the prose is not known here.
    pub unknown: Vec<String>,
}

/// One instrument: venue, symbol, product, base, quote, contract size, and the unit of that.
type Row =
    (&'static str, &'static str, Product, &'static str, &'static str, &'static str, SizeUnit);

use Product::{Inverse, Linear, Spot};
use SizeUnit::{Base, Quote};

/// The prose of `context.instruments`, and what it means.
const PROSE: &[(&str, &str, &[Row])] = &[
    (
        "okx BTC-USDT-SWAP",
        "linear, one contract is 0.01 BTC",
        &[("okx", "BTC-USDT-SWAP", Linear, "BTC", "USDT", "0.01", Base)],
    ),
    (
        "binance USD-M BTCUSDT, ETHUSDT, DOGEUSDT; bybit linear BTCUSDT",
        "linear, quantity in the base asset",
        &[
            ("binance", "BTCUSDT", Linear, "BTC", "USDT", "1", Base),
            ("binance", "ETHUSDT", Linear, "ETH", "USDT", "1", Base),
            ("binance", "DOGEUSDT", Linear, "DOGE", "USDT", "1", Base),
            ("bybit", "BTCUSDT", Linear, "BTC", "USDT", "1", Base),
        ],
    ),
    (
        "bybit inverse BTCUSD; binance COIN-M BTCUSD_PERP",
        "inverse, one contract is 1 USD (Bybit), 100 USD (Binance)",
        &[
            ("bybit", "BTCUSD", Inverse, "BTC", "USD", "1", Quote),
            ("binance", "BTCUSD_PERP", Inverse, "BTC", "USD", "100", Quote),
        ],
    ),
];

/// The prose of `context.stablecoins`, and what counts as USD by it.
const STABLECOINS: (&str, &[&str]) = ("USDT and USDC count as USD at par", &["USDC", "USDT"]);

/// Bases of spot pairs, with the further names that Kraken has for them.
const BASES: &[(&str, &[&str])] =
    &[("BTC", &["XBT", "XXBT"]), ("DOGE", &["XDG", "XXDG"]), ("ETH", &["XETH"])];

/// Quotes of spot pairs, with the further name that Kraken has for them.
const QUOTES: &[(&str, &[&str])] = &[("USD", &["ZUSD"]), ("USDC", &[]), ("USDT", &[])];

/// Reads the context of a file.
pub fn read(context: &Value) -> Context {
    let mut read = Context::default();
    for row in spot() {
        read.market.approve(instrument(&row));
    }
    for (key, words) in context["instruments"].as_object().into_iter().flatten() {
        match PROSE.iter().find(|(known, said, _)| key == known && words == said) {
            Some((_, _, rows)) => rows.iter().for_each(|row| read.market.approve(instrument(row))),
            None => read.unknown.push(format!("instruments, {key}: {words}")),
        }
    }
    match text_at(context, "/stablecoins") {
        Some(words) if words == STABLECOINS.0 => {
            read.usd_par.extend(STABLECOINS.1.iter().map(asset))
        }
        Some(words) => read.unknown.push(format!("stablecoins: {words}")),
        None => {}
    }
    for (base, price) in context["reference_prices_usd"].as_object().into_iter().flatten() {
        // JSON numbers stand as they were written.
        let price = price.to_string().parse::<Money>();
        let (Ok(base), Ok(price)) = (base.parse::<Asset>(), price) else {
            read.unknown.push(format!("reference_prices_usd, {base}"));
            continue;
        };
        // What counts as USD has the price in USD.
        for quote in read.usd_par.iter().cloned().chain([Asset::usd()]) {
            read.market.set_price(Pair::new(base.clone(), quote), price);
        }
    }
    read
}

/// Spot pairs as each venue writes them.
fn spot() -> Vec<Row> {
    let mut rows = Vec::new();
    for (base, base_names) in BASES {
        for (quote, quote_names) in QUOTES {
            let mut row = |venue, symbol: String| {
                rows.push((venue, &*symbol.leak(), Spot, *base, *quote, "1", Base));
            };
            for venue in ["coinbase", "okx"] {
                row(venue, format!("{base}-{quote}"));
            }
            for venue in ["binance", "bybit"] {
                row(venue, format!("{base}{quote}"));
            }
            for base in base_names.iter().chain([base]) {
                for quote in quote_names.iter().chain([quote]) {
                    row("kraken", format!("{base}{quote}"));
                    row("kraken", format!("{base}/{quote}"));
                }
            }
        }
    }
    rows
}

fn asset(text: &&str) -> Asset {
    text.parse().expect("an asset")
}

fn instrument(row: &Row) -> Instrument {
    let (venue, symbol, product, base, quote, contract_size, size_unit) = *row;
    let (base, quote) = (asset(&base), asset(&quote));
    Instrument {
        contract_size: contract_size.parse().expect("a decimal"),
        price_tick: None,
        product,
        quantity_step: None,
        reference: Pair::new(base.clone(), quote.clone()),
        base,
        quote,
        size_unit,
        symbol: symbol.to_owned(),
        venue: venue.parse().expect("a name"),
    }
}
