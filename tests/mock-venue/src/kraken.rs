//! Kraken spot REST, the venue's side.
//!
//! Signature: base64(HMAC-SHA512(base64-decoded secret, path + SHA-256(nonce + body))); the
//! nonce is in the body, form or JSON, and rises strictly per key.
//! Source: ccxt 4.5.90 `kraken.py` `sign()` and
//! Kraken's guide "spot-rest-auth" on docs.kraken.com (not read anew for this file).
//!
//! Answers are HTTP 200 with `{"error":[..],"result":{}}`, source:
//! <https://raw.githubusercontent.com/api-evangelist/kraken/refs/heads/main/overlays/kraken-spot-rest-overlay.yaml>,
//! read 2026-11-21. The words `EAPI:Invalid key`, `EAPI:Invalid signature`,
//! `EAPI:Invalid nonce` and `EGeneral:Invalid arguments[:name]` are those that public clients
//! match on (python-krakenexapi `exceptions.py`, for one), as is `EGeneral:Unknown method` with
//! HTTP 404; `EOrder:Unknown order` is unverified.
//!
//! Unverified: the order of the checks; `EAPI:Bad request` with 405 for other methods; what
//! Kraken answers to a query string, to a wrong content type and to unknown parameters (the
//! mock refuses them all, a query above all because the signature does not bind it).

mod endpoint;
pub(crate) mod stream;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use ring::hmac;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::account::{self, Seat, Venue};
use crate::field::{Fault, check};
use crate::http::{Header, Incoming};
use crate::ledger::Outcome;
use crate::parse;
use endpoint::ENDPOINTS;

type Fields = Map<String, Value>;

/// Kraken's error word, for example `EAPI:Invalid nonce`.
type Refusal = String;

/// Judges a request under `/0/private/`; `endpoint` is the path after that.
pub(crate) fn judge(
    seats: &mut [Seat],
    request: &Incoming,
    endpoint: &str,
    now_ms: i64,
) -> Outcome {
    let judged = authenticate(seats, request).and_then(|(seat, mut fields)| {
        let unknown = || "EGeneral:Unknown method".to_owned();
        let endpoint = ENDPOINTS.iter().find(|known| known.name == endpoint).ok_or_else(unknown)?;
        fields.remove("nonce");
        check(&fields, endpoint.fields).map_err(arguments)?;
        let result = (endpoint.act)(&mut seat.book, &fields, now_ms)?;
        Ok((seat.api_key.clone(), result))
    });
    match judged {
        Ok((api_key, result)) => Outcome {
            status: StatusCode::OK,
            answer: json!({ "error": [], "result": result }),
            accepted_by: Some(api_key),
            refused: Vec::new(),
        },
        Err(word) => {
            let status = match word.as_str() {
                "EGeneral:Unknown method" => StatusCode::NOT_FOUND,
                "EAPI:Bad request" => StatusCode::METHOD_NOT_ALLOWED,
                _ => StatusCode::OK,
            };
            let reason = word.split_once(':').map_or("", |(_, reason)| reason).to_owned();
            Outcome {
                status,
                answer: json!({ "error": [word], "result": {} }),
                accepted_by: None,
                refused: vec![(word, reason)],
            }
        }
    }
}

fn authenticate<'a>(
    seats: &'a mut [Seat],
    request: &Incoming,
) -> Result<(&'a mut Seat, Fields), Refusal> {
    if request.method != Method::POST {
        return Err("EAPI:Bad request".to_owned());
    }
    let Header::Value(api_key) = request.header("API-Key") else {
        return Err("EAPI:Invalid key".to_owned());
    };
    let index = account::find(seats, Venue::Kraken, api_key).ok_or("EAPI:Invalid key")?;
    let seat = &mut seats[index];
    let Header::Value(sign) = request.header("API-Sign") else {
        return Err("EAPI:Invalid signature".to_owned());
    };

    let fields = read_body(request)?;
    let nonce = match fields.get("nonce") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => return Err("EAPI:Invalid nonce".to_owned()),
    };
    let digits = !nonce.is_empty() && nonce.bytes().all(|byte| byte.is_ascii_digit());
    let value = digits.then(|| nonce.parse::<u64>().ok()).flatten().ok_or("EAPI:Invalid nonce")?;

    let digest = Sha256::new().chain_update(&nonce).chain_update(&request.body).finalize();
    let string_to_sign = [request.path.as_bytes(), digest.as_slice()].concat();
    let key = hmac::Key::new(hmac::HMAC_SHA512, &seat.secret);
    let tag = STANDARD.decode(sign).unwrap_or_default();
    // Constant time: `verify` compares the whole tag.
    hmac::verify(&key, &string_to_sign, &tag).map_err(|_| "EAPI:Invalid signature")?;

    // Only a signed nonce may move the mark, or anybody could shut the key out.
    if seat.last_nonce.is_some_and(|last| value <= last) {
        return Err("EAPI:Invalid nonce".to_owned());
    }
    seat.last_nonce = Some(value);
    if !request.query.is_empty() {
        return Err("EGeneral:Invalid arguments".to_owned());
    }
    Ok((seat, fields))
}

fn read_body(request: &Incoming) -> Result<Fields, Refusal> {
    let fields = match request.media_type().as_deref() {
        Some("application/json") => match parse::read_json(&request.body) {
            Some(Value::Object(fields)) => flatten(fields),
            _ => None,
        },
        Some("application/x-www-form-urlencoded") => parse::read_form(&request.body),
        _ => None,
    };
    fields.ok_or_else(|| "EGeneral:Invalid arguments".to_owned())
}

/// Gives the JSON object `close` the names it has in a form. `None` if both are there.
fn flatten(mut fields: Fields) -> Option<Fields> {
    if let Some(close) = fields.remove("close") {
        let Value::Object(close) = close else {
            return None;
        };
        for (name, value) in close {
            if fields.insert(format!("close[{name}]"), value).is_some() {
                return None;
            }
        }
    }
    Some(fields)
}

fn arguments(fault: Fault) -> Refusal {
    match fault {
        Fault::Malformed(name) | Fault::Missing(name) => {
            format!("EGeneral:Invalid arguments:{name}")
        }
        Fault::Unknown => "EGeneral:Invalid arguments".to_owned(),
    }
}
