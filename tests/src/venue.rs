//! Throwaway venue keys, the mock venues that know them, and requests for both.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use vault_client::v1::{CredentialMetadata, CredentialSecret, SignedRequest, VenueRequest};
use vault_client::{get, post};
use vault_mock_venue::{Account, MockConfig, MockVenues, Venue};

/// Key id at OKX. Made for tests; no venue knows it.
pub const OKX_KEY: &str = "harness-okx-0001";
/// Its secret.
pub const OKX_SECRET: &str = "7f3c9a51b2e84d06a1c5f8e2d4b60937";
/// Its passphrase.
pub const OKX_PASSPHRASE: &str = "harness-Passphrase-1";
/// Key id at Kraken.
pub const KRAKEN_KEY: &str = "harness-kraken-0001";
/// Its secret: 64 bytes in base64.
pub const KRAKEN_SECRET: &str =
    "aGFybmVzcy1rcmFrZW4tc2VjcmV0LW9mLTY0LWJ5dGVzLW1hZGUtZm9yLXRlc3RzLW9ubHktMDEyMzQ1Njc4OQ==";

/// Trades two pairs at OKX with the credential `okx-main`, from loopback.
pub const OKX_SCOPE: &str = r#"
name = "okx-demo"
description = "two pairs at OKX"
credentials = ["okx-main"]
classes = ["read", "trade", "cancel"]
modes = ["sign"]
products = ["spot"]

[symbols]
okx = ["BTC-USDT", "ETH-USDT"]

[network]
allow = ["127.0.0.0/8"]
"#;

/// Trades one pair at Kraken with the credential `kraken-main`, from loopback.
pub const KRAKEN_SCOPE: &str = r#"
name = "kraken-demo"
description = "one pair at Kraken"
credentials = ["kraken-main"]
classes = ["read", "trade", "cancel"]
modes = ["sign"]
products = ["spot"]

[symbols]
kraken = ["XBTUSD"]

[network]
allow = ["127.0.0.0/8"]
"#;

/// What an import of the OKX key says of it: live, all rights, and the passphrase may go to the bot.
pub fn okx_metadata(name: &str) -> CredentialMetadata {
    CredentialMetadata {
        name: name.to_owned(),
        venue: "okx".to_owned(),
        environment: "live".to_owned(),
        disclose_passphrase: true,
        ..Default::default()
    }
}

/// What is sealed at an import of the OKX key.
pub fn okx_secret() -> CredentialSecret {
    CredentialSecret {
        api_key: OKX_KEY.to_owned(),
        secret: OKX_SECRET.into(),
        passphrase: OKX_PASSPHRASE.into(),
        private_key_pem: Vec::new(),
    }
}

/// What an import of the Kraken key says of it.
pub fn kraken_metadata(name: &str) -> CredentialMetadata {
    CredentialMetadata {
        name: name.to_owned(),
        venue: "kraken".to_owned(),
        environment: "live".to_owned(),
        ..Default::default()
    }
}

/// What is sealed at an import of the Kraken key.
pub fn kraken_secret() -> CredentialSecret {
    CredentialSecret {
        api_key: KRAKEN_KEY.to_owned(),
        secret: KRAKEN_SECRET.into(),
        ..Default::default()
    }
}

/// The body of a limit order at OKX.
pub fn okx_order_body(symbol: &str, size: &str) -> String {
    format!(
        r#"{{"instId":"{symbol}","tdMode":"cash","side":"buy","ordType":"limit","px":"60000","sz":"{size}"}}"#
    )
}

/// A request to OKX.
pub fn okx_post(path: &str, body: impl Into<Vec<u8>>) -> VenueRequest {
    post(&format!("https://www.okx.com{path}"), body).expect("a URL")
}

/// A limit order at OKX.
pub fn okx_order(symbol: &str, size: &str) -> VenueRequest {
    okx_post("/api/v5/trade/order", okx_order_body(symbol, size))
}

/// Several limit orders at OKX in one request.
pub fn okx_batch(symbols: &[&str]) -> VenueRequest {
    let orders: Vec<String> = symbols.iter().map(|symbol| okx_order_body(symbol, "1")).collect();
    okx_post("/api/v5/trade/batch-orders", format!("[{}]", orders.join(",")))
}

/// Cancels one order at OKX.
pub fn okx_cancel(symbol: &str, order: &str) -> VenueRequest {
    okx_post("/api/v5/trade/cancel-order", format!(r#"{{"instId":"{symbol}","ordId":"{order}"}}"#))
}

/// Reads the balance at OKX.
pub fn okx_balance() -> VenueRequest {
    get("https://www.okx.com/api/v5/account/balance").expect("a URL")
}

/// Withdraws from OKX.
pub fn okx_withdrawal() -> VenueRequest {
    let body = r#"{"ccy":"BTC","amt":"1","dest":"4","toAddr":"bc1qexample"}"#;
    okx_post("/api/v5/asset/withdrawal", body)
}

/// A request to Kraken, form-encoded.
pub fn kraken_post(method: &str, body: impl Into<Vec<u8>>) -> VenueRequest {
    post(&format!("https://api.kraken.com/0/private/{method}"), body).expect("a URL")
}

/// A limit order at Kraken.
pub fn kraken_order(pair: &str, volume: &str) -> VenueRequest {
    let body = format!("pair={pair}&type=buy&ordertype=limit&price=60000&volume={volume}");
    kraken_post("AddOrder", body)
}

/// A limit order at Kraken that it takes until `deadline` only: a cap that counts asks for one, at
/// most 60 s ahead by the vault's clock ([`TestVault::now`](crate::TestVault::now)).
pub fn kraken_order_until(pair: &str, volume: &str, deadline: SystemTime) -> VenueRequest {
    let end = kraken_deadline(deadline);
    let body = format!("pair={pair}&type=buy&ordertype=limit&price=60000&volume={volume}&{end}");
    kraken_post("AddOrder", body)
}

/// The parameter `deadline` as a form has it.
pub fn kraken_deadline(at: SystemTime) -> String {
    format!("deadline={}", kraken_moment(at).replace(':', "%3A"))
}

/// A moment as Kraken reads it: RFC 3339, UTC, milliseconds.
pub fn kraken_moment(at: SystemTime) -> String {
    let millis = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let moment = i64::try_from(millis).ok().and_then(DateTime::from_timestamp_millis);
    moment.unwrap_or_default().to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Reads the balance at Kraken.
pub fn kraken_balance() -> VenueRequest {
    kraken_post("Balance", "")
}

/// Both mock venues, with the keys above.
pub struct Mocks(MockVenues);

impl Mocks {
    /// Starts them; their clock is this machine's plus an offset.
    ///
    /// # Panics
    ///
    /// If they do not start.
    pub fn start(clock_offset_s: i64) -> Self {
        let account = |venue, key: &str, secret: &str, passphrase: Option<&str>| Account {
            venue,
            api_key: key.to_owned(),
            secret: secret.to_owned(),
            passphrase: passphrase.map(str::to_owned),
            demo: false,
        };
        let accounts = vec![
            account(Venue::Okx, OKX_KEY, OKX_SECRET, Some(OKX_PASSPHRASE)),
            account(Venue::Kraken, KRAKEN_KEY, KRAKEN_SECRET, None),
        ];
        let clock = Arc::new(move || {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX) + clock_offset_s * 1_000
        });
        Self(MockVenues::start(MockConfig::new(accounts, clock)).expect("mock venues"))
    }

    /// What they have accepted and refused.
    pub fn venues(&self) -> &MockVenues {
        &self.0
    }

    /// Sends a signed request as it stands, and returns status and answer.
    ///
    /// # Panics
    ///
    /// If no answer comes.
    pub async fn send(&self, request: &SignedRequest) -> (u16, Value) {
        let exchange = exchange(self.0.address(), request);
        let answer = tokio::time::timeout(Duration::from_secs(30), exchange).await;
        let answer = answer.expect("an answer in time").expect("an answer");
        let answer = String::from_utf8(answer).expect("text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        (status, serde_json::from_str(body).expect("JSON"))
    }

    /// Sends a signed request that its venue must accept, and returns the answer.
    ///
    /// # Panics
    ///
    /// If it does not.
    pub async fn accept(&self, request: &SignedRequest) -> Value {
        let before = self.0.accepted().len();
        let (status, answer) = self.send(request).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(self.0.accepted().len(), before + 1, "not accepted: {answer}");
        answer
    }
}

impl std::fmt::Debug for Mocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mocks({})", self.0.address())
    }
}

async fn exchange(address: SocketAddr, request: &SignedRequest) -> io::Result<Vec<u8>> {
    let rest = request.url.split_once("://").map_or(request.url.as_str(), |(_, rest)| rest);
    let target = rest.find('/').map_or("/", |at| &rest[at..]);
    let mut head =
        format!("{} {target} HTTP/1.1\r\nhost: mock\r\nconnection: close\r\n", request.method);
    for header in &request.headers {
        head += &format!("{}: {}\r\n", header.name, header.value);
    }
    head += &format!("content-length: {}\r\n\r\n", request.body.len());
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&request.body).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}
