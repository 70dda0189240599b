//! Scopes whose caps nobody could keep.

use vault_model::Class;
use vault_policy::{NotEnforceable, NotionalCap, OrderCap, WithdrawalDocument, enforceable};

use super::*;

fn document(change: impl FnOnce(&mut ScopeDocument)) -> ScopeDocument {
    let mut document = bed().document;
    document.credentials = ["a-once", "b-twice", "c-new"].map(name).into();
    change(&mut document);
    document
}

/// Of one venue each: one takes signatures once, one does not, one is not there yet.
fn venues_once(credential: &Name) -> Option<bool> {
    match credential.as_str() {
        "a-once" => Some(true),
        "b-twice" => Some(false),
        _ => None,
    }
}

fn notional(scope: &mut ScopeDocument) {
    scope.cumulative.notional_usd = vec![NotionalCap { per: span("1d"), at_most: money("1") }];
}

fn orders(scope: &mut ScopeDocument) {
    scope.cumulative.orders = vec![OrderCap { per: span("1d"), at_most: 1 }];
}

fn withdrawal(scope: &mut ScopeDocument) {
    scope.withdrawal = Some(WithdrawalDocument::default());
}

#[test]
fn a_cap_that_counts_wants_signatures_that_are_taken_once() {
    type Change = fn(&mut ScopeDocument);
    for (change, key) in
        [(notional as Change, "cumulative.notional_usd"), (orders, "cumulative.orders")]
    {
        let scope = document(change);
        let refused = enforceable(&scope, venues_once).expect_err("refused");
        let credential = name("b-twice");
        assert_eq!(refused, NotEnforceable::SignatureTwice { cap: key, credential });
        let words = refused.to_string();
        assert!(words.contains(key) && words.contains("b-twice"), "{words}");
        assert!(words.contains("grant mode execute alone"), "{words}");
        // Each remedy alone is one.
        let mut execute = scope.clone();
        execute.modes.remove(&Mode::Sign);
        assert_eq!(enforceable(&execute, venues_once), Ok(()));
        let mut others = scope.clone();
        others.credentials.remove("b-twice");
        assert_eq!(enforceable(&others, venues_once), Ok(()));
        // Where the cap is about nothing that is granted, it is idle.
        let mut idle = scope.clone();
        idle.classes.remove(&Class::Trade);
        assert_eq!(enforceable(&idle, venues_once), Ok(()));
    }
    assert_eq!(enforceable(&document(|_| {}), venues_once), Ok(()));
}

#[test]
fn withdrawals_never_hold_over_signatures() {
    let once = |scope: &mut ScopeDocument| {
        withdrawal(scope);
        scope.credentials = [name("a-once")].into();
    };
    let refused = enforceable(&document(once), venues_once).expect_err("refused");
    assert_eq!(refused, NotEnforceable::Withdrawals);
    assert!(refused.to_string().contains("grant mode execute alone"), "{refused}");
    let mut execute = document(once);
    execute.modes.remove(&Mode::Sign);
    assert_eq!(enforceable(&execute, venues_once), Ok(()));
    let mut idle = document(once);
    idle.classes.remove(&Class::Withdraw);
    assert_eq!(enforceable(&idle, venues_once), Ok(()));
}

#[test]
fn open_orders_never_hold_over_signatures() {
    let scope = document(|scope| {
        scope.cumulative.open_orders = Some(1);
        scope.credentials = [name("a-once")].into();
    });
    let refused = enforceable(&scope, venues_once).expect_err("refused");
    assert_eq!(refused, NotEnforceable::OpenOrders);
    assert!(refused.to_string().contains("grant mode execute alone"), "{refused}");
    let execute = document(|scope| {
        scope.cumulative.open_orders = Some(1);
        scope.modes = [Mode::Execute].into();
    });
    assert_eq!(enforceable(&execute, venues_once), Ok(()));
    let idle = document(|scope| {
        scope.cumulative.open_orders = Some(1);
        scope.classes.remove(&Class::Trade);
    });
    assert_eq!(enforceable(&idle, venues_once), Ok(()));
}
