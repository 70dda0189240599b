//! `vaultctl scope`.

mod approve;
mod diff;
mod lint;
mod replay;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;
use vault_client::v1::{
    DeleteScopeCommand, GetScopeCommand, ListScopesCommand, PutScopeCommand, ScopeInfo,
};
use vault_model::{Class, Name, Timestamp};
use vault_policy::{CumulativeDocument, OrdersDocument, ScopeDocument};
use vault_wire::{scope_from_wire, scope_to_wire};

use crate::context::Context;
use crate::fault::{Exit, Fault, file};
use crate::output::table;
use crate::{confirm, explain, halt, json};

#[derive(Subcommand)]
pub enum Command {
    Approve(approve::Arguments),
    /// Delete a scope that no client holds; asks for a token that the first run prints
    Delete {
        name: Name,
        /// The token that the first run printed
        #[arg(long, value_name = "TOKEN")]
        confirm: Option<String>,
    },
    /// What B allows that A does not, and the reverse, with an example request for each
    #[command(after_help = diff::HELP)]
    Diff(diff::Arguments),
    /// The same as vaultctl explain
    Explain(explain::Arguments),
    /// Show one scope, as TOML
    Get {
        name: Name,
        /// The TOML alone, whatever else is asked for
        #[arg(long)]
        toml: bool,
    },
    /// Warn of what a careful reviewer would say of a scope
    Lint(lint::Arguments),
    /// List the scopes
    List,
    /// Make or replace a scope from a TOML file; - for stdin
    Put(Put),
    /// What a candidate would make of the requests in the log; changes nothing
    Replay(replay::Arguments),
}

#[derive(clap::Args)]
pub struct Put {
    file: PathBuf,
    /// Another admin's approval, as vaultctl scope approve prints it; repeat for more
    #[arg(long = "approval", value_name = "TEXT|@FILE")]
    approvals: Vec<String>,
    /// Refuse if the scope is not at this revision any more
    #[arg(long, value_name = "REVISION", default_value_t = 0)]
    expect: u64,
}

pub async fn run(context: &Context, command: Command) -> Result<Exit, Fault> {
    match command {
        Command::Approve(arguments) => approve::run(context, &arguments)?,
        Command::Delete { name, confirm } => delete(context, &name, confirm).await?,
        Command::Diff(arguments) => return diff::run(context, arguments).await,
        Command::Explain(arguments) => return explain::run(context, arguments).await,
        Command::Get { name, toml } => show(context, &name, toml).await?,
        Command::Lint(arguments) => return lint::run(context, arguments).await,
        Command::List => list(context).await?,
        Command::Put(arguments) => put(context, &arguments).await?,
        Command::Replay(arguments) => return replay::run(context, arguments).await,
    }
    Ok(Exit::Ok)
}

/// Reads a scope from a TOML file; `-` for stdin.
fn read_document(path: &Path) -> Result<ScopeDocument, Fault> {
    let text = if path.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin())
            .map_err(|error| Fault::other(format!("stdin: {error}")))?
    } else {
        std::fs::read_to_string(path).map_err(file(path))?
    };
    ScopeDocument::from_toml(&text)
        .map_err(|error| Fault::usage(format!("{}: {error}", path.display())))
}

async fn put(context: &Context, arguments: &Put) -> Result<(), Fault> {
    let document = read_document(&arguments.file)?;
    let name = document.name.clone();
    if let Some(words) = vain_logon(&document) {
        context.output.talk(words);
    }
    let command = PutScopeCommand {
        scope: Some(scope_to_wire(&document)),
        expected_revision: arguments.expect,
        approvals: approve::read(&arguments.approvals)?,
    };
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
    let document = scope_from_wire(&info.scope.clone().unwrap_or_default()).map_err(|error| {
        Fault::new(Exit::NotVerified, format!("the vault's scope is not understood: {error}"))
    })?;
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

/// What to say of a scope whose log-ons will all be denied.
fn vain_logon(document: &ScopeDocument) -> Option<&'static str> {
    let limits_orders = document.orders != OrdersDocument::default()
        || document.cumulative != CumulativeDocument::default();
    (document.classes.contains(&Class::Logon) && limits_orders).then_some(
        "vaultctl: class logon beside order rules or caps is in vain: orders over a connection that \
         is logged on pass no rule, so every log-on will be denied (LOGON_BYPASSES_CAPS)",
    )
}

#[cfg(test)]
mod tests {
    use vault_policy::ScopeDocument;

    use super::vain_logon;

    #[test]
    fn a_logon_beside_caps_is_spoken_of() {
        let says = |text: &str| {
            let text = format!("name = \"a\"\n{text}");
            vain_logon(&ScopeDocument::from_toml(&text).expect("a scope")).is_some()
        };
        assert!(says("classes = [\"logon\"]\n[orders]\npost_only = true"));
        assert!(says("classes = [\"logon\"]\n[cumulative]\nopen_orders = 3"));
        assert!(!says("classes = [\"logon\"]\n[hours]\ntimezone = \"UTC\""));
        assert!(!says("classes = [\"trade\"]\n[orders]\npost_only = true"));
    }
}
