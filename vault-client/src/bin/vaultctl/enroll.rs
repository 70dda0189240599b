//! `vaultctl enroll`.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde_json::json;
use vault_client::proto::token::Token;
use vault_client::{EnrollOptions, Identity, KeyType, role_word};
use vault_model::Timestamp;
use zeroize::Zeroizing;

use crate::config;
use crate::context::{Context, millis};
use crate::fault::{Fault, file};
use crate::output::pairs;

#[derive(clap::Args)]
pub struct Arguments {
    /// The invite token; - reads it from stdin
    token: String,
    /// Folder for the identity, instead of one beside the config file
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Kind of key to make
    #[arg(long, value_enum, default_value = "p256")]
    key: Key,
}

#[derive(Clone, Copy, ValueEnum)]
enum Key {
    Ed25519,
    P256,
}

pub async fn run(context: &Context, arguments: Arguments) -> Result<(), Fault> {
    let text = Zeroizing::new(arguments.token);
    let token = if text.as_str() == "-" { from_stdin()? } else { decode(&text)? };
    let config_path = config::path(context)?;
    // All that can be refused is refused before the token is spent.
    if let Some(name) = &context.global.profile
        && let config::Place::Taken = config::place(&config_path, name)?
    {
        return Err(Fault::usage(format!("there is a profile {name:?} already"))
            .with_hint("choose another name with --profile"));
    }
    let out = arguments.out.or_else(|| context.global.identity.clone());
    let identities = config::folder(&config_path).join("identities");
    let named = context.global.profile.as_ref().filter(|name| is_file_name(name));
    let folder = match (&out, named) {
        (Some(folder), _) => folder.clone(),
        (None, Some(name)) => identities.join(name),
        (None, None) => identities.join(format!(".{}", hex::encode(token.id))),
    };
    let options = EnrollOptions {
        key_type: match arguments.key {
            Key::Ed25519 => KeyType::Ed25519,
            Key::P256 => KeyType::P256,
        },
        address: context.global.address.clone(),
    };
    let mut identity = Identity::enroll(&token, &folder, &options).await?;
    if out.is_none() && named.is_none() {
        identity = move_to_its_name(identity, &identities)?;
    }
    let profile = register(context, &config_path, &identity)?;
    show(context, &identity, profile.as_deref())
}

/// Adds the profile; says so if the name is taken by then.
fn register(
    context: &Context,
    config_path: &Path,
    identity: &Identity,
) -> Result<Option<String>, Fault> {
    let name = context.global.profile.as_deref().unwrap_or(identity.name());
    if let config::Place::Taken = config::place(config_path, name)? {
        let folder = identity.folder().display();
        context.output.talk(&format!(
            "vaultctl: there is a profile {name:?} already; use --identity {folder}"
        ));
        return Ok(None);
    }
    let folder = identity.folder();
    let absolute = std::path::absolute(folder).map_err(file(folder))?;
    config::add(config_path, name, &absolute)?;
    Ok(Some(name.to_owned()))
}

/// The folder was named after the token, since the name was not known. If the better name is taken,
/// it stays.
fn move_to_its_name(identity: Identity, identities: &Path) -> Result<Identity, Fault> {
    let better = identities.join(identity.name());
    if !is_file_name(identity.name()) || better.exists() {
        return Ok(identity);
    }
    std::fs::rename(identity.folder(), &better).map_err(file(&better))?;
    Ok(Identity::load(&better)?)
}

fn show(context: &Context, identity: &Identity, profile: Option<&str>) -> Result<(), Fault> {
    let not_after_ms = millis(identity.not_after());
    let value = json!({
        "name": identity.name(),
        "role": role_word(identity.role()),
        "identity": identity.folder(),
        "profile": profile,
        "address": identity.address(),
        "serial": hex::encode(identity.serial()),
        "not_after_ms": not_after_ms,
    });
    context.output.show(&value, || {
        pairs(&[
            ("name", identity.name().to_owned()),
            ("role", role_word(identity.role()).to_owned()),
            ("identity", identity.folder().display().to_string()),
            ("profile", profile.unwrap_or_default().to_owned()),
            ("address", identity.address().to_owned()),
            ("valid until", Timestamp::from_millis(not_after_ms).to_string()),
        ])
    })
}

fn from_stdin() -> Result<Token, Fault> {
    let mut line = Zeroizing::new(String::with_capacity(4_096));
    std::io::stdin()
        .read_line(&mut line)
        .map_err(|error| Fault::other(format!("stdin: {error}")))?;
    decode(&line)
}

fn decode(text: &str) -> Result<Token, Fault> {
    Token::decode(text).map_err(|error| {
        Fault::usage(error.to_string()).with_hint("copy it whole: it begins with cs1_")
    })
}

/// Whether a name may stand in a path as it is.
fn is_file_name(name: &str) -> bool {
    !name.starts_with('.')
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}
