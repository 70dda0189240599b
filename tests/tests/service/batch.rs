//! Many Signs in one call.

use std::collections::BTreeSet;

use prost::Message as _;
use vault_audit::EntryKind;
use vault_client::{SignOrder, v1};
use vault_tests::{OKX_SCOPE, TestVault, okx_order, order, receipt, wire};

use crate::of_kind;

fn named(id: &str, symbol: &str, size: &str) -> SignOrder {
    SignOrder { request_id: Some(id.to_owned()), ..order("okx-main", okx_order(symbol, size)) }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_a_batch_is_judged_and_logged_for_itself() {
    let vault = TestVault::start().await;
    let mocks = vault.mocks();
    vault.import_okx("okx-main").await;
    let bot = vault.bot("bot", OKX_SCOPE, &[]).await;
    let mut orders: Vec<_> =
        (0..62).map(|number| named(&format!("b-{number}"), "BTC-USDT", "1")).collect();
    orders.insert(1, named("denied", "DOGE-USDT", "1"));
    // Asked twice in one batch: it is the same answer, counted once.
    orders.push(named("b-0", "BTC-USDT", "1"));

    let outcomes = bot.sign_batch(orders).await.expect("answered");
    assert_eq!(outcomes.len(), 64);
    let ids: Vec<_> = outcomes.iter().map(|outcome| outcome.request_id.as_str()).collect();
    assert_eq!((ids[0], ids[1], ids[2], ids[62], ids[63]), ("b-0", "denied", "b-1", "b-61", "b-0"));
    let refused = outcomes[1].result.as_ref().expect_err("not granted");
    let refusal = refused.refusal().expect("by the vault");
    assert_eq!(refusal.code, tonic::Code::PermissionDenied);
    assert_eq!(refusal.reason, "SYMBOL_NOT_GRANTED");
    assert!(refusal.entry_index.is_some() && !refusal.hint.is_empty(), "{refusal:?}");

    let signed: Vec<_> =
        outcomes.iter().filter_map(|outcome| outcome.result.as_ref().ok()).collect();
    assert_eq!(signed.len(), 63);
    assert!(signed[..62].is_sorted_by_key(|signed| signed.seq), "in their order");
    assert_eq!((signed[62].seq, &signed[62].receipt), (signed[0].seq, &signed[0].receipt));
    assert_eq!(of_kind(&vault.log_entries(), EntryKind::Sign).len(), 62);
    mocks.accept(&signed[61].request).await;
    vault.verify_with(signed.iter().map(|signed| receipt(signed)).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_none_or_too_many_is_refused() {
    let vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    let bot = vault.bot("bot", OKX_SCOPE, &[]).await;
    for count in [0, 257] {
        // As short as they come: a message has 64 KiB.
        let orders =
            vec![SignOrder { request_id: Some(String::new()), ..SignOrder::default() }; count];
        let refused = bot.sign_batch(orders).await.expect_err("refused");
        assert_eq!(refused.refusal().expect("by the vault").reason, "BATCH_SIZE", "{count}");
    }
    let most = (0..256).map(|_| SignOrder::default()).collect();
    let outcomes = bot.sign_batch(most).await.expect("answered");
    assert_eq!(outcomes.len(), 256);
    for outcome in outcomes {
        let refused = outcome.result.expect_err("names no credential");
        assert_eq!(refused.refusal().expect("by the vault").reason, "NOT_FOUND");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_answers_each_order_until_it_ends() {
    let vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    let bot = vault.bot("bot", OKX_SCOPE, &[]).await;
    let (sender, mut stream) = bot.sign_stream().await.expect("a stream");
    let sending = tokio::spawn(async move {
        for number in 0..500 {
            let symbol = if number % 100 == 7 { "DOGE-USDT" } else { "BTC-USDT" };
            let sent = sender.send(named(&format!("s-{number}"), symbol, "1")).await;
            assert_eq!(sent.expect("sent"), format!("s-{number}"));
        }
    });
    let (mut signed, mut refused) = (BTreeSet::new(), BTreeSet::new());
    while let Some(outcome) = stream.next().await.expect("goes on") {
        match outcome.result {
            Ok(answer) => {
                assert_eq!(answer.request_id, outcome.request_id);
                assert!(signed.insert(outcome.request_id), "answered once");
            }
            Err(error) => {
                assert_eq!(error.refusal().expect("by the vault").reason, "SYMBOL_NOT_GRANTED");
                assert!(refused.insert(outcome.request_id), "answered once");
            }
        }
    }
    sending.await.expect("all sent");
    assert_eq!((signed.len(), refused.len()), (495, 5));
    assert_eq!(of_kind(&vault.log_entries(), EntryKind::Sign).len(), 495);
    vault.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_when_its_client_is_revoked_and_nothing_is_released_after() {
    let vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    let bot = vault.bot("bot", OKX_SCOPE, &[]).await;
    let (sender, mut stream) = bot.sign_stream().await.expect("a stream");
    sender.send(named("before", "BTC-USDT", "1")).await.expect("sent");
    let first = stream.next().await.expect("goes on").expect("an outcome");
    first.result.expect("signed");

    let revoke = v1::RevokeClientCommand { name: "bot".to_owned(), reason: "test".to_owned() };
    vault.admin().await.revoke_client(revoke).await.expect("revoked");
    // Whatever is sent now: the connection is cut, and the log has no signature behind the revocation.
    let _ = sender.send(named("after", "BTC-USDT", "1")).await;
    let ended = stream.next().await;
    assert!(!matches!(ended, Ok(Some(ref outcome)) if outcome.result.is_ok()), "{ended:?}");
    assert_eq!(of_kind(&vault.log_entries(), EntryKind::Sign).len(), 1, "of the first alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_is_not_well_formed_is_not_said_again() {
    let vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    let identity = vault.bot_identity("bot", OKX_SCOPE, &[]).await;
    let channel = wire::channel(wire::tls(&identity, Some(&identity)), vault.ready().bot, None);
    let channel = channel.await.expect("connected");
    let bad = v1::SignRequest {
        request_id: "with spaces \u{202e}".to_owned(),
        credential: "okx-main".to_owned(),
        request: Some(okx_order("BTC-USDT", "1")),
    };
    let answer = wire::call(&channel, "vault.v1.SignService/SignStream", bad.encode_to_vec()).await;
    let result = v1::SignResult::decode(answer.expect("answered").as_slice()).expect("a result");
    assert_eq!(result.request_id, "");
    let Some(v1::sign_result::Result::Failure(failure)) = result.result else {
        panic!("signed");
    };
    assert_eq!(failure.reason, "BAD_FIELD");
}
