//! Attacks the vault and measures what others see of it: an operator's Status, Halt and Resume, new
//! connections of operators and bots, a well-behaved bot's orders, and the processes' memory. Prints a
//! table, or JSON with `--json`.
//!
//! ```text
//! cargo run --release -p vault-tests --bin vault-siege -- --attack all
//! ```
//!
//! The server is the workspace's own, built with this program's profile, or the file that
//! `COUNTERSIGN_VAULT_SERVER` names; every attack has a vault of its own. Attackers run on the same
//! machine, with the lowest priority unless `--nice` says otherwise: they stand for other machines, and
//! what is measured is what the vault makes of what they send. The exit code is 1 if a bar is missed.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program whose output is its purpose"
)]

mod report;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use vault_audit::EntryKind;
use vault_tests::siege::{ATTACKS, Attack, Done, Effort, Memory, Resident, Target, Witness};
use vault_tests::{OKX_SCOPE, TestVault};

use crate::report::{Bars, Goodput, Report, Row};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Attacks the vault.
#[derive(Clone, Debug, Parser)]
#[command(about, long_about = None)]
struct Arguments {
    /// Which attack: its name, or `all`.
    #[arg(long, default_value = "all", value_parser = chosen)]
    attack: Chosen,
    /// Sockets, connections, handshakes in all, or calls at a time, instead of the full form's.
    #[arg(long)]
    count: Option<u64>,
    /// How long it lasts at the most; `handshakes` end with the last one if there is no limit.
    #[arg(long)]
    seconds: Option<u64>,
    /// Turns of a second in which the bot's goodput is measured before and after, at this vault and
    /// at one that is not attacked.
    #[arg(long, default_value_t = 15)]
    calm_seconds: u64,
    /// Orders that the well-behaved bot has under way.
    #[arg(long, default_value_t = 32)]
    streams: usize,
    /// The attackers' place among the machine's processes: 0 is that of the vault, 19 the last.
    #[arg(long, default_value_t = 19)]
    nice: i32,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Debug)]
struct Chosen(Vec<Attack>);

fn chosen(text: &str) -> Result<Chosen, String> {
    if text == "all" {
        return Ok(Chosen(ATTACKS.to_vec()));
    }
    let known = ATTACKS.into_iter().find(|attack| attack.name() == text);
    known.map(|attack| Chosen(vec![attack])).ok_or_else(|| {
        let names: Vec<_> = ATTACKS.iter().map(|attack| attack.name()).collect();
        format!("one of all, {}", names.join(", "))
    })
}

/// How long an attack lasts where nothing is said.
const SECONDS: u64 = 20;
/// As good as for ever: the last handshake ends it.
const UNTIL_THE_LAST: u64 = 4 * 60 * 60;
/// In which goodput is measured.
const TURN: Duration = Duration::from_secs(1);
/// After an attack, before the bot's goodput is measured again.
const SETTLE: Duration = Duration::from_secs(2);

fn main() -> Result<ExitCode, Error> {
    let arguments = Arguments::parse();
    raise_descriptors()?;
    let mut report = Report::new(Bars::default(), arguments.streams, arguments.nice);
    for attack in &arguments.attack.0 {
        eprintln!("{}: starting a vault", attack.name());
        // A runtime of its own: what an attack leaves behind ends with it.
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let row = runtime.block_on(measure(*attack, &arguments))?;
        runtime.shutdown_timeout(Duration::from_secs(5));
        eprintln!("{}", row.line());
        report.push(row);
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report.json())?);
    } else {
        print!("{}", report.text());
    }
    Ok(if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn measure(attack: Attack, arguments: &Arguments) -> Result<Row, Error> {
    // The twin is never attacked: what the machine itself makes faster or slower meanwhile, it does
    // to both.
    let (twin, twin_witness) = at_work(arguments.streams).await;
    twin_witness.set_paused(true);
    let (vault, witness) = at_work(arguments.streams).await;
    let traitor = vault.bot_identity("traitor", OKX_SCOPE, &[]).await;

    tokio::time::sleep(SETTLE).await;
    drop(witness.take());
    let before = goodput(&witness, &twin_witness, arguments.calm_seconds).await;
    let seen_before = witness.take();
    let resident_before = Resident::look(vault.ready());
    let lines_before = vault.stderr().lines().count();

    let seconds = arguments.seconds.unwrap_or(match attack {
        Attack::Handshakes => UNTIL_THE_LAST,
        _ => SECONDS,
    });
    let count = arguments.count.unwrap_or(attack.full_count());
    eprintln!("{}: {count}, for {seconds} s at the most", attack.name());
    let memory = Memory::watch(vault.ready());
    let done = Arc::new(Done::default());
    let effort = Effort { count, until: Instant::now() + Duration::from_secs(seconds) };
    let attacker =
        attacker(attack, Target::new(vault.ready(), &traitor), effort, &done, arguments.nice);
    let begun = Instant::now();
    let signed = witness.signed();
    while !attacker.is_finished() {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if begun.elapsed().as_secs() % 30 == 29 && begun.elapsed().subsec_millis() < 100 {
            eprintln!("{}: {} sent, {} ended", attack.name(), done.sent(), done.ended());
        }
    }
    let took = begun.elapsed();
    let during = (witness.signed() - signed) as f64 / took.as_secs_f64();
    let seen = witness.take();
    let resident_peak = memory.most();
    drop(memory);
    attacker.join().map_err(|_| "the attacker panicked")?;

    tokio::time::sleep(SETTLE).await;
    let after = goodput(&witness, &twin_witness, arguments.calm_seconds).await;
    let resident_after = Resident::look(vault.ready());
    let lines = vault.stderr().lines().count() - lines_before;
    drop((witness, twin_witness));
    twin.verify();
    let entries = vault.log_entries();
    let auth_denied = entries.iter().filter(|entry| entry.kind == EntryKind::AuthDenied).count();
    vault.verify();
    Ok(Row {
        attack,
        took,
        sent: done.sent(),
        connections: done.connections(),
        ended: done.ended(),
        answered: done.answered(),
        before,
        during,
        after,
        seen_before,
        seen,
        resident_before,
        resident_peak,
        resident_after,
        lines,
        auth_denied,
    })
}

/// A vault, and those who have nothing to do with the attack.
async fn at_work(streams: usize) -> (TestVault, Witness) {
    let vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    let good = vault.bot_identity("good", OKX_SCOPE, &[]).await;
    drop(vault.bot_identity("bystander", OKX_SCOPE, &[]).await);
    let witness = Witness::start(&vault.identity("admin"), &good, "bystander", streams);
    (vault, witness)
}

/// Orders a second of the vault and of its twin, in turns of a second each: of so many turns the
/// medians.
async fn goodput(witness: &Witness, twin: &Witness, turns: u64) -> Goodput {
    let mut rates = [Vec::new(), Vec::new()];
    witness.set_paused(true);
    for _ in 0..turns.max(1) {
        for (rates, witness) in rates.iter_mut().zip([witness, twin]) {
            witness.set_paused(false);
            tokio::time::sleep(TURN / 5).await;
            let (signed, begun) = (witness.signed(), Instant::now());
            tokio::time::sleep(TURN).await;
            rates.push((witness.signed() - signed) as f64 / begun.elapsed().as_secs_f64());
            witness.set_paused(true);
            tokio::time::sleep(TURN / 5).await;
        }
    }
    witness.set_paused(false);
    let [own, twin] = rates.map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    });
    Goodput { own, twin }
}

/// The attack, on threads of its own with the priority that it shall have.
fn attacker(
    attack: Attack,
    target: Target,
    effort: Effort,
    done: &Arc<Done>,
    nice: i32,
) -> std::thread::JoinHandle<()> {
    let done = Arc::clone(done);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .on_thread_start(move || step_back(nice))
            .enable_all()
            .build();
        let Ok(runtime) = runtime else { return };
        let attack = async move { attack.run(&target, effort, &done).await };
        // On a thread that has stepped back; this one only waits.
        drop(runtime.block_on(runtime.spawn(attack)));
        runtime.shutdown_timeout(Duration::from_secs(5));
    })
}

/// Of the calling thread alone.
fn step_back(nice: i32) {
    // SAFETY: a plain system call; on Linux its 0 is the calling thread.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
}

/// As many descriptors as the machine grants: the crowd's sockets, and the server inherits the limit.
fn raise_descriptors() -> Result<(), Error> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: it is written to a value that lives.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: it is read from a value that lives.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    Ok(())
}
