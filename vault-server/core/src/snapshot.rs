//! Snapshots: what a start takes from the log, written down up to a place in it, so that the next start
//! reads only what came after.
//!
//! They are made on a thread of their own that stands back behind all others, and from the log alone: it
//! reads the snapshot before, reads on in the log as a start does ([`crate::start::Past`]), and writes
//! the next one. So a snapshot is by its making what a start finds that reads everything, the decision
//! thread has nothing to do with it, and between two of them no memory is held.
//!
//! `docs/adr/0041-snapshots.md` says what is given up by not reading the rest at start, and that it is
//! read afterwards, slowly.

mod part;

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use vault_audit::{AuditError, LogSigner, LogVerifier, Origin, Place, Snapshot, SnapshotError};
use vault_model::{NotPacked, Pack, Unpack};
use vault_policy::Span;

pub use self::part::{pack_parts, unpack_parts};
use crate::start::Past;
use crate::writer::Durable;

/// What the thread is told.
enum Told {
    /// The log key, after unseal.
    Signer(Box<LogSigner>),
    /// For how long orders and client order ids are asked for.
    Keys(Span),
    /// Write a last one, if that does not take long.
    Finish,
}

/// The thread that writes snapshots.
pub struct Snapshots {
    keys: Span,
    sender: Sender<Told>,
    flags: Arc<Flags>,
    thread: Option<JoinHandle<()>>,
}

/// What thread and vault tell each other without a message.
#[derive(Default)]
struct Flags {
    /// The vault waits for the end.
    finishing: AtomicBool,
    /// The log is not what it was.
    damaged: AtomicBool,
}

/// What it starts from.
pub struct Setup {
    /// The log's folder.
    pub audit: PathBuf,
    /// The log's name.
    pub origin: Origin,
    /// How far the log is on disk.
    pub durable: Durable,
    /// For how long orders and client order ids are asked for.
    pub keys: Span,
    /// Entries between two snapshots; 0: none is written.
    pub every: u64,
    /// The snapshot that the start has read.
    pub last: Option<Last>,
}

/// The newest snapshot.
pub struct Last {
    /// Bytes of its file.
    pub bytes: u64,
    /// Where it ends. What is before was not read by this process.
    pub place: Place,
}

impl Snapshots {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn spawn(setup: Setup) -> io::Result<Self> {
        let (sender, receiver) = channel();
        let (keys, flags) = (setup.keys, Arc::<Flags>::default());
        let mut maker = Maker::new(setup, Arc::clone(&flags));
        let thread = std::thread::Builder::new()
            .name("snapshots".to_owned())
            .spawn(move || maker.run(&receiver))?;
        Ok(Self { keys, sender, flags, thread: Some(thread) })
    }

    /// The vault is open: snapshots can be signed.
    pub fn sign_with(&self, signer: LogSigner) {
        self.tell(Told::Signer(Box::new(signer)));
    }

    /// For how long orders and client order ids are asked for from now on.
    pub fn set_keys(&mut self, keys: Span) {
        if keys != self.keys {
            self.keys = keys;
            self.tell(Told::Keys(keys));
        }
    }

    /// Writes a last snapshot, if that takes no longer than some seconds, and ends the thread. The
    /// writer must have ended.
    pub fn finish(&mut self) {
        self.flags.finishing.store(true, Ordering::Release);
        self.tell(Told::Finish);
        if let Some(thread) = self.thread.take() {
            // What it has to say it has said.
            let _ = thread.join();
        }
    }

    /// Whether what was not read at start, or since, is not as it was written.
    pub fn found_damage(&self) -> bool {
        self.flags.damaged.load(Ordering::Relaxed)
    }

    fn tell(&self, told: Told) {
        // The thread ends when it is told to, and only then.
        let _ = self.sender.send(told);
    }
}

/// Why no snapshot was made.
#[derive(Debug, thiserror::Error)]
enum MakeError {
    #[error("the log cannot be read or the snapshot not written")]
    Audit(#[from] AuditError),
    #[error("the vault ends, and the rest of the log is long")]
    Late,
}

struct Maker {
    setup: Setup,
    signer: Option<Box<LogSigner>>,
    /// Size of the log in the newest snapshot; 0: there is none.
    size: u64,
    bytes: u64,
    /// After an error: not before.
    not_before: Option<Instant>,
    /// The next segment that the start did not read.
    unread: usize,
    patience: Patience,
}

impl Maker {
    fn new(setup: Setup, flags: Arc<Flags>) -> Self {
        let (size, bytes) =
            setup.last.as_ref().map_or((0, 0), |last| (last.place.tree().size(), last.bytes));
        let patience = Patience { flags, late_at: None };
        Self { setup, signer: None, size, bytes, not_before: None, unread: 0, patience }
    }

    fn run(&mut self, told: &Receiver<Told>) {
        give_way();
        loop {
            match told.recv_timeout(LOOK_EVERY) {
                Ok(Told::Signer(signer)) => self.signer = Some(signer),
                Ok(Told::Keys(keys)) => self.setup.keys = keys,
                Ok(Told::Finish) => {
                    if self.is_due(self.setup.every / FINISH_PART) {
                        self.make();
                    }
                    return;
                }
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            // In proportion to itself, so that it is never most of what is written.
            if self.is_due(self.setup.every.max(self.bytes / BYTES_PER_ENTRY)) {
                self.make();
            } else {
                self.read_unread();
            }
        }
    }

    /// Whether one may be written, and so many entries came since the one before. A log that is
    /// short is read whole.
    fn is_due(&self, entries: u64) -> bool {
        let (size, every) = (self.setup.durable.size(), self.setup.every);
        every > 0
            && size >= every
            && size.saturating_sub(self.size) >= entries.max(1)
            && self.signer.is_some()
            && self.not_before.is_none_or(|at| at <= Instant::now())
    }

    fn make(&mut self) {
        let Some(signer) = self.signer.take() else {
            return;
        };
        let (began, to) = (Instant::now(), self.setup.durable.size());
        match self.try_make(&signer, to) {
            Ok(bytes) => {
                let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                tracing::info!(entries = to, bytes, took_ms, "snapshot written");
                (self.size, self.bytes) = (to, bytes);
            }
            Err(MakeError::Late) => tracing::info!("no last snapshot: the rest of the log is long"),
            Err(MakeError::Audit(
                error @ (AuditError::Damaged { .. } | AuditError::Visit { .. }),
            )) => {
                self.found_damage(&error);
            }
            Err(error) => {
                tracing::warn!(error = said(&error), "no snapshot was written");
                self.not_before = Some(Instant::now() + RETRY_AFTER);
            }
        }
        self.signer = Some(signer);
    }

    fn try_make(&mut self, signer: &LogSigner, to: u64) -> Result<u64, MakeError> {
        let Setup { audit, origin, keys, .. } = &self.setup;
        let read = read(audit, &signer.verifier(), *keys).ok().flatten();
        let Read { mut past, mut place, .. } = read.unwrap_or_else(|| Read::nothing(*keys));
        let patience = &mut self.patience;
        place
            .read_on(audit, origin, to, &mut |index, line| {
                if index.is_multiple_of(LOOK_AT_ENTRIES) && patience.is_late() {
                    return Err(Box::new(MakeError::Late));
                }
                past.visit(index, line)
            })
            .map_err(|error| match error {
                AuditError::Visit { source, .. } if source.is::<MakeError>() => MakeError::Late,
                error => error.into(),
            })?;
        let mut pace = |bytes| patience.pace(bytes);
        match Snapshot::write(audit, signer, &place, |pack| past.pack(pack), &mut pace) {
            Err(AuditError::Io { source, .. }) if source.kind() == io::ErrorKind::TimedOut => {
                Err(MakeError::Late)
            }
            written => Ok(written?),
        }
    }

    /// Reads a segment that the start did not, if one is left.
    fn read_unread(&mut self) {
        let Some(last) = &self.setup.last else {
            return;
        };
        if self.unread >= last.place.segments() {
            tracing::info!("what the start did not read of the log is whole");
            self.setup.last = None;
            return;
        }
        let (patience, Setup { audit, origin, .. }) = (&self.patience, &self.setup);
        let read = last.place.check_segment(audit, origin, self.unread, &mut |index, _| {
            if index.is_multiple_of(LOOK_AT_ENTRIES) {
                if patience.is_ending() {
                    return Err(Box::new(MakeError::Late));
                }
                patience.pause(READ_PAUSE);
            }
            Ok(())
        });
        match read {
            Ok(()) => self.unread += 1,
            Err(AuditError::Visit { .. }) => {}
            Err(error) => self.found_damage(&error),
        }
    }

    /// The next start shall read everything, and say what is wrong.
    fn found_damage(&mut self, error: &AuditError) {
        tracing::error!(
            error = said(error),
            "the log is damaged: the next start will read it whole, and refuse it"
        );
        self.patience.flags.damaged.store(true, Ordering::Relaxed);
        self.setup.every = 0;
        self.setup.last = None;
        if let Err(error) = Snapshot::remove(&self.setup.audit) {
            tracing::error!(error = said(&error), "the snapshot cannot be removed");
        }
    }
}

/// An error in its own words and those of what caused it.
fn said(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// How long the thread may take.
struct Patience {
    flags: Arc<Flags>,
    late_at: Option<Instant>,
}

impl Patience {
    fn is_ending(&self) -> bool {
        self.flags.finishing.load(Ordering::Acquire)
    }

    /// Whether the vault waits for the end, and has done so for long.
    fn is_late(&mut self) -> bool {
        if !self.is_ending() {
            return false;
        }
        let now = Instant::now();
        now >= *self.late_at.get_or_insert(now + FINISH)
    }

    /// Leaves the disk to the log for a while, unless somebody waits.
    fn pace(&mut self, bytes: usize) -> io::Result<()> {
        if self.is_late() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let micros = bytes as u64 * 1_000_000 / BYTES_PER_SECOND;
        self.pause(Duration::from_micros(micros));
        Ok(())
    }

    fn pause(&self, time: Duration) {
        if !self.is_ending() {
            std::thread::sleep(time);
        }
    }
}

/// A snapshot that was read.
pub struct Read {
    /// What was taken from the log up to the place.
    pub past: Past,
    /// Where to read on.
    pub place: Place,
    /// Bytes of the file.
    pub bytes: u64,
}

impl Read {
    /// The beginning of the log.
    pub fn nothing(keys: Span) -> Self {
        Self { past: Past::new(keys), place: Place::default(), bytes: 0 }
    }

    /// For whoever asks for orders and client order ids for this long.
    ///
    /// # Errors
    ///
    /// [`Unusable::Forgotten`].
    pub fn for_keys(mut self, keys: Span) -> Result<Self, Unusable> {
        if !self.past.remembers(keys) {
            return Err(Unusable::Forgotten);
        }
        self.past.set_keys(keys);
        Ok(self)
    }
}

/// Why a snapshot is not gone on from.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It cannot be read, is not whole, or is not signed by this log's key.
    #[error(transparent)]
    File(#[from] SnapshotError),
    /// Scopes ask for orders and client order ids for longer than it remembers them.
    #[error("scopes ask for orders of longer ago than the snapshot remembers")]
    Forgotten,
}

impl Unusable {
    /// For the entry of a start.
    pub fn code(&self) -> &'static str {
        match self {
            Self::File(SnapshotError::Format) => "FORMAT",
            Self::File(SnapshotError::Io(_)) => "IO",
            Self::File(SnapshotError::Note(_)) => "NOT_SIGNED",
            Self::Forgotten => "FORGOTTEN",
        }
    }
}

impl From<NotPacked> for Unusable {
    fn from(error: NotPacked) -> Self {
        Self::File(error.into())
    }
}

/// Reads the snapshot in the log's folder, if there is one, for whoever asks for orders and client order
/// ids for this long.
///
/// # Errors
///
/// [`Unusable`]: the log has to be read from its beginning.
pub fn read(
    audit: &std::path::Path,
    verifier: &LogVerifier,
    keys: Span,
) -> Result<Option<Read>, Unusable> {
    load(audit, verifier)?.map(|read| read.for_keys(keys)).transpose()
}

/// As [`read`], whatever will be asked for: see [`Read::for_keys`].
///
/// # Errors
///
/// [`Unusable`].
pub fn load(audit: &std::path::Path, verifier: &LogVerifier) -> Result<Option<Read>, Unusable> {
    let Some(snapshot) = Snapshot::open(audit, verifier)? else {
        return Ok(None);
    };
    let (place, past) = unpack(&mut snapshot.unpack())?;
    Ok(Some(Read { past, place, bytes: snapshot.bytes() }))
}

fn unpack(unpack: &mut Unpack<'_>) -> Result<(Place, Past), NotPacked> {
    let (place, past) = (Place::unpack(unpack)?, Past::unpack(unpack)?);
    if unpack.left() == 0 { Ok((place, past)) } else { Err(NotPacked) }
}

/// Reads the body of a snapshot and writes it again: what tests give any bytes to.
///
/// # Errors
///
/// [`NotPacked`].
pub fn rewrite(body: &[u8]) -> Result<Vec<u8>, NotPacked> {
    let (place, past) = unpack(&mut Unpack::new(body))?;
    let mut bytes = Vec::new();
    let mut pack = Pack::new(&mut bytes);
    place.pack(&mut pack);
    past.pack(&mut pack);
    pack.finish().map_err(|_| NotPacked)?;
    Ok(bytes)
}

/// Writes a map: its length, then keys and values in the order of the keys.
pub fn pack_map<K: Ord, V>(
    map: &HashMap<K, V>,
    pack: &mut Pack<'_>,
    key: impl Fn(&mut Pack<'_>, &K),
    value: impl Fn(&mut Pack<'_>, &V),
) {
    let mut sorted: Vec<_> = map.iter().collect();
    sorted.sort_unstable_by_key(|(key, _)| *key);
    pack.len(sorted.len());
    for (its_key, its_value) in sorted {
        key(pack, its_key);
        value(pack, its_value);
    }
}

/// Reads what [`pack_map`] wrote.
///
/// # Errors
///
/// [`NotPacked`].
pub fn unpack_map<'b, K: Clone + Hash + Ord, V>(
    unpack: &mut Unpack<'b>,
    key: impl Fn(&mut Unpack<'b>) -> Result<K, NotPacked>,
    value: impl Fn(&mut Unpack<'b>) -> Result<V, NotPacked>,
) -> Result<HashMap<K, V>, NotPacked> {
    let length = unpack.len(2)?;
    let mut map = HashMap::with_capacity(length);
    let mut last: Option<K> = None;
    for _ in 0..length {
        let its_key = key(unpack)?;
        if last.as_ref() >= Some(&its_key) {
            return Err(NotPacked);
        }
        last = Some(its_key.clone());
        map.insert(its_key, value(unpack)?);
    }
    Ok(map)
}

impl fmt::Debug for Snapshots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshots").field("keys", &self.keys).finish_non_exhaustive()
    }
}

/// Lets every other thread of the machine go first.
fn give_way() {
    // On Linux "no process" is the calling thread alone. Where it is refused, it is no worse.
    let _ = rustix::process::setpriority_process(None, NICE);
}

const NICE: i32 = 19;
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After an error of the disk.
const RETRY_AFTER: Duration = Duration::from_secs(600);
/// One snapshot is followed by the next when so many entries came for each so many bytes of it: an
/// entry takes about twice as many.
const BYTES_PER_ENTRY: u64 = 512;
/// At the end of a vault a smaller part of what is due is enough.
const FINISH_PART: u64 = 16;
/// How long the end of a vault may wait for a snapshot.
const FINISH: Duration = Duration::from_secs(5);
/// How fast a snapshot is written while the log is.
const BYTES_PER_SECOND: u64 = 64 << 20;
const LOOK_AT_ENTRIES: u64 = 1_024;
/// After so many entries that a start did not read, until the next.
const READ_PAUSE: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests;
