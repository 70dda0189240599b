//! What orders are held to.

use std::collections::BTreeSet;

use vault_model::{Asset, Class, Instrument, OrderType, Pair, Product};

use super::{Findings, listed};
use crate::document::ScopeDocument;
use crate::grant::Grant;
use crate::lattice::{Dimension, caps_notional, symbols_of};

pub(super) fn look(found: &mut Findings<'_>) {
    if found.grants(Class::Trade) {
        caps(found);
        types(found);
        products(found);
        market(found);
    } else if found.document.cumulative != Default::default() {
        found.warn(
            Dimension::Classes,
            "CAPS_WITHOUT_TRADE",
            "there are caps on orders, and the class trade is not granted",
            "leave them out, or add trade to classes",
        );
    }
    quantities(found);
}

fn caps(found: &mut Findings<'_>) {
    let (orders, cumulative) = (&found.document.orders, &found.document.cumulative);
    let has_size = orders.max_notional_usd.is_some() || orders.max_quantity.is_some();
    let has_sum = *cumulative != Default::default();
    if !has_size && !has_sum {
        found.warn(
            Dimension::OrdersMaxNotional,
            "TRADE_WITHOUT_CAPS",
            "trading is granted without any cap: one order may use up the account",
            "orders.max_notional_usd, and cumulative.notional_usd where it can be kept",
        );
    } else if !has_sum && !found.signs() {
        found.warn(
            Dimension::CumulativeNotional,
            "COUNT_UNLIMITED",
            "every order has a limit, and there may be any number of them",
            "cumulative.notional_usd or cumulative.orders",
        );
    }
    let zero = cumulative.orders.iter().any(|cap| cap.at_most == 0)
        || cumulative.open_orders == Some(0)
        || cumulative.notional_usd.iter().any(|cap| cap.at_most.is_zero())
        || orders.max_notional_usd.is_some_and(|limit| limit.is_zero());
    if zero {
        found.warn(
            Dimension::OrdersMaxNotional,
            "CAP_OF_ZERO",
            "a cap is 0, so orders that count under it never pass",
            "take trade out of classes if that is what is meant",
        );
    }
}

fn types(found: &mut Findings<'_>) {
    let orders = &found.document.orders;
    let Some(types) = &orders.types else {
        found.warn(
            Dimension::OrdersTypes,
            "TYPES_UNRESTRICTED",
            "every order type is granted, also those that the catalogue has no word for",
            "orders.types, such as [\"LIMIT\", \"MARKET\"]",
        );
        return;
    };
    let of = |which: &[OrderType]| listed(types.iter().filter(|listed| which.contains(listed)));
    let unpriced = of(&[OrderType::Other, OrderType::TrailingStop]);
    if caps_notional(found.document) && !unpriced.is_empty() {
        found.warn(
            Dimension::OrdersTypes,
            "TYPE_NEVER_PRICED",
            format!("{unpriced} can never be priced, so under a cap on notional it never passes"),
            format!("take {unpriced} out of orders.types"),
        );
    }
    let unbounded = of(&[
        OrderType::Market,
        OrderType::Other,
        OrderType::Stop,
        OrderType::TakeProfit,
        OrderType::TrailingStop,
    ]);
    if orders.price_band.is_some() && !unbounded.is_empty() {
        found.warn(
            Dimension::OrdersPriceBand,
            "TYPE_NEVER_IN_BAND",
            format!("{unbounded} has no limit price, so under a price band it never passes"),
            format!("take {unbounded} out of orders.types, or leave orders.price_band out"),
        );
    }
    let resting = of(&[
        OrderType::Limit,
        OrderType::LimitMaker,
        OrderType::StopLimit,
        OrderType::TakeProfitLimit,
        OrderType::Other,
    ]);
    if orders.post_only && resting.is_empty() {
        found.warn(
            Dimension::OrdersPostOnly,
            "POST_ONLY_NEVER",
            "orders must be post-only, and no type is granted that can be",
            "add LIMIT or LIMIT_MAKER to orders.types",
        );
    }
}

fn products(found: &mut Findings<'_>) {
    let Grant::Only(products) = &found.document.products else { return };
    let without_positions =
        products.iter().all(|product| matches!(product, Product::Margin | Product::Spot));
    if found.document.orders.reduce_only && without_positions && !products.is_empty() {
        found.warn(
            Dimension::OrdersReduceOnly,
            "REDUCE_ONLY_WITHOUT_POSITIONS",
            format!("{} has no positions to reduce, so no order ever passes", listed(products)),
            "reduce_only is for linear, inverse and option",
        );
    }
    let bound = found.document.orders.price_band.is_some();
    if bound && products.contains(&Product::Option) {
        found.warn(
            Dimension::OrdersPriceBand,
            "PRODUCT_NEVER_IN_BAND",
            "what an option costs is not near the price of what it is on: under a price band no \
             order for one passes",
            "a scope of its own for options",
        );
    }
}

fn quantities(found: &mut Findings<'_>) {
    let document = found.document;
    let Some(quantities) = &document.orders.max_quantity else { return };
    let mut idle = Vec::new();
    for (venue, limits) in quantities {
        let granted = symbols_of(document, venue);
        if let Grant::Only(symbols) = granted {
            let others = limits.keys().filter(|symbol| !symbols.contains(*symbol));
            idle.extend(others.map(|symbol| format!("{symbol} at {venue}")));
        }
    }
    if !idle.is_empty() {
        found.warn(
            Dimension::OrdersMaxQuantity,
            "QUANTITY_NOT_GRANTED",
            format!("{} has a largest quantity, and is not granted by symbols", listed(idle)),
            "add it to symbols, or leave it out of orders.max_quantity",
        );
    }
    let mut closed = Vec::new();
    for (venue, grant) in &document.symbols {
        let has = |symbol| quantities.get(venue).is_some_and(|limits| limits.contains_key(symbol));
        if let Grant::Only(symbols) = grant {
            let without = symbols.iter().filter(|symbol| !has(*symbol));
            closed.extend(without.map(|symbol| format!("{symbol} at {venue}")));
        }
    }
    if !closed.is_empty() {
        found.warn(
            Dimension::OrdersMaxQuantity,
            "SYMBOL_WITHOUT_QUANTITY",
            format!(
                "{} is granted by symbols, and has no largest quantity: it gets no orders",
                listed(closed)
            ),
            "add it to orders.max_quantity",
        );
    }
}

/// Whether orders can be priced at all.
fn market(found: &mut Findings<'_>) {
    let document = found.document;
    let orders = &document.orders;
    let priced = caps_notional(document) || orders.price_band.is_some();
    if !priced && orders.max_quantity.is_none() {
        return;
    }
    let Some(instruments) = &found.facts.instruments else { return };
    for (venue, grant) in &document.symbols {
        let Grant::Only(symbols) = grant else { continue };
        let without = symbols.iter().filter(|symbol| {
            !instruments
                .iter()
                .any(|known| known.venue == *venue && known.symbol == symbol.as_str())
        });
        let without = listed(without);
        if !without.is_empty() {
            found.warn(
                Dimension::Symbols,
                "INSTRUMENT_MISSING",
                format!(
                    "no instrument is approved for {without} at {venue}: orders cannot be measured \
                     or priced, and are denied"
                ),
                "vaultctl instrument import",
            );
        }
    }
    let Some(feeds) = &found.facts.feeds else { return };
    if priced {
        let wanted = pairs(document, instruments);
        let without = listed(wanted.into_iter().filter(|pair| !feeds.contains(pair)));
        if !without.is_empty() {
            let orders = &document.orders;
            let dimension = if orders.max_notional_usd.is_some() {
                Dimension::OrdersMaxNotional
            } else if orders.price_band.is_some() {
                Dimension::OrdersPriceBand
            } else {
                Dimension::CumulativeNotional
            };
            found.warn(
                dimension,
                "FEED_MISSING",
                format!(
                    "there is no feed of reference prices for {without}: orders that need one are \
                     denied"
                ),
                "a feed for it and a client of kind pricer, or pricing.usd_par for what is at par",
            );
        }
    }
}

/// The pairs whose prices orders of the scope would need.
fn pairs(document: &ScopeDocument, instruments: &[Instrument]) -> BTreeSet<Pair> {
    let usd = Asset::usd();
    let is_touched = |instrument: &&Instrument| {
        let is_granted = match symbols_of(document, &instrument.venue) {
            Grant::Every => true,
            Grant::Only(symbols) => {
                symbols.iter().any(|symbol| symbol.as_str() == instrument.symbol)
            }
        };
        let is_of_product = match &document.products {
            Grant::Every => true,
            Grant::Only(products) => products.contains(&instrument.product),
        };
        is_granted && is_of_product
    };
    let mut pairs = BTreeSet::new();
    for instrument in instruments.iter().filter(is_touched) {
        pairs.insert(instrument.reference.clone());
        let is_worth_usd = instrument.quote == usd
            || document.pricing.usd_par.contains(&instrument.quote)
            || !caps_notional(document);
        if !is_worth_usd {
            pairs.insert(Pair::new(instrument.quote.clone(), usd.clone()));
        }
    }
    pairs
}
