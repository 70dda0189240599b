//! The egress against real TLS servers.

mod barrier;
mod bed;
mod fault;
mod held;
mod pass;
mod stream;
