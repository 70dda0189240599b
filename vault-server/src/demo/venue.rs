//! The mock venues, throwaway keys for them, and the way of a signed request there.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use vault_client::v1::{CredentialSecret, SignedRequest};
use vault_mock_venue::{Accepted, Account, MockConfig, MockVenues, Refused, Tls, Venue};

use super::mismatch::{Mismatch, instead_of};

/// The venues, and the keys that they know. The keys are made anew each time.
pub struct Venues {
    mock: MockVenues,
    binance: Keys,
    binance_pair: KeyPair,
    kraken: Keys,
    okx: Keys,
}

/// A key that the venue made.
struct Keys {
    api_key: String,
    secret: String,
    passphrase: Option<String>,
}

/// A key that its owner made, both halves in PEM; the venue gets the public one.
struct KeyPair {
    api_key: String,
    private_key: String,
    public_key: String,
}

impl Venues {
    /// Makes keys and opens the venues.
    pub fn open() -> Result<Self, Mismatch> {
        let okx =
            Keys { api_key: random_hex()?, secret: random_hex()?, passphrase: Some(random_hex()?) };
        // 64 hex digits are base64 too, of 48 bytes.
        let kraken = Keys { api_key: random_hex()?, secret: random_hex()?, passphrase: None };
        let binance = Keys { api_key: random_hex()?, secret: random_hex()?, passphrase: None };
        let binance_pair = KeyPair::make()?;
        let account = |venue, keys: &Keys| Account {
            venue,
            api_key: keys.api_key.clone(),
            secret: keys.secret.clone(),
            passphrase: keys.passphrase.clone(),
            demo: false,
        };
        let accounts = vec![
            account(Venue::Okx, &okx),
            account(Venue::Kraken, &kraken),
            account(Venue::Binance, &binance),
            binance_pair.at_venue(Venue::Binance),
        ];
        let config =
            MockConfig { tls: Some(Tls::made()), ..MockConfig::new(accounts, Arc::new(now_ms)) };
        let mock = MockVenues::start(config).map_err(instead_of("mock venues on a free port"))?;
        Ok(Self { mock, binance, binance_pair, kraken, okx })
    }

    /// Where they listen: plain HTTP.
    pub fn address(&self) -> SocketAddr {
        self.mock.address()
    }

    /// Where they listen with TLS: for the vault.
    pub fn tls_address(&self) -> Result<SocketAddr, Mismatch> {
        self.mock.tls_address().ok_or_else(|| Mismatch::new("mock venues with TLS", "none"))
    }

    /// The authority behind their certificate, PEM.
    pub fn ca_pem(&self) -> Result<&str, Mismatch> {
        self.mock.ca_pem().ok_or_else(|| Mismatch::new("an authority of the mock venues", "none"))
    }

    /// The Binance key with a shared secret, as it is imported.
    pub fn binance_secret(&self) -> CredentialSecret {
        self.binance.as_secret()
    }

    /// The Binance key that its owner made, as it is imported.
    pub fn binance_private_key(&self) -> CredentialSecret {
        self.binance_pair.as_secret()
    }

    /// The OKX key, as it is imported.
    pub fn okx_secret(&self) -> CredentialSecret {
        self.okx.as_secret()
    }

    /// The Kraken key, as it is imported.
    pub fn kraken_secret(&self) -> CredentialSecret {
        self.kraken.as_secret()
    }

    /// How many requests arrived, whatever became of them.
    pub fn arrived(&self) -> usize {
        self.mock.arrived()
    }

    /// Requests that a venue accepted.
    pub fn accepted(&self) -> Vec<Accepted> {
        self.mock.accepted()
    }

    /// Requests that a venue refused.
    pub fn refused(&self) -> Vec<Refused> {
        self.mock.refused()
    }

    /// Sends a signed request as it stands, but to the mock, and returns the venue's answer.
    pub async fn send(&self, request: &SignedRequest) -> Result<Value, Mismatch> {
        let wire = to_http(request)?;
        let answer = timeout(ANSWER, exchange(self.address(), &wire))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(instead_of("an answer of the mock venue"))?;
        let head_end = answer.windows(4).position(|four| four == b"\r\n\r\n");
        let body = head_end.and_then(|at| answer.get(at + 4..)).unwrap_or_default();
        serde_json::from_slice(body).map_err(instead_of("an answer of the mock venue in JSON"))
    }
}

impl Keys {
    fn as_secret(&self) -> CredentialSecret {
        CredentialSecret {
            api_key: self.api_key.clone(),
            secret: self.secret.clone().into_bytes(),
            passphrase: self.passphrase.clone().unwrap_or_default().into_bytes(),
            private_key_pem: Vec::new(),
        }
    }
}

impl KeyPair {
    /// Makes an Ed25519 key in the two texts that `openssl genpkey` and `openssl pkey` write.
    fn make() -> Result<Self, Mismatch> {
        let seed: [u8; 32] = random()?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed)
            .map_err(|_| Mismatch::new("an Ed25519 key", "none"))?;
        Ok(Self {
            api_key: random_hex()?,
            private_key: pem("PRIVATE KEY", &[ED25519_PKCS8_HEAD, &seed].concat()),
            public_key: pem(
                "PUBLIC KEY",
                &[ED25519_SPKI_HEAD, pair.public_key().as_ref()].concat(),
            ),
        })
    }

    fn at_venue(&self, venue: Venue) -> Account {
        Account {
            venue,
            api_key: self.api_key.clone(),
            secret: self.public_key.clone(),
            passphrase: None,
            demo: false,
        }
    }

    fn as_secret(&self) -> CredentialSecret {
        CredentialSecret {
            api_key: self.api_key.clone(),
            private_key_pem: self.private_key.clone().into_bytes(),
            ..CredentialSecret::default()
        }
    }
}

/// A PEM block of one line, which is all that an Ed25519 key needs.
fn pem(label: &str, der: &[u8]) -> String {
    let body = BASE64_STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

/// The bytes of a request in HTTP/1.1: URL, headers and body as the vault gave them.
fn to_http(request: &SignedRequest) -> Result<Vec<u8>, Mismatch> {
    let url = request.url.strip_prefix("https://");
    let (host, target) = url
        .and_then(|rest| rest.find('/').map(|at| rest.split_at(at)))
        .ok_or_else(|| Mismatch::new("a signed request with an https URL", "another URL"))?;
    let mut head = format!("{} {target} HTTP/1.1\r\nhost: {host}\r\n", request.method);
    for header in &request.headers {
        head += &format!("{}: {}\r\n", header.name, header.value);
    }
    head += &format!("content-length: {}\r\nconnection: close\r\n\r\n", request.body.len());
    Ok([head.as_bytes(), &request.body].concat())
}

async fn exchange(address: SocketAddr, wire: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(wire).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    Ok(answer)
}

/// 64 random hex digits.
fn random_hex() -> Result<String, Mismatch> {
    random().map(hex::encode)
}

fn random() -> Result<[u8; 32], Mismatch> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Mismatch::new("random bytes", "none"))?;
    Ok(bytes)
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// What stands before the 32 bytes of an Ed25519 seed in PKCS#8, and before those of a public key in
/// SubjectPublicKeyInfo. Source: RFC 8410, sections 10.1 and 10.3.
const ED25519_PKCS8_HEAD: &[u8] =
    &[0x30, 0x2e, 0x02, 0x01, 0, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
const ED25519_SPKI_HEAD: &[u8] =
    &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0];
const ANSWER: Duration = Duration::from_secs(5);
const ANSWER_BYTES_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use vault_client::v1::{Header, SignedRequest};

    use super::to_http;

    #[test]
    fn a_request_is_sent_as_it_stands() {
        let header = |name: &str, value: &str| Header { name: name.into(), value: value.into() };
        let request = SignedRequest {
            method: "POST".to_owned(),
            url: "https://www.okx.com/api/v5/trade/order?a=%41".to_owned(),
            headers: vec![header("OK-ACCESS-KEY", "k")],
            body: b"{ }".to_vec(),
        };

        let wire = to_http(&request).expect("an https URL");
        assert_eq!(
            String::from_utf8_lossy(&wire),
            "POST /api/v5/trade/order?a=%41 HTTP/1.1\r\nhost: www.okx.com\r\nOK-ACCESS-KEY: k\r\n\
             content-length: 3\r\nconnection: close\r\n\r\n{ }"
        );
        assert!(to_http(&SignedRequest { url: "wss://a/".to_owned(), ..request }).is_err());
    }
}
