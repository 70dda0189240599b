//! A snapshot: what a reader of the log has made of it up to a place, signed by the log key, so that a
//! later reader can go on from there. All integers are little-endian.
//!
//! ```text
//!  0  8  magic "CSSNAP\0\0"
//!  8  4  format, 2
//! 12  4  reserved, 0
//! 16  8  b, length of the body
//! 24  b  body: the place, then what the reader has made of the log, both packed
//!        note, up to the end of the file, at most 4096 bytes
//! ```
//!
//! The note is a C2SP signed note by the log key. Its text is
//! `countersign snapshot v1 LF origin LF size LF base64(root) LF hex(SHA-256(body)) LF`: the first line
//! is no origin, so that it is never taken for a checkpoint.

use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use vault_model::{NotPacked, Pack, Unpack};

use crate::{AuditError, LogSigner, LogVerifier, NoteError, Origin, Place, SNAPSHOT_FILE, disk};

/// Why a snapshot is not used. The log has all that is in it.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Not a snapshot of this format, or not whole.
    #[error("not a snapshot of this format")]
    Format,
    /// It cannot be read.
    #[error("the snapshot cannot be read")]
    Io(#[from] io::Error),
    /// Not signed by the log's key, or about another log.
    #[error("the snapshot is not this log's")]
    Note(#[from] NoteError),
}

impl From<NotPacked> for SnapshotError {
    fn from(_: NotPacked) -> Self {
        Self::Format
    }
}

/// A snapshot whose signature was verified.
pub struct Snapshot {
    bytes: Vec<u8>,
    body: std::ops::Range<usize>,
}

impl Snapshot {
    /// Reads the snapshot in a log's folder, if there is one, and verifies it.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`].
    pub fn open(dir: &Path, verifier: &LogVerifier) -> Result<Option<Self>, SnapshotError> {
        let mut file = match File::open(dir.join(SNAPSHOT_FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let mut bytes = Vec::with_capacity(usize::try_from(file.metadata()?.len()).unwrap_or(0));
        file.read_to_end(&mut bytes)?;
        Self::from_bytes(bytes, verifier).map(Some)
    }

    /// Takes the bytes of a file.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`].
    pub fn from_bytes(bytes: Vec<u8>, verifier: &LogVerifier) -> Result<Self, SnapshotError> {
        let header: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(SnapshotError::Format)?;
        let mut length = [0; 8];
        length.copy_from_slice(&header[16..]);
        if *header != self::header(u64::from_le_bytes(length)) {
            return Err(SnapshotError::Format);
        }
        let end = usize::try_from(u64::from_le_bytes(length))
            .ok()
            .and_then(|length| length.checked_add(HEADER_BYTES))
            .filter(|end| (1..=NOTE_BYTES_MAX).contains(&bytes.len().saturating_sub(*end)))
            .ok_or(SnapshotError::Format)?;
        let (body, note) = (&bytes[HEADER_BYTES..end], &bytes[end..]);
        let said = verifier.open_note(note)?;
        if !said.starts_with(&format!("{CONTEXT}\n{}\n", verifier.origin())) {
            return Err(NoteError::OtherLog.into());
        }
        let digest = hex::encode(Sha256::digest(body));
        if !said.ends_with(&format!("\n{digest}\n")) {
            return Err(SnapshotError::Format);
        }
        let place = Place::unpack(&mut Unpack::new(body))?;
        if said != text(verifier.origin(), &place, &digest) {
            return Err(SnapshotError::Format);
        }
        Ok(Self { bytes, body: HEADER_BYTES..end })
    }

    /// The body, from its beginning: a [`Place`], then what the reader has made of the log.
    pub fn unpack(&self) -> Unpack<'_> {
        Unpack::new(&self.bytes[self.body.clone()])
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Puts a snapshot into a log's folder, in the place of the one that is there: temporary file,
    /// sync, rename, sync of the folder. `write` writes what the reader has made of the log up to the
    /// place; `pace` is called with the bytes of each piece that was written. Returns the bytes of the
    /// file.
    ///
    /// # Errors
    ///
    /// [`AuditError::DiskFull`], [`AuditError::Io`]: the snapshot before it is still there then.
    pub fn write(
        dir: &Path,
        signer: &LogSigner,
        place: &Place,
        write: impl FnOnce(&mut Pack<'_>),
        pace: &mut dyn FnMut(usize) -> io::Result<()>,
    ) -> Result<u64, AuditError> {
        let temporary = dir.join(format!("{SNAPSHOT_FILE}.tmp"));
        let written = || -> io::Result<u64> {
            disk::remove(&temporary)?;
            let file = disk::create_new(&temporary)?;
            let mut body = Body { bytes: 0, file: &file, hash: Sha256::new(), pace, unsynced: 0 };
            (&file).write_all(&header(0))?;
            let mut pack = Pack::new(&mut body);
            place.pack(&mut pack);
            write(&mut pack);
            pack.finish()?;
            let Body { bytes, hash, .. } = body;
            let text = text(signer.origin(), place, &hex::encode(hash.finalize()));
            let note = signer.sign_note(&text);
            (&file).write_all(note.as_bytes())?;
            file.write_all_at(&header(bytes), 0)?;
            file.sync_all()?;
            fs::rename(&temporary, dir.join(SNAPSHOT_FILE))?;
            disk::sync_dir(dir)?;
            Ok((HEADER_BYTES + note.len()) as u64 + bytes)
        };
        written().map_err(|error| {
            // The first error is the one to report.
            let _ = disk::remove(&temporary);
            AuditError::io("write the snapshot")(error)
        })
    }

    /// Removes the snapshot in a log's folder, if there is one: the next start reads everything.
    ///
    /// # Errors
    ///
    /// [`AuditError::Io`].
    pub fn remove(dir: &Path) -> Result<(), AuditError> {
        let remove = || -> io::Result<()> {
            disk::remove(&dir.join(SNAPSHOT_FILE))?;
            disk::sync_dir(dir)
        };
        remove().map_err(AuditError::io("remove the snapshot"))
    }
}

/// The body on its way to the file.
struct Body<'b> {
    bytes: u64,
    file: &'b File,
    hash: Sha256,
    pace: &'b mut dyn FnMut(usize) -> io::Result<()>,
    unsynced: usize,
}

impl Write for Body<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all(bytes)?;
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        self.unsynced += bytes.len();
        // The syncs of the log's batches would have to wait for much that is written at once.
        if self.unsynced >= SYNC_BYTES {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        (self.pace)(bytes.len())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn header(body_bytes: u64) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    bytes[16..].copy_from_slice(&body_bytes.to_le_bytes());
    bytes
}

fn text(origin: &Origin, place: &Place, digest: &str) -> String {
    let (size, root) = (place.tree().size(), STANDARD.encode(place.tree().root()));
    format!("{CONTEXT}\n{origin}\n{size}\n{root}\n{digest}\n")
}

const CONTEXT: &str = "countersign snapshot v1";
const MAGIC: [u8; 8] = *b"CSSNAP\0\0";
const FORMAT: u32 = 2;
const HEADER_BYTES: usize = 24;
const NOTE_BYTES_MAX: usize = 4096;
const SYNC_BYTES: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use tempfile::TempDir;
    use vault_model::SecretBytes;

    use super::{Snapshot, SnapshotError};
    use crate::{LogSigner, NoteError, Origin, Place, SNAPSHOT_FILE};

    fn signer(seed: u8, node: &str) -> LogSigner {
        let origin = Origin::new("vault.example", node, 0).expect("origin");
        LogSigner::from_seed(origin, &SecretBytes::new(vec![seed; 32])).expect("seed")
    }

    fn written(signer: &LogSigner) -> Vec<u8> {
        let dir = TempDir::new().expect("dir");
        let mut bytes = 0;
        let pace = &mut |piece| {
            bytes += piece;
            Ok(())
        };
        let size = Snapshot::write(
            dir.path(),
            signer,
            &Place::default(),
            |pack| pack.text("what was made of it"),
            pace,
        );
        let file = std::fs::read(dir.path().join(SNAPSHOT_FILE)).expect("file");
        assert_eq!(size.expect("written"), file.len() as u64);
        assert!(bytes > 20 && bytes < file.len());
        assert_eq!(std::fs::read_dir(dir.path()).expect("dir").count(), 1);
        file
    }

    #[test]
    fn reads_what_was_written_and_only_with_the_right_key_and_name() {
        let signer_one = signer(1, "n");
        let file = written(&signer_one);
        let open = |with: &LogSigner| Snapshot::from_bytes(file.clone(), &with.verifier());
        let snapshot = open(&signer_one).expect("its own");
        let mut unpack = snapshot.unpack();
        assert_eq!(Place::unpack(&mut unpack), Ok(Place::default()));
        assert_eq!(unpack.text(), Ok("what was made of it"));
        assert_eq!((unpack.left(), snapshot.bytes()), (0, file.len() as u64));
        for other in [signer(2, "n"), signer(1, "m")] {
            let refused = open(&other).err();
            assert!(matches!(refused, Some(SnapshotError::Note(NoteError::NoSignature))));
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_shows() {
        let signer = signer(1, "n");
        let file = written(&signer);
        for bit in 0..file.len() * 8 {
            let mut bad = file.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Snapshot::from_bytes(bad, &signer.verifier()).is_err(), "bit {bit}");
        }
        for len in 0..file.len() {
            let cut = file[..len].to_vec();
            assert!(Snapshot::from_bytes(cut, &signer.verifier()).is_err(), "{len}");
        }
    }

    #[test]
    fn a_checkpoint_is_no_snapshot_and_no_snapshot_a_checkpoint() {
        let signer = signer(1, "n");
        let file = written(&signer);
        let at = file.windows(11).position(|bytes| bytes == b"countersign").expect("the note");
        assert!(crate::Checkpoint::open(&file[at..], &signer.verifier()).is_err());
        let checkpoint = crate::Checkpoint {
            origin: signer.origin().clone(),
            size: 0,
            root: Place::default().tree().root(),
        };
        let forged = [&file[..at], checkpoint.sign(&signer).as_bytes()].concat();
        assert!(Snapshot::from_bytes(forged, &signer.verifier()).is_err());
    }

    #[test]
    fn no_file_is_no_snapshot_and_it_can_be_taken_away() {
        let (dir, signer) = (TempDir::new().expect("dir"), signer(1, "n"));
        let open = || Snapshot::open(dir.path(), &signer.verifier()).expect("readable");
        assert!(open().is_none());
        let place = Place::default();
        Snapshot::write(dir.path(), &signer, &place, |_| {}, &mut |_| Ok(())).expect("written");
        assert!(open().is_some());
        Snapshot::remove(dir.path()).expect("removed");
        assert!(open().is_none());
        Snapshot::remove(dir.path()).expect("nothing to remove");
    }
}
