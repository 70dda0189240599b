//! What a venue trades, read from its own public listing: the JSON text that it answers with, as an
//! admin has fetched it. Pure: nothing is fetched here, and nothing counts until an admin has
//! approved it.
//!
//! Listed is what takes orders, or will without being listed anew. What is something else (halted,
//! delisted, of a kind whose size no document explains) is skipped, with the reason; an entry that
//! should be listed and cannot be read is an error, and so is one without a size.
//!
//! | Venue | What to fetch |
//! | --- | --- |
//! | `binance` | `GET /api/v3/exchangeInfo`, `/fapi/v1/exchangeInfo`, `/dapi/v1/exchangeInfo`, `/eapi/v1/exchangeInfo` |
//! | `bybit` | `GET /v5/market/instruments-info?category=...`, all its pages |
//! | `coinbase` | `GET /api/v3/brokerage/market/products` |
//! | `kraken` | `GET /0/public/AssetPairs` |
//! | `okx` | `GET /api/v5/public/instruments?instType=...` |

mod binance;
mod bybit;
mod coinbase;
mod entry;
mod kraken;
mod okx;

use std::collections::HashSet;

use serde_json::Value;
use vault_model::{Instrument, Product};

use entry::{Entry, Not};

/// What a listing holds.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Listing {
    /// What is traded, by symbol. No two have symbol and product in common.
    pub instruments: Vec<Instrument>,
    /// What is not listed, by its symbol, and why. `entry N` (from 1) where the symbol is not plain.
    pub skipped: Vec<(String, &'static str)>,
    /// The venue has more pages than this one.
    pub is_partial: bool,
}

/// Why a listing cannot be read. Of its text no more is repeated than symbols of plain form.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ListingError {
    /// A contract of no size, or of less.
    #[error("{entry}: {field} must be above 0")]
    ContractSize {
        /// Its symbol, or `entry N`.
        entry: String,
        /// The field.
        field: &'static str,
    },
    /// A number that is not exact here.
    #[error(
        "{entry}: {field} is no decimal of at most 18 digits before and 18 behind the point, and \
         not below 0"
    )]
    Decimal {
        /// Its symbol, or `entry N`.
        entry: String,
        /// The field.
        field: &'static str,
    },
    /// One symbol twice.
    #[error("{0} is listed twice")]
    Duplicate(String),
    /// The venue answered with an error.
    #[error("this is an error that {0} answered with, not a listing")]
    ErrorAnswer(&'static str),
    /// A field is missing, or of another type.
    #[error("{entry}: {field} is missing or of another type")]
    Field {
        /// Its symbol, or `entry N`.
        entry: String,
        /// The field.
        field: &'static str,
    },
    /// JSON, but not of the form of the venue's listing.
    #[error("this is no listing of {venue}, which has {wanted}{}", .looks_like.map_or_else(String::new, |other| format!("; it looks like one of {other}")))]
    Form {
        /// The venue that was named.
        venue: &'static str,
        /// What its listing has.
        wanted: &'static str,
        /// The venue whose listing has this form.
        looks_like: Option<&'static str>,
    },
    /// No JSON.
    #[error("this is no JSON: line {line}, column {column}")]
    NotJson {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// None of the product that was asked for.
    #[error("nothing in this listing is of product {0}")]
    Product(Product),
    /// No such venue, or one whose listing nobody reads.
    #[error("there is no venue of this name whose listing could be read")]
    VenueUnknown,
}

/// Reads a venue's listing. With a product, what is of another one is skipped; what is traded on
/// margin is the spot instrument, so no listing has product `margin`.
///
/// # Errors
///
/// [`ListingError`] says what is wrong, and at which entry.
pub fn parse(venue: &str, product: Option<Product>, json: &[u8]) -> Result<Listing, ListingError> {
    let reader = READERS.iter().find(|reader| reader.venue == venue);
    let reader = reader.ok_or(ListingError::VenueUnknown)?;
    let json: Value = serde_json::from_slice(json)
        .map_err(|error| ListingError::NotJson { line: error.line(), column: error.column() })?;
    let page = (reader.page)(&json)?.ok_or_else(|| ListingError::Form {
        venue: reader.venue,
        wanted: reader.wanted,
        looks_like: READERS
            .iter()
            .find(|other| matches!((other.page)(&json), Ok(Some(page)) if !page.entries.is_empty()))
            .map(|other| other.venue),
    })?;

    let mut listing = Listing { is_partial: page.is_partial, ..Listing::default() };
    for entry in &page.entries {
        match (reader.instruments)(entry, &json) {
            Ok(instruments) => listing.instruments.extend(instruments),
            Err(Not::Listed(why)) => listing.skipped.push((entry.name(), why)),
            Err(Not::Readable(error)) => return Err(error),
        }
    }
    let mut seen = HashSet::new();
    let twice = listing.instruments.iter().find(|one| !seen.insert((&one.symbol, one.product)));
    if let Some(twice) = twice {
        return Err(ListingError::Duplicate(twice.symbol.clone()));
    }
    if let Some(product) = product {
        keep(&mut listing, product)?;
    }
    let key = |one: &Instrument| (one.symbol.clone(), one.product);
    listing.instruments.sort_by_key(key);
    Ok(listing)
}

/// Skips what is of another product.
fn keep(listing: &mut Listing, product: Product) -> Result<(), ListingError> {
    let all = std::mem::take(&mut listing.instruments);
    let were_some = !all.is_empty();
    let (kept, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|one| one.product == product);
    if kept.is_empty() && were_some {
        return Err(ListingError::Product(product));
    }
    listing.instruments = kept;
    listing.skipped.extend(others.into_iter().map(|one| (one.symbol, "of another product")));
    Ok(())
}

/// The entries of an answer.
struct Page<'v> {
    entries: Vec<Entry<'v>>,
    is_partial: bool,
}

impl<'v> Page<'v> {
    fn of(list: &'v [Value], symbol: &str) -> Self {
        let entries = list
            .iter()
            .enumerate()
            .map(|(at, value)| Entry::new(at, value.get(symbol).and_then(Value::as_str), value));
        Self { entries: entries.collect(), is_partial: false }
    }
}

/// How the listing of one venue is read.
struct Reader {
    venue: &'static str,
    /// What its listing has, in words.
    wanted: &'static str,
    /// Its entries; `None` if it has another form.
    page: fn(&Value) -> Result<Option<Page<'_>>, ListingError>,
    /// What one entry lists, given the whole answer. Several, where one thing has several names.
    instruments: fn(&Entry<'_>, &Value) -> Result<Vec<Instrument>, Not>,
}

/// All venues whose listings are read. A new one is a line here.
const READERS: &[Reader] =
    &[binance::READER, bybit::READER, coinbase::READER, kraken::READER, okx::READER];
