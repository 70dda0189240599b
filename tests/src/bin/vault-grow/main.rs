//! Measures how a vault starts, what it holds in memory and how fast it signs once it has grown: many
//! clients, credentials and scopes in the database, and a log of many entries.
//!
//! ```text
//! cargo run --release -p vault-tests --bin vault-grow -- --entries 1000000 --clients 100000
//! ```
//!
//! A vault is made and used as any other: bots enrol and sign. Then it is stopped, and grows by what its
//! own code writes without the network (`vault_tests::growth`): rows in one act, entries in batches,
//! each synced. Then the real server is started on it: reading the whole log, once, and from a snapshot.
//!
//! The server is the workspace's own, built with this program's profile, or the file that
//! `COUNTERSIGN_VAULT_SERVER` names. Data goes to `TMPDIR`: about 1.1 KB for each entry, with `--lean`
//! 0.8 KB. A disk that has not so much left is found out before anything is written.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program whose output is its purpose"
)]

mod load;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::{Value, json};
use vault_tests::TestVault;
use vault_tests::growth::{self, Error, Growth, Size};

/// Measures a vault that has grown.
#[derive(Clone, Debug, Parser)]
#[command(about, long_about = None)]
struct Arguments {
    /// Entries in the log.
    #[arg(long, default_value_t = 1_000_000)]
    entries: u64,
    /// Clients, each with a certificate.
    #[arg(long, default_value_t = 1_000)]
    clients: u64,
    /// Credentials.
    #[arg(long, default_value_t = 1_000)]
    credentials: u64,
    /// Scopes.
    #[arg(long, default_value_t = 100)]
    scopes: u64,
    /// Over how many days the entries are spread.
    #[arg(long, default_value_t = 30)]
    days: u64,
    /// Starts from the snapshot; the median counts.
    #[arg(long, default_value_t = 3)]
    starts: usize,
    /// Starts that read the whole log.
    #[arg(long, default_value_t = 1)]
    whole_starts: usize,
    /// How long bots sign. Seconds.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Entries that come after the snapshot.
    #[arg(long, default_value_t = 0)]
    tail: u64,
    /// Leaves out of the entries what no start reads.
    #[arg(long)]
    lean: bool,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> Result<(), Error> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(measure(&arguments))?;
    if arguments.json {
        println!("{report:#}");
    } else {
        print(&report);
    }
    Ok(())
}

async fn measure(arguments: &Arguments) -> Result<Value, Error> {
    let mut vault = TestVault::start().await;
    load::prepare(&vault).await?;
    vault.stop().await;

    let began = Instant::now();
    let size = arguments.size();
    let mut growth = growth::grow(&vault.data(), &size)?;
    say(&format!("rows written: {:.1} s", began.elapsed().as_secs_f64()));
    check_space(vault.root(), &growth, arguments)?;
    append(&mut growth, &size, size.entries)?;
    let log_bytes = bytes_of(&vault.data())?;
    let grown = json!({
        "took_s": began.elapsed().as_secs_f64(),
        "log_bytes": log_bytes,
        "entry_bytes": log_bytes / size.entries.max(1),
    });
    drop(growth);
    say(&format!("grown: {grown}"));

    // Reading it all takes some microseconds for each, on a machine that others use too.
    vault.launch_mut().start_longer = Duration::from_secs(arguments.entries / 20_000);
    let mut whole = Vec::new();
    vault.set_config("audit", "verify_at_start", true);
    for _ in 0..arguments.whole_starts {
        whole.push(start(&mut vault).await?);
        say(&format!("start that reads all: {}", whole[whole.len() - 1]));
        vault.stop().await;
    }

    vault.set_config("audit", "verify_at_start", false);
    vault.run_and_unseal().await;
    let made = await_snapshot(&vault, arguments.entries).await?;
    say(&format!("snapshot: {made}"));
    vault.stop().await;
    if arguments.tail > 0 {
        append(&mut growth::reopen(&vault.data())?, &size, arguments.tail)?;
    }

    let mut starts = Vec::new();
    for nth in 0..arguments.starts.max(1) {
        starts.push(start(&mut vault).await?);
        say(&format!("start from the snapshot: {}", starts[starts.len() - 1]));
        if nth + 1 < arguments.starts {
            // No last snapshot: each start reads the same.
            vault.kill_all();
        }
    }
    let signs = load::run(&vault, Duration::from_secs(arguments.seconds)).await?;
    let memory_after = memory(vault.ready().pid_core);
    vault.kill_all();
    Ok(json!({
        "entries": arguments.entries, "clients": arguments.clients,
        "credentials": arguments.credentials, "scopes": arguments.scopes, "days": arguments.days,
        "tail": arguments.tail, "lean": arguments.lean, "grown": grown, "whole": whole, "snapshot": made, "starts": starts,
        "sign": signs, "memory_after": memory_after,
    }))
}

impl Arguments {
    fn size(&self) -> Size {
        let Self { clients, credentials, scopes, entries, days, lean: is_lean, .. } = *self;
        Size { clients, credentials, scopes, entries, days, is_lean }
    }
}

/// Appends entries, and says now and then how far it is.
fn append(growth: &mut Growth, size: &Size, entries: u64) -> Result<(), Error> {
    let began = Instant::now();
    let mut told_at = began;
    growth.append(size, entries, &mut |done| {
        if told_at.elapsed() < TOLD_EVERY {
            return;
        }
        told_at = Instant::now();
        let a_second = done as f64 / began.elapsed().as_secs_f64();
        let left_s = entries.saturating_sub(done) as f64 / a_second;
        say(&format!("{done} of {entries} entries, {a_second:.0}/s, {left_s:.0} s left"));
    })
}

/// A run that ends in the middle because the disk is full has wasted its time.
fn check_space(root: &Path, growth: &Growth, arguments: &Arguments) -> Result<(), Error> {
    let entries = arguments.entries.saturating_add(arguments.tail);
    // Of the snapshot there are two while one is made.
    let snapshots = 2 * (entries.saturating_mul(SNAPSHOT_BYTES_PER_ENTRY) + SNAPSHOT_BYTES_MORE);
    let log = entries.saturating_mul(growth.entry_bytes(&arguments.size())?);
    let needed = log.saturating_add(snapshots).saturating_add(SPARE_BYTES);
    let space = rustix::fs::statvfs(root)?;
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    let gb = |bytes: u64| bytes as f64 / 1e9;
    if free < needed {
        return Err(format!(
            "{} entries need {:.1} GB, and {} has {:.1} GB left: set TMPDIR to a folder with more, \
             or --lean",
            entries,
            gb(needed),
            root.display(),
            gb(free),
        )
        .into());
    }
    say(&format!("{:.1} GB needed at most, {:.1} GB are free", gb(needed), gb(free)));
    Ok(())
}

/// How often it says how far it is.
const TOLD_EVERY: Duration = Duration::from_secs(5);
/// What a snapshot has of an entry, about: half of them are orders.
const SNAPSHOT_BYTES_PER_ENTRY: u64 = 12;
/// What it has beside: requests that are known again, and clients.
const SNAPSHOT_BYTES_MORE: u64 = 64 << 20;
/// Left over: with less than 512 MiB the vault does not sign.
const SPARE_BYTES: u64 = 1 << 30;

/// Starts the server and waits for its first signature.
async fn start(vault: &mut TestVault) -> Result<Value, Error> {
    let began = Instant::now();
    vault.run().await;
    let ready = began.elapsed();
    let unsealing = Instant::now();
    vault.unseal();
    let unsealed = unsealing.elapsed();
    load::sign_once(vault).await?;
    Ok(json!({
        "ready_s": ready.as_secs_f64(),
        "unseal_s": unsealed.as_secs_f64(),
        "first_sign_s": began.elapsed().as_secs_f64(),
        "core": memory(vault.ready().pid_core),
    }))
}

/// Waits until there is a snapshot of what was grown.
async fn await_snapshot(vault: &TestVault, entries: u64) -> Result<Value, Error> {
    let began = Instant::now();
    let file = vault.data().join("audit").join(vault_audit::SNAPSHOT_FILE);
    // A few microseconds each, if nobody else needs the processor.
    let patience = Duration::from_secs(60 + entries / 20_000);
    while !file.exists() {
        if began.elapsed() > patience {
            return Err(format!("no snapshot after {patience:?}:\n{}", vault.stderr()).into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let core = memory(vault.ready().pid_core);
    Ok(json!({
        "took_s": began.elapsed().as_secs_f64(), "bytes": fs::metadata(&file)?.len(), "core": core,
    }))
}

/// Resident memory of a process, now and at most, in MiB.
fn memory(process: i32) -> Value {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let mib = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib / 1024)
    };
    json!({ "rss_mib": mib("VmRSS:"), "peak_mib": mib("VmHWM:") })
}

fn bytes_of(data: &Path) -> Result<u64, Error> {
    let mut bytes = 0;
    for file in fs::read_dir(data.join("audit"))? {
        bytes += file?.metadata()?.len();
    }
    Ok(bytes)
}

fn print(report: &Value) {
    let number = |value: &Value| value.as_f64().unwrap_or_default();
    println!("| start | up | unsealed in | first signature | memory | peak |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    let rows = [("whole log", &report["whole"]), ("from the snapshot", &report["starts"])];
    for (name, starts) in rows {
        let mut starts = starts.as_array().cloned().unwrap_or_default();
        starts.sort_by(|one, other| number(&one["ready_s"]).total_cmp(&number(&other["ready_s"])));
        let Some(median) = starts.get(starts.len() / 2) else { continue };
        println!(
            "| {name} | {:.2} s | {:.2} s | {:.2} s | {} MiB | {} MiB |",
            number(&median["ready_s"]),
            number(&median["unseal_s"]),
            number(&median["first_sign_s"]),
            median["core"]["rss_mib"],
            median["core"]["peak_mib"],
        );
    }
    println!();
    println!("log: {:.2} GB", number(&report["grown"]["log_bytes"]) / 1e9);
    println!(
        "snapshot: {:.1} MB in {:.1} s; {}",
        number(&report["snapshot"]["bytes"]) / 1e6,
        number(&report["snapshot"]["took_s"]),
        report["snapshot"]["core"],
    );
    println!("Sign: {}", report["sign"]);
    println!("memory after it: {}", report["memory_after"]);
}

/// How far it is: a run can take long.
fn say(text: &str) {
    eprintln!("{text}");
}
