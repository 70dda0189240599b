//! The writer thread: appends a batch, syncs it once, and only then lets its replies out.
//!
//! Nothing else writes to the channels of egress, front and supervisor, so what leaves the core
//! leaves in the order in which it was decided. While one batch is being synced the next one is
//! being prepared; the sync itself is the batching window. Where nothing else is under way, the
//! decision thread writes its batch itself ([`Shared`]): to wake another thread for it costs about as
//! much as the sync. Any error ends the process: what is on disk is then known to a restart only.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use vault_audit::{AuditError, Line, Log, LogSigner};
use vault_ipc::Kind;
use vault_ipc::metric::Histogram;
use vault_ipc::trace::Synced;

use crate::inbox::InputSender;
use crate::metric::monotonic_us;
use crate::run::Input;
use crate::storage::Commit;

/// Work in the order of its decisions: first all lines are on disk, then the rest happens.
#[derive(Default)]
pub struct Batch {
    /// Lines of the log.
    pub lines: Vec<Line>,
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
    /// Correlations of the front's calls that are traced, among those that are answered.
    pub traced: Vec<u64>,
    /// Its place among the batches of the decision thread; 0 for those of others.
    turn: u64,
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

    /// Whether it is more than lines: somebody waits for it.
    pub fn is_awaited(&self) -> bool {
        !(self.egress.is_empty()
            && self.front.is_empty()
            && self.supervisor.is_empty()
            && self.commits.is_empty())
    }

    fn append(&mut self, mut later: Self) {
        self.lines.append(&mut later.lines);
        self.egress.append(&mut later.egress);
        self.front.append(&mut later.front);
        self.supervisor.append(&mut later.supervisor);
        self.commits.append(&mut later.commits);
        self.traced.append(&mut later.traced);
        self.barrier = self.barrier.max(later.barrier);
        self.turn = self.turn.max(later.turn);
    }

    /// Tells the front when its traced calls were synced, ahead of their answers.
    fn tell_synced(&mut self, took: Duration) -> std::io::Result<()> {
        let ended_us = monotonic_us();
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let began_us = ended_us.saturating_sub(took_us);
        let correlations = std::mem::take(&mut self.traced);
        let synced = Synced { correlations, began_us, ended_us };
        let mut front = Vec::new();
        vault_ipc::encode(Kind::Synced, 0, &synced, &mut front).map_err(std::io::Error::other)?;
        front.append(&mut self.front);
        self.front = front;
        Ok(())
    }

    fn bytes(&self) -> u64 {
        let lines: usize = self.lines.iter().map(|line| line.bytes().len()).sum();
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

struct Progress {
    size: AtomicU64,
    barrier: AtomicU64,
    waiting_bytes: AtomicU64,
    /// How long each sync took, with its append, and how many entries it put on disk.
    sync: Histogram,
    entries: Histogram,
    /// Batches of the decision thread that were handed over, and the last of them that is written.
    handed_over: AtomicU64,
    written: AtomicU64,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            size: AtomicU64::new(0),
            barrier: AtomicU64::new(0),
            waiting_bytes: AtomicU64::new(0),
            sync: Histogram::of_seconds(),
            entries: Histogram::of_sizes(),
            handed_over: AtomicU64::new(0),
            written: AtomicU64::new(0),
        }
    }
}

impl Durable {
    /// How long syncs took, and how many entries each put on disk.
    pub fn syncs(&self) -> (&Histogram, &Histogram) {
        (&self.0.sync, &self.0.entries)
    }

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
    durable.0.size.store(log.size(), Ordering::Release);
    let writer = Writer { log: Some(log), channels, store, signer: None, durable };
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
    /// Gone once it has failed or is closed: nothing more leaves then.
    log: Option<Log>,
    channels: Channels,
    store: Sender<Commit>,
    signer: Option<Box<LogSigner>>,
    durable: Durable,
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
        writer.write(batch)?;
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
            if batch.lines.len() >= BATCH_LINES_MAX {
                break;
            }
        }
        let mut writer = shared.lock();
        if let Some(signer) = signer {
            writer.signer = Some(signer);
        }
        writer.write(batch)?;
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
    fn write(&mut self, batch: Batch) -> Result<(), WriterError> {
        let written = self.write_batch(batch);
        if written.is_err() {
            self.log = None;
        }
        written
    }

    fn write_batch(&mut self, mut batch: Batch) -> Result<(), WriterError> {
        let log = self.log.as_mut().ok_or(AuditError::Poisoned)?;
        let (bytes, turn) = (batch.bytes(), batch.turn);
        if !batch.lines.is_empty() {
            let began = Instant::now();
            let appended = log.append_lines(&batch.lines)?;
            self.durable.0.sync.observe_since(began);
            if !batch.traced.is_empty() {
                batch.tell_synced(began.elapsed())?;
            }
            self.durable.0.entries.observe(batch.lines.len() as u64);
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
/// Below so much space that was written before, more is written at once.
const AHEAD_BYTES_MIN: u64 = 128 << 10;
/// Below so much, when there is time.
const AHEAD_BYTES_KEPT: u64 = 1 << 20;
