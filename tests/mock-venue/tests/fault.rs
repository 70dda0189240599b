//! Answers that go wrong on demand, as they look on the wire, and what became of the request.

mod common;

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vault_mock_venue::{Fault, MockConfig, MockVenues, Venue};

use common::{Bench, NOW_MS, SECRET, account, hmac_hex};

const KEY: &str = "key-of-a-shared-secret";
const LIMIT: &str = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.001&price=60000";

fn bench() -> Bench {
    Bench::start(vec![account(Venue::Binance, KEY, SECRET)])
}

/// A signed order as it goes out.
fn order() -> String {
    let text = format!("{LIMIT}&timestamp={NOW_MS}");
    let sign = hmac_hex(SECRET, &text);
    format!(
        "POST /api/v3/order?{text}&signature={sign} HTTP/1.1\r\nHost: api.binance.com\r\n\
         X-MBX-APIKEY: {KEY}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    )
}

/// All that comes back, and how it ended.
fn send(venues: &MockVenues, request: &str) -> (Vec<u8>, io::Result<usize>) {
    let mut stream = TcpStream::connect(venues.address()).expect("connect");
    stream.set_read_timeout(Some(Duration::from_secs(1))).expect("timeout");
    stream.write_all(request.as_bytes()).expect("write");
    let mut answer = Vec::new();
    let end = stream.read_to_end(&mut answer);
    (answer, end)
}

fn split(answer: &[u8]) -> (String, &[u8]) {
    let at = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    (String::from_utf8_lossy(&answer[..at]).to_ascii_lowercase(), &answer[at + 4..])
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn length(head: &str) -> usize {
    header(head, "content-length").and_then(|text| text.parse().ok()).expect("a length")
}

/// What the order's answer is without a fault.
fn good(bench: &Bench) -> usize {
    let (answer, end) = send(&bench.venues, &order());
    assert!(end.is_ok());
    let (head, body) = split(&answer);
    assert_eq!(length(&head), body.len());
    assert_eq!(serde_json::from_slice::<Value>(body).expect("JSON")["status"], json!("NEW"));
    body.len()
}

#[test]
fn resets_before_an_answer_with_and_without_an_order() {
    for (fault, orders) in [(Fault::ResetUnread, 0), (Fault::ResetUnanswered, 1)] {
        let bench = bench();
        bench.venues.fault(fault);
        let (answer, end) = send(&bench.venues, &order());
        assert_eq!(answer, b"");
        assert_eq!(end.expect_err("a reset").kind(), io::ErrorKind::ConnectionReset);
        assert_eq!((bench.venues.arrived(), bench.venues.accepted().len()), (1, orders));
        good(&bench);
    }
}

#[test]
fn resets_in_the_middle_of_a_body() {
    let bench = bench();
    let whole = good(&bench);
    bench.venues.fault(Fault::ResetInBody);
    let (answer, end) = send(&bench.venues, &order());
    let (head, body) = split(&answer);
    assert_eq!((length(&head), body.len()), (whole, whole / 2));
    assert_eq!(end.expect_err("a reset").kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(bench.venues.accepted().len(), 2);
}

#[test]
fn lies_about_the_length() {
    let bench = bench();
    let whole = good(&bench);
    for (fault, said) in [(Fault::LengthTooLong, whole + 10), (Fault::LengthTooShort, whole - 10)] {
        bench.venues.fault(fault);
        let (answer, _) = send(&bench.venues, &order());
        let (head, body) = split(&answer);
        assert_eq!((length(&head), body.len()), (said, whole));
    }
}

#[test]
fn answers_with_the_status_that_is_asked_for() {
    let bench = bench();
    let target = "https://elsewhere.example/".to_owned();
    for (fault, status, name, value) in [
        (Fault::Status(503), "503", "content-type", "application/json"),
        (Fault::StatusAfter(504), "504", "content-type", "application/json"),
        (Fault::Banned { status: 429, retry_after_s: 7 }, "429", "retry-after", "7"),
        (Fault::Banned { status: 418, retry_after_s: 60 }, "418", "retry-after", "60"),
        (Fault::Redirect { status: 307, location: target.clone() }, "307", "location", &target),
    ] {
        let before = bench.venues.accepted().len();
        let acts = fault == Fault::StatusAfter(504);
        bench.venues.fault(fault);
        let (answer, _) = send(&bench.venues, &order());
        let (head, _) = split(&answer);
        assert_eq!(head.split(' ').nth(1), Some(status));
        assert_eq!(header(&head, name), Some(value), "{head}");
        assert_eq!(bench.venues.accepted().len() - before, usize::from(acts));
    }
}

#[test]
fn sends_bodies_that_are_not_what_they_should_be() {
    let bench = bench();
    let whole = good(&bench);
    let ask = |fault: Fault| {
        bench.venues.fault(fault);
        send(&bench.venues, &order()).0
    };

    let answer = ask(Fault::Gzip);
    let (head, body) = split(&answer);
    assert_eq!(header(&head, "content-encoding"), Some("gzip"));
    assert_eq!((&body[..2], body.len()), (&b"\x1f\x8b"[..], whole + 10 + 5 + 8));

    let answer = ask(Fault::LongBody(200_000));
    let (head, body) = split(&answer);
    assert_eq!(header(&head, "content-length"), None);
    assert!(body.len() > 200_000);

    let answer = ask(Fault::Headers(vec![("X-Mbx-Used-Weight-1m".to_owned(), "12".to_owned())]));
    assert_eq!(header(&split(&answer).0, "x-mbx-used-weight-1m"), Some("12"));
    assert!(ask(Fault::Garbage).starts_with(b"\x00\xff"));

    let start = Instant::now();
    ask(Fault::SlowBody { pieces: 5, pause: Duration::from_millis(20) });
    ask(Fault::Late(Duration::from_millis(60)));
    // Four pauses between five pieces, and once late.
    assert!(start.elapsed() >= Duration::from_millis(140));
    assert_eq!(bench.venues.accepted().len(), 7);

    bench.venues.fault(Fault::Silence);
    let (answer, end) = send(&bench.venues, &order());
    assert_eq!(answer, b"");
    assert_eq!(end.expect_err("nothing").kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn echoes_what_nobody_should_see() {
    let bench = bench();
    bench.venues.fault(Fault::Echo);
    let (answer, _) = send(&bench.venues, &order());
    let (head, body) = split(&answer);
    assert_eq!(header(&head, "x-echo-x-mbx-apikey"), Some(KEY));
    assert!(header(&head, "x-echo-target").is_some_and(|target| target.contains("&signature=")));
    let body: Value = serde_json::from_slice(body).expect("JSON");
    assert_eq!(body["status"], json!("NEW"));
    assert!(body["echo"]["target"].as_str().is_some_and(|target| target.contains("&signature=")));
    assert!(body["echo"]["headers"].to_string().contains(KEY));
}

#[test]
fn faults_are_for_the_paths_they_name_and_can_be_forgotten() {
    let bench = bench();
    bench.venues.fault_at("/api/v3/order", 2, Fault::Status(500));
    let time = "GET /api/v3/time HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    assert!(send(&bench.venues, time).0.starts_with(b"HTTP/1.1 200"));
    assert!(send(&bench.venues, &order()).0.starts_with(b"HTTP/1.1 500"));
    assert_eq!(bench.venues.clear_faults(), 1);
    good(&bench);
}

#[test]
fn every_request_takes_its_time() {
    let clock = std::sync::Arc::new(|| NOW_MS);
    let delay = Some(Duration::from_millis(30)..Duration::from_millis(40));
    let accounts = vec![account(Venue::Binance, KEY, SECRET)];
    let config = MockConfig { delay, ..MockConfig::new(accounts, clock) };
    let venues = MockVenues::start(config).expect("start");
    let start = Instant::now();
    for _ in 0..5 {
        assert!(send(&venues, &order()).0.starts_with(b"HTTP/1.1 200"));
    }
    assert!(start.elapsed() >= Duration::from_millis(150));
}

#[test]
fn keeps_what_arrived_to_the_byte() {
    let bench = bench();
    good(&bench);
    let accepted = bench.venues.accepted().pop().expect("accepted");
    assert_eq!(accepted.host, "api.binance.com");
    assert_eq!(accepted.target, format!("{}?{}", accepted.path, accepted.query));
    let names: Vec<&str> = accepted.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["host", "x-mbx-apikey", "connection", "content-length"]);
    assert!(accepted.header("x-mbx-apikey").eq([KEY]));
    assert!(!accepted.http2);

    // A public request is on record as well, down to a question mark with nothing after it.
    let mut stream = TcpStream::connect(bench.venues.address()).expect("connect");
    let head =
        b"GET /api/v3/exchangeInfo? HTTP/1.1\r\nHost: x\r\nA: \xe9\r\nConnection: close\r\n\r\n";
    stream.write_all(head).expect("write");
    stream.read_to_end(&mut Vec::new()).expect("read");
    let public = bench.venues.public().pop().expect("public");
    assert_eq!((public.target.as_str(), public.api_key.as_str()), ("/api/v3/exchangeInfo?", ""));
    assert!(public.header("a").eq(["é"]));
    assert_eq!(bench.venues.accepted().len(), 1);
    bench.venues.forget();
    assert_eq!((bench.venues.arrived(), bench.venues.accepted().len()), (0, 0));
}
