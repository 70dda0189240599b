//! What is counted: it holds through restarts, kills and steps of the wall clock. At Kraken, which
//! takes one signature once.

use std::time::Duration;

use vault_audit::EntryKind;
use vault_client::{Client, SignOrder, v1};
use vault_tests::{
    KRAKEN_SCOPE, TestVault, kraken_balance, kraken_deadline, kraken_moment, kraken_order,
    kraken_order_until, kraken_post, order, reason, wire,
};

use crate::{approve_xbtusd, of_kind, sign, sign_anew};

/// The Kraken scope with more in it.
fn capped(more: &str) -> String {
    format!("{KRAKEN_SCOPE}\n{more}")
}

/// Buys with an order that is good for a second, as a cap wants it: it counts for that much longer.
async fn buy(
    vault: &TestVault,
    bot: &Client,
    volume: &str,
) -> Result<vault_client::Signed, vault_client::ClientError> {
    let deadline = vault.now() + Duration::from_secs(1);
    sign_anew(bot, "kraken-main", kraken_order_until("XBTUSD", volume, deadline)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_on_orders_holds_through_retries_restarts_kills_and_steps_of_the_clock() {
    let mut vault = TestVault::start().await;
    vault.import_kraken("kraken-main").await;
    let scope = capped("[[cumulative.orders]]\nper = \"6h\"\nat_most = 5\n");
    let bot = vault.bot("bot", &scope, &[]).await;

    // A signature that stays good for longer than a minute could be kept, and sent with others.
    let late = kraken_order_until("XBTUSD", "1", vault.now() + Duration::from_secs(90));
    for request in [kraken_order("XBTUSD", "1"), late] {
        assert_eq!(reason(sign(&bot, "kraken-main", request).await), "CAP_NOT_ENFORCEABLE");
    }

    // A retry is the same order, counted once.
    let deadline = vault.now() + Duration::from_secs(1);
    let ask = || SignOrder {
        request_id: Some("once".to_owned()),
        ..order("kraken-main", kraken_order_until("XBTUSD", "1", deadline))
    };
    let first = bot.sign(ask()).await.expect("signed");
    for _ in 0..8 {
        assert_eq!(bot.sign(ask()).await.expect("again").seq, first.seq);
    }
    buy(&vault, &bot, "1").await.expect("the second");
    sign(&bot, "kraken-main", kraken_balance()).await.expect("a read is no order");

    vault.restart().await;
    let bot = vault.connect_bot("bot").await;
    buy(&vault, &bot, "1").await.expect("the third");

    vault.kill_core().await;
    vault.run_and_unseal().await;
    let bot = vault.connect_bot("bot").await;
    let order = r#"{"type":"buy","ordertype":"limit","price":"1","volume":"1"}"#;
    let end = kraken_moment(vault.now() + Duration::from_secs(1));
    let three =
        format!(r#"{{"pair":"XBTUSD","orders":[{order},{order},{order}],"deadline":"{end}"}}"#);
    let straddles = sign(&bot, "kraken-main", kraken_post("AddOrderBatch", three)).await;
    assert_eq!(reason(straddles), "ORDER_RATE_REACHED", "three orders where two are left");
    buy(&vault, &bot, "1").await.expect("the fourth");
    buy(&vault, &bot, "1").await.expect("the fifth");
    assert_eq!(reason(buy(&vault, &bot, "1").await), "ORDER_RATE_REACHED");

    // The window is 6 h: whoever moves the wall clock by 12 h gets nothing.
    for offset_s in [12 * 3_600, -12 * 3_600] {
        vault.set_clock_offset_s(offset_s);
        vault.restart().await;
        let bot = vault.connect_bot("bot").await;
        assert_eq!(reason(buy(&vault, &bot, "1").await), "ORDER_RATE_REACHED", "{offset_s}");
    }
    vault.set_clock_offset_s(0);
    vault.restart().await;

    // Another client has its own count; the first one gives the credential up 10 s after its last.
    let other = vault.bot("other", &scope, &[]).await;
    tokio::time::sleep(Duration::from_secs(11)).await;
    buy(&vault, &other, "1").await.expect("its first");

    let entries = vault.log_entries();
    let clocks: Vec<u64> = entries
        .iter()
        .filter(|entry| matches!(entry.kind, EntryKind::Sign | EntryKind::LogStarted))
        .map(|entry| entry.detail["clock"].parse().expect("a number"))
        .collect();
    assert!(clocks.is_sorted() && clocks.len() > 6, "{clocks:?}");
    let left: Vec<&str> = of_kind(&entries, EntryKind::Sign)
        .iter()
        .filter(|entry| entry.client.as_ref().is_some_and(|name| name.as_str() == "bot"))
        // A read has none: it passes whatever is left.
        .map(|entry| entry.limits_left.get("orders/6h").map_or("", String::as_str))
        .collect();
    assert_eq!(left, ["4", "3", "", "2", "1", "0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_ends_in_mid_restart() {
    let mut vault = TestVault::start().await;
    vault.import_kraken("kraken-main").await;
    let scope = capped("[[cumulative.orders]]\nper = \"20s\"\nat_most = 1\n");
    let bot = vault.bot("bot", &scope, &[]).await;
    let deadline = vault.now() + Duration::from_secs(6);
    let first = kraken_order_until("XBTUSD", "1", deadline);
    sign(&bot, "kraken-main", first).await.expect("the first");
    let spent_at = std::time::Instant::now();
    vault.restart().await;
    let bot = vault.connect_bot("bot").await;
    if spent_at.elapsed() < Duration::from_secs(19) {
        assert_eq!(reason(buy(&vault, &bot, "1").await), "ORDER_RATE_REACHED");
    }
    vault.stop().await;
    tokio::time::sleep(Duration::from_secs(21).saturating_sub(spent_at.elapsed())).await;
    // Time in which no vault ran counts, on one boot of the machine. But the first order was good for
    // 6 s: whoever sent it then has one within the window still.
    vault.run_and_unseal().await;
    let bot = vault.connect_bot("bot").await;
    if spent_at.elapsed() < Duration::from_secs(25) {
        assert_eq!(reason(buy(&vault, &bot, "1").await), "ORDER_RATE_REACHED");
    }
    tokio::time::sleep(Duration::from_secs(27).saturating_sub(spent_at.elapsed())).await;
    buy(&vault, &bot, "1").await.expect("the window is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_order_and_the_same_id_are_denied_after_a_restart_too() {
    let mut vault = TestVault::start().await;
    vault.import_kraken("kraken-main").await;
    let scope = capped("[duplicates]\nclient_order_id = \"1d\"\norder = \"1d\"\n");
    let bot = vault.bot("bot", &scope, &[]).await;
    let with_id = |volume: &str, id: &str| {
        let body = format!(
            "pair=XBTUSD&type=buy&ordertype=limit&price=60000&volume={volume}&cl_ord_id={id}"
        );
        kraken_post("AddOrder", body)
    };
    sign(&bot, "kraken-main", with_id("1", "a")).await.expect("new");
    vault.restart().await;
    let bot = vault.connect_bot("bot").await;
    for (volume, id, expected) in
        [("2", "a", "DUPLICATE_CLIENT_ORDER_ID"), ("1", "b", "DUPLICATE_ORDER")]
    {
        let answer = sign(&bot, "kraken-main", with_id(volume, id)).await;
        assert_eq!(reason(answer), expected, "{volume} {id}");
    }
    sign(&bot, "kraken-main", with_id("2", "b")).await.expect("new");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_on_notional_counts_at_the_worst_price_and_survives_a_restart() {
    let mut vault = TestVault::start().await;
    vault.import_kraken("kraken-main").await;
    let scope = capped(
        "[[cumulative.notional_usd]]\nper = \"1d\"\nat_most = \"150000\"\n\
         [pricing]\nslippage = \"0.05\"\n",
    );
    let bot = vault.bot("bot", &scope, &[]).await;
    assert_eq!(reason(buy(&vault, &bot, "1").await), "INSTRUMENT_UNKNOWN");

    approve_xbtusd(&vault).await;
    let feed = v1::Feed {
        pair: "BTC/USD".to_owned(),
        pricers: vec!["pricer".to_owned()],
        max_age: "1h".to_owned(),
        max_step: "0.1".to_owned(),
        anchor: "60000".to_owned(),
        ..v1::Feed::default()
    };
    let put = v1::PutFeedCommand { feed: Some(feed) };
    let _: v1::PutFeedResponse = vault.command("vault.v1.PriceService/PutFeed", &put).await;
    let pricer = vault.pricer("pricer").await;
    put_price(&vault, &pricer, "60000").await;

    // A buy at its limit: 60,000. A sell below the market fills at the market, plus slippage: 63,000.
    let signed = buy(&vault, &bot, "1").await.expect("60,000 of 150,000");
    let sell = || {
        let end = kraken_deadline(vault.now() + Duration::from_secs(1));
        let body = format!("pair=XBTUSD&type=sell&ordertype=limit&price=0.01&volume=1&{end}");
        sign_anew(&bot, "kraken-main", kraken_post("AddOrder", body))
    };
    sell().await.expect("123,000 of 150,000");
    assert_eq!(reason(sell().await), "NOTIONAL_CAP_REACHED");
    let entries = vault.log_entries();
    let entry = &entries[usize::try_from(signed.receipt.index).expect("small")];
    assert_eq!(entry.notional.as_deref(), Some("60000"));
    assert_eq!(entry.limits_left["notional_usd/1d"], "90000");
    let sold = of_kind(&entries, EntryKind::Sign)[1];
    assert_eq!(sold.notional.as_deref(), Some("63000"));
    assert_eq!(sold.prices["BTC/USD"], "60000");

    vault.restart().await;
    let bot = vault.connect_bot("bot").await;
    // What was put before a restart is where prices go on from, not a price of now.
    let pricer = vault.identity("pricer");
    put_price(&vault, &pricer, "60000").await;
    assert_eq!(reason(buy(&vault, &bot, "0.5").await), "NOTIONAL_CAP_REACHED");
    buy(&vault, &bot, "0.45").await.expect("150,000 of 150,000");
    assert_eq!(reason(buy(&vault, &bot, "0.001").await), "NOTIONAL_CAP_REACHED");
}

async fn put_price(vault: &TestVault, pricer: &vault_client::Identity, price: &str) {
    let tls = wire::tls(pricer, Some(pricer));
    let channel = wire::channel(tls, vault.ready().bot, None).await.expect("connected");
    let quote = v1::Quote { pair: "BTC/USD".to_owned(), price: price.to_owned() };
    let put = v1::PutPricesCommand { quotes: vec![quote] };
    let method = "vault.v1.PriceService/Put";
    let answer: v1::PutPricesResponse =
        wire::command(&channel, pricer, method, &put, vault.now()).await.expect("put");
    assert!(answer.answers[0].accepted, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_changes_no_answer_and_says_where_it_would() {
    let vault = TestVault::start().await;
    vault.import_kraken("kraken-main").await;
    let candidate = KRAKEN_SCOPE
        .replace("kraken-demo", "candidate")
        .replace("\"read\", \"trade\"", "\"read\", \"account\"");
    vault.put_scope(&candidate).await;
    let live = KRAKEN_SCOPE.replace("modes =", "shadow = \"candidate\"\nmodes =");
    let bot = vault.bot("bot", &live, &[]).await;

    sign(&bot, "kraken-main", kraken_balance()).await.expect("both allow");
    buy(&vault, &bot, "1").await.expect("the live scope allows");
    let far = sign(&bot, "kraken-main", kraken_order("ETHUSD", "1")).await;
    assert_eq!(reason(far), "SYMBOL_NOT_GRANTED", "both deny");

    let entries = vault.log_entries();
    let diverged = of_kind(&entries, EntryKind::ShadowDiverged);
    let [entry] = diverged.as_slice() else { panic!("one: {diverged:?}") };
    assert_eq!(entry.scope.as_ref().map(|name| name.as_str()), Some("candidate"));
    assert_eq!(entry.reason.as_deref(), Some("CLASS_NOT_GRANTED"));
    assert_eq!((&*entry.detail["live"], &*entry.detail["shadow"]), ("allow", "deny"));
    let admin = vault.admin().await;
    let list = admin.list_scopes(v1::ListScopesCommand::default()).await.expect("a list").scopes;
    let counts = |name: &str| {
        let of = |info: &&v1::ScopeInfo| info.scope.as_ref().is_some_and(|it| it.name == name);
        list.iter().find(of).map(|info| (info.shadow_judged, info.shadow_diverged))
    };
    assert_eq!(counts("kraken-demo"), Some((3, 1)));
    assert_eq!(counts("candidate"), Some((0, 0)));
}
