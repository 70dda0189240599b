//! Measures the vault with durable logging on, beside what it is measured against, in alternating
//! rounds of one run, driven by one load generator. Prints a table, or JSON with `--json`.
//!
//! ```text
//! cargo run --release -p vault-tests --bin vault-bench -- --scenario sign-hmac
//! ```
//!
//! - `sign-hmac`, `sign-ed25519`, `sign-p256`, `sign-rsa`, `deny`, `mixed`: Sign against an empty
//!   tonic echo (`--echo pinned`), one on the vault's own runtime and HTTP settings (`own`), or
//!   both: closed loop, `--connections` x `--streams` and one at a time; with `--rate` open loop,
//!   latencies counted from the intended start;
//! - `batch`, `stream`: 64 Signs in one call, or at a time on one stream, against one a call;
//! - `growth`: Sign of vaults with 10, 1,000 and 100,000 clients, against each other;
//! - `admin`: Sign at a fixed rate, with and without an admin who makes changes;
//! - `memory`: what each process takes while ten million Signs come (`--signs`);
//! - `fairness`: a client with one call at a time, alone and beside one at full blast;
//! - `execute`: orders through the vault (gRPC Execute, and the HTTPS proxy over kept-alive
//!   HTTP/1.1) against the same orders sent straight to the same venue over TLS;
//! - `ccxt`: orders of one asynchronous ccxt, all at once, through the proxy and straight to the
//!   venue; needs a Python with ccxt and aiohttp, named by `COUNTERSIGN_PYTHON`.
//!
//! `--short` measures the bars of the first three a second each, or with `--scenario` a smaller
//! `growth`, `admin` or `memory`, and fails if a ratio is not even half as good as it must be.
//! `--openbao` measures OpenBao too.
//!
//! The server is the workspace's own, built with this program's profile, or the file that
//! `COUNTERSIGN_VAULT_SERVER` names. Data goes to `TMPDIR`: whose disk that is decides what a sync
//! takes. Every run ends with a look into the log: each answer must be in it, with the hash of its
//! receipt, nothing else may be, and it must verify.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program whose output is its purpose"
)]

mod admin;
mod bao;
mod bao_lane;
mod bar;
mod ccxt;
mod cpu;
mod echo;
mod echo_own;
mod echo_process;
mod execute;
mod fairness;
mod figure;
mod growth;
mod histogram;
mod lane;
mod load;
mod memory;
mod mock;
mod order;
mod paced;
mod plateau;
mod reply;
mod round;
mod schedule;
mod side;
mod sign;
mod sync;
mod tls;
mod way;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use crate::bar::Judged;
use crate::echo_process::Echo;
use crate::side::Manner;
use crate::sign::Course;
use crate::work::Work;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Measures the vault.
#[derive(Clone, Debug, Parser)]
#[command(about, long_about = None)]
struct Arguments {
    /// What is measured.
    #[arg(long, value_enum, default_value_t = Scenario::SignHmac)]
    scenario: Scenario,
    /// Rounds; each measures every way once, in turn.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Requests of one way in one round that are sent one after the other; `ccxt`: at once.
    #[arg(long)]
    requests: Option<usize>,
    /// Connections that send side by side.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Requests at a time on each of them; over HTTP/1.1 so many connections instead.
    #[arg(long, default_value_t = 16)]
    streams: usize,
    /// How long each way sends side by side in one round.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Calls a second, by a fixed schedule, whatever becomes of them: open loop. Not for `batch`,
    /// `stream`, `fairness`, `growth`, `execute` and `ccxt`.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    rate: Option<u64>,
    /// Which echo Sign is measured against.
    #[arg(long, value_enum, default_value_t = Echoes::Both)]
    echo: Echoes,
    /// OpenBao's binary (`bao`): measures it too, where it can do the same.
    #[arg(long, value_name = "PATH", env = "COUNTERSIGN_OPENBAO")]
    openbao: Option<PathBuf>,
    /// `growth`: of the largest vault, 100,000 if not said; `admin`: 1,000 if not said.
    #[arg(long)]
    clients: Option<u64>,
    /// The bars of sign-hmac, sign-ed25519 and sign-p256 in three rounds of a second, instead of a
    /// scenario; or those of `growth`, `admin` or `memory`. Ends with 1 if a ratio is not even half as
    /// good as its bar.
    #[arg(long, conflicts_with = "rate")]
    short: bool,
    /// `memory`: signatures in all.
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(100..))]
    signs: u64,
    /// `execute`: with `[latency] keep_awake`.
    #[arg(long)]
    keep_awake: bool,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
    /// Is something for another process of this program: its own use.
    #[arg(long, hide = true)]
    be: Option<Role>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Scenario {
    /// Signatures at a fixed rate, with and without an admin who makes changes.
    Admin,
    /// Signatures, 64 in one call.
    Batch,
    /// Orders of one asynchronous ccxt, all at once.
    Ccxt,
    /// Orders that the scope does not allow.
    Deny,
    /// Orders through the vault.
    Execute,
    /// A client with one call at a time beside one at full blast.
    Fairness,
    /// Signatures of vaults that have grown.
    Growth,
    /// Memory, while millions of signatures come.
    Memory,
    /// HMAC, Ed25519, P-256 and denials together.
    Mixed,
    /// Signatures with Ed25519.
    SignEd25519,
    /// Signatures with HMAC.
    SignHmac,
    /// Signatures with ECDSA P-256.
    SignP256,
    /// Signatures with RSA.
    SignRsa,
    /// Signatures, 64 at a time on one stream.
    Stream,
}

/// Which echoes are measured.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Echoes {
    Both,
    Own,
    Pinned,
}

impl Echoes {
    fn all(self) -> &'static [Echo] {
        match self {
            Self::Both => &[Echo::Pinned, Echo::Own],
            Self::Own => &[Echo::Own],
            Self::Pinned => &[Echo::Pinned],
        }
    }
}

/// What another process of this program may be.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    EchoOwn,
    EchoPinned,
    Venue,
}

/// What a scenario found.
struct Report {
    json: serde_json::Value,
    text: String,
    judged: Vec<Judged>,
}

fn main() -> Result<ExitCode, Error> {
    let mut arguments = Arguments::parse();
    match arguments.be {
        None => {}
        Some(Role::EchoOwn) => return echo_process::serve(Echo::Own).map(|()| ExitCode::SUCCESS),
        Some(Role::EchoPinned) => {
            return echo_process::serve(Echo::Pinned).map(|()| ExitCode::SUCCESS);
        }
        Some(Role::Venue) => return mock::serve().map(|()| ExitCode::SUCCESS),
    }
    if arguments.short {
        arguments.rounds = SHORT_ROUNDS;
        arguments.seconds = 1;
        arguments.signs = arguments.signs.min(SHORT_SIGNS);
    }
    let report = measure(&arguments)?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report.json)?);
    } else {
        print!("{}", report.text);
    }
    // A machine that others use is slow now and then: only what is far off is a failure.
    if arguments.short && report.judged.iter().any(Judged::is_grossly_lost) {
        eprintln!("vault-bench: error: a ratio is not even half as good as its bar");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

const SHORT_ROUNDS: usize = 3;
const SHORT_SIGNS: u64 = 500_000;

fn measure(arguments: &Arguments) -> Result<Report, Error> {
    let is_closed = !matches!(
        arguments.scenario,
        Scenario::Admin
            | Scenario::Deny
            | Scenario::Mixed
            | Scenario::SignEd25519
            | Scenario::SignHmac
            | Scenario::SignP256
            | Scenario::SignRsa
    );
    if is_closed && arguments.rate.is_some() {
        return Err("this scenario has no --rate".into());
    }
    let course = match arguments.scenario {
        Scenario::Admin => return admin::measure(arguments),
        Scenario::Growth => return growth::measure(arguments),
        Scenario::Memory => return plateau::measure(arguments),
        // What is measured if nothing else is said.
        Scenario::SignHmac if arguments.short => Course::short(arguments),
        _ if arguments.short => return Err("this scenario has no --short".into()),
        Scenario::Batch => Course::together(Manner::Batch, arguments),
        Scenario::Ccxt => return ccxt::measure(arguments).map(Report::of),
        Scenario::Deny => Course::sign(Work::Deny, arguments),
        Scenario::Execute => return execute::measure(arguments).map(Report::of),
        Scenario::Fairness => return fairness::measure(arguments),
        Scenario::Mixed => Course::sign(Work::Mixed, arguments),
        Scenario::SignEd25519 => Course::sign(Work::Ed25519, arguments),
        Scenario::SignHmac => Course::sign(Work::Hmac, arguments),
        Scenario::SignP256 => Course::sign(Work::P256, arguments),
        Scenario::SignRsa => Course::sign(Work::Rsa, arguments),
        Scenario::Stream => Course::together(Manner::Stream, arguments),
    };
    sign::measure(arguments, &course)
}

impl Report {
    /// Of a scenario without bars.
    fn of((json, text): (serde_json::Value, String)) -> Self {
        Self { json, text, judged: Vec::new() }
    }
}

/// Cores, as every report says them.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, usize::from)
}
