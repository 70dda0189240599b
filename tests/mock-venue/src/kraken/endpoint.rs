//! Kraken endpoints: closed parameter tables, and what each does to an account's open orders.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Fields, Refusal, arguments, flatten, stream};
use crate::account::text;
use crate::amount::Amount;
use crate::book::{Book, Order, State, Trade, pair};
use crate::field::{Field, Kind, check, may, must};

/// One endpoint: its path after `/0/private/`, and what acts on a checked parameter list.
pub(super) struct Endpoint {
    pub(super) name: &'static str,
    pub(super) fields: &'static [Field],
    pub(super) act: fn(&mut Book, &Fields, i64) -> Result<Value, Refusal>,
}

/// A UUID with or without dashes, or up to 18 characters; source:
/// <https://docs.kraken.com/api-reference/trading/add-order.md> (recalled, unverified).
const CLIENT_ID: Kind = Kind::Id(36, "-_");
const PAIR: Kind = Kind::Id(24, "./");
const TXID: Kind = Kind::Id(64, "-");

/// Source for names and values:
/// <https://raw.githubusercontent.com/api-evangelist/kraken/refs/heads/main/json-schema/spot-rest-add-order-request-schema.json>,
/// read 2026-11-21; `close[..]`, `starttm`, `expiretm` and `deadline` also in the crate
/// kraken_client 0.14.0 or unverified; `asset_class` from nautilus_kraken.
const ORDER: &[Field] = &[
    must("ordertype", ORDER_TYPE),
    must("pair", PAIR),
    must("type", Kind::OneOf(&["buy", "sell"])),
    must("volume", Kind::Decimal),
    may("asset_class", Kind::OneOf(&["tokenized_asset"])),
    may("cl_ord_id", CLIENT_ID),
    may("close[ordertype]", ORDER_TYPE),
    may("close[price]", Kind::Price),
    may("close[price2]", Kind::Price),
    may("deadline", Kind::Text),
    may("displayvol", Kind::Decimal),
    may("expiretm", Kind::Text),
    may("leverage", Kind::Text),
    may("oflags", Kind::Id(64, ",")),
    may("price", Kind::Price),
    may("price2", Kind::Price),
    may("reduce_only", Kind::Flag),
    may("starttm", Kind::Text),
    may("stptype", Kind::OneOf(&["cancel-both", "cancel-newest", "cancel-oldest"])),
    may("timeinforce", Kind::OneOf(&["GTC", "GTD", "IOC"])),
    may("trigger", Kind::OneOf(&["index", "last"])),
    may("userref", Kind::Integer),
    may("validate", Kind::Flag),
];

const ORDER_TYPE: Kind = Kind::OneOf(&[
    "iceberg",
    "limit",
    "market",
    "settle-position",
    "stop-loss",
    "stop-loss-limit",
    "take-profit",
    "take-profit-limit",
    "trailing-stop",
    "trailing-stop-limit",
]);

/// Source: vector kraken-hmac-rest-07 (ccxt); the rest unverified.
const BATCH: &[Field] = &[
    must("orders", Kind::List),
    must("pair", PAIR),
    may("asset_class", Kind::OneOf(&["tokenized_asset"])),
    may("deadline", Kind::Text),
    may("validate", Kind::Flag),
];

/// Source: <https://docs.kraken.com/api/docs/rest-api/withdraw-funds/>, read 2026-11-21;
/// `max_fee` unverified.
const WITHDRAW: &[Field] = &[
    must("amount", Kind::Decimal),
    must("asset", Kind::Id(24, ".")),
    must("key", Kind::Text),
    may("address", Kind::Text),
    may("max_fee", Kind::Decimal),
];

/// Source: vector kraken-hmac-rest-13 (ccxt).
const TRANSFER: &[Field] = &[
    must("amount", Kind::Decimal),
    must("asset", Kind::Id(24, ".")),
    must("from", Kind::OneOf(&["Spot Wallet"])),
    must("to", Kind::OneOf(&["Futures Wallet"])),
];

/// Source: vector kraken-hmac-rest-08 (ccxt); the rest unverified.
const EDIT: &[Field] = &[
    must("pair", PAIR),
    must("txid", TXID),
    may("displayvol", Kind::Decimal),
    may("oflags", Kind::Id(64, ",")),
    may("price", Kind::Price),
    may("price2", Kind::Price),
    may("userref", Kind::Integer),
    may("validate", Kind::Flag),
    may("volume", Kind::Decimal),
];

/// Unverified.
const AMEND: &[Field] = &[
    may("cl_ord_id", CLIENT_ID),
    may("deadline", Kind::Text),
    may("display_qty", Kind::Decimal),
    may("limit_price", Kind::Price),
    may("order_qty", Kind::Decimal),
    may("post_only", Kind::Flag),
    may("trigger_price", Kind::Price),
    may("txid", TXID),
];

/// `trades` from vector kraken-hmac-rest-01 (ccxt); the rest unverified.
const OPEN: &[Field] =
    &[may("cl_ord_id", CLIENT_ID), may("trades", Kind::Flag), may("userref", Kind::Integer)];

const QUERY: &[Field] =
    &[must("txid", Kind::Id(1024, "-,")), may("trades", Kind::Flag), may("userref", Kind::Integer)];

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint { name: "AddOrder", fields: ORDER, act: add },
    Endpoint { name: "AddOrderBatch", fields: BATCH, act: add_batch },
    Endpoint { name: "AmendOrder", fields: AMEND, act: amend },
    Endpoint { name: "Balance", fields: &[], act: balance },
    Endpoint { name: "BalanceEx", fields: &[], act: balance_extended },
    Endpoint { name: "CancelAll", fields: &[], act: cancel_all },
    Endpoint {
        name: "CancelAllOrdersAfter",
        fields: &[must("timeout", Kind::Integer)],
        act: cancel_all_after,
    },
    Endpoint {
        name: "CancelOrder",
        fields: &[may("cl_ord_id", CLIENT_ID), may("txid", TXID)],
        act: cancel,
    },
    Endpoint { name: "EditOrder", fields: EDIT, act: edit },
    Endpoint { name: "GetApiKeyInfo", fields: &[], act: |book, _, _| Ok(book.powers.kraken()) },
    Endpoint { name: "GetWebSocketsToken", fields: &[], act: session_token },
    Endpoint { name: "OpenOrders", fields: OPEN, act: list },
    Endpoint { name: "QueryOrders", fields: QUERY, act: query },
    Endpoint { name: "WalletTransfer", fields: TRANSFER, act: move_funds },
    Endpoint { name: "Withdraw", fields: WITHDRAW, act: move_funds },
];

fn add(book: &mut Book, fields: &Fields, now_ms: i64) -> Result<Value, Refusal> {
    check_order(book, fields)?;
    if is_dry(fields) {
        return Ok(json!({ "descr": { "order": describe(fields) } }));
    }
    let txid = open(book, fields, now_ms)?;
    Ok(json!({ "descr": { "order": describe(fields) }, "txid": [txid] }))
}

/// All orders are checked before the first is placed.
fn add_batch(book: &mut Book, fields: &Fields, now_ms: i64) -> Result<Value, Refusal> {
    let list = fields.get("orders").and_then(Value::as_array);
    let list = list.ok_or("EGeneral:Invalid arguments:orders")?;
    if !(2..=15).contains(&list.len()) {
        return Err("EGeneral:Invalid arguments:orders".to_owned());
    }
    let mut orders: Vec<Fields> = Vec::with_capacity(list.len());
    for item in list {
        let mut order = item.as_object().cloned().and_then(flatten);
        let order = order.as_mut().ok_or("EGeneral:Invalid arguments:orders")?;
        // The pair stands beside the list: an order that brings its own is refused.
        if order.insert("pair".to_owned(), fields["pair"].clone()).is_some() {
            return Err("EGeneral:Invalid arguments:pair".to_owned());
        }
        check(order, ORDER).map_err(arguments)?;
        check_order(book, order)?;
        let client_id = text(order, "cl_ord_id");
        if !client_id.is_empty() && orders.iter().any(|o| text(o, "cl_ord_id") == client_id) {
            return Err("EGeneral:Invalid arguments:cl_ord_id".to_owned());
        }
        orders.push(order.clone());
    }
    let dry = is_dry(fields);
    let mut placed = Vec::with_capacity(orders.len());
    for order in &orders {
        let descr = json!({ "order": describe(order) });
        placed.push(match dry {
            true => json!({ "descr": descr }),
            false => match open(book, order, now_ms) {
                Ok(txid) => json!({ "descr": descr, "txid": txid }),
                Err(word) => json!({ "descr": descr, "error": word }),
            },
        });
    }
    Ok(json!({ "orders": placed }))
}

fn check_order(book: &Book, fields: &Fields) -> Result<(), Refusal> {
    let kind = text(fields, "ordertype");
    let priced = fields.contains_key("price");
    if (kind == "market" && priced) || (kind != "market" && kind != "settle-position" && !priced) {
        return Err("EGeneral:Invalid arguments:price".to_owned());
    }
    let client_id = text(fields, "cl_ord_id");
    if book.is_taken("", client_id) {
        // The word Kraken uses here is unverified.
        return Err("EGeneral:Invalid arguments:cl_ord_id".to_owned());
    }
    Ok(())
}

fn open(book: &mut Book, fields: &Fields, now_ms: i64) -> Result<String, Refusal> {
    let serial = book.next_serial();
    let id = format!(
        "O{:05X}-{:05X}-{:06X}",
        serial >> 44,
        (serial >> 24) & 0xF_FFFF,
        serial & 0xFF_FFFF
    );
    let is_market = text(fields, "ordertype") == "market";
    let order = Order {
        id: id.clone(),
        client_id: text(fields, "cl_ord_id").to_owned(),
        market: "",
        fields: fields.clone(),
        placed_ms: now_ms,
        state: if is_market { State::Filled } else { State::Open },
        trade: trade(fields),
    };
    match book.place(order) {
        Ok(_) => Ok(id),
        Err(_) => Err("EOrder:Insufficient funds".to_owned()),
    }
}

/// Relative prices and margin orders move no balance here; `viqc` makes the volume a cost.
fn trade(fields: &Fields) -> Option<Trade> {
    if fields.contains_key("leverage") {
        return None;
    }
    // `XXBTZUSD`, `XBTUSD`, `XBT/USD` and `BTC/USD` are one market.
    let name = text(fields, "pair").replace('/', "").replace("ZUSD", "USD");
    let name = name.replace("XXBT", "BTC").replace("XBT", "BTC").replace("XETH", "ETH");
    let buys = text(fields, "type") == "buy";
    let amount = |name| Amount::parse(text(fields, name));
    let by_cost = text(fields, "oflags").split(',').any(|flag| flag == "viqc");
    let (size, cost) = if by_cost { (None, amount("volume")) } else { (amount("volume"), None) };
    if fields.contains_key("price") && amount("price").is_none() {
        return None;
    }
    Trade::new(pair(&name)?, buys, size, cost, amount("price"))
}

fn amend(book: &mut Book, fields: &Fields, _now_ms: i64) -> Result<Value, Refusal> {
    let index = named(book, fields)?;
    let changes = [("limit_price", "price"), ("order_qty", "volume")];
    book.amend(index, |order| change(order, fields, &changes));
    Ok(json!({ "amend_id": format!("T{}", book.next_serial()) }))
}

/// An edit replaces the order: the new one has an id of its own.
fn edit(book: &mut Book, fields: &Fields, now_ms: i64) -> Result<Value, Refusal> {
    let index = named(book, fields)?;
    if book.open()[index].text("pair") != text(fields, "pair") {
        return Err("EGeneral:Invalid arguments:pair".to_owned());
    }
    if is_dry(fields) {
        return Ok(json!({ "status": "ok" }));
    }
    let mut order = book.cancel(index).clone();
    let old = order.id.clone();
    change(&mut order, fields, &[("price", "price"), ("price2", "price2"), ("volume", "volume")]);
    let txid = open(book, &order.fields, now_ms)?;
    Ok(json!({ "orders_cancelled": 1, "originaltxid": old, "status": "ok", "txid": txid }))
}

fn change(order: &mut Order, fields: &Fields, changes: &[(&str, &str)]) {
    for (new, old) in changes {
        if let Some(value) = fields.get(*new) {
            order.fields.insert((*old).to_owned(), value.clone());
        }
    }
    order.trade = trade(&order.fields);
}

fn cancel(book: &mut Book, fields: &Fields, _now_ms: i64) -> Result<Value, Refusal> {
    let index = named(book, fields)?;
    book.cancel(index);
    Ok(json!({ "count": 1 }))
}

fn cancel_all(book: &mut Book, _fields: &Fields, _now_ms: i64) -> Result<Value, Refusal> {
    Ok(json!({ "count": book.cancel_all(|_| true).len() }))
}

fn cancel_all_after(_book: &mut Book, fields: &Fields, now_ms: i64) -> Result<Value, Refusal> {
    // The real answer gives both times as RFC 3339 text.
    Ok(json!({ "currentTime": now_ms.to_string(), "timeout": fields["timeout"] }))
}

fn list(book: &mut Book, _fields: &Fields, _now_ms: i64) -> Result<Value, Refusal> {
    let open: Fields = book.open().iter().map(|order| (order.id.clone(), show(order))).collect();
    Ok(json!({ "open": open }))
}

fn query(book: &mut Book, fields: &Fields, _now_ms: i64) -> Result<Value, Refusal> {
    let mut found = Fields::new();
    for id in text(fields, "txid").split(',') {
        let order = book.find(|order| order.id == id).ok_or("EOrder:Unknown order")?;
        found.insert(id.to_owned(), show(order));
    }
    Ok(Value::Object(found))
}

fn balance(book: &mut Book, _fields: &Fields, _now_ms: i64) -> Result<Value, Refusal> {
    let total = |purse: &crate::book::Purse| (purse.free + purse.locked).to_string();
    let all = book.purses().iter();
    Ok(Value::Object(all.map(|purse| (name_of(purse.asset), total(purse).into())).collect()))
}

fn balance_extended(book: &mut Book, _fields: &Fields, _now_ms: i64) -> Result<Value, Refusal> {
    let one = |purse: &crate::book::Purse| {
        let total = (purse.free + purse.locked).to_string();
        json!({ "balance": total, "hold_trade": purse.locked.to_string() })
    };
    let all = book.purses().iter();
    Ok(Value::Object(all.map(|purse| (name_of(purse.asset), one(purse))).collect()))
}

/// Kraken's own name of an asset.
fn name_of(asset: &str) -> String {
    let name = match asset {
        "BTC" => "XXBT",
        "ETH" => "XETH",
        "USD" => "ZUSD",
        other => other,
    };
    name.to_owned()
}

/// The asset of which this is Kraken's name, long or short.
fn asset_of(name: &str) -> &str {
    match name {
        "XXBT" | "XBT" => "BTC",
        "XETH" => "ETH",
        "ZUSD" => "USD",
        other => other,
    }
}

/// A token opens the private WebSockets; its length and letters are those of ccxt's example.
fn session_token(book: &mut Book, _fields: &Fields, _now_ms: i64) -> Result<Value, Refusal> {
    let serial = book.next_serial();
    let token = STANDARD_NO_PAD.encode(Sha256::digest(format!("mock token {serial}")));
    book.add_pass(stream::TOKEN, token.clone());
    Ok(json!({ "expires": 900, "token": token }))
}

fn move_funds(book: &mut Book, fields: &Fields, _now_ms: i64) -> Result<Value, Refusal> {
    let amount = Amount::parse(text(fields, "amount")).unwrap_or_default();
    book.withdraw(asset_of(text(fields, "asset")), amount)
        .map_err(|_| "EFunding:Insufficient funds".to_owned())?;
    Ok(json!({ "refid": format!("R{}", book.next_serial()) }))
}

/// Finds the open order by exactly one of `txid` and `cl_ord_id`.
fn named(book: &Book, fields: &Fields) -> Result<usize, Refusal> {
    let (id, client_id) = (text(fields, "txid"), text(fields, "cl_ord_id"));
    if id.is_empty() == client_id.is_empty() {
        return Err("EGeneral:Invalid arguments:txid".to_owned());
    }
    let is_named = |order: &Order| {
        if id.is_empty() { order.client_id == client_id } else { order.id == id }
    };
    book.position(is_named).ok_or_else(|| "EOrder:Unknown order".to_owned())
}

fn show(order: &Order) -> Value {
    let (filled, cost) = order.filled();
    let at_s = order.placed_ms as f64 / 1000.0;
    let price = if order.text("price").is_empty() { "0" } else { order.text("price") };
    let mut shown = json!({
        "refid": null,
        "userref": 0,
        "cl_ord_id": order.client_id,
        "status": match order.state {
            State::Open => "open",
            State::Cancelled => "canceled",
            State::Filled => "closed",
        },
        "opentm": at_s,
        "starttm": 0,
        "expiretm": 0,
        "descr": {
            "pair": order.text("pair"),
            "aclass": "forex",
            "type": order.text("type"),
            "ordertype": order.text("ordertype"),
            "price": price,
            "price2": "0",
            "leverage": "none",
            "order": describe(&order.fields),
            "close": "",
        },
        "vol": order.text("volume"),
        "vol_exec": filled.to_string(),
        "cost": cost.to_string(),
        "fee": "0",
        "price": cost.over(filled).to_string(),
        "stopprice": "0",
        "limitprice": "0",
        "misc": "",
        "oflags": "fciq",
    });
    if order.state != State::Open {
        shown["closetm"] = json!(at_s);
    }
    shown
}

fn describe(fields: &Fields) -> String {
    let part = |name| text(fields, name);
    let (side, volume, pair) = (part("type"), part("volume"), part("pair"));
    format!("{side} {volume} {pair} @ {} {}", part("ordertype"), part("price"))
        .trim_end()
        .to_owned()
}

fn is_dry(fields: &Fields) -> bool {
    match fields.get("validate") {
        Some(Value::Bool(dry)) => *dry,
        Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
        _ => false,
    }
}
