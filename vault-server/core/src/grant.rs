//! Grants to read the log: an auditor's command opens one, the front pulls chunks of it, and each
//! pull asks again whether the auditor may.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use vault_audit::{CHECKPOINT_FILE, Reader, VKEY_FILE};
use vault_ipc::proto::v1;
use vault_ipc::{Chunk, Code, Failure, Kind, PullCall, Reply};
use vault_model::{Serial, Timestamp};

use crate::batch::Batch;
use crate::caller::still_allowed;
use crate::error::{CertificateProblem, VaultError};
use crate::run::BACKLOG_BYTES_MAX;
use crate::vault::Vault;
use crate::writer::{Durable, ToWriter};

/// Grants in force.
#[derive(Default)]
pub struct Grants {
    by_id: HashMap<u64, Grant>,
    last: u64,
    /// Reads that wait for the librarian, and the one that it is at.
    reads: Arc<AtomicUsize>,
}

#[derive(Clone)]
struct Grant {
    serial: Serial,
    /// Absent for a tail.
    end: Option<ExportEnd>,
    used_at: Timestamp,
}

/// Where an export ends.
#[derive(Clone)]
pub struct ExportEnd {
    /// Exclusive.
    pub to: u64,
    /// Taken before the end was, so that it signs nothing which the export does not have.
    pub checkpoint: v1::Checkpoint,
}

/// One read of the log, for the librarian.
pub struct Read {
    correlation: u64,
    grant: u64,
    from: u64,
    to: u64,
    /// Comes with the last entry; absent for a tail.
    checkpoint: Option<v1::Checkpoint>,
    _place: Place,
}

/// A place among the reads that wait, which is free again when it is dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(reads: &Arc<AtomicUsize>) -> Result<Self, VaultError> {
        if reads.fetch_add(1, Ordering::Relaxed) >= READS_MAX {
            reads.fetch_sub(1, Ordering::Relaxed);
            return Err(VaultError::Overloaded);
        }
        Ok(Self(Arc::clone(reads)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Grants {
    /// The certificate that a grant is for.
    pub fn serial(&self, grant: u64) -> Option<Serial> {
        self.by_id.get(&grant).map(|grant| grant.serial)
    }
}

impl Vault {
    /// Opens a grant. `end` is absent for a tail that never ends.
    pub(crate) fn open_grant(
        &mut self,
        serial: Serial,
        end: Option<ExportEnd>,
        now: Timestamp,
    ) -> u64 {
        let grants = &mut self.grants;
        grants.by_id.retain(|_, grant| grant.used_at.plus(IDLE_MAX) > now);
        grants.last += 1;
        grants.by_id.insert(grants.last, Grant { serial, end, used_at: now });
        grants.last
    }

    /// Checks a pull and says what is to be read.
    ///
    /// # Errors
    ///
    /// [`VaultError::NotFound`], [`VaultError::Certificate`], [`VaultError::Overloaded`].
    pub(crate) fn pull(
        &mut self,
        call: &PullCall,
        correlation: u64,
        now: Timestamp,
    ) -> Result<Read, VaultError> {
        let grant =
            self.grants.by_id.get(&call.grant).cloned().ok_or(VaultError::NotFound("grant"))?;
        if !still_allowed(self.tables(), &grant.serial, now) {
            self.grants.by_id.remove(&call.grant);
            return Err(VaultError::Certificate(CertificateProblem::Revoked));
        }
        let place = Place::take(&self.grants.reads)?;
        if let Some(open) = self.grants.by_id.get_mut(&call.grant) {
            open.used_at = now;
        }
        let durable = self.durable.size();
        Ok(Read {
            correlation,
            grant: call.grant,
            from: call.from_index,
            to: grant.end.as_ref().map_or(durable, |end| end.to).min(durable),
            checkpoint: grant.end.map(|end| end.checkpoint),
            _place: place,
        })
    }
}

/// Reads the log for auditors, on a thread of its own: the decision thread does not read it.
pub struct Librarian {
    audit: PathBuf,
    writer: Sender<ToWriter>,
    durable: Durable,
}

impl Librarian {
    /// For the log in this folder.
    pub fn new(audit: PathBuf, writer: Sender<ToWriter>, durable: Durable) -> Self {
        Self { audit, writer, durable }
    }

    /// Serves reads until there are no more callers.
    pub fn run(self, reads: &Receiver<Read>) {
        for read in reads {
            // Who asks for entries and does not take them gets no more of them.
            while self.durable.waiting_bytes() >= BACKLOG_BYTES_MAX {
                std::thread::sleep(FULL);
            }
            let reply = match self.chunk(&read) {
                Ok(chunk) => {
                    Reply { response: prost::Message::encode_to_vec(&chunk), ..Reply::default() }
                }
                Err(error) => {
                    tracing::error!(%error, "the log cannot be read for an auditor");
                    let failure =
                        Failure::new(Code::Unavailable, "LOG_UNREADABLE", "the log cannot be read");
                    Reply { failure: Some(failure), ..Reply::default() }
                }
            };
            let mut batch = Batch::default();
            if vault_ipc::encode(Kind::Reply, read.correlation, &reply, &mut batch.front).is_err() {
                return;
            }
            self.durable.counted(&batch);
            if self.writer.send(ToWriter::Batch(batch)).is_err() {
                return;
            }
        }
    }

    fn chunk(&self, read: &Read) -> Result<Chunk, vault_audit::AuditError> {
        let mut chunk = Chunk { grant: read.grant, first_index: read.from, ..Chunk::default() };
        let mut bytes = 0;
        if read.from < read.to {
            for entry in Reader::open(&self.audit).entries(read.from..read.to)? {
                let (_, line) = entry?;
                bytes += line.len();
                chunk.entries.push(line);
                if bytes >= CHUNK_BYTES {
                    break;
                }
            }
        }
        let next = read.from + chunk.entries.len() as u64;
        chunk.end = read.checkpoint.is_some() && next >= read.to;
        if chunk.end {
            chunk.checkpoint = read.checkpoint.clone();
        }
        Ok(chunk)
    }
}

/// The newest checkpoint in the log's folder; empty texts if there is none yet.
pub fn checkpoint(audit: &std::path::Path) -> v1::Checkpoint {
    let text = |file: &str| std::fs::read_to_string(audit.join(file)).unwrap_or_default();
    let log_vkey = text(VKEY_FILE).trim_end().to_owned();
    v1::Checkpoint { note: text(CHECKPOINT_FILE), log_vkey }
}

const CHUNK_BYTES: usize = 512 << 10;
/// How many reads may wait: each stream of an auditor has one.
const READS_MAX: usize = 256;
/// How long the librarian waits before it looks again whether what it has read was taken.
const FULL: Duration = Duration::from_millis(1);
const IDLE_MAX: Duration = Duration::from_secs(600);
