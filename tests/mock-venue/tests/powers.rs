//! What keys may do, as venues tell it, and the cancelling of all that is open.

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac};
use serde_json::{Value, json};
use vault_mock_venue::{Account, KeyPowers, Venue};

use common::{API_KEY, Bench, Call, FORM, JSON, NOW_MS, SECRET, account, hmac_hex};

const KRAKEN_SECRET: &str = "a3Jha2VuLXNlY3JldA==";
const ISO: &str = "2024-04-09T19:34:35.449Z";

fn bench() -> Bench {
    Bench::start(vec![
        account(Venue::Binance, API_KEY, SECRET),
        account(Venue::Bybit, API_KEY, SECRET),
        account(Venue::Kraken, API_KEY, KRAKEN_SECRET),
        Account { passphrase: Some("words".to_owned()), ..account(Venue::Okx, API_KEY, SECRET) },
    ])
}

fn binance(method: &str, path: &str, query: &str) -> Call {
    let and = if query.is_empty() { "" } else { "&" };
    let text = format!("{query}{and}timestamp={NOW_MS}");
    let target = format!("{path}?{text}&signature={}", hmac_hex(SECRET, &text));
    Call::new(method, &target, "").header("X-MBX-APIKEY", API_KEY)
}

fn bybit(method: &str, path: &str, parameters: &str) -> Call {
    let sign = hmac_hex(SECRET, &format!("{NOW_MS}{API_KEY}5000{parameters}"));
    let call = match method {
        "GET" => Call::new("GET", &format!("{path}?{parameters}"), ""),
        _ => Call::new(method, path, parameters),
    };
    let target = call.target.trim_end_matches('?').to_owned();
    Call { target, ..call }
        .header("X-BAPI-API-KEY", API_KEY)
        .header("X-BAPI-SIGN", &sign)
        .header("X-BAPI-TIMESTAMP", &NOW_MS.to_string())
        .header("Content-Type", JSON)
}

fn kraken(name: &str, nonce: u64, rest: &str) -> Call {
    let (path, body) = (format!("/0/private/{name}"), format!("nonce={nonce}{rest}"));
    let hash = digest::digest(&digest::SHA256, format!("{nonce}{body}").as_bytes());
    let secret = STANDARD.decode(KRAKEN_SECRET).expect("base64");
    let key = hmac::Key::new(hmac::HMAC_SHA512, &secret);
    let tag = hmac::sign(&key, &[path.as_bytes(), hash.as_ref()].concat());
    Call::new("POST", &path, &body)
        .header("API-Key", API_KEY)
        .header("API-Sign", &STANDARD.encode(tag))
        .header("Content-Type", FORM)
}

fn okx(method: &str, target: &str, body: &str) -> Call {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag = hmac::sign(&key, format!("{ISO}{method}{target}{body}").as_bytes());
    let call = Call::new(method, target, body)
        .header("OK-ACCESS-KEY", API_KEY)
        .header("OK-ACCESS-SIGN", &STANDARD.encode(tag))
        .header("OK-ACCESS-TIMESTAMP", ISO)
        .header("OK-ACCESS-PASSPHRASE", "words");
    if body.is_empty() { call } else { call.header("Content-Type", JSON) }
}

#[test]
fn a_key_is_as_it_should_be_until_told_otherwise() {
    let bench = bench();
    let told = bench.accept(&binance("GET", "/sapi/v1/account/apiRestrictions", ""));
    assert_eq!(told["enableWithdrawals"], false);
    assert_eq!(told["enableSpotAndMarginTrading"], true);
    assert_eq!(told["ipRestrict"], true);
    assert_eq!(told.get("tradingAuthorityExpirationTime"), None);

    let told = &bench.accept(&bybit("GET", "/v5/user/query-api", ""))["result"];
    assert_eq!(told["permissions"]["Wallet"], json!([]));
    assert_eq!(told["ips"], json!(["203.0.113.7"]));
    assert_eq!(told["expiredAt"], "1970-01-01T00:00:00Z");
    assert_eq!(told["readOnly"], 0);

    let told = &bench.accept(&kraken("GetApiKeyInfo", 1, ""))["result"];
    assert_eq!((&told["nonceWindow"], &told["validUntil"]), (&json!(0), &json!("0")));

    let told = &bench.accept(&okx("GET", "/api/v5/account/config", ""))["data"][0];
    assert_eq!((&told["perm"], &told["ip"]), (&json!("read_only,trade"), &json!("203.0.113.7")));
}

#[test]
fn a_venue_tells_what_was_set() {
    let bench = bench();
    let set = |venue, right: &str| {
        let powers = KeyPowers {
            addresses: Vec::new(),
            ends_ms: Some(NOW_MS),
            is_read_only: true,
            nonce_window: 7,
            ..KeyPowers::trading(venue).with(right)
        };
        assert!(bench.venues.set_powers(venue, API_KEY, powers));
    };
    set(Venue::Binance, "enableWithdrawals");
    set(Venue::Bybit, "Withdraw");
    set(Venue::Kraken, "withdraw-funds");
    set(Venue::Okx, "withdraw");

    let told = bench.accept(&binance("GET", "/sapi/v1/account/apiRestrictions", ""));
    assert_eq!(told["enableWithdrawals"], true);
    assert_eq!(told["ipRestrict"], false);
    assert_eq!(told["tradingAuthorityExpirationTime"], NOW_MS);
    let told = &bench.accept(&bybit("GET", "/v5/user/query-api", ""))["result"];
    assert_eq!(told["permissions"]["Wallet"], json!(["Withdraw"]));
    assert_eq!(told["ips"], json!(["*"]));
    assert_eq!(told["expiredAt"], "2024-04-09T19:34:35Z");
    assert_eq!(told["readOnly"], 1);
    let told = &bench.accept(&kraken("GetApiKeyInfo", 1, ""))["result"];
    assert_eq!(told["ipAllowlist"], json!([]));
    assert_eq!((&told["nonceWindow"], &told["validUntil"]), (&json!(7), &json!("1712691275")));
    let told = &bench.accept(&okx("GET", "/api/v5/account/config", ""))["data"][0];
    assert_eq!((&told["perm"], &told["ip"]), (&json!("read_only,trade,withdraw"), &json!("")));

    let nobody = bench.venues.set_powers(Venue::Okx, "x", KeyPowers::trading(Venue::Okx));
    assert!(!nobody);
}

#[test]
fn binance_cancels_margin_orders_by_kind_and_symbol() {
    let bench = bench();
    let order = |symbol: &str, isolated: &str| {
        let query = format!(
            "symbol={symbol}&side=BUY&type=LIMIT&quantity=1&price=10&timeInForce=GTC{isolated}"
        );
        bench.accept(&binance("POST", "/sapi/v1/margin/order", &query));
    };
    order("BTCUSDT", "");
    order("ETHUSDT", "");
    order("BTCUSDT", "&isIsolated=TRUE");
    let open = |query: &str| {
        let list = bench.accept(&binance("GET", "/sapi/v1/margin/openOrders", query));
        list.as_array().map_or(0, Vec::len)
    };
    assert_eq!(
        (open(""), open("symbol=BTCUSDT"), open("symbol=BTCUSDT&isIsolated=TRUE")),
        (2, 1, 1)
    );

    let cancel = |query| binance("DELETE", "/sapi/v1/margin/openOrders", query);
    bench.accept(&cancel("symbol=BTCUSDT"));
    assert_eq!((open(""), open("symbol=BTCUSDT&isIsolated=TRUE")), (1, 1));
    bench.accept(&cancel("symbol=BTCUSDT&isIsolated=TRUE"));
    assert_eq!(bench.refusal(&cancel("symbol=BTCUSDT")), "-2011");
    assert_eq!(bench.venues.open_orders(Venue::Binance, API_KEY), 1);
}

#[test]
fn bybit_cancels_a_coin_or_a_kind_at_a_time() {
    let bench = bench();
    let order = |category: &str, symbol: &str| {
        let body = json!({
            "category": category, "symbol": symbol, "side": "Buy", "orderType": "Limit",
            "qty": "0.1", "price": "10",
        });
        bench.accept(&bybit("POST", "/v5/order/create", &body.to_string()));
    };
    order("spot", "BTCUSDT");
    order("linear", "BTCUSDT");
    order("linear", "BTCPERP");
    let open = |query: &str| -> usize {
        let answer = bench.accept(&bybit("GET", "/v5/order/realtime", query));
        answer["result"]["list"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(open("category=spot&orderFilter=Order&limit=50"), 1);
    assert_eq!(open("category=spot&orderFilter=tpslOrder&limit=50"), 0);
    assert_eq!(open("category=linear&settleCoin=USDC&limit=50"), 1);
    let cancel = |body: Value| bybit("POST", "/v5/order/cancel-all", &body.to_string());
    assert_eq!(bench.refusal(&cancel(json!({ "category": "linear" }))), "10001");
    bench.accept(&cancel(json!({ "category": "linear", "settleCoin": "USDT" })));
    assert_eq!(open("category=linear&settleCoin=USDT&limit=50"), 0);
    bench.accept(&cancel(json!({ "category": "spot", "orderFilter": "tpslOrder" })));
    assert_eq!(bench.venues.open_orders(Venue::Bybit, API_KEY), 2);
    bench.accept(&cancel(json!({ "category": "spot" })));
    assert_eq!(bench.venues.open_orders(Venue::Bybit, API_KEY), 1);
}

#[test]
fn okx_shows_a_hundred_and_has_no_algo_orders() {
    let bench = bench();
    for _ in 0..6 {
        let order = json!({ "instId": "BTC-USDT", "tdMode": "cash", "side": "buy", "ordType": "limit", "sz": "0.1", "px": "1" });
        let body = Value::Array(vec![order; 20]).to_string();
        bench.accept(&okx("POST", "/api/v5/trade/batch-orders", &body));
    }
    let answer = bench.accept(&okx("GET", "/api/v5/trade/orders-pending?limit=100", ""));
    let ids: Vec<Value> = answer["data"].as_array().expect("a list").clone();
    assert_eq!(ids.len(), 100);
    let batch: Vec<Value> = ids[..20]
        .iter()
        .map(|order| json!({ "instId": order["instId"], "ordId": order["ordId"] }))
        .collect();
    let body = Value::Array(batch).to_string();
    bench.accept(&okx("POST", "/api/v5/trade/cancel-batch-orders", &body));
    assert_eq!(bench.venues.open_orders(Venue::Okx, API_KEY), 100);
    let algo = "/api/v5/trade/orders-algo-pending?ordType=trigger&limit=100";
    assert_eq!(bench.accept(&okx("GET", algo, ""))["data"], json!([]));
}
