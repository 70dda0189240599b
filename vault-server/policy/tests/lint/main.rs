//! What a careful reviewer would say of scopes, and what he would not.

mod grant;
mod order;
mod sign;

use std::collections::BTreeSet;

use vault_model::{Instrument, Money, Product, SizeUnit};
use vault_policy::{CredentialFacts, LintFacts, ScopeDocument, Warning, lint};

/// A scope that nothing is to be said of.
const QUIET: &str = r#"
name = "quiet"
credentials = ["main"]
classes = ["read", "trade", "cancel"]
modes = ["execute"]
products = ["spot"]
[symbols]
okx = ["BTC-USDT"]
[network]
allow = ["10.0.0.0/24"]
[orders]
types = ["LIMIT"]
max_notional_usd = "1000"
[cumulative]
orders = [{ per = "1m", at_most = 10 }]
"#;

fn scope(text: &str) -> ScopeDocument {
    ScopeDocument::from_toml(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The quiet scope with one text of it replaced.
fn with(old: &str, new: &str) -> ScopeDocument {
    assert!(QUIET.contains(old), "{old}");
    scope(&QUIET.replace(old, new))
}

fn credential(name: &str, venue: &str) -> CredentialFacts {
    CredentialFacts {
        name: name.parse().expect("a name"),
        venue: venue.parse().expect("a name"),
        is_enabled: true,
        rights_stated: true,
        venue_checks: false,
        takes_signatures_once: false,
        signs_path: true,
        reads_can_be_signed: true,
        disclosed: 0,
    }
}

fn knowing(credentials: &[CredentialFacts]) -> LintFacts {
    LintFacts { credentials: Some(credentials.to_vec()), ..LintFacts::default() }
}

fn codes(warnings: &[Warning]) -> Vec<&'static str> {
    warnings.iter().map(|warning| warning.code).collect()
}

/// The codes of what is said of a scope of which nothing else is known.
fn said(document: &ScopeDocument) -> Vec<&'static str> {
    codes(&lint(document, &LintFacts::default()))
}

/// The quiet scope with several texts of it replaced, one after the other.
fn with_all(changes: &[(&str, &str)]) -> ScopeDocument {
    let change = |text: String, (old, new): &(&str, &str)| {
        assert!(text.contains(old), "{old}");
        text.replace(old, new)
    };
    scope(&changes.iter().fold(QUIET.to_owned(), change))
}

#[test]
fn a_careful_scope_is_not_warned_of() {
    let known = knowing(&[credential("main", "okx")]);
    assert_eq!(lint(&scope(QUIET), &known), []);
    assert_eq!(lint(&scope(QUIET), &LintFacts::default()), []);
}

#[test]
fn every_warning_has_its_cause() {
    let numbers = "types = [\"LIMIT\"]\nmax_notional_usd = \"1000\"";
    let cumulative = "[cumulative]\norders = [{ per = \"1m\", at_most = 10 }]";
    let classes = "[\"read\", \"trade\", \"cancel\"]";
    let cases = [
        ("CAPS_WITHOUT_TRADE", with(classes, "[\"read\", \"cancel\"]")),
        ("CAP_OF_ZERO", with("at_most = 10", "at_most = 0")),
        ("COUNT_UNLIMITED", with(cumulative, "")),
        (
            "HOURS_NEVER_OPEN",
            with(cumulative, &format!("{cumulative}\n[hours]\ntimezone = \"UTC\"\nwindows = []")),
        ),
        ("LEVERAGE_UNLIMITED", with(classes, "[\"read\", \"trade\", \"cancel\", \"account\"]")),
        ("LOGON_BESIDE_CAPS", with(classes, "[\"read\", \"trade\", \"cancel\", \"logon\"]")),
        (
            "NETWORK_ANY",
            with("allow = [\"10.0.0.0/24\"]", "allow = [\"0.0.0.0/0\"]\nallow_any = true"),
        ),
        ("NETWORK_WIDE", with("10.0.0.0/24", "64.0.0.0/2")),
        ("NOTHING_GRANTED", with("allow = [\"10.0.0.0/24\"]", "allow = []")),
        ("POST_ONLY_NEVER", with("types = [\"LIMIT\"]", "types = [\"MARKET\"]\npost_only = true")),
        ("PRODUCTS_EVERY", with("products = [\"spot\"]", "products = [\"*\"]")),
        ("PRODUCTS_NONE", with("products = [\"spot\"]", "products = []")),
        (
            "PRODUCT_NEVER_IN_BAND",
            scope(
                &QUIET
                    .replace("\"spot\"", "\"option\"")
                    .replace(numbers, &format!("{numbers}\nprice_band = \"0.05\"")),
            ),
        ),
        (
            "QUANTITY_NOT_GRANTED",
            with(
                cumulative,
                &format!(
                    "{cumulative}\n[orders.max_quantity]\nokx = {{ BTC-USDT = \"1\", ETH-USDT = \"1\" }}"
                ),
            ),
        ),
        (
            "REDUCE_ONLY_WITHOUT_POSITIONS",
            with("types = [\"LIMIT\"]", "types = [\"LIMIT\"]\nreduce_only = true"),
        ),
        ("SYMBOLS_EVERY", with("[\"BTC-USDT\"]", "[\"*\"]")),
        (
            "SYMBOL_WITHOUT_QUANTITY",
            with(
                cumulative,
                &format!("{cumulative}\n[orders.max_quantity]\nokx = {{ ETH-USDT = \"1\" }}"),
            ),
        ),
        ("TRADE_WITHOUT_CANCEL", with(classes, "[\"read\", \"trade\"]")),
        (
            "TRADE_WITHOUT_CAPS",
            scope(&QUIET.replace("max_notional_usd = \"1000\"", "").replace(cumulative, "")),
        ),
        ("TRANSFER_UNLIMITED", with(classes, "[\"read\", \"trade\", \"cancel\", \"transfer\"]")),
        ("TYPES_UNRESTRICTED", with("types = [\"LIMIT\"]", "")),
        (
            "TYPE_NEVER_IN_BAND",
            with("types = [\"LIMIT\"]", "types = [\"LIMIT\", \"MARKET\"]\nprice_band = \"0.05\""),
        ),
        (
            "TYPE_NEVER_PRICED",
            with("types = [\"LIMIT\"]", "types = [\"LIMIT\", \"TRAILING_STOP\"]"),
        ),
        (
            "WITHDRAWAL_NOWHERE",
            scope(&format!(
                "{}\n[withdrawal]\naddresses = []",
                QUIET
                    .replace(classes, "[\"withdraw\"]")
                    .replace(cumulative, "")
                    .replace(numbers, "")
            )),
        ),
        (
            "WITHDRAWAL_UNUSED",
            with(cumulative, &format!("{cumulative}\n[withdrawal]\naddresses = []")),
        ),
        (
            "WITHDRAWAL_WITHOUT_AMOUNT",
            scope(&format!(
                "{}\n[withdrawal]\naddresses = [{{ venue = \"okx\", asset = \"BTC\", address = \"a\" }}]",
                QUIET.replace(classes, "[\"withdraw\"]")
            )),
        ),
    ];
    for (code, document) in &cases {
        let warnings = lint(document, &LintFacts::default());
        // Nothing else is said; in two cases another part of the scope is out of place, too.
        let others: &[&str] = match *code {
            "SYMBOL_WITHOUT_QUANTITY" => &["QUANTITY_NOT_GRANTED"],
            "WITHDRAWAL_WITHOUT_AMOUNT" => &["CAPS_WITHOUT_TRADE"],
            _ => &[],
        };
        assert_eq!(codes(&warnings), [others, &[*code]].concat());
        assert!(warnings.iter().all(|warning| !warning.words.is_empty()));
    }
}

#[test]
fn a_venue_whose_reads_open_writes_never_signs_one() {
    let reads = scope(
        "name = \"tax\"\ncredentials = [\"b\"]\nclasses = [\"read\"]\nmodes = [\"sign\"]\n\
         products = [\"spot\"]\n[network]\nallow = [\"10.0.0.0/24\"]",
    );
    let binance = CredentialFacts {
        reads_can_be_signed: false,
        signs_path: false,
        ..credential("b", "binance")
    };
    let warnings = lint(&reads, &knowing(std::slice::from_ref(&binance)));
    assert_eq!(codes(&warnings), ["SIGNED_READ_NEVER_RELEASED"]);
    assert_eq!(warnings[0].remedy, "modes = [\"execute\"]");
    assert!(warnings[0].words.contains("can never be released"), "{}", warnings[0].words);

    // With the remedy there is nothing to say.
    let mut remedied = reads;
    remedied.modes = [vault_model::Mode::Execute].into();
    assert_eq!(lint(&remedied, &knowing(&[binance])), []);
}

#[test]
fn what_is_known_of_credentials_is_said() {
    let sign = with("modes = [\"execute\"]", "modes = [\"sign\"]");
    let two = with(
        "modes = [\"execute\"]\nproducts = [\"spot\"]",
        "modes = [\"sign\"]\nproducts = [\"linear\", \"spot\"]",
    );
    let main = || credential("main", "okx");
    let once = || CredentialFacts { takes_signatures_once: true, ..main() };
    for (expected, document, facts) in [
        (&["API_KEY_DISCLOSED"][..], &sign, CredentialFacts { disclosed: 1, ..once() }),
        (&["CREDENTIAL_DISABLED"], &sign, CredentialFacts { is_enabled: false, ..once() }),
        (&["RIGHTS_UNSTATED"], &sign, CredentialFacts { rights_stated: false, ..once() }),
        (&["SIGN_SEVERAL_PRODUCTS"], &two, CredentialFacts { signs_path: false, ..once() }),
        (
            &["SYMBOLS_NONE", "VENUE_WITHOUT_CREDENTIAL"],
            &sign,
            CredentialFacts { venue: "kraken".parse().expect("a name"), ..once() },
        ),
        (&["VENUE_CHECKS_ASSUMED"], &sign, CredentialFacts { venue_checks: true, ..once() }),
        (&[], &sign, once()),
    ] {
        let warnings = lint(document, &knowing(&[facts]));
        let others = codes(&warnings).into_iter().filter(|code| *code != "DEADLINE_NEEDED");
        assert_eq!(others.collect::<Vec<_>>(), expected);
        assert_eq!(codes(&warnings).len(), expected.len() + 1, "{warnings:?}");
    }
    assert_eq!(codes(&lint(&sign, &knowing(&[main()]))), ["CAP_NOT_ENFORCEABLE"]);
    assert_eq!(codes(&lint(&two, &knowing(&[once()]))), ["DEADLINE_NEEDED"]);
    assert_eq!(codes(&lint(&two, &LintFacts::default())), ["SIGN_SEVERAL_PRODUCTS"]);
    assert_eq!(codes(&lint(&sign, &knowing(&[]))), ["CREDENTIAL_UNKNOWN"]);
    assert!(!codes(&lint(&scope(QUIET), &knowing(&[once()]))).contains(&"DEADLINE_NEEDED"));
}

#[test]
fn what_cannot_be_priced_is_said() {
    let instrument = Instrument {
        base: "BTC".parse().expect("an asset"),
        contract_size: Money::ONE,
        price_tick: None,
        product: Product::Spot,
        quantity_step: None,
        quote: "USDT".parse().expect("an asset"),
        reference: "BTC/USDT".parse().expect("a pair"),
        size_unit: SizeUnit::Base,
        symbol: "BTC-USDT".to_owned(),
        venue: "okx".parse().expect("a name"),
    };
    let feeds = |pairs: &[&str]| -> Option<BTreeSet<_>> {
        Some(pairs.iter().map(|pair| pair.parse().expect("a pair")).collect())
    };
    let facts = |instruments: &[Instrument], pairs: &[&str]| LintFacts {
        credentials: None,
        instruments: Some(instruments.to_vec()),
        feeds: feeds(pairs),
    };
    let known = [instrument];
    let found = |instruments: &[Instrument], pairs: &[&str]| {
        codes(&lint(&scope(QUIET), &facts(instruments, pairs)))
    };
    assert_eq!(found(&[], &[]), ["INSTRUMENT_MISSING"]);
    assert_eq!(found(&known, &["BTC/USDT"]), ["FEED_MISSING"]);
    assert_eq!(found(&known, &["BTC/USDT", "USDT/USD"]), Vec::<&str>::new());

    let par = scope(&format!("{QUIET}\n[pricing]\nusd_par = [\"USDT\"]"));
    assert_eq!(codes(&lint(&par, &facts(&known, &["BTC/USDT"]))), Vec::<&str>::new());
}
