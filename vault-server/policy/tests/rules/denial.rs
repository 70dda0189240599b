//! What a denial says.

use vault_model::{OrderType, Side};
use vault_policy::hint;

use super::*;

#[test]
fn a_stale_price_is_named() {
    let bed = bed().scoped(|scope| scope.orders.max_notional_usd = Some(money("1")));
    let stale = bed.with(|bed| bed.market.forget_price(&pair("BTC/USD")));
    let denial = stale.denial(trade([order(OrderType::Market, Side::Buy, "1")]));
    assert_eq!(denial.code(), "PRICE_STALE");
    assert!(denial.advice().ends_with(": BTC/USD"), "{}", denial.advice());
    assert_eq!(hint(&denial, &[]), denial.advice());
    assert_eq!(denial.operation(), Some("POST /trade"));
    assert_eq!(denial.retry_after(), None);
    // A price that is converted by, too.
    let cross = at(CROSS, vault_model::Product::Spot, limit(Side::Buy, "1", "0.05"));
    assert!(stale.denial(trade([cross])).advice().ends_with(": BTC/USD"));
}

#[test]
fn what_would_help_is_said() {
    let bed = bed().scoped(|scope| scope.orders.max_notional_usd = Some(money("1")));
    let canary = at("CANARY-USDT", vault_model::Product::Spot, limit(Side::Buy, "1", "1"));
    let denial = bed.denial(trade([canary]));
    assert_eq!(denial.code(), "INSTRUMENT_UNKNOWN");
    assert!(denial.advice().contains("vaultctl instrument import"), "{}", denial.advice());
    // Nothing that the caller sent.
    assert!(!format!("{denial:?}{}", denial.advice()).contains("CANARY"));
}

#[test]
fn the_operation_outside_is_named() {
    let bed = bed()
        .scoped(|scope| scope.orders.types = Some(BTreeSet::new()))
        .with(|bed| bed.mode = Mode::Sign);
    let closure = vec![member(vault_model::Class::Read), trade([limit(Side::Buy, "1", "1")])];
    let Decision::Deny(denial) = bed.judge_all(closure) else { panic!("denied") };
    let outside = denial.outside().expect("an operation");
    assert_eq!((outside.operation.as_str(), outside.stated), ("POST /trade", false));
    assert!(denial.hint().contains("Execute"), "{}", denial.hint());
}

#[test]
fn countries_are_listed_known_and_true() {
    let country = |text: &str| text.parse::<Country>().expect("a country");
    let bed = bed().scoped(|scope| scope.network.countries = Some([country("DE")].into()));
    let from = |from: Option<&str>| {
        let read = member(vault_model::Class::Read);
        bed.clone().with(|bed| bed.country = from.map(country)).code(read)
    };
    assert_eq!(from(Some("DE")), "ALLOW");
    assert_eq!(from(Some("FR")), "COUNTRY_NOT_ALLOWED");
    assert_eq!(from(None), "COUNTRY_UNKNOWN");
    let none = bed.clone().scoped(|scope| scope.network.countries = Some(BTreeSet::new()));
    let none = none.with(|bed| bed.country = Some(country("DE")));
    assert_eq!(none.code(member(vault_model::Class::Read)), "COUNTRY_NOT_ALLOWED");
    let any = bed.scoped(|scope| scope.network.countries = None);
    assert_eq!(any.code(member(vault_model::Class::Read)), "ALLOW");
}

#[test]
fn rights_that_would_do_are_named() {
    let words = |rights: &[&str]| {
        let denial = Denial::CapNotEnforceable(vault_policy::Outside {
            operation: "POST /trade".to_owned(),
            class: vault_model::Class::Trade,
            stated: true,
        });
        let rights = rights.iter().map(|&right| right.to_owned()).collect();
        hint(&denial, &[vault_policy::Remedy::Rights(rights)])
    };
    assert!(words(&["reading", "spot"]).contains("the rights reading, spot at the venue"));
    assert!(words(&[]).contains("none of the venue's rights"), "{}", words(&[]));
}
