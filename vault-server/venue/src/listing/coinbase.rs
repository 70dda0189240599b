//! Coinbase Advanced Trade: `GET /api/v3/brokerage/market/products`.
//!
//! Sources: coinbase/coinbase-advanced-py@54fb8ed3cd32b49760cbe88d116aad9a13068ef2
//! coinbase/rest/types/product_types.py (fields); answers in the comments of ccxt 4.5.90 coinbase.py,
//! parse_contract_market(): a future has no `base_currency_id` but `contract_root_unit`, and
//! `contract_size` 0.01 for "Nano BTC". That the size is in that unit is unverified beyond this. Perpetuals
//! of the international exchange have a contract size of 1.

use serde_json::Value;
use vault_model::{Instrument, Product};

use super::entry::{Entry, Not, Terms, pair};
use super::{ListingError, Page, Reader};

const VENUE: &str = "coinbase";

pub(super) const READER: Reader =
    Reader { venue: VENUE, wanted: "a list `products`", page, instruments };

fn page(json: &Value) -> Result<Option<Page<'_>>, ListingError> {
    let list = json.get("products").and_then(Value::as_array);
    Ok(list.map(|list| Page::of(list, "product_id")))
}

fn instruments(entry: &Entry<'_>, _: &Value) -> Result<Vec<Instrument>, Not> {
    let symbol = entry.symbol()?;
    for off in ["is_disabled", "trading_disabled", "cancel_only", "view_only"] {
        if entry.flag(off)? {
            return Err(Not::Listed("not in trade"));
        }
    }
    // Futures have no status.
    if !matches!(entry.text_if_any("status")?, "" | "online") {
        return Err(Not::Listed("not in trade"));
    }
    let quote = entry.text("quote_currency_id")?;
    let terms = match entry.text("product_type")? {
        "FUTURE" => {
            let details = entry.inside("future_product_details")?;
            let pair = pair(details.text("contract_root_unit")?, quote)?;
            let contract_size = details.size("contract_size")?;
            Terms { contract_size, ..Terms::of_base(Product::Linear, pair) }
        }
        "SPOT" => Terms::of_base(Product::Spot, pair(entry.text("base_currency_id")?, quote)?),
        _ => return Err(Not::Listed("of an unknown kind")),
    };
    let terms = Terms {
        price_tick: entry.step("price_increment")?,
        quantity_step: entry.step("base_increment")?,
        ..terms
    };
    Ok(vec![terms.named(VENUE, symbol)])
}
