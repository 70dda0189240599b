//! Bybit v5 WebSockets: private topics, order entry, and public topics that say nothing.
//!
//! Log-on: `{"op":"auth","args":[key, expires, signature]}`, string-to-sign `GET/realtime` + expires,
//! HMAC-SHA256 in lower-case hex. Order entry: `{"reqId","header","op":"order.create","args":[{..}]}`.
//! Source: ccxt 4.5.90 `pro/bybit.py` `authenticate()`, `handle_authenticate()` and
//! `handle_order_ws()`; `docs/v5/websocket` of <https://github.com/bybit-exchange/docs> at
//! 072c197d0c11b4d9a88d1dd0c7b9d7ca8ea3a996 as shown there.
//!
//! Unverified: the codes and words of refusals; how far ahead `expires` may lie.

use ring::hmac;
use serde_json::{Value, json};

use super::endpoint::{ENDPOINTS, describe};
use super::{Fields, Refusal, digits, malformed};
use crate::account::{self, Seat, Venue};
use crate::book::State;
use crate::field::check;
use crate::ledger::Moment;
use crate::parse;
use crate::stream::{Change, Reaction};

const CONNECTION: &str = "cojifin88smerbj9t560-404";
const EXPIRES_AHEAD_MS: i128 = 60 * 60 * 1000;
const WINDOW_MS: i128 = 5_000;
/// Source: `watch_orders`, `watch_my_trades`, `watch_positions` and `watch_balance` of ccxt 4.5.90
/// `pro/bybit.py`; those of one category are unverified.
const TOPICS: &[&str] = &[
    "execution",
    "execution.fast",
    "execution.linear",
    "execution.spot",
    "greeks",
    "order",
    "order.inverse",
    "order.linear",
    "order.option",
    "order.spot",
    "position",
    "position.linear",
    "wallet",
];

/// A private or public connection, or one for order entry.
pub(crate) struct Talk {
    is_trade: bool,
    logged_on: Option<String>,
    topics: Vec<String>,
}

impl Talk {
    pub(crate) fn new(is_trade: bool) -> Self {
        Self { is_trade, logged_on: None, topics: Vec::new() }
    }

    fn log_on(&mut self, seats: &mut [Seat], message: &Value, now_ms: i64) -> Result<(), Refusal> {
        let Some([Value::String(api_key), expires, Value::String(sign)]) =
            message["args"].as_array().map(Vec::as_slice)
        else {
            return Err(malformed("Request parameter error."));
        };
        let expires = match expires {
            Value::Number(number) => number.to_string(),
            Value::String(text) => text.clone(),
            _ => return Err(malformed("Request parameter error.")),
        };
        let index = account::find(seats, Venue::Bybit, api_key)
            .ok_or(Refusal { code: 10003, reason: "API key is invalid." })?;
        let at = digits(&expires, 13).ok_or(malformed("Request parameter error."))?;
        let now = i128::from(now_ms);
        if at <= now || at > now + EXPIRES_AHEAD_MS {
            return Err(Refusal { code: 10002, reason: "Request expired." });
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, &seats[index].secret);
        let tag = hex::decode(sign).unwrap_or_default();
        let is_lower = !sign.bytes().any(|byte| byte.is_ascii_uppercase());
        let string_to_sign = format!("GET/realtime{expires}");
        // Constant time: `verify` compares the whole tag.
        if !is_lower || hmac::verify(&key, string_to_sign.as_bytes(), &tag).is_err() {
            return Err(Refusal { code: 10004, reason: "Error sign." });
        }
        self.logged_on = Some(api_key.clone());
        Ok(())
    }

    fn subscribe(&mut self, message: &Value) -> Result<(), Refusal> {
        let named = message["args"].as_array().into_iter().flatten();
        let topics: Option<Vec<String>> =
            named.map(|topic| topic.as_str().map(str::to_owned)).collect();
        let topics = topics.filter(|all| !all.is_empty());
        let topics = topics.ok_or(malformed("Request parameter error."))?;
        for topic in &topics {
            // What has a symbol in it is public.
            let is_private = TOPICS.contains(&topic.as_str());
            if is_private && self.logged_on.is_none() {
                return Err(Refusal { code: 10404, reason: "Request not authorized" });
            }
            if !is_private && !topic.contains('.') {
                return Err(Refusal { code: 10404, reason: "error:handler not found" });
            }
        }
        self.topics.extend(topics);
        Ok(())
    }

    fn order(
        &mut self,
        seats: &mut [Seat],
        message: &Value,
        path: &str,
        moment: Moment,
    ) -> Result<Value, Refusal> {
        let api_key = self.logged_on.as_deref();
        let api_key = api_key.ok_or(Refusal { code: 10404, reason: "Request not authorized" })?;
        let header = &message["header"];
        let timestamp = match &header["X-BAPI-TIMESTAMP"] {
            Value::Number(number) => number.to_string(),
            Value::String(text) => text.clone(),
            _ => String::new(),
        };
        let window = match &header["X-BAPI-RECV-WINDOW"] {
            Value::Null => Some(WINDOW_MS),
            Value::Number(number) => digits(&number.to_string(), 5),
            Value::String(text) => digits(text, 5),
            _ => None,
        };
        let now = i128::from(moment.now_ms);
        let in_time = digits(&timestamp, 13)
            .zip(window)
            .is_some_and(|(at, window)| at < now + 1_000 && at >= now - window);
        if !in_time {
            return Err(Refusal { code: 10002, reason: "Request not in time window." });
        }
        let Some([Value::Object(fields)]) = message["args"].as_array().map(Vec::as_slice) else {
            return Err(malformed("Request parameter error."));
        };
        let mut fields: Fields = fields.clone();
        let endpoint = ENDPOINTS.iter().find(|known| known.path == path && known.method == "POST");
        let endpoint = endpoint.ok_or(Refusal { code: 10404, reason: "op is unknown" })?;
        if !moment.checks_parameters {
            fields.retain(|name, _| endpoint.fields.iter().any(|field| field.name == name));
        }
        check(&fields, endpoint.fields).map_err(|_| malformed("Request parameter error."))?;
        let index = account::find(seats, Venue::Bybit, api_key)
            .ok_or(Refusal { code: 10003, reason: "API key is invalid." })?;
        (endpoint.act)(&mut seats[index].book, &fields, moment.now_ms)
    }
}

impl crate::stream::Talk for Talk {
    fn hear(&mut self, seats: &mut [Seat], text: &str, moment: Moment) -> Reaction {
        let message = parse::read_json(text.as_bytes()).unwrap_or_default();
        let op = message["op"].as_str().unwrap_or_default();
        let by = |talk: &Self| talk.logged_on.clone().unwrap_or_default();
        let result = match op {
            "ping" => {
                let now = moment.now_ms.to_string();
                return Reaction::say(json!({
                    "success": true, "ret_msg": "pong", "conn_id": CONNECTION, "op": "pong",
                    "req_id": message["req_id"], "args": [now],
                }));
            }
            "auth" => self.log_on(seats, &message, moment.now_ms).map(|()| json!({})),
            "subscribe" if !self.is_trade => self.subscribe(&message).map(|()| json!({})),
            "unsubscribe" if !self.is_trade => {
                let args = message["args"].as_array().cloned().unwrap_or_default();
                self.topics.retain(|topic| !args.iter().any(|arg| arg == topic.as_str()));
                Ok(json!({}))
            }
            "order.cancel" | "order.create" if self.is_trade => {
                let path =
                    if op == "order.create" { "/v5/order/create" } else { "/v5/order/cancel" };
                self.order(seats, &message, path, moment)
            }
            _ => Err(Refusal { code: 10404, reason: "error:invalid op" }),
        };
        let (code, reason, data) = match result {
            Ok(data) => (0, "OK", data),
            Err(refusal) => (refusal.code, refusal.reason, json!({})),
        };
        let said = if self.is_trade {
            json!({
                "reqId": message["reqId"], "retCode": code, "retMsg": reason, "op": op,
                "data": data, "retExtInfo": {}, "connId": CONNECTION,
                "header": { "Timenow": moment.now_ms.to_string() },
            })
        } else {
            json!({
                "success": code == 0, "ret_msg": if code == 0 { "" } else { reason }, "op": op,
                "req_id": message["req_id"], "conn_id": CONNECTION,
            })
        };
        if code == 0 {
            Reaction::say(said).by(&by(self))
        } else {
            Reaction::refuse(said, code, reason)
        }
    }

    fn tell(&mut self, change: &Change, moment: Moment) -> Vec<String> {
        if self.logged_on.as_ref() != Some(&change.api_key) {
            return Vec::new();
        }
        let mut order = describe(&change.order);
        order["category"] = json!(change.order.text("category"));
        let is_filled = change.order.state == State::Filled;
        let purses = change.purses.iter();
        let coins: Vec<Value> = purses
            .map(|(coin, free, locked)| {
                json!({ "coin": coin, "equity": free, "walletBalance": free, "locked": locked })
            })
            .collect();
        let said = self.topics.iter().filter_map(|topic| {
            let (kind, category) = topic.split_once('.').unwrap_or((topic, ""));
            let is_of = category.is_empty() || category == change.order.text("category");
            let data = match kind {
                "order" if is_of => order.clone(),
                "execution" if is_of && is_filled => {
                    let mut trade = order.clone();
                    let at = moment.now_ms.to_string();
                    for (name, value) in [
                        ("execId", json!(format!("e-{}", change.order.id))),
                        ("execPrice", order["avgPrice"].clone()),
                        ("execQty", order["cumExecQty"].clone()),
                        ("execValue", order["cumExecValue"].clone()),
                        ("execFee", json!("0")),
                        ("execType", json!("Trade")),
                        ("execTime", json!(at)),
                        ("isMaker", json!(false)),
                    ] {
                        trade[name] = value;
                    }
                    trade
                }
                "wallet" => json!({ "accountType": "UNIFIED", "coin": coins }),
                _ => return None,
            };
            let said = json!({
                "id": format!("mock-{}", change.order.id), "topic": topic,
                "creationTime": moment.now_ms, "data": [data],
            });
            Some(said.to_string())
        });
        said.collect()
    }
}
