//! Exports, tails, verification.

use std::time::Duration;

use vault_audit::Entry;
use vault_client::v1;
use vault_tests::{OKX_SCOPE, TestVault, okx_balance, receipt};

use crate::sign;

#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_exports_follows_and_verifies_the_log() {
    let vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    let bot = vault.bot("bot", OKX_SCOPE, &[]).await;
    let mut signed = Vec::new();
    for _ in 0..20 {
        signed.push(sign(&bot, "okx-main", okx_balance()).await.expect("signed"));
    }
    let auditor = vault.auditor().await;

    let follow = v1::TailCommand { from_index: 0, from_end: true };
    let mut tail = auditor.tail(follow).await.expect("a tail");
    let next = sign(&bot, "okx-main", okx_balance()).await.expect("signed");
    let found = async {
        loop {
            let message = tail.next().await.expect("open").expect("no end");
            let last = message.first_index + message.entries.len() as u64;
            if (message.first_index..last).contains(&next.receipt.index) {
                let at = usize::try_from(next.receipt.index - message.first_index).expect("small");
                break Entry::from_line(&message.entries[at]).expect("an entry");
            }
        }
    };
    let entry = tokio::time::timeout(Duration::from_secs(20), found).await.expect("in time");
    assert_eq!(entry.seq, Some(next.seq));

    vault.await_checkpoint(signed[3].receipt.index);
    let mut export = auditor.export(v1::ExportCommand::default()).await.expect("an export");
    let (mut lines, mut checkpoint) = (Vec::new(), None);
    while let Some(message) = export.next().await.expect("open") {
        assert_eq!(checkpoint, None, "the checkpoint comes last");
        if !message.entries.is_empty() {
            assert_eq!(message.first_index, lines.len() as u64);
        }
        lines.extend(message.entries);
        checkpoint = message.checkpoint;
    }
    let checkpoint = checkpoint.expect("a checkpoint");
    assert_eq!(checkpoint.log_vkey, vault.made().log_vkey);
    let folder = vault.root().join("export");
    std::fs::create_dir(&folder).expect("made");
    let text: Vec<u8> = lines.iter().flat_map(|line| [line, b"\n".as_slice()].concat()).collect();
    std::fs::write(folder.join("entries.jsonl"), &text).expect("written");
    std::fs::write(folder.join("checkpoint"), &checkpoint.note).expect("written");
    std::fs::write(folder.join("log.vkey"), format!("{}\n", checkpoint.log_vkey)).expect("written");
    let proof = folder.join("receipt.json");
    let text = serde_json::to_string(&receipt(&signed[3])).expect("JSON");
    std::fs::write(&proof, text).expect("written");
    let (folder, proof) = (folder.to_str().expect("plain"), proof.to_str().expect("plain"));
    let vkey = vault.made().log_vkey.clone();
    let verify = |proof: &str| {
        let words = ["audit", "verify", folder, "--vkey", &vkey, "--receipt", proof];
        vault.server_command(&words, None)
    };
    let output = verify(proof);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["verified"], true);
    assert_eq!(report["receipts"], 1);
    // A receipt that is not of this log must not pass.
    let other = std::fs::read_to_string(proof).expect("read").replace("\"index\":", "\"index\":1");
    std::fs::write(proof, other).expect("written");
    assert!(!verify(proof).status.success());

    let checkpoint = auditor.checkpoint(v1::GetCheckpointCommand {}).await.expect("a checkpoint");
    assert_eq!(checkpoint.checkpoint.expect("said").log_vkey, vkey);
    let beyond = v1::ExportCommand { from_index: 1 << 40, to_index: 0 };
    assert!(auditor.export(beyond).await.is_err());

    let revoke = v1::RevokeOperatorCommand { name: "auditor".to_owned() };
    vault.admin().await.revoke_operator(revoke).await.expect("revoked");
    let ended = async { while let Ok(Some(_)) = tail.next().await {} };
    let in_time = tokio::time::timeout(Duration::from_secs(20), ended).await;
    in_time.expect("a revoked auditor follows nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_exported_and_verified_without_a_server() {
    let mut vault = TestVault::builder().segment_bytes(65_536).start().await;
    vault.import_okx("okx-main").await;
    let bot = vault.bot("bot", OKX_SCOPE, &[]).await;
    for _ in 0..150 {
        sign(&bot, "okx-main", okx_balance()).await.expect("signed");
    }
    vault.stop().await;
    let segments = std::fs::read_dir(vault.data().join("audit")).expect("a folder");
    let segments = segments.filter(|file| {
        file.as_ref().expect("listed").file_name().to_string_lossy().ends_with(".seg")
    });
    assert!(segments.count() > 2, "the log went over several segments");

    let (data, out) = (vault.data(), vault.root().join("export"));
    let (data, out) = (data.to_str().expect("plain"), out.to_str().expect("plain"));
    let output = vault.server_command(&["audit", "export", "--data", data, "--out", out], None);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = vault.server_command(&["audit", "verify", out], None);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["unsigned_entries"], 0, "a checkpoint is signed at the end");
    assert_eq!(report["kinds"]["sign"], 150);

    let path = vault.root().join("export/entries.jsonl");
    let mut text = std::fs::read(&path).expect("read");
    let at = text.len() / 2;
    text[at] ^= 1;
    std::fs::write(&path, text).expect("written");
    let output = vault.server_command(&["audit", "verify", out], None);
    assert!(!output.status.success());
}
