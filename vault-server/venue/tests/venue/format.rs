//! What the catalogue format can say, on a made-up venue that signs query and body as one text.

use vault_model::{
    Class, Environment, OrderType, Product, Reading, Symbols, TimeInForce, VenueRequest,
};
use vault_venue::{KeyType, Part, ReadError, Standing, Venue};

const HEAD: &str = r##"format = 1
venue = "made"
title = "Made up"
[sources]
docs = "made up for this test"
[environments.live]
hosts = ["api.example", "api2.example"]
ws_hosts = ["ws.example"]
routes = { "/f/" = ["f.example"], "/f/deep/" = ["deep.example"] }
[signature]
scheme = "binance"
binds = ["query", "body"]
joined = "concatenated"
window = { name = "recvWindow", max_ms = 5000 }
source = "docs"
key_types = ["hmac", "legacy-hmac"]
client_order_id_reuse = "unknown"
reserved = ["timestamp"]
[[signature.variant]]
key_types = ["legacy-hmac"]
binds = ["method", "host", "path"]
usable_ms = 7
source = "docs"
[defaults]
params_in = "either"
body = "form"
[rights]
names = ["one", "two"]
source = "docs"
[[order_type]]
venue = "LIMIT"
type = "LIMIT"
[[tif]]
venue = "PostOnly"
tif = "GTC"
post_only = true

[shape.base]
source = "docs"
params = [
  { name = "symbol", type = "symbol", required = true, role = "symbol", pattern = ["*USDT", "*_######"] },
  { name = "side", type = "enum", values = ["BUY", "SELL"], required = true, role = "side" },
]
[shape.order]
source = "docs"
include = ["base"]
params = [
  { name = "quantity", type = "decimal", role = "quantity" },
  { name = "total", type = "decimal", role = "quote_quantity" },
  { name = "tif", type = "string", role = "tif" },
  { name = "closeAll", type = "bool", refused = true },
]
one_of = [["quantity", "total"]]
only_one = [["quantity", "total"]]
[shape.loose_order]
source = "docs"
include = ["order"]
params = [{ name = "symbol", type = "symbol", required = true, role = "symbol" }]
[shape.batch]
source = "docs"
params = [
  { name = "orders", type = "array", items = "order", legs = true, required = true, items_max = 2 },
]
[shape.dust]
source = "docs"
params = [{ name = "asset", type = "array", of = "string", repeats = true, required = true }]
[shape.one_asset]
source = "docs"
params = [{ name = "asset", type = "string", required = true, role = "asset" }]
[shape.none]
source = "docs"
[shape.nested]
source = "docs"
include = ["base"]
params = [{ name = "setting", type = "object", items = "setting", merge = true, required = true }]
[shape.setting]
source = "docs"
params = [
  { name = "limit_gtc", type = "object", items = "limit", merge = true, implies = { type = "LIMIT", tif = "GTC" } },
  { name = "market_ioc", type = "object", items = "limit", merge = true, implies = { type = "MARKET", tif = "IOC" } },
]
one_of = [["limit_gtc", "market_ioc"]]
only_one = [["limit_gtc", "market_ioc"]]
[shape.limit]
source = "docs"
params = [
  { name = "quantity", type = "decimal", role = "quantity" },
  { name = "total", type = "decimal", role = "quote_quantity" },
  { name = "price", type = "decimal", role = "price" },
  { name = "post_only", type = "bool", role = "post_only" },
]
"##;

const OPERATIONS: &str = r##"format = 1
venue = "made"
[[operation]]
method = "POST"
path = "/order"
class = "trade"
source = "docs"
product = "spot"
right = ["one", "two"]
shape = "order"
[[operation]]
method = "POST"
path = "/f/order"
class = "trade"
source = "docs"
product = "linear"
right = "two"
shape = "loose_order"
[[operation]]
method = "POST"
path = "/f/deep/orders"
class = "trade"
source = "docs"
product = "linear"
shape = "batch"
[[operation]]
method = "POST"
path = "/dust"
class = "transfer"
source = "docs"
shape = "dust"
[[operation]]
method = "POST"
path = "/convert"
class = "withdraw"
source = "docs"
shape = "one_asset"
[[operation]]
method = "GET"
path = "/account"
class = "read"
source = "docs"
shape = "none"
[[operation]]
method = "POST"
path = "/listenKey"
class = "logon"
source = "docs"
signed = false
shape = "none"
[[operation]]
method = "PUT"
path = "/items/{id}/done"
class = "account"
source = "docs"
shape = "none"
[[operation]]
method = "WS"
path = "/ws-api/order.place"
class = "trade"
source = "docs"
rpc = true
product = "spot"
shape = "order"
[[operation]]
method = "POST"
path = "/nested"
class = "trade"
source = "docs"
params_in = "body"
body = "json"
product = "spot"
domain = "other"
shape = "nested"
"##;

fn venue() -> Venue {
    let parts = [
        Part { file: "head.toml", text: HEAD },
        Part { file: "operations.toml", text: OPERATIONS },
    ];
    Venue::load("made", &parts).expect("sound")
}

fn query(method: &str, path: &str, query: &str) -> VenueRequest {
    VenueRequest {
        method: method.to_owned(),
        scheme: "https".to_owned(),
        host: "api.example".to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        ..VenueRequest::default()
    }
}

fn body(path: &str, body: &str) -> VenueRequest {
    VenueRequest { body: body.as_bytes().to_vec(), ..query("POST", path, "") }
}

const CHECKED: Standing<'static> = Standing {
    environment: Environment::Live,
    sites: None,
    venue_checks: true,
    rights: None,
    key_type: KeyType::Hmac,
};

fn read(request: &VenueRequest) -> Result<Reading, ReadError> {
    venue().read(request, &CHECKED)
}

fn names(reading: &Reading) -> Vec<&str> {
    reading.closure.iter().map(|member| &*member.operation).collect()
}

const ORDER: &str = "symbol=BTCUSDT&side=BUY&quantity=1";

#[test]
fn parameters_stand_in_the_query_or_in_the_body() {
    let by_query = read(&query("POST", "/order", ORDER)).expect("an order");
    let by_body = read(&body("/order", ORDER)).expect("an order");

    assert_eq!(by_query, by_body);
    assert_eq!(names(&by_query), ["POST /f/order", "POST /order"]);
    let both = VenueRequest { query: "side=BUY".to_owned(), ..body("/order", ORDER) };
    assert_eq!(read(&both), Err(ReadError::BodyNotAllowed));
}

#[test]
fn an_operation_says_its_product() {
    let reading = read(&query("POST", "/order", ORDER)).expect("an order");

    assert_eq!(reading.stated.products, Some(vec![Product::Spot]));
    assert_eq!(reading.closure[0].products, Some(vec![Product::Linear]));
    assert_eq!(reading.closure[0].legs[0].product, Some(Product::Linear));
}

#[test]
fn symbols_fit_the_patterns_of_the_product() {
    let order = |symbol: &str| format!("symbol={symbol}&side=BUY&quantity=1");
    assert!(read(&query("POST", "/order", &order("BTC_251226"))).is_ok());
    for symbol in ["BTCUSD", "USDT", "BTC_PERP", "BTC-USDT", "BTC_2512260"] {
        assert_eq!(
            read(&query("POST", "/order", &order(symbol))),
            Err(ReadError::ParameterValue("symbol".to_owned())),
            "{symbol}"
        );
    }
    let elsewhere = VenueRequest {
        host: "f.example".to_owned(),
        ..query("POST", "/f/order", &order("BTC_PERP"))
    };
    assert_eq!(names(&read(&elsewhere).expect("loose")), ["POST /f/order"]);
}

/// Whoever looks for a symbol of each operation's own in 32 KiB looks for long; what is not looked at could
/// be one.
#[test]
fn what_is_longer_than_any_list_of_symbols_could_be_a_symbol_of_any_kind() {
    let unread = r#"format = 1
venue = "made"
[[operation]]
method = "POST"
path = "/unread"
class = "account"
source = "docs"
"#;
    let parts = [("head.toml", HEAD), ("operations.toml", OPERATIONS), ("unread.toml", unread)];
    let venue = Venue::load("made", &parts.map(|(file, text)| Part { file, text })).expect("sound");
    for (bytes, in_closure) in [(8, false), (1_024, false), (1_025, true), (8_000, true)] {
        let text = format!("symbol={}&side=BUY&quantity=1", "-".repeat(bytes));
        let reading = venue.read(&query("POST", "/unread", &text), &CHECKED).expect("unread");
        assert!(names(&reading).contains(&"POST /f/order"), "{bytes}: of any symbol");
        assert_eq!(names(&reading).contains(&"POST /order"), in_closure, "{bytes}");
    }
}

#[test]
fn paths_live_on_the_hosts_of_their_longest_route() {
    for (path, host, known) in [
        ("/order", "api.example", true),
        ("/order", "api2.example", true),
        ("/order", "f.example", false),
        ("/f/order", "f.example", true),
        ("/f/order", "api.example", false),
        ("/f/order", "deep.example", false),
    ] {
        let request = VenueRequest { host: host.to_owned(), ..query("POST", path, ORDER) };
        let read = read(&request);
        assert_eq!(read.is_ok(), known, "{path} {host}");
        assert!(known || read == Err(ReadError::HostUnknown));
    }
}

#[test]
fn the_window_can_only_be_narrowed() {
    for (window, fits) in [("1", true), ("5000", true), ("5001", false), ("0", false), ("", false)]
    {
        let text = format!("{ORDER}&recvWindow={window}");
        let read = read(&query("POST", "/order", &text));
        assert_eq!(read.is_ok(), fits, "{window}");
    }
    for window in ["05", "1e3", "-1", "5000.0", "99999999999999999999999"] {
        let text = format!("{ORDER}&recvWindow={window}");
        assert_eq!(
            read(&query("POST", "/order", &text)),
            Err(ReadError::ParameterValue("recvWindow".to_owned())),
            "{window}"
        );
    }
    // It is known to every operation, so it takes none out of a closure.
    let with = read(&query("POST", "/order", &format!("{ORDER}&recvWindow=5000")));
    assert_eq!(with.expect("an order").closure.len(), 2);
}

#[test]
fn lists_in_forms_are_json_text() {
    let list = r#"orders=[{"symbol":"BTCUSDT","side":"BUY","quantity":"1"}]"#;
    let encoded = "orders=%5B%7B%22symbol%22%3A%22BTCUSDT%22%2C%22side%22%3A%22SELL%22%2C%22total%22%3A%222%22%7D%5D";
    let at = |request: VenueRequest| VenueRequest { host: "deep.example".to_owned(), ..request };

    let plain = read(&at(body("/f/deep/orders", list))).expect("a batch");
    assert_eq!(plain.stated.legs.len(), 1);
    assert_eq!(plain.stated.symbols, Symbols::Named(vec!["BTCUSDT".to_owned()]));
    assert!(read(&at(query("POST", "/f/deep/orders", list))).is_err(), "unescaped in a query");
    let reading = read(&at(query("POST", "/f/deep/orders", encoded))).expect("a batch");
    assert_eq!(reading.stated.legs[0].quote_quantity.as_deref(), Some("2"));
    for broken in ["orders=[]", "orders=[{", "orders=1", r#"orders={"symbol":"BTCUSDT"}"#] {
        assert!(read(&at(body("/f/deep/orders", broken))).is_err(), "{broken}");
    }
}

#[test]
fn what_no_rule_can_judge_is_refused_and_still_known() {
    let request = query("POST", "/order", &format!("{ORDER}&closeAll=true"));
    assert_eq!(read(&request), Err(ReadError::ParameterRefused("closeAll".to_owned())));
    let both = query("POST", "/order", "symbol=BTCUSDT&side=BUY&quantity=1&total=1");
    assert!(matches!(read(&both), Err(ReadError::ParameterValue(_))));
    let neither = query("POST", "/order", "symbol=BTCUSDT&side=BUY");
    assert!(matches!(read(&neither), Err(ReadError::ParameterMissing(_))));
}

#[test]
fn repeated_names_are_for_who_takes_lists() {
    let dust = read(&query("POST", "/dust", "asset=A&asset=B")).expect("a list");
    // Whoever takes one asset may read the first or the last of two.
    assert_eq!(names(&dust), ["POST /convert", "POST /dust"]);
    let one = read(&query("POST", "/convert", "asset=A")).expect("one");
    assert_eq!(names(&one), ["POST /convert", "POST /dust"]);
    assert_eq!(
        read(&query("POST", "/convert", "asset=A&asset=B")),
        Err(ReadError::ParameterDuplicate)
    );
}

#[test]
fn what_takes_no_signature_is_in_no_closure() {
    let reading = read(&query("GET", "/account", "")).expect("a read");
    assert_eq!(names(&reading), ["GET /account", "PUT /items/{id}/done"]);
    let listen = read(&query("POST", "/listenKey", "")).expect("a log-on");
    assert_eq!(names(&listen), ["POST /listenKey"]);
    let venue = venue();
    assert!(venue.catalog.operation("POST", "/listenKey").expect("there").is_disclosed());
    assert!(!venue.catalog.operation("GET", "/account").expect("there").is_disclosed());
}

#[test]
fn templates_take_one_segment() {
    let request = query("PUT", "/items/a-1/done", "");
    let reading = read(&request).expect("an instance");
    assert_eq!(&*reading.stated.operation, "PUT /items/{id}/done");
    for path in ["/items/a/b/done", "/items/{id}/done", "/items/a.b/done", "/items/done"] {
        assert!(read(&query("PUT", path, "")).is_err(), "{path}");
    }
}

/// A signature over more binds more: with the other type of key the closure is the request itself.
#[test]
fn a_type_of_key_can_bind_other_parts() {
    let legacy = Standing { key_type: KeyType::LegacyHmac, ..CHECKED };
    let reading = venue().read(&query("POST", "/order", ORDER), &legacy).expect("an order");

    assert_eq!(names(&reading), ["POST /order"]);
    // Neither query nor body are bound, so it may be any order of its product.
    assert_eq!(reading.closure[0].symbols, Symbols::Every);
    assert_eq!(reading.closure[0].products, Some(vec![Product::Spot]));
    assert_eq!(venue().usable_ms(KeyType::LegacyHmac), Some(7));
    assert_eq!(venue().usable_ms(KeyType::Hmac), None);
}

#[test]
fn one_of_several_rights_is_enough() {
    let held = |words: &[&str]| {
        let rights: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        let standing = Standing { rights: Some(&rights), ..CHECKED };
        venue().read(&query("POST", "/order", ORDER), &standing).map(|r| names(&r).len())
    };
    assert_eq!(held(&["one"]), Ok(1));
    assert_eq!(held(&["two"]), Ok(2));
    assert_eq!(held(&[]), Err(ReadError::RightNotHeld));
}

#[test]
fn a_request_over_a_socket_carries_its_key_in_the_text() {
    let parameters = r#"{"symbol":"BTCUSDT","side":"BUY","quantity":1,"recvWindow":100}"#;
    let rpc = VenueRequest {
        method: "WS".to_owned(),
        scheme: "wss".to_owned(),
        host: "ws.example".to_owned(),
        ..body("/ws-api/order.place", parameters)
    };
    let reading = read(&rpc).expect("an order");
    assert_eq!(names(&reading), ["WS /ws-api/order.place"]);
    assert_eq!(reading.stated.legs[0].quantity.as_deref(), Some("1"));

    // A venue that ignores what it does not know takes the text over REST too.
    let cautious = Standing { venue_checks: false, ..CHECKED };
    let reading = venue().read(&rpc, &cautious).expect("an order");
    assert!(names(&reading).contains(&"POST /f/order"), "{:?}", names(&reading));
    // What is signed for REST has no key in it.
    let rest = venue().read(&query("POST", "/order", ORDER), &cautious).expect("an order");
    assert!(!names(&rest).contains(&"WS /ws-api/order.place"), "{:?}", names(&rest));

    let broken = [r#"{"symbol":["BTCUSDT"],"side":"BUY","quantity":1}"#, "[]", "symbol=BTCUSDT"];
    for text in broken {
        assert!(read(&VenueRequest { body: text.into(), ..rpc.clone() }).is_err(), "{text}");
    }
    let https = VenueRequest { scheme: "https".to_owned(), ..rpc };
    assert_eq!(read(&https), Err(ReadError::SchemeNotAllowed));
}

#[test]
fn words_of_the_venue_become_the_vaults() {
    let reading = read(&query("POST", "/order", &format!("{ORDER}&tif=PostOnly"))).expect("read");
    assert_eq!(reading.stated.legs[0].tif, Some(TimeInForce::Gtc));
    assert_eq!(reading.stated.legs[0].post_only, Some(true));
    let unknown = read(&query("POST", "/order", &format!("{ORDER}&tif=SOON")));
    assert_eq!(unknown, Err(ReadError::OrderTypeUnknown));
}

#[test]
fn objects_inside_an_order_are_part_of_it() {
    let nested = r#"{"symbol":"BTCUSDT","side":"BUY","setting":{"limit_gtc":{"quantity":"1","price":"2","post_only":true}}}"#;
    let reading = read(&body("/nested", nested)).expect("an order");

    let [leg] = reading.stated.legs.as_slice() else { panic!("{:?}", reading.stated.legs) };
    assert_eq!(leg.order_type, Some(OrderType::LimitMaker));
    assert_eq!(leg.tif, Some(TimeInForce::Gtc));
    assert_eq!(leg.quantity.as_deref(), Some("1"));
    assert_eq!(leg.price.as_deref(), Some("2"));
    assert_eq!(leg.symbol.as_deref(), Some("BTCUSDT"));
    assert_eq!(reading.stated.class, Class::Trade);

    let both = r#"{"symbol":"BTCUSDT","side":"BUY","setting":{"limit_gtc":{"quantity":"1"},"market_ioc":{"quantity":"1"}}}"#;
    assert!(read(&body("/nested", both)).is_err());
    let none = r#"{"symbol":"BTCUSDT","side":"BUY","setting":{}}"#;
    assert!(read(&body("/nested", none)).is_err());
}

#[test]
fn a_part_cannot_change_another() {
    let load = |addition: &str| {
        let parts = [
            Part { file: "head.toml", text: HEAD },
            Part { file: "operations.toml", text: OPERATIONS },
            Part { file: "own.toml", text: addition },
        ];
        Venue::load("made", &parts).map(|venue| venue.catalog.operations.len())
    };
    let own = "format = 1\nvenue = \"made\"\n[sources]\nours = \"our own\"\n";
    let operation = |method: &str| {
        format!(
            "{own}[[operation]]\nmethod = \"{method}\"\npath = \"/dust\"\nclass = \"read\"\nsource = \"ours\"\n"
        )
    };
    let base = venue().catalog.operations.len();
    assert_eq!(load(&operation("GET")), Ok(base + 1));
    let error = |text: &str| load(text).expect_err("refused").to_string();
    let twice = error(&operation("POST"));
    assert_eq!(twice, "own.toml:5:1: POST /dust: stated twice");
    let shadow = operation("PUT").replace("/dust", "/items/a/done");
    let shadow = error(&shadow);
    assert!(shadow.starts_with("own.toml:5:1: ") && shadow.contains("same path"), "{shadow}");
    assert!(error(&format!("{own}[shape.order]\nsource = \"ours\"\n")).contains("stated twice"));
    assert!(
        error(&format!("{own}[rights]\nnames = []\nsource = \"ours\"\n")).contains("signature")
    );
    assert!(error(&own.replace("ours", "docs")).contains("another one elsewhere"));
    assert!(error(&HEAD.replace("[shape.base]", "[shape.base2]")).contains("already"));
    assert!(error("format = 1\nvenue = \"okx\"\n").contains("is of okx"));
}
