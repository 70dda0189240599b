//! Reads a log from its first byte, or a place that was reached before, to its last whole batch, and cuts what a crash left behind it.
//!
//! Reading changes nothing. Only when everything fits (including the checkpoint) is the torn tail
//! saved and cut.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};

use vault_model::Timestamp;

use crate::place::{self, Place, Watch};
use crate::segment::{self, Tail};
use crate::tree::CompactRange;
use crate::{AuditError, Origin, Visit, VisitError, disk};

/// What the start cut off the end of the log: bytes of a batch whose sync never returned.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Recovered {
    /// How many bytes were cut.
    pub cut_bytes: u64,
    /// Offset in the segment where they were.
    pub offset: u64,
    /// File name of the segment.
    pub segment: String,
    /// File name, in the log's folder, that holds the bytes now.
    pub torn_file: String,
}

/// The last segment, as it is on disk, and where its last whole batch ends.
pub(crate) struct Scan {
    pub place: Place,
    pub file: File,
    /// Offset where the last whole batch begins, if one was read.
    pub last_batch: Option<u64>,
    pub tail: Tail,
}

/// Reads all segments from a place on, in order; `None` if there are none. Another thread reads and
/// hashes ahead of `visit`, which is called on this one.
pub(crate) fn scan(
    dir: &Path,
    origin: &Origin,
    from: &Place,
    watches: &mut [Watch],
    visit: &mut Visit<'_>,
) -> Result<Option<Scan>, AuditError> {
    let (sender, chunks) = sync_channel(CHUNKS_AHEAD);
    std::thread::scope(|scope| {
        let read_ahead = move || {
            let mut lines = Ahead { chunk: Chunk::default(), sender };
            let scanned =
                read(dir, origin, from, watches, &mut |index, line| lines.push(index, line));
            // Also those before an error: what is wrong with them is said first.
            let _ = lines.send();
            scanned
        };
        let reader = std::thread::Builder::new()
            .name("log-reader".to_owned())
            .spawn_scoped(scope, read_ahead)
            .map_err(AuditError::io("start a thread"))?;
        let visited = chunks.iter().try_for_each(|chunk| chunk.visit(visit));
        // Nobody takes any more, if that was an error.
        drop(chunks);
        let scanned = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        visited?;
        scanned
    })
}

/// Lines that were read and hashed, on their way to who visits them.
#[derive(Default)]
struct Chunk {
    bytes: Vec<u8>,
    /// Index of each, and where it ends.
    lines: Vec<(u64, usize)>,
}

impl Chunk {
    fn visit(&self, visit: &mut Visit<'_>) -> Result<(), AuditError> {
        let mut begin = 0;
        for &(index, end) in &self.lines {
            let line = &self.bytes[begin..end];
            visit(index, line).map_err(|source| AuditError::Visit { index, source })?;
            begin = end;
        }
        Ok(())
    }
}

struct Ahead {
    chunk: Chunk,
    sender: SyncSender<Chunk>,
}

impl Ahead {
    fn push(&mut self, index: u64, line: &[u8]) -> Result<(), VisitError> {
        self.chunk.bytes.extend_from_slice(line);
        self.chunk.lines.push((index, self.chunk.bytes.len()));
        if self.chunk.bytes.len() >= CHUNK_BYTES { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> Result<(), VisitError> {
        Ok(self.sender.send(std::mem::take(&mut self.chunk))?)
    }
}

/// What another thread is given at once.
const CHUNK_BYTES: usize = 256 << 10;
/// How many of these may wait.
const CHUNKS_AHEAD: usize = 8;

fn read(
    dir: &Path,
    origin: &Origin,
    from: &Place,
    watches: &mut [Watch],
    visit: &mut Visit<'_>,
) -> Result<Option<Scan>, AuditError> {
    let segments = segment::list(dir)?;
    let passed = from.segments.iter().map(CompactRange::size);
    if !passed.clone().eq(segments.iter().copied().take(passed.len())) {
        return Err(from.damaged(0, "entries before this segment are missing"));
    }
    from.glance(dir, origin)?;
    let mut place = from.clone();
    let mut last = None;
    for (nth, &first_index) in segments.iter().enumerate().skip(passed.len().saturating_sub(1)) {
        let file = place::open(dir, origin, first_index)?;
        let mut batches = if nth < passed.len() {
            place.resume(file)?
        } else if first_index == place.tree.size() {
            place.enter(file)
        } else {
            let segment = segment::file_name(first_index);
            let what = "entries before this segment are missing";
            return Err(AuditError::Damaged { segment, offset: 0, what });
        };
        let mut last_batch = None;
        let stop = loop {
            match batches.next().map_err(AuditError::io("read a segment"))? {
                Ok(batch) => {
                    last_batch = Some(batch.offset);
                    place.take(&batch, watches, visit)?;
                }
                Err(stop) => break stop,
            }
        };
        let tail = batches.tail().map_err(AuditError::io("read a segment"))?;
        // Only the last batch of the last segment can have been in flight when a process ended.
        let in_flight = nth + 1 == segments.len() && !tail.later_commit;
        if tail.bytes > 0 && !in_flight {
            return Err(place.damaged(stop.offset, stop.what.unwrap_or("frames follow the end")));
        }
        last = Some((batches.into_file(), last_batch, tail));
    }
    Ok(last.map(|(file, last_batch, tail)| Scan { place, file, last_batch, tail }))
}

/// Saves the torn tail under `torn-<micros>`, durably, then cuts it off the segment.
pub(crate) fn cut_tail(
    dir: &Path,
    scan: &Scan,
    now: Timestamp,
) -> Result<Option<Recovered>, AuditError> {
    if scan.tail.bytes == 0 {
        return Ok(None);
    }
    let torn_file = save_tail(dir, scan, now).map_err(AuditError::io("save the torn tail"))?;
    let cut = || -> io::Result<()> {
        scan.file.set_len(scan.place.end)?;
        scan.file.sync_all()
    };
    cut().map_err(AuditError::io("cut the torn tail"))?;
    Ok(Some(Recovered {
        cut_bytes: scan.tail.bytes,
        offset: scan.place.end,
        segment: segment::file_name(scan.place.first_index()),
        torn_file,
    }))
}

fn save_tail(dir: &Path, scan: &Scan, now: Timestamp) -> io::Result<String> {
    let mut micros = now.micros();
    let (name, torn) = loop {
        let name = format!("torn-{micros}");
        match disk::create_new(&dir.join(&name)) {
            // A clock that stands still must not stop the start.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => micros += 1,
            other => break (name, other?),
        }
    };
    copy(&scan.file, scan.place.end, &torn, 0, scan.tail.bytes)?;
    torn.sync_all()?;
    disk::sync_dir(dir)?;
    Ok(name)
}

/// Writes the last whole batch once more. If its sync failed before a crash, the page cache may hold
/// it as clean although it never reached the disk; a sync alone would not write it again.
pub(crate) fn rewrite_last_batch(scan: &Scan) -> io::Result<()> {
    if let Some(from) = scan.last_batch {
        copy(&scan.file, from, &scan.file, from, scan.place.end - from)?;
    }
    scan.file.sync_all()
}

fn copy(source: &File, from: u64, target: &File, to: u64, bytes: u64) -> io::Result<()> {
    let mut chunk = vec![0; 256 * 1024];
    let mut done = 0;
    while done < bytes {
        let wanted = usize::try_from(bytes - done).unwrap_or(usize::MAX).min(chunk.len());
        let read = segment::read_up_to(source, &mut chunk[..wanted], from + done)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        target.write_all_at(&chunk[..read], to + done)?;
        done += read as u64;
    }
    Ok(())
}
