//! `vault-server run`.

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
}

pub fn run(arguments: &Arguments) -> Result<(), Fault> {
    let Arguments { data, stay_sealed, require_hardening } = arguments;
    let wish = Wish { stay_sealed: *stay_sealed, require_hardening: *require_hardening };
    supervisor::run(data.as_ref(), wish).map_err(|error| {
        let exit = match &error {
            RunError::ChildDied(_) | RunError::Channel(_) | RunError::StopTimeout => Exit::Died,
            RunError::Bind(_)
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
