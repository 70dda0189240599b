//! `vaultctl client`.

use clap::Subcommand;
use serde_json::json;
use vault_client::role_word;
use vault_client::v1::{
    ClientInfo, DescribeClientCommand, InviteClientCommand, InviteSpec, ListClientsCommand,
    RevokeClientCommand, Role,
};
use vault_model::{Name, Timestamp};

use crate::arguments::{lifetime, network};
use crate::context::Context;
use crate::fault::Fault;
use crate::operator::{certificates, show_invited};
use crate::output::{pairs, table};
use crate::{halt, json};

#[derive(Subcommand)]
pub enum Command {
    /// Show one client and its certificates
    Describe { name: Name },
    /// Let a client enrol: prints a one-time token on stdout, once
    Invite(Invite),
    /// List the clients
    List,
    /// End a client at once
    Revoke {
        name: Name,
        /// Why, for the log
        #[arg(long, default_value = "")]
        reason: String,
    },
}

#[derive(clap::Args)]
pub struct Invite {
    name: Name,
    /// What it may do
    #[arg(long, required_unless_present = "pricer", conflicts_with = "pricer")]
    scope: Option<Name>,
    /// A network it may call from, narrowing the scope's; repeat for more
    #[arg(long = "ip", value_name = "CIDR", value_parser = network)]
    networks: Vec<String>,
    /// It puts reference prices, and signs nothing
    #[arg(long)]
    pricer: bool,
    /// How long the token is good: 60s to 24h
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = lifetime)]
    ttl: u32,
}

pub async fn run(context: &Context, command: Command) -> Result<(), Fault> {
    match command {
        Command::Describe { name } => describe(context, &name).await,
        Command::Invite(arguments) => invite(context, arguments).await,
        Command::List => list(context).await,
        Command::Revoke { name, reason } => {
            let command = RevokeClientCommand { name: name.to_string(), reason };
            let answer = context.operator().await?.revoke_client(command).await?;
            let value = json!({
                "change": json::change(answer.change.as_ref()),
                "outstanding": json::outstanding(answer.outstanding.as_ref()),
                "withdrawn_invites": answer.withdrawn_invites,
            });
            context.output.show(&value, || {
                let withdrawn = withdrawn(answer.withdrawn_invites);
                let outstanding = halt::outstanding(answer.outstanding.as_ref());
                format!("{name} revoked{withdrawn}\n{outstanding}")
            })
        }
    }
}

async fn invite(context: &Context, arguments: Invite) -> Result<(), Fault> {
    let role = if arguments.pricer { Role::Pricer } else { Role::Bot };
    let command = InviteClientCommand {
        name: arguments.name.to_string(),
        role: role.into(),
        scope: arguments.scope.map(String::from).unwrap_or_default(),
        networks: arguments.networks,
        invite: Some(InviteSpec { lifetime_s: arguments.ttl, ..InviteSpec::default() }),
    };
    let invited = context.operator().await?.invite_client(command).await?;
    show_invited(context, &arguments.name, &invited)
}

async fn list(context: &Context) -> Result<(), Fault> {
    let mut answer = context.operator().await?.list_clients(ListClientsCommand::default()).await?;
    // Those who are not there yet after all others.
    answer.clients.sort_by_key(|info| info.state == "invited");
    let clients: Vec<_> = answer.clients.iter().map(json::client).collect();
    context.output.show(&json!({ "clients": clients }), || {
        let rows: Vec<Vec<String>> = answer.clients.iter().map(row).collect();
        table(&["NAME", "ROLE", "SCOPE", "STATE", "NETWORKS", "CREATED"], &rows)
    })
}

async fn describe(context: &Context, name: &Name) -> Result<(), Fault> {
    let command = DescribeClientCommand { name: name.to_string() };
    let answer = context.operator().await?.describe_client(command).await?;
    let info = answer.client.unwrap_or_default();
    context.output.show(&json!({ "client": json::client(&info) }), || {
        let revoked = match info.revoked_at_ms {
            0 => String::new(),
            at_ms => Timestamp::from_millis(at_ms).to_string(),
        };
        let head = pairs(&[
            ("name", info.name.clone()),
            ("role", role_word(info.role()).to_owned()),
            ("scope", info.scope.clone()),
            ("networks", info.networks.join(", ")),
            ("state", info.state.clone()),
            ("created", Timestamp::from_millis(info.created_at_ms).to_string()),
            ("revoked", revoked),
            ("invited", invited(&info.invited_by, info.invite_ends_ms)),
        ]);
        format!("{head}\n{}", certificates(&info.certificates))
    })
}

/// By whom somebody can still come in, and until when; empty if nobody can.
fn invited(by: &str, ends_ms: i64) -> String {
    match by {
        "" => String::new(),
        by => format!("by {by}, until {}", Timestamp::from_millis(ends_ms)),
    }
}

/// What a revocation has taken back beside certificates; empty if nothing.
pub fn withdrawn(count: u32) -> String {
    match count {
        0 => String::new(),
        1 => ", 1 open invitation withdrawn".to_owned(),
        count => format!(", {count} open invitations withdrawn"),
    }
}

fn row(info: &ClientInfo) -> Vec<String> {
    vec![
        info.name.clone(),
        role_word(info.role()).to_owned(),
        info.scope.clone(),
        info.state.clone(),
        info.networks.join(" "),
        match info.created_at_ms {
            0 => invited(&info.invited_by, info.invite_ends_ms),
            at_ms => Timestamp::from_millis(at_ms).to_string(),
        },
    ]
}
