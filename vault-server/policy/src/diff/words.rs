//! Differences in words.

use std::collections::BTreeSet;
use std::fmt::Display;

use vault_model::Name;

use super::Effect;
use crate::document::{HoursDocument, ScopeDocument};
use crate::grant::Grant;
use crate::lattice::cap::{Cap, Quantities, amounts};
use crate::lattice::{Dimension, addresses_of, symbols_of};

/// What differs in a dimension: of a list what only the wider scope has, of a limit both.
pub(super) fn difference(
    dimension: Dimension,
    a: &ScopeDocument,
    b: &ScopeDocument,
    effect: Effect,
) -> String {
    let (more, less) = match effect {
        Effect::Closes => (a, b),
        Effect::Opens => (b, a),
    };
    let (orders, other_orders) = (&more.orders, &less.orders);
    match dimension {
        Dimension::Classes => only(&more.classes, &less.classes),
        Dimension::Credentials => only(&more.credentials, &less.credentials),
        Dimension::Modes => only(&more.modes, &less.modes),
        Dimension::Network => only_networks(more, less),
        Dimension::NetworkCountries => {
            only_listed(&more.network.countries, &less.network.countries, "any country")
        }
        Dimension::Operations => only(&more.operations, &less.operations),
        Dimension::OrdersMarginModes => {
            only_listed(&orders.margin_modes, &other_orders.margin_modes, "any margin mode")
        }
        Dimension::OrdersTimeInForce => {
            only_listed(&orders.time_in_force, &other_orders.time_in_force, "any time in force")
        }
        Dimension::OrdersTypes => only_listed(&orders.types, &other_orders.types, "any order type"),
        Dimension::Products => only_granted(&more.products, &less.products, "every product"),
        Dimension::Symbols => symbols(more, less),
        Dimension::WithdrawalAddresses => {
            if more.withdrawal.is_none() {
                return "no table of withdrawals, which keeps log-ons out".to_owned();
            }
            let others: BTreeSet<_> = addresses_of(less).collect();
            let new = addresses_of(more).filter(|address| !others.contains(address));
            listed(new.map(|to| format!("{} to {} from {}", to.asset, to.address, to.venue)))
        }
        _ => format!("{} -> {}", value(dimension, a), value(dimension, b)),
    }
}

/// The value of a dimension that is a limit or a table.
fn value(dimension: Dimension, scope: &ScopeDocument) -> String {
    let orders = &scope.orders;
    match dimension {
        Dimension::CumulativeNotional => caps(&scope.cumulative.notional_usd, " USD"),
        Dimension::CumulativeOpenOrders => limit(scope.cumulative.open_orders.as_ref(), ""),
        Dimension::CumulativeOrders => caps(&scope.cumulative.orders, ""),
        Dimension::DuplicatesClientOrderId => again(scope.duplicates.client_order_id),
        Dimension::DuplicatesOrder => again(scope.duplicates.order),
        Dimension::Hours => scope.hours.as_ref().map_or_else(|| "always".to_owned(), hours),
        Dimension::OrdersMaxLeverage => limit(orders.max_leverage.as_ref(), ""),
        Dimension::OrdersMaxNotional => limit(orders.max_notional_usd.as_ref(), " USD"),
        Dimension::OrdersMaxQuantity => quantities(orders.max_quantity.as_ref()),
        Dimension::OrdersPostOnly => flag(orders.post_only),
        Dimension::OrdersPriceBand => limit(orders.price_band.as_ref(), ""),
        Dimension::OrdersReduceOnly => flag(orders.reduce_only),
        Dimension::PricingSlippage => scope.pricing.slippage_or_default().to_string(),
        Dimension::PricingUsdPar => listed(scope.pricing.usd_par.iter()),
        Dimension::WithdrawalPerDay => {
            let amounts = amounts(scope.withdrawal.as_ref());
            listed(
                amounts
                    .iter()
                    .map(|((venue, asset), at_most)| format!("{at_most} {asset} from {venue}")),
            )
        }
        // The lists, of which only the difference is shown.
        _ => String::new(),
    }
}

/// So many are shown of a list.
const SHOWN_MAX: usize = 6;

fn listed<T: Display>(items: impl Iterator<Item = T>) -> String {
    let items: Vec<String> = items.map(|item| item.to_string()).collect();
    if items.is_empty() {
        return "none".to_owned();
    }
    let shown = items[..items.len().min(SHOWN_MAX)].join(", ");
    match items.len().saturating_sub(SHOWN_MAX) {
        0 => shown,
        left => format!("{shown} and {left} more"),
    }
}

fn only<T: Display + Ord>(more: &BTreeSet<T>, less: &BTreeSet<T>) -> String {
    listed(more.difference(less))
}

fn only_listed<T: Display + Ord>(
    more: &Option<BTreeSet<T>>,
    less: &Option<BTreeSet<T>>,
    every: &str,
) -> String {
    match (more, less) {
        (Some(more), Some(less)) => only(more, less),
        (None, Some(less)) => format!("{every}, not only {}", listed(less.iter())),
        (_, None) => "none".to_owned(),
    }
}

fn only_granted<T: Display + Ord>(more: &Grant<T>, less: &Grant<T>, every: &str) -> String {
    match (more, less) {
        (Grant::Only(more), Grant::Only(less)) => only(more, less),
        (Grant::Every, Grant::Only(less)) if less.is_empty() => every.to_owned(),
        (Grant::Every, Grant::Only(less)) => format!("{every}, not only {}", listed(less.iter())),
        (_, Grant::Every) => "none".to_owned(),
    }
}

fn symbols(more: &ScopeDocument, less: &ScopeDocument) -> String {
    let venues = more.symbols.iter().filter_map(|(venue, grant)| {
        let other = symbols_of(less, venue);
        (!grant.is_within(other))
            .then(|| format!("{} at {venue}", only_granted(grant, other, "every symbol")))
    });
    venues.collect::<Vec<_>>().join("; ")
}

fn only_networks(more: &ScopeDocument, less: &ScopeDocument) -> String {
    let (more, less) = (&more.network, &less.network);
    let mut parts = Vec::new();
    if !more.allow.is_subset(&less.allow) {
        parts.push(only(&more.allow, &less.allow));
    }
    if !less.deny.is_subset(&more.deny) {
        parts.push(format!("no longer denied: {}", only(&less.deny, &more.deny)));
    }
    parts.join("; ")
}

fn limit<T: Display>(limit: Option<&T>, unit: &str) -> String {
    limit.map_or_else(|| "no limit".to_owned(), |limit| format!("{limit}{unit}"))
}

fn flag(required: bool) -> String {
    if required { "required" } else { "not required" }.to_owned()
}

fn again(span: Option<crate::document::Span>) -> String {
    span.map_or_else(|| "not asked".to_owned(), |span| format!("not within {span}"))
}

fn caps<C: Cap<Amount: Display>>(caps: &[C], unit: &str) -> String {
    if caps.is_empty() {
        return "no limit".to_owned();
    }
    listed(caps.iter().map(|cap| format!("{}{unit} per {}", cap.at_most(), cap.per())))
}

fn quantities(quantities: Option<&Quantities>) -> String {
    let Some(quantities) = quantities else {
        return "no limit".to_owned();
    };
    let limits = quantities.iter().flat_map(|(venue, symbols): (&Name, _)| {
        symbols.iter().map(move |(symbol, limit)| format!("{limit} of {symbol} at {venue}"))
    });
    listed(limits)
}

fn hours(hours: &HoursDocument) -> String {
    match hours.windows.is_empty() {
        true => "never".to_owned(),
        false => format!("{} {}", listed(hours.windows.iter()), hours.timezone),
    }
}
