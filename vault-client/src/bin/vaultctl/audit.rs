//! `vaultctl audit`.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Value, json};
use vault_audit::export::ENTRIES_FILE;
use vault_audit::verify::{self, VerifyError};
use vault_audit::{CHECKPOINT_FILE, Checkpoint, LogVerifier, Receipt, VKEY_FILE};
use vault_client::v1::{self, ExportCommand, GetCheckpointCommand, TailCommand};
use vault_client::{ClientError, Operator};
use vault_model::Timestamp;

use crate::context::Context;
use crate::fault::{Exit, Fault, file};
use crate::output::pairs;

#[derive(Subcommand)]
pub enum Command {
    /// Print the newest signed checkpoint
    Checkpoint,
    /// Copy the log into a folder that can be verified offline
    Export {
        /// Folder, empty or new
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// First index; only an export from 0 can be verified
        #[arg(long, value_name = "INDEX", default_value_t = 0)]
        from: u64,
        /// Index after the last
        #[arg(long, value_name = "INDEX")]
        to: Option<u64>,
    },
    /// Print entries: the last ten, or from an index on
    Tail {
        /// First index
        #[arg(long, value_name = "INDEX")]
        from: Option<u64>,
        /// Go on with entries as they come
        #[arg(long)]
        follow: bool,
    },
    /// Verify an export offline
    Verify {
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

pub async fn run(context: &Context, command: Command) -> Result<(), Fault> {
    match command {
        Command::Checkpoint => checkpoint(context).await,
        Command::Export { out, from, to } => export(context, &out, from, to).await,
        Command::Tail { from, follow } => tail(context, from, follow).await,
        Command::Verify { dir, receipts, checkpoint, vkey } => {
            verify(context, &dir, &receipts, checkpoint, vkey)
        }
    }
}

async fn checkpoint(context: &Context) -> Result<(), Fault> {
    let operator = context.operator().await?;
    let checkpoint = newest(&operator).await?;
    let value = json!({ "note": checkpoint.note, "log_vkey": checkpoint.log_vkey });
    if checkpoint.note.is_empty() {
        context.output.talk("the log has no checkpoint yet");
    }
    context.output.show(&value, || checkpoint.note.clone())
}

async fn newest(operator: &Operator) -> Result<v1::Checkpoint, Fault> {
    let answer = operator.checkpoint(GetCheckpointCommand {}).await?;
    answer.checkpoint.ok_or_else(|| not_acceptable("there is no checkpoint in it"))
}

/// Entries that the checkpoint signs; 0 for none.
fn size(checkpoint: &v1::Checkpoint) -> Result<u64, Fault> {
    if checkpoint.note.is_empty() {
        return Ok(0);
    }
    let verifier = LogVerifier::from_vkey(&checkpoint.log_vkey)
        .map_err(|_| not_acceptable("its verifier key is none"))?;
    let opened = Checkpoint::open(checkpoint.note.as_bytes(), &verifier)
        .map_err(|_| not_acceptable("its checkpoint is not valid"))?;
    Ok(opened.size)
}

fn not_acceptable(what: &'static str) -> Fault {
    ClientError::Protocol(what).into()
}

async fn export(context: &Context, out: &Path, from: u64, to: Option<u64>) -> Result<(), Fault> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(out).map_err(file(out))?;
    if fs::read_dir(out).map_err(file(out))?.next().is_some() {
        return Err(Fault::usage(format!("{} is not empty", out.display())));
    }
    let operator = context.operator().await?;
    let command = ExportCommand { from_index: from, to_index: to.unwrap_or(0) };
    let mut stream = operator.export(command).await?;

    let entries_path = out.join(ENTRIES_FILE);
    let mut entries = BufWriter::new(File::create_new(&entries_path).map_err(file(&entries_path))?);
    let mut next = from;
    let mut last = None;
    while let Some(message) = stream.next().await? {
        for line in in_order(&message.entries, message.first_index, next)? {
            entries
                .write_all(line)
                .and_then(|()| entries.write_all(b"\n"))
                .map_err(file(&entries_path))?;
            next += 1;
            if next.is_multiple_of(PROGRESS_ENTRIES) {
                context.output.talk(&format!("{next} entries"));
            }
        }
        last = message.checkpoint.or(last);
    }
    let checkpoint = last.ok_or_else(|| not_acceptable("it ends without a checkpoint"))?;
    let written = entries.into_inner().map_err(std::io::IntoInnerError::into_error);
    written.and_then(|written| written.sync_all()).map_err(file(&entries_path))?;
    let signed = size(&checkpoint)?;
    write(&out.join(VKEY_FILE), &format!("{}\n", checkpoint.log_vkey.trim_end()))?;
    if signed > 0 {
        write(&out.join(CHECKPOINT_FILE), &checkpoint.note)?;
    }
    let count = next - from;
    let value = json!({
        "out": out,
        "first_index": from,
        "entries": count,
        "checkpoint_size": signed,
    });
    context
        .output
        .show(&value, || format!("{count} entries from {from} on; the checkpoint signs {signed}"))
}

/// The lines of a message, if they follow on what came before and are whole lines.
fn in_order(entries: &[Vec<u8>], first_index: u64, next: u64) -> Result<&[Vec<u8>], Fault> {
    if !entries.is_empty() && first_index != next {
        return Err(not_acceptable("entries are missing"));
    }
    if entries.iter().any(|line| line.is_empty() || line.contains(&b'\n')) {
        return Err(not_acceptable("an entry is not one line"));
    }
    Ok(entries)
}

fn write(path: &Path, text: &str) -> Result<(), Fault> {
    let attempt = || {
        let mut out = File::create_new(path)?;
        out.write_all(text.as_bytes())?;
        out.sync_all()
    };
    attempt().map_err(file(path))
}

async fn tail(context: &Context, from: Option<u64>, follow: bool) -> Result<(), Fault> {
    let operator = context.operator().await?;
    let from = match from {
        Some(from) => from,
        None => size(&newest(&operator).await?)?.saturating_sub(TAIL_ENTRIES),
    };
    let mut next = from;
    if follow {
        let command = TailCommand { from_index: from, from_end: false };
        let mut stream = operator.tail(command).await?;
        while let Some(message) = stream.next().await? {
            next += show(context, in_order(&message.entries, message.first_index, next)?)?;
        }
    } else {
        let command = ExportCommand { from_index: from, to_index: 0 };
        let mut stream = operator.export(command).await?;
        while let Some(message) = stream.next().await? {
            next += show(context, in_order(&message.entries, message.first_index, next)?)?;
        }
    }
    Ok(())
}

/// Prints entries: verbatim for machines, a line of the most telling fields for people.
fn show(context: &Context, entries: &[Vec<u8>]) -> Result<u64, Fault> {
    let mut text = Vec::new();
    for line in entries {
        if context.output.is_json() {
            text.extend_from_slice(line);
        } else {
            text.extend_from_slice(summary(line).as_bytes());
        }
        text.push(b'\n');
    }
    if context.output.is_json() {
        context.output.bytes(&text)?;
    } else {
        context.output.show(&Value::Null, || String::from_utf8_lossy(&text).into_owned())?;
    }
    Ok(entries.len() as u64)
}

fn summary(line: &[u8]) -> String {
    let Ok(entry) = serde_json::from_slice::<Value>(line) else {
        return "(not JSON)".to_owned();
    };
    let time = entry["ts"].as_i64().map(|micros| Timestamp(micros).to_string());
    let mut words = vec![entry["idx"].to_string(), time.unwrap_or_default()];
    let fields = ["type", "outcome", "reason", "client", "credential", "operation", "request_id"];
    words.extend(fields.iter().filter_map(|field| entry[*field].as_str()).map(str::to_owned));
    words.retain(|word| !word.is_empty());
    words.join("  ")
}

fn verify(
    context: &Context,
    dir: &Path,
    receipts: &[PathBuf],
    checkpoint: Option<PathBuf>,
    vkey: Option<String>,
) -> Result<(), Fault> {
    let receipts = receipts.iter().map(|path| read_receipt(path)).collect::<Result<_, _>>()?;
    let options =
        verify::Options { expected_vkey: vkey, previous_checkpoint: checkpoint, receipts };
    let mut told = 0;
    let mut progress = |entries: u64| {
        if entries >= told + PROGRESS_ENTRIES {
            told = entries;
            context.output.talk(&format!("{entries} entries"));
        }
    };
    let report = verify::verify(dir, &options, &mut progress).map_err(not_verified)?;
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
        context.output.talk("the key is the folder's own; name the one you know with --vkey");
    }
    context.output.show(&value, || {
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
            .with_hint("vaultctl sign --receipt FILE writes them")
    })
}

fn not_verified(error: VerifyError) -> Fault {
    let exit = match &error {
        VerifyError::Io { .. } => Exit::Other,
        _ => Exit::NotVerified,
    };
    let message = match std::error::Error::source(&error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    };
    Fault::new(exit, message)
}

const PROGRESS_ENTRIES: u64 = 100_000;
const TAIL_ENTRIES: u64 = 10;
