//! Coinbase endpoints: closed parameter tables, and what each does to an account's open orders.
//!
//! Tables: `coinbase/rest/accounts.py` and `orders.py` of
//! <https://github.com/coinbase/coinbase-advanced-py> at 54fb8ed3cd32b49760cbe88d116aad9a13068ef2;
//! `preview_id` and `sor_preference` from the document "Create Order". Value lists are unverified.

use serde_json::{Value, json};

use super::{Fields, Refusal, invalid};
use crate::account::{Venue, text};
use crate::amount::Amount;
use crate::book::{Book, Order, Purse, State, Trade};
use crate::field::{Fault, Field, Kind, check, may, must};
use crate::open::signed;

/// One endpoint: method, path, and what acts on a checked parameter list.
pub(super) struct Endpoint {
    pub(super) method: &'static str,
    /// `{id}` stands for one segment, which [`PATH_ID`] then has.
    pub(super) path: &'static str,
    pub(super) fields: &'static [Field],
    /// Query parameters that may be repeated.
    pub(super) lists: &'static [&'static str],
    pub(super) act: Act,
}

/// The parameter that holds what stands for `{id}` in the path; no request can send it.
pub(super) const PATH_ID: &str = "{id}";

impl Endpoint {
    /// Whether this is its path; what stands for `{id}`, empty if the path has none.
    pub(super) fn id_in<'a>(&self, path: &'a str) -> Option<&'a str> {
        let Some((head, tail)) = self.path.split_once(PATH_ID) else {
            return (self.path == path).then_some("");
        };
        let id = path.strip_prefix(head)?.strip_suffix(tail)?;
        (!id.is_empty() && !id.contains('/')).then_some(id)
    }
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

/// `product_id` beside the list of that name: ccxt 4.5.90 `coinbase.py`
/// `fetch_orders_by_status()`, as are the dates.
const HISTORY: &[Field] = &[
    may("cursor", Kind::Text),
    may("end_date", Kind::Text),
    may("limit", Kind::Integer),
    may("order_ids", Kind::Texts),
    may("order_side", Kind::OneOf(&["BUY", "SELL"])),
    may("order_status", Kind::Texts),
    may("product_id", PRODUCT),
    may("product_ids", Kind::Texts),
    may("product_type", Kind::Id(32, "_")),
    may("sort_by", Kind::Id(32, "_")),
    may("start_date", Kind::Text),
];

/// Source: ccxt 4.5.90 `coinbase.py` `withdraw()`; the rest unverified.
const SEND: &[Field] = &[
    must("amount", Kind::Decimal),
    must("currency", Kind::Id(20, "")),
    must("to", Kind::Text),
    must("type", Kind::OneOf(&["send"])),
    may("description", Kind::Text),
    may("destination_tag", Kind::Text),
    may("idem", Kind::Text),
    may("network", Kind::Text),
];

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        method: "GET",
        path: "/v2/accounts",
        fields: &[may("limit", Kind::Integer), may("starting_after", Kind::Text)],
        lists: &[],
        act: wallets,
    },
    Endpoint {
        method: "POST",
        path: "/v2/accounts/{id}/transactions",
        fields: SEND,
        lists: &[],
        act: send,
    },
    Endpoint {
        method: "GET",
        path: "/api/v3/brokerage/transaction_summary",
        fields: &[
            may("contract_expiry_type", Kind::Id(32, "_")),
            may("product_type", Kind::Id(32, "_")),
            may("product_venue", Kind::Id(32, "_")),
        ],
        lists: &[],
        act: |_, _, now_ms| {
            Ok(signed(Venue::Coinbase, "/api/v3/brokerage/transaction_summary", now_ms))
        },
    },
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
        method: "GET",
        path: "/api/v3/brokerage/orders/historical/{id}",
        fields: &[may("client_order_id", Kind::Text), may("user_native_currency", Kind::Text)],
        lists: &[],
        act: show,
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
    if book.is_taken("", client_id) {
        let earlier = book.find(|order| order.client_id == client_id);
        return earlier.map(created).ok_or_else(|| invalid("client_order_id is taken"));
    }
    let state = match name {
        "market_market_ioc" | "market_market_fok" => State::Filled,
        _ if name.ends_with("gtc") || name.ends_with("gtd") => State::Open,
        // Fill-or-kill finds nobody to fill it.
        _ => State::Cancelled,
    };
    let order = Order {
        id: book.next_uuid(),
        client_id: client_id.to_owned(),
        market: "",
        fields: fields.clone(),
        placed_ms: now_ms,
        state,
        trade: trade(fields),
    };
    Ok(match book.place(order) {
        Ok(order) => created(order),
        // Source: ccxt 4.5.90 `coinbase.py` `create_order()`, its comment on failures.
        Err(_) => json!({
            "success": false,
            "failure_reason": "UNKNOWN_FAILURE_REASON",
            "order_id": "",
            "error_response": {
                "error": "INSUFFICIENT_FUND",
                "message": "Insufficient balance in source account",
                "error_details": "",
                "preview_failure_reason": "PREVIEW_INSUFFICIENT_FUND",
            },
            "order_configuration": fields.get("order_configuration"),
        }),
    })
}

/// The inside of the one order configuration.
fn configuration(fields: &Fields) -> Option<&Fields> {
    fields.get("order_configuration")?.as_object()?.values().next()?.as_object()
}

fn trade(fields: &Fields) -> Option<Trade> {
    let assets = text(fields, "product_id").split_once('-')?;
    let inner = configuration(fields)?;
    let amount = |name| Amount::parse(text(inner, name));
    let buys = text(fields, "side") == "BUY";
    Trade::new(assets, buys, amount("base_size"), amount("quote_size"), amount("limit_price"))
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
            let success = index.map(|index| book.cancel(index)).is_some();
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
    let product = text(fields, "product_id");
    let wanted = |order: &&Order| {
        (product.is_empty() || order.text("product_id") == product)
            && among("product_ids", order.text("product_id"))
            && among("order_ids", &order.id)
            && among("order_status", "OPEN")
    };
    let orders: Vec<Value> = book.open().iter().filter(wanted).map(describe).collect();
    Ok(json!({ "orders": orders, "has_next": false, "cursor": "" }))
}

fn show(book: &mut Book, fields: &Fields, _now_ms: i64) -> Result<Value, Refusal> {
    let order = book.find(|order| order.id == text(fields, PATH_ID));
    let order = order.ok_or(Refusal {
        status: http::StatusCode::NOT_FOUND,
        code: "NOT_FOUND",
        reason: "order not found",
    })?;
    Ok(json!({ "order": describe(order) }))
}

fn accounts(book: &mut Book, _fields: &Fields, now_ms: i64) -> Result<Value, Refusal> {
    let account = |purse: &Purse| {
        let money = |value: Amount| json!({ "value": value.to_string(), "currency": purse.asset });
        let kind = if purse.asset == "USD" { "FIAT" } else { "CRYPTO" };
        json!({
            "uuid": account_id(purse.asset),
            "name": format!("{} Wallet", purse.asset),
            "currency": purse.asset,
            "available_balance": money(purse.free),
            "hold": money(purse.locked),
            "default": true,
            "active": true,
            "ready": true,
            "type": format!("ACCOUNT_TYPE_{kind}"),
            "created_at": iso(now_ms),
            "updated_at": iso(now_ms),
            "deleted_at": null,
            "retail_portfolio_id": "00000000-0000-4000-8000-000000000001",
        })
    };
    let accounts: Vec<Value> = book.purses().iter().map(account).collect();
    let size = accounts.len();
    Ok(json!({ "accounts": accounts, "has_next": false, "cursor": "", "size": size }))
}

fn wallets(book: &mut Book, _fields: &Fields, now_ms: i64) -> Result<Value, Refusal> {
    let wallet = |purse: &Purse| {
        json!({
            "id": account_id(purse.asset),
            "name": format!("{} Wallet", purse.asset),
            "primary": false,
            "type": if purse.asset == "USD" { "fiat" } else { "wallet" },
            "currency": { "code": purse.asset, "name": purse.asset, "exponent": 8 },
            "balance": {
                "amount": (purse.free + purse.locked).to_string(), "currency": purse.asset,
            },
            "created_at": iso(now_ms),
            "updated_at": iso(now_ms),
            "resource": "account",
            "allow_deposits": true,
            "allow_withdrawals": true,
        })
    };
    let data: Vec<Value> = book.purses().iter().map(wallet).collect();
    Ok(json!({ "pagination": { "next_uri": null, "limit": 250, "order": "desc" }, "data": data }))
}

fn send(book: &mut Book, fields: &Fields, now_ms: i64) -> Result<Value, Refusal> {
    let (currency, amount) = (text(fields, "currency"), text(fields, "amount"));
    if account_id(currency) != text(fields, PATH_ID) {
        return Err(Refusal {
            status: http::StatusCode::NOT_FOUND,
            code: "not_found",
            reason: "no such account",
        });
    }
    book.withdraw(currency, Amount::parse(amount).unwrap_or_default())
        .map_err(|_| invalid("you do not have that much"))?;
    Ok(json!({ "data": {
        "id": book.next_uuid(),
        "type": "send",
        "status": "pending",
        "amount": { "amount": format!("-{amount}"), "currency": currency },
        "created_at": iso(now_ms),
        "updated_at": iso(now_ms),
        "resource": "transaction",
        "to": { "resource": "address", "address": text(fields, "to") },
    } }))
}

/// The id of the one account that holds an asset; the same for everybody.
fn account_id(asset: &str) -> String {
    let hex: String = asset.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("{hex:0<8.8}-0000-4000-8000-{hex:0<12.12}")
}

/// ISO 8601 in UTC with milliseconds, for times after the Unix epoch.
fn iso(at_ms: i64) -> String {
    let (days, ms) = (at_ms.div_euclid(86_400_000), at_ms.rem_euclid(86_400_000));
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let (mut year, mut left) = (1970, days.max(0));
    while left >= 365 + i64::from(is_leap(year)) && year < 9999 {
        left -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!(
        "{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z",
        left + 1,
        ms % 1000
    )
}

fn permissions(book: &mut Book, _fields: &Fields, _now_ms: i64) -> Result<Value, Refusal> {
    Ok(book.powers.coinbase())
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
    let (filled, cost) = order.filled();
    let name = order.fields.get("order_configuration").and_then(Value::as_object);
    let name = name.and_then(|one| one.keys().next()).map_or("", String::as_str);
    let mut fields = order.fields.clone();
    let more = [
        ("order_id", json!(order.id)),
        (
            "status",
            json!(match order.state {
                State::Open => "OPEN",
                State::Cancelled => "CANCELLED",
                State::Filled => "FILLED",
            }),
        ),
        ("time_in_force", json!("GOOD_UNTIL_CANCELLED")),
        ("created_time", json!(iso(order.placed_ms))),
        ("completion_percentage", json!(if order.state == State::Filled { "100" } else { "0" })),
        ("filled_size", json!(filled.to_string())),
        ("filled_value", json!(cost.to_string())),
        ("average_filled_price", json!(cost.over(filled).to_string())),
        ("number_of_fills", json!(if order.state == State::Filled { "1" } else { "0" })),
        ("fee", json!("")),
        ("total_fees", json!("0")),
        ("total_value_after_fees", json!(cost.to_string())),
        ("pending_cancel", json!(false)),
        ("size_in_quote", json!(false)),
        ("size_inclusive_of_fees", json!(false)),
        ("order_type", json!(if name.starts_with("market") { "MARKET" } else { "LIMIT" })),
        ("product_type", json!("SPOT")),
        ("settled", json!(order.state == State::Filled)),
        ("reject_reason", json!("REJECT_REASON_UNSPECIFIED")),
        ("reject_message", json!("")),
        ("cancel_message", json!("")),
    ];
    fields.extend(more.map(|(name, value)| (name.to_owned(), value)));
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_times() {
        assert_eq!(iso(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso(951_868_799_999), "2000-02-29T23:59:59.999Z");
        assert_eq!(iso(1_712_432_078_038), "2024-04-06T19:34:38.038Z");
        assert_eq!(iso(1_735_689_599_000), "2024-12-31T23:59:59.000Z");
        assert_eq!(iso(i64::MIN).len(), 24);
    }

    #[test]
    fn accounts_have_ids_of_their_own() {
        assert_eq!(account_id("BTC"), "42544300-0000-4000-8000-425443000000");
        assert_eq!(account_id("USDT"), "55534454-0000-4000-8000-555344540000");
    }

    #[test]
    fn finds_what_stands_in_a_path() {
        let one = ENDPOINTS.iter().find(|known| known.path.ends_with("/transactions"));
        let one = one.expect("endpoint");
        assert_eq!(one.id_in("/v2/accounts/a-1/transactions"), Some("a-1"));
        for path in ["/v2/accounts//transactions", "/v2/accounts/a/b/transactions", "/v2/accounts"]
        {
            assert_eq!(one.id_in(path), None, "{path}");
        }
    }
}
