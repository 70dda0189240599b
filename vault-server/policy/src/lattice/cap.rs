//! Limits, and what is within them.

use std::collections::BTreeMap;

use vault_model::{Money, Name};

use crate::document::{AmountCap, NotionalCap, OrderCap, Span, WithdrawalDocument};
use crate::rule::symbol::Symbol;

/// Whether a limit is at most another; none is no limit.
pub(crate) fn is_at_most<T: Ord>(one: Option<&T>, other: Option<&T>) -> bool {
    match (one, other) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(one), Some(other)) => one <= other,
    }
}

/// A cap on a window that slides.
pub(crate) trait Cap: Copy {
    type Amount: Ord;

    fn per(self) -> Span;
    fn at_most(self) -> Self::Amount;

    /// Whether what is under `self` is under `other` too: a window of `other` lies in one of
    /// `self`, if that is as long.
    fn implies(self, other: Self) -> bool {
        self.per() >= other.per() && self.at_most() <= other.at_most()
    }
}

impl Cap for NotionalCap {
    type Amount = Money;

    fn per(self) -> Span {
        self.per
    }

    fn at_most(self) -> Money {
        self.at_most
    }
}

impl Cap for OrderCap {
    type Amount = u64;

    fn per(self) -> Span {
        self.per
    }

    fn at_most(self) -> u64 {
        self.at_most
    }
}

/// Whether what is under all caps of `one` is under all of `other`.
pub(crate) fn caps_within<C: Cap>(one: &[C], other: &[C]) -> bool {
    other.iter().all(|cap| one.iter().any(|own| own.implies(*cap)))
}

/// Limits on quantity by venue and symbol.
pub(crate) type Quantities = BTreeMap<Name, BTreeMap<Symbol, Money>>;

/// Whether no symbol has more in `one` than in `other`; absent is without limit, a symbol that is
/// not listed has nothing.
pub(crate) fn quantities_within(one: Option<&Quantities>, other: Option<&Quantities>) -> bool {
    let (one, other) = match (one, other) {
        (_, None) => return true,
        (None, Some(_)) => return false,
        (Some(one), Some(other)) => (one, other),
    };
    let limits = |quantities: &'_ Quantities, venue: &Name, symbol: &Symbol| -> Option<Money> {
        quantities.get(venue).and_then(|symbols| symbols.get(symbol)).copied()
    };
    one.iter().all(|(venue, symbols)| {
        symbols
            .iter()
            .all(|(symbol, own)| limits(other, venue, symbol).is_some_and(|limit| *own <= limit))
    })
}

/// The limits of withdrawals by venue and asset. Where an asset has several, all of them hold.
pub(crate) fn amounts(withdrawal: Option<&WithdrawalDocument>) -> BTreeMap<(&Name, &str), Money> {
    let mut amounts: BTreeMap<(&Name, &str), Money> = BTreeMap::new();
    for AmountCap { venue, asset, at_most } in withdrawal.iter().flat_map(|table| &table.per_day) {
        let least = amounts.entry((venue, asset)).or_insert(*at_most);
        *least = (*least).min(*at_most);
    }
    amounts
}

/// Whether no asset may leave more in `one` than in `other`.
pub(crate) fn amounts_within(
    one: Option<&WithdrawalDocument>,
    other: Option<&WithdrawalDocument>,
) -> bool {
    let others = amounts(other);
    amounts(one).iter().all(|(what, own)| others.get(what).is_some_and(|limit| own <= limit))
}

#[cfg(test)]
mod tests {
    use super::{Quantities, amounts_within, caps_within, is_at_most, quantities_within};
    use crate::document::{AmountCap, OrderCap, ScopeDocument, WithdrawalDocument};

    fn cap(per: &str, at_most: u64) -> OrderCap {
        OrderCap { per: per.parse().expect("a span"), at_most }
    }

    #[test]
    fn no_limit_is_more_than_any() {
        assert!(is_at_most(Some(&1), None) && is_at_most::<u8>(None, None));
        assert!(!is_at_most(None, Some(&1)));
        assert!(is_at_most(Some(&1), Some(&1)) && !is_at_most(Some(&2), Some(&1)));
    }

    #[test]
    fn a_cap_holds_for_shorter_windows_and_larger_amounts() {
        assert!(caps_within(&[cap("1h", 10)], &[cap("1h", 10)]));
        assert!(caps_within(&[cap("1h", 10)], &[cap("1m", 11)]));
        assert!(caps_within(&[cap("1h", 10), cap("1s", 1)], &[cap("1m", 10), cap("1s", 2)]));
        assert!(!caps_within(&[cap("1m", 10)], &[cap("1h", 10)]));
        assert!(!caps_within(&[cap("1h", 11)], &[cap("1h", 10)]));
        assert!(!caps_within(&[], &[cap("1h", 10)]));
        assert!(caps_within(&[cap("1h", 10)], &[]));
    }

    #[test]
    fn a_symbol_that_is_not_listed_has_nothing() {
        let of = |limits: &str| {
            let text = format!("name = \"s\"\n[orders.max_quantity]\nokx = {{ {limits} }}");
            ScopeDocument::from_toml(&text).expect("a scope").orders.max_quantity
        };
        let within = |one: &Option<Quantities>, other: &Option<Quantities>| {
            quantities_within(one.as_ref(), other.as_ref())
        };
        let (less, more) = (of("A = \"1\", B = \"2\""), of("A = \"1\", B = \"2.5\""));
        assert!(within(&less, &more) && !within(&more, &less) && within(&more, &more));
        let (one, another) = (of("A = \"1\""), of("C = \"1\""));
        assert!(within(&one, &less) && !within(&less, &one) && !within(&one, &another));
        assert!(within(&one, &None) && within(&None, &None) && !within(&None, &one));
    }

    #[test]
    fn of_two_amounts_of_an_asset_the_smaller_holds() {
        let table = |amounts: &[(&str, &str, &str)]| {
            let cap = |(venue, asset, at_most): &(&str, &str, &str)| AmountCap {
                venue: venue.parse().expect("a name"),
                asset: (*asset).to_owned(),
                at_most: at_most.parse().expect("a decimal"),
            };
            let per_day = amounts.iter().map(cap).collect();
            Some(WithdrawalDocument { per_day, ..WithdrawalDocument::default() })
        };
        let within = |one: &Option<WithdrawalDocument>, other: &Option<WithdrawalDocument>| {
            amounts_within(one.as_ref(), other.as_ref())
        };
        let two = table(&[("okx", "BTC", "3"), ("okx", "BTC", "2"), ("okx", "BTC", "4")]);
        let (less, more) = (table(&[("okx", "BTC", "2")]), table(&[("okx", "BTC", "2.5")]));
        assert!(within(&two, &less) && within(&less, &two));
        assert!(within(&two, &more) && !within(&more, &two));
        let elsewhere = table(&[("kraken", "BTC", "9"), ("okx", "ETH", "9")]);
        assert!(!within(&less, &elsewhere) && !within(&less, &None));
        assert!(within(&None, &less) && within(&None, &None));
    }
}
