//! What a side answered, and that the log has all of it.

use std::time::Duration;

use serde_json::{Value, json};
use vault_audit::{Entry, Hash, Reader, tree};
use vault_proto::v1;
use vault_tests::TestVault;

use crate::Error;
use crate::work::DENIED;

/// Every answer of a vault.
#[derive(Clone, Debug, Default)]
pub(crate) struct Replies {
    /// Receipts of signatures: index and leaf hash.
    signed: Vec<(u64, Hash)>,
    /// Denials that named their entry.
    denied: Vec<u64>,
    /// Denials that did not: beyond a client's budget they are counted in the log, not told apart.
    counted: u64,
    /// Turned away because too much was under way; nothing was decided.
    pub(crate) refused: u64,
}

impl Replies {
    pub(crate) fn signed(&mut self, receipt: Option<v1::Receipt>) -> Result<(), Error> {
        let receipt = receipt.ok_or("a signature without a receipt")?;
        self.signed_at(receipt.index, &receipt.leaf_hash)
    }

    /// By what stands in its receipt.
    pub(crate) fn signed_at(&mut self, index: u64, leaf_hash: &[u8]) -> Result<(), Error> {
        let hash = leaf_hash.try_into().map_err(|_| "a hash of another length")?;
        self.signed.push((index, hash));
        Ok(())
    }

    pub(crate) fn denied(&mut self, entry_index: Option<u64>) {
        match entry_index {
            Some(index) => self.denied.push(index),
            None => self.counted += 1,
        }
    }

    pub(crate) fn append(&mut self, mut other: Self) {
        self.signed.append(&mut other.signed);
        self.denied.append(&mut other.denied);
        self.counted += other.counted;
        self.refused += other.refused;
    }

    /// Fails unless the log verifies and holds exactly these: each receipt's entry with its hash,
    /// each denial's, and as many counted denials.
    pub(crate) fn check(self, vault: &TestVault) -> Result<Value, Error> {
        self.check_from(vault, 0)
    }

    /// As [`Replies::check`], of a log that had entries before: `first` is the index of the first new
    /// one.
    pub(crate) fn check_from(mut self, vault: &TestVault, first: u64) -> Result<Value, Error> {
        self.signed.sort_unstable();
        self.denied.sort_unstable();
        if let Some((last, _)) = self.signed.last() {
            vault.await_checkpoint(*last);
        }
        // Counted denials are written about once a second.
        let mut found = self.find(vault, first)?;
        for _ in 0..WAITS {
            if found.counted >= self.counted {
                break;
            }
            std::thread::sleep(WAIT);
            found = self.find(vault, first)?;
        }
        if found.counted != self.counted {
            let (said, counted) = (self.counted, found.counted);
            return Err(format!("{said} denials without an entry, the log counts {counted}").into());
        }
        vault.verify();
        Ok(json!({
            "signed": self.signed.len(),
            "denied": self.denied.len() as u64 + self.counted,
            "denied_with_entry": self.denied.len(),
            "refused": self.refused,
            "entries": found.entries,
            "verifies": true,
        }))
    }

    fn find(&self, vault: &TestVault, first: u64) -> Result<Found, Error> {
        let entries = Reader::open(&vault.data().join("audit")).entries(first..u64::MAX)?;
        self.find_in(entries.map(|entry| Ok(entry?)))
    }

    /// Goes through all entries, each with its index.
    fn find_in(
        &self,
        entries: impl Iterator<Item = Result<(u64, Vec<u8>), Error>>,
    ) -> Result<Found, Error> {
        let mut found = Found::default();
        let (mut signed, mut denied) = (self.signed.iter(), self.denied.iter());
        for entry in entries {
            let (index, line) = entry?;
            found.entries += 1;
            // Canonical, so these bytes stand nowhere else: a quote within a text is escaped.
            if has(&line, br#""type":"sign""#) {
                let expected = signed.next();
                if expected != Some(&(index, tree::leaf_hash(&line))) {
                    return Err(differs(index, expected.map(|(index, _)| *index)));
                }
            } else if has(&line, br#""type":"sign.denied""#) {
                let expected = denied.next();
                if expected != Some(&index) {
                    return Err(differs(index, expected.copied()));
                }
            } else if has(&line, br#""type":"auth.denied""#) {
                found.counted += counted(&line)?;
            }
        }
        match signed.len() + denied.len() {
            0 => Ok(found),
            missing => Err(format!("{missing} answers are not in the log").into()),
        }
    }
}

const WAIT: Duration = Duration::from_secs(1);
const WAITS: usize = 10;

/// What the log holds.
#[derive(Debug, Default)]
struct Found {
    entries: u64,
    counted: u64,
}

fn differs(index: u64, expected: Option<u64>) -> Error {
    match expected {
        Some(expected) => {
            format!(
                "the log has entry {index} next, the answers have {expected}, or its hash differs"
            )
        }
        None => format!("nobody was told of entry {index}"),
    }
    .into()
}

fn has(line: &[u8], part: &[u8]) -> bool {
    // It stands near the end: keys are sorted.
    line.windows(part.len()).rev().any(|window| window == part)
}

/// For how many of our denials an entry stands.
fn counted(line: &[u8]) -> Result<u64, Error> {
    let entry = Entry::from_line(line)?;
    if entry.reason.as_deref() != Some(DENIED) {
        return Ok(0);
    }
    entry.detail.get("count").map_or(Ok(1), |count| Ok(count.parse()?))
}

#[cfg(test)]
mod tests {
    use vault_audit::tree;
    use vault_proto::v1;

    use super::{Found, Replies, has};
    use crate::Error;

    fn receipt(index: u64) -> Option<v1::Receipt> {
        Some(v1::Receipt { index, leaf_hash: vec![7; 32], ..Default::default() })
    }

    #[test]
    fn a_signature_without_a_receipt_is_none() {
        let mut replies = Replies::default();
        let short = v1::Receipt { leaf_hash: vec![7; 31], ..Default::default() };

        assert!(replies.signed(None).is_err());
        assert!(replies.signed(Some(short)).is_err());
        assert!(replies.signed(receipt(1)).is_ok());
        assert_eq!(replies.signed, [(1, [7; 32])]);
    }

    const LOG: [&[u8]; 3] = [
        br#"{"n":0,"type":"sign"}"#,
        br#"{"n":1,"type":"sign.denied"}"#,
        br#"{"n":2,"type":"sign"}"#,
    ];

    fn look(replies: &Replies, log: &[&[u8]]) -> Result<Found, Error> {
        let entries = log.iter().zip(0..).map(|(line, index)| Ok((index, line.to_vec())));
        replies.find_in(entries)
    }

    fn all() -> Replies {
        let signed = [0, 2].map(|index| (index, tree::leaf_hash(LOG[index as usize])));
        Replies { signed: signed.to_vec(), denied: vec![1], ..Replies::default() }
    }

    #[test]
    fn what_was_answered_is_in_the_log() {
        assert_eq!(look(&all(), &LOG).expect("all of it").entries, 3);
    }

    #[test]
    fn an_answer_that_is_not_in_the_log_is_found_out() {
        for log in [&LOG[..0], &LOG[..1], &LOG[..2], &LOG[1..]] {
            assert!(look(&all(), log).is_err(), "{} entries", log.len());
        }
        let other = Replies { signed: vec![(0, [7; 32]), all().signed[1]], ..all() };
        assert!(look(&other, &LOG).is_err(), "another hash");
        let twice = Replies { signed: vec![all().signed[0]; 2], ..all() };
        assert!(look(&twice, &LOG).is_err(), "one entry for two answers");
    }

    #[test]
    fn an_entry_that_nobody_was_told_of_is_found_out() {
        for replies in [
            Replies { signed: Vec::new(), ..all() },
            Replies { denied: Vec::new(), ..all() },
            Replies::default(),
        ] {
            assert!(look(&replies, &LOG).is_err());
        }
    }

    #[test]
    fn those_of_many_lanes_are_all_kept() {
        let (mut one, mut other) = (Replies::default(), Replies::default());
        one.signed(receipt(4)).expect("a receipt");
        one.denied(None);
        other.denied(Some(2));
        other.denied(None);
        other.refused += 3;
        one.append(other);

        assert_eq!((one.signed.len(), one.denied.as_slice()), (1, [2].as_slice()));
        assert_eq!((one.counted, one.refused), (2, 3));
    }

    #[test]
    fn a_type_within_a_text_is_none() {
        assert!(has(br#"{"type":"sign","v":1}"#, br#""type":"sign""#));
        assert!(!has(br#"{"type":"sign.denied","v":1}"#, br#""type":"sign""#));
        assert!(!has(br#"{"a":"\"type\":\"sign\""}"#, br#""type":"sign""#));
    }
}
