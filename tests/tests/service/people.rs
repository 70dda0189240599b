//! Clients and operators: renewed, revoked, locked out.

use std::collections::BTreeSet;
use std::time::Duration;

use prost::Message as _;
use vault_client::{Client, ClientError, v1};
use vault_tests::{OKX_SCOPE, TestVault, okx_balance, reason, wire};

use crate::{DAY_S, sign, sign_anew};

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_bot_signs_nothing_more() {
    let vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    let bot = vault.bot("bot", OKX_SCOPE, &[]).await;
    let other = vault.bot("other", OKX_SCOPE, &[]).await;
    let pending = vault.invite("bot", v1::Role::Bot, "okx-demo", &[]).await;
    let last = sign(&bot, "okx-main", okx_balance()).await.expect("signed");

    let admin = vault.admin().await;
    let revoke = v1::RevokeClientCommand { name: "bot".to_owned(), reason: "it leaked".to_owned() };
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
async fn operators_come_and_go_but_for_the_last_admin() {
    let vault = TestVault::start().await;
    let admin = vault.admin().await;
    let revoke = |name: &str| v1::RevokeOperatorCommand { name: name.to_owned() };
    assert_eq!(reason(admin.revoke_operator(revoke("admin")).await), "LAST_ADMIN");

    let invited = vault.invite_operator("second", v1::Role::Admin).await;
    let listed = admin.list_operators(v1::ListOperatorsCommand::default()).await.expect("a list");
    let state = |list: &v1::ListOperatorsResponse, name: &str| {
        list.operators.iter().find(|operator| operator.name == name).map(|o| o.state.clone())
    };
    assert_eq!(state(&listed, "second").as_deref(), Some("invited"));
    // Invited is not enrolled: nobody would be left.
    assert_eq!(reason(admin.revoke_operator(revoke("admin")).await), "LAST_ADMIN");

    vault.enroll("second", &invited).await.expect("enrolled");
    let second = vault.connect("second").await;
    second.revoke_operator(revoke("admin")).await.expect("there is another admin");
    let listed = second.list_operators(v1::ListOperatorsCommand::default()).await.expect("a list");
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
    again.list_clients(v1::ListClientsCommand::default()).await.expect("an admin");

    assert!(!reissue(&vault, "nobody").status.success());
    again.seal(v1::SealCommand {}).await.expect("sealed");
    vault.restarted().await;
    assert!(!reissue(&vault, "admin").status.success(), "sealed");
}
