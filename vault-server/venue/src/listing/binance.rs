//! Binance: `GET /api/v3/exchangeInfo`, `/fapi/v1/exchangeInfo`, `/dapi/v1/exchangeInfo`,
//! `/eapi/v1/exchangeInfo`. Each entry says by its fields which of them it is from.
//!
//! Sources: binance/binance-spot-api-docs@a5e0bc3ddc0fd7e6bb696849323b74423fa3a54d rest-api.md, filters.md
//! (a step of 0 is none); binance/binance-connector-python@29da3291083a0781430a7f2b896297c2eec51b15
//! exchange_information_response_*.py of the clients for derivatives ("`unit`: contract unit, the quantity
//! of the underlying asset represented by a single contract"). USD-M orders are in the base asset. A COIN-M
//! contract is of `contractSize` in the quote asset (100 of BTCUSD, 10 of others; the field's unit is
//! nowhere spelled out: unverified).

use serde_json::Value;
use vault_model::{Instrument, Money, Product, SizeUnit};

use super::entry::{Entry, Not, Terms, pair};
use super::{ListingError, Page, Reader};

const VENUE: &str = "binance";

/// Kinds of contracts that are listed; others (shares, `PERPETUAL_DELIVERING`, none yet) are not.
const CONTRACTS: &[&str] =
    &["CURRENT_MONTH", "CURRENT_QUARTER", "NEXT_MONTH", "NEXT_QUARTER", "PERPETUAL"];

pub(super) const READER: Reader =
    Reader { venue: VENUE, wanted: "a list `symbols` or `optionSymbols`", page, instruments };

fn page(json: &Value) -> Result<Option<Page<'_>>, ListingError> {
    let list = ["optionSymbols", "symbols"].iter().find_map(|list| json.get(list)?.as_array());
    Ok(list.map(|list| Page::of(list, "symbol")))
}

fn instruments(entry: &Entry<'_>, json: &Value) -> Result<Vec<Instrument>, Not> {
    let symbol = entry.symbol()?;
    let has = |field: &str| entry.value().get(field).is_some();
    let terms = if has("strikePrice") {
        option(entry, json)?
    } else if has("contractSize") || has("contractStatus") {
        inverse(entry)?
    } else if has("contractType") {
        linear(entry)?
    } else {
        spot(entry)?
    };
    let terms = Terms {
        price_tick: filter(entry, "PRICE_FILTER", "tickSize")?,
        quantity_step: filter(entry, "LOT_SIZE", "stepSize")?,
        ..terms
    };
    Ok(vec![terms.named(VENUE, symbol)])
}

fn spot(entry: &Entry<'_>) -> Result<Terms, Not> {
    in_trade(entry.text("status")?)?;
    let pair = pair(entry.text("baseAsset")?, entry.text("quoteAsset")?)?;
    Ok(Terms::of_base(Product::Spot, pair))
}

fn linear(entry: &Entry<'_>) -> Result<Terms, Not> {
    in_trade(entry.text("status")?)?;
    known_contract(entry)?;
    let pair = pair(entry.text("baseAsset")?, entry.text("quoteAsset")?)?;
    Ok(Terms::of_base(Product::Linear, pair))
}

fn inverse(entry: &Entry<'_>) -> Result<Terms, Not> {
    in_trade(entry.text("contractStatus")?)?;
    known_contract(entry)?;
    let pair = pair(entry.text("baseAsset")?, entry.text("quoteAsset")?)?;
    let contract_size = entry.size("contractSize")?;
    Ok(Terms {
        contract_size,
        size_unit: SizeUnit::Quote,
        ..Terms::of_base(Product::Inverse, pair)
    })
}

fn option(entry: &Entry<'_>, json: &Value) -> Result<Terms, Not> {
    // Older answers have no status and list what is in trade.
    let status = entry.text_if_any("status")?;
    if !status.is_empty() {
        in_trade(status)?;
    }
    let underlying = entry.text("underlying")?;
    let contracts = json.get("optionContracts").and_then(Value::as_array);
    let base = contracts
        .into_iter()
        .flatten()
        .find(|contract| contract.get("underlying").and_then(Value::as_str) == Some(underlying))
        .and_then(|contract| contract.get("baseAsset")?.as_str())
        .ok_or(Not::Listed("its underlying is not among the optionContracts"))?;
    let contract_size = entry.size("unit")?;
    let pair = pair(base, entry.text("quoteAsset")?)?;
    Ok(Terms { contract_size, ..Terms::of_base(Product::Option, pair) })
}

fn in_trade(status: &str) -> Result<(), Not> {
    match status {
        "PENDING_TRADING" | "TRADING" => Ok(()),
        _ => Err(Not::Listed("not in trade")),
    }
}

fn known_contract(entry: &Entry<'_>) -> Result<(), Not> {
    if CONTRACTS.contains(&entry.text("contractType")?) {
        Ok(())
    } else {
        Err(Not::Listed("of an unknown kind"))
    }
}

/// A step out of the entry's filters.
fn filter(
    entry: &Entry<'_>,
    kind: &str,
    field: &'static str,
) -> Result<Option<Money>, ListingError> {
    let filters = entry.value().get("filters").and_then(Value::as_array);
    let filters = filters.ok_or_else(|| entry.without("filters"))?;
    let of_kind = filters
        .iter()
        .find(|filter| filter.get("filterType").and_then(Value::as_str) == Some(kind));
    of_kind.map_or(Ok(None), |filter| entry.at(filter).step(field))
}
