//! `vaultctl catalog`, run as people run it: without a vault and without an identity.

use std::process::{Command, Output};

use serde_json::Value;

fn vaultctl(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vaultctl"))
        .arg("catalog")
        .args(arguments)
        .env_clear()
        .output()
        .expect("vaultctl")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// What it printed as data.
fn shown(arguments: &[&str]) -> String {
    let output = vaultctl(arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn json(arguments: &[&str]) -> Value {
    let text = shown(&[arguments, &["--json"]].concat());
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("not JSON: {text}"))
}

/// Its exit code, and what it said.
fn refused(arguments: &[&str]) -> (i32, String) {
    let output = vaultctl(arguments);
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
    (output.status.code().expect("it ends by itself"), text(&output.stderr))
}

fn names(operations: &Value) -> Vec<&str> {
    let operations = operations.as_array().expect("a list");
    operations.iter().map(|operation| operation["operation"].as_str().expect("a name")).collect()
}

const PAGE: &str = include_str!("../../../docs/reference/catalog.md");
const OPEN_ORDERS: &str = "/api/v3/openOrders?symbol=BTCUSDT";
const OKX_ORDER: &str = r#"{"instId":"BTC-USDT","tdMode":"cash","side":"buy","ordType":"limit","px":"60000","sz":"0.5"}"#;

#[test]
fn lists_the_venues() {
    let value = json(&["list"]);
    let venues = value["venues"].as_array().expect("a list");
    let known: Vec<&str> = venues.iter().filter_map(|venue| venue["venue"].as_str()).collect();
    assert_eq!(known, ["binance", "bybit", "coinbase", "kraken", "okx"]);

    let table = shown(&["list"]);
    for venue in venues {
        let by_class = venue["classes"].as_object().expect("an object").values();
        let sum: u64 = by_class.map(|count| count.as_u64().expect("a count")).sum();
        assert_eq!(venue["operations"], sum);
        assert!(table.contains(venue["hash"].as_str().expect("a hash")), "{table}");
    }
}

#[test]
fn the_page_has_the_counts_of_today() {
    let counts = shown(&["list", "--classes"]);
    assert!(
        PAGE.contains(&format!("```text\n{counts}```")),
        "docs/reference/catalog.md: put what `vaultctl catalog list --classes` prints:\n{counts}"
    );
}

#[test]
fn shows_a_venue_whole() {
    let table = shown(&["show", "binance"]);
    for part in [
        "Binance (binance)",
        "hmac rsa ed25519  query body  method host path  5 s",
        "fapi.binance.com",
        "enableSpotAndMarginTrading",
        "Disclosed: the API key alone opens these",
        "Sources:\n",
    ] {
        assert!(table.contains(part), "{part}");
    }

    let value = json(&["show", "binance"]);
    let operations = value["operations"].as_array().expect("a list");
    assert_eq!(value["operations_in_all"], operations.len());
    for operation in operations {
        let name = operation["operation"].as_str().expect("a name");
        assert!(table.contains(name), "{name}");
        let sources = operation["sources"].as_array().expect("a list");
        assert!(!sources.is_empty(), "{name}");
        for source in sources {
            assert!(value["sources"].get(source.as_str().expect("a key")).is_some(), "{name}");
        }
    }
}

#[test]
fn filters_narrow_what_is_shown() {
    let all = json(&["show", "binance"]);
    let count = |filter: &[&str], holds: &dyn Fn(&Value) -> bool| {
        let value = json(&[&["show", "binance"], filter].concat());
        let expected: Vec<&str> = names(&all["operations"])
            .into_iter()
            .zip(all["operations"].as_array().expect("a list"))
            .filter(|(_, operation)| holds(operation))
            .map(|(name, _)| name)
            .collect();
        assert!(!expected.is_empty(), "{filter:?}");
        assert!(expected.len() < names(&all["operations"]).len(), "{filter:?}");
        assert_eq!(names(&value["operations"]), expected, "{filter:?}");
    };
    count(&["--class", "cancel"], &|operation| operation["class"] == "cancel");
    count(&["--class", "cancel", "--class", "keys"], &|operation| {
        operation["class"] == "cancel" || operation["class"] == "keys"
    });
    count(&["--writes"], &|operation| {
        !["public", "read"].contains(&operation["class"].as_str().expect("a word"))
    });
    count(&["--unsourced"], &|operation| operation["schema_sourced"] == false);
    count(&["--disclosed"], &|operation| operation["disclosed"] == true);
    count(&["--right", "enableFutures"], &|operation| {
        operation["rights"].as_array().expect("a list").contains(&Value::from("enableFutures"))
    });
    count(&["--grep", "LISTENkey", "--disclosed"], &|operation| {
        let name = operation["operation"].as_str().expect("a name").to_lowercase();
        operation["disclosed"] == true && name.contains("listenkey")
    });
    assert!(shown(&["show", "kraken", "--grep", "no such thing"]).contains("no operation"));
}

#[test]
fn key_types_that_sign_alike_share_a_row() {
    let table = shown(&["show", "coinbase", "--class", "logon"]);
    for part in [
        "es256 ed25519  method host path  query body  120 s",
        "legacy-hmac    method path body  host query  30 s",
        "binds nothing",
    ] {
        assert!(table.contains(part), "{part}: {table}");
    }
}

#[test]
fn what_is_not_there_is_refused_with_what_is_near() {
    for (arguments, code, hint) in [
        (&["show", "binanse"][..], 4, "hint: binance? known: binance, bybit, coinbase"),
        (&["show", "binance", "--right", "enableReadings"], 2, "hint: enableReading?"),
        (&["show", "binance", "--class", "peek"], 2, "expected one of: public, read"),
        (&["closure", "mtgox", "GET", "/"], 4, "hint: known: binance"),
        (
            &["closure", "binance", "GET", "/api/v3/openOrder"],
            4,
            "(OPERATION_UNKNOWN)\nhint: did you mean GET /api/v3/openOrders",
        ),
        (&["closure", "binance", "PATCH", "/api/v3/openOrders"], 4, "DELETE /api/v3/openOrders"),
        (&["closure", "binance", "GET", OPEN_ORDERS, "--query", "a=1"], 2, "leave out --query"),
        (&["closure", "binance", "GET", OPEN_ORDERS, "--key-type", "es256"], 2, "hmac rsa ed25519"),
        (&["closure", "binance", "GET", OPEN_ORDERS, "--key-type", "x"], 2, "expected one of"),
        (&["closure", "binance", "GET", OPEN_ORDERS, "--rights", "enableReadin"], 2, "known: "),
        (&["closure", "coinbase", "GET", "/v2/user", "--environment", "demo"], 3, "no demo"),
    ] {
        let (exit, said) = refused(arguments);
        assert_eq!(exit, code, "{arguments:?}: {said}");
        assert!(said.contains(hint), "{hint}: {said}");
    }
}

#[test]
fn what_cannot_be_read_is_refused_with_its_code() {
    for (arguments, code, hint) in [
        (&["binance", "POST", "/api/v3/order"][..], "PARAMETER_MISSING", "hint: its parameters:"),
        (&["binance", "GET", "/api/v3/account?timestamp=1"], "PARAMETER_RESERVED", "leave it out"),
        (
            &["binance", "GET", OPEN_ORDERS, "--rights", "enableReading", "--host", "x.y"],
            "HOST_UNKNOWN",
            "its hosts: api.binance.com",
        ),
        (
            &["binance", "POST", "/api/v3/order", "--rights", "enableReading"],
            "RIGHT_NOT_HELD",
            "it needs enableSpotAndMarginTrading",
        ),
        (&["okx", "GET", "/api/v5/account/balance", "--body", "{}"], "BODY_NOT_ALLOWED", "--query"),
        (&["okx", "POST", "/api/v5/trade/order?a=1"], "QUERY_NOT_ALLOWED", "--body"),
        (&["okx", "POST", "/api/v5/trade/order", "--body", "a=1"], "BODY_MALFORMED", "JSON"),
        (
            &["okx", "GET", "wss://www.okx.com/api/v5/account/balance"],
            "SCHEME_NOT_ALLOWED",
            "https",
        ),
    ] {
        let (exit, said) = refused(&[&["closure"], arguments].concat());
        assert_eq!(exit, 3, "{arguments:?}: {said}");
        assert!(said.contains(&format!("({code})")) && said.contains(hint), "{hint}: {said}");

        let (_, said) = refused(&[&["closure"], arguments, &["--json"]].concat());
        let error: Value = serde_json::from_str(&said).expect("JSON");
        assert_eq!(error["error"]["reason"], code);
    }
}

/// `confusion-proofs.json`: reading the open orders is cancelling them.
#[test]
fn a_read_of_open_orders_is_also_cancel_all() {
    let value = json(&["closure", "binance", "GET", OPEN_ORDERS, "--assume", "venue_checks"]);
    let closure = names(&value["closure"]);
    for operation in
        ["GET /api/v3/openOrders", "DELETE /api/v3/openOrders", "DELETE /fapi/v1/allOpenOrders"]
    {
        assert!(closure.contains(&operation), "{operation}: {closure:?}");
    }
    assert_eq!(value["with_venue_checks"]["operations"], closure.len());
    assert_eq!(value["with_venue_checks"]["hash"], value["closure_hash"]);

    let without = json(&["closure", "binance", "GET", OPEN_ORDERS]);
    let wider = without["closure"].as_array().expect("a list").len();
    assert!(wider > closure.len());
    assert_eq!(value["without_venue_checks"]["operations"], wider);
    assert_eq!(without["with_venue_checks"], value["with_venue_checks"]);

    let table = shown(&["closure", "binance", "GET", OPEN_ORDERS]);
    let fewer = wider - closure.len();
    assert!(
        table.contains(&format!(
            "with --assume venue_checks: {} operations, {fewer} fewer",
            closure.len()
        )),
        "{table}"
    );
    assert!(table.ends_with(&format!("... and {} more (--all)\n", wider - 20)), "{table}");
    let all = shown(&["closure", "binance", "GET", OPEN_ORDERS, "--all"]);
    assert!(!all.contains("(--all)"));
    let rows = all.lines().skip_while(|line| !line.starts_with("CLASS ")).skip(1);
    assert_eq!(rows.count(), wider);
}

#[test]
fn rights_that_a_key_lacks_shrink_the_closure() {
    let closure = |more: &[&str]| {
        let arguments = ["closure", "binance", "GET", OPEN_ORDERS, "--assume", "venue_checks"];
        json(&[&arguments[..], more].concat())["closure_classes"].clone()
    };
    assert!(closure(&[])["cancel"].as_u64() > Some(0));
    let reads = closure(&["--rights", "enableReading"]);
    assert!(reads["read"].as_u64() > Some(1));
    for class in ["cancel", "trade", "keys", "withdraw"] {
        assert_eq!(reads[class], 0, "{class}");
    }
}

#[test]
fn an_order_at_spot_is_one_on_margin_and_at_futures() {
    let query = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.5&price=60000";
    let arguments = ["closure", "binance", "POST", "/api/v3/order", "--query", query];
    let table = shown(&[&arguments[..], &["--assume", "venue_checks", "--all"]].concat());

    let row = |name: &str| table.lines().find(|line| line.contains(name)).unwrap_or_default();
    let words = |name: &str| row(name).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(words("buy LIMIT GTC"), "buy LIMIT GTC spot BTCUSDT 0.5 60000 -");
    for expected in [
        "trade POST /api/v3/order spot BTCUSDT asked, widest",
        "trade POST /sapi/v1/margin/order margin BTCUSDT -",
        "trade POST /fapi/v1/order linear BTCUSDT -",
    ] {
        let name = expected.split(' ').nth(2).expect("a path");
        assert_eq!(words(&format!("trade  POST {name} ")), expected, "{table}");
    }
}

#[test]
fn a_url_says_what_a_path_and_a_host_say() {
    let by_path = json(&["closure", "okx", "POST", "/api/v5/trade/order", "--body", OKX_ORDER]);
    let url = "https://www.okx.com/api/v5/trade/order";
    assert_eq!(json(&["closure", "okx", "POST", url, "--body", OKX_ORDER]), by_path);
    assert_eq!(names(&by_path["closure"]), ["POST /api/v5/trade/order"]);
    assert_eq!(by_path["stated"]["legs"][0]["quantity"], "0.5");

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("order.json");
    std::fs::write(&file, OKX_ORDER).expect("written");
    let body = format!("@{}", file.display());
    assert_eq!(json(&["closure", "okx", "POST", url, "--body", &body]), by_path);
}

#[test]
fn the_key_type_decides_what_is_bound() {
    let body = r#"{"client_order_id":"a","product_id":"BTC-USD","side":"BUY","order_configuration":{"limit_limit_gtc":{"base_size":"0.1","limit_price":"1000"}}}"#;
    let order = |key_type: &str| {
        let path = "/api/v3/brokerage/orders";
        json(&["closure", "coinbase", "POST", path, "--body", body, "--key-type", key_type])
    };
    let jwt = order("es256");
    assert_eq!(jwt["binds"], serde_json::json!(["method", "host", "path"]));
    assert_eq!(jwt["closure"][0]["every_symbol"], true);
    let legacy = order("legacy-hmac");
    assert_eq!(legacy["closure"][0]["every_symbol"], false);
    assert_eq!(legacy["closure"][0]["symbols"][0], "BTC-USD");
}

#[test]
fn what_takes_no_signature_opens_nothing_else() {
    let table = shown(&["closure", "binance", "POST", "/fapi/v1/listenKey"]);
    assert!(table.contains("nothing: the operation takes no signature"), "{table}");
    assert!(table.contains("the signature is good for nothing else"), "{table}");
}

/// The page's complete example, with the command that stands under it.
#[test]
fn the_example_of_the_page_is_read_as_an_order() {
    let (_, rest) = PAGE.split_once("```toml\n").expect("an example");
    let (example, rest) = rest.split_once("```").expect("its end");
    let command =
        rest.lines().find_map(|line| line.strip_prefix("$ vaultctl catalog ")).expect("a command");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("own.toml");
    std::fs::write(&file, example).expect("written");
    let file = file.to_str().expect("UTF-8");
    let arguments: Vec<&str> = command
        .split(' ')
        .map(|word| if word == "own.toml" { file } else { word.trim_matches('\'') })
        .collect();

    let value = json(&arguments);
    assert_eq!(names(&value["closure"]), ["POST /api/v5/example/order"]);
    let leg = &value["stated"]["legs"][0];
    for (field, expected) in
        [("product", "spot"), ("symbol", "BTC-USDT"), ("quantity", "0.5"), ("price", "60000")]
    {
        assert_eq!(leg[field], expected, "{field}");
    }
    assert!(shown(&["show", "okx", "--additions", file]).contains("POST /api/v5/example/order"));
}

#[test]
fn an_addition_that_cannot_be_used_is_said_with_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("own.toml");
    std::fs::write(&file, "format = 1\nvenue = \"okx\"\ncolour = \"red\"\n").expect("written");
    let file = file.to_str().expect("UTF-8");
    let (exit, said) = refused(&["list", "--additions", file]);
    assert_eq!(exit, 1);
    assert!(said.contains(&format!("{file}:3:1: ")), "{said}");
    assert!(said.contains("hint: vault-server catalog check"), "{said}");
}
