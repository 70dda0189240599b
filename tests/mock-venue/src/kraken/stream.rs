//! Kraken's WebSockets, v2: private channels and order entry by token, and public channels that say
//! nothing.
//!
//! Source: ccxt 4.5.90 `pro/kraken.py` `authenticate()`, `watch_private()`, `create_order_ws()`,
//! `cancel_order_ws()`, `handle_orders()`, `handle_cancel_order()`; the names of parameters that those
//! do not show are unverified, as are the words of refusals other than those of REST.

use serde_json::{Value, json};

use super::endpoint::ENDPOINTS;
use super::{Fields, Refusal, arguments};
use crate::account::{Seat, Venue, text};
use crate::book::{Order, State};
use crate::field::check;
use crate::ledger::Moment;
use crate::parse;
use crate::stream::{Change, Reaction};

/// What tokens are for.
pub(super) const TOKEN: &str = "token";
const INVALID: &str = "ESession:Invalid session";

/// One connection.
#[derive(Default)]
pub(crate) struct Talk {
    /// Channel and key id.
    channels: Vec<(String, String)>,
    sequence: u64,
}

impl Talk {
    fn subscribe(
        &mut self,
        seats: &[Seat],
        params: &Fields,
        is_more: bool,
    ) -> Result<(Value, String, Option<String>), Refusal> {
        let channel = text(params, "channel");
        let is_private = matches!(channel, "balances" | "executions");
        let by =
            if is_private { seats[seat(seats, params)?].api_key.clone() } else { String::new() };
        if !is_private && (channel.is_empty() || params.contains_key("token")) {
            return Err("EGeneral:Invalid arguments:channel".to_owned());
        }
        let entry = (channel.to_owned(), by.clone());
        self.channels.retain(|known| *known != entry);
        let mut first = None;
        if is_more {
            self.channels.push(entry);
            if is_private {
                self.sequence += 1;
                let data: Vec<Value> = match channel {
                    "executions" => {
                        let open = seats[seat(seats, params)?].book.open().iter();
                        open.map(|order| show(order, "new")).collect()
                    }
                    _ => Vec::new(),
                };
                let said = json!({
                    "channel": channel, "type": "snapshot", "data": data, "sequence": self.sequence,
                });
                first = Some(said.to_string());
            }
        }
        let mut result = params.clone();
        result.remove("token");
        Ok((Value::Object(result), by, first))
    }

    fn order(
        seats: &mut [Seat],
        name: &str,
        mut params: Fields,
        now_ms: i64,
    ) -> Result<(Value, String), Refusal> {
        let index = seat(seats, &params)?;
        params.remove("token");
        let seat = &mut seats[index];
        let endpoint = ENDPOINTS.iter().find(|known| known.name == name);
        let endpoint = endpoint.ok_or("EGeneral:Unknown method")?;
        let calls = match name {
            "AddOrder" => vec![spell_order(params)?],
            _ => spell_cancel(params)?,
        };
        for call in &calls {
            check(call, endpoint.fields).map_err(arguments)?;
        }
        let mut results = Vec::new();
        for call in &calls {
            results.push((endpoint.act)(&mut seat.book, call, now_ms)?);
        }
        let result = match name {
            "AddOrder" => json!({ "order_id": results[0]["txid"][0] }),
            _ => {
                let call = &calls[0];
                match call.get("txid") {
                    Some(id) => json!({ "order_id": id }),
                    None => json!({ "cl_ord_id": call["cl_ord_id"] }),
                }
            }
        };
        Ok((result, seat.api_key.clone()))
    }
}

/// Whose token it is.
fn seat(seats: &[Seat], params: &Fields) -> Result<usize, Refusal> {
    let token = text(params, "token");
    let is_of =
        |seat: &Seat| seat.venue == Venue::Kraken && seat.book.purpose(token) == Some(TOKEN);
    seats.iter().position(is_of).ok_or_else(|| INVALID.to_owned())
}

/// An order in the words of REST.
fn spell_order(params: Fields) -> Result<Fields, Refusal> {
    let mut fields = Fields::new();
    for (name, value) in params {
        let spelled = match name.as_str() {
            "cl_ord_id" | "deadline" | "reduce_only" | "validate" => name.as_str(),
            "limit_price" => "price",
            "order_qty" => "volume",
            "order_type" => "ordertype",
            "order_userref" => "userref",
            "side" => "type",
            "symbol" => "pair",
            "time_in_force" => "timeinforce",
            "post_only" => {
                if value == Value::Bool(true) {
                    fields.insert("oflags".to_owned(), json!("post"));
                }
                continue;
            }
            _ => return Err("EGeneral:Invalid arguments".to_owned()),
        };
        let value = match (spelled, value) {
            ("price" | "volume", Value::Number(number)) => json!(number.to_string()),
            ("timeinforce", Value::String(text)) => json!(text.to_uppercase()),
            (_, value) => value,
        };
        fields.insert(spelled.to_owned(), value);
    }
    Ok(fields)
}

/// A cancel in the words of REST, one for each order.
fn spell_cancel(params: Fields) -> Result<Vec<Fields>, Refusal> {
    let invalid = || "EGeneral:Invalid arguments".to_owned();
    let mut calls = Vec::new();
    for (name, value) in params {
        let spelled = match name.as_str() {
            "cl_ord_id" => "cl_ord_id",
            "order_id" => "txid",
            _ => return Err(invalid()),
        };
        for id in value.as_array().ok_or_else(invalid)? {
            calls.push(Fields::from_iter([(spelled.to_owned(), id.clone())]));
        }
    }
    if calls.is_empty() { Err(invalid()) } else { Ok(calls) }
}

impl crate::stream::Talk for Talk {
    fn greet(&mut self, _: Moment) -> Vec<String> {
        let data = json!({
            "api_version": "v2", "connection_id": 13_834_774_380_200_032_777_u64,
            "system": "online", "version": "2.0.0",
        });
        vec![json!({ "channel": "status", "type": "update", "data": [data] }).to_string()]
    }

    fn hear(&mut self, seats: &mut [Seat], text: &str, moment: Moment) -> Reaction {
        let mut message = parse::read_json(text.as_bytes()).unwrap_or_default();
        let params = match message["params"].take() {
            Value::Object(params) => params,
            _ => Fields::new(),
        };
        let method = message["method"].as_str().unwrap_or_default();
        let mut more = None;
        let result = match method {
            "ping" => {
                let said = json!({ "method": "pong", "req_id": message["req_id"] });
                return Reaction::say(said);
            }
            "add_order" => Self::order(seats, "AddOrder", params, moment.now_ms),
            "cancel_order" => Self::order(seats, "CancelOrder", params, moment.now_ms),
            "subscribe" | "unsubscribe" => {
                let subscribed = self.subscribe(seats, &params, method == "subscribe");
                subscribed.map(|(result, by, first)| {
                    more = first;
                    (result, by)
                })
            }
            _ => Err("EGeneral:Unknown method".to_owned()),
        };
        let at = "2026-01-01T00:00:00.000000Z";
        let mut said = json!({
            "method": method, "req_id": message["req_id"], "time_in": at, "time_out": at,
        });
        match result {
            Ok((result, by)) => {
                said["success"] = json!(true);
                said["result"] = result;
                let mut reaction = Reaction::say(said).by(&by);
                reaction.say.extend(more);
                reaction
            }
            Err(word) => {
                said["success"] = json!(false);
                said["error"] = json!(word);
                let reason = word.split_once(':').map_or("", |(_, reason)| reason).to_owned();
                Reaction::refuse(said, word, &reason)
            }
        }
    }

    fn tell(&mut self, change: &Change, _: Moment) -> Vec<String> {
        let kind = match change.order.state {
            State::Open => "new",
            State::Cancelled => "canceled",
            State::Filled => "filled",
        };
        let mut said = Vec::new();
        for (channel, api_key) in &self.channels {
            if *api_key != change.api_key {
                continue;
            }
            let data = match channel.as_str() {
                "executions" => vec![show(&change.order, kind)],
                _ => {
                    let all = change.purses.iter();
                    all.map(|(asset, free, _)| json!({ "asset": asset, "balance": number(free) }))
                        .collect()
                }
            };
            self.sequence += 1;
            said.push(
                json!({
                    "channel": channel, "type": "update", "data": data, "sequence": self.sequence,
                })
                .to_string(),
            );
        }
        said
    }
}

fn show(order: &Order, kind: &str) -> Value {
    let (filled, cost) = order.filled();
    // Pairs of REST have no slash: `XBTUSD` is `BTC/USD` here.
    let pair = order.text("pair");
    let symbol = if pair.contains('/') {
        pair.to_owned()
    } else {
        let bare = pair.replace("XXBT", "BTC").replace("XBT", "BTC").replace("ZUSD", "USD");
        match bare.len() {
            6.. => format!("{}/{}", &bare[..3], &bare[3..]),
            _ => bare,
        }
    };
    json!({
        "order_id": order.id, "cl_ord_id": order.client_id, "symbol": symbol,
        "order_qty": number(order.text("volume")), "cum_qty": number(&filled.to_string()),
        "cum_cost": number(&cost.to_string()), "time_in_force": "GTC", "exec_type": kind,
        "side": order.text("type"), "order_type": order.text("ordertype"),
        "limit_price": number(order.text("price")), "order_status": kind,
        "timestamp": "2026-01-01T00:00:00.000000Z",
    })
}

fn number(text: &str) -> Value {
    text.parse::<f64>().map_or(json!(0), |number| json!(number))
}
