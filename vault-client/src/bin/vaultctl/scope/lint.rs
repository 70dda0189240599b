//! `vaultctl scope lint`: what a careful reviewer would say of a scope.

mod venue;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use vault_client::v1::{
    CredentialInfo, ListCredentialsCommand, ListInstrumentsCommand, ListPricesCommand,
};
use vault_client::{ClientError, Operator};
use vault_model::{Name, Pair};
use vault_policy::{CredentialFacts, LintFacts, Warning, lint};
use vault_venue::{KeyType, Registry};
use vault_wire::instrument_from_wire;

use super::diff::Source;
use crate::context::Context;
use crate::fault::{Exit, Fault};

/// Exits with 0, also with warnings; see --deny-warnings.
#[derive(clap::Args)]
pub struct Arguments {
    /// A stored scope's name, or a TOML file; - for stdin
    #[arg(value_name = "SCOPE")]
    scope: String,
    /// Ask no vault: what depends on stored credentials, instruments and prices is left out
    #[arg(long)]
    offline: bool,
    /// Take a credential to be at this venue, as it would be imported: with stated rights that are
    /// not known here, and nothing assumed; repeat for more
    #[arg(long = "credential", value_name = "NAME=VENUE", value_parser = at_venue)]
    credentials: Vec<(Name, Name)>,
    /// Exit with 1 if there are warnings
    #[arg(long)]
    deny_warnings: bool,
}

fn at_venue(text: &str) -> Result<(Name, Name), String> {
    let pair = text
        .split_once('=')
        .and_then(|(name, venue)| Some((name.parse().ok()?, venue.parse().ok()?)));
    pair.ok_or_else(|| "expected NAME=VENUE".to_owned())
}

pub async fn run(context: &Context, arguments: Arguments) -> Result<Exit, Fault> {
    let source = Source::of(&arguments.scope);
    let is_stored = matches!(source, Source::Stored(_));
    if is_stored && arguments.offline {
        return Err(Fault::usage("a stored scope is in the vault; leave out --offline"));
    }
    let operator = match arguments.offline {
        true => None,
        false => match context.operator().await {
            Ok(operator) => Some(operator),
            Err(fault) if is_stored => return Err(fault),
            Err(fault) => {
                not_asked(context, &fault);
                None
            }
        },
    };
    let document = source.read(operator.as_ref()).await?;
    let registry = Registry::bundled().map_err(|error| Fault::other(error.to_string()))?;
    let mut facts = LintFacts::default();
    if let Some(operator) = &operator {
        match stored(operator, &registry).await {
            Ok(stored) => facts = stored,
            Err(error) => not_asked(context, &error.into()),
        }
    }
    for (name, venue) in &arguments.credentials {
        let stated = stated(&registry, name, venue)?;
        let known = facts.credentials.get_or_insert_with(Vec::new);
        known.retain(|credential| credential.name != *name);
        known.push(stated);
    }
    let warnings = lint(&document, &facts);
    let value = json!({
        "scope": document.name,
        "credentials_known": facts.credentials.is_some(),
        "instruments_known": facts.instruments.is_some(),
        "feeds_known": facts.feeds.is_some(),
        "warnings": warnings.iter().map(machines).collect::<Vec<_>>(),
    });
    context.output.show(&value, || people(&document.name, &warnings))?;
    let is_denied = arguments.deny_warnings && !warnings.is_empty();
    Ok(if is_denied { Exit::Other } else { Exit::Ok })
}

fn not_asked(context: &Context, fault: &Fault) {
    context.output.talk(&format!(
        "vaultctl: the vault was not asked ({}): what depends on stored credentials, instruments \
         and prices is left out",
        fault.message
    ));
}

/// What the vault stores. Instruments and prices are left out where it does not tell of them.
pub async fn stored(operator: &Operator, registry: &Registry) -> Result<LintFacts, ClientError> {
    let credentials =
        operator.list_credentials(ListCredentialsCommand::default()).await?.credentials;
    let credentials = credentials.iter().filter_map(|info| credential(registry, info)).collect();
    let instruments = operator.list_instruments(ListInstrumentsCommand::default()).await;
    let prices = operator.list_prices(ListPricesCommand::default()).await;
    Ok(LintFacts {
        credentials: Some(credentials),
        instruments: instruments.ok().map(|answer| {
            // One that this version does not understand prices nothing here.
            let known = |message| instrument_from_wire(message).ok();
            answer.instruments.iter().filter_map(known).collect()
        }),
        feeds: prices.ok().map(|answer| {
            let feeds = answer.feeds.iter().filter_map(|info| info.feed.as_ref());
            feeds.filter_map(|feed| feed.pair.parse().ok()).collect::<BTreeSet<Pair>>()
        }),
    })
}

fn credential(registry: &Registry, info: &CredentialInfo) -> Option<CredentialFacts> {
    let metadata = info.metadata.as_ref()?;
    let venue_checks = metadata.assume.iter().any(|word| word == "venue_checks");
    let mut facts = CredentialFacts {
        name: metadata.name.parse().ok()?,
        venue: metadata.venue.parse().ok()?,
        is_enabled: info.state == "enabled",
        rights_stated: metadata.rights_stated,
        venue_checks,
        // Of a venue that this build does not know nothing is claimed.
        takes_signatures_once: true,
        signs_path: true,
        reads_can_be_signed: true,
        disclosed: 0,
    };
    if let Some(venue) = registry.venue(&metadata.venue) {
        let key_type = info.key_type.parse().ok().or(venue.key_types().first().copied());
        let standing = venue::Standing {
            environment: metadata.environment.parse().ok()?,
            key_type: key_type.unwrap_or(KeyType::Hmac),
            rights: metadata.rights_stated.then_some(metadata.rights.as_slice()),
            venue_checks,
        };
        venue::add(&mut facts, venue, &standing);
    }
    Some(facts)
}

fn stated(registry: &Registry, name: &Name, at: &Name) -> Result<CredentialFacts, Fault> {
    let Some(venue) = registry.venue(at.as_str()) else {
        let known: Vec<&str> = registry.names().collect();
        return Err(Fault::new(Exit::NotFound, format!("this build knows no venue {at}"))
            .with_hint(format!("known: {}", known.join(", "))));
    };
    let standing = venue::Standing {
        environment: vault_model::Environment::Live,
        key_type: venue.key_types().first().copied().unwrap_or(KeyType::Hmac),
        rights: None,
        venue_checks: false,
    };
    let mut facts = CredentialFacts {
        name: name.clone(),
        venue: at.clone(),
        is_enabled: true,
        rights_stated: true,
        venue_checks: false,
        takes_signatures_once: true,
        signs_path: true,
        reads_can_be_signed: true,
        disclosed: 0,
    };
    venue::add(&mut facts, venue, &standing);
    Ok(facts)
}

fn people(name: &Name, warnings: &[Warning]) -> String {
    if warnings.is_empty() {
        return format!("{name}: nothing to warn of");
    }
    let mut text = String::new();
    for warning in warnings {
        text += &format!("{}: {} ({})\n", warning.dimension, warning.words, warning.code);
        if !warning.remedy.is_empty() {
            text += &format!("    remedy: {}\n", warning.remedy);
        }
    }
    let plural = if warnings.len() == 1 { "" } else { "s" };
    text + &format!("{name}: {} warning{plural}\n", warnings.len())
}

fn machines(warning: &Warning) -> Value {
    json!({
        "code": warning.code,
        "dimension": warning.dimension.as_str(),
        "words": warning.words,
        "remedy": warning.remedy,
    })
}
