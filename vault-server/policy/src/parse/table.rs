//! Reads the tables of a scope, each key by key.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;

use ipnet::IpNet;
use vault_model::{MarginMode, Money, Name, OrderType, TimeInForce};

use super::value::{
    Node, boolean, count, decimal, list, parsed, required, set, table, word, words,
};
use super::{Fault, Located, grant, of};
use crate::document::{
    AmountCap, Country, CumulativeDocument, DuplicatesDocument, HoursDocument, NetworkDocument,
    NotADocument, NotionalCap, OrderCap, OrdersDocument, PricingDocument, Span, Timezone,
    WithdrawalAddress, WithdrawalDocument,
};
use crate::grant::Grant;
use crate::rule::network::parse_network;
use crate::rule::symbol::Symbol;

pub(super) fn symbols(value: &Node<'_>) -> Located<BTreeMap<Name, Grant<Symbol>>> {
    by_name(value, |list| grant(list, || Fault::Symbol))
}

/// A table whose keys are venues.
fn by_name<T>(
    value: &Node<'_>,
    read: impl Fn(&Node<'_>) -> Located<T>,
) -> Located<BTreeMap<Name, T>> {
    let mut venues = BTreeMap::new();
    for (venue, value) in table(value)? {
        let name: Name = venue.get_ref().parse().map_err(|_| (venue.span(), Fault::Name))?;
        venues.insert(name, read(value)?);
    }
    Ok(venues)
}

pub(super) fn network(value: &Node<'_>) -> Located<NetworkDocument> {
    let mut network = NetworkDocument::default();
    for (key, value) in table(value)? {
        match key.get_ref().as_ref() {
            "allow" => network.allow = networks(value)?,
            "deny" => network.deny = networks(value)?,
            "allow_any" => network.allow_any = boolean(value)?,
            "countries" => {
                network.countries = Some(set::<Country>(value, of(NotADocument::Country))?);
            }
            _ => return Err((key.span(), Fault::UnknownKey("allow, deny, allow_any, countries"))),
        }
    }
    Ok(network)
}

/// Networks, and addresses as networks of one. Whether every address may be meant is checked with
/// the whole document.
fn networks(value: &Node<'_>) -> Located<BTreeSet<IpNet>> {
    let mut networks = BTreeSet::new();
    for item in list(value)? {
        let network = parse_network(word(item)?, true);
        networks.insert(network.map_err(|error| (item.span(), Fault::Value(error.into())))?);
    }
    Ok(networks)
}

pub(super) fn orders(value: &Node<'_>) -> Located<OrdersDocument> {
    let mut orders = OrdersDocument::default();
    for (key, value) in table(value)? {
        match key.get_ref().as_ref() {
            "types" => orders.types = Some(set(value, words::<OrderType>(OrderType::ALL))?),
            "time_in_force" => {
                orders.time_in_force = Some(set(value, words::<TimeInForce>(TimeInForce::ALL))?);
            }
            "reduce_only" => orders.reduce_only = boolean(value)?,
            "post_only" => orders.post_only = boolean(value)?,
            "max_quantity" => orders.max_quantity = Some(by_name(value, quantities)?),
            "max_notional_usd" => orders.max_notional_usd = Some(decimal(value)?),
            "price_band" => orders.price_band = Some(decimal(value)?),
            "max_leverage" => orders.max_leverage = Some(decimal(value)?),
            "margin_modes" => {
                orders.margin_modes = Some(set(value, words::<MarginMode>(MarginMode::ALL))?);
            }
            _ => return Err((key.span(), Fault::UnknownKey(ORDERS_KEYS))),
        }
    }
    Ok(orders)
}

fn quantities(value: &Node<'_>) -> Located<BTreeMap<Symbol, Money>> {
    let mut quantities = BTreeMap::new();
    for (key, value) in table(value)? {
        let symbol = Symbol::from_str(key.get_ref()).map_err(|_| (key.span(), Fault::Symbol))?;
        quantities.insert(symbol, decimal(value)?);
    }
    Ok(quantities)
}

pub(super) fn pricing(value: &Node<'_>) -> Located<PricingDocument> {
    let mut pricing = PricingDocument::default();
    for (key, value) in table(value)? {
        match key.get_ref().as_ref() {
            "usd_par" => pricing.usd_par = set(value, of(NotADocument::Asset))?,
            "slippage" => pricing.slippage = Some(decimal(value)?),
            _ => return Err((key.span(), Fault::UnknownKey("usd_par, slippage"))),
        }
    }
    Ok(pricing)
}

pub(super) fn cumulative(value: &Node<'_>) -> Located<CumulativeDocument> {
    let mut cumulative = CumulativeDocument::default();
    for (key, value) in table(value)? {
        match key.get_ref().as_ref() {
            "notional_usd" => {
                for (per, at_most) in caps(value, decimal)? {
                    cumulative.notional_usd.push(NotionalCap { per, at_most });
                }
            }
            "orders" => {
                for (per, at_most) in caps(value, count)? {
                    cumulative.orders.push(OrderCap { per, at_most });
                }
            }
            "open_orders" => cumulative.open_orders = Some(count(value)?),
            _ => return Err((key.span(), Fault::UnknownKey("notional_usd, orders, open_orders"))),
        }
    }
    Ok(cumulative)
}

/// A list of `{ per = "24h", at_most = … }`.
fn caps<T>(value: &Node<'_>, read: impl Fn(&Node<'_>) -> Located<T>) -> Located<Vec<(Span, T)>> {
    let mut caps = Vec::new();
    for item in list(value)? {
        let (mut per, mut at_most) = (None, None);
        for (key, value) in table(item)? {
            match key.get_ref().as_ref() {
                "per" => per = Some(span(value)?),
                "at_most" => at_most = Some(read(value)?),
                _ => return Err((key.span(), Fault::UnknownKey("per, at_most"))),
            }
        }
        caps.push((required(per, item, "per")?, required(at_most, item, "at_most")?));
    }
    Ok(caps)
}

fn span(value: &Node<'_>) -> Located<Span> {
    parsed(value, of(NotADocument::Span))
}

pub(super) fn hours(value: &Node<'_>) -> Located<HoursDocument> {
    let (mut timezone, mut windows) = (None, BTreeSet::new());
    for (key, value) in table(value)? {
        match key.get_ref().as_ref() {
            "timezone" => {
                timezone = Some(parsed::<Timezone>(value, of(NotADocument::Timezone))?);
            }
            "windows" => windows = set(value, of(NotADocument::Window))?,
            _ => return Err((key.span(), Fault::UnknownKey("timezone, windows"))),
        }
    }
    Ok(HoursDocument { timezone: required(timezone, value, "timezone")?, windows })
}

pub(super) fn duplicates(value: &Node<'_>) -> Located<DuplicatesDocument> {
    let mut duplicates = DuplicatesDocument::default();
    for (key, value) in table(value)? {
        match key.get_ref().as_ref() {
            "client_order_id" => duplicates.client_order_id = Some(span(value)?),
            "order" => duplicates.order = Some(span(value)?),
            _ => return Err((key.span(), Fault::UnknownKey("client_order_id, order"))),
        }
    }
    Ok(duplicates)
}

pub(super) fn withdrawal(value: &Node<'_>) -> Located<WithdrawalDocument> {
    let mut withdrawal = WithdrawalDocument::default();
    for (key, value) in table(value)? {
        match key.get_ref().as_ref() {
            "addresses" => {
                for item in list(value)? {
                    withdrawal.addresses.insert(address(item)?);
                }
            }
            "per_day" => {
                for item in list(value)? {
                    withdrawal.per_day.insert(amount_cap(item)?);
                }
            }
            _ => return Err((key.span(), Fault::UnknownKey("addresses, per_day"))),
        }
    }
    Ok(withdrawal)
}

fn address(item: &Node<'_>) -> Located<WithdrawalAddress> {
    let (mut venue, mut asset, mut address) = (None, None, None);
    for (key, value) in table(item)? {
        match key.get_ref().as_ref() {
            "venue" => venue = Some(parsed::<Name>(value, || Fault::Name)?),
            "asset" => asset = Some(word(value)?.to_owned()),
            "address" => address = Some(word(value)?.to_owned()),
            _ => return Err((key.span(), Fault::UnknownKey("venue, asset, address"))),
        }
    }
    Ok(WithdrawalAddress {
        venue: required(venue, item, "venue")?,
        asset: required(asset, item, "asset")?,
        address: required(address, item, "address")?,
    })
}

fn amount_cap(item: &Node<'_>) -> Located<AmountCap> {
    let (mut venue, mut asset, mut at_most) = (None, None, None);
    for (key, value) in table(item)? {
        match key.get_ref().as_ref() {
            "venue" => venue = Some(parsed::<Name>(value, || Fault::Name)?),
            "asset" => asset = Some(word(value)?.to_owned()),
            "at_most" => at_most = Some(decimal(value)?),
            _ => return Err((key.span(), Fault::UnknownKey("venue, asset, at_most"))),
        }
    }
    Ok(AmountCap {
        venue: required(venue, item, "venue")?,
        asset: required(asset, item, "asset")?,
        at_most: required(at_most, item, "at_most")?,
    })
}

const ORDERS_KEYS: &str = "types, time_in_force, reduce_only, post_only, max_quantity, \
                           max_notional_usd, price_band, max_leverage, margin_modes";
