//! A vault whose egress finds mock venues where the real ones would be, and requests to it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use vault_client::v1::{
    CredentialMetadata, CredentialSecret, ImportInstrumentsCommand, Instrument, VenueRequest,
};
use vault_client::{Client, ExecuteOrder, get};
use vault_mock_venue::{Account, MockConfig, MockVenues, Tls, Venue};
use vault_tests::{
    KRAKEN_KEY, KRAKEN_SECRET, OKX_KEY, OKX_PASSPHRASE, OKX_SECRET, TestVault, wire,
};

/// Keys made for tests; no venue knows them.
pub const BINANCE_KEY: &str = "harness-binance-0001";
pub const BINANCE_SECRET: &str = "canary-binance-5d1f0c7e9a42b863d7e04c9b";
pub const BYBIT_KEY: &str = "harness-bybit-0001";
pub const BYBIT_SECRET: &str = "canary-bybit-83b1c5f20e7d946a1b5c0d2e";
pub const COINBASE_KEY: &str = "organizations/harness/apiKeys/0001";

/// A spot trader at all five venues, and a reader of everything.
pub const TRADER: &str = r#"
name = "trader"
credentials = ["binance-main", "bybit-main", "coinbase-main", "kraken-main", "okx-main"]
classes = ["public", "read", "trade", "cancel"]
modes = ["execute"]
products = ["spot", "linear"]

[symbols]
binance = ["BTCUSDT"]
bybit = ["BTCUSDT"]
coinbase = ["BTC-USD"]
kraken = ["XXBTZUSD", "XBTUSD"]
okx = ["BTC-USDT"]

[orders.max_quantity.binance]
BTCUSDT = "10"

[orders.max_quantity.bybit]
BTCUSDT = "10"

[orders.max_quantity.coinbase]
BTC-USD = "10"

[orders.max_quantity.kraken]
XXBTZUSD = "10"
XBTUSD = "10"

[orders.max_quantity.okx]
BTC-USDT = "10"

[network]
allow = ["127.0.0.0/8"]
"#;

/// A vault, mock venues behind it, and the bot `bot`.
pub struct Bed {
    pub vault: TestVault,
    pub mocks: MockVenues,
}

/// What may be special about a bed.
#[derive(Default)]
pub struct Wishes {
    /// Of every answer.
    pub delay: Option<std::ops::Range<Duration>>,
    /// `[egress] timeout_ms`.
    pub timeout_ms: Option<i64>,
    /// Hosts whose name is asked for, instead of an override: none but these reach the mocks.
    pub overridden: Option<&'static str>,
    /// Runs everything as this user and group; needs root.
    pub user: Option<(u32, u32)>,
}

impl Bed {
    /// With a bot that holds the scope.
    pub async fn start(scope: &str) -> Self {
        Self::with(scope, Wishes::default()).await
    }

    pub async fn with(scope: &str, wishes: Wishes) -> Self {
        let coinbase = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
        let account = |venue, key: &str, secret: &str, passphrase: Option<&str>| Account {
            venue,
            api_key: key.to_owned(),
            secret: secret.to_owned(),
            passphrase: passphrase.map(str::to_owned),
            demo: false,
        };
        let accounts = vec![
            account(Venue::Binance, BINANCE_KEY, BINANCE_SECRET, None),
            account(Venue::Bybit, BYBIT_KEY, BYBIT_SECRET, None),
            account(Venue::Coinbase, COINBASE_KEY, &coinbase.public_key_pem(), None),
            account(Venue::Kraken, KRAKEN_KEY, KRAKEN_SECRET, None),
            account(Venue::Okx, OKX_KEY, OKX_SECRET, Some(OKX_PASSPHRASE)),
        ];
        let config = MockConfig {
            tls: Some(Tls::made()),
            delay: wishes.delay.clone(),
            ..MockConfig::new(accounts, Arc::new(now_ms))
        };
        let mocks = MockVenues::start(config).expect("mock venues");

        let mut builder = TestVault::builder();
        if let Some((user, group)) = wishes.user {
            builder = builder.user(user, group);
        }
        let ca = tempfile::Builder::new().prefix("countersign-ca-").tempdir().expect("a folder");
        // The vault reads it at its start, perhaps as somebody else; the folder may go after that.
        let ca = ca.keep().join("venues-ca.pem");
        std::fs::write(&ca, mocks.ca_pem().expect("an authority")).expect("written");
        open_to_all(&ca);
        let hosts = wishes.overridden.unwrap_or("*");
        let place = toml::Table::from_iter([
            ("host".to_owned(), hosts.into()),
            ("connect".to_owned(), mocks.tls_address().expect("TLS").to_string().into()),
            ("ca_file".to_owned(), ca.to_str().expect("plain").into()),
        ]);
        builder = builder.config("egress", "override", vec![toml::Value::Table(place)]);
        if let Some(timeout_ms) = wishes.timeout_ms {
            builder = builder.config("egress", "timeout_ms", timeout_ms);
        }
        let vault = builder.start().await;
        let bed = Self { vault, mocks };
        bed.import("binance", BINANCE_KEY, BINANCE_SECRET).await;
        bed.import("bybit", BYBIT_KEY, BYBIT_SECRET).await;
        bed.import("kraken", KRAKEN_KEY, KRAKEN_SECRET).await;
        let okx = CredentialSecret {
            api_key: OKX_KEY.to_owned(),
            secret: OKX_SECRET.into(),
            passphrase: OKX_PASSPHRASE.into(),
            ..Default::default()
        };
        bed.import_secret("okx", okx).await;
        let coinbase = CredentialSecret {
            api_key: COINBASE_KEY.to_owned(),
            private_key_pem: coinbase.serialize_pem().into(),
            ..Default::default()
        };
        bed.import_secret("coinbase", coinbase).await;
        bed.approve().await;
        bed.vault.bot_identity("bot", scope, &[]).await;
        bed
    }

    /// Approves the markets that bots of these tests trade, so that sizes can be measured.
    async fn approve(&self) {
        let markets = [
            ("binance", "spot", "BTCUSDT", "USDT"),
            ("binance", "linear", "BTCUSDT", "USDT"),
            ("bybit", "spot", "BTCUSDT", "USDT"),
            ("coinbase", "spot", "BTC-USD", "USD"),
            ("kraken", "spot", "XXBTZUSD", "USD"),
            ("kraken", "spot", "XBTUSD", "USD"),
            ("okx", "spot", "BTC-USDT", "USDT"),
        ];
        let instruments = markets.map(|(venue, product, symbol, quote)| Instrument {
            venue: venue.to_owned(),
            product: product.to_owned(),
            symbol: symbol.to_owned(),
            base: "BTC".to_owned(),
            quote: quote.to_owned(),
            contract_size: "1".to_owned(),
            size_unit: "base".to_owned(),
            reference: format!("BTC/{quote}"),
            ..Default::default()
        });
        let import = ImportInstrumentsCommand { instruments: instruments.to_vec() };
        self.vault.admin().await.import_instruments(import).await.expect("approved");
    }

    async fn import(&self, venue: &str, api_key: &str, secret: &str) {
        let secret = CredentialSecret {
            api_key: api_key.to_owned(),
            secret: secret.into(),
            ..Default::default()
        };
        self.import_secret(venue, secret).await;
    }

    async fn import_secret(&self, venue: &str, secret: CredentialSecret) {
        let metadata = CredentialMetadata {
            name: format!("{venue}-main"),
            venue: venue.to_owned(),
            environment: "live".to_owned(),
            ..Default::default()
        };
        self.vault.admin().await.import_unchecked(metadata, secret).await.expect("imported");
    }

    pub async fn bot(&self) -> Client {
        self.vault.connect_bot("bot").await
    }

    /// Sends bytes over a new connection of the bot that offers `alpn`, and reads to the end.
    pub async fn raw(&self, alpn: &[&[u8]], bytes: &[u8]) -> Vec<u8> {
        self.raw_of("bot", alpn, bytes).await
    }

    async fn raw_of(&self, bot: &str, alpn: &[&[u8]], bytes: &[u8]) -> Vec<u8> {
        let identity = self.vault.identity(bot);
        let mut tls = wire::tls(&identity, Some(&identity));
        tls.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let stream = wire::stream(tls, self.vault.ready().bot, None).await;
        let mut stream = stream.expect("connected");
        // A server that has answered need not read on.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        // Nor say goodbye; and where it waits for more, what it has said so far is its answer.
        let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
        answer
    }

    /// Sends one HTTP/1.1 request with `Connection: close`; `head` is its first line and headers.
    pub async fn http(&self, head: &str, body: &str) -> Answer {
        self.http_of("bot", head, body).await
    }

    /// The same, of another bot.
    pub async fn http_of(&self, bot: &str, head: &str, body: &str) -> Answer {
        let length = match body.is_empty() {
            true => String::new(),
            false => format!("content-length: {}\r\n", body.len()),
        };
        let head = head.replace('\n', "\r\n");
        let text = format!("{head}\r\nhost: vault\r\nconnection: close\r\n{length}\r\n{body}");
        Answer::parse(&self.raw_of(bot, &[b"http/1.1"], text.as_bytes()).await)
    }

    /// The entries of these kinds, as the log has them.
    pub fn entries(&self, kind: vault_audit::EntryKind) -> Vec<vault_audit::Entry> {
        self.vault.log_entries().into_iter().filter(|entry| entry.kind == kind).collect()
    }

    /// Waits until so many entries of a kind are in the log.
    pub async fn logged(
        &self,
        kind: vault_audit::EntryKind,
        count: usize,
    ) -> Vec<vault_audit::Entry> {
        for _ in 0..600 {
            let entries = self.entries(kind);
            if entries.len() >= count {
                return entries;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("fewer than {count} entries of {kind:?}");
    }

    /// The address of the bots' listener.
    pub fn bots(&self) -> SocketAddr {
        self.vault.ready().bot
    }

    /// Files of a bot's identity: certificate, key, CA.
    pub fn identity_files(&self, bot: &str) -> [PathBuf; 3] {
        ["cert.pem", "key.pem", "ca.pem"].map(|name| self.vault.identity_folder(bot).join(name))
    }
}

/// A response in HTTP/1.1.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let Some(end) = end else {
            return Self { status: 0, head: String::new(), body: bytes.to_vec() };
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        let mut body = bytes[end + 4..].to_vec();
        if head.contains("transfer-encoding: chunked") {
            body = dechunked(&body);
        }
        Self { status, head, body }
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| {
            panic!("JSON: {} {:?}", self.status, String::from_utf8_lossy(&self.body))
        })
    }

    /// The vault's own reason.
    pub fn reason(&self) -> String {
        let body = self.json();
        for name in ["code", "error", "msg"] {
            assert!(body.get(name).is_none(), "{name} misleads ccxt: {body}");
        }
        body["countersign"]["reason"].as_str().unwrap_or_default().to_owned()
    }
}

fn dechunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&bytes[..end]).ok();
        let Some(size) = size.and_then(|size| usize::from_str_radix(size.trim(), 16).ok()) else {
            break;
        };
        let Some(chunk) = bytes.get(end + 2..end + 2 + size) else { break };
        whole.extend_from_slice(chunk);
        bytes = bytes.get(end + 4 + size..).unwrap_or_default();
    }
    whole
}

pub fn execute(credential: &str, request: VenueRequest) -> ExecuteOrder {
    ExecuteOrder { credential: credential.to_owned(), request, ..Default::default() }
}

/// An order at Binance spot.
pub fn binance_order(symbol: &str, quantity: &str) -> VenueRequest {
    let query = format!(
        "symbol={symbol}&side=BUY&type=LIMIT&timeInForce=GTC&quantity={quantity}&price=50000"
    );
    let mut request = get("https://api.binance.com/api/v3/order").expect("a URL");
    request.method = "POST".to_owned();
    request.query = query;
    request
}

pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn open_to_all(file: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let set = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("set");
    };
    set(file, 0o644);
    set(file.parent().expect("a folder"), 0o755);
}

/// The Python that has ccxt; `None` says on stderr that a test is skipped.
pub fn python() -> Option<PathBuf> {
    let named = std::env::var_os("COUNTERSIGN_PYTHON").map(PathBuf::from);
    let bundled = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/ci-env/bin/python");
    let found = named.unwrap_or(bundled);
    let works = std::process::Command::new(&found)
        .args(["-c", "import ccxt; assert ccxt.__version__ == '4.5.90'"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if works {
        return Some(found);
    }
    let required =
        ["COUNTERSIGN_REQUIRE_CCXT", "CI"].iter().any(|name| std::env::var_os(name).is_some());
    assert!(!required, "{} has no ccxt 4.5.90", found.display());
    eprintln!("SKIPPED: no Python with ccxt 4.5.90 ({})", found.display());
    None
}
