//! Landlock: which files, which TCP ports, which processes.

use std::path::Path;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, LandlockStatus,
    NetPort, PathBeneath, PathFd, Ruleset, RulesetAttr as _, RulesetCreated,
    RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope, make_bitflags,
};
use rustix::fs::{Mode, OFlags};

use crate::Border;

/// The newest interface that is asked for: what later ones add is not tested yet.
const NEWEST: ABI = ABI::V7;

/// The border was not closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BorderError {
    /// The data directory cannot be opened.
    #[error("the data directory cannot be opened: {0}")]
    Data(#[source] landlock::PathFdError),
    /// The kernel said that it is closed, and it is not.
    #[error("a file outside can be opened all the same")]
    Open,
    /// From the kernel.
    #[error("{0}")]
    Ruleset(#[from] RulesetError),
}

/// Closes it and says which version of the interface is in force; 0 where the kernel has none, and for
/// the supervisor: what it may not do its children could not do either, and they need a lot to start.
pub(crate) fn close(border: &Border<'_>) -> Result<u32, BorderError> {
    let mut rules = match border {
        Border::Supervisor => return Ok(0),
        Border::Core { .. } | Border::Egress { .. } | Border::Exporter { .. } | Border::Front => {
            handled()?
        }
    };
    match border {
        Border::Core { data, readable } => {
            let data = PathFd::new(data).map_err(BorderError::Data)?;
            rules = rules.add_rule(PathBeneath::new(data, data_rights()))?;
            for path in *readable {
                rules = may_read(rules, path)?;
            }
        }
        Border::Egress { ports, chooses_source } => {
            for port in *ports {
                rules = rules.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
            }
            if *chooses_source {
                rules = rules.add_rule(NetPort::new(ANY_PORT, AccessNet::BindTcp))?;
            }
        }
        Border::Exporter { port } => {
            rules = rules.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
        }
        Border::Front | Border::Supervisor => {}
    }
    let status = rules.restrict_self()?;
    let abi = match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, _) => 0,
        (_, LandlockStatus::Available { effective_abi, .. }) => effective_abi.min(NEWEST) as u32,
        (_, LandlockStatus::NotEnabled | LandlockStatus::NotImplemented) => 0,
    };
    if abi > 0 && can_open_outside() {
        return Err(BorderError::Open);
    }
    Ok(abi)
}

/// Everything that can be forbidden is.
fn handled() -> Result<RulesetCreated, RulesetError> {
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()
}

/// A port that the kernel chooses.
const ANY_PORT: u16 = 0;

/// Files and folders: no program, device, socket, pipe or link.
fn data_rights() -> BitFlags<AccessFs> {
    make_bitflags!(AccessFs::{
        MakeDir | MakeReg | ReadDir | ReadFile | Refer | RemoveDir | RemoveFile | Truncate | WriteFile
    })
}

fn may_read(rules: RulesetCreated, path: &Path) -> Result<RulesetCreated, RulesetError> {
    // One that is not there, or not for this user, cannot be read later either; who reads it says so.
    match PathFd::new(path) {
        Ok(file) => rules.add_rule(PathBeneath::new(file, AccessFs::ReadFile)),
        Err(_) => Ok(rules),
    }
}

fn can_open_outside() -> bool {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open("/", flags, Mode::empty()).is_ok()
}
