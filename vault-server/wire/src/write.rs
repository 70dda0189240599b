//! A scope as a message.

use vault_policy::{
    CumulativeDocument, Grant, NetworkDocument, OrdersDocument, ScopeDocument, WithdrawalDocument,
};
use vault_proto::v1;

/// Writes a scope as a message. [`scope_from_wire`](crate::scope_from_wire) reads the same back.
pub fn scope_to_wire(document: &ScopeDocument) -> v1::Scope {
    let symbols = document.symbols.iter().map(|(venue, symbols)| v1::VenueSymbols {
        venue: venue.to_string(),
        symbols: granted(symbols),
    });
    v1::Scope {
        name: document.name.to_string(),
        description: document.description.clone(),
        credentials: texts(&document.credentials),
        classes: texts(&document.classes),
        operations: texts(&document.operations),
        modes: texts(&document.modes),
        products: granted(&document.products),
        symbols: symbols.collect(),
        network: Some(network(&document.network)),
        orders: is_said(&document.orders).then(|| orders(&document.orders)),
        pricing: is_said(&document.pricing).then(|| v1::Pricing {
            usd_par: texts(&document.pricing.usd_par),
            slippage: text(document.pricing.slippage),
        }),
        cumulative: is_said(&document.cumulative).then(|| cumulative(&document.cumulative)),
        hours: document.hours.as_ref().map(|hours| v1::Hours {
            timezone: hours.timezone.to_string(),
            windows: texts(&hours.windows),
        }),
        duplicates: is_said(&document.duplicates).then(|| v1::Duplicates {
            client_order_id: text(document.duplicates.client_order_id),
            order: text(document.duplicates.order),
        }),
        withdrawal: document.withdrawal.as_ref().map(withdrawal),
        shadow: text(document.shadow.as_ref()),
    }
}

fn network(network: &NetworkDocument) -> v1::Network {
    v1::Network {
        allow: texts(&network.allow),
        deny: texts(&network.deny),
        allow_any: network.allow_any,
        countries: network.countries.as_ref().map(words),
    }
}

fn orders(orders: &OrdersDocument) -> v1::OrderRules {
    let limits = orders.max_quantity.as_ref().map(|venues| {
        let limits = venues.iter().flat_map(|(venue, symbols)| {
            symbols.iter().map(|(symbol, at_most)| v1::QuantityLimit {
                venue: venue.to_string(),
                symbol: symbol.to_string(),
                at_most: at_most.to_string(),
            })
        });
        v1::QuantityLimits { limits: limits.collect() }
    });
    v1::OrderRules {
        types: orders.types.as_ref().map(words),
        time_in_force: orders.time_in_force.as_ref().map(words),
        reduce_only: orders.reduce_only,
        post_only: orders.post_only,
        max_quantity: limits,
        max_notional_usd: text(orders.max_notional_usd),
        price_band: text(orders.price_band),
        max_leverage: text(orders.max_leverage),
        margin_modes: orders.margin_modes.as_ref().map(words),
    }
}

fn cumulative(caps: &CumulativeDocument) -> v1::Cumulative {
    let notional = caps
        .notional_usd
        .iter()
        .map(|cap| v1::NotionalCap { per: cap.per.to_string(), at_most: cap.at_most.to_string() });
    let orders = caps
        .orders
        .iter()
        .map(|cap| v1::OrderCap { per: cap.per.to_string(), at_most: cap.at_most });
    v1::Cumulative {
        notional_usd: notional.collect(),
        orders: orders.collect(),
        open_orders: caps.open_orders,
    }
}

fn withdrawal(withdrawal: &WithdrawalDocument) -> v1::Withdrawal {
    let addresses = withdrawal.addresses.iter().map(|entry| v1::WithdrawalAddress {
        venue: entry.venue.to_string(),
        asset: entry.asset.clone(),
        address: entry.address.clone(),
    });
    let per_day = withdrawal.per_day.iter().map(|cap| v1::AmountCap {
        venue: cap.venue.to_string(),
        asset: cap.asset.clone(),
        at_most: cap.at_most.to_string(),
    });
    v1::Withdrawal { addresses: addresses.collect(), per_day: per_day.collect() }
}

/// A dimension that says nothing is left out.
fn is_said<T: Default + PartialEq>(dimension: &T) -> bool {
    *dimension != T::default()
}

fn granted<T: Clone + std::fmt::Display>(grant: &Grant<T>) -> Vec<String> {
    grant.clone().into()
}

fn words<'w, T: ToString + 'w>(words: impl IntoIterator<Item = &'w T>) -> v1::Words {
    v1::Words { words: texts(words) }
}

fn texts<'t, T: ToString + 't>(list: impl IntoIterator<Item = &'t T>) -> Vec<String> {
    list.into_iter().map(ToString::to_string).collect()
}

/// Empty if absent.
fn text(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}
