//! The schedule: when which key is checked without anybody asking for it.

use std::ops::Bound;
use std::time::Duration;

use sha2::{Digest, Sha256};
use vault_model::{HaltLevel, HaltTarget, Name, Timestamp};

use super::{NOT_POSSIBLE, Then};
use crate::checked::Checked;
use crate::error::VaultError;
use crate::own::job::{Aim, Job};
use crate::storage::CredentialState;
use crate::vault::Vault;

impl Vault {
    /// Begins the check that is due, one at a time: a schedule needs no haste.
    ///
    /// # Errors
    ///
    /// A defect.
    pub(in crate::own) fn begin_due_check(&mut self, now: Timestamp) -> Result<(), VaultError> {
        let is_checking = |job: &Job| matches!(job.aim, Aim::Check(_));
        if self.config.credential_check_every_h == 0
            || self.disk_full
            || self.own.jobs.values().any(is_checking)
        {
            return Ok(());
        }
        let Some(name) = self.next_due(now)? else {
            return Ok(());
        };
        let key = self.present_key(name.as_str())?;
        let steps = self.check_steps(&key)?;
        if steps.is_empty() {
            // Nobody can be asked. Not kept in the log: a start finds it out again.
            let problem = Some(NOT_POSSIBLE.to_owned());
            let known = self.checked(&key.row, &key.version).cloned().unwrap_or_default();
            let checked = Checked { at: now, problem, ..known };
            self.checks.put(&key.row.name, key.version.created_at, checked);
            return Ok(());
        }
        match self.begin_check(key, steps, Then::Nothing, now) {
            Err(VaultError::Overloaded) => Ok(()),
            other => other,
        }
    }

    /// Of the credentials whose turn it is to be looked at, the one whose check is due longest.
    fn next_due(&mut self, now: Timestamp) -> Result<Option<Name>, VaultError> {
        let Some(open) = &self.open else {
            return Ok(None);
        };
        let tables = open.state.tables();
        let mut due: Option<(Name, Timestamp)> = None;
        let after = self.own.looked_at.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let next = tables.credentials.range::<Name, _>((after, Bound::Unbounded));
        let mut looked_at: Vec<&Name> = Vec::with_capacity(LOOKED_AT_MAX);
        for (name, row) in next.take(LOOKED_AT_MAX) {
            looked_at.push(name);
            let is_stopped = |target: &HaltTarget| {
                let level = tables.halts.get(target).map(|halt| halt.level);
                level == Some(HaltLevel::Nothing)
            };
            let venue = row.venue.parse().ok().map(HaltTarget::Venue);
            let own = HaltTarget::Credential(row.name.clone());
            if row.state == CredentialState::Disabled
                || [HaltTarget::All, own].iter().chain(&venue).any(is_stopped)
            {
                continue;
            }
            let version = crate::authorize::version(open, row)?;
            let checked = self.checked(row, version);
            let at = due_at(
                &row.name,
                version.created_at,
                checked,
                self.config.credential_check_every_h,
                now,
            );
            let is_earlier = |earliest: &(Name, Timestamp)| at < earliest.1;
            if at <= now && due.as_ref().is_none_or(is_earlier) {
                due = Some((row.name.clone(), at));
            }
        }
        let is_end = looked_at.len() < LOOKED_AT_MAX;
        self.own.looked_at = looked_at.last().filter(|_| !is_end).map(|name| (*name).clone());
        Ok(due.map(|(name, _)| name))
    }
}

/// Credentials that the schedule looks at in one tick: with more of them, another part in each.
const LOOKED_AT_MAX: usize = 64;

/// When a key is to be checked by the schedule: up to a tenth of its time later than that says, so
/// that keys that were imported together are not asked about together.
fn due_at(
    credential: &Name,
    imported_at: Timestamp,
    checked: Option<&Checked>,
    every_h: u32,
    now: Timestamp,
) -> Timestamp {
    let (after, wait) = match checked {
        // A venue that cannot be asked today cannot be asked in an hour.
        Some(Checked { at, problem: Some(problem), .. }) if problem != NOT_POSSIBLE => {
            (*at, RETRY_AFTER)
        }
        Some(checked) => (checked.at, hours(every_h)),
        None => (imported_at, hours(every_h)),
    };
    if after > now.plus(RETRY_AFTER) {
        // The wall clock was ahead then: nobody waits until it is there again.
        return now;
    }
    let mut hash = Sha256::new();
    hash.update(credential.as_str());
    hash.update(after.micros().to_be_bytes());
    let [first, second, ..] = <[u8; 32]>::from(hash.finalize());
    let share = u32::from(u16::from_be_bytes([first, second]));
    let spread = wait / 10 * share / u32::from(u16::MAX);
    after.plus(wait + spread)
}

fn hours(hours: u32) -> Duration {
    Duration::from_secs(u64::from(hours) * 3_600)
}

/// After a check without an answer.
const RETRY_AFTER: Duration = Duration::from_secs(3_600);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vault_model::{Name, Timestamp};

    use super::{NOT_POSSIBLE, due_at};
    use crate::checked::Checked;

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

    #[test]
    fn checks_are_repeated_and_those_without_an_answer_soon() {
        let name = |text: &str| -> Name { text.parse().expect("a name") };
        let hour = |hours: u64| Duration::from_secs(hours * 3_600);
        let within = |at: Timestamp, wait: Duration| {
            assert!(at >= NOW.plus(wait) && at <= NOW.plus(wait + wait / 10), "{at}");
            at
        };
        let never = within(due_at(&name("main"), NOW, None, 24, NOW), hour(24));
        let other = within(due_at(&name("other"), NOW, None, 24, NOW), hour(24));
        assert_ne!(never, other, "not all at once");

        let long_ago = NOW.minus(hour(1_000));
        let asked = |problem: Option<&str>| Checked {
            at: NOW,
            problem: problem.map(str::to_owned),
            ..Checked::default()
        };
        let due_then =
            |problem, now| due_at(&name("main"), long_ago, Some(&asked(problem)), 6, now);
        let due = |problem| due_then(problem, NOW);
        within(due(None), hour(6));
        within(due(Some("TIMEOUT")), hour(1));
        within(due(Some(NOT_POSSIBLE)), hour(6));

        // What was asked by a wall clock that was a day ahead.
        let put_back = NOW.minus(hour(24));
        assert_eq!(due_then(None, put_back), put_back);
        within(due_then(None, NOW.minus(hour(1))), hour(6));
    }
}
