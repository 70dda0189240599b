//! What bots ask for in a scenario: their credentials, their scope, and their requests.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::BufMut;
use prost::Message as _;
use vault_client::v1::{CredentialMetadata, CredentialSecret};
use vault_proto::v1;

use crate::Error;

/// What is asked for, call after call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Work {
    /// An order that the scope does not allow.
    Deny,
    /// A Binance order with Ed25519.
    Ed25519,
    /// An OKX order with HMAC-SHA256.
    Hmac,
    /// Of twenty calls fourteen with HMAC, three with Ed25519, two with P-256, and one denied.
    Mixed,
    /// A Coinbase order, whose token is signed with ECDSA P-256.
    P256,
    /// A Binance order with RSA of 2,048 bits.
    Rsa,
}

/// One request's kind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ask {
    Deny,
    Ed25519,
    Hmac,
    P256,
    Rsa,
}

impl Work {
    /// As the scenario is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Ed25519 => "sign-ed25519",
            Self::Hmac => "sign-hmac",
            Self::Mixed => "mixed",
            Self::P256 => "sign-p256",
            Self::Rsa => "sign-rsa",
        }
    }

    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::Deny => "OKX order of a symbol that is not granted; mTLS, policy, closure, log",
            Self::Ed25519 => "Binance order, Ed25519, mTLS, policy, closure, synced log",
            Self::Hmac => "OKX order, HMAC-SHA256, mTLS, policy, closure, synced log",
            Self::Mixed => {
                "70 % OKX HMAC, 15 % Binance Ed25519, 10 % Coinbase P-256, 5 % denied; mTLS, \
                 policy, closure, synced log"
            }
            Self::P256 => "Coinbase order, ECDSA P-256, mTLS, policy, closure, synced log",
            Self::Rsa => "Binance order, RSA 2048, mTLS, policy, closure, synced log",
        }
    }

    /// The key of `NAME-main` at each venue that it needs.
    pub(crate) fn credentials(self) -> Result<Vec<(CredentialMetadata, CredentialSecret)>, Error> {
        let asks: &[Ask] = match self {
            Self::Deny | Self::Hmac => &[Ask::Hmac],
            Self::Ed25519 => &[Ask::Ed25519],
            Self::Mixed => &[Ask::Hmac, Ask::Ed25519, Ask::P256],
            Self::P256 => &[Ask::P256],
            Self::Rsa => &[Ask::Rsa],
        };
        asks.iter().map(|ask| ask.credential()).collect()
    }

    /// A scope of this name that grants what is to be signed and nothing wider.
    pub(crate) fn scope(self) -> String {
        let (credentials, symbols) = match self {
            Self::Deny | Self::Hmac => (r#""okx-hmac""#, OKX_SYMBOLS.to_owned()),
            Self::Ed25519 => (r#""binance-ed25519""#, BINANCE_SYMBOLS.to_owned()),
            Self::Mixed => (
                r#""okx-hmac", "binance-ed25519", "coinbase-p256""#,
                [OKX_SYMBOLS, BINANCE_SYMBOLS, COINBASE_SYMBOLS].join("\n"),
            ),
            Self::P256 => (r#""coinbase-p256""#, COINBASE_SYMBOLS.to_owned()),
            Self::Rsa => (r#""binance-rsa""#, BINANCE_SYMBOLS.to_owned()),
        };
        // At OKX a signature binds method and path. At the others it is good for orders of other
        // products too, and all that a signature could be used for is judged.
        let products = if matches!(self, Self::Deny | Self::Hmac) { "spot" } else { "*" };
        format!(
            r#"
name = "{name}"
credentials = [{credentials}]
classes = ["read", "trade", "cancel"]
modes = ["sign"]
products = ["{products}"]

[symbols]
{symbols}

[network]
allow = ["127.0.0.0/8"]
"#,
            name = self.name(),
        )
    }

    /// The request of a call by its number, with an id of its own.
    pub(crate) fn request(self, number: u64) -> v1::SignRequest {
        self.ask(number).request(number)
    }

    /// The encoded request of a call by its number, without its id, which comes before it.
    pub(crate) fn rest(self, number: u64) -> &'static [u8] {
        static RESTS: [OnceLock<Vec<u8>>; ASKS] = [const { OnceLock::new() }; ASKS];
        let ask = self.ask(number);
        RESTS[ask as usize].get_or_init(|| {
            let request_id = String::new();
            v1::SignRequest { request_id, ..ask.request(0) }.encode_to_vec()
        })
    }

    /// Whether the call of this number is to be denied.
    pub(crate) fn is_denied(self, number: u64) -> bool {
        self.ask(number) == Ask::Deny
    }

    fn ask(self, number: u64) -> Ask {
        match self {
            Self::Deny => Ask::Deny,
            Self::Ed25519 => Ask::Ed25519,
            Self::Hmac => Ask::Hmac,
            Self::Mixed => MIX[(number % MIX.len() as u64) as usize],
            Self::P256 => Ask::P256,
            Self::Rsa => Ask::Rsa,
        }
    }
}

/// How many kinds there are.
const ASKS: usize = Ask::Rsa as usize + 1;

/// The number of the next call of this run.
pub(crate) fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Writes the id of the request of a number, as the first field of a `SignRequest`.
pub(crate) fn put_id(number: u64, buffer: &mut impl BufMut) {
    let begin = id_begin();
    let mut digits = [0; 20];
    let mut first = digits.len();
    let mut rest = number;
    loop {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    let digits = &digits[first..];
    // Far below 128 bytes: the length is one byte.
    buffer.put_slice(&[FIRST_FIELD, (begin.len() + digits.len()) as u8]);
    buffer.put_slice(begin.as_bytes());
    buffer.put_slice(digits);
}

/// What the ids of this run begin with.
fn id_begin() -> &'static str {
    static BEGIN: OnceLock<String> = OnceLock::new();
    BEGIN.get_or_init(|| format!("bench-{}-", std::process::id()))
}

/// The key of a field of bytes with the number 1.
const FIRST_FIELD: u8 = (1 << 3) | 2;

impl Ask {
    fn credential_name(self) -> &'static str {
        match self {
            Self::Deny | Self::Hmac => "okx-hmac",
            Self::Ed25519 => "binance-ed25519",
            Self::P256 => "coinbase-p256",
            Self::Rsa => "binance-rsa",
        }
    }

    /// A key made for this run, as its owner would import it.
    fn credential(self) -> Result<(CredentialMetadata, CredentialSecret), Error> {
        let name = self.credential_name();
        let (venue, _) = name.split_once('-').ok_or("a name without a venue")?;
        if matches!(self, Self::Deny | Self::Hmac) {
            return Ok((vault_tests::okx_metadata(name), vault_tests::okx_secret()));
        }
        let algorithm = match self {
            Self::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Self::Rsa => &rcgen::PKCS_RSA_SHA256,
            Self::Deny | Self::Ed25519 | Self::Hmac => &rcgen::PKCS_ED25519,
        };
        let metadata = CredentialMetadata {
            name: name.to_owned(),
            venue: venue.to_owned(),
            environment: "live".to_owned(),
            assume: vec!["venue_checks".to_owned()],
            ..Default::default()
        };
        let secret = CredentialSecret {
            api_key: match self {
                Self::P256 => "organizations/bench/apiKeys/0001".to_owned(),
                _ => format!("bench-{name}-0001"),
            },
            private_key_pem: rcgen::KeyPair::generate_for(algorithm)?.serialize_pem().into(),
            ..Default::default()
        };
        Ok((metadata, secret))
    }

    fn request(self, number: u64) -> v1::SignRequest {
        let (host, path, query, body) = match self {
            Self::Deny => ("www.okx.com", OKX_PATH, "", OKX_DENIED),
            Self::Ed25519 | Self::Rsa => ("api.binance.com", "/api/v3/order", BINANCE_ORDER, ""),
            Self::Hmac => ("www.okx.com", OKX_PATH, "", OKX_ORDER),
            Self::P256 => ("api.coinbase.com", "/api/v3/brokerage/orders", "", COINBASE_ORDER),
        };
        v1::SignRequest {
            request_id: format!("{}{number}", id_begin()),
            credential: self.credential_name().to_owned(),
            request: Some(v1::VenueRequest {
                method: "POST".to_owned(),
                scheme: String::new(),
                host: host.to_owned(),
                path: path.to_owned(),
                query: query.to_owned(),
                body: body.as_bytes().to_vec(),
                headers: Vec::new(),
            }),
        }
    }
}

/// The reason of every denial that is asked for.
pub(crate) const DENIED: &str = "SYMBOL_NOT_GRANTED";

const MIX: [Ask; 20] = {
    use Ask::{Deny, Ed25519, Hmac, P256};
    [
        Hmac, Hmac, Ed25519, Hmac, Hmac, P256, Hmac, Hmac, Ed25519, Hmac, Hmac, Deny, Hmac, Hmac,
        Ed25519, Hmac, Hmac, P256, Hmac, Hmac,
    ]
};

const OKX_SYMBOLS: &str = r#"okx = ["BTC-USDT", "ETH-USDT"]"#;
const BINANCE_SYMBOLS: &str = r#"binance = ["BTCUSDT"]"#;
/// The token says nothing of the body: it is good for every symbol.
const COINBASE_SYMBOLS: &str = r#"coinbase = ["*"]"#;

const OKX_PATH: &str = "/api/v5/trade/order";
pub(crate) const OKX_ORDER: &str = r#"{"instId":"BTC-USDT","tdMode":"cash","side":"buy","ordType":"limit","px":"60000","sz":"0.001"}"#;
const OKX_DENIED: &str = r#"{"instId":"SOL-USDT","tdMode":"cash","side":"buy","ordType":"limit","px":"60","sz":"0.001"}"#;
const BINANCE_ORDER: &str = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.001&price=60000&newClientOrderId=a1";
const COINBASE_ORDER: &str = r#"{"client_order_id":"a1","product_id":"BTC-USD","side":"BUY","order_configuration":{"limit_limit_gtc":{"base_size":"0.001","limit_price":"60000"}}}"#;

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::{Ask, MIX, Work, put_id};

    #[test]
    fn an_id_and_the_rest_are_the_request() {
        for work in [Work::Deny, Work::Ed25519, Work::Hmac, Work::Mixed, Work::P256, Work::Rsa] {
            for number in (0..20).chain([99, 100, 12_345, u64::MAX]) {
                let mut bytes = Vec::new();
                put_id(number, &mut bytes);
                bytes.extend_from_slice(work.rest(number));
                assert_eq!(bytes, work.request(number).encode_to_vec(), "{work:?} {number}");
            }
        }
    }

    #[test]
    fn the_mix_is_what_is_said_of_it() {
        let share = |ask| MIX.iter().filter(|one| **one == ask).count() * 100 / MIX.len();

        let shares = [Ask::Hmac, Ask::Ed25519, Ask::P256, Ask::Deny].map(share);
        assert_eq!(shares, [70, 15, 10, 5]);
        assert_eq!((0..100).filter(|number| Work::Mixed.is_denied(*number)).count(), 5);
    }
}
