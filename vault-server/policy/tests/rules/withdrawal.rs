//! Withdrawals: addresses, amounts, what is left.

use vault_model::{Class, Transfer};
use vault_policy::{AmountCap, Denial, Reached, WithdrawalAddress, WithdrawalDocument, Withdrawn};

use super::*;

fn to(venue: &str, asset: &str, address: &str) -> WithdrawalAddress {
    WithdrawalAddress { venue: name(venue), asset: asset.to_owned(), address: address.to_owned() }
}

fn cap(venue: &str, asset: &str, at_most: &str) -> AmountCap {
    AmountCap { venue: name(venue), asset: asset.to_owned(), at_most: money(at_most) }
}

/// BTC to `cold`, at most 2 a day; ETH to `cold` without a cap.
fn table() -> Bed {
    bed().scoped(|scope| {
        scope.withdrawal = Some(WithdrawalDocument {
            addresses: [
                to(VENUE, "BTC", "cold"),
                to(VENUE, "ETH", "cold"),
                to("kraken", "BTC", "k"),
            ]
            .into(),
            per_day: [cap(VENUE, "BTC", "2"), cap("kraken", "ETH", "9")].into(),
        });
    })
}

fn withdraw(transfers: impl IntoIterator<Item = Transfer>) -> Member {
    let transfers = transfers.into_iter().collect();
    with(member(Class::Withdraw), |intent| intent.transfers = transfers)
}

fn one(asset: &str, amount: &str, address: &str) -> Member {
    withdraw([transfer(asset, amount, address)])
}

#[test]
fn without_a_table_nothing_leaves() {
    assert_eq!(bed().code(one("BTC", "1", "cold")), "CLASS_NOT_GRANTABLE");
    // With one, the class is granted like others.
    let classless = table().scoped(|scope| {
        scope.classes.remove(&Class::Withdraw);
    });
    assert_eq!(classless.code(one("BTC", "1", "cold")), "CLASS_NOT_GRANTED");
    assert_eq!(table().code(member(Class::Keys)), "CLASS_NOT_GRANTABLE");
}

#[test]
fn value_goes_to_listed_addresses_of_its_venue_and_asset() {
    for (asset, address, expected) in [
        ("BTC", "cold", "ALLOW"),
        ("BTC", "Cold", "ADDRESS_NOT_ALLOWED"),
        ("BTC", "k", "ADDRESS_NOT_ALLOWED"),
        ("USDT", "cold", "ADDRESS_NOT_ALLOWED"),
        ("btc", "cold", "ADDRESS_NOT_ALLOWED"),
        // Listed, and no amount of it allowed.
        ("ETH", "cold", "AMOUNT_CAP_REACHED"),
    ] {
        assert_eq!(table().code(one(asset, "1", address)), expected, "{asset} {address}");
    }
    let both = withdraw([transfer("BTC", "1", "cold"), transfer("BTC", "1", "elsewhere")]);
    assert_eq!(table().code(both), "ADDRESS_NOT_ALLOWED");
}

#[test]
fn a_withdrawal_says_what_goes_where() {
    let whole = || transfer("BTC", "1", "cold");
    for transfers in [
        Vec::new(),
        vec![Transfer { asset: None, ..whole() }],
        vec![Transfer { amount: None, ..whole() }],
        vec![Transfer { address: None, ..whole() }],
        vec![transfer("BTC", "0", "cold")],
        vec![transfer("BTC", "-1", "cold")],
        vec![transfer("BTC", "all", "cold")],
        vec![whole(), Transfer { amount: None, ..whole() }],
    ] {
        assert_eq!(
            table().code(withdraw(transfers.clone())),
            "WITHDRAWAL_UNKNOWN",
            "{transfers:?}"
        );
    }
}

#[test]
fn the_cap_of_a_day_is_allowed_and_one_unit_more_denied() {
    let mut bed = table();
    assert_eq!(bed.code(one("BTC", "2", "cold")), "ALLOW");
    assert_eq!(bed.code(one("BTC", "2.000000000000000001", "cold")), "AMOUNT_CAP_REACHED");
    let two =
        |amount: &str| withdraw([transfer("BTC", "1", "cold"), transfer("BTC", amount, "cold")]);
    assert_eq!(bed.code(two("1")), "ALLOW");
    assert_eq!(bed.code(two("1.1")), "AMOUNT_CAP_REACHED");
    bed.spend(one("BTC", "1.5", "cold"));
    assert_eq!(bed.code(one("BTC", "0.5", "cold")), "ALLOW");
    assert_eq!(bed.code(one("BTC", "0.6", "cold")), "AMOUNT_CAP_REACHED");
    let at = |after| bed.clone().with(|bed| bed.clock = ClockTime(CLOCK + after));
    let day = 86_400 * SECOND;
    assert_eq!(at(day - 1).code(one("BTC", "2", "cold")), "AMOUNT_CAP_REACHED");
    assert_eq!(at(day).code(one("BTC", "2", "cold")), "ALLOW");
    let wait = |amount| match bed.denial(one("BTC", amount, "cold")) {
        Denial::AmountCapReached(Reached { per, wait }) => {
            assert_eq!(per, span("1d"));
            wait
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(wait("2"), Some(std::time::Duration::from_secs(86_400)));
    assert_eq!(wait("2.1"), None);
}

#[test]
fn of_two_caps_the_smaller_holds() {
    let bed = table().scoped(|scope| {
        let table = scope.withdrawal.as_mut().expect("there");
        table.per_day.insert(cap(VENUE, "BTC", "1"));
        table.per_day.insert(cap(VENUE, "BTC", "3"));
    });
    assert_eq!(bed.code(one("BTC", "1", "cold")), "ALLOW");
    assert_eq!(bed.code(one("BTC", "1.5", "cold")), "AMOUNT_CAP_REACHED");
}

#[test]
fn what_leaves_is_counted_and_what_is_left_is_said() {
    let mut bed = table();
    bed.spend(one("BTC", "0.5", "cold"));
    let cost = bed.cost(withdraw([transfer("BTC", "0.25", "cold"), transfer("BTC", "1", "cold")]));
    let own = Withdrawn { venue: name(VENUE), asset: "BTC".to_owned(), amount: money("1.25") };
    assert_eq!(cost.withdrawn, [own]);
    assert_eq!(cost.limits_left["withdrawal/okx/BTC"], "0.25");
    assert_eq!((cost.orders, cost.order_keys), (0, Vec::new()));
    // Moved inside, nothing leaves.
    let inside = Member { class: Class::Transfer, ..one("BTC", "9", "cold") };
    assert!(bed.cost(inside).withdrawn.is_empty());
}

#[test]
fn over_signatures_it_never_holds() {
    for once in [false, true] {
        let sign = table().with(|bed| (bed.mode, bed.once) = (Mode::Sign, once));
        assert_eq!(sign.code(one("BTC", "1", "cold")), "CAP_NOT_ENFORCEABLE");
        assert_eq!(sign.code(member(Class::Read)), "ALLOW");
    }
}

#[test]
fn a_sum_that_does_not_fit_is_more_than_the_cap() {
    let largest = "999999999999999999";
    let bed = table().scoped(|scope| {
        let table = scope.withdrawal.as_mut().expect("there");
        table.per_day = [cap(VENUE, "BTC", largest)].into();
    });
    assert_eq!(bed.code(one("BTC", largest, "cold")), "ALLOW");
    let many = withdraw((0..200).map(|_| transfer("BTC", largest, "cold")));
    assert_eq!(bed.code(many), "AMOUNT_CAP_REACHED");
}
