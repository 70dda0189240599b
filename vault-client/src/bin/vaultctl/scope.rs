//! `vaultctl scope`.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;
use vault_client::v1::{
    self, DeleteScopeCommand, GetScopeCommand, ListScopesCommand, PutScopeCommand, ScopeInfo,
};
use vault_model::{Name, Timestamp};
use vault_policy::{Grant, NetworkDocument, ScopeDocument};

use crate::context::Context;
use crate::fault::{Exit, Fault, file};
use crate::output::table;
use crate::{confirm, explain, halt, json};

#[derive(Subcommand)]
pub enum Command {
    /// Delete a scope that no client holds; asks for a token that the first run prints
    Delete {
        name: Name,
        /// The token that the first run printed
        #[arg(long, value_name = "TOKEN")]
        confirm: Option<String>,
    },
    /// The same as vaultctl explain
    Explain(explain::Arguments),
    /// Show one scope, as TOML
    Get {
        name: Name,
        /// The TOML alone, whatever else is asked for
        #[arg(long)]
        toml: bool,
    },
    /// List the scopes
    List,
    /// Make or replace a scope from a TOML file; - for stdin
    Put {
        file: PathBuf,
        /// Refuse if the scope is not at this revision any more
        #[arg(long, value_name = "REVISION", default_value_t = 0)]
        expect: u64,
    },
}

pub async fn run(context: &Context, command: Command) -> Result<Exit, Fault> {
    match command {
        Command::Delete { name, confirm } => delete(context, &name, confirm).await?,
        Command::Explain(arguments) => return explain::run(context, arguments).await,
        Command::Get { name, toml } => show(context, &name, toml).await?,
        Command::List => list(context).await?,
        Command::Put { file, expect } => put(context, file, expect).await?,
    }
    Ok(Exit::Ok)
}

async fn put(context: &Context, path: PathBuf, expected_revision: u64) -> Result<(), Fault> {
    let text = if path.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin())
            .map_err(|error| Fault::other(format!("stdin: {error}")))?
    } else {
        std::fs::read_to_string(&path).map_err(file(&path))?
    };
    let document = ScopeDocument::from_toml(&text)
        .map_err(|error| Fault::usage(format!("{}: {error}", path.display())))?;
    let name = document.name.clone();
    let command = PutScopeCommand { scope: Some(to_message(document)), expected_revision };
    let answer = context.operator().await?.put_scope(command).await?;
    let value = json!({
        "name": name,
        "revision": answer.revision,
        "widens": answer.widens,
        "narrows": answer.narrows,
        "change": json::change(answer.change.as_ref()),
        "outstanding": json::outstanding(answer.outstanding.as_ref()),
    });
    context.output.show(&value, || {
        let effect = match (answer.widens, answer.narrows) {
            (true, true) => "widens and narrows",
            (true, false) => "widens",
            (false, true) => "narrows",
            (false, false) => "grants the same as before",
        };
        let left = if answer.narrows {
            halt::outstanding(answer.outstanding.as_ref())
        } else {
            String::new()
        };
        format!("{name} is at revision {}: it {effect}\n{left}", answer.revision)
    })
}

async fn show(context: &Context, name: &Name, toml_alone: bool) -> Result<(), Fault> {
    let command = GetScopeCommand { name: name.to_string() };
    let answer = context.operator().await?.scope(command).await?;
    let info = answer.scope.unwrap_or_default();
    if context.output.is_json() && !toml_alone {
        return context.output.show(&json!({ "scope": json::scope(&info) }), String::new);
    }
    let document = from_message(info.scope.clone().unwrap_or_default())
        .ok_or_else(|| Fault::new(Exit::NotVerified, "the vault's scope is not understood"))?;
    if !toml_alone {
        context.output.talk(&format!(
            "revision {}, {}; held by: {}",
            info.revision,
            Timestamp::from_millis(info.updated_at_ms),
            if info.clients.is_empty() { "nobody".to_owned() } else { info.clients.join(", ") }
        ));
    }
    context.output.bytes(document.to_toml().as_bytes())
}

async fn list(context: &Context) -> Result<(), Fault> {
    let answer = context.operator().await?.list_scopes(ListScopesCommand {}).await?;
    let scopes: Vec<_> = answer.scopes.iter().map(json::scope).collect();
    context.output.show(&json!({ "scopes": scopes }), || {
        let rows: Vec<Vec<String>> = answer.scopes.iter().map(row).collect();
        table(&["NAME", "REVISION", "CREDENTIALS", "CLASSES", "CLIENTS", "CHANGED"], &rows)
    })
}

fn row(info: &ScopeInfo) -> Vec<String> {
    let scope = info.scope.clone().unwrap_or_default();
    vec![
        scope.name,
        info.revision.to_string(),
        scope.credentials.join(" "),
        scope.classes.join(" "),
        info.clients.join(" "),
        Timestamp::from_millis(info.updated_at_ms).to_string(),
    ]
}

async fn delete(context: &Context, name: &Name, given: Option<String>) -> Result<(), Fault> {
    let operator = context.operator().await?;
    let there = operator.scope(GetScopeCommand { name: name.to_string() }).await?;
    let revision = there.scope.map(|info| info.revision).unwrap_or_default().to_string();
    let act = format!("delete scope {name}");
    let instance_id = operator.identity().instance_id();
    confirm::require(instance_id, &act, &[&revision], given.as_deref())?;
    let answer = operator.delete_scope(DeleteScopeCommand { name: name.to_string() }).await?;
    let value = json!({ "change": json::change(answer.change.as_ref()) });
    context.output.show(&value, || format!("{name} deleted"))
}

fn to_message(document: ScopeDocument) -> v1::Scope {
    fn words<T: ToString>(list: impl IntoIterator<Item = T>) -> Vec<String> {
        list.into_iter().map(|word| word.to_string()).collect()
    }
    v1::Scope {
        name: document.name.to_string(),
        description: document.description,
        credentials: words(document.credentials),
        classes: words(document.classes),
        operations: words(document.operations),
        modes: words(document.modes),
        products: document.products.into(),
        symbols: document
            .symbols
            .into_iter()
            .map(|(venue, symbols)| v1::VenueSymbols {
                venue: venue.to_string(),
                symbols: symbols.into(),
            })
            .collect(),
        network: Some(v1::Network {
            allow: words(document.network.allow),
            deny: words(document.network.deny),
            allow_any: document.network.allow_any,
        }),
    }
}

/// `None` if a word is none that this version knows.
fn from_message(scope: v1::Scope) -> Option<ScopeDocument> {
    fn words<T: std::str::FromStr, C: FromIterator<T>>(list: Vec<String>) -> Option<C> {
        list.iter().map(|word| word.parse().ok()).collect()
    }
    let network = scope.network.unwrap_or_default();
    Some(ScopeDocument {
        name: scope.name.parse().ok()?,
        description: scope.description,
        credentials: words(scope.credentials)?,
        classes: words(scope.classes)?,
        operations: words(scope.operations)?,
        modes: words(scope.modes)?,
        products: Grant::try_from(scope.products).ok()?,
        symbols: scope
            .symbols
            .into_iter()
            .map(|entry| Some((entry.venue.parse().ok()?, Grant::try_from(entry.symbols).ok()?)))
            .collect::<Option<_>>()?,
        network: NetworkDocument {
            allow: words(network.allow)?,
            deny: words(network.deny)?,
            allow_any: network.allow_any,
        },
    })
}

#[cfg(test)]
mod tests {
    use vault_policy::ScopeDocument;

    use super::{from_message, to_message};

    #[test]
    fn scopes_cross_the_wire_unchanged() {
        let text = r#"
            name = "okx-mm"
            description = "market making"
            credentials = ["okx-main"]
            classes = ["read", "trade", "cancel"]
            operations = ["GET /api/v5/x"]
            modes = ["sign"]
            products = ["*"]
            [symbols]
            okx = ["BTC-USDT", "ETH-USDT"]
            kraken = ["*"]
            [network]
            allow = ["192.0.2.0/24"]
            deny = ["192.0.2.7/32"]
        "#;
        let document = ScopeDocument::from_toml(text).expect("a scope");

        assert_eq!(from_message(to_message(document.clone())), Some(document));
    }

    #[test]
    fn a_word_of_another_version_is_not_dropped() {
        let scope = vault_client::v1::Scope {
            name: "a".to_owned(),
            classes: vec!["read".to_owned(), "teleport".to_owned()],
            ..Default::default()
        };

        assert_eq!(from_message(scope), None);
    }
}
