//! The append-only log: entries, segments, tree, checkpoints, export, verify.
//!
//! One log per node. Each entry is one line of canonical JSON and one leaf of an RFC 6962 tree; the
//! source of truth are segment files, to which whole batches are appended and synced. Checkpoints
//! are C2SP signed notes. `docs/reference/formats.md` draws every byte.
//!
//! This crate never decides anything, holds no clock and never keeps a payload or a secret: what
//! comes in as a line goes to disk as it is.

mod checkpoint;
mod disk;
mod entry;
mod error;
pub mod export;
mod log;
mod note;
mod origin;
mod place;
mod reader;
mod receipt;
mod recovery;
mod segment;
mod snapshot;
pub mod tree;
pub mod verify;

pub use checkpoint::Checkpoint;
pub use entry::{
    Approval, ENTRY_BYTES_MAX, Entry, EntryError, EntryKind, INTEGER_MAX, Outcome, VERSION,
};
pub use error::{AuditError, Visit, VisitError};
pub use log::{Appended, Log, Opened, SEGMENT_BYTES_DEFAULT, SEGMENT_BYTES_MIN};
pub use note::{LogSigner, LogVerifier, NoteError};
pub use origin::{Origin, OriginError};
pub use place::Place;
pub use reader::{Entries, Reader};
pub use receipt::Receipt;
pub use recovery::Recovered;
pub use snapshot::{Snapshot, SnapshotError};
pub use tree::Hash;

/// Name of the newest checkpoint, in a log's folder and in an export.
pub const CHECKPOINT_FILE: &str = "checkpoint";
/// Name of the log's verifier key, in a log's folder and in an export.
pub const VKEY_FILE: &str = "log.vkey";
/// Name of the snapshot of what a start needs, in a log's folder.
pub const SNAPSHOT_FILE: &str = "snapshot";
