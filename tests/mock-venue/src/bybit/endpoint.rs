//! Bybit endpoints: closed parameter tables, and what each does to an account's open orders.
//!
//! Tables: `docs/v5/order/*.mdx` and `docs/v5/account/wallet-balance.mdx` of
//! <https://github.com/bybit-exchange/docs> at 072c197d0c11b4d9a88d1dd0c7b9d7ca8ea3a996; value
//! lists beyond those shown there are unverified.

use serde_json::{Value, json};

use super::{Fields, Refusal, malformed};
use crate::account::{Book, Order, text};
use crate::field::{Field, Kind, may, must};

/// One endpoint: method, path, and what acts on a checked parameter list.
pub(super) struct Endpoint {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) fields: &'static [Field],
    pub(super) act: Act,
}

type Act = fn(&mut Book, &Fields, i64) -> Result<Value, Refusal>;

const CATEGORY: Kind = Kind::OneOf(&["inverse", "linear", "option", "spot"]);
const CLIENT_ID: Kind = Kind::Id(45, "-_");
const COIN: Kind = Kind::Id(20, "");
const SYMBOL: Kind = Kind::Id(40, "-");
const TRIGGER_BY: Kind = Kind::OneOf(&["IndexPrice", "LastPrice", "MarkPrice"]);
const ORDER_TYPE: Kind = Kind::OneOf(&["Limit", "Market"]);

const CREATE: &[Field] = &[
    must("category", CATEGORY),
    must("symbol", SYMBOL),
    must("side", Kind::OneOf(&["Buy", "Sell"])),
    must("orderType", ORDER_TYPE),
    must("qty", Kind::Decimal),
    may("bboLevel", Kind::OneOf(&["1", "2", "3", "4", "5"])),
    may("bboSideType", Kind::OneOf(&["Counterparty", "Queue"])),
    may("closeOnTrigger", Kind::Flag),
    may("isLeverage", Kind::Integer),
    may("marketUnit", Kind::OneOf(&["baseCoin", "quoteCoin"])),
    may("mmp", Kind::Flag),
    may("orderFilter", Kind::Id(24, "")),
    may("orderIv", Kind::Decimal),
    may("orderLinkId", CLIENT_ID),
    may("positionIdx", Kind::Integer),
    may("price", Kind::Decimal),
    may("reduceOnly", Kind::Flag),
    may("rpiTakerAccess", Kind::Flag),
    may("slLimitPrice", Kind::Decimal),
    may("slOrderType", ORDER_TYPE),
    may("slTriggerBy", TRIGGER_BY),
    may("slippageTolerance", Kind::Decimal),
    may("slippageToleranceType", Kind::OneOf(&["Percent", "TickSize"])),
    may("smpType", Kind::Id(24, "")),
    may("stopLoss", Kind::Decimal),
    may("takeProfit", Kind::Decimal),
    may("timeInForce", Kind::OneOf(&["FOK", "GTC", "IOC", "PostOnly", "RPI"])),
    may("tpLimitPrice", Kind::Decimal),
    may("tpOrderType", ORDER_TYPE),
    may("tpTriggerBy", TRIGGER_BY),
    may("tpslMode", Kind::OneOf(&["Full", "Partial"])),
    may("triggerBy", TRIGGER_BY),
    may("triggerDirection", Kind::Integer),
    may("triggerPrice", Kind::Decimal),
];

const CANCEL: &[Field] = &[
    must("category", CATEGORY),
    must("symbol", SYMBOL),
    may("orderFilter", Kind::Id(24, "")),
    may("orderId", Kind::Id(36, "-")),
    may("orderLinkId", CLIENT_ID),
];

const CANCEL_ALL: &[Field] = &[
    must("category", CATEGORY),
    may("baseCoin", COIN),
    may("orderFilter", Kind::Id(24, "")),
    may("settleCoin", COIN),
    may("stopOrderType", Kind::Id(24, "")),
    may("symbol", SYMBOL),
];

const OPEN: &[Field] = &[
    must("category", CATEGORY),
    may("baseCoin", COIN),
    may("cursor", Kind::Text),
    may("limit", Kind::Integer),
    may("openOnly", Kind::Integer),
    may("orderFilter", Kind::Id(24, "")),
    may("orderId", Kind::Id(36, "-")),
    may("orderLinkId", CLIENT_ID),
    may("settleCoin", COIN),
    may("symbol", SYMBOL),
];

const BALANCE: &[Field] =
    &[must("accountType", Kind::OneOf(&["UNIFIED"])), may("coin", Kind::Id(128, ","))];

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint { method: "GET", path: "/v5/account/wallet-balance", fields: BALANCE, act: balance },
    Endpoint { method: "GET", path: "/v5/order/realtime", fields: OPEN, act: list },
    Endpoint { method: "POST", path: "/v5/order/cancel", fields: CANCEL, act: cancel },
    Endpoint { method: "POST", path: "/v5/order/cancel-all", fields: CANCEL_ALL, act: cancel_all },
    Endpoint { method: "POST", path: "/v5/order/create", fields: CREATE, act: create },
];

fn create(book: &mut Book, fields: &Fields, now_ms: i64) -> Result<Value, Refusal> {
    let market_order = text(fields, "orderType") == "Market";
    if !market_order && !fields.contains_key("price") {
        return Err(malformed("Request parameter error: price."));
    }
    let client_id = text(fields, "orderLinkId");
    if !client_id.is_empty() && book.position(|o| o.text("orderLinkId") == client_id).is_some() {
        return Err(Refusal { code: 110_072, reason: "OrderLinkedID is duplicate" });
    }
    let id = format!("{:08x}-0000-4000-8000-000000000000", book.next_serial());
    let placed = json!({ "orderId": id, "orderLinkId": client_id });
    if !market_order {
        book.open.push(Order { id, market: "", fields: fields.clone(), placed_ms: now_ms });
    }
    Ok(placed)
}

fn cancel(book: &mut Book, fields: &Fields, _now_ms: i64) -> Result<Value, Refusal> {
    let (id, client_id) = (text(fields, "orderId"), text(fields, "orderLinkId"));
    if id.is_empty() && client_id.is_empty() {
        return Err(malformed("Request parameter error: orderId."));
    }
    let index = book.position(|order| {
        let same =
            if id.is_empty() { order.text("orderLinkId") == client_id } else { order.id == id };
        same && ["category", "symbol"].iter().all(|name| order.text(name) == text(fields, name))
    });
    let index = index.ok_or(Refusal { code: 110_001, reason: "Order does not exist" })?;
    Ok(name(&book.open.remove(index)))
}

fn cancel_all(book: &mut Book, fields: &Fields, _now_ms: i64) -> Result<Value, Refusal> {
    let gone = book.open.extract_if(.., |order| fits(order, fields));
    let list: Vec<Value> = gone.map(|order| name(&order)).collect();
    Ok(json!({ "list": list, "success": "1" }))
}

fn list(book: &mut Book, fields: &Fields, _now_ms: i64) -> Result<Value, Refusal> {
    let open = book.open.iter().filter(|order| fits(order, fields));
    let list: Vec<Value> = open.map(describe).collect();
    Ok(json!({ "category": text(fields, "category"), "list": list, "nextPageCursor": "" }))
}

fn balance(_book: &mut Book, fields: &Fields, _now_ms: i64) -> Result<Value, Refusal> {
    let coin = |coin: &str, amount: &str| json!({ "coin": coin, "walletBalance": amount });
    Ok(json!({ "list": [{
        "accountType": text(fields, "accountType"),
        "coin": [coin("BTC", "2"), coin("USDT", "100000")],
    }] }))
}

/// Whether an order is of the category and, if one is named, the symbol.
fn fits(order: &Order, fields: &Fields) -> bool {
    let symbol = text(fields, "symbol");
    order.text("category") == text(fields, "category")
        && (symbol.is_empty() || order.text("symbol") == symbol)
}

fn name(order: &Order) -> Value {
    json!({ "orderId": order.id, "orderLinkId": order.text("orderLinkId") })
}

fn describe(order: &Order) -> Value {
    let mut fields = order.fields.clone();
    fields.insert("orderId".to_owned(), Value::from(order.id.as_str()));
    fields.insert("orderStatus".to_owned(), Value::from("New"));
    fields.insert("createdTime".to_owned(), Value::from(order.placed_ms.to_string()));
    Value::Object(fields)
}
