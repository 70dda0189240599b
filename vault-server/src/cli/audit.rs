//! `vault-server audit`: the log, offline.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Value, json};
use vault_audit::verify::{self, VerifyError};
use vault_audit::{Receipt, export};
use vault_core::DataDir;

use super::Data;
use crate::child::chain;
use crate::fault::{Exit, Fault, file};
use crate::output::{Output, pairs};

#[derive(Subcommand)]
pub enum Command {
    /// Copy the log into a folder that an auditor can verify; adds no entry to it
    Export {
        #[command(flatten)]
        data: Data,
        /// Folder, empty or new
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Verify an export
    Verify {
        /// The export
        dir: PathBuf,
        /// A receipt whose entry must be there; repeat for more
        #[arg(long = "receipt", value_name = "FILE")]
        receipts: Vec<PathBuf>,
        /// A checkpoint from earlier, from which the log must have grown
        #[arg(long, value_name = "OLD")]
        checkpoint: Option<PathBuf>,
        /// The log's verifier key, as it was noted when the log began
        #[arg(long, value_name = "KEY")]
        vkey: Option<String>,
    },
}

pub fn run(output: Output, command: Command) -> Result<(), Fault> {
    match command {
        Command::Export { data, out } => export(output, data.as_ref(), &out),
        Command::Verify { dir, receipts, checkpoint, vkey } => {
            let receipts =
                receipts.iter().map(|path| read_receipt(path)).collect::<Result<_, _>>()?;
            let options =
                verify::Options { expected_vkey: vkey, previous_checkpoint: checkpoint, receipts };
            verify(output, &dir, &options)
        }
    }
}

fn export(output: Output, data: &Path, out: &Path) -> Result<(), Fault> {
    let audit = DataDir::new(data).audit();
    if !audit.is_dir() {
        return Err(Fault::other(format!("there is no log in {}", data.display())));
    }
    output.talk(&format!("exporting {} ...", audit.display()));
    let summary = export::export(&audit, out, None).map_err(|error| Fault::other(chain(&error)))?;
    let value = json!({
        "out": out,
        "entries": summary.entries,
        "first_index": summary.first_index,
        "checkpoint_size": summary.checkpoint_size,
    });
    output.show(&value, || {
        let signed = summary.checkpoint_size.map_or("none yet".to_owned(), |n| n.to_string());
        pairs(&[
            ("exported to", out.display().to_string()),
            ("entries", summary.entries.to_string()),
            ("signed by the checkpoint", signed),
        ])
    })
}

fn verify(output: Output, dir: &Path, options: &verify::Options) -> Result<(), Fault> {
    let mut told = 0;
    let mut progress = |entries: u64| {
        if entries >= told + PROGRESS_ENTRIES {
            told = entries;
            output.talk(&format!("{entries} entries"));
        }
    };
    let report = verify::verify(dir, options, &mut progress).map_err(|error| {
        let exit = match &error {
            VerifyError::Io { .. } => Exit::Other,
            _ => Exit::NotVerified,
        };
        Fault::new(exit, chain(&error))
    })?;
    let kinds: serde_json::Map<String, Value> =
        report.kinds.iter().map(|(kind, count)| (word(kind), json!(count))).collect();
    let value = json!({
        "verified": true,
        "entries": report.entries,
        "signed_entries": report.signed_entries,
        "unsigned_entries": report.unsigned_entries,
        "origin": report.origin,
        "root": hex::encode(report.root),
        "previous_size": report.previous_size,
        "receipts": report.receipts,
        "key_was_expected": report.key_was_expected,
        "kinds": kinds,
    });
    if !report.key_was_expected {
        output.talk("the key is the folder's own; name the one you know with --vkey");
    }
    output.show(&value, || {
        pairs(&[
            ("verified", report.origin.clone()),
            ("entries", report.entries.to_string()),
            ("signed by the checkpoint", report.signed_entries.to_string()),
            ("after it, unsigned", report.unsigned_entries.to_string()),
            ("receipts", report.receipts.to_string()),
            ("root", hex::encode(report.root)),
            ("grown from size", report.previous_size.map(|n| n.to_string()).unwrap_or_default()),
        ])
    })
}

/// The kind of an entry as the log writes it.
fn word(kind: &vault_audit::EntryKind) -> String {
    match serde_json::to_value(kind) {
        Ok(Value::String(text)) => text,
        _ => format!("{kind:?}"),
    }
}

fn read_receipt(path: &Path) -> Result<Receipt, Fault> {
    let text = fs::read(path).map_err(file(path))?;
    serde_json::from_slice(&text).map_err(|_| {
        Fault::usage(format!("{} is not a receipt", path.display()))
            .with_hint("one JSON object: index, leaf_hash (hex), origin")
    })
}

const PROGRESS_ENTRIES: u64 = 100_000;
