//! Coinbase endpoints: closed parameter tables, and what each does to an account's open orders.
//!
//! Tables: `coinbase/rest/accounts.py` and `orders.py` of
//! <https://github.com/coinbase/coinbase-advanced-py> at 54fb8ed3cd32b49760cbe88d116aad9a13068ef2;
//! `preview_id` and `sor_preference` from the document "Create Order". Value lists are unverified.

use serde_json::{Value, json};

use super::{Fields, Refusal, invalid};
use crate::account::{Book, Order, text};
use crate::field::{Fault, Field, Kind, check, may, must};

/// One endpoint: method, path, and what acts on a checked parameter list.
pub(super) struct Endpoint {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) fields: &'static [Field],
    /// Query parameters that may be repeated.
    pub(super) lists: &'static [&'static str],
    pub(super) act: Act,
}

type Act = fn(&mut Book, &Fields, i64) -> Result<Value, Refusal>;

const PRODUCT: Kind = Kind::Id(64, "-");
const UUID: Kind = Kind::Id(64, "-");

const ACCOUNTS: &[Field] =
    &[may("cursor", Kind::Text), may("limit", Kind::Integer), may("retail_portfolio_id", UUID)];

const ORDER: &[Field] = &[
    must("client_order_id", Kind::Id(128, "-_")),
    must("order_configuration", Kind::Object),
    must("product_id", PRODUCT),
    must("side", Kind::OneOf(&["BUY", "SELL"])),
    may("leverage", Kind::Decimal),
    may("margin_type", Kind::OneOf(&["CROSS", "ISOLATED"])),
    may("preview_id", UUID),
    may("retail_portfolio_id", UUID),
    may("self_trade_prevention_id", UUID),
    may("sor_preference", Kind::Id(32, "_")),
];

/// Sizes of every configuration: one of them must be there.
const BASE: Field = may("base_size", Kind::Decimal);
const QUOTE: Field = may("quote_size", Kind::Decimal);
const PRICE: Field = must("limit_price", Kind::Decimal);
const POST_ONLY: Field = may("post_only", Kind::Flag);
const END: Field = must("end_time", Kind::Id(40, "-:."));
const STOP: Field = must("stop_price", Kind::Decimal);
const DIRECTION: Field =
    may("stop_direction", Kind::OneOf(&["STOP_DIRECTION_STOP_DOWN", "STOP_DIRECTION_STOP_UP"]));

/// What an order configuration must look like, by its name; brackets, TWAP and scaled orders are
/// left out.
const CONFIGURATIONS: &[(&str, &[Field])] = &[
    ("limit_limit_fok", &[BASE, QUOTE, PRICE]),
    ("limit_limit_gtc", &[BASE, QUOTE, PRICE, POST_ONLY]),
    ("limit_limit_gtd", &[BASE, QUOTE, PRICE, POST_ONLY, END]),
    ("market_market_fok", &[BASE, QUOTE]),
    ("market_market_ioc", &[BASE, QUOTE]),
    ("sor_limit_ioc", &[BASE, QUOTE, PRICE]),
    ("stop_limit_stop_limit_gtc", &[BASE, PRICE, STOP, DIRECTION]),
    ("stop_limit_stop_limit_gtd", &[BASE, PRICE, STOP, DIRECTION, END]),
];

const HISTORY: &[Field] = &[
    may("cursor", Kind::Text),
    may("limit", Kind::Integer),
    may("order_ids", Kind::Texts),
    may("order_side", Kind::OneOf(&["BUY", "SELL"])),
    may("order_status", Kind::Texts),
    may("product_ids", Kind::Texts),
    may("product_type", Kind::Id(32, "_")),
    may("sort_by", Kind::Id(32, "_")),
];

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        method: "GET",
        path: "/api/v3/brokerage/accounts",
        fields: ACCOUNTS,
        lists: &[],
        act: accounts,
    },
    Endpoint {
        method: "GET",
        path: "/api/v3/brokerage/key_permissions",
        fields: &[],
        lists: &[],
        act: permissions,
    },
    Endpoint {
        method: "GET",
        path: "/api/v3/brokerage/orders/historical/batch",
        fields: HISTORY,
        lists: &["order_ids", "order_status", "product_ids"],
        act: list,
    },
    Endpoint {
        method: "POST",
        path: "/api/v3/brokerage/orders",
        fields: ORDER,
        lists: &[],
        act: create,
    },
    Endpoint {
        method: "POST",
        path: "/api/v3/brokerage/orders/batch_cancel",
        fields: &[must("order_ids", Kind::Texts)],
        lists: &[],
        act: cancel,
    },
];

fn create(book: &mut Book, fields: &Fields, now_ms: i64) -> Result<Value, Refusal> {
    let name = check_configuration(fields)?;
    let client_id = text(fields, "client_order_id");
    // A client order id that is there already makes no new order: the earlier one is the answer.
    if let Some(index) = book.position(|order| order.text("client_order_id") == client_id) {
        return Ok(created(&book.open[index]));
    }
    let id = format!("{:08x}-0000-4000-8000-000000000000", book.next_serial());
    let order = Order { id, market: "", fields: fields.clone(), placed_ms: now_ms };
    let answer = created(&order);
    if name.ends_with("gtc") || name.ends_with("gtd") {
        book.open.push(order);
    }
    Ok(answer)
}

/// Returns the name of the one configuration.
fn check_configuration(fields: &Fields) -> Result<&str, Refusal> {
    let wrong = || invalid("order_configuration is malformed");
    let configuration = fields.get("order_configuration").and_then(Value::as_object);
    let mut members = configuration.ok_or_else(wrong)?.iter();
    let (Some((name, Value::Object(inner))), None) = (members.next(), members.next()) else {
        return Err(wrong());
    };
    let known = CONFIGURATIONS.iter().find(|(known, _)| known == name);
    let (_, table) = known.ok_or_else(|| invalid("order_configuration is not known"))?;
    check(inner, table).map_err(|fault| match fault {
        Fault::Unknown => invalid("unknown parameter in order_configuration"),
        Fault::Malformed(_) | Fault::Missing(_) => wrong(),
    })?;
    let sizes = ["base_size", "quote_size"].iter().filter(|size| inner.contains_key(**size));
    if sizes.count() == 1 { Ok(name) } else { Err(wrong()) }
}

fn cancel(book: &mut Book, fields: &Fields, _now_ms: i64) -> Result<Value, Refusal> {
    let ids = fields.get("order_ids").and_then(Value::as_array).cloned().unwrap_or_default();
    let results: Vec<Value> = ids
        .iter()
        .map(|id| {
            let index = book.position(|order| Some(order.id.as_str()) == id.as_str());
            let success = index.map(|index| book.open.remove(index)).is_some();
            let reason =
                if success { "UNKNOWN_CANCEL_FAILURE_REASON" } else { "UNKNOWN_CANCEL_ORDER" };
            json!({ "order_id": id, "success": success, "failure_reason": reason })
        })
        .collect();
    Ok(json!({ "results": results }))
}

fn list(book: &mut Book, fields: &Fields, _now_ms: i64) -> Result<Value, Refusal> {
    let among = |name: &str, value: &str| match fields.get(name).and_then(Value::as_array) {
        Some(list) => list.iter().any(|item| item.as_str() == Some(value)),
        None => true,
    };
    let wanted = |order: &&Order| {
        among("product_ids", order.text("product_id"))
            && among("order_ids", &order.id)
            && among("order_status", "OPEN")
    };
    let orders: Vec<Value> = book.open.iter().filter(wanted).map(describe).collect();
    Ok(json!({ "orders": orders, "has_next": false, "cursor": "" }))
}

fn accounts(_book: &mut Book, _fields: &Fields, _now_ms: i64) -> Result<Value, Refusal> {
    let account = |currency: &str, amount: &str| {
        let money = |value: &str| json!({ "value": value, "currency": currency });
        json!({ "currency": currency, "available_balance": money(amount), "hold": money("0") })
    };
    Ok(json!({ "accounts": [account("BTC", "2"), account("USD", "100000")], "has_next": false }))
}

fn permissions(_book: &mut Book, _fields: &Fields, _now_ms: i64) -> Result<Value, Refusal> {
    Ok(json!({ "can_view": true, "can_trade": true, "can_transfer": true }))
}

fn created(order: &Order) -> Value {
    json!({
        "success": true,
        "success_response": {
            "order_id": order.id,
            "product_id": order.text("product_id"),
            "side": order.text("side"),
            "client_order_id": order.text("client_order_id"),
        },
        "order_configuration": order.fields.get("order_configuration"),
    })
}

fn describe(order: &Order) -> Value {
    let mut fields = order.fields.clone();
    fields.insert("order_id".to_owned(), Value::from(order.id.as_str()));
    fields.insert("status".to_owned(), Value::from("OPEN"));
    fields.insert("created_time_ms".to_owned(), Value::from(order.placed_ms));
    Value::Object(fields)
}
