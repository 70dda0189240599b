//! What is read on from a snapshot is what is read from the beginning, whatever the log is and wherever
//! the snapshot was taken; and a snapshot that is not the log's own changes nothing.

mod event;
mod file;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use vault_model::{Pack, Unpack};
use vault_policy::Span;

use self::event::{Event, event, lines};
use super::rewrite;
use crate::start::Past;

fn packed(past: &Past) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut pack = Pack::new(&mut bytes);
    past.pack(&mut pack);
    pack.finish().expect("memory takes it");
    bytes
}

/// Takes entries from this index on.
fn visit(past: &mut Past, lines: &[Vec<u8>], from: usize) {
    for (index, line) in lines.iter().enumerate().skip(from) {
        past.visit(index as u64, line).expect("an entry of ours");
    }
}

/// What entries make of a past that is written down and read again at these places.
fn interrupted(lines: &[Vec<u8>], keys: Span, cuts: &[usize]) -> Past {
    let mut past = Past::new(keys);
    for (index, line) in lines.iter().enumerate() {
        if cuts.contains(&index) {
            let bytes = packed(&past);
            let mut unpack = Unpack::new(&bytes);
            past = Past::unpack(&mut unpack).expect("as it was written");
            assert_eq!(unpack.left(), 0);
            assert!(packed(&past) == bytes, "there is one way to write it");
        }
        past.visit(index as u64, line).expect("an entry of ours");
    }
    past
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn a_past_that_was_written_down_goes_on_as_one_that_was_not(
        events in vec(event(), 0..60), cuts in vec(0usize..60, 0..4),
    ) {
        let lines = lines(&events);
        let mut whole = Past::new(Span::DAY);
        visit(&mut whole, &lines, 0);
        prop_assert_eq!(interrupted(&lines, Span::DAY, &cuts), whole);
    }

    #[test]
    fn any_bytes_are_refused_or_have_one_form(
        events in vec(event(), 0..12), changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut past = Past::new(Span::DAY);
        visit(&mut past, &lines(&events), 0);
        let mut bytes = vec![0; 4];
        bytes.extend(packed(&past));
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(again) = rewrite(&bytes) {
            prop_assert_eq!(again, bytes);
        }
    }
}

#[test]
fn every_kind_of_entry_leaves_something_in_a_snapshot() {
    // Else the tests above would hold for a snapshot of nothing.
    let of = |events: &[Event]| {
        let mut past = Past::new(Span::DAY);
        visit(&mut past, &lines(events), 0);
        packed(&past)
    };
    let nothing = of(&[]);
    for event in Event::one_of_each() {
        assert_ne!(of(std::slice::from_ref(&event)), nothing, "{event:?}");
    }
}

#[test]
#[ignore = "writes the seeds of the fuzz target, for a format that has changed"]
fn write_seeds() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz/corpus/snapshot");
    std::fs::create_dir_all(folder).expect("a folder");
    let write = |name: &str, events: &[Event]| {
        let mut past = Past::new(Span::DAY);
        visit(&mut past, &lines(events), 0);
        // At the beginning of a log: four lengths of nothing.
        let body = [vec![0; 4], packed(&past)].concat();
        assert_eq!(rewrite(&body).as_ref(), Ok(&body));
        std::fs::write(format!("{folder}/{name}"), body).expect("written");
    };
    write("nothing", &[]);
    for (nth, event) in Event::one_of_each().iter().enumerate() {
        write(&format!("one-{nth}"), std::slice::from_ref(event));
    }
    write("all", &Event::one_of_each());
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let events = vec(event(), 40).new_tree(&mut runner).expect("events").current();
    write("many", &events);
}
