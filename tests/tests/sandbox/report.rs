//! What the status says of the sandbox, held against what the kernel says.

use std::fs;
use std::process::Command;

use serde_json::Value;
use vault_client::v1::ProcessHardening;
use vault_tests::{OKX_SCOPE, TestVault, okx_balance, order, vaultctl};

use crate::{is_root, users};

#[tokio::test(flavor = "multi_thread")]
async fn the_status_says_what_the_kernel_says() {
    for user in users() {
        let mut builder = TestVault::builder();
        if let Some((user, group)) = user {
            builder = builder.user(user, group);
        }
        let mut vault = builder.start().await;
        check(&vault);
        // After a restart of the children too, and once they have all their threads.
        vault.guard().await.seal(Default::default()).await.expect("sealed");
        vault.restarted().await;
        vault.unseal();
        vault.import_okx("okx-main").await;
        let bot = vault.bot("bot", OKX_SCOPE, &[]).await;
        bot.sign(order("okx-main", okx_balance())).await.expect("signed");
        check(&vault);
        vault.stop().await;
    }
}

fn check(vault: &TestVault) {
    let rows = vault.local().status().hardening;
    let names: Vec<&str> = rows.iter().map(|row| row.process.as_str()).collect();
    assert_eq!(names, ["core", "egress", "front", "supervisor"]);
    let ready = vault.ready();
    let pids = [ready.pid_core, ready.pid_egress, ready.pid_front, ready.pid];
    for (row, pid) in rows.iter().zip(pids) {
        let ProcessHardening { process, dumps_off, no_new_privileges, no_capabilities, .. } = row;
        assert!(*dumps_off && *no_new_privileges && *no_capabilities && row.seccomp, "{row:?}");
        // The supervisor starts the others: what it could not do, they could not.
        assert_eq!(row.landlock_abi > 0, process != "supervisor", "{row:?}");
        let threads = threads(pid);
        let filters: Vec<&str> =
            threads.iter().map(|text| value(text, "Seccomp_filters")).collect();
        for text in &threads {
            assert_eq!(value(text, "Seccomp"), "2", "{process}");
            assert_eq!(value(text, "NoNewPrivs"), "1", "{process}");
            for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
                assert_eq!(value(text, set).trim_matches('0'), "", "{process}: {set}");
            }
        }
        // One that has fewer was missed.
        assert!(filters.iter().all(|count| *count == filters[0]), "{process}: {filters:?}");
        if is_root() {
            // Only root of the machine's may look: its own user may not, and so finds root's files.
            use std::os::unix::fs::MetadataExt as _;
            let owner = fs::metadata(format!("/proc/{pid}/mem")).expect("there").uid();
            assert_eq!(owner, 0, "{process} is dumpable");
        }
    }
    assert!(!rows[0].secret_memory.is_empty());
    assert!(rows[1..].iter().all(|row| row.secret_memory.is_empty()));
    assert!(threads(pids[0]).len() > 3, "the core has its threads");
    for pid in &pids[1..] {
        assert_eq!(threads(*pid).len(), 1, "and nobody else has any");
    }
}

fn threads(pid: i32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let status = |task: fs::DirEntry| fs::read_to_string(task.path().join("status")).ok();
    tasks.filter_map(|task| status(task.expect("a thread"))).collect()
}

fn value<'a>(text: &'a str, key: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.expect(key).trim()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_lines_show_it() {
    let vault = TestVault::start().await;
    let data = vault.data();
    let data = data.to_str().expect("plain");
    let output = vault.server_command(&["status", "--data", data], None);
    let server: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let identity = vault.identity_folder("admin");
    let ask = |words: &[&str]| {
        let output = Command::new(vaultctl())
            .arg("--identity")
            .arg(&identity)
            .args(words)
            .output()
            .expect("runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let client: Value = serde_json::from_str(&ask(&["--json", "status"])).expect("JSON");
    let (ours, theirs) = (&server["hardening"], &client["vault"]["hardening"]);
    assert_eq!(ours, theirs);
    assert_eq!(ours.as_array().map(Vec::len), Some(4));
    assert_eq!(ours[2]["process"], "front");
    assert_eq!(ours[2]["seccomp"], true);
    let text = ask(&["status"]);
    let line = text.lines().find(|line| line.starts_with("sandbox of front")).expect("a line");
    assert!(line.contains("no capabilities, seccomp, Landlock ") && !line.contains("MISSING"));
}
