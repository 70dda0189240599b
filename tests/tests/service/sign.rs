//! What a bot asks for: granted, denied, asked again.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use prost::Message as _;
use tonic::Code;
use vault_audit::{EntryKind, Outcome};
use vault_client::{SignOrder, v1};
use vault_tests::{
    KRAKEN_SCOPE, OKX_SCOPE, TestVault, kraken_balance, kraken_order, okx_balance, okx_batch,
    okx_cancel, okx_order, okx_post, okx_withdrawal, order, reason, receipt, wire,
};

use crate::{of_kind, sign};

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_signed_accepted_and_in_the_log() {
    let vault = TestVault::start().await;
    let mocks = vault.mocks();
    vault.import_okx("okx-main").await;
    vault.import_kraken("kraken-main").await;

    let okx = vault.bot("okx-bot", OKX_SCOPE, &[]).await;
    let first = sign(&okx, "okx-main", okx_order("BTC-USDT", "1")).await.expect("signed");
    assert!(first.usable_for.expect("an expiry") <= Duration::from_secs(30));
    let answer = mocks.accept(&first.request).await;
    let placed = answer["data"][0]["ordId"].as_str().expect("an order").to_owned();
    let cancel = okx_cancel("BTC-USDT", &placed);
    let cancel = sign(&okx, "okx-main", cancel).await.expect("signed");
    mocks.accept(&cancel.request).await;

    let kraken = vault.bot("kraken-bot", KRAKEN_SCOPE, &[]).await;
    let last = sign(&kraken, "kraken-main", kraken_order("XBTUSD", "1")).await.expect("signed");
    assert_eq!(last.usable_for, None);
    assert!(last.seq > cancel.seq && cancel.seq > first.seq);
    mocks.accept(&last.request).await;

    let report = vault.verify_with([&first, &cancel, &last].map(receipt).into());
    assert!(report.key_was_expected);
    let entries = vault.log_entries();
    let entry = &entries[usize::try_from(first.receipt.index).expect("small")];
    assert_eq!(entry.kind, EntryKind::Sign);
    assert_eq!(entry.seq, Some(first.seq));
    assert_eq!(entry.client.as_ref().map(|name| name.as_str()), Some("okx-bot"));
    assert_eq!(entry.operation.as_deref(), Some("POST /api/v5/trade/order"));
    assert_eq!(entry.legs.len(), 1);
    assert_eq!(entry.ip, Some(IpAddr::from(Ipv4Addr::LOCALHOST)));
    assert_eq!(of_kind(&entries, EntryKind::Sign).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_scope_does_not_grant_is_denied_with_its_reason() {
    let vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    let bot = vault.bot("bot", OKX_SCOPE, &[]).await;
    let transfer =
        okx_post("/api/v5/asset/transfer", r#"{"ccy":"BTC","amt":"1","from":"6","to":"18"}"#);
    for (request, reason, operation) in [
        (okx_withdrawal(), "CLASS_NOT_GRANTABLE", "POST /api/v5/asset/withdrawal"),
        (transfer, "CLASS_NOT_GRANTED", "POST /api/v5/asset/transfer"),
        (okx_order("DOGE-USDT", "1"), "SYMBOL_NOT_GRANTED", "POST /api/v5/trade/order"),
        (
            okx_batch(&["BTC-USDT", "ETH-USDT", "DOGE-USDT"]),
            "SYMBOL_NOT_GRANTED",
            "POST /api/v5/trade/batch-orders",
        ),
        (okx_order("BTC-USDT-SWAP", "1"), "PRODUCT_NOT_GRANTED", "POST /api/v5/trade/order"),
    ] {
        let error = sign(&bot, "okx-main", request).await.expect_err("denied");
        let refusal = error.refusal().expect("by the vault");
        assert_eq!(refusal.code, Code::PermissionDenied, "{refusal:?}");
        assert_eq!(refusal.reason, reason, "{refusal:?}");
        assert_eq!(refusal.operation, operation);
        assert!(!refusal.hint.is_empty());

        let index = usize::try_from(refusal.entry_index.expect("an entry")).expect("small");
        let entry = &vault.log_entries()[index];
        assert_eq!((entry.kind, entry.outcome), (EntryKind::SignDenied, Outcome::Denied));
        assert_eq!(entry.reason.as_deref(), Some(reason));
    }
    sign(&bot, "okx-main", okx_batch(&["BTC-USDT", "ETH-USDT"])).await.expect("granted");
    assert_eq!(of_kind(&vault.log_entries(), EntryKind::Sign).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_address_is_denied() {
    let vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    vault.bot_identity("narrow", OKX_SCOPE, &["127.0.0.2/32"]).await;
    let denying = OKX_SCOPE
        .replace("okx-demo", "okx-deny")
        .replace("[network]", "[network]\ndeny = [\"127.0.0.3/32\"]");
    vault.bot_identity("denied", &denying, &[]).await;
    let elsewhere =
        OKX_SCOPE.replace("okx-demo", "okx-else").replace("127.0.0.0/8", "192.0.2.0/24");
    vault.bot_identity("far", &elsewhere, &[]).await;

    for (name, from, expected) in [
        ("narrow", [127, 0, 0, 1], Some("CLIENT_NETWORK_NOT_ALLOWED")),
        ("narrow", [127, 0, 0, 2], None),
        ("denied", [127, 0, 0, 3], Some("NETWORK_DENIED")),
        ("denied", [127, 0, 0, 4], None),
        ("far", [127, 0, 0, 1], Some("NETWORK_NOT_ALLOWED")),
    ] {
        let identity = vault.identity(name);
        let tls = wire::tls(&identity, Some(&identity));
        let channel = wire::channel(tls, vault.ready().bot, Some(from.into())).await;
        let sign = v1::SignRequest {
            request_id: format!("from-{}", from[3]),
            credential: "okx-main".to_owned(),
            request: Some(okx_balance()),
        };
        let channel = channel.expect("connected");
        let answer = wire::call(&channel, "vault.v1.SignService/Sign", sign.encode_to_vec()).await;
        let reason = answer.err().map(|refused| refused.reason);
        assert_eq!(reason.as_deref(), expected, "{name} from {from:?}");
    }
    let entries = vault.log_entries();
    let seen: BTreeSet<_> = entries.iter().filter_map(|entry| entry.ip).collect();
    assert!(seen.contains(&IpAddr::from([127, 0, 0, 3])));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_id_is_answered_once() {
    let mut vault = TestVault::start().await;
    vault.import_kraken("kraken-main").await;
    let bot = vault.bot("bot", KRAKEN_SCOPE, &[]).await;
    let ask = |request: v1::VenueRequest| SignOrder {
        request_id: Some("order-1".to_owned()),
        ..order("kraken-main", request)
    };

    let first = bot.sign(ask(kraken_balance())).await.expect("signed");
    let again = bot.sign(ask(kraken_balance())).await.expect("the same answer");
    assert_eq!((again.seq, &again.receipt), (first.seq, &first.receipt));
    assert_eq!(again.request, first.request, "with the same nonce");
    assert_eq!(again.usable_for, first.usable_for);
    let other = bot.sign(ask(kraken_order("XBTUSD", "1"))).await;
    assert_eq!(reason(other), "REQUEST_ID_REUSED");
    assert_eq!(of_kind(&vault.log_entries(), EntryKind::Sign).len(), 1);

    vault.restart().await;
    let bot = vault.connect_bot("bot").await;
    for request in [kraken_balance(), kraken_order("XBTUSD", "1")] {
        let error = bot.sign(ask(request)).await.expect_err("the answer is gone");
        let refusal = error.refusal().expect("by the vault");
        assert_eq!(refusal.reason, "OUTCOME_UNKNOWN");
        assert_eq!(refusal.entry_index, Some(first.receipt.index), "where it was decided");
    }
    assert_eq!(of_kind(&vault.log_entries(), EntryKind::Sign).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_rises_through_restarts_and_belongs_to_one_client() {
    let mut vault = TestVault::start().await;
    vault.import_kraken("kraken-main").await;
    let mocks = vault.mocks();
    let bot = vault.bot("bot", KRAKEN_SCOPE, &[]).await;
    for _ in 0..3 {
        let signed = sign(&bot, "kraken-main", kraken_balance()).await.expect("signed");
        mocks.accept(&signed.request).await;
    }
    // Set back by an hour, the clock must not lead to a nonce that was used.
    vault.set_clock_offset_s(-3_600);
    vault.restart().await;
    let bot = vault.connect_bot("bot").await;
    for _ in 0..3 {
        let signed = sign(&bot, "kraken-main", kraken_balance()).await.expect("signed");
        mocks.accept(&signed.request).await;
    }

    let second = vault.bot("second", KRAKEN_SCOPE, &[]).await;
    let error = sign(&second, "kraken-main", kraken_balance()).await.expect_err("leased");
    let refusal = error.refusal().expect("by the vault");
    assert_eq!(refusal.reason, "CREDENTIAL_LEASED");
    let retry = refusal.retry_after.expect("said");
    assert!(retry <= Duration::from_secs(10));
    tokio::time::sleep(retry + Duration::from_millis(50)).await;
    let signed = sign(&second, "kraken-main", kraken_balance()).await.expect("signed");
    mocks.accept(&signed.request).await;

    let entries = vault.log_entries();
    let nonces: Vec<u64> = of_kind(&entries, EntryKind::Sign)
        .iter()
        .map(|entry| entry.nonce.as_deref().and_then(|n| n.parse().ok()).expect("a nonce"))
        .collect();
    assert_eq!(nonces.len(), 7);
    assert!(nonces.is_sorted_by(|a, b| a < b), "{nonces:?}");
}
