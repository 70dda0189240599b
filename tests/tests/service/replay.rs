//! A candidate before it is in force: replayed over what was recorded, or beside the live scope as its
//! shadow.

use std::time::Duration;

use vault_audit::EntryKind;
use vault_client::{Client, SignOrder, v1};
use vault_tests::{
    KRAKEN_SCOPE, OKX_SCOPE, TestVault, kraken_balance, kraken_order_until, okx_balance, okx_batch,
    okx_cancel, okx_order, okx_post, okx_withdrawal, order, reason, scope,
};

use crate::{approve_xbtusd, of_kind, sign, sign_anew};

const ORDER: &str = "POST /api/v5/trade/order";

/// Replays a candidate over everything, or over the requests of some clients.
async fn replay(vault: &TestVault, candidate: &str, clients: &[&str]) -> v1::GetReplayResponse {
    let replay = start(vault, candidate, clients, 0).await;
    finished(vault, replay).await
}

async fn start(vault: &TestVault, candidate: &str, clients: &[&str], since_ms: i64) -> u64 {
    let clients = clients.iter().map(ToString::to_string).collect();
    let command = v1::StartReplayCommand { scope: Some(scope(candidate)), since_ms, clients };
    vault.admin().await.start_replay(command).await.expect("started").replay
}

async fn finished(vault: &TestVault, replay: u64) -> v1::GetReplayResponse {
    let admin = vault.admin().await;
    let mut read = 0;
    loop {
        let found = admin.replay(v1::GetReplayCommand { replay }).await.expect("known");
        assert!((read..=found.entries).contains(&found.read), "{found:?}");
        read = found.read;
        if found.finished {
            assert_eq!((found.error.as_str(), found.read), ("", found.entries));
            let counted = found.same + found.now_denied + found.now_allowed + found.unknown;
            assert_eq!(found.judged, counted, "{found:?}");
            return found;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Kind, reason, operation, count, and the first one's index.
fn changes(found: &v1::GetReplayResponse) -> Vec<(&str, &str, &str, u64, u64)> {
    let changes = found.changes.iter();
    changes
        .map(|change| {
            let v1::ReplayChange { becomes, reason, operation, count, first_index, .. } = change;
            (becomes.as_str(), reason.as_str(), operation.as_str(), *count, *first_index)
        })
        .collect()
}

/// Signs so many, and returns the index of the first.
async fn signs(bot: &Client, count: u64, request: impl Fn() -> v1::VenueRequest) -> u64 {
    let mut first = None;
    for _ in 0..count {
        let signed = sign(bot, "okx-main", request()).await.expect("signed");
        first.get_or_insert(signed.receipt.index);
    }
    first.expect("at least one")
}

/// The index of the entry of a request that is refused.
async fn refused(bot: &Client, credential: &str, request: v1::VenueRequest, why: &str) -> u64 {
    let error = sign(bot, credential, request).await.expect_err("to be refused");
    let refusal = error.refusal().expect("a refusal");
    assert_eq!(refusal.reason, why);
    refusal.entry_index.expect("has an entry")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_judges_what_was_recorded_and_nothing_happens() {
    let vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    let bot = vault.bot("bot", OKX_SCOPE, &[]).await;
    let other = vault.bot("other", OKX_SCOPE, &[]).await;

    signs(&bot, 12, || okx_order("BTC-USDT", "1")).await;
    let first_eth = signs(&bot, 6, || okx_order("ETH-USDT", "2")).await;
    let first_batch = signs(&bot, 2, || okx_batch(&["BTC-USDT", "ETH-USDT"])).await;
    signs(&bot, 3, || okx_cancel("BTC-USDT", "1")).await;
    let cancel = signs(&bot, 1, || okx_cancel("ETH-USDT", "2")).await;
    signs(&bot, 4, okx_balance).await;
    let xrp = || okx_order("XRP-USDT", "200");
    let first_xrp = refused(&bot, "okx-main", xrp(), "SYMBOL_NOT_GRANTED").await;
    for _ in 0..2 {
        refused(&bot, "okx-main", xrp(), "SYMBOL_NOT_GRANTED").await;
    }
    refused(&bot, "okx-main", okx_withdrawal(), "CLASS_NOT_GRANTABLE").await;
    refused(&bot, "not-mine", okx_balance(), "NOT_FOUND").await;
    let first_of_other = signs(&other, 2, || okx_order("ETH-USDT", "1")).await;

    let before = (vault.log_entries().len(), vault.state_rev());
    let found = replay(&vault, OKX_SCOPE, &[]).await;
    assert_eq!((found.judged, found.same), (35, 35), "{found:?}");
    assert!(found.changes.is_empty());

    let narrow = OKX_SCOPE.replace(r#", "ETH-USDT""#, "");
    let found = replay(&vault, &narrow, &[]).await;
    assert_eq!((found.judged, found.same, found.now_denied), (35, 24, 11), "{found:?}");
    let why = "SYMBOL_NOT_GRANTED";
    let (batch, cancels) = ("POST /api/v5/trade/batch-orders", "POST /api/v5/trade/cancel-order");
    assert_eq!(
        changes(&found),
        [
            ("denied", why, ORDER, 8, first_eth),
            ("denied", why, batch, 2, first_batch),
            ("denied", why, cancels, 1, cancel),
        ]
    );
    let first = &found.changes[0];
    assert_eq!(first.first_client, "bot");
    let words = "buy 2 ETH-USDT limit 60000, okx-main, 20";
    assert!(first.first_words.starts_with(words), "{}", first.first_words);
    assert!(first.first_at_ms > 1_700_000_000_000);

    let found = replay(&vault, &narrow, &["other"]).await;
    assert_eq!(found.judged, 2);
    assert_eq!(changes(&found), [("denied", why, ORDER, 2, first_of_other)]);

    let wide = OKX_SCOPE.replace(r#""ETH-USDT""#, r#""ETH-USDT", "XRP-USDT""#);
    let found = replay(&vault, &wide, &[]).await;
    assert_eq!((found.judged, found.same), (35, 32), "{found:?}");
    assert_eq!(changes(&found), [("allowed", why, ORDER, 3, first_xrp)]);

    // Orders, also those of a batch; reads and cancels are none.
    let makers = format!("{OKX_SCOPE}\n[orders]\ntypes = [\"LIMIT_MAKER\"]\n");
    let found = replay(&vault, &makers, &[]).await;
    assert_eq!((found.judged, found.now_denied, found.unknown), (35, 22, 0), "{found:?}");

    assert_eq!((vault.log_entries().len(), vault.state_rev()), before);

    // What is signed from now on is not in it, and what was before is not asked for.
    let replayed = start(&vault, &narrow, &[], 0).await;
    signs(&bot, 5, || okx_order("ETH-USDT", "3")).await;
    assert_eq!(finished(&vault, replayed).await.judged, 35);
    let since = start(&vault, &narrow, &["bot"], first.first_at_ms).await;
    let found = finished(&vault, since).await;
    assert!((26..=38).contains(&found.judged), "{found:?}");
    assert_eq!((found.changes[0].count, found.changes[0].first_index), (11, first_eth));

    let admin = vault.admin().await;
    let gone = admin.replay(v1::GetReplayCommand { replay: replayed }).await;
    assert_eq!(reason(gone), "NOT_FOUND", "another has taken its place");
    let command = |clients: &[&str], toml: &str| v1::StartReplayCommand {
        scope: Some(scope(toml)),
        since_ms: 0,
        clients: clients.iter().map(ToString::to_string).collect(),
    };
    assert_eq!(reason(vault.guard().await.start_replay(command(&[], OKX_SCOPE)).await), "ROLE");
    assert_eq!(reason(admin.start_replay(command(&["nobody"], OKX_SCOPE)).await), "NOT_FOUND");
    let held_by_none = OKX_SCOPE.replace("okx-demo", "nobodys");
    assert_eq!(reason(admin.start_replay(command(&[], &held_by_none)).await), "BAD_FIELD");
}

#[tokio::test(flavor = "multi_thread")]
async fn caps_count_what_the_candidate_would_have_allowed() {
    let mut vault = TestVault::start().await;
    vault.import_kraken("kraken-main").await;
    approve_xbtusd(&vault).await;

    let at_most = |orders: u32| {
        format!("{KRAKEN_SCOPE}\n[[cumulative.orders]]\nper = \"6h\"\nat_most = {orders}\n")
    };
    let mut bot = vault.bot("bot", &at_most(6), &[]).await;
    let mut indexes = Vec::new();
    for number in 0..8 {
        if number == 4 {
            vault.restart().await;
            bot = vault.connect_bot("bot").await;
            sign_anew(&bot, "kraken-main", kraken_balance()).await.expect("a read");
        }
        let order = kraken_order_until("XBTUSD", "1", vault.now() + Duration::from_secs(40));
        indexes.push(match number {
            0..6 => sign(&bot, "kraken-main", order).await.expect("signed").receipt.index,
            _ => refused(&bot, "kraken-main", order, "ORDER_RATE_REACHED").await,
        });
    }
    let add = "POST /0/private/AddOrder";
    let rate = "ORDER_RATE_REACHED";

    let found = replay(&vault, &at_most(6), &[]).await;
    assert_eq!((found.judged, found.same), (9, 9), "{found:?}");
    let found = replay(&vault, &at_most(4), &[]).await;
    assert_eq!((found.judged, found.same), (9, 7), "{found:?}");
    assert_eq!(changes(&found), [("denied", rate, add, 2, indexes[4])]);
    let found = replay(&vault, &at_most(7), &[]).await;
    assert_eq!(changes(&found), [("allowed", rate, add, 1, indexes[6])]);
    let found = replay(&vault, KRAKEN_SCOPE, &[]).await;
    assert_eq!(changes(&found), [("allowed", rate, add, 2, indexes[6])]);

    // 60,000 each. A denial is not counted, so that nothing but the first two fits.
    let notional = format!(
        "{KRAKEN_SCOPE}\n[[cumulative.notional_usd]]\nper = \"1d\"\nat_most = \"150000\"\n"
    );
    let found = replay(&vault, &notional, &[]).await;
    assert_eq!((found.judged, found.same), (9, 5), "{found:?}");
    assert_eq!(changes(&found), [("denied", "NOTIONAL_CAP_REACHED", add, 4, indexes[2])]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_is_judged_by_the_prices_of_then() {
    let vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    let instrument = v1::Instrument {
        venue: "okx".to_owned(),
        product: "spot".to_owned(),
        symbol: "BTC-USDT".to_owned(),
        base: "BTC".to_owned(),
        quote: "USDT".to_owned(),
        contract_size: "1".to_owned(),
        size_unit: "base".to_owned(),
        reference: "BTC/USDT".to_owned(),
        ..v1::Instrument::default()
    };
    let import = v1::ImportInstrumentsCommand { instruments: vec![instrument] };
    let admin = vault.admin().await;
    admin.import_instruments(import).await.expect("imported");
    let feed = v1::Feed {
        pair: "BTC/USDT".to_owned(),
        pricers: vec!["pricer".to_owned()],
        max_age: "1d".to_owned(),
        max_step: "0.5".to_owned(),
        step_every: "1s".to_owned(),
        anchor: "60000".to_owned(),
        ..v1::Feed::default()
    };
    admin.put_feed(v1::PutFeedCommand { feed: Some(feed) }).await.expect("a feed");
    let pricer = Client::connect(vault.pricer("pricer").await).await.expect("connected");
    let put = async |price: &str| {
        let quote = v1::Quote { pair: "BTC/USDT".to_owned(), price: price.to_owned() };
        let answers = pricer.put_prices(vec![quote]).await.expect("answered");
        assert!(answers[0].accepted, "{answers:?}");
    };

    let capped = |cap: u32| {
        let rules = "[pricing]\nusd_par = [\"USDT\"]\nslippage = \"0.05\"\n";
        format!("{OKX_SCOPE}\n[orders]\nmax_notional_usd = \"{cap}\"\n{rules}")
    };
    let bot = vault.bot("bot", &capped(10_000), &[]).await;
    let body = r#"{"instId":"BTC-USDT","tdMode":"cash","side":"sell","ordType":"market","sz":"1"}"#;
    let market = || okx_post("/api/v5/trade/order", body.to_owned());
    let stale = refused(&bot, "okx-main", market(), "PRICE_STALE").await;
    put("60000").await;
    let large = refused(&bot, "okx-main", market(), "NOTIONAL_TOO_LARGE").await;
    put("50000").await;

    let entries = vault.log_entries();
    let entry = |index: u64| &entries[usize::try_from(index).expect("small")];
    assert!(entry(stale).prices.is_empty());
    assert_eq!(entry(large).prices["BTC/USDT"], "60000");
    assert!(entry(large).notional.is_none() && !entry(large).detail.contains_key("clock"));

    let found = replay(&vault, &capped(10_000), &[]).await;
    assert_eq!((found.judged, found.same), (2, 2), "{found:?}");
    // 60,000 and 5 %, and not the price of now.
    let found = replay(&vault, &capped(62_999), &[]).await;
    assert_eq!(changes(&found), [("unknown", "PRICE_NOT_RECORDED", ORDER, 1, stale)]);
    let found = replay(&vault, &capped(63_000), &[]).await;
    assert_eq!(
        changes(&found),
        [
            ("allowed", "NOTIONAL_TOO_LARGE", ORDER, 1, large),
            ("unknown", "PRICE_NOT_RECORDED", ORDER, 1, stale),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_amends_an_order_is_recorded_also_of_a_refusal() {
    let vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    // The product of an order that is there is not stated.
    let every = OKX_SCOPE.replace(r#"["spot"]"#, r#"["*"]"#);
    let bot = vault.bot("bot", &every, &[]).await;
    let path = "/api/v5/trade/amend-order";
    let amend = |symbol: &str| {
        okx_post(path, format!(r#"{{"instId":"{symbol}","ordId":"1","newPx":"60000"}}"#))
    };
    let signed = sign(&bot, "okx-main", amend("BTC-USDT")).await.expect("signed").receipt.index;
    let denied = refused(&bot, "okx-main", amend("XRP-USDT"), "SYMBOL_NOT_GRANTED").await;
    let placed = sign(&bot, "okx-main", okx_order("BTC-USDT", "1")).await.expect("signed");
    let entries = vault.log_entries();
    let amends = |index: u64| {
        let detail = &entries[usize::try_from(index).expect("small")].detail;
        detail.get("amends").map(String::as_str)
    };
    assert_eq!((amends(signed), amends(denied)), (Some("yes"), Some("yes")));
    assert_eq!(amends(placed.receipt.index), None);

    // No type is stated: only what amends passes.
    let wide = every.replace(r#""ETH-USDT""#, r#""ETH-USDT", "XRP-USDT""#);
    let typed = format!("{wide}\n[orders]\ntypes = [\"LIMIT\"]\n");
    let found = replay(&vault, &typed, &[]).await;
    let operation = format!("POST {path}");
    assert_eq!(changes(&found), [("allowed", "SYMBOL_NOT_GRANTED", &*operation, 1, denied)]);
    assert_eq!(found.same, 2, "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_answers_nobody_and_is_heard_after_a_restart_too() {
    let mut vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    let candidate = |symbols: &str| {
        let candidate = OKX_SCOPE.replace("okx-demo", "candidate");
        candidate.replace(r#""BTC-USDT", "ETH-USDT""#, symbols)
    };
    vault.put_scope(&candidate(r#""BTC-USDT""#)).await;
    let live = OKX_SCOPE.replace("modes =", "shadow = \"candidate\"\nmodes =");
    let mut bot = vault.bot("bot", &live, &[]).await;
    let asked = |symbol: &str, id: &str| SignOrder {
        request_id: Some(id.to_owned()),
        ..order("okx-main", okx_order(symbol, "1"))
    };
    async fn counts(vault: &TestVault) -> (u64, u64) {
        let get = v1::GetScopeCommand { name: "okx-demo".to_owned() };
        let info = vault.admin().await.scope(get).await.expect("there").scope.expect("said");
        (info.shadow_judged, info.shadow_diverged)
    }

    bot.sign(asked("BTC-USDT", "both-allow")).await.expect("both allow");
    let signed = bot.sign(asked("ETH-USDT", "one")).await.expect("the live scope allows");
    let far = bot.sign(asked("XRP-USDT", "both-deny")).await;
    assert_eq!(reason(far), "SYMBOL_NOT_GRANTED");
    // A retry is no other request.
    let again = bot.sign(asked("ETH-USDT", "one")).await.expect("again");
    assert_eq!(again.seq, signed.seq);
    assert_eq!(counts(&vault).await, (3, 1));

    vault.restart().await;
    bot = vault.connect_bot("bot").await;
    assert_eq!(counts(&vault).await, (0, 0), "counted since the start");
    bot.sign(asked("ETH-USDT", "two")).await.expect("the live scope allows");
    assert_eq!(counts(&vault).await, (1, 1));

    // One that would allow more: the bot still gets the live scope's answer.
    vault.put_scope(&candidate(r#""BTC-USDT", "ETH-USDT", "XRP-USDT""#)).await;
    bot.sign(asked("ETH-USDT", "both-allow-now")).await.expect("both allow");
    let far = bot.sign(asked("XRP-USDT", "three")).await;
    assert_eq!(reason(far), "SYMBOL_NOT_GRANTED");
    assert_eq!(counts(&vault).await, (3, 2));

    let entries = vault.log_entries();
    let diverged = of_kind(&entries, EntryKind::ShadowDiverged);
    let said: Vec<_> = diverged
        .iter()
        .map(|entry| {
            let id = entry.request_id.as_ref().map(ToString::to_string).unwrap_or_default();
            assert_eq!(entry.client.as_ref().map(|name| name.as_str()), Some("bot"));
            assert_eq!(entry.scope.as_ref().map(|name| name.as_str()), Some("candidate"));
            assert_eq!(entry.operation.as_deref(), Some(ORDER));
            assert_eq!(entry.reason.as_deref(), Some("SYMBOL_NOT_GRANTED"));
            assert!(entry.legs.is_empty() && entry.sig_sha256.is_none());
            let (live, shadow) = (&*entry.detail["live"], &*entry.detail["shadow"]);
            (id, entry.scope_rev, live.to_owned(), shadow.to_owned())
        })
        .collect();
    let entry = |id: &str, revision, live: &str, shadow: &str| {
        (id.to_owned(), Some(revision), live.to_owned(), shadow.to_owned())
    };
    assert_eq!(
        said,
        [
            entry("one", 1, "allow", "deny"),
            entry("two", 1, "allow", "deny"),
            entry("three", 2, "deny", "allow"),
        ]
    );
    // The answer's entry is the live scope's, and comes first.
    let index = usize::try_from(signed.receipt.index).expect("small");
    let answer = &entries[index];
    assert_eq!(answer.scope.as_ref().map(|name| name.as_str()), Some("okx-demo"));
    assert_eq!(&entries[index + 1], diverged[0]);
    vault.verify();
}
