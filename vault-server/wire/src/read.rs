//! A scope from a message.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::str::FromStr;

use vault_model::{Money, Name};
use vault_policy::{
    AmountCap, CumulativeDocument, DuplicatesDocument, Grant, HoursDocument, NetworkDocument,
    NotionalCap, OrderCap, OrdersDocument, PricingDocument, ScopeDocument, Symbol,
    WithdrawalAddress, WithdrawalDocument, parse_network,
};
use vault_proto::v1;

use crate::error::WireError;

type Read<T> = Result<T, WireError>;

/// Reads a scope from a message, and checks it like every other.
///
/// # Errors
///
/// [`WireError`] names the dimension that is not what it has to be.
pub fn scope_from_wire(wire: &v1::Scope) -> Read<ScopeDocument> {
    let mut scope = ScopeDocument::new(word("name", &wire.name)?);
    scope.description = wire.description.clone();
    scope.credentials = words("credentials", &wire.credentials)?;
    scope.classes = words("classes", &wire.classes)?;
    scope.operations = wire.operations.iter().cloned().collect();
    scope.modes = words("modes", &wire.modes)?;
    scope.products = grant("products", &wire.products)?;
    for entry in &wire.symbols {
        let symbols = grant("symbols", &entry.symbols)?;
        once("symbols", &mut scope.symbols, word("symbols", &entry.venue)?, symbols)?;
    }
    scope.network = network(wire.network.as_ref())?;
    scope.orders = orders(wire.orders.as_ref())?;
    scope.pricing = pricing(wire.pricing.as_ref())?;
    scope.cumulative = cumulative(wire.cumulative.as_ref())?;
    scope.hours = wire.hours.as_ref().map(hours).transpose()?;
    scope.duplicates = duplicates(wire.duplicates.as_ref())?;
    scope.withdrawal = wire.withdrawal.as_ref().map(withdrawal).transpose()?;
    scope.shadow = optional("shadow", &wire.shadow)?;
    scope.check()?;
    Ok(scope)
}

fn network(wire: Option<&v1::Network>) -> Read<NetworkDocument> {
    let Some(wire) = wire else { return Ok(NetworkDocument::default()) };
    // Whether every address may be meant is checked with the whole document.
    let read = |dimension, networks: &[String]| {
        let network = |text: &String| {
            parse_network(text, true).map_err(|error| WireError::new(dimension, error))
        };
        networks.iter().map(network).collect::<Read<BTreeSet<_>>>()
    };
    Ok(NetworkDocument {
        allow: read("network.allow", &wire.allow)?,
        deny: read("network.deny", &wire.deny)?,
        allow_any: wire.allow_any,
        countries: some_words("network.countries", wire.countries.as_ref())?,
    })
}

fn orders(wire: Option<&v1::OrderRules>) -> Read<OrdersDocument> {
    let Some(wire) = wire else { return Ok(OrdersDocument::default()) };
    Ok(OrdersDocument {
        types: some_words("orders.types", wire.types.as_ref())?,
        time_in_force: some_words("orders.time_in_force", wire.time_in_force.as_ref())?,
        reduce_only: wire.reduce_only,
        post_only: wire.post_only,
        max_quantity: wire.max_quantity.as_ref().map(max_quantity).transpose()?,
        max_notional_usd: optional("orders.max_notional_usd", &wire.max_notional_usd)?,
        price_band: optional("orders.price_band", &wire.price_band)?,
        max_leverage: optional("orders.max_leverage", &wire.max_leverage)?,
        margin_modes: some_words("orders.margin_modes", wire.margin_modes.as_ref())?,
    })
}

fn max_quantity(wire: &v1::QuantityLimits) -> Read<BTreeMap<Name, BTreeMap<Symbol, Money>>> {
    let dimension = "orders.max_quantity";
    let mut venues = BTreeMap::<Name, BTreeMap<Symbol, Money>>::new();
    for limit in &wire.limits {
        let symbols = venues.entry(word(dimension, &limit.venue)?).or_default();
        let at_most = word(dimension, &limit.at_most)?;
        once(dimension, symbols, word(dimension, &limit.symbol)?, at_most)?;
    }
    Ok(venues)
}

fn pricing(wire: Option<&v1::Pricing>) -> Read<PricingDocument> {
    let Some(wire) = wire else { return Ok(PricingDocument::default()) };
    Ok(PricingDocument {
        usd_par: words("pricing.usd_par", &wire.usd_par)?,
        slippage: optional("pricing.slippage", &wire.slippage)?,
    })
}

fn cumulative(wire: Option<&v1::Cumulative>) -> Read<CumulativeDocument> {
    let Some(wire) = wire else { return Ok(CumulativeDocument::default()) };
    let notional = wire.notional_usd.iter().map(|cap| {
        let dimension = "cumulative.notional_usd";
        Ok(NotionalCap { per: word(dimension, &cap.per)?, at_most: word(dimension, &cap.at_most)? })
    });
    let orders = wire.orders.iter().map(|cap| {
        Ok(OrderCap { per: word("cumulative.orders", &cap.per)?, at_most: cap.at_most })
    });
    Ok(CumulativeDocument {
        notional_usd: notional.collect::<Read<_>>()?,
        orders: orders.collect::<Read<_>>()?,
        open_orders: wire.open_orders,
    })
}

fn hours(wire: &v1::Hours) -> Read<HoursDocument> {
    Ok(HoursDocument {
        timezone: word("hours.timezone", &wire.timezone)?,
        windows: words("hours.windows", &wire.windows)?,
    })
}

fn duplicates(wire: Option<&v1::Duplicates>) -> Read<DuplicatesDocument> {
    let Some(wire) = wire else { return Ok(DuplicatesDocument::default()) };
    Ok(DuplicatesDocument {
        client_order_id: optional("duplicates.client_order_id", &wire.client_order_id)?,
        order: optional("duplicates.order", &wire.order)?,
    })
}

fn withdrawal(wire: &v1::Withdrawal) -> Read<WithdrawalDocument> {
    let addresses = wire.addresses.iter().map(|entry| {
        Ok(WithdrawalAddress {
            venue: word("withdrawal.addresses", &entry.venue)?,
            asset: entry.asset.clone(),
            address: entry.address.clone(),
        })
    });
    let per_day = wire.per_day.iter().map(|cap| {
        let dimension = "withdrawal.per_day";
        Ok(AmountCap {
            venue: word(dimension, &cap.venue)?,
            asset: cap.asset.clone(),
            at_most: word(dimension, &cap.at_most)?,
        })
    });
    Ok(WithdrawalDocument {
        addresses: addresses.collect::<Read<_>>()?,
        per_day: per_day.collect::<Read<_>>()?,
    })
}

/// The errors of every type used here say what is expected, and never what came.
fn word<T: FromStr<Err: Display>>(dimension: &'static str, text: &str) -> Read<T> {
    text.parse().map_err(|error| WireError::new(dimension, error))
}

/// Empty stands for absent.
fn optional<T: FromStr<Err: Display>>(dimension: &'static str, text: &str) -> Read<Option<T>> {
    if text.is_empty() { Ok(None) } else { word(dimension, text).map(Some) }
}

fn words<T: FromStr<Err: Display> + Ord>(
    dimension: &'static str,
    words: &[String],
) -> Read<BTreeSet<T>> {
    words.iter().map(|text| word(dimension, text)).collect()
}

fn some_words<T: FromStr<Err: Display> + Ord>(
    dimension: &'static str,
    list: Option<&v1::Words>,
) -> Read<Option<BTreeSet<T>>> {
    list.map(|list| words(dimension, &list.words)).transpose()
}

fn grant<T: FromStr + Ord>(dimension: &'static str, words: &[String]) -> Read<Grant<T>> {
    Grant::try_from(words.to_vec()).map_err(|error| WireError::new(dimension, error))
}

/// What is there twice would say two things, and only one of them would hold.
fn once<K: Ord, V>(
    dimension: &'static str,
    map: &mut BTreeMap<K, V>,
    key: K,
    value: V,
) -> Read<()> {
    match map.insert(key, value) {
        None => Ok(()),
        Some(_) => Err(WireError::new(dimension, "the same venue or symbol is there twice")),
    }
}
