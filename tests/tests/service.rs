//! The life of the product, through the real binary.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use prost::Message as _;
use tonic::Code;
use vault_audit::{Entry, EntryKind, Outcome};
use vault_client::{Client, ClientError, SecretBytes, SignOrder, Signed, v1};
use vault_tests::{
    KRAKEN_SCOPE, OKX_SCOPE, PASSPHRASE, TestVault, kraken_balance, kraken_order, okx_balance,
    okx_batch, okx_cancel, okx_metadata, okx_order, okx_post, okx_secret,
    okx_withdrawal, order, reason, receipt, scope, wire,
};

const DAY_S: i64 = 24 * 3_600;

async fn sign(
    bot: &Client,
    credential: &str,
    request: v1::VenueRequest,
) -> Result<Signed, ClientError> {
    bot.sign(order(credential, request)).await
}

/// Signs; if the connection had been cut, once more on a new one.
async fn sign_anew(
    bot: &Client,
    credential: &str,
    request: v1::VenueRequest,
) -> Result<Signed, ClientError> {
    match sign(bot, credential, request.clone()).await {
        Err(error) if error.refusal().is_none() => sign(bot, credential, request).await,
        other => other,
    }
}

fn halt_on(target: &str, level: v1::HaltLevel) -> v1::HaltCommand {
    v1::HaltCommand { level: level.into(), target: target.to_owned(), reason: "a test".to_owned() }
}

fn resume_on(target: &str) -> v1::ResumeCommand {
    v1::ResumeCommand { target: target.to_owned() }
}

fn of_kind(entries: &[Entry], kind: EntryKind) -> Vec<&Entry> {
    entries.iter().filter(|entry| entry.kind == kind).collect()
}

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
    let transfer = okx_post(
        "/api/v5/asset/transfer",
        r#"{"ccy":"BTC","amt":"1","from":"6","to":"18"}"#,
    );
    for (request, reason, operation) in [
        (okx_withdrawal(), "CLASS_NOT_GRANTABLE", "POST /api/v5/asset/withdrawal"),
        (transfer, "CLASS_NOT_GRANTED", "POST /api/v5/asset/transfer"),
        (okx_order("DOGE-USDT", "1"), "SYMBOL_NOT_GRANTED", "POST /api/v5/trade/order"),
        (
            okx_batch(&["BTC-USDT", "ETH-USDT", "DOGE-USDT"]),
            "SYMBOL_NOT_GRANTED",
            "POST /api/v5/trade/batch-orders",
        ),
        (
            okx_order("BTC-USDT-SWAP", "1"),
            "PRODUCT_NOT_GRANTED",
            "POST /api/v5/trade/order",
        ),
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
async fn a_halt_stops_its_target_and_nothing_else() {
    let vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    vault.import_kraken("kraken-main").await;
    let okx = vault.bot("okx-bot", OKX_SCOPE, &[]).await;
    let kraken = vault.bot("kraken-bot", KRAKEN_SCOPE, &[]).await;
    let (admin, guard) = (vault.admin().await, vault.guard().await);
    let okx_orders = || sign(&okx, "okx-main", okx_order("BTC-USDT", "1"));
    let kraken_orders = || sign(&kraken, "kraken-main", kraken_order("XBTUSD", "1"));

    for (target, stops_kraken) in [
        ("all", true),
        ("venue:okx", false),
        ("credential:okx-main", false),
        ("client:okx-bot", false),
    ] {
        let before = okx_orders().await.expect("no halt yet");
        let answer = guard.halt(halt_on(target, v1::HaltLevel::NoNewRisk)).await.expect("halted");
        let change = answer.change.expect("a change");
        assert_eq!(change.state(), v1::ChangeState::Applied);
        assert!(change.seq > before.seq);
        let outstanding = answer.outstanding.expect("said");
        assert!((1..=30_000).contains(&outstanding.usable_for_ms), "{outstanding:?}");

        assert_eq!(reason(okx_orders().await), "HALT_NO_NEW_RISK", "{target}");
        sign(&okx, "okx-main", okx_cancel("BTC-USDT", "1")).await.expect("a cancel passes");
        sign(&okx, "okx-main", okx_balance()).await.expect("a read passes");
        match stops_kraken {
            true => assert_eq!(reason(kraken_orders().await), "HALT_NO_NEW_RISK"),
            false => drop(kraken_orders().await.expect("another target")),
        }

        let again = guard.halt(halt_on(target, v1::HaltLevel::NoNewRisk)).await;
        assert_eq!(reason(again), "ALREADY_SO");
        guard.halt(halt_on(target, v1::HaltLevel::Nothing)).await.expect("stricter");
        assert_eq!(reason(sign(&okx, "okx-main", okx_balance()).await), "HALT_NOTHING");
        let weaker = guard.halt(halt_on(target, v1::HaltLevel::NoNewRisk)).await;
        assert_eq!(reason(weaker), "ALREADY_SO", "a guard never halts less");
        let halts = guard.halt_status(v1::HaltStatusCommand {}).await.expect("a list").halts;
        let [halt] = halts.as_slice() else { panic!("one halt: {halts:?}") };
        assert_eq!((halt.target.as_str(), halt.level()), (target, v1::HaltLevel::Nothing));
        assert_eq!((halt.by.as_str(), halt.reason.as_str()), ("guard", "a test"));

        assert_eq!(reason(guard.resume(resume_on(target)).await), "ROLE");
        admin.resume(resume_on(target)).await.expect("resumed");
        assert_eq!(reason(admin.resume(resume_on(target)).await), "NOT_FOUND");
    }
    okx_orders().await.expect("all resumed");
    for target in ["venue:nowhere", "credential:none", "client:none"] {
        let halt = guard.halt(halt_on(target, v1::HaltLevel::Nothing)).await;
        assert_eq!(reason(halt), "NOT_FOUND", "{target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_bot_signs_nothing_more() {
    let vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    let bot = vault.bot("bot", OKX_SCOPE, &[]).await;
    let other = vault.bot("other", OKX_SCOPE, &[]).await;
    let pending = vault.invite("bot", v1::Role::Bot, "okx-demo", &[]).await;
    let last = sign(&bot, "okx-main", okx_balance()).await.expect("signed");

    let admin = vault.admin().await;
    let revoke =
        v1::RevokeClientCommand { name: "bot".to_owned(), reason: "it leaked".to_owned() };
    let answer = admin.revoke_client(revoke.clone()).await.expect("revoked");
    assert!(answer.change.expect("a change").seq > last.seq);
    assert!(answer.outstanding.expect("said").usable_for_ms > 0);

    let refused = sign_anew(&bot, "okx-main", okx_balance()).await;
    assert_eq!(reason(refused), "CERTIFICATE_REVOKED");
    assert_eq!(reason(vault.identity("bot").renew().await), "CERTIFICATE_REVOKED");
    // A token that was out must not let it in again.
    assert_eq!(reason(vault.enroll("bot-again", &pending).await), "INVITATION_PROOF");
    assert_eq!(reason(admin.revoke_client(revoke).await), "ALREADY_SO");
    sign(&other, "okx-main", okx_balance()).await.expect("another client");

    let describe = v1::DescribeClientCommand { name: "bot".to_owned() };
    let info = admin.describe_client(describe).await.expect("there").client.expect("said");
    assert_eq!(info.state, "revoked");
    assert!(info.revoked_at_ms > 0);
    assert!(info.certificates.iter().all(|certificate| certificate.state == "revoked"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_gives_a_new_key_and_the_bot_goes_on() {
    let vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    let bot = vault.bot("bot", OKX_SCOPE, &[]).await;
    let before = vault.identity("bot");

    bot.renew().await.expect("renewed");
    let after = vault.identity("bot");
    assert_ne!(before.serial(), after.serial());
    assert_eq!(bot.identity().serial(), after.serial());
    sign(&bot, "okx-main", okx_balance()).await.expect("signed");

    let admin = vault.admin().await;
    let describe = v1::DescribeClientCommand { name: "bot".to_owned() };
    let info = admin.describe_client(describe).await.expect("there").client.expect("said");
    let states: BTreeSet<_> = info.certificates.iter().map(|c| c.state.as_str()).collect();
    assert_eq!(states, ["active", "superseded"].into());

    let guard = vault.identity("guard").renew().await.expect("operators renew too");
    assert_eq!(guard.serial(), vault.identity("guard").serial());
    vault.pricer("pricer").await.renew().await.expect("pricers renew too");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_bot_may_renew_for_seven_days() {
    let mut vault = TestVault::builder().clock_offset_s(-2 * DAY_S).start().await;
    vault.bot_identity("bot", OKX_SCOPE, &[]).await;
    vault.bot_identity("forgotten", OKX_SCOPE, &[]).await;
    vault.set_clock_offset_s(0);
    vault.restart().await;
    vault.import_okx("okx-main").await;

    let identity = vault.identity("bot");
    let tls = wire::tls(&identity, Some(&identity));
    let channel = wire::channel(tls, vault.ready().bot, None).await.expect("connected");
    let expired = v1::SignRequest {
        request_id: "r".to_owned(),
        credential: "okx-main".to_owned(),
        request: Some(okx_balance()),
    };
    let answer = wire::call(&channel, "vault.v1.SignService/Sign", expired.encode_to_vec()).await;
    assert_eq!(answer.expect_err("expired").reason, "CERTIFICATE_EXPIRED");
    let renewed = identity.renew().await.expect("renewed");
    let bot = Client::connect(renewed).await.expect("connected");
    sign(&bot, "okx-main", okx_balance()).await.expect("signed");

    // One that nobody looked after renews by itself.
    let bot = vault.connect_bot("forgotten").await;
    let old = *bot.identity().serial();
    let until = std::time::Instant::now() + Duration::from_secs(20);
    while bot.identity().serial() == &old {
        assert!(std::time::Instant::now() < until, "not renewed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    sign(&bot, "okx-main", okx_balance()).await.expect("signed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_expired_long_ago_cannot_renew() {
    let mut vault = TestVault::builder().clock_offset_s(-9 * DAY_S).start().await;
    vault.bot_identity("bot", OKX_SCOPE, &[]).await;
    vault.set_clock_offset_s(0);
    vault.restart().await;

    let error = vault.identity("bot").renew().await.expect_err("too late");
    assert!(matches!(error, ClientError::CertificateRefused(_)), "{error:?}");
    // An admin lets it in again.
    let token = vault.invite("bot", v1::Role::Bot, "okx-demo", &[]).await;
    vault.enroll("bot-again", &token).await.expect("enrolled");
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

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_holds_from_the_next_request_on() {
    let vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    let bot = vault.bot("bot", OKX_SCOPE, &[]).await;
    let admin = vault.admin().await;
    let put = |toml: &str, expected_revision| {
        admin.put_scope(v1::PutScopeCommand { scope: Some(scope(toml)), expected_revision })
    };
    sign(&bot, "okx-main", okx_order("ETH-USDT", "1")).await.expect("granted");

    let narrow = OKX_SCOPE.replace(r#""BTC-USDT", "ETH-USDT""#, r#""BTC-USDT""#);
    let answer = put(&narrow, 1).await.expect("narrowed");
    assert_eq!((answer.revision, answer.widens, answer.narrows), (2, false, true));
    assert!(answer.outstanding.expect("said").usable_for_ms > 0);
    let denied = sign(&bot, "okx-main", okx_order("ETH-USDT", "1")).await;
    assert_eq!(reason(denied), "SYMBOL_NOT_GRANTED");
    sign(&bot, "okx-main", okx_order("BTC-USDT", "1")).await.expect("still granted");

    assert_eq!(reason(put(OKX_SCOPE, 1).await), "REVISION_CONFLICT");
    let answer = put(OKX_SCOPE, 2).await.expect("widened");
    assert_eq!((answer.revision, answer.widens, answer.narrows), (3, true, false));
    sign(&bot, "okx-main", okx_order("ETH-USDT", "1")).await.expect("granted again");

    let name = || "okx-demo".to_owned();
    let get = admin.scope(v1::GetScopeCommand { name: name() }).await.expect("there");
    let info = get.scope.expect("said");
    assert_eq!((info.revision, info.clients), (3, vec!["bot".to_owned()]));
    assert_eq!(info.scope, Some(scope(OKX_SCOPE)));
    let delete = v1::DeleteScopeCommand { name: name() };
    assert_eq!(reason(admin.delete_scope(delete.clone()).await), "SCOPE_IN_USE");
    let revoke = v1::RevokeClientCommand { name: "bot".to_owned(), reason: String::new() };
    admin.revoke_client(revoke).await.expect("revoked");
    admin.delete_scope(delete).await.expect("deleted");
    assert_eq!(reason(admin.scope(v1::GetScopeCommand { name: name() }).await), "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_says_what_sign_would_and_signs_nothing() {
    let vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    vault.bot_identity("bot", OKX_SCOPE, &[]).await;
    let admin = vault.admin().await;
    let state_rev = vault.state_rev();
    let explain = |request: v1::VenueRequest, address: &str| {
        admin.explain(v1::ExplainCommand {
            client: "bot".to_owned(),
            credential: "okx-main".to_owned(),
            mode: String::new(),
            request: Some(request),
            address: address.to_owned(),
        })
    };

    let yes = explain(okx_order("BTC-USDT", "0.5"), "127.0.0.1").await.expect("explained");
    assert!(yes.allowed && yes.reason.is_empty(), "{yes:?}");
    let stated = yes.closure.first().expect("the stated operation");
    assert_eq!(stated.operation, "POST /api/v5/trade/order");
    assert_eq!((stated.class.as_str(), stated.symbols.as_slice()), ("trade", ["BTC-USDT".to_owned()].as_slice()));
    assert_eq!(stated.legs[0].quantity, "0.5");
    assert_eq!(yes.closure_hash.len(), 32);
    for (request, address, reason) in [
        (okx_order("DOGE-USDT", "1"), "127.0.0.1", "SYMBOL_NOT_GRANTED"),
        (okx_withdrawal(), "127.0.0.1", "CLASS_NOT_GRANTABLE"),
        (okx_balance(), "192.0.2.1", "NETWORK_NOT_ALLOWED"),
        (okx_post("/api/v5/trade/order", "{}"), "127.0.0.1", "PARAMETER_MISSING"),
    ] {
        let no = explain(request, address).await.expect("explained");
        assert!(!no.allowed, "{no:?}");
        assert_eq!(no.reason, reason);
    }
    assert_eq!(of_kind(&vault.log_entries(), EntryKind::Sign).len(), 0);
    assert_eq!(vault.state_rev(), state_rev);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_is_disabled_enabled_and_replaced() {
    let vault = TestVault::start().await;
    let mocks = vault.mocks();
    let admin = vault.admin().await;
    // The first version has a secret that the venue does not know.
    let stale = v1::CredentialSecret { secret: b"an-older-secret".to_vec(), ..okx_secret() };
    let answer = admin.import(okx_metadata("okx-main"), stale).await.expect("imported");
    assert_eq!(answer.version, 1);
    let bot = vault.bot("bot", OKX_SCOPE, &[]).await;
    let signed = sign(&bot, "okx-main", okx_balance()).await.expect("signed");
    assert_eq!(mocks.send(&signed.request).await.0, 401);

    let name = || "okx-main".to_owned();
    let disable = v1::DisableCredentialCommand { name: name() };
    let answer = admin.disable_credential(disable.clone()).await.expect("disabled");
    assert!(answer.outstanding.expect("said").usable_for_ms > 0);
    let refused = sign(&bot, "okx-main", okx_balance()).await;
    assert_eq!(reason(refused), "CREDENTIAL_DISABLED");
    assert_eq!(reason(admin.disable_credential(disable).await), "ALREADY_SO");

    assert_eq!(vault.import_okx("okx-main").await.version, 2);
    let describe = v1::DescribeCredentialCommand { name: name() };
    let info = admin.describe_credential(describe).await.expect("there");
    assert_eq!(info.scopes, ["okx-demo"]);
    assert_eq!(info.credential.expect("said").version, 2);
    let enabled = admin.enable_credential(v1::EnableCredentialCommand { name: name() }).await;
    if let Err(error) = enabled {
        // An import may have enabled it already; nothing else may stand in the way.
        assert_eq!(error.refusal().map(|refusal| refusal.reason.as_str()), Some("ALREADY_SO"));
    }
    let signed = sign(&bot, "okx-main", okx_balance()).await.expect("signed");
    mocks.accept(&signed.request).await;

    let demo = v1::CredentialMetadata { environment: "demo".to_owned(), ..okx_metadata("okx-main") };
    assert_eq!(reason(admin.import(demo, okx_secret()).await), "CREDENTIAL_DIFFERS");
    let undisclosed =
        v1::CredentialMetadata { disclose_passphrase: false, ..okx_metadata("okx-main") };
    admin.import(undisclosed, okx_secret()).await.expect("imported");
    let refused = sign(&bot, "okx-main", okx_balance()).await;
    assert_eq!(reason(refused), "PASSPHRASE_NOT_DISCLOSED");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_of_a_key_bound_what_it_signs() {
    let vault = TestVault::start().await;
    let admin = vault.admin().await;
    let readonly = v1::CredentialMetadata {
        rights: vec!["read_only".to_owned()],
        rights_stated: true,
        ..okx_metadata("okx-main")
    };
    admin.import(readonly, okx_secret()).await.expect("imported");
    let bot = vault.bot("bot", OKX_SCOPE, &[]).await;

    sign(&bot, "okx-main", okx_balance()).await.expect("held");
    let order = sign(&bot, "okx-main", okx_order("BTC-USDT", "1")).await;
    assert_eq!(reason(order), "RIGHT_NOT_HELD");
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_come_and_go_but_for_the_last_admin() {
    let vault = TestVault::start().await;
    let admin = vault.admin().await;
    let revoke = |name: &str| v1::RevokeOperatorCommand { name: name.to_owned() };
    assert_eq!(reason(admin.revoke_operator(revoke("admin")).await), "LAST_ADMIN");

    let invited = vault.invite_operator("second", v1::Role::Admin).await;
    let listed = admin.list_operators(v1::ListOperatorsCommand {}).await.expect("a list");
    let state = |list: &v1::ListOperatorsResponse, name: &str| {
        list.operators.iter().find(|operator| operator.name == name).map(|o| o.state.clone())
    };
    assert_eq!(state(&listed, "second").as_deref(), Some("invited"));
    // Invited is not enrolled: nobody would be left.
    assert_eq!(reason(admin.revoke_operator(revoke("admin")).await), "LAST_ADMIN");

    vault.enroll("second", &invited).await.expect("enrolled");
    let second = vault.connect("second").await;
    second.revoke_operator(revoke("admin")).await.expect("there is another admin");
    let listed = second.list_operators(v1::ListOperatorsCommand {}).await.expect("a list");
    assert_eq!(state(&listed, "admin").as_deref(), Some("revoked"));
    assert_eq!(state(&listed, "second").as_deref(), Some("active"));
    assert_eq!(reason(second.revoke_operator(revoke("second")).await), "LAST_ADMIN");
    second.revoke_operator(revoke("guard")).await.expect("revoked");
    assert_eq!(reason(second.revoke_operator(revoke("nobody")).await), "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_locked_out_comes_back_over_the_local_socket() {
    let mut vault = TestVault::start().await;
    let data = vault.data();
    let data = data.to_str().expect("plain");
    let reissue = |vault: &TestVault, name: &str| {
        vault.server_command(&["operator", "reissue", name, "--data", data], None)
    };
    let output = reissue(&vault, "admin");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let token = answer["token"].as_str().expect("a token");
    let token = vault_proto::token::Token::decode(token).expect("a token");
    let identity = vault.enroll("admin-again", &token).await.expect("enrolled");
    assert_eq!((identity.name(), identity.role()), ("admin", v1::Role::Admin));
    let again = vault.connect("admin-again").await;
    again.list_clients(v1::ListClientsCommand {}).await.expect("an admin");

    assert!(!reissue(&vault, "nobody").status.success());
    again.seal(v1::SealCommand {}).await.expect("sealed");
    vault.restarted().await;
    assert!(!reissue(&vault, "admin").status.success(), "sealed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_is_sealed_and_opened_again() {
    let mut vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    let bot = vault.bot("bot", OKX_SCOPE, &[]).await;
    sign(&bot, "okx-main", okx_balance()).await.expect("signed");
    let state_rev = vault.state_rev();

    vault.guard().await.seal(v1::SealCommand {}).await.expect("sealed");
    assert_eq!(vault.restarted().await.state, "sealed");
    let refused = sign_anew(&bot, "okx-main", okx_balance()).await;
    assert_eq!(reason(refused), "SEALED");
    let admin = vault.admin().await;
    let status = admin.status(v1::StatusCommand {}).await.expect("a status");
    assert_eq!(status.state(), v1::SealState::Sealed);
    assert!(status.development);
    let passphrase = SecretBytes::new(PASSPHRASE.into());
    assert_eq!(reason(vault.guard().await.unseal(&passphrase).await), "ROLE");
    let opened = admin.unseal(&passphrase).await.expect("unsealed");
    assert_eq!(opened.state_rev, state_rev);
    assert_eq!(reason(admin.unseal_sealed(v1::UnsealCommand::default()).await), "ALREADY_UNSEALED");
    sign_anew(&bot, "okx-main", okx_balance()).await.expect("signed");

    let entries = vault.log_entries();
    assert_eq!(of_kind(&entries, EntryKind::Seal).len(), 1);
    assert_eq!(of_kind(&entries, EntryKind::Unseal).len(), 2);
    vault.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_halts_and_revocations() {
    let mut vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    let halted = vault.bot("halted", OKX_SCOPE, &[]).await;
    let revoked = vault.bot("revoked", OKX_SCOPE, &[]).await;
    for bot in [&halted, &revoked] {
        sign(bot, "okx-main", okx_balance()).await.expect("signed");
    }
    let admin = vault.admin().await;
    admin.halt(halt_on("client:halted", v1::HaltLevel::Nothing)).await.expect("halted");
    let revoke = v1::RevokeClientCommand { name: "revoked".to_owned(), reason: String::new() };
    admin.revoke_client(revoke).await.expect("revoked");
    let state_rev = vault.state_rev();

    vault.restart().await;
    assert_eq!(vault.state_rev(), state_rev);
    let halted = vault.connect_bot("halted").await;
    assert_eq!(reason(sign(&halted, "okx-main", okx_balance()).await), "HALT_NOTHING");
    let revoked = vault.connect_bot("revoked").await;
    assert_eq!(reason(sign_anew(&revoked, "okx-main", okx_balance()).await), "CERTIFICATE_REVOKED");

    // Through a crash as well.
    let status = vault.kill_core().await;
    assert!(!status.success());
    vault.run_and_unseal().await;
    let halted = vault.connect_bot("halted").await;
    assert_eq!(reason(sign(&halted, "okx-main", okx_balance()).await), "HALT_NOTHING");
    vault.admin().await.resume(resume_on("client:halted")).await.expect("resumed");
    sign(&halted, "okx-main", okx_balance()).await.expect("signed");
    vault.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_file_opens_the_vault_at_every_start_but_not_after_a_seal() {
    let mut vault = TestVault::builder().key_file().start().await;
    assert_eq!(vault.ready().state, "unsealed");
    vault.stop().await;
    assert_eq!(vault.run().await.state, "unsealed");

    vault.admin().await.seal(v1::SealCommand {}).await.expect("sealed");
    assert_eq!(vault.restarted().await.state, "sealed", "a person sealed it, a person opens it");
    vault.unseal();
    vault.stop().await;

    // Another file opens nothing; the vault runs on, sealed, and the passphrase still opens it.
    std::fs::write(vault.root().join("unseal.key"), [7; 64]).expect("written");
    assert_eq!(vault.run().await.state, "sealed");
    let slots = vault.local().status().slots;
    let kinds: Vec<_> = slots.iter().map(|slot| slot.kind.as_str()).collect();
    assert_eq!(kinds, ["passphrase", "key_file"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_exports_follows_and_verifies_the_log() {
    let vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    let bot = vault.bot("bot", OKX_SCOPE, &[]).await;
    let mut signed = Vec::new();
    for _ in 0..20 {
        signed.push(sign(&bot, "okx-main", okx_balance()).await.expect("signed"));
    }
    let auditor = vault.auditor().await;

    let follow = v1::TailCommand { from_index: 0, from_end: true };
    let mut tail = auditor.tail(follow).await.expect("a tail");
    let next = sign(&bot, "okx-main", okx_balance()).await.expect("signed");
    let found = async {
        loop {
            let message = tail.next().await.expect("open").expect("no end");
            let last = message.first_index + message.entries.len() as u64;
            if (message.first_index..last).contains(&next.receipt.index) {
                let at = usize::try_from(next.receipt.index - message.first_index).expect("small");
                break Entry::from_line(&message.entries[at]).expect("an entry");
            }
        }
    };
    let entry = tokio::time::timeout(Duration::from_secs(20), found).await.expect("in time");
    assert_eq!(entry.seq, Some(next.seq));

    let mut export = auditor.export(v1::ExportCommand::default()).await.expect("an export");
    let (mut lines, mut checkpoint) = (Vec::new(), None);
    while let Some(message) = export.next().await.expect("open") {
        assert_eq!(checkpoint, None, "the checkpoint comes last");
        if !message.entries.is_empty() {
            assert_eq!(message.first_index, lines.len() as u64);
        }
        lines.extend(message.entries);
        checkpoint = message.checkpoint;
    }
    let checkpoint = checkpoint.expect("a checkpoint");
    assert_eq!(checkpoint.log_vkey, vault.made().log_vkey);
    let folder = vault.root().join("export");
    std::fs::create_dir(&folder).expect("made");
    let text: Vec<u8> = lines.iter().flat_map(|line| [line, b"\n".as_slice()].concat()).collect();
    std::fs::write(folder.join("entries.jsonl"), &text).expect("written");
    std::fs::write(folder.join("checkpoint"), &checkpoint.note).expect("written");
    std::fs::write(folder.join("log.vkey"), format!("{}\n", checkpoint.log_vkey)).expect("written");
    let proof = folder.join("receipt.json");
    let text = serde_json::to_string(&receipt(&signed[3])).expect("JSON");
    std::fs::write(&proof, text).expect("written");
    let (folder, proof) = (folder.to_str().expect("plain"), proof.to_str().expect("plain"));
    let vkey = vault.made().log_vkey.clone();
    let verify = |proof: &str| {
        let words = ["audit", "verify", folder, "--vkey", &vkey, "--receipt", proof];
        vault.server_command(&words, None)
    };
    let output = verify(proof);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["verified"], true);
    assert_eq!(report["receipts"], 1);
    // A receipt that is not of this log must not pass.
    let other = std::fs::read_to_string(proof).expect("read").replace("\"index\":", "\"index\":1");
    std::fs::write(proof, other).expect("written");
    assert!(!verify(proof).status.success());

    let checkpoint = auditor.checkpoint(v1::GetCheckpointCommand {}).await.expect("a checkpoint");
    assert_eq!(checkpoint.checkpoint.expect("said").log_vkey, vkey);
    let beyond = v1::ExportCommand { from_index: 1 << 40, to_index: 0 };
    assert!(auditor.export(beyond).await.is_err());

    let revoke = v1::RevokeOperatorCommand { name: "auditor".to_owned() };
    vault.admin().await.revoke_operator(revoke).await.expect("revoked");
    let ended = async { while let Ok(Some(_)) = tail.next().await {} };
    let in_time = tokio::time::timeout(Duration::from_secs(20), ended).await;
    in_time.expect("a revoked auditor follows nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_exported_and_verified_without_a_server() {
    let mut vault = TestVault::builder().segment_bytes(65_536).start().await;
    vault.import_okx("okx-main").await;
    let bot = vault.bot("bot", OKX_SCOPE, &[]).await;
    for _ in 0..150 {
        sign(&bot, "okx-main", okx_balance()).await.expect("signed");
    }
    vault.stop().await;
    let segments = std::fs::read_dir(vault.data().join("audit")).expect("a folder");
    let segments = segments.filter(|file| {
        file.as_ref().expect("listed").file_name().to_string_lossy().ends_with(".seg")
    });
    assert!(segments.count() > 2, "the log went over several segments");

    let (data, out) = (vault.data(), vault.root().join("export"));
    let (data, out) = (data.to_str().expect("plain"), out.to_str().expect("plain"));
    let output = vault.server_command(&["audit", "export", "--data", data, "--out", out], None);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = vault.server_command(&["audit", "verify", out], None);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["unsigned_entries"], 0, "a checkpoint is signed at the end");
    assert_eq!(report["kinds"]["sign"], 150);

    let path = vault.root().join("export/entries.jsonl");
    let mut text = std::fs::read(&path).expect("read");
    let at = text.len() / 2;
    text[at] ^= 1;
    std::fs::write(&path, text).expect("written");
    let output = vault.server_command(&["audit", "verify", out], None);
    assert!(!output.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn health_says_whether_it_is_open_and_reflection_what_there_is() {
    use tonic_health::ServingStatus;
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    use tonic_reflection::pb::v1::ServerReflectionRequest;

    let mut vault = TestVault::start().await;
    vault.bot_identity("bot", OKX_SCOPE, &[]).await;
    let check = async |vault: &TestVault, expected: ServingStatus| {
        let (admin, bot) = (vault.identity("admin"), vault.identity("bot"));
        let ready = vault.ready();
        let doors = [
            (ready.bot, Some(&bot), "vault.v1.SignService"),
            (ready.operator, Some(&admin), "vault.v1.ScopeService"),
            (ready.enroll, None, "vault.v1.ClientService"),
        ];
        for (address, identity, service) in doors {
            let channel = wire::channel(wire::tls(&admin, identity), address, None).await;
            let mut health = HealthClient::new(channel.expect("connected"));
            for service in ["", service] {
                let request = HealthCheckRequest { service: service.to_owned() };
                let answer = health.check(request).await.expect("an answer").into_inner();
                assert_eq!(answer.status, expected as i32, "{service} at {address}");
            }
        }
    };
    check(&vault, ServingStatus::Serving).await;

    let admin = vault.identity("admin");
    let tls = || wire::tls(&admin, Some(&admin));
    let channel = wire::channel(tls(), vault.ready().operator, None).await.expect("connected");
    let list = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(channel);
    let mut answers = reflection
        .server_reflection_info(tokio_stream::iter([list]))
        .await
        .expect("reflection")
        .into_inner();
    let answer = answers.message().await.expect("an answer").expect("one");
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("no list: {answer:?}");
    };
    let services: BTreeSet<_> = list.service.into_iter().map(|service| service.name).collect();
    assert!(services.contains("vault.v1.ScopeService"), "{services:?}");
    assert!(!services.contains("vault.v1.SignService"), "not on this listener: {services:?}");

    vault.admin().await.seal(v1::SealCommand {}).await.expect("sealed");
    vault.restarted().await;
    check(&vault, ServingStatus::NotServing).await;
    let channel = wire::channel(wire::tls(&admin, None), vault.ready().enroll, None).await;
    let channel = channel.expect("connected");
    let reflection = wire::call(
        &channel,
        "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        Vec::new(),
    );
    assert_eq!(reflection.await.expect_err("not here").code, Code::Unimplemented);
}

#[tokio::test(flavor = "multi_thread")]
async fn init_changes_nothing_where_a_vault_is() {
    let mut vault = TestVault::start().await;
    let data = vault.data();
    let text = data.to_str().expect("plain");
    let words =
        ["init", "--data", text, "--development", "--kdf-light", "--generate-passphrase"];
    vault.stop().await;
    let database = std::fs::read(data.join("vault.db")).expect("read");
    let output = vault.server_command(&words, None);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("in use"), "{said}");
    assert_eq!(std::fs::read(data.join("vault.db")).expect("read"), database);
    vault.run_and_unseal().await;

    let light = vault.root().join("light");
    let light = light.to_str().expect("plain");
    let words = ["init", "--data", light, "--kdf-light", "--generate-passphrase"];
    assert!(!vault.server_command(&words, None).status.success());
    assert!(!std::path::Path::new(light).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_vault_runs_on_a_folder() {
    let vault = TestVault::start().await;
    let data = vault.data();
    let output = vault.server_command(&["run", "--data", data.to_str().expect("plain")], None);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("already"), "{said}");
    assert_eq!(vault.local().status().state(), v1::SealState::Unsealed);
}

#[tokio::test(flavor = "multi_thread")]
async fn if_one_process_dies_all_end_with_a_clear_last_line() {
    for which in ["core", "front"] {
        let mut vault = TestVault::start().await;
        let ready = vault.ready();
        vault.kill(if which == "core" { ready.pid_core } else { ready.pid_front });
        let (status, said) = vault.ended_saying().await;
        assert!(status.code().is_some_and(|code| code != 0), "{which}: {status}");
        let last = said.lines().rfind(|line| !line.trim().is_empty()).expect("a last line");
        assert!(last.contains(which) && last.contains("SIGKILL"), "{which}: {last}");
        vault.run_and_unseal().await;
    }
}
