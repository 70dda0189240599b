//! Coinbase Advanced Trade REST, the venue's side.
//!
//! A request carries `Authorization: Bearer` and a JWT, ES256 or EdDSA: `kid` and `sub` are the
//! key id, `iss` says who made it, `nbf` and `exp` are at most 120 s apart, and `uri` (or `uris`)
//! is `METHOD host/path`. Query and body are not in it: whoever has the JWT may send any.
//! Legacy keys sign `timestamp + METHOD + path + body` by HMAC-SHA256 in hex, in `CB-ACCESS-SIGN`
//! beside `-KEY` and `-TIMESTAMP` (seconds, 30 s).
//! Source: <https://github.com/coinbase/coinbase-advanced-py> `jwt_generator.py` at
//! 54fb8ed3cd32b49760cbe88d116aad9a13068ef2; for `uris`, the issuer of ES256 and the legacy scheme
//! ccxt 4.5.90 `coinbase.py` `sign()`.
//!
//! Unverified: the answers to bad requests, that a JWT without `uri` opens nothing here, that the
//! host in it is compared, that the random `nonce` of its header must be there, that unknown
//! parameters are refused.

mod endpoint;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, StatusCode};
use ring::hmac;
use serde_json::{Map, Value, json};

use crate::account::{self, Seat, Venue};
use crate::field::{Fault, check};
use crate::http::{Header, Incoming};
use crate::key::Algorithm;
use crate::ledger::{Moment, Outcome};
use crate::parse;
use endpoint::{ENDPOINTS, Endpoint, PATH_ID};

const HOST: &str = "api.coinbase.com";
const JWT_SECONDS_MAX: i64 = 120;
const LEGACY_SECONDS: u64 = 30;

type Fields = Map<String, Value>;

struct Refusal {
    status: StatusCode,
    code: &'static str,
    reason: &'static str,
}

/// Judges a request under `/api/v3/brokerage/` or `/v2/`.
pub(crate) fn judge(seats: &mut [Seat], request: &Incoming, moment: Moment) -> Outcome {
    let judged = authenticate(seats, request, moment.now_ms).and_then(|seat| {
        let (endpoint, id) = ENDPOINTS
            .iter()
            .filter(|known| known.method == request.method.as_str())
            .find_map(|known| Some((known, known.id_in(&request.path)?)))
            .ok_or(Refusal {
                status: StatusCode::NOT_FOUND,
                code: "not_found",
                reason: "unknown route",
            })?;
        let mut fields = parameters(request, endpoint)?;
        if !moment.checks_parameters {
            fields.retain(|name, _| endpoint.fields.iter().any(|field| field.name == name));
        }
        check(&fields, endpoint.fields).map_err(|fault| match fault {
            Fault::Malformed(_) => invalid("a parameter is malformed"),
            Fault::Missing(_) => invalid("a parameter is missing"),
            Fault::Unknown => invalid("unknown parameter"),
        })?;
        if !id.is_empty() {
            fields.insert(PATH_ID.to_owned(), Value::from(id));
        }
        let answer = (endpoint.act)(&mut seat.book, &fields, moment.now_ms)?;
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
            answer: json!({ "error": refusal.code, "message": refusal.reason }),
            accepted_by: None,
            refused: vec![(refusal.code.to_owned(), refusal.reason.to_owned())],
        },
    }
}

fn authenticate<'a>(
    seats: &'a mut [Seat],
    request: &Incoming,
    now_ms: i64,
) -> Result<&'a mut Seat, Refusal> {
    let now_s = now_ms.div_euclid(1000);
    match request.header("authorization") {
        Header::Value(value) => {
            let token = value.strip_prefix("Bearer ").ok_or_else(|| denied("no bearer token"))?;
            let index = check_jwt(seats, request, token, now_s)?;
            Ok(&mut seats[index])
        }
        Header::Absent => {
            let index = check_legacy(seats, request, now_s)?;
            Ok(&mut seats[index])
        }
        Header::Malformed => Err(denied("authorization is malformed")),
    }
}

/// Returns the seat whose key made the token for this very method and path.
fn check_jwt(
    seats: &[Seat],
    request: &Incoming,
    token: &str,
    now_s: i64,
) -> Result<usize, Refusal> {
    let (signed, signature) = token.rsplit_once('.').ok_or_else(|| denied("no JWT"))?;
    let (header, claims) = signed.split_once('.').ok_or_else(|| denied("no JWT"))?;
    let header = json_part(header).ok_or_else(|| denied("JWT header is malformed"))?;
    let claims = json_part(claims).ok_or_else(|| denied("JWT claims are malformed"))?;

    let api_key = account::text(&header, "kid");
    let index = account::find(seats, Venue::Coinbase, api_key);
    let index = index.ok_or_else(|| denied("unknown key"))?;
    let key = seats[index].public_key.as_ref().ok_or_else(|| denied("a legacy key"))?;
    // The algorithm is the key's: what the header says must agree, and decides nothing.
    let algorithm = match key.algorithm {
        Algorithm::Ed25519 => "EdDSA",
        Algorithm::P256 => "ES256",
        Algorithm::Rsa => return Err(denied("unknown key")),
    };
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
    if account::text(&header, "alg") != algorithm || !key.verifies(signed.as_bytes(), &signature) {
        return Err(denied("signature is wrong"));
    }

    if account::text(&header, "nonce").is_empty() {
        return Err(denied("nonce is missing"));
    }
    let issuer = account::text(&claims, "iss");
    if account::text(&claims, "sub") != api_key || !["cdp", "coinbase-cloud"].contains(&issuer) {
        return Err(denied("claims are not of this key"));
    }
    let seconds = |name: &str| claims.get(name).and_then(Value::as_i64);
    match (seconds("nbf"), seconds("exp")) {
        (Some(from), Some(until))
            if from <= now_s
                && now_s < until
                && until.checked_sub(from).is_some_and(|span| span <= JWT_SECONDS_MAX) => {}
        _ => return Err(denied("token is not good at this time")),
    }
    let uri = format!("{} {HOST}{}", request.method, request.path);
    let named = match (claims.get("uri"), claims.get("uris")) {
        (Some(Value::String(one)), None) => *one == uri,
        (None, Some(Value::Array(many))) => many.iter().any(|one| one.as_str() == Some(&uri)),
        _ => false,
    };
    if named { Ok(index) } else { Err(denied("token is for another request")) }
}

fn check_legacy(seats: &[Seat], request: &Incoming, now_s: i64) -> Result<usize, Refusal> {
    let header = |name| match request.header(name) {
        Header::Value(value) => Ok(value),
        Header::Absent | Header::Malformed => Err(denied("no credentials")),
    };
    let api_key = header("CB-ACCESS-KEY")?;
    let sign = header("CB-ACCESS-SIGN")?;
    let timestamp = header("CB-ACCESS-TIMESTAMP")?;
    let index = account::find(seats, Venue::Coinbase, api_key);
    let index = index.ok_or_else(|| denied("unknown key"))?;
    let seat = &seats[index];
    if seat.public_key.is_some() {
        return Err(denied("not a legacy key"));
    }

    let digits =
        (1..=12).contains(&timestamp.len()) && timestamp.bytes().all(|byte| byte.is_ascii_digit());
    let at_s = digits.then(|| timestamp.parse::<i64>().ok()).flatten();
    if at_s.is_none_or(|at_s| now_s.abs_diff(at_s) > LEGACY_SECONDS) {
        return Err(denied("timestamp is not good at this time"));
    }
    let head = format!("{timestamp}{}{}", request.method, request.path);
    let string_to_sign = [head.as_bytes(), &request.body].concat();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &seat.secret);
    let lower = !sign.bytes().any(|byte| byte.is_ascii_uppercase());
    let tag = hex::decode(sign).unwrap_or_default();
    // Constant time: `verify` compares the whole tag.
    if lower && hmac::verify(&key, &string_to_sign, &tag).is_ok() {
        Ok(index)
    } else {
        Err(denied("signature is wrong"))
    }
}

/// A base64url part of a JWT that holds one JSON object.
fn json_part(part: &str) -> Option<Fields> {
    match parse::read_json(&URL_SAFE_NO_PAD.decode(part).ok()?) {
        Some(Value::Object(fields)) => Some(fields),
        _ => None,
    }
}

fn parameters(request: &Incoming, endpoint: &Endpoint) -> Result<Fields, Refusal> {
    if request.method == Method::GET {
        let mut fields = Fields::new();
        for pair in request.query.split('&').filter(|pair| !pair.is_empty()) {
            let one = parse::read_form(pair.as_bytes());
            let one = one.ok_or_else(|| invalid("query is malformed"))?;
            for (name, value) in one {
                // Lists are repeated names.
                if endpoint.lists.contains(&name.as_str()) {
                    let list = fields.entry(name).or_insert_with(|| json!([]));
                    list.as_array_mut().into_iter().for_each(|list| list.push(value.clone()));
                } else if fields.insert(name, value).is_some() {
                    return Err(invalid("a parameter is there twice"));
                }
            }
        }
        return Ok(fields);
    }
    let is_json = request.media_type().as_deref() == Some("application/json");
    match parse::read_json(&request.body) {
        Some(Value::Object(fields)) if is_json && request.query.is_empty() => Ok(fields),
        _ => Err(invalid("body is no JSON object")),
    }
}

fn denied(reason: &'static str) -> Refusal {
    Refusal { status: StatusCode::UNAUTHORIZED, code: "unauthorized", reason }
}

fn invalid(reason: &'static str) -> Refusal {
    Refusal { status: StatusCode::BAD_REQUEST, code: "INVALID_ARGUMENT", reason }
}
