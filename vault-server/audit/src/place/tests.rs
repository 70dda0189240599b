use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use tempfile::TempDir;
use vault_model::{Pack, Timestamp, Unpack};

use super::Place;
use crate::log::SEGMENT_BYTES_MIN;
use crate::segment::{HEADER_BYTES, file_name, list};
use crate::tree::{leaf_hash, root_of};
use crate::{AuditError, Log, Opened, Origin};

fn origin() -> Origin {
    Origin::new("vault.example", "n1", 0).expect("origin")
}

fn open(dir: &Path, from: &Place, root_at: Option<u64>) -> Result<(Opened, Vec<u64>), AuditError> {
    let mut seen = Vec::new();
    let visit = &mut |index, _: &[u8]| {
        seen.push(index);
        Ok(())
    };
    let now = Timestamp(1_000);
    Log::open_from(from, dir, &origin(), SEGMENT_BYTES_MIN, now, root_at, visit)
        .map(|opened| (opened, seen))
}

fn line(index: u64, bytes: usize) -> Vec<u8> {
    let text = format!("{{\"idx\":{index}}}");
    format!("{text:bytes$}").into_bytes()
}

/// Appends batches of so many lines to a log; 5,000 bytes each, so that a segment holds some dozen.
fn append(dir: &Path, batches: &[usize]) -> Place {
    let (Opened { mut log, .. }, _) = open(dir, &Place::default(), None).expect("open");
    for count in batches {
        let begin = log.size();
        let lines: Vec<_> = (begin..begin + *count as u64).map(|i| line(i, 5_000)).collect();
        log.append(&lines).expect("append");
    }
    log.close().expect("close");
    let mut place = Place::default();
    let to = batches.iter().sum::<usize>() as u64;
    place.read_on(dir, &origin(), to, &mut |_, _| Ok(())).expect("whole");
    place
}

fn packed(place: &Place) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut pack = Pack::new(&mut bytes);
    place.pack(&mut pack);
    pack.finish().expect("memory takes it");
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn what_is_read_from_a_place_is_what_is_read_from_the_beginning(
        before in vec(1usize..9, 0..12), after in vec(1usize..9, 0..12), roots in vec(0u64..120, 2),
    ) {
        let dir = TempDir::new().expect("dir");
        append(dir.path(), &before);
        let mut place = Place::default();
        let passed = before.iter().sum::<usize>() as u64;
        place.read_on(dir.path(), &origin(), passed, &mut |_, _| Ok(())).expect("whole");
        prop_assert_eq!(place.tree().size(), passed);
        let bytes = packed(&place);
        let mut unpack = Unpack::new(&bytes);
        prop_assert_eq!(Place::unpack(&mut unpack), Ok(place.clone()));
        prop_assert_eq!(unpack.left(), 0);

        append(dir.path(), &after);
        let size = passed + after.iter().sum::<usize>() as u64;
        let leaves: Vec<_> = (0..size).map(|index| leaf_hash(&line(index, 5_000))).collect();
        for root_at in roots {
            let (whole, all) = open(dir.path(), &Place::default(), Some(root_at)).expect("whole");
            whole.log.close().expect("close");
            let (rest, tail) = open(dir.path(), &place, Some(root_at)).expect("from the place");
            rest.log.close().expect("close");
            prop_assert_eq!(all, (0..size).collect::<Vec<_>>());
            prop_assert_eq!(tail, (passed..size).collect::<Vec<_>>());
            prop_assert_eq!(&rest.place, &whole.place);
            prop_assert_eq!(rest.root_at, whole.root_at);
            let known = usize::try_from(root_at).ok().and_then(|size| leaves.get(..size));
            prop_assert_eq!(rest.root_at, known.map(root_of));
        }
        for nth in 0..place.segments() {
            let read = place.check_segment(dir.path(), &origin(), nth, &mut |_, _| Ok(()));
            prop_assert!(read.is_ok());
        }
    }

    #[test]
    fn any_bytes_are_refused_or_have_one_form(bytes in vec(any::<u8>(), 0..200)) {
        let mut unpack = Unpack::new(&bytes);
        if let Ok(place) = Place::unpack(&mut unpack) {
            let read = bytes.len() - unpack.left();
            prop_assert_eq!(packed(&place), &bytes[..read]);
        }
    }
}

/// A log of several segments and a place in the middle of the last.
fn log() -> (TempDir, Place) {
    let dir = TempDir::new().expect("dir");
    let place = append(dir.path(), &[5; 8]);
    assert!(place.segments() > 2 && place.end > HEADER_BYTES as u64);
    append(dir.path(), &[5; 2]);
    (dir, place)
}

fn refused(dir: &Path, place: &Place) -> &'static str {
    match open(dir, place, None) {
        Err(AuditError::Damaged { what, .. }) => what,
        Err(other) => panic!("{other}"),
        Ok(_) => "",
    }
}

#[test]
fn segments_before_the_place_must_be_there_and_end_as_they_did() {
    let (dir, place) = log();
    let first = dir.path().join(file_name(0));
    let whole = fs::read(&first).expect("segment");
    assert_eq!(refused(dir.path(), &place), "");

    // A crash between the next segment and the end of this one leaves its zeros.
    let with_zeros = [whole.as_slice(), &[0; 70_000]].concat();
    fs::write(&first, with_zeros).expect("written");
    assert_eq!(refused(dir.path(), &place), "");

    for cut in [whole.len() - 1, whole.len() - 8, whole.len() - 56, 64, 0] {
        fs::write(&first, &whole[..cut]).expect("cut");
        assert_ne!(refused(dir.path(), &place), "", "{cut}");
    }
    let mut changed = whole.clone();
    let at = whole.len() - 30;
    changed[at] ^= 1;
    fs::write(&first, &changed).expect("changed");
    assert_eq!(refused(dir.path(), &place), "the segment does not end as it did");
    fs::remove_file(&first).expect("removed");
    assert_eq!(refused(dir.path(), &place), "entries before this segment are missing");
}

#[test]
fn a_place_of_another_log_is_refused_and_nothing_is_changed() {
    let (dir, place) = log();
    let files = |dir: &Path| {
        let names = list(dir).expect("segments");
        let read = |first: &u64| fs::read(dir.join(file_name(*first))).expect("segment");
        names.iter().map(read).collect::<Vec<_>>()
    };
    let before = files(dir.path());
    let other = TempDir::new().expect("dir");
    let shorter = append(other.path(), &[4; 9]);
    for bad in [
        shorter,
        Place { end: place.end - 8, ..place.clone() },
        Place { last_commit: place.last_commit - 8, ..place.clone() },
        Place { tree: place.segments[0].clone(), ..place.clone() },
        Place { segments: place.segments[1..].to_vec(), ..place.clone() },
    ] {
        assert_ne!(refused(dir.path(), &bad), "");
    }
    assert!(files(dir.path()) == before);
}

#[test]
fn bytes_that_changed_behind_the_place_are_found_by_who_reads_them() {
    let (dir, place) = log();
    let first = dir.path().join(file_name(0));
    let mut bytes = fs::read(&first).expect("segment");
    bytes[100] ^= 1;
    fs::write(&first, &bytes).expect("changed");

    assert_eq!(refused(dir.path(), &place), "", "a start does not read it");
    assert_ne!(refused(dir.path(), &Place::default()), "");
    let check = |nth| place.check_segment(dir.path(), &origin(), nth, &mut |_, _| Ok(()));
    assert!(matches!(check(0), Err(AuditError::Damaged { .. })));
    assert!(check(1).is_ok());
}

#[test]
fn who_reads_beside_the_writer_gets_all_that_is_durable() {
    let dir = TempDir::new().expect("dir");
    let (Opened { mut log, .. }, _) = open(dir.path(), &Place::default(), None).expect("open");
    let mut place = Place::default();
    let mut seen = Vec::new();
    for round in 0..60u64 {
        let size = log.append(&[line(round, 5_000)]).expect("append").size;
        // Not each time: whole segments lie between two looks too.
        if round % 25 == 0 || round == 59 {
            let visit = &mut |index, _: &[u8]| {
                seen.push(index);
                Ok(())
            };
            place.read_on(dir.path(), &origin(), size, visit).expect("whole");
            assert_eq!((place.tree().size(), place.tree().root()), (size, log.root()));
        }
    }
    assert_eq!(seen, (0..60).collect::<Vec<_>>());
    assert!(place.segments() > 3);
}
