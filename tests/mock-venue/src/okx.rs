//! OKX v5 REST, the venue's side.
//!
//! String-to-sign: `timestamp + METHOD + path[?query] + body`; signature:
//! base64(HMAC-SHA256(secret, string-to-sign)); 30 s window.
//! Source: ccxt 4.5.90 `okx.py` `sign()` and
//! <https://www.okx.com/docs-v5/en/#overview-rest-authentication> (not read anew for this file).
//!
//! Error codes and HTTP statuses, read 2026-11-21:
//! - 50103 to 50107, 50111 to 50113, 51000, 50014 with their statuses:
//!   <https://web3.okx.com/onchainos/dev-docs-v5/dex-api/dex-market-price-error-code>;
//! - 50101 and 50102 with status 401: <https://github.com/pyted/okx/issues/1>;
//! - codes 1, 2, 50000, 50002, 50006, 51003:
//!   <https://cloudquant.github.io/bt_api_py/exchanges/okx/status_announcement_error>;
//! - 50115, 51016, 51400, 51603 and their words: ccxt's table of OKX errors.
//!
//! Unverified: the order of the checks; statuses of 50000, 50002, 50006 and 50115; the 404
//! answer; that unknown parameters are refused (OKX may ignore them: the mock is stricter so
//! that nothing passes unread).

mod endpoint;
pub(crate) mod stream;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use ring::hmac;
use serde_json::{Map, Value, json};
use subtle::ConstantTimeEq as _;

use crate::account::{self, Seat, Venue};
use crate::book::Book;
use crate::field::{Fault, check};
use crate::http::{Header, Incoming};
use crate::ledger::Outcome;
use crate::parse;
use endpoint::{ENDPOINTS, Endpoint};

const WINDOW_MS: u64 = 30_000;
const BATCH_MAX: usize = 20;

/// A refusal of the whole request, or of one order in it.
struct Refusal {
    status: StatusCode,
    code: &'static str,
    reason: String,
}

type Fields = Map<String, Value>;

/// Judges a request under `/api/v5/`; `endpoint` is the path after that.
pub(crate) fn judge(
    seats: &mut [Seat],
    request: &Incoming,
    endpoint: &str,
    now_ms: i64,
) -> Outcome {
    let judged = authenticate(seats, request, now_ms).and_then(|seat| {
        let results = run(&mut seat.book, request, endpoint, now_ms)?;
        Ok((seat.api_key.clone(), results))
    });
    match judged {
        Ok((api_key, results)) => answer(api_key, results),
        Err(refusal) => Outcome {
            status: refusal.status,
            answer: json!({ "code": refusal.code, "data": [], "msg": refusal.reason }),
            accepted_by: None,
            refused: vec![(refusal.code.to_owned(), refusal.reason)],
        },
    }
}

/// One entry per order: failures stand beside successes, as OKX reports a batch.
fn answer(api_key: String, results: Vec<Result<Vec<Value>, Refusal>>) -> Outcome {
    let (mut data, mut refused) = (Vec::new(), Vec::new());
    let mut done = results.is_empty();
    for result in results {
        match result {
            Ok(entries) => {
                data.extend(entries);
                done = true;
            }
            Err(refusal) => {
                data.push(json!({ "ordId": "", "sCode": refusal.code, "sMsg": refusal.reason }));
                refused.push((refusal.code.to_owned(), refusal.reason));
            }
        }
    }
    let (code, msg) = match (done, refused.is_empty()) {
        (true, true) => ("0", ""),
        (true, false) => ("2", "Bulk operation partially succeeded"),
        (false, _) => ("1", "Operation failed"),
    };
    Outcome {
        status: StatusCode::OK,
        answer: json!({ "code": code, "data": data, "msg": msg }),
        accepted_by: done.then_some(api_key),
        refused,
    }
}

fn authenticate<'a>(
    seats: &'a mut [Seat],
    request: &Incoming,
    now_ms: i64,
) -> Result<&'a mut Seat, Refusal> {
    let api_key = credential(request, "OK-ACCESS-KEY", "50103", "50111")?;
    let sign = credential(request, "OK-ACCESS-SIGN", "50106", "50113")?;
    let timestamp = credential(request, "OK-ACCESS-TIMESTAMP", "50107", "50112")?;
    let passphrase = credential(request, "OK-ACCESS-PASSPHRASE", "50104", "50105")?;

    let at_ms = parse_iso_ms(timestamp)
        .ok_or_else(|| unauthorized("50112", "Invalid OK-ACCESS-TIMESTAMP"))?;
    let index = account::find(seats, Venue::Okx, api_key)
        .ok_or_else(|| unauthorized("50111", "Invalid OK-ACCESS-KEY"))?;
    let seat = &mut seats[index];

    // A live key must come without the header; OKX also takes the value 0 (unverified).
    let in_place = match request.header("x-simulated-trading") {
        Header::Absent => !seat.demo && !request.headers.contains_key("x-simulated-trading"),
        Header::Malformed => false,
        Header::Value(value) => seat.demo && value == "1",
    };
    if !in_place {
        return Err(unauthorized("50101", "APIKey does not match current environment."));
    }
    if !bool::from(seat.passphrase.ct_eq(passphrase.as_bytes())) {
        return Err(unauthorized("50105", "Request header \"OK-ACCESS-PASSPHRASE\" incorrect."));
    }
    if now_ms.abs_diff(at_ms) > WINDOW_MS {
        return Err(unauthorized("50102", "Timestamp request expired."));
    }

    let head = format!("{timestamp}{}{}", request.method, request.target);
    let string_to_sign = [head.as_bytes(), &request.body].concat();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &seat.secret);
    let tag = STANDARD.decode(sign).unwrap_or_default();
    // Constant time: `verify` compares the whole tag.
    hmac::verify(&key, &string_to_sign, &tag).map_err(|_| unauthorized("50113", "Invalid Sign"))?;
    Ok(seat)
}

fn credential<'a>(
    request: &'a Incoming,
    name: &str,
    absent: &'static str,
    malformed: &'static str,
) -> Result<&'a str, Refusal> {
    match request.header(name) {
        Header::Absent => {
            Err(unauthorized(absent, format!("Request header \"{name}\" can not be empty.")))
        }
        Header::Malformed => Err(unauthorized(malformed, format!("Invalid {name}"))),
        Header::Value(value) => Ok(value),
    }
}

fn run(
    book: &mut Book,
    request: &Incoming,
    path: &str,
    now_ms: i64,
) -> Result<Vec<Result<Vec<Value>, Refusal>>, Refusal> {
    let post = request.method == Method::POST;
    let known = || ENDPOINTS.iter().filter(|endpoint| endpoint.path == path);
    let Some(endpoint) = known().find(|endpoint| endpoint.post == post) else {
        return Err(match known().next() {
            Some(_) => refusal(StatusCode::METHOD_NOT_ALLOWED, "50115", "Invalid request method."),
            None => refusal(StatusCode::NOT_FOUND, "404", "Not Found"),
        });
    };
    if !endpoint.post && request.method != Method::GET {
        return Err(refusal(StatusCode::METHOD_NOT_ALLOWED, "50115", "Invalid request method."));
    }

    let orders = if endpoint.post { read_body(request, endpoint)? } else { read_query(request)? };
    // The whole list is checked before the first order is acted on.
    for order in &orders {
        check(order, endpoint.fields).map_err(bad_parameter)?;
    }
    Ok(orders.iter().map(|order| (endpoint.act)(book, order, now_ms)).collect())
}

fn read_query(request: &Incoming) -> Result<Vec<Fields>, Refusal> {
    if !request.body.is_empty() {
        return Err(bad("50002", "a GET request carries no body"));
    }
    let query = parse::read_form(request.query.as_bytes());
    query.map(|fields| vec![fields]).ok_or_else(|| bad("51000", "Parameter error"))
}

fn read_body(request: &Incoming, endpoint: &Endpoint) -> Result<Vec<Fields>, Refusal> {
    if !request.query.is_empty() {
        return Err(bad("51000", "parameters belong in the body"));
    }
    if request.media_type().as_deref() != Some("application/json") {
        return Err(bad("50006", "Invalid Content-Type, please use \"application/json\" format"));
    }
    if request.body.is_empty() {
        return Err(bad("50000", "Body can not be empty"));
    }
    let list = match parse::read_json(&request.body) {
        Some(Value::Array(list)) if endpoint.batch => list,
        Some(object @ Value::Object(_)) if !endpoint.batch => vec![object],
        _ => return Err(bad("50002", "Json data format error")),
    };
    if !(1..=BATCH_MAX).contains(&list.len()) {
        return Err(bad("51000", "Parameter count error"));
    }
    let objects = list.into_iter().map(|item| match item {
        Value::Object(fields) => Ok(fields),
        _ => Err(bad("50002", "Json data format error")),
    });
    objects.collect()
}

/// Reads `YYYY-MM-DDThh:mm:ss.mmmZ` and nothing else; ms since the Unix epoch.
fn parse_iso_ms(text: &str) -> Option<i64> {
    const SHAPE: &[u8; 24] = b"0000-00-00T00:00:00.000Z";
    let bytes: &[u8; 24] = text.as_bytes().try_into().ok()?;
    let shaped = bytes.iter().zip(SHAPE).all(|(byte, shape)| match shape {
        b'0' => byte.is_ascii_digit(),
        mark => byte == mark,
    });
    if !shaped {
        return None;
    }
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = usize::try_from(month.checked_sub(1)?).ok()?;
    if year < 1970 || !(1..=*lengths.get(before)?).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Leap days of the years 1 to `years`; the Unix epoch is 719162 days after 0001-01-01.
    let years = year - 1;
    let days = years * 365 + years / 4 - years / 100 + years / 400 - 719_162
        + lengths[..before].iter().sum::<i64>()
        + (day - 1);
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + number(20, 23)?)
}

fn bad_parameter(fault: Fault) -> Refusal {
    match fault {
        Fault::Malformed(name) => bad("51000", format!("Parameter {name} error")),
        Fault::Missing(name) => bad("50014", format!("Parameter {name} can not be empty.")),
        Fault::Unknown => bad("51000", "unknown parameter"),
    }
}

fn bad(code: &'static str, reason: impl Into<String>) -> Refusal {
    refusal(StatusCode::BAD_REQUEST, code, reason)
}

fn unauthorized(code: &'static str, reason: impl Into<String>) -> Refusal {
    refusal(StatusCode::UNAUTHORIZED, code, reason)
}

fn refusal(status: StatusCode, code: &'static str, reason: impl Into<String>) -> Refusal {
    Refusal { status, code, reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_timestamps_to_the_millisecond() {
        assert_eq!(parse_iso_ms("1970-01-01T00:00:00.000Z"), Some(0));
        assert_eq!(parse_iso_ms("2024-04-06T19:34:38.038Z"), Some(1_712_432_078_038));
        assert_eq!(parse_iso_ms("2000-02-29T23:59:59.999Z"), Some(951_868_799_999));
        for text in [
            "2023-02-29T00:00:00.000Z",
            "2024-13-01T00:00:00.000Z",
            "2024-00-01T00:00:00.000Z",
            "2024-01-01T24:00:00.000Z",
            "2024-01-01T00:00:00Z",
            "2024-01-01 00:00:00.000Z",
            "2024-01-01T00:00:00.0000",
            "1712432078",
            "２024-01-01T00:00:00.00Z",
        ] {
            assert_eq!(parse_iso_ms(text), None, "{text}");
        }
    }
}
