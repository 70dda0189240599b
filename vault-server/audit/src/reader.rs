//! Reads a log without its lock, also beside a process that writes it.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::log::{read_checkpoint, read_verifier};
use crate::segment::{self, Batches, HEADER_BYTES};
use crate::{AuditError, Checkpoint, LogVerifier};

/// A log that is open for reading. Checks checksums, indexes and the chain of batches, not roots:
/// that is `verify`'s part.
pub struct Reader {
    dir: PathBuf,
}

impl Reader {
    /// A reader of the log in `dir`. Nothing is read yet.
    pub fn open(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// The entries of a range of indexes, up to the last whole batch on disk.
    ///
    /// Beside a living writer a batch can be seen before it is synced: who must not show what is
    /// not durable ends the range at the size that the writer last returned.
    ///
    /// # Errors
    ///
    /// [`AuditError::Damaged`] if the segment with the first index is missing or not readable.
    pub fn entries(&self, range: Range<u64>) -> Result<Entries, AuditError> {
        let segments = segment::list(&self.dir)?;
        let holds_start = segments.iter().rev().find(|&&first| first <= range.start);
        let batches = match (holds_start, segments.first()) {
            (Some(&first_index), _) => Some(open_segment(&self.dir, first_index)?),
            (None, None) => None,
            (None, Some(&first_index)) => {
                return Err(AuditError::Damaged {
                    segment: segment::file_name(first_index),
                    offset: 0,
                    what: "entries before this segment are missing",
                });
            }
        };
        Ok(Entries { dir: self.dir.clone(), range, batches, ready: VecDeque::new() })
    }

    /// Number of entries up to the last whole batch on disk.
    ///
    /// # Errors
    ///
    /// [`AuditError`] if the last segment is damaged or not readable.
    pub fn size(&self) -> Result<u64, AuditError> {
        let Some(last) = segment::list(&self.dir)?.pop() else {
            return Ok(0);
        };
        let mut entries = self.entries(last..u64::MAX)?;
        while entries.load()? {
            entries.ready.clear();
        }
        Ok(entries.batches.map_or(0, |(_, batches)| batches.next_index()))
    }

    /// The checkpoint on disk, verified with the `log.vkey` beside it.
    ///
    /// # Errors
    ///
    /// [`AuditError::Checkpoint`] if it cannot be verified.
    pub fn checkpoint(&self) -> Result<Option<Checkpoint>, AuditError> {
        read_checkpoint(&self.dir, self.verifier()?.as_ref())
    }

    /// The key of `log.vkey`, if it is there.
    ///
    /// # Errors
    ///
    /// [`AuditError::Checkpoint`] if it is no verifier key.
    pub fn verifier(&self) -> Result<Option<LogVerifier>, AuditError> {
        read_verifier(&self.dir)
    }
}

/// Entries in order: index and line. Ends after an error.
pub struct Entries {
    dir: PathBuf,
    /// What is still wanted.
    range: Range<u64>,
    /// The open segment with its first index.
    batches: Option<(u64, Batches)>,
    ready: VecDeque<(u64, Vec<u8>)>,
}

impl Iterator for Entries {
    type Item = Result<(u64, Vec<u8>), AuditError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() {
            match self.load() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    self.batches = None;
                    return Some(Err(error));
                }
            }
        }
        let entry = self.ready.pop_front()?;
        self.range.start = entry.0 + 1;
        Some(Ok(entry))
    }
}

impl Entries {
    /// Reads one batch; `false` at the end.
    fn load(&mut self) -> Result<bool, AuditError> {
        // A stop may be a writer's batch that was half visible: what is still wrong at the second
        // look is wrong.
        let mut looked_twice = false;
        loop {
            let Some((first_index, batches)) = &mut self.batches else {
                return Ok(false);
            };
            if batches.next_index() >= self.range.end {
                return Ok(false);
            }
            let stop = match batches.next().map_err(AuditError::io("read a segment"))? {
                Ok(batch) => {
                    let wanted = batch.lines().filter(|(index, _)| self.range.contains(index));
                    self.ready.extend(wanted.map(|(index, line)| (index, line.to_vec())));
                    return Ok(true);
                }
                Err(stop) => stop,
            };
            let tail = batches.tail().map_err(AuditError::io("read a segment"))?;
            let (first_index, next_index) = (*first_index, batches.next_index());
            let is_rolled =
                next_index > first_index && self.dir.join(segment::file_name(next_index)).exists();
            let later_segment =
                is_rolled || segment::list(&self.dir)?.last().is_some_and(|&i| i > first_index);
            if tail.bytes > 0 && !looked_twice {
                looked_twice = true;
            } else if tail.later_commit || (tail.bytes > 0 && later_segment) {
                return Err(AuditError::Damaged {
                    segment: segment::file_name(first_index),
                    offset: stop.offset,
                    what: stop.what.unwrap_or("frames follow the end"),
                });
            } else if is_rolled {
                self.batches = Some(open_segment(&self.dir, next_index)?);
                looked_twice = false;
            } else if later_segment && looked_twice {
                return Err(AuditError::Damaged {
                    segment: segment::file_name(first_index),
                    offset: stop.offset,
                    what: "the segment after this one is missing",
                });
            } else if later_segment {
                looked_twice = true;
            } else {
                return Ok(false);
            }
        }
    }
}

fn open_segment(dir: &Path, first_index: u64) -> Result<(u64, Batches), AuditError> {
    let name = segment::file_name(first_index);
    let open = || -> io::Result<(File, usize, [u8; HEADER_BYTES])> {
        let file = File::open(dir.join(&name))?;
        let mut header = [0; HEADER_BYTES];
        let read = segment::read_up_to(&file, &mut header, 0)?;
        Ok((file, read, header))
    };
    let (file, read, header) = open().map_err(AuditError::io("open a segment"))?;
    let what = match segment::read_header(&header[..read], None) {
        Ok(named) if named == first_index => {
            return Ok((first_index, Batches::new(file, first_index)));
        }
        Ok(_) => "the header does not fit the file's name",
        Err(what) => what,
    };
    Err(AuditError::Damaged { segment: name, offset: 0, what })
}
