//! Signing vectors, at the level of the scheme: a record's request already carries the parameters
//! that authenticate it, so what is compared is the string-to-sign, the signature, and the headers
//! or the log-on message that are made of it.
//!
//! Two formats are read as they are: records with `expected` (made by ccxt), and venues' own
//! examples, with `string_to_sign`, `signature` and `algorithm` beside it.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;
use vault_model::{Environment, SecretBytes, Timestamp, VenueRequest};
use vault_venue::{Key, Moment, Registry, Venue, WireRequest};

use crate::field::{self, bytes, text, text_at, text_or_empty};
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

fn check(registry: &Registry, name: &str, record: &Value) -> Result<(), Miss> {
    if record.get("recomputed_match").is_some_and(Value::is_null) {
        return Err(Miss::left_out("recomputed_match is null: its key is not published"));
    }
    let venue = registry.venue(name).ok_or_else(|| Miss::left_out(NO_VENUE))?;
    if let Some(key_type) = text_at(record, "/key_type")
        && !venue.key_types().iter().any(|known| known == key_type)
    {
        return Err(Miss::left_out(format!("the venue has no key type {key_type}")));
    }
    if record["deterministic"] == false {
        return Err(Miss::left_out("its signature is not deterministic"));
    }
    match text_at(record, "/kind") {
        None | Some("rest") => check_rest(venue, record),
        Some("ws-login") => check_log_on(venue, record),
        Some(kind) => Err(Miss::left_out(format!("the scheme knows no kind {kind}"))),
    }
}

fn check_rest(venue: &Venue, record: &Value) -> Result<(), Miss> {
    let own = Own::read(record)?;
    let at = own.at.unwrap_or(Timestamp(0));
    // An example that shows no request, or not the time that is signed, shows the signature alone.
    let shows_request = record["request"].is_object() && (own.at.is_some() || venue.needs_nonce());
    if shows_request {
        let wire = wire(&record["request"])?;
        let string = venue
            .scheme()
            .string_to_sign(&wire, at)
            .map_err(|error| Miss::failed(format!("no string-to-sign: {}", error.code())))?;
        same_bytes("string-to-sign", &own.string, &string)?;
    }
    let signature = own.check_signature(venue)?;

    let Some(expected) = record.pointer("/expected/headers").and_then(Value::as_object) else {
        return Ok(());
    };
    let made = venue
        .scheme()
        .headers(&own.key(), at, &signature)
        .map_err(|error| Miss::failed(format!("no headers: {}", error.code())))?;
    for (name, value) in made {
        let sent = expected.iter().find(|(sent, _)| sent.eq_ignore_ascii_case(&name));
        let sent = sent.and_then(|(_, value)| value.as_str()).unwrap_or("(none)");
        if sent != value {
            return Err(Miss::failed(format!(
                "header {name}: expected {sent:?}, actual {value:?}"
            )));
        }
    }
    Ok(())
}

fn check_log_on(venue: &Venue, record: &Value) -> Result<(), Miss> {
    let Some(operation) = venue.catalog.operations.iter().find(|operation| operation.ws) else {
        return Err(Miss::left_out("the scheme has no WebSocket log-on"));
    };
    let own = Own::read(record)?;
    let at = own.at.ok_or_else(|| Miss::failed("the record has no clock_ms"))?;
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

    let wire = WireRequest {
        method: request.method.clone(),
        scheme: request.scheme.clone(),
        host: request.host.clone(),
        path: request.path.clone(),
        query: String::new(),
        body: Vec::new(),
        content_type: None,
    };
    let string = venue
        .scheme()
        .string_to_sign(&wire, at)
        .map_err(|error| Miss::failed(format!("no string-to-sign: {}", error.code())))?;
    same_bytes("string-to-sign", &own.string, &string)?;
    own.check_signature(venue)?;

    let Some(message) = record.pointer("/expected/message") else { return Ok(()) };
    let nonce = venue.needs_nonce().then(|| at.millis().unsigned_abs());
    let moment = Moment { at, nonce, environment: Environment::Live, disclose_passphrase: true };
    let signed = venue
        .sign(&request, &own.key(), &moment)
        .map_err(|error| Miss::failed(format!("no log-on message: {}", error.code())))?;
    let sent: Option<Value> = serde_json::from_slice(&signed.body).ok();
    if sent.as_ref() == Some(message) {
        Ok(())
    } else {
        Err(Miss::failed(format!("message: expected {message}, actual {}", show(&signed.body))))
    }
}

/// What a record says about its key, its time and its answer.
struct Own {
    api_key: String,
    secret: SecretBytes,
    passphrase: Option<SecretBytes>,
    at: Option<Timestamp>,
    string: Vec<u8>,
    signature: Vec<u8>,
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
        let at = record["clock_ms"].as_i64().map(Timestamp::from_millis);
        Ok(Self {
            api_key: text_or_empty(credential, "/apiKey"),
            secret: SecretBytes::new(secret.as_bytes().to_vec()),
            passphrase: passphrase.map(|text| SecretBytes::new(text.as_bytes().to_vec())),
            at,
            string: bytes(Some(string))?,
            signature: signature(expected)?,
        })
    }

    fn key(&self) -> Key<'_> {
        Key { api_key: &self.api_key, secret: &self.secret, passphrase: self.passphrase.as_ref() }
    }

    /// The signature that the scheme makes of the record's own string.
    fn check_signature(&self, venue: &Venue) -> Result<Vec<u8>, Miss> {
        let made = venue
            .scheme()
            .signature(&self.secret, &self.string)
            .map_err(|error| Miss::failed(format!("no signature: {}", error.code())))?;
        same_bytes("signature", &self.signature, &made)?;
        Ok(made)
    }
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
        body: bytes(request.get("body"))?,
        content_type: None,
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
