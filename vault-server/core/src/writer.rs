//! The writer thread: appends a batch, syncs it once, and only then lets its replies out.
//!
//! Nothing else writes to the channels of egress, front and supervisor, so what leaves the core
//! leaves in the order in which it was decided. While one batch is being synced the next one is
//! being prepared; the sync itself is the batching window. Where nothing else is under way, and where
//! processors are few and the disk is quick, the decision thread writes its batch itself ([`Shared`]):
//! to wake another thread for it costs about as much as the sync, and more where that one waits for a
//! processor (`docs/adr/0047-who-writes.md`). Any error ends the process: what is on disk is then known to
//! a restart only.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use vault_audit::tree::CompactRange;
use vault_audit::{AuditError, Log, LogSigner};
use vault_ipc::metric::Histogram;

use crate::batch::{Batch, NoHash};
use crate::hashes::Hashes;
use crate::inbox::InputSender;
use crate::run::Input;
use crate::storage::Commit;

/// What the writer is told.
pub enum ToWriter {
    /// Work.
    Batch(Batch),
    /// The log key, after unseal.
    Signer(Box<LogSigner>),
    /// Write a last checkpoint, close the log, end. The sender is dropped when that is done.
    Stop(Sender<()>),
}

/// Whose thread writes.
#[derive(Clone, Copy, Debug)]
pub enum Hand {
    /// The one that decides.
    Decisions,
    /// The writer's own.
    Writer,
}

/// How far the writer is, for other threads.
#[derive(Clone, Default)]
pub struct Durable(Arc<Progress>);

struct Progress {
    size: AtomicU64,
    /// The tree over what is on disk, at this size or a later one.
    tree: Mutex<CompactRange>,
    barrier: AtomicU64,
    waiting_bytes: AtomicU64,
    /// How long each sync took, with its append, and how many entries it put on disk, by [`Hand`].
    sync: Histogram,
    entries: [Histogram; 2],
    /// How long the last one took, in microseconds.
    last_sync_us: AtomicU64,
    /// Batches of the decision thread that were handed over, and the last of them that is written.
    handed_over: AtomicU64,
    written: AtomicU64,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            size: AtomicU64::new(0),
            tree: Mutex::default(),
            barrier: AtomicU64::new(0),
            waiting_bytes: AtomicU64::new(0),
            sync: Histogram::of_seconds(),
            entries: [Histogram::of_sizes(), Histogram::of_sizes()],
            last_sync_us: AtomicU64::new(0),
            handed_over: AtomicU64::new(0),
            written: AtomicU64::new(0),
        }
    }
}

impl Durable {
    /// How long syncs took.
    pub fn syncs(&self) -> &Histogram {
        &self.0.sync
    }

    /// How many entries each sync of a thread put on disk.
    pub fn entries(&self, hand: Hand) -> &Histogram {
        &self.0.entries[hand as usize]
    }

    /// Whether the disk was quick when it was last written to: then a thread that waits for it itself loses
    /// less than by waking another.
    pub fn is_quick(&self) -> bool {
        self.0.last_sync_us.load(Ordering::Relaxed) <= QUICK.as_micros() as u64
    }

    /// So many entries were appended and synced, and it took so long.
    fn synced(&self, hand: Hand, entries: usize, took: Duration) {
        self.0.sync.observe_duration(took);
        self.entries(hand).observe(entries as u64);
        self.0.last_sync_us.store(took.as_micros() as u64, Ordering::Relaxed);
    }

    /// How many entries are on disk.
    pub fn size(&self) -> u64 {
        self.0.size.load(Ordering::Acquire)
    }

    /// The tree over all entries that are on disk.
    pub fn tree(&self) -> CompactRange {
        self.lock_tree().clone()
    }

    fn lock_tree(&self) -> MutexGuard<'_, CompactRange> {
        // A panic ends the process.
        self.0.tree.lock().expect("no panic while locked")
    }

    /// So much is on disk now.
    pub(crate) fn grown(&self, tree: &CompactRange) {
        self.lock_tree().clone_from(tree);
        self.0.size.store(tree.size(), Ordering::Release);
    }

    /// The last barrier that was written to egress and front; 0 for none.
    pub fn barrier(&self) -> u64 {
        self.0.barrier.load(Ordering::Acquire)
    }

    /// Bytes that were handed to the writer and are not through yet.
    pub fn waiting_bytes(&self) -> u64 {
        self.0.waiting_bytes.load(Ordering::Relaxed)
    }

    /// Counts the bytes of a batch in, whoever hands it over.
    pub fn counted(&self, batch: &Batch) {
        self.0.waiting_bytes.fetch_add(batch.bytes(), Ordering::Relaxed);
    }

    /// Counts a batch of the decision thread in.
    pub fn handed_over(&self, batch: &mut Batch) {
        self.counted(batch);
        batch.turn = self.0.handed_over.fetch_add(1, Ordering::AcqRel) + 1;
    }

    fn is_idle(&self) -> bool {
        self.0.handed_over.load(Ordering::Acquire) == self.0.written.load(Ordering::Acquire)
    }

    fn through(&self, bytes: u64, turn: u64) {
        self.0.written.fetch_max(turn, Ordering::AcqRel);
        self.0.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
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
    core: InputSender,
    durable: Durable,
) -> std::io::Result<(Sender<ToWriter>, Shared, JoinHandle<()>)> {
    let (sender, receiver) = channel();
    durable.grown(log.tree());
    let hashes = Hashes::default();
    let writer = Writer { log: Some(log), channels, store, signer: None, durable, hashes };
    let shared = Shared(Arc::new(Mutex::new(writer)));
    let own = shared.clone();
    let thread = std::thread::Builder::new().name("writer".to_owned()).spawn(move || {
        if let Err(error) = run(&own, &receiver) {
            // The decision thread may be gone already; then the process ends anyway.
            let _ = core.send(Input::WriterFailed(error));
        }
    })?;
    Ok((sender, shared, thread))
}

/// Why the writer ended.
#[derive(Debug, thiserror::Error)]
pub enum WriterError {
    /// The log failed: nothing of the batch was released.
    #[error("the log cannot be written")]
    Audit(#[from] AuditError),
    /// An answer cannot be finished: nothing of the batch was released.
    #[error(transparent)]
    Defect(#[from] NoHash),
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

#[cfg(test)]
impl Channels {
    /// Some, and their other ends, which have to be kept: egress, front, supervisor.
    pub(crate) fn for_test() -> (Self, [UnixStream; 3]) {
        let [egress, front, supervisor] =
            std::array::from_fn(|_| UnixStream::pair().expect("a pair"));
        let ends = [egress.1, front.1, supervisor.1];
        (Self { egress: egress.0, front: front.0, supervisor: supervisor.0 }, ends)
    }
}

struct Writer {
    /// Gone once it has failed or is closed: nothing more leaves then.
    log: Option<Log>,
    channels: Channels,
    store: Sender<Commit>,
    signer: Option<Box<LogSigner>>,
    durable: Durable,
    hashes: Hashes,
}

/// The writer, for its own thread and for the one that decides: each writes whole batches.
#[derive(Clone)]
pub struct Shared(Arc<Mutex<Writer>>);

impl Shared {
    /// Writes a batch on the calling thread, if everything that was handed over before it is written;
    /// else it comes back.
    ///
    /// # Errors
    ///
    /// [`WriterError`]; nothing more is written after that, by either thread.
    pub fn write(&self, batch: Batch) -> Result<Option<Batch>, WriterError> {
        let Ok(mut writer) = self.0.try_lock() else {
            return Ok(Some(batch));
        };
        if !writer.durable.is_idle() {
            return Ok(Some(batch));
        }
        writer.durable.counted(&batch);
        writer.write(batch, Hand::Decisions)?;
        Ok(None)
    }

    fn lock(&self) -> MutexGuard<'_, Writer> {
        // A panic ends the process.
        self.0.lock().expect("no panic while locked")
    }
}

fn run(shared: &Shared, receiver: &Receiver<ToWriter>) -> Result<(), WriterError> {
    let mut checkpoint_due = Instant::now() + CHECKPOINT_EVERY;
    loop {
        let wait = checkpoint_due.saturating_duration_since(Instant::now());
        let first = match receiver.recv_timeout(wait) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return shared.lock().close(),
        };
        let mut batch = Batch::default();
        let (mut signer, mut stop) = (None, None);
        for message in first.into_iter().chain(receiver.try_iter()) {
            match message {
                ToWriter::Batch(later) => batch.append(later),
                ToWriter::Signer(later) => signer = Some(later),
                ToWriter::Stop(done) => {
                    stop = Some(done);
                    break;
                }
            }
            if batch.entries() >= BATCH_LINES_MAX {
                break;
            }
        }
        let mut writer = shared.lock();
        if let Some(signer) = signer {
            writer.signer = Some(signer);
        }
        writer.write(batch, Hand::Writer)?;
        if let Some(done) = stop {
            writer.close()?;
            drop(done);
            return Ok(());
        }
        if Instant::now() >= checkpoint_due {
            let looked_after = writer.look_after();
            if looked_after.is_err() {
                writer.log = None;
            }
            looked_after?;
            checkpoint_due = Instant::now() + CHECKPOINT_EVERY;
        }
    }
}

impl Writer {
    fn write(&mut self, batch: Batch, hand: Hand) -> Result<(), WriterError> {
        let written = self.write_batch(batch, hand);
        if written.is_err() {
            self.log = None;
        }
        written
    }

    fn write_batch(&mut self, mut batch: Batch, hand: Hand) -> Result<(), WriterError> {
        let log = self.log.as_mut().ok_or(AuditError::Poisoned)?;
        let (bytes, turn) = (batch.bytes(), batch.turn);
        let lines: Vec<&[u8]> = batch.lines().collect();
        if lines.is_empty() {
            batch.fill_in(None, &mut self.hashes)?;
        } else {
            let began = Instant::now();
            let appended = log.append(&lines)?;
            let took = began.elapsed();
            self.durable.synced(hand, lines.len(), took);
            drop(lines);
            // Before it is said that they are there: so the thread that made them frees them.
            batch.lines.clear();
            self.durable.grown(log.tree());
            batch.fill_in(Some(&appended), &mut self.hashes)?;
            batch.tell_synced(took)?;
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
        self.durable.through(bytes, turn);
        log.write_ahead(AHEAD_BYTES_MIN)?;
        Ok(())
    }

    /// What is done about once a second.
    fn look_after(&mut self) -> Result<(), WriterError> {
        let log = self.log.as_mut().ok_or(AuditError::Poisoned)?;
        log.write_ahead(AHEAD_BYTES_KEPT)?;
        if let Some(signer) = &self.signer {
            log.checkpoint(signer)?;
        }
        // Makes the next segment ahead of its need. Without the space for it the present one goes on.
        match log.prepare_next() {
            Ok(_) => Ok(()),
            Err(AuditError::DiskFull) => {
                tracing::warn!("no space to prepare the log's next segment");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn close(&mut self) -> Result<(), WriterError> {
        let mut log = self.log.take().ok_or(AuditError::Poisoned)?;
        if let Some(signer) = &self.signer {
            log.checkpoint(signer)?;
        }
        log.close()?;
        Ok(())
    }
}

const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);
const BATCH_LINES_MAX: usize = 4_096;
/// A sync that takes no longer is a quick one: about what is decided meanwhile otherwise.
const QUICK: Duration = Duration::from_millis(1);
/// Below so much space that was written before, more is written at once.
const AHEAD_BYTES_MIN: u64 = 128 << 10;
/// Below so much, when there is time.
const AHEAD_BYTES_KEPT: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Durable, Hand, QUICK};

    #[test]
    fn the_last_sync_says_whether_the_disk_is_quick() {
        let durable = Durable::default();
        assert!(durable.is_quick(), "nothing is known yet");
        durable.synced(Hand::Decisions, 1, QUICK + Duration::from_micros(1));
        assert!(!durable.is_quick());
        durable.synced(Hand::Writer, 100, QUICK);
        assert!(durable.is_quick());
        let entries =
            [Hand::Decisions, Hand::Writer].map(|hand| durable.entries(hand).snapshot().sum);
        assert_eq!(entries, [1, 100]);
    }
}
