//! Differences between scopes: each with a request that the engine answers one way under the one
//! and the other way under the other.

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use vault_model::Name;
use vault_policy::{
    Decision, DiffContext, Difference, Dimension, Effect, Finding, Scope, ScopeDocument,
    VenueFacts, compare, diff, testing,
};

mod finding;
mod words;

fn context() -> DiffContext {
    DiffContext {
        venues: vec![
            VenueFacts { name: "okx", takes_signatures_once: false },
            VenueFacts { name: "kraken", takes_signatures_once: true },
        ],
        credentials: std::iter::empty().collect(),
    }
}

/// A scope of these lines in front of the tables, and of these tables.
fn scope(lines: &str, tables: &str) -> ScopeDocument {
    let has = |key: &str| lines.lines().any(|line| line.trim_start().starts_with(key));
    let mut text = "name = \"s\"\n".to_owned();
    for (key, value) in [
        ("credentials", "[\"main\"]"),
        ("classes", "[\"read\", \"trade\", \"cancel\"]"),
        ("modes", "[\"execute\", \"sign\"]"),
        ("products", "[\"spot\", \"linear\"]"),
    ] {
        if !has(key) {
            text += &format!("{key} = {value}\n");
        }
    }
    text += lines;
    for (table, value) in [
        ("[symbols]", "okx = [\"BTC-USDT\", \"ETH-USDT\"]"),
        ("[network]", "allow = [\"10.0.0.0/24\"]"),
    ] {
        if !tables.contains(table) {
            text += &format!("\n{table}\n{value}\n");
        }
    }
    text += "\n";
    text += tables;
    ScopeDocument::from_toml(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// That an example is one, whatever its words are.
fn check(a: &ScopeDocument, b: &ScopeDocument, difference: &Difference) {
    let Finding::Example(example) = &difference.finding else { return };
    let (more, less) = match difference.effect {
        Effect::Opens => (b, a),
        Effect::Closes => (a, b),
    };
    assert!(example.judge(&Scope::compile(more)).is_allowed(), "{example}");
    match example.judge(&Scope::compile(less)) {
        Decision::Allow(_) => panic!("both allow {example}"),
        Decision::Deny(denial) => {
            assert!(difference.dimension.denies_with(denial.code()), "{denial:?}: {example}");
        }
    }
}

/// The example of the only difference that opens.
fn opened(a: &ScopeDocument, b: &ScopeDocument, dimension: Dimension) -> String {
    let all = diff(a, b, &context());
    all.iter().for_each(|difference| check(a, b, difference));
    let opens: Vec<_> = all.iter().filter(|found| found.effect == Effect::Opens).collect();
    let [difference] = opens.as_slice() else { panic!("{all:#?}") };
    assert_eq!(difference.dimension, dimension);
    match &difference.finding {
        Finding::Example(example) => format!("{} | {example}", difference.words),
        other => panic!("{other:?}"),
    }
}

#[test]
fn scopes_that_let_the_same_pass_do_not_differ() {
    let (a, mut b) = (scope("", ""), scope("", ""));
    b.name = "other".parse().expect("a name");
    b.description = "words".to_owned();
    b.shadow = Some("a-shadow".parse().expect("a name"));
    assert!(diff(&a, &b, &context()).is_empty());
}

#[test]
fn every_dimension_has_an_example() {
    let wide = "[symbols]\nokx = [\"*\"]\nkraken = [\"*\"]\n";
    let withdraws = "classes = [\"read\", \"withdraw\"]\nproducts = [\"*\"]\n";
    let withdrawal = |addresses: &str, amount: &str| {
        format!(
            "{wide}[withdrawal]\naddresses = [{addresses}]\n\
             per_day = [{{ venue = \"okx\", asset = \"BTC\", at_most = \"{amount}\" }}]\n"
        )
    };
    let to =
        |address: &str| format!("{{ venue = \"okx\", asset = \"BTC\", address = \"{address}\" }}");
    let capped = "[orders]\nmax_notional_usd = \"1000\"\n";
    let cases: Vec<(Dimension, ScopeDocument, ScopeDocument, &str)> = vec![
        (
            Dimension::Classes,
            scope("", ""),
            scope("classes = [\"read\", \"trade\", \"cancel\", \"account\"]\n", ""),
            "account | set something of BTC-USDT (spot) at okx, by sign with main, from 10.0.0.0, \
             on Monday 10:00 UTC",
        ),
        (
            Dimension::Credentials,
            scope("", ""),
            scope("credentials = [\"main\", \"spare\"]\n", ""),
            "spare | buy 1 BTC-USDT (spot) at okx, limit 100, GTC, by sign with spare",
        ),
        (
            Dimension::CumulativeNotional,
            scope(
                "modes = [\"execute\"]\n",
                "[cumulative]\nnotional_usd = [{ per = \"1h\", at_most = \"500\" }]\n",
            ),
            scope(
                "modes = [\"execute\"]\n",
                "[cumulative]\nnotional_usd = [{ per = \"1h\", at_most = \"900\" }]\n",
            ),
            "500 USD per 1h -> 900 USD per 1h | buy 1 BTC-USDT",
        ),
        (
            Dimension::CumulativeOpenOrders,
            scope("modes = [\"execute\"]\n", "[cumulative]\nopen_orders = 3\n"),
            scope("modes = [\"execute\"]\n", "[cumulative]\nopen_orders = 4\n"),
            "; 1m ago: 3 orders that still rest",
        ),
        (
            Dimension::CumulativeOrders,
            scope(
                "modes = [\"execute\"]\n",
                "[cumulative]\norders = [{ per = \"1m\", at_most = 10 }]\n",
            ),
            scope(
                "modes = [\"execute\"]\n",
                "[cumulative]\norders = [{ per = \"10s\", at_most = 10 }]\n",
            ),
            "; 59s ago: 10 orders",
        ),
        (
            Dimension::DuplicatesClientOrderId,
            scope("", "[duplicates]\nclient_order_id = \"1h\"\n"),
            scope("", "[duplicates]\nclient_order_id = \"1m\"\n"),
            "not within 1h -> not within 1m | buy 1 BTC-USDT",
        ),
        (
            Dimension::DuplicatesOrder,
            scope("", "[duplicates]\norder = \"10s\"\n"),
            scope("", ""),
            "; 9s ago: the same order",
        ),
        (
            Dimension::Hours,
            scope(
                "",
                "[hours]\ntimezone = \"Europe/Berlin\"\nwindows = [\"mon-fri 09:00-17:30\"]\n",
            ),
            scope(
                "",
                "[hours]\ntimezone = \"Europe/Berlin\"\nwindows = [\"mon-sat 09:00-17:30\"]\n",
            ),
            "on Saturday 09:00 Europe/Berlin",
        ),
        (
            Dimension::Modes,
            scope("modes = [\"sign\"]\n", ""),
            scope("", ""),
            "by execute with main",
        ),
        (
            Dimension::Network,
            scope("", ""),
            scope("", "[network]\nallow = [\"10.0.0.0/23\"]\n"),
            "10.0.0.0/23 | buy 1 BTC-USDT (spot) at okx, limit 100, GTC, by sign with main, from 10.0.1.0",
        ),
        (
            Dimension::NetworkCountries,
            scope("", "[network]\nallow = [\"10.0.0.0/24\"]\ncountries = [\"CH\"]\n"),
            scope("", "[network]\nallow = [\"10.0.0.0/24\"]\ncountries = [\"CH\", \"SG\"]\n"),
            "from 10.0.0.0 (SG)",
        ),
        (
            Dimension::Operations,
            scope("products = [\"*\"]\n", wide),
            scope("products = [\"*\"]\noperations = [\"POST /api/x\"]\n", wide),
            "POST /api/x | POST /api/x at okx, by sign",
        ),
        (
            Dimension::OrdersMarginModes,
            scope("", "[orders]\nmargin_modes = [\"cash\"]\n"),
            scope("", "[orders]\nmargin_modes = [\"cash\", \"cross\"]\n"),
            "GTC, cross margin, by sign",
        ),
        (
            Dimension::OrdersMaxLeverage,
            scope("", "[orders]\nmax_leverage = \"3\"\n"),
            scope("", "[orders]\nmax_leverage = \"5\"\n"),
            "3 -> 5 | buy 1 BTC-USDT (spot) at okx, limit 100, GTC, leverage 5",
        ),
        (
            Dimension::OrdersMaxNotional,
            scope("", "[orders]\nmax_notional_usd = \"50000\"\n"),
            scope("", "[orders]\nmax_notional_usd = \"100000\"\n"),
            "50000 USD -> 100000 USD | buy 1000 BTC-USDT (spot) at okx, limit 100, GTC",
        ),
        (
            Dimension::OrdersMaxQuantity,
            scope("", "[orders.max_quantity]\nokx = { BTC-USDT = \"1\", ETH-USDT = \"5\" }\n"),
            scope("", "[orders.max_quantity]\nokx = { BTC-USDT = \"1\", ETH-USDT = \"7.5\" }\n"),
            "buy 7.5 ETH-USDT",
        ),
        (
            Dimension::OrdersPostOnly,
            scope("", "[orders]\npost_only = true\n"),
            scope("", ""),
            "required -> not required | buy 1 BTC-USDT (spot) at okx, limit 100, GTC, by sign",
        ),
        (
            Dimension::OrdersPriceBand,
            scope("", "[orders]\nprice_band = \"0.01\"\n"),
            scope("", "[orders]\nprice_band = \"0.05\"\n"),
            "0.01 -> 0.05 | buy 1 BTC-USDT (spot) at okx, limit 105, GTC",
        ),
        (
            Dimension::OrdersReduceOnly,
            scope("", "[orders]\nreduce_only = true\n"),
            scope("", ""),
            "required -> not required | buy 1 BTC-USDT (spot)",
        ),
        (
            Dimension::OrdersTimeInForce,
            scope("", "[orders]\ntime_in_force = [\"GTC\"]\n"),
            scope("", "[orders]\ntime_in_force = [\"GTC\", \"IOC\"]\n"),
            "IOC | buy 1 BTC-USDT (spot) at okx, limit 100, IOC",
        ),
        (
            Dimension::OrdersTypes,
            scope("", "[orders]\ntypes = [\"LIMIT\"]\n"),
            scope("", "[orders]\ntypes = [\"LIMIT\", \"MARKET\"]\n"),
            "MARKET | buy 1 BTC-USDT (spot) at okx, MARKET, by sign",
        ),
        (
            Dimension::Products,
            scope("", ""),
            scope("products = [\"spot\", \"linear\", \"option\"]\n", ""),
            "option | buy 1 BTC-USDT (option)",
        ),
        (
            Dimension::Symbols,
            scope("", ""),
            scope("", "[symbols]\nokx = [\"BTC-USDT\", \"ETH-USDT\", \"SOL-USDT\"]\n"),
            "SOL-USDT at okx | buy 1 SOL-USDT (spot) at okx",
        ),
        (
            Dimension::WithdrawalAddresses,
            scope(withdraws, &withdrawal(&to("bc1q-one"), "2")),
            scope(withdraws, &withdrawal(&format!("{}, {}", to("bc1q-one"), to("bc1q-two")), "2")),
            "BTC to bc1q-two from okx | withdraw 2 BTC to bc1q-two at okx",
        ),
    ];
    for (dimension, a, b, expected) in &cases {
        let found = opened(a, b, *dimension);
        assert!(found.contains(expected), "{dimension}: {found}\nexpected {expected}");
    }

    // What counts per day is for `execute` alone at OKX, and slippage and par work both ways.
    let withdraws = format!("{withdraws}modes = [\"execute\"]\n");
    let a = scope(&withdraws, &withdrawal(&to("bc1q-one"), "2"));
    let b = scope(&withdraws, &withdrawal(&to("bc1q-one"), "3"));
    let found = opened(&a, &b, Dimension::WithdrawalPerDay);
    assert!(found.contains("withdraw 3 BTC to bc1q-one"), "{found}");
    let a = scope("", &format!("{capped}[pricing]\nslippage = \"0.1\"\n"));
    let b = scope("", &format!("{capped}[pricing]\nslippage = \"0.02\"\n"));
    let found = opened(&a, &b, Dimension::PricingSlippage);
    assert!(found.contains("0.1 -> 0.02 | sell 9.8 BTC-USDT"), "{found}");
    let a = scope("", capped);
    let b = scope("", &format!("{capped}[pricing]\nusd_par = [\"USDT\"]\n"));
    let found = opened(&a, &b, Dimension::PricingUsdPar);
    assert!(found.contains("none -> USDT | buy") && found.contains("USDT/USD at 2"), "{found}");

    let seen: Vec<Dimension> = cases.iter().map(|(dimension, ..)| *dimension).collect();
    let others =
        [Dimension::PricingSlippage, Dimension::PricingUsdPar, Dimension::WithdrawalPerDay];
    let all = Dimension::ALL
        .iter()
        .all(|dimension| seen.contains(dimension) || others.contains(dimension));
    assert!(all, "a dimension has no case");
}

#[test]
fn the_reverse_closes_with_the_same_example() {
    let a = scope("", "");
    let b = scope("", "[symbols]\nokx = [\"BTC-USDT\", \"ETH-USDT\", \"SOL-USDT\"]\n");
    let words = |all: Vec<Difference>| match &all[..] {
        [Difference { effect, words, finding: Finding::Example(example), .. }] => {
            (*effect, words.clone(), example.to_string())
        }
        other => panic!("{other:?}"),
    };
    let (opens, closes) = (words(diff(&a, &b, &context())), words(diff(&b, &a, &context())));
    assert_eq!((opens.0, closes.0), (Effect::Opens, Effect::Closes));
    assert_eq!((opens.1, opens.2), (closes.1, closes.2));
}

#[test]
fn what_opens_nothing_says_what_keeps_it_closed() {
    let reads = "classes = [\"read\"]\n";
    let wide = "[symbols]\nokx = [\"BTC-USDT\", \"ETH-USDT\", \"SOL-USDT\"]\n";
    let closed = |a: &ScopeDocument, b: &ScopeDocument| match &diff(a, b, &context())[..] {
        [Difference { finding: Finding::Closed(closed), .. }] => closed.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(closed(&scope(reads, ""), &scope(reads, wide)), [Dimension::Classes]);

    let never = "[hours]\ntimezone = \"UTC\"\nwindows = []\n";
    let trades = "classes = [\"trade\"]\n";
    let found = closed(&scope(trades, never), &scope(trades, &format!("{wide}{never}")));
    assert_eq!(found, [Dimension::Hours]);

    let nobody = "credentials = []\n";
    assert_eq!(closed(&scope(nobody, ""), &scope(nobody, wide)), [Dimension::Credentials]);
}

#[test]
fn a_venue_that_is_not_known_has_no_examples() {
    let a = scope("", "");
    let b = scope("", "[symbols]\nokx = [\"*\"]\n");
    let found = diff(&a, &b, &DiffContext::default());
    assert!(matches!(found[..], [Difference { finding: Finding::Unknown, .. }]), "{found:?}");

    // Nor has a credential of one.
    let credentials =
        [("main".parse::<Name>().expect("a name"), "kraken".parse().expect("a name"))];
    let elsewhere = DiffContext { credentials: credentials.into(), ..context() };
    let found = diff(&a, &b, &elsewhere);
    assert!(!matches!(found[..], [Difference { finding: Finding::Example(_), .. }]), "{found:?}");
}

/// Whatever two scopes are, differences are those of the comparison, and examples are examples.
#[test]
fn differences_of_any_two_scopes_are_verified() {
    let mut runner = TestRunner::deterministic();
    let documents = testing::document();
    let mut generate = || documents.new_tree(&mut runner).expect("a document").current();
    let mut examples = 0;
    for _ in 0..60 {
        let (a, b) = (generate(), generate());
        let found = diff(&a, &b, &context());
        let named = |effect| -> Vec<Dimension> {
            let of_effect = found.iter().filter(|difference| difference.effect == effect);
            of_effect.map(|difference| difference.dimension).collect()
        };
        let change = compare(&a, &b);
        assert_eq!(named(Effect::Opens), change.widened);
        assert_eq!(named(Effect::Closes), change.narrowed);
        for difference in &found {
            check(&a, &b, difference);
            assert!(!difference.words.is_empty(), "{:?}", difference.dimension);
            examples += usize::from(matches!(difference.finding, Finding::Example(_)));
        }
    }
    assert!(examples > 0);
}
