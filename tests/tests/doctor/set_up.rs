//! A bot's set-up.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;
use vault_client::v1;
use vault_tests::{OKX_SCOPE, TestVault, reason};

use crate::{doctor, examined, vaultctl};

#[tokio::test(flavor = "multi_thread")]
async fn a_good_set_up_leaves_nothing_to_do() {
    let vault = TestVault::start().await;
    vault.bot_identity("mm-1", OKX_SCOPE, &[]).await;

    let found = doctor(&vault, "mm-1", &["--strict"]);
    assert_eq!(found.exit, 0, "{:#}", found.json);
    assert_eq!(found.of_level("problem"), [""; 0]);
    assert_eq!(found.of_level("warning"), [""; 0]);
    for code in [
        "ACCEPTED",
        "ADDRESS_ALLOWED",
        "CERTIFICATE_GOOD",
        "CLOCK_AGREES",
        "IDENTITY_GOOD",
        "REACHED",
    ] {
        assert_eq!(found.level(code), "ok", "{code}");
    }
    assert_eq!(found.json["asked"], true);
    assert_eq!(found.json["identity"]["name"], "mm-1");
    // A bot is told nothing of the vault itself.
    let areas = found.json["findings"].as_array().expect("findings").iter().map(|one| &one["area"]);
    assert!(areas.into_iter().all(|area| ["host", "way", "caller"].iter().any(|own| area == own)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_broken_on_the_host_is_found() {
    let vault = TestVault::start().await;
    vault.bot_identity("mm-1", OKX_SCOPE, &[]).await;
    let folder = vault.identity_folder("mm-1");
    let identity = folder.to_str().expect("plain");

    let canary = "pLx83hfaWqe0912jfka";
    let mut command = vaultctl(&["--identity", identity, "doctor", "--strict"]);
    command.env("OKX_API_SECRET", canary);
    let found = examined(command);
    assert_eq!((found.exit, found.level("EXCHANGE_KEY_HELD")), (1, "warning"));
    assert!(!found.json.to_string().contains(canary));

    let key = folder.join("key.pem");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).expect("set");
    let found = doctor(&vault, "mm-1", &[]);
    assert_eq!((found.exit, found.level("KEY_EXPOSED")), (3, "problem"));
    assert_eq!(found.json["asked"], false, "with such a key nobody is asked");
    fs::set_permissions(&key, Permissions::from_mode(0o600)).expect("set");

    fs::write(folder.join("cert.pem"), "no certificate").expect("written");
    let found = doctor(&vault, "mm-1", &[]);
    assert_eq!((found.exit, found.level("IDENTITY_UNUSABLE")), (3, "problem"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_between_bot_and_vault_is_found() {
    let mut vault = TestVault::start().await;
    vault.bot_identity("mm-1", OKX_SCOPE, &[]).await;
    vault.bot_identity("elsewhere", OKX_SCOPE, &["192.0.2.0/24"]).await;

    let found = doctor(&vault, "elsewhere", &[]);
    assert_eq!((found.exit, found.level("ADDRESS_NOT_ALLOWED")), (3, "problem"));
    assert!(found.words("ADDRESS_NOT_ALLOWED").contains("127.0.0.1"));

    let found = doctor(&vault, "mm-1", &["--address", "127.0.0.1:1"]);
    assert_eq!((found.exit, found.level("NOT_REACHED")), (6, "problem"));
    assert_eq!(found.level("IDENTITY_GOOD"), "ok", "what is known without the vault is told");

    let found = doctor(&vault, "mm-1", &["--address", "nowhere.invalid:7443"]);
    assert_eq!((found.exit, found.level("NAME_UNKNOWN")), (6, "problem"));

    // Another vault at the same address is not the one that was pinned.
    let other = TestVault::start().await;
    let address = other.ready().bot.to_string();
    let found = doctor(&vault, "mm-1", &["--address", &address]);
    assert_eq!((found.exit, found.level("SERVER_NOT_TRUSTED")), (8, "problem"));

    let revoke =
        v1::RevokeClientCommand { name: "elsewhere".to_owned(), reason: "a test".to_owned() };
    vault.admin().await.revoke_client(revoke).await.expect("revoked");
    let found = doctor(&vault, "elsewhere", &[]);
    assert_eq!((found.exit, found.level("CERTIFICATE_REFUSED")), (7, "problem"));

    vault.guard().await.seal(v1::SealCommand {}).await.expect("sealed");
    vault.restarted().await;
    let found = doctor(&vault, "mm-1", &[]);
    assert_eq!((found.exit, found.level("VAULT_SEALED")), (3, "problem"));
    assert_eq!(found.level("ADDRESS_NOT_JUDGED"), "note");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoami_tells_the_caller_alone_and_leaves_no_trace() {
    let mut vault = TestVault::start().await;
    vault.bot_identity("mm-1", OKX_SCOPE, &[]).await;
    let bot = vault.connect_bot("mm-1").await;
    let before = vault.log_entries().len();

    let answer = bot.whoami().await.expect("answered");
    assert_eq!((answer.role.as_str(), answer.name.as_str()), ("bot", "mm-1"));
    assert_eq!((answer.address.as_str(), answer.via.as_str()), ("127.0.0.1", ""));
    assert_eq!(answer.scope, "okx-demo");
    assert!(answer.address_allowed && !answer.sealed);
    let vault_now = vault.now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    assert!((answer.time_ms - vault_now.as_millis() as i64).abs() < 60_000);
    let end = vault.identity("mm-1").not_after();
    let end = end.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis() as i64;
    assert!((answer.certificate_not_after_ms - end).abs() < 1_000);

    let operator = vault.guard().await.whoami().await.expect("answered");
    assert_eq!((operator.role.as_str(), operator.scope.as_str()), ("guard", ""));
    assert!(!operator.address_allowed);
    assert_eq!(vault.log_entries().len(), before, "nothing of it is logged");

    let identity = vault.identity_folder("mm-1");
    let arguments = ["--identity", identity.to_str().expect("plain"), "whoami"];
    let output = vaultctl(&arguments).output().expect("run");
    assert!(output.status.success());
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&json["name"], &json["address_allowed"]), (&"mm-1".into(), &true.into()));

    let revoke = v1::RevokeClientCommand { name: "mm-1".to_owned(), reason: "a test".to_owned() };
    vault.admin().await.revoke_client(revoke).await.expect("revoked");
    let mut refused = bot.whoami().await;
    if refused.as_ref().is_err_and(|error| error.refusal().is_none()) {
        refused = bot.whoami().await;
    }
    assert_eq!(reason(refused), "CERTIFICATE_REVOKED");

    vault.guard().await.seal(v1::SealCommand {}).await.expect("sealed");
    vault.restarted().await;
    let sealed = vault.guard().await.whoami().await.expect("answered sealed too");
    assert!(sealed.sealed && sealed.scope.is_empty());
}
