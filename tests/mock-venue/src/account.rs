//! API keys as a venue sees them, and the account behind each.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::book::Book;
use crate::key::{Algorithm, PublicKey};
use crate::powers::KeyPowers;

/// The venues that the mock plays.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Venue {
    /// Binance spot, margin and USD-M futures REST.
    Binance,
    /// Bybit v5 REST.
    Bybit,
    /// Coinbase Advanced Trade REST.
    Coinbase,
    /// Kraken spot REST.
    Kraken,
    /// OKX v5 REST.
    Okx,
}

/// One API key that exists at a venue.
pub struct Account {
    /// The venue that issued the key.
    pub venue: Venue,
    /// The key id that requests carry in clear.
    pub api_key: String,
    /// What the venue verifies with. A shared secret as the venue hands it out: text at Binance,
    /// Bybit, Coinbase (legacy keys) and OKX, base64 at Kraken. Where customers sign with a
    /// private key, their *public* key in PEM: RSA or Ed25519 at Binance, RSA at Bybit, P-256 or
    /// Ed25519 at Coinbase.
    pub secret: String,
    /// The passphrase; OKX keys have one, others have none.
    pub passphrase: Option<String>,
    /// Whether this is a key for OKX demo trading.
    pub demo: bool,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("venue", &self.venue)
            .field("api_key", &self.api_key)
            .field("demo", &self.demo)
            .finish_non_exhaustive()
    }
}

/// An account at work: its key in raw bytes, its last nonce, its orders and balances.
pub(crate) struct Seat {
    pub(crate) venue: Venue,
    pub(crate) api_key: String,
    /// The shared secret; empty if there is a public key.
    pub(crate) secret: Zeroizing<Vec<u8>>,
    pub(crate) public_key: Option<PublicKey>,
    pub(crate) passphrase: Zeroizing<Vec<u8>>,
    pub(crate) demo: bool,
    pub(crate) last_nonce: Option<u64>,
    pub(crate) book: Book,
}

/// The text of a field; empty if it is absent or not text.
pub(crate) fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> &'a str {
    fields.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Turns accounts into seats, refusing those that their venue could not have.
pub(crate) fn seats(accounts: Vec<Account>) -> Result<Vec<Seat>, &'static str> {
    let mut seats: Vec<Seat> = Vec::with_capacity(accounts.len());
    for account in accounts {
        if find(&seats, account.venue, &account.api_key).is_some() {
            return Err("two accounts with one key id at one venue");
        }
        let (secret, public_key) = if PublicKey::is_pem(&account.secret) {
            let key = PublicKey::parse(&account.secret).ok_or("not a public key that is known")?;
            (Zeroizing::default(), Some(key))
        } else {
            (Zeroizing::new(account.secret.into_bytes()), None)
        };
        let algorithm = public_key.as_ref().map(|key| key.algorithm);
        let passphrase = account.passphrase.map(|text| Zeroizing::new(text.into_bytes()));
        let secret = match (account.venue, algorithm) {
            (Venue::Binance, None | Some(Algorithm::Ed25519 | Algorithm::Rsa))
            | (Venue::Bybit, None | Some(Algorithm::Rsa))
            | (Venue::Coinbase, None | Some(Algorithm::Ed25519 | Algorithm::P256))
            | (Venue::Okx, None) => secret,
            (Venue::Kraken, None) => {
                let raw = STANDARD.decode(&*secret).map_err(|_| "Kraken secret is not base64")?;
                Zeroizing::new(raw)
            }
            _ => return Err("the venue takes no keys of this kind"),
        };
        let passphrase = match (account.venue, passphrase) {
            (Venue::Okx, Some(passphrase)) => passphrase,
            (Venue::Okx, None) => return Err("OKX keys have a passphrase"),
            (_, Some(_)) => return Err("only OKX keys have a passphrase"),
            (_, None) => Zeroizing::default(),
        };
        if account.demo && account.venue != Venue::Okx {
            return Err("only OKX has demo keys here");
        }
        let serial = u64::try_from(seats.len()).unwrap_or_default() << 32;
        seats.push(Seat {
            venue: account.venue,
            api_key: account.api_key,
            secret,
            public_key,
            passphrase,
            demo: account.demo,
            last_nonce: None,
            book: Book::new(serial, KeyPowers::trading(account.venue)),
        });
    }
    Ok(seats)
}

/// Where the seat of this key is.
pub(crate) fn find(seats: &[Seat], venue: Venue, api_key: &str) -> Option<usize> {
    seats.iter().position(|seat| seat.venue == venue && seat.api_key == api_key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(venue: Venue) -> Account {
        let passphrase = (venue == Venue::Okx).then(|| "hidden-words".to_owned());
        let secret = "aGlkZGVuLXNlY3JldA==".to_owned();
        Account { venue, api_key: "key-1".to_owned(), secret, passphrase, demo: false }
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?}", account(Venue::Okx));
        assert!(shown.contains("key-1"));
        assert!(!shown.contains("hidden") && !shown.contains("aGlk"));
    }

    #[test]
    fn refuses_accounts_that_cannot_be() {
        let bare = Account { passphrase: None, ..account(Venue::Okx) };
        let worded = Account { passphrase: Some(String::new()), ..account(Venue::Kraken) };
        let demo = Account { demo: true, ..account(Venue::Kraken) };
        let garbled = Account { secret: "not base64!".to_owned(), ..account(Venue::Kraken) };
        let foreign = Account { demo: true, passphrase: None, ..account(Venue::Binance) };
        let pem = "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----".to_owned();
        let private = Account { secret: pem, passphrase: None, ..account(Venue::Binance) };
        for wrong in [bare, worded, demo, garbled, foreign, private] {
            assert!(seats(vec![wrong]).is_err());
        }
        assert!(seats(vec![account(Venue::Okx), account(Venue::Okx)]).is_err());
        let all = [Venue::Binance, Venue::Bybit, Venue::Coinbase, Venue::Kraken, Venue::Okx];
        assert!(seats(all.into_iter().map(account).collect()).is_ok());
    }
}
