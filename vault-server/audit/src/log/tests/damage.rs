//! What a start makes of files that are not what was written.

use std::fs::{self, OpenOptions};

use proptest::prelude::*;
use tempfile::TempDir;
use vault_model::Timestamp;

use super::{open, origin, write};
use crate::log::SEGMENT_BYTES_MIN;
use crate::segment::{COMMIT_BYTES, HEADER_BYTES, file_name, frame_bytes, list};
use crate::{AuditError, Log, Origin, Reader};

#[test]
fn refuses_a_log_shorter_than_its_checkpoint() {
    let dir = TempDir::new().expect("dir");
    write(dir.path(), &[2, 2], 40, 2);
    let path = dir.path().join(file_name(0));
    let whole = fs::read(&path).expect("segment");
    let first_batch = HEADER_BYTES + 2 * frame_bytes(40) + COMMIT_BYTES;
    fs::write(&path, &whole[..first_batch]).expect("cut");

    assert!(matches!(
        open(dir.path()),
        Err(AuditError::ShorterThanCheckpoint { size: 2, checkpoint: 4 })
    ));
    fs::remove_file(&path).expect("remove");
    assert!(matches!(
        open(dir.path()),
        Err(AuditError::ShorterThanCheckpoint { size: 0, checkpoint: 4 })
    ));
}

#[test]
fn refuses_another_log_than_its_checkpoint_signs() {
    let (dir, other) = (TempDir::new().expect("dir"), TempDir::new().expect("dir"));
    write(dir.path(), &[3], 40, 1);
    write(other.path(), &[3], 41, 0);
    fs::copy(other.path().join(file_name(0)), dir.path().join(file_name(0))).expect("copy");

    assert!(matches!(open(dir.path()), Err(AuditError::DiffersFromCheckpoint { size: 3 })));
}

#[test]
fn refuses_checkpoints_that_do_not_verify() {
    let dir = TempDir::new().expect("dir");
    write(dir.path(), &[3], 40, 1);
    let path = dir.path().join("checkpoint");
    let note = fs::read_to_string(&path).expect("note");
    fs::write(&path, note.replace("\n3\n", "\n2\n")).expect("edit");
    assert!(matches!(open(dir.path()), Err(AuditError::Checkpoint { file: "checkpoint", .. })));

    fs::write(&path, note).expect("restore");
    fs::remove_file(dir.path().join("log.vkey")).expect("remove");
    assert!(matches!(open(dir.path()), Err(AuditError::Checkpoint { file: "checkpoint", .. })));
}

#[test]
fn refuses_missing_foreign_and_damaged_closed_segments() {
    let dir = TempDir::new().expect("dir");
    write(dir.path(), &[30; 20], 500, 0);
    let segments = list(dir.path()).expect("list");
    let path = dir.path().join(file_name(segments[1]));
    let whole = fs::read(&path).expect("segment");

    fs::remove_file(&path).expect("remove");
    assert!(matches!(open(dir.path()), Err(AuditError::Damaged { offset: 0, .. })));
    assert!(Reader::open(dir.path()).entries(0..600).expect("entries").any(|e| e.is_err()));

    // The last batch, which in the last segment would be taken for torn.
    let mut bad = whole.clone();
    *bad.last_mut().expect("byte") ^= 1;
    fs::write(&path, &bad).expect("write");
    assert!(matches!(open(dir.path()), Err(AuditError::Damaged { .. })));
    assert!(Reader::open(dir.path()).entries(0..600).expect("entries").any(|e| e.is_err()));

    fs::write(&path, &whole).expect("write");
    assert!(open(dir.path()).is_ok());
    let stranger = Origin::new("vault.example", "n2", 0).expect("origin");
    let opened = Log::open(dir.path(), &stranger, 0, Timestamp(0), None, &mut |_, _| Ok(()));
    assert!(matches!(opened.err(), Some(AuditError::Damaged { offset: 0, .. })));
}

#[test]
fn hands_on_the_visitors_error() {
    let dir = TempDir::new().expect("dir");
    write(dir.path(), &[3], 40, 0);
    let visit: &mut crate::Visit<'_> =
        &mut |index, _| if index == 2 { Err("no".into()) } else { Ok(()) };
    let opened = Log::open(dir.path(), &origin(), 0, Timestamp(0), None, visit);

    assert!(matches!(opened.err(), Some(AuditError::Visit { index: 2, .. })));
}

/// Ends of whole batches in a segment of these batches, with the size there.
fn borders(batches: &[usize], line_bytes: usize) -> Vec<(usize, usize)> {
    let mut at = (HEADER_BYTES, 0);
    let mut borders = vec![at];
    for count in batches {
        at = (at.0 + count * frame_bytes(line_bytes) + COMMIT_BYTES, at.1 + count);
        borders.push(at);
    }
    borders
}

#[test]
fn truncation_at_every_byte_leaves_whole_batches() {
    let (batches, line_bytes) = ([2, 1, 3], 21);
    let dir = TempDir::new().expect("dir");
    let all = write(dir.path(), &batches, line_bytes, 0);
    let whole = fs::read(dir.path().join(file_name(0))).expect("segment");
    let borders = borders(&batches, line_bytes);
    assert_eq!(borders.last().expect("border").0, whole.len());

    for cut in 0..=whole.len() {
        let dir = TempDir::new().expect("dir");
        fs::write(dir.path().join(file_name(0)), &whole[..cut]).expect("write");
        let opened = open(dir.path());
        if cut < HEADER_BYTES {
            assert!(matches!(opened.err(), Some(AuditError::Damaged { .. })), "cut {cut}");
            continue;
        }
        let (opened, lines) = opened.expect("open");
        let (end, size) = *borders.iter().rev().find(|(end, _)| *end <= cut).expect("border");
        assert_eq!(lines, all[..size], "cut {cut}");
        let torn = &whole[end..cut];
        let torn = &torn[..torn.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1)];
        match opened.recovered {
            None => assert!(torn.is_empty(), "cut {cut}"),
            Some(recovered) => {
                assert_eq!(
                    (recovered.cut_bytes, recovered.offset),
                    (torn.len() as u64, end as u64)
                );
                assert_eq!(fs::read(dir.path().join(recovered.torn_file)).expect("torn"), torn);
            }
        }
        let mut log = opened.log;
        log.append(&[b"next"]).expect("append");
        drop(log);
        assert_eq!(open(dir.path()).expect("open again").1.len(), size + 1, "cut {cut}");
    }
}

#[test]
fn a_flipped_bit_is_refused_or_was_in_the_last_batch() {
    let (batches, line_bytes) = ([2, 1, 3], 21);
    let dir = TempDir::new().expect("dir");
    let all = write(dir.path(), &batches, line_bytes, 0);
    let whole = fs::read(dir.path().join(file_name(0))).expect("segment");
    let borders = borders(&batches, line_bytes);
    let last_batch = borders[borders.len() - 2];

    for bit in 0..whole.len() * 8 {
        // All bits of the last batch, one of each byte before: the rule there is the same.
        if bit / 8 < last_batch.0 && bit % 8 != bit / 8 % 8 {
            continue;
        }
        let dir = TempDir::new().expect("dir");
        let mut bad = whole.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        fs::write(dir.path().join(file_name(0)), &bad).expect("write");
        let opened = open(dir.path());
        if bit / 8 < last_batch.0 {
            assert!(matches!(opened.err(), Some(AuditError::Damaged { .. })), "bit {bit}");
            let names = fs::read_dir(dir.path()).expect("list");
            assert!(!names.map(|e| e.expect("name").file_name()).any(|name| is_torn(&name)));
            assert_eq!(fs::read(dir.path().join(file_name(0))).expect("segment"), bad);
        } else {
            let (opened, lines) = opened.expect("open");
            assert_eq!(lines, all[..last_batch.1], "bit {bit}");
            assert!(opened.recovered.is_some(), "bit {bit}");
        }
    }
}

#[test]
fn a_flipped_bit_before_the_checkpoint_is_refused_even_in_the_last_batch() {
    let (batches, line_bytes) = ([2, 1, 3], 21);
    let dir = TempDir::new().expect("dir");
    write(dir.path(), &batches, line_bytes, 3);
    let path = dir.path().join(file_name(0));
    let whole = fs::read(&path).expect("segment");
    for at in 0..whole.len() {
        let mut bad = whole.clone();
        bad[at] ^= 0x10;
        fs::write(&path, &bad).expect("write");
        let error = open(dir.path()).err();
        assert!(
            matches!(
                error,
                Some(AuditError::Damaged { .. } | AuditError::ShorterThanCheckpoint { .. })
            ),
            "byte {at}: {error:?}"
        );
        assert_eq!(fs::read(&path).expect("segment"), bad);
    }
    fs::write(&path, &whole).expect("write");
    assert!(open(dir.path()).is_ok());
}

#[test]
fn a_batch_whose_first_page_never_reached_the_disk_is_torn() {
    let dir = TempDir::new().expect("dir");
    let all = write(dir.path(), &[2, 4], 2000, 0);
    let path = dir.path().join(file_name(0));
    let mut bytes = fs::read(&path).expect("segment");
    let border = borders(&[2, 4], 2000)[1].0;
    bytes[border..border + 4096].fill(0);
    bytes.resize(SEGMENT_BYTES_MIN as usize, 0);
    fs::write(&path, &bytes).expect("write");
    let (opened, lines) = open(dir.path()).expect("open");

    assert_eq!(lines, all[..2]);
    let cut = opened.recovered.expect("recovered");
    // The zeros at the end of the commit frame cannot be told from reserved space.
    let last = bytes.iter().rposition(|&b| b != 0).expect("byte");
    assert_eq!(cut.cut_bytes, (last + 1 - border) as u64);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn recovery_after_any_truncation_is_a_prefix_that_ends_at_a_commit(
        batches in proptest::collection::vec(1usize..12, 1..40),
        line_bytes in 12usize..900,
        cut in any::<proptest::sample::Index>(),
    ) {
        let dir = TempDir::new().expect("dir");
        let all = write(dir.path(), &batches, line_bytes, 0);
        let last = list(dir.path()).expect("list").pop().expect("segment");
        let file = OpenOptions::new().write(true).open(dir.path().join(file_name(last)));
        let file = file.expect("segment");
        let bytes = file.metadata().expect("metadata").len() as usize;
        let cut = HEADER_BYTES + cut.index(bytes - HEADER_BYTES + 1);
        file.set_len(cut as u64).expect("cut");
        let (opened, lines) = open(dir.path()).expect("open");

        let ends: Vec<usize> =
            batches.iter().scan(0, |end, count| { *end += count; Some(*end) }).collect();
        prop_assert!(lines.is_empty() || ends.contains(&lines.len()));
        prop_assert!(lines.len() as u64 >= last);
        prop_assert_eq!(&lines[..], &all[..lines.len()]);
        prop_assert_eq!(opened.log.size(), lines.len() as u64);
    }

    #[test]
    fn a_power_cut_that_keeps_any_sectors_of_the_last_batch_loses_only_that(
        batches in proptest::collection::vec(1usize..12, 1..6),
        line_bytes in 12usize..900,
        kept in proptest::collection::vec(any::<bool>(), 32),
    ) {
        let dir = TempDir::new().expect("dir");
        let all = write(dir.path(), &batches, line_bytes, 0);
        let path = dir.path().join(file_name(0));
        let mut bytes = fs::read(&path).expect("segment");
        let borders = borders(&batches, line_bytes);
        let (last_batch, durable) = borders[borders.len() - 2];
        prop_assert_eq!(borders[borders.len() - 1].0, bytes.len());
        for at in last_batch..bytes.len() {
            if !kept[at / 512 % kept.len()] {
                bytes[at] = 0;
            }
        }
        let whole = bytes == fs::read(&path).expect("segment");
        bytes.resize(SEGMENT_BYTES_MIN as usize, 0);
        fs::write(&path, &bytes).expect("write");
        let (opened, lines) = open(dir.path()).expect("open");

        prop_assert_eq!(&lines[..], if whole { &all[..] } else { &all[..durable] });
        prop_assert!(!whole || opened.recovered.is_none());
    }

    #[test]
    fn arbitrary_bytes_as_a_segment_never_panic(
        noise in proptest::collection::vec(any::<u8>(), 0..2000),
        keep in any::<proptest::sample::Index>(),
    ) {
        let dir = TempDir::new().expect("dir");
        write(dir.path(), &[2, 1, 3], 21, 0);
        let path = dir.path().join(file_name(0));
        let mut bytes = fs::read(&path).expect("segment");
        bytes.truncate(keep.index(bytes.len() + 1));
        bytes.extend_from_slice(&noise);
        fs::write(&path, &bytes).expect("write");
        if let Ok((opened, lines)) = open(dir.path()) {
            prop_assert_eq!(opened.log.size(), lines.len() as u64);
        }
    }
}

fn is_torn(name: &std::ffi::OsStr) -> bool {
    name.to_string_lossy().starts_with("torn-")
}
