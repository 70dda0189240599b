//! `vaultctl scope approve`: one admin's word for the scope that another is going to put.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde_json::json;
use vault_client::approve_scope;
use vault_client::proto::approval;
use vault_client::v1::{Approval, Role};
use vault_model::Timestamp;

use super::read_document;
use crate::arguments::{body, lifetime};
use crate::context::Context;
use crate::fault::{Exit, Fault, file};

/// Approve a scope that another admin is going to put; prints the approval
#[derive(clap::Args)]
pub struct Arguments {
    /// The very file that is going to be put; - for stdin
    file: PathBuf,
    /// The revision that it replaces; 0 if there is no such scope yet
    #[arg(long, value_name = "REVISION")]
    expect: u64,
    /// Write the approval to a file, instead of stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How long it is good: 60s to 24h
    #[arg(long, value_name = "TIME", default_value = "12h", value_parser = lifetime)]
    ttl: u32,
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<(), Fault> {
    let document = read_document(&arguments.file)?;
    let identity = context.identity()?;
    if identity.role() != Role::Admin {
        let message = format!("{} is no admin; only admins approve", identity.name());
        return Err(Fault::new(Exit::Denied, message).with_hint("choose one with --profile"));
    }
    let hash = vault_wire::scope_hash(&document)
        .ok_or_else(|| Fault::other("the scope has no canonical form"))?;
    let expires_at = SystemTime::now() + Duration::from_secs(arguments.ttl.into());
    let approval = approve_scope(&identity, &hash, arguments.expect, expires_at)?;
    let text = approval::to_text(&approval);
    context.output.talk(&format!(
        "{} approves scope {} in place of revision {}, until {}; SHA-256 {}",
        approval.operator,
        document.name,
        arguments.expect,
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
        "expected_revision": arguments.expect,
        "expires_at_ms": approval.expires_at_ms,
        "document_sha256": hex::encode(hash),
    });
    context.output.show(&value, || text)
}

/// Reads approvals as `scope put` takes them: each as it stands, or `@FILE`.
pub fn read(arguments: &[String]) -> Result<Vec<Approval>, Fault> {
    let read = |argument: &String| {
        let text = body(Some(argument.as_str()))?;
        let text = String::from_utf8(text).ok();
        text.and_then(|text| approval::from_text(text.trim())).ok_or_else(|| {
            Fault::usage("not an approval").with_hint("vaultctl scope approve FILE prints one")
        })
    };
    arguments.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use vault_client::proto::approval::to_text;
    use vault_client::v1::Approval;

    use super::read;

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
