//! Names of markets: where a venue takes several for one, what they have in common.
//!
//! Kraken takes `XXBTZUSD`, `XBTUSD`, `XBT/USD` and, over its newer interfaces, `BTC/USD`. Sources:
//! krakenfx/api-specs@729f278e370ab9dc5195ee60df558a10fb987ed3 spot-rest/openapi_v3.yaml (`altname`,
//! `wsname`, `base` = `XXBT`, `quote` = `ZUSD` of a pair); ccxt 4.5.90 kraken.py: fetch_currencies()
//! takes the prefixes `X` and `Z` off, commonCurrencies (`XBT` = `BTC`, `XDG` = `DOGE`);
//! <https://support.kraken.com/articles/360000920306-api-symbols-and-tickers>, stored copy: REST and
//! WebSocket have different symbols for one market. All read 2026-11-22. No text of Kraken's that we have
//! states the rule of the prefixes: unverified.

/// Says a venue's name of a market in one of the ways in which it can be said, always the same.
pub type MarketName = fn(&str) -> String;

/// How the names of a venue's markets are told to be of one; absent where each market has one name.
///
/// It is for what forbids: two names may come out alike that are not, and then too much is stopped.
pub fn market_name(venue: &str) -> Option<MarketName> {
    match venue {
        "kraken" => Some(kraken),
        _ => None,
    }
}

fn kraken(symbol: &str) -> String {
    let symbol = symbol.to_ascii_uppercase();
    let (base, quote) = match symbol.split_once('/') {
        Some((base, quote)) => (base.to_owned(), quote.to_owned()),
        None => halves(&symbol),
    };
    [asset(&base), asset(&quote)].concat()
}

/// Where the quote of a pair without a stroke begins.
fn halves(symbol: &str) -> (String, String) {
    let at = QUOTES.iter().filter_map(|quote| {
        let base = symbol.strip_suffix(quote)?;
        (!base.is_empty()).then_some(base.len())
    });
    // The longest: `ZUSD` goes before `USD`.
    let at = at.min().unwrap_or(symbol.len());
    let (base, quote) = symbol.split_at_checked(at).unwrap_or((symbol, ""));
    (base.to_owned(), quote.to_owned())
}

fn asset(name: &str) -> &str {
    // Of old assets alone, and these have four letters with it.
    let short = name.strip_prefix(['X', 'Z']).filter(|rest| rest.len() == 3).unwrap_or(name);
    match short {
        "XBT" => "BTC",
        "XDG" => "DOGE",
        other => other,
    }
}

/// What orders are priced in, with and without prefix.
const QUOTES: &[&str] = &[
    "AUD", "BTC", "CAD", "CHF", "DAI", "ETH", "EUR", "GBP", "JPY", "USD", "USDC", "USDT", "XBT",
    "XETH", "XXBT", "ZAUD", "ZCAD", "ZEUR", "ZGBP", "ZJPY", "ZUSD",
];

#[cfg(test)]
mod tests {
    use super::market_name;

    #[test]
    fn names_of_one_market_come_out_alike() {
        let kraken = market_name("kraken").expect("it has several");
        for (name, names) in [
            ("BTCUSD", &["XXBTZUSD", "XBTUSD", "XBT/USD", "BTC/USD", "BTCUSD", "btc/usd"][..]),
            ("ETHBTC", &["XETHXXBT", "ETHXBT", "ETH/XBT", "ETH/BTC", "ETHBTC", "XETH/XXBT"]),
            ("DOGEEUR", &["XDGEUR", "XDG/EUR", "DOGE/EUR", "XXDGZEUR", "DOGEEUR"]),
            ("USDTUSD", &["USDTZUSD", "USDT/USD", "USDTUSD"]),
            ("XRPUSDT", &["XRPUSDT", "XRP/USDT", "XXRP/USDT"]),
        ] {
            for spelled in names {
                assert_eq!(kraken(spelled), name, "{spelled}");
            }
        }
        for (one, other) in
            [("BTC/USD", "BTC/EUR"), ("ETH/USD", "ETC/USD"), ("XBT/USD", "XBT/USDT")]
        {
            assert_ne!(kraken(one), kraken(other));
        }
        for odd in ["", "/", "X", "Z/", "USD", "ÄÖ/Ü", "XXBTZUSD/"] {
            let _ = kraken(odd);
        }
        assert!(market_name("okx").is_none());
    }
}
