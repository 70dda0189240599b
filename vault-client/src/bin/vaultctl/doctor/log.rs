//! The log, and what was kept of it elsewhere: the present log must have grown from that.

use std::fs;
use std::path::{Path, PathBuf};

use vault_audit::tree::{CompactRange, leaf_hash};
use vault_audit::verify::{self, VerifyError};
use vault_audit::{CHECKPOINT_FILE, Checkpoint, Hash, LogVerifier, Receipt};
use vault_model::Timestamp;

use super::finding::{Code, DAY_MS, Finding, span};

/// Something that was kept away from the vault.
#[derive(Clone, Debug)]
pub enum Kept {
    Checkpoint { path: PathBuf, checkpoint: Checkpoint },
    Receipt { path: PathBuf, receipt: Receipt },
}

impl Kept {
    /// Reads a checkpoint, a receipt, or the folder of an export, which is verified by itself. The
    /// verifier is the present log's.
    ///
    /// # Errors
    ///
    /// The finding that says what is wrong with it.
    pub fn read(path: &Path, verifier: &LogVerifier) -> Result<Self, Finding> {
        let name = path.display();
        let unreadable = |why: String| {
            Finding::problem(Code::KeptUnreadable, format!("{name} cannot be used: {why}")).remedy(
                "name a checkpoint (vaultctl audit checkpoint), a receipt (vaultctl sign --receipt) or \
                 the folder of an export",
            )
        };
        let is_folder = path.is_dir();
        let file = if is_folder { path.join(CHECKPOINT_FILE) } else { path.to_owned() };
        let text = fs::read(&file).map_err(|error| unreadable(error.to_string()))?;
        if let Ok(receipt) = serde_json::from_slice(&text) {
            return Ok(Self::Receipt { path: path.to_owned(), receipt });
        }
        if is_folder {
            // The keys are compared below: here the folder has to be whole in itself.
            match verify::verify(path, &verify::Options::default(), &mut |_| {}) {
                Ok(_) => {}
                Err(error @ VerifyError::Io { .. }) => return Err(unreadable(error.to_string())),
                Err(error) => return Err(unreadable(format!("it is not whole: {error}"))),
            }
        }
        let is_note = text.windows(2).any(|pair| pair == b"\n\n");
        match Checkpoint::open(&text, verifier) {
            Ok(checkpoint) => Ok(Self::Checkpoint { path: path.to_owned(), checkpoint }),
            Err(_) if is_note => Err(differs(path, "it is not signed by this log's key")),
            Err(error) => Err(unreadable(error.to_string())),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Checkpoint { path, .. } | Self::Receipt { path, .. } => path,
        }
    }
}

fn differs(path: &Path, how: &str) -> Finding {
    let words = format!("the present log has not grown from {}: {how}", path.display());
    Finding::problem(Code::KeptDiffers, words)
        .remedy(
            "stop the vault, and keep its disk as it is: entries may have been cut or rewritten",
        )
        .remedy(
            "docs/threat-model.md says what that can mean; a restored backup is one of its reasons",
        )
}

/// Holds the entries of the log, from the first on, against what was kept and against the newest
/// checkpoint.
#[derive(Debug)]
pub struct Walk {
    newest: Checkpoint,
    kept: Vec<Kept>,
    range: CompactRange,
    /// By `kept`: whether it was met as it should be; `None`: not reached yet.
    met: Vec<Option<bool>>,
    /// Microseconds since the epoch.
    exported_at_us: Option<i64>,
}

impl Walk {
    pub fn new(newest: Checkpoint, kept: Vec<Kept>) -> Self {
        let met = vec![None; kept.len()];
        let mut walk = Self { newest, kept, range: CompactRange::new(), met, exported_at_us: None };
        walk.look(None);
        walk
    }

    /// Entries so far.
    pub fn size(&self) -> u64 {
        self.range.size()
    }

    /// The next entry's line.
    pub fn append(&mut self, line: &[u8]) {
        let leaf = leaf_hash(line);
        self.range.append(leaf);
        self.look(Some(&leaf));
        // Most entries are no exports: the words are looked for before the line is parsed.
        if line.windows(EXPORT.len()).any(|part| part == EXPORT)
            && let Ok(entry) = serde_json::from_slice::<serde_json::Value>(line)
            && entry["type"] == "export"
        {
            self.exported_at_us = entry["ts"].as_i64().or(self.exported_at_us);
        }
    }

    fn look(&mut self, leaf: Option<&Hash>) {
        let size = self.range.size();
        for (kept, met) in self.kept.iter().zip(&mut self.met) {
            match kept {
                Kept::Checkpoint { checkpoint, .. } if checkpoint.size == size => {
                    *met = Some(checkpoint.root == self.range.root());
                }
                Kept::Receipt { receipt, .. } if receipt.index.checked_add(1) == Some(size) => {
                    let is_of_log = receipt.origin == self.newest.origin.as_str();
                    *met = Some(is_of_log && leaf == Some(&receipt.leaf_hash));
                }
                Kept::Checkpoint { .. } | Kept::Receipt { .. } => {}
            }
        }
    }

    /// What became of it, once every entry that the newest checkpoint signs was appended.
    pub fn findings(self, now_ms: i64) -> Vec<Finding> {
        if self.range.size() != self.newest.size || self.range.root() != self.newest.root {
            let words = "the vault's entries do not make the log that its newest checkpoint signs";
            let finding = Finding::problem(Code::CheckpointInvalid, words)
                .remedy("on the vault's host, with the vault stopped: vault-server audit export, then audit verify");
            return vec![finding];
        }
        let mut findings = Vec::new();
        for (kept, met) in self.kept.iter().zip(&self.met) {
            findings.push(match met {
                Some(true) => {
                    let words = format!("the present log has grown from {}", kept.path().display());
                    Finding::ok(Code::KeptGrown, words)
                }
                Some(false) => differs(kept.path(), "entries that it stands for are others now"),
                None => differs(kept.path(), "the present log is shorter"),
            });
        }
        findings.push(exported(self.exported_at_us, now_ms));
        findings
    }
}

fn exported(at_us: Option<i64>, now_ms: i64) -> Finding {
    let remedy =
        "vaultctl audit export --out DIR, on a machine that is not the vault's; and keep DIR";
    let Some(at_us) = at_us else {
        let words = "nobody has ever read the log out: all of it lies on the vault's disk alone";
        return Finding::warning(Code::LogNotExported, words).remedy(remedy);
    };
    let (at, ago_ms) = (Timestamp(at_us), now_ms.saturating_sub(at_us / 1_000));
    if ago_ms > EXPORT_OLD_MS {
        let words = format!("the log was last read out {} ago", span(ago_ms.unsigned_abs()));
        return Finding::warning(Code::LogNotExported, words).remedy(remedy);
    }
    Finding::ok(Code::LogExported, format!("the log was last read out at {at}"))
}

/// That nothing was shown to hold the log against.
pub fn nothing_kept() -> Finding {
    let words = "no earlier checkpoint, receipt or export was shown: whether the log was cut or set back \
        nobody can say without one";
    Finding::note(Code::NothingKept, words)
        .remedy("on another machine, now: vaultctl audit checkpoint > checkpoint-kept")
        .remedy("and later: vaultctl doctor --kept checkpoint-kept")
}

/// Judges the newest checkpoint: a while ago the log had `entries`.
pub fn checkpoint(signed: u64, entries: u64) -> Finding {
    if signed < entries {
        let words = format!(
            "the newest checkpoint signs {signed} entries, and the log has {entries} for longer"
        );
        return Finding::warning(Code::CheckpointBehind, words).remedy(
            "one is signed every second while the vault is open: look into its own log (stderr)",
        );
    }
    Finding::ok(Code::CheckpointFresh, format!("the newest checkpoint signs {signed} entries"))
}

/// That the newest checkpoint is not one of the log.
pub fn checkpoint_invalid() -> Finding {
    let words = "the newest checkpoint, or the key that came with it, is not valid";
    Finding::problem(Code::CheckpointInvalid, words).remedy(
        "on the vault's host, with the vault stopped: vault-server audit export, then audit verify",
    )
}

const EXPORT: &[u8] = br#""type":"export""#;
const EXPORT_OLD_MS: i64 = 30 * DAY_MS;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use vault_audit::tree::{leaf_hash, root_of};
    use vault_audit::{Checkpoint, LogSigner, Origin, Receipt};
    use vault_model::SecretBytes;

    use super::super::finding::testing::{codes, is_helpful};
    use super::super::finding::{DAY_MS, Level};
    use super::{Kept, Walk, checkpoint, nothing_kept};

    const NOW: i64 = 1_000 * DAY_MS;

    fn signer(seed: u8) -> LogSigner {
        let origin = Origin::new("vault.example", "n", 0).expect("origin");
        LogSigner::from_seed(origin, &SecretBytes::new(vec![seed; 32])).expect("seed")
    }

    fn lines() -> Vec<Vec<u8>> {
        let export_us = (NOW - DAY_MS) * 1_000;
        (0..5)
            .map(|index| match index {
                3 => format!(r#"{{"ts":{export_us},"type":"export"}}"#).into_bytes(),
                _ => format!(r#"{{"idx":{index}}}"#).into_bytes(),
            })
            .collect()
    }

    fn at(lines: &[Vec<u8>], size: usize) -> Checkpoint {
        let leaves: Vec<_> = lines[..size].iter().map(|line| leaf_hash(line)).collect();
        Checkpoint { origin: signer(1).origin().clone(), size: size as u64, root: root_of(&leaves) }
    }

    fn kept(size: usize) -> Kept {
        Kept::Checkpoint { path: "kept".into(), checkpoint: at(&lines(), size) }
    }

    fn receipt(index: u64) -> Kept {
        let leaf_hash = leaf_hash(&lines()[index as usize]);
        let origin = signer(1).origin().as_str().to_owned();
        Kept::Receipt { path: "receipt".into(), receipt: Receipt { index, leaf_hash, origin } }
    }

    fn walk(lines: &[Vec<u8>], kept: Vec<Kept>) -> Vec<(&'static str, Level)> {
        let mut walk = Walk::new(at(lines, lines.len()), kept);
        lines.iter().for_each(|line| walk.append(line));
        let found = walk.findings(NOW);
        assert!(is_helpful(&found));
        codes(&found)
    }

    #[test]
    fn a_log_has_grown_from_what_was_kept() {
        let grown = ("KEPT_GROWN", Level::Ok);
        let all = vec![kept(0), kept(2), kept(5), receipt(0), receipt(4)];
        let expected = [grown, grown, grown, grown, grown, ("LOG_EXPORTED", Level::Ok)];
        assert_eq!(walk(&lines(), all), expected);
    }

    #[test]
    fn a_log_that_was_cut_or_rewritten_is_seen() {
        let differs = ("KEPT_DIFFERS", Level::Problem);
        let cut = &lines()[..4];
        assert_eq!(walk(cut, vec![kept(5), receipt(4)])[..2], [differs, differs]);
        let mut rewritten = lines();
        rewritten[1] = b"{}".to_vec();
        let found = walk(&rewritten, vec![kept(1), kept(2), receipt(1), receipt(2)]);
        let grown = ("KEPT_GROWN", Level::Ok);
        assert_eq!(found[..4], [grown, differs, differs, grown]);
        let mut foreign = receipt(2);
        if let Kept::Receipt { receipt, .. } = &mut foreign {
            receipt.origin = "another.example/audit/n/0".to_owned();
        }
        assert_eq!(walk(&lines(), vec![foreign])[0], differs);
    }

    #[test]
    fn entries_that_the_checkpoint_does_not_sign_are_seen() {
        let mut walk = Walk::new(at(&lines(), 5), vec![kept(2)]);
        lines()[..4].iter().for_each(|line| walk.append(line));
        assert_eq!(codes(&walk.findings(NOW)), [("CHECKPOINT_INVALID", Level::Problem)]);
    }

    #[test]
    fn a_log_that_nobody_reads_out_is_told() {
        let quiet: Vec<_> = lines().into_iter().take(3).collect();
        assert_eq!(walk(&quiet, Vec::new()), [("LOG_NOT_EXPORTED", Level::Warning)]);
        let mut walk = Walk::new(at(&lines(), 5), Vec::new());
        lines().iter().for_each(|line| walk.append(line));
        let later = NOW + 30 * DAY_MS;
        assert_eq!(codes(&walk.findings(later)), [("LOG_NOT_EXPORTED", Level::Warning)]);
        assert_eq!(codes(&[nothing_kept()]), [("NOTHING_KEPT", Level::Note)]);
    }

    #[test]
    fn reads_what_was_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let verifier = signer(1).verifier();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            path
        };
        let read = |path: &Path| Kept::read(path, &verifier);

        let good = file("good", &at(&lines(), 2).sign(&signer(1)));
        assert!(
            matches!(read(&good), Ok(Kept::Checkpoint { checkpoint, .. }) if checkpoint.size == 2)
        );
        let Kept::Receipt { receipt, .. } = receipt(1) else { panic!("a receipt") };
        let good = file("receipt", &serde_json::to_string(&receipt).expect("JSON"));
        assert!(matches!(read(&good), Ok(Kept::Receipt { .. })));

        for (name, text, code) in [
            ("foreign", at(&lines(), 2).sign(&signer(2)).as_str(), "KEPT_DIFFERS"),
            ("text", "hello", "KEPT_UNREADABLE"),
            ("empty", "", "KEPT_UNREADABLE"),
        ] {
            let finding = read(&file(name, text)).expect_err("not one");
            assert_eq!(codes(&[finding]), [(code, Level::Problem)], "{name}");
        }
        let finding = read(&folder.path().join("none")).expect_err("not there");
        assert_eq!(codes(&[finding]), [("KEPT_UNREADABLE", Level::Problem)]);
        let finding = read(folder.path()).expect_err("no export");
        assert_eq!(codes(&[finding]), [("KEPT_UNREADABLE", Level::Problem)]);
    }

    #[test]
    fn a_checkpoint_that_does_not_follow_is_told() {
        assert_eq!(codes(&[checkpoint(7, 7)]), [("CHECKPOINT_FRESH", Level::Ok)]);
        assert_eq!(codes(&[checkpoint(6, 7)]), [("CHECKPOINT_BEHIND", Level::Warning)]);
    }
}
