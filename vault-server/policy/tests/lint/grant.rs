//! What is granted and from where, on both sides of each border.

use super::*;

#[test]
fn networks_are_wide_below_a_prefix_of_eight_or_sixteen() {
    for (network, expected) in [
        ("64.0.0.0/8", &[][..]),
        ("64.0.0.0/7", &["NETWORK_WIDE"]),
        ("64.0.0.0/9", &[]),
        ("2000::/16", &[]),
        ("2000::/15", &["NETWORK_WIDE"]),
        ("2000::/17", &[]),
    ] {
        assert_eq!(said(&with("10.0.0.0/24", network)), expected, "{network}");
    }
    let every = "allow = [\"::/0\"]\nallow_any = true";
    let warnings = lint(&with("allow = [\"10.0.0.0/24\"]", every), &LintFacts::default());
    assert_eq!(codes(&warnings), ["NETWORK_ANY"]);
    assert!(warnings[0].words.starts_with("::/0 is every address"), "{}", warnings[0].words);
}

#[test]
fn a_scope_may_grant_operations_by_name_alone() {
    let classes = "classes = [\"read\", \"trade\", \"cancel\"]";
    let cumulative = "[cumulative]\norders = [{ per = \"1m\", at_most = 10 }]";
    let operations = |list: &str| with_all(&[(classes, list), (cumulative, "")]);
    assert_eq!(said(&operations("operations = [\"POST /x\"]")), Vec::<&str>::new());
    assert_eq!(said(&operations("")), ["NOTHING_GRANTED"]);
    // Classes alone do, too.
    assert_eq!(said(&operations("classes = [\"read\"]")), Vec::<&str>::new());
}

#[test]
fn classes_are_warned_of_only_where_nothing_holds_them() {
    let classes = "\"trade\", \"cancel\"";
    let with_leverage = [
        (classes, "\"trade\", \"cancel\", \"account\""),
        ("types = [\"LIMIT\"]", "types = [\"LIMIT\"]\nmax_leverage = 2"),
    ];
    assert_eq!(said(&with_all(&with_leverage)), Vec::<&str>::new());
    // The limit says nothing where no account settings are granted.
    assert_eq!(said(&with_all(&with_leverage[1..])), Vec::<&str>::new());

    // A log-on is behind nothing where there is nothing to go past, and is said of in mode sign.
    let logon = |modes: &str| {
        scope(&format!(
            "name = \"feed\"\ncredentials = [\"main\"]\nclasses = [\"logon\"]\nmodes = {modes}\n\
             products = [\"spot\"]\n[network]\nallow = [\"10.0.0.0/24\"]"
        ))
    };
    assert_eq!(said(&logon("[\"sign\"]")), ["LOGON_GRANTED"]);
    assert_eq!(said(&logon("[\"execute\"]")), Vec::<&str>::new());
    let sign = with("modes = [\"execute\"]", "modes = [\"sign\"]");
    assert_eq!(said(&sign), Vec::<&str>::new());
}

#[test]
fn reads_need_no_symbols_and_no_products() {
    let reading = |old: &str, new: &str| {
        let mut scope = with(old, new);
        scope.classes = [vault_model::Class::Read].into();
        scope.cumulative = Default::default();
        said(&scope)
    };
    assert_eq!(reading("[\"BTC-USDT\"]", "[\"*\"]"), Vec::<&str>::new());
    assert_eq!(reading("products = [\"spot\"]", "products = [\"*\"]"), Vec::<&str>::new());
    assert_eq!(reading("products = [\"spot\"]", "products = []"), Vec::<&str>::new());
}

#[test]
fn symbols_belong_to_the_venues_of_the_credentials() {
    let two = with("okx = [\"BTC-USDT\"]", "okx = [\"BTC-USDT\"]\nkraken = [\"XBTUSD\"]");
    let warnings = lint(&two, &knowing(&[credential("main", "okx")]));
    assert_eq!(codes(&warnings), ["VENUE_WITHOUT_CREDENTIAL"]);
    assert!(warnings[0].words.starts_with("symbols of kraken are"), "{}", warnings[0].words);
    // A credential that the scope does not name changes nothing.
    let both = [credential("main", "okx"), credential("other", "kraken")];
    assert_eq!(codes(&lint(&two, &knowing(&both))), ["VENUE_WITHOUT_CREDENTIAL"]);
    // Every symbol is more than none.
    let every = with("[\"BTC-USDT\"]", "[\"*\"]");
    let warnings = lint(&every, &knowing(&[credential("main", "okx")]));
    assert_eq!(codes(&warnings), ["SYMBOLS_EVERY"]);
    let none = with("[\"BTC-USDT\"]", "[]");
    let warnings = lint(&none, &knowing(&[credential("main", "okx")]));
    assert_eq!(codes(&warnings), ["SYMBOLS_NONE"]);
    assert_eq!(warnings[0].remedy, "list the symbols of okx that are traded");
}

#[test]
fn an_amount_is_for_its_own_asset_at_its_own_venue() {
    let paying = |venue: &str, asset: &str| {
        let text = format!(
            "{QUIET}\n[withdrawal]\n\
             addresses = [{{ venue = \"okx\", asset = \"BTC\", address = \"a\" }}]\n\
             per_day = [{{ venue = \"{venue}\", asset = \"{asset}\", at_most = 1 }}]"
        );
        scope(&text.replace("\"trade\", \"cancel\"", "\"trade\", \"cancel\", \"withdraw\""))
    };
    assert_eq!(said(&paying("okx", "BTC")), Vec::<&str>::new());
    for (venue, asset) in [("okx", "ETH"), ("kraken", "BTC")] {
        let warnings = lint(&paying(venue, asset), &LintFacts::default());
        assert_eq!(codes(&warnings), ["WITHDRAWAL_WITHOUT_AMOUNT"]);
        assert!(warnings[0].words.contains("for BTC at okx,"), "{}", warnings[0].words);
    }
}
