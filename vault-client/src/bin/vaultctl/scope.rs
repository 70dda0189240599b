//! `vaultctl scope`.

mod approve;
mod diff;
pub mod lint;
mod replay;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;
use tonic::Code;
use vault_client::v1::{
    DeleteScopeCommand, GetScopeCommand, ListClientsCommand, ListScopesCommand, PutScopeCommand,
    ScopeInfo,
};
use vault_client::{ClientError, Operator};
use vault_model::{Class, Name, Timestamp};
use vault_policy::{CumulativeDocument, OrdersDocument, ScopeDocument};
use vault_venue::Registry;
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
    /// Refuse if the scope is not at this revision any more [default with --approval: the present
    /// one, else any]
    #[arg(long, value_name = "REVISION")]
    expect: Option<u64>,
}

pub async fn run(context: &Context, command: Command) -> Result<Exit, Fault> {
    match command {
        Command::Approve(arguments) => approve::run(context, &arguments).await?,
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
    ScopeDocument::from_toml(&text).map_err(|error| {
        Fault::usage(format!("{}: {error}", path.display()))
            .with_hint("docs/reference/scopes.md has every key, and examples")
    })
}

async fn put(context: &Context, arguments: &Put) -> Result<(), Fault> {
    let document = read_document(&arguments.file)?;
    let name = document.name.clone();
    if let Some(words) = vain_logon(&document) {
        context.output.talk(words);
    }
    let approvals = approve::read(&arguments.approvals)?;
    let operator = context.operator().await?;
    let expected_revision = match arguments.expect {
        Some(revision) => revision,
        // An approval is for one revision and no other, so asking for it here takes nothing away.
        None if !approvals.is_empty() => match stored(&operator, name.as_str()).await? {
            Some(info) => info.revision,
            None => 0,
        },
        None => 0,
    };
    let command =
        PutScopeCommand { scope: Some(scope_to_wire(&document)), expected_revision, approvals };
    let answer =
        operator.put_scope(command).await.map_err(|error| refused(error, arguments, &document))?;
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

/// The stored scope of this name, if there is one.
async fn stored(operator: &Operator, name: &str) -> Result<Option<ScopeInfo>, Fault> {
    match operator.scope(GetScopeCommand { name: name.to_owned() }).await {
        Ok(answer) => Ok(Some(answer.scope.unwrap_or_default())),
        Err(error) if error.refusal().is_some_and(|refusal| refusal.code == Code::NotFound) => {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// The stored scope of this name, which must be there.
async fn required(operator: &Operator, name: &str) -> Result<ScopeInfo, Fault> {
    stored(operator, name).await?.ok_or_else(|| {
        Fault::new(Exit::NotFound, format!("there is no scope {name}"))
            .with_hint("vaultctl scope list shows those that there are")
    })
}

/// Of a scope of many clients the vault names the first alone: asks for all of them.
async fn name_clients(operator: &Operator, info: &mut ScopeInfo) -> Result<(), Fault> {
    if info.client_count > info.clients.len() as u64 {
        let scope = info.scope.as_ref().map(|scope| scope.name.clone()).unwrap_or_default();
        let command = ListClientsCommand { scope, ..Default::default() };
        let listed = operator.list_clients(command).await?.clients;
        info.clients = listed.into_iter().map(|client| client.name).collect();
    }
    Ok(())
}

/// Reads what the vault has stored.
pub fn document_of(info: &ScopeInfo) -> Result<ScopeDocument, Fault> {
    scope_from_wire(&info.scope.clone().unwrap_or_default()).map_err(|error| {
        Fault::new(Exit::NotVerified, format!("the vault's scope is not understood: {error}"))
    })
}

/// A scope that was not taken, and what to do about it with the file at hand.
fn refused(error: ClientError, arguments: &Put, document: &ScopeDocument) -> Fault {
    let fault = Fault::from(error);
    let reason = fault.refusal.as_ref().map_or("", |refusal| refusal.reason.as_str());
    let file = match arguments.file.display().to_string() {
        path if path == "-" => "FILE".to_owned(),
        path => path,
    };
    let hint = match reason {
        "APPROVAL_APPROVER" => {
            "an approval is another admin's, once each: vaultctl operator list".to_owned()
        }
        "APPROVAL_EXPIRED" => format!("another one: vaultctl scope approve {file}"),
        "APPROVAL_REQUIRED" => format!(
            "another admin runs: vaultctl scope approve {file}; put the same file with --approval \
             and what that prints"
        ),
        "REVISION_CONFLICT" => format!(
            "see what it is now: vaultctl scope diff {} {file}; an approval is for the revision \
             that it was made for",
            document.name
        ),
        "SCOPE_INVALID" => match unknown_venue(document) {
            Some((unknown, known)) => format!("{unknown} is no venue; there are {known}"),
            None => return fault,
        },
        _ => return fault,
    };
    fault.with_hint(hint)
}

/// A venue of the scope's symbols that this build does not know, and those that it does.
fn unknown_venue(document: &ScopeDocument) -> Option<(Name, String)> {
    let registry = Registry::bundled().ok()?;
    let unknown = document.symbols.keys().find(|name| registry.venue(name.as_str()).is_none())?;
    Some((unknown.clone(), registry.names().collect::<Vec<_>>().join(", ")))
}

async fn show(context: &Context, name: &Name, toml_alone: bool) -> Result<(), Fault> {
    let operator = context.operator().await?;
    let mut info = required(&operator, name.as_str()).await?;
    name_clients(&operator, &mut info).await?;
    if context.output.is_json() && !toml_alone {
        return context.output.show(&json!({ "scope": json::scope(&info) }), String::new);
    }
    let document = document_of(&info)?;
    if !toml_alone {
        context.output.talk(&format!(
            "revision {}, {}; held by: {}",
            info.revision,
            Timestamp::from_millis(info.updated_at_ms),
            if info.clients.is_empty() { "nobody".to_owned() } else { info.clients.join(", ") }
        ));
        if let Some(shadow) = &document.shadow {
            context.output.talk(&format!(
                "since the vault's start, {shadow} has answered {} of {} requests otherwise",
                info.shadow_diverged, info.shadow_judged
            ));
        }
    }
    context.output.bytes(document.to_toml().as_bytes())
}

async fn list(context: &Context) -> Result<(), Fault> {
    let operator = context.operator().await?;
    let mut answer = operator.list_scopes(ListScopesCommand::default()).await?;
    for info in &mut answer.scopes {
        name_clients(&operator, info).await?;
    }
    let scopes: Vec<_> = answer.scopes.iter().map(json::scope).collect();
    context.output.show(&json!({ "scopes": scopes }), || {
        let rows: Vec<Vec<String>> = answer.scopes.iter().map(row).collect();
        table(
            &["NAME", "REVISION", "CREDENTIALS", "CLASSES", "CLIENTS", "SHADOW", "CHANGED"],
            &rows,
        )
    })
}

fn row(info: &ScopeInfo) -> Vec<String> {
    let scope = info.scope.clone().unwrap_or_default();
    let shadow = match scope.shadow.as_str() {
        "" => String::new(),
        shadow => {
            format!("{shadow}: {} of {} differ", info.shadow_diverged, info.shadow_judged)
        }
    };
    vec![
        scope.name,
        info.revision.to_string(),
        scope.credentials.join(" "),
        scope.classes.join(" "),
        info.clients.join(" "),
        shadow,
        Timestamp::from_millis(info.updated_at_ms).to_string(),
    ]
}

async fn delete(context: &Context, name: &Name, given: Option<String>) -> Result<(), Fault> {
    let operator = context.operator().await?;
    let revision = required(&operator, name.as_str()).await?.revision.to_string();
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
