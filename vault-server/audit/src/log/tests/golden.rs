//! Files that `tests/vectors/golden/make_log.py` made, in another language.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::*;
use crate::export::export;
use crate::verify::{Options, verify};
use crate::{Entry, Receipt};

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/golden/log"))
}

fn file(name: &str) -> Vec<u8> {
    fs::read(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn expected() -> Value {
    serde_json::from_slice(&file("expected.json")).expect("expected.json")
}

fn golden_signer() -> LogSigner {
    let seed = hex::decode(expected()["seed"].as_str().expect("seed")).expect("hex");
    let origin = expected()["origin"].as_str().expect("origin").parse().expect("origin");
    LogSigner::from_seed(origin, &SecretBytes::new(seed)).expect("seed")
}

fn lines() -> Vec<Vec<u8>> {
    let text = file("entries.jsonl");
    text.strip_suffix(b"\n").expect("end").split(|&b| b == b'\n').map(<[u8]>::to_vec).collect()
}

#[test]
fn every_entry_reads_back_and_every_type_is_there() {
    let entries: Vec<_> =
        lines().iter().map(|line| Entry::from_line(line).expect("entry")).collect();
    let mut kinds: Vec<_> = entries.iter().map(|entry| entry.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();

    assert_eq!((entries.len(), kinds.len()), (20, 20));
    // Entry 5 has all fields; only then does the whole struct stand in canonical order.
    let names = serde_json::to_value(&entries[5]).expect("json");
    assert_eq!(names.as_object().expect("object").len(), 45);
    assert_eq!(entries[5].legs[0].trigger_price.as_deref(), Some("64000.5"));
}

#[test]
fn opens_what_the_script_wrote() {
    let (dir, expected) = (TempDir::new().expect("dir"), expected());
    for name in [&file_name(0), &file_name(8), "checkpoint", "log.vkey"] {
        fs::write(dir.path().join(name), file(name)).expect("copy");
    }
    let mut seen = Vec::new();
    let origin = golden_signer().origin().clone();
    let opened = Log::open(dir.path(), &origin, 0, Timestamp(0), Some(5), &mut |_, line| {
        seen.push(line.to_vec());
        Ok(())
    })
    .expect("open");

    assert_eq!(seen, lines());
    assert_eq!(hex::encode(opened.log.root()), expected["roots"][20]);
    assert_eq!(hex::encode(opened.root_at.expect("root")), expected["roots"][5]);
    assert_eq!(opened.checkpoint.expect("checkpoint").size, expected["signed_entries"]);
    assert_eq!(opened.recovered, None);
}

#[test]
fn writes_the_same_bytes_as_the_script() {
    let (dir, expected) = (TempDir::new().expect("dir"), expected());
    let origin = golden_signer().origin().clone();
    let opened = Log::open(dir.path(), &origin, 0, Timestamp(0), None, &mut |_, _| Ok(()));
    let mut log = opened.expect("open").log;
    let (all, mut at) = (lines(), 0);
    for (nth, segment) in expected["batches"].as_array().expect("segments").iter().enumerate() {
        if nth > 0 {
            log.roll(0).expect("roll");
        }
        for count in segment.as_array().expect("batches") {
            let end = at + count.as_u64().expect("count") as usize;
            let appended = log.append(&all[at..end]).expect("append");
            for (leaf, index) in appended.leaf_hashes.iter().zip(at..) {
                assert_eq!(hex::encode(leaf), expected["leaf_hashes"][index]);
            }
            at = end;
            assert_eq!(hex::encode(appended.root), expected["roots"][at]);
            if at as u64 == expected["signed_entries"] {
                let note = log.checkpoint(&golden_signer()).expect("checkpoint");
                assert_eq!(note.expect("note").into_bytes(), file("checkpoint"));
            }
        }
    }
    log.close().expect("close");
    let out = dir.path().join("out");
    export(dir.path(), &out, None).expect("export");

    for name in [file_name(0), file_name(8)] {
        assert!(fs::read(dir.path().join(&name)).expect("segment") == file(&name), "{name}");
    }
    for name in ["entries.jsonl", "checkpoint", "log.vkey"] {
        assert!(fs::read(out.join(name)).expect("export") == file(name), "{name}");
    }
}

#[test]
fn verifies_the_scripts_export_and_receipt() {
    let receipt: Receipt = serde_json::from_slice(&file("receipt.json")).expect("receipt");
    assert_eq!(serde_json::to_vec(&receipt).expect("json"), file("receipt.json"));
    let options = Options {
        expected_vkey: Some(golden_signer().verifier().vkey()),
        previous_checkpoint: Some(folder().join("checkpoint")),
        receipts: vec![receipt],
    };
    let report = verify(&folder(), &options, &mut |_| {}).expect("verify");

    assert_eq!((report.entries, report.signed_entries, report.receipts), (20, 13, 1));
}

#[test]
fn a_preallocated_segment_ends_where_the_zeros_begin() {
    let dir = TempDir::new().expect("dir");
    fs::write(dir.path().join(file_name(0)), file("preallocated.bin")).expect("copy");
    let origin = golden_signer().origin().clone();
    let opened = Log::open(dir.path(), &origin, 0, Timestamp(0), None, &mut |_, _| Ok(()));
    let opened = opened.expect("open");

    assert_eq!((opened.log.size(), opened.recovered), (1, None));
}
