//! `vaultctl credential`.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use serde_json::json;
use vault_client::v1::{
    CredentialInfo, CredentialMetadata, DescribeCredentialCommand, DisableCredentialCommand,
    EnableCredentialCommand, ListCredentialsCommand,
};
use vault_model::{Name, Timestamp};

use crate::context::Context;
use crate::fault::Fault;
use crate::output::{pairs, table};
use crate::secret::{self, Source};
use crate::{halt, json};

#[derive(Subcommand)]
pub enum Command {
    /// Show one credential
    Describe { name: Name },
    /// Stop every use of a credential
    Disable { name: Name },
    /// Let a credential be used again
    Enable { name: Name },
    /// Store a credential, or a new version of one; its secret comes from a prompt or stdin
    Import(Import),
    /// List the credentials
    List,
}

#[derive(clap::Args)]
pub struct Import {
    /// Name for it in scopes
    name: Name,
    /// okx, kraken
    #[arg(long)]
    venue: Name,
    /// Real money, or the venue's test hosts
    #[arg(long, value_enum)]
    environment: Environment,
    /// A right that the key has at the venue, in the venue's words; repeat for each
    #[arg(long = "right", value_name = "RIGHT", required_unless_present = "rights_unstated")]
    rights: Vec<String>,
    /// State no rights: the key is taken to have all of them
    #[arg(long, conflicts_with = "rights")]
    rights_unstated: bool,
    /// What may be assumed of the venue; widens what can be signed
    #[arg(long, value_enum)]
    assume: Vec<Assumption>,
    /// Let Sign hand the passphrase to the bot
    #[arg(long)]
    disclose_passphrase: bool,
    /// Begin nonces above this, for a key that was used elsewhere
    #[arg(long, value_name = "N", default_value_t = 0)]
    nonce_floor: u64,
    /// A private key in PEM instead of a secret; - for stdin
    #[arg(long, value_name = "PEM|-", conflicts_with = "stdin")]
    key_file: Option<PathBuf>,
    /// Read everything from stdin: a JSON object, or a line each for API key, secret, passphrase
    #[arg(long)]
    stdin: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Environment {
    Demo,
    Live,
}

#[derive(Clone, Copy, ValueEnum)]
enum Assumption {
    /// The venue refuses unknown parameters
    #[value(name = "venue_checks")]
    VenueChecks,
}

pub async fn run(context: &Context, command: Command) -> Result<(), Fault> {
    match command {
        Command::Describe { name } => describe(context, &name).await,
        Command::Disable { name } => {
            let command = DisableCredentialCommand { name: name.to_string() };
            let answer = context.operator().await?.disable_credential(command).await?;
            let value = json!({
                "change": json::change(answer.change.as_ref()),
                "outstanding": json::outstanding(answer.outstanding.as_ref()),
            });
            context.output.show(&value, || {
                format!("{name} disabled\n{}", halt::outstanding(answer.outstanding.as_ref()))
            })
        }
        Command::Enable { name } => {
            let command = EnableCredentialCommand { name: name.to_string() };
            let answer = context.operator().await?.enable_credential(command).await?;
            let value = json!({ "change": json::change(answer.change.as_ref()) });
            context.output.show(&value, || format!("{name} enabled"))
        }
        Command::Import(arguments) => import(context, arguments).await,
        Command::List => list(context).await,
    }
}

async fn import(context: &Context, arguments: Import) -> Result<(), Fault> {
    let source = match (&arguments.key_file, arguments.stdin) {
        (Some(path), _) => Source::KeyFile(path),
        (None, true) => Source::Stdin,
        (None, false) => Source::Prompt,
    };
    let operator = context.operator().await?;
    let secret = secret::credential(source)?;
    let metadata = CredentialMetadata {
        name: arguments.name.to_string(),
        venue: arguments.venue.to_string(),
        environment: match arguments.environment {
            Environment::Demo => "demo",
            Environment::Live => "live",
        }
        .to_owned(),
        rights: arguments.rights,
        rights_stated: !arguments.rights_unstated,
        assume: arguments
            .assume
            .iter()
            .map(|Assumption::VenueChecks| "venue_checks".to_owned())
            .collect(),
        disclose_passphrase: arguments.disclose_passphrase,
        nonce_floor: arguments.nonce_floor,
    };
    let answer = operator.import(metadata, secret).await?;
    let value = json!({
        "name": arguments.name,
        "version": answer.version,
        "change": json::change(answer.change.as_ref()),
    });
    context
        .output
        .show(&value, || format!("{} imported, version {}", arguments.name, answer.version))
}

async fn list(context: &Context) -> Result<(), Fault> {
    let answer = context.operator().await?.list_credentials(ListCredentialsCommand {}).await?;
    let credentials: Vec<_> = answer.credentials.iter().map(json::credential).collect();
    context.output.show(&json!({ "credentials": credentials }), || {
        let rows: Vec<Vec<String>> = answer.credentials.iter().map(row).collect();
        table(&["NAME", "VENUE", "ENVIRONMENT", "VERSION", "STATE", "RIGHTS", "CREATED"], &rows)
    })
}

async fn describe(context: &Context, name: &Name) -> Result<(), Fault> {
    let command = DescribeCredentialCommand { name: name.to_string() };
    let answer = context.operator().await?.describe_credential(command).await?;
    let info = answer.credential.unwrap_or_default();
    let value = json!({ "credential": json::credential(&info), "scopes": answer.scopes });
    context.output.show(&value, || {
        let metadata = info.metadata.clone().unwrap_or_default();
        pairs(&[
            ("name", metadata.name.clone()),
            ("venue", metadata.venue.clone()),
            ("environment", metadata.environment.clone()),
            ("version", info.version.to_string()),
            ("state", info.state.clone()),
            ("key type", info.key_type.clone()),
            ("rights", rights(&metadata)),
            ("assume", metadata.assume.join(", ")),
            ("disclose passphrase", metadata.disclose_passphrase.to_string()),
            ("nonce floor", metadata.nonce_floor.to_string()),
            ("created", Timestamp::from_millis(info.created_at_ms).to_string()),
            ("scopes", answer.scopes.join(", ")),
        ])
    })
}

fn row(info: &CredentialInfo) -> Vec<String> {
    let metadata = info.metadata.clone().unwrap_or_default();
    vec![
        metadata.name.clone(),
        metadata.venue.clone(),
        metadata.environment.clone(),
        info.version.to_string(),
        info.state.clone(),
        rights(&metadata),
        Timestamp::from_millis(info.created_at_ms).to_string(),
    ]
}

fn rights(metadata: &CredentialMetadata) -> String {
    match (metadata.rights_stated, metadata.rights.as_slice()) {
        (false, _) => "all (unstated)".to_owned(),
        (true, []) => "none".to_owned(),
        (true, rights) => rights.join(", "),
    }
}
