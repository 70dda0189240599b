//! The writer: one batch, one write, one sync.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use vault_model::Timestamp;

use crate::entry::ENTRY_BYTES_MAX;
use crate::place::{Place, Watch};
use crate::recovery::{self, Recovered, Scan};
use crate::segment::{self, COMMIT_BYTES, HEADER_BYTES};
use crate::tree::{CompactRange, Hash, leaf_hash};
use crate::{
    AuditError, CHECKPOINT_FILE, Checkpoint, LogSigner, LogVerifier, NoteError, Origin, VKEY_FILE,
    Visit, disk,
};

/// Bytes of a segment if the configuration says nothing: 64 MiB.
pub const SEGMENT_BYTES_DEFAULT: u64 = 64 * 1024 * 1024;
/// The smallest segment that can be configured: 64 KiB.
pub const SEGMENT_BYTES_MIN: u64 = 64 * 1024;

/// A log that is open for writing. One process at a time.
///
/// After any error of the operating system the log is *poisoned*: nobody can tell what is on disk,
/// so every later call fails and only a new [`Log::open`], which reads the disk, goes on. A sync
/// that failed is never repeated.
pub struct Log {
    dir: PathBuf,
    origin: Origin,
    segment_bytes: u64,
    file: File,
    /// Where the next batch begins.
    offset: u64,
    /// Bytes reserved for the segment.
    capacity: u64,
    /// Offset of the last commit frame in this segment, 0 for none.
    last_commit: u64,
    tree: CompactRange,
    /// Size that the checkpoint on disk signs.
    checkpoint_size: u64,
    verifier: Option<LogVerifier>,
    next_is_ready: bool,
    poisoned: bool,
    /// Offset up to which the segment's space was written, if only with zeros. To write to space that
    /// is only reserved makes the file system change its own records, which a sync has to wait for.
    written: u64,
    /// Frames of the batch being written; kept for its memory.
    buffer: Vec<u8>,
    /// Holds the lock for as long as the log lives.
    _lock: File,
}

/// What [`Log::open`] found.
pub struct Opened {
    /// The checkpoint on disk; the log holds everything it signs.
    pub checkpoint: Option<Checkpoint>,
    /// The log, ready to append.
    pub log: Log,
    /// The end of the log.
    pub place: Place,
    /// What was cut off the end, for a `log.recovered` entry.
    pub recovered: Option<Recovered>,
    /// The root at the size that was asked for; `None` also if the log is shorter.
    pub root_at: Option<Hash>,
    /// The key of `log.vkey`, if it is there.
    pub verifier: Option<LogVerifier>,
}

/// Where a batch is. It is durable.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Appended {
    /// Index of the first line.
    pub first_index: u64,
    /// Leaf hash of each line, in order.
    pub leaf_hashes: Vec<Hash>,
    /// Root at the new size.
    pub root: Hash,
    /// Number of entries in the log now.
    pub size: u64,
}

impl Log {
    /// Opens the log in `dir` (made if it is not there), reads all of it, calls `visit` with every
    /// committed entry in order, cuts a torn tail and makes sure that what was read is on disk.
    ///
    /// `segment_bytes` is the size of new segments (at least 64 KiB); `root_at` asks for the root
    /// at one size, to compare with what is remembered elsewhere; `now` names the file that takes
    /// a torn tail.
    ///
    /// # Errors
    ///
    /// [`AuditError::Locked`] if another process has it open. [`AuditError::Damaged`],
    /// [`AuditError::ShorterThanCheckpoint`], [`AuditError::DiffersFromCheckpoint`] and
    /// [`AuditError::Checkpoint`] if the log is not what was written; then nothing is changed.
    /// [`AuditError::Visit`] with the visitor's error. [`AuditError::DiskFull`], [`AuditError::Io`].
    pub fn open(
        dir: &Path,
        origin: &Origin,
        segment_bytes: u64,
        now: Timestamp,
        root_at: Option<u64>,
        visit: &mut Visit<'_>,
    ) -> Result<Opened, AuditError> {
        Self::open_from(&Place::default(), dir, origin, segment_bytes, now, root_at, visit)
    }

    /// As [`Log::open`], but reads on from a place that was reached before. Of the segments before it
    /// only the ends are looked at; one of them is read if a root is asked for that lies in it.
    ///
    /// # Errors
    ///
    /// As for [`Log::open`]; also if the place is not of this log. Nothing is changed then.
    pub fn open_from(
        from: &Place,
        dir: &Path,
        origin: &Origin,
        segment_bytes: u64,
        now: Timestamp,
        root_at: Option<u64>,
        visit: &mut Visit<'_>,
    ) -> Result<Opened, AuditError> {
        disk::create_dir(dir).map_err(AuditError::io("make the log's folder"))?;
        let lock = lock(dir)?;
        let verifier = read_verifier(dir)?;
        if verifier.as_ref().is_some_and(|verifier| verifier.origin() != origin) {
            let source = NoteError::OtherLog;
            return Err(AuditError::Checkpoint { file: VKEY_FILE, source });
        }
        let checkpoint = read_checkpoint(dir, verifier.as_ref())?;

        let checkpoint_size = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.size);
        let mut watches = [Watch::new(root_at.unwrap_or(0)), Watch::new(checkpoint_size)];
        for watch in watches.iter_mut().filter(|watch| watch.root.is_none()) {
            watch.root = from.root_at(dir, origin, watch.size)?;
        }
        let scanned = recovery::scan(dir, origin, from, &mut watches, visit)?;
        let size = scanned.as_ref().map_or(0, |scan| scan.place.tree.size());
        if let Some(checkpoint) = &checkpoint {
            match watches[1].root {
                None => {
                    return Err(AuditError::ShorterThanCheckpoint {
                        size,
                        checkpoint: checkpoint.size,
                    });
                }
                Some(root) if root != checkpoint.root => {
                    return Err(AuditError::DiffersFromCheckpoint { size: checkpoint.size });
                }
                Some(_) => {}
            }
        }

        let segment_bytes = segment_bytes.max(SEGMENT_BYTES_MIN).next_multiple_of(8);
        let clean = || -> io::Result<()> {
            disk::remove(&dir.join(NEXT_FILE))?;
            disk::remove(&dir.join(BALLAST_FILE))
        };
        clean().map_err(AuditError::io("remove what an earlier process left"))?;
        let (recovered, scan) = match scanned {
            Some(scan) => {
                let recovered = recovery::cut_tail(dir, &scan, now)?;
                if let Some(cut) = &recovered {
                    tracing::warn!(bytes = cut.cut_bytes, file = %cut.torn_file, "torn tail cut");
                }
                (recovered, scan)
            }
            None => (None, first_segment(dir, origin, segment_bytes)?),
        };
        let reserve = || -> io::Result<u64> {
            disk::preallocate(&scan.file, segment_bytes.max(scan.place.end))?;
            recovery::rewrite_last_batch(&scan)?;
            Ok(scan.file.metadata()?.len())
        };
        let capacity = reserve().map_err(AuditError::io("reserve space for the segment"))?;
        make_ballast(dir, segment_bytes / 2)?;

        let Scan { place, file, .. } = scan;
        let Place { end, last_commit, .. } = place;
        let log = Self {
            dir: dir.to_owned(),
            origin: origin.clone(),
            segment_bytes,
            file,
            offset: end,
            capacity,
            last_commit,
            tree: place.tree.clone(),
            checkpoint_size,
            verifier,
            next_is_ready: false,
            poisoned: false,
            written: end,
            buffer: Vec::new(),
            _lock: lock,
        };
        let root_at = root_at.and(watches[0].root);
        let verifier = log.verifier.clone();
        Ok(Opened { checkpoint, log, place, recovered, root_at, verifier })
    }

    /// Appends a batch of lines (each 1 to 8192 bytes of UTF-8 without line feed and NUL): one write of
    /// all frames, one `fdatasync`. When it returns, the batch is durable.
    ///
    /// # Errors
    ///
    /// [`AuditError::Line`] for an empty batch or a line that does not fit; nothing was written and
    /// the log stays usable. Any other error poisons the log; [`AuditError::DiskFull`] is told apart.
    pub fn append(&mut self, lines: &[impl AsRef<[u8]>]) -> Result<Appended, AuditError> {
        self.usable()?;
        if lines.is_empty() || !lines.iter().all(|line| is_line(line.as_ref())) {
            return Err(AuditError::Line);
        }
        let appended = self.write_batch(lines);
        self.poison_on_error(appended)
    }

    /// Signs and writes `checkpoint` if the log has grown since the last; returns the signed note.
    ///
    /// # Errors
    ///
    /// [`AuditError::KeyMismatch`] if the signer is not this log's; any error of the disk poisons.
    pub fn checkpoint(&mut self, signer: &LogSigner) -> Result<Option<String>, AuditError> {
        self.install_key(&signer.verifier())?;
        if self.tree.size() == self.checkpoint_size {
            return Ok(None);
        }
        let (size, root) = (self.tree.size(), self.tree.root());
        let note = Checkpoint { origin: self.origin.clone(), size, root }.sign(signer);
        let written = self.write_atomic(CHECKPOINT_FILE, note.as_bytes());
        self.poison_on_error(written)?;
        self.checkpoint_size = size;
        Ok(Some(note))
    }

    /// Writes `log.vkey` if there is none yet.
    ///
    /// # Errors
    ///
    /// [`AuditError::KeyMismatch`] if there is another; any error of the disk poisons.
    pub fn install_key(&mut self, verifier: &LogVerifier) -> Result<(), AuditError> {
        self.usable()?;
        if *verifier.origin() != self.origin {
            return Err(AuditError::KeyMismatch);
        }
        match &self.verifier {
            Some(known) if known == verifier => Ok(()),
            Some(_) => Err(AuditError::KeyMismatch),
            None => {
                let written =
                    self.write_atomic(VKEY_FILE, format!("{}\n", verifier.vkey()).as_bytes());
                self.poison_on_error(written)?;
                self.verifier = Some(verifier.clone());
                Ok(())
            }
        }
    }

    /// Makes the next segment ahead of time, so that a roll only renames. For the writer's idle
    /// moments; returns whether it had to be made.
    ///
    /// # Errors
    ///
    /// [`AuditError::DiskFull`] does not poison: the current segment still has its space.
    pub fn prepare_next(&mut self) -> Result<bool, AuditError> {
        self.usable()?;
        if self.next_is_ready {
            return Ok(false);
        }
        match make_file(&self.dir, NEXT_FILE, self.segment_bytes) {
            Ok(_) => {
                self.next_is_ready = true;
                Ok(true)
            }
            Err(AuditError::DiskFull) => Err(AuditError::DiskFull),
            Err(error) => self.poison_on_error(Err(error)),
        }
    }

    /// Writes zeros to the space of the next batches if less of it than `bytes_min` is left that was
    /// written before, so that the syncs of those batches find nothing but their own bytes to write.
    /// For moments when nobody waits; returns whether there was anything to do.
    ///
    /// # Errors
    ///
    /// Any error of the disk poisons.
    pub fn write_ahead(&mut self, bytes_min: u64) -> Result<bool, AuditError> {
        self.usable()?;
        let from = self.written.max(self.offset);
        let to = (from + AHEAD_BYTES).min(self.capacity);
        if from - self.offset >= bytes_min || from >= to {
            return Ok(false);
        }
        let write = || -> io::Result<()> {
            self.file.write_all_at(&vec![0; (to - from) as usize], from)?;
            self.file.sync_data()
        };
        let written = write().map_err(AuditError::io("write ahead"));
        self.poison_on_error(written)?;
        self.written = to;
        Ok(true)
    }

    /// Gives back the space that was set aside for bad days (half a segment). It is set aside
    /// again at the next start.
    ///
    /// # Errors
    ///
    /// [`AuditError::Io`] if it cannot be removed; does not poison.
    pub fn release_ballast(&self) -> Result<(), AuditError> {
        disk::remove(&self.dir.join(BALLAST_FILE)).map_err(AuditError::io("remove the ballast"))
    }

    /// Bytes that can still be reserved on the log's file system.
    ///
    /// # Errors
    ///
    /// [`AuditError::Io`] if the system does not tell; does not poison.
    pub fn free_bytes(&self) -> Result<u64, AuditError> {
        disk::free_bytes(&self.dir).map_err(AuditError::io("ask for free space"))
    }

    /// Bytes left in the current segment.
    pub fn segment_free_bytes(&self) -> u64 {
        self.capacity.saturating_sub(self.offset)
    }

    /// Number of entries.
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    /// Root over all entries.
    pub fn root(&self) -> Hash {
        self.tree.root()
    }

    /// The tree over all entries.
    pub fn tree(&self) -> &CompactRange {
        &self.tree
    }

    /// The log's name.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The key of `log.vkey`, if it is there.
    pub fn verifier(&self) -> Option<&LogVerifier> {
        self.verifier.as_ref()
    }

    /// Cuts the unused end of the segment and lets go of the reserves and the lock.
    ///
    /// # Errors
    ///
    /// [`AuditError::Io`]; the log on disk is whole in any case.
    pub fn close(self) -> Result<(), AuditError> {
        self.usable()?;
        let close = || -> io::Result<()> {
            self.file.set_len(self.offset)?;
            self.file.sync_all()?;
            disk::remove(&self.dir.join(NEXT_FILE))?;
            disk::remove(&self.dir.join(BALLAST_FILE))
        };
        close().map_err(AuditError::io("close the log"))
    }

    fn usable(&self) -> Result<(), AuditError> {
        if self.poisoned { Err(AuditError::Poisoned) } else { Ok(()) }
    }

    fn poison_on_error<T>(&mut self, result: Result<T, AuditError>) -> Result<T, AuditError> {
        self.poisoned |= result.is_err();
        result
    }

    fn write_batch(&mut self, lines: &[impl AsRef<[u8]>]) -> Result<Appended, AuditError> {
        let frames: usize =
            lines.iter().map(|line| segment::frame_bytes(line.as_ref().len())).sum();
        let bytes = (frames + COMMIT_BYTES) as u64;
        if self.offset + bytes > self.capacity {
            self.roll(bytes)?;
        }

        let first_index = self.tree.size();
        let mut leaf_hashes = Vec::with_capacity(lines.len());
        self.buffer.clear();
        for line in lines {
            let line = line.as_ref();
            segment::put_entry(&mut self.buffer, self.tree.size(), line);
            let leaf = leaf_hash(line);
            self.tree.append(leaf);
            leaf_hashes.push(leaf);
        }
        let (size, root) = (self.tree.size(), self.tree.root());
        segment::put_commit(&mut self.buffer, size, &root, self.last_commit);

        self.file
            .write_all_at(&self.buffer, self.offset)
            .map_err(AuditError::io("write a batch"))?;
        self.file.sync_data().map_err(AuditError::io("sync a batch"))?;
        self.offset += self.buffer.len() as u64;
        self.last_commit = self.offset - COMMIT_BYTES as u64;
        // One huge batch must not keep its memory for ever.
        self.buffer.shrink_to(BUFFER_BYTES_KEPT);
        Ok(Appended { first_index, leaf_hashes, root, size })
    }

    /// Goes on in a new segment that has room for a batch of this many bytes.
    fn roll(&mut self, batch_bytes: u64) -> Result<(), AuditError> {
        let wanted = self.segment_bytes.max(HEADER_BYTES as u64 + batch_bytes);
        let file = match self.take_next(wanted) {
            Err(AuditError::DiskFull) => {
                // What the ballast is for: entries that must still be written.
                self.release_ballast()?;
                self.take_next(wanted)?
            }
            other => other?,
        };
        let first_index = self.tree.size();
        let begin = || -> io::Result<u64> {
            file.write_all_at(&segment::header(&self.origin, first_index), 0)?;
            file.sync_all()?;
            fs::rename(self.dir.join(NEXT_FILE), self.dir.join(segment::file_name(first_index)))?;
            disk::sync_dir(&self.dir)?;
            self.file.set_len(self.offset)?;
            self.file.sync_all()?;
            Ok(file.metadata()?.len())
        };
        self.capacity = begin().map_err(AuditError::io("begin a segment"))?;
        self.file = file;
        self.offset = HEADER_BYTES as u64;
        self.written = self.offset;
        self.last_commit = 0;
        self.next_is_ready = false;
        Ok(())
    }

    /// The prepared segment, at least this long; made now if it is not there.
    fn take_next(&self, bytes: u64) -> Result<File, AuditError> {
        if !self.next_is_ready {
            return make_file(&self.dir, NEXT_FILE, bytes);
        }
        let open = || -> io::Result<File> {
            let file = disk::open(&self.dir.join(NEXT_FILE), false)?;
            disk::preallocate(&file, bytes)?;
            Ok(file)
        };
        open().map_err(AuditError::io("open the next segment"))
    }

    /// Writes a small file, if need be in the space of the ballast.
    fn write_atomic(&self, name: &str, bytes: &[u8]) -> Result<(), AuditError> {
        match disk::write_atomic(&self.dir, name, bytes) {
            Err(AuditError::DiskFull) => {
                self.release_ballast()?;
                disk::write_atomic(&self.dir, name, bytes)
            }
            other => other,
        }
    }
}

/// The verifier key in a log's folder.
pub(crate) fn read_verifier(dir: &Path) -> Result<Option<LogVerifier>, AuditError> {
    let Some(bytes) = disk::read_small(&dir.join(VKEY_FILE))? else {
        return Ok(None);
    };
    std::str::from_utf8(&bytes)
        .map_err(|_| NoteError::Vkey)
        .and_then(LogVerifier::from_vkey)
        .map(Some)
        .map_err(|source| AuditError::Checkpoint { file: VKEY_FILE, source })
}

/// The checkpoint in a log's folder, verified.
pub(crate) fn read_checkpoint(
    dir: &Path,
    verifier: Option<&LogVerifier>,
) -> Result<Option<Checkpoint>, AuditError> {
    let Some(bytes) = disk::read_small(&dir.join(CHECKPOINT_FILE))? else {
        return Ok(None);
    };
    verifier
        .ok_or(NoteError::NoKey)
        .and_then(|verifier| Checkpoint::open(&bytes, verifier))
        .map(Some)
        .map_err(|source| AuditError::Checkpoint { file: CHECKPOINT_FILE, source })
}

fn lock(dir: &Path) -> Result<File, AuditError> {
    let file = disk::open(&dir.join(LOCK_FILE), true).map_err(AuditError::io("open the lock"))?;
    let until = Instant::now() + LOCK_WAIT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < until => sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => return Err(AuditError::Locked),
            Err(TryLockError::Error(error)) => return Err(AuditError::io("lock the log")(error)),
        }
    }
}

/// How long a process that was killed may take to be gone: one that waits for the disk has its files
/// open until then.
const LOCK_WAIT: Duration = Duration::from_secs(3);
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// The first segment of a new log, in place and durable.
fn first_segment(dir: &Path, origin: &Origin, bytes: u64) -> Result<Scan, AuditError> {
    let file = make_file(dir, NEXT_FILE, bytes)?;
    let begin = || -> io::Result<()> {
        file.write_all_at(&segment::header(origin, 0), 0)?;
        file.sync_all()?;
        fs::rename(dir.join(NEXT_FILE), dir.join(segment::file_name(0)))?;
        disk::sync_dir(dir)
    };
    begin().map_err(AuditError::io("begin a segment"))?;
    let mut place = Place::default();
    // Nothing is read of it.
    let file = place.enter(file).into_file();
    Ok(Scan { place, file, last_batch: None, tail: segment::Tail::default() })
}

/// Sets space aside. A disk without that much is no reason not to start.
fn make_ballast(dir: &Path, bytes: u64) -> Result<(), AuditError> {
    match make_file(dir, BALLAST_FILE, bytes) {
        Err(AuditError::DiskFull) => {
            tracing::warn!("no space for the log's ballast");
            Ok(())
        }
        other => other.map(|_| ()),
    }
}

/// A new file of zeros with its space reserved, durable under its name; nothing stays on error.
fn make_file(dir: &Path, name: &str, bytes: u64) -> Result<File, AuditError> {
    let path = dir.join(name);
    let make = || -> io::Result<File> {
        disk::remove(&path)?;
        let file = disk::create_new(&path)?;
        disk::preallocate(&file, bytes)?;
        file.sync_all()?;
        disk::sync_dir(dir)?;
        Ok(file)
    };
    make().map_err(|error| {
        // The first error is the one to report; a file that stays is replaced by the next try.
        let _ = disk::remove(&path);
        AuditError::io("reserve space")(error)
    })
}

fn is_line(line: &[u8]) -> bool {
    (1..=ENTRY_BYTES_MAX).contains(&line.len())
        && !line.contains(&b'\n')
        // A NUL could make a line look like the mark of a commit frame.
        && !line.contains(&0)
        && std::str::from_utf8(line).is_ok()
}

const LOCK_FILE: &str = "lock";
const NEXT_FILE: &str = "next.seg";
const BALLAST_FILE: &str = "ballast";
/// Zeros written ahead at a time.
const AHEAD_BYTES: u64 = 1 << 20;
const BUFFER_BYTES_KEPT: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests;
