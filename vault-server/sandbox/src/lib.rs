//! What the kernel keeps a process of the vault from: dumps, privileges, files, system calls.
//!
//! A process confines itself in two steps. [`confine`] comes first of all: no dump, no tracer of the
//! same user, no new privileges, no capability. [`enter`] comes once everything that has to be opened
//! is open, and before the first byte that somebody else wrote is read: Landlock, then seccomp.
//! Neither can be undone. Both must be called while the process has one thread.
//!
//! | process | files | network | programs, other processes |
//! | --- | --- | --- | --- |
//! | core | the data directory; to read, the few files that it is told | none | none |
//! | egress | none | TCP to the ports of venues and of DNS, UDP | none |
//! | exporter | none | TCP to the port of the collector | none |
//! | front | none | accepts; opens no socket | none |
//! | supervisor | as its user | as its user | starts the others |
//!
//! What is on is read back and said in a [`Report`]. `docs/adr/0031-sandbox.md` says why each call is
//! treated as it is.

mod border;
mod calls;
mod filter;
mod privilege;
mod report;

use std::fmt;
use std::path::Path;

pub use privilege::{ConfineError, confine};
pub use report::{Available, Report, available};

/// A process of the vault.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Process {
    /// Keys, policy, log and database.
    Core,
    /// Speaks to venues.
    Egress,
    /// Hands spans to a collector.
    Exporter,
    /// Speaks to clients.
    Front,
    /// Starts the others.
    Supervisor,
}

impl Process {
    /// Its word in messages and in the vault's status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Egress => "egress",
            Self::Exporter => "exporter",
            Self::Front => "front",
            Self::Supervisor => "supervisor",
        }
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a process is left with.
#[derive(Clone, Copy, Debug)]
pub enum Border<'a> {
    /// See the table above.
    Core {
        /// The data directory, to read and write.
        data: &'a Path,
        /// Files outside it that are read later on. One that is not there stays unreadable.
        readable: &'a [&'a Path],
    },
    /// See the table above.
    Egress {
        /// TCP ports to which it connects.
        ports: &'a [u16],
        /// Whether it chooses the address from which it connects. Never the port.
        chooses_source: bool,
    },
    /// See the table above.
    Exporter {
        /// TCP port to which it connects.
        port: u16,
    },
    /// See the table above.
    Front,
    /// See the table above.
    Supervisor,
}

impl Border<'_> {
    /// Whose it is.
    pub fn process(&self) -> Process {
        match self {
            Self::Core { .. } => Process::Core,
            Self::Egress { .. } => Process::Egress,
            Self::Exporter { .. } => Process::Exporter,
            Self::Front => Process::Front,
            Self::Supervisor => Process::Supervisor,
        }
    }
}

/// Closes the border behind the calling process, as far as the kernel can, and says how far that is.
///
/// What cannot be had is logged with its reason and missing in the report; whether the vault then runs
/// is the caller's decision.
pub fn enter(border: &Border<'_>) -> Report {
    let process = border.process();
    let missing = |what: &'static str, error: &dyn fmt::Display| {
        tracing::warn!(process = process.as_str(), %error, "the sandbox has no {what}");
    };
    // Opened now: the process cannot open it any more when it is read.
    let status = report::OwnStatus::open();
    let is_alone = status.as_ref().is_ok_and(report::OwnStatus::is_one_thread);
    let landlock_abi = match border::close(border) {
        // A thread that is there already is not inside.
        Ok(abi) if abi > 0 && !is_alone => {
            missing("Landlock on all threads", &"the process has several");
            0
        }
        Ok(abi) => abi,
        Err(error) => {
            missing("Landlock", &error);
            0
        }
    };
    // To be asked before seccomp refuses the question.
    let dumps_off = privilege::dumps_are_off();
    let is_filtered = match filter::install(process) {
        Ok(()) => true,
        Err(error) => {
            missing("filter of system calls", &error);
            false
        }
    };
    match status.and_then(|status| status.read()) {
        Ok(status) => Report {
            process,
            dumps_off,
            no_new_privileges: status.no_new_privileges,
            no_capabilities: status.no_capabilities,
            seccomp: is_filtered && status.is_filtered,
            landlock_abi,
        },
        Err(error) => {
            missing("way to read back what is on", &error);
            Report::nothing(process)
        }
    }
}
