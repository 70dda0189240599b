//! WebSockets through the proxy: stock ccxt.pro, and a client that writes messages of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use vault_audit::EntryKind;
use vault_client::{post, v1};
use vault_mock_venue::StreamFault;
use vault_tests::{OKX_PASSPHRASE, OKX_SECRET, kraken_post, okx_order, wire};

use crate::bed::{BINANCE_KEY, Bed, TRADER, binance_order, execute, python};
use crate::bots::has_aiohttp;
use crate::memory::{has, memory};

/// Reads what there is at every venue, and has no class `logon`.
const LISTENER: &str = r#"
name = "listener"
credentials = ["binance-main", "bybit-main", "kraken-main", "okx-main"]
classes = ["public", "read"]
modes = ["execute"]
products = ["*"]

[network]
allow = ["127.0.0.0/8"]
"#;

/// What [`TRADER`] may, of every product: a log-on tells of all that an account has.
fn trader() -> String {
    TRADER.replace(r#"["spot", "linear"]"#, r#"["*"]"#)
}

const OKX_PRIVATE: &str = "wss://ws.okx.com:8443/ws/v5/private";
const LOGON: &str = r#"{"op":"login","args":[{"apiKey":"countersign:okx-main","passphrase":"-","timestamp":"1","sign":"-"}]}"#;
const SUBSCRIBE: &str = r#"{"op":"subscribe","args":[{"channel":"orders","instType":"ANY"}]}"#;

/// The longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A bot's end of a WebSocket.
struct Socket(WebSocketStream<TlsStream<TcpStream>>);

impl Socket {
    /// Opens one to a venue; status and reason if the vault says no.
    async fn open(bed: &Bed, bot: &str, url: &str) -> Result<Self, (u16, String)> {
        let identity = bed.vault.identity(bot);
        let mut tls = wire::tls(&identity, Some(&identity));
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let stream = wire::stream(tls, bed.bots(), None).await.expect("connected");
        let request = format!("wss://{}/{url}", bed.bots()).into_client_request();
        let opened = tokio_tungstenite::client_async(request.expect("a URL"), stream);
        match tokio::time::timeout(PATIENCE, opened).await.expect("in time") {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(Error::Http(answer)) => {
                let body: Value = answer
                    .body()
                    .as_deref()
                    .and_then(|body| serde_json::from_slice(body).ok())
                    .unwrap_or_default();
                let reason = body["countersign"]["reason"].as_str().unwrap_or_default();
                Err((answer.status().as_u16(), reason.to_owned()))
            }
            Err(error) => panic!("{error}"),
        }
    }

    async fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.expect("sent");
    }

    /// The next text; the code and the reason of a close.
    async fn next(&mut self) -> Result<Value, (u16, String)> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.0.next()).await.expect("in time");
            match message {
                Some(Ok(Message::Text(text))) => {
                    let plain = Value::String(text.to_string());
                    return Ok(serde_json::from_str(&text).unwrap_or(plain));
                }
                Some(Ok(Message::Close(Some(frame)))) => {
                    return Err((frame.code.into(), frame.reason.to_string()));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The next text that is one.
    async fn text(&mut self) -> Value {
        self.next().await.expect("a text")
    }

    async fn ask(&mut self, text: &str) -> Value {
        self.say(text).await;
        self.text().await
    }

    /// The reason for which a message is refused.
    async fn refused(&mut self, text: &str) -> (String, Value) {
        let answer = self.ask(text).await;
        for name in ["code", "error", "msg", "event"] {
            assert!(answer.get(name).is_none(), "{name} misleads a library: {answer}");
        }
        let reason = answer["countersign"]["reason"].as_str();
        (reason.unwrap_or_else(|| panic!("{answer}")).to_owned(), answer)
    }

    /// Opens OKX's private one and logs on.
    async fn okx(bed: &Bed, bot: &str) -> Self {
        let mut socket = Self::open(bed, bot, OKX_PRIVATE).await.expect("opened");
        assert_eq!(socket.ask(LOGON).await["event"], "login");
        socket
    }
}

fn order(id: &str, symbol: &str, size: &str) -> String {
    let body = vault_tests::okx_order_body(symbol, size);
    format!(r#"{{"id":"{id}","op":"order","args":[{body}]}}"#)
}

async fn script(
    bed: &Bed,
    python: &Path,
    venue: &str,
    bot: &str,
    steps: &str,
) -> BTreeMap<String, Value> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proxy/ccxt_pro_steps.py");
    let credential = format!("{}-main", venue.strip_suffix("usdm").unwrap_or(venue));
    let [certificate, key, ca] = bed.identity_files(bot);
    let output = tokio::process::Command::new(python)
        .arg(script)
        .args(["--venue", venue, "--credential", &credential, "--steps", steps])
        .args(["--vault", &bed.bots().to_string()])
        .arg("--cert")
        .arg(certificate)
        .arg("--key")
        .arg(key)
        .arg("--ca")
        .arg(ca)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("python runs");
    assert!(output.status.success(), "{venue}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines()
        .map(|line| {
            let report: Value = serde_json::from_str(line).expect("JSON");
            (report["step"].as_str().expect("a step").to_owned(), report)
        })
        .collect()
}

/// An order of somebody else on the account, of which a listener is told.
async fn place(bed: &Bed, venue: &str) {
    let request = match venue {
        "binance" => binance_order("BTCUSDT", "0.001"),
        "binanceusdm" => {
            let mut request = binance_order("BTCUSDT", "0.001");
            request.host = "fapi.binance.com".to_owned();
            request.path = "/fapi/v1/order".to_owned();
            request
        }
        "bybit" => {
            let body = r#"{"category":"spot","symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"0.001","price":"50000"}"#;
            post("https://api.bybit.com/v5/order/create", body).expect("a URL")
        }
        "kraken" => {
            let body = "ordertype=limit&type=buy&volume=0.001&pair=XBTUSD&price=50000";
            kraken_post("AddOrder", body)
        }
        _ => okx_order("BTC-USDT", "0.001"),
    };
    let credential = format!("{}-main", venue.strip_suffix("usdm").unwrap_or(venue));
    let bot = bed.vault.connect_bot("bot").await;
    bot.execute(execute(&credential, request)).await.expect("placed");
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_ccxt_pro_listens_without_a_log_on_of_its_own() {
    let Some(python) = python().filter(|python| has_aiohttp(python)) else { return };
    let bed = Bed::start(&trader()).await;
    bed.vault.bot_identity("listener", LISTENER, &[]).await;
    let mut failed = Vec::new();
    for venue in ["binance", "binanceusdm", "bybit", "okx", "kraken"] {
        // An order that rests changes no balance of futures.
        let steps = match venue {
            "binanceusdm" => "load_markets,watch_orders",
            _ => "load_markets,watch_orders,watch_balance",
        };
        let run = script(&bed, &python, venue, "listener", steps);
        tokio::pin!(run);
        let said = loop {
            tokio::select! {
                said = &mut run => break said,
                () = tokio::time::sleep(Duration::from_millis(700)) => place(&bed, venue).await,
            }
        };
        assert_eq!(said.len(), steps.split(',').count(), "{venue}: {said:?}");
        let bad = said.into_iter().filter(|(_, report)| report["ok"] != true);
        failed.extend(bad.map(|(step, report)| format!("{venue} {step}: {report}")));
    }
    assert!(failed.is_empty(), "{} steps:\n{}", failed.len(), failed.join("\n"));
    // What the venues heard has no placeholder in it, and no handle: both stand for what they know.
    for heard in bed.mocks.heard() {
        assert!(!format!("{heard:?}").contains("countersign"), "{heard:?}");
        assert!(heard.refused.is_empty(), "{heard:?}");
    }
    bed.vault.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_ccxt_pro_orders_over_websockets() {
    let Some(python) = python().filter(|python| has_aiohttp(python)) else { return };
    let bed = Bed::start(&trader()).await;
    let mut failed = Vec::new();
    // At OKX ccxt writes a number in place of the market's name, which the vault does not take.
    for venue in ["binance", "bybit"] {
        let said = script(&bed, &python, venue, "bot", "load_markets,create_order_ws").await;
        assert_eq!(said.len(), 2, "{venue}: {said:?}");
        let bad = said.into_iter().filter(|(_, report)| report["ok"] != true);
        failed.extend(bad.map(|(step, report)| format!("{venue} {step}: {report}")));
    }
    assert!(failed.is_empty(), "{} steps:\n{}", failed.len(), failed.join("\n"));
    let intents = bed.entries(EntryKind::ExecuteIntent);
    let orders = intents.iter().filter(|entry| entry.legs.len() == 1).count();
    assert_eq!(orders, 2, "each has its entry");
    bed.vault.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_on_a_socket_follow_the_rules_of_orders() {
    let bed = Bed::start(&trader()).await;
    let mut socket = Socket::open(&bed, "bot", OKX_PRIVATE).await.expect("opened");
    assert_eq!(socket.ask("ping").await, json!("pong"));
    let (reason, _) = socket.refused(&order("1", "BTC-USDT", "0.1")).await;
    assert_eq!(reason, "STREAM_NOT_LOGGED_ON");
    assert_eq!(socket.ask(LOGON).await["event"], "login");

    let answer = socket.ask(&order("7", "BTC-USDT", "0.1")).await;
    assert_eq!((&answer["id"], &answer["code"]), (&json!("7"), &json!("0")), "{answer}");
    for (text, reason) in [
        (order("8", "ETH-USDT", "0.1"), "SYMBOL_NOT_GRANTED"),
        (order("8", "BTC-USDT", "11"), "QUANTITY_TOO_LARGE"),
        (order("8", "BTC-USDT", "0.1").replace(r#""sz""#, r#""x":"1","sz""#), "PARAMETER_UNKNOWN"),
        (order("8", "BTC-USDT", "0.1").replace("\"order\"", "\"withdraw\""), "OPERATION_UNKNOWN"),
        (LOGON.replace("countersign:okx-main", "a-real-key"), "KEY_NOT_PLACEHOLDER"),
    ] {
        let (said, answer) = socket.refused(&text).await;
        assert_eq!(said, reason, "{text}");
        if text.contains("\"8\"") {
            assert_eq!(answer["id"], "8", "{answer}");
        }
        let entry = answer["countersign"]["entry"].as_u64().expect("in the log");
        let entries = bed.logged(EntryKind::ExecuteDenied, 1).await;
        let entry = entries.iter().find(|one| one.idx == entry).expect("on disk");
        assert_eq!(entry.reason.as_deref(), Some(reason));
    }

    // What arrived is what was allowed, and nothing else.
    let heard = bed.mocks.heard();
    let orders: Vec<_> = heard.iter().filter(|heard| heard.text.contains("\"order\"")).collect();
    assert_eq!(orders.len(), 1, "{orders:?}");
    assert!(orders[0].text.contains(r#""instId":"BTC-USDT""#) && orders[0].refused.is_empty());
    let intents = bed.entries(EntryKind::ExecuteIntent);
    let outcomes = bed.logged(EntryKind::ExecuteOutcome, 2).await;
    assert_eq!((intents.len(), outcomes.len()), (2, 2), "a log-on and an order");
    for (intent, outcome) in intents.iter().zip(&outcomes) {
        assert_eq!(outcome.detail["intent"], intent.idx.to_string());
        assert_eq!(outcome.detail["sent"], "yes");
    }
    bed.vault.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_catalogues_sockets_are_opened_and_for_bots_alone() {
    let bed = Bed::start(&trader()).await;
    bed.vault.pricer("pricer").await;
    for (url, reason) in [
        ("wss://ws.okx.example/ws/v5/private", "HOST_UNKNOWN"),
        ("wss://ws.okx.com:9999/ws/v5/private", "HOST_UNKNOWN"),
        ("wss://www.okx.com/ws/v5/private", "HOST_UNKNOWN"),
        ("wss://ws.okx.com/ws/v5/secret", "OPERATION_UNKNOWN"),
        (
            "wss://fstream.binance.com/ws/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "HANDLE_UNKNOWN",
        ),
    ] {
        let refused = Socket::open(&bed, "bot", url).await.err();
        assert_eq!(refused, Some((422, reason.to_owned())), "{url}");
    }
    let refused = Socket::open(&bed, "pricer", OKX_PRIVATE).await.err();
    assert_eq!(refused.map(|(_, reason)| reason).as_deref(), Some("ROLE"));
    assert_eq!(bed.mocks.streams(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn halt_scope_credential_and_revoke_cut_what_stands() {
    let bed = Bed::start(&trader()).await;
    let halt = |level: v1::HaltLevel| v1::HaltCommand {
        target: "venue:okx".to_owned(),
        level: level.into(),
        reason: "test".to_owned(),
    };
    let resume = v1::ResumeCommand { target: "venue:okx".to_owned(), ..Default::default() };

    let mut socket = Socket::okx(&bed, "bot").await;
    let mut other = Socket::open(&bed, "bot", "wss://ws.kraken.com/v2").await.expect("opened");
    let command = halt(v1::HaltLevel::NoNewRisk);
    let _: v1::HaltResponse = bed.vault.command("vault.v1.HaltService/Halt", &command).await;
    assert_eq!(socket.next().await, Err((1008, "HALT_NO_NEW_RISK".to_owned())));
    gone(&bed, 1).await;
    // It may come back to read; what it reads is judged, and an order too.
    let mut socket = Socket::okx(&bed, "bot").await;
    assert_eq!(socket.ask(SUBSCRIBE).await["event"], "subscribe");
    let (reason, _) = socket.refused(&order("1", "BTC-USDT", "0.1")).await;
    assert_eq!(reason, "HALT_NO_NEW_RISK");
    let command = halt(v1::HaltLevel::Nothing);
    let _: v1::HaltResponse = bed.vault.command("vault.v1.HaltService/Halt", &command).await;
    assert_eq!(socket.next().await, Err((1008, "HALT_NOTHING".to_owned())));
    let refused = Socket::open(&bed, "bot", OKX_PRIVATE).await.err();
    assert_eq!(refused, Some((422, "HALT_NOTHING".to_owned())));
    let _: v1::ResumeResponse = bed.vault.command("vault.v1.HaltService/Resume", &resume).await;

    let mut socket = Socket::okx(&bed, "bot").await;
    bed.vault.put_scope(&trader().replace(r#""read", "#, "")).await;
    assert_eq!(socket.next().await, Err((1008, "CLASS_NOT_GRANTED".to_owned())));
    bed.vault.put_scope(&trader()).await;

    let mut socket = Socket::okx(&bed, "bot").await;
    let disable = v1::DisableCredentialCommand { name: "okx-main".to_owned() };
    let _: v1::DisableCredentialResponse =
        bed.vault.command("vault.v1.CredentialService/Disable", &disable).await;
    let (code, _) = socket.next().await.expect_err("cut");
    assert_eq!(code, 1008);
    gone(&bed, 1).await;

    // Whatever was touched by none of it is still there.
    other.say(r#"{"method":"ping","req_id":5}"#).await;
    // The venue has greeted it before.
    while other.text().await["method"] != "pong" {}
    let revoke = v1::RevokeClientCommand { name: "bot".to_owned(), reason: "test".to_owned() };
    let _: v1::RevokeClientResponse =
        bed.vault.command("vault.v1.ClientService/Revoke", &revoke).await;
    gone(&bed, 0).await;
    let last = tokio::time::timeout(PATIENCE, other.0.next()).await.expect("in time");
    assert!(!matches!(last, Some(Ok(Message::Text(_)))), "{last:?}");
    bed.vault.verify();
}

/// Waits until no more than so many WebSockets stand at the venues.
async fn gone(bed: &Bed, left: usize) {
    for _ in 0..1_200 {
        if bed.mocks.streams() == left {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{} stand, not {left}", bed.mocks.streams());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_certificate() {
    let mut bed = Bed::start(&trader()).await;
    // Twenty seconds before the end of the bot's day.
    bed.vault.set_clock_offset_s(24 * 3_600 - 20);
    bed.vault.restart().await;
    let mut socket = Socket::open(&bed, "bot", OKX_PRIVATE).await.expect("opened");
    assert_eq!(socket.ask("ping").await, json!("pong"));
    assert_eq!(socket.next().await, Err((1008, "CERTIFICATE_EXPIRED".to_owned())));
    gone(&bed, 0).await;
    let refused = Socket::open(&bed, "bot", OKX_PRIVATE).await.err();
    assert_eq!(refused.map(|(_, reason)| reason).as_deref(), Some("CERTIFICATE_EXPIRED"));
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ends_may_end_it_and_nothing_is_left() {
    let bed = Bed::start(&trader()).await;
    let mut socket = Socket::okx(&bed, "bot").await;
    bed.mocks.disturb("/ws/v5/private", StreamFault::Close(4001));
    assert_eq!(socket.next().await.map_err(|(code, _)| code), Err(4001));
    gone(&bed, 0).await;

    let mut socket = Socket::okx(&bed, "bot").await;
    socket.0.close(None).await.expect("closed");
    gone(&bed, 0).await;

    let socket = Socket::okx(&bed, "bot").await;
    drop(socket);
    gone(&bed, 0).await;
    // More than may stand at once, one after the other: nothing is kept of those that have ended.
    for _ in 0..70 {
        let mut socket = Socket::open(&bed, "bot", OKX_PRIVATE).await.expect("opened");
        socket.0.close(None).await.expect("closed");
    }
    gone(&bed, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_forgets_streams_and_handles() {
    let mut bed = Bed::start(&trader()).await;
    let listen = || {
        let mut request = binance_order("BTCUSDT", "1");
        request.host = "fapi.binance.com".to_owned();
        request.path = "/fapi/v1/listenKey".to_owned();
        request.query = String::new();
        request
    };
    let bot = bed.bot().await;
    let done = bot.execute(execute("binance-main", listen())).await.expect("executed");
    let body: Value = serde_json::from_slice(&done.body).expect("JSON");
    let handle = body["listenKey"].as_str().expect("a handle").to_owned();
    let url = format!("wss://fstream.binance.com/ws/{handle}");
    let mut socket = Socket::open(&bed, "bot", &url).await.expect("opened");
    place(&bed, "binanceusdm").await;
    assert_eq!(socket.text().await["e"], "ORDER_TRADE_UPDATE");

    bed.vault.bot_identity("listener", LISTENER, &[]).await;
    let refused = Socket::open(&bed, "listener", &url).await.err();
    assert_eq!(refused, Some((422, "HANDLE_UNKNOWN".to_owned())));

    bed.vault.restart().await;
    let refused = Socket::open(&bed, "bot", &url).await.err();
    assert_eq!(refused, Some((422, "HANDLE_UNKNOWN".to_owned())));
    gone(&bed, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_front_sees_no_log_on_and_no_listen_key() {
    let bed = Bed::start(&trader()).await;
    let mut socket = Socket::okx(&bed, "bot").await;
    assert_eq!(socket.ask(SUBSCRIBE).await["event"], "subscribe");
    let mut listen = binance_order("BTCUSDT", "1");
    listen.host = "fapi.binance.com".to_owned();
    listen.path = "/fapi/v1/listenKey".to_owned();
    listen.query = String::new();
    let bot = bed.bot().await;
    let done = bot.execute(execute("binance-main", listen)).await.expect("executed");
    let body: Value = serde_json::from_slice(&done.body).expect("JSON");
    let handle = body["listenKey"].as_str().expect("a handle").to_owned();
    let url = format!("wss://fstream.binance.com/ws/{handle}");
    let _listening = Socket::open(&bed, "bot", &url).await.expect("opened");

    let front = memory(bed.vault.ready().pid_front);
    assert!(has(&front, handle.as_bytes()), "the search finds what is there");
    let logon = bed.mocks.heard().into_iter().find(|heard| heard.text.contains("\"login\""));
    let logon: Value = serde_json::from_str(&logon.expect("heard").text).expect("JSON");
    let signature = logon["args"][0]["sign"].as_str().expect("a signature");
    for secret in [signature, OKX_PASSPHRASE, OKX_SECRET] {
        assert!(!has(&front, secret.as_bytes()), "a secret in the front");
    }
    let key = listen_key(&bed).await;
    assert!(key.len() == 64 && key != handle);
    assert!(!has(&front, key.as_bytes()), "a listen key in the front");
}

/// The listen key that is open at Binance's mock, which tells it to whoever has the API key.
async fn listen_key(bed: &Bed) -> String {
    let mut stream = TcpStream::connect(bed.mocks.address()).await.expect("connected");
    let request = format!(
        "POST /fapi/v1/listenKey HTTP/1.1\r\nhost: fapi.binance.com\r\nx-mbx-apikey: {BINANCE_KEY}\r\n\
         content-length: 0\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answered");
    let (_, rest) = answer.split_once(r#""listenKey":""#).unwrap_or_else(|| panic!("{answer}"));
    rest.chars().take_while(char::is_ascii_alphanumeric).collect()
}
