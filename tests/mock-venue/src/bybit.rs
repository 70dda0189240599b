//! Bybit v5 REST, the venue's side.
//!
//! String-to-sign: `timestamp + api key + recv_window + (query | JSON body)`; neither method nor
//! path is in it. Signature: HMAC-SHA256 in lower-case hex, or RSA PKCS#1 v1.5 with SHA-256 in
//! base64. Taken if `server - recv_window <= timestamp < server + 1000`, ms; 5000 unless sent.
//! Source: `docs/v5/guide.mdx` of <https://github.com/bybit-exchange/docs> at
//! 072c197d0c11b4d9a88d1dd0c7b9d7ca8ea3a996 as summed up in ccxt 4.5.90 `bybit.py` `sign()`; error
//! codes from its `docs/v5/error.mdx`.
//!
//! Unverified: the order of the checks, 10001 for a bad header, for a body that is no JSON and for
//! unknown parameters (Bybit may ignore them), that a window beyond 60 s is refused.

mod endpoint;
pub(crate) mod stream;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use ring::hmac;
use serde_json::{Map, Value, json};

use crate::account::{self, Seat, Venue};
use crate::field::{Fault, check};
use crate::http::{Header, Incoming};
use crate::ledger::{Moment, Outcome};
use crate::parse;
use endpoint::ENDPOINTS;

const RECV_WINDOW_MS: &str = "5000";
const RECV_WINDOW_MAX_MS: i128 = 60_000;

type Fields = Map<String, Value>;

struct Refusal {
    code: u32,
    reason: &'static str,
}

/// Judges a request under `/v5/`.
pub(crate) fn judge(seats: &mut [Seat], request: &Incoming, moment: Moment) -> Outcome {
    let judged = authenticate(seats, request, moment.now_ms).and_then(|seat| {
        let path = request.path.as_str();
        let endpoint = ENDPOINTS
            .iter()
            .find(|known| known.path == path && known.method == request.method.as_str())
            .ok_or(Refusal { code: 10017, reason: "Route not found." })?;
        let mut fields = parameters(request)?;
        if !moment.checks_parameters {
            fields.retain(|name, _| endpoint.fields.iter().any(|field| field.name == name));
        }
        check(&fields, endpoint.fields).map_err(|fault| match fault {
            Fault::Malformed(_) | Fault::Missing(_) => malformed("Request parameter error."),
            Fault::Unknown => malformed("Request parameter error: unknown parameter."),
        })?;
        let result = (endpoint.act)(&mut seat.book, &fields, moment.now_ms)?;
        Ok((seat.api_key.clone(), result))
    });
    let (code, reason, result, accepted_by) = match judged {
        Ok((api_key, result)) => (0, "OK", result, Some(api_key)),
        Err(refusal) => (refusal.code, refusal.reason, json!({}), None),
    };
    Outcome {
        status: StatusCode::OK,
        answer: json!({
            "retCode": code, "retMsg": reason, "result": result,
            "retExtInfo": {}, "time": moment.now_ms,
        }),
        refused: match accepted_by {
            Some(_) => Vec::new(),
            None => vec![(code.to_string(), reason.to_owned())],
        },
        accepted_by,
    }
}

fn authenticate<'a>(
    seats: &'a mut [Seat],
    request: &Incoming,
    now_ms: i64,
) -> Result<&'a mut Seat, Refusal> {
    let header = |name| match request.header(name) {
        Header::Value(value) => Ok(value),
        Header::Absent | Header::Malformed => Err(malformed("Request parameter error: header.")),
    };
    let api_key = header("X-BAPI-API-KEY")?;
    let sign = header("X-BAPI-SIGN")?;
    let timestamp = header("X-BAPI-TIMESTAMP")?;
    let window = match request.header("X-BAPI-RECV-WINDOW") {
        Header::Absent => RECV_WINDOW_MS,
        Header::Malformed => return Err(malformed("Request parameter error: header.")),
        Header::Value(value) => value,
    };

    let invalid_key = || Refusal { code: 10003, reason: "API key is invalid." };
    let index = account::find(seats, Venue::Bybit, api_key).ok_or_else(invalid_key)?;
    let seat = &mut seats[index];

    let late =
        || Refusal { code: 10002, reason: "The request time exceeds the time window range." };
    let timestamp_ms = digits(timestamp, 13).ok_or_else(late)?;
    let window_ms = digits(window, 5).filter(|ms| *ms <= RECV_WINDOW_MAX_MS).ok_or_else(late)?;
    let now_ms = i128::from(now_ms);
    if timestamp_ms >= now_ms + 1000 || timestamp_ms < now_ms - window_ms {
        return Err(late());
    }

    let payload =
        if request.method == Method::GET { request.query.as_bytes() } else { &request.body[..] };
    let head = format!("{timestamp}{api_key}{window}");
    if verifies(seat, &[head.as_bytes(), payload].concat(), sign) {
        Ok(seat)
    } else {
        Err(Refusal { code: 10004, reason: "Error sign." })
    }
}

fn verifies(seat: &Seat, string_to_sign: &[u8], sign: &str) -> bool {
    match &seat.public_key {
        Some(key) => key.verifies(string_to_sign, &STANDARD.decode(sign).unwrap_or_default()),
        None => {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &seat.secret);
            let tag = hex::decode(sign).unwrap_or_default();
            let lower = !sign.bytes().any(|byte| byte.is_ascii_uppercase());
            // Constant time: `verify` compares the whole tag.
            lower && hmac::verify(&key, string_to_sign, &tag).is_ok()
        }
    }
}

/// Reads the one place that the signature covers; the other must be empty.
fn parameters(request: &Incoming) -> Result<Fields, Refusal> {
    let wrong = || malformed("Request parameter error.");
    if request.method == Method::GET {
        let query = parse::read_form(request.query.as_bytes());
        return query.filter(|_| request.body.is_empty()).ok_or_else(wrong);
    }
    let is_json = request.media_type().as_deref() == Some("application/json");
    match parse::read_json(&request.body) {
        Some(Value::Object(fields)) if is_json && request.query.is_empty() => Ok(fields),
        _ => Err(wrong()),
    }
}

fn digits(text: &str, length_max: usize) -> Option<i128> {
    let plain = (1..=length_max).contains(&text.len());
    let plain = plain && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

fn malformed(reason: &'static str) -> Refusal {
    Refusal { code: 10001, reason }
}
