//! `vaultctl scope approve`: one admin's word for the scope that another is going to put.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use vault_client::approve_scope;
use vault_client::proto::approval;
use vault_client::v1::{Approval, Role};
use vault_model::Timestamp;
use vault_policy::{Difference, ScopeDocument};

use super::{diff, document_of, read_document, stored};
use crate::arguments::{body, lifetime};
use crate::context::{Context, wrong_role};
use crate::fault::{Exit, Fault, file};

/// Approve a scope that another admin is going to put: shows what it changes, prints the approval
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// The very file that is going to be put; - for stdin
    file: PathBuf,
    /// The revision that it replaces; 0 if there is no such scope yet [default: the present one]
    #[arg(long, value_name = "REVISION")]
    expect: Option<u64>,
    /// Ask no vault: what the scope changes is not shown
    #[arg(long, requires = "expect")]
    offline: bool,
    /// Write the approval to a file, instead of stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How long it is good: 60s to 24h
    #[arg(long, value_name = "TIME", default_value = "12h", value_parser = lifetime)]
    ttl: u32,
}

const HELP: &str = "\
The approval is good for this very document, in place of this very revision, in this vault. Nothing \
is sent: hand it to the admin who puts the scope. Read what the change opens before you do.

For example:
  bob$ vaultctl scope approve treasury.toml --out approval
  ada$ vaultctl scope put treasury.toml --approval @approval";

/// What a scope would change, as far as it was asked.
enum Change {
    NotAsked,
    /// There is no such scope yet.
    New,
    Found(Vec<Difference>),
}

pub async fn run(context: &Context, arguments: &Arguments) -> Result<(), Fault> {
    let document = read_document(&arguments.file)?;
    let identity = context.identity()?;
    if identity.role() != Role::Admin {
        return Err(wrong_role(&identity, "only admins approve"));
    }
    let hash = vault_wire::scope_hash(&document)
        .ok_or_else(|| Fault::other("the scope has no canonical form"))?;
    let (revision, change) = match arguments.expect {
        Some(revision) if arguments.offline => (revision, Change::NotAsked),
        stated => {
            let (revision, change) = change(context, &document).await.map_err(|fault| {
                if fault.exit == Exit::Unreachable {
                    fault.with_hint("without the vault: --offline --expect REVISION")
                } else {
                    fault
                }
            })?;
            if stated.is_some_and(|stated| stated != revision) {
                let message = match revision {
                    0 => format!("there is no scope {} yet", document.name),
                    _ => format!("{} is at revision {revision} by now", document.name),
                };
                return Err(Fault::other(message).with_hint(format!("--expect {revision}")));
            }
            (revision, change)
        }
    };
    show(context, &document, &change);
    let expires_at = SystemTime::now() + Duration::from_secs(arguments.ttl.into());
    let approval = approve_scope(&identity, &hash, revision, expires_at)?;
    let text = approval::to_text(&approval);
    context.output.talk(&format!(
        "{} approves scope {} in place of revision {revision}, until {}; SHA-256 {}",
        approval.operator,
        document.name,
        Timestamp::from_millis(approval.expires_at_ms),
        hex::encode(hash),
    ));
    if let Some(out) = &arguments.out {
        return std::fs::write(out, format!("{text}\n")).map_err(file(out));
    }
    let value = json!({
        "approval": text,
        "operator": approval.operator,
        "scope": document.name,
        "expected_revision": revision,
        "expires_at_ms": approval.expires_at_ms,
        "document_sha256": hex::encode(hash),
        "differences": match &change {
            Change::Found(found) => found.iter().map(diff::machines).collect(),
            Change::New | Change::NotAsked => Value::Null,
        },
    });
    context.output.show(&value, || text)
}

/// The present revision (0: none), and what the scope would change of it.
async fn change(context: &Context, document: &ScopeDocument) -> Result<(u64, Change), Fault> {
    let operator = context.operator().await?;
    let Some(info) = stored(&operator, document.name.as_str()).await? else {
        return Ok((0, Change::New));
    };
    let facts = diff::facts(Some(&operator)).await?;
    let found = vault_policy::diff(&document_of(&info)?, document, &facts);
    Ok((info.revision, Change::Found(found)))
}

/// Shows the approver what he approves.
fn show(context: &Context, document: &ScopeDocument, change: &Change) {
    let text = match change {
        Change::NotAsked => return,
        Change::New => format!("there is no scope {} yet: all of it is new", document.name),
        Change::Found(found) => diff::people("the scope as it is", "the new one", found),
    };
    context.output.talk(text.trim_end());
    if let Some(text) = withdrawal(document) {
        context.output.talk(text.trim_end());
    }
}

/// All that a scope lets leave, whatever of it is new. Letters that look like others are spelt out: an
/// approver must not take one address for another.
fn withdrawal(document: &ScopeDocument) -> Option<String> {
    let table = document.withdrawal.as_ref()?;
    let spelt = |text: &str| text.escape_default().to_string();
    let addresses = table
        .addresses
        .iter()
        .map(|to| format!("  {} {} to {}\n", to.venue, spelt(&to.asset), spelt(&to.address)));
    let amounts = table.per_day.iter().map(|cap| {
        format!("  {} {} at most {} a day\n", cap.venue, spelt(&cap.asset), cap.at_most)
    });
    let lines: String = addresses.chain(amounts).collect();
    Some(format!("under it may leave, all clients of the scope together:\n{lines}"))
}

/// Reads approvals as `scope put` takes them: each as it stands, or `@FILE`.
pub fn read(arguments: &[String]) -> Result<Vec<Approval>, Fault> {
    let read = |argument: &String| {
        let text = body(Some(argument.as_str()))?;
        let text = String::from_utf8(text).ok();
        text.and_then(|text| approval::from_text(text.trim())).ok_or_else(|| {
            let fault = Fault::usage("not an approval");
            if Path::new(argument).is_file() {
                fault.with_hint(format!("if it is in the file: --approval @{argument}"))
            } else {
                fault.with_hint("another admin's vaultctl scope approve FILE prints one")
            }
        })
    };
    arguments.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use vault_client::proto::approval::to_text;
    use vault_client::v1::Approval;

    use vault_policy::ScopeDocument;

    use super::{read, withdrawal};

    #[test]
    fn all_that_may_leave_is_spelt_out() {
        let scope = |address: &str| {
            let text = format!(
                "name = \"t\"\ncredentials = [\"k\"]\nclasses = [\"withdraw\"]\nmodes = [\"execute\"]\n\
                 products = [\"*\"]\n[withdrawal]\naddresses = [{{ venue = \"kraken\", asset = \"XBT\", \
                 address = \"{address}\" }}]\nper_day = [{{ venue = \"kraken\", asset = \"XBT\", at_most = \
                 \"0.5\" }}]\n"
            );
            ScopeDocument::from_toml(&text).expect("a scope")
        };
        let shown = withdrawal(&scope("cold")).expect("a table");
        assert!(shown.contains("kraken XBT to cold\n"), "{shown}");
        assert!(shown.contains("kraken XBT at most 0.5 a day\n"), "{shown}");
        // A Cyrillic letter, which looks the same.
        let shown = withdrawal(&scope("c\u{43e}ld")).expect("a table");
        assert!(shown.contains("to c\\u{43e}ld\n"), "{shown}");
    }

    #[test]
    fn approvals_are_texts_or_files() {
        let approval =
            Approval { operator: "ada".into(), expires_at_ms: 1, signature: vec![1; 64] };
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("approval");
        std::fs::write(&path, format!("{}\n", to_text(&approval))).expect("writes");

        let given = [to_text(&approval), format!("@{}", path.display())];
        assert_eq!(read(&given).expect("approvals"), [approval.clone(), approval]);
        assert!(read(&["text".to_owned()]).is_err());
        assert!(read(&[format!("@{}-not-there", path.display())]).is_err());
    }
}
