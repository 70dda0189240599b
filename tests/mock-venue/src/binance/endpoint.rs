//! Binance endpoints: closed parameter tables, and what each does to an account's open orders.
//!
//! Spot tables: `rest-api.md` of <https://github.com/binance/binance-spot-api-docs> at
//! a5e0bc3ddc0fd7e6bb696849323b74423fa3a54d. Futures, margin and wallet tables: the parameters of
//! ccxt 4.5.90 and of the vectors `binance-*-rest-*`; the rest of them is unverified.

use serde_json::{Value, json};

use super::{Fields, Refusal, bad, read, stream};
use crate::account::{Venue, text};
use crate::amount::Amount;
use crate::book::{Book, Order, State, Trade, last_price, pair};
use crate::field::{Field, Kind, json_list, may, must};
use crate::ledger::Moment;
use crate::open::signed;

/// One endpoint: method, path, and what acts on a checked parameter list.
pub(super) struct Endpoint {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) fields: &'static [Field],
    pub(super) act: Act,
}

type Act = fn(&mut Book, &Fields, Moment) -> Result<Value, Refusal>;

const CLIENT_ID: Kind = Kind::Id(36, ".:/_-");
const COIN: Kind = Kind::Id(20, "");
const SIDE: Kind = Kind::OneOf(&["BUY", "SELL"]);
const SYMBOL: Kind = Kind::Id(24, "_");
const RESPONSE: Kind = Kind::OneOf(&["ACK", "FULL", "RESULT"]);

const SPOT_ORDER: &[Field] = &[
    must("symbol", SYMBOL),
    must("side", SIDE),
    must("type", SPOT_TYPE),
    may("icebergQty", Kind::Decimal),
    may("newClientOrderId", CLIENT_ID),
    may("newOrderRespType", RESPONSE),
    may("pegOffsetType", Kind::OneOf(&["PRICE_LEVEL"])),
    may("pegOffsetValue", Kind::Integer),
    may("pegPriceType", Kind::OneOf(&["MARKET_PEG", "PRIMARY_PEG"])),
    may("price", Kind::Decimal),
    may("quantity", Kind::Decimal),
    may("quoteOrderQty", Kind::Decimal),
    may("selfTradePreventionMode", Kind::Id(20, "_")),
    may("stopPrice", Kind::Decimal),
    may("strategyId", Kind::Integer),
    may("strategyType", Kind::Integer),
    may("timeInForce", Kind::OneOf(&["FOK", "GTC", "IOC"])),
    may("trailingDelta", Kind::Integer),
];

const SPOT_TYPE: Kind = Kind::OneOf(&[
    "LIMIT",
    "LIMIT_MAKER",
    "MARKET",
    "STOP_LOSS",
    "STOP_LOSS_LIMIT",
    "TAKE_PROFIT",
    "TAKE_PROFIT_LIMIT",
]);

const MARGIN_ORDER: &[Field] = &[
    must("symbol", SYMBOL),
    must("side", SIDE),
    must("type", SPOT_TYPE),
    may("autoRepayAtCancel", Kind::Flag),
    may("icebergQty", Kind::Decimal),
    may("isIsolated", Kind::OneOf(&["FALSE", "TRUE"])),
    may("newClientOrderId", CLIENT_ID),
    may("newOrderRespType", RESPONSE),
    may("price", Kind::Decimal),
    may("quantity", Kind::Decimal),
    may("quoteOrderQty", Kind::Decimal),
    may("selfTradePreventionMode", Kind::Id(20, "_")),
    may("sideEffectType", Kind::Id(20, "_")),
    may("stopPrice", Kind::Decimal),
    may("timeInForce", Kind::OneOf(&["FOK", "GTC", "IOC"])),
];

const FUTURES_ORDER: &[Field] = &[
    must("symbol", SYMBOL),
    must("side", SIDE),
    must(
        "type",
        Kind::OneOf(&[
            "LIMIT",
            "MARKET",
            "STOP",
            "STOP_MARKET",
            "TAKE_PROFIT",
            "TAKE_PROFIT_MARKET",
            "TRAILING_STOP_MARKET",
        ]),
    ),
    may("activationPrice", Kind::Decimal),
    may("callbackRate", Kind::Decimal),
    may("closePosition", Kind::Flag),
    may("goodTillDate", Kind::Integer),
    may("newClientOrderId", CLIENT_ID),
    may("newOrderRespType", RESPONSE),
    may("positionSide", Kind::OneOf(&["BOTH", "LONG", "SHORT"])),
    may("price", Kind::Decimal),
    may("priceMatch", Kind::Id(20, "_")),
    may("priceProtect", Kind::OneOf(&["FALSE", "TRUE", "false", "true"])),
    may("quantity", Kind::Decimal),
    may("reduceOnly", Kind::Flag),
    may("selfTradePreventionMode", Kind::Id(20, "_")),
    may("stopPrice", Kind::Decimal),
    may("timeInForce", Kind::OneOf(&["FOK", "GTC", "GTD", "GTX", "IOC"])),
    may("workingType", Kind::OneOf(&["CONTRACT_PRICE", "MARK_PRICE"])),
];

const NAME_ORDER: &[Field] = &[
    must("symbol", SYMBOL),
    may("cancelRestrictions", Kind::Id(24, "_")),
    may("newClientOrderId", CLIENT_ID),
    may("orderId", Kind::Integer),
    may("origClientOrderId", CLIENT_ID),
];

const WITHDRAW: &[Field] = &[
    must("address", Kind::Text),
    must("amount", Kind::Decimal),
    must("coin", COIN),
    may("addressTag", Kind::Text),
    may("name", Kind::Text),
    may("network", COIN),
    may("transactionFeeFlag", Kind::Flag),
    may("walletType", Kind::Integer),
    may("withdrawOrderId", Kind::Id(64, "-_")),
];

const ISOLATED: Kind = Kind::OneOf(&["FALSE", "TRUE"]);
const MARGIN_LIST: &[Field] = &[may("isIsolated", ISOLATED), may("symbol", SYMBOL)];
const MARGIN_CANCEL: &[Field] = &[must("symbol", SYMBOL), may("isIsolated", ISOLATED)];

const MAYBE_SYMBOL: &[Field] = &[may("symbol", SYMBOL)];
const ONE_SYMBOL: &[Field] = &[must("symbol", SYMBOL)];

pub(super) const ENDPOINTS: &[Endpoint] = &[
    on("GET", "/api/v3/account", &[may("omitZeroBalances", Kind::Flag)], account),
    on("GET", "/api/v3/openOrders", MAYBE_SYMBOL, |book, fields, _| list(book, fields, SPOT)),
    on("GET", "/api/v3/order", NAME_ORDER, |book, fields, _| show(book, fields, SPOT)),
    on("POST", "/api/v3/order", SPOT_ORDER, |book, fields, at| place(book, fields, at, SPOT)),
    on("POST", "/api/v3/order/test", SPOT_ORDER, |_, fields, _| {
        check_order(fields).map(|()| json!({}))
    }),
    on("DELETE", "/api/v3/order", NAME_ORDER, |book, fields, _| cancel(book, fields, SPOT)),
    on("DELETE", "/api/v3/openOrders", ONE_SYMBOL, |book, fields, _| {
        let cancelled = cancel_all(book, fields, SPOT);
        if cancelled.is_empty() { Err(unknown_order()) } else { Ok(Value::Array(cancelled)) }
    }),
    on("GET", "/fapi/v2/account", &[], futures_account),
    on("GET", "/fapi/v3/account", &[], futures_account),
    on("GET", "/fapi/v1/order", NAME_ORDER, |book, fields, _| show(book, fields, FUTURES)),
    on("GET", "/fapi/v1/openOrders", MAYBE_SYMBOL, |book, fields, _| list(book, fields, FUTURES)),
    on("POST", "/fapi/v1/order", FUTURES_ORDER, |book, fields, at| {
        place(book, fields, at, FUTURES)
    }),
    on("DELETE", "/fapi/v1/order", NAME_ORDER, |book, fields, _| cancel(book, fields, FUTURES)),
    on("DELETE", "/fapi/v1/allOpenOrders", ONE_SYMBOL, |book, fields, _| {
        cancel_all(book, fields, FUTURES);
        Ok(json!({ "code": 200, "msg": "The operation of cancel all open order is done." }))
    }),
    on("GET", "/fapi/v1/openAlgoOrders", MAYBE_SYMBOL, |_, _, _| Ok(json!([]))),
    on("GET", "/dapi/v1/openOrders", MAYBE_SYMBOL, |_, _, _| Ok(json!([]))),
    on("GET", "/dapi/v1/openAlgoOrders", MAYBE_SYMBOL, |_, _, _| Ok(json!([]))),
    on("GET", "/sapi/v1/margin/openOrders", MARGIN_LIST, |book, fields, _| {
        Ok(margin(book, fields).map(describe).collect())
    }),
    on("DELETE", "/sapi/v1/margin/openOrders", MARGIN_CANCEL, |book, fields, _| {
        let ids: Vec<String> = margin(book, fields).map(|order| order.id.clone()).collect();
        let gone = book.cancel_all(|order| ids.contains(&order.id));
        if gone.is_empty() {
            return Err(unknown_order());
        }
        Ok(gone.iter().map(describe).collect())
    }),
    on("POST", "/fapi/v1/batchOrders", &[must("batchOrders", Kind::JsonList)], place_batch),
    on(
        "POST",
        "/fapi/v1/leverage",
        &[must("leverage", Kind::Integer), must("symbol", SYMBOL)],
        |_, fields, _| {
            let leverage = text(fields, "leverage").parse::<i64>().unwrap_or_default();
            let symbol = text(fields, "symbol");
            let most = "1000000";
            Ok(json!({ "leverage": leverage, "maxNotionalValue": most, "symbol": symbol }))
        },
    ),
    on("GET", "/sapi/v1/account/apiRestrictions", &[], |book, _, at| {
        Ok(book.powers.binance(at.now_ms))
    }),
    on("POST", "/sapi/v1/account/enableFastWithdrawSwitch", &[], |_, _, _| Ok(json!({}))),
    on(
        "POST",
        "/sapi/v1/asset/transfer",
        &[
            must("amount", Kind::Decimal),
            must("asset", COIN),
            must("type", Kind::Id(40, "_")),
            may("fromSymbol", SYMBOL),
            may("toSymbol", SYMBOL),
        ],
        |book, _, _| Ok(json!({ "tranId": book.next_serial() })),
    ),
    on("GET", "/sapi/v1/capital/config/getall", &[], |_, _, at| {
        Ok(signed(Venue::Binance, "/sapi/v1/capital/config/getall", at.now_ms))
    }),
    on("GET", "/sapi/v1/margin/allPairs", MAYBE_SYMBOL, |_, _, at| {
        Ok(signed(Venue::Binance, "/sapi/v1/margin/allPairs", at.now_ms))
    }),
    on("GET", "/sapi/v1/margin/isolated/allPairs", MAYBE_SYMBOL, |_, _, at| {
        Ok(signed(Venue::Binance, "/sapi/v1/margin/isolated/allPairs", at.now_ms))
    }),
    on("POST", "/sapi/v1/capital/withdraw/apply", WITHDRAW, |book, fields, _| {
        let amount = Amount::parse(text(fields, "amount")).unwrap_or_default();
        book.withdraw(text(fields, "coin"), amount)
            // The code is unverified.
            .map_err(|_| bad("-4026", "User has insufficient balance"))?;
        Ok(json!({ "id": format!("{:032x}", book.next_serial()) }))
    }),
    on(
        "GET",
        "/sapi/v1/capital/withdraw/history",
        &[
            may("coin", COIN),
            may("endTime", Kind::Integer),
            may("limit", Kind::Integer),
            may("offset", Kind::Integer),
            may("startTime", Kind::Integer),
            may("status", Kind::Integer),
            may("withdrawOrderId", Kind::Id(64, "-_")),
        ],
        |_, _, _| Ok(json!([])),
    ),
    on("POST", "/api/v3/userDataStream", &[], |book, _, _| stream::open_key(book, SPOT)),
    on("PUT", "/api/v3/userDataStream", stream::SPOT_KEY, |book, fields, _| {
        stream::keep_key(book, fields, SPOT).map(|_| json!({}))
    }),
    on("DELETE", "/api/v3/userDataStream", stream::SPOT_KEY, |book, fields, _| {
        stream::close_key(book, fields, SPOT)
    }),
    on("POST", "/fapi/v1/listenKey", &[], |book, _, _| stream::open_key(book, FUTURES)),
    on("PUT", "/fapi/v1/listenKey", stream::FUTURES_KEY, |book, fields, _| {
        stream::keep_key(book, fields, FUTURES)
    }),
    on("DELETE", "/fapi/v1/listenKey", stream::FUTURES_KEY, |book, fields, _| {
        stream::close_key(book, fields, FUTURES)
    }),
    on("POST", "/sapi/v1/margin/order", MARGIN_ORDER, |book, fields, at| {
        place(book, fields, at, MARGIN)
    }),
];

pub(super) const SPOT: &str = "spot";
const MARGIN: &str = "margin";
pub(super) const FUTURES: &str = "futures";

const fn on(
    method: &'static str,
    path: &'static str,
    fields: &'static [Field],
    act: Act,
) -> Endpoint {
    Endpoint { method, path, fields, act }
}

fn place(
    book: &mut Book,
    fields: &Fields,
    at: Moment,
    market: &'static str,
) -> Result<Value, Refusal> {
    check_order(fields)?;
    let client_id = text(fields, "newClientOrderId");
    if book.is_taken(market, client_id) {
        return Err(bad("-2010", "Duplicate order sent."));
    }
    let is_filled = text(fields, "type") == "MARKET";
    let order = Order {
        id: book.next_serial().to_string(),
        client_id: client_id.to_owned(),
        market,
        fields: fields.clone(),
        placed_ms: at.now_ms,
        state: if is_filled { State::Filled } else { State::Open },
        trade: (market == SPOT).then(|| trade(fields)).flatten(),
    };
    match book.place(order) {
        Ok(placed) => Ok(describe(placed)),
        Err(_) => Err(bad("-2010", "Account has insufficient balance for requested action.")),
    }
}

fn trade(fields: &Fields) -> Option<Trade> {
    let amount = |name| Amount::parse(text(fields, name));
    let buys = text(fields, "side") == "BUY";
    let assets = pair(text(fields, "symbol"))?;
    Trade::new(assets, buys, amount("quantity"), amount("quoteOrderQty"), amount("price"))
}

fn place_batch(book: &mut Book, fields: &Fields, at: Moment) -> Result<Value, Refusal> {
    let orders = json_list(text(fields, "batchOrders")).unwrap_or_default();
    if !(1..=5).contains(&orders.len()) {
        return Err(bad("-1102", "Mandatory parameter 'batchOrders' was malformed."));
    }
    // The whole list is checked before the first order is acted on.
    let mut checked = Vec::with_capacity(orders.len());
    for mut order in orders {
        read(&mut order, FUTURES_ORDER, at)?;
        check_order(&order)?;
        checked.push(order);
    }
    let placed = checked.iter().map(|order| place(book, order, at, FUTURES));
    placed.collect::<Result<Vec<_>, _>>().map(Value::Array)
}

/// What an order of its type must have beside its table.
fn check_order(fields: &Fields) -> Result<(), Refusal> {
    let has = |name: &str| fields.contains_key(name);
    let sized = has("quantity") || has("quoteOrderQty") || has("closePosition");
    let priced = has("price") || has("priceMatch") || has("pegPriceType");
    let triggered = has("stopPrice") || has("trailingDelta") || has("callbackRate");
    let complete = match text(fields, "type") {
        "LIMIT" => has("quantity") && priced && has("timeInForce"),
        "LIMIT_MAKER" => has("quantity") && priced,
        "MARKET" => sized && !has("price"),
        _ => sized && triggered,
    };
    if complete {
        Ok(())
    } else {
        Err(bad("-1102", "A mandatory parameter was not sent, was empty/null, or malformed."))
    }
}

fn list(book: &Book, fields: &Fields, market: &'static str) -> Result<Value, Refusal> {
    let symbol = text(fields, "symbol");
    let wanted = |order: &&Order| {
        order.market == market && (symbol.is_empty() || order.text("symbol") == symbol)
    };
    Ok(book.open().iter().filter(wanted).map(describe).collect())
}

/// Open orders on margin, cross or isolated, of the symbol if there is one.
fn margin<'a>(book: &'a Book, fields: &'a Fields) -> impl Iterator<Item = &'a Order> {
    let isolated = |fields: &Fields| text(fields, "isIsolated") == "TRUE";
    let symbol = text(fields, "symbol");
    book.open().iter().filter(move |order| {
        order.market == MARGIN
            && isolated(&order.fields) == isolated(fields)
            && (symbol.is_empty() || order.text("symbol") == symbol)
    })
}

fn show(book: &Book, fields: &Fields, market: &'static str) -> Result<Value, Refusal> {
    let is_named = named(fields, market)?;
    let order = book.find(is_named).ok_or_else(|| bad("-2013", "Order does not exist."))?;
    Ok(describe(order))
}

fn cancel(book: &mut Book, fields: &Fields, market: &'static str) -> Result<Value, Refusal> {
    let index = book.position(named(fields, market)?).ok_or_else(unknown_order)?;
    Ok(describe(book.cancel(index)))
}

fn cancel_all(book: &mut Book, fields: &Fields, market: &'static str) -> Vec<Value> {
    let symbol = text(fields, "symbol");
    let gone = book.cancel_all(|order| order.market == market && order.text("symbol") == symbol);
    gone.iter().map(describe).collect()
}

/// Tells the order that the request names; `orderId` wins over `origClientOrderId`.
fn named<'a>(
    fields: &'a Fields,
    market: &'static str,
) -> Result<impl Fn(&Order) -> bool + 'a, Refusal> {
    let (id, client_id) = (text(fields, "orderId"), text(fields, "origClientOrderId"));
    if id.is_empty() && client_id.is_empty() {
        let reason =
            "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!";
        return Err(bad("-1102", reason));
    }
    let symbol = text(fields, "symbol");
    Ok(move |order: &Order| {
        let same = if id.is_empty() { order.client_id == client_id } else { order.id == id };
        same && order.market == market && order.text("symbol") == symbol
    })
}

fn account(book: &mut Book, _fields: &Fields, at: Moment) -> Result<Value, Refusal> {
    let balances = book.purses().iter().map(|purse| {
        let (free, locked) = (purse.free.to_string(), purse.locked.to_string());
        json!({ "asset": purse.asset, "free": free, "locked": locked })
    });
    Ok(json!({
        "makerCommission": 10,
        "takerCommission": 10,
        "buyerCommission": 0,
        "sellerCommission": 0,
        "canTrade": true,
        "canWithdraw": true,
        "canDeposit": true,
        "updateTime": at.now_ms,
        "accountType": "SPOT",
        "balances": balances.collect::<Vec<_>>(),
        "permissions": ["SPOT"],
        "uid": 354_937_868,
    }))
}

/// Futures have a wallet of their own, which orders do not change.
fn futures_account(_book: &mut Book, _fields: &Fields, at: Moment) -> Result<Value, Refusal> {
    let (wallet, none) = ("100000", "0");
    Ok(json!({
        "totalInitialMargin": none,
        "totalMaintMargin": none,
        "totalWalletBalance": wallet,
        "totalUnrealizedProfit": none,
        "totalMarginBalance": wallet,
        "availableBalance": wallet,
        "maxWithdrawAmount": wallet,
        "assets": [{
            "asset": "USDT",
            "walletBalance": wallet,
            "unrealizedProfit": none,
            "marginBalance": wallet,
            "maintMargin": none,
            "initialMargin": none,
            "positionInitialMargin": none,
            "openOrderInitialMargin": none,
            "crossWalletBalance": wallet,
            "crossUnPnl": none,
            "availableBalance": wallet,
            "maxWithdrawAmount": wallet,
            "updateTime": at.now_ms,
        }],
        "positions": [],
    }))
}

/// An order as each of the markets describes it: spot and futures name what is filled in ways of
/// their own, so both are there.
pub(super) fn describe(order: &Order) -> Value {
    let is_filled = order.state == State::Filled;
    let (filled, cost) = match (order.trade, is_filled) {
        (None, true) => {
            let size = Amount::parse(order.text("quantity")).unwrap_or_default();
            let price = pair(order.text("symbol")).map(|(base, quote)| last_price(base, quote));
            (size, size.times(price.unwrap_or_default()))
        }
        _ => order.filled(),
    };
    let (size, kind) = (order.text("quantity"), order.text("type"));
    let size = if size.is_empty() { filled.to_string() } else { size.to_owned() };
    let or = |name: &str, other: &str| {
        let text = order.text(name);
        Value::from(if text.is_empty() { other } else { text })
    };
    let mut fields = json!({
        "symbol": order.text("symbol"),
        "orderId": order.id.parse::<u64>().unwrap_or_default(),
        "orderListId": -1,
        "clientOrderId": or("newClientOrderId", "mock"),
        "price": or("price", "0"),
        "origQty": size,
        "executedQty": filled.to_string(),
        "status": match order.state {
            State::Open => "NEW",
            State::Cancelled => "CANCELED",
            State::Filled => "FILLED",
        },
        "timeInForce": or("timeInForce", "GTC"),
        "type": kind,
        "side": order.text("side"),
        "stopPrice": or("stopPrice", "0"),
        "time": order.placed_ms,
        "updateTime": order.placed_ms,
        "selfTradePreventionMode": or("selfTradePreventionMode", "NONE"),
    });
    let more = if order.market == FUTURES {
        json!({
            "avgPrice": cost.over(filled).to_string(),
            "cumQuote": cost.to_string(),
            "cumQty": filled.to_string(),
            "reduceOnly": order.text("reduceOnly") == "true",
            "closePosition": order.text("closePosition") == "true",
            "positionSide": or("positionSide", "BOTH"),
            "workingType": or("workingType", "CONTRACT_PRICE"),
            "priceProtect": false,
            "origType": kind,
        })
    } else {
        json!({
            "cummulativeQuoteQty": cost.to_string(),
            "icebergQty": or("icebergQty", "0"),
            "transactTime": order.placed_ms,
            "isWorking": order.state == State::Open,
            "fills": [],
        })
    };
    if let (Value::Object(fields), Value::Object(more)) = (&mut fields, more) {
        fields.extend(more);
    }
    fields
}

fn unknown_order() -> Refusal {
    bad("-2011", "Unknown order sent.")
}
