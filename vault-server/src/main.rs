//! The vault server: one binary for the supervisor, its children, and what an administrator does on
//! the machine itself.

mod alarm;
mod awake;
mod child;
mod cli;
mod config;
#[cfg(feature = "demo")]
mod demo;
mod fault;
mod local;
mod memory;
mod output;
mod secret;
mod settings;
mod supervisor;
mod telemetry;

use std::process::ExitCode;

/// With whole-program optimisation a fifth less processor time for each order (ADR 36). Secrets are not in it:
/// `vault-arena` has memory of its own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    memory::take_small_pages();
    cli::main()
}
