//! Nothing that a bot sends stands in a figure, in any place of a request.

use std::time::Duration;

use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use vault_client::v1;
use vault_tests::{TestVault, wire};

use crate::{answer, at, bot, builder, text};

/// In every text that is sent, and nowhere else.
const MARK: &str = "zqxj";

const SHAPES: [&str; 6] = [
    "zqxj",
    "ZQXJ",
    "zqxj\"} 1",
    "zqxj\n# TYPE zqxj counter\nzqxj 1",
    "zqxj two words",
    "zqxjäöü\u{202e}",
];

fn is_clean(text: &str) -> bool {
    !text.to_lowercase().contains(MARK)
}

/// A Sign with a mark in one place of it.
fn requests(mark: &str) -> Vec<v1::SignRequest> {
    let request = v1::VenueRequest {
        method: "POST".to_owned(),
        host: "www.okx.com".to_owned(),
        path: "/api/v5/trade/order".to_owned(),
        ..v1::VenueRequest::default()
    };
    let whole = v1::SignRequest {
        request_id: "one".to_owned(),
        credential: "okx-main".to_owned(),
        request: Some(request.clone()),
    };
    let with =
        |request: v1::VenueRequest| v1::SignRequest { request: Some(request), ..whole.clone() };
    let mark = || mark.to_owned();
    let header = v1::Header { name: mark(), value: mark() };
    vec![
        v1::SignRequest { request_id: mark(), ..whole.clone() },
        v1::SignRequest { credential: mark(), ..whole.clone() },
        with(v1::VenueRequest { method: mark(), ..request.clone() }),
        with(v1::VenueRequest { host: mark(), ..request.clone() }),
        with(v1::VenueRequest { host: format!("{}.okx.com", mark()), ..request.clone() }),
        with(v1::VenueRequest { path: format!("/{}", mark()), ..request.clone() }),
        with(v1::VenueRequest { query: format!("{}=1", mark()), ..request.clone() }),
        with(v1::VenueRequest { body: mark().into_bytes(), ..request.clone() }),
        with(v1::VenueRequest { headers: vec![header], ..request.clone() }),
        with(v1::VenueRequest {
            body: format!(r#"{{"instId":{:?},"tdMode":"cash"}}"#, mark()).into_bytes(),
            ..request
        }),
    ]
}

async fn through_the_proxy(vault: &TestVault, mark: &str) {
    let identity = vault.identity("bot");
    let mut tls = wire::tls(&identity, Some(&identity));
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let escaped: String = mark.bytes().map(|byte| format!("%{byte:02x}")).collect();
    for (target, headers) in [
        (format!("/https://{escaped}.okx.com/api/v5/account/balance"), String::new()),
        (format!("/https://www.okx.com/{escaped}"), String::new()),
        (
            "/https://www.okx.com/api/v5/account/balance".to_owned(),
            format!("ok-access-key: countersign:{}\r\nx-{MARK}: {MARK}\r\n", mark.trim()),
        ),
    ] {
        let mut stream =
            wire::stream(tls.clone(), vault.ready().bot, None).await.expect("connected");
        let head =
            format!("GET {target} HTTP/1.1\r\nhost: {MARK}\r\nconnection: close\r\n{headers}\r\n");
        // Whoever refuses need not read on.
        let _ = stream.write_all(head.as_bytes()).await;
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        let _ = tokio::time::timeout(Duration::from_secs(5), read).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_figure_repeats_what_a_bot_sends() {
    let vault = builder().start().await;
    bot(&vault).await;
    let identity = vault.identity("bot");
    let tls = wire::tls(&identity, Some(&identity));
    let channel = wire::channel(tls, vault.ready().bot, None).await.expect("connected");
    let mut refused = 0;
    for mark in SHAPES {
        for request in requests(mark) {
            let sign = request.encode_to_vec();
            let execute = v1::ExecuteRequest {
                request_id: request.request_id,
                credential: request.credential,
                request: request.request,
            };
            let execute = execute.encode_to_vec();
            for (method, request) in
                [("vault.v1.SignService/Sign", sign), ("vault.v1.ExecuteService/Execute", execute)]
            {
                refused += usize::from(wire::call(&channel, method, request).await.is_err());
            }
        }
        // A call that nobody serves.
        let method = format!("vault.v1.SignService/{MARK}");
        refused += usize::from(wire::call(&channel, &method, Vec::new()).await.is_err());
        through_the_proxy(&vault, mark).await;
    }
    assert!(refused > 100, "only {refused} were refused");

    // What asks for figures is no more heard than anybody else.
    for request in [
        format!("GET /{MARK} HTTP/1.1\r\nhost: {MARK}\r\n\r\n"),
        format!("{MARK} /metrics HTTP/1.1\r\nhost: localhost\r\n{MARK}: {MARK}\r\n\r\n"),
        format!("GET /metrics?{MARK}={MARK} HTTP/1.1\r\nhost: localhost\r\nx: {MARK}\r\n\r\n"),
    ] {
        let answer = answer(at(&vault), &request).await;
        assert!(is_clean(&answer), "{answer}");
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let text = text(&vault).await;
    let line = text.lines().find(|line| !is_clean(line));
    assert_eq!(line, None, "a line of the figures");
    // They were seen all the same.
    assert!(text.contains("countersign_denials_total{"), "{text}");
}
