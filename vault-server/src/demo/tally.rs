//! What the log must hold in the end, counted while it happens.

use std::fmt;
use std::ops::AddAssign;

use vault_audit::{EntryKind, verify};

use super::mismatch::Mismatch;

/// How many of each there were.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// Signatures that were given.
    pub signed: u64,
    /// Signatures that were refused.
    pub denied: u64,
    /// Requests that the vault sent itself.
    pub sent: u64,
    /// Requests that it refused to send.
    pub unsent: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.signed += other.signed;
        self.denied += other.denied;
        self.sent += other.sent;
        self.unsent += other.unsent;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { signed, denied, sent, unsent } = self;
        write!(f, "{signed} signed and {denied} refused, {sent} sent and {unsent} refused")
    }
}

/// Every signature, every execution with its outcome, every refusal of the demonstration, and no
/// other.
pub fn check_log(verified: &verify::Report, tally: Tally) -> Result<(), Mismatch> {
    let count = |kind| verified.kinds.get(&kind).copied().unwrap_or(0);
    let found = Tally {
        signed: count(EntryKind::Sign),
        denied: count(EntryKind::SignDenied),
        sent: count(EntryKind::ExecuteIntent),
        unsent: count(EntryKind::ExecuteDenied),
    };
    if found != tally {
        return Err(Mismatch::new(tally.to_string(), found));
    }
    let outcomes = count(EntryKind::ExecuteOutcome);
    if outcomes != tally.sent {
        return Err(Mismatch::new(format!("{} outcomes", tally.sent), outcomes));
    }
    if verified.unsigned_entries != 0 {
        let found = format!("{} entries that it does not sign", verified.unsigned_entries);
        return Err(Mismatch::new("a checkpoint that signs every entry", found));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use vault_audit::{EntryKind, verify};

    use super::{Tally, check_log};

    #[test]
    fn a_log_with_one_entry_more_or_less_does_not_hold() {
        let report = |counts: [u64; 5], unsigned_entries| verify::Report {
            entries: 9,
            signed_entries: 9,
            unsigned_entries,
            origin: String::new(),
            root: [0; 32],
            previous_size: None,
            receipts: 0,
            key_was_expected: true,
            kinds: BTreeMap::from_iter(KINDS.into_iter().zip(counts)),
        };
        let tally = Tally { signed: 3, denied: 2, sent: 4, unsent: 1 };
        let right = [3, 2, 4, 4, 1];

        assert_eq!(check_log(&report(right, 0), tally), Ok(()));
        assert!(check_log(&report(right, 1), tally).is_err());
        for at in 0..KINDS.len() {
            for other in [right[at] - 1, right[at] + 1] {
                let mut counts = right;
                counts[at] = other;
                assert!(check_log(&report(counts, 0), tally).is_err(), "{counts:?}");
            }
        }
    }

    const KINDS: [EntryKind; 5] = [
        EntryKind::Sign,
        EntryKind::SignDenied,
        EntryKind::ExecuteIntent,
        EntryKind::ExecuteOutcome,
        EntryKind::ExecuteDenied,
    ];
}
