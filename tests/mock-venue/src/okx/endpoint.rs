//! OKX endpoints: closed parameter tables, and what each does to an account's open orders.

use http::StatusCode;
use serde_json::{Value, json};

use super::{Fields, Refusal, bad_parameter, refusal};
use crate::account::{Book, Order, text};
use crate::field::{Fault, Field, Kind, may, must};

/// One endpoint: its path after `/api/v5/`, and whether the body is a list of parameter lists.
pub(super) struct Endpoint {
    pub(super) path: &'static str,
    pub(super) post: bool,
    pub(super) batch: bool,
    pub(super) fields: &'static [Field],
    pub(super) act: Act,
}

/// Acts on one checked parameter list at the given time, ms; returns the entries of `data`.
type Act = fn(&mut Book, &Fields, i64) -> Result<Vec<Value>, Refusal>;

const CLIENT_ID: Kind = Kind::Id(32, "");
const INSTRUMENT: Kind = Kind::Id(48, "-");
const MARGIN_MODE: Kind = Kind::OneOf(&["cross", "isolated"]);
const POSITION_SIDE: Kind = Kind::OneOf(&["long", "net", "short"]);
const PRODUCT: Kind = Kind::OneOf(&["FUTURES", "MARGIN", "OPTION", "SPOT", "SWAP"]);

/// Source: `place_order` of <https://github.com/okxapi/python-okx> `okx/Trade.py`, the names
/// that still exist in v5; `banAmend`, `pxUsd`, `pxVol` and all value lists are unverified.
const PLACE: &[Field] = &[
    must("instId", INSTRUMENT),
    must("tdMode", Kind::OneOf(&["cash", "cross", "isolated", "spot_isolated"])),
    must("side", Kind::OneOf(&["buy", "sell"])),
    must(
        "ordType",
        Kind::OneOf(&["fok", "ioc", "limit", "market", "optimal_limit_ioc", "post_only"]),
    ),
    must("sz", Kind::Decimal),
    may("attachAlgoOrds", Kind::List),
    may("banAmend", Kind::Flag),
    may("ccy", Kind::Id(20, "")),
    may("clOrdId", CLIENT_ID),
    may("posSide", POSITION_SIDE),
    may("px", Kind::Decimal),
    may("pxUsd", Kind::Decimal),
    may("pxVol", Kind::Decimal),
    may("reduceOnly", Kind::Flag),
    may("stpMode", Kind::OneOf(&["cancel_both", "cancel_maker", "cancel_taker"])),
    may("tag", Kind::Id(16, "")),
    may("tgtCcy", Kind::OneOf(&["base_ccy", "quote_ccy"])),
];

/// Source: `amend_order` of the same file.
const AMEND: &[Field] = &[
    must("instId", INSTRUMENT),
    may("attachAlgoOrds", Kind::List),
    may("clOrdId", CLIENT_ID),
    may("cxlOnFail", Kind::Flag),
    may("newPx", Kind::Decimal),
    may("newSz", Kind::Decimal),
    may("ordId", Kind::Id(20, "")),
    may("reqId", CLIENT_ID),
];

/// Source: `cancel_order` of the same file; also what asks for one order.
const NAME_ORDER: &[Field] =
    &[must("instId", INSTRUMENT), may("clOrdId", CLIENT_ID), may("ordId", Kind::Id(20, ""))];

/// Source: `get_order_list` of the same file.
const LIST: &[Field] = &[
    may("after", Kind::Integer),
    may("before", Kind::Integer),
    may("instFamily", INSTRUMENT),
    may("instId", INSTRUMENT),
    may("instType", PRODUCT),
    may("limit", Kind::Integer),
    may("ordType", Kind::Text),
    may("state", Kind::OneOf(&["live", "partially_filled"])),
    may("uly", INSTRUMENT),
];

/// Source: `close_positions` of the same file.
const CLOSE: &[Field] = &[
    must("instId", INSTRUMENT),
    must("mgnMode", MARGIN_MODE),
    may("autoCxl", Kind::Flag),
    may("ccy", Kind::Id(20, "")),
    may("clOrdId", CLIENT_ID),
    may("posSide", POSITION_SIDE),
    may("tag", Kind::Id(16, "")),
];

/// Source: vector okx-hmac-rest-11 (ccxt); `ccy` and `posSide` from the crate rust-okx 0.6.0.
const LEVERAGE: &[Field] = &[
    must("lever", Kind::Decimal),
    must("mgnMode", MARGIN_MODE),
    may("ccy", Kind::Id(20, "")),
    may("instId", INSTRUMENT),
    may("posSide", POSITION_SIDE),
];

/// Source: `funds_transfer` of <https://github.com/okxapi/python-okx> `okx/Funding.py`;
/// `clientId` unverified.
const TRANSFER: &[Field] = &[
    must("amt", Kind::Decimal),
    must("ccy", Kind::Id(20, "")),
    must("from", Kind::Integer),
    must("to", Kind::Integer),
    may("clientId", CLIENT_ID),
    may("loanTrans", Kind::Flag),
    may("subAcct", Kind::Text),
    may("type", Kind::OneOf(&["0", "1", "2", "3", "4"])),
];

/// Source: `withdrawal` of the same file; `rcvrInfo` is left out.
const WITHDRAW: &[Field] = &[
    must("amt", Kind::Decimal),
    must("ccy", Kind::Id(20, "")),
    must("dest", Kind::OneOf(&["3", "4"])),
    must("toAddr", Kind::Text),
    may("areaCode", Kind::Integer),
    may("chain", Kind::Text),
    may("clientId", CLIENT_ID),
    may("fee", Kind::Decimal),
];

pub(super) const ENDPOINTS: &[Endpoint] = &[
    get("account/balance", &[may("ccy", Kind::Text)], balance),
    get("account/positions", &[may("instId", Kind::Text), may("instType", PRODUCT)], nothing),
    get("trade/order", NAME_ORDER, show),
    get("trade/orders-pending", LIST, list),
    post("account/set-leverage", LEVERAGE, set_leverage),
    post("asset/transfer", TRANSFER, move_funds),
    post("asset/withdrawal", WITHDRAW, move_funds),
    post("trade/amend-order", AMEND, amend),
    post("trade/cancel-all-after", &[must("timeOut", Kind::Text)], cancel_all_after),
    post("trade/cancel-order", NAME_ORDER, cancel),
    post("trade/close-position", CLOSE, close_position),
    post("trade/order", PLACE, place),
    Endpoint { batch: true, ..post("trade/amend-batch-orders", AMEND, amend) },
    Endpoint { batch: true, ..post("trade/batch-orders", PLACE, place) },
    Endpoint { batch: true, ..post("trade/cancel-batch-orders", NAME_ORDER, cancel) },
];

const fn get(path: &'static str, fields: &'static [Field], act: Act) -> Endpoint {
    Endpoint { path, post: false, batch: false, fields, act }
}

const fn post(path: &'static str, fields: &'static [Field], act: Act) -> Endpoint {
    Endpoint { path, post: true, batch: false, fields, act }
}

fn place(book: &mut Book, fields: &Fields, now_ms: i64) -> Result<Vec<Value>, Refusal> {
    let kind = text(fields, "ordType");
    let priced = ["px", "pxUsd", "pxVol"].iter().filter(|name| fields.contains_key(**name)).count();
    let market = kind == "market" || kind == "optimal_limit_ioc";
    if (!market && priced != 1) || (market && priced != 0) {
        return Err(bad_parameter(Fault::Malformed("px")));
    }
    let client_id = text(fields, "clOrdId");
    if !client_id.is_empty() && book.position(|order| order.text("clOrdId") == client_id).is_some()
    {
        return Err(refusal(StatusCode::OK, "51016", "Duplicated client order ID"));
    }

    let id = (700_000_000_000_000_000 + book.next_serial()).to_string();
    let placed = json!({
        "clOrdId": client_id, "ordId": id, "sCode": "0", "sMsg": "",
        "tag": text(fields, "tag"), "ts": now_ms.to_string(),
    });
    if kind == "limit" || kind == "post_only" {
        book.open.push(Order { id, market: "", fields: fields.clone(), placed_ms: now_ms });
    }
    Ok(vec![placed])
}

fn amend(book: &mut Book, fields: &Fields, _now_ms: i64) -> Result<Vec<Value>, Refusal> {
    let index = named(book, fields, "51603", "Order does not exist")?;
    let changes = [("newPx", "px"), ("newSz", "sz")];
    if changes.iter().all(|(new, _)| !fields.contains_key(*new)) {
        return Err(bad_parameter(Fault::Missing("newSz")));
    }
    let order = &mut book.open[index];
    for (new, old) in changes {
        if let Some(value) = fields.get(new) {
            order.fields.insert(old.to_owned(), value.clone());
        }
    }
    Ok(vec![json!({
        "clOrdId": order.text("clOrdId"), "ordId": order.id,
        "reqId": text(fields, "reqId"), "sCode": "0", "sMsg": "",
    })])
}

fn cancel(book: &mut Book, fields: &Fields, _now_ms: i64) -> Result<Vec<Value>, Refusal> {
    let reason = "Order cancellation failed as the order does not exist.";
    let index = named(book, fields, "51400", reason)?;
    let order = book.open.remove(index);
    Ok(vec![json!({
        "clOrdId": order.text("clOrdId"), "ordId": order.id, "sCode": "0", "sMsg": "",
    })])
}

fn show(book: &mut Book, fields: &Fields, _now_ms: i64) -> Result<Vec<Value>, Refusal> {
    let index = named(book, fields, "51603", "Order does not exist")?;
    Ok(vec![describe(&book.open[index])])
}

fn list(book: &mut Book, fields: &Fields, _now_ms: i64) -> Result<Vec<Value>, Refusal> {
    let instrument = text(fields, "instId");
    let wanted = |order: &&Order| instrument.is_empty() || order.text("instId") == instrument;
    Ok(book.open.iter().filter(wanted).map(describe).collect())
}

fn balance(_book: &mut Book, _fields: &Fields, now_ms: i64) -> Result<Vec<Value>, Refusal> {
    let detail = |ccy: &str, amount: &str| json!({ "ccy": ccy, "cashBal": amount, "eq": amount });
    Ok(vec![json!({
        "details": [detail("BTC", "2"), detail("USDT", "100000")],
        "uTime": now_ms.to_string(),
    })])
}

fn nothing(_book: &mut Book, _fields: &Fields, _now_ms: i64) -> Result<Vec<Value>, Refusal> {
    Ok(Vec::new())
}

fn cancel_all_after(_book: &mut Book, fields: &Fields, now_ms: i64) -> Result<Vec<Value>, Refusal> {
    let seconds = text(fields, "timeOut").parse::<u32>().unwrap_or(u32::MAX);
    if seconds != 0 && !(10..=120).contains(&seconds) {
        return Err(bad_parameter(Fault::Malformed("timeOut")));
    }
    let trigger_ms = if seconds == 0 { 0 } else { now_ms + i64::from(seconds) * 1000 };
    Ok(vec![json!({ "triggerTime": trigger_ms.to_string(), "ts": now_ms.to_string() })])
}

fn close_position(_book: &mut Book, fields: &Fields, _now_ms: i64) -> Result<Vec<Value>, Refusal> {
    Ok(vec![json!({ "instId": text(fields, "instId"), "posSide": text(fields, "posSide") })])
}

fn set_leverage(_book: &mut Book, fields: &Fields, _now_ms: i64) -> Result<Vec<Value>, Refusal> {
    Ok(vec![Value::Object(fields.clone())])
}

fn move_funds(book: &mut Book, fields: &Fields, _now_ms: i64) -> Result<Vec<Value>, Refusal> {
    let mut moved = json!({ "amt": fields["amt"], "ccy": fields["ccy"] });
    let id = if fields.contains_key("toAddr") { "wdId" } else { "transId" };
    moved[id] = Value::String(book.next_serial().to_string());
    Ok(vec![moved])
}

fn describe(order: &Order) -> Value {
    let mut fields = order.fields.clone();
    fields.insert("ordId".to_owned(), Value::from(order.id.as_str()));
    fields.insert("state".to_owned(), Value::from("live"));
    fields.insert("cTime".to_owned(), Value::from(order.placed_ms.to_string()));
    Value::Object(fields)
}

/// Finds the open order that the request names; `ordId` wins over `clOrdId` (unverified).
fn named(book: &Book, fields: &Fields, code: &'static str, why: &str) -> Result<usize, Refusal> {
    let (id, client_id) = (text(fields, "ordId"), text(fields, "clOrdId"));
    if id.is_empty() && client_id.is_empty() {
        let reason = "Either client order ID or order ID is required";
        return Err(refusal(StatusCode::OK, "51003", reason));
    }
    let instrument = text(fields, "instId");
    let is_named = |order: &Order| {
        let same = if id.is_empty() { order.text("clOrdId") == client_id } else { order.id == id };
        same && order.text("instId") == instrument
    };
    book.position(is_named).ok_or_else(|| refusal(StatusCode::OK, code, why))
}
