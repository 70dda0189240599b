use std::sync::mpsc::{Receiver, channel};

use prost::Message;
use vault_audit::tree::{CompactRange, leaf_hash};
use vault_audit::{Appended, EntryKind, Log, Origin, SEGMENT_BYTES_MIN};
use vault_ipc::proto::v1;
use vault_ipc::{Decoder, Reply};
use vault_model::Timestamp;

use super::{Channel, Journal, Place, RELEASED_MAX};
use crate::batch::Batch;
use crate::hashes::Hashes;
use crate::inbox::inbox;
use crate::writer::{self, Channels, Durable, ToWriter};

struct Bed {
    journal: Journal,
    durable: Durable,
    writer: Receiver<ToWriter>,
    recorded: u64,
}

impl Bed {
    fn new() -> Self {
        let (sender, writer) = channel();
        let durable = Durable::default();
        let journal =
            Journal::new("node-1".to_owned(), 1, "build".to_owned(), 0, sender, durable.clone());
        Self { journal, durable, writer, recorded: 0 }
    }

    fn record(&mut self) -> Place {
        self.recorded += 1;
        let now = Timestamp(1_760_000_000_000_000 + self.recorded as i64);
        let entry = self.journal.entry(EntryKind::SignDenied, now);
        self.journal.record(entry).expect("it fits")
    }

    /// What the writer got.
    fn batch(&self) -> Batch {
        let mut batch = Batch::default();
        for message in self.writer.try_iter() {
            if let ToWriter::Batch(later) = message {
                batch.append(later);
            }
        }
        batch
    }
}

fn appended(first_index: u64, batch: &Batch) -> Appended {
    let leaf_hashes: Vec<_> = batch.lines().map(leaf_hash).collect();
    let size = first_index + leaf_hashes.len() as u64;
    Appended { first_index, leaf_hashes, root: [0; 32], size }
}

#[test]
fn the_root_is_over_all_lines_wherever_they_are() {
    let mut bed = Bed::new();
    let mut on_disk = CompactRange::new();
    let mut all = CompactRange::new();
    for round in 0..12 {
        for _ in 0..round % 5 {
            bed.record();
        }
        let root = bed.journal.root().expect("every line is known");
        let size = bed.journal.size();
        bed.journal.flush();
        let hashes = appended(all.size(), &bed.batch()).leaf_hashes;
        all.extend(&hashes);
        assert_eq!((root, size), (all.root(), all.size()), "in round {round}");
        assert_eq!(bed.journal.root().expect("on their way"), root);
        // The writer is behind, and sometimes not.
        if round % 3 == 0 {
            on_disk.clone_from(&all);
            bed.durable.grown(&on_disk);
            assert_eq!(bed.journal.root().expect("on disk"), root);
        }
    }
}

#[test]
fn what_is_on_disk_is_not_kept() {
    let mut bed = Bed::new();
    let mut tree = CompactRange::new();
    for _ in 0..100 {
        bed.record();
        bed.record();
        bed.journal.flush();
        tree.extend(&appended(tree.size(), &bed.batch()).leaf_hashes);
        bed.durable.grown(&tree);
    }
    assert_eq!(bed.journal.on_their_way.len(), 1);
}

#[test]
fn a_turn_is_written_here_unless_it_is_much_or_something_is_before_it() {
    let mut bed = Bed::new();
    let folder = tempfile::tempdir().expect("a folder");
    let origin = Origin::new("vault.example", "n1", 0).expect("a name");
    let visit = &mut |_, _: &[u8]| Ok(());
    let opened = Log::open(folder.path(), &origin, SEGMENT_BYTES_MIN, Timestamp(0), None, visit);
    let (channels, _ends) = Channels::for_test();
    let ((store, _commits), (core, _inbox)) = (channel(), inbox().expect("an inbox"));
    let log = opened.expect("a log").log;
    // Its own thread has nothing to do: what is handed over comes to the bed.
    let (_open, shared, _) =
        writer::spawn(log, channels, store, core, bed.durable.clone()).expect("a thread");
    bed.journal.share(shared);
    let mut settle = |response_bytes: usize| {
        bed.record();
        bed.journal.answer_encoded(Channel::Front, 1, vec![0; response_bytes]);
        bed.journal.settle(true).expect("written or handed over");
        (bed.durable.size(), bed.batch().entries())
    };

    assert_eq!(settle(10), (1, 0), "on disk");
    assert_eq!(settle(RELEASED_MAX - 1_000), (2, 0));
    assert_eq!(settle(RELEASED_MAX), (2, 1), "handed over");
    assert_eq!(settle(10), (2, 1), "after what is not written yet");
}

#[test]
fn every_receipt_has_the_hash_of_its_entry_whatever_else_is_sent() {
    let mut bed = Bed::new();
    let mut recorded = Vec::new();
    for number in 1..=20 {
        if number % 4 == 0 {
            bed.record();
            let other = v1::SealResponse {};
            bed.journal.answer(Channel::Front, 1_000 + number, &other);
        }
        let place = bed.record();
        let mut response = vec![0x2a, number as u8, 1];
        let response_bytes = 3 + usize::try_from(number).expect("small") * 17;
        response.resize(response_bytes, 7);
        response.extend([0; 32]);
        let keep = |known: &[u8]| known.len() == response_bytes && number % 2 == 0;
        bed.journal.answer_with_receipt(number, response, place.index, true, keep);
        recorded.push((number, place.index));
        if number % 3 == 0 {
            // Several batches become one.
            bed.journal.flush();
        }
    }
    bed.journal.flush();
    let mut batch = bed.batch();
    let appended = appended(0, &batch);
    let mut hashes = Hashes::default();
    batch.fill_in(Some(&appended), &mut hashes).expect("they are its own");

    let mut decoder = Decoder::default();
    decoder.extend(&batch.front);
    let frames = std::iter::from_fn(|| decoder.next_frame().expect("frames"));
    let answers: Vec<_> = frames.filter(|frame| frame.correlation < 1_000).collect();
    assert_eq!(answers.len(), recorded.len());
    for (frame, (number, index)) in answers.iter().zip(recorded) {
        let reply = Reply::decode(frame.body.as_slice()).expect("a reply");
        assert_eq!(frame.correlation, number);
        let (before, hash) = reply.response.split_at(reply.response.len() - 32);
        assert_eq!(hash, appended.leaf_hashes[index as usize]);
        assert!(before.iter().skip(3).all(|byte| *byte == 7), "nothing else was changed");
        // What is kept may be given again, in a batch without it.
        bed.journal.answer_with_receipt(number, reply.response.clone(), index, true, |_| false);
        bed.journal.flush();
        let mut again = bed.batch();
        let before = again.front.clone();
        let filled_in = again.fill_in(None, &mut hashes);
        assert_eq!(filled_in.is_ok(), number % 2 == 0);
        assert_eq!(again.front, before, "the same hash");
    }
}

#[test]
fn an_answer_that_is_too_long_is_not_kept_for_a_retry() {
    let mut bed = Bed::new();
    let place = bed.record();
    let response = vec![0; vault_ipc::BODY_BYTES_MAX];
    let keep = |_: &[u8]| panic!("it was not given");
    bed.journal.answer_with_receipt(1, response, place.index, true, keep);
    bed.journal.flush();
    let mut batch = bed.batch();
    let appended = appended(0, &batch);
    batch.fill_in(Some(&appended), &mut Hashes::default()).expect("no hash is blank");

    let mut decoder = Decoder::default();
    decoder.extend(&batch.front);
    let frame = decoder.next_frame().expect("a frame").expect("an answer");
    let reply = Reply::decode(frame.body.as_slice()).expect("a reply");
    assert!(reply.failure.is_some() && reply.response.is_empty());
}
