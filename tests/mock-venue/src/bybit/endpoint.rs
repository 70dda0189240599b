//! Bybit endpoints: closed parameter tables, and what each does to an account's open orders.
//!
//! Tables: `docs/v5/order/*.mdx` and `docs/v5/account/wallet-balance.mdx` of
//! <https://github.com/bybit-exchange/docs> at 072c197d0c11b4d9a88d1dd0c7b9d7ca8ea3a996; value
//! lists beyond those shown there are unverified.

use serde_json::{Value, json};

use super::{Fields, Refusal, malformed};
use crate::account::{Venue, text};
use crate::amount::Amount;
use crate::book::{Book, Order, State, Trade, pair};
use crate::field::{Field, Kind, may, must};
use crate::open::signed;

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

/// Source: ccxt 4.5.90 `bybit.py` `set_leverage()`.
const LEVERAGE: &[Field] = &[
    must("category", CATEGORY),
    must("symbol", SYMBOL),
    must("buyLeverage", Kind::Decimal),
    must("sellLeverage", Kind::Decimal),
];

/// Source: ccxt 4.5.90 `bybit.py` `withdraw()`; `feeType`, `requestId` and `beneficiary` unverified.
const WITHDRAW: &[Field] = &[
    must("accountType", Kind::Id(16, ",")),
    must("address", Kind::Text),
    must("amount", Kind::Decimal),
    must("coin", COIN),
    must("timestamp", Kind::Integer),
    may("beneficiary", Kind::Object),
    may("chain", Kind::Id(24, "-")),
    may("feeType", Kind::Integer),
    may("forceChain", Kind::Integer),
    may("requestId", Kind::Id(32, "-_")),
    may("tag", Kind::Text),
];

const BALANCE: &[Field] =
    &[must("accountType", Kind::OneOf(&["UNIFIED"])), may("coin", Kind::Id(128, ","))];

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        method: "GET",
        path: "/v5/account/info",
        fields: &[],
        act: |_, _, now_ms| Ok(signed(Venue::Bybit, "/v5/account/info", now_ms)),
    },
    Endpoint { method: "GET", path: "/v5/account/wallet-balance", fields: BALANCE, act: balance },
    Endpoint {
        method: "GET",
        path: "/v5/asset/coin/query-info",
        fields: &[may("coin", COIN)],
        act: |_, _, now_ms| Ok(signed(Venue::Bybit, "/v5/asset/coin/query-info", now_ms)),
    },
    Endpoint {
        method: "GET",
        path: "/v5/user/query-api",
        fields: &[],
        act: |book, _, now_ms| {
            Ok(book.powers.bybit(signed(Venue::Bybit, "/v5/user/query-api", now_ms)))
        },
    },
    Endpoint { method: "POST", path: "/v5/asset/withdraw/create", fields: WITHDRAW, act: withdraw },
    Endpoint {
        method: "POST",
        path: "/v5/position/set-leverage",
        fields: LEVERAGE,
        act: |_, _, _| Ok(json!({})),
    },
    Endpoint { method: "GET", path: "/v5/order/realtime", fields: OPEN, act: list },
    Endpoint { method: "POST", path: "/v5/order/cancel", fields: CANCEL, act: cancel },
    Endpoint { method: "POST", path: "/v5/order/cancel-all", fields: CANCEL_ALL, act: cancel_all },
    Endpoint { method: "POST", path: "/v5/order/create", fields: CREATE, act: create },
];

fn create(book: &mut Book, fields: &Fields, now_ms: i64) -> Result<Value, Refusal> {
    let is_market = text(fields, "orderType") == "Market";
    if !is_market && !fields.contains_key("price") {
        return Err(malformed("Request parameter error: price."));
    }
    let client_id = text(fields, "orderLinkId");
    if book.is_taken("", client_id) {
        return Err(Refusal { code: 110_072, reason: "OrderLinkedID is duplicate" });
    }
    let id = book.next_uuid();
    let placed = json!({ "orderId": id, "orderLinkId": client_id });
    let order = Order {
        id,
        client_id: client_id.to_owned(),
        market: "",
        fields: fields.clone(),
        placed_ms: now_ms,
        state: if is_market { State::Filled } else { State::Open },
        trade: trade(fields),
    };
    match book.place(order) {
        Ok(_) => Ok(placed),
        Err(_) => Err(Refusal { code: 170_131, reason: "Insufficient balance." }),
    }
}

/// Spot alone moves balances. A market order to buy states its cost unless `marketUnit` says
/// otherwise.
fn trade(fields: &Fields) -> Option<Trade> {
    if text(fields, "category") != "spot" {
        return None;
    }
    let buys = text(fields, "side") == "Buy";
    let amount = |name| Amount::parse(text(fields, name));
    let is_cost = match text(fields, "marketUnit") {
        "quoteCoin" => true,
        "baseCoin" => false,
        _ => buys && text(fields, "orderType") == "Market",
    };
    let (size, cost) = if is_cost { (None, amount("qty")) } else { (amount("qty"), None) };
    Trade::new(pair(text(fields, "symbol"))?, buys, size, cost, amount("price"))
}

fn withdraw(book: &mut Book, fields: &Fields, _now_ms: i64) -> Result<Value, Refusal> {
    let amount = Amount::parse(text(fields, "amount")).unwrap_or_default();
    book.withdraw(text(fields, "coin"), amount)
        .map_err(|_| Refusal { code: 131_001, reason: "balance insufficient" })?;
    Ok(json!({ "id": book.next_serial().to_string() }))
}

fn cancel(book: &mut Book, fields: &Fields, _now_ms: i64) -> Result<Value, Refusal> {
    let (id, client_id) = (text(fields, "orderId"), text(fields, "orderLinkId"));
    if id.is_empty() && client_id.is_empty() {
        return Err(malformed("Request parameter error: orderId."));
    }
    let index = book.position(|order| {
        is_named(order, fields)
            && ["category", "symbol"].iter().all(|name| order.text(name) == text(fields, name))
    });
    let index = index.ok_or(Refusal { code: 110_001, reason: "Order does not exist" })?;
    Ok(name(book.cancel(index)))
}

fn cancel_all(book: &mut Book, fields: &Fields, _now_ms: i64) -> Result<Value, Refusal> {
    let named = ["baseCoin", "settleCoin", "symbol"].iter().any(|name| fields.contains_key(*name));
    let is_futures = ["inverse", "linear"].contains(&text(fields, "category"));
    if is_futures && !named {
        return Err(malformed("Request parameter error: symbol."));
    }
    // "If not passed, Order by default", spot alone.
    let mut fields = fields.clone();
    if text(&fields, "category") == "spot" && !fields.contains_key("orderFilter") {
        fields.insert("orderFilter".to_owned(), Value::from("Order"));
    }
    let gone = book.cancel_all(|order| fits(order, &fields));
    let list: Vec<Value> = gone.iter().map(name).collect();
    Ok(json!({ "list": list, "success": "1" }))
}

/// Open orders; an order that is named is shown whatever became of it.
fn list(book: &mut Book, fields: &Fields, _now_ms: i64) -> Result<Value, Refusal> {
    let is_one = fields.contains_key("orderId") || fields.contains_key("orderLinkId");
    let list: Vec<Value> = if is_one {
        let found = book.find(|order| fits(order, fields) && is_named(order, fields));
        found.map(describe).into_iter().collect()
    } else {
        book.open().iter().filter(|order| fits(order, fields)).map(describe).collect()
    };
    Ok(json!({ "category": text(fields, "category"), "list": list, "nextPageCursor": "" }))
}

fn balance(book: &mut Book, fields: &Fields, _now_ms: i64) -> Result<Value, Refusal> {
    let coin = |purse: &crate::book::Purse| {
        let total = (purse.free + purse.locked).to_string();
        json!({
            "coin": purse.asset,
            "equity": total,
            "walletBalance": total,
            "locked": purse.locked.to_string(),
            "spotBorrow": "0",
            "borrowAmount": "0",
            "accruedInterest": "0",
            "totalOrderIM": "0",
            "totalPositionIM": "0",
            "totalPositionMM": "0",
            "unrealisedPnl": "0",
            "cumRealisedPnl": "0",
            "bonus": "0",
            "collateralSwitch": true,
            "marginCollateral": true,
        })
    };
    let coins: Vec<Value> = book.purses().iter().map(coin).collect();
    Ok(json!({ "list": [{ "accountType": text(fields, "accountType"), "coin": coins }] }))
}

/// Whether an order has the id, or without one the name, that is asked for.
fn is_named(order: &Order, fields: &Fields) -> bool {
    match text(fields, "orderId") {
        "" => order.client_id == text(fields, "orderLinkId"),
        id => order.id == id,
    }
}

/// Whether an order is of the category and, if one is named, the symbol.
fn fits(order: &Order, fields: &Fields) -> bool {
    let or_any = |name: &str, has: &dyn Fn(&str) -> bool| {
        let wanted = text(fields, name);
        wanted.is_empty() || has(wanted)
    };
    let filter = match order.text("orderFilter") {
        "" => "Order",
        given => given,
    };
    order.text("category") == text(fields, "category")
        && or_any("symbol", &|wanted| order.text("symbol") == wanted)
        && or_any("orderFilter", &|wanted| filter == wanted)
        // Linear contracts of USDC are called BTCPERP or BTC-01JAN27 there.
        && or_any("settleCoin", &|wanted| {
            (wanted == "USDC") != order.text("symbol").ends_with("USDT")
        })
}

fn name(order: &Order) -> Value {
    json!({ "orderId": order.id, "orderLinkId": order.client_id })
}

pub(super) fn describe(order: &Order) -> Value {
    let (filled, cost) = order.filled();
    let open = if order.state == State::Open { order.text("qty") } else { "0" };
    let at = order.placed_ms.to_string();
    let price = if order.text("price").is_empty() { "0" } else { order.text("price") };
    json!({
        "orderId": order.id,
        "orderLinkId": order.client_id,
        "symbol": order.text("symbol"),
        "price": price,
        "qty": order.text("qty"),
        "side": order.text("side"),
        "orderType": order.text("orderType"),
        "timeInForce": match order.text("timeInForce") { "" => "GTC", given => given },
        "orderStatus": match order.state {
            State::Open => "New",
            State::Cancelled => "Cancelled",
            State::Filled => "Filled",
        },
        "avgPrice": cost.over(filled).to_string(),
        "cumExecQty": filled.to_string(),
        "cumExecValue": cost.to_string(),
        "cumExecFee": "0",
        "leavesQty": open,
        "positionIdx": 0,
        "reduceOnly": order.fields.get("reduceOnly") == Some(&Value::Bool(true)),
        "triggerPrice": order.text("triggerPrice"),
        "createdTime": at,
        "updatedTime": at,
    })
}
