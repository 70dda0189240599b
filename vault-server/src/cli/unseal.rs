//! `vault-server unseal`.

use clap::Args;
use prost::Message as _;
use serde_json::json;
use vault_ipc::LocalOperation;
use vault_ipc::proto::sealed;
use vault_ipc::proto::v1::{SealState, UnsealCommand, UnsealResponse};

use super::Data;
use crate::fault::{Exit, Fault};
use crate::local::Vault;
use crate::output::Output;
use crate::secret;

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    data: Data,
    /// Read the passphrase from the first line of stdin
    #[arg(long)]
    passphrase_stdin: bool,
}

pub fn run(output: Output, arguments: &Arguments) -> Result<(), Fault> {
    let status = Vault::connect(arguments.data.as_ref())?.status()?;
    match status.state() {
        SealState::Unsealed => {
            let value = json!({ "unsealed": true, "state_rev": status.state_rev });
            return output.show(&value, || "unsealed already".to_owned());
        }
        SealState::Refused => {
            return Err(Fault::other(format!("the vault refuses to unseal: {}", status.reason))
                .with_hint("see the runbook for unseal"));
        }
        SealState::Sealed | SealState::Unspecified => {}
    }
    let passphrase = if arguments.passphrase_stdin {
        secret::from_stdin()?
    } else {
        secret::ask("Passphrase: ")?
    };
    // Asked again: tickets and connections live for minutes, and people take their time.
    let mut vault = Vault::connect(arguments.data.as_ref())?;
    let status = vault.status()?;
    let not_ours = || {
        Fault::new(Exit::NotVerified, "the ticket is not signed by this vault's core")
            .with_hint("the passphrase was not sent; somebody may stand in front of the core")
    };
    let ticket = status.unseal_ticket.ok_or_else(not_ours)?;
    sealed::verify_ticket(&ticket, sealed::UNSEAL, &vault.core_fingerprint()?)
        .map_err(|_| not_ours())?;
    let sealed = sealed::seal(&ticket, &[], passphrase.expose_secret()).map_err(|_| not_ours())?;
    drop(passphrase);

    let command = UnsealCommand { ticket_id: ticket.id, sealed };
    let answer: UnsealResponse = vault.call(LocalOperation::Unseal, command.encode_to_vec())?;
    let value = json!({ "unsealed": true, "state_rev": answer.state_rev });
    output.show(&value, || format!("unsealed; state revision {}", answer.state_rev))
}
