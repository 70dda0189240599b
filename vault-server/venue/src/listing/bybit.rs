//! Bybit: `GET /v5/market/instruments-info?category=...`, one page of it.
//!
//! Sources: bybit-exchange/docs@072c197d0c11b4d9a88d1dd0c7b9d7ca8ea3a996 docs/v5/market/instrument.mdx,
//! docs/v5/enum.mdx (`contractType`, `status`), read 2026-11-22. An answer to a `baseCoin` mixes linear
//! and inverse whatever the category, so the contract's own type decides. Units as in the catalogue
//! (`[[size]]` of `bybit/venue.toml`): base coin, but for inverse contracts of 1 in the quote coin.

use serde_json::Value;
use vault_model::{Instrument, Product, SizeUnit};

use super::entry::{Entry, Not, Terms, pair};
use super::{ListingError, Page, Reader};

const VENUE: &str = "bybit";

pub(super) const READER: Reader =
    Reader { venue: VENUE, wanted: "a list `result.list` beside `retCode`", page, instruments };

fn page(json: &Value) -> Result<Option<Page<'_>>, ListingError> {
    let Some(code) = json.get("retCode").and_then(Value::as_i64) else {
        return Ok(None);
    };
    if code != 0 {
        return Err(ListingError::ErrorAnswer(VENUE));
    }
    let Some(list) = json.pointer("/result/list").and_then(Value::as_array) else {
        return Ok(None);
    };
    let next = json.pointer("/result/nextPageCursor").and_then(Value::as_str);
    let is_partial = next.is_some_and(|next| !next.is_empty());
    Ok(Some(Page { is_partial, ..Page::of(list, "symbol") }))
}

fn instruments(entry: &Entry<'_>, json: &Value) -> Result<Vec<Instrument>, Not> {
    let symbol = entry.symbol()?;
    if !matches!(entry.text("status")?, "PreLaunch" | "Trading") {
        return Err(Not::Listed("not in trade"));
    }
    let category = json.pointer("/result/category").and_then(Value::as_str);
    let product = match category {
        Some("option") => Product::Option,
        Some("spot") => Product::Spot,
        Some("inverse" | "linear") => match entry.text("contractType")? {
            "InverseFutures" | "InversePerpetual" => Product::Inverse,
            "LinearFutures" | "LinearPerpetual" => Product::Linear,
            _ => return Err(Not::Listed("of an unknown kind")),
        },
        _ => return Err(Not::Listed("of an unknown kind")),
    };
    let lots = entry.inside("lotSizeFilter")?;
    let lot = if product == Product::Spot { "basePrecision" } else { "qtyStep" };
    let pair = pair(entry.text("baseCoin")?, entry.text("quoteCoin")?)?;
    let terms = Terms {
        size_unit: if product == Product::Inverse { SizeUnit::Quote } else { SizeUnit::Base },
        price_tick: entry.inside("priceFilter")?.step("tickSize")?,
        quantity_step: lots.step(lot)?,
        ..Terms::of_base(product, pair)
    };
    Ok(vec![terms.named(VENUE, symbol)])
}
