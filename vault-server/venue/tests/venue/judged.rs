//! What rules about orders judge, at the venues themselves: sizes in their units, margin modes,
//! leverage, amendments, ids of new orders, transfers.

use vault_model::{Leg, MarginMode, Member, Product, Symbols, Transfer, VenueRequest};
use vault_venue::{KeyType, ReadError};

use crate::{CAUTIOUS, bare, made, registry};

/// The operation as a caller states it; parameters are a JSON body, or a query.
fn read(venue: &str, operation: &str, parameters: &str) -> Result<Member, ReadError> {
    let venue = registry().venue(venue).expect("bundled");
    let (method, path) = operation.split_once(' ').expect("METHOD path");
    let found = venue.catalog.operation(method, path).expect("in the catalogue");
    let hosts = venue.catalog.hosts(CAUTIOUS.environment).expect("live");
    let in_body = parameters.starts_with(['{', '[']);
    let mut request = VenueRequest {
        scheme: if found.is_socket() { "wss" } else { "https" }.to_owned(),
        host: hosts.of(found).first().expect("a host").clone(),
        ..bare(method, path)
    };
    if in_body {
        request.body = parameters.as_bytes().to_vec();
    } else {
        parameters.clone_into(&mut request.query);
    }
    let key_type = if venue.name() == "coinbase" { KeyType::Es256 } else { KeyType::Hmac };
    let standing = vault_venue::Standing { key_type, ..CAUTIOUS };
    Ok(venue.read(&request, &standing)?.stated)
}

fn member(venue: &str, operation: &str, parameters: &str) -> Member {
    read(venue, operation, parameters).unwrap_or_else(|error| panic!("{operation}: {error}"))
}

fn leg(venue: &str, operation: &str, parameters: &str) -> Leg {
    let mut legs = member(venue, operation, parameters).legs.clone();
    assert_eq!(legs.len(), 1, "{operation} {parameters}");
    legs.remove(0)
}

/// Product, quantity and quote quantity, in short.
fn size(leg: &Leg) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let product = leg.product.map_or("-".to_owned(), |product| product.to_string());
    format!("{product} {} {}", text(&leg.quantity), text(&leg.quote_quantity))
}

#[test]
fn okx_sizes_are_in_the_unit_that_the_order_says() {
    for (symbol, mode, kind, side, more, expected) in [
        ("BTC-USDT", "cash", "limit", "buy", "", "spot 5 -"),
        ("BTC-USDT", "cash", "limit", "sell", "", "spot 5 -"),
        ("BTC-USDT", "cash", "market", "sell", "", "spot 5 -"),
        // A market buy spends quote currency unless it says otherwise.
        ("BTC-USDT", "cash", "market", "buy", "", "spot - 5"),
        ("BTC-USDT", "cash", "market", "buy", r#","tgtCcy":"base_ccy""#, "spot 5 -"),
        ("BTC-USDT", "cash", "market", "buy", r#","tgtCcy":"quote_ccy""#, "spot - 5"),
        ("BTC-USDT", "cash", "market", "sell", r#","tgtCcy":"quote_ccy""#, "spot - 5"),
        ("BTC-USDT", "cross", "limit", "buy", "", "margin 5 -"),
        ("BTC-USDT", "isolated", "market", "sell", "", "margin 5 -"),
        ("BTC-USDT", "cross", "market", "buy", "", "margin - 5"),
        // Not documented, so of no size.
        ("BTC-USDT", "cross", "market", "buy", r#","tgtCcy":"base_ccy""#, "margin - -"),
        ("BTC-USDT", "isolated", "market", "sell", r#","tgtCcy":"base_ccy""#, "margin - -"),
        ("BTC-USDT", "cash", "limit", "buy", r#","tgtCcy":"quote_ccy""#, "spot - -"),
        ("BTC-USDT-SWAP", "cross", "market", "buy", r#","tgtCcy":"quote_ccy""#, "linear - -"),
        // Contracts.
        ("BTC-USDT-SWAP", "cross", "market", "buy", "", "linear 5 -"),
        ("BTC-USD-SWAP", "isolated", "limit", "buy", "", "inverse 5 -"),
        ("BTC-USDT", "spot_isolated", "market", "buy", "", "- - 5"),
    ] {
        let body = format!(
            r#"{{"instId":"{symbol}","tdMode":"{mode}","side":"{side}","ordType":"{kind}","sz":"5"{more}}}"#
        );
        assert_eq!(size(&leg("okx", "POST /api/v5/trade/order", &body)), expected, "{body}");
    }
}

#[test]
fn bybit_sizes_are_in_the_unit_that_the_order_says() {
    for (category, kind, side, more, expected) in [
        ("spot", "Limit", "Buy", "", "spot 5 -"),
        ("spot", "Market", "Sell", "", "spot 5 -"),
        ("spot", "Market", "Buy", "", "spot - 5"),
        ("spot", "Market", "Buy", r#","marketUnit":"baseCoin""#, "spot 5 -"),
        ("spot", "Market", "Sell", r#","marketUnit":"quoteCoin""#, "spot - 5"),
        ("spot", "Market", "Buy", r#","marketUnit":"quoteCoin","isLeverage":1"#, "margin - 5"),
        ("spot", "Limit", "Sell", r#","marketUnit":"quoteCoin""#, "spot - -"),
        ("linear", "Market", "Buy", "", "linear 5 -"),
        ("inverse", "Market", "Buy", "", "inverse 5 -"),
        ("option", "Limit", "Buy", "", "option 5 -"),
        ("linear", "Market", "Buy", r#","marketUnit":"quoteCoin""#, "linear - -"),
    ] {
        let order =
            format!(r#""symbol":"BTCUSDT","side":"{side}","orderType":"{kind}","qty":"5"{more}"#);
        let single = format!(r#"{{"category":"{category}",{order}}}"#);
        let batch = format!(r#"{{"category":"{category}","request":[{{{order}}}]}}"#);
        for (operation, body) in
            [("POST /v5/order/create", single), ("POST /v5/order/create-batch", batch)]
        {
            assert_eq!(size(&leg("bybit", operation, &body)), expected, "{body}");
        }
    }
}

#[test]
fn an_amended_size_of_unknown_unit_never_looks_like_one_that_stays() {
    for (venue, operation, sized, unsized_) in [
        (
            "bybit",
            "POST /v5/order/amend",
            r#"{"category":"spot","symbol":"BTCUSDT","orderId":"a","qty":"5"}"#,
            r#"{"category":"spot","symbol":"BTCUSDT","orderId":"a","price":"5"}"#,
        ),
        (
            "okx",
            "POST /api/v5/trade/amend-algos",
            r#"{"instId":"BTC-USDT","algoId":"a","newSz":"5"}"#,
            r#"{"instId":"BTC-USDT","algoId":"a","newOrdPx":"5"}"#,
        ),
    ] {
        let sized = leg(venue, operation, sized);
        assert_eq!(size(&sized), "margin - -");
        assert!(!sized.amends);
        assert!(leg(venue, operation, unsized_).amends);
    }
    let contracts = r#"{"category":"linear","symbol":"BTCUSDT","orderId":"a","qty":"5"}"#;
    let contracts = leg("bybit", "POST /v5/order/amend", contracts);
    assert_eq!((size(&contracts).as_str(), contracts.amends), ("linear 5 -", true));
}

#[test]
fn operations_that_change_orders_say_so() {
    let mut amending = Vec::new();
    for name in registry().names() {
        let venue = registry().venue(name).expect("bundled");
        let own = venue.catalog.operations.iter().filter(|operation| operation.amends);
        amending.extend(own.map(|operation| format!("{name} {}", operation.name)));
    }
    assert_eq!(
        amending,
        [
            "binance PUT /api/v3/order/amend/keepPriority",
            "binance PUT /dapi/v1/batchOrders",
            "binance PUT /dapi/v1/order",
            "binance PUT /fapi/v1/batchOrders",
            "binance PUT /fapi/v1/order",
            "binance PUT /papi/v1/cm/order",
            "binance PUT /papi/v1/um/order",
            "binance WS /ws-api/v3/order.amend.keepPriority",
            "binance WS /ws-dapi/v1/order.modify",
            "binance WS /ws-fapi/v1/order.modify",
            "bybit POST /v5/order/amend",
            "bybit POST /v5/order/amend-batch",
            "bybit POST /v5/spread/order/amend",
            "coinbase POST /api/v3/brokerage/orders/edit",
            "kraken POST /0/private/AmendOrder",
            "kraken POST /0/private/EditOrder",
            "okx POST /api/v5/trade/amend-algos",
            "okx POST /api/v5/trade/amend-batch-orders",
            "okx POST /api/v5/trade/amend-order",
        ]
    );
}

#[test]
fn only_new_orders_have_new_ids() {
    let ids = |venue: &str, operation: &str, body: &str| {
        let member = member(venue, operation, body);
        (member.client_order_ids.clone(), member.client_order_id.clone())
    };
    let new = |ids: &[&str]| ids.iter().map(|&id| id.to_owned()).collect::<Vec<_>>();
    let order = r#"{"instId":"BTC-USDT","tdMode":"cash","side":"buy","ordType":"limit","px":"1","sz":"1","clOrdId":"ID"}"#;
    let batch = format!("[{},{}]", order.replace("ID", "a"), order.replace("ID", "b"));
    assert_eq!(ids("okx", "POST /api/v5/trade/batch-orders", &batch), (new(&["a", "b"]), None));
    let close = r#"{"instId":"BTC-USDT-SWAP","mgnMode":"cross","clOrdId":"c"}"#;
    let one = (new(&["c"]), Some("c".to_owned()));
    assert_eq!(ids("okx", "POST /api/v5/trade/close-position", close), one);
    for (venue, operation, parameters) in [
        ("okx", "POST /api/v5/trade/amend-order", r#"{"instId":"A-B","clOrdId":"o","newSz":"1"}"#),
        ("okx", "POST /api/v5/trade/cancel-order", r#"{"instId":"A-B","clOrdId":"o"}"#),
        ("kraken", "POST /0/private/AmendOrder", r#"{"cl_ord_id":"o","order_qty":"1"}"#),
        (
            "binance",
            "PUT /fapi/v1/order",
            "symbol=BTCUSDT&side=BUY&quantity=1&price=1&origClientOrderId=o",
        ),
    ] {
        let old = (Vec::new(), Some("o".to_owned()));
        assert_eq!(ids(venue, operation, parameters), old, "{operation}");
    }
    let replace = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=1&\
                   cancelReplaceMode=STOP_ON_FAILURE&cancelOrderId=7&newClientOrderId=n";
    let replaced = member("binance", "POST /api/v3/order/cancelReplace", replace);
    assert_eq!(replaced.client_order_ids, ["n"]);
    assert!(!replaced.legs[0].amends);
    let pair = "symbol=BTCUSDT&side=SELL&quantity=1&price=9&stopPrice=1&limitClientOrderId=l&\
                stopClientOrderId=s";
    assert_eq!(ids("binance", "POST /api/v3/order/oco", pair), (new(&["l", "s"]), None));
}

#[test]
fn what_sets_leverage_or_margin_mode_says_it_in_a_leg() {
    use MarginMode::{Cash, Cross, Isolated};
    for (venue, operation, parameters, symbol, leverage, mode) in [
        (
            "okx",
            "POST /api/v5/account/set-leverage",
            r#"{"instId":"BTC-USDT-SWAP","lever":"5","mgnMode":"isolated"}"#,
            Some("BTC-USDT-SWAP"),
            Some("5"),
            Some(Isolated),
        ),
        (
            "okx",
            "POST /api/v5/account/set-leverage",
            r#"{"ccy":"BTC","lever":"5","mgnMode":"cross"}"#,
            None,
            Some("5"),
            Some(Cross),
        ),
        ("binance", "POST /fapi/v1/leverage", "symbol=A&leverage=5", Some("A"), Some("5"), None),
        (
            "binance",
            "POST /fapi/v1/marginType",
            "symbol=A&marginType=CROSSED",
            Some("A"),
            None,
            Some(Cross),
        ),
        (
            "binance",
            "POST /dapi/v1/marginType",
            "symbol=BTCUSD_PERP&marginType=ISOLATED",
            Some("BTCUSD_PERP"),
            None,
            Some(Isolated),
        ),
        ("binance", "POST /sapi/v1/margin/max-leverage", "maxLeverage=10", None, Some("10"), None),
        (
            "bybit",
            "POST /v5/account/set-margin-mode",
            r#"{"setMarginMode":"PORTFOLIO_MARGIN"}"#,
            None,
            None,
            Some(Cross),
        ),
        (
            "bybit",
            "POST /v5/position/switch-isolated",
            r#"{"category":"linear","symbol":"A","tradeMode":1,"buyLeverage":"3","sellLeverage":"12"}"#,
            Some("A"),
            Some("12"),
            Some(Isolated),
        ),
        (
            "bybit",
            "POST /v5/spot-margin-trade/set-leverage",
            r#"{"leverage":"4"}"#,
            None,
            Some("4"),
            None,
        ),
        (
            "bybit",
            "POST /v5/spot-margin-trade/switch-mode",
            r#"{"spotMarginMode":"0"}"#,
            None,
            None,
            Some(Cash),
        ),
    ] {
        let member = member(venue, operation, parameters);
        let [leg] = member.legs.as_slice() else { panic!("{operation}: one leg") };
        assert_eq!(leg.symbol.as_deref(), symbol, "{operation}");
        assert_eq!((leg.leverage.as_deref(), leg.margin_mode), (leverage, mode), "{operation}");
        assert_eq!(symbol.is_none(), member.symbols == Symbols::Every, "{operation}");
    }
}

#[test]
fn orders_say_their_margin_mode() {
    let margin = |more: &str| {
        let order = format!("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=1{more}");
        leg("binance", "POST /sapi/v1/margin/order", &order).margin_mode
    };
    assert_eq!(margin(""), Some(MarginMode::Cross));
    assert_eq!(margin("&isIsolated=FALSE"), Some(MarginMode::Cross));
    assert_eq!(margin("&isIsolated=TRUE"), Some(MarginMode::Isolated));
    let spot = "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=1";
    assert_eq!(leg("binance", "POST /api/v3/order", spot).margin_mode, None);
    for (word, mode) in [
        ("cash", MarginMode::Cash),
        ("cross", MarginMode::Cross),
        ("isolated", MarginMode::Isolated),
        ("spot_isolated", MarginMode::Isolated),
    ] {
        let body = format!(
            r#"{{"instId":"A-B","tdMode":"{word}","side":"buy","ordType":"limit","px":"1","sz":"1"}}"#
        );
        assert_eq!(leg("okx", "POST /api/v5/trade/order", &body).margin_mode, Some(mode));
    }
    let order = r#"{"client_order_id":"a","product_id":"BTC-PERP-INTX","side":"BUY","margin_type":"ISOLATED",
        "leverage":"3","order_configuration":{"market_market_ioc":{"base_size":"1"}}}"#;
    let order = leg("coinbase", "POST /api/v3/brokerage/orders", order);
    // The path alone is signed, but what the caller states is read.
    assert_eq!(
        (order.margin_mode, order.leverage.as_deref()),
        (Some(MarginMode::Isolated), Some("3"))
    );
}

#[test]
fn reduce_only_counts_where_the_venue_heeds_it() {
    let bybit = |category: &str, more: &str| {
        let body = format!(
            r#"{{"category":"{category}","symbol":"A","side":"Sell","orderType":"Limit","price":"1","qty":"1","reduceOnly":true{more}}}"#
        );
        leg("bybit", "POST /v5/order/create", &body).reduce_only
    };
    for category in ["linear", "inverse", "option"] {
        assert_eq!(bybit(category, ""), Some(true), "{category}");
    }
    assert_eq!(bybit("spot", ""), None);
    assert_eq!(bybit("spot", r#","isLeverage":1"#), None);

    let kraken = |more: &str| {
        let body = format!(
            r#"{{"pair":"XBTUSD","type":"sell","ordertype":"limit","price":"1","volume":"1","reduce_only":true{more}}}"#
        );
        leg("kraken", "POST /0/private/AddOrder", &body).reduce_only
    };
    assert_eq!(kraken(""), None);
    assert_eq!(kraken(r#","leverage":"2""#), Some(true));

    let order = "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=1&reduceOnly=true";
    assert_eq!(leg("binance", "POST /fapi/v1/order", order).reduce_only, Some(true));
    let order = r#"{"instId":"A-USDT-SWAP","tdMode":"cross","side":"buy","ordType":"limit","px":"1","sz":"1","reduceOnly":true}"#;
    assert_eq!(leg("okx", "POST /api/v5/trade/order", order).reduce_only, None);
}

#[test]
fn transfers_say_what_goes_where() {
    let moved = |asset: Option<&str>, amount: Option<&str>, address: Option<&str>| Transfer {
        asset: asset.map(str::to_owned),
        amount: amount.map(str::to_owned),
        address: address.map(str::to_owned),
    };
    for (venue, operation, parameters, expected) in [
        (
            "okx",
            "POST /api/v5/asset/withdrawal",
            r#"{"ccy":"BTC","amt":"0.5","dest":"4","toAddr":"bc1q:7"}"#,
            vec![moved(Some("BTC"), Some("0.5"), Some("bc1q:7"))],
        ),
        (
            "okx",
            "POST /api/v5/asset/transfer",
            r#"{"ccy":"BTC","amt":"0.5","from":"6","to":"18"}"#,
            vec![moved(Some("BTC"), Some("0.5"), None)],
        ),
        ("okx", "POST /api/v5/asset/cancel-withdrawal", r#"{"wdId":"1"}"#, Vec::new()),
        (
            "kraken",
            "POST /0/private/Withdraw",
            r#"{"asset":"XBT","key":"cold wallet","amount":"1"}"#,
            vec![moved(Some("XBT"), Some("1"), Some("cold wallet"))],
        ),
        (
            "coinbase",
            "POST /api/v3/brokerage/portfolios/move_funds",
            r#"{"funds":{"value":"5","currency":"USD"},"source_portfolio_uuid":"a","target_portfolio_uuid":"b"}"#,
            vec![moved(Some("USD"), Some("5"), Some("b"))],
        ),
        (
            "okx",
            "POST /api/v5/asset/transfer",
            r#"{"ccy":"BTC","amt":"0.5","from":"6","to":"6","type":"1","subAcct":"bob"}"#,
            vec![moved(Some("BTC"), Some("0.5"), Some("bob"))],
        ),
        (
            "kraken",
            "POST /0/private/AccountTransfer",
            r#"{"asset":"XBT","amount":"1","from":"ABCD","to":"EF GH"}"#,
            vec![moved(Some("XBT"), Some("1"), Some("EF GH"))],
        ),
        (
            "binance",
            "POST /sapi/v1/sub-account/universalTransfer",
            "asset=BTC&amount=0.5&fromAccountType=SPOT&toAccountType=SPOT&toEmail=a%40b.example",
            vec![moved(Some("BTC"), Some("0.5"), Some("a@b.example"))],
        ),
        (
            "bybit",
            "POST /v5/asset/transfer/universal-transfer",
            concat!(
                r#"{"transferId":"1","coin":"BTC","amount":"0.5","fromMemberId":"7","#,
                r#""toMemberId":"8","fromAccountType":"UNIFIED","toAccountType":"FUND"}"#
            ),
            vec![moved(Some("BTC"), Some("0.5"), Some("8"))],
        ),
        (
            "binance",
            "POST /sapi/v1/capital/withdraw/apply",
            "coin=BTC&address=bc1q&amount=2",
            vec![moved(Some("BTC"), Some("2"), Some("bc1q"))],
        ),
        // A conversion is a trade.
        (
            "coinbase",
            "POST /api/v3/brokerage/convert/quote",
            r#"{"from_account":"USD","to_account":"USDC","amount":"5"}"#,
            Vec::new(),
        ),
    ] {
        assert_eq!(member(venue, operation, parameters).transfers, expected, "{operation}");
    }
}

#[test]
fn one_signature_is_one_order_at_kraken_alone() {
    for name in registry().names() {
        let once = registry().venue(name).expect("bundled").takes_signatures_once();
        assert_eq!(once, name == "kraken", "{name}");
    }
}

const MADE: &str = r#"
[[margin_mode]]
venue = "1"
mode = "cross"
[[margin_mode]]
param = "own"
venue = "1"
mode = "isolated"
[[product]]
product = "linear"
symbol = "*P"
[[product]]
product = "spot"
symbol = "*S"
[shape.setting]
source = "docs"
params = [
  { name = "symbol", type = "symbol", role = "symbol" },
  { name = "own", type = "id", role = "margin_mode" },
  { name = "any", type = "id", role = "margin_mode" },
  { name = "leverage", type = "decimal", role = "leverage" },
  { name = "flag", type = "bool", role = "reduce_only" },
  { name = "legs", type = "array", items = "leg", legs = true },
]
[shape.leg]
source = "docs"
params = [
  { name = "symbol", type = "symbol", role = "symbol" },
  { name = "flag", type = "bool", role = "reduce_only" },
  { name = "leverage", type = "decimal", role = "leverage" },
]
[shape.named]
source = "docs"
params = [
  { name = "list", type = "array", items = "order", legs = true },
]
[shape.order]
source = "docs"
params = [
  { name = "symbol", type = "symbol", role = "symbol" },
  { name = "old", type = "id", role = "order_id" },
]
[shape.moved]
source = "docs"
params = [
  { name = "assets", type = "array", of = "id", role = "asset" },
  { name = "amount", type = "decimal", role = "amount" },
]
[[operation]]
method = "POST"
path = "/set"
class = "account"
source = "docs"
body = "json"
shape = "setting"
margin_mode = "cash"
[[operation]]
method = "POST"
path = "/read"
class = "read"
source = "docs"
body = "json"
shape = "setting"
[[operation]]
method = "POST"
path = "/change"
class = "trade"
source = "docs"
body = "json"
shape = "named"
[[operation]]
method = "POST"
path = "/replace"
class = "trade"
source = "docs"
body = "json"
shape = "named"
amends = false
[[operation]]
method = "POST"
path = "/cancel"
class = "cancel"
source = "docs"
body = "json"
shape = "named"
[[operation]]
method = "POST"
path = "/move"
class = "transfer"
source = "docs"
body = "json"
shape = "moved"
"#;

fn made_up(path: &str, body: &str) -> Result<Member, ReadError> {
    let request = VenueRequest { body: body.as_bytes().to_vec(), ..bare("POST", path) };
    Ok(made(MADE).read(&request, &CAUTIOUS)?.stated)
}

#[test]
fn words_for_margin_modes_are_a_parameters_own_before_all_others() {
    let mode = |body: &str| made_up("/set", body).map(|member| member.legs[0].margin_mode);
    assert_eq!(mode(r#"{"own":"1"}"#), Ok(Some(MarginMode::Isolated)));
    assert_eq!(mode(r#"{"any":"1"}"#), Ok(Some(MarginMode::Cross)));
    assert_eq!(mode(r#"{"leverage":"1"}"#), Ok(Some(MarginMode::Cash)));
    for body in [r#"{"own":"2"}"#, r#"{"any":"cross"}"#] {
        assert_eq!(mode(body), Err(ReadError::MarginModeUnknown), "{body}");
    }
}

#[test]
fn settings_are_legs_of_writes_and_hold_for_the_orders_inside() {
    let read = made_up("/read", r#"{"leverage":"5"}"#).expect("reads");
    assert_eq!((read.legs.len(), read.products.clone()), (0, Some(Vec::new())));
    assert_eq!(read.symbols, Symbols::Named(Vec::new()));

    let set = made_up("/set", r#"{"leverage":"5"}"#).expect("reads");
    assert_eq!((set.legs.len(), set.symbols.clone()), (1, Symbols::Every));

    let body =
        r#"{"leverage":"5","own":"1","legs":[{"symbol":"AP"},{"symbol":"BP","leverage":"7"}]}"#;
    let inside = made_up("/set", body).expect("reads");
    assert_eq!(inside.symbols, Symbols::Named(vec!["AP".to_owned(), "BP".to_owned()]));
    let leverage: Vec<_> = inside.legs.iter().map(|leg| leg.leverage.as_deref()).collect();
    // Two sayings: the larger counts.
    assert_eq!(leverage, [Some("5"), Some("7")]);
    assert!(inside.legs.iter().all(|leg| leg.margin_mode == Some(MarginMode::Isolated)));
}

#[test]
fn there_is_nothing_to_reduce_at_spot_or_who_knows_where() {
    let flag = |symbol: &str| {
        let body = format!(r#"{{"symbol":"{symbol}","flag":true}}"#);
        let leg = made_up("/set", &body).expect("reads").legs.remove(0);
        (leg.product, leg.reduce_only)
    };
    assert_eq!(flag("AP"), (Some(Product::Linear), Some(true)));
    assert_eq!(flag("AS"), (Some(Product::Spot), None));
    assert_eq!(flag("AX"), (None, None));
}

#[test]
fn who_names_an_order_by_its_id_changes_it_unless_the_catalogue_says_otherwise() {
    let amends = |path: &str| {
        let body = r#"{"list":[{"symbol":"AS","old":"1"},{"symbol":"BS"}]}"#;
        let legs = made_up(path, body).expect("reads").legs.clone();
        legs.iter().map(|leg| leg.amends).collect::<Vec<_>>()
    };
    assert_eq!(amends("/change"), [true, true]);
    assert_eq!(amends("/replace"), [false, false]);
    assert_eq!(amends("/cancel"), [false, false]);
}

#[test]
fn an_amount_is_of_every_asset_that_is_named() {
    let moved = |body: &str| {
        let transfers = made_up("/move", body).expect("reads").transfers.clone();
        let text = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let short = |moved: Transfer| format!("{} {}", text(moved.asset), text(moved.amount));
        transfers.into_iter().map(short).collect::<Vec<_>>()
    };
    assert_eq!(moved(r#"{"assets":["A","B"],"amount":"1"}"#), ["A 1", "B 1"]);
    assert_eq!(moved(r#"{"amount":"1"}"#), ["- 1"]);
    assert_eq!(moved("{}"), Vec::<String>::new());
}

#[test]
fn a_catalogue_that_says_the_impossible_is_refused() {
    let load = |text: &str| {
        let text = format!("{}{text}", crate::MADE);
        let parts = [vault_venue::Part { file: "made.toml", text: &text }];
        vault_venue::Venue::load("made", &parts).map(|_| ()).map_err(|error| error.to_string())
    };
    let operation = |class: &str, more: &str| {
        format!(
            "[[operation]]\nmethod = \"POST\"\npath = \"/x\"\nclass = \"{class}\"\nsource = \"docs\"\n\
             body = \"json\"\n{more}\n"
        )
    };
    let shape = |param: &str| format!("[shape.s]\nsource = \"docs\"\nparams = [{{ {param} }}]\n");
    for (text, what) in [
        (operation("cancel", "amends = true"), "amends is for class trade"),
        (operation("account", "margin_mode = \"naked\""), "unknown variant"),
        (shape(r#"name = "a", type = "bool", products = ["spot"]"#), "products is for reduce_only"),
        (
            shape(r#"name = "a", type = "array", of = "id", role = "margin_mode""#),
            "this role wants a single value",
        ),
        (
            "[[size]]\nunit = \"quote\"\npresent = \"absent\"\n".to_owned(),
            "size: no shape has a parameter absent",
        ),
        (
            "[[margin_mode]]\nvenue = \"1\"\nmode = \"cross\"\nparam = \"absent\"\n".to_owned(),
            "margin_mode: no shape has a parameter absent",
        ),
        (
            "[[margin_mode]]\nvenue = \"1\"\nmode = \"cross\"\n".repeat(2),
            "margin mode 1: stated twice",
        ),
        ("[[size]]\nunit = \"dozen\"\n".to_owned(), "unknown variant"),
    ] {
        let error = load(&text).expect_err(&text);
        assert!(error.contains(what), "{text}: {error}");
    }
    assert_eq!(load(&operation("trade", "amends = true")), Ok(()));
}
