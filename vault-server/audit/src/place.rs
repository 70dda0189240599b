//! Where a reading of the log stands: what is needed to go on behind a whole batch as if everything
//! before it had been read, and to find the root at any earlier size.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use vault_model::{NotPacked, Pack, Unpack};

use crate::segment::{self, Batch, Batches, COMMIT_BYTES, HEADER_BYTES};
use crate::tree::{CompactRange, Hash, leaf_hash};
use crate::{AuditError, Origin, Visit, disk};

/// A place behind a whole batch; [`Place::default`] is the beginning of a log.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Place {
    /// The tree over everything before it.
    pub(crate) tree: CompactRange,
    /// The tree at the first entry of each segment so far; the place is in the last.
    pub(crate) segments: Vec<CompactRange>,
    /// Offset behind the batch.
    pub(crate) end: u64,
    /// Offset of the batch's commit frame; 0: the segment has none yet.
    pub(crate) last_commit: u64,
}

impl Place {
    /// The tree over all entries before it.
    pub fn tree(&self) -> &CompactRange {
        &self.tree
    }

    /// How many segments it lies behind or in.
    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    /// Reads the log on up to `to` entries and calls `visit` with each, in order; checks what a start
    /// checks. May run beside the writer: `to` is a size that the writer has said to be durable.
    ///
    /// # Errors
    ///
    /// [`AuditError::Damaged`], [`AuditError::Io`], [`AuditError::Visit`]; the place is then of no
    /// more use.
    pub fn read_on(
        &mut self,
        dir: &Path,
        origin: &Origin,
        to: u64,
        visit: &mut Visit<'_>,
    ) -> Result<(), AuditError> {
        while self.tree.size() < to {
            let mut batches = match self.segments.last() {
                Some(first) => self.resume(open(dir, origin, first.size())?)?,
                None => self.enter(open(dir, origin, 0)?),
            };
            while self.tree.size() < to {
                let stop = match batches.next().map_err(AuditError::io("read a segment"))? {
                    Ok(batch) => {
                        self.take(&batch, &mut [], visit)?;
                        continue;
                    }
                    Err(stop) => stop,
                };
                let tail = batches.tail().map_err(AuditError::io("read a segment"))?;
                if tail.bytes > 0 || self.tree.size() == self.first_index() {
                    let what = stop.what.unwrap_or("entries are missing");
                    return Err(self.damaged(stop.offset, what));
                }
                // Durable entries follow, so the next segment is there.
                batches = self.enter(open(dir, origin, self.tree.size())?);
            }
        }
        Ok(())
    }

    /// The root at a size up to that of the place; reads no more than one segment.
    ///
    /// # Errors
    ///
    /// [`AuditError::Damaged`], [`AuditError::Io`].
    pub(crate) fn root_at(
        &self,
        dir: &Path,
        origin: &Origin,
        size: u64,
    ) -> Result<Option<Hash>, AuditError> {
        if size == self.tree.size() {
            return Ok(Some(self.tree.root()));
        }
        let Some(first) = self.segments.iter().rfind(|tree| tree.size() <= size) else {
            return Ok(None);
        };
        if size > self.tree.size() {
            return Ok(None);
        }
        let mut at = Self { tree: first.clone(), ..Self::default() };
        let mut batches = at.enter(open(dir, origin, first.size())?);
        let mut watches = [Watch { size, root: (first.size() == size).then(|| first.root()) }];
        while watches[0].root.is_none() {
            match batches.next().map_err(AuditError::io("read a segment"))? {
                Ok(batch) => at.take(&batch, &mut watches, &mut |_, _| Ok(()))?,
                Err(stop) => {
                    let what = stop.what.unwrap_or("entries are missing");
                    return Err(at.damaged(stop.offset, what));
                }
            }
        }
        Ok(watches[0].root)
    }

    /// Looks at the segments that lie behind the place, without reading them: each must be there, be
    /// this log's, and end with the entry and the root that the next begins with.
    ///
    /// # Errors
    ///
    /// [`AuditError::Damaged`], [`AuditError::Io`].
    pub(crate) fn glance(&self, dir: &Path, origin: &Origin) -> Result<(), AuditError> {
        for pair in self.segments.windows(2) {
            let [first, next] = pair else { continue };
            let file = open(dir, origin, first.size())?;
            let commit = last_commit(&file).map_err(AuditError::io("read a segment"))?;
            if commit.is_none_or(|commit| (commit.size, commit.root) != (next.size(), next.root()))
            {
                let segment = segment::file_name(first.size());
                let what = "the segment does not end as it did";
                return Err(AuditError::Damaged { segment, offset: 0, what });
            }
        }
        Ok(())
    }

    /// Reads one of the segments behind the place whole, or the one that it is in up to it, and holds
    /// it against what it held when it was passed; `nth` counts from 0.
    ///
    /// # Errors
    ///
    /// [`AuditError::Damaged`], [`AuditError::Io`], [`AuditError::Visit`].
    pub fn check_segment(
        &self,
        dir: &Path,
        origin: &Origin,
        nth: usize,
        visit: &mut Visit<'_>,
    ) -> Result<(), AuditError> {
        let Some(first) = self.segments.get(nth) else {
            return Ok(());
        };
        let next = self.segments.get(nth + 1).unwrap_or(&self.tree);
        let mut at = Self { tree: first.clone(), ..Self::default() };
        let mut batches = at.enter(open(dir, origin, first.size())?);
        while at.tree.size() < next.size() {
            match batches.next().map_err(AuditError::io("read a segment"))? {
                Ok(batch) => at.take(&batch, &mut [], visit)?,
                Err(stop) => {
                    let what = stop.what.unwrap_or("entries are missing");
                    return Err(at.damaged(stop.offset, what));
                }
            }
        }
        if at.tree == *next {
            Ok(())
        } else {
            Err(at.damaged(at.end, "the segment does not end as it did"))
        }
    }

    /// Begins to read the segment that begins here.
    pub(crate) fn enter(&mut self, file: File) -> Batches {
        let batches = Batches::new(file, self.tree.size());
        self.segments.push(self.tree.clone());
        (self.end, self.last_commit) = (HEADER_BYTES as u64, 0);
        batches
    }

    /// Goes on in the segment that the place is in, which must have its last batch where the place
    /// says.
    pub(crate) fn resume(&self, file: File) -> Result<Batches, AuditError> {
        // What is taken for torn is cut: it must not be so for a place that lies beside the batch.
        if !self.is_one() {
            return Err(self.damaged(self.end, "no batch ends here"));
        }
        if self.last_commit > 0 {
            let mut frame = [0; COMMIT_BYTES];
            let read = segment::read_up_to(&file, &mut frame, self.last_commit)
                .map_err(AuditError::io("read a segment"))?;
            let commit = segment::read_commit(&frame[..read]);
            let own = (self.tree.size(), self.tree.root());
            if commit.is_none_or(|commit| (commit.size, commit.root) != own) {
                return Err(self.damaged(self.last_commit, "another batch ends here"));
            }
        }
        Ok(Batches::resume(file, self.tree.size(), self.end, self.last_commit))
    }

    /// Goes past a batch, whose root must be right.
    pub(crate) fn take(
        &mut self,
        batch: &Batch<'_>,
        watches: &mut [Watch],
        visit: &mut Visit<'_>,
    ) -> Result<(), AuditError> {
        for (_, line) in batch.lines() {
            self.tree.append(leaf_hash(line));
            for watch in watches.iter_mut().filter(|watch| watch.size == self.tree.size()) {
                watch.root = Some(self.tree.root());
            }
        }
        // All checksums are right: this is no torn write.
        if self.tree.root() != batch.commit.root {
            return Err(self.damaged(batch.offset, "the root of a batch is wrong"));
        }
        for (index, line) in batch.lines() {
            visit(index, line).map_err(|source| AuditError::Visit { index, source })?;
        }
        (self.end, self.last_commit) = (batch.end(), batch.end() - COMMIT_BYTES as u64);
        Ok(())
    }

    /// Index of the first entry of the segment that the place is in.
    pub(crate) fn first_index(&self) -> u64 {
        self.segments.last().map_or(0, CompactRange::size)
    }

    pub(crate) fn damaged(&self, offset: u64, what: &'static str) -> AuditError {
        AuditError::Damaged { segment: segment::file_name(self.first_index()), offset, what }
    }

    /// Writes it.
    pub fn pack(&self, pack: &mut Pack<'_>) {
        let Self { tree, segments, end, last_commit } = self;
        pack_tree(tree, pack);
        pack.len(segments.len());
        segments.iter().for_each(|tree| pack_tree(tree, pack));
        pack.number(*end);
        pack.number(*last_commit);
    }

    /// Reads what [`Place::pack`] wrote.
    ///
    /// # Errors
    ///
    /// [`NotPacked`], also for a place that can be none.
    pub fn unpack(unpack: &mut Unpack<'_>) -> Result<Self, NotPacked> {
        let tree = unpack_tree(unpack)?;
        let count = unpack.len(1)?;
        let segments: Vec<_> =
            (0..count).map(|_| unpack_tree(unpack)).collect::<Result<_, NotPacked>>()?;
        let (end, last_commit) = (unpack.number()?, unpack.number()?);
        let place = Self { tree, segments, end, last_commit };
        if place.is_one() { Ok(place) } else { Err(NotPacked) }
    }

    fn is_one(&self) -> bool {
        let Some(last) = self.segments.last() else {
            return *self == Self::default();
        };
        let rises = self.segments.windows(2).all(|pair| pair[0].size() < pair[1].size());
        let offsets = if last.size() == self.tree.size() {
            *last == self.tree && self.end == HEADER_BYTES as u64 && self.last_commit == 0
        } else {
            last.size() < self.tree.size()
                && self.end.is_multiple_of(8)
                && self.last_commit > HEADER_BYTES as u64
                && self.last_commit.checked_add(COMMIT_BYTES as u64) == Some(self.end)
        };
        rises && offsets && self.segments[0].size() == 0
    }
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

/// Opens the segment that begins with this entry, and checks its header.
pub(crate) fn open(dir: &Path, origin: &Origin, first_index: u64) -> Result<File, AuditError> {
    let name = segment::file_name(first_index);
    let file = match disk::open(&dir.join(&name), false) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let what = "the segment is missing";
            return Err(AuditError::Damaged { segment: name, offset: 0, what });
        }
        other => other.map_err(AuditError::io("open a segment"))?,
    };
    let mut header = [0; HEADER_BYTES];
    let read =
        segment::read_up_to(&file, &mut header, 0).map_err(AuditError::io("read a segment"))?;
    match segment::read_header(&header[..read], Some(origin)) {
        Ok(named) if named == first_index => Ok(file),
        Ok(_) => {
            let what = "the header does not fit the file's name";
            Err(AuditError::Damaged { segment: name, offset: 0, what })
        }
        Err(what) => Err(AuditError::Damaged { segment: name, offset: 0, what }),
    }
}

/// The commit frame at the end of a segment that was closed. A crash may have left its zeros.
fn last_commit(file: &File) -> io::Result<Option<segment::Commit>> {
    let mut end = file.metadata()?.len();
    let mut chunk = vec![0; 64 * 1024];
    while end > 0 {
        let from = end.saturating_sub(chunk.len() as u64);
        let bytes = &mut chunk[..(end - from) as usize];
        file.read_exact_at(bytes, from)?;
        let Some(last) = bytes.iter().rposition(|&byte| byte != 0) else {
            end = from;
            continue;
        };
        // The last bytes of a frame may be zeros too: small offsets.
        let behind = (from + last as u64 + 1).next_multiple_of(8);
        for end in (behind..behind + COMMIT_BYTES as u64).step_by(8) {
            let mut frame = [0; COMMIT_BYTES];
            let Some(at) = end.checked_sub(COMMIT_BYTES as u64) else { continue };
            let read = segment::read_up_to(file, &mut frame, at)?;
            if let Some(commit) = segment::read_commit(&frame[..read]) {
                return Ok(Some(commit));
            }
        }
        return Ok(None);
    }
    Ok(None)
}

fn pack_tree(tree: &CompactRange, pack: &mut Pack<'_>) {
    pack.number(tree.size());
    tree.peaks().iter().for_each(|peak| pack.bytes(peak));
}

fn unpack_tree(unpack: &mut Unpack<'_>) -> Result<CompactRange, NotPacked> {
    let size = unpack.number()?;
    let peaks: Vec<Hash> =
        (0..size.count_ones()).map(|_| unpack.bytes()).collect::<Result<_, NotPacked>>()?;
    CompactRange::from_peaks(size, peaks).ok_or(NotPacked)
}

#[cfg(test)]
mod tests;
