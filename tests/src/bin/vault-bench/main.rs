//! Measures the vault with durable logging on, beside what it is measured against, in alternating
//! rounds of one run, driven by one load generator. Prints a table, or JSON with `--json`.
//!
//! ```text
//! cargo run --release -p vault-tests --bin vault-bench -- --scenario execute
//! ```
//!
//! - `execute`: orders through the vault (gRPC Execute, and the HTTPS proxy over kept-alive
//!   HTTP/1.1) against the same orders sent straight to the same venue over TLS;
//! - `ccxt`: orders of one asynchronous ccxt, all at once, through the proxy and straight to the
//!   venue; needs a Python with ccxt and aiohttp, named by `COUNTERSIGN_PYTHON`;
//! - `sign-hmac`: Sign against an empty tonic echo with the same TLS settings;
//! - `batch`, `stream`: 64 Signs in one call, or at a time on one stream, against one a call.
//!
//! The server is the workspace's own, built with this program's profile, or the file that
//! `COUNTERSIGN_VAULT_SERVER` names. Data goes to `TMPDIR`: whose disk that is decides what a sync
//! takes. Every run ends with a look into the log: each order that was answered must be in it, and
//! it must verify.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program whose output is its purpose"
)]

mod ccxt;
mod cpu;
mod echo;
mod execute;
mod figure;
mod many;
mod mock;
mod sign;
mod sync;
mod tls;
mod way;

use clap::{Parser, ValueEnum};

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
    /// `execute`: with `[latency] keep_awake`.
    #[arg(long)]
    keep_awake: bool,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
    /// Is a venue for another process of this program: its own use.
    #[arg(long, hide = true)]
    venue: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Scenario {
    /// Signatures, 64 in one call.
    Batch,
    /// Orders of one asynchronous ccxt, all at once.
    Ccxt,
    /// Orders through the vault.
    Execute,
    /// Signatures.
    SignHmac,
    /// Signatures, 64 at a time on one stream.
    Stream,
}

fn main() -> Result<(), Error> {
    let arguments = Arguments::parse();
    if arguments.venue {
        return mock::serve();
    }
    let (report, table) = match arguments.scenario {
        Scenario::Batch => many::measure(&arguments, many::Together::Batch)?,
        Scenario::Ccxt => ccxt::measure(&arguments)?,
        Scenario::Execute => execute::measure(&arguments)?,
        Scenario::SignHmac => sign::measure(&arguments)?,
        Scenario::Stream => many::measure(&arguments, many::Together::Stream)?,
    };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{table}");
    }
    Ok(())
}

/// Cores, as every report says them.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, usize::from)
}
