//! The writer thread: appends a batch, syncs it once, and only then lets its replies out.
//!
//! Nothing else writes to the channels of egress, front and supervisor, so what leaves the core
//! leaves in the order in which it was decided. While one batch is being synced the next one is
//! being prepared; the sync itself is the batching window. Any error ends the process: what is on
//! disk is then known to a restart only.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use vault_audit::{AuditError, Log, LogSigner};

use crate::run::Input;
use crate::storage::Commit;

/// Work in the order of its decisions: first all lines are on disk, then the rest happens.
#[derive(Default)]
pub struct Batch {
    /// Lines of the log.
    pub lines: Vec<Vec<u8>>,
    /// Frames for egress.
    pub egress: Vec<u8>,
    /// Frames for the front.
    pub front: Vec<u8>,
    /// Frames for the supervisor.
    pub supervisor: Vec<u8>,
    /// Transactions that may begin now.
    pub commits: Vec<Commit>,
    /// The last barrier among the frames for egress and front; 0 for none.
    pub barrier: u64,
}

impl Batch {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
            && self.egress.is_empty()
            && self.front.is_empty()
            && self.supervisor.is_empty()
            && self.commits.is_empty()
    }

    fn append(&mut self, mut later: Self) {
        self.lines.append(&mut later.lines);
        self.egress.append(&mut later.egress);
        self.front.append(&mut later.front);
        self.supervisor.append(&mut later.supervisor);
        self.commits.append(&mut later.commits);
        self.barrier = self.barrier.max(later.barrier);
    }

    fn bytes(&self) -> u64 {
        let lines: usize = self.lines.iter().map(Vec::len).sum();
        (lines + self.egress.len() + self.front.len() + self.supervisor.len()) as u64
    }
}

/// What the writer is told.
pub enum ToWriter {
    /// Work.
    Batch(Batch),
    /// The log key, after unseal.
    Signer(Box<LogSigner>),
    /// Write a last checkpoint, close the log, end. The sender is dropped when that is done.
    Stop(Sender<()>),
}

/// How far the writer is, for other threads.
#[derive(Clone, Default)]
pub struct Durable(Arc<Progress>);

#[derive(Default)]
struct Progress {
    size: AtomicU64,
    barrier: AtomicU64,
    waiting_bytes: AtomicU64,
}

impl Durable {
    /// How many entries are on disk.
    pub fn size(&self) -> u64 {
        self.0.size.load(Ordering::Acquire)
    }

    /// The last barrier that was written to egress and front; 0 for none.
    pub fn barrier(&self) -> u64 {
        self.0.barrier.load(Ordering::Acquire)
    }

    /// Bytes that were handed to the writer and are not through yet.
    pub fn waiting_bytes(&self) -> u64 {
        self.0.waiting_bytes.load(Ordering::Relaxed)
    }

    /// Counts a batch in.
    pub fn handed_over(&self, batch: &Batch) {
        self.0.waiting_bytes.fetch_add(batch.bytes(), Ordering::Relaxed);
    }

    fn through(&self, bytes: u64) {
        // Batches of the librarian are not counted in: never below zero.
        let _ =
            self.0.waiting_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| {
                Some(waiting.saturating_sub(bytes))
            });
    }
}

/// Starts the writer thread.
///
/// # Errors
///
/// The operating system's, if no thread can be started.
pub fn spawn(
    log: Log,
    channels: Channels,
    store: Sender<Commit>,
    core: Sender<Input>,
    durable: Durable,
) -> std::io::Result<(Sender<ToWriter>, JoinHandle<()>)> {
    let (sender, receiver) = channel();
    durable.0.size.store(log.size(), Ordering::Release);
    let writer = Writer { log, channels, store, signer: None, durable };
    let thread = std::thread::Builder::new().name("writer".to_owned()).spawn(move || {
        if let Err(error) = writer.run(&receiver) {
            // The decision thread may be gone already; then the process ends anyway.
            let _ = core.send(Input::WriterFailed(error));
        }
    })?;
    Ok((sender, thread))
}

/// Why the writer ended.
#[derive(Debug, thiserror::Error)]
pub enum WriterError {
    /// The log failed: nothing of the batch was released.
    #[error("the log cannot be written")]
    Audit(#[from] AuditError),
    /// Egress, front or supervisor do not take what they are sent.
    #[error("a channel to another process broke")]
    Channel(#[from] std::io::Error),
}

/// The channels to the other processes.
pub struct Channels {
    /// To egress.
    pub egress: UnixStream,
    /// To the front.
    pub front: UnixStream,
    /// To the supervisor.
    pub supervisor: UnixStream,
}

struct Writer {
    log: Log,
    channels: Channels,
    store: Sender<Commit>,
    signer: Option<Box<LogSigner>>,
    durable: Durable,
}

impl Writer {
    fn run(mut self, receiver: &Receiver<ToWriter>) -> Result<(), WriterError> {
        let mut checkpoint_due = Instant::now() + CHECKPOINT_EVERY;
        loop {
            let wait = checkpoint_due.saturating_duration_since(Instant::now());
            let first = match receiver.recv_timeout(wait) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return self.close(),
            };
            let mut batch = Batch::default();
            let mut stop = None;
            for message in first.into_iter().chain(receiver.try_iter()) {
                match message {
                    ToWriter::Batch(later) => batch.append(later),
                    ToWriter::Signer(signer) => self.signer = Some(signer),
                    ToWriter::Stop(done) => {
                        stop = Some(done);
                        break;
                    }
                }
                if batch.lines.len() >= BATCH_LINES_MAX {
                    break;
                }
            }
            self.write(batch)?;
            if let Some(done) = stop {
                self.close()?;
                drop(done);
                return Ok(());
            }
            if Instant::now() >= checkpoint_due {
                self.checkpoint()?;
                self.prepare_next()?;
                checkpoint_due = Instant::now() + CHECKPOINT_EVERY;
            }
        }
    }

    fn write(&mut self, batch: Batch) -> Result<(), WriterError> {
        let bytes = batch.bytes();
        if !batch.lines.is_empty() {
            let appended = self.log.append(&batch.lines)?;
            self.durable.0.size.store(appended.size, Ordering::Release);
        }
        // From here on the batch is on disk.
        for commit in batch.commits {
            // The store thread ends only with the process.
            let _ = self.store.send(commit);
        }
        let Channels { egress, front, supervisor } = &mut self.channels;
        // Requests to venues first: the longest way is theirs.
        for (channel, frames) in
            [(egress, &batch.egress), (front, &batch.front), (supervisor, &batch.supervisor)]
        {
            if !frames.is_empty() {
                channel.write_all(frames)?;
            }
        }
        self.durable.0.barrier.fetch_max(batch.barrier, Ordering::AcqRel);
        self.durable.through(bytes);
        Ok(())
    }

    /// Makes the next segment ahead of its need. Without the space for it the present one goes on.
    fn prepare_next(&mut self) -> Result<(), WriterError> {
        match self.log.prepare_next() {
            Ok(_) => Ok(()),
            Err(AuditError::DiskFull) => {
                tracing::warn!("no space to prepare the log's next segment");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn checkpoint(&mut self) -> Result<(), WriterError> {
        if let Some(signer) = &self.signer {
            self.log.checkpoint(signer)?;
        }
        Ok(())
    }

    fn close(mut self) -> Result<(), WriterError> {
        self.checkpoint()?;
        self.log.close()?;
        Ok(())
    }
}

const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);
const BATCH_LINES_MAX: usize = 4_096;
