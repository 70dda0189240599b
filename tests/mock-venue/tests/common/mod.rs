//! A running mock and plain HTTP calls to it.
#![allow(dead_code, missing_docs)] // Each test file is a crate of its own and uses a part of this.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::Value;
use vault_mock_venue::{Account, Clock, MockConfig, MockVenues, Venue};

/// 2024-04-09T19:34:35.449Z.
pub const NOW_MS: i64 = 1_712_691_275_449;
pub const JSON: &str = "application/json";
pub const FORM: &str = "application/x-www-form-urlencoded";
pub const API_KEY: &str = "TESTKEYfb93c27e3d6cc7a2ccea61af";
pub const SECRET: &str = "5d95a2bcda7350714e4c2ba7dd08b8f72fb2914a67fc3fa1e4ce59d7f6abcd6e";

/// The RSA key of the vectors `binance-rsa-*` and `bybit-rsa-*`.
pub const RSA_PEM: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEApb4E0zlC4nzU5DFLNvE5
Sg7jVkVzV19nuR6+YLLQ/gMWMUSziQZfa3lQZd57MOqxHWLQyLggLt3IQsZCysci
5xPSrI6M3OuOJr+dmx9ZwlMOV9DtobTN6kACS9I/UD3zqg97dJteA1KPnVaA+NSz
cFENrHWEMNxdQwiDKBwYlAi/0sNEwxm5xmdIeyiCdcqGniIEd8znyNp61/uvDYm5
5zh0dlEK6uZ8+bBs2aDGkgfyRDqhtzxdlOfpOFwGS+ZGhLOJAekdWorg/Cp+v3tK
HEUPDCQA61xYUEO9RijEaE1k7csxtixULk+RQ510u94zqECrDuesC97WNBImObAf
GQIDAQAB
-----END PUBLIC KEY-----
";

pub struct Bench {
    pub venues: MockVenues,
    clock_ms: Arc<AtomicI64>,
}

#[derive(Clone, Debug)]
pub struct Call {
    pub method: String,
    pub target: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

pub fn account(venue: Venue, api_key: &str, secret: &str) -> Account {
    let (api_key, secret) = (api_key.to_owned(), secret.to_owned());
    Account { venue, api_key, secret, passphrase: None, demo: false }
}

/// HMAC-SHA256 in hex.
pub fn hmac_hex(secret: &str, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hex::encode(hmac::sign(&key, text.as_bytes()))
}

/// A public key in PEM: the DER head of its kind, then its bytes.
pub fn public_pem(head: &str, key: &[u8]) -> String {
    let der = [hex::decode(head).expect("hex").as_slice(), key].concat();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
}

pub const ED25519_HEAD: &str = "302a300506032b6570032100";
pub const P256_HEAD: &str = "3059301306072a8648ce3d020106082a8648ce3d030107034200";

impl Bench {
    pub fn start(accounts: Vec<Account>) -> Self {
        let clock_ms = Arc::new(AtomicI64::new(NOW_MS));
        let shared = Arc::clone(&clock_ms);
        let clock: Clock = Arc::new(move || shared.load(Ordering::SeqCst));
        let venues = MockVenues::start(MockConfig::new(accounts, clock)).expect("start");
        Self { venues, clock_ms }
    }

    pub fn set_clock(&self, now_ms: i64) {
        self.clock_ms.store(now_ms, Ordering::SeqCst);
    }

    pub fn send(&self, call: &Call) -> (u16, Value) {
        let mut stream = TcpStream::connect(self.venues.address()).expect("connect");
        let mut text = format!(
            "{} {} HTTP/1.1\r\nhost: mock\r\nconnection: close\r\n",
            call.method, call.target
        );
        for (name, value) in &call.headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += &format!("content-length: {}\r\n\r\n{}", call.body.len(), call.body);
        stream.write_all(text.as_bytes()).expect("write");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("read");
        let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("status");
        (status, serde_json::from_str(body).expect("json"))
    }

    /// Sends a call that must be refused; returns the venue's code.
    pub fn refusal(&self, call: &Call) -> String {
        let accepted = self.venues.accepted().len();
        let (_, answer) = self.send(call);
        assert_eq!(self.venues.accepted().len(), accepted, "accepted: {answer}");
        self.venues.refused().pop().expect("a refusal on record").code
    }

    pub fn accept(&self, call: &Call) -> Value {
        let (accepted, refused) = (self.venues.accepted().len(), self.venues.refused().len());
        let (status, answer) = self.send(call);
        assert_eq!(status, 200, "{answer}");
        assert_eq!(self.venues.accepted().len(), accepted + 1, "{answer}");
        assert_eq!(self.venues.refused().len(), refused, "{answer}");
        answer
    }
}

impl Call {
    pub fn new(method: &str, target: &str, body: &str) -> Self {
        let (method, target, body) = (method.to_owned(), target.to_owned(), body.to_owned());
        Self { method, target, headers: Vec::new(), body }
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self
    }

    pub fn value(&self, name: &str) -> &str {
        &self.headers.iter().find(|(known, _)| *known == name).expect("header").1
    }
}
