//! `vault-server run`.

use std::path::PathBuf;

use clap::Args;

use super::Data;
use crate::child::chain;
use crate::fault::{Exit, Fault};
use crate::supervisor::{self, RunError, Wish};

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    data: Data,
    /// Stay sealed until a person unseals, even if a key file is configured
    #[arg(long)]
    stay_sealed: bool,
    /// Do not start unless everything that confines the processes is there
    #[arg(long)]
    require_hardening: bool,
    /// A program to start with one line of JSON on its standard input when something is wrong, and
    /// when it is over: absolute, root's or the vault's user's, and not in the data directory
    #[arg(long, value_name = "PROGRAM", env = "COUNTERSIGN_ALARM")]
    alarm: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<(), Fault> {
    let Arguments { data, stay_sealed, require_hardening, alarm } = arguments;
    let wish = Wish {
        stay_sealed: *stay_sealed,
        require_hardening: *require_hardening,
        alarm: alarm.as_deref(),
    };
    supervisor::run(data.as_ref(), wish).map_err(|error| {
        let exit = match &error {
            RunError::ChildDied(_)
            | RunError::Channel(_)
            | RunError::CoreSilent(_)
            | RunError::StopTimeout => Exit::Died,
            RunError::ConfigMissing(_) | RunError::Held { .. } => Exit::Held,
            RunError::Alarm(_)
            | RunError::Bind(_)
            | RunError::Catalog(_)
            | RunError::Config(_)
            | RunError::Confine(_)
            | RunError::DataMissing(_)
            | RunError::DataMode(_)
            | RunError::DataOwner(_)
            | RunError::Geoip(_)
            | RunError::Hardening(_)
            | RunError::InUse(_)
            | RunError::Setup { .. } => Exit::Other,
        };
        let hint = match &error {
            RunError::ConfigMissing(_) | RunError::Held { .. } => {
                "compare config.toml.held and config.toml.changed with your own, and put the right one \
                 in its place: docs/runbooks/held-start.md"
                    .to_owned()
            }
            RunError::DataMissing(_) => "make a vault with vault-server init --data DIR".to_owned(),
            RunError::DataMode(path) => format!("chmod 700 {}", path.display()),
            RunError::DataOwner(_) => "run the vault as the user who owns it".to_owned(),
            RunError::Hardening(_) => "docs/reference/sandbox.md says what each part is and which \
                                       kernels have it"
                .to_owned(),
            _ => String::new(),
        };
        Fault::new(exit, chain(&error)).with_hint(hint)
    })
}
