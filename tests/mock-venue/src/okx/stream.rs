//! OKX v5 WebSockets: log-on, private channels, order entry, and public channels that say nothing.
//!
//! Log-on: `{"op":"login","args":[{"apiKey","passphrase","timestamp","sign"}]}`; string-to-sign
//! timestamp in seconds + `GET/users/self/verify`, signature base64(HMAC-SHA256). `ping` is text and
//! is answered with `pong`.
//! Source: ccxt 4.5.90 `pro/okx.py` `authenticate()`, `ping()`, `watch_orders()`,
//! `create_order_ws()`, `handle_error_message()`, and its table of OKX errors for 60004 to 60018.
//!
//! Unverified: the window of 30 s; that a second log-on is taken.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;

use super::endpoint::{ENDPOINTS, describe};
use super::{BATCH_MAX, Fields, answer};
use crate::account::{self, Seat, Venue, text};
use crate::field::check;
use crate::ledger::Moment;
use crate::parse;
use crate::stream::{Change, Reaction};

const CONNECTION: &str = "a4d3ae55";
const WINDOW_S: u64 = 30;
const PRIVATE: &[&str] =
    &["account", "balance_and_position", "fills", "liquidation-warning", "orders", "positions"];

/// One connection.
#[derive(Default)]
pub(crate) struct Talk {
    logged_on: Option<String>,
    /// The arguments of what was subscribed to.
    channels: Vec<Fields>,
}

type Refusal = (&'static str, &'static str);

impl Talk {
    fn log_on(&mut self, seats: &[Seat], args: &[Value], now_ms: i64) -> Result<(), Refusal> {
        let [Value::Object(args)] = args else { return Err(("60012", "Illegal request")) };
        let index = account::find(seats, Venue::Okx, text(args, "apiKey"))
            .ok_or(("60005", "Invalid apiKey"))?;
        let seat = &seats[index];
        if !bool::from(seat.passphrase.ct_eq(text(args, "passphrase").as_bytes())) {
            return Err(("60024", "Wrong passphrase"));
        }
        let timestamp = text(args, "timestamp");
        let is_plain = timestamp.len() == 10 && timestamp.bytes().all(|byte| byte.is_ascii_digit());
        let at_s = timestamp.parse::<i64>().ok().filter(|_| is_plain);
        let at_s = at_s.ok_or(("60004", "Invalid timestamp"))?;
        if (now_ms / 1000).abs_diff(at_s) > WINDOW_S {
            return Err(("60006", "Timestamp request expired"));
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, &seat.secret);
        let tag = STANDARD.decode(text(args, "sign")).unwrap_or_default();
        let string_to_sign = format!("{timestamp}GET/users/self/verify");
        // Constant time: `verify` compares the whole tag.
        hmac::verify(&key, string_to_sign.as_bytes(), &tag)
            .map_err(|_| ("60007", "Invalid sign"))?;
        self.logged_on = Some(seat.api_key.clone());
        Ok(())
    }

    /// One answer for each channel.
    fn subscribe(&mut self, args: Vec<Value>, is_more: bool) -> Reaction {
        let mut reaction = Reaction::default();
        for arg in args {
            let Value::Object(arg) = arg else { return refuse("60012", "Illegal request") };
            let channel = text(&arg, "channel");
            let is_private = PRIVATE.contains(&channel);
            let reason = match () {
                () if channel.is_empty() => Some(("60012", "Illegal request")),
                () if is_private && self.logged_on.is_none() => Some(("60011", "Please log in")),
                () => None,
            };
            if let Some((code, reason)) = reason {
                let refused = refuse(code, reason);
                reaction.say.extend(refused.say);
                reaction.refused.extend(refused.refused);
                continue;
            }
            let event = if is_more { "subscribe" } else { "unsubscribe" };
            let said = json!({ "event": event, "arg": arg, "connId": CONNECTION });
            reaction.say.push(said.to_string());
            self.channels.retain(|known| *known != arg);
            if is_more {
                self.channels.push(arg);
            }
        }
        reaction.by(self.logged_on.as_deref().unwrap_or_default())
    }

    fn order(
        &self,
        seats: &mut [Seat],
        (op, path): (&str, &str),
        id: &Value,
        args: Vec<Value>,
        now_ms: i64,
    ) -> Reaction {
        let refuse = |code: &str, reason: &str| {
            let said = json!({ "id": id, "op": op, "code": code, "msg": reason, "data": [] });
            Reaction::refuse(said, code, reason)
        };
        let found = self.logged_on.as_ref();
        let found = found.and_then(|api_key| account::find(seats, Venue::Okx, api_key));
        let Some(index) = found else { return refuse("60011", "Please log in") };
        let endpoint = ENDPOINTS.iter().find(|known| known.path == path && known.post);
        let Some(endpoint) = endpoint else { return refuse("60012", "Illegal request") };
        let most = if endpoint.batch { BATCH_MAX } else { 1 };
        if !(1..=most).contains(&args.len()) {
            return refuse("60012", "Illegal request");
        }
        // The whole list is checked before the first order is acted on.
        let mut orders = Vec::new();
        for arg in args {
            let Value::Object(order) = arg else { return refuse("60012", "Illegal request") };
            if check(&order, endpoint.fields).is_err() {
                return refuse("60012", "Illegal request");
            }
            orders.push(order);
        }
        let seat = &mut seats[index];
        let results =
            orders.iter().map(|order| (endpoint.act)(&mut seat.book, order, now_ms)).collect();
        let outcome = answer(seat.api_key.clone(), results);
        let mut said = outcome.answer;
        said["id"] = id.clone();
        said["op"] = json!(op);
        said["inTime"] = json!((now_ms * 1000).to_string());
        said["outTime"] = json!((now_ms * 1000).to_string());
        Reaction {
            say: vec![said.to_string()],
            api_key: outcome.accepted_by.unwrap_or_default(),
            refused: outcome.refused,
        }
    }
}

fn refuse(code: &str, reason: &str) -> Reaction {
    let said = json!({ "event": "error", "code": code, "msg": reason, "connId": CONNECTION });
    Reaction::refuse(said, code, reason)
}

impl crate::stream::Talk for Talk {
    fn hear(&mut self, seats: &mut [Seat], text: &str, moment: Moment) -> Reaction {
        if text == "ping" {
            return Reaction::say("pong");
        }
        let mut message = parse::read_json(text.as_bytes()).unwrap_or_default();
        let args = match message["args"].take() {
            Value::Array(args) => args,
            _ => return refuse("60012", "Illegal request"),
        };
        let id = message["id"].take();
        let op = message["op"].as_str().unwrap_or_default();
        let path = match op {
            "login" => {
                return match self.log_on(seats, &args, moment.now_ms) {
                    Ok(()) => {
                        let said = json!({ "event": "login", "code": "0", "msg": "", "connId": CONNECTION });
                        Reaction::say(said).by(self.logged_on.as_deref().unwrap_or_default())
                    }
                    Err((code, reason)) => refuse(code, reason),
                };
            }
            "subscribe" => return self.subscribe(args, true),
            "unsubscribe" => return self.subscribe(args, false),
            "amend-order" => "trade/amend-order",
            "batch-amend-orders" => "trade/amend-batch-orders",
            "batch-cancel-orders" => "trade/cancel-batch-orders",
            "batch-orders" => "trade/batch-orders",
            "cancel-order" => "trade/cancel-order",
            "order" => "trade/order",
            _ => return refuse("60012", "Illegal request"),
        };
        self.order(seats, (op, path), &id, args, moment.now_ms)
    }

    fn tell(&mut self, change: &Change, moment: Moment) -> Vec<String> {
        if self.logged_on.as_ref() != Some(&change.api_key) {
            return Vec::new();
        }
        let order = describe(&change.order);
        let at = moment.now_ms.to_string();
        let details: Vec<Value> = change
            .purses
            .iter()
            .map(|(coin, free, locked)| {
                json!({ "ccy": coin, "cashBal": free, "availBal": free, "frozenBal": locked,
                        "ordFrozen": locked, "eq": free, "uTime": at })
            })
            .collect();
        let said = self.channels.iter().filter_map(|arg| {
            let is_of = |name: &str, value: &str| {
                let asked = text(arg, name);
                asked.is_empty() || asked == "ANY" || asked == value
            };
            let data = match text(arg, "channel") {
                "orders"
                    if is_of("instType", order["instType"].as_str().unwrap_or_default())
                        && is_of("instId", change.order.text("instId")) =>
                {
                    order.clone()
                }
                "account" => json!({ "details": details, "uTime": at }),
                _ => return None,
            };
            Some(json!({ "arg": arg, "data": [data] }).to_string())
        });
        said.collect()
    }
}
