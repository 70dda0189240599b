//! What code in the core can leave behind for the processes that come after it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use vault_ipc::LocalOperation;
use vault_tests::{PASSPHRASE, TestVault};

use crate::attack::{Answer, Attacked, order, set_mode};
use crate::users;

/// The data directory is the core's to write. Whoever is in it writes another `config.toml`: a file of
/// somebody else's to read, other catalogues, other CAs. A Seal starts new processes, and those go by what
/// the supervisor has read.
#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_the_core_writes_is_obeyed_by_no_later_process() {
    for user in users() {
        let mut attacked = Attacked::start("core", user).await;
        let victim = attacked.public_file();
        let config = attacked.vault.data().join("config.toml");
        let before = fs::read_to_string(&config).expect("readable");
        let planted = planted(&before, &victim);
        let new = config.with_file_name("config.toml.new");
        fs::write(&new, &planted).expect("written");
        set_mode(&new, 0o644);
        // The sandbox lets the core do it.
        assert_eq!(attacked.try_it(&order("overwrite").at(&config)).await, Answer::Did);
        assert_eq!(fs::read_to_string(&config).expect("readable"), planted);

        attacked.forget();
        let pid = attacked.vault.ready().pid_core;
        seal(&mut attacked.vault).await;
        assert_ne!(attacked.vault.ready().pid_core, pid, "a new core");
        let answer = attacked.try_it(&order("open").at(&victim)).await;
        assert_eq!(answer, Answer::Refused(libc::EACCES), "as {user:?}");
        let said = attacked.vault.stderr();
        assert!(said.contains("changed since the vault was started"), "{said}");
        assert!(said.contains(config.to_str().expect("plain")), "{said}");
        // The new egress would not have started with such CAs, nor the core with such a catalogue.
        let status = attacked.vault.local().status();
        assert_eq!(status.catalog_additions, 0);
        attacked.vault.stop().await;
    }
}

/// Whoever sees to it that the vault runs starts it again when it has died, and the core can die when it
/// likes: the next start finds the file that this one was started with.
#[tokio::test(flavor = "multi_thread")]
async fn a_core_that_dies_does_not_have_its_configuration_obeyed() {
    for user in users() {
        let mut attacked = Attacked::start("core", user).await;
        let victim = attacked.public_file();
        let config = attacked.vault.data().join("config.toml");
        let before = fs::read_to_string(&config).expect("readable");
        let planted = planted(&before, &victim);
        let new = config.with_file_name("config.toml.new");
        fs::write(&new, &planted).expect("written");
        set_mode(&new, 0o644);
        assert_eq!(attacked.try_it(&order("overwrite").at(&config)).await, Answer::Did);
        assert_eq!(fs::read_to_string(&config).expect("readable"), planted);

        // SAFETY: a process that our own vault started, and has not reaped.
        assert_eq!(unsafe { libc::kill(attacked.vault.ready().pid_core, libc::SIGKILL) }, 0);
        assert_eq!(attacked.vault.ended().await.code(), Some(70));
        assert_eq!(fs::read_to_string(&config).expect("readable"), before, "as {user:?}");
        let kept = config.with_file_name("config.toml.changed");
        assert_eq!(fs::read_to_string(kept).expect("kept"), planted);
    }
}

/// Where the file of before cannot be put back, nothing starts until a person has looked. A name as long as
/// names can be stands for a disk without room: nothing can be written beside it.
#[tokio::test(flavor = "multi_thread")]
async fn a_vault_whose_configuration_cannot_be_put_back_does_not_start_again() {
    let mut vault = TestVault::builder().sealed().start().await;
    vault.stop().await;
    let roots = vault.data().join("c".repeat(250));
    fs::copy(vault.data().join("ca.pem"), &roots).expect("copied");
    let pem = fs::read(&roots).expect("readable");
    vault.set_config("egress", "ca_file", roots.to_str().expect("plain"));
    let ready = vault.run().await;
    fs::write(&roots, "others' CAs").expect("written");
    // SAFETY: a process that our own vault started, and has not reaped.
    assert_eq!(unsafe { libc::kill(ready.pid_core, libc::SIGKILL) }, 0);
    let (status, said) = vault.ended_saying().await;

    assert_eq!(status.code(), Some(HELD), "{said}");
    assert!(said.contains("cannot be put back"), "{said}");
    let config = vault.data().join("config.toml");
    assert!(!config.exists() && !roots.exists());
    let data = vault.data();
    let refused = vault.server_command(&["run", "--data", data.to_str().expect("plain")], None);
    assert_eq!(refused.status.code(), Some(HELD));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("config.toml is not there"), "{said}");

    // What the runbook says.
    fs::rename(config.with_file_name("config.toml.held"), &config).expect("put in its place");
    fs::write(&roots, pem).expect("written");
    vault.run().await;
    vault.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_in_the_place_of_the_configuration_is_refused() {
    let mut vault = TestVault::builder().sealed().start().await;
    vault.stop().await;
    let config = vault.data().join("config.toml");
    let elsewhere = vault.root().join("config.toml");
    fs::rename(&config, &elsewhere).expect("moved");
    std::os::unix::fs::symlink(&elsewhere, &config).expect("linked");
    let data = vault.data();
    let refused = vault.server_command(&["run", "--data", data.to_str().expect("plain")], None);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("config.toml: a link"), "{said}");
}

/// The exit code of a vault that a person has to look at.
const HELD: i32 = 78;

/// Without an attacker: what the planted configuration would do is what a start does with it.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_start_of_the_supervisor_obeys_it() {
    let mut vault = TestVault::builder().sealed().start().await;
    vault.stop().await;
    vault.set_config("egress", "ca_file", "/nonexistent/ca.pem");
    let refused = vault.try_run().await.expect_err("it reads the file");
    assert!(refused.stderr.contains("/nonexistent/ca.pem"), "{}", refused.stderr);
}

fn planted(config: &str, victim: &Path) -> String {
    let mut table: toml::Table = config.parse().expect("TOML");
    let victim = victim.to_str().expect("plain");
    for (section, key, value) in [
        ("unseal", "key_file", victim.into()),
        ("egress", "ca_file", "/nonexistent/ca.pem".into()),
        ("catalog", "additions", vec![toml::Value::from(victim)].into()),
    ] {
        let section = table.entry(section).or_insert_with(|| toml::Table::new().into());
        let _ = section.as_table_mut().expect("a table").insert(key.to_owned(), value);
    }
    table.to_string()
}

/// Opens the vault, once the pause after the attempts that woke the attacker is over, and seals it.
async fn seal(vault: &mut TestVault) {
    while vault.local().status().retry_after_s > 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    vault.local().unseal(PASSPHRASE).expect("opened");
    let _: vault_client::v1::SealResponse =
        vault.local().call(LocalOperation::Seal, Vec::new()).expect("sealed");
    assert_eq!(vault.restarted().await.state, "sealed");
}
