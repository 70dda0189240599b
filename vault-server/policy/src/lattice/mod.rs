//! Compares scopes, dimension by dimension: what a change widens, and what it narrows.
//!
//! A dimension is a set of what it lets pass; a change widens it if the new set is not within the
//! old one. The comparison never calls a widening change narrowing. It may call a change widening
//! that opens nothing: because another dimension stays closed, because windows on the clocks of two
//! time zones are not compared, or because a change of how orders are priced makes some dearer and
//! others cheaper. It is held against judgement by brute force in `tests/lattice.rs` and
//! `tests/lattice_random.rs`.
//!
//! It compares numbers as they are. Judging denies what it cannot compute exactly: under a price
//! band or a limit on quantity with more digits behind the point than there is room for, beside a
//! reference price with as many, a request may be denied that a narrower one with fewer digits lets
//! pass. With 12 digits of a price and 6 of a band or limit that cannot be.

pub(crate) mod address;
pub(crate) mod cap;
mod dimension;
pub(crate) mod week;

use std::collections::BTreeSet;

use vault_model::{Class, Name};

pub use dimension::Dimension;
pub(crate) use dimension::{caps_notional, forbids_logons};

use crate::document::{ScopeDocument, WithdrawalAddress};
use crate::grant::Grant;
use crate::rule::symbol::Symbol;
use cap::{amounts_within, caps_within, is_at_most, quantities_within};

/// What a change does.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Comparison {
    /// Dimensions that let pass something that they did not before.
    pub widened: Vec<Dimension>,
    /// Dimensions that no longer let something pass.
    pub narrowed: Vec<Dimension>,
}

/// Compares two scopes. Their names, descriptions and shadows grant nothing.
pub fn compare(old: &ScopeDocument, new: &ScopeDocument) -> Comparison {
    Comparison { widened: beyond(new, old), narrowed: beyond(old, new) }
}

/// Whether the new scope grants anything that the old one does not.
pub fn widens(old: &ScopeDocument, new: &ScopeDocument) -> bool {
    !beyond(new, old).is_empty()
}

/// Whether the old scope grants anything that the new one does not.
pub fn narrows(old: &ScopeDocument, new: &ScopeDocument) -> bool {
    !beyond(old, new).is_empty()
}

/// The dimensions in which `one` is not within `other`.
fn beyond(one: &ScopeDocument, other: &ScopeDocument) -> Vec<Dimension> {
    let all = Dimension::ALL.iter().copied();
    all.filter(|dimension| !is_within(*dimension, one, other)).collect()
}

/// Whether all that `one` lets pass in a dimension, `other` lets pass too.
fn is_within(dimension: Dimension, one: &ScopeDocument, other: &ScopeDocument) -> bool {
    let (orders, other_orders) = (&one.orders, &other.orders);
    let (counted, other_counted) = (&one.cumulative, &other.cumulative);
    let (again, other_again) = (&one.duplicates, &other.duplicates);
    match dimension {
        Dimension::Classes => one.classes.is_subset(&other.classes),
        Dimension::Credentials => one.credentials.is_subset(&other.credentials),
        Dimension::CumulativeNotional => {
            caps_within(&counted.notional_usd, &other_counted.notional_usd)
        }
        Dimension::CumulativeOpenOrders => {
            is_at_most(counted.open_orders.as_ref(), other_counted.open_orders.as_ref())
        }
        Dimension::CumulativeOrders => caps_within(&counted.orders, &other_counted.orders),
        // What may not come again for long, may not come again for short.
        Dimension::DuplicatesClientOrderId => other_again.client_order_id <= again.client_order_id,
        Dimension::DuplicatesOrder => other_again.order <= again.order,
        Dimension::Hours => week::is_within(one.hours.as_ref(), other.hours.as_ref()),
        Dimension::Modes => one.modes.is_subset(&other.modes),
        Dimension::Network => address::is_within(&one.network, &other.network),
        Dimension::NetworkCountries => {
            is_listed(one.network.countries.as_ref(), other.network.countries.as_ref())
        }
        Dimension::Operations => one.operations.is_subset(&other.operations),
        Dimension::OrdersMarginModes => {
            is_listed(orders.margin_modes.as_ref(), other_orders.margin_modes.as_ref())
        }
        Dimension::OrdersMaxLeverage => {
            is_at_most(orders.max_leverage.as_ref(), other_orders.max_leverage.as_ref())
        }
        Dimension::OrdersMaxNotional => {
            is_at_most(orders.max_notional_usd.as_ref(), other_orders.max_notional_usd.as_ref())
        }
        Dimension::OrdersMaxQuantity => {
            quantities_within(orders.max_quantity.as_ref(), other_orders.max_quantity.as_ref())
        }
        Dimension::OrdersPostOnly => orders.post_only || !other_orders.post_only,
        Dimension::OrdersPriceBand => {
            is_at_most(orders.price_band.as_ref(), other_orders.price_band.as_ref())
        }
        Dimension::OrdersReduceOnly => orders.reduce_only || !other_orders.reduce_only,
        Dimension::OrdersTimeInForce => {
            is_listed(orders.time_in_force.as_ref(), other_orders.time_in_force.as_ref())
        }
        Dimension::OrdersTypes => is_listed(orders.types.as_ref(), other_orders.types.as_ref()),
        // More slippage makes orders dearer. But what cannot be computed exactly is denied, and a
        // dearer price may have fewer digits: so more of it opens something, too.
        Dimension::PricingSlippage => {
            one.pricing.slippage_or_default() == other.pricing.slippage_or_default()
                || !priced_by_both(one, other)
        }
        // An asset at par is worth more or less than its price, by the day.
        Dimension::PricingUsdPar => {
            one.pricing.usd_par == other.pricing.usd_par || !priced_by_both(one, other)
        }
        Dimension::Products => one.products.is_within(&other.products),
        Dimension::Symbols => {
            one.symbols.iter().all(|(venue, grant)| grant.is_within(symbols_of(other, venue)))
        }
        // The table stands in the way of log-ons, whatever it lists.
        Dimension::WithdrawalAddresses
            if one.classes.contains(&Class::Logon)
                && one.withdrawal.is_none()
                && other.withdrawal.is_some() =>
        {
            false
        }
        Dimension::WithdrawalAddresses => {
            addresses_of(one).all(|address| addresses_of(other).any(|other| other == address))
        }
        Dimension::WithdrawalPerDay => {
            amounts_within(one.withdrawal.as_ref(), other.withdrawal.as_ref())
        }
    }
}

/// Whether the list is within the other; an absent list has everything, also what has no name.
fn is_listed<T: Ord>(one: Option<&BTreeSet<T>>, other: Option<&BTreeSet<T>>) -> bool {
    match (one, other) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(one), Some(other)) => one.is_subset(other),
    }
}

/// How orders are priced matters where both ask for it: where one does not, its rule's own
/// dimension says all.
fn priced_by_both(one: &ScopeDocument, other: &ScopeDocument) -> bool {
    caps_notional(one) && caps_notional(other)
}

/// What a scope grants at a venue.
pub(crate) fn symbols_of<'s>(scope: &'s ScopeDocument, venue: &Name) -> &'s Grant<Symbol> {
    const NOTHING: &Grant<Symbol> = &Grant::Only(BTreeSet::new());
    scope.symbols.get(venue).unwrap_or(NOTHING)
}

/// Where a scope lets value go.
pub(crate) fn addresses_of(scope: &ScopeDocument) -> impl Iterator<Item = &WithdrawalAddress> {
    scope.withdrawal.iter().flat_map(|table| &table.addresses)
}

#[cfg(test)]
mod tests {
    use super::{Dimension, compare};
    use crate::document::ScopeDocument;

    fn scope(text: &str) -> ScopeDocument {
        ScopeDocument::from_toml(&format!("name = \"s\"\n{text}")).expect("a scope")
    }

    fn widened(old: &str, new: &str) -> Vec<Dimension> {
        compare(&scope(old), &scope(new)).widened
    }

    /// Where one of the two does not ask what orders cost, the cap itself says what it opens.
    #[test]
    fn how_orders_are_priced_matters_where_both_ask_for_it() {
        let capped = "[orders]\nmax_notional_usd = \"1000\"\n";
        let counted = "[cumulative]\nnotional_usd = [{ per = \"1h\", at_most = \"1000\" }]\n";
        let priced = "[pricing]\nslippage = \"0.02\"\nusd_par = [\"USDT\"]\n";
        assert_eq!(widened("", priced), []);
        assert_eq!(widened("", &format!("{priced}{capped}")), []);
        assert_eq!(widened(capped, priced), [Dimension::OrdersMaxNotional]);
        let both = [Dimension::PricingSlippage, Dimension::PricingUsdPar];
        assert_eq!(widened(capped, &format!("{priced}{capped}")), both);
        assert_eq!(widened(counted, &format!("{priced}{counted}")), both);
        let same = format!("{priced}{capped}");
        assert_eq!(widened(&same, &same), []);
    }

    #[test]
    fn a_table_of_withdrawals_keeps_logons_out() {
        let table = "[withdrawal]\naddresses = []\nper_day = []\n";
        let (logs_on, reads) = ("classes = [\"logon\"]\n", "classes = [\"read\"]\n");
        let (beside, without) = (format!("{logs_on}{table}"), logs_on);
        assert_eq!(widened(&beside, without), [Dimension::WithdrawalAddresses]);
        assert_eq!(widened(without, &beside), []);
        assert_eq!(widened(&beside, &beside), []);
        assert_eq!(widened(without, without), []);
        assert_eq!(widened(&format!("{reads}{table}"), reads), []);
    }
}
