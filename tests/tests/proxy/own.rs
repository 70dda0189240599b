//! Requests of the vault's own: checks of keys, at import and after, and cancel-all, through real
//! processes against mock venues.

use std::time::{Duration, Instant};

use vault_audit::EntryKind;
use vault_client::v1::{
    CancelAllCommand, CancelAllStep, CheckCredentialCommand, CredentialCheck, CredentialMetadata,
    CredentialSecret, DescribeCredentialCommand, HaltCommand, HaltLevel,
};
use vault_client::{ImportOptions, SignOrder, post};
use vault_mock_venue::{Fault, KeyPowers, Venue};
use vault_tests::{
    KRAKEN_KEY, KRAKEN_SECRET, OKX_KEY, kraken_balance, kraken_order, okx_order, reason,
};

use crate::bed::{
    BINANCE_KEY, BINANCE_SECRET, BYBIT_KEY, Bed, COINBASE_KEY, TRADER, Wishes, binance_order,
    execute,
};

/// The keys of a bed.
const KEYS: [(Venue, &str, &str); 5] = [
    (Venue::Binance, "binance", BINANCE_KEY),
    (Venue::Bybit, "bybit", BYBIT_KEY),
    (Venue::Coinbase, "coinbase", COINBASE_KEY),
    (Venue::Kraken, "kraken", KRAKEN_KEY),
    (Venue::Okx, "okx", OKX_KEY),
];

async fn check(bed: &Bed, credential: &str) -> CredentialCheck {
    let command = CheckCredentialCommand { name: credential.to_owned() };
    let answer = bed.vault.admin().await.check_credential(command).await.expect("checked");
    answer.check.expect("a check")
}

fn codes(check: &CredentialCheck) -> Vec<&str> {
    check.findings.iter().map(|finding| finding.code.as_str()).collect()
}

fn kraken(name: &str, rights: &[&str]) -> (CredentialMetadata, CredentialSecret) {
    let metadata = CredentialMetadata {
        name: name.to_owned(),
        venue: "kraken".to_owned(),
        environment: "live".to_owned(),
        rights: rights.iter().map(|right| (*right).to_owned()).collect(),
        rights_stated: true,
        ..Default::default()
    };
    let secret = CredentialSecret {
        api_key: KRAKEN_KEY.to_owned(),
        secret: KRAKEN_SECRET.into(),
        ..Default::default()
    };
    (metadata, secret)
}

async fn halt(bed: &Bed, target: &str, level: HaltLevel) {
    let command =
        HaltCommand { level: level.into(), target: target.to_owned(), reason: "a test".to_owned() };
    bed.vault.admin().await.halt(command).await.expect("halted");
}

async fn cancel_all(bed: &Bed, target: &str) -> Vec<CancelAllStep> {
    let command = CancelAllCommand { target: target.to_owned() };
    bed.vault.admin().await.cancel_all(command).await.expect("answered").steps
}

#[tokio::test(flavor = "multi_thread")]
async fn every_venue_is_asked_what_its_key_may_do() {
    let bed = Bed::start(TRADER).await;
    for (venue, name, _) in KEYS {
        let found = check(&bed, &format!("{name}-main")).await;
        assert_eq!(found.problem, "", "{name}: {:?}", codes(&found));
        assert!(!found.rights.is_empty(), "{name}");
        assert!(!codes(&found).contains(&"WITHDRAWALS_ENABLED"), "{venue:?}: {:?}", codes(&found));
    }
    let entries = bed.logged(EntryKind::CredentialCheck, 5).await;
    let by: Vec<&str> =
        entries.iter().filter_map(|entry| Some(entry.client.as_ref()?.as_str())).collect();
    assert_eq!(by.len(), 5);
    let intents = bed.logged(EntryKind::ExecuteIntent, 5).await;
    assert!(intents.iter().all(|entry| entry.client.is_none()));
    bed.vault.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_may_withdraw_is_refused_at_import() {
    let bed = Bed::start(TRADER).await;
    let admin = bed.vault.admin().await;
    let metadata = CredentialMetadata {
        name: "new".to_owned(),
        venue: "binance".to_owned(),
        environment: "live".to_owned(),
        ..Default::default()
    };
    let secret = || CredentialSecret {
        api_key: BINANCE_KEY.to_owned(),
        secret: BINANCE_SECRET.into(),
        ..Default::default()
    };
    let powers = KeyPowers::trading(Venue::Binance).with("enableWithdrawals");
    assert!(bed.mocks.set_powers(Venue::Binance, BINANCE_KEY, powers));
    assert_eq!(reason(admin.import(metadata.clone(), secret()).await), "KEY_MAY_WITHDRAW");
    let describe = DescribeCredentialCommand { name: "new".to_owned() };
    assert_eq!(reason(admin.describe_credential(describe.clone()).await), "NOT_FOUND");

    let meant = ImportOptions { allow_withdrawals: true, ..Default::default() };
    let imported = admin.import_as(metadata.clone(), secret(), &meant).await.expect("imported");
    let found = imported.check.expect("a check");
    assert!(codes(&found).contains(&"WITHDRAWALS_ENABLED"), "{:?}", codes(&found));

    assert!(bed.mocks.set_powers(Venue::Binance, BINANCE_KEY, KeyPowers::trading(Venue::Binance)));
    let imported = admin.import(metadata.clone(), secret()).await.expect("imported");
    assert_eq!(imported.version, 2);
    let described = admin.describe_credential(describe).await.expect("there");
    let found = described.credential.and_then(|info| info.check).expect("checked");
    assert!(!codes(&found).contains(&"WITHDRAWALS_ENABLED"), "of the new key");

    // A venue that does not answer is no yes.
    bed.mocks.fault_at("/sapi/v1/account/apiRestrictions", 8, Fault::Status(500));
    let refused = admin.import(metadata.clone(), secret()).await;
    assert_eq!(reason(refused), "CHECK_NOT_POSSIBLE");
    let imported = admin.import_unchecked(metadata, secret()).await.expect("imported");
    assert_eq!((imported.version, imported.check), (3, None));
    bed.vault.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_halts_sign_through_a_crash_and_until_a_new_version_states_it() {
    let scope = TRADER.replace(r#"["execute"]"#, r#"["execute", "sign"]"#);
    let mut bed = Bed::start(&scope).await;
    let rights = ["Funds permissions - Query"];
    let import = |rights: Vec<&'static str>| kraken("kraken-main", &rights);
    let powers = |rights: &[&str]| KeyPowers {
        rights: rights.iter().map(|right| (*right).to_owned()).collect(),
        ..KeyPowers::trading(Venue::Kraken)
    };
    let set = |bed: &Bed, rights: &[&str]| {
        assert!(bed.mocks.set_powers(Venue::Kraken, KRAKEN_KEY, powers(rights)));
    };
    set(&bed, &["query-funds"]);
    let (metadata, secret) = import(rights.to_vec());
    let imported = bed.vault.admin().await.import(metadata, secret).await.expect("imported");
    assert!(!imported.check.expect("a check").drifted);

    set(&bed, &["query-funds", "modify-trades"]);
    assert!(check(&bed, "kraken-main").await.drifted);
    let sign = || SignOrder {
        credential: "kraken-main".to_owned(),
        request: kraken_balance(),
        ..Default::default()
    };
    let bot = bed.bot().await;
    assert_eq!(reason(bot.sign(sign()).await), "CREDENTIAL_DRIFTED");
    bot.execute(execute("kraken-main", kraken_balance())).await.expect("Execute goes on");

    bed.vault.kill_core().await;
    bed.vault.run_and_unseal().await;
    let bot = bed.bot().await;
    assert_eq!(reason(bot.sign(sign()).await), "CREDENTIAL_DRIFTED", "through a crash");
    let status = bed.vault.admin().await.status(Default::default()).await.expect("a status");
    assert_eq!(status.drifted_credentials, ["kraken-main"]);

    let right = "Orders and trades - Create & modify orders";
    let (metadata, secret) = import([&rights[..], &[right]].concat());
    bed.vault.admin().await.import(metadata, secret).await.expect("imported");
    bot.sign(sign()).await.expect("its closure is true again");
    bed.vault.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_all_cancels_at_five_venues() {
    let bed = Bed::start(TRADER).await;
    let bot = bed.bot().await;
    let bybit = r#"{"category":"spot","symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"0.001","price":"50000"}"#;
    let coinbase = r#"{"client_order_id":"own-1","product_id":"BTC-USD","side":"BUY","order_configuration":{"limit_limit_gtc":{"base_size":"0.001","limit_price":"50000"}}}"#;
    let orders = [
        ("binance-main", binance_order("BTCUSDT", "0.001")),
        ("bybit-main", post("https://api.bybit.com/v5/order/create", bybit).expect("a URL")),
        (
            "coinbase-main",
            post("https://api.coinbase.com/api/v3/brokerage/orders", coinbase).expect("a URL"),
        ),
        ("kraken-main", kraken_order("XBTUSD", "0.001")),
        ("okx-main", okx_order("BTC-USDT", "0.001")),
    ];
    for (credential, order) in orders {
        let placed = bot.execute(execute(credential, order)).await.expect(credential);
        assert_eq!(placed.status, 200, "{credential}");
    }
    for (venue, name, key) in KEYS {
        assert_eq!(bed.mocks.open_orders(venue, key), 1, "{name}");
    }
    let admin = bed.vault.admin().await;
    let command = CancelAllCommand { target: "all".to_owned() };
    assert_eq!(reason(admin.cancel_all(command).await), "NOT_HALTED");

    // What the vault does of its own accord takes risk away, whatever is halted.
    halt(&bed, "all", HaltLevel::Nothing).await;
    let steps = cancel_all(&bed, "all").await;
    for (venue, name, key) in KEYS {
        assert_eq!(bed.mocks.open_orders(venue, key), 0, "{name}: {steps:?}");
        let credential = format!("{name}-main");
        let of = || steps.iter().filter(|step| step.credential == credential);
        assert!(
            of().any(|step| step.order_count == 1 && step.entry.is_some()),
            "{name}: {steps:?}"
        );
    }
    let stages = bed.logged(EntryKind::HaltCancelAll, 2).await;
    assert_eq!(stages[0].detail["stage"], "begun");
    assert_eq!(stages[1].detail["stage"], "done");
    bed.vault.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_venue_that_is_down_is_told_and_the_others_are_cancelled() {
    let wishes = Wishes { timeout_ms: Some(1_500), ..Default::default() };
    let bed = Bed::with(TRADER, wishes).await;
    let bot = bed.bot().await;
    bot.execute(execute("okx-main", okx_order("BTC-USDT", "0.001"))).await.expect("placed");
    bot.execute(execute("kraken-main", kraken_order("XBTUSD", "0.001"))).await.expect("placed");
    halt(&bed, "all", HaltLevel::NoNewRisk).await;
    bed.mocks.fault_at("/api/v5/", 1_000, Fault::Silence);

    let start = Instant::now();
    let steps = cancel_all(&bed, "all").await;
    assert!(start.elapsed() < Duration::from_secs(65), "no end");
    assert_eq!(bed.mocks.open_orders(Venue::Kraken, KRAKEN_KEY), 0, "{steps:?}");
    assert_eq!(bed.mocks.open_orders(Venue::Okx, OKX_KEY), 1);
    let mut okx = steps.iter().filter(|step| step.credential == "okx-main");
    assert!(okx.all(|step| !step.problem.is_empty()), "{steps:?}");

    bed.mocks.clear_faults();
    tokio::time::sleep(Duration::from_secs(2)).await;
    cancel_all(&bed, "venue:okx").await;
    assert_eq!(bed.mocks.open_orders(Venue::Okx, OKX_KEY), 0, "the same again does it");
    bed.vault.verify();
}
