//! WebSockets through the proxy, as libraries use them and as attackers do.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use http::StatusCode;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};
use vault_front::{Limits, WebSocketLimits};
use vault_ipc::{
    Code, Failure, Kind, Reply, StreamCall, StreamCut, StreamEnd, StreamMessage, StreamReady,
    StreamRefusal,
};

use crate::support::{Core, Egress, Front, PATIENCE, client_config, connect, failed, handshake};

const PRIVATE: &str = "/wss://ws.okx.com:8443/ws/v5/private";
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// A WebSocket that stands, with its correlation.
struct Bot {
    correlation: u64,
    socket: Socket,
}

impl Bot {
    async fn open(front: &mut Front, serial: u8) -> Self {
        let stream = tls(front, serial).await;
        Self::open_over(front, stream).await
    }

    async fn open_over(front: &mut Front, stream: TlsStream<TcpStream>) -> Self {
        let mut egress = front.egress();
        let asked = tokio::spawn(ask(stream, PRIVATE));
        let (correlation, _) = next_stream(front.core());
        stands(front.core(), &mut egress, correlation);
        let (socket, _) = asked.await.expect("no panic").expect("opened");
        Self { correlation, socket }
    }

    async fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.expect("sent");
    }

    async fn next(&mut self) -> Message {
        let next = tokio::time::timeout(PATIENCE, self.socket.next());
        next.await.expect("in time").expect("not ended").expect("well formed")
    }

    /// The close frame, and that nothing comes before it.
    async fn closed(&mut self) -> (u16, String) {
        match self.next().await {
            Message::Close(Some(frame)) => (frame.code.into(), frame.reason.to_string()),
            other => panic!("no close: {other:?}"),
        }
    }
}

async fn tls(front: &Front, serial: u8) -> TlsStream<TcpStream> {
    let mut config = client_config(&front.ca.der(), Some(&front.ca.client(serial)));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    connect(front.bot, config, &[]).await.expect("a handshake")
}

/// A connection whose socket takes little before it is read.
async fn narrow(front: &Front, serial: u8) -> TlsStream<TcpStream> {
    let mut config = client_config(&front.ca.der(), Some(&front.ca.client(serial)));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let tcp = socket.connect(front.bot).await.expect("accepted");
    handshake(tcp, config).await.expect("a handshake")
}

type Asked = Result<(Socket, http::Response<Option<Vec<u8>>>), Error>;

async fn ask(stream: TlsStream<TcpStream>, path: &str) -> Asked {
    let request = format!("wss://vault.test{path}").into_client_request().expect("a request");
    tokio::time::timeout(PATIENCE, client_async(request, stream)).await.expect("in time")
}

/// Asks for a WebSocket and returns the refusal: status and what it says.
async fn refused(stream: TlsStream<TcpStream>, path: &str) -> (StatusCode, Value) {
    match ask(stream, path).await {
        Err(Error::Http(response)) => {
            let body = response.body().clone().unwrap_or_default();
            let body: Value = serde_json::from_slice(&body).expect("json");
            let said = body["countersign"].clone();
            assert_eq!(response.headers()["countersign-reason"], said["reason"].as_str().unwrap());
            (response.status(), said)
        }
        other => panic!("not refused: {other:?}"),
    }
}

fn next_stream(core: &mut Core) -> (u64, StreamCall) {
    let frame = core.next();
    assert_eq!(frame.kind, Kind::Stream);
    (frame.correlation, frame.message().expect("a stream call"))
}

fn next_message(core: &mut Core, correlation: u64) -> StreamMessage {
    let frame = core.next();
    assert_eq!((frame.kind, frame.correlation), (Kind::StreamMessage, correlation));
    frame.message().expect("a message")
}

fn expect_end(core: &mut Core, correlation: u64) -> (u32, String) {
    let frame = core.next();
    assert_eq!((frame.kind, frame.correlation), (Kind::StreamEnd, correlation));
    let StreamEnd { code, problem } = frame.message().expect("an end");
    (code, problem)
}

/// Nothing has come but what was expected: a barrier comes back next.
fn nothing_came(core: &mut Core) {
    core.barrier(99, &[]);
    core.expect_barrier_done(99);
}

fn stands(core: &mut Core, egress: &mut Egress, correlation: u64) {
    core.send(Kind::Reply, correlation, &Reply::default());
    egress.send(Kind::StreamReady, correlation, &StreamReady { latency_us: 77 });
}

fn said(egress: &mut Egress, correlation: u64, text: &str) {
    let message = StreamMessage { bytes: text.into(), binary: false };
    egress.send(Kind::StreamMessage, correlation, &message);
}

fn cut(failure: Option<Failure>) -> StreamCut {
    StreamCut { failure }
}

fn revoked() -> Failure {
    Failure::new(Code::Unauthenticated, "CERTIFICATE_REVOKED", "certificate is revoked")
}

fn with(websocket: WebSocketLimits) -> Limits {
    Limits { websocket, ..Limits::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_go_both_ways_and_are_what_they_were() {
    let mut front = Front::start();
    for (path, host) in [
        (PRIVATE, "ws.okx.com:8443"),
        ("/wss%3A%2F%2Fws.okx.com%3A8443%2Fws%2Fv5%2Fprivate", "ws.okx.com:8443"),
        ("/wss://ws.okx.com:443/ws/v5/private", "ws.okx.com"),
        ("/https://ws.okx.com/ws/v5/private", "ws.okx.com"),
    ] {
        let mut egress = front.egress();
        let asked = tokio::spawn(ask(tls(&front, 1).await, path));
        let core = front.core();
        let (correlation, StreamCall { caller, request, deadline_us }) = next_stream(core);
        assert_eq!(caller.serial, [1; 16]);
        assert!(deadline_us > 0);
        assert_eq!((request.method.as_str(), request.scheme.as_str()), ("GET", "wss"));
        assert_eq!((request.host.as_str(), request.path.as_str()), (host, "/ws/v5/private"));
        assert!(request.query.is_empty() && request.body.is_empty());
        // Nothing of the handshake, nor of the connection.
        assert!(request.headers.is_empty(), "{:?}", request.headers);

        // In whatever order core and egress speak; what the venue says at once waits.
        egress.send(Kind::StreamReady, correlation, &StreamReady { latency_us: 77 });
        said(&mut egress, correlation, "welcome");
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!asked.is_finished());
        core.send(Kind::Reply, correlation, &Reply::default());
        let (socket, response) = asked.await.expect("no panic").expect("opened");
        assert_eq!(response.headers()["countersign-latency-us"], "77");
        assert!(!response.headers().contains_key("sec-websocket-extensions"));
        let mut bot = Bot { correlation, socket };
        assert_eq!(bot.next().await, Message::text("welcome"));

        bot.send("{\"op\":\"subscribe\"} \u{20ac}").await;
        let message = next_message(front.core(), correlation);
        assert_eq!(message.bytes, "{\"op\":\"subscribe\"} \u{20ac}".as_bytes());
        assert!(!message.binary);
        bot.socket.send(Message::binary(vec![0, 255])).await.expect("sent");
        let message = next_message(front.core(), correlation);
        assert_eq!((message.bytes.as_slice(), message.binary), (&[0, 255][..], true));

        let binary = StreamMessage { bytes: vec![1, 2], binary: true };
        egress.send(Kind::StreamMessage, correlation, &binary);
        assert_eq!(bot.next().await, Message::binary(vec![1, 2]));
        // Pings are answered here and not passed on.
        bot.socket.send(Message::Ping(Bytes::from_static(b"you?"))).await.expect("sent");
        assert_eq!(bot.next().await, Message::Pong(Bytes::from_static(b"you?")));
        nothing_came(front.core());

        let close = CloseFrame { code: CloseCode::from(4001), reason: "bye".into() };
        bot.socket.close(Some(close)).await.expect("sent");
        assert_eq!(bot.closed().await, (4001, "bye".to_owned()));
        assert!(bot.socket.next().await.is_none());
        assert_eq!(expect_end(front.core(), correlation), (4001, String::new()));
        // Exactly once.
        drop(bot);
        tokio::time::sleep(Duration::from_millis(20)).await;
        nothing_came(front.core());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_handshake_is_refused_and_reaches_nobody() {
    let mut front = Front::start();
    let good = [
        ("Host", "vault.test"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", KEY),
    ];
    for (line, changed, status, reason) in [
        (format!("GET {PRIVATE} HTTP/1.1"), ("Upgrade", ""), 426, "WEBSOCKET_HANDSHAKE_MISSING"),
        (format!("GET {PRIVATE} HTTP/1.1"), ("Upgrade", "h2c"), 422, "UPGRADE_NOT_SERVED"),
        (format!("GET {PRIVATE} HTTP/1.1"), ("Connection", "close"), 422, "WEBSOCKET_MALFORMED"),
        (format!("GET {PRIVATE} HTTP/1.1"), ("Content-Length", "5"), 422, "WEBSOCKET_MALFORMED"),
        (
            format!("GET {PRIVATE} HTTP/1.1"),
            ("Transfer-Encoding", "chunked"),
            422,
            "WEBSOCKET_MALFORMED",
        ),
        (format!("GET {PRIVATE} HTTP/1.1"), ("Sec-WebSocket-Key", "x"), 422, "WEBSOCKET_MALFORMED"),
        (
            format!("GET {PRIVATE} HTTP/1.1"),
            ("Sec-WebSocket-Version", "8"),
            426,
            "WEBSOCKET_VERSION",
        ),
        (
            format!("GET {PRIVATE} HTTP/1.1"),
            ("Origin", "https://evil.example"),
            403,
            "BROWSER_REFUSED",
        ),
        (format!("POST {PRIVATE} HTTP/1.1"), ("X", "y"), 422, "WEBSOCKET_MALFORMED"),
        (format!("GET {PRIVATE} HTTP/1.0"), ("X", "y"), 422, "WEBSOCKET_NEEDS_HTTP1"),
        ("GET /ws://x.y/a HTTP/1.1".to_owned(), ("X", "y"), 422, "TARGET_SCHEME"),
        ("GET /wss://X.y/a HTTP/1.1".to_owned(), ("X", "y"), 422, "TARGET_HOST_CASE"),
        ("GET /wss://x.y:0/a HTTP/1.1".to_owned(), ("X", "y"), 422, "TARGET_PORT"),
        ("GET /https://x.y:8443/a HTTP/1.1".to_owned(), ("X", "y"), 422, "TARGET_PORT"),
        (
            "GET /wss://127.0.0.1:9443/a HTTP/1.1".to_owned(),
            ("X", "y"),
            422,
            "TARGET_HOST_IS_ADDRESS",
        ),
        ("GET /wss://u@x.y/a HTTP/1.1".to_owned(), ("X", "y"), 422, "TARGET_USERINFO"),
    ] {
        let mut head = format!("{line}\r\n");
        for (name, value) in good.iter().filter(|(name, _)| *name != changed.0).chain([&changed]) {
            if !value.is_empty() {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        head.push_str("\r\n");
        let mut stream = tls(&front, 1).await;
        stream.write_all(head.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        while !answer.windows(2).any(|part| part == b"}}") {
            let mut piece = [0; 4096];
            let read = tokio::time::timeout(PATIENCE, stream.read(&mut piece));
            let count = read.await.expect("in time").expect("answered");
            assert!(count > 0, "{line} {changed:?}");
            answer.extend_from_slice(&piece[..count]);
        }
        let text = String::from_utf8(answer).expect("text");
        let found = text.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
        assert_eq!(found, Some(status), "{line} {changed:?}: {text}");
        assert!(text.contains(&format!("\"reason\":\"{reason}\"")), "{line} {changed:?}: {text}");
    }
    nothing_came(front.core());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_opens_no_websocket() {
    let mut front = Front::start();
    let config = client_config(&front.ca.der(), Some(&front.ca.client(1)));
    let stream = connect(front.bot, config, &[]).await.expect("a handshake");
    let (mut send, connection) = h2::client::handshake(stream).await.expect("h2");
    tokio::spawn(connection);
    let uri = format!("https://vault.test{PRIVATE}");
    let request = http::Request::get(uri).body(()).expect("a request");
    let (response, _) = send.send_request(request, true).expect("sent");
    let response = response.await.expect("answered");
    assert_eq!(response.status(), 422);
    assert_eq!(response.headers()["countersign-reason"], "WEBSOCKET_NEEDS_HTTP1");
    // Extended CONNECT is not offered.
    assert!(!send.is_extended_connect_protocol_enabled());
    nothing_came(front.core());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_core_refuses_is_answered_as_a_request_is() {
    let mut front = Front::start();
    let failure = Failure {
        entry_index: Some(41),
        ..Failure::new(Code::Denied, "CLASS_NOT_GRANTED", "denied").with_hint("ask an admin")
    };
    let play = front.play(move |core| {
        let (correlation, _) = next_stream(core);
        core.send(Kind::Reply, correlation, &failed(failure));
        // It has none, so it is told of no end.
        nothing_came(core);
    });
    let (status, said) = refused(tls(&front, 1).await, PRIVATE).await;
    assert_eq!((status.as_u16(), &said["reason"]), (422, &Value::from("CLASS_NOT_GRANTED")));
    assert_eq!((&said["hint"], &said["entry"]), (&Value::from("ask an admin"), &Value::from(41)));
    play.end(&mut front).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_venue_that_is_not_reached_has_its_status() {
    let mut front = Front::start();
    for (problem, status, told) in [
        ("CONNECT_FAILED", 502, "CONNECT_FAILED"),
        ("UPGRADE_REFUSED", 502, "UPGRADE_REFUSED"),
        ("TIMEOUT", 504, "TIMEOUT"),
        ("VENUE_PAUSED", 503, "VENUE_PAUSED"),
        ("HANDLE_UNKNOWN", 422, "HANDLE_UNKNOWN"),
        ("secret words", 502, "CONNECTION_LOST"),
        ("", 502, "CONNECTION_LOST"),
    ] {
        for reply_first in [true, false] {
            let mut egress = front.egress();
            let play = front.play(move |core| {
                let (correlation, _) = next_stream(core);
                let end = StreamEnd { code: 0, problem: problem.to_owned() };
                if reply_first {
                    core.send(Kind::Reply, correlation, &Reply::default());
                    // As the core does when egress tells it too.
                    egress.send(Kind::StreamEnd, correlation, &end);
                } else {
                    egress.send(Kind::StreamEnd, correlation, &end);
                    core.send(Kind::Reply, correlation, &Reply::default());
                }
                expect_end(core, correlation);
                nothing_came(core);
            });
            let (found, said) = refused(tls(&front, 1).await, PRIVATE).await;
            assert_eq!((found.as_u16(), &said["reason"]), (status, &Value::from("NOT_CONNECTED")));
            let message = said["message"].as_str().expect("said");
            assert!(message.ends_with(&format!(": {told}")), "{message}");
            play.end(&mut front).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_before_it_stands_is_a_refusal() {
    let mut front = Front::start();
    let play = front.play(move |core| {
        let (correlation, _) = next_stream(core);
        core.send(Kind::Reply, correlation, &Reply::default());
        core.send(Kind::StreamCut, correlation, &cut(Some(revoked())));
        nothing_came(core);
    });
    let (status, said) = refused(tls(&front, 1).await, PRIVATE).await;
    assert_eq!((status.as_u16(), &said["reason"]), (422, &Value::from("CERTIFICATE_REVOKED")));
    play.end(&mut front).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bot_that_goes_before_it_stands_is_told_of_once() {
    let mut front = Front::start();
    for is_replied in [false, true] {
        let asked = tokio::spawn(ask(tls(&front, 1).await, PRIVATE));
        let core = front.core();
        let (correlation, _) = next_stream(core);
        if is_replied {
            core.send(Kind::Reply, correlation, &Reply::default());
        }
        asked.abort();
        assert_eq!(expect_end(core, correlation).0, 0);
        // What comes for it yet is nobody's.
        let mut egress = front.egress();
        egress.send(Kind::StreamReady, correlation, &StreamReady::default());
        said(&mut egress, correlation, "late");
        let core = front.core();
        core.send(Kind::Reply, correlation, &Reply::default());
        core.send(Kind::StreamCut, correlation, &cut(None));
        nothing_came(core);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_takes_too_long_is_given_up() {
    let limits = Limits::default();
    let bot =
        vault_front::ListenerLimits { execute: Duration::from_millis(100), ..limits.bot.clone() };
    let mut front = Front::start_with(Limits { bot, ..limits });
    let play = front.play(move |core| {
        let (correlation, _) = next_stream(core);
        core.send(Kind::Reply, correlation, &Reply::default());
        expect_end(core, correlation);
        nothing_came(core);
    });
    let (status, said) = refused(tls(&front, 1).await, PRIVATE).await;
    assert_eq!((status.as_u16(), &said["reason"]), (504, &Value::from("DEADLINE_EXCEEDED")));
    play.end(&mut front).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_message_is_told_with_its_id_and_the_socket_stays() {
    let mut front = Front::start();
    let mut bot = Bot::open(&mut front, 1).await;
    let failure = || Failure {
        entry_index: Some(7),
        ..Failure::new(Code::Denied, "SYMBOL_NOT_GRANTED", "denied by policy").with_hint("ask")
    };
    for (id_name, id, text) in [
        ("id", "17", Some("17")),
        ("id", "123456789012345678901234567890", Some("123456789012345678901234567890")),
        ("req_id", "\"a\\\"b\"", Some("\"a\\\"b\"")),
        ("id", "", None),
        ("", "17", None),
        ("countersign", "17", None),
        ("id", "17,\"x\":1", None),
        ("id", "{}", None),
        ("id", "null", None),
    ] {
        let (id_name, id) = (id_name.to_owned(), id.to_owned());
        let refusal = StreamRefusal { failure: failure(), id_name: id_name.clone(), id };
        front.core().send(Kind::StreamRefusal, bot.correlation, &refusal);
        let said = bot.next().await.into_text().expect("text").to_string();
        let value: Value = serde_json::from_str(&said).expect("json");
        assert_eq!(value["countersign"]["reason"], "SYMBOL_NOT_GRANTED");
        assert_eq!(value["countersign"]["entry"], 7);
        assert_eq!(value.as_object().expect("object").len(), 1 + usize::from(text.is_some()));
        if let Some(text) = text {
            assert!(said.ends_with(&format!(",\"{id_name}\":{text}}}")), "{said}");
        }
    }
    bot.send("more").await;
    assert_eq!(next_message(front.core(), bot.correlation).bytes, b"more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_drops_what_waits_and_says_why() {
    let mut front = Front::start();
    let mut bot = Bot::open(&mut front, 1).await;
    let mut other = Bot::open(&mut front, 1).await;
    let mut egress = front.egress();
    let core = front.core();
    core.send(Kind::StreamCut, bot.correlation, &cut(Some(revoked())));
    core.barrier(1, &[]);
    core.expect_barrier_done(1);
    // From now on the venue is not heard there, and the bot neither.
    said(&mut egress, bot.correlation, "late");
    bot.send("late").await;
    assert_eq!(bot.closed().await, (1008, "CERTIFICATE_REVOKED".to_owned()));
    egress.send(Kind::StreamEnd, bot.correlation, &StreamEnd::default());
    // The core knows, so it is told of nothing.
    nothing_came(front.core());
    said(&mut egress, other.correlation, "on");
    assert_eq!(other.next().await, Message::text("on"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_barrier_behind_a_cut_waits_for_nobody_who_does_not_read() {
    let mut front = Front::start_with(with(WebSocketLimits {
        waiting_bytes: 16 << 20,
        ..WebSocketLimits::default()
    }));
    let stream = narrow(&front, 1).await;
    let mut bot = Bot::open_over(&mut front, stream).await;
    let mut egress = front.egress();
    // More than the sockets between hold, less than what may wait.
    for _ in 0..150 {
        said(&mut egress, bot.correlation, &"x".repeat(64 << 10));
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let started = Instant::now();
    let core = front.core();
    core.send(Kind::StreamCut, bot.correlation, &cut(Some(revoked())));
    core.barrier(1, &[]);
    core.expect_barrier_done(1);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    // Messages that were written may come, but no more than were on the socket, and no close.
    let ended = tokio::time::timeout(PATIENCE, async {
        while let Some(Ok(message)) = bot.socket.next().await {
            assert!(message.is_text(), "{message:?}");
        }
    });
    ended.await.expect("the connection ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_barrier_cuts_websockets_by_their_serial() {
    let mut front = Front::start();
    let mut revoked = Bot::open(&mut front, 1).await;
    let mut other = Bot::open(&mut front, 2).await;
    let mut egress = front.egress();
    let core = front.core();
    core.barrier(1, &[[1; 16]]);
    // Its end is told, before or after.
    let mut kinds = [core.next(), core.next()];
    kinds.sort_by_key(|frame| frame.kind.code());
    assert_eq!(kinds.map(|frame| frame.kind), [Kind::BarrierDone, Kind::StreamEnd]);
    said(&mut egress, revoked.correlation, "late");
    let next = tokio::time::timeout(PATIENCE, revoked.socket.next()).await.expect("in time");
    assert!(!matches!(next, Some(Ok(_))), "{next:?}");
    said(&mut egress, other.correlation, "on");
    assert_eq!(other.next().await, Message::text("on"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_loses_the_websocket_and_nobody_elses() {
    let mut front = Front::start_with(with(WebSocketLimits {
        close: Duration::from_millis(300),
        waiting_bytes: 256 << 10,
        ..WebSocketLimits::default()
    }));
    let stream = narrow(&front, 1).await;
    let slow = Bot::open_over(&mut front, stream).await;
    let mut good = Bot::open(&mut front, 1).await;
    let mut egress = front.egress();
    let correlation = slow.correlation;
    let flood = tokio::task::spawn_blocking(move || {
        let text = "x".repeat(64 << 10);
        for _ in 0..400 {
            said(&mut egress, correlation, &text);
        }
        egress
    });
    assert_eq!(expect_end(front.core(), correlation), (1013, "NOT_READ".to_owned()));
    let mut egress = flood.await.expect("sent");
    said(&mut egress, good.correlation, "on");
    assert_eq!(good.next().await, Message::text("on"));
    // What was ended is gone in its time, read or not.
    drop(slow);
    nothing_came(front.core());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bot_that_reads_late_but_in_time_is_told_of_its_end() {
    let mut front = Front::start_with(with(WebSocketLimits {
        waiting_bytes: 1 << 10,
        ..WebSocketLimits::default()
    }));
    let stream = narrow(&front, 1).await;
    let mut bot = Bot::open_over(&mut front, stream).await;
    let mut egress = front.egress();
    for _ in 0..100 {
        said(&mut egress, bot.correlation, &"x".repeat(64 << 10));
    }
    assert_eq!(expect_end(front.core(), bot.correlation), (1013, "NOT_READ".to_owned()));
    let closed = loop {
        match bot.next().await {
            Message::Text(_) => {}
            Message::Close(Some(frame)) => break u16::from(frame.code),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(closed, 1013);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bot_that_speaks_too_fast_is_read_at_its_pace() {
    let mut front = Front::start_with(with(WebSocketLimits {
        messages_burst: 10,
        messages_per_second: 20,
        ..WebSocketLimits::default()
    }));
    let mut bot = Bot::open(&mut front, 1).await;
    let started = Instant::now();
    for at in 0..30 {
        bot.send(&at.to_string()).await;
    }
    for at in 0..30 {
        assert_eq!(next_message(front.core(), bot.correlation).bytes, at.to_string().as_bytes());
        let earliest =
            Duration::from_millis(50) * u32::try_from(at).expect("few").saturating_sub(10);
        assert!(started.elapsed() >= earliest, "{at} after {:?}", started.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_make_no_message_are_read_at_their_pace_too() {
    let mut front = Front::start_with(with(WebSocketLimits {
        bytes_burst: 2000,
        bytes_per_second: 20_000,
        ..WebSocketLimits::default()
    }));
    let mut bot = Bot::open(&mut front, 1).await;
    let started = Instant::now();
    let first = Frame::message(Bytes::new(), OpCode::Data(Data::Text), false);
    bot.socket.send(Message::Frame(first)).await.expect("sent");
    // Of six bytes each.
    for _ in 0..5000 {
        let empty = Frame::message(Bytes::new(), OpCode::Data(Data::Continue), false);
        bot.socket.feed(Message::Frame(empty)).await.expect("sent");
    }
    let last = Frame::message(Bytes::from_static(b"end"), OpCode::Data(Data::Continue), true);
    bot.socket.send(Message::Frame(last)).await.expect("sent");
    assert_eq!(next_message(front.core(), bot.correlation).bytes, b"end");
    assert!(started.elapsed() >= Duration::from_millis(700), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_as_long_as_they_may_be_and_no_longer() {
    let mut front = Front::start();
    let mut bot = Bot::open(&mut front, 1).await;
    let longest = "x".repeat(64 << 10);
    bot.send(&longest).await;
    assert_eq!(next_message(front.core(), bot.correlation).bytes, longest.as_bytes());
    // In pieces it is the same.
    let halves = [&longest.as_bytes()[..40_000], &longest.as_bytes()[40_000..]];
    for (at, half) in halves.into_iter().enumerate() {
        let kind = OpCode::Data(if at == 0 { Data::Text } else { Data::Continue });
        let frame = Frame::message(Bytes::copy_from_slice(half), kind, at == 1);
        bot.socket.send(Message::Frame(frame)).await.expect("sent");
        if at == 0 {
            // Between them there may be others of the connection.
            bot.socket.send(Message::Ping(Bytes::new())).await.expect("sent");
        }
    }
    assert_eq!(next_message(front.core(), bot.correlation).bytes, longest.as_bytes());
    assert!(bot.next().await.is_pong());
    bot.send(&format!("{longest}y")).await;
    assert_eq!(bot.closed().await, (1009, "MESSAGE_TOO_LONG".to_owned()));
    let told = expect_end(front.core(), bot.correlation);
    assert_eq!(told, (1009, "MESSAGE_TOO_LONG".to_owned()));

    let mut bot = Bot::open(&mut front, 1).await;
    for at in 0..2 {
        let kind = OpCode::Data(if at == 0 { Data::Text } else { Data::Continue });
        let frame = Frame::message(vec![b'x'; 40_000], kind, at == 1);
        bot.socket.send(Message::Frame(frame)).await.expect("sent");
    }
    assert_eq!(bot.closed().await.0, 1009);
    assert_eq!(expect_end(front.core(), bot.correlation).0, 1009);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_websocket_ends_it() {
    let mut front = Front::start();
    for (name, bytes, code) in [
        ("not masked", &b"\x81\x01a"[..], 1002),
        ("a reserved bit", b"\xc1\x81\0\0\0\0a", 1002),
        ("an unknown opcode", b"\x83\x81\0\0\0\0a", 1002),
        ("no text", b"\x81\x81\0\0\0\0\xff", 1007),
        ("a fragment of nothing", b"\x80\x81\0\0\0\0a", 1002),
        ("a ping in pieces", b"\x09\x81\0\0\0\0a", 1002),
        ("a ping too long", b"\x89\xfe\0\x7e\0\0\0\0", 1002),
        ("far too long", b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 1009),
        ("http", b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", 1002),
    ] {
        let bot = Bot::open(&mut front, 1).await;
        let correlation = bot.correlation;
        let mut stream = bot.socket.into_inner();
        stream.write_all(bytes).await.expect("sent");
        if name == "a ping too long" {
            stream.write_all(&[0; 126]).await.expect("sent");
        }
        let mut answer = [0; 4];
        let read = tokio::time::timeout(PATIENCE, stream.read_exact(&mut answer));
        read.await.expect("in time").expect("a close");
        assert_eq!(answer[0], 0x88, "{name}");
        assert_eq!(u16::from_be_bytes([answer[2], answer[3]]), code, "{name}");
        assert_eq!(expect_end(front.core(), correlation).0, u32::from(code), "{name}");
    }
    nothing_came(front.core());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bot_that_breaks_off_is_told_of_once() {
    let mut front = Front::start();
    // With half a message on its way, and with nothing.
    for bytes in [&b""[..], b"\x81\x85\0\0\0\0ab"] {
        let bot = Bot::open(&mut front, 1).await;
        let correlation = bot.correlation;
        let mut stream = bot.socket.into_inner();
        stream.write_all(bytes).await.expect("sent");
        stream.shutdown().await.expect("half closed");
        assert_eq!(expect_end(front.core(), correlation), (0, "CONNECTION_LOST".to_owned()));
        nothing_came(front.core());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_venues_close_comes_after_its_messages_with_its_code() {
    let mut front = Front::start();
    for (code, problem, told) in [
        (4009, "", Some((4009, ""))),
        (1000, "", Some((1000, ""))),
        (0, "", None),
        // Codes that nobody may send.
        (1006, "", Some((1011, ""))),
        (99_999, "", None),
        (0, "CONNECTION_LOST", Some((1011, "CONNECTION_LOST"))),
        (0, "not a code", Some((1011, "CONNECTION_LOST"))),
    ] {
        let mut bot = Bot::open(&mut front, 1).await;
        let mut egress = front.egress();
        for at in 0..3 {
            said(&mut egress, bot.correlation, &at.to_string());
        }
        let end = StreamEnd { code, problem: problem.to_owned() };
        egress.send(Kind::StreamEnd, bot.correlation, &end);
        front.core().send(Kind::StreamCut, bot.correlation, &cut(None));
        for at in 0..3 {
            assert_eq!(bot.next().await, Message::text(at.to_string()), "{code}");
        }
        let closed = match bot.next().await {
            Message::Close(frame) => frame.map(|f| (u16::from(f.code), f.reason.to_string())),
            other => panic!("no close: {other:?}"),
        };
        assert_eq!(closed, told.map(|(code, reason)| (code, reason.to_owned())), "{code}");
        expect_end(front.core(), bot.correlation);
        nothing_came(front.core());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_of_which_only_the_core_tells_is_one_too() {
    let mut front = Front::start();
    let mut bot = Bot::open(&mut front, 1).await;
    front.core().send(Kind::StreamCut, bot.correlation, &cut(None));
    assert_eq!(bot.closed().await, (1011, "CONNECTION_LOST".to_owned()));
    nothing_came(front.core());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_the_egress_ends_all() {
    let mut front = Front::start();
    let mut bot = Bot::open(&mut front, 1).await;
    front.egress().hang_up();
    assert_eq!(bot.closed().await, (1011, "CONNECTION_LOST".to_owned()));
    expect_end(front.core(), bot.correlation);
    // Another is not asked for.
    let (status, said) = refused(tls(&front, 1).await, PRIVATE).await;
    assert_eq!((status.as_u16(), &said["reason"]), (503, &Value::from("SHUTTING_DOWN")));
    nothing_came(front.core());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_the_core_ends_the_connections() {
    let mut front = Front::start();
    let mut bot = Bot::open(&mut front, 1).await;
    front.end().expect("in order");
    let next = tokio::time::timeout(PATIENCE, bot.socket.next()).await.expect("in time");
    assert!(!matches!(next, Some(Ok(_))), "{next:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_has_so_many_and_no_more() {
    let mut front = Front::start_with(with(WebSocketLimits {
        sockets: 3,
        sockets_per_certificate: 2,
        ..WebSocketLimits::default()
    }));
    let mut first = Bot::open(&mut front, 1).await;
    let _second = Bot::open(&mut front, 1).await;
    let (status, said) = refused(tls(&front, 1).await, PRIVATE).await;
    assert_eq!((status.as_u16(), &said["reason"]), (503, &Value::from("STREAMS_EXHAUSTED")));
    let _third = Bot::open(&mut front, 2).await;
    let (_, said) = refused(tls(&front, 2).await, PRIVATE).await;
    assert_eq!(said["reason"], "STREAMS_EXHAUSTED");
    nothing_came(front.core());
    // A place is free when the connection is gone.
    first.socket.close(None).await.expect("sent");
    while let Some(Ok(_)) = first.socket.next().await {}
    expect_end(front.core(), first.correlation);
    Bot::open(&mut front, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_bot_is_asked_and_then_given_up() {
    let mut front = Front::start_with(Limits {
        keepalive_interval: Duration::from_millis(100),
        keepalive_timeout: Duration::from_secs(3),
        ..Limits::default()
    });
    let mut bot = Bot::open(&mut front, 1).await;
    // Whoever reads answers by itself.
    for _ in 0..5 {
        assert!(bot.next().await.is_ping());
        bot.socket.flush().await.expect("answered");
    }
    assert_eq!(expect_end(front.core(), bot.correlation), (0, "TIMEOUT".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_with_the_handshake_is_not_lost() {
    let mut front = Front::start();
    let mut stream = tls(&front, 1).await;
    let head = format!(
        "GET {PRIVATE} HTTP/1.1\r\nHost: vault.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n\u{81}\u{85}"
    );
    let head = head.chars().map(|c| c as u8).chain(*b"\0\0\0\0hello").collect::<Vec<u8>>();
    stream.write_all(&head).await.expect("sent");
    let mut egress = front.egress();
    let core = front.core();
    let (correlation, _) = next_stream(core);
    // Nothing before it stands.
    nothing_came(core);
    stands(core, &mut egress, correlation);
    assert_eq!(next_message(core, correlation).bytes, b"hello");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_egress_says_ends_the_front() {
    let long = StreamMessage { bytes: vec![b'x'; (1 << 20) + 1], binary: true };
    let is_ready = StreamReady::default();
    for case in 0..4 {
        let mut front = Front::start();
        let mut egress = front.egress();
        let bot = Bot::open(&mut front, 1).await;
        let correlation = bot.correlation;
        match case {
            0 => egress.send(Kind::StreamMessage, correlation, &long),
            1 => egress.send(Kind::StreamReady, correlation, &is_ready),
            2 => egress.send(Kind::StreamCut, correlation, &cut(None)),
            _ => {
                // Before it stands.
                let asked = tokio::spawn(ask(tls(&front, 1).await, PRIVATE));
                let (correlation, _) = next_stream(front.core());
                said(&mut egress, correlation, "early");
                let _ = asked.await;
            }
        }
        let ended = tokio::task::spawn_blocking(move || front.ended()).await.expect("no panic");
        assert!(ended.is_err(), "{case}");
    }
}
