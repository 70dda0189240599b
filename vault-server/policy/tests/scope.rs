//! Scope documents: what reads, what does not, and where the errors point.

use proptest::prelude::*;
use vault_model::{Class, Mode, Product};
use vault_policy::{Fault, Grant, NetworkError, ScopeDocument};

const FULL: &str = r#"name = "mm-okx"
description = "market making on OKX"
credentials = ["okx-main", "kraken-main"]
classes = ["read", "trade", "cancel"]
operations = ["POST /0/private/DepositAddresses"]
modes = ["sign"]
products = ["spot"]

[symbols]
okx = ["BTC-USDT", "ETH-USDT"]
kraken = ["*"]

[network]
allow = ["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"]
deny = ["10.9.0.0/16"]
"#;

#[test]
fn reads_every_dimension() {
    let scope = ScopeDocument::from_toml(FULL).expect("a scope");

    assert_eq!(scope.name.as_str(), "mm-okx");
    assert_eq!(scope.credentials.len(), 2);
    assert_eq!(scope.classes, [Class::Cancel, Class::Read, Class::Trade].into());
    assert_eq!(scope.modes, [Mode::Sign].into());
    assert_eq!(scope.products, Grant::only([Product::Spot]));
    assert_eq!(scope.symbols["kraken"], Grant::Every);
    assert_eq!(scope.network.allow.len(), 3);
    assert!(!scope.network.allow_any);
}

#[test]
fn what_is_left_out_is_empty() {
    let scope = ScopeDocument::from_toml("name = \"a\"").expect("a scope");
    assert_eq!(scope, ScopeDocument::new("a".parse().expect("a name")));
}

#[test]
fn toml_and_json_read_back() {
    let scope = ScopeDocument::from_toml(FULL).expect("a scope");

    assert_eq!(ScopeDocument::from_toml(&scope.to_toml()), Ok(scope.clone()));
    let json = serde_json::to_string(&scope).expect("JSON");
    assert_eq!(serde_json::from_str::<ScopeDocument>(&json).expect("a scope"), scope);
}

#[test]
fn errors_point_at_the_place() {
    for (from, to, place, fault) in [
        ("modes", "mode", (6, 1), "unknown key"),
        ("deny =", "denied =", (15, 1), "unknown key; expected one of: allow, deny, allow_any"),
        ("\"trade\"", "\"trading\"", (4, 20), "expected one of: public, read, cancel"),
        ("\"trade\"", "\"withdraw\"", (4, 20), "class withdraw cannot be granted yet"),
        ("\"trade\"", "\"keys\"", (4, 20), "class keys cannot be granted yet"),
        ("\"trade\"", "\"other\"", (4, 20), "under operations"),
        ("[\"sign\"]", "[\"Sign\"]", (6, 10), "expected one of: execute, sign"),
        ("[\"sign\"]", "\"sign\"", (6, 9), "expected a list"),
        ("[\"spot\"]", "[\"spot\", \"*\"]", (7, 21), "stands alone"),
        ("\"ETH-USDT\"", "\"ETH USDT\"", (10, 20), "a symbol is"),
        ("\"okx-main\"", "\"OKX\"", (3, 16), "a name is"),
        ("\"POST /0", "\"/0", (5, 15), "METHOD /path"),
        ("10.0.0.0/8", "0.0.0.0/0", (14, 10), "allow_any"),
        ("10.0.0.0/8", "10.0.0.1/8", (14, 10), "behind its prefix"),
        ("10.0.0.0/8", "::ffff:10.0.0.0/104", (14, 10), "not mapped"),
        ("10.0.0.0/8", "fe80::1%eth0", (14, 10), "without zone"),
        ("[network]", "[hours]\n[network]", (13, 2), "hours is not supported yet"),
        ("[network]", "[orders]\n[network]", (13, 2), "orders is not supported yet"),
        ("[network]", "[withdrawal]\n[network]", (13, 2), "withdrawal is not supported yet"),
        ("deny =", "countries = [\"DE\"]\ndeny =", (15, 1), "countries is not supported yet"),
        ("name = \"mm-okx\"", "title = \"mm-okx\"", (1, 1), "name is missing"),
        ("modes =", "modes = [", (7, 1), "not valid TOML"),
    ] {
        assert!(FULL.contains(from), "{from}");
        let error = ScopeDocument::from_toml(&FULL.replacen(from, to, 1)).expect_err(to);
        assert!(error.to_string().contains(fault), "{to}: {error}");
        if error.fault != Fault::Syntax {
            assert_eq!((error.line, error.column), place, "{to}: {error}");
        }
    }
}

#[test]
fn errors_quote_nothing_of_the_file() {
    for text in [
        "name = \"CANARY\"",
        "name = \"a\"\nCANARY = 1",
        "name = \"a\"\nmodes = [\"CANARY\"]",
        "CANARY",
    ] {
        let error = ScopeDocument::from_toml(text).expect_err("broken");
        assert!(!format!("{error:?} {error}").contains("CANARY"), "{error}");
    }
}

#[test]
fn every_address_wants_to_be_asked_for() {
    let text = "name = \"a\"\n[network]\nallow = [\"0.0.0.0/0\", \"::/0\"]\n";
    let error = ScopeDocument::from_toml(text).expect_err("every address");
    assert_eq!(error.fault, Fault::Network(NetworkError::Any));
    assert!(ScopeDocument::from_toml(&format!("{text}allow_any = true\n")).is_ok());
    // Denying everything widens nothing.
    assert!(ScopeDocument::from_toml("name = \"a\"\n[network]\ndeny = [\"0.0.0.0/0\"]\n").is_ok());
}

#[test]
fn stored_documents_are_checked_like_written_ones() {
    let json = |from: &str, to: &str| {
        let scope = ScopeDocument::from_toml(FULL).expect("a scope");
        let text = serde_json::to_string(&scope).expect("JSON");
        assert!(text.contains(from), "{from} in {text}");
        serde_json::from_str::<ScopeDocument>(&text.replacen(from, to, 1))
    };
    for (from, to) in [
        ("\"trade\"", "\"withdraw\""),
        ("\"trade\"", "\"other\""),
        ("\"modes\"", "\"colour\":1,\"modes\""),
        ("\"deny\"", "\"colour\":1,\"deny\""),
        ("10.0.0.0/8", "10.0.0.1/8"),
        ("10.0.0.0/8", "0.0.0.0/0"),
        ("[\"*\"]", "[\"*\",\"BTC\"]"),
        ("BTC-USDT", "BTC USDT"),
        ("POST /0", "/0"),
    ] {
        assert!(json(from, to).is_err(), "{to}");
    }
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        let _ = ScopeDocument::from_toml(&text);
    }

    #[test]
    fn mangled_scopes_never_panic(at in 0..FULL.len(), with in "[\\[\\]{}\"=,.a-z0-9*\n]{0,3}") {
        let mut text = FULL.to_owned();
        text.replace_range(at..=at, &with);
        if let Ok(scope) = ScopeDocument::from_toml(&text) {
            prop_assert_eq!(ScopeDocument::from_toml(&scope.to_toml()), Ok(scope));
        }
    }
}
