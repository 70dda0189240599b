//! Disagreements between ccxt and the catalogues that are as they should be. Each has its reason
//! and where that is from; one that explains nothing any more fails the test.

use crate::binding::{Disagreement, Kind};

struct Explanation {
    venue: &'static str,
    kind: Kind,
    /// Whether it is about this operation; it must be about all that disagree.
    concerns: fn(&str) -> bool,
    reason: &'static str,
    source: &'static str,
}

const EXPLANATIONS: &[Explanation] = &[
    Explanation {
        venue: "bybit",
        kind: Kind::Same,
        concerns: is_older_bybit,
        reason: "ccxt signs the scheme before v5 there: sorted parameters, api_key and recv_window \
                 among them, wherever they are sent. The vault signs v5's string alone, and \
                 refuses these two from callers, so nothing that it signs is good there; its \
                 catalogue has these operations in closures all the same",
        source: "ccxt 4.5.90 bybit.py sign(), the last branch",
    },
    Explanation {
        venue: "bybit",
        kind: Kind::Part,
        concerns: is_older_bybit,
        reason: "the scheme before v5, as above: it does not matter where its parameters are sent",
        source: "ccxt 4.5.90 bybit.py sign(), the last branch",
    },
    Explanation {
        venue: "bybit",
        kind: Kind::Signed,
        concerns: |name| {
            let path = name.strip_prefix("GET /v5/spot-lever-token/");
            matches!(path, Some("info" | "reference"))
        },
        reason: "ccxt has them as market data for everybody; the catalogue has them as reads, and \
                 so in closures, which can only deny more",
        source: "ccxt 4.5.90 bybit.py describe()['api']['public']",
    },
    Explanation {
        venue: "bybit",
        kind: Kind::Signed,
        concerns: |name| name == "GET /v5/market/instruments-info",
        reason: "ccxt has it twice, as market data for everybody and with a key; load_markets() asks \
                 without one",
        source: "ccxt 4.5.90 bybit.py describe()['api']['public'], fetch_spot_markets()",
    },
    Explanation {
        venue: "binance",
        kind: Kind::Signed,
        concerns: |name| BINANCE_KEY_ALONE.contains(&name),
        reason: "market data and listen keys that the API key alone opens; ccxt signs whole \
                 sections of paths",
        source: "binance/binance-connector-python@29da3291083a0781430a7f2b896297c2eec51b15, where \
                 these are sent without is_signed; binance/binance-api-swagger@64b327c0 and \
                 @d1b899f6 (2023-12-07) spot_api.yaml: ApiKeyAuth and no signature. Each \
                 operation's own source is in the catalogue",
    },
    Explanation {
        venue: "binance",
        kind: Kind::Text,
        concerns: |name| name.ends_with("/batchOrders"),
        reason: "ccxt always sends batchOrders, as [] where it was given none: one parameter more",
        source: "ccxt 4.5.90 binance.py sign(), \"handle batchOrders\"",
    },
];

/// Operations of Binance that ccxt signs and that take no signature.
const BINANCE_KEY_ALONE: &[&str] = &[
    "DELETE /sapi/v1/userDataStream/isolated",
    "GET /eapi/v1/blockTrades",
    "GET /sapi/v1/blvt/tokenInfo",
    "GET /sapi/v1/bswap/pools",
    "GET /sapi/v1/convert/exchangeInfo",
    "GET /sapi/v1/equity/market/exchangeInfo",
    "GET /sapi/v1/equity/market/quote",
    "GET /sapi/v1/equity/market/tokenized-assets",
    "GET /sapi/v1/margin/allAssets",
    "GET /sapi/v1/margin/allPairs",
    "GET /sapi/v1/margin/asset",
    "GET /sapi/v1/margin/crossMarginCollateralRatio",
    "GET /sapi/v1/margin/leverageBracket",
    "GET /sapi/v1/margin/pair",
    "GET /sapi/v1/margin/priceIndex",
    "GET /sapi/v1/mining/pub/algoList",
    "GET /sapi/v1/mining/pub/coinList",
    "GET /sapi/v1/portfolio/asset-index-price",
    "GET /sapi/v1/portfolio/collateralRate",
    "POST /sapi/v1/equity/listenKey",
    "POST /sapi/v1/userDataStream/isolated",
    "PUT /sapi/v1/userDataStream/isolated",
];

/// Operations that ccxt signs in the scheme before v5.
fn is_older_bybit(name: &str) -> bool {
    let path = name.split(' ').nth(1).unwrap_or_default();
    ["/asset/v3/", "/fht/", "/spot/v3/", "/user/v3/", "/v2/"].iter().any(|p| path.starts_with(p))
}

/// How often each explanation was needed.
pub struct Used(Vec<usize>);

impl Default for Used {
    fn default() -> Self {
        Self(vec![0; EXPLANATIONS.len()])
    }
}

impl Used {
    /// Whether a disagreement is explained; counts it.
    pub fn explain(&mut self, disagreement: &Disagreement) -> bool {
        let fits = |explanation: &Explanation| {
            explanation.venue == disagreement.venue
                && explanation.kind == disagreement.kind
                && disagreement.operations.iter().all(|name| (explanation.concerns)(name))
        };
        let index = EXPLANATIONS.iter().position(fits);
        index.inspect(|&index| self.0[index] += 1).is_some()
    }

    /// One line for each.
    pub fn lines(&self) -> Vec<String> {
        let line = |(one, count): (&Explanation, &usize)| {
            let Explanation { venue, kind, reason, source, .. } = one;
            format!("ccxt: explained {count} times: {venue} {kind:?}: {reason} [{source}]")
        };
        EXPLANATIONS.iter().zip(&self.0).map(line).collect()
    }

    /// Those that nothing needed.
    pub fn idle(&self) -> Vec<&'static str> {
        let uses = EXPLANATIONS.iter().zip(&self.0);
        uses.filter(|(_, count)| **count == 0).map(|(one, _)| one.reason).collect()
    }
}
