use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use vault_model::{SecretBytes, Timestamp};

use super::{Options, Report, VerifyError, verify};
use crate::entry::tests::order;
use crate::export::export;
use crate::log::{Log, SEGMENT_BYTES_MIN};
use crate::tree::leaf_hash;
use crate::{AuditError, EntryError, EntryKind, LogSigner, Origin, Receipt};

fn signer(node: &str) -> LogSigner {
    let origin = Origin::new("vault.example", node, 0).expect("origin");
    LogSigner::from_seed(origin, &SecretBytes::new(vec![1; 32])).expect("seed")
}

/// A log of `signed` entries under a checkpoint and `unsigned` behind it, exported.
struct Exported {
    _dir: TempDir,
    log_dir: PathBuf,
    out: PathBuf,
    /// The checkpoint at half of the signed entries.
    earlier: PathBuf,
    lines: Vec<Vec<u8>>,
}

fn exported(signed: u64, unsigned: u64) -> Exported {
    let dir = TempDir::new().expect("dir");
    let log_dir = dir.path().join("audit");
    let (origin, now) = (signer("n1").origin().clone(), Timestamp(0));
    let opened = Log::open(&log_dir, &origin, SEGMENT_BYTES_MIN, now, None, &mut |_, _| Ok(()));
    let mut log = opened.expect("open").log;
    let lines: Vec<_> =
        (0..signed + unsigned).map(|index| order(index).to_line().expect("line")).collect();
    let earlier = dir.path().join("earlier");
    for (nth, line) in lines.iter().enumerate() {
        log.append(&[line]).expect("append");
        let size = nth as u64 + 1;
        if size == signed / 2 || size == signed {
            let note = log.checkpoint(&signer("n1")).expect("checkpoint").expect("grown");
            if size == signed / 2 {
                fs::write(&earlier, note).expect("write");
            }
        }
    }
    let out = dir.path().join("out");
    // While the log is open: an export needs no lock.
    let summary = export(&log_dir, &out, None).expect("export");
    assert_eq!(summary.entries, signed + unsigned);
    assert_eq!(summary.checkpoint_size, Some(signed));
    Exported { _dir: dir, log_dir, out, earlier, lines }
}

fn check(dir: &Path, options: &Options) -> Result<Report, VerifyError> {
    verify(dir, options, &mut |_| {})
}

fn receipt(exported: &Exported, index: usize) -> Receipt {
    Receipt {
        index: index as u64,
        leaf_hash: leaf_hash(&exported.lines[index]),
        origin: signer("n1").origin().to_string(),
    }
}

#[test]
fn reports_signed_and_unsigned_entries() {
    let exported = exported(20, 3);
    let options = Options {
        expected_vkey: Some(signer("n1").verifier().vkey()),
        previous_checkpoint: Some(exported.earlier.clone()),
        receipts: vec![receipt(&exported, 0), receipt(&exported, 19)],
    };
    let mut seen = 0;
    let report = verify(&exported.out, &options, &mut |entries| seen = entries).expect("verify");

    assert_eq!((report.entries, report.signed_entries, report.unsigned_entries), (23, 20, 3));
    assert_eq!((report.previous_size, report.receipts, seen), (Some(10), 2, 23));
    assert!(report.key_was_expected);
    assert_eq!(report.kinds, [(EntryKind::Sign, 23)].into());
    assert!(!check(&exported.out, &Options::default()).expect("verify").key_was_expected);
}

#[test]
fn a_receipt_of_what_nothing_signs_proves_nothing() {
    let exported = exported(20, 3);
    for index in [20, 22] {
        let options = Options { receipts: vec![receipt(&exported, index)], ..Options::default() };
        let refused = check(&exported.out, &options).expect_err("anybody can append a line");
        let expected = index as u64;
        assert!(
            matches!(refused, VerifyError::ReceiptUnsigned { index, size: 20 } if index == expected)
        );
    }
}

/// Rewrites the lines of a fresh export and verifies it.
fn tampered(change: impl FnOnce(&mut Vec<String>)) -> VerifyError {
    let exported = exported(20, 3);
    let path = exported.out.join("entries.jsonl");
    let text = fs::read_to_string(&path).expect("entries");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    change(&mut lines);
    fs::write(&path, lines.iter().map(|line| format!("{line}\n")).collect::<String>())
        .expect("write");
    check(&exported.out, &Options::default()).expect_err("tampered")
}

#[test]
fn names_the_first_bad_index() {
    let dropped = tampered(|lines| drop(lines.remove(7)));
    assert!(matches!(dropped, VerifyError::Index { index: 7, found: 8 }));
    let repeated = tampered(|lines| lines.insert(7, lines[6].clone()));
    assert!(matches!(repeated, VerifyError::Index { index: 7, found: 6 }));
    let swapped = tampered(|lines| lines.swap(7, 8));
    assert!(matches!(swapped, VerifyError::Index { index: 7, found: 8 }));
    let spaced = tampered(|lines| lines[7] = lines[7].replace("\"v\":1", "\"v\": 1"));
    let not_canonical = EntryError::NotCanonical;
    assert!(matches!(spaced, VerifyError::Entry { index: 7, source } if source == not_canonical));
    let foreign = tampered(|lines| lines[7] = lines[7].replace("\"n1\"", "\"n2\""));
    assert!(matches!(foreign, VerifyError::OtherLog { index: 7 }));
    let falling = tampered(|lines| lines[7] = lines[7].replace("\"seq\":7", "\"seq\":2"));
    assert!(matches!(falling, VerifyError::Seq { index: 7 }));
    let empty = tampered(|lines| lines[7].clear());
    assert!(matches!(empty, VerifyError::Line { index: 7 }));
    let partial = tampered(|lines| drop(lines.drain(..5)));
    assert!(matches!(partial, VerifyError::Partial { first: 5 }));
    let edited = tampered(|lines| lines[7] = lines[7].replace("64000.5", "64000.4"));
    assert!(matches!(edited, VerifyError::Root { size: 20 }));
    let cut = tampered(|lines| lines.truncate(19));
    assert!(matches!(cut, VerifyError::Missing { index: 19, size: 20 }));
}

#[test]
fn an_earlier_checkpoint_shows_history_that_was_signed_anew() {
    let one = exported(20, 0);
    let other = {
        let mut other = exported(20, 0);
        other.earlier = one.earlier.clone();
        other
    };
    let with_earlier =
        Options { previous_checkpoint: Some(other.earlier.clone()), ..Options::default() };
    assert!(check(&other.out, &with_earlier).is_ok());

    // The same key signs a log in which entry 3 is another.
    let dir = TempDir::new().expect("dir");
    let (origin, now) = (signer("n1").origin().clone(), Timestamp(0));
    let opened = Log::open(dir.path(), &origin, 0, now, None, &mut |_, _| Ok(()));
    let mut log = opened.expect("open").log;
    for index in 0..20 {
        let mut entry = order(index);
        entry.nonce = (index == 3).then(|| "9".to_owned());
        log.append(&[entry.to_line().expect("line")]).expect("append");
    }
    log.checkpoint(&signer("n1")).expect("checkpoint");
    let out = dir.path().join("out");
    export(dir.path(), &out, None).expect("export");

    assert!(check(&out, &Options::default()).is_ok());
    assert!(matches!(check(&out, &with_earlier), Err(VerifyError::Previous { size: 10 })));
    let receipts = vec![receipt(&one, 2), receipt(&one, 3)];
    let with_receipts = Options { receipts, ..Options::default() };
    assert!(matches!(check(&out, &with_receipts), Err(VerifyError::Receipt { index: 3 })));
}

#[test]
fn refuses_receipts_of_missing_entries_and_other_logs() {
    let exported = exported(4, 0);
    let mut missing = receipt(&exported, 3);
    missing.index = 4;
    let mut foreign = receipt(&exported, 3);
    foreign.origin = signer("n2").origin().to_string();
    for bad in [missing, foreign] {
        let index = bad.index;
        let options = Options { receipts: vec![bad], ..Options::default() };
        let error = check(&exported.out, &options).expect_err("bad receipt");
        assert!(matches!(error, VerifyError::Receipt { index: at } if at == index));
    }
}

#[test]
fn refuses_another_key_and_missing_files() {
    let one = exported(4, 0);
    let expected_vkey = Some(signer("n2").verifier().vkey());
    let options = Options { expected_vkey, ..Options::default() };
    assert!(matches!(check(&one.out, &options), Err(VerifyError::Key)));

    for file in ["entries.jsonl", "checkpoint", "log.vkey"] {
        let one = exported(4, 0);
        fs::remove_file(one.out.join(file)).expect("remove");
        let error = check(&one.out, &Options::default()).expect_err("missing");
        assert!(matches!(error, VerifyError::MissingFile { file: name } if name == file));
    }
}

#[test]
fn refuses_lines_without_an_end_and_endless_lines() {
    let one = exported(4, 0);
    let path = one.out.join("entries.jsonl");
    let text = fs::read(&path).expect("entries");
    fs::write(&path, &text[..text.len() - 1]).expect("write");
    let error = check(&one.out, &Options::default()).expect_err("no end");
    assert!(matches!(error, VerifyError::Line { index: 3 }));

    fs::write(&path, vec![b' '; 100_000]).expect("write");
    let error = check(&one.out, &Options::default()).expect_err("endless");
    assert!(matches!(error, VerifyError::Line { index: 0 }));
}

#[test]
fn exports_ranges_and_only_into_empty_folders() {
    let one = exported(20, 0);
    assert!(matches!(export(&one.log_dir, &one.out, None), Err(AuditError::ExportInUse)));

    let part = one.out.with_file_name("part");
    let summary = export(&one.log_dir, &part, Some(5..9)).expect("export");
    assert_eq!((summary.entries, summary.first_index), (4, 5));
    let error = check(&part, &Options::default()).expect_err("partial");
    assert!(matches!(error, VerifyError::Partial { first: 5 }));
}
