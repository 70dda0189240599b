//! What attackers tried against a running or a stolen vault, and what must have come of it.

use std::fs;
use std::time::{Duration, Instant};

use vault_audit::{Entry, EntryKind, Log, Origin};
use vault_client::{ClientError, Invited, Operator, v1};
use vault_model::Timestamp;
use vault_tests::{
    KRAKEN_SCOPE, OKX_SCOPE, PASSPHRASE, TestVault, kraken_order, okx_balance, okx_order, order,
    reason, scope,
};

async fn revoke(vault: &TestVault, name: &str) -> v1::RevokeClientResponse {
    let command = v1::RevokeClientCommand { name: name.to_owned(), reason: "test".to_owned() };
    vault.admin().await.revoke_client(command).await.expect("revoked")
}

async fn stays_sealed(vault: &mut TestVault, word: &str) {
    vault.run().await;
    assert_eq!(vault.local().unseal(PASSPHRASE).expect_err("refused").reason, "STATE_REFUSED");
    let status = vault.local().status();
    assert_eq!(status.state(), v1::SealState::Refused);
    assert!(status.reason.contains(word), "{}", status.reason);
    vault.stop().await;
}

/// Appends a line to the log of a stopped vault, as anybody who can write its folder can.
fn forge(vault: &TestVault, change: impl FnOnce(&mut Entry)) {
    let mut entries = vault.log_entries();
    let last = entries.last().expect("entries").clone();
    let applied = entries.iter_mut().rfind(|entry| entry.kind == EntryKind::AdminApplied);
    let mut entry = applied.expect("an act").clone();
    entry.idx = last.idx + 1;
    entry.seq = last.seq.map(|seq| seq + 1);
    change(&mut entry);
    let vkey = fs::read_to_string(vault.data().join("audit/log.vkey")).expect("a key");
    let origin: Origin = vkey.split('+').next().expect("a name").parse().expect("an origin");
    let now = Timestamp(last.ts.micros() + 1);
    let opened =
        Log::open(&vault.data().join("audit"), &origin, 1 << 20, now, None, &mut |_, _| Ok(()));
    let mut log = opened.expect("the log opens").log;
    log.append(&[entry.to_line().expect("a line")]).expect("appended");
    log.close().expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_database_does_not_come_back_with_a_forged_line() {
    let mut vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    drop(vault.bot("revoked", OKX_SCOPE, &[]).await);
    let database = vault.data().join("vault.db");
    let old = fs::read(&database).expect("read");
    let (old_rev, old_root) = {
        let entries = vault.log_entries();
        let last = entries.iter().rfind(|entry| entry.state_root.is_some()).expect("an act");
        (last.state_rev, last.state_root)
    };
    revoke(&vault, "revoked").await;
    vault.stop().await;
    let new = fs::read(&database).expect("read");

    fs::write(&database, &old).expect("written");
    forge(&vault, |entry| {
        entry.state_rev = old_rev;
        entry.state_root = old_root;
        entry.hash_after = old_root;
    });
    stays_sealed(&mut vault, "does not follow").await;
    // Nor with an intent that names the old revision.
    fs::write(&database, &old).expect("written");
    forge(&vault, |entry| {
        entry.kind = EntryKind::AdminIntent;
        entry.approvals.clear();
        entry.state_root = None;
        entry.state_rev = old_rev;
        entry.hash_after = old_root;
    });
    stays_sealed(&mut vault, "does not follow").await;
    fs::write(&database, &new).expect("written");
    stays_sealed(&mut vault, "does not follow").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_without_its_checkpoint_is_refused() {
    for files in [&["checkpoint"][..], &["checkpoint", "log.vkey"]] {
        let mut vault = TestVault::start().await;
        vault.stop().await;
        for file in files {
            fs::remove_file(vault.data().join("audit").join(file)).expect("removed");
        }
        stays_sealed(&mut vault, "checkpoint").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn denials_of_one_bot_cannot_fill_the_disk() {
    const DENIALS: usize = 2_000;
    let vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    let bot = std::sync::Arc::new(vault.bot("loud", OKX_SCOPE, &[]).await);
    let begun = Instant::now();
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let bot = std::sync::Arc::clone(&bot);
            tokio::spawn(async move {
                for _ in 0..DENIALS / 16 {
                    let wanted = order("okx-main", okx_order("DOGE-USDT", "1"));
                    assert_eq!(reason(bot.sign(wanted).await), "SYMBOL_NOT_GRANTED");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("denied");
    }
    let seconds = begun.elapsed().as_secs() + 1;
    // Others are not concerned, and what was counted is in the log a second later.
    drop(vault.bot("quiet", OKX_SCOPE, &[]).await);
    let quiet = vault.connect_bot("quiet").await;
    let wanted = order("okx-main", okx_order("DOGE-USDT", "1"));
    let refusal = quiet.sign(wanted).await.expect_err("denied");
    assert!(refusal.refusal().expect("refused").entry_index.is_some());

    let loud = |entry: &&Entry| entry.client.as_ref().is_some_and(|name| name.as_str() == "loud");
    let logged = || {
        let entries = vault.log_entries();
        let in_full =
            entries.iter().filter(loud).filter(|entry| entry.kind == EntryKind::SignDenied).count();
        let counted: usize = entries
            .iter()
            .filter(|entry| entry.kind == EntryKind::AuthDenied)
            .filter(|entry| entry.reason.as_deref() == Some("SYMBOL_NOT_GRANTED"))
            .map(|entry| entry.detail["count"].parse::<usize>().expect("a count"))
            .sum();
        (in_full, counted)
    };
    let until = Instant::now() + Duration::from_secs(60);
    let (mut in_full, mut counted) = logged();
    while in_full + counted < DENIALS / 16 * 16 && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(200)).await;
        (in_full, counted) = logged();
    }
    assert_eq!(in_full + counted, DENIALS / 16 * 16);
    assert!(in_full >= 500 && in_full as u64 <= 500 + 50 * seconds, "{in_full} in {seconds} s");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_halt_goes_before_a_bots_flood_of_renewals() {
    let vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    let bot = std::sync::Arc::new(vault.bot("eager", OKX_SCOPE, &[]).await);
    let flood: Vec<_> = (0..64)
        .map(|_| {
            let identity = bot.identity();
            tokio::spawn(async move {
                // Each under the same certificate: most are refused, all come at once.
                for _ in 0..20 {
                    let folder = tempfile::tempdir().expect("a folder");
                    copy_identity(identity.folder(), folder.path());
                    let copy = vault_client::Identity::load(folder.path()).expect("loads");
                    let _ = copy.renew().await;
                }
            })
        })
        .collect();
    let admin = vault.admin().await;
    for round in 0..20 {
        let halt = v1::HaltCommand {
            level: v1::HaltLevel::Nothing.into(),
            target: "all".to_owned(),
            reason: format!("round {round}"),
        };
        admin.halt(halt).await.expect("a halt is heard");
        let signed = bot.sign(order("okx-main", okx_balance())).await;
        assert_eq!(reason(signed), "HALT_NOTHING");
        admin
            .resume(v1::ResumeCommand { target: "all".to_owned(), ..Default::default() })
            .await
            .expect("resumed");
    }
    for task in flood {
        task.abort();
    }
    let listed = admin.list_clients(v1::ListClientsCommand::default()).await.expect("listed");
    assert!(listed.clients.iter().all(|client| client.certificates.len() <= 32));
}

fn copy_identity(from: &std::path::Path, to: &std::path::Path) {
    for file in fs::read_dir(from).expect("read") {
        let path = file.expect("a file").path();
        fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("copied");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_released_before_a_restart_is_still_outstanding() {
    let mut vault = TestVault::start().await;
    vault.import_kraken("kraken-main").await;
    let bot = vault.bot("kraken-bot", KRAKEN_SCOPE, &[]).await;
    bot.sign(order("kraken-main", kraken_order("XBTUSD", "0.001"))).await.expect("signed");
    drop(bot);
    vault.restart().await;

    let outstanding = revoke(&vault, "kraken-bot").await.outstanding.expect("said");
    assert!(outstanding.without_expiry);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_a_person_sealed_does_not_open_by_its_key_file() {
    let mut vault = TestVault::builder().key_file().start().await;
    vault.guard().await.seal(v1::SealCommand {}).await.expect("sealed");
    assert_eq!(vault.restarted().await.state, "sealed");
    vault.stop().await;

    assert_eq!(vault.run().await.state, "sealed");
    vault.unseal();
    vault.stop().await;
    assert_eq!(vault.run().await.state, "unsealed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_does_not_change_the_role_of_somebody_active() {
    let vault = TestVault::start().await;
    let admin = vault.invite_operator("sam", v1::Role::Admin).await;
    let guard = vault.invite_operator("sam", v1::Role::Guard).await;
    vault.enroll("sam", &guard).await.expect("enrolled");

    // The newer invitation took the place of the older one.
    assert_eq!(reason(vault.enroll("sam-2", &admin).await), "INVITATION_PROOF");
    assert_eq!(reason(invite(&*vault.admin().await, "sam", v1::Role::Admin).await), "NAME_TAKEN");
}

async fn invite(by: &Operator, name: &str, role: v1::Role) -> Result<Invited, ClientError> {
    by.invite_operator(name, role, 600).await
}

/// Invites a bot under [`OKX_SCOPE`].
async fn invite_bot(by: &Operator, name: &str) -> Invited {
    let command = v1::InviteClientCommand {
        name: name.to_owned(),
        role: v1::Role::Bot.into(),
        scope: scope(OKX_SCOPE).name,
        networks: Vec::new(),
        invite: Some(v1::InviteSpec { lifetime_s: 600, ..Default::default() }),
    };
    by.invite_client(command).await.expect("invited")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_revoked_does_not_come_back_by_what_he_invited() {
    let vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    drop(vault.bot("one", OKX_SCOPE, &[]).await);
    vault.operator("eve", v1::Role::Admin).await;
    let eve = vault.connect("eve").await;
    let backdoor = invite(&eve, "backdoor", v1::Role::Admin).await.expect("invited").token;
    let planted = invite_bot(&eve, "planted").await.token;

    // Everybody who may look sees them.
    let admin = vault.admin().await;
    let clients =
        admin.list_clients(v1::ListClientsCommand::default()).await.expect("a list").clients;
    let planted_info = clients.iter().find(|info| info.name == "planted").expect("listed");
    assert_eq!((planted_info.state.as_str(), planted_info.invited_by.as_str()), ("invited", "eve"));
    let operators =
        admin.list_operators(v1::ListOperatorsCommand::default()).await.expect("a list");
    let info = operators.operators.iter().find(|info| info.name == "backdoor").expect("listed");
    assert_eq!((info.state.as_str(), info.invited_by.as_str()), ("invited", "eve"));

    let command = v1::RevokeOperatorCommand { name: "eve".to_owned() };
    let revoked = admin.revoke_operator(command).await.expect("revoked");
    assert_eq!(revoked.withdrawn_invites, 2);
    for (name, token) in [("backdoor", &backdoor), ("planted", &planted)] {
        assert_eq!(reason(vault.enroll(name, token).await), "INVITATION_PROOF", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_can_be_taken_back_before_anybody_has_come() {
    let vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    drop(vault.bot("one", OKX_SCOPE, &[]).await);
    let admin = vault.admin().await;
    let bot = invite_bot(&admin, "astray").await.token;
    let operator = invite(&admin, "strayed", v1::Role::Admin).await.expect("invited").token;

    assert_eq!(revoke(&vault, "astray").await.withdrawn_invites, 1);
    let command = v1::RevokeOperatorCommand { name: "strayed".to_owned() };
    let revoked = admin.revoke_operator(command.clone()).await.expect("revoked");
    assert_eq!(revoked.withdrawn_invites, 1);
    assert_eq!(reason(vault.enroll("astray", &bot).await), "INVITATION_PROOF");
    assert_eq!(reason(vault.enroll("strayed", &operator).await), "INVITATION_PROOF");
    assert_eq!(reason(admin.revoke_operator(command).await), "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_invitation_does_not_undo_a_newer_one() {
    let vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    drop(vault.bot("one", OKX_SCOPE, &[]).await);
    let admin = vault.admin().await;
    let used = invite_bot(&admin, "two").await.token;
    vault.enroll("two", &used).await.expect("enrolled");
    let newer = invite_bot(&admin, "two").await.token;
    // Not even by its first key, as after a lost answer.
    assert_eq!(reason(vault.enroll("two-again", &used).await), "INVITATION_PROOF");
    vault.enroll("two-anew", &newer).await.expect("enrolled");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_admin_gets_a_certificate_of_another() {
    let vault = TestVault::start().await;
    vault.operator("eve", v1::Role::Admin).await;
    let eve = vault.connect("eve").await;
    assert_eq!(reason(invite(&eve, "admin", v1::Role::Admin).await), "NAME_TAKEN");
    // His own, for another machine.
    invite(&eve, "eve", v1::Role::Admin).await.expect("invited");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_cannot_keep_the_vault_sealed() {
    let mut vault = TestVault::start().await;
    vault.guard().await.seal(v1::SealCommand {}).await.expect("sealed");
    vault.restarted().await;
    assert_eq!(reason(vault.guard().await.seal(v1::SealCommand {}).await), "ALREADY_SO");
    vault.unseal();
    assert_eq!(reason(vault.guard().await.seal(v1::SealCommand {}).await), "SEALED_BEFORE");
    // He halts meanwhile, an admin seals, and so does another guard.
    let command = v1::HaltCommand {
        target: "all".to_owned(),
        level: v1::HaltLevel::Nothing.into(),
        reason: "test".to_owned(),
    };
    vault.guard().await.halt(command).await.expect("halted");
    vault.operator("second", v1::Role::Guard).await;
    vault.connect("second").await.seal(v1::SealCommand {}).await.expect("sealed");
    vault.restarted().await;
}
