//! WebSockets of all four venues: log-ons are checked, orders heard and told of, and things go wrong
//! on demand.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use ring::hmac;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message};
use vault_mock_venue::{Account, Fault, StreamFault, Venue};

use common::{API_KEY, Bench, Call, FORM, JSON, NOW_MS, SECRET, account, hmac_hex};

const PASSPHRASE: &str = "a-passphrase";

fn bench() -> Bench {
    let kraken = STANDARD.encode(SECRET);
    Bench::start(vec![
        account(Venue::Binance, API_KEY, SECRET),
        account(Venue::Bybit, API_KEY, SECRET),
        account(Venue::Kraken, API_KEY, &kraken),
        Account { passphrase: Some(PASSPHRASE.to_owned()), ..account(Venue::Okx, API_KEY, SECRET) },
    ])
}

/// A client of one WebSocket.
struct Client {
    runtime: Runtime,
    socket: WebSocketStream<TcpStream>,
}

impl Client {
    fn open(address: SocketAddr, target: &str) -> Result<Self, u16> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let url = format!("ws://mock.example:9443{target}");
        let socket = runtime.block_on(async {
            let stream = TcpStream::connect(address).await.expect("connected");
            tokio_tungstenite::client_async(url, stream).await
        });
        match socket {
            Ok((socket, _)) => Ok(Self { runtime, socket }),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    fn say(&mut self, text: impl ToString) {
        let said = self.socket.send(Message::text(text.to_string()));
        self.runtime.block_on(said).expect("sent");
    }

    fn hear_any(&mut self) -> Option<Result<Message, Error>> {
        let next = async { tokio::time::timeout(Duration::from_secs(5), self.socket.next()).await };
        self.runtime.block_on(next).expect("in time")
    }

    fn hear_text(&mut self) -> String {
        match self.hear_any() {
            Some(Ok(Message::Text(text))) => text.to_string(),
            other => panic!("{other:?} is no text"),
        }
    }

    fn hear(&mut self) -> Value {
        serde_json::from_str(&self.hear_text()).expect("JSON")
    }

    fn ask(&mut self, message: Value) -> Value {
        self.say(message);
        self.hear()
    }
}

fn open(bench: &Bench, target: &str) -> Client {
    Client::open(bench.venues.address(), target).expect("a WebSocket")
}

/// Parameters of Binance's WebSocket API, signed.
fn signed(mut params: Value) -> Value {
    params["apiKey"] = json!(API_KEY);
    params["timestamp"] = json!(NOW_MS);
    let map = params.as_object().expect("an object");
    let mut pairs: Vec<String> = map
        .iter()
        .map(|(name, value)| format!("{name}={}", value.to_string().trim_matches('"')))
        .collect();
    pairs.sort();
    params["signature"] = json!(hmac_hex(SECRET, &pairs.join("&")));
    params
}

fn limit(client_id: &str) -> Value {
    json!({ "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
            "quantity": "0.001", "price": "60000", "newClientOrderId": client_id })
}

#[test]
fn binance_reads_requests_and_tells_of_orders_wherever_they_come_from() {
    let bench = bench();
    let mut client = open(&bench, "/ws-api/v3");
    assert_eq!(client.ask(json!({ "id": 1, "method": "ping" }))["status"], 200);
    let subscribe = |params| json!({ "id": "2", "method": "userDataStream.subscribe.signature", "params": params });
    for (params, code) in [
        (json!({}), -2014),
        (json!({ "apiKey": "unknown" }), -2015),
        (json!({ "apiKey": API_KEY, "timestamp": NOW_MS }), -1102),
        (
            {
                let mut params = signed(json!({}));
                params["timestamp"] = json!(NOW_MS - 1);
                params
            },
            -1022,
        ),
        (signed(json!({ "symbol": "X" })), -1104),
    ] {
        assert_eq!(client.ask(subscribe(params))["error"]["code"], code);
    }
    let said = client.ask(subscribe(signed(json!({}))));
    assert_eq!((&said["id"], &said["result"]["subscriptionId"]), (&json!("2"), &json!(0)));

    // By WebSocket: the answer, then what happened.
    let place = json!({ "id": 3, "method": "order.place", "params": signed(limit("one")) });
    let answer = client.ask(place);
    assert_eq!((&answer["status"], &answer["result"]["status"]), (&json!(200), &json!("NEW")));
    let event = client.hear();
    assert_eq!(
        (&event["event"]["e"], &event["event"]["c"]),
        (&json!("executionReport"), &json!("one"))
    );
    assert_eq!(client.hear()["event"]["e"], "outboundAccountPosition");

    // By REST, to a listener by listen key too.
    let key = Call::new("POST", "/api/v3/userDataStream", "").header("X-MBX-APIKEY", API_KEY);
    let key = bench.accept(&key)["listenKey"].as_str().expect("a key").to_owned();
    assert_eq!(key.len(), 64);
    let mut listener = open(&bench, &format!("/ws/{key}"));
    let text = "symbol=BTCUSDT&orderId=1&timestamp=".to_owned() + &NOW_MS.to_string();
    let text = text.replace("orderId=1", &format!("orderId={}", answer["result"]["orderId"]));
    let cancel = format!("/api/v3/order?{text}&signature={}", hmac_hex(SECRET, &text));
    bench.accept(&Call::new("DELETE", &cancel, "").header("X-MBX-APIKEY", API_KEY));
    assert_eq!(client.hear()["event"]["X"], "CANCELED");
    assert_eq!(listener.hear()["X"], "CANCELED");
    assert_eq!(Client::open(bench.venues.address(), "/ws/unknown").err(), Some(404));

    let heard = bench.venues.heard();
    assert_eq!(heard.len(), 8);
    assert_eq!((heard[7].api_key.as_str(), heard[7].target.as_str()), (API_KEY, "/ws-api/v3"));
    assert!(heard[7].text.contains("order.place") && heard[7].refused.is_empty());
    assert_eq!(heard[1].refused, ["-2014"]);
}

#[test]
fn binance_futures_have_their_own_listen_key() {
    let bench = bench();
    let call = |method, query: &str| {
        Call::new(method, &format!("/fapi/v1/listenKey{query}"), "")
            .header("X-MBX-APIKEY", API_KEY)
            .header("Content-Type", FORM)
    };
    assert_eq!(bench.refusal(&call("PUT", "")), "-1125");
    let key = bench.accept(&call("POST", ""))["listenKey"].clone();
    assert_eq!(bench.accept(&call("POST", ""))["listenKey"], key);
    assert_eq!(bench.accept(&call("PUT", ""))["listenKey"], key);
    let key = key.as_str().expect("a key");
    let mut listener = open(&bench, &format!("/private/ws?listenKey={key}"));
    let mut client = open(&bench, "/ws-fapi/v1");
    let place = json!({ "id": 3, "method": "order.place", "params": signed(limit("two")) });
    assert_eq!(client.ask(place)["status"], 200);
    assert_eq!(listener.hear()["o"]["c"], "two");
    assert_eq!(bench.venues.streams(), 2);
    bench.accept(&call("DELETE", ""));
    let gone = Client::open(bench.venues.address(), &format!("/ws/{key}"));
    assert_eq!(gone.err(), Some(404));
}

#[test]
fn bybit_asks_who_it_is() {
    let bench = bench();
    let mut client = open(&bench, "/v5/private");
    let subscribe = json!({ "op": "subscribe", "args": ["order", "wallet"], "req_id": "7" });
    assert_eq!(client.ask(subscribe.clone())["success"], false);
    let auth = |expires: i64, sign: String| json!({ "op": "auth", "args": [API_KEY, expires.to_string(), sign] });
    let sign = |expires: i64| hmac_hex(SECRET, &format!("GET/realtime{expires}"));
    let late = NOW_MS;
    assert_eq!(client.ask(auth(late, sign(late)))["success"], false);
    let at = NOW_MS + 10_000;
    assert_eq!(client.ask(auth(at, sign(at + 1)))["success"], false);
    assert_eq!(client.ask(auth(at, sign(at)))["success"], true);
    let said = client.ask(subscribe);
    assert_eq!((&said["success"], &said["req_id"]), (&json!(true), &json!("7")));
    assert_eq!(client.ask(json!({ "op": "ping" }))["op"], "pong");

    let mut trade = open(&bench, "/v5/trade");
    let order = json!({ "category": "spot", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit",
                        "qty": "0.001", "price": "60000", "orderLinkId": "three" });
    let create = json!({ "reqId": "9", "header": { "X-BAPI-TIMESTAMP": NOW_MS.to_string() },
                         "op": "order.create", "args": [order] });
    assert_eq!(trade.ask(create.clone())["retCode"], 10404);
    assert_eq!(trade.ask(auth(at, sign(at)))["retCode"], 0);
    let mut old = create.clone();
    old["header"]["X-BAPI-TIMESTAMP"] = json!((NOW_MS - 5_001).to_string());
    assert_eq!(trade.ask(old)["retCode"], 10002);
    let said = trade.ask(create);
    assert_eq!((&said["retCode"], &said["reqId"]), (&json!(0), &json!("9")));
    let event = client.hear();
    assert_eq!(
        (&event["topic"], &event["data"][0]["orderLinkId"]),
        (&json!("order"), &json!("three"))
    );
    assert_eq!(client.hear()["topic"], "wallet");
}

#[test]
fn okx_asks_who_it_is() {
    let bench = bench();
    let mut client = open(&bench, "/ws/v5/private");
    let at = NOW_MS / 1000;
    let login = |at: i64, passphrase: &str, signed_at: i64| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        let tag = hmac::sign(&key, format!("{signed_at}GET/users/self/verify").as_bytes());
        json!({ "op": "login", "args": [{ "apiKey": API_KEY, "passphrase": passphrase,
                "timestamp": at.to_string(), "sign": STANDARD.encode(tag) }] })
    };
    let subscribe = json!({ "op": "subscribe", "args": [
        { "channel": "orders", "instType": "ANY" }, { "channel": "account" }] });
    client.say(&subscribe);
    for _ in 0..2 {
        assert_eq!(client.hear()["code"], "60011");
    }
    for (login, code) in [
        (login(at, "wrong", at), "60024"),
        (login(at - 31, PASSPHRASE, at - 31), "60006"),
        (login(at, PASSPHRASE, at - 1), "60007"),
        (login(at, PASSPHRASE, at), "0"),
    ] {
        assert_eq!(client.ask(login)["code"], code);
    }
    client.say("ping");
    assert_eq!(client.hear_text(), "pong");
    client.say(&subscribe);
    for _ in 0..2 {
        assert_eq!(client.hear()["event"], "subscribe");
    }
    let order = json!({ "instId": "BTC-USDT", "tdMode": "cash", "side": "buy", "ordType": "limit",
                        "px": "60000", "sz": "0.001", "clOrdId": "four" });
    let said = client.ask(json!({ "id": "5", "op": "batch-orders", "args": [order] }));
    assert_eq!(
        (&said["code"], &said["id"], &said["data"][0]["clOrdId"]),
        (&json!("0"), &json!("5"), &json!("four"))
    );
    let event = client.hear();
    assert_eq!(
        (&event["arg"]["channel"], &event["data"][0]["state"]),
        (&json!("orders"), &json!("live"))
    );
    assert_eq!(client.hear()["arg"]["channel"], "account");
    assert_eq!(client.ask(json!({ "op": "nonsense", "args": [] }))["code"], "60012");
}

#[test]
fn kraken_asks_for_a_token() {
    let bench = bench();
    let body = "nonce=1";
    let digest = Sha256::digest(format!("1{body}"));
    let text = [b"/0/private/GetWebSocketsToken".as_slice(), &digest].concat();
    let key = hmac::Key::new(hmac::HMAC_SHA512, SECRET.as_bytes());
    let call = Call::new("POST", "/0/private/GetWebSocketsToken", body)
        .header("API-Key", API_KEY)
        .header("API-Sign", &STANDARD.encode(hmac::sign(&key, &text)))
        .header("Content-Type", FORM);
    let token = bench.accept(&call)["result"]["token"].clone();
    assert_eq!(token.as_str().map(str::len), Some(43));

    let mut client = open(&bench, "/v2");
    assert_eq!(client.hear()["channel"], "status");
    let subscribe = |token: &Value| json!({ "method": "subscribe", "params": { "channel": "executions", "token": token }, "req_id": 1 });
    assert_eq!(client.ask(subscribe(&json!("guessed")))["error"], "ESession:Invalid session");
    let said = client.ask(subscribe(&token));
    assert_eq!((&said["success"], &said["result"]["token"]), (&json!(true), &Value::Null));
    assert_eq!(client.hear()["type"], "snapshot");
    let add = json!({ "method": "add_order", "req_id": 2, "params": { "order_type": "limit",
        "side": "buy", "order_qty": 0.001, "symbol": "BTC/USD", "limit_price": 60000, "token": token } });
    let said = client.ask(add);
    let id = said["result"]["order_id"].clone();
    let event = client.hear();
    assert_eq!(
        (&event["data"][0]["order_id"], &event["data"][0]["symbol"]),
        (&id, &json!("BTC/USD"))
    );
    let cancel = json!({ "method": "cancel_order", "req_id": 3, "params": { "order_id": [id], "token": token } });
    assert_eq!(client.ask(cancel)["success"], true);
    assert_eq!(client.hear()["data"][0]["order_status"], "canceled");
    assert_eq!(client.ask(json!({ "method": "ping", "req_id": 4 }))["method"], "pong");
}

#[test]
fn things_go_wrong_on_demand() {
    let bench = bench();
    let address = bench.venues.address();
    bench.venues.fault(Fault::Status(503));
    assert_eq!(Client::open(address, "/v5/private").err(), Some(503));
    assert_eq!(Client::open(address, "/nowhere").err(), Some(404));

    let mut client = open(&bench, "/v5/private");
    let mut other = open(&bench, "/ws/v5/private");
    bench.venues.disturb("/v5/", StreamFault::Say("hello".to_owned()));
    assert_eq!(client.hear_text(), "hello");
    bench.venues.disturb("/v5/", StreamFault::Long(70_000));
    assert_eq!(client.hear_text().len(), 70_000);
    bench.venues.disturb("/v5/", StreamFault::Close(1012));
    match client.hear_any() {
        Some(Ok(Message::Close(Some(close)))) => assert_eq!(u16::from(close.code), 1012),
        unexpected => panic!("{unexpected:?}"),
    }
    bench.venues.disturb("/ws/v5/", StreamFault::Garbage);
    assert!(matches!(other.hear_any(), Some(Err(Error::Protocol(_)))));
    let mut client = open(&bench, "/v5/private");
    bench.venues.disturb("", StreamFault::Reset);
    assert!(matches!(client.hear_any(), Some(Err(_)) | None));
    let mut client = open(&bench, "/ws/v5/private");
    let begun = std::time::Instant::now();
    bench.venues.disturb("", StreamFault::Stall(Duration::from_secs(1)));
    // By then it stalls.
    std::thread::sleep(Duration::from_millis(300));
    client.say("ping");
    assert_eq!(client.hear_text(), "pong");
    assert!(begun.elapsed() >= Duration::from_secs(1));
    // A plain request is none.
    assert_eq!(
        bench.send(&Call::new("GET", "/ws/v5/private", "").header("Content-Type", JSON)).0,
        404
    );
}
