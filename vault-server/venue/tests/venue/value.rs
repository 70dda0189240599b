//! Which values each type of parameter takes.

use vault_model::VenueRequest;
use vault_venue::{ReadError, Venue};

use crate::{CAUTIOUS, bare, made};

const CATALOG: &str = r#"
[shape.every]
source = "docs"
params = [
  { name = "flag", type = "bool" },
  { name = "word", type = "enum", values = ["1", "one", "true"] },
  { name = "no", type = "enum", values = ["false"] },
  { name = "amount", type = "decimal" },
  { name = "change", type = "signed_decimal" },
  { name = "count", type = "integer" },
  { name = "at", type = "timestamp" },
  { name = "id", type = "id" },
  { name = "short_id", type = "id", max = 8 },
  { name = "ids", type = "ids" },
  { name = "name", type = "string" },
  { name = "note", type = "text" },
  { name = "symbol", type = "symbol" },
  { name = "symbols", type = "symbols" },
  { name = "dollars", type = "symbols", pattern = ["*USD", "*-USD"] },
  { name = "fixed", type = "string", const = "x" },
  { name = "size", type = "decimal", role = "quantity" },
  { name = "cost", type = "decimal", role = "quote_quantity" },
  { name = "price", type = "decimal", role = "price" },
  { name = "amounts", type = "array", of = "decimal", items_max = 3 },
  { name = "parts", type = "array", items = "part" },
  { name = "part", type = "object", items = "part" },
]
[shape.part]
source = "docs"
params = [{ name = "a", type = "integer", required = true }]
[[operation]]
method = "POST"
path = "/every"
class = "read"
source = "docs"
body = "json"
shape = "every"
"#;

/// Whether the parameter takes the value, written as JSON.
fn takes(venue: &Venue, name: &str, value: &str) -> bool {
    let body = format!("{{\"{name}\":{value}}}").into_bytes();
    match venue.read(&VenueRequest { body, ..bare("POST", "/every") }, &CAUTIOUS) {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error, ReadError::ParameterValue(name.to_owned()), "{value}");
            false
        }
    }
}

/// `taken` and `refused` are JSON values.
fn check(name: &str, taken: &[&str], refused: &[&str]) {
    let venue = made(CATALOG);
    for value in taken {
        assert!(takes(&venue, name, value), "{name} takes {value}");
    }
    for value in refused {
        assert!(!takes(&venue, name, value), "{name} refuses {value}");
    }
}

/// A JSON string of `length` times this text.
fn long(text: &str, length: usize) -> String {
    format!("\"{}\"", text.repeat(length))
}

#[test]
fn flags_are_true_or_false() {
    check("flag", &["true", "false", "\"true\"", "\"false\""], &["1", "\"TRUE\"", "\"\"", "null"]);
}

#[test]
fn words_are_those_of_the_list_however_written() {
    check(
        "word",
        &["1", "\"1\"", "\"one\"", "true"],
        &["\"two\"", "2", "false", "null", "[\"1\"]"],
    );
    check("no", &["false", "\"false\""], &["true", "0"]);
}

#[test]
fn numbers_are_exact_texts() {
    let whole = "9".repeat(18);
    let both = format!("{whole}.{whole}");
    let too_long = "9".repeat(19);
    let fraction = format!("0.{too_long}");
    check("amount", &["0", "0.0", "1.50", &whole, &both], &["-1", &too_long, &fraction]);
    check("amount", &["\"1\""], &["\"01\"", "\"1.\"", "\".5\"", "\"1.x\"", "\"00.1\"", "\"1e3\""]);
    check("change", &["-1.5", "1.5", "\"-0\""], &["\"--1\"", "\"+1\"", "\"-\""]);
    check("count", &["1", "\"0\"", "18"], &["1.0", "-1", "\"\"", "true"]);
    let (longest, longer) = (long("1", 20), long("1", 21));
    check("at", &["1700000000000", "\"0\"", &longest], &["\"\"", "\"1.0\"", "-1", &longer]);
}

#[test]
fn ids_are_short_and_plain() {
    let (longest, longer) = (long("a", 64), long("a", 65));
    check(
        "id",
        &["\"a-B_9\"", "12", &longest],
        &["\"\"", "\"a b\"", "\"a.b\"", "true", "false", &longer],
    );
    check("short_id", &["\"12345678\"", "1"], &["\"123456789\"", "123456789", "\"a.b\""]);
    let list = |count: usize| format!("\"{}\"", vec!["a"; count].join(","));
    check("ids", &["\"a\"", "\"a,b-1\"", &list(50)], &["\"a,\"", "\"a, b\"", "1", &list(51)]);
}

#[test]
fn texts_are_bounded_and_plain() {
    let (longest, longer) = (long("a", 64), long("a", 65));
    let odd = "\"aZ0_-.:/,@~*() \"";
    check("name", &[odd, &longest], &["\"\"", "\"a+b\"", "\"a#b\"", "\"é\"", "1", &longer]);
    check(
        "note",
        &["\"é 'x' \\\"y\\\" \\\\\"", &longest],
        &["\"\"", "\"a&b\"", "\"a%b\"", &longer],
    );
    check("fixed", &["\"x\""], &["\"y\"", "\"X\"", "\"xx\"", "[]", "[\"x\"]"]);
}

#[test]
fn symbols_are_names() {
    let (longest, longer) = (long("A", 40), long("A", 41));
    let taken = ["\"BTC-USDT\"", "\"tBTC/USD_1.2\"", &longest];
    check("symbol", &taken, &["\"\"", "\"BTC USDT\"", "\"BTC,ETH\"", "\"BTC:USD\"", "1", &longer]);
    check("symbols", &["\"BTCUSD,ETHUSD\""], &["\"BTCUSD,\"", "\"BTC USD\"", "[\"BTCUSD\"]"]);
    // Each of them fits one of the patterns.
    check("dollars", &["\"BTCUSD,ETH-USD\""], &["\"BTCUSD,ETHEUR\"", "\"BTC_USD\""]);
}

#[test]
fn a_size_is_more_than_nothing() {
    for name in ["size", "cost"] {
        check(name, &["1", "0.9", "\"0.0001\""], &["0", "0.0", "\"0.00\""]);
    }
    check("price", &["0", "1"], &["-1"]);
}

#[test]
fn lists_and_objects_fit_to_the_last_item() {
    check("amounts", &["[1]", "[1,\"2\",3]"], &["[]", "[1,2,3,4]", "[1,\"x\"]", "[[1]]", "1"]);
    let parts = |count: usize| format!("[{}]", vec![r#"{"a":1}"#; count].join(","));
    let refused = ["[]", r#"[{"a":1},{}]"#, r#"[{"a":1,"b":1}]"#, "[1]", r#"{"a":1}"#, "\"[]\""];
    check("parts", &[&parts(1), &parts(20)], &refused);
    check("parts", &[], &[&parts(21)]);
    let refused = ["{}", r#"{"a":"x"}"#, r#"{"a":1,"b":1}"#, "[]", "1", "\"{}\""];
    check("part", &[r#"{"a":1}"#], &refused);
}

/// Only form text has lists as JSON in a text: a JSON body says what it means.
#[test]
fn a_text_in_json_is_no_list() {
    check("amounts", &[], &["\"[1]\"", "\"1\""]);
    check("parts", &[], &[r#""[{\"a\":1}]""#]);
    check("part", &[], &[r#""{\"a\":1}""#]);
}
