//! Why a vault does not run, or runs no more.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use vault_ipc::FrameError;
use vault_sandbox::ConfineError;

use super::STOP;
use super::listener::BindError;
use crate::alarm::AlarmError;
use crate::config::ConfigError;
use crate::settings::NotBack;

/// Why the vault does not run, or runs no more.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The alarm's program cannot be used.
    #[error("the alarm's program cannot be used: {0}")]
    Alarm(#[from] AlarmError),
    /// An address is taken or not ours.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The channel to the core says what no core says.
    #[error("the channel to the core broke")]
    Channel(#[from] FrameError),
    /// A child ended without being asked to; the others were stopped.
    #[error("{0}; everything is stopped")]
    ChildDied(String),
    /// A catalogue file of the operator's own cannot be used.
    #[error(transparent)]
    Catalog(#[from] vault_core::CatalogError),
    /// `config.toml` is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A vault without `config.toml`: a run that ended may have taken it away.
    #[error("{} is not there: a run that could not put it back takes it away when it ends", .0.display())]
    ConfigMissing(PathBuf),
    /// The core does not answer: it hangs, or keeps silent.
    #[error("the core has not answered for {} s; everything is stopped", .0.as_secs())]
    CoreSilent(Duration),
    /// Others than the owner may look into the data directory.
    #[error("{} must not be accessible to group and others", .0.display())]
    DataMode(PathBuf),
    /// Nothing of ours is there.
    #[error("{} is not a vault's data directory", .0.display())]
    DataMissing(PathBuf),
    /// It belongs to another user.
    #[error("{} belongs to another user", .0.display())]
    DataOwner(PathBuf),
    /// The system refuses what every Linux grants.
    #[error("the processes cannot be confined")]
    Confine(#[from] ConfineError),
    /// Something that confines the processes is not there, and is required.
    #[error("hardening is required, and this system has no {}", .0.join(", no "))]
    Hardening(Vec<&'static str>),
    /// The vault has ended, and what it was started with is not there for the next start.
    #[error("{cause}; config.toml is taken away until a person has looked")]
    Held {
        /// Why it has ended.
        cause: Box<Self>,
        /// Why it is held.
        source: NotBack,
    },
    /// The database of countries cannot be used.
    #[error("the database of countries cannot be used")]
    Geoip(#[from] vault_core::GeoipError),
    /// Another supervisor has it.
    #[error("a vault runs on {} already", .0.display())]
    InUse(PathBuf),
    /// The operating system's.
    #[error("cannot {what}")]
    Setup {
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// The children did not end when asked to, and were killed.
    #[error("the processes did not end within {} s and were killed", STOP.as_secs())]
    StopTimeout,
}

/// Makes a [`RunError::Setup`].
pub(super) fn setup<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> RunError {
    move |error| RunError::Setup { what, source: error.into() }
}
