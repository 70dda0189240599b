//! OKX: `GET /api/v5/public/instruments?instType=...`, for options also `instFamily`.
//!
//! Source: <https://www.okx.com/docs-v5/en/#public-data-rest-api-get-instruments>, copy of 2026-07-03,
//! read 2026-11-22. "Notional: linear = sz × ctVal × markPx (in quote ccy); inverse = sz × ctVal (in
//! USD, fixed)", in the currency `ctValCcy`.
//! `ctMult` is no part of that: OKX help, "Get started with OKX options", 1.3 (copy of 2024-05-15, read
//! 2026-11-22): 0.01 for BTC options, so that one contract is 0.01 BTC, and 1 for all swaps and
//! futures. So it counts for options; a swap or future of another multiplier is skipped.
//! The price of an option is in the coin that it settles in ("For options, use coin as unit").

use serde_json::Value;
use vault_model::{Instrument, Money, Product, SizeUnit};

use super::entry::{Entry, Not, Terms, asset, pair};
use super::{ListingError, Page, Reader};

const VENUE: &str = "okx";

pub(super) const READER: Reader =
    Reader { venue: VENUE, wanted: "a list `data` beside `code`", page, instruments };

fn page(json: &Value) -> Result<Option<Page<'_>>, ListingError> {
    let Some(code) = json.get("code").and_then(Value::as_str) else {
        return Ok(None);
    };
    if code != "0" {
        return Err(ListingError::ErrorAnswer(VENUE));
    }
    let list = json.get("data").and_then(Value::as_array);
    Ok(list.map(|list| Page::of(list, "instId")))
}

fn instruments(entry: &Entry<'_>, _: &Value) -> Result<Vec<Instrument>, Not> {
    let symbol = entry.symbol()?;
    let state = entry.text("state")?;
    if !matches!(state, "live" | "post_only" | "preopen") {
        return Err(Not::Listed("not in trade"));
    }
    let kind = entry.text("instType")?;
    let is_contract = match kind {
        "FUTURES" | "OPTION" | "SWAP" => true,
        "SPOT" => false,
        "MARGIN" => return Err(Not::Listed("on margin the spot instrument is traded")),
        _ => return Err(Not::Listed("of an unknown kind")),
    };
    // "Other fields will be "" temporarily" before an instrument opens.
    if is_contract && state == "preopen" && entry.text_if_any("ctVal")?.is_empty() {
        return Err(Not::Listed("not complete before it opens"));
    }
    let terms = match kind {
        "SPOT" => {
            Terms::of_base(Product::Spot, pair(entry.text("baseCcy")?, entry.text("quoteCcy")?)?)
        }
        "OPTION" => option(entry)?,
        _ => future(entry)?,
    };
    let terms =
        Terms { price_tick: entry.step("tickSz")?, quantity_step: entry.step("lotSz")?, ..terms };
    Ok(vec![terms.named(VENUE, symbol)])
}

fn future(entry: &Entry<'_>) -> Result<Terms, Not> {
    let (base, quote) = underlying(entry)?;
    let pair = pair(base, quote)?;
    if entry.decimal("ctMult")? != Money::ONE {
        return Err(Not::Listed("of a contract multiplier that no document explains"));
    }
    let (product, size_unit, currency) = match entry.text("ctType")? {
        "inverse" => (Product::Inverse, SizeUnit::Quote, quote),
        "linear" => (Product::Linear, SizeUnit::Base, base),
        _ => return Err(Not::Listed("of an unknown kind")),
    };
    if entry.text("ctValCcy")? != currency {
        return Err(Not::Listed("its size is in another currency"));
    }
    let contract_size = entry.size("ctVal")?;
    Ok(Terms { contract_size, size_unit, ..Terms::of_base(product, pair) })
}

fn option(entry: &Entry<'_>) -> Result<Terms, Not> {
    let (base, quote) = underlying(entry)?;
    if entry.text("ctValCcy")? != base {
        return Err(Not::Listed("its size is in another currency"));
    }
    let contract_size = entry
        .size("ctVal")?
        .checked_mul(entry.size("ctMult")?)
        .ok_or_else(|| entry.not_exact("ctVal times ctMult"))?;
    Ok(Terms {
        contract_size,
        quote: asset(entry.text("settleCcy")?)?,
        ..Terms::of_base(Product::Option, pair(base, quote)?)
    })
}

/// Base and quote of `uly`, such as `BTC-USD`.
fn underlying<'v>(entry: &Entry<'v>) -> Result<(&'v str, &'v str), Not> {
    let text = entry.text("uly")?;
    text.split_once('-').ok_or(Not::Listed("its underlying is no pair"))
}
