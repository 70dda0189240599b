//! `audit export` and `audit verify`, offline.

use std::fs;

use rustix::process::Signal;

use crate::bed::{Bed, json, stderr, vault_server};

#[test]
fn an_export_verifies_and_a_changed_one_does_not() {
    let bed = Bed::new(&[]);
    let server = bed.start();
    bed.unseal();
    server.signal("pid", Signal::TERM);
    assert!(server.end().0.success());

    let out = bed.folder().join("export");
    let out = out.to_str().expect("UTF-8");
    let summary = json(&bed.run(&["audit", "export", "--out", out], ""));
    let report = json(&vault_server(&["audit", "verify", out, "--json"], ""));
    assert_eq!(report["entries"], summary["entries"]);
    // A checkpoint at shutdown signs everything.
    assert_eq!(report["unsigned_entries"], 0);
    assert_eq!(report["kinds"]["unseal"].as_u64(), Some(1), "{report}");

    let again = bed.run(&["audit", "export", "--out", out], "");
    assert_eq!(again.status.code(), Some(1), "{}", stderr(&again));

    let entries = bed.folder().join("export/entries.jsonl");
    let text = fs::read_to_string(&entries).expect("read");
    fs::write(&entries, text.replacen("\"idx\":1,", "\"idx\":2,", 1)).expect("written");
    let output = vault_server(&["audit", "verify", out], "");
    assert_eq!(output.status.code(), Some(8), "{}", stderr(&output));

    fs::write(&entries, text).expect("written");
    let receipt = bed.folder().join("receipt.json");
    let foreign =
        format!(r#"{{"index":0,"leaf_hash":"{}","origin":"a/audit/b/1"}}"#, "ab".repeat(32));
    fs::write(&receipt, foreign).expect("written");
    let receipt = receipt.to_str().expect("UTF-8");
    let output = vault_server(&["audit", "verify", out, "--receipt", receipt], "");
    assert_eq!(output.status.code(), Some(8), "{}", stderr(&output));
}

#[test]
fn no_log_and_no_export_are_errors() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("UTF-8");
    let out = folder.path().join("out");
    let out = out.to_str().expect("UTF-8");

    let output = vault_server(&["audit", "export", "--data", path, "--out", out], "");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(vault_server(&["audit", "verify", path], "").status.code(), Some(8));
}
