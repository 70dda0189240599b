//! Log lines: to stderr, as text or JSON. The audit log is data and never goes here.

use std::io::IsTerminal as _;

use tracing_subscriber::filter::LevelFilter;

use crate::config::{LogFormat, LogLevel, LogOutput};

/// Starts logging in this process. A second call changes nothing.
pub fn init(output: LogOutput) {
    let level = match output.level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Trace => LevelFilter::TRACE,
        LogLevel::Warn => LevelFilter::WARN,
    };
    let lines = tracing_subscriber::fmt()
        .with_max_level(level)
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
