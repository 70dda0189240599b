//! `vaultctl operator`.

use clap::{Subcommand, ValueEnum};
use serde_json::json;
use vault_client::v1::{CertificateInfo, ListOperatorsCommand, RevokeOperatorCommand, Role};
use vault_client::{Invited, role_word};
use vault_model::{Name, Timestamp};

use crate::arguments::lifetime;
use crate::context::Context;
use crate::fault::{Exit, Fault};
use crate::output::table;
use crate::{client, confirm, json};

#[derive(Subcommand)]
pub enum Command {
    /// Let a person enrol: prints a one-time token on stdout, once
    Invite {
        name: Name,
        #[arg(long, value_enum)]
        role: OperatorRole,
        /// How long the token is good: 60s to 24h
        #[arg(long, value_name = "TIME", default_value = "15m", value_parser = lifetime)]
        ttl: u32,
    },
    /// List the operators
    List,
    /// End an operator; asks for a token that the first run prints
    Revoke {
        name: Name,
        /// The token that the first run printed
        #[arg(long, value_name = "TOKEN")]
        confirm: Option<String>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub enum OperatorRole {
    /// Administers
    Admin,
    /// Reads and exports the log
    Auditor,
    /// Halts and seals, nothing else
    Guard,
}

pub async fn run(context: &Context, command: Command) -> Result<(), Fault> {
    let operator = context.operator().await?;
    match command {
        Command::Invite { name, role, ttl } => {
            let role = match role {
                OperatorRole::Admin => Role::Admin,
                OperatorRole::Auditor => Role::Auditor,
                OperatorRole::Guard => Role::Guard,
            };
            let invited = operator.invite_operator(name.as_str(), role, ttl).await?;
            show_invited(context, &name, &invited)
        }
        Command::List => {
            let mut answer = operator.list_operators(ListOperatorsCommand::default()).await?;
            // Those who are not there yet after all others.
            answer.operators.sort_by_key(|info| info.state == "invited");
            let operators: Vec<_> = answer.operators.iter().map(json::operator).collect();
            context.output.show(&json!({ "operators": operators }), || {
                let rows: Vec<Vec<String>> = answer
                    .operators
                    .iter()
                    .map(|info| {
                        vec![
                            info.name.clone(),
                            role_word(info.role()).to_owned(),
                            info.state.clone(),
                            Timestamp::from_millis(info.created_at_ms).to_string(),
                        ]
                    })
                    .collect();
                table(&["NAME", "ROLE", "STATE", "CREATED"], &rows)
            })
        }
        Command::Revoke { name, confirm } => {
            let there = operator.list_operators(ListOperatorsCommand::default()).await?;
            let info =
                there.operators.iter().find(|info| info.name == name.as_str()).ok_or_else(
                    || Fault::new(Exit::NotFound, format!("operator {name} not found")),
                )?;
            let state = [info.state.as_str(), &info.created_at_ms.to_string()];
            let act = format!("revoke operator {name}");
            let instance_id = operator.identity().instance_id();
            confirm::require(instance_id, &act, &state, confirm.as_deref())?;
            let command = RevokeOperatorCommand { name: name.to_string() };
            let answer = operator.revoke_operator(command).await?;
            let value = json!({
                "change": json::change(answer.change.as_ref()),
                "withdrawn_invites": answer.withdrawn_invites,
            });
            context.output.show(&value, || {
                format!("{name} revoked{}", client::withdrawn(answer.withdrawn_invites))
            })
        }
    }
}

/// Prints a token: alone on stdout, so that it can be piped, and all about it on stderr.
pub fn show_invited(context: &Context, name: &Name, invited: &Invited) -> Result<(), Fault> {
    let token = invited.token.encode();
    let result = &invited.result;
    context.output.talk(&format!(
        "{name} may enrol at {} until {}:\n  vaultctl enroll TOKEN\nthe token is shown once:",
        result.enroll_address,
        Timestamp::from_millis(result.expires_at_ms)
    ));
    let value = json::invitation(name.as_str(), &token, result);
    context.output.show(&value, || token.to_string())
}

/// A table of certificates.
pub fn certificates(certificates: &[CertificateInfo]) -> String {
    let rows: Vec<Vec<String>> = certificates
        .iter()
        .map(|info| {
            vec![
                info.serial.clone(),
                info.state.clone(),
                Timestamp::from_millis(info.issued_at_ms).to_string(),
                Timestamp::from_millis(info.not_after_ms).to_string(),
            ]
        })
        .collect();
    table(&["SERIAL", "STATE", "ISSUED", "VALID UNTIL"], &rows)
}
