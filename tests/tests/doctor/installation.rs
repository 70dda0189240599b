//! The vault itself, as each role of an operator sees it, and its data directory.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;

use vault_client::v1;
use vault_tests::{OKX_SCOPE, TestVault};

use crate::{Examined, doctor, examined, vaultctl};

/// What a machine that runs tests may have or not.
const OF_THE_MACHINE: [&str; 10] = [
    "CLOCK_LOOSE",
    "CLOCK_NOT_SYNCHRONISED",
    "DISK_FULL",
    "DISK_LOW",
    "HARDENING_UNKNOWN",
    "LANDLOCK_MISSING",
    "MEMORY_NOT_LOCKED",
    "NOT_CONFINED",
    "SECRETS_UNLOCKED",
    "SWAP_ON",
];

fn without_machine(codes: Vec<&str>) -> Vec<&str> {
    codes.into_iter().filter(|code| !OF_THE_MACHINE.contains(code)).collect()
}

fn plain(command: &[&str]) -> Output {
    vaultctl(command).output().expect("run")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_is_told_of_everything_that_is_to_be_done() {
    let vault = TestVault::start().await;
    vault.operator("second", v1::Role::Admin).await;
    let before = (vault.state_rev(), vault.log_entries().len());

    let found = doctor(&vault, "admin", &[]);
    // A vault of a test is made for tests: that is its one problem.
    assert_eq!(found.exit, 3, "{:#}", found.json);
    assert_eq!(without_machine(found.of_level("problem")), ["DEVELOPMENT"]);
    assert_eq!(without_machine(found.of_level("warning")), [""; 0]);
    for code in ["ADDRESS_SEEN", "NO_HALT", "OPERATORS_GOOD", "VAULT_OPEN"] {
        assert_eq!(found.level(code), "ok", "{code}");
    }
    assert!(
        ["DISK_FREE", "DISK_LOW", "DISK_FULL"].iter().any(|code| !found.level(code).is_empty()),
        "the vault says how much space it has"
    );
    assert!(["SWAP_OFF", "SWAP_ON"].iter().any(|code| !found.level(code).is_empty()));

    let after = (vault.state_rev(), vault.log_entries().len());
    assert_eq!(after, before, "looking changes nothing, and is no entry");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_is_told_of_everything_that_is_broken() {
    let vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    vault.bot_identity("mm-1", OKX_SCOPE, &[]).await;
    vault.invite("never", v1::Role::Bot, "okx-demo", &[]).await;
    vault.invite_operator("to-come", v1::Role::Auditor).await;
    let halt = v1::HaltCommand {
        level: v1::HaltLevel::Nothing.into(),
        target: "venue:okx".to_owned(),
        reason: "a test".to_owned(),
    };
    vault.admin().await.halt(halt).await.expect("halted");
    let revoke = v1::RevokeOperatorCommand { name: "guard".to_owned() };
    vault.admin().await.revoke_operator(revoke).await.expect("revoked");

    let found = doctor(&vault, "admin", &[]);
    for (code, level) in [
        ("CLIENT_NEVER_ENROLLED", "note"),
        ("CREDENTIAL_NEVER_CHECKED", "warning"),
        ("HALT_STANDS", "warning"),
        ("NO_GUARD", "note"),
        ("ONE_ADMIN", "warning"),
        ("ONE_SLOT", "note"),
        ("OPERATOR_INVITED", "note"),
        ("SCOPE_WARNINGS", "warning"),
    ] {
        assert_eq!(found.level(code), level, "{code} in {:#}", found.json);
    }
    assert!(found.words("HALT_STANDS").starts_with("venue:okx is halted"));

    // The venue is asked only where somebody wants it; the key of a demo account is in order there.
    let found = doctor(&vault, "admin", &["--check-credentials"]);
    assert_eq!(found.level("CREDENTIAL_NEVER_CHECKED"), "", "{:#}", found.json);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_asked_for_no_more_than_it_may_see() {
    let mut vault = TestVault::start().await;
    let entries = vault.log_entries().len();
    let found = doctor(&vault, "guard", &[]);
    assert_eq!(found.level("NO_HALT"), "ok");
    assert_eq!(found.level("CALL_REFUSED"), "");
    assert_eq!(found.level("OPERATORS_GOOD"), "");
    assert_eq!(vault.log_entries().len(), entries, "nothing was refused");

    for (who, option) in [("guard", "--check-credentials"), ("admin", "--kept")] {
        let identity = vault.identity_folder(who);
        let mut arguments = vec!["--identity", identity.to_str().expect("plain"), "doctor", option];
        arguments.extend((option == "--kept").then_some("nothing"));
        assert_eq!(plain(&arguments).status.code(), Some(2), "{who} {option}");
    }

    vault.guard().await.seal(v1::SealCommand {}).await.expect("sealed");
    vault.restarted().await;
    let found = doctor(&vault, "admin", &[]);
    assert_eq!((found.exit, found.level("VAULT_SEALED")), (3, "problem"));
    assert_eq!(found.level("CALL_REFUSED"), "", "what is behind the seal is not asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_holds_the_log_against_what_was_kept() {
    let vault = TestVault::start().await;
    let folder = vault.identity_folder("auditor");
    let identity = folder.to_str().expect("plain");
    let kept = vault.root().join("kept");
    let note = plain(&["--identity", identity, "audit", "checkpoint"]).stdout;
    let note: serde_json::Value = serde_json::from_slice(&note).expect("JSON");
    fs::write(&kept, note["note"].as_str().expect("a note")).expect("written");
    let export = vault.root().join("export");
    let out = export.to_str().expect("plain");
    assert!(plain(&["--identity", identity, "audit", "export", "--out", out]).status.success());
    vault.bot_identity("mm-1", OKX_SCOPE, &[]).await;

    let found = doctor(&vault, "auditor", &[]);
    assert_eq!((found.level("CHECKPOINT_FRESH"), found.level("NOTHING_KEPT")), ("ok", "note"));

    let vkey = vault.made().log_vkey.clone();
    let kept = kept.to_str().expect("plain");
    let found = doctor(&vault, "auditor", &["--kept", kept, "--kept", out, "--vkey", &vkey]);
    assert_eq!(found.of_level("ok").iter().filter(|code| **code == "KEPT_GROWN").count(), 1);
    assert_eq!(without_machine(found.of_level("problem")), ["DEVELOPMENT"], "{:#}", found.json);
    assert_eq!(found.level("LOG_EXPORTED"), "ok");

    // A receipt of an entry that is another one now.
    let receipt = serde_json::json!({
        "index": 1,
        "leaf_hash": "ab".repeat(32),
        "origin": note["note"].as_str().and_then(|note| note.lines().next()),
    });
    let forged = vault.root().join("receipt.json");
    fs::write(&forged, receipt.to_string()).expect("written");
    let found = doctor(&vault, "auditor", &["--kept", forged.to_str().expect("plain")]);
    assert_eq!((found.exit, found.level("KEPT_DIFFERS")), (3, "problem"));

    // What another log's key has signed is not of this one.
    let other = TestVault::start().await;
    let found = doctor(&other, "auditor", &["--kept", kept]);
    assert_eq!((found.exit, found.level("KEPT_DIFFERS")), (3, "problem"));
}

/// What is found at a vault's data directory, without an identity.
fn look_at(vault: &TestVault) -> Examined {
    let data = vault.data();
    let mut command = vaultctl(&["doctor", "--data", data.to_str().expect("plain")]);
    command.env("HOME", vault.root());
    examined(command)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_is_looked_at_without_an_identity() {
    let vault = TestVault::start().await;
    let data = vault.data();
    let home = vault.root().to_str().expect("plain").to_owned();
    let look = || look_at(&vault);
    let found = look();
    assert_eq!(found.level("DATA_PRIVATE"), "ok", "{:#}", found.json);
    assert_eq!(found.level("KEEP_ELSEWHERE"), "note");
    assert_eq!(found.json["asked"], false);

    fs::set_permissions(&data, Permissions::from_mode(0o755)).expect("set");
    let found = look();
    assert_eq!((found.exit, found.level("DATA_EXPOSED")), (3, "problem"));
    fs::set_permissions(&data, Permissions::from_mode(0o700)).expect("set");

    let mut nowhere = vaultctl(&["doctor", "--data", "/nonexistent"]);
    nowhere.env("HOME", &home);
    let found = examined(nowhere);
    assert_eq!((found.exit, found.level("DATA_UNREADABLE")), (3, "problem"));
    // Without a directory and without an identity there is nothing to look at.
    let mut nothing = vaultctl(&["doctor"]);
    nothing.env("HOME", &home);
    assert_eq!(nothing.output().expect("run").status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_something_listens_where_spans_go_is_told() {
    let vault = TestVault::start().await;
    let data = vault.data();
    let look = || look_at(&vault);
    assert!(!look().json.to_string().contains("COLLECTOR_"), "none is configured");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let mut config = fs::read_to_string(data.join("config.toml")).expect("read");
    config += &format!("\n[tracing]\notlp_endpoint = \"{endpoint}\"\n");
    fs::write(data.join("config.toml"), config).expect("written");
    assert_eq!(look().level("COLLECTOR_ANSWERS"), "ok");
    drop(listener);
    let found = look();
    assert_eq!(found.level("COLLECTOR_AWAY"), "warning", "{:#}", found.json);
}
