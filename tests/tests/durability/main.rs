//! No signature leaves before its entry is on disk: shown by the order of system calls, by disks
//! that fail or forget, and by killing the core under load.

mod caps;
mod market;
mod snapshot;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};
use vault_audit::{Entry, EntryKind};
use vault_client::{Client, Signed};
use vault_tests::{
    KRAKEN_SCOPE, OKX_SCOPE, TestVault, kraken_order, okx_order, order, sign_patiently,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// What bots received, across kills.
#[derive(Default)]
struct Received(Vec<Signed>);

impl Received {
    /// Signs with `tasks` tasks until `enough` replies are there or `until` ends, then hands over
    /// what was received; the tasks end when the vault does.
    async fn load(&mut self, bots: &[(Arc<Client>, &'static str)], enough: usize) -> Load {
        let count = Arc::new(AtomicUsize::new(0));
        let tasks = bots
            .iter()
            .flat_map(|bot| std::iter::repeat_n(bot, TASKS_PER_BOT))
            .map(|(bot, venue)| {
                let (bot, count, venue) = (Arc::clone(bot), Arc::clone(&count), *venue);
                tokio::spawn(async move {
                    let mut received = Vec::new();
                    while let Ok(signed) = sign_patiently(&bot, wanted(venue)).await {
                        received.push(signed);
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                    received
                })
            })
            .collect();
        let load = Load { tasks };
        let wait = async {
            while count.load(Ordering::Relaxed) < enough && !load.has_ended() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("the vault answers");
        load
    }

    async fn take(&mut self, load: Load) {
        for task in load.tasks {
            self.0.extend(task.await.expect("no panic"));
        }
    }

    /// How many of them the log does not have; panics where it has them wrong.
    fn missing_in(&self, entries: &[Entry]) -> usize {
        let by_index: HashMap<u64, &Entry> =
            entries.iter().map(|entry| (entry.idx, entry)).collect();
        let is_logged = |signed: &&Signed| {
            by_index.get(&signed.receipt.index).is_some_and(|entry| {
                entry.kind == EntryKind::Sign
                    && entry.sig_sha256 == Some(Sha256::digest(signature(signed)).into())
                    && entry.request_id.as_ref().map(|id| id.as_str()) == Some(&signed.request_id)
            })
        };
        self.0.iter().filter(|signed| !is_logged(signed)).count()
    }
}

struct Load {
    tasks: Vec<tokio::task::JoinHandle<Vec<Signed>>>,
}

impl Load {
    fn has_ended(&self) -> bool {
        self.tasks.iter().all(tokio::task::JoinHandle::is_finished)
    }
}

const TASKS_PER_BOT: usize = 16;

fn wanted(venue: &str) -> vault_client::SignOrder {
    match venue {
        "kraken" => order("kraken-main", kraken_order("XBTUSD", "0.001")),
        _ => order("okx-main", okx_order("BTC-USDT", "0.001")),
    }
}

/// The signature itself, decoded from the header that carries it.
fn signature(signed: &Signed) -> Vec<u8> {
    let header = signed
        .request
        .headers
        .iter()
        .find(|header| matches!(header.name.as_str(), "OK-ACCESS-SIGN" | "API-Sign"))
        .expect("a signature");
    BASE64_STANDARD.decode(&header.value).expect("base64")
}

async fn connect(vault: &TestVault) -> Vec<(Arc<Client>, &'static str)> {
    let okx = Arc::new(vault.connect_bot("okx-bot").await);
    let kraken = Arc::new(vault.connect_bot("kraken-bot").await);
    vec![(okx, "okx"), (kraken, "kraken")]
}

async fn prepare(vault: &TestVault) {
    vault.import_okx("okx-main").await;
    vault.import_kraken("kraken-main").await;
    drop(vault.bot("okx-bot", OKX_SCOPE, &[]).await);
    drop(vault.bot("kraken-bot", KRAKEN_SCOPE, &[]).await);
}

/// Of what was signed, nothing was counted twice and no nonce came twice.
fn check_once(entries: &[Entry]) {
    let mut ids = HashSet::new();
    let mut last_nonce: HashMap<&str, u64> = HashMap::new();
    for entry in entries.iter().filter(|entry| entry.kind == EntryKind::Sign) {
        let id = (entry.client.as_ref(), entry.request_id.as_ref());
        assert!(ids.insert(id), "entry {} counts a request twice", entry.idx);
        if let (Some(credential), Some(nonce)) = (&entry.credential, &entry.nonce) {
            let nonce: u64 = nonce.parse().expect("a nonce");
            let last = last_nonce.insert(credential.as_str(), nonce);
            assert!(last.is_none_or(|last| nonce > last), "entry {}: nonce {nonce}", entry.idx);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_kills_under_load_lose_and_repeat_nothing() {
    fifty_kills(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_kills_lose_and_repeat_nothing_where_the_writer_has_its_own_thread() {
    fifty_kills(true).await;
}

async fn fifty_kills(writer_thread: bool) {
    const KILLS: usize = 50;
    const REPLIES_BEFORE_A_KILL: usize = 1_000;
    let vault = TestVault::builder().segment_bytes(1 << 20);
    let mut vault = vault.config("latency", "writer_thread", writer_thread).start().await;
    prepare(&vault).await;
    let mut received = Received::default();

    for kill in 0..KILLS {
        let bots = connect(&vault).await;
        let load = received.load(&bots, REPLIES_BEFORE_A_KILL).await;
        assert!(!load.has_ended(), "the vault failed before kill {kill}:\n{}", vault.stderr());
        let status = vault.kill_core().await;
        assert!(!status.success(), "the supervisor ends with an error when the core is killed");
        drop(bots);
        received.take(load).await;
        vault.run_and_unseal().await;
    }
    vault.stop().await;

    assert!(received.0.len() >= KILLS * REPLIES_BEFORE_A_KILL);
    let entries = vault.log_entries();
    assert_eq!(received.missing_in(&entries), 0, "of {} signatures", received.0.len());
    check_once(&entries);
    vault.verify_with(received.0.iter().step_by(997).map(vault_tests::receipt).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_after_a_kill_is_not_signed_again() {
    let mut vault = TestVault::start().await;
    prepare(&vault).await;
    let bot = vault.connect_bot("okx-bot").await;
    let mut wanted = wanted("okx");
    wanted.request_id = Some("once".to_owned());
    let signed = bot.sign(wanted.clone()).await.expect("signed");
    drop(bot);
    vault.kill_core().await;
    vault.run_and_unseal().await;

    let again = vault.connect_bot("okx-bot").await.sign(wanted).await.expect_err("known");
    let refusal = again.refusal().expect("refused").clone();
    assert_eq!(refusal.reason, "OUTCOME_UNKNOWN");
    assert_eq!(refusal.entry_index, Some(signed.receipt.index));
}

// ---- the order of system calls ----

#[tokio::test(flavor = "multi_thread")]
async fn the_sync_returns_before_the_reply_is_written_towards_the_front() {
    const SIGNS: usize = 40;
    assert!(
        Command::new("strace").arg("-V").output().is_ok_and(|output| output.status.success()),
        "strace is needed: install it (.ci/run does)"
    );
    let folder = tempfile::tempdir().expect("a folder");
    let trace = folder.path().join("trace");
    let mut vault = TestVault::builder()
        .wrapper([
            "strace",
            "-f",
            "-y",
            "-qq",
            "-ttt",
            "-s",
            "0",
            "-e",
            "trace=pread64,pwrite64,fcntl,fdatasync,fsync,write,writev,sendto,sendmsg",
            "-o",
            trace.to_str().expect("plain"),
        ])
        .start()
        .await;
    prepare(&vault).await;
    let bot = vault.connect_bot("okx-bot").await;
    bot.sign(wanted("okx")).await.expect("signed");
    let begun = unix_seconds();
    for _ in 0..SIGNS {
        bot.sign(wanted("okx")).await.expect("signed");
    }
    let ended = unix_seconds();
    drop(bot);
    vault.stop().await;

    let trace = std::fs::read_to_string(&trace).expect("the trace");
    let released = releases(&trace);
    assert!(released >= SIGNS, "{released} releases after a sync were seen for {SIGNS} signatures");

    // No SQL on the way of a Sign: the database's file is not touched while bots sign.
    let (inside, outside): (Vec<f64>, Vec<f64>) = trace
        .lines()
        .filter(|line| line.contains("vault.db"))
        .filter_map(|line| line.split_whitespace().nth(1)?.parse().ok())
        .partition(|at| (begun..ended).contains(at));
    assert!(!outside.is_empty(), "the trace shows the database where it is used");
    assert_eq!(inside, [0.0; 0], "the database was used while bots signed");
}

fn unix_seconds() -> f64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_secs_f64()
}

/// Follows the threads that write through a trace, the writer's and the one that decides: after a
/// write to a segment nothing of that thread may go to a socket until its sync of that segment has
/// returned 0. Returns how often a batch was written, synced and then released.
fn releases(trace: &str) -> usize {
    let mut writer: HashMap<&str, Writer> = HashMap::new();
    let mut released = 0;
    for line in trace.lines() {
        // Thread, time, call.
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Some((_, call)) = rest.trim_start().split_once(' ') else { continue };
        let state = writer.entry(thread).or_default();
        let to_segment = call.contains("/audit/seg-");
        if call.starts_with("pwrite64(") && to_segment {
            *state = Writer::Written;
        } else if ["fdatasync(", "fsync("].iter().any(|name| call.starts_with(name)) && to_segment {
            // Cut in two by other threads' calls: only the second half says that it returned.
            *state =
                if call.ends_with("<unfinished ...>") { Writer::Syncing } else { synced(call) };
        } else if ["<... fdatasync resumed>", "<... fsync resumed>"]
            .iter()
            .any(|name| call.starts_with(name))
            && *state == Writer::Syncing
        {
            *state = synced(call);
        } else if ["write(", "writev(", "sendto(", "sendmsg("]
            .iter()
            .any(|name| call.starts_with(name))
            && (call.contains("<UNIX") || call.contains("<socket:"))
        {
            match state {
                Writer::Idle => {}
                Writer::Synced => {
                    released += 1;
                    *state = Writer::Idle;
                }
                Writer::Written | Writer::Syncing => {
                    panic!("thread {thread} released before the sync returned: {line}")
                }
            }
        }
    }
    released
}

#[derive(Debug, Default, Eq, PartialEq)]
enum Writer {
    #[default]
    Idle,
    Written,
    Syncing,
    Synced,
}

fn synced(call: &str) -> Writer {
    assert!(call.trim_end().ends_with("= 0"), "a sync failed: {call}");
    Writer::Synced
}

#[test]
fn the_trace_reader_notices_a_release_before_the_sync() {
    let good = "7 1.0 pwrite64(5</d/audit/seg-0.seg>, \"\"..., 8, 64) = 8\n\
                7 1.1 fdatasync(5</d/audit/seg-0.seg> <unfinished ...>\n\
                8 1.2 write(9<UNIX-STREAM:[1->2]>, \"\"..., 3) = 3\n\
                7 1.3 <... fdatasync resumed>) = 0\n\
                7 1.4 write(3<UNIX-STREAM:[3->4]>, \"\"..., 3) = 3\n";
    assert_eq!(releases(good), 1);
    let bad = good.replace("7 1.3 <... fdatasync resumed>) = 0\n", "");
    assert!(std::panic::catch_unwind(|| releases(&bad)).is_err());
}

// ---- disks that fail or forget ----

/// The shim, built once with the machine's C compiler.
fn shim() -> &'static Path {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(build_shim)
}

fn build_shim() -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("shim/disk.c");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    // By process: tests may run in processes of their own.
    let built = folder.join(format!("disk-{}.so", std::process::id()));
    let status = Command::new("cc")
        .args(["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"])
        .args([built.as_os_str(), source.as_os_str()])
        .args(["-ldl", "-lpthread"])
        .status()
        .expect("a C compiler");
    assert!(status.success());
    built
}

/// A vault with bots on a good disk, then started anew on a bad one.
async fn on_disk(mode: &str) -> TestVault {
    let mut vault = TestVault::start().await;
    prepare(&vault).await;
    vault.stop().await;
    let launch = vault.launch_mut();
    launch.env.push(("LD_PRELOAD".into(), shim().into()));
    launch.env.push(("COUNTERSIGN_TEST_DISK".into(), mode.into()));
    vault.run_and_unseal().await;
    vault
}

async fn on_good_disk_again(vault: &mut TestVault) {
    vault.launch_mut().env.clear();
    vault.run_and_unseal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_loses_no_released_signature() {
    let mut vault = on_disk("volatile").await;
    let mut received = Received::default();
    let bots = connect(&vault).await;
    let load = received.load(&bots, 1_000).await;
    vault.kill_core().await;
    drop(bots);
    received.take(load).await;
    on_good_disk_again(&mut vault).await;
    vault.stop().await;

    assert!(received.0.len() >= 1_000);
    let entries = vault.log_entries();
    assert_eq!(received.missing_in(&entries), 0);
    check_once(&entries);
    vault.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_lies_about_syncs_is_what_the_power_cut_test_would_notice() {
    let mut vault = on_disk("lying").await;
    let mut received = Received::default();
    let bots = connect(&vault).await;
    let load = received.load(&bots, 200).await;
    vault.kill_core().await;
    drop(bots);
    received.take(load).await;

    let entries = vault.log_entries();
    assert!(received.missing_in(&entries) >= 200, "the shim forgets, and the count notices");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_fails_releases_nothing_and_ends_the_process() {
    fails_closed("sync-fails:100", 99).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_releases_nothing_and_ends_the_process() {
    fails_closed("full:100", 99).await;
}

/// Signs until the disk fails; checks that nothing is released from then on, and that a restart on
/// a good disk goes on.
async fn fails_closed(mode: &str, batches: usize) {
    let mut vault = on_disk(mode).await;
    let mut received = Received::default();
    let bots = connect(&vault).await;
    let load = received.load(&bots, usize::MAX).await;
    drop(bots);
    received.take(load).await;
    let (status, stderr) = vault.ended_saying().await;
    assert!(!status.success());
    assert!(stderr.contains("core"), "the last line says who ended:\n{stderr}");
    assert!(!received.0.is_empty() && received.0.len() <= batches * TASKS_PER_BOT * 2);

    on_good_disk_again(&mut vault).await;
    let bot = vault.connect_bot("okx-bot").await;
    received.0.push(bot.sign(wanted("okx")).await.expect("goes on"));
    drop(bot);
    vault.stop().await;
    let entries = vault.log_entries();
    assert_eq!(received.missing_in(&entries), 0);
    check_once(&entries);
    vault.verify();
}
