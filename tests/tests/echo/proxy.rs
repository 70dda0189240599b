//! The HTTPS proxy and its WebSockets: URL, headers, query, body, messages.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use vault_tests::{OKX_SCOPE, TestVault, wire};

use crate::{SHAPES, found, log_is_clean, nowhere, stderr_is_clean};

const ACCOUNT: &str = "/https://www.okx.com/api/v5/account/balance";
const KEY: &str = "ok-access-key: countersign:okx-main\r\n";

/// What an unfriendly bot might send, with `text` in one place of it.
fn requests(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let request = |line: &str, headers: &str, body: &[u8]| {
        let length = body.len();
        let head = format!(
            "{line}\r\nhost: vault\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n"
        );
        [head.as_bytes(), body].concat()
    };
    let get = |target: &str| request(&format!("GET {target} HTTP/1.1"), KEY, b"");
    let order = "POST /https://www.okx.com/api/v5/trade/order HTTP/1.1";
    let escaped: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let json = serde_json::Value::from(text).to_string();
    let upgrade = |target: &str| {
        let line = format!("GET {target} HTTP/1.1");
        request(
            &line,
            "upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: \
             AAAAAAAAAAAAAAAAAAAAAA==\r\n",
            b"",
        )
    };
    vec![
        ("the method", request(&format!("{text} {ACCOUNT} HTTP/1.1"), KEY, b"")),
        ("the target", get(text)),
        ("the target, escaped", get(&format!("/{escaped}"))),
        ("the scheme", get(&format!("/{text}://www.okx.com/api/v5/account/balance"))),
        ("the host", get(&format!("/https://{text}/api/v5/account/balance"))),
        ("the host, escaped", get(&format!("/https://{escaped}.okx.com/api"))),
        ("the path", get(&format!("/https://www.okx.com/api/v5/{text}"))),
        ("the path, escaped", get(&format!("/https://www.okx.com/api/v5/{escaped}"))),
        ("the query", get(&format!("{ACCOUNT}?{text}={text}"))),
        ("the query, escaped", get(&format!("{ACCOUNT}?ccy={escaped}&{escaped}=1"))),
        ("a fragment", get(&format!("{ACCOUNT}#{text}"))),
        ("a header's name", request(&format!("GET {ACCOUNT} HTTP/1.1"), &format!("{KEY}{text}: 1\r\n"), b"")),
        ("a header", request(&format!("GET {ACCOUNT} HTTP/1.1"), &format!("{KEY}x-a: {text}\r\n"), b"")),
        (
            "the credential",
            request(
                &format!("GET {ACCOUNT} HTTP/1.1"),
                &format!("ok-access-key: countersign:{text}\r\n"),
                b"",
            ),
        ),
        (
            "the vault's own headers",
            request(
                &format!("GET {ACCOUNT} HTTP/1.1"),
                &format!("{KEY}countersign-request-id: {text}\r\n"),
                b"",
            ),
        ),
        ("a body that is no JSON", request(order, KEY, text.as_bytes())),
        ("a parameter's name", request(order, KEY, format!("{{{json}:1}}").as_bytes())),
        ("a symbol", request(order, KEY, format!(r#"{{"instId":{json},"tdMode":"cash","side":"buy","ordType":"limit","px":"1","sz":"1"}}"#).as_bytes())),
        ("a size", request(order, KEY, format!(r#"{{"instId":"BTC-USDT","tdMode":"cash","side":"buy","ordType":"limit","px":"1","sz":{json}}}"#).as_bytes())),
        ("a word", request(order, KEY, format!(r#"{{"instId":"BTC-USDT","tdMode":{json},"side":{json},"ordType":"limit","px":"1","sz":"1"}}"#).as_bytes())),
        ("a double parameter", request(order, KEY, format!(r#"{{{json}:1,{json}:2}}"#).as_bytes())),
        ("a WebSocket's host", upgrade(&format!("/wss://{text}.okx.com/ws/v5/private"))),
        ("a WebSocket's path", upgrade(&format!("/wss://ws.okx.com/{escaped}"))),
        ("a WebSocket's query", upgrade(&format!("/wss://ws.okx.com/ws/v5/private?{escaped}"))),
        ("no HTTP", format!("{text}\r\n\r\n").into_bytes()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_of_the_proxy_repeats_what_was_sent() {
    let vault = TestVault::builder()
        .config("egress", "override", nowhere())
        .config("log", "level", "trace")
        .start()
        .await;
    vault.import_okx("okx-main").await;
    let scope = OKX_SCOPE.replace(r#"["sign"]"#, r#"["sign", "execute"]"#);
    vault.bot_identity("bot", &scope, &[]).await;
    let mut answered = 0;
    for shape in SHAPES {
        for (place, request) in requests(shape.what) {
            let answer = send(&vault, &request).await;
            answered += usize::from(answer.starts_with(b"HTTP/1.1 4"));
            assert_eq!(found(&answer), None, "{place}, {:.20}", shape.what);
        }
    }
    assert!(answered > 100, "only {answered} were refused with an answer");
    stderr_is_clean(&vault);
    log_is_clean(&vault);
}

async fn send(vault: &TestVault, request: &[u8]) -> Vec<u8> {
    let identity = vault.identity("bot");
    let mut tls = wire::tls(&identity, Some(&identity));
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let mut stream = wire::stream(tls, vault.ready().bot, None).await.expect("connected");
    // A server that has answered need not read on.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    // Nor say goodbye.
    let read = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(Duration::from_secs(5), read).await;
    answer
}
