//! OKX endpoints: closed parameter tables, and what each does to an account's open orders.

use http::StatusCode;
use serde_json::{Value, json};

use super::{Fields, Refusal, bad_parameter, refusal};
use crate::account::{Venue, text};
use crate::amount::Amount;
use crate::book::{Book, Order, State, Trade};
use crate::field::{Fault, Field, Kind, may, must};
use crate::open::signed;

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

/// Source: `order_algos_list` of the same file. No algo orders are placed here.
const ALGO_LIST: &[Field] = &[
    must("ordType", Kind::Text),
    may("after", Kind::Integer),
    may("algoId", Kind::Integer),
    may("before", Kind::Integer),
    may("instId", INSTRUMENT),
    may("instType", PRODUCT),
    may("limit", Kind::Integer),
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

/// Source: vector okx-hmac-rest-11 (ccxt); `ccy` and `posSide` from the crate rust-okx 0.6.0. ccxt
/// sends `lever` as a number, the documents show text.
const LEVERAGE: &[Field] = &[
    must("lever", Kind::Number),
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
    get("account/config", &[], |book, _, now_ms| {
        let entries = vec_of(signed(Venue::Okx, "/api/v5/account/config", now_ms));
        Ok(entries.into_iter().map(|entry| book.powers.okx(entry)).collect())
    }),
    get("asset/currencies", &[may("ccy", Kind::Text)], |_, _, now_ms| {
        Ok(vec_of(signed(Venue::Okx, "/api/v5/asset/currencies", now_ms)))
    }),
    get("account/positions", &[may("instId", Kind::Text), may("instType", PRODUCT)], nothing),
    get("trade/order", NAME_ORDER, show),
    get("trade/orders-algo-pending", ALGO_LIST, nothing),
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
    if book.is_taken("", client_id) {
        return Err(refusal(StatusCode::OK, "51016", "Duplicated client order ID"));
    }

    let id = (700_000_000_000_000_000 + book.next_serial()).to_string();
    let placed = json!({
        "clOrdId": client_id, "ordId": id, "sCode": "0", "sMsg": "",
        "tag": text(fields, "tag"), "ts": now_ms.to_string(),
    });
    let state = match kind {
        "limit" | "post_only" => State::Open,
        "market" => State::Filled,
        // Fill-or-kill finds nobody to fill it.
        _ => State::Cancelled,
    };
    let order = Order {
        id,
        client_id: client_id.to_owned(),
        market: "",
        fields: fields.clone(),
        placed_ms: now_ms,
        state,
        trade: trade(fields),
    };
    match book.place(order) {
        Ok(_) => Ok(vec![placed]),
        Err(_) => Err(refusal(StatusCode::OK, "51008", "Order failed. Insufficient balance")),
    }
}

/// Spot alone moves balances. The size of a market order to buy is its cost unless `tgtCcy` says
/// otherwise.
fn trade(fields: &Fields) -> Option<Trade> {
    let mut parts = text(fields, "instId").split('-');
    let (Some(base), Some(quote), None) = (parts.next(), parts.next(), parts.next()) else {
        return None;
    };
    let buys = text(fields, "side") == "buy";
    let amount = |name| Amount::parse(text(fields, name));
    let is_cost = match text(fields, "tgtCcy") {
        "quote_ccy" => true,
        "base_ccy" => false,
        _ => buys && text(fields, "ordType") == "market",
    };
    let (size, cost) = if is_cost { (None, amount("sz")) } else { (amount("sz"), None) };
    Trade::new((base, quote), buys, size, cost, amount("px"))
}

fn amend(book: &mut Book, fields: &Fields, _now_ms: i64) -> Result<Vec<Value>, Refusal> {
    let (code, reason) = ("51603", "Order does not exist");
    let is_named = named(fields)?;
    let index = book.position(is_named).ok_or_else(|| refusal(StatusCode::OK, code, reason))?;
    let changes = [("newPx", "px"), ("newSz", "sz")];
    if changes.iter().all(|(new, _)| !fields.contains_key(*new)) {
        return Err(bad_parameter(Fault::Missing("newSz")));
    }
    let order = book.amend(index, |order| {
        for (new, old) in changes {
            if let Some(value) = fields.get(new) {
                order.fields.insert(old.to_owned(), value.clone());
            }
        }
        order.trade = trade(&order.fields);
    });
    Ok(vec![json!({
        "clOrdId": order.client_id, "ordId": order.id,
        "reqId": text(fields, "reqId"), "sCode": "0", "sMsg": "",
    })])
}

fn cancel(book: &mut Book, fields: &Fields, _now_ms: i64) -> Result<Vec<Value>, Refusal> {
    let (code, reason) = ("51400", "Order cancellation failed as the order does not exist.");
    let is_named = named(fields)?;
    let index = book.position(is_named).ok_or_else(|| refusal(StatusCode::OK, code, reason))?;
    let order = book.cancel(index);
    Ok(vec![json!({
        "clOrdId": order.client_id, "ordId": order.id, "sCode": "0", "sMsg": "",
    })])
}

fn show(book: &mut Book, fields: &Fields, _now_ms: i64) -> Result<Vec<Value>, Refusal> {
    let (code, reason) = ("51603", "Order does not exist");
    let order = book.find(named(fields)?);
    Ok(vec![describe(order.ok_or_else(|| refusal(StatusCode::OK, code, reason))?)])
}

fn list(book: &mut Book, fields: &Fields, _now_ms: i64) -> Result<Vec<Value>, Refusal> {
    let instrument = text(fields, "instId");
    let wanted = |order: &&Order| instrument.is_empty() || order.text("instId") == instrument;
    let limit = text(fields, "limit").parse().unwrap_or(100_usize).min(100);
    Ok(book.open().iter().filter(wanted).take(limit).map(describe).collect())
}

fn balance(book: &mut Book, _fields: &Fields, now_ms: i64) -> Result<Vec<Value>, Refusal> {
    let details = book.purses().iter().map(|purse| {
        let (free, total) = (purse.free.to_string(), (purse.free + purse.locked).to_string());
        json!({
            "ccy": purse.asset, "cashBal": total, "eq": total, "availBal": free, "availEq": free,
            "frozenBal": purse.locked.to_string(), "ordFrozen": purse.locked.to_string(),
            "upl": "0", "liab": "0", "uTime": now_ms.to_string(),
        })
    });
    Ok(vec![json!({ "details": details.collect::<Vec<_>>(), "uTime": now_ms.to_string() })])
}

fn vec_of(list: Value) -> Vec<Value> {
    match list {
        Value::Array(items) => items,
        _ => Vec::new(),
    }
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
    let leaves = fields.contains_key("toAddr");
    if leaves {
        let amount = Amount::parse(text(fields, "amt")).unwrap_or_default();
        book.withdraw(text(fields, "ccy"), amount)
            .map_err(|_| refusal(StatusCode::OK, "58350", "Insufficient balance"))?;
        moved["chain"] = Value::from(text(fields, "chain"));
        moved["clientId"] = Value::from(text(fields, "clientId"));
    }
    moved[if leaves { "wdId" } else { "transId" }] = Value::String(book.next_serial().to_string());
    Ok(vec![moved])
}

pub(super) fn describe(order: &Order) -> Value {
    let (filled, cost) = order.filled();
    let mut fields = order.fields.clone();
    let kind = if order.text("instId").ends_with("-SWAP") { "SWAP" } else { "SPOT" };
    let at = order.placed_ms.to_string();
    let state = match order.state {
        State::Open => "live",
        State::Cancelled => "canceled",
        State::Filled => "filled",
    };
    let more = [
        ("ordId", order.id.clone()),
        ("clOrdId", order.client_id.clone()),
        ("instType", kind.to_owned()),
        ("state", state.to_owned()),
        ("accFillSz", filled.to_string()),
        ("avgPx", cost.over(filled).to_string()),
        ("fee", "0".to_owned()),
        ("cTime", at.clone()),
        ("uTime", at),
    ];
    fields.extend(more.map(|(name, value)| (name.to_owned(), Value::from(value))));
    Value::Object(fields)
}

/// Tells the order that the request names; `ordId` wins over `clOrdId` (unverified).
fn named(fields: &Fields) -> Result<impl Fn(&Order) -> bool + '_, Refusal> {
    let (id, client_id) = (text(fields, "ordId"), text(fields, "clOrdId"));
    if id.is_empty() && client_id.is_empty() {
        let reason = "Either client order ID or order ID is required";
        return Err(refusal(StatusCode::OK, "51003", reason));
    }
    let instrument = text(fields, "instId");
    Ok(move |order: &Order| {
        let same = if id.is_empty() { order.client_id == client_id } else { order.id == id };
        same && order.text("instId") == instrument
    })
}
