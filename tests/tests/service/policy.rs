//! Halts, scopes, credentials: acts hold from the next request on.

use vault_audit::EntryKind;
use vault_client::v1;
use vault_tests::{
    KRAKEN_SCOPE, OKX_SCOPE, TestVault, kraken_order, okx_balance, okx_cancel, okx_metadata,
    okx_order, okx_post, okx_secret, okx_withdrawal, reason, scope,
};

use crate::{halt_on, of_kind, resume_on, sign};

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
        let halts =
            guard.halt_status(v1::HaltStatusCommand::default()).await.expect("a list").halts;
        let [halt] = halts.as_slice() else { panic!("one halt: {halts:?}") };
        assert_eq!((halt.target.as_str(), halt.level()), (target, v1::HaltLevel::Nothing));
        assert_eq!((halt.by.as_str(), halt.reason.as_str()), ("guard", "a test"));

        assert_eq!(reason(guard.resume(resume_on(target)).await), "ROLE");
        let earlier = v1::ResumeCommand { halted_at_us: halt.at_us - 1, ..resume_on(target) };
        assert_eq!(reason(admin.resume(earlier).await), "HALT_CHANGED");
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
async fn a_scope_holds_from_the_next_request_on() {
    let vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    let bot = vault.bot("bot", OKX_SCOPE, &[]).await;
    let admin = vault.admin().await;
    let put = |toml: &str, expected_revision| {
        let approvals = Vec::new();
        let scope = Some(scope(toml));
        admin.put_scope(v1::PutScopeCommand { scope, expected_revision, approvals })
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
    assert_eq!(
        (stated.class.as_str(), stated.symbols.as_slice()),
        ("trade", ["BTC-USDT".to_owned()].as_slice())
    );
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
    let answer = admin.import_unchecked(okx_metadata("okx-main"), stale).await.expect("imported");
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

    let demo =
        v1::CredentialMetadata { environment: "demo".to_owned(), ..okx_metadata("okx-main") };
    assert_eq!(reason(admin.import_unchecked(demo, okx_secret()).await), "CREDENTIAL_DIFFERS");
    let undisclosed =
        v1::CredentialMetadata { disclose_passphrase: false, ..okx_metadata("okx-main") };
    admin.import_unchecked(undisclosed, okx_secret()).await.expect("imported");
    let refused = sign(&bot, "okx-main", okx_balance()).await;
    assert_eq!(reason(refused), "PASSPHRASE_NOT_DISCLOSED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_signs_for_hosts_of_its_own_site_alone() {
    let vault = TestVault::start().await;
    let admin = vault.admin().await;
    admin.import_unchecked(okx_metadata("okx-main"), okx_secret()).await.expect("imported");
    let bot = vault.bot("bot", OKX_SCOPE, &[]).await;
    let at = |host: &str| v1::VenueRequest { host: host.to_owned(), ..okx_balance() };
    sign(&bot, "okx-main", at("www.okx.com")).await.expect("its own");
    assert_eq!(reason(sign(&bot, "okx-main", at("eea.okx.com")).await), "HOST_ELSEWHERE");

    let eea = v1::CredentialMetadata { sites: vec!["eea".to_owned()], ..okx_metadata("okx-main") };
    admin.import_unchecked(eea, okx_secret()).await.expect("imported");
    sign(&bot, "okx-main", at("eea.okx.com")).await.expect("its own");
    assert_eq!(reason(sign(&bot, "okx-main", at("www.okx.com")).await), "HOST_ELSEWHERE");
    let command = v1::DescribeCredentialCommand { name: "okx-main".to_owned() };
    let described = admin.describe_credential(command).await.expect("there").credential;
    assert_eq!(described.and_then(|info| info.metadata).expect("there").sites, ["eea"]);
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
    admin.import_unchecked(readonly, okx_secret()).await.expect("imported");
    let bot = vault.bot("bot", OKX_SCOPE, &[]).await;

    sign(&bot, "okx-main", okx_balance()).await.expect("held");
    let order = sign(&bot, "okx-main", okx_order("BTC-USDT", "1")).await;
    assert_eq!(reason(order), "RIGHT_NOT_HELD");
}
