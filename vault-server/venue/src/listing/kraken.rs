//! Kraken spot: `GET /0/public/AssetPairs`.
//!
//! Source: krakenfx/api-specs@729f278e370ab9dc5195ee60df558a10fb987ed3 spot-rest/openapi_v3.yaml (as in the
//! catalogue): `altname`, `wsname`, `lot_decimals`, "`lot_multiplier`: amount to multiply lot volume by to
//! get currency volume", `tick_size`, `status` (`online`, `cancel_only`, `post_only`, `limit_only`,
//! `reduce_only`).
//!
//! A pair has several names (`XXBTZUSD`, `XBTUSD`, `XBT/USD`), and orders take each: one instrument per
//! name. Its assets are those of `wsname`, which is what Kraken itself shows; they are not translated,
//! so Bitcoin is `XBT` here.

use serde_json::Value;
use vault_model::{Instrument, Money, Product};

use super::entry::{Entry, Not, Terms, pair};
use super::{ListingError, Page, Reader};
use crate::value::is_symbol;

const VENUE: &str = "kraken";

pub(super) const READER: Reader =
    Reader { venue: VENUE, wanted: "an object `result` beside `error`", page, instruments };

fn page(json: &Value) -> Result<Option<Page<'_>>, ListingError> {
    let Some(errors) = json.get("error").and_then(Value::as_array) else {
        return Ok(None);
    };
    if !errors.is_empty() {
        return Err(ListingError::ErrorAnswer(VENUE));
    }
    let Some(pairs) = json.get("result").and_then(Value::as_object) else {
        return Ok(None);
    };
    let entries = pairs.iter().enumerate();
    let entries = entries.map(|(at, (name, value))| Entry::new(at, Some(name), value)).collect();
    Ok(Some(Page { entries, is_partial: false }))
}

fn instruments(entry: &Entry<'_>, _: &Value) -> Result<Vec<Instrument>, Not> {
    let key = entry.symbol()?;
    let status = entry.text("status")?;
    if !matches!(status, "online" | "post_only" | "limit_only" | "reduce_only") {
        return Err(Not::Listed("not in trade"));
    }
    // A tokenised asset may have the pair's name too, and orders say which by a parameter that the
    // catalogue does not let in.
    if entry.text("aclass_base")? != "currency" || entry.text("aclass_quote")? != "currency" {
        return Err(Not::Listed("not of currencies"));
    }
    let wsname = entry.text_if_any("wsname")?;
    let (base, quote) =
        wsname.split_once('/').ok_or(Not::Listed("without a wsname, so of unknown assets"))?;
    let contract_size = entry.size("lot_multiplier")?;
    let terms = Terms {
        contract_size,
        price_tick: entry.step("tick_size")?,
        quantity_step: Some(lot(entry)?),
        ..Terms::of_base(Product::Spot, pair(base, quote)?)
    };
    let mut names = vec![key, entry.text("altname")?, wsname];
    names.retain(|name| is_symbol(name));
    names.sort_unstable();
    names.dedup();
    Ok(names.into_iter().map(|name| terms.named(VENUE, name)).collect())
}

/// The smallest step of a volume: 1 at the last of `lot_decimals` places.
fn lot(entry: &Entry<'_>) -> Result<Money, ListingError> {
    const FIELD: &str = "lot_decimals";
    let places = entry.value().get(FIELD).and_then(Value::as_u64);
    let places = usize::try_from(places.ok_or_else(|| entry.without(FIELD))?);
    match places {
        Ok(0) => Ok(Money::ONE),
        Ok(places) if places <= 18 => {
            format!("0.{:0>places$}", 1).parse().map_err(|_| entry.not_exact(FIELD))
        }
        _ => Err(entry.not_exact(FIELD)),
    }
}
