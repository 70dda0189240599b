//! Checks: what may this key do, and is that what is stated of it? Asked by an operator, before an
//! import, and by a schedule.
//!
//! What the venue said is in the log (`credential.check`), and read again from there at start. A key
//! with rights that are not stated has drifted: its closures are not true, and Sign is refused for
//! its credential. Execute goes on, since it is judged by what is sent.

mod schedule;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use vault_audit::{EntryKind, Outcome};
use vault_ipc::proto::v1;
use vault_model::{Name, Timestamp};
use vault_venue::{Answer, Finding, KeyFacts, Severity, Venue};

use super::OwnKey;
use super::job::{Aim, Ended, Job, State, Step};
use crate::act::{ActCall, Asker, Lane};
use crate::caller::{certificate, still_allowed};
use crate::checked::Checked;
use crate::command::{self, Method};
use crate::credential::Import;
use crate::error::{CertificateProblem, VaultError};
use crate::journal::Channel;
use crate::storage::{CredentialRow, CredentialState, CredentialVersionRow};
use crate::vault::Vault;

/// A key that is being checked, and what for.
pub struct Check {
    key: Arc<OwnKey>,
    then: Then,
}

/// What is done with what the venue said.
enum Then {
    /// An operator is told.
    Answer(Box<Asker>),
    /// The key is stored, if it may be.
    Import(Box<Import>),
    /// Nothing more.
    Nothing,
}

/// An import whose key was checked, and which waits for the act under way.
pub(crate) struct Parked {
    import: Box<Import>,
    checked: Checked,
}

impl Vault {
    /// Asks the venue what a key may do. Answered when it has, or after [`CHECK_MAX`].
    ///
    /// # Errors
    ///
    /// [`VaultError::NotFound`], [`VaultError::CredentialDisabled`], [`VaultError::Overloaded`].
    pub(crate) fn check_credential(
        &mut self,
        command: &v1::SignedCommand,
        asker: Asker,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let command: v1::CheckCredentialCommand = command::body(command)?;
        let key = self.present_key(&command.name)?;
        if key.row.state == CredentialState::Disabled {
            return Err(VaultError::CredentialDisabled);
        }
        let steps = self.check_steps(&key)?;
        if steps.is_empty() {
            let known = self.checked(&key.row, &key.version).cloned().unwrap_or_default();
            let problem = Some(NOT_POSSIBLE.to_owned());
            let checked = Checked { at: now, problem, ..known };
            let check = self.wire_check(&key.row, &checked, now)?;
            self.journal.answer(
                Channel::Front,
                asker.correlation,
                &v1::CheckCredentialResponse { check: Some(check) },
            );
            return Ok(());
        }
        self.begin_check(key, steps, Then::Answer(Box::new(asker)), now)
    }

    /// Checks the key of an import, and stores it then.
    ///
    /// # Errors
    ///
    /// [`VaultError::Overloaded`], or why it cannot be stored.
    pub(crate) fn check_import(
        &mut self,
        import: Import,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let (row, version) = (import.row.clone(), import.version.clone());
        let key = Arc::new(OwnKey { row, version, is_new: true });
        let steps = self.check_steps(&key)?;
        if steps.is_empty() {
            // There is nobody to ask, today or any other day: no reason to refuse.
            let problem = Some(NOT_POSSIBLE.to_owned());
            let checked = Checked { at: now, problem, ..Checked::default() };
            return self.finish_import(import, Some(&checked), now);
        }
        self.begin_check(key, steps, Then::Import(Box::new(import)), now)
    }

    fn present_key(&self, name: &str) -> Result<Arc<OwnKey>, VaultError> {
        let row = self.credential(name)?.clone();
        let version = crate::authorize::version(self.opened()?, &row)?.clone();
        Ok(Arc::new(OwnKey { row, version, is_new: false }))
    }

    fn check_steps(&self, key: &Arc<OwnKey>) -> Result<Vec<Step>, VaultError> {
        let key_type = key
            .version
            .key_type
            .parse()
            .map_err(|_| VaultError::Internal("a credential is of an unknown key type"))?;
        let requests = self.venue_of(&key.row)?.check(key.row.account(), key_type);
        Ok(requests.into_iter().map(|request| Step::new(key, request)).collect())
    }

    fn venue_of(&self, row: &CredentialRow) -> Result<&Venue, VaultError> {
        self.registry
            .venue(&row.venue)
            .ok_or(VaultError::Internal("a credential is for an unknown venue"))
    }

    fn begin_check(
        &mut self,
        key: Arc<OwnKey>,
        steps: Vec<Step>,
        then: Then,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let caller = match &then {
            Then::Answer(asker) => asker.caller.as_ref(),
            Then::Import(import) => import.asker.caller.as_ref(),
            Then::Nothing => None,
        };
        let by = caller.map(|caller| caller.name.clone());
        let aim = Aim::Check(Box::new(Check { key, then }));
        self.own_has_room()?;
        self.own_begin(Job { aim, by, deadline: self.clock_time().plus(CHECK_MAX), steps }, now)
    }

    /// Takes in what the venue said, and does what it was asked for.
    ///
    /// # Errors
    ///
    /// A defect.
    pub(super) fn end_check(
        &mut self,
        id: u64,
        job: Job,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let Job { aim: Aim::Check(check), steps, .. } = job else {
            return Err(VaultError::Internal("a job ends as another"));
        };
        let Check { key, then } = *check;
        let said = answers(&steps).and_then(|answers| {
            let facts = self.registry.venue(&key.row.venue).map(|venue| venue.key_facts(&answers));
            facts.unwrap_or(Err(NOT_POSSIBLE)).map_err(str::to_owned)
        });
        match then {
            Then::Nothing => self.take_check(&key, said, None, "schedule", now).map(drop),
            Then::Answer(asker) => {
                let checked = self.take_check(&key, said, Some(&asker), "operator", now)?;
                let check = Some(self.wire_check(&key.row, &checked, now)?);
                let answer = v1::CheckCredentialResponse { check };
                self.journal.answer(Channel::Front, asker.correlation, &answer);
                Ok(())
            }
            Then::Import(import) => self.end_import_check(id, &key, said, import, now),
        }
    }

    fn end_import_check(
        &mut self,
        id: u64,
        key: &OwnKey,
        said: Result<KeyFacts, String>,
        import: Box<Import>,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let asker = import.asker.clone();
        let checked = self.take_check(key, said, Some(&asker), "import", now)?;
        if let Err(error) = self.may_still_import(&asker, now) {
            return self.refuse_asker(Err(error), Method::CredentialImport, &asker, now);
        }
        let outcome = match &checked {
            Checked { problem: Some(problem), .. } => {
                Err(VaultError::CheckNotPossible(problem.clone()))
            }
            Checked { facts: Some(facts), .. }
                if !import.allow_withdrawals
                    && self
                        .venue_of(&key.row)?
                        .findings(facts, key.row.rights.as_deref(), now)
                        .allows_withdrawals() =>
            {
                Err(VaultError::KeyMayWithdraw)
            }
            _ if self.acts.is_busy() => {
                self.own.parked.insert(id, Parked { import, checked });
                let call = ActCall::Checked(id);
                self.acts.wait(call, asker.correlation, Lane::Operator).inspect_err(|_| {
                    self.own.parked.remove(&id);
                })
            }
            _ => self.finish_import(*import, Some(&checked), now),
        };
        self.refuse_asker(outcome, Method::CredentialImport, &asker, now)
    }

    /// Stores a key that was checked, now that no act is under way.
    ///
    /// # Errors
    ///
    /// A defect.
    pub(crate) fn unpark_import(&mut self, id: u64, now: Timestamp) -> Result<(), VaultError> {
        let Some(Parked { import, checked }) = self.own.parked.remove(&id) else {
            return Ok(());
        };
        let asker = import.asker.clone();
        let outcome = self
            .may_still_import(&asker, now)
            .and_then(|()| self.finish_import(*import, Some(&checked), now));
        self.refuse_asker(outcome, Method::CredentialImport, &asker, now)
    }

    /// Looks at an asker again: a venue takes its time, and a person may be revoked meanwhile.
    ///
    /// # Errors
    ///
    /// [`VaultError::Certificate`], [`VaultError::Role`].
    fn may_still_import(&self, asker: &Asker, now: Timestamp) -> Result<(), VaultError> {
        let Some(caller) = &asker.caller else {
            return Ok(());
        };
        let tables = self.tables();
        let is_allowed = still_allowed(tables, &caller.serial, now);
        let Some(operator) = tables.operators.get(&caller.name).filter(|_| is_allowed) else {
            let is_over = certificate(tables, &caller.serial)?.not_after <= now;
            let problem =
                if is_over { CertificateProblem::Expired } else { CertificateProblem::Revoked };
            return Err(VaultError::Certificate(problem));
        };
        Method::CredentialImport.check_role(operator.role)
    }

    /// Logs what a venue said of a key, or that it did not, and keeps it.
    fn take_check(
        &mut self,
        key: &OwnKey,
        said: Result<KeyFacts, String>,
        asker: Option<&Asker>,
        trigger: &str,
        now: Timestamp,
    ) -> Result<Checked, VaultError> {
        let OwnKey { row, version, .. } = key;
        let known = self.checked(row, version).cloned().unwrap_or_default();
        let had_drifted = known.drifted;
        if said.is_ok() {
            self.own.checked(&row.name);
        }
        let venue = self.venue_of(row)?;
        let (checked, findings) = match said {
            Ok(facts) => {
                let found = venue.findings(&facts, row.rights.as_deref(), now);
                let drifted = found.drifted;
                let checked = Checked { at: now, facts: Some(facts), drifted, problem: None };
                (checked, found.list)
            }
            // What was found before still holds.
            Err(problem) => {
                let finding = venue.check_not_possible(&problem);
                (Checked { at: now, problem: Some(problem), ..known }, vec![finding])
            }
        };
        let codes: Vec<&str> = findings.iter().map(|finding| finding.code).collect();
        self.tell_people(row, &checked, &findings);

        let mut entry = match asker {
            Some(asker) => self.entry_of(EntryKind::CredentialCheck, asker, now),
            None => {
                let mut entry = self.journal.entry(EntryKind::CredentialCheck, now);
                entry.state_rev = self.open.as_ref().map(|open| open.state.state_rev());
                entry
            }
        };
        entry.credential = Some(row.name.clone());
        entry.version = Some(row.version);
        entry.venue = Some(row.venue.clone());
        entry.environment = Some(row.environment);
        entry.detail = checked.detail(version.created_at, trigger, &codes);
        if let Some(problem) = &checked.problem {
            entry.outcome = Outcome::Error;
            entry.reason = Some(problem.clone());
        }
        self.journal.record(entry)?;
        if checked.drifted && !had_drifted {
            // After a crash Sign is halted only by what the log has.
            self.journal.hurry();
        }
        self.checks.put(&row.name, version.created_at, checked.clone());
        self.refresh_drift(&BTreeSet::from([row.name.clone()]), now)?;
        Ok(checked)
    }

    fn tell_people(&self, row: &CredentialRow, checked: &Checked, findings: &[Finding]) {
        let codes: Vec<&str> = findings.iter().map(|finding| finding.code).collect();
        let codes = codes.join(",");
        let is_alarm = findings.iter().any(|finding| finding.severity == Severity::Alarm);
        if checked.drifted {
            tracing::error!(credential = %row.name, %codes, "credential has drifted: Sign is halted");
        } else if is_alarm {
            tracing::error!(credential = %row.name, %codes, "credential check found an alarm");
        } else if let Some(problem) = &checked.problem {
            tracing::warn!(credential = %row.name, %problem, "credential could not be checked");
        } else {
            tracing::info!(credential = %row.name, %codes, "credential checked");
        }
    }

    /// Finds out which of these credentials' present keys have drifted: by what the venue said last,
    /// against what is stated now. What the others have depends on neither.
    ///
    /// # Errors
    ///
    /// A defect.
    pub(crate) fn refresh_drift(
        &mut self,
        credentials: &BTreeSet<Name>,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        for name in credentials {
            let is_drifted = self.has_drifted(name, now)?;
            if is_drifted && !self.checks.is_drifted(name) {
                // An old answer could release what is halted from now on.
                self.replay.forget_answers();
            }
            self.checks.set_drifted(name, is_drifted);
        }
        Ok(())
    }

    fn has_drifted(&self, name: &Name, now: Timestamp) -> Result<bool, VaultError> {
        let Some(open) = &self.open else {
            return Ok(self.checks.is_drifted(name));
        };
        let Some(row) = open.state.tables().credentials.get(name) else {
            return Ok(false);
        };
        let version = crate::authorize::version(open, row)?;
        let Some(checked) = self.checked(row, version) else {
            return Ok(false);
        };
        let found = match &checked.facts {
            Some(facts) => self.venue_of(row)?.findings(facts, row.rights.as_deref(), now).drifted,
            None => false,
        };
        Ok(found || checked.drifted)
    }

    /// What is known of the key of a credential's version.
    pub(crate) fn checked(
        &self,
        row: &CredentialRow,
        version: &CredentialVersionRow,
    ) -> Option<&Checked> {
        self.checks.of(&row.name, version.created_at)
    }

    /// A check as an answer has it.
    ///
    /// # Errors
    ///
    /// A defect.
    pub(crate) fn wire_check(
        &self,
        row: &CredentialRow,
        checked: &Checked,
        now: Timestamp,
    ) -> Result<v1::CredentialCheck, VaultError> {
        let venue = self.venue_of(row)?;
        let found = checked
            .facts
            .as_ref()
            .map(|facts| venue.findings(facts, row.rights.as_deref(), now))
            .unwrap_or_default();
        let unanswered =
            checked.problem.as_deref().map(|problem| venue.check_not_possible(problem));
        Ok(v1::CredentialCheck {
            checked_at_us: checked.at.micros(),
            findings: found.list.iter().chain(&unanswered).map(wire_finding).collect(),
            rights: checked.facts.as_ref().map(|facts| facts.rights.clone()).unwrap_or_default(),
            problem: checked.problem.clone().unwrap_or_default(),
            drifted: checked.drifted || found.drifted,
        })
    }
}

/// The answers of all steps, or why there is none of one.
fn answers(steps: &[Step]) -> Result<Vec<Answer>, String> {
    steps
        .iter()
        .map(|step| match &step.state {
            State::Ended(Ended::Answered(answer)) => Ok(answer.clone()),
            State::Ended(Ended::Failed { problem, .. }) => Err(problem.clone()),
            _ => Err("DEADLINE_EXCEEDED".to_owned()),
        })
        .collect()
}

fn wire_finding(finding: &Finding) -> v1::CredentialFinding {
    v1::CredentialFinding {
        code: finding.code.to_owned(),
        severity: finding.severity.as_str().to_owned(),
        message: finding.message.clone(),
        hint: finding.hint.clone(),
    }
}

/// How long a venue may be asked: an import waits for it.
const CHECK_MAX: Duration = Duration::from_secs(25);
/// The catalogue does not say how to ask for this key.
const NOT_POSSIBLE: &str = "CHECK_NOT_POSSIBLE";
