//! What a request says of its orders, role by role.

use vault_model::{
    Leg, MarginMode, Member, OrderType, Product, Side, Symbols, TimeInForce, VenueRequest,
};
use vault_venue::{ReadError, Venue};

use crate::{CAUTIOUS, bare, made};

const CATALOG: &str = r#"
[[order_type]]
venue = "limit"
type = "LIMIT"
[[order_type]]
venue = "post"
type = "LIMIT"
tif = "GTC"
post_only = true
[[order_type]]
venue = "market"
type = "MARKET"
tif = "IOC"
post_only = false
[[tif]]
venue = "maker"
tif = "GTC"
post_only = true
[[margin_mode]]
venue = "CROSSED"
mode = "cross"
[[product]]
product = "margin"
present = "leverage"
absent = ["cash"]
[[product]]
product = "linear"
where = { mode = ["1", "2"] }
[[product]]
product = "inverse"
where = { cash = ["false"] }
[[product]]
product = "option"
symbol = "*-C"
where = { cash = ["true"], kind = ["a"] }
[[product]]
product = "spot"
symbol = "*USD"

[shape.order]
source = "docs"
params = [
  { name = "symbol", type = "symbol", role = "symbol" },
  { name = "pair", type = "enum", values = ["XUSD", "*USD"], role = "symbol" },
  { name = "side", type = "enum", values = ["Buy", "Sell"], role = "side" },
  { name = "type", type = "enum", values = ["limit", "post", "market", "odd"], role = "type" },
  { name = "tif", type = "string", role = "tif" },
  { name = "quantity", type = "decimal", role = "quantity" },
  { name = "cost", type = "decimal", role = "quote_quantity" },
  { name = "price", type = "decimal", role = "price" },
  { name = "trigger", type = "decimal", role = "trigger_price" },
  { name = "reduce", type = "bool", role = "reduce_only" },
  { name = "postOnly", type = "bool", role = "post_only" },
  { name = "flags", type = "array", of = "enum", values = ["post", "fcib"], role = "post_only" },
  { name = "buyLeverage", type = "decimal", role = "leverage" },
  { name = "sellLeverage", type = "decimal", role = "leverage" },
  { name = "leverage", type = "decimal" },
  { name = "id", type = "id", role = "client_order_id" },
  { name = "mode", type = "integer" },
  { name = "cash", type = "bool" },
  { name = "kind", type = "string" },
  { name = "margin", type = "string", role = "margin_mode" },
]
[shape.batch]
source = "docs"
params = [
  { name = "symbol", type = "symbol", role = "symbol" },
  { name = "side", type = "enum", values = ["Buy", "Sell"], role = "side" },
  { name = "mode", type = "integer" },
  { name = "orders", type = "array", items = "order", legs = true },
  { name = "single", type = "object", items = "order", legs = true },
]
[shape.symbols]
source = "docs"
params = [
  { name = "symbols", type = "symbols", role = "symbols" },
  { name = "list", type = "array", of = "symbol", role = "symbols" },
  { name = "ids", type = "ids", role = "client_order_id" },
]
[[operation]]
method = "POST"
path = "/order"
class = "trade"
source = "docs"
body = "json"
shape = "order"
[[operation]]
method = "POST"
path = "/batch"
class = "trade"
source = "docs"
body = "json"
shape = "batch"
[[operation]]
method = "POST"
path = "/cancel"
class = "cancel"
source = "docs"
body = "json"
shape = "symbols"
[[operation]]
method = "POST"
path = "/prices"
class = "read"
source = "docs"
body = "json"
shape = "symbols"
"#;

fn read(venue: &Venue, path: &str, body: &str) -> Result<Member, ReadError> {
    let body = body.as_bytes().to_vec();
    Ok(venue.read(&VenueRequest { body, ..bare("POST", path) }, &CAUTIOUS)?.stated)
}

fn order(fields: &str) -> Leg {
    let mut member = read(&made(CATALOG), "/order", &format!("{{{fields}}}")).expect("an order");
    assert_eq!(member.legs.len(), 1, "{fields}");
    member.legs.remove(0)
}

#[test]
fn every_role_has_its_place_in_the_leg() {
    let leg = order(
        r#""symbol":"BTCUSD","side":"Sell","type":"limit","tif":"fok","quantity":"1","cost":2,
        "price":"3","trigger":"4","reduce":true,"postOnly":false,"buyLeverage":"5","mode":"1",
        "margin":"CROSSED""#,
    );
    let expected = Leg {
        product: Some(Product::Linear),
        symbol: Some("BTCUSD".to_owned()),
        side: Some(Side::Sell),
        // It waits for its trigger.
        order_type: Some(OrderType::StopLimit),
        tif: Some(TimeInForce::Fok),
        quantity: Some("1".to_owned()),
        quote_quantity: Some("2".to_owned()),
        price: Some("3".to_owned()),
        trigger_price: Some("4".to_owned()),
        reduce_only: Some(true),
        post_only: Some(false),
        leverage: Some("5".to_owned()),
        margin_mode: Some(MarginMode::Cross),
        amends: false,
        deadline: None,
    };
    assert_eq!(leg, expected);
    assert_eq!(order(r#""side":"Buy","mode":1,"reduce":false"#).reduce_only, Some(false));
    assert_eq!(order(r#""side":"Buy""#), Leg { side: Some(Side::Buy), ..Leg::default() });
}

#[test]
fn what_makes_an_order_post_only_makes_a_limit_order_a_maker() {
    for (fields, order_type, post_only) in [
        (r#""type":"limit""#, OrderType::Limit, None),
        (r#""type":"limit","postOnly":true"#, OrderType::LimitMaker, Some(true)),
        (r#""type":"limit","postOnly":false"#, OrderType::Limit, Some(false)),
        (r#""type":"limit","flags":["fcib","post"]"#, OrderType::LimitMaker, Some(true)),
        (r#""type":"limit","flags":["fcib"]"#, OrderType::Limit, Some(false)),
        (r#""type":"limit","tif":"maker""#, OrderType::LimitMaker, Some(true)),
        (r#""type":"post""#, OrderType::LimitMaker, Some(true)),
        (r#""type":"post","postOnly":false"#, OrderType::LimitMaker, Some(true)),
        (r#""postOnly":true,"type":"market""#, OrderType::Market, Some(true)),
        (r#""type":"market""#, OrderType::Market, Some(false)),
    ] {
        let leg = order(fields);
        assert_eq!((leg.order_type, leg.post_only), (Some(order_type), post_only), "{fields}");
    }
}

#[test]
fn the_time_in_force_is_what_its_own_parameter_says() {
    for (fields, tif) in [
        (r#""type":"market""#, Some(TimeInForce::Ioc)),
        (r#""type":"market","tif":"GTC""#, Some(TimeInForce::Gtc)),
        (r#""tif":"GTC","type":"market""#, Some(TimeInForce::Gtc)),
        (r#""type":"limit","tif":"Day""#, Some(TimeInForce::Day)),
        (r#""type":"limit""#, None),
    ] {
        assert_eq!(order(fields).tif, tif, "{fields}");
    }
    let venue = made(CATALOG);
    for fields in [r#""type":"odd""#, r#""type":"limit","tif":"ever""#] {
        let refused = read(&venue, "/order", &format!("{{{fields}}}"));
        assert_eq!(refused, Err(ReadError::OrderTypeUnknown), "{fields}");
    }
}

#[test]
fn the_larger_leverage_counts() {
    for (buy, sell, larger) in
        [("9", "10", "10"), ("10", "9", "10"), ("9", "9.5", "9.5"), ("10.1", "2.55", "10.1")]
    {
        let leg = order(&format!(r#""side":"Buy","buyLeverage":{buy},"sellLeverage":{sell}"#));
        assert_eq!(leg.leverage.as_deref(), Some(larger), "{buy} {sell}");
    }
}

#[test]
fn the_first_rule_that_fits_says_the_product() {
    for (fields, product) in [
        (r#""leverage":2"#, Some(Product::Margin)),
        (r#""leverage":2,"cash":true"#, None),
        (r#""leverage":2,"cash":false"#, Some(Product::Inverse)),
        (r#""mode":2"#, Some(Product::Linear)),
        (r#""mode":"1""#, Some(Product::Linear)),
        (r#""mode":3"#, None),
        (r#""symbol":"BTC-C","cash":true,"kind":"a""#, Some(Product::Option)),
        (r#""symbol":"BTC-C","cash":true,"kind":"b""#, None),
        (r#""symbol":"BTC-C","cash":true"#, None),
        (r#""symbol":"BTC-P","cash":true,"kind":"a""#, None),
        (r#""cash":true,"kind":"a""#, None),
        (r#""symbol":"BTCUSD""#, Some(Product::Spot)),
        (r#""symbol":"BTCEUR""#, None),
        (r#""pair":"XUSD""#, Some(Product::Spot)),
        (r#""pair":"*USD""#, None),
    ] {
        assert_eq!(order(&format!("{fields},\"side\":\"Buy\"")).product, product, "{fields}");
    }
}

#[test]
fn an_order_of_unknown_product_could_be_of_any() {
    let venue = made(CATALOG);
    let touched = |path: &str, body: &str| {
        let member = read(&venue, path, body).expect("read");
        (member.products.clone(), member.symbols.clone())
    };
    let named = |symbols: &[&str]| {
        Symbols::Named(symbols.iter().map(|&symbol| symbol.to_owned()).collect())
    };
    let orders = |one: &str, two: &str| {
        format!(r#"{{"orders":[{{"side":"Buy"{one}}},{{"side":"Buy"{two}}}]}}"#)
    };
    let spot = r#","symbol":"BTCUSD""#;
    let linear = r#","symbol":"BTCEUR","mode":1"#;
    let open = r#","symbol":"BTCEUR""#;
    assert_eq!(
        touched("/batch", &orders(spot, linear)),
        (Some(vec![Product::Linear, Product::Spot]), named(&["BTCUSD", "BTCEUR"]))
    );
    assert_eq!(
        touched("/batch", &orders(spot, spot)),
        (Some(vec![Product::Spot]), named(&["BTCUSD"]))
    );
    for (one, two) in [(spot, open), (open, spot)] {
        assert_eq!(touched("/batch", &orders(one, two)).0, None);
    }
    for (one, two) in [(spot, ""), ("", spot)] {
        assert_eq!(touched("/batch", &orders(one, two)), (None, Symbols::Every));
    }
    // What names nothing is not an order of nothing.
    assert_eq!(touched("/order", r#"{"price":1}"#), (None, Symbols::Every));
    assert_eq!(touched("/order", r#"{"kind":"a"}"#), (None, Symbols::Every));
}

#[test]
fn orders_of_a_batch_inherit_symbol_and_side() {
    let venue = made(CATALOG);
    let body = r#"{"symbol":"BTCUSD","side":"Sell","mode":1,
        "orders":[{"quantity":1},{"symbol":"ETHUSD","side":"Buy","price":2},{"id":"x"}],
        "single":{"quantity":3}}"#;
    let member = read(&venue, "/batch", body).expect("a batch");

    let legs: Vec<_> = member
        .legs
        .iter()
        .map(|leg| (leg.symbol.as_deref().expect("inherited"), leg.side, leg.quantity.as_deref()))
        .collect();
    let sell = Some(Side::Sell);
    assert_eq!(
        legs,
        [
            // A side is an order's, so the object around the batch counts as one.
            ("BTCUSD", sell, None),
            ("BTCUSD", sell, Some("1")),
            ("ETHUSD", Some(Side::Buy), None),
            ("BTCUSD", sell, None),
            ("BTCUSD", sell, Some("3")),
        ]
    );
}

#[test]
fn every_symbol_of_a_list_is_touched() {
    let venue = made(CATALOG);
    let both = Symbols::Named(vec!["BTCUSD".to_owned(), "ETHUSD".to_owned()]);
    for body in [r#"{"symbols":"BTCUSD,ETHUSD"}"#, r#"{"list":["BTCUSD","ETHUSD"]}"#] {
        let cancel = read(&venue, "/cancel", body).expect("a cancel");
        assert_eq!(cancel.symbols, both, "{body}");
        assert_eq!(cancel.products, Some(vec![Product::Spot]));
        assert_eq!(cancel.legs.len(), 2);
        let prices = read(&venue, "/prices", body).expect("a read");
        assert_eq!(prices.symbols, both, "{body}");
        assert!(prices.legs.is_empty());
    }
    let odd = read(&venue, "/prices", r#"{"symbols":"BTCEUR"}"#).expect("a read");
    assert_eq!(
        (odd.products.clone(), odd.symbols.clone()),
        (None, Symbols::Named(vec!["BTCEUR".to_owned()]))
    );
    let none = read(&venue, "/prices", "{}").expect("a read");
    assert_eq!(
        (none.products.clone(), none.symbols.clone()),
        (Some(vec![]), Symbols::Named(vec![]))
    );
    let every = read(&venue, "/cancel", "{}").expect("a cancel");
    assert_eq!((every.products.clone(), every.symbols.clone()), (None, Symbols::Every));
}

#[test]
fn a_list_of_ids_names_a_request_where_it_has_one() {
    let venue = made(CATALOG);
    let id = |body: &str| read(&venue, "/cancel", body).expect("a cancel").client_order_id.clone();
    assert_eq!(id(r#"{"ids":"a"}"#).as_deref(), Some("a"));
    assert_eq!(id(r#"{"ids":"a,b"}"#), None);
    assert_eq!(id("{}"), None);
}
