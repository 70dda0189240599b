//! Approvals: what takes two admins, and takes them each time.

use std::time::{Duration, SystemTime};

use vault_audit::EntryKind;
use vault_client::{Identity, Operator, approve_scope, v1};
use vault_policy::ScopeDocument;
use vault_tests::{TestVault, reason, scope};
use vault_wire::scope_hash;

use crate::of_kind;

const PAYS: &str = r#"
    name = "pays"
    credentials = ["kraken-main"]
    classes = ["read", "withdraw"]
    modes = ["execute"]
    [network]
    allow = ["10.0.0.0/8"]
    [withdrawal]
    addresses = [{ venue = "kraken", asset = "XBT", address = "cold" }]
    per_day = [{ venue = "kraken", asset = "XBT", at_most = "0.5" }]
"#;
const READS: &str = r#"
    name = "reads"
    credentials = ["kraken-main"]
    classes = ["read"]
    modes = ["sign"]
    [network]
    allow = ["10.0.0.0/8"]
"#;

fn approve(by: &Identity, toml: &str, revision: u64, until: SystemTime) -> v1::Approval {
    let document = ScopeDocument::from_toml(toml).expect("a scope");
    let hash = scope_hash(&document).expect("canonical JSON");
    approve_scope(by, &hash, revision, until).expect("signed")
}

/// Puts a scope; the new revision, or why not.
async fn put(
    admin: &Operator,
    toml: &str,
    expected_revision: u64,
    approvals: &[&v1::Approval],
) -> Result<u64, String> {
    let command = v1::PutScopeCommand {
        scope: Some(scope(toml)),
        expected_revision,
        approvals: approvals.iter().copied().cloned().collect(),
    };
    match admin.put_scope(command).await {
        Ok(answer) => Ok(answer.revision),
        refused => Err(reason(refused)),
    }
}

async fn delete(admin: &Operator, name: &str) {
    let command = v1::DeleteScopeCommand { name: name.to_owned() };
    admin.delete_scope(command).await.expect("deleted");
}

fn refused(why: &str) -> Result<u64, String> {
    Err(why.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_good_for_one_change() {
    let mut vault = TestVault::start().await;
    let bob = vault.operator("bob", v1::Role::Admin).await;
    let eve = vault.operator("eve", v1::Role::Admin).await;
    let until = SystemTime::now() + Duration::from_secs(3_600);
    let bobs = approve(&bob, PAYS, 0, until);
    let admin = vault.admin().await;

    assert_eq!(put(&admin, PAYS, 0, &[]).await, refused("APPROVAL_REQUIRED"));
    // What is refused uses nothing up.
    assert_eq!(put(&admin, PAYS, 1, &[&bobs]).await, refused("REVISION_CONFLICT"));
    let more = PAYS.replace("0.5", "0.6");
    assert_eq!(put(&admin, &more, 0, &[&bobs]).await, refused("APPROVAL_SIGNATURE"));
    assert_eq!(put(&admin, PAYS, 0, &[&bobs]).await, Ok(1));

    // The other admin takes it back, and that must last.
    delete(&vault.connect("bob").await, "pays").await;
    assert_eq!(put(&admin, PAYS, 0, &[&bobs]).await, refused("APPROVAL_USED"));
    let resigned = approve(&bob, PAYS, 0, until);
    assert_eq!(put(&admin, PAYS, 0, &[&resigned]).await, refused("APPROVAL_USED"));
    let eves = approve(&eve, PAYS, 0, until);
    assert_eq!(put(&admin, PAYS, 0, &[&eves, &bobs]).await, refused("APPROVAL_USED"));
    drop(admin);

    // Killed, so that it is known only if it was on disk.
    vault.kill_all();
    vault.run_and_unseal().await;
    let admin = vault.admin().await;
    assert_eq!(put(&admin, PAYS, 0, &[&bobs]).await, refused("APPROVAL_USED"));
    // What stood beside a used one was not used up; and who wants it again says so again.
    assert_eq!(put(&admin, PAYS, 0, &[&eves]).await, Ok(1));
    delete(&admin, "pays").await;
    let again = approve(&bob, PAYS, 0, until + Duration::from_secs(1));
    assert_eq!(put(&admin, PAYS, 0, &[&again]).await, Ok(1));

    let entries = vault.log_entries();
    let used = of_kind(&entries, EntryKind::AdminDenied)
        .into_iter()
        .filter(|entry| entry.reason.as_deref() == Some("APPROVAL_USED"));
    assert_eq!(used.count(), 4);
    let approvers: Vec<&str> = of_kind(&entries, EntryKind::AdminApplied)
        .into_iter()
        .flat_map(|entry| &entry.approvals)
        .filter(|approval| approval.method == "signed")
        .map(|approval| approval.approver.as_str())
        .collect();
    assert_eq!(approvers, ["bob", "eve", "bob"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_that_was_not_needed_is_used_up_too() {
    let vault = TestVault::start().await;
    let bob = vault.operator("bob", v1::Role::Admin).await;
    let until = SystemTime::now() + Duration::from_secs(3_600);
    let (first, second) = (approve(&bob, READS, 0, until), approve(&bob, READS, 1, until));
    let admin = vault.admin().await;

    assert_eq!(put(&admin, READS, 0, &[&first]).await, Ok(1));
    assert_eq!(put(&admin, READS, 1, &[&second]).await, Ok(2));
    delete(&admin, "reads").await;
    assert_eq!(put(&admin, READS, 0, &[&first]).await, refused("APPROVAL_USED"));
    assert_eq!(put(&admin, READS, 0, &[]).await, Ok(1));
    assert_eq!(put(&admin, READS, 1, &[&second]).await, refused("APPROVAL_USED"));
}
