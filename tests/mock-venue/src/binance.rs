//! Binance REST, the venue's side: spot, margin and USD-M futures with one key.
//!
//! String-to-sign: query and body as they arrived, one after the other with nothing between,
//! without the parameter `signature`; neither method nor path nor host is in it. Signature:
//! HMAC-SHA256 in hex of either case, or RSA PKCS#1 v1.5 or Ed25519 over the same text in base64,
//! percent-encoded. `timestamp` in ms or us is taken if it is less than 1 s ahead and at most
//! `recvWindow` old: 5000 ms unless sent, at most 60000.
//! Source: `rest-api.md` of <https://github.com/binance/binance-spot-api-docs> at
//! a5e0bc3ddc0fd7e6bb696849323b74423fa3a54d, sections on request security and timing; error codes
//! from its `errors.md`.
//!
//! Unverified: the order of the checks; that `signature` must come last in its part, that a name
//! sent in query *and* body is refused (the documents let the query win), that a `GET` has no body;
//! HTTP 401 for bad keys; -1131 for a window beyond the maximum; the answer for unknown paths;
//! that futures and margin endpoints answer with the codes of spot.

mod endpoint;
pub(crate) mod stream;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use ring::hmac;
use serde_json::{Map, Value, json};

use crate::account::{self, Seat, Venue};
use crate::field::{Fault, Field, check};
use crate::http::{Header, Incoming};
use crate::ledger::{Moment, Outcome};
use crate::parse;
use endpoint::ENDPOINTS;

const RECV_WINDOW_US: i128 = 5_000_000;
const RECV_WINDOW_MAX_US: i128 = 60_000_000;
const AHEAD_US: i128 = 1_000_000;

/// What the API key opens without a signature; one that is sent is checked all the same.
/// Source: <https://github.com/binance/binance-connector-python> at
/// 29da3291083a0781430a7f2b896297c2eec51b15, clients/margin_trading, which sends it without
/// `is_signed`.
///
/// Listen keys: `sign()` of ccxt 4.5.90 `binance.py`, which sends the key and no signature.
const KEY_ALONE: &[&str] = &[
    "/api/v3/userDataStream",
    "/dapi/v1/listenKey",
    "/fapi/v1/listenKey",
    "/sapi/v1/margin/allPairs",
];

struct Refusal {
    status: StatusCode,
    code: &'static str,
    reason: &'static str,
}

type Fields = Map<String, Value>;

/// Judges a request under one of Binance's paths.
pub(crate) fn judge(seats: &mut [Seat], request: &Incoming, moment: Moment) -> Outcome {
    let judged = authenticate(seats, request, moment.now_ms).and_then(|(seat, mut fields)| {
        let path = request.path.as_str();
        let endpoint = ENDPOINTS
            .iter()
            .find(|known| known.path == path && known.method == request.method.as_str())
            .ok_or(Refusal { status: StatusCode::NOT_FOUND, code: "404", reason: "Not Found" })?;
        read(&mut fields, endpoint.fields, moment)?;
        let answer = (endpoint.act)(&mut seat.book, &fields, moment)?;
        Ok((seat.api_key.clone(), answer))
    });
    match judged {
        Ok((api_key, answer)) => Outcome {
            status: StatusCode::OK,
            answer,
            accepted_by: Some(api_key),
            refused: Vec::new(),
        },
        Err(refusal) => Outcome {
            status: refusal.status,
            answer: json!({ "code": refusal.number(), "msg": refusal.reason }),
            accepted_by: None,
            refused: vec![(refusal.code.to_owned(), refusal.reason.to_owned())],
        },
    }
}

impl Refusal {
    fn number(&self) -> Value {
        self.code.parse::<i64>().map_or(Value::Null, Value::from)
    }
}

/// Checks one parameter list; drops what is unknown if the venue is not to mind.
fn read(fields: &mut Fields, table: &[Field], moment: Moment) -> Result<(), Refusal> {
    if !moment.checks_parameters {
        fields.retain(|name, _| table.iter().any(|field| field.name == name));
    }
    check(fields, table).map_err(|fault| match fault {
        Fault::Malformed(_) => bad("-1100", "Illegal characters found in a parameter."),
        Fault::Missing(_) => {
            bad("-1102", "A mandatory parameter was not sent, was empty/null, or malformed.")
        }
        Fault::Unknown => bad("-1104", "Not all sent parameters were read."),
    })
}

fn authenticate<'a>(
    seats: &'a mut [Seat],
    request: &Incoming,
    now_ms: i64,
) -> Result<(&'a mut Seat, Fields), Refusal> {
    let api_key = match request.header("X-MBX-APIKEY") {
        Header::Value(api_key) => api_key,
        Header::Absent | Header::Malformed => {
            return Err(refusal(StatusCode::UNAUTHORIZED, "-2014", "API-key format invalid."));
        }
    };
    let index = account::find(seats, Venue::Binance, api_key).ok_or_else(|| {
        let reason = "Invalid API-key, IP, or permissions for action.";
        refusal(StatusCode::UNAUTHORIZED, "-2015", reason)
    })?;
    let seat = &mut seats[index];

    let is_form = request.media_type().as_deref() == Some("application/x-www-form-urlencoded");
    let no_body = request.method == Method::GET;
    if !request.body.is_empty() && (no_body || !is_form) {
        return Err(bad("-1102", "A mandatory parameter was not sent: the body is no form."));
    }
    let (query, in_query) = take_signature(request.query.as_bytes());
    let (body, in_body) = take_signature(&request.body);
    let signature = match (in_query, in_body) {
        (Some(signature), None) | (None, Some(signature)) => signature,
        (None, None) if KEY_ALONE.contains(&request.path.as_str()) => {
            let mut fields = parameters(query)?;
            fields.extend(parameters(body)?);
            return Ok((seat, fields));
        }
        (None, None) => return Err(bad("-1102", "Mandatory parameter 'signature' was not sent.")),
        (Some(_), Some(_)) => {
            return Err(bad("-1101", "Duplicate values for a parameter detected."));
        }
    };
    if !verifies(seat, &[query, body].concat(), signature) {
        return Err(bad("-1022", "Signature for this request is not valid."));
    }

    let mut fields = parameters(query)?;
    for (name, value) in parameters(body)? {
        if fields.insert(name, value).is_some() {
            return Err(bad("-1101", "Duplicate values for a parameter detected."));
        }
    }
    check_time(&mut fields, now_ms)?;
    Ok((seat, fields))
}

/// Splits off a trailing `signature=...`; a signature elsewhere stays, and is unknown later.
fn take_signature(part: &[u8]) -> (&[u8], Option<&[u8]>) {
    let (head, last) = match part.iter().rposition(|&byte| byte == b'&') {
        Some(at) => (&part[..at], &part[at + 1..]),
        None => (&part[..0], part),
    };
    match last.strip_prefix(b"signature=") {
        Some(signature) => (head, Some(signature)),
        None => (part, None),
    }
}

fn verifies(seat: &Seat, string_to_sign: &[u8], signature: &[u8]) -> bool {
    let decoded = parse::decode(signature).unwrap_or_default();
    match &seat.public_key {
        Some(key) => {
            let tag = STANDARD.decode(&decoded).unwrap_or_default();
            key.verifies(string_to_sign, &tag)
        }
        None => {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &seat.secret);
            let tag = hex::decode(&decoded).unwrap_or_default();
            // Constant time: `verify` compares the whole tag.
            hmac::verify(&key, string_to_sign, &tag).is_ok()
        }
    }
}

fn parameters(part: &[u8]) -> Result<Fields, Refusal> {
    let fields = parse::read_form(part).ok_or_else(|| {
        let names = || {
            part.split(|&byte| byte == b'&')
                .map(|pair| pair.split(|&byte| byte == b'=').next().unwrap_or_default())
        };
        let twice = names().enumerate().any(|(at, name)| names().take(at).any(|n| n == name));
        if twice {
            bad("-1101", "Duplicate values for a parameter detected.")
        } else {
            bad("-1100", "Illegal characters found in a parameter.")
        }
    })?;
    if fields.values().any(|value| value.as_str() == Some("")) {
        return Err(bad("-1105", "A parameter was empty."));
    }
    Ok(fields)
}

/// Takes `timestamp` and `recvWindow` out of the parameters and judges them.
fn check_time(fields: &mut Fields, now_ms: i64) -> Result<(), Refusal> {
    let malformed = || bad("-1102", "Mandatory parameter 'timestamp' was not sent or malformed.");
    let timestamp = fields.remove("timestamp").ok_or_else(malformed)?;
    let timestamp_us = timestamp.as_str().and_then(to_us).ok_or_else(malformed)?;
    let window_us = match fields.remove("recvWindow") {
        None => RECV_WINDOW_US,
        Some(window) => window
            .as_str()
            .and_then(window_to_us)
            .filter(|window_us| *window_us <= RECV_WINDOW_MAX_US)
            .ok_or_else(|| bad("-1131", "recvWindow must be less than 60000."))?,
    };

    let now_us = i128::from(now_ms) * 1000;
    if timestamp_us >= now_us + AHEAD_US {
        let reason = "Timestamp for this request was 1000ms ahead of the server's time.";
        return Err(bad("-1021", reason));
    }
    if now_us - timestamp_us > window_us {
        return Err(bad("-1021", "Timestamp for this request is outside of the recvWindow."));
    }
    Ok(())
}

/// 13 digits are ms, 16 are us.
fn to_us(text: &str) -> Option<i128> {
    let value = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<i128>().ok());
    match text.len() {
        13 => value.flatten().map(|ms| ms * 1000),
        16 => value.flatten(),
        _ => None,
    }
}

/// ms with up to three decimal places.
fn window_to_us(text: &str) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str, most: usize| {
        (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !digits(whole, 5) || !digits(fraction, 3) {
        return None;
    }
    Some(whole.parse::<i128>().ok()? * 1000 + format!("{fraction:0<3}").parse::<i128>().ok()?)
}

fn bad(code: &'static str, reason: &'static str) -> Refusal {
    refusal(StatusCode::BAD_REQUEST, code, reason)
}

fn refusal(status: StatusCode, code: &'static str, reason: &'static str) -> Refusal {
    Refusal { status, code, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_only_a_trailing_signature_out() {
        let split = |part: &'static str| take_signature(part.as_bytes());
        assert_eq!(split("a=1&signature=x"), (&b"a=1"[..], Some(&b"x"[..])));
        assert_eq!(split("signature=x"), (&b""[..], Some(&b"x"[..])));
        assert_eq!(split("signature=x&a=1"), (&b"signature=x&a=1"[..], None));
        assert_eq!(split(""), (&b""[..], None));
    }

    #[test]
    fn reads_times_of_both_units() {
        assert_eq!(to_us("1712345678901"), Some(1_712_345_678_901_000));
        assert_eq!(to_us("1712345678901234"), Some(1_712_345_678_901_234));
        for text in ["", "171234567890", "17123456789012", "+712345678901", "171234567890.1"] {
            assert_eq!(to_us(text), None, "{text}");
        }
        assert_eq!(window_to_us("5000"), Some(5_000_000));
        assert_eq!(window_to_us("6000.34"), Some(6_000_340));
        for text in ["", "-1", "1.", ".1", "1.2345", "1e3", "600000"] {
            assert_eq!(window_to_us(text), None, "{text}");
        }
    }
}
