//! `vaultctl credential`.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use serde_json::json;
use vault_client::ImportOptions;
use vault_client::v1::{
    CredentialInfo, CredentialMetadata, DescribeCredentialCommand, DisableCredentialCommand,
    EnableCredentialCommand, ListCredentialsCommand,
};
use vault_model::{Name, Timestamp};
use vault_venue::MAIN_SITE;

use crate::context::Context;
use crate::fault::{Exit, Fault};
use crate::output::{pairs, table};
use crate::secret::{self, Source};
use crate::{check, halt, json};

#[derive(Subcommand)]
pub enum Command {
    /// Ask the venue what a key may do, and hold that against what is stated of it
    Check(check::Arguments),
    /// Show one credential
    Describe { name: Name },
    /// Stop every use of a credential
    Disable { name: Name },
    /// Let a credential be used again
    Enable { name: Name },
    /// Store a credential, or a new version of one; its secret comes from a prompt or stdin
    ///
    /// The vault asks the venue first what the key may do: a key that may withdraw is refused.
    Import(Import),
    /// List the credentials
    List,
}

#[derive(clap::Args)]
pub struct Import {
    /// Name for it in scopes
    name: Name,
    /// binance, bybit, coinbase, kraken, okx
    #[arg(long)]
    venue: Name,
    /// Real money, or the venue's test hosts
    #[arg(long, value_enum)]
    environment: Environment,
    /// The site of the venue on which the account lives, by the catalogue's name (eea, us, tr ...);
    /// the main one if not stated. Repeat it for a key that several know
    #[arg(long = "site", value_name = "SITE")]
    sites: Vec<String>,
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
    /// A file with the private key (PEM) or the secret, the rest is asked for; - for stdin
    #[arg(long, visible_alias = "secret-file", value_name = "FILE|-", conflicts_with = "stdin")]
    key_file: Option<PathBuf>,
    /// Read everything from stdin: a JSON object, or API key, secret or PEM key, passphrase in lines
    #[arg(long)]
    stdin: bool,
    /// Do not ask the venue what the key may do
    #[arg(long)]
    no_check: bool,
    /// Store the key although it may withdraw
    #[arg(long, conflicts_with = "no_check")]
    allow_withdrawals: bool,
    /// Refuse a secret that turns out to be of another type
    #[arg(long, value_enum)]
    key_type: Option<KeyType>,
}

#[derive(Clone, Copy, ValueEnum)]
enum KeyType {
    /// ECDSA P-256
    Es256,
    /// Ed25519
    Ed25519,
    /// A shared secret
    Hmac,
    /// A shared secret of a venue's older kind
    LegacyHmac,
    /// RSA
    Rsa,
}

impl KeyType {
    fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "es256",
            Self::Ed25519 => "ed25519",
            Self::Hmac => "hmac",
            Self::LegacyHmac => "legacy-hmac",
            Self::Rsa => "rsa",
        }
    }
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

pub async fn run(context: &Context, command: Command) -> Result<Exit, Fault> {
    match command {
        Command::Check(arguments) => return check::run(context, arguments).await,
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
    .map(|()| Exit::Ok)
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
        sites: arguments.sites,
    };
    let options = ImportOptions {
        key_type: arguments.key_type.map_or("", KeyType::as_str),
        skip_check: arguments.no_check,
        allow_withdrawals: arguments.allow_withdrawals,
    };
    let answer = operator.import_as(metadata, secret, &options).await?;
    let value = json!({
        "name": arguments.name,
        "version": answer.version,
        "key_type": answer.key_type,
        "change": json::change(answer.change.as_ref()),
        "check": answer.check.as_ref().map(check::json),
    });
    context.output.show(&value, || {
        let key_type = match answer.key_type.as_str() {
            "" => String::new(),
            key_type => format!(" ({key_type})"),
        };
        let imported = format!("{} imported, version {}{key_type}", arguments.name, answer.version);
        match &answer.check {
            Some(said) => format!("{imported}\n{}", check::people(said)),
            None => format!("{imported}; its key was not checked"),
        }
    })
}

async fn list(context: &Context) -> Result<(), Fault> {
    let answer =
        context.operator().await?.list_credentials(ListCredentialsCommand::default()).await?;
    let credentials: Vec<_> = answer.credentials.iter().map(json::credential).collect();
    context.output.show(&json!({ "credentials": credentials }), || {
        let rows: Vec<Vec<String>> = answer.credentials.iter().map(row).collect();
        table(
            &[
                "NAME",
                "VENUE",
                "ENVIRONMENT",
                "VERSION",
                "KEY TYPE",
                "STATE",
                "RIGHTS",
                "CREATED",
                "CHECK",
            ],
            &rows,
        )
    })
}

async fn describe(context: &Context, name: &Name) -> Result<(), Fault> {
    let command = DescribeCredentialCommand { name: name.to_string() };
    let answer = context.operator().await?.describe_credential(command).await?;
    let info = answer.credential.unwrap_or_default();
    let value = json!({
        "credential": json::credential(&info),
        "scopes": answer.scopes,
        "scope_count": answer.scope_count.max(answer.scopes.len() as u64),
    });
    context.output.show(&value, || {
        let metadata = info.metadata.clone().unwrap_or_default();
        pairs(&[
            ("name", metadata.name.clone()),
            ("venue", metadata.venue.clone()),
            ("environment", metadata.environment.clone()),
            ("site", sites(&metadata).join(", ")),
            ("version", info.version.to_string()),
            ("state", info.state.clone()),
            ("key type", info.key_type.clone()),
            ("rights", rights(&metadata)),
            ("assume", metadata.assume.join(", ")),
            ("disclose passphrase", metadata.disclose_passphrase.to_string()),
            ("nonce floor", metadata.nonce_floor.to_string()),
            ("created", Timestamp::from_millis(info.created_at_ms).to_string()),
            ("scopes", scopes(&answer.scopes, answer.scope_count)),
            ("checked", info.check.as_ref().map_or("never".to_owned(), check::at)),
        ]) + &info
            .check
            .as_ref()
            .map_or_else(String::new, |said| format!("\n{}", check::people(said)))
    })
}

fn row(info: &CredentialInfo) -> Vec<String> {
    let metadata = info.metadata.clone().unwrap_or_default();
    vec![
        metadata.name.clone(),
        metadata.venue.clone(),
        metadata.environment.clone(),
        info.version.to_string(),
        info.key_type.clone(),
        info.state.clone(),
        rights(&metadata),
        Timestamp::from_millis(info.created_at_ms).to_string(),
        info.check.as_ref().map_or("never", check::word).to_owned(),
    ]
}

/// The sites at which a key is known.
pub fn sites(metadata: &CredentialMetadata) -> Vec<&str> {
    match metadata.sites.as_slice() {
        [] => vec![MAIN_SITE],
        sites => sites.iter().map(String::as_str).collect(),
    }
}

/// The scopes that are named, and how many there are beside them.
fn scopes(named: &[String], count: u64) -> String {
    let all = named.join(", ");
    match count.saturating_sub(named.len() as u64) {
        0 => all,
        more => format!("{all} and {more} more"),
    }
}

fn rights(metadata: &CredentialMetadata) -> String {
    match (metadata.rights_stated, metadata.rights.as_slice()) {
        (false, _) => "all (unstated)".to_owned(),
        (true, []) => "none".to_owned(),
        (true, rights) => rights.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::scopes;

    #[test]
    fn scopes_that_are_not_named_are_counted() {
        let named = ["a".to_owned(), "b".to_owned()];
        assert_eq!(scopes(&[], 0), "");
        assert_eq!(scopes(&named, 2), "a, b");
        assert_eq!(scopes(&named, 9), "a, b and 7 more");
        // A vault that does not say it.
        assert_eq!(scopes(&named, 0), "a, b");
    }
}
