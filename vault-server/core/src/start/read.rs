//! Reads the log at start: from a snapshot on where one holds, else from its first entry.

use std::path::{Path, PathBuf};

use vault_audit::{AuditError, Log, Opened, Origin, Place, Reader, Visit};
use vault_model::Timestamp;
use vault_policy::Span;

use super::Past;
use crate::snapshot::{self, Last, Read, Unusable};

/// What was taken from the log.
pub(crate) struct Taken {
    pub opened: Opened,
    pub past: Past,
    pub read: How,
}

/// How it was read.
#[derive(Default)]
pub(crate) struct How {
    /// The snapshot from which it was read on.
    pub last: Option<Last>,
    /// Why the snapshot that is there was not used.
    refused: Option<&'static str>,
}

impl How {
    /// What the entry of the start says of it; nothing where there was no snapshot.
    pub fn detail(&self) -> Option<(&'static str, String)> {
        let used =
            self.last.as_ref().map(|last| ("snapshot", last.place.tree().size().to_string()));
        used.or_else(|| Some(("snapshot_refused", self.refused?.to_owned())))
    }
}

/// Where the log is, and how it may be read.
pub(crate) struct LogFiles<'o> {
    pub audit: PathBuf,
    pub origin: &'o Origin,
    pub segment_bytes: u64,
    /// For how long orders and client order ids are asked for.
    pub keys: Span,
}

/// Opens the log. Whatever is wrong with a snapshot, or with the log after it, the log is read from its
/// beginning, and that is what counts. `snapshot` is what [`load`] found; `head_size` is the size at
/// which the log's root is asked for.
///
/// # Errors
///
/// Those of [`Log::open`].
pub(crate) fn read_log(
    files: &LogFiles<'_>,
    snapshot: Result<Option<Read>, Unusable>,
    head_size: u64,
    now: Timestamp,
) -> Result<Taken, AuditError> {
    let open = |place: &Place, past: &mut Past| {
        let visit: &mut Visit<'_> = &mut |index, line| past.visit(index, line);
        let LogFiles { audit, origin, segment_bytes, .. } = files;
        Log::open_from(place, audit, origin, *segment_bytes, now, Some(head_size), visit)
    };
    let usable = snapshot.and_then(|read| read.map(|read| read.for_keys(files.keys)).transpose());
    let refused = match usable {
        Ok(None) => None,
        Ok(Some(Read { mut past, place, bytes })) => match open(&place, &mut past) {
            Ok(opened) => {
                let last = Some(Last { bytes, place });
                return Ok(Taken { opened, past, read: How { last, refused: None } });
            }
            Err(AuditError::Locked) => return Err(AuditError::Locked),
            Err(error) => Some(warn(&error, "LOG")),
        },
        Err(error) => Some(warn(&error, error.code())),
    };
    let mut past = Past::new(files.keys);
    let opened = open(&Place::default(), &mut past)?;
    Ok(Taken { opened, past, read: How { last: None, refused } })
}

/// The snapshot, if there is one.
///
/// # Errors
///
/// [`Unusable`].
pub(crate) fn load(audit: &Path) -> Result<Option<Read>, Unusable> {
    // Without a key, or with one that is none, opening the log says what is wrong.
    match Reader::open(audit).verifier() {
        Ok(Some(verifier)) => snapshot::load(audit, &verifier),
        Ok(None) | Err(_) => Ok(None),
    }
}

fn warn(error: &(dyn std::error::Error + 'static), code: &'static str) -> &'static str {
    tracing::warn!(error, "the log is read whole: it cannot be read on from its snapshot");
    code
}
