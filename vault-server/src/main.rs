//! The vault server: one binary for the supervisor, its children, and what an administrator does on
//! the machine itself.

mod awake;
mod child;
mod cli;
mod config;
#[cfg(feature = "demo")]
mod demo;
mod fault;
mod local;
mod output;
mod secret;
mod supervisor;
mod telemetry;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
