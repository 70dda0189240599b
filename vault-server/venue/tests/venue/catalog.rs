//! The catalogues against what is known about the venues, and the reader against broken ones.

use serde_json::Value;
use vault_venue::{Catalog, CatalogError, Part, VENUES};

use crate::registry;

/// Operations that the catalogue takes for more dangerous than the list does: the documents know the
/// path only as a `POST`, which deletes a sub-account.
const STRONGER: &[(&str, &str)] = &[("GET /v5/user/del-submember", "keys")];

/// Operations that the list has as ccxt signs them, and that ccxt has among the public ones too:
/// market data for everybody.
const OPEN: &[(&str, &str)] = &[("GET /v5/market/instruments-info", "public")];

#[test]
fn every_known_endpoint_is_there_with_its_class() {
    let registry = registry();
    let file: Value =
        serde_json::from_str(include_str!("../../../../tests/vectors/venue/endpoints.json"))
            .expect("JSON");
    let endpoints = file["endpoints"].as_array().expect("endpoints");

    for endpoint in endpoints {
        let field = |name: &str| endpoint[name].as_str().expect("a text").to_owned();
        let venue = registry.venue(&field("venue")).expect("a venue");
        let name = format!("{} {}", field("method"), field("path"));
        let operation = venue.catalog.operations.iter().find(|found| *found.name == *name);
        let class = operation.map(|operation| operation.class.as_str());
        let listed = field("class");
        let mut others = STRONGER.iter().chain(OPEN);
        let other = others.find(|(of, _)| *of == name).map(|(_, class)| *class);
        assert_eq!(class, Some(other.unwrap_or(&listed)), "{endpoint}");
    }
    for name in registry.names() {
        assert!(endpoints.iter().any(|endpoint| endpoint["venue"] == name), "{name}");
    }
}

/// Withdrawals take two admins, a listed address and a cap. What hands coins to strangers in another
/// way must not go round that.
#[test]
fn what_gives_coins_to_strangers_is_a_withdrawal() {
    let registry = registry();
    for (venue, name) in [
        ("binance", "POST /sapi/v1/giftcard/createCode"),
        ("binance", "POST /sapi/v1/giftcard/buyCode"),
        ("bybit", "POST /v5/p2p/item/create"),
        ("bybit", "POST /v5/p2p/item/update"),
        ("bybit", "POST /v5/p2p/order/finish"),
        ("bybit", "POST /v5/broker/award/distribute-award"),
        ("coinbase", "POST /v2/accounts/{account_id}/transactions"),
        ("okx", "POST /api/v5/asset/withdrawal-lightning"),
    ] {
        let operations = &registry.venue(venue).expect(venue).catalog.operations;
        let found = operations.iter().find(|operation| *operation.name == *name).expect(name);
        assert_eq!(found.class.as_str(), "withdraw", "{name}");
    }
}

#[test]
fn answers_are_looked_into_by_pointers() {
    let registry = registry();
    for name in registry.names() {
        let response = registry.venue(name).expect("listed").response();
        assert!(!response.order_id.is_empty() && !response.error_code.is_empty(), "{name}");
    }
    let binance = registry.venue("binance").expect("binance").response();
    assert!(binance.order_id.iter().any(|pointer| pointer == "/orderId"));

    let (_, parts) = VENUES.iter().find(|(name, _)| *name == "kraken").expect("kraken");
    let text = parts.first().expect("one part").text;
    let with = |pointer: &str| {
        let text = text.replace("\"/error/0\"", &format!("\"{pointer}\""));
        Catalog::parse("kraken", &[Part { file: "kraken.toml", text: &text }])
    };
    for pointer in ["/a", "/a/0/b", "/a~0b~1c"] {
        let catalog = with(pointer).expect("a pointer");
        assert_eq!(catalog.response.error_code.first().map(String::as_str), Some(pointer));
    }
    for pointer in ["", "a", "/", "/a/", "//a", "/a b", "/~", "/a~2", "/ä"] {
        assert!(with(pointer).is_err(), "{pointer}");
    }
}

#[test]
fn every_file_of_the_folder_is_compiled_in() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("catalog");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files
                .extend(std::fs::read_dir(path).expect("a folder").map(|e| e.expect("one").path()));
        } else {
            files.push(path);
        }
    }
    let mut files: Vec<_> = files
        .iter()
        .map(|path| path.strip_prefix(&folder).expect("inside").to_str().expect("text").to_owned())
        .collect();
    files.sort();
    let mut compiled: Vec<_> =
        VENUES.iter().flat_map(|(_, parts)| parts.iter().map(|part| part.file)).collect();
    compiled.sort_unstable();
    assert_eq!(files, compiled);
}

#[test]
fn hashes_are_of_the_files() {
    let registry = registry();
    let hashes: Vec<_> =
        registry.names().map(|n| registry.venue(n).expect("listed").catalog.hash).collect();
    assert_ne!(hashes[0], hashes[1]);
    for (name, parts) in VENUES {
        let last = parts.last().expect("a part");
        let changed = format!("{}\n", last.text);
        let mut parts = parts.to_vec();
        parts.pop();
        parts.push(Part { file: last.file, text: &changed });
        let changed = Catalog::parse(name, &parts).expect("still sound");
        assert_ne!(Some(changed.hash), registry.venue(name).map(|venue| venue.catalog.hash));
    }
}

const BASE: &str = r#"format = 1
venue = "test"
title = "Test"
[sources]
docs = "made up for this test"
[environments.live]
hosts = ["api.test.example"]
[signature]
scheme = "okx"
binds = ["method", "path", "query", "body"]
source = "docs"
client_order_id_reuse = "unknown"
[shape.order]
source = "docs"
params = [{ name = "symbol", type = "symbol", required = true, role = "symbol" }]
[[operation]]
method = "POST"
path = "/order"
class = "trade"
source = "docs"
body = "json"
shape = "order"
"#;

fn parse(text: &str) -> Result<Catalog, CatalogError> {
    Catalog::parse("test", &[Part { file: "test.toml", text }])
}

fn error(from: &str, to: &str) -> String {
    assert!(BASE.contains(from), "{from}");
    parse(&BASE.replacen(from, to, 1)).expect_err("broken").to_string()
}

#[test]
fn unknown_keys_are_errors_with_their_place() {
    assert!(parse(BASE).is_ok());
    let broken = BASE.replacen("title = ", "colour = \"red\"\ntitle = ", 1);

    let error = parse(&broken).expect_err("unknown key");

    assert!(matches!(error, CatalogError::Syntax { line: 3, column: 1, .. }), "{error}");
    // What the file says is not repeated: it may be anything.
    assert!(!error.to_string().contains("colour"), "{error}");
}

#[test]
fn catalogues_that_contradict_themselves_are_errors() {
    for (from, to, what) in [
        ("format = 1", "format = 2", "format"),
        ("venue = \"test\"", "venue = \"other\"", "is of other"),
        (
            "class = \"trade\"\nsource = \"docs\"",
            "class = \"trade\"\nsource = \"hearsay\"",
            "hearsay",
        ),
        ("shape = \"order\"", "shape = \"ordre\"", "no shape ordre"),
        ("shape = \"order\"", "shape = \"order\"\nright = \"trade\"", "right trade"),
        ("path = \"/order\"", "path = \"/../order\"", "not plain"),
        ("path = \"/order\"", "path = \"/order\"\nws = true", "log-ons"),
        ("body = \"json\"\n", "", "body form is missing"),
        ("body = \"json\"", "body = \"json\"\nparams_in = \"query\"", "from the body"),
        ("type = \"symbol\"", "type = \"decimal\"", "wants a symbol"),
        ("type = \"symbol\"", "type = \"symbols\"", "single value"),
        ("type = \"symbol\"", "type = \"object\"", "items is missing"),
        ("role = \"symbol\"", "role = \"quantity\"", "wants a decimal"),
        ("[environments.live]", "[environments.demo]", "no live"),
        ("hosts = [\"api.test.example\"]", "hosts = []", "no hosts"),
        ("hosts = [\"api.test.example\"]", "hosts = [\"API\"]", "no plain host"),
    ] {
        let error = error(from, to);
        assert!(error.contains(what), "{to}: {error}");
    }
    let twice = format!(
        "{BASE}\n[[operation]]\nmethod = \"POST\"\npath = \"/order\"\nclass = \"read\"\nsource = \"docs\"\nbody = \"json\"\n"
    );
    let error = parse(&twice).expect_err("twice").to_string();
    assert!(error.contains("stated twice"), "{error}");
}

/// A role inside an object that is no leg would be seen by no rule.
#[test]
fn roles_cannot_hide_in_objects() {
    let error = error(
        "params = [",
        "params = [{ name = \"more\", type = \"object\", items = \"inner\" }, ",
    );
    assert!(error.contains("no shape inner"), "{error}");

    let hidden = BASE
        .replacen(
            "params = [",
            "params = [{ name = \"more\", type = \"object\", items = \"inner\" }, ",
            1,
        )
        .replacen(
            "[[operation]]",
            "[shape.inner]\nsource = \"docs\"\nparams = [{ name = \"sz\", type = \"decimal\", role = \"quantity\" }]\n[[operation]]",
            1,
        );
    let error = parse(&hidden).expect_err("hidden").to_string();
    assert!(error.contains("legs or merge"), "{error}");
}
