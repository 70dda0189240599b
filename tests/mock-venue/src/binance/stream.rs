//! Binance's WebSockets: the WebSocket API, user streams by listen key, and public streams.
//!
//! WebSocket API: `{"id","method","params"}`. String-to-sign: every parameter but `signature` in the
//! order of their names, `name=value` joined with `&`; signature as in REST, not percent-encoded.
//! Source: `web-socket-api.md` of <https://github.com/binance/binance-spot-api-docs> at
//! a5e0bc3ddc0fd7e6bb696849323b74423fa3a54d as summed up in ccxt 4.5.90 `pro/binance.py`
//! `sign_params()`, `ensure_user_data_stream_ws_subscribe_signature()` and `authenticate()`; events
//! from `parse_ws_order()` there.
//!
//! Unverified: the statuses of refusals; 404 for a listen key that is unknown; how long a listen key
//! lives (here for ever); that an account has one listen key for each market at a time.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::endpoint::{ENDPOINTS, FUTURES, SPOT, describe};
use super::{Fields, Refusal, bad, check_time, read, refusal};
use crate::account::{self, Seat, Venue, text};
use crate::book::Book;
use crate::field::{Field, Kind, may, must};
use crate::ledger::Moment;
use crate::parse;
use crate::stream::{Change, Reaction, Talk};
use http::StatusCode;

/// Spot names the key that it means.
pub(super) const SPOT_KEY: &[Field] = &[must("listenKey", Kind::Id(64, ""))];
/// Futures know it by the account.
pub(super) const FUTURES_KEY: &[Field] = &[may("listenKey", Kind::Id(64, ""))];

/// Opens a user stream, or names the one that is open.
pub(super) fn open_key(book: &mut Book, market: &'static str) -> Result<Value, Refusal> {
    if book.pass(market).is_none() {
        let seed = format!("mock listen key {market} {}", book.next_serial());
        book.add_pass(market, hex::encode(Sha256::digest(seed)));
    }
    Ok(json!({ "listenKey": book.pass(market) }))
}

/// Keeps a user stream alive.
pub(super) fn keep_key(
    book: &mut Book,
    fields: &Fields,
    market: &'static str,
) -> Result<Value, Refusal> {
    let named = text(fields, "listenKey");
    match book.pass(market) {
        Some(known) if named.is_empty() || named == known => Ok(json!({ "listenKey": known })),
        _ => Err(bad("-1125", "This listenKey does not exist.")),
    }
}

/// Closes a user stream.
pub(super) fn close_key(
    book: &mut Book,
    fields: &Fields,
    market: &'static str,
) -> Result<Value, Refusal> {
    keep_key(book, fields, market)?;
    book.drop_passes(market);
    Ok(json!({}))
}

/// Binance's side for a path.
pub(crate) fn talk(seats: &[Seat], path: &str, query: &str) -> Option<Box<dyn Talk>> {
    match path {
        "/ws-api/v3" => return Some(Box::new(Rpc::new(SPOT))),
        "/ws-fapi/v1" => return Some(Box::new(Rpc::new(FUTURES))),
        _ => {}
    }
    let key = match path {
        "/private/ws" => query.strip_prefix("listenKey=")?,
        "/market/ws" | "/public/ws" | "/stream" | "/ws" => {
            return Some(Box::new(UserStream { of: None }));
        }
        _ => path.strip_prefix("/ws/").or_else(|| path.strip_prefix("/private/ws/"))?,
    };
    // `btcusdt@trade` and the like: the name of a public stream.
    if key.contains('@') {
        return Some(Box::new(UserStream { of: None }));
    }
    let mut seats = seats.iter().filter(|seat| seat.venue == Venue::Binance);
    let of = seats.find_map(|seat| Some((seat.api_key.clone(), seat.book.purpose(key)?)))?;
    Some(Box::new(UserStream { of: Some(of) }))
}

/// A stream on which the account of a listen key is told of, or none.
struct UserStream {
    of: Option<(String, &'static str)>,
}

impl Talk for UserStream {
    fn hear(&mut self, _: &mut [Seat], text: &str, _: Moment) -> Reaction {
        let message = parse::read_json(text.as_bytes()).unwrap_or_default();
        let id = message["id"].clone();
        match message["method"].as_str() {
            Some("LIST_SUBSCRIPTIONS") => Reaction::say(json!({ "result": [], "id": id })),
            Some("SUBSCRIBE" | "UNSUBSCRIBE") if message["params"].is_array() => {
                Reaction::say(json!({ "result": null, "id": id }))
            }
            _ => {
                let reason = "Invalid request: method is unknown";
                Reaction::refuse(json!({ "code": 2, "msg": reason, "id": id }), 2, reason)
            }
        }
    }

    fn tell(&mut self, change: &Change, moment: Moment) -> Vec<String> {
        match &self.of {
            Some((api_key, market)) if *api_key == change.api_key => {
                let all = events(change, market, moment.now_ms).into_iter();
                all.map(|event| event.to_string()).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// The WebSocket API.
struct Rpc {
    market: &'static str,
    /// The key id that has logged on.
    logged_on: Option<String>,
    /// The key ids that are told of.
    subscribed: Vec<String>,
}

impl Rpc {
    fn new(market: &'static str) -> Self {
        Self { market, logged_on: None, subscribed: Vec::new() }
    }

    fn endpoint(&self, method: &str) -> Option<(&'static str, &'static str)> {
        let spot = self.market == SPOT;
        Some(match method {
            "account.status" if spot => ("GET", "/api/v3/account"),
            "account.status" | "v2/account.status" if !spot => ("GET", "/fapi/v3/account"),
            "openOrders.cancelAll" if spot => ("DELETE", "/api/v3/openOrders"),
            "openOrders.status" if spot => ("GET", "/api/v3/openOrders"),
            "order.cancel" if spot => ("DELETE", "/api/v3/order"),
            "order.cancel" => ("DELETE", "/fapi/v1/order"),
            "order.place" if spot => ("POST", "/api/v3/order"),
            "order.place" => ("POST", "/fapi/v1/order"),
            "order.status" if spot => ("GET", "/api/v3/order"),
            "order.status" => ("GET", "/fapi/v1/order"),
            "order.test" if spot => ("POST", "/api/v3/order/test"),
            _ => return None,
        })
    }

    fn answer(
        &mut self,
        seats: &mut [Seat],
        method: &str,
        params: Fields,
        moment: Moment,
    ) -> Result<(Value, String), Refusal> {
        let status = |api_key: Option<&String>| {
            json!({
                "apiKey": api_key, "authorizedSince": null, "connectedSince": moment.now_ms,
                "returnRateLimits": true, "serverTime": moment.now_ms, "userDataStream": false,
            })
        };
        match method {
            "ping" if params.is_empty() => return Ok((json!({}), String::new())),
            "time" if params.is_empty() => {
                return Ok((json!({ "serverTime": moment.now_ms }), String::new()));
            }
            "session.status" if params.is_empty() => {
                return Ok((status(self.logged_on.as_ref()), String::new()));
            }
            "session.logout" if params.is_empty() => {
                self.logged_on = None;
                return Ok((status(None), String::new()));
            }
            "userDataStream.unsubscribe" => {
                self.subscribed.clear();
                return Ok((json!({}), String::new()));
            }
            _ => {}
        }
        let endpoint = self.endpoint(method);
        let is_session = matches!(
            method,
            "session.logon" | "userDataStream.subscribe" | "userDataStream.subscribe.signature"
        );
        if endpoint.is_none() && !is_session {
            return Err(refusal(StatusCode::BAD_REQUEST, "-1000", "Unknown method."));
        }
        let (seat, mut fields) =
            authenticate(seats, params, self.logged_on.as_deref(), moment.now_ms)?;
        let by = seat.api_key.clone();
        match method {
            "session.logon" => {
                read(&mut fields, &[], moment)?;
                self.logged_on = Some(by.clone());
                return Ok((status(Some(&by)), by));
            }
            "userDataStream.subscribe" | "userDataStream.subscribe.signature" => {
                read(&mut fields, &[], moment)?;
                self.subscribed.push(by.clone());
                return Ok((json!({ "subscriptionId": self.subscribed.len() - 1 }), by));
            }
            _ => {}
        }
        let found = ENDPOINTS.iter().find(|known| Some((known.method, known.path)) == endpoint);
        let found = found.ok_or_else(|| bad("-1000", "Unknown method."))?;
        fields.remove("returnRateLimits");
        read(&mut fields, found.fields, moment)?;
        Ok(((found.act)(&mut seat.book, &fields, moment)?, by))
    }
}

impl Talk for Rpc {
    fn hear(&mut self, seats: &mut [Seat], text: &str, moment: Moment) -> Reaction {
        let Some(Value::Object(mut message)) = parse::read_json(text.as_bytes()) else {
            let reason = "Message is no request.";
            let error = json!({ "code": -1000, "msg": reason });
            return Reaction::refuse(
                json!({ "id": null, "status": 400, "error": error }),
                -1000,
                reason,
            );
        };
        let id = message.remove("id").unwrap_or_default();
        let params = match message.remove("params") {
            None | Some(Value::Null) => Fields::new(),
            Some(Value::Object(params)) => params,
            Some(_) => Fields::from_iter([(String::new(), Value::Null)]),
        };
        let method = message.get("method").and_then(Value::as_str).unwrap_or_default().to_owned();
        match self.answer(seats, &method, params, moment) {
            Ok((result, by)) => {
                let said = json!({ "id": id, "status": 200, "result": result, "rateLimits": [] });
                Reaction::say(said).by(&by)
            }
            Err(refusal) => {
                let error = json!({ "code": refusal.number(), "msg": refusal.reason });
                let said = json!({ "id": id, "status": refusal.status.as_u16(), "error": error });
                Reaction::refuse(said, refusal.code, refusal.reason)
            }
        }
    }

    fn tell(&mut self, change: &Change, moment: Moment) -> Vec<String> {
        let ids = self.subscribed.iter().enumerate();
        let ids = ids.filter(|(_, api_key)| **api_key == change.api_key);
        ids.flat_map(|(id, _)| {
            let all = events(change, self.market, moment.now_ms).into_iter();
            all.map(move |event| json!({ "subscriptionId": id, "event": event }).to_string())
        })
        .collect()
    }
}

/// Checks key, signature and time of a request; a connection that has logged on needs the time alone.
fn authenticate<'a>(
    seats: &'a mut [Seat],
    params: Fields,
    logged_on: Option<&str>,
    now_ms: i64,
) -> Result<(&'a mut Seat, Fields), Refusal> {
    let mut fields = Fields::new();
    // Sorted by name, as the signature wants them: a map of serde_json's is, unless told otherwise.
    let mut names: Vec<String> = params.keys().cloned().collect();
    names.sort_unstable();
    let mut payload = Vec::new();
    for name in names {
        let value = match &params[&name] {
            Value::Bool(flag) => flag.to_string(),
            Value::Number(number) => number.to_string(),
            Value::String(text) => text.clone(),
            _ => return Err(bad("-1100", "Illegal characters found in a parameter.")),
        };
        if name != "signature" {
            payload.push(format!("{name}={value}"));
        }
        fields.insert(name, Value::String(value));
    }
    let api_key = fields.remove("apiKey");
    let signature = fields.remove("signature");
    let api_key = match (&api_key, logged_on) {
        (Some(Value::String(api_key)), _) => api_key.as_str(),
        (None, Some(logged_on)) if signature.is_none() => logged_on,
        _ => return Err(refusal(StatusCode::UNAUTHORIZED, "-2014", "API-key format invalid.")),
    };
    let index = account::find(seats, Venue::Binance, api_key).ok_or_else(|| {
        refusal(
            StatusCode::UNAUTHORIZED,
            "-2015",
            "Invalid API-key, IP, or permissions for action.",
        )
    })?;
    let seat = &mut seats[index];
    match &signature {
        Some(Value::String(signature)) => {
            if !verifies(seat, payload.join("&").as_bytes(), signature) {
                return Err(bad("-1022", "Signature for this request is not valid."));
            }
        }
        _ if logged_on == Some(api_key) => {}
        _ => return Err(bad("-1102", "Mandatory parameter 'signature' was not sent.")),
    }
    check_time(&mut fields, now_ms)?;
    Ok((seat, fields))
}

fn verifies(seat: &Seat, payload: &[u8], signature: &str) -> bool {
    match &seat.public_key {
        Some(key) => key.verifies(payload, &STANDARD.decode(signature).unwrap_or_default()),
        None => {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &seat.secret);
            // Constant time: `verify` compares the whole tag.
            hmac::verify(&key, payload, &hex::decode(signature).unwrap_or_default()).is_ok()
        }
    }
}

/// What an account is told of a change; nothing if it is of another market.
fn events(change: &Change, market: &str, now_ms: i64) -> Vec<Value> {
    if change.order.market != market {
        return Vec::new();
    }
    let order = describe(&change.order);
    let kind = match order["status"].as_str() {
        Some("FILLED") => "TRADE",
        Some("CANCELED") => "CANCELED",
        _ => "NEW",
    };
    let filled = order["executedQty"].clone();
    let last = if kind == "TRADE" { filled.clone() } else { json!("0") };
    if market == FUTURES {
        let side = change.order.text("positionSide");
        let shown = json!({
            "s": order["symbol"], "c": order["clientOrderId"], "S": order["side"],
            "o": order["type"], "f": order["timeInForce"], "q": order["origQty"],
            "p": order["price"], "ap": order["avgPrice"], "sp": order["stopPrice"], "x": kind,
            "X": order["status"], "i": order["orderId"], "l": last, "z": filled,
            "L": order["avgPrice"], "n": "0", "N": "USDT", "T": now_ms, "t": 0, "b": "0", "a": "0",
            "m": false, "R": false, "wt": "CONTRACT_PRICE", "ot": order["type"],
            "ps": if side.is_empty() { "BOTH" } else { side }, "cp": false, "rp": "0", "pP": false,
            "si": 0, "ss": 0, "V": "NONE", "pm": "NONE", "gtd": 0,
        });
        return vec![json!({ "e": "ORDER_TRADE_UPDATE", "E": now_ms, "T": now_ms, "o": shown })];
    }
    let balances = change.purses.iter();
    let balances: Vec<Value> = balances
        .map(|(asset, free, locked)| json!({ "a": asset, "f": free, "l": locked }))
        .collect();
    vec![
        json!({
            "e": "executionReport", "E": now_ms, "s": order["symbol"], "c": order["clientOrderId"],
            "S": order["side"], "o": order["type"], "f": order["timeInForce"],
            "q": order["origQty"], "p": order["price"], "P": order["stopPrice"], "F": "0", "g": -1,
            "C": "", "x": kind, "X": order["status"], "r": "NONE", "i": order["orderId"], "l": last,
            "z": filled, "L": order["price"], "n": "0", "N": null, "T": now_ms, "t": -1, "I": 1,
            "w": kind == "NEW", "m": false, "M": false, "O": change.order.placed_ms,
            "Z": order["cummulativeQuoteQty"], "Y": "0", "Q": "0",
        }),
        json!({ "e": "outboundAccountPosition", "E": now_ms, "u": now_ms, "B": balances }),
    ]
}
