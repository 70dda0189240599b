//! Reference prices and instruments: who puts them, how far they move, how long they hold, and what
//! an order is worth by them.

use std::time::Duration;

use vault_audit::EntryKind;
use vault_client::{Client, v1};
use vault_tests::{OKX_SCOPE, TestVault, okx_post, reason};

use crate::{of_kind, sign_anew};

fn feed(pricers: &[&str], max_age: &str) -> v1::Feed {
    v1::Feed {
        pair: "BTC/USD".to_owned(),
        pricers: pricers.iter().map(ToString::to_string).collect(),
        max_age: max_age.to_owned(),
        max_step: "0.02".to_owned(),
        step_every: "1h".to_owned(),
        agree_within: if pricers.len() > 1 { "0.005" } else { "" }.to_owned(),
        anchor: "60000".to_owned(),
    }
}

async fn put_feed(vault: &TestVault, feed: v1::Feed) {
    let command = v1::PutFeedCommand { feed: Some(feed) };
    vault.admin().await.put_feed(command).await.expect("a feed");
}

/// Puts one price; the reason, empty if it was accepted.
async fn put(pricer: &Client, pair: &str, price: &str) -> String {
    let quote = v1::Quote { pair: pair.to_owned(), price: price.to_owned() };
    let answers = pricer.put_prices(vec![quote]).await.expect("answered");
    let [answer] = answers.as_slice() else { panic!("one answer: {answers:?}") };
    assert_eq!(answer.accepted, answer.reason.is_empty());
    assert_eq!((answer.pair.as_str(), answer.hint.is_empty()), (pair, answer.accepted));
    answer.reason.clone()
}

async fn listed(vault: &TestVault) -> v1::FeedInfo {
    let feeds =
        vault.admin().await.list_prices(v1::ListPricesCommand::default()).await.expect("a list");
    let [info] = feeds.feeds.as_slice() else { panic!("one feed: {feeds:?}") };
    info.clone()
}

async fn connect_pricer(vault: &TestVault, name: &str) -> Client {
    Client::connect(vault.pricer(name).await).await.expect("connected")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pricer_puts_prices_and_they_grow_old() {
    let vault = TestVault::start().await;
    let pricer = connect_pricer(&vault, "pricer").await;
    assert_eq!(put(&pricer, "BTC/USD", "60000").await, "FEED_UNKNOWN");
    put_feed(&vault, feed(&["pricer"], "1s")).await;
    let info = listed(&vault).await;
    assert_eq!((info.price.as_str(), info.age_ms, info.accepted), ("", None, 0));
    assert_eq!(info.feed, Some(feed(&["pricer"], "1s")));

    assert_eq!(put(&pricer, "BTC/USD", "60600.5").await, "");
    let info = listed(&vault).await;
    assert!(info.age_ms.is_some());
    if info.age_ms < Some(1_000) {
        assert_eq!(info.price, "60600.5");
    }
    assert_eq!(put(&pricer, "BTC/USD", "61201").await, "PRICE_STEP_TOO_LARGE");
    assert_eq!(put(&pricer, "BTC/USD", "0").await, "PRICE_NOT_POSITIVE");
    assert_eq!(put(&pricer, "ETH/USD", "3000").await, "FEED_UNKNOWN");
    assert_eq!(put(&pricer, "BTC", "60000").await, "BAD_FIELD");
    assert_eq!(put(&pricer, "BTC/USD", "much").await, "BAD_FIELD");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let info = listed(&vault).await;
    assert_eq!((info.price.as_str(), info.accepted, info.refused), ("", 1, 2));
    assert!(info.age_ms >= Some(1_000));

    // Several at once, each for itself.
    let quote =
        |pair: &str, price: &str| v1::Quote { pair: pair.to_owned(), price: price.to_owned() };
    let quotes = vec![quote("BTC/USD", "60700"), quote("XRP/USD", "1"), quote("BTC/USD", "60000")];
    let answers = pricer.put_prices(quotes).await.expect("answered");
    let accepted: Vec<bool> = answers.iter().map(|answer| answer.accepted).collect();
    assert_eq!(accepted, [true, false, true]);
    assert_eq!(reason(pricer.put_prices(Vec::new()).await), "BAD_FIELD");
    assert_eq!(reason(pricer.put_prices(vec![quote("A/B", "1"); 201]).await), "BAD_FIELD");

    let bot = vault.bot("bot", OKX_SCOPE, &[]).await;
    let refused = bot.put_prices(vec![quote("BTC/USD", "60000")]).await;
    assert_eq!(reason(refused), "ROLE");
    let stranger = connect_pricer(&vault, "stranger").await;
    assert_eq!(put(&stranger, "BTC/USD", "60000").await, "PRICER_NOT_LISTED");

    let entries = vault.log_entries();
    let accepted = of_kind(&entries, EntryKind::PriceAccepted);
    let [entry] = accepted.as_slice() else { panic!("the first of a minute: {accepted:?}") };
    assert_eq!(entry.detail["price"], "60600.5");
    let window =
        format!("0:60000:60000:60000:0,{0}:60600.5:60600.5:60600.5:{0}", entry.detail["clock"]);
    assert_eq!(entry.detail["window"], window);
    assert_eq!((entry.detail["pair"].as_str(), entry.client.is_some()), ("BTC/USD", true));
    // One for the pair, and one for all that are no feed.
    assert_eq!(of_kind(&entries, EntryKind::PriceRefused).len(), 2);
    vault.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_agree_move_a_price_and_a_restart_does_not() {
    let mut vault = TestVault::start().await;
    let first = connect_pricer(&vault, "first").await;
    let second = connect_pricer(&vault, "second").await;
    put_feed(&vault, feed(&["first", "second"], "1m")).await;
    assert_eq!(put(&first, "BTC/USD", "80000").await, "PRICE_NOT_CONFIRMED");
    assert_eq!(put(&second, "BTC/USD", "80401").await, "PRICE_NOT_CONFIRMED");
    assert_eq!(put(&second, "BTC/USD", "80100").await, "");
    assert_eq!(listed(&vault).await.price, "80100");

    vault.kill_core().await;
    vault.run_and_unseal().await;
    let info = listed(&vault).await;
    assert_eq!((info.price.as_str(), info.age_ms), ("", None), "no price is fresh after a restart");
    let first = Client::connect(vault.identity("first")).await.expect("connected");
    assert_eq!(put(&first, "BTC/USD", "60000").await, "PRICE_NOT_CONFIRMED", "the anchor is past");
    // A step from both: 2 % of 80000.
    assert_eq!(put(&first, "BTC/USD", "81600").await, "");
    for _ in 0..2 {
        vault.restart().await;
        let first = Client::connect(vault.identity("first")).await.expect("connected");
        assert_eq!(put(&first, "BTC/USD", "81601").await, "PRICE_NOT_CONFIRMED", "no step more");
        assert_eq!(put(&first, "BTC/USD", "81600").await, "");
    }
    let first = Client::connect(vault.identity("first")).await.expect("connected");

    // A new anchor is an act, and holds over what the log says.
    put_feed(&vault, feed(&["first", "second"], "1m")).await;
    assert_eq!(listed(&vault).await.price, "");
    assert_eq!(put(&first, "BTC/USD", "81702").await, "PRICE_NOT_CONFIRMED");
    vault.restart().await;
    let first = Client::connect(vault.identity("first")).await.expect("connected");
    assert_eq!(put(&first, "BTC/USD", "60100").await, "");

    let admin = vault.admin().await;
    let delete = || v1::DeleteFeedCommand { pair: "BTC/USD".to_owned() };
    admin.delete_feed(delete()).await.expect("deleted");
    assert_eq!(reason(admin.delete_feed(delete()).await), "NOT_FOUND");
    assert_eq!(put(&first, "BTC/USD", "60100").await, "FEED_UNKNOWN");
    vault.verify();
}

fn swap(symbol: &str, contract_size: &str) -> v1::Instrument {
    v1::Instrument {
        venue: "okx".to_owned(),
        product: "linear".to_owned(),
        symbol: symbol.to_owned(),
        base: "BTC".to_owned(),
        quote: "USDT".to_owned(),
        contract_size: contract_size.to_owned(),
        size_unit: "base".to_owned(),
        reference: "BTC/USDT".to_owned(),
        price_tick: "0.1".to_owned(),
        quantity_step: String::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn instruments_are_approved_all_or_none() {
    let mut vault = TestVault::start().await;
    let admin = vault.admin().await;
    let import = async |instruments: Vec<v1::Instrument>| {
        admin.import_instruments(v1::ImportInstrumentsCommand { instruments }).await
    };
    let list = async |admin: &vault_client::Operator, venue: &str| {
        let command = v1::ListInstrumentsCommand { venue: venue.to_owned(), ..Default::default() };
        admin.list_instruments(command).await.expect("a list").instruments
    };
    let answer = import(vec![swap("B", "1"), swap("A", "0.01")]).await.expect("imported");
    assert_eq!((answer.added, answer.changed, answer.same), (2, 0, 0));
    let answer = import(vec![swap("A", "0.01"), swap("B", "2"), swap("C", "1")]).await;
    let answer = answer.expect("imported");
    assert_eq!((answer.added, answer.changed, answer.same), (1, 1, 1));
    let there = [swap("A", "0.01"), swap("B", "2"), swap("C", "1")];
    assert_eq!(list(&admin, "").await, there);
    assert_eq!(list(&admin, "okx").await, there);
    assert_eq!(list(&admin, "kraken").await, []);
    assert_eq!(reason(import(vec![swap("A", "0.01")]).await), "ALREADY_SO");

    let elsewhere = v1::Instrument { venue: "nowhere".to_owned(), ..swap("X", "1") };
    for wrong in [
        vec![],
        vec![swap("D", "1"), swap("D", "1")],
        vec![swap("D", "1"), swap("E", "0")],
        vec![swap("D", "1"), elsewhere],
        vec![swap("D", "1"); 2_001],
    ] {
        assert_eq!(reason(import(wrong).await), "BAD_FIELD");
    }
    let many: Vec<_> = (0..2_000).map(|number| swap(&format!("MANY-{number}"), "1")).collect();
    assert_eq!(import(many).await.expect("as many as may be").added, 2_000);
    let many: Vec<_> = (0..2_000).map(|number| swap(&format!("MORE-{number}"), "1")).collect();
    assert_eq!(reason(import(many).await), "BAD_FIELD", "a venue is full");
    assert_eq!(list(&admin, "okx").await.len(), 2_003);

    let key = |symbol: &str| v1::InstrumentKey {
        venue: "okx".to_owned(),
        product: "linear".to_owned(),
        symbol: symbol.to_owned(),
    };
    let delete = async |keys: Vec<v1::InstrumentKey>| {
        admin.delete_instruments(v1::DeleteInstrumentsCommand { keys }).await
    };
    assert_eq!(reason(delete(vec![key("A"), key("Z")]).await), "NOT_FOUND");
    delete((0..2_000).map(|number| key(&format!("MANY-{number}"))).collect())
        .await
        .expect("deleted");
    delete(vec![key("C")]).await.expect("deleted");
    drop(admin);
    vault.restart().await;
    let admin = vault.admin().await;
    assert_eq!(list(&admin, "").await, [swap("A", "0.01"), swap("B", "2")]);
    vault.verify();
}

/// Swaps worth 10,000 USDT at most, in one order.
const SWAPS: &str = r#"
name = "swaps"
credentials = ["okx-main"]
classes = ["read", "trade"]
modes = ["sign"]
products = ["linear"]

[symbols]
okx = ["BTC-USDT-SWAP"]

[network]
allow = ["127.0.0.0/8"]

[orders]
max_notional_usd = "10000"

[pricing]
usd_par = ["USDT"]
slippage = "0.05"
"#;

/// Asks for a market order of so many contracts; the reason of a denial, empty if there was none.
async fn buy(bot: &Client, contracts: u32) -> String {
    let body = format!(
        r#"{{"instId":"BTC-USDT-SWAP","tdMode":"isolated","side":"buy","ordType":"market","sz":"{contracts}"}}"#
    );
    let order = okx_post("/api/v5/trade/order", body);
    match sign_anew(bot, "okx-main", order).await {
        Ok(_) => String::new(),
        refused => reason(refused),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_worth_its_contracts_and_a_pricer_who_lies_moves_that_by_a_step() {
    let mut vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    let bot = vault.bot("bot", SWAPS, &[]).await;
    let pricer = connect_pricer(&vault, "pricer").await;
    let usdt =
        |max_age: &str| v1::Feed { pair: "BTC/USDT".to_owned(), ..feed(&["pricer"], max_age) };
    let import = async |vault: &TestVault, size: &str| {
        let instruments = vec![swap("BTC-USDT-SWAP", size)];
        let command = v1::ImportInstrumentsCommand { instruments };
        vault.admin().await.import_instruments(command).await.expect("imported");
    };
    assert_eq!(buy(&bot, 1).await, "INSTRUMENT_UNKNOWN");
    import(&vault, "0.01").await;
    assert_eq!(buy(&bot, 1).await, "PRICE_STALE", "there is no feed");
    put_feed(&vault, usdt("1d")).await;
    assert_eq!(buy(&bot, 1).await, "PRICE_STALE", "an anchor is no price");
    assert_eq!(put(&pricer, "BTC/USDT", "60000").await, "");

    // 60,000 and 5 %, 0.01 each: 630 for a contract.
    assert_eq!(buy(&bot, 15).await, "");
    assert_eq!(buy(&bot, 16).await, "NOTIONAL_TOO_LARGE");
    // Ten times as large, by the next import.
    import(&vault, "0.1").await;
    assert_eq!(buy(&bot, 1).await, "");
    assert_eq!(buy(&bot, 2).await, "NOTIONAL_TOO_LARGE");
    import(&vault, "0.01").await;

    // Downward: 2 % is all that can be had, whatever is said next.
    assert_eq!(put(&pricer, "BTC/USDT", "58800").await, "");
    for lie in ["58799", "30000", "1", "0.000000000000000001"] {
        assert_ne!(put(&pricer, "BTC/USDT", lie).await, "", "{lie}");
    }
    assert_eq!(buy(&bot, 16).await, "", "at 617.4 each");
    assert_eq!(buy(&bot, 17).await, "NOTIONAL_TOO_LARGE");
    // Upward: so much less is allowed.
    for lie in ["61200", "600000", "999999999999999999"] {
        assert_eq!(put(&pricer, "BTC/USDT", lie).await, "PRICE_STEP_TOO_LARGE", "{lie}");
    }
    assert_eq!(put(&pricer, "BTC/USDT", "59976").await, "", "2 % of the lowest");
    assert_eq!(buy(&bot, 16).await, "NOTIONAL_TOO_LARGE");

    // A price is of one life of the vault.
    vault.restart().await;
    let bot = vault.connect_bot("bot").await;
    assert_eq!(buy(&bot, 1).await, "PRICE_STALE");
    let pricer = Client::connect(vault.identity("pricer")).await.expect("connected");
    assert_eq!(put(&pricer, "BTC/USDT", "60000").await, "");
    assert_eq!(buy(&bot, 15).await, "");

    // Who stops says nothing any more.
    put_feed(&vault, usdt("1s")).await;
    assert_eq!(put(&pricer, "BTC/USDT", "60000").await, "");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(buy(&bot, 1).await, "PRICE_STALE");

    // Who is revoked is nobody; and what an admin takes away is gone.
    put_feed(&vault, usdt("1d")).await;
    assert_eq!(put(&pricer, "BTC/USDT", "60000").await, "");
    let admin = vault.admin().await;
    let revoke = v1::RevokeClientCommand { name: "pricer".to_owned(), reason: "lies".to_owned() };
    admin.revoke_client(revoke).await.expect("revoked");
    let quote = v1::Quote { pair: "BTC/USDT".to_owned(), price: "60000".to_owned() };
    let mut refused = pricer.put_prices(vec![quote.clone()]).await;
    // Its connection was cut; a new one is made for the call.
    if refused.as_ref().is_err_and(|error| error.refusal().is_none()) {
        refused = pricer.put_prices(vec![quote]).await;
    }
    assert_eq!(reason(refused), "CERTIFICATE_REVOKED");
    assert_eq!(buy(&bot, 15).await, "", "what it said last stands until it is too old");
    let delete = v1::DeleteFeedCommand { pair: "BTC/USDT".to_owned() };
    admin.delete_feed(delete).await.expect("deleted");
    assert_eq!(buy(&bot, 1).await, "PRICE_STALE");
    let key = v1::InstrumentKey {
        venue: "okx".to_owned(),
        product: "linear".to_owned(),
        symbol: "BTC-USDT-SWAP".to_owned(),
    };
    let delete = v1::DeleteInstrumentsCommand { keys: vec![key] };
    admin.delete_instruments(delete).await.expect("deleted");
    assert_eq!(buy(&bot, 1).await, "INSTRUMENT_UNKNOWN");
    vault.verify();
}
