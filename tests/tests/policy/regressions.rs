//! Attacks and accidents by name, through the venues' real readers.

use vault_model::{ClockTime, Money, Name, Pair};
use vault_policy::{Feed, FeedDocument, History, PriceBook, Span};

use crate::desk::{Answer, Desk};

/// A scope for everything that is traded, with these rules below it.
fn desk(rules: &str) -> Desk {
    Desk::new(&format!(
        r#"
name = "bot"
credentials = ["binance-main", "bybit-main", "coinbase-main", "kraken-main", "okx-main"]
classes = ["account", "cancel", "read", "trade"]
modes = ["execute", "sign"]
products = ["*"]

[symbols]
binance = ["*"]
bybit = ["*"]
coinbase = ["*"]
kraken = ["*"]
okx = ["*"]

[network]
allow = ["10.0.0.0/8"]

[pricing]
usd_par = ["USDT"]
slippage = "0.05"
{rules}"#
    ))
}

const CAP_1000: &str = "[orders]\nmax_notional_usd = \"1000\"\n";

fn worth(text: &str) -> Answer {
    Answer::Allow(Some(text.parse().expect("a decimal")))
}

fn deny(code: &'static str) -> Answer {
    Answer::Deny(code)
}

/// Each line is answered as it says.
fn check(desk: &mut Desk, lines: &[(&str, Answer)]) {
    for (line, expected) in lines {
        assert_eq!(desk.ask(line), *expected, "{line}");
    }
}

const OKX_ORDER: &str = "okx-main execute POST www.okx.com/api/v5/trade/order";
const OKX_BATCH: &str = "okx-main execute POST www.okx.com/api/v5/trade/batch-orders";
const OKX_AMEND: &str = "okx-main execute POST www.okx.com/api/v5/trade/amend-order";
const BYBIT_ORDER: &str = "bybit-main execute POST api.bybit.com/v5/order/create";
const BINANCE_SPOT: &str = "binance-main execute POST api.binance.com/api/v3/order";
const BINANCE_USDM: &str = "binance-main execute POST fapi.binance.com/fapi/v1/order";

fn okx_spot(side: &str, price: &str, size: &str) -> String {
    format!(
        r#"{OKX_ORDER} {{"instId":"BTC-USDT","tdMode":"cash","side":"{side}","ordType":"limit","px":"{price}","sz":"{size}"}}"#
    )
}

/// A sell at 0.01 is a market order: it fills at the market's price, and that is what it is worth.
#[test]
fn a_sell_at_limit_one_cent_is_worth_the_market() {
    let mut desk = desk(CAP_1000);
    check(
        &mut desk,
        &[
            (&okx_spot("sell", "0.01", "1"), deny("NOTIONAL_TOO_LARGE")),
            (&okx_spot("sell", "0.01", "0.01"), worth("630")),
            (&okx_spot("buy", "0.01", "1"), worth("0.01")),
            // Above the market its own limit is the worst.
            (&okx_spot("sell", "90000", "0.01"), worth("900")),
            (&okx_spot("sell", "100001", "0.01"), deny("NOTIONAL_TOO_LARGE")),
            (
                &format!(
                    "{BINANCE_SPOT}?symbol=BTCUSDT&side=SELL&type=LIMIT&timeInForce=GTC&quantity=1&price=0.01"
                ),
                deny("NOTIONAL_TOO_LARGE"),
            ),
            (
                &format!(
                    r#"{BYBIT_ORDER} {{"category":"linear","symbol":"BTCUSDT","side":"Sell","orderType":"Limit","qty":"1","price":"0.01"}}"#
                ),
                deny("NOTIONAL_TOO_LARGE"),
            ),
            (
                "kraken-main execute POST api.kraken.com/0/private/AddOrder pair=XBTUSD&type=sell&ordertype=limit&price=0.01&volume=1",
                deny("NOTIONAL_TOO_LARGE"),
            ),
            (
                r#"coinbase-main execute POST api.coinbase.com/api/v3/brokerage/orders {"client_order_id":"1","product_id":"BTC-USD","side":"SELL","order_configuration":{"limit_limit_gtc":{"base_size":"1","limit_price":"0.01"}}}"#,
                deny("NOTIONAL_TOO_LARGE"),
            ),
        ],
    );
}

/// It closes whatever there is: no size, so no worth.
#[test]
fn close_position_has_no_size() {
    let close = r#"okx-main execute POST www.okx.com/api/v5/trade/close-position {"instId":"BTC-USDT-SWAP","mgnMode":"cross"}"#;
    let stop = format!(
        "{BINANCE_USDM}?symbol=BTCUSDT&side=SELL&type=STOP_MARKET&stopPrice=50000&closePosition=true"
    );
    for rules in [
        CAP_1000,
        "[[cumulative.notional_usd]]\nper = \"24h\"\nat_most = \"1000000\"\n",
        "[orders.max_quantity.okx]\n\"BTC-USDT-SWAP\" = \"100\"\n",
    ] {
        let mut desk = desk(rules);
        for line in [close, &stop] {
            assert!(matches!(desk.ask(line), Answer::Deny(_)), "{rules} {line}");
        }
    }
    check(
        &mut desk(CAP_1000),
        &[(close, deny("NOTIONAL_UNKNOWN")), (&stop, deny("PARAMETER_REFUSED"))],
    );
}

#[test]
fn quote_quantities_are_amounts_of_money() {
    let market_order = |quote: &str| {
        format!("{BINANCE_SPOT}?symbol=BTCUSDT&side=BUY&type=MARKET&quoteOrderQty={quote}")
    };
    check(
        &mut desk(CAP_1000),
        &[
            (&market_order("1000"), worth("1000")),
            (&market_order("1000.00000001"), deny("NOTIONAL_TOO_LARGE")),
            (
                r#"coinbase-main execute POST api.coinbase.com/api/v3/brokerage/orders {"client_order_id":"1","product_id":"BTC-USD","side":"BUY","order_configuration":{"market_market_ioc":{"quote_size":"1000.01"}}}"#,
                deny("NOTIONAL_TOO_LARGE"),
            ),
            // At a limit it is a size in the base asset: 90000 BTC at 0.01.
            (
                r#"coinbase-main execute POST api.coinbase.com/api/v3/brokerage/orders {"client_order_id":"2","product_id":"BTC-USD","side":"SELL","order_configuration":{"limit_limit_gtc":{"quote_size":"900","limit_price":"0.01"}}}"#,
                deny("NOTIONAL_UNKNOWN"),
            ),
            (
                r#"coinbase-main execute POST api.coinbase.com/api/v3/brokerage/orders {"client_order_id":"3","product_id":"BTC-USD","side":"BUY","order_configuration":{"limit_limit_gtc":{"quote_size":"900","limit_price":"0.01"}}}"#,
                worth("900"),
            ),
        ],
    );
    // 0.01 BTC at the reference price of 60000.
    check(
        &mut desk("[orders.max_quantity.binance]\nBTCUSDT = \"0.01\"\n"),
        &[
            (&market_order("600"), worth("600")),
            (&market_order("600.01"), deny("QUANTITY_TOO_LARGE")),
        ],
    );
    // An OKX market buy at spot is sized in the quote asset unless it says otherwise.
    let okx = |size: &str, unit: &str| {
        format!(
            r#"{OKX_ORDER} {{"instId":"BTC-USDT","tdMode":"cash","side":"buy","ordType":"market","sz":"{size}"{unit}}}"#
        )
    };
    check(
        &mut desk(CAP_1000),
        &[
            (&okx("999", ""), worth("999")),
            (&okx("999", r#","tgtCcy":"quote_ccy""#), worth("999")),
            (&okx("1", r#","tgtCcy":"base_ccy""#), deny("NOTIONAL_TOO_LARGE")),
        ],
    );
}

#[test]
fn contracts_have_their_multiplier() {
    let okx = |symbol: &str, size: &str| {
        format!(
            r#"{OKX_ORDER} {{"instId":"{symbol}","tdMode":"cross","side":"buy","ordType":"limit","px":"60000","sz":"{size}"}}"#
        )
    };
    let coin_m = |size: &str| {
        format!(
            "binance-main execute POST dapi.binance.com/dapi/v1/order?symbol=BTCUSD_PERP&side=BUY&type=MARKET&quantity={size}"
        )
    };
    let bybit = |size: &str| {
        format!(
            r#"{BYBIT_ORDER} {{"category":"inverse","symbol":"BTCUSD","side":"Buy","orderType":"Market","qty":"{size}"}}"#
        )
    };
    check(
        &mut desk(CAP_1000),
        &[
            (&okx("BTC-USDT-SWAP", "1"), worth("600")),
            (&okx("BTC-USDT-SWAP", "100"), deny("NOTIONAL_TOO_LARGE")),
            (&okx("BTC-USD-SWAP", "10"), worth("1000")),
            (&okx("BTC-USD-SWAP", "11"), deny("NOTIONAL_TOO_LARGE")),
            (&coin_m("10"), worth("1000")),
            (&coin_m("11"), deny("NOTIONAL_TOO_LARGE")),
            (&bybit("1000"), worth("1000")),
            (&bybit("1001"), deny("NOTIONAL_TOO_LARGE")),
            // Nobody approved it, so nobody knows what one contract is.
            (&okx("ETH-USDT-SWAP", "1"), deny("INSTRUMENT_UNKNOWN")),
        ],
    );
}

fn okx_batch(sizes: &[&str]) -> String {
    let order = |size: &&str| {
        format!(
            r#"{{"instId":"BTC-USDT","tdMode":"cash","side":"buy","ordType":"limit","px":"60000","sz":"{size}"}}"#
        )
    };
    format!("{OKX_BATCH} [{}]", sizes.iter().map(order).collect::<Vec<_>>().join(","))
}

#[test]
fn a_batch_is_worth_all_its_orders() {
    check(
        &mut desk(CAP_1000),
        &[
            (&okx_batch(&["0.008", "0.008"]), worth("960")),
            (&okx_batch(&["0.009", "0.009"]), deny("NOTIONAL_TOO_LARGE")),
        ],
    );
    // Every order of it counts for rates.
    let mut desk = desk("[[cumulative.orders]]\nper = \"1m\"\nat_most = 3\n");
    check(
        &mut desk,
        &[
            (&okx_batch(&["0.001", "0.001"]), worth("120")),
            (&okx_batch(&["0.001", "0.001"]), deny("ORDER_RATE_REACHED")),
            (&okx_batch(&["0.001"]), worth("60")),
        ],
    );
}

/// What hangs on an order is an order too, or is not taken at all.
#[test]
fn orders_that_hang_on_orders_count() {
    let mut desk = desk(CAP_1000);
    let attached = format!(
        r#"{OKX_ORDER} {{"instId":"BTC-USDT","tdMode":"cash","side":"buy","ordType":"limit","px":"60000","sz":"0.001","attachAlgoOrds":[{{"tpTriggerPx":"1","tpOrdPx":"-1","sz":"50"}}]}}"#
    );
    check(&mut desk, &[(&attached, deny("PARAMETER_UNKNOWN"))]);
    let bracket = |pending: &str| {
        format!(
            "binance-main execute POST api.binance.com/api/v3/orderList/oto?symbol=BTCUSDT&workingType=LIMIT&workingSide=BUY&workingPrice=60000&workingQuantity=0.001&workingTimeInForce=GTC&pendingType=LIMIT&pendingSide=SELL&pendingPrice=70000&pendingQuantity={pending}&pendingTimeInForce=GTC"
        )
    };
    check(&mut desk, &[(&bracket("50"), deny("PARAMETER_REFUSED"))]);
    let bybit = format!(
        r#"{BYBIT_ORDER} {{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"0.001","price":"60000","takeProfit":"70000","tpslMode":"Partial","tpOrderType":"Limit","tpLimitPrice":"70000","tpSize":"50"}}"#
    );
    check(&mut desk, &[(&bybit, deny("PARAMETER_REFUSED"))]);
}

#[test]
fn an_amendment_that_raises_the_size_is_judged() {
    let amend =
        |change: &str| format!(r#"{OKX_AMEND} {{"instId":"BTC-USDT-SWAP","ordId":"1",{change}}}"#);
    let mut capped = desk(CAP_1000);
    check(
        &mut capped,
        &[
            (&amend(r#""newSz":"100","newPx":"60000""#), deny("NOTIONAL_TOO_LARGE")),
            (&amend(r#""newSz":"1","newPx":"60000""#), worth("630")),
            // The old price, or the old size, is known to the venue alone.
            (&amend(r#""newSz":"1""#), deny("NOTIONAL_UNKNOWN")),
            (&amend(r#""newPx":"60000""#), deny("NOTIONAL_UNKNOWN")),
        ],
    );
    check(
        &mut desk("[orders.max_quantity.okx]\n\"BTC-USDT-SWAP\" = \"0.5\"\n"),
        &[
            (&amend(r#""newSz":"51""#), deny("QUANTITY_TOO_LARGE")),
            (&amend(r#""newSz":"50""#), Answer::Allow(None)),
            (&amend(r#""newPx":"60000""#), deny("QUANTITY_UNKNOWN")),
        ],
    );
}

/// An order within its caps, and then the leverage goes up: that is a request of its own.
#[test]
fn leverage_raised_after_the_order_is_denied() {
    let order = format!(
        r#"{OKX_ORDER} {{"instId":"BTC-USDT-SWAP","tdMode":"isolated","side":"buy","ordType":"limit","px":"60000","sz":"1"}}"#
    );
    let okx = |leverage: &str, mode: &str| {
        format!(
            r#"okx-main execute POST www.okx.com/api/v5/account/set-leverage {{"instId":"BTC-USDT-SWAP","lever":"{leverage}","mgnMode":"{mode}"}}"#
        )
    };
    let usdm = |leverage: &str| {
        format!(
            "binance-main execute POST fapi.binance.com/fapi/v1/leverage?symbol=BTCUSDT&leverage={leverage}"
        )
    };
    let bybit = r#"bybit-main execute POST api.bybit.com/v5/position/set-leverage {"category":"linear","symbol":"BTCUSDT","buyLeverage":"3","sellLeverage":"50"}"#;
    let mut desk = desk("[orders]\nmax_leverage = \"5\"\nmargin_modes = [\"isolated\"]\n");
    assert!(matches!(desk.ask(&order), Answer::Allow(_)));
    assert_eq!(desk.ask(&okx("5.01", "isolated")), deny("LEVERAGE_TOO_HIGH"));
    assert_eq!(desk.ask(&okx("5", "cross")), deny("MARGIN_MODE_NOT_ALLOWED"));
    assert!(matches!(desk.ask(&okx("5", "isolated")), Answer::Allow(_)));
    assert_eq!(desk.ask(&usdm("125")), deny("LEVERAGE_TOO_HIGH"));
    assert!(matches!(desk.ask(&usdm("5")), Answer::Allow(_)));
    // The larger of both sides.
    assert_eq!(desk.ask(bybit), deny("LEVERAGE_TOO_HIGH"));
    // On the order itself, as Kraken has it.
    assert_eq!(
        desk.ask("kraken-main execute POST api.kraken.com/0/private/AddOrder pair=XBTUSD&type=buy&ordertype=limit&price=60000&volume=0.001&leverage=10"),
        deny("LEVERAGE_TOO_HIGH")
    );
}

const PER_DAY: &str = "[[cumulative.notional_usd]]\nper = \"24h\"\nat_most = \"1000\"\n";

#[test]
fn a_cap_is_not_straddled() {
    // By two orders of one batch: each alone fits.
    check(
        &mut desk(PER_DAY),
        &[
            (&okx_batch(&["0.01", "0.01"]), deny("NOTIONAL_CAP_REACHED")),
            (&okx_batch(&["0.01"]), worth("600")),
        ],
    );
    // By two requests, one after the other: what was denied has cost nothing.
    let order = |size| okx_spot("buy", "60000", size);
    let mut desk = desk(PER_DAY);
    check(
        &mut desk,
        &[
            (&order("0.01"), worth("600")),
            (&order("0.01"), deny("NOTIONAL_CAP_REACHED")),
            (&order("0.006"), worth("360")),
            (&order("0.0007"), deny("NOTIONAL_CAP_REACHED")),
        ],
    );
    desk.wait(86_399);
    check(&mut desk, &[(&order("0.0007"), deny("NOTIONAL_CAP_REACHED"))]);
    desk.wait(1);
    check(
        &mut desk,
        &[(&order("0.01"), worth("600")), (&order("0.01"), deny("NOTIONAL_CAP_REACHED"))],
    );
}

/// Where the venue takes a signature twice, a signature is worth more than once.
#[test]
fn sums_cannot_be_capped_where_signatures_are_taken_twice() {
    let signed = |line: String| line.replace(" execute ", " sign ");
    check(
        &mut desk(PER_DAY),
        &[
            (&signed(okx_spot("buy", "60000", "0.001")), deny("CAP_NOT_ENFORCEABLE")),
            // Without an end, it could be kept for another day.
            (
                "kraken-main sign POST api.kraken.com/0/private/AddOrder pair=XBTUSD&type=buy&ordertype=limit&price=60000&volume=0.01",
                deny("CAP_NOT_ENFORCEABLE"),
            ),
            (
                "kraken-main sign POST api.kraken.com/0/private/AddOrder pair=XBTUSD&type=buy&ordertype=limit&price=60000&volume=0.01&deadline=+61s",
                deny("CAP_NOT_ENFORCEABLE"),
            ),
            (
                "kraken-main sign POST api.kraken.com/0/private/AddOrder pair=XBTUSD&type=buy&ordertype=limit&price=60000&volume=0.01&deadline=+30s",
                worth("600"),
            ),
            (
                "kraken-main sign POST api.kraken.com/0/private/AddOrder pair=XBTUSD&type=buy&ordertype=limit&price=60000&volume=0.01&deadline=+30s",
                deny("NOTIONAL_CAP_REACHED"),
            ),
        ],
    );
}

/// What is rebuilt from what was written down is what there was: every answer is the same.
#[test]
fn a_restart_in_mid_window_forgets_nothing() {
    let rules = format!(
        "{PER_DAY}[[cumulative.orders]]\nper = \"1m\"\nat_most = 2\n[duplicates]\norder = \"1h\"\nclient_order_id = \"24h\"\n"
    );
    let order = |id: &str, size: &str| {
        format!(
            r#"{OKX_ORDER} {{"instId":"BTC-USDT","tdMode":"cash","side":"buy","ordType":"limit","px":"60000","sz":"{size}","clOrdId":"{id}"}}"#
        )
    };
    let questions = [
        (order("c", "0.001"), deny("ORDER_RATE_REACHED")),
        (order("a", "0.001"), deny("ORDER_RATE_REACHED")),
    ];
    let later = [
        (order("a", "0.001"), deny("DUPLICATE_CLIENT_ORDER_ID")),
        (order("c", "0.005"), deny("DUPLICATE_ORDER")),
        (order("c", "0.0057"), deny("NOTIONAL_CAP_REACHED")),
        (order("c", "0.004"), worth("240")),
    ];
    for with_restart in [false, true] {
        let mut desk = self::desk(&rules);
        check(&mut desk, &[(&order("a", "0.005"), worth("300"))]);
        desk.wait(30);
        check(&mut desk, &[(&order("b", "0.006"), worth("360"))]);
        desk.wait(20);
        let restart = |desk: &mut Desk| {
            let mut rebuilt = History::default();
            desk.spends.iter().for_each(|spend| rebuilt.add(spend));
            for seconds in [1, 19, 20, 21, 50, 51, 86_400] {
                let (span, now) = (Span::seconds(seconds).expect("a span"), desk.clock());
                assert_eq!(rebuilt.orders_within(span, now), desk.history.orders_within(span, now));
                assert_eq!(
                    rebuilt.notional_within(span, now),
                    desk.history.notional_within(span, now)
                );
            }
            assert_eq!(rebuilt.resting(), desk.history.resting());
            desk.history = rebuilt;
        };
        if with_restart {
            restart(&mut desk);
        }
        for (line, expected) in &questions {
            assert_eq!(desk.ask(line), *expected, "{with_restart} {line}");
        }
        desk.wait(41);
        if with_restart {
            restart(&mut desk);
        }
        for (line, expected) in &later {
            assert_eq!(desk.ask(line), *expected, "{with_restart} {line}");
        }
    }
}

fn feed(second: bool) -> Feed {
    let pricers: &[&str] = if second { &["one", "two"] } else { &["one"] };
    Feed::new(FeedDocument {
        agree_within: second.then(|| "0.01".parse().expect("a fraction")),
        anchor: Some("60000".parse().expect("a price")),
        max_age: "1m".parse().expect("a span"),
        max_step: Some("0.01".parse().expect("a fraction")),
        pair: "BTC/USDT".parse().expect("a pair"),
        pricers: pricers.iter().map(|name| name.parse().expect("a name")).collect(),
        step_every: Span::seconds(60).expect("a span"),
    })
    .expect("a feed")
}

/// A desk whose price comes from a book.
struct Priced {
    desk: Desk,
    book: PriceBook,
    pair: Pair,
    seconds: u64,
}

impl Priced {
    fn new(second: bool) -> Self {
        let mut book = PriceBook::default();
        book.set(feed(second), 1);
        let pair = "BTC/USDT".parse().expect("a pair");
        Self { desk: desk(CAP_1000), book, pair, seconds: 1_000 }
    }

    fn at(&self) -> ClockTime {
        ClockTime(self.seconds * 1_000_000)
    }

    fn put(&mut self, pricer: &str, price: &str) -> bool {
        let (pricer, price): (Name, Money) =
            (pricer.parse().expect("a name"), price.parse().expect("a price"));
        self.book.put(&self.pair, &pricer, price, self.at()).is_ok()
    }

    fn wait(&mut self, seconds: u64) {
        self.seconds += seconds;
        self.desk.wait(seconds);
    }

    fn ask(&mut self, line: &str) -> Answer {
        match self.book.price(&self.pair, self.at()) {
            Some(price) => self.desk.market.set_price(self.pair.clone(), price),
            None => self.desk.market.forget_price(&self.pair),
        }
        self.desk.ask(line)
    }
}

/// Low prices would make every market order small.
#[test]
fn a_pricer_that_lies_downward_moves_one_step() {
    let mut priced = Priced::new(false);
    let sell = okx_spot("sell", "0.01", "0.016");
    assert!(priced.put("one", "60000"));
    assert_eq!(priced.ask(&sell), deny("NOTIONAL_TOO_LARGE"));
    assert!(!priced.put("one", "1"));
    assert!(!priced.put("two", "60000"), "it is not listed");
    assert_eq!(priced.ask(&sell), deny("NOTIONAL_TOO_LARGE"));
    // Many small steps within one are no further than one.
    let mut lowest = 60_000;
    for price in (58_000..60_000).rev().step_by(100) {
        if priced.put("one", &price.to_string()) {
            lowest = price;
        }
    }
    assert!((59_400..59_600).contains(&lowest), "{lowest}");
    assert_eq!(priced.ask(&okx_spot("sell", "0.01", "0.0161")), deny("NOTIONAL_TOO_LARGE"));
}

/// High prices deny orders, and widen a price band upward: one step as well.
#[test]
fn a_pricer_that_lies_upward_moves_one_step() {
    let mut priced = Priced::new(false);
    priced.desk = desk("[orders]\nprice_band = \"0.02\"\n");
    assert!(priced.put("one", "60000"));
    assert_eq!(priced.ask(&okx_spot("buy", "61200", "1")), worth("61200"));
    assert_eq!(priced.ask(&okx_spot("buy", "61200.01", "1")), deny("PRICE_OUTSIDE_BAND"));
    assert!(!priced.put("one", "120000"));
    assert!(priced.put("one", "60600"));
    assert_eq!(priced.ask(&okx_spot("buy", "61812", "1")), worth("61812"));
    assert_eq!(priced.ask(&okx_spot("buy", "61812.01", "1")), deny("PRICE_OUTSIDE_BAND"));
    // Two that agree may say what one may not.
    let mut two = Priced::new(true);
    assert!(two.put("one", "60000"));
    assert!(!two.put("one", "120000"));
    assert!(two.put("two", "120000"));
    assert_eq!(two.ask(&okx_spot("sell", "0.01", "0.01")), deny("NOTIONAL_TOO_LARGE"));
}

#[test]
fn a_pricer_that_stops_denies_what_needs_it() {
    let mut priced = Priced::new(false);
    let (buy, sell) = (okx_spot("buy", "60000", "0.01"), okx_spot("sell", "60000", "0.01"));
    assert_eq!(priced.ask(&sell), deny("PRICE_STALE"), "an anchor is no price");
    assert!(priced.put("one", "60000"));
    priced.wait(59);
    assert_eq!(priced.ask(&sell), worth("630"));
    priced.wait(1);
    assert_eq!(priced.ask(&sell), deny("PRICE_STALE"));
    // What needs none goes on.
    assert_eq!(priced.ask(&buy), worth("600"));
    assert!(priced.put("one", "60000"));
    assert_eq!(priced.ask(&sell), worth("630"));
}

/// A halt that lets out of positions, and into none.
#[test]
fn a_halt_to_no_new_risk_passes_what_reduces() {
    use vault_model::{HaltLevel, HaltTarget};

    let order = |more: &str| {
        format!("{BINANCE_USDM}?symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.01{more}")
    };
    let spot = format!("{BINANCE_SPOT}?symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.01");
    for target in ["all", "symbol:binance/BTCUSDT"] {
        let mut desk = desk("");
        let target: HaltTarget = target.parse().expect("a target");
        let _ = desk.halts.halt(target.clone(), HaltLevel::NoNewRisk);
        check(
            &mut desk,
            &[
                (&order("&reduceOnly=true"), worth("630")),
                (&order("&reduceOnly=false"), deny("HALT_NO_NEW_RISK")),
                (&order(""), deny("HALT_NO_NEW_RISK")),
                (&spot, deny("HALT_NO_NEW_RISK")),
            ],
        );
        let _ = desk.halts.resume(&target);
        let _ = desk.halts.halt(target, HaltLevel::Nothing);
        check(&mut desk, &[(&order("&reduceOnly=true"), deny("HALT_NOTHING"))]);
    }
    // Another symbol goes on.
    let mut desk = desk("");
    let _ =
        desk.halts.halt("symbol:binance/ETHUSDT".parse().expect("a target"), HaltLevel::Nothing);
    check(&mut desk, &[(&order(""), worth("630"))]);
}

/// Bybit makes a conditional order of any order that states a trigger.
#[test]
fn an_order_behind_a_trigger_is_judged_as_one() {
    let order = |more: &str| {
        format!(
            r#"bybit-main execute POST api.bybit.com/v5/order/create {{"category":"linear","symbol":"BTCUSDT","side":"Buy","qty":"0.01"{more}}}"#
        )
    };
    let market = order(r#","orderType":"Market""#);
    let behind = order(r#","orderType":"Market","triggerPrice":"600000","triggerDirection":1"#);
    check(&mut desk(CAP_1000), &[(&market, worth("630")), (&behind, deny("NOTIONAL_TOO_LARGE"))]);
    check(
        &mut desk("[orders]\ntypes = [\"MARKET\", \"LIMIT\"]\n"),
        &[(&market, worth("630")), (&behind, deny("ORDER_TYPE_NOT_ALLOWED"))],
    );
    check(
        &mut desk("[cumulative]\nopen_orders = 1\n"),
        &[
            (&behind, worth("6300")),
            (&behind, deny("OPEN_ORDERS_REACHED")),
            (&market, worth("630")),
        ],
    );
}

/// A tag names the recipient behind an address that many share: a list of addresses says nothing of
/// it.
#[test]
fn a_withdrawal_states_no_tag_beside_its_address() {
    let rules = r#"
[withdrawal]
addresses = [{ venue = "binance", asset = "XRP", address = "rShared" }, { venue = "bybit", asset = "XRP", address = "rShared" }]
per_day = [{ venue = "binance", asset = "XRP", at_most = "1000" }, { venue = "bybit", asset = "XRP", at_most = "1000" }]
"#;
    let binance = "binance-main execute POST api.binance.com/sapi/v1/capital/withdraw/apply?coin=XRP&address=rShared&amount=10";
    let tagged = format!("{binance}&addressTag=666");
    let bybit = |more: &str| {
        format!(
            r#"bybit-main execute POST api.bybit.com/v5/asset/withdraw/create {{"coin":"XRP","chain":"XRP","address":"rShared"{more},"amount":"10","timestamp":1772445600000,"accountType":"FUND"}}"#
        )
    };
    let tagged_bybit = bybit(r#","tag":"666""#);
    let mut desk = desk(rules);
    for line in [tagged.as_str(), tagged_bybit.as_str()] {
        let answer = desk.ask(line);
        assert!(
            matches!(answer, Answer::Deny(code) if code.starts_with("PARAMETER")),
            "{answer:?}"
        );
    }
}

/// At Kraken an edit that does not say post-only takes it away, and so, for all that is known, does an
/// amendment.
#[test]
fn an_edit_that_drops_post_only_is_denied() {
    let mut desk = desk("[orders]\npost_only = true\n");
    let edit = "kraken-main execute POST api.kraken.com/0/private/EditOrder pair=XBTUSD&txid=O1&volume=1&price=60000";
    let amend = "kraken-main execute POST api.kraken.com/0/private/AmendOrder txid=O1&limit_price=60000&order_qty=1";
    let order = "kraken-main execute POST api.kraken.com/0/private/AddOrder pair=XBTUSD&type=buy&ordertype=limit&price=60000&volume=0.01";
    for (line, flag) in
        [(edit, "&oflags=post"), (amend, "&post_only=true"), (order, "&oflags=fcib,post")]
    {
        assert_eq!(desk.ask(line), deny("POST_ONLY_REQUIRED"), "{line}");
        let flagged = desk.ask(&format!("{line}{}", flag.replace(',', "%2C")));
        assert!(matches!(flagged, Answer::Allow(_)), "{line}: {flagged:?}");
    }
}
