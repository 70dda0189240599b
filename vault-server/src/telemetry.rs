//! Log lines: to stderr, as text or JSON. The audit log is data and never goes here.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, LogLevel, LogOutput};

/// Starts logging in this process. A second call changes nothing.
///
/// Only the vault's own crates are heard. Libraries log what strangers send, as often as they send it:
/// a ping's answer that nobody asked for is one line each in the HTTP library.
pub fn init(output: LogOutput) {
    let level = match output.level {
        LogLevel::Debug => "debug",
        LogLevel::Error => "error",
        LogLevel::Info => "info",
        LogLevel::Trace => "trace",
        LogLevel::Warn => "warn",
    };
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(format!("off,vault={level}")))
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let started = match output.format {
        LogFormat::Json => lines.json().try_init(),
        LogFormat::Text => lines.try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging had started already");
    }
}
