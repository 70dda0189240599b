//! Bots that hold no secret: Execute and the HTTPS proxy, through real processes, against mock
//! venues that verify every signature over TLS.
//!
//! `.ci/run` installs ccxt into `target/ci-env`; another Python that has it is named by
//! `COUNTERSIGN_PYTHON`. Without either the tests that need it are skipped, and say so; where
//! `COUNTERSIGN_REQUIRE_CCXT` or `CI` is set they fail instead.

#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

mod bed;
mod bots;
mod confusion;
mod examples;
mod execute;
mod faults;
mod memory;
mod node;
mod own;
mod sidecar;
mod stream;
mod target;
