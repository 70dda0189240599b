//! What every command needs: global options, the identity, a connection.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use vault_client::v1::Role;
use vault_client::{Identity, Operator, role_word};

use crate::config;
use crate::fault::{Exit, Fault};
use crate::output::Output;

/// Options of every command.
#[derive(Args)]
pub struct Global {
    /// Profile of the config file to use instead of the default one
    #[arg(long, global = true, value_name = "NAME")]
    pub profile: Option<String>,
    /// Config file, instead of countersign/config.toml in $XDG_CONFIG_HOME or ~/.config
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Identity folder to use instead of a profile's
    #[arg(long, global = true, value_name = "DIR")]
    pub identity: Option<PathBuf>,
    /// Address to use instead of the identity's
    #[arg(long, global = true, value_name = "HOST:PORT")]
    pub address: Option<String>,
    /// Data as JSON on stdout, errors as JSON on stderr
    #[arg(long, global = true)]
    pub json: bool,
}

/// Global options and where output goes.
pub struct Context {
    pub global: Global,
    pub output: Output,
}

impl Context {
    pub fn new(global: Global, output: Output) -> Self {
        Self { global, output }
    }

    /// The identity that the options or the config file name.
    pub fn identity(&self) -> Result<Identity, Fault> {
        let (folder, address) = match &self.global.identity {
            Some(folder) => (folder.clone(), None),
            None => config::identity(self)?,
        };
        let identity = Identity::load(&folder)?;
        let identity = match self.global.address.clone().or(address) {
            Some(address) => identity.with_address(address),
            None => identity,
        };
        if identity.needs_renewal(SystemTime::now()) && identity.role() != Role::Bot {
            self.output.talk("vaultctl: the certificate runs out soon: vaultctl renew");
        }
        Ok(identity)
    }

    /// A connection with an operator's identity.
    pub async fn operator(&self) -> Result<Operator, Fault> {
        let identity = self.identity()?;
        if !matches!(identity.role(), Role::Admin | Role::Auditor | Role::Guard) {
            return Err(wrong_role(&identity, "this needs an operator's identity"));
        }
        Ok(Operator::connect(identity).await?)
    }
}

/// The identity is of another role than a command needs.
pub fn wrong_role(identity: &Identity, needs: &str) -> Fault {
    let role = role_word(identity.role());
    let article = if role.starts_with('a') { "an" } else { "a" };
    let message = format!("{} is {article} {role}; {needs}", identity.name());
    Fault::new(Exit::Denied, message)
        .with_hint("choose another identity with --profile; vaultctl config lists them")
}

/// Milliseconds since the epoch.
pub fn millis(at: SystemTime) -> i64 {
    let since_epoch = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}
