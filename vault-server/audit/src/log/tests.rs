use std::fs::{self, File, OpenOptions};
use std::path::Path;

use tempfile::TempDir;
use vault_model::{SecretBytes, Timestamp};

use super::{Log, Opened, SEGMENT_BYTES_MIN};
use crate::segment::{HEADER_BYTES, file_name, list};
use crate::tree::{leaf_hash, root_of};
use crate::{AuditError, LogSigner, Origin, Reader};

mod damage;
mod golden;

fn origin() -> Origin {
    Origin::new("vault.example", "n1", 0).expect("origin")
}

fn signer(seed: u8) -> LogSigner {
    LogSigner::from_seed(origin(), &SecretBytes::new(vec![seed; 32])).expect("seed")
}

/// Opens with the smallest segments and returns the lines that were visited.
fn open(dir: &Path) -> Result<(Opened, Vec<Vec<u8>>), AuditError> {
    let mut lines = Vec::new();
    let now = Timestamp(1_000);
    let opened = Log::open(dir, &origin(), SEGMENT_BYTES_MIN, now, None, &mut |index, line| {
        assert_eq!(index, lines.len() as u64);
        lines.push(line.to_vec());
        Ok(())
    })?;
    Ok((opened, lines))
}

fn line(index: usize, bytes: usize) -> Vec<u8> {
    let text = format!("{{\"idx\":{index}}}");
    format!("{text:bytes$}").into_bytes()
}

/// A closed log of these batch sizes, with a checkpoint after batch number `signed` (from 1; 0: none).
fn write(dir: &Path, batches: &[usize], line_bytes: usize, signed: usize) -> Vec<Vec<u8>> {
    let (Opened { mut log, .. }, _) = open(dir).expect("open");
    let mut all = Vec::new();
    for (nth, count) in batches.iter().enumerate() {
        let lines: Vec<_> = (all.len()..all.len() + count).map(|i| line(i, line_bytes)).collect();
        let appended = log.append(&lines).expect("append");
        assert_eq!(appended.first_index, all.len() as u64);
        all.extend(lines);
        let leaves: Vec<_> = all.iter().map(|line| leaf_hash(line)).collect();
        assert_eq!(appended.root, root_of(&leaves));
        assert_eq!(appended.leaf_hashes, leaves[leaves.len() - count..]);
        assert_eq!(appended.size, all.len() as u64);
        if nth + 1 == signed {
            assert!(log.checkpoint(&signer(1)).expect("checkpoint").is_some());
        }
    }
    log.close().expect("close");
    all
}

fn read_all(dir: &Path) -> Vec<Vec<u8>> {
    let entries = Reader::open(dir).entries(0..u64::MAX).expect("entries");
    entries.map(|entry| entry.expect("entry").1).collect()
}

#[test]
fn space_written_ahead_is_no_part_of_the_log() {
    let folder = TempDir::new().expect("folder");
    let (Opened { mut log, .. }, _) = open(folder.path()).expect("open");
    log.append(&[line(0, 100)]).expect("append");
    assert!(log.write_ahead(4_096).expect("written"));
    assert!(!log.write_ahead(4_096).expect("there is enough"));
    // Up to the end of the segment, and then on in the next.
    for nth in 1..20 {
        log.append(&[line(nth, 8_000)]).expect("append");
        log.write_ahead(4_096).expect("written");
    }
    // As after a crash: what was reserved and written ahead stays in the file.
    drop(log);

    let (Opened { log, recovered, .. }, lines) = open(folder.path()).expect("open");
    assert_eq!((log.size(), recovered), (20, None));
    assert_eq!(lines.iter().map(Vec::len).collect::<Vec<_>>(), [&[100][..], &[8_000; 19]].concat());
}

#[test]
fn reads_back_what_was_appended() {
    let dir = TempDir::new().expect("dir");
    let all = write(dir.path(), &[1, 3, 64], 100, 2);
    let (opened, lines) = open(dir.path()).expect("open");

    assert_eq!(lines, all);
    assert_eq!(read_all(dir.path()), all);
    assert_eq!(opened.recovered, None);
    assert_eq!(opened.checkpoint.expect("checkpoint").size, 4);
    assert_eq!(opened.log.size(), 68);
    assert_eq!(Reader::open(dir.path()).size().expect("size"), 68);
}

#[test]
fn answers_with_the_root_at_any_size() {
    let dir = TempDir::new().expect("dir");
    let all = write(dir.path(), &[5, 5], 40, 0);
    let leaves: Vec<_> = all.iter().map(|line| leaf_hash(line)).collect();
    for size in 0..=10 {
        let now = Timestamp(0);
        let opened = Log::open(dir.path(), &origin(), 0, now, Some(size), &mut |_, _| Ok(()));
        assert_eq!(opened.expect("open").root_at, Some(root_of(&leaves[..size as usize])));
    }
    let opened = Log::open(dir.path(), &origin(), 0, Timestamp(0), Some(11), &mut |_, _| Ok(()));
    assert_eq!(opened.expect("open").root_at, None);
}

#[test]
fn rolls_over_and_truncates_what_is_full() {
    let dir = TempDir::new().expect("dir");
    let all = write(dir.path(), &[30; 20], 500, 20);
    let segments = list(dir.path()).expect("list");
    assert!(segments.len() > 4, "{segments:?}");
    for first_index in &segments {
        let bytes = fs::metadata(dir.path().join(file_name(*first_index))).expect("file").len();
        assert!(bytes <= SEGMENT_BYTES_MIN && bytes > HEADER_BYTES as u64);
    }

    let (opened, lines) = open(dir.path()).expect("open");
    assert_eq!(lines, all);
    drop(opened);
    let from_the_middle = Reader::open(dir.path()).entries(333..444).expect("entries");
    for (nth, entry) in from_the_middle.enumerate() {
        assert_eq!(entry.expect("entry"), (333 + nth as u64, all[333 + nth].clone()));
    }
    assert_eq!(read_all(dir.path()), all);
}

#[test]
fn rolls_into_the_segment_that_was_prepared() {
    let dir = TempDir::new().expect("dir");
    let (Opened { mut log, .. }, _) = open(dir.path()).expect("open");
    assert!(log.prepare_next().expect("prepare"));
    assert!(!log.prepare_next().expect("prepare"));
    for nth in 0..20 {
        log.append(&[line(nth, 8000)]).expect("append");
    }
    assert!(list(dir.path()).expect("list").len() > 1);
    assert!(log.prepare_next().expect("prepare"));
    drop(log);
    assert_eq!(open(dir.path()).expect("open").1.len(), 20);
}

#[test]
fn a_batch_wider_than_a_segment_gets_a_wider_segment() {
    let dir = TempDir::new().expect("dir");
    let all = write(dir.path(), &[1, 40, 1], 8192, 0);

    assert_eq!(open(dir.path()).expect("open").1, all);
}

#[test]
fn refuses_lines_that_do_not_fit_and_stays_usable() {
    let dir = TempDir::new().expect("dir");
    let (Opened { mut log, .. }, _) = open(dir.path()).expect("open");
    let long = vec![b'x'; 8193];
    for bad in [b"".as_slice(), b"a\nb", b"a\0", b"\xff", &long] {
        assert!(matches!(log.append(&[b"good".as_slice(), bad]), Err(AuditError::Line)));
    }
    assert!(matches!(log.append(&[b""; 0]), Err(AuditError::Line)));
    log.append(&[b"good"]).expect("append");
    assert_eq!(log.size(), 1);
}

#[test]
fn refuses_a_second_writer_and_not_a_reader() {
    let dir = TempDir::new().expect("dir");
    let (Opened { mut log, .. }, _) = open(dir.path()).expect("open");
    log.append(&[b"one"]).expect("append");

    assert!(matches!(open(dir.path()), Err(AuditError::Locked)));
    assert_eq!(read_all(dir.path()), [b"one"]);
    drop(log);
    assert_eq!(open(dir.path()).expect("open").1, [b"one"]);
}

#[test]
fn a_reader_follows_a_living_writer_across_segments() {
    let dir = TempDir::new().expect("dir");
    let (Opened { mut log, .. }, _) = open(dir.path()).expect("open");
    let path = dir.path().to_owned();
    let reader = std::thread::spawn(move || {
        let mut seen = 0;
        while seen < 600 {
            for entry in Reader::open(&path).entries(seen..u64::MAX).expect("entries") {
                let (index, found) = entry.expect("entry");
                assert_eq!((index, &found), (seen, &line(seen as usize, 700)));
                seen += 1;
            }
        }
    });
    for nth in 0..200 {
        let lines: Vec<_> = (nth * 3..nth * 3 + 3).map(|i| line(i, 700)).collect();
        log.append(&lines).expect("append");
    }
    reader.join().expect("reader");
}

/// Swaps the segment's descriptor for another file's, then appends.
fn append_to(path: &str) -> (Result<super::Appended, AuditError>, Log, TempDir) {
    let dir = TempDir::new().expect("dir");
    let (Opened { mut log, .. }, _) = open(dir.path()).expect("open");
    log.append(&[b"before"]).expect("append");
    log.file = OpenOptions::new().read(true).write(true).open(path).expect("device");
    let result = log.append(&[b"lost"]);
    (result, log, dir)
}

fn assert_poisoned(mut log: Log, dir: &TempDir) {
    assert!(matches!(log.append(&[b"more"]), Err(AuditError::Poisoned)));
    assert!(matches!(log.checkpoint(&signer(1)), Err(AuditError::Poisoned)));
    assert!(matches!(log.prepare_next(), Err(AuditError::Poisoned)));
    assert!(matches!(log.close(), Err(AuditError::Poisoned)));
    let (Opened { mut log, .. }, lines) = open(dir.path()).expect("a restart goes on");
    assert_eq!(lines, [b"before"]);
    log.append(&[b"after"]).expect("append");
}

#[test]
fn a_full_disk_is_told_apart_and_poisons() {
    let (result, log, dir) = append_to("/dev/full");
    assert!(matches!(result, Err(AuditError::DiskFull)));
    assert_poisoned(log, &dir);
}

#[test]
fn a_failed_sync_poisons() {
    // Takes every write, and has nothing to sync: fdatasync answers EINVAL.
    let (result, log, dir) = append_to("/dev/null");
    assert!(matches!(result, Err(AuditError::Io { what: "sync a batch", .. })));
    assert_poisoned(log, &dir);
}

#[test]
fn a_failed_write_poisons() {
    let dir = TempDir::new().expect("dir");
    let (Opened { mut log, .. }, _) = open(dir.path()).expect("open");
    log.append(&[b"before"]).expect("append");
    log.file = File::open(dir.path().join(file_name(0))).expect("read-only");
    let result = log.append(&[b"lost"]);
    assert!(matches!(result, Err(AuditError::Io { what: "write a batch", .. })));
    assert_poisoned(log, &dir);
}

#[test]
fn a_failed_roll_poisons() {
    let dir = TempDir::new().expect("dir");
    let (Opened { mut log, .. }, _) = open(dir.path()).expect("open");
    log.append(&[b"before"]).expect("append");
    log.next_is_ready = true; // and is not there
    log.offset = log.capacity;
    assert!(matches!(log.append(&[b"lost"]), Err(AuditError::Io { .. })));
    assert_poisoned(log, &dir);
}

#[test]
fn checkpoints_only_when_grown_and_only_with_its_key() {
    let dir = TempDir::new().expect("dir");
    let (Opened { mut log, .. }, _) = open(dir.path()).expect("open");
    assert_eq!(log.checkpoint(&signer(1)).expect("empty"), None);
    log.append(&[b"one"]).expect("append");
    let note = log.checkpoint(&signer(1)).expect("checkpoint").expect("grown");
    assert_eq!(fs::read_to_string(dir.path().join("checkpoint")).expect("file"), note);
    assert_eq!(log.checkpoint(&signer(1)).expect("checkpoint"), None);
    assert!(matches!(log.checkpoint(&signer(2)), Err(AuditError::KeyMismatch)));
    drop(log);

    let (Opened { mut log, .. }, _) = open(dir.path()).expect("open");
    assert!(matches!(log.checkpoint(&signer(2)), Err(AuditError::KeyMismatch)));
    assert_eq!(log.checkpoint(&signer(1)).expect("checkpoint"), None);
}
