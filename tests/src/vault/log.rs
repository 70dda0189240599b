//! The log of a vault, as it is on disk.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;
use vault_audit::{Entry, verify};
use vault_client::Signed;

use super::TestVault;

impl TestVault {
    /// The policy's revision: every act that changes anything raises it.
    pub fn state_rev(&self) -> u64 {
        self.local().status().state_rev
    }

    /// Every entry of the log that is on disk, whether the vault runs or not.
    ///
    /// # Panics
    ///
    /// If the log does not read.
    pub fn log_entries(&self) -> Vec<Entry> {
        let (_folder, export) = self.export();
        let text = fs::read_to_string(export.join("entries.jsonl")).expect("entries");
        let entries = text.lines().map(|line| Entry::from_line(line.as_bytes()));
        entries.collect::<Result<_, _>>().expect("entries of version 1")
    }

    /// Exports the log and verifies it, against the key that `init` printed.
    ///
    /// # Panics
    ///
    /// If it does not verify.
    pub fn verify(&self) -> verify::Report {
        self.verify_with(Vec::new())
    }

    /// As [`TestVault::verify`], with receipts whose entries must be there and signed: waits for the
    /// checkpoint that does.
    ///
    /// # Panics
    ///
    /// If it does not verify.
    pub fn verify_with(&self, receipts: Vec<vault_audit::Receipt>) -> verify::Report {
        if let Some(last) = receipts.iter().map(|receipt| receipt.index).max() {
            self.await_checkpoint(last);
        }
        let (_folder, export) = self.export();
        let options = verify::Options {
            expected_vkey: Some(self.made.log_vkey.clone()),
            previous_checkpoint: None,
            receipts,
        };
        verify::verify(&export, &options, &mut |_| ()).expect("verifies")
    }

    /// Waits until the newest checkpoint signs an entry: one is made each second.
    ///
    /// # Panics
    ///
    /// If none does for a minute.
    pub fn await_checkpoint(&self, index: u64) {
        let signed = || {
            let note = std::fs::read_to_string(self.data().join("audit/checkpoint")).ok()?;
            note.lines().nth(1)?.parse::<u64>().ok()
        };
        let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while signed().is_none_or(|size| size <= index) {
            assert!(std::time::Instant::now() < until, "no checkpoint signs entry {index}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    fn export(&self) -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let export = folder.path().join("export");
        vault_audit::export::export(&self.data().join("audit"), &export, None).expect("exported");
        (folder, export)
    }
}

/// The receipt as the verifier takes it.
///
/// # Panics
///
/// If the vault gave no receipt of the right form.
pub fn receipt(signed: &Signed) -> vault_audit::Receipt {
    vault_audit::Receipt {
        index: signed.receipt.index,
        leaf_hash: signed.receipt.leaf_hash.as_slice().try_into().expect("32 bytes"),
        origin: signed.receipt.log_origin.clone(),
    }
}
