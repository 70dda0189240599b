//! What is sent.

use std::sync::Arc;

use vault_client::v1::{self, CredentialSecret, VenueRequest};
use vault_client::{Client, Signed};
use vault_tests::{kraken_order, okx_order, okx_order_body, okx_post, okx_withdrawal, order};

pub async fn signs(bot: Arc<Client>, task: usize, count: usize) -> Vec<Signed> {
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let wanted = match task % 2 {
            0 => order("okx-open", okx_order("BTC-USDT", "0.001")),
            _ => order("kraken-main", kraken_order("XBTUSD", "0.001")),
        };
        all.push(bot.sign(wanted).await.expect("signed"));
    }
    all
}

/// Requests that are refused, with `input` in every part that can hold it.
pub fn wrong_requests(input: &str, symbol: &str) -> Vec<(&'static str, v1::SignRequest)> {
    let good = || okx_order("BTC-USDT", "1");
    let header = |name: &str, value: &str| VenueRequest {
        headers: vec![v1::Header { name: name.to_owned(), value: value.to_owned() }],
        ..good()
    };
    let body = |body: String| okx_post("/api/v5/trade/order", body);
    let requests = [
        ("a withdrawal", okx_withdrawal()),
        ("a symbol", okx_order(&format!("BTC-{symbol}"), "1")),
        ("a quantity", body(okx_order_body("BTC-USDT", input))),
        ("a parameter", body(format!(r#"{{"instId":"BTC-USDT","{input}":"{input}"}}"#))),
        ("a parameter's type", body(format!(r#"{{"instId":["{input}"]}}"#))),
        ("a double parameter", body(format!(r#"{{"sz":"{input}","sz":"{input}"}}"#))),
        ("no JSON", body(format!("{{{input}"))),
        ("no text", okx_post("/api/v5/trade/order", [b"\xff", input.as_bytes()].concat())),
        ("a path", okx_post(&format!("/api/v5/{input}"), "")),
        ("an encoded path", okx_post(&format!("/api/v5/trade/order%2f{input}"), "")),
        ("a query", VenueRequest { query: format!("{input}={input}"), ..good() }),
        ("a method", VenueRequest { method: input.to_owned(), ..good() }),
        ("a scheme", VenueRequest { scheme: input.to_owned(), ..good() }),
        ("a host", VenueRequest { host: format!("{input}.okx.com"), ..good() }),
        ("a header", header(input, input)),
        ("a header's value", header("content-type", input)),
        ("the vault's own header", header("OK-ACCESS-KEY", input)),
    ];
    let sign = |request_id: &str, credential: &str, request| v1::SignRequest {
        request_id: request_id.to_owned(),
        credential: credential.to_owned(),
        request: Some(request),
    };
    let mut all: Vec<_> = requests
        .into_iter()
        .enumerate()
        .map(|(index, (what, request))| (what, sign(&format!("w-{index}"), "okx-open", request)))
        .collect();
    all.push(("a credential", sign("w-a", &input.to_lowercase(), good())));
    all.push(("an odd credential", sign("w-b", &format!("{input} {input}"), good())));
    all.push(("a request id", sign(&format!("{input} {input}"), "okx-open", good())));
    all.push(("a long request id", sign(&input.repeat(4), "okx-open", good())));
    all
}

pub fn secret(api_key: &str, secret: &str, passphrase: &str) -> CredentialSecret {
    CredentialSecret {
        api_key: api_key.to_owned(),
        secret: secret.into(),
        passphrase: passphrase.into(),
        private_key_pem: Vec::new(),
    }
}

pub fn okx_secret(secret_text: &str, passphrase: &str) -> CredentialSecret {
    secret("leaks-okx-0001", secret_text, passphrase)
}
