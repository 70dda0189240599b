//! Snapshots on disk, beside a log.

use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use tempfile::TempDir;
use vault_audit::{
    AuditError, Log, LogSigner, Origin, Place, SEGMENT_BYTES_MIN, SNAPSHOT_FILE, Snapshot,
};
use vault_model::{SecretBytes, Timestamp};
use vault_policy::Span;

use super::super::{MakeError, Maker, Read, Setup, read};
use super::event::{event, lines};
use crate::start::{LogFiles, Taken, load, read_log};
use crate::writer::Durable;

const ENTRIES: usize = 200;

fn origin() -> Origin {
    Origin::new("vault.example", "n1", 0).expect("origin")
}

fn signer(seed: u8) -> LogSigner {
    LogSigner::from_seed(origin(), &SecretBytes::new(vec![seed; 32])).expect("seed")
}

/// A log's folder, and the lines that come into it.
struct Bed {
    dir: TempDir,
    lines: Vec<Vec<u8>>,
}

impl Bed {
    fn new(lines: Vec<Vec<u8>>) -> Self {
        let bed = Self { dir: TempDir::new().expect("dir"), lines };
        bed.append(0, 0);
        bed
    }

    /// 200 entries of all kinds, long enough for several segments.
    fn long() -> Self {
        let mut runner = TestRunner::deterministic();
        let events = vec(event(), ENTRIES).new_tree(&mut runner).expect("events").current();
        let padded = |line: Vec<u8>| {
            let text = String::from_utf8(line).expect("text");
            text.replacen('{', &format!("{{{:700}", ""), 1).into_bytes()
        };
        Self::new(lines(&events).into_iter().map(padded).collect())
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Appends the lines from one to another, a few in each batch, and signs a checkpoint.
    fn append(&self, from: usize, to: usize) {
        let now = Timestamp(1_000);
        let visit = &mut |_, _: &[u8]| Ok(());
        let opened = Log::open(self.path(), &origin(), SEGMENT_BYTES_MIN, now, None, visit);
        let mut log = opened.expect("a log").log;
        assert_eq!(log.size(), from as u64);
        for batch in self.lines[from..to].chunks(3) {
            log.append(batch).expect("append");
        }
        log.checkpoint(&signer(1)).expect("checkpoint");
        log.close().expect("close");
    }

    fn maker(&self, keys: Span, last: Option<super::super::Last>) -> Maker {
        let setup = Setup {
            audit: self.path().to_owned(),
            origin: origin(),
            durable: Durable::default(),
            keys,
            every: 1,
            last,
        };
        Maker::new(setup, Default::default())
    }

    /// Writes a snapshot of so many entries.
    fn snapshot(&self, keys: Span, size: usize) {
        let written: Result<u64, MakeError> =
            self.maker(keys, None).try_make(&signer(1), size as u64);
        assert_eq!(written.expect("written"), self.file().len() as u64);
    }

    fn read(&self, keys: Span, uses_snapshot: bool, head: u64) -> Result<Taken, AuditError> {
        let files = LogFiles {
            audit: self.path().to_owned(),
            origin: &origin(),
            segment_bytes: SEGMENT_BYTES_MIN,
            keys,
        };
        let snapshot = if uses_snapshot { load(&files.audit) } else { Ok(None) };
        read_log(&files, snapshot, head, Timestamp(1_000))
    }

    /// Reads the log both ways: what comes out must be the same. Returns what the entry of the start
    /// says of it.
    fn compare(&self, head: u64) -> Option<(&'static str, String)> {
        let whole = self.read(Span::DAY, false, head).expect("whole");
        whole.opened.log.close().expect("close");
        let taken = self.read(Span::DAY, true, head).expect("whole");
        taken.opened.log.close().expect("close");
        assert_eq!(taken.past, whole.past);
        assert_eq!(taken.opened.place, whole.opened.place);
        assert_eq!(taken.opened.root_at, whole.opened.root_at);
        assert_eq!(taken.opened.checkpoint, whole.opened.checkpoint);
        assert_eq!(whole.read.detail(), None);
        taken.read.detail()
    }

    fn file(&self) -> Vec<u8> {
        fs::read(self.path().join(SNAPSHOT_FILE)).expect("a snapshot")
    }

    fn put(&self, bytes: &[u8]) {
        fs::write(self.path().join(SNAPSHOT_FILE), bytes).expect("written");
    }

    fn first_segment(&self) -> std::path::PathBuf {
        self.path().join(format!("seg-{:020}.seg", 0))
    }
}

fn refused(code: &str) -> Option<(&'static str, String)> {
    Some(("snapshot_refused", code.to_owned()))
}

fn used(size: usize) -> Option<(&'static str, String)> {
    Some(("snapshot", size.to_string()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_start_from_snapshots_finds_what_one_from_the_beginning_does(
        events in vec(event(), 1..90), steps in vec((1usize..30, any::<bool>()), 1..6), head in 0u64..90,
    ) {
        let bed = Bed::new(lines(&events));
        let (mut size, mut last) = (0, None);
        for (step, snapshots) in steps {
            let to = (size + step).min(bed.lines.len());
            bed.append(size, to);
            size = to;
            if snapshots {
                bed.snapshot(Span::DAY, size);
                last = used(size);
            }
            prop_assert_eq!(bed.compare(head), last.clone());
        }
    }
}

#[test]
fn a_snapshot_that_was_cut_or_changed_anywhere_is_not_used() {
    let bed = Bed::long();
    bed.append(0, 150);
    bed.snapshot(Span::DAY, 150);
    bed.append(150, ENTRIES);
    let file = bed.file();
    assert_eq!(bed.compare(7), used(150));

    for len in (0..file.len()).step_by(file.len() / 9) {
        // What a kill leaves: a part, under the other name.
        fs::write(bed.path().join("snapshot.tmp"), &file[..len]).expect("written");
        assert_eq!(bed.compare(7), used(150));
        // And what none does.
        bed.put(&file[..len]);
        assert!(matches!(bed.compare(7), Some(("snapshot_refused", _))), "{len}");
        bed.put(&file);
    }
    for at in (0..file.len()).step_by(file.len() / 50) {
        let mut bad = file.clone();
        bad[at] ^= 1;
        bed.put(&bad);
        assert!(matches!(bed.compare(7), Some(("snapshot_refused", _))), "{at}");
    }
    // One that is not used is not built on either; what a kill has left is in nobody's way.
    bed.snapshot(Span::DAY, ENTRIES);
    assert_eq!(bed.compare(7), used(ENTRIES));
    fs::remove_file(bed.path().join(SNAPSHOT_FILE)).expect("removed");
    assert_eq!(bed.compare(7), None);
}

#[test]
fn an_older_snapshot_is_only_a_longer_way() {
    let bed = Bed::long();
    bed.append(0, 60);
    bed.snapshot(Span::DAY, 60);
    let old = bed.file();
    bed.append(60, ENTRIES);
    bed.snapshot(Span::DAY, ENTRIES);
    bed.put(&old);
    assert_eq!(bed.compare(61), used(60));
}

#[test]
fn a_snapshot_of_another_log_or_by_another_key_is_not_used() {
    let bed = Bed::long();
    bed.append(0, 60);
    // Of the same origin and by the same key: only the entries are others.
    let mut lines = Bed::long().lines;
    lines.rotate_left(1);
    let other = Bed::new(lines);
    other.append(0, 60);
    other.snapshot(Span::DAY, 60);
    bed.put(&other.file());
    assert_eq!(bed.compare(7), refused("LOG"));

    // Of more entries than there are.
    let longer = Bed::long();
    longer.append(0, 120);
    longer.snapshot(Span::DAY, 120);
    bed.put(&longer.file());
    assert_eq!(bed.compare(7), refused("LOG"));

    let write = |seed| {
        let place = Place::default();
        Snapshot::write(bed.path(), &signer(seed), &place, |_| {}, &mut |_| Ok(()))
            .expect("written");
    };
    write(2);
    assert_eq!(bed.compare(7), refused("NOT_SIGNED"));
    // Signed, and of this log, but not what a start takes from it.
    write(1);
    assert_eq!(bed.compare(7), refused("FORMAT"));
}

#[test]
fn a_segment_that_is_gone_is_found_though_it_is_not_read() {
    let bed = Bed::long();
    bed.append(0, ENTRIES);
    bed.snapshot(Span::DAY, ENTRIES);
    assert_eq!(bed.compare(7), used(ENTRIES));
    fs::remove_file(bed.first_segment()).expect("removed");
    assert!(matches!(bed.read(Span::DAY, true, 7), Err(AuditError::Damaged { .. })));
}

#[test]
fn damage_that_a_start_does_not_read_is_found_afterwards_and_takes_the_snapshot_away() {
    let bed = Bed::long();
    bed.append(0, ENTRIES);
    bed.snapshot(Span::DAY, ENTRIES);
    let maker = || {
        let taken = bed.read(Span::DAY, true, ENTRIES as u64).expect("from the snapshot");
        taken.opened.log.close().expect("close");
        bed.maker(Span::DAY, taken.read.last)
    };
    let read_all = |maker: &mut Maker| {
        let segments = maker.setup.last.as_ref().expect("a snapshot").place.segments();
        assert!(segments > 2);
        (0..=segments).for_each(|_| maker.read_unread());
    };
    let mut sound = maker();
    read_all(&mut sound);
    assert!(sound.setup.last.is_none() && sound.setup.every == 1);

    let mut bytes = fs::read(bed.first_segment()).expect("segment");
    bytes[200] ^= 1;
    fs::write(bed.first_segment(), bytes).expect("changed");
    let mut finds = maker();
    read_all(&mut finds);
    assert_eq!(finds.setup.every, 0, "no snapshot covers it up");
    assert!(finds.patience.flags.damaged.load(std::sync::atomic::Ordering::Relaxed));
    assert!(!bed.path().join(SNAPSHOT_FILE).exists());
    assert!(matches!(bed.read(Span::DAY, true, 7), Err(AuditError::Damaged { .. })));
}

#[test]
fn a_snapshot_that_remembers_orders_for_too_short_is_not_used() {
    let bed = Bed::long();
    let hour: Span = "1h".parse().expect("a span");
    bed.append(0, ENTRIES);
    bed.snapshot(hour, ENTRIES);
    let detail = |keys| bed.read(keys, true, 7).expect("whole").read.detail();
    // Nothing was forgotten yet: the log is short.
    assert_eq!((detail(hour), detail(Span::DAY)), (used(ENTRIES), used(ENTRIES)));

    // As a log of more than 65,536 orders would have it.
    let key = signer(1).verifier();
    let tidied = |keys| {
        let read = read(bed.path(), &key, hour).expect("sound").expect("a snapshot");
        let Read { mut past, place, .. } = read;
        past.set_keys(keys);
        past.tidy();
        Snapshot::write(bed.path(), &signer(1), &place, |pack| past.pack(pack), &mut |_| Ok(()))
            .expect("written");
    };
    // For a day first: what is forgotten stays so.
    tidied(Span::DAY);
    assert_eq!((detail(hour), detail(Span::DAY)), (used(ENTRIES), used(ENTRIES)));
    tidied(hour);
    assert_eq!((detail(hour), detail(Span::DAY)), (used(ENTRIES), refused("FORGOTTEN")));
}
