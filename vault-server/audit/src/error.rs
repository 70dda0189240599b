//! What can go wrong with the log on disk.

use std::io;

use crate::NoteError;

/// What a visitor of entries may answer; it is handed on as it is.
pub type VisitError = Box<dyn std::error::Error + Send + Sync>;
/// Takes each committed entry: its index and its line.
pub type Visit<'v> = dyn FnMut(u64, &[u8]) -> Result<(), VisitError> + 'v;

/// Why the log cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The checkpoint or the verifier key in the log's folder cannot be trusted.
    #[error("{file} of the log is not valid")]
    Checkpoint {
        /// `checkpoint` or `log.vkey`.
        file: &'static str,
        /// Why.
        source: NoteError,
    },
    /// Bytes that were durable are not what was written. Nothing was changed.
    #[error("segment {segment} is damaged at byte {offset}: {what}")]
    Damaged {
        /// File name.
        segment: String,
        /// Where the first bad frame begins.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// The log at the checkpoint's size has another root: it is another log, or an edited one.
    #[error("the log differs from its own checkpoint at size {size}")]
    DiffersFromCheckpoint {
        /// Size of the checkpoint's tree.
        size: u64,
    },
    /// No space left. After an append the log is poisoned as with any other error.
    #[error("no space left for the log")]
    DiskFull,
    /// The target of an export holds files already.
    #[error("the folder for the export is not empty")]
    ExportInUse,
    /// The operating system refused.
    #[error("log file error: {what}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Its answer.
        source: io::Error,
    },
    /// The signing key is not the one that `log.vkey` names, or has another origin.
    #[error("the log key does not belong to this log")]
    KeyMismatch,
    /// A line is empty, longer than 8192 bytes, not UTF-8, or holds a line feed or NUL. Nothing was
    /// written.
    #[error("not a log line")]
    Line,
    /// Another process has the log open.
    #[error("the log is open in another process")]
    Locked,
    /// An earlier error left the file in a state that only a restart can tell.
    #[error("the log is closed after an earlier error")]
    Poisoned,
    /// Fewer entries than the checkpoint signs: entries were lost or removed.
    #[error("the log has {size} entries, its checkpoint {checkpoint}")]
    ShorterThanCheckpoint {
        /// Entries found.
        size: u64,
        /// Entries signed.
        checkpoint: u64,
    },
    /// The visitor of entries refused one.
    #[error("entry {index} was refused")]
    Visit {
        /// Its index.
        index: u64,
        /// The visitor's error.
        source: VisitError,
    },
}

impl AuditError {
    /// Tells a full disk from other errors of the operating system.
    pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.raw_os_error() {
            Some(libc::ENOSPC | libc::EDQUOT) => Self::DiskFull,
            _ => Self::Io { what, source },
        }
    }
}
