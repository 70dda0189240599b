//! The closure in its general form, on a made-up venue that signs parameters only, and on the
//! bundled ones.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use vault_model::{Class, Environment, Member, Product, Reading, Symbols, VenueRequest};
use vault_venue::{KeyType, Part, ReadError, Standing, Venue};

use crate::registry;

/// Signs query and body, told apart; neither method nor path.
const PARAMS_ONLY: &str = r##"format = 1
venue = "params"
title = "Signs parameters only"
[sources]
docs = "made up for this test"
[environments.live]
hosts = ["api.example"]
[signature]
scheme = "okx"
binds = ["query", "body"]
source = "docs"
client_order_id_reuse = "unknown"
[rights]
names = ["spot", "futures"]
source = "docs"
[[order_type]]
venue = "LIMIT"
type = "LIMIT"
[[product]]
product = "inverse"
symbol = "*_PERP"
[[product]]
product = "linear"
symbol = "*USDT"
present = "positionSide"
[[product]]
product = "spot"
symbol = "*"

[shape.one_symbol]
source = "docs"
params = [{ name = "symbol", type = "symbol", required = true, role = "symbol" }]
[shape.maybe_symbol]
source = "docs"
params = [{ name = "symbol", type = "symbol", role = "symbol" }]
[shape.order]
source = "docs"
params = [
  { name = "symbol", type = "symbol", required = true, role = "symbol" },
  { name = "side", type = "enum", values = ["BUY", "SELL"], required = true, role = "side" },
  { name = "type", type = "enum", values = ["LIMIT"], required = true, role = "type" },
  { name = "quantity", type = "decimal", required = true, role = "quantity" },
  { name = "icebergQty", type = "decimal" },
]
[shape.coin_order]
source = "docs"
params = [
  { name = "symbol", type = "enum", values = ["BTCUSD_PERP", "ETHUSD_PERP"], required = true, role = "symbol" },
  { name = "side", type = "enum", values = ["BUY", "SELL"], required = true, role = "side" },
  { name = "type", type = "enum", values = ["LIMIT"], required = true, role = "type" },
  { name = "quantity", type = "decimal", required = true, role = "quantity" },
]
[shape.withdrawal]
source = "docs"
params = [{ name = "address", type = "string", required = true, role = "address" }]
[shape.empty]
source = "docs"
params = []
[shape.hedged]
source = "docs"
include = ["order"]
params = [{ name = "positionSide", type = "enum", values = ["LONG", "SHORT"] }]

[[operation]]
method = "GET"
path = "/openOrders"
class = "read"
source = "docs"
shape = "maybe_symbol"
[[operation]]
method = "DELETE"
path = "/openOrders"
class = "cancel"
source = "docs"
params_in = "query"
shape = "one_symbol"
[[operation]]
method = "POST"
path = "/order"
class = "trade"
source = "docs"
params_in = "query"
right = "spot"
shape = "order"
[[operation]]
method = "POST"
path = "/fapi/order"
class = "trade"
source = "docs"
params_in = "query"
right = "futures"
shape = "order"
[[operation]]
method = "POST"
path = "/dapi/order"
class = "trade"
source = "docs"
params_in = "query"
shape = "coin_order"
[[operation]]
method = "POST"
path = "/withdraw"
class = "withdraw"
source = "docs"
params_in = "query"
shape = "withdrawal"
[[operation]]
method = "POST"
path = "/fastWithdraw"
class = "withdraw"
source = "docs"
body = "form"
shape = "empty"
[[operation]]
method = "POST"
path = "/unsourced"
class = "transfer"
source = "docs"
body = "form"
[[operation]]
method = "GET"
path = "/public"
class = "public"
source = "docs"
"##;

fn venue(text: &str) -> Venue {
    Venue::load("params", &[Part { file: "params.toml", text }]).expect("sound")
}

fn request(method: &str, path: &str, query: &str) -> VenueRequest {
    VenueRequest {
        method: method.to_owned(),
        scheme: "https".to_owned(),
        host: "api.example".to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        ..VenueRequest::default()
    }
}

const CAUTIOUS: Standing<'static> = Standing {
    environment: Environment::Live,
    sites: None,
    venue_checks: false,
    rights: None,
    key_type: KeyType::Hmac,
};
const CHECKED: Standing<'static> = Standing { venue_checks: true, ..CAUTIOUS };

fn names(reading: &Reading) -> Vec<&str> {
    reading.closure.iter().map(|member| &*member.operation).collect()
}

fn member<'r>(reading: &'r Reading, operation: &str) -> &'r Member {
    reading.closure.iter().find(|member| *member.operation == *operation).expect("in the closure")
}

const READ: (&str, &str, &str) = ("GET", "/openOrders", "symbol=BTCUSDT");
const ORDER: &str = "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1";

fn read(venue: &Venue, request: &VenueRequest, standing: &Standing<'_>) -> Reading {
    venue.read(request, standing).expect("can be read")
}

#[test]
fn reading_open_orders_is_cancelling_them() {
    let venue = venue(PARAMS_ONLY);
    let reading = read(&venue, &request(READ.0, READ.1, READ.2), &CHECKED);

    assert_eq!(names(&reading), ["DELETE /openOrders", "GET /openOrders"]);
    assert_eq!(reading.stated.class, Class::Read);
    assert_eq!(&*reading.widest().operation, "DELETE /openOrders");
    let cancel = member(&reading, "DELETE /openOrders");
    assert_eq!(cancel.symbols, Symbols::Named(vec!["BTCUSDT".to_owned()]));
    assert_eq!(cancel.products, Some(vec![Product::Spot]));
}

#[test]
fn unknown_parameters_and_unsourced_schemas_do_not_save_us() {
    let venue = venue(PARAMS_ONLY);
    let reading = read(&venue, &request(READ.0, READ.1, READ.2), &CAUTIOUS);

    // The parameterless withdrawal setting ignores the symbol; nobody knows what the unsourced
    // transfer takes. The withdrawal and the orders miss parameters, the public one is unsigned.
    assert_eq!(
        names(&reading),
        ["DELETE /openOrders", "GET /openOrders", "POST /fastWithdraw", "POST /unsourced"]
    );
    assert!(!member(&reading, "POST /unsourced").schema_sourced);
    assert_eq!(member(&reading, "POST /unsourced").products, None);
    assert_eq!(member(&reading, "POST /unsourced").symbols, Symbols::Every);
    assert_eq!(&*reading.widest().operation, "POST /fastWithdraw");
}

#[test]
fn a_read_without_parameters_meets_the_setting_without_parameters() {
    let venue = venue(PARAMS_ONLY);
    let reading = read(&venue, &request("GET", "/openOrders", ""), &CHECKED);

    assert_eq!(names(&reading), ["GET /openOrders", "POST /fastWithdraw"]);
}

#[test]
fn a_spot_order_is_a_futures_order() {
    let venue = venue(PARAMS_ONLY);
    let reading = read(&venue, &request("POST", "/order", ORDER), &CHECKED);

    // COIN-M does not take the symbol.
    assert_eq!(names(&reading), ["POST /fapi/order", "POST /order"]);
    let other = member(&reading, "POST /fapi/order");
    assert_eq!(other.legs[0].quantity.as_deref(), Some("1"));
    assert_eq!(other.legs, reading.stated.legs);
}

#[test]
fn a_symbol_that_the_other_product_takes_brings_it_in() {
    let venue = venue(PARAMS_ONLY);
    let query = ORDER.replace("BTCUSDT", "BTCUSD_PERP");
    let reading = read(&venue, &request("POST", "/order", &query), &CHECKED);

    assert_eq!(names(&reading), ["POST /dapi/order", "POST /fapi/order", "POST /order"]);
    assert_eq!(member(&reading, "POST /dapi/order").products, Some(vec![Product::Inverse]));
}

#[test]
fn rights_that_the_key_lacks_close_operations() {
    let venue = venue(PARAMS_ONLY);
    let order = request("POST", "/order", ORDER);
    let spot = ["spot".to_owned()];
    let futures = ["futures".to_owned()];

    let reading = read(&venue, &order, &Standing { rights: Some(&spot), ..CHECKED });
    assert_eq!(names(&reading), ["POST /order"]);
    let lacking = Standing { rights: Some(&futures), ..CHECKED };
    assert_eq!(venue.read(&order, &lacking), Err(ReadError::RightNotHeld));
}

#[test]
fn the_stated_operation_knows_all_its_parameters() {
    let venue = venue(PARAMS_ONLY);
    for standing in [CAUTIOUS, CHECKED] {
        let more = request("GET", "/openOrders", "symbol=BTCUSDT&x=1");
        assert_eq!(venue.read(&more, &standing), Err(ReadError::ParameterUnknown));
    }
}

/// The other order endpoint ignores a parameter that it does not know, unless the venue checks.
#[test]
fn parameters_unknown_elsewhere_count_only_where_the_venue_checks() {
    let venue = venue(PARAMS_ONLY);
    let query = format!("{}&icebergQty=1", ORDER.replace("BTCUSDT", "BTCUSD_PERP"));
    let order = request("POST", "/order", &query);

    assert!(names(&read(&venue, &order, &CAUTIOUS)).contains(&"POST /dapi/order"));
    assert!(!names(&read(&venue, &order, &CHECKED)).contains(&"POST /dapi/order"));
}

#[test]
fn an_unbound_body_is_every_order() {
    let text =
        PARAMS_ONLY.replace("binds = [\"query\", \"body\"]", "binds = [\"method\", \"path\"]");
    let venue = venue(&text);
    let reading = read(&venue, &request("POST", "/order", ORDER), &CHECKED);

    assert_eq!(names(&reading), ["POST /order"]);
    assert_eq!(reading.stated.symbols, Symbols::Named(vec!["BTCUSDT".to_owned()]));
    assert_eq!(reading.closure[0].symbols, Symbols::Every);
    assert_eq!(reading.closure[0].products, None);
    assert!(reading.closure[0].legs.is_empty());
}

#[test]
fn an_unbound_query_opens_operations_that_read_it() {
    let text = PARAMS_ONLY.replace("binds = [\"query\", \"body\"]", "binds = [\"body\"]");
    let venue = venue(&text);
    let reading = read(&venue, &request("GET", "/openOrders", ""), &CHECKED);

    for operation in ["POST /withdraw", "POST /order", "POST /dapi/order", "DELETE /openOrders"] {
        assert_eq!(member(&reading, operation).symbols, Symbols::Every, "{operation}");
    }
}

/// Query and body as one text: an order in the query is an order in the body, and the text may be
/// cut anywhere, so a signed quantity of 10 is one of 1 as well.
#[test]
fn joined_places_are_one_and_can_be_cut() {
    let text = PARAMS_ONLY
        .replace("scheme = \"okx\"", "scheme = \"okx\"\njoined = \"concatenated\"")
        .replace(
            "path = \"/fapi/order\"\nclass = \"trade\"\nsource = \"docs\"\nparams_in = \"query\"",
            "path = \"/fapi/order\"\nclass = \"trade\"\nsource = \"docs\"\nbody = \"form\"",
        );
    let venue = venue(&text);
    let order = request("POST", "/order", &ORDER.replace("BTCUSDT", "BTCUSD_PERP2"));

    let checked = read(&venue, &order, &CHECKED);
    assert_eq!(names(&checked), ["POST /fapi/order", "POST /order"]);
    assert_eq!(checked.closure[1], checked.stated);

    let cautious = read(&venue, &order, &CAUTIOUS);
    // `BTCUSD_PERP2` cut to `BTCUSD_PERP` is a COIN-M symbol.
    assert!(names(&cautious).contains(&"POST /dapi/order"));
    assert_eq!(member(&cautious, "POST /order").symbols, Symbols::Every);
}

#[test]
fn the_hash_is_over_the_names() {
    let venue = venue(PARAMS_ONLY);
    let reading = read(&venue, &request(READ.0, READ.1, READ.2), &CHECKED);

    let expected: [u8; 32] = Sha256::digest(b"DELETE /openOrders\nGET /openOrders\n").into();
    assert_eq!(reading.closure_hash, expected);
}

/// OKX and Kraken bind the path, so a request means one operation; and every operation that reads
/// without parameters stands alone in its closure, whatever the standing.
#[test]
fn venues_that_bind_the_path_have_closures_of_one() {
    let registry = registry();
    let mut read_count = 0;
    for name in ["kraken", "okx"] {
        let venue = registry.venue(name).expect("listed");
        let hosts = venue.catalog.hosts(Environment::Live).expect("live");
        for operation in &venue.catalog.operations {
            let request = VenueRequest {
                method: operation.method.clone(),
                scheme: if operation.ws { "wss" } else { "https" }.to_owned(),
                host: if operation.ws { &hosts.ws } else { &hosts.rest }[0].clone(),
                path: operation.path.clone(),
                ..VenueRequest::default()
            };
            if let Ok(reading) = venue.read(&request, &CAUTIOUS) {
                assert_eq!(names(&reading), [&*operation.name]);
                read_count += 1;
            }
        }
    }
    assert!(read_count > 200, "most operations read without parameters: {read_count}");
}

/// A reader of JSON skips white space before it, and so must whoever asks what is JSON.
#[test]
fn white_space_before_json_hides_nothing() {
    let venue = registry().venue("bybit").expect("listed");
    let closure = |body: &str| {
        let request = VenueRequest {
            method: "POST".to_owned(),
            scheme: "https".to_owned(),
            host: "api.bybit.com".to_owned(),
            path: "/v5/order/pre-check".to_owned(),
            body: body.as_bytes().to_vec(),
            ..VenueRequest::default()
        };
        let reading = venue.read(&request, &CHECKED).expect("an order");
        names(&reading).iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()
    };
    let order = r#"{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"1","price":"2"}"#;

    let plain = closure(order);
    assert_eq!(plain, ["POST /v5/order/create", "POST /v5/order/pre-check"]);
    for space in [" ", "\n", "\t", "\r\n "] {
        assert_eq!(closure(&format!("{space}{order}")), plain, "{space:?}");
    }
}

/// What is shared between the operations of a closure is what each of them says of itself.
#[test]
fn a_member_is_what_it_is_where_it_is_stated() {
    let registry = registry();
    let venue = registry.venue("binance").expect("listed");
    let hosts = venue.catalog.hosts(Environment::Live).expect("live");
    let order = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.001&price=60000";
    let stated = |operation: &str, query: &str| {
        let (method, path) = operation.split_once(' ').expect("a method and a path");
        let operation = venue.catalog.operation(method, path).expect("listed");
        let host = hosts.of(operation)[0].clone();
        VenueRequest { host, ..request(method, path, query) }
    };
    for more in ["", "&newClientOrderId=a1", "&reduceOnly=true", "&stopPrice=59000"] {
        let query = format!("{order}{more}");
        let begun = ["POST /api/v3/order", "POST /fapi/v1/order", "POST /sapi/v1/margin/order"];
        let readings = begun.map(|operation| venue.read(&stated(operation, &query), &CHECKED));
        let mut compared = 0;
        for reading in readings.into_iter().flatten() {
            for member in &reading.closure {
                if let Ok(own) = venue.read(&stated(&member.operation, &query), &CHECKED) {
                    assert_eq!(*member, own.stated, "{more}");
                    compared += 1;
                }
            }
        }
        assert!(compared >= 3, "{more}: {compared}");
    }
    let reading = venue.read(&stated("POST /api/v3/order", order), &CHECKED).expect("an order");
    let shares = |operation| {
        let member = member(&reading, operation);
        Arc::ptr_eq(&member.intent, &reading.stated.intent)
    };
    assert!(shares("POST /api/v3/order/test") && !shares("POST /fapi/v1/order"));
}
