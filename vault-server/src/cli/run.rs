//! `vault-server run`.

use clap::Args;

use super::Data;
use crate::child::chain;
use crate::fault::{Exit, Fault};
use crate::supervisor::{self, RunError};

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    data: Data,
    /// Stay sealed until a person unseals, even if a key file is configured
    #[arg(long)]
    stay_sealed: bool,
}

pub fn run(arguments: &Arguments) -> Result<(), Fault> {
    supervisor::run(arguments.data.as_ref(), arguments.stay_sealed).map_err(|error| {
        let exit = match &error {
            RunError::ChildDied(_) | RunError::Channel(_) | RunError::StopTimeout => Exit::Died,
            RunError::Bind(_)
            | RunError::Catalog(_)
            | RunError::Config(_)
            | RunError::DataMissing(_)
            | RunError::DataMode(_)
            | RunError::DataOwner(_)
            | RunError::Geoip(_)
            | RunError::InUse(_)
            | RunError::Setup { .. } => Exit::Other,
        };
        let hint = match &error {
            RunError::DataMissing(_) => "make a vault with vault-server init --data DIR".to_owned(),
            RunError::DataMode(path) => format!("chmod 700 {}", path.display()),
            RunError::DataOwner(_) => "run the vault as the user who owns it".to_owned(),
            _ => String::new(),
        };
        Fault::new(exit, chain(&error)).with_hint(hint)
    })
}
