//! Signing vectors, at the level of the scheme: a record's request already carries the parameters
//! that the vault adds, some of them in another place, and some are requests that the reader
//! refuses. So what is compared is the string-to-sign, the signature, and the request or the
//! message that is made of them. A signature that is another one each time is verified instead.
//!
//! Two formats are read as they are: records with `expected` (made by ccxt), and venues' own
//! examples, with `string_to_sign`, `signature` and `algorithm` beside it.

use std::path::{Path, PathBuf};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;
use vault_model::{Environment, SecretBytes, Timestamp, VenueRequest};
use vault_venue::{Key, KeyType, Moment, Registry, Venue, WireRequest};

use crate::field::{self, bytes, pem, text, text_at, text_or_empty};
use crate::report::{Miss, NO_VENUE, Report};

/// Runs every record of every JSON file of a folder, or those of one file.
pub fn run(registry: &Registry, path: &Path, report: &mut Report) {
    let files = match files(path) {
        Ok(files) => files,
        Err(words) => return report.fail(words),
    };
    for path in files {
        let file = match field::file(&path) {
            Ok(file) => file,
            Err(words) => {
                report.fail(words);
                continue;
            }
        };
        let Some(records) = file["vectors"].as_array() else {
            report.note(format!("{} has no vectors", path.display()));
            continue;
        };
        for record in records {
            let (venue, id) = field::names(record);
            report.add(&venue, &id, check(registry, &venue, record));
        }
    }
    if report.is_empty() {
        report.fail(format!("{} has no vectors at all", path.display()));
    }
}

fn files(path: &Path) -> Result<Vec<PathBuf>, String> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let words = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(words)? {
        let path = entry.map_err(words)?.path();
        if path.extension().is_some_and(|extension| extension == "json") && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// What the venue of a record is called where it is one with its REST interface.
const WS_API: &str = "-ws-api";

/// How long Bybit's log-ons can be used. ccxt's expire later: only the expiry is signed.
const BYBIT_LOG_ON_MS: i64 = 5000;

fn check(registry: &Registry, name: &str, record: &Value) -> Result<(), Miss> {
    if record.get("recomputed_match").is_some_and(Value::is_null) {
        return Err(Miss::left_out("recomputed_match is null: its key is not published"));
    }
    let of_ws_api = name.strip_suffix(WS_API);
    let venue = registry.venue(of_ws_api.unwrap_or(name));
    let venue = venue.ok_or_else(|| Miss::left_out(NO_VENUE))?;
    let own = Own::read(record)?;
    if !venue.key_types().contains(&own.key_type) {
        return Err(Miss::left_out(format!("the venue has no key type {}", own.key_type)));
    }
    match text_at(record, "/kind") {
        _ if of_ws_api.is_some() => check_ws_api(venue, record, &own),
        None | Some("rest") => check_rest(venue, record, &own),
        Some("ws-api") => check_ws_api(venue, record, &own),
        Some("ws-login") => check_log_on(venue, record, &own),
        Some(kind) => Err(Miss::left_out(format!("the scheme knows no kind {kind}"))),
    }
}

fn check_rest(venue: &Venue, record: &Value, own: &Own) -> Result<(), Miss> {
    if !record["request"].is_object() {
        return own.check_signature(venue).map(|_| ());
    }
    let wire = wire(&record["request"])?;
    let string = |at| string(venue, &wire, own, &own.moment(at));
    // An example without a clock shows its request as well, unless the time is in the string alone.
    let shows_time = own.at.is_some() || string(Timestamp(0)).ok() == string(LATER).ok();
    let at = own.at.unwrap_or_default();
    if shows_time {
        same_bytes("string-to-sign", &own.string, &string(at)?)?;
    }
    own.check_signature(venue)?;
    if record["expected"]["headers"].is_object() {
        check_sent(venue, record, own, &wire, &own.moment(at))?;
    }
    Ok(())
}

/// Any time that is not zero.
const LATER: Timestamp = Timestamp(1_700_000_000_000_000);

/// The request as it goes out with the record's own signature.
fn check_sent(
    venue: &Venue,
    record: &Value,
    own: &Own,
    wire: &WireRequest,
    moment: &Moment,
) -> Result<(), Miss> {
    let expected = &record["expected"];
    let sent = venue
        .scheme()
        .authenticate(wire.clone(), &own.key(), moment, &own.string, &own.signature)
        .map_err(|error| Miss::failed(format!("not authenticated: {}", error.code())))?;
    if let Some(url) = text_at(expected, "/url") {
        // ccxt writes the question mark of an empty query at times.
        same_bytes("url", url.trim_end_matches('?').as_bytes(), sent.url().as_bytes())?;
    }
    same_bytes("body", &bytes(expected.get("body"))?, &sent.body)?;

    let headers = |value: &Value| -> Vec<(String, String)> {
        let fields = value.as_object().into_iter().flatten();
        fields
            .map(|(name, value)| {
                (name.to_ascii_lowercase(), value.as_str().unwrap_or_default().to_owned())
            })
            .collect()
    };
    let all = headers(&expected["headers"]);
    let before = headers(&record["request"]["headers_before"]);
    let mut authenticating: Vec<_> =
        all.iter().filter(|header| !before.contains(header)).cloned().collect();
    let mut made: Vec<_> =
        sent.headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    authenticating.sort();
    made.sort();
    if made != authenticating {
        return Err(Miss::failed(format!("headers: expected {authenticating:?}, actual {made:?}")));
    }

    // What the scheme makes of a request of which it takes the form.
    let request = VenueRequest {
        method: wire.method.clone(),
        scheme: wire.scheme.clone(),
        host: wire.host.clone(),
        path: wire.path.clone(),
        query: wire.query.clone(),
        body: wire.body.clone(),
        headers: Vec::new(),
    };
    let Ok(formed) = venue.scheme().wire(&request, &own.key(), moment) else { return Ok(()) };
    for (name, value) in formed.headers {
        if !all.contains(&(name.to_ascii_lowercase(), value.clone())) {
            return Err(Miss::failed(format!("header {name}: {value:?} is not among {all:?}")));
        }
    }
    Ok(())
}

fn check_log_on(venue: &Venue, record: &Value, own: &Own) -> Result<(), Miss> {
    let Some(operation) = venue.catalog.operations.iter().find(|operation| operation.ws) else {
        return Err(Miss::left_out("the scheme has no WebSocket log-on"));
    };
    let at = own.at.ok_or_else(|| Miss::failed("the record has no clock_ms"))?;
    let expiry = text_at(record, "/expected/message/args/1").filter(|_| venue.name() == "bybit");
    let at = match expiry.map(str::parse::<i64>) {
        Some(Ok(expiry)) => Timestamp::from_millis(expiry - BYBIT_LOG_ON_MS),
        _ => at,
    };
    let url = text(record, "/request/ws_url")?;
    let (_, rest) = url.split_once("://").unwrap_or(("", url));
    let host = rest.split([':', '/', '?']).next().unwrap_or_default();
    let request = VenueRequest {
        method: operation.method.clone(),
        scheme: "wss".to_owned(),
        host: host.to_owned(),
        path: operation.path.clone(),
        ..VenueRequest::default()
    };

    let moment = own.moment(at);
    let string = string(venue, &WireRequest::of(&request), own, &moment)?;
    same_bytes("string-to-sign", &own.string, &string)?;
    let signature = own.check_signature(venue)?;

    let Some(message) = record.pointer("/expected/message") else { return Ok(()) };
    let signed = venue
        .sign(&request, &own.key(), &moment)
        .map_err(|error| Miss::failed(format!("no log-on message: {}", error.code())))?;
    let sent: Value = serde_json::from_slice(&signed.body)
        .map_err(|_| Miss::failed(format!("message is no JSON: {}", show(&signed.body))))?;
    // A log-on that is one member of the bot's own message is made anew if its signature is.
    if let (Some(expected), Some(sent)) = (text_at(message, "/jwt"), text_at(&sent, "/jwt")) {
        let is_fresh = signed.signature != signature;
        let unsigned = |token: &str| token.rsplit_once('.').map(|(text, _)| text.to_owned());
        let same = if is_fresh { unsigned(expected) == unsigned(sent) } else { expected == sent };
        if same {
            return Ok(());
        }
    }
    if sent == *message {
        Ok(())
    } else {
        Err(Miss::failed(format!("message: expected {message}, actual {sent}")))
    }
}

/// A request over a WebSocket API. Where the record shows none, its parameters are those of the
/// string-to-sign, in another order.
fn check_ws_api(venue: &Venue, record: &Value, own: &Own) -> Result<(), Miss> {
    let mut params = record["request"]["params"].clone();
    if let Some(params) = params.as_object_mut() {
        params.remove("signature");
    } else {
        let string = std::str::from_utf8(&own.string)
            .map_err(|_| Miss::failed("the record's string is no text"))?;
        let pairs = string.split('&').rev().filter_map(|pair| pair.split_once('='));
        params = pairs.map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
    }
    let wire = WireRequest {
        method: "WS".to_owned(),
        scheme: "wss".to_owned(),
        body: params.to_string().into_bytes(),
        ..WireRequest::default()
    };
    let string = string(venue, &wire, own, &own.moment(own.at.unwrap_or_default()))?;
    same_bytes("string-to-sign", &own.string, &string)?;
    own.check_signature(venue).map(|_| ())
}

fn string(venue: &Venue, wire: &WireRequest, own: &Own, moment: &Moment) -> Result<Vec<u8>, Miss> {
    venue
        .scheme()
        .string_to_sign(wire, &own.key(), moment)
        .map_err(|error| Miss::failed(format!("no string-to-sign: {}", error.code())))
}

/// What a record says about its key, its time and its answer.
struct Own {
    api_key: String,
    secret: SecretBytes,
    passphrase: Option<SecretBytes>,
    key_type: KeyType,
    at: Option<Timestamp>,
    unique: [u8; 16],
    string: Vec<u8>,
    signature: Vec<u8>,
    /// DER, where the record names one.
    public_key: Option<Vec<u8>>,
    /// Whether another signature would be as good.
    is_fresh: bool,
}

impl Own {
    fn read(record: &Value) -> Result<Self, Miss> {
        let credential = &record["credential"];
        let secret = text_at(credential, "/secret")
            .or_else(|| text_at(credential, "/secret_base64"))
            .ok_or_else(|| Miss::failed("the record has no secret"))?;
        let passphrase = text_at(credential, "/password");
        let expected = if record["expected"].is_object() { &record["expected"] } else { record };
        let string = expected
            .get("string_to_sign")
            .ok_or_else(|| Miss::failed("the record has no string_to_sign"))?;
        let string = bytes(Some(string))?;
        let at = record["clock_ms"].as_i64().map(Timestamp::from_millis);
        let word = text_at(record, "/key_type").unwrap_or("hmac");
        let key_type = word
            .parse()
            .map_err(|_| Miss::left_out(format!("the scheme knows no key type {word}")))?;
        Ok(Self {
            api_key: text_or_empty(credential, "/apiKey"),
            secret: SecretBytes::new(secret.as_bytes().to_vec()),
            passphrase: passphrase.map(|text| SecretBytes::new(text.as_bytes().to_vec())),
            key_type,
            at,
            unique: unique(&string),
            string,
            signature: signature(expected)?,
            public_key: text_at(record, "/verify_with_public_key").map(pem).transpose()?,
            // ccxt makes its random number of the text (RFC 6979), others do not.
            is_fresh: record["deterministic"] == false || key_type == KeyType::Es256,
        })
    }

    fn key(&self) -> Key<'_> {
        Key {
            api_key: &self.api_key,
            secret: &self.secret,
            passphrase: self.passphrase.as_ref(),
            key_type: self.key_type,
            private_key: None,
        }
    }

    fn moment(&self, at: Timestamp) -> Moment {
        Moment {
            at,
            nonce: Some(at.millis().unsigned_abs()),
            environment: Environment::Live,
            disclose_passphrase: true,
            unique: self.unique,
        }
    }

    /// The signature that the scheme makes of the record's own string.
    fn check_signature(&self, venue: &Venue) -> Result<Vec<u8>, Miss> {
        let made = venue
            .scheme()
            .signature(&self.key(), &self.string)
            .map_err(|error| Miss::failed(format!("no signature: {}", error.code())))?;
        if !self.is_fresh {
            same_bytes("signature", &self.signature, &made)?;
            return Ok(made);
        }
        if self.key_type != KeyType::Es256 {
            return Err(Miss::left_out("its signature is not deterministic"));
        }
        let public = self.public_key.as_ref();
        let public = public.ok_or_else(|| Miss::failed("the record has no public key"))?;
        for (whose, signature) in [("the record's", &self.signature), ("the scheme's", &made)] {
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public)
                .verify(&self.string, signature)
                .map_err(|_| Miss::failed(format!("{whose} signature does not verify")))?;
        }
        Ok(made)
    }
}

/// What made a token new: the nonce of its header. Nothing in strings of other kinds.
fn unique(string: &[u8]) -> [u8; 16] {
    let header = string.split(|byte| *byte == b'.').next().unwrap_or_default();
    let header = URL_SAFE_NO_PAD.decode(header).ok();
    let header: Option<Value> = header.and_then(|json| serde_json::from_slice(&json).ok());
    let nonce = header.as_ref().and_then(|header| text_at(header, "/nonce"));
    let nonce = nonce.and_then(|digits| hex::decode(digits).ok());
    nonce.and_then(|bytes| bytes.try_into().ok()).unwrap_or_default()
}

/// The expected signature, decoded. `algorithm` names the encoding where nothing else does.
fn signature(expected: &Value) -> Result<Vec<u8>, Miss> {
    let text = text_at(expected, "/signature")
        .ok_or_else(|| Miss::left_out("its signature is not one text"))?;
    let algorithm = text_at(expected, "/algorithm").unwrap_or_default();
    let encoding = text_at(expected, "/signature_encoding").unwrap_or_else(|| {
        if algorithm.contains("base64") {
            "base64"
        } else if algorithm.contains("hex") {
            "hex"
        } else {
            "unsaid"
        }
    });
    let decoded = match encoding {
        "base64" => STANDARD.decode(text).ok(),
        "base64url" => URL_SAFE_NO_PAD.decode(text).ok(),
        "hex" => hex::decode(text).ok(),
        other => return Err(Miss::left_out(format!("its signature's encoding is {other}"))),
    };
    decoded.ok_or_else(|| Miss::failed(format!("the record's signature is not {encoding}")))
}

fn wire(request: &Value) -> Result<WireRequest, Miss> {
    Ok(WireRequest {
        method: text(request, "/method")?.to_owned(),
        scheme: text_at(request, "/scheme").unwrap_or("https").to_owned(),
        host: text(request, "/host")?.to_owned(),
        path: text(request, "/path")?.to_owned(),
        query: text_or_empty(request, "/query"),
        headers: Vec::new(),
        body: bytes(request.get("body"))?,
        secrets: Vec::new(),
    })
}

fn same_bytes(what: &str, expected: &[u8], actual: &[u8]) -> Result<(), Miss> {
    if expected == actual {
        return Ok(());
    }
    Err(Miss::failed(format!("{what}: expected {}, actual {}", show(expected), show(actual))))
}

/// Bytes as text where they are, and as hexadecimal digits always.
fn show(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => format!("{text:?} ({})", hex::encode(bytes)),
        Err(_) => hex::encode(bytes),
    }
}
