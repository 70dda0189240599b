//! Copies a log into a folder that an auditor can verify offline.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::ops::Range;
use std::path::Path;

use crate::{AuditError, CHECKPOINT_FILE, NoteError, Reader, VKEY_FILE, disk};

/// Name of the file of lines in an export.
pub const ENTRIES_FILE: &str = "entries.jsonl";

/// What was exported.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Summary {
    /// Number of entries.
    pub entries: u64,
    /// Index of the first.
    pub first_index: u64,
    /// How many entries of the log its checkpoint signs; `None` if there is no checkpoint yet.
    pub checkpoint_size: Option<u64>,
}

/// Writes `entries.jsonl` (the lines verbatim, one a line), `checkpoint` and `log.vkey` into
/// `out_dir`, which must be empty or absent. Works with and without a running server, and adds no
/// entry to the log. Without a range it is the whole log up to its last whole batch.
///
/// # Errors
///
/// [`AuditError::ExportInUse`] if the folder has files; [`AuditError`] if the log or the folder
/// cannot be read or written, or the log is shorter than its checkpoint.
pub fn export(
    audit_dir: &Path,
    out_dir: &Path,
    range: Option<Range<u64>>,
) -> Result<Summary, AuditError> {
    disk::create_dir(out_dir).map_err(AuditError::io("make the folder for the export"))?;
    let mut present = fs::read_dir(out_dir).map_err(AuditError::io("look into the folder"))?;
    if present.next().is_some() {
        return Err(AuditError::ExportInUse);
    }

    // The checkpoint first: a writer that goes on only adds entries that it does not sign yet.
    let reader = Reader::open(audit_dir);
    let no_key = AuditError::Checkpoint { file: VKEY_FILE, source: NoteError::NoKey };
    let verifier = reader.verifier()?.ok_or(no_key)?;
    let note = disk::read_small(&audit_dir.join(CHECKPOINT_FILE))?;
    let checkpoint = match &note {
        Some(note) => Some(
            crate::Checkpoint::open(note, &verifier)
                .map_err(|source| AuditError::Checkpoint { file: CHECKPOINT_FILE, source })?,
        ),
        None => None,
    };
    let size = reader.size()?;
    if let Some(checkpoint) = checkpoint.as_ref().filter(|checkpoint| checkpoint.size > size) {
        return Err(AuditError::ShorterThanCheckpoint { size, checkpoint: checkpoint.size });
    }

    let range = range.unwrap_or(0..size);
    let range = range.start.min(size)..range.end.min(size);
    let entries = write_entries(&reader, out_dir, range.clone())?;
    if entries != range.end.saturating_sub(range.start) {
        return Err(AuditError::ShorterThanCheckpoint {
            size: range.start + entries,
            checkpoint: range.end,
        });
    }
    disk::write_atomic(out_dir, VKEY_FILE, format!("{}\n", verifier.vkey()).as_bytes())?;
    if let Some(note) = &note {
        disk::write_atomic(out_dir, CHECKPOINT_FILE, note)?;
    }
    Ok(Summary {
        entries,
        first_index: range.start,
        checkpoint_size: checkpoint.map(|checkpoint| checkpoint.size),
    })
}

fn write_entries(reader: &Reader, out_dir: &Path, range: Range<u64>) -> Result<u64, AuditError> {
    let create = || -> io::Result<File> { disk::create_new(&out_dir.join(ENTRIES_FILE)) };
    let mut out = BufWriter::new(create().map_err(AuditError::io("make the export"))?);
    let mut entries = 0;
    for entry in reader.entries(range)? {
        let (_, line) = entry?;
        out.write_all(&line)
            .and_then(|()| out.write_all(b"\n"))
            .map_err(AuditError::io("write the export"))?;
        entries += 1;
    }
    let file = out
        .into_inner()
        .map_err(io::IntoInnerError::into_error)
        .map_err(AuditError::io("write the export"))?;
    file.sync_all().map_err(AuditError::io("sync the export"))?;
    Ok(entries)
}
