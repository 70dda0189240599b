//! What is no request to a venue is refused, whatever form it takes.

use crate::bed::{Bed, TRADER, Wishes};

const KEY: &str = "x-mbx-apikey: countersign:binance-main";

#[tokio::test(flavor = "multi_thread")]
async fn both_forms_of_a_target_reach_the_venue() {
    let bed = Bed::start(TRADER).await;
    for target in [
        "/https://api.binance.com/api/v3/openOrders?symbol=BTCUSDT&timestamp=1&signature=ab",
        "/https%3A%2F%2Fapi.binance.com%2Fapi%2Fv3%2FopenOrders%3Fsymbol%3DBTCUSDT%26timestamp%3D1%26signature%3Dab",
        "/https%3a%2f%2fapi.binance.com%2fapi%2fv3%2fopenOrders%3fsymbol%3dBTCUSDT",
    ] {
        let answer = bed.http(&format!("GET {target} HTTP/1.1\n{KEY}"), "").await;
        assert_eq!((answer.status, answer.body.as_slice()), (200, b"[]".as_slice()), "{target}");
        assert!(answer.head.contains("countersign-entry: "), "{}", answer.head);
    }
    for arrived in bed.mocks.accepted() {
        assert_eq!(arrived.path, "/api/v3/openOrders");
        assert!(arrived.query.starts_with("symbol=BTCUSDT&"), "{}", arrived.query);
        assert!(!arrived.query.contains("timestamp=1&"), "{}", arrived.query);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_that_are_not_plain_are_refused() {
    let bed = Bed::start(TRADER).await;
    let cases = [
        ("http://api.binance.com/api/v3/time", "another scheme"),
        ("wss://stream.binance.com/ws", "a WebSocket without its handshake"),
        ("https://user:pass@api.binance.com/api/v3/time", "userinfo"),
        ("https://api.binance.com@evil.example/api/v3/time", "userinfo"),
        ("https://api.binance.com:443/api/v3/time", "a port"),
        ("https://api.binance.com:8443/api/v3/time", "a port"),
        ("https://API.BINANCE.COM/api/v3/time", "case of the host"),
        ("https://api.binance.com./api/v3/time", "a dot at the end"),
        ("https://xn--bnance-q4a.com/api/v3/time", "IDN"),
        ("https://api.b%69nance.com/api/v3/time", "an escape in the host"),
        ("https://[::1]/api/v3/time", "an IPv6 literal"),
        ("https://127.0.0.1/api/v3/time", "an IPv4 literal"),
        ("https://2130706433/api/v3/time", "an IPv4 number"),
        ("https://evil.example/api/v3/time", "a host of nobody's"),
        ("https://evil-binance.com/api/v3/time", "a host of nobody's"),
        ("https://api.binance.com.evil.example/api/v3/time", "a host of nobody's"),
        ("https://www.okx.com/api/v3/time", "a path of another venue's"),
        ("https:///api/v3/time", "no host"),
        ("https://api.binance.com/api/v3/../v3/time", "dot segments"),
        ("https://api.binance.com//api/v3/time", "an empty segment"),
        ("https://api.binance.com/api/v3/%74ime", "an escape in the path"),
        ("https://api.binance.com/api/v3/time;x=1", "a path parameter"),
        ("https://api.binance.com\\evil.example/api/v3/time", "a backslash"),
        ("https%3A%2F%2Fapi.binance.com%2Fapi%2Fv3%2Ftime%23frag", "a fragment"),
        ("https%253A%252F%252Fapi.binance.com%252Fapi%252Fv3%252Ftime", "encoded twice"),
        ("https%3A%2F%2Fapi.binance.com%2Fapi%2Fv3%2F%2574ime", "encoded twice, in the path"),
        ("https%3A%2F%2Fapi.binance.com%2Fapi%2Fv3%2Ftime%0D%0AX-Evil:1", "a header in the target"),
        ("https%3A%2F%2Fapi.binance.com%2Fapi%2Fv3%2Ftime%00", "a zero byte"),
        ("https%3A%2F%2Fapi.binance.com%2Fapi%2Fv3%2Ftime?symbol=BTCUSDT", "a query outside"),
        ("ftp://api.binance.com/", "another scheme"),
        ("//api.binance.com/api/v3/time", "no scheme"),
        ("", "nothing"),
    ];
    for (target, what) in cases {
        let answer = bed.http(&format!("GET /{target} HTTP/1.1"), "").await;
        assert!([400, 404, 422, 426].contains(&answer.status), "{what}: {target}: {answer:?}");
        if !answer.body.is_empty() {
            assert!(!answer.reason().is_empty(), "{what}: {target}");
        }
    }
    assert_eq!(bed.mocks.arrived(), 0, "nothing was sent");
    let fine = bed.http("GET /https://api.binance.com/api/v3/time HTTP/1.1", "").await;
    assert_eq!(fine.status, 200, "{fine:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_within_requests_are_refused() {
    let bed = Bed::start(TRADER).await;
    let target = "/https://api.binance.com/api/v3/time";
    let cases = [
        format!(
            "POST {target} HTTP/1.1\r\nhost: v\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET {target} HTTP/1.1\r\nhost: v\r\n\r\n"
        ),
        format!(
            "POST {target} HTTP/1.1\r\nhost: v\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nabcde"
        ),
        format!(
            "POST {target} HTTP/1.1\r\nhost: v\r\ntransfer-encoding: chunked, identity\r\n\r\nabc"
        ),
        format!("POST {target} HTTP/1.1\r\nhost: v\r\ntransfer-encoding: xchunked\r\n\r\nabc"),
        format!("POST {target} HTTP/1.1\r\nhost: v\r\ncontent-length: +4\r\n\r\nabcd"),
        format!("GET {target} HTTP/1.1\r\nhost: v\r\nx-a: 1\r\n x-b: folded\r\n\r\n"),
        format!("GET {target} HTTP/1.1\r\nhost : v\r\n\r\n"),
        format!("GET {target} HTTP/1.1\r\nhost: v\r\nx-a: b\0c\r\n\r\n"),
        "GET https://api.binance.com/api/v3/time HTTP/1.1\r\nhost: api.binance.com\r\n\r\n"
            .to_owned(),
        "CONNECT api.binance.com:443 HTTP/1.1\r\nhost: api.binance.com:443\r\n\r\n".to_owned(),
        format!(
            "GET {target} HTTP/1.1\r\nhost: v\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"
        ),
        format!("GET {target} HTTP/1.1\r\nhost: v\r\nexpect: 200-maybe\r\n\r\n"),
        format!("TRACE {target} HTTP/1.1\r\nhost: v\r\nconnection: close\r\n\r\n"),
        format!("GET {target} HTTP/0.9\r\n\r\n"),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
    ];
    for case in &cases {
        let close = case.replacen("host: v\r\n", "host: v\r\nconnection: close\r\n", usize::MAX);
        let answer =
            String::from_utf8_lossy(&bed.raw(&[b"http/1.1"], close.as_bytes()).await).into_owned();
        let is_refused = answer.is_empty() || answer.starts_with("HTTP/1.1 4");
        assert!(is_refused, "{case:?}\n{answer}");
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{case:?}\n{answer}");
    }
    assert_eq!(bed.mocks.arrived(), 0, "nothing was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_key_is_told_to_go_and_never_sent() {
    let bed = Bed::start(TRADER).await;
    let real = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A";
    let head =
        format!("GET /https://api.binance.com/api/v3/account HTTP/1.1\nx-mbx-apikey: {real}");
    let answer = bed.http(&head, "").await;
    assert_eq!((answer.status, answer.reason().as_str()), (422, "KEY_NOT_PLACEHOLDER"));
    assert!(!String::from_utf8_lossy(&answer.body).contains(real));
    assert_eq!(bed.mocks.arrived(), 0);
    let entries = bed.vault.log_entries();
    assert!(entries.iter().all(|entry| !format!("{entry:?}").contains(real)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_to_a_private_address_is_not_followed() {
    // Only OKX is led to the mocks; whatever else is asked for by name has no address here, or none
    // that may be used.
    let wishes = Wishes { overridden: Some("www.okx.com"), ..Default::default() };
    let bed = Bed::with(TRADER, wishes).await;
    let answer = bed.http("GET /https://api.kraken.com/0/public/Time HTTP/1.1", "").await;
    assert_eq!((answer.status, answer.reason().as_str()), (502, "NOT_SENT"), "{answer:?}");
    let answer = bed.http("GET /https://www.okx.com/api/v5/public/time HTTP/1.1", "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
}
