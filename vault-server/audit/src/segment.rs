//! Segment files, byte by byte. All integers are little-endian.
//!
//! ```text
//! header, 64 bytes
//!  0  8  magic "CSSEG\0\0\0"        28  4  reserved, 0
//!  8  4  format, 1                  32 24  SHA-256 of the origin, first 24 bytes
//! 12  4  length of the header, 64   56  4  reserved, 0
//! 16  8  first index                60  4  crc32c of bytes 0..60
//! 24  4  epoch
//!
//! entry frame, 16 + n bytes, zeros up to a multiple of 8
//!  0  4  n, 1 to 8192                8  8  index
//!  4  4  crc32c of bytes 8..16+n    16  n  line
//!
//! commit frame, 56 bytes
//!  0  4  0x80000028                  8  8  size of the tree after this batch
//!  4  4  crc32c of bytes 8..56      16 32  root at that size
//!                                   48  8  offset of the previous commit frame, 0 for none
//! ```
//!
//! A length of 0 where a frame would begin, or the end of the file, ends the segment.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use crate::entry::ENTRY_BYTES_MAX;
use crate::tree::Hash;
use crate::{AuditError, Origin};

/// Bytes of the header.
pub(crate) const HEADER_BYTES: usize = 64;
/// Bytes of a commit frame.
pub(crate) const COMMIT_BYTES: usize = 56;
/// What stands in a commit frame where an entry frame has its length.
const COMMIT_MARK: u32 = 0x8000_0028;
const MAGIC: [u8; 8] = *b"CSSEG\0\0\0";
const FORMAT: u32 = 1;
const READ_BYTES: usize = 256 * 1024;

/// The header of the segment that begins at this index.
pub(crate) fn header(origin: &Origin, first_index: u64) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    bytes[12..16].copy_from_slice(&(HEADER_BYTES as u32).to_le_bytes());
    bytes[16..24].copy_from_slice(&first_index.to_le_bytes());
    bytes[24..28].copy_from_slice(&origin.epoch().to_le_bytes());
    bytes[32..56].copy_from_slice(&origin.short_hash());
    let crc = crc32c::crc32c(&bytes[..60]);
    bytes[60..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// The first index that a valid header names. With an origin, the header must be that log's.
pub(crate) fn read_header(bytes: &[u8], origin: Option<&Origin>) -> Result<u64, &'static str> {
    let bytes: &[u8; HEADER_BYTES] =
        bytes.first_chunk().ok_or("the file is shorter than a header")?;
    if bytes[..8] != MAGIC {
        return Err("not a segment file");
    }
    if crc32c::crc32c(&bytes[..60]) != u32_at(bytes, 60) {
        return Err("the header's checksum is wrong");
    }
    if u32_at(bytes, 8) != FORMAT || u32_at(bytes, 12) != HEADER_BYTES as u32 {
        return Err("the format of the segment is unknown");
    }
    let first_index = u64_at(bytes, 16);
    match origin {
        Some(origin) if header(origin, first_index) != *bytes => {
            Err("the segment belongs to another log")
        }
        _ => Ok(first_index),
    }
}

/// The name of the file that begins at this index.
pub(crate) fn file_name(first_index: u64) -> String {
    format!("seg-{first_index:020}.seg")
}

/// The first index in a segment's file name; `None` for other files.
pub(crate) fn parse_file_name(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("seg-")?.strip_suffix(".seg")?;
    let first_index = digits.parse().ok()?;
    (file_name(first_index) == name).then_some(first_index)
}

/// All segments in a folder by first index.
pub(crate) fn list(dir: &std::path::Path) -> Result<Vec<u64>, AuditError> {
    let read = || -> io::Result<Vec<u64>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            found.extend(entry?.file_name().to_str().and_then(parse_file_name));
        }
        found.sort_unstable();
        Ok(found)
    };
    read().map_err(AuditError::io("list the segments"))
}

/// Bytes of an entry frame around a line of this length.
pub(crate) fn frame_bytes(line_bytes: usize) -> usize {
    (16 + line_bytes).next_multiple_of(8)
}

/// Appends an entry frame to the buffer.
pub(crate) fn put_entry(buffer: &mut Vec<u8>, index: u64, line: &[u8]) {
    let start = buffer.len();
    buffer.extend_from_slice(&(line.len() as u32).to_le_bytes());
    buffer.extend_from_slice(&[0; 4]);
    buffer.extend_from_slice(&index.to_le_bytes());
    buffer.extend_from_slice(line);
    let crc = crc32c::crc32c(&buffer[start + 8..]);
    buffer[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    buffer.resize(start + frame_bytes(line.len()), 0);
}

/// Appends a commit frame to the buffer.
pub(crate) fn put_commit(buffer: &mut Vec<u8>, size: u64, root: &Hash, previous: u64) {
    let start = buffer.len();
    buffer.extend_from_slice(&COMMIT_MARK.to_le_bytes());
    buffer.extend_from_slice(&[0; 4]);
    buffer.extend_from_slice(&size.to_le_bytes());
    buffer.extend_from_slice(root);
    buffer.extend_from_slice(&previous.to_le_bytes());
    let crc = crc32c::crc32c(&buffer[start + 8..]);
    buffer[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

/// What a commit frame says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Commit {
    pub size: u64,
    pub root: Hash,
    pub previous: u64,
}

/// The commit frame at the beginning of these bytes, if one is there and sound.
pub(crate) fn read_commit(bytes: &[u8]) -> Option<Commit> {
    let bytes: &[u8; COMMIT_BYTES] = bytes.first_chunk()?;
    if u32_at(bytes, 0) != COMMIT_MARK || crc32c::crc32c(&bytes[8..]) != u32_at(bytes, 4) {
        return None;
    }
    let mut root = [0; 32];
    root.copy_from_slice(&bytes[16..48]);
    Some(Commit { size: u64_at(bytes, 8), root, previous: u64_at(bytes, 48) })
}

/// One whole batch: its lines, in order, and its commit frame.
pub(crate) struct Batch<'b> {
    /// Index of the first line.
    pub first_index: u64,
    /// Where the first frame begins.
    pub offset: u64,
    pub commit: Commit,
    bytes: &'b [u8],
    lines: &'b [Range<usize>],
}

impl<'b> Batch<'b> {
    /// Offset behind the batch.
    pub fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }

    /// The lines with their indexes.
    pub fn lines(&self) -> impl Iterator<Item = (u64, &'b [u8])> + use<'b> {
        let (first_index, bytes) = (self.first_index, self.bytes);
        self.lines.iter().zip(first_index..).map(move |(range, i)| (i, &bytes[range.clone()]))
    }
}

/// Why there is no further batch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Stop {
    /// Where reading stopped.
    pub offset: u64,
    /// What is wrong there; `None` at the end.
    pub what: Option<&'static str>,
}

/// Bytes behind the last whole batch.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tail {
    /// How many, up to the last that is not zero.
    pub bytes: u64,
    /// A commit frame of a batch *after* the next one is among them. A batch is written only when
    /// the one before is durable, so this is no torn write: durable bytes were changed.
    pub later_commit: bool,
}

/// Reads a segment batch by batch. Checks lengths, checksums, indexes and the chain of commit
/// frames; the root is for the caller to check.
pub(crate) struct Batches {
    file: File,
    /// Bytes of the file; those from `end` on begin at `begin`.
    window: Vec<u8>,
    begin: usize,
    lines: Vec<Range<usize>>,
    next_index: u64,
    /// Offset behind the last whole batch.
    end: u64,
    /// Offset of the last commit frame, 0 for none.
    last_commit: u64,
    /// Window bytes that belong to the batch handed out last.
    used: usize,
}

impl Batches {
    /// Begins behind a header that was checked.
    pub fn new(file: File, first_index: u64) -> Self {
        Self {
            file,
            window: Vec::new(),
            begin: 0,
            lines: Vec::new(),
            next_index: first_index,
            end: HEADER_BYTES as u64,
            last_commit: 0,
            used: 0,
        }
    }

    /// Goes on behind a batch that was read and checked.
    pub fn resume(file: File, next_index: u64, end: u64, last_commit: u64) -> Self {
        Self { end, last_commit, ..Self::new(file, next_index) }
    }

    /// Gives the file back.
    pub fn into_file(self) -> File {
        self.file
    }

    /// Index behind the last whole batch.
    pub fn next_index(&self) -> u64 {
        self.next_index
    }

    /// The next whole batch, or why there is none. After a stop, another call reads again.
    pub fn next(&mut self) -> io::Result<Result<Batch<'_>, Stop>> {
        self.begin += std::mem::take(&mut self.used);
        self.lines.clear();
        let mut at = 0;
        let commit = loop {
            match self.frame(at)? {
                Ok(Frame::Entry { line_bytes }) => {
                    self.lines.push(at + 16..at + 16 + line_bytes);
                    at += frame_bytes(line_bytes);
                }
                Ok(Frame::Commit(commit)) => {
                    at += COMMIT_BYTES;
                    break commit;
                }
                Err(what) => {
                    let stop = Stop { offset: self.end + at as u64, what };
                    // What was read may be half a batch of a living writer.
                    self.window.clear();
                    self.begin = 0;
                    return Ok(Err(stop));
                }
            }
        };
        let first_index = self.next_index;
        let offset = self.end;
        self.next_index = commit.size;
        self.last_commit = offset + (at - COMMIT_BYTES) as u64;
        self.end = offset + at as u64;
        self.used = at;
        let (bytes, lines) = (&self.rest()[..at], self.lines.as_slice());
        Ok(Ok(Batch { first_index, offset, commit, bytes, lines }))
    }

    /// Looks at what is behind the last whole batch.
    pub fn tail(&self) -> io::Result<Tail> {
        let mut tail = Tail::default();
        let mut chunk = vec![0; READ_BYTES];
        let mut at = self.end;
        loop {
            let read = read_up_to(&self.file, &mut chunk, at)?;
            let bytes = &chunk[..read];
            if let Some(last) = bytes.iter().rposition(|&b| b != 0) {
                tail.bytes = at + last as u64 + 1 - self.end;
                // Frames begin at multiples of 8, and a line, being text without NUL, cannot look
                // like the mark of a commit frame.
                tail.later_commit |= (0..=last)
                    .step_by(8)
                    .filter_map(|i| read_commit(&bytes[i..]))
                    .any(|commit| commit.previous != self.last_commit);
            }
            if read < chunk.len() {
                return Ok(tail);
            }
            // A frame may lie across the border: chunks overlap by a frame.
            at += (READ_BYTES - COMMIT_BYTES) as u64;
        }
    }

    fn frame(&mut self, at: usize) -> io::Result<Result<Frame, Option<&'static str>>> {
        if !self.fill(at + 4)? {
            return Ok(Err(None));
        }
        let mark = u32_at(&self.rest()[at..], 0);
        if mark == 0 {
            return Ok(Err(None));
        }
        if mark == COMMIT_MARK {
            if !self.fill(at + COMMIT_BYTES)? {
                return Ok(Err(Some("a commit frame is cut short")));
            }
            let Some(commit) = read_commit(&self.rest()[at..]) else {
                return Ok(Err(Some("the checksum of a commit frame is wrong")));
            };
            let size = self.next_index + self.lines.len() as u64;
            if self.lines.is_empty() || commit.size != size || commit.previous != self.last_commit {
                return Ok(Err(Some("a commit frame does not fit its batch")));
            }
            return Ok(Ok(Frame::Commit(commit)));
        }
        let line_bytes = mark as usize;
        if line_bytes > ENTRY_BYTES_MAX {
            return Ok(Err(Some("a frame has an impossible length")));
        }
        let frame_end = at + frame_bytes(line_bytes);
        if !self.fill(frame_end)? {
            return Ok(Err(Some("an entry frame is cut short")));
        }
        let frame = &self.rest()[at..frame_end];
        let (body, padding) = frame.split_at(16 + line_bytes);
        if crc32c::crc32c(&body[8..]) != u32_at(body, 4) || padding.iter().any(|&b| b != 0) {
            return Ok(Err(Some("the checksum of an entry frame is wrong")));
        }
        if self.next_index.checked_add(self.lines.len() as u64) != Some(u64_at(body, 8)) {
            return Ok(Err(Some("an entry has the wrong index")));
        }
        Ok(Ok(Frame::Entry { line_bytes }))
    }

    /// What is read of the file from `end` on.
    fn rest(&self) -> &[u8] {
        &self.window[self.begin..]
    }

    /// Reads until there are `wanted` bytes from `end` on; `false` if the file ends before.
    fn fill(&mut self, wanted: usize) -> io::Result<bool> {
        while self.rest().len() < wanted {
            // Once for all batches that a read has brought, however short they are.
            self.window.drain(..std::mem::take(&mut self.begin));
            let have = self.window.len();
            self.window.resize(have + READ_BYTES, 0);
            let read = self.file.read_at(&mut self.window[have..], self.end + have as u64);
            self.window.truncate(have + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => return Ok(false),
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
        }
        Ok(true)
    }
}

enum Frame {
    Commit(Commit),
    Entry { line_bytes: usize },
}

/// Reads until the buffer is full or the file ends.
pub(crate) fn read_up_to(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut have = 0;
    while have < buffer.len() {
        match file.read_at(&mut buffer[have..], at + have as u64) {
            Ok(0) => break,
            Ok(read) => have += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(have)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut le = [0; 4];
    le.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(le)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut le = [0; 8];
    le.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(le)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Batches, file_name, header, parse_file_name, put_commit, put_entry, read_header};
    use crate::Origin;

    #[test]
    fn header_reads_back_and_every_flipped_bit_shows() {
        let origin = Origin::new("v.example", "n", 3).expect("origin");
        let bytes = header(&origin, 77);

        assert_eq!(read_header(&bytes, Some(&origin)), Ok(77));
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(read_header(&bad, None).is_err(), "bit {bit}");
        }
        let other = Origin::new("v.example", "n", 4).expect("origin");
        assert!(read_header(&bytes, Some(&other)).is_err());
        assert!(read_header(&bytes[..63], None).is_err());
    }

    #[test]
    fn file_names_read_back() {
        assert_eq!(file_name(7), "seg-00000000000000000007.seg");
        assert_eq!(parse_file_name(&file_name(u64::MAX)), Some(u64::MAX));
        for name in ["seg-7.seg", "seg-0000000000000000000x.seg", "next.seg", "ballast"] {
            assert_eq!(parse_file_name(name), None, "{name}");
        }
    }

    fn read_all(bytes: &[u8]) -> u64 {
        let file = tempfile::tempfile().expect("file");
        std::os::unix::fs::FileExt::write_all_at(&file, bytes, 0).expect("write");
        let mut batches = Batches::new(file, 0);
        while let Ok(batch) = batches.next().expect("read") {
            assert!(batch.lines().all(|(_, line)| !line.is_empty()));
        }
        batches.tail().expect("read");
        batches.next_index()
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
            start in 0usize..4,
        ) {
            let mut file = vec![0; 64];
            // Some whole frames first, so that the noise is met in every state.
            for index in 0..start as u64 {
                put_entry(&mut file, index, b"line");
            }
            if start > 1 {
                put_commit(&mut file, start as u64, &[0; 32], 0);
            }
            let whole = if start > 1 { start as u64 } else { 0 };
            file.extend_from_slice(&bytes);
            prop_assert_eq!(read_all(&file), whole);
        }

        #[test]
        fn lengths_at_every_border_read_back(lengths in proptest::collection::vec(1usize..=8192, 1..40)) {
            let mut file = vec![0; 64];
            for (index, length) in lengths.iter().enumerate() {
                put_entry(&mut file, index as u64, &vec![b'x'; *length]);
            }
            put_commit(&mut file, lengths.len() as u64, &[0; 32], 0);
            prop_assert_eq!(file.len() % 8, 0);
            prop_assert_eq!(read_all(&file), lengths.len() as u64);
        }
    }
}
