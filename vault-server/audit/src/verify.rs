//! Verifies an export offline: every line, the root, the signature, an earlier checkpoint, receipts.
//!
//! Needs nothing but the folder. What gives it weight comes from elsewhere: the verifier key that
//! was noted when the log began, checkpoints kept outside, receipts of clients.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

use crate::entry::{ENTRY_BYTES_MAX, Entry, EntryError, EntryKind};
use crate::export::ENTRIES_FILE;
use crate::place::Watch;
use crate::tree::{CompactRange, Hash, leaf_hash};
use crate::{
    AuditError, CHECKPOINT_FILE, Checkpoint, LogVerifier, NoteError, Receipt, VKEY_FILE, disk,
};

/// What to hold the export against.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The verifier key that the auditor knows. Without it the key in the folder is believed.
    pub expected_vkey: Option<String>,
    /// A checkpoint file from earlier: the log must have grown from it.
    pub previous_checkpoint: Option<PathBuf>,
    /// Receipts: each entry must be there, with this hash, among those that the checkpoint signs.
    pub receipts: Vec<Receipt>,
}

/// What was verified.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    /// Number of entries.
    pub entries: u64,
    /// How many the checkpoint signs; they are proven complete and unchanged.
    pub signed_entries: u64,
    /// Entries after the checkpoint: consistent in themselves, but nothing signs them yet.
    pub unsigned_entries: u64,
    /// The log.
    pub origin: String,
    /// Root at the checkpoint's size.
    pub root: Hash,
    /// Size of the earlier checkpoint that the log grew from.
    pub previous_size: Option<u64>,
    /// How many receipts were checked: the checkpoint signs the entry of each.
    pub receipts: u64,
    /// Whether the key is the one the auditor expected. `false`: nobody said which to expect.
    pub key_was_expected: bool,
    /// How many entries there are of each type.
    pub kinds: BTreeMap<EntryKind, u64>,
}

/// The first thing that is wrong.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// An entry is no entry of this version, or not in canonical form.
    #[error("entry {index} is not valid")]
    Entry {
        /// Position in the log.
        index: u64,
        /// Why.
        source: EntryError,
    },
    /// An entry says another index than its place: one is missing, repeated or moved.
    #[error("entry {index} is missing or out of place: found {found}")]
    Index {
        /// The index that belongs here.
        index: u64,
        /// The index that is here.
        found: u64,
    },
    /// A file cannot be read.
    #[error("cannot read {file}")]
    Io {
        /// File name.
        file: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The key in the folder is not the one that was expected.
    #[error("log.vkey is not the expected key")]
    Key,
    /// A line without an end, an empty one, or one of more than 8192 bytes.
    #[error("entry {index} is not a whole line")]
    Line {
        /// Position in the log.
        index: u64,
    },
    /// A file of the export is missing.
    #[error("{file} is missing")]
    MissingFile {
        /// File name.
        file: &'static str,
    },
    /// Entries that the checkpoint signs are not there.
    #[error("entries from {index} on are missing: the checkpoint signs {size}")]
    Missing {
        /// First missing index.
        index: u64,
        /// Size of the checkpoint.
        size: u64,
    },
    /// A checkpoint or key is not valid.
    #[error("{file} is not valid")]
    Note {
        /// Which.
        file: &'static str,
        /// Why.
        source: NoteError,
    },
    /// An entry names another node or epoch than the checkpoint's origin.
    #[error("entry {index} belongs to another log")]
    OtherLog {
        /// Its index.
        index: u64,
    },
    /// The export begins later than the log: it cannot be verified alone.
    #[error("the export begins at entry {first}: only a whole log can be verified")]
    Partial {
        /// Its first index.
        first: u64,
    },
    /// The log does not hold the entries of the earlier checkpoint unchanged.
    #[error("the log did not grow from the previous checkpoint: an entry before {size} differs")]
    Previous {
        /// Size of the earlier checkpoint.
        size: u64,
    },
    /// A receipt's entry is missing, has another hash, or the receipt is of another log.
    #[error("the entry of the receipt for index {index} is missing or differs")]
    Receipt {
        /// The receipt's index.
        index: u64,
    },
    /// A receipt's entry is there, but lies behind the checkpoint: whoever hands over the export could
    /// have written it.
    #[error("nothing signs entry {index} of a receipt yet: the checkpoint signs {size} entries")]
    ReceiptUnsigned {
        /// The receipt's index.
        index: u64,
        /// Size of the checkpoint.
        size: u64,
    },
    /// The entries do not make the tree that the checkpoint signs.
    #[error("an entry before {size} differs from what the checkpoint signs")]
    Root {
        /// Size of the checkpoint.
        size: u64,
    },
    /// An act of an admin does not follow the one before it: its revision or its root is another.
    #[error("entry {index} is about an act that does not follow the one before it")]
    Act {
        /// Its index.
        index: u64,
    },
    /// A decision number is lower than an earlier one.
    #[error("entry {index} has a lower seq than one before it")]
    Seq {
        /// Its index.
        index: u64,
    },
}

/// Revision and root of the policy state after an entry, given those before it; `None` if an applied
/// act does not follow.
fn follow(entry: &Entry, before: Option<(u64, Hash)>) -> Option<Option<(u64, Hash)>> {
    let (EntryKind::AdminApplied, Some(rev), Some(root)) =
        (entry.kind, entry.state_rev, entry.state_root)
    else {
        return Some(before);
    };
    let follows = match before {
        None => true,
        Some((last, last_root)) => rev == last + 1 && entry.hash_before == Some(last_root),
    };
    follows.then_some(Some((rev, root)))
}

/// Verifies the export in `dir`. `progress` is called now and then with the number of entries read.
///
/// # Errors
///
/// [`VerifyError`]: the first thing that is wrong, with the first bad index where one is known.
pub fn verify(
    dir: &Path,
    options: &Options,
    progress: &mut dyn FnMut(u64),
) -> Result<Report, VerifyError> {
    let vkey = String::from_utf8(read_file(&dir.join(VKEY_FILE), VKEY_FILE)?)
        .map_err(|_| note_error(VKEY_FILE)(NoteError::Vkey))?;
    let verifier = LogVerifier::from_vkey(&vkey).map_err(note_error(VKEY_FILE))?;
    if let Some(expected) = &options.expected_vkey {
        let expected = LogVerifier::from_vkey(expected).map_err(note_error("the expected key"))?;
        if expected != verifier {
            return Err(VerifyError::Key);
        }
    }
    let note = read_file(&dir.join(CHECKPOINT_FILE), CHECKPOINT_FILE)?;
    let checkpoint = Checkpoint::open(&note, &verifier).map_err(note_error(CHECKPOINT_FILE))?;
    let previous = match &options.previous_checkpoint {
        Some(path) => {
            let note = read_file(path, PREVIOUS)?;
            Some(Checkpoint::open(&note, &verifier).map_err(note_error(PREVIOUS))?)
        }
        None => None,
    };

    let mut watches =
        [checkpoint.size, previous.as_ref().map_or(0, |previous| previous.size)].map(Watch::new);
    let mut receipts: BTreeMap<u64, Vec<&Receipt>> = BTreeMap::new();
    for receipt in &options.receipts {
        receipts.entry(receipt.index).or_default().push(receipt);
    }
    let mut kinds = BTreeMap::new();
    let mut seq = 0;
    let mut state = None;
    let mut tree = CompactRange::new();
    let mut lines = Lines::open(&dir.join(ENTRIES_FILE))?;
    while let Some(line) = lines.next(tree.size())? {
        let index = tree.size();
        let entry =
            Entry::from_line(line).map_err(|source| VerifyError::Entry { index, source })?;
        if entry.idx != index {
            let found = entry.idx;
            return Err(if index == 0 {
                VerifyError::Partial { first: found }
            } else {
                VerifyError::Index { index, found }
            });
        }
        if entry.node != verifier.origin().node() || entry.epoch != verifier.origin().epoch() {
            return Err(VerifyError::OtherLog { index });
        }
        if entry.seq.is_some_and(|here| here < seq) {
            return Err(VerifyError::Seq { index });
        }
        seq = entry.seq.unwrap_or(seq);
        state = follow(&entry, state).ok_or(VerifyError::Act { index })?;
        *kinds.entry(entry.kind).or_insert(0) += 1;

        let leaf = leaf_hash(line);
        for receipt in receipts.remove(&index).unwrap_or_default() {
            if receipt.leaf_hash != leaf || receipt.origin != verifier.origin().as_str() {
                return Err(VerifyError::Receipt { index });
            }
        }
        tree.append(leaf);
        for watch in watches.iter_mut().filter(|watch| watch.size == tree.size()) {
            watch.root = Some(tree.root());
        }
        if tree.size().is_multiple_of(PROGRESS_ENTRIES) {
            progress(tree.size());
        }
    }
    progress(tree.size());

    let [at_checkpoint, at_previous] = watches.map(|watch| watch.root);
    // The older anchor first: it narrows down where the difference is.
    match (&previous, at_previous) {
        (Some(previous), Some(root)) if root == previous.root => {}
        (Some(previous), _) => {
            return Err(VerifyError::Previous { size: previous.size });
        }
        (None, _) => {}
    }
    let root =
        at_checkpoint.ok_or(VerifyError::Missing { index: tree.size(), size: checkpoint.size })?;
    if root != checkpoint.root {
        return Err(VerifyError::Root { size: checkpoint.size });
    }
    if let Some((&index, _)) = receipts.first_key_value() {
        return Err(VerifyError::Receipt { index });
    }
    let signs = |receipt: &&Receipt| receipt.index < checkpoint.size;
    if let Some(receipt) = options.receipts.iter().find(|receipt| !signs(receipt)) {
        return Err(VerifyError::ReceiptUnsigned { index: receipt.index, size: checkpoint.size });
    }
    Ok(Report {
        entries: tree.size(),
        signed_entries: checkpoint.size,
        unsigned_entries: tree.size() - checkpoint.size,
        origin: verifier.origin().to_string(),
        root,
        previous_size: previous.map(|previous| previous.size),
        receipts: options.receipts.len() as u64,
        key_was_expected: options.expected_vkey.is_some(),
        kinds,
    })
}

/// The lines of `entries.jsonl`, each bounded.
struct Lines {
    file: BufReader<File>,
    line: Vec<u8>,
}

impl Lines {
    fn open(path: &Path) -> Result<Self, VerifyError> {
        match File::open(path) {
            Ok(file) => {
                Ok(Self { file: BufReader::with_capacity(1 << 20, file), line: Vec::new() })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(VerifyError::MissingFile { file: ENTRIES_FILE })
            }
            Err(source) => Err(VerifyError::Io { file: ENTRIES_FILE, source }),
        }
    }

    fn next(&mut self, index: u64) -> Result<Option<&[u8]>, VerifyError> {
        self.line.clear();
        let read = (&mut self.file)
            .take(ENTRY_BYTES_MAX as u64 + 1)
            .read_until(b'\n', &mut self.line)
            .map_err(|source| VerifyError::Io { file: ENTRIES_FILE, source })?;
        match self.line.strip_suffix(b"\n") {
            None if read == 0 => Ok(None),
            None | Some([]) => Err(VerifyError::Line { index }),
            Some(line) => Ok(Some(line)),
        }
    }
}

fn read_file(path: &Path, file: &'static str) -> Result<Vec<u8>, VerifyError> {
    match disk::read_small(path) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(VerifyError::MissingFile { file }),
        Err(AuditError::Io { source, .. }) => Err(VerifyError::Io { file, source }),
        Err(_) => Err(VerifyError::Io { file, source: io::ErrorKind::Other.into() }),
    }
}

fn note_error(file: &'static str) -> impl FnOnce(NoteError) -> VerifyError {
    move |source| VerifyError::Note { file, source }
}

const PREVIOUS: &str = "the previous checkpoint";
const PROGRESS_ENTRIES: u64 = 1 << 16;

#[cfg(test)]
mod tests;
