//! What differences come to: an example, what keeps it closed, or that nothing was found.

use vault_model::{Class, Mode, Name};
use vault_policy::{
    Decision, DiffContext, Dimension, Effect, Example, Finding, Scope, ScopeDocument, diff,
};

use super::{check, context, scope};

/// What the only difference that opens comes to.
fn finding(a: &ScopeDocument, b: &ScopeDocument, dimension: Dimension) -> Finding {
    let found = diff(a, b, &context());
    found.iter().for_each(|difference| check(a, b, difference));
    let mut opens = found.into_iter().filter(|difference| difference.effect == Effect::Opens);
    let named = opens.find(|difference| difference.dimension == dimension);
    named.unwrap_or_else(|| panic!("{dimension} does not open")).finding
}

fn example(a: &ScopeDocument, b: &ScopeDocument, dimension: Dimension) -> Example {
    match finding(a, b, dimension) {
        Finding::Example(example) => *example,
        other => panic!("{dimension}: {other:?}"),
    }
}

fn closed(a: &ScopeDocument, b: &ScopeDocument, dimension: Dimension) -> Vec<Dimension> {
    match finding(a, b, dimension) {
        Finding::Closed(closed) => closed,
        other => panic!("{dimension}: {other:?}"),
    }
}

const SPARE: &str = "credentials = [\"main\", \"spare\"]\n";
const SOL: &str = "[symbols]\nokx = [\"BTC-USDT\", \"ETH-USDT\", \"SOL-USDT\"]\n";
const TRADES: &str = "classes = [\"trade\"]\n";

#[test]
fn an_example_is_of_a_class_that_both_grant() {
    for (class, expected) in [
        ("public", "a request of class public at okx, by sign with spare"),
        ("read", "a request of class read at okx, by sign with spare"),
        ("cancel", "a request of class cancel of BTC-USDT (spot) at okx, by sign with spare"),
        ("account", "set something of BTC-USDT (spot) at okx, by sign with spare"),
        ("logon", "a request of class logon of BTC-USDT (spot) at okx, by sign with spare"),
    ] {
        let class = format!("classes = [\"{class}\"]\n");
        let found = example(
            &scope(&class, ""),
            &scope(&format!("{class}{SPARE}"), ""),
            Dimension::Credentials,
        );
        assert!(found.to_string().starts_with(expected), "{found}");
    }
}

#[test]
fn settings_are_examples_where_orders_are_not_granted() {
    let account = "classes = [\"account\"]\n";
    let modes = |modes: &str| scope(account, &format!("[orders]\nmargin_modes = [{modes}]\n"));
    let found =
        example(&modes("\"cash\""), &modes("\"cash\", \"cross\""), Dimension::OrdersMarginModes);
    assert!(
        found.to_string().starts_with("set margin mode cross of BTC-USDT (spot) at okx"),
        "{found}"
    );

    let most = |most: &str| scope(account, &format!("[orders]\nmax_leverage = \"{most}\"\n"));
    let found = example(&most("3"), &most("5"), Dimension::OrdersMaxLeverage);
    assert!(found.to_string().starts_with("set leverage 5 of BTC-USDT (spot) at okx"), "{found}");
}

#[test]
fn everything_at_once_is_an_example_where_each_is_granted() {
    let all =
        "products = [\"spot\", \"linear\", \"inverse\", \"margin\", \"option\", \"spread\"]\n";
    let cancels = "classes = [\"cancel\"]\n";
    let (every, each) = (
        scope(&format!("{cancels}products = [\"*\"]\n"), ""),
        scope(&format!("{cancels}{all}"), ""),
    );
    let found = example(&each, &every, Dimension::Products);
    assert_eq!(found.member.products, None);
    assert!(
        found.to_string().starts_with("a request of class cancel of BTC-USDT at okx"),
        "{found}"
    );

    let five =
        "[symbols]\nokx = [\"BTC-USDT\", \"ETH-USDT\", \"SOL-USDT\", \"XRP-USDT\", \"DOGE-USDT\"]";
    let every = scope(cancels, "[symbols]\nokx = [\"*\"]\n");
    let found = example(&scope(cancels, five), &every, Dimension::Symbols);
    assert_eq!(found.member.symbols, vault_model::Symbols::Every);
    assert!(found.to_string().starts_with("a request of class cancel (spot) at okx"), "{found}");
}

#[test]
fn an_example_is_at_a_venue_that_the_scopes_speak_of() {
    let reads = "classes = [\"read\"]\n";
    let kraken = "[symbols]\nkraken = [\"BTC/USD\"]\n";
    let more = format!("{reads}{SPARE}");
    let found = example(&scope(reads, kraken), &scope(&more, kraken), Dimension::Credentials);
    assert_eq!(found.venue, "kraken");
    let found = example(&scope(reads, ""), &scope(&more, ""), Dimension::Credentials);
    assert_eq!(found.venue, "okx");
}

#[test]
fn an_example_is_at_the_venue_of_its_credential() {
    let name = |text: &str| text.parse::<Name>().expect("a name");
    let both = "[symbols]\nokx = [\"A\"]\nkraken = [\"A\"]\n";
    let (a, b) = (scope("", both), scope(SPARE, both));
    for venue in ["kraken", "okx"] {
        let credentials = [(name("spare"), name(venue)), (name("main"), name("okx"))];
        let found = diff(&a, &b, &DiffContext { credentials: credentials.into(), ..context() });
        let Finding::Example(example) = &found[0].finding else { panic!("{found:?}") };
        assert_eq!((example.venue, example.credential.as_str()), (venue, "spare"));
    }
}

/// At a venue that takes a signature once, what is counted holds for orders that end soon.
#[test]
fn caps_have_examples_by_signature_where_signatures_are_taken_once() {
    let at = |most: u32| {
        scope(
            "modes = [\"sign\"]\nclasses = [\"trade\"]\n",
            &format!(
                "[symbols]\nkraken = [\"BTC/USD\"]\n\
                 [cumulative]\norders = [{{ per = \"31d\", at_most = {most} }}]\n"
            ),
        )
    };
    let found = example(&at(3), &at(4), Dimension::CumulativeOrders);
    assert_eq!((found.mode, found.venue), (Mode::Sign, "kraken"));
    let before = found.before.as_ref().expect("orders before it");
    // The far end of the longest window there is.
    assert_eq!((before.ago.as_seconds(), before.words.as_str()), (31 * 86_400 - 1, "3 orders"));
    assert!(found.member.legs[0].deadline.is_some());
}

#[test]
fn the_table_of_withdrawals_and_its_class_come_together() {
    let products = "products = [\"*\"]\nmodes = [\"execute\"]\n";
    let table = "[symbols]\nokx = [\"*\"]\n[withdrawal]\n\
         addresses = [{ venue = \"okx\", asset = \"BTC\", address = \"one\" }]\n\
         per_day = [{ venue = \"okx\", asset = \"BTC\", at_most = \"2\" }]\n";
    let every = "[symbols]\nokx = [\"*\"]\n";
    let reads = format!("{products}classes = [\"read\"]\n");
    let withdraws = format!("{products}classes = [\"read\", \"withdraw\"]\n");
    let (none, new) = (scope(&reads, every), scope(&withdraws, table));
    for dimension in
        [Dimension::Classes, Dimension::WithdrawalAddresses, Dimension::WithdrawalPerDay]
    {
        let found = example(&none, &new, dimension);
        assert_eq!(found.member.class, Class::Withdraw, "{dimension}");
        assert!(
            found.to_string().starts_with("withdraw 2 BTC to one at okx, by execute"),
            "{found}"
        );
    }
    // A table alone grants nothing.
    let listed = scope(&reads, table);
    for dimension in [Dimension::WithdrawalAddresses, Dimension::WithdrawalPerDay] {
        assert_eq!(closed(&none, &listed, dimension), [Dimension::Classes]);
    }
    // And without it log-ons are let in.
    let logs_on = format!("{products}classes = [\"logon\"]\n");
    let found =
        example(&scope(&logs_on, table), &scope(&logs_on, every), Dimension::WithdrawalAddresses);
    assert_eq!(found.member.class, Class::Logon);
}

#[test]
fn hours_have_an_example_outside_of_them() {
    let hours = |zone: &str, windows: &str| {
        scope("", &format!("[hours]\ntimezone = \"{zone}\"\nwindows = [{windows}]\n"))
    };
    let week = hours("Europe/Berlin", "\"mon-sun 09:00-12:00\"");
    let found = example(&week, &scope("", ""), Dimension::Hours);
    assert!(
        found.to_string().ends_with("on Monday 01:00 Europe/Berlin; BTC/USD at 100"),
        "{found}"
    );

    // On the clocks of two zones there is no telling, and in two weeks of the year no example.
    let (berlin, utc) =
        (hours("Europe/Berlin", "\"mon 10:00-11:00\""), hours("UTC", "\"mon 00:00-24:00\""));
    assert!(matches!(finding(&utc, &berlin, Dimension::Hours), Finding::Unknown));

    // Reads and cancels are let through at any hour.
    let idle = |windows: &str| {
        let hours = format!("[hours]\ntimezone = \"UTC\"\nwindows = [{windows}]\n");
        scope("classes = [\"read\", \"cancel\"]\n", &hours)
    };
    assert_eq!(
        closed(&idle(""), &idle("\"mon 10:00-11:00\""), Dimension::Hours),
        [Dimension::Classes]
    );
}

#[test]
fn what_two_scopes_do_not_have_in_common_keeps_the_rest_closed() {
    let closed = |a: (&str, &str), b: (&str, &str), dimension| {
        closed(
            &scope(&format!("{TRADES}{}", a.0), a.1),
            &scope(&format!("{TRADES}{}", b.0), b.1),
            dimension,
        )
    };
    let (spot, linear) = ("products = [\"spot\"]\n", "products = [\"linear\"]\n");
    assert_eq!(closed((spot, ""), (linear, SOL), Dimension::Symbols), [Dimension::Products]);
    let eth = "[symbols]\nokx = [\"ETH-USDT\"]\n";
    let btc = "[symbols]\nokx = [\"BTC-USDT\"]\n";
    assert_eq!(closed((spot, btc), (linear, eth), Dimension::Products), [Dimension::Symbols]);
    let orders = |what: &str| format!("[orders]\n{what}\n");
    let of =
        |a: &str, b: &str| closed(("", &orders(a)), (SPARE, &orders(b)), Dimension::Credentials);
    assert_eq!(of("types = [\"LIMIT\"]", "types = [\"MARKET\"]"), [Dimension::OrdersTypes]);
    assert_eq!(
        of(
            "types = [\"LIMIT\"]\ntime_in_force = [\"GTC\"]",
            "types = [\"LIMIT\"]\ntime_in_force = [\"IOC\"]"
        ),
        [Dimension::OrdersTimeInForce]
    );
    let modes = (("modes = [\"sign\"]\n", ""), ("modes = [\"execute\"]\n", SOL));
    assert_eq!(closed(modes.0, modes.1, Dimension::Symbols), [Dimension::Modes]);
    let network = |allow: &str, more: &str| format!("[network]\nallow = [\"{allow}\"]\n{more}");
    let (ten, eleven) = (network("10.0.0.0/8", ""), network("11.0.0.0/8", ""));
    assert_eq!(closed(("", &ten), (SPARE, &eleven), Dimension::Credentials), [Dimension::Network]);
    let (swiss, german) = (
        network("10.0.0.0/8", "countries = [\"CH\"]\n"),
        network("10.0.0.0/8", "countries = [\"DE\"]\n"),
    );
    assert_eq!(
        closed(("", &swiss), (SPARE, &german), Dimension::Credentials),
        [Dimension::NetworkCountries]
    );
}

/// What is denied for another reason shows nothing.
#[test]
fn an_example_is_denied_for_its_own_dimension() {
    let spends = |most: &str, hourly: &str| {
        let tables = format!(
            "[orders]\nmax_notional_usd = \"{most}\"\n\
             [cumulative]\nnotional_usd = [{{ per = \"1h\", at_most = \"{hourly}\" }}]\n"
        );
        scope("modes = [\"execute\"]\nclasses = [\"trade\"]\n", &tables)
    };
    let (a, b) = (spends("50", "500"), spends("1000", "5000"));
    for (dimension, code) in [
        (Dimension::CumulativeNotional, "NOTIONAL_CAP_REACHED"),
        (Dimension::OrdersMaxNotional, "NOTIONAL_TOO_LARGE"),
    ] {
        match example(&a, &b, dimension).judge(&Scope::compile(&a)) {
            Decision::Deny(denial) => assert_eq!(denial.code(), code),
            Decision::Allow(_) => panic!("{dimension}: both allow it"),
        }
    }
    // Where no orders are granted, nothing else shows what is about orders.
    let cancels =
        |types: &str| scope("classes = [\"cancel\"]\n", &format!("[orders]\ntypes = [{types}]\n"));
    assert_eq!(
        closed(&cancels(""), &cancels("\"LIMIT\""), Dimension::OrdersTypes),
        [Dimension::Classes]
    );
}

/// A class that only one scope grants makes no example in another dimension.
#[test]
fn a_class_that_one_grants_alone_keeps_the_rest_closed() {
    let table = "[withdrawal]\n\
         addresses = [{ venue = \"okx\", asset = \"BTC\", address = \"one\" }]\n\
         per_day = [{ venue = \"okx\", asset = \"BTC\", at_most = \"2\" }]\n";
    let nothing = scope("classes = []\nmodes = [\"execute\"]\n", table);
    let withdraws =
        scope(&format!("classes = [\"withdraw\"]\nmodes = [\"execute\"]\n{SPARE}"), table);
    assert_eq!(closed(&nothing, &withdraws, Dimension::Credentials), [Dimension::Classes]);
}

/// Where every request is denied under the wider scope too, what denies most of them is named.
#[test]
fn what_denies_most_requests_is_what_keeps_them_closed() {
    let banded = "[orders]\ntypes = [\"LIMIT\", \"LIMIT_MAKER\", \"MARKET\"]\n\
         max_notional_usd = \"0\"\nprice_band = \"0.1\"\n";
    let found = closed(
        &scope(TRADES, banded),
        &scope(&format!("{TRADES}{SPARE}"), banded),
        Dimension::Credentials,
    );
    assert_eq!(
        found,
        [Dimension::OrdersMaxNotional, Dimension::PricingSlippage, Dimension::PricingUsdPar]
    );

    // A dimension that neither scope restricts keeps nothing closed, nor does the one that differs.
    let counted = "[cumulative]\norders = [{ per = \"1m\", at_most = 3 }]\n";
    let signs = format!("{TRADES}modes = [\"sign\"]\n");
    let found = closed(
        &scope(&signs, counted),
        &scope(&format!("{signs}{SPARE}"), counted),
        Dimension::Credentials,
    );
    assert!(found.contains(&Dimension::CumulativeOrders), "{found:?}");
    assert!(!found.contains(&Dimension::CumulativeNotional), "{found:?}");
    let more = "[cumulative]\norders = [{ per = \"1m\", at_most = 4 }]\n";
    let found = closed(&scope(&signs, counted), &scope(&signs, more), Dimension::CumulativeOrders);
    assert!(!found.contains(&Dimension::CumulativeOrders), "{found:?}");
}
