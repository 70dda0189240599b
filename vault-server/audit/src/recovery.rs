//! Reads a log from its first byte to its last whole batch, and cuts what a crash left behind it.
//!
//! Reading changes nothing. Only when everything fits (including the checkpoint) is the torn tail
//! saved and cut.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use vault_model::Timestamp;

use crate::segment::{self, Batches, HEADER_BYTES, Tail};
use crate::tree::{CompactRange, Hash, leaf_hash};
use crate::{AuditError, Origin, Visit, disk};

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

/// Remembers the root at one size while the tree grows past it.
pub(crate) struct Watch {
    pub size: u64,
    pub root: Option<Hash>,
}

impl Watch {
    pub fn new(size: u64) -> Self {
        Self { size, root: (size == 0).then(|| CompactRange::new().root()) }
    }
}

/// The last segment and the tree, as they are on disk.
pub(crate) struct Scan {
    pub tree: CompactRange,
    pub file: File,
    pub first_index: u64,
    /// Offset behind the last whole batch.
    pub end: u64,
    /// Offset of the last commit frame, 0 for none.
    pub last_commit: u64,
    /// Offset where the last whole batch begins, if this segment has one.
    pub last_batch: Option<u64>,
    pub tail: Tail,
}

/// Reads all segments, in order; `None` if there are none.
pub(crate) fn scan(
    dir: &Path,
    origin: &Origin,
    watches: &mut [Watch],
    visit: &mut Visit<'_>,
) -> Result<Option<Scan>, AuditError> {
    let segments = segment::list(dir)?;
    let mut tree = CompactRange::new();
    let mut last = None;
    for (nth, &first_index) in segments.iter().enumerate() {
        let name = segment::file_name(first_index);
        let damaged = |offset, what| AuditError::Damaged { segment: name.clone(), offset, what };
        let file = disk::open(&dir.join(&name), false).map_err(AuditError::io("open a segment"))?;
        let mut header = [0; HEADER_BYTES];
        let read =
            segment::read_up_to(&file, &mut header, 0).map_err(AuditError::io("read a segment"))?;
        let named =
            segment::read_header(&header[..read], Some(origin)).map_err(|what| damaged(0, what))?;
        if named != first_index {
            return Err(damaged(0, "the header does not fit the file's name"));
        }
        if first_index != tree.size() {
            return Err(damaged(0, "entries before this segment are missing"));
        }

        let mut batches = Batches::new(file, first_index);
        let mut last_batch = None;
        let stop = loop {
            match batches.next().map_err(AuditError::io("read a segment"))? {
                Ok(batch) => {
                    last_batch = Some(batch.offset);
                    for (_, line) in batch.lines() {
                        tree.append(leaf_hash(line));
                        for watch in watches.iter_mut().filter(|w| w.size == tree.size()) {
                            watch.root = Some(tree.root());
                        }
                    }
                    // All checksums are right: this is no torn write.
                    if tree.root() != batch.commit.root {
                        return Err(damaged(batch.offset, "the root of a batch is wrong"));
                    }
                    for (index, line) in batch.lines() {
                        visit(index, line).map_err(|source| AuditError::Visit { index, source })?;
                    }
                }
                Err(stop) => break stop,
            }
        };
        let tail = batches.tail().map_err(AuditError::io("read a segment"))?;
        // Only the last batch of the last segment can have been in flight when a process ended.
        let in_flight = nth + 1 == segments.len() && !tail.later_commit;
        if tail.bytes > 0 && !in_flight {
            return Err(damaged(stop.offset, stop.what.unwrap_or("frames follow the end")));
        }
        last = Some((first_index, batches, last_batch, tail));
    }
    Ok(last.map(|(first_index, batches, last_batch, tail)| Scan {
        tree,
        first_index,
        end: batches.end(),
        last_commit: batches.last_commit(),
        last_batch,
        tail,
        file: batches.into_file(),
    }))
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
        scan.file.set_len(scan.end)?;
        scan.file.sync_all()
    };
    cut().map_err(AuditError::io("cut the torn tail"))?;
    Ok(Some(Recovered {
        cut_bytes: scan.tail.bytes,
        offset: scan.end,
        segment: segment::file_name(scan.first_index),
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
    copy(&scan.file, scan.end, &torn, 0, scan.tail.bytes)?;
    torn.sync_all()?;
    disk::sync_dir(dir)?;
    Ok(name)
}

/// Writes the last whole batch once more. If its sync failed before a crash, the page cache may hold
/// it as clean although it never reached the disk; a sync alone would not write it again.
pub(crate) fn rewrite_last_batch(scan: &Scan) -> io::Result<()> {
    if let Some(from) = scan.last_batch {
        copy(&scan.file, from, &scan.file, from, scan.end - from)?;
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
