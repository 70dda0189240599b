//! Starts from snapshots: after orderly ends, after kills while one is written, and after somebody has
//! exchanged the log's key.

use std::path::Path;
use std::time::{Duration, Instant};

use vault_audit::{Entry, EntryKind, Log, LogSigner, Origin, SNAPSHOT_FILE};
use vault_model::{SecretBytes, Timestamp};
use vault_tests::TestVault;

use crate::{PATIENCE, Received, check_once, connect, prepare, wanted};

/// What the starts have said of snapshots.
fn said(entries: &[Entry], name: &str) -> Vec<String> {
    let starts = entries.iter().filter(|entry| entry.kind == EntryKind::LogStarted);
    starts.filter_map(|start| start.detail.get(name).cloned()).collect()
}

async fn vault() -> TestVault {
    let vault =
        TestVault::builder().segment_bytes(1 << 16).config("audit", "snapshot_every", 40).start();
    let vault = vault.await;
    prepare(&vault).await;
    vault
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_from_a_snapshot_knows_what_was_signed_before() {
    let mut vault = vault().await;
    let bot = vault.connect_bot("kraken-bot").await;
    let mut once = wanted("kraken");
    once.request_id = Some("once".to_owned());
    let signed = bot.sign(once.clone()).await.expect("signed");
    for _ in 0..60 {
        bot.sign(wanted("kraken")).await.expect("signed");
    }
    drop(bot);
    vault.restart().await;

    let bot = vault.connect_bot("kraken-bot").await;
    let again = bot.sign(once).await.expect_err("known");
    let refusal = again.refusal().expect("refused").clone();
    assert_eq!(refusal.reason, "OUTCOME_UNKNOWN");
    assert_eq!(refusal.entry_index, Some(signed.receipt.index));
    bot.sign(wanted("kraken")).await.expect("a larger nonce");
    drop(bot);
    vault.stop().await;
    let entries = vault.log_entries();
    check_once(&entries);
    assert_eq!(said(&entries, "snapshot").len(), 1);
    assert!(said(&entries, "snapshot_refused").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_while_a_snapshot_is_written_lose_and_repeat_nothing() {
    const KILLS: usize = 12;
    let mut vault = vault().await;
    let folder = vault.data().join("audit");
    let mut received = Received::default();
    for kill in 0..KILLS {
        let bots = connect(&vault).await;
        let before = changed_at(&folder);
        let load = received.load(&bots, 100).await;
        // In the middle of one, or right after it.
        let begun = Instant::now();
        let temporary = folder.join(format!("{SNAPSHOT_FILE}.tmp"));
        while changed_at(&folder) == before && !(kill % 2 == 0 && temporary.exists()) {
            assert!(begun.elapsed() < PATIENCE, "no snapshot:\n{}", vault.stderr());
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
        vault.kill_core().await;
        drop(bots);
        received.take(load).await;
        vault.run_and_unseal().await;
    }
    vault.stop().await;

    let entries = vault.log_entries();
    assert_eq!(received.missing_in(&entries), 0);
    check_once(&entries);
    assert!(said(&entries, "snapshot").len() >= KILLS / 2, "{:?}", said(&entries, "snapshot"));
    assert_eq!(said(&entries, "snapshot_refused"), [""; 0]);
    vault.verify();
}

fn changed_at(folder: &Path) -> Option<std::time::SystemTime> {
    folder.join(SNAPSHOT_FILE).metadata().and_then(|file| file.modified()).ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_exchanges_the_log_key_gets_a_vault_that_does_not_unseal() {
    let mut vault = vault().await;
    vault.stop().await;
    let folder = vault.data().join("audit");
    let vkey = std::fs::read_to_string(folder.join("log.vkey")).expect("a key");
    let origin: Origin = vkey.split('+').next().expect("a name").parse().expect("an origin");
    for file in ["log.vkey", "checkpoint"] {
        std::fs::remove_file(folder.join(file)).expect("removed");
    }
    let forger = LogSigner::from_seed(origin.clone(), &SecretBytes::new(vec![7; 32]));
    let forger = forger.expect("a key");
    let visit = &mut |_, _: &[u8]| Ok(());
    let opened = Log::open(&folder, &origin, 1 << 16, Timestamp(0), None, visit);
    let mut log = opened.expect("the log").log;
    log.checkpoint(&forger).expect("a checkpoint by another key");
    log.close().expect("closed");

    assert_eq!(vault.run().await.state, "sealed");
    let refused = vault.local().unseal(vault_tests::PASSPHRASE).expect_err("refused");
    assert_eq!(refused.reason, "STATE_REFUSED");
    vault.await_stderr("log.vkey is not the vault's own").await;
    vault.stop().await;
}
