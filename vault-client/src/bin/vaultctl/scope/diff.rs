//! `vaultctl scope diff`: what one scope lets pass and another does not.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use vault_client::Operator;
use vault_client::v1::ListCredentialsCommand;
use vault_model::Name;
use vault_policy::{
    DiffContext, Difference, Effect, Example, Finding, ScopeDocument, VenueFacts, diff,
};
use vault_venue::Registry;

use super::{document_of, read_document, required};
use crate::context::Context;
use crate::fault::{Exit, Fault};

/// Exits with 0 whether they differ or not, as long as they could be compared; see --exit-code.
#[derive(clap::Args)]
pub struct Arguments {
    /// A stored scope's name, or a TOML file; - for stdin
    #[arg(value_name = "A")]
    a: String,
    /// The same
    #[arg(value_name = "B")]
    b: String,
    /// Exit with 1 if they differ, with 0 if they let the same pass
    #[arg(long)]
    exit_code: bool,
    /// Ask no vault; both must be files
    #[arg(long)]
    offline: bool,
}

pub const HELP: &str = "\
An argument is a file if it has a slash, ends in .toml, is - or is there as a file; else it is the \
name of a stored scope.

Examples are made up, and judged by the engine that judges real requests: the one scope allows them, \
the other denies them for the dimension that is named.

Examples:
  vaultctl scope diff mm-okx mm-okx.toml
  vaultctl scope diff old.toml new.toml --offline --exit-code";

pub async fn run(context: &Context, arguments: Arguments) -> Result<Exit, Fault> {
    let (a, b) = (Source::of(&arguments.a), Source::of(&arguments.b));
    if matches!((&a, &b), (Source::File(a), Source::File(b)) if *a == "-" && *b == "-") {
        return Err(Fault::usage("only one of the two can come from stdin"));
    }
    let needs_vault = [&a, &b].iter().any(|source| matches!(source, Source::Stored(_)));
    let operator = match needs_vault {
        true if arguments.offline => {
            return Err(Fault::usage("a stored scope is in the vault; leave out --offline"));
        }
        true => Some(context.operator().await?),
        false => None,
    };
    let (a, b) = (a.read(operator.as_ref()).await?, b.read(operator.as_ref()).await?);
    let found = diff(&a, &b, &facts(operator.as_ref()).await?);
    let value = json!({
        "a": arguments.a,
        "b": arguments.b,
        "same": found.is_empty(),
        "differences": found.iter().map(machines).collect::<Vec<_>>(),
    });
    context.output.show(&value, || people(&arguments.a, &arguments.b, &found))?;
    Ok(if arguments.exit_code && !found.is_empty() { Exit::Other } else { Exit::Ok })
}

/// Where a scope comes from.
pub enum Source<'a> {
    File(&'a str),
    Stored(&'a str),
}

impl<'a> Source<'a> {
    pub fn of(text: &'a str) -> Self {
        let is_file = text.contains('/')
            || text == "-"
            || Path::new(text).extension().is_some_and(|extension| extension == "toml")
            || Path::new(text).is_file();
        if is_file { Self::File(text) } else { Self::Stored(text) }
    }

    /// Reads it; a stored one from the vault.
    pub async fn read(&self, operator: Option<&Operator>) -> Result<ScopeDocument, Fault> {
        match (self, operator) {
            (Self::File(path), _) => read_document(Path::new(path)),
            (Self::Stored(name), Some(operator)) => of_name(operator, name).await,
            (Self::Stored(name), None) => {
                Err(Fault::usage(format!("{name} is no file, and no vault was asked")))
            }
        }
    }
}

async fn of_name(operator: &Operator, name: &str) -> Result<ScopeDocument, Fault> {
    let name: Name = name.parse().map_err(|error| {
        Fault::usage(format!("{name} is no file, and no name of a scope: {error}"))
    })?;
    document_of(&required(operator, name.as_str()).await?)
}

/// The venues of this build, and of what venues the credentials are, if a vault can be asked.
pub async fn facts(operator: Option<&Operator>) -> Result<DiffContext, Fault> {
    let registry = Registry::bundled().map_err(|error| Fault::other(error.to_string()))?;
    let venues = registry.names().filter_map(|name| registry.venue(name));
    let venues = venues.map(|venue| VenueFacts {
        name: venue.name(),
        takes_signatures_once: venue.takes_signatures_once(),
    });
    let mut credentials = BTreeMap::new();
    if let Some(operator) = operator {
        let answer = operator.list_credentials(ListCredentialsCommand::default()).await?;
        for metadata in answer.credentials.into_iter().filter_map(|info| info.metadata) {
            if let (Ok(name), Ok(venue)) = (metadata.name.parse(), metadata.venue.parse()) {
                credentials.insert(name, venue);
            }
        }
    }
    Ok(DiffContext { venues: venues.collect(), credentials })
}

/// The differences, for people.
pub fn people(a: &str, b: &str, found: &[Difference]) -> String {
    if found.is_empty() {
        return format!("{a} and {b} let the same pass");
    }
    let mut text = String::new();
    for (effect, more, less) in [(Effect::Opens, b, a), (Effect::Closes, a, b)] {
        let of_effect: Vec<_> =
            found.iter().filter(|difference| difference.effect == effect).collect();
        if of_effect.is_empty() {
            text += &format!("{more} allows nothing that {less} does not\n");
            continue;
        }
        text += &format!("{more} allows what {less} does not:\n");
        for difference in of_effect {
            text += &format!("  {}: {}\n", difference.dimension, difference.words);
            text += &match &difference.finding {
                Finding::Closed(dimensions) => format!(
                    "    by itself this opens nothing: also closed by {}\n",
                    keys(dimensions).join(", ")
                ),
                Finding::Example(example) => format!("    such as: {example}\n"),
                Finding::Unknown => "    no example was found; there may be one\n".to_owned(),
            };
        }
    }
    text
}

fn keys(dimensions: &[vault_policy::Dimension]) -> Vec<&'static str> {
    dimensions.iter().map(|dimension| dimension.as_str()).collect()
}

/// One of them, for machines.
pub fn machines(difference: &Difference) -> Value {
    let (found, closed, shown) = match &difference.finding {
        Finding::Closed(dimensions) => ("closed", keys(dimensions), Value::Null),
        Finding::Example(shown) => ("example", Vec::new(), example(shown)),
        Finding::Unknown => ("unknown", Vec::new(), Value::Null),
    };
    json!({
        "dimension": difference.dimension.as_str(),
        "effect": difference.effect.as_str(),
        "words": difference.words,
        "finding": found,
        "closed_by": closed,
        "example": shown,
    })
}

fn example(example: &Example) -> Value {
    let member = &example.member;
    let symbols = match &member.symbols {
        vault_model::Symbols::Every => vec!["*".to_owned()],
        vault_model::Symbols::Named(symbols) => symbols.clone(),
    };
    let transfers: Vec<Value> = member
        .transfers
        .iter()
        .map(|transfer| {
            json!({
                "asset": transfer.asset,
                "amount": transfer.amount,
                "address": transfer.address,
            })
        })
        .collect();
    let orders: Vec<Value> = member
        .legs
        .iter()
        .map(|leg| {
            let mut value = json!(leg);
            // Legs are written as the log has them, which keeps the margin mode elsewhere.
            value["margin_mode"] = json!(leg.margin_mode);
            value
        })
        .collect();
    let prices: BTreeMap<String, String> =
        example.prices.iter().map(|(pair, price)| (pair.to_string(), price.to_string())).collect();
    json!({
        "words": example.to_string(),
        "credential": example.credential,
        "mode": example.mode,
        "address": example.address.to_string(),
        "country": example.country.map(|country| country.to_string()),
        "at_ms": example.at.millis(),
        "venue": example.venue,
        "operation": *member.operation,
        "class": member.class,
        "products": member.products,
        "symbols": symbols,
        "orders": orders,
        "transfers": transfers,
        "client_order_ids": member.client_order_ids,
        "prices": prices,
        "before": example.before.as_ref().map(|before| {
            json!({ "ago_s": before.ago.as_seconds(), "words": before.words })
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::Source;

    #[test]
    fn files_and_names_are_told_apart() {
        for file in ["./mm", "a/b", "mm.toml", "-", "/x"] {
            assert!(matches!(Source::of(file), Source::File(_)), "{file}");
        }
        for name in ["mm", "mm-okx", "a.toml.b"] {
            assert!(matches!(Source::of(name), Source::Stored(_)), "{name}");
        }
    }
}
