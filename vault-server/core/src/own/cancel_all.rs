//! Cancel-all: for every credential of a halted target look for open orders, cancel them, and look
//! again until none is left.
//!
//! Orders are cancelled by credential: those that another program placed with the same key go too.
//! A halt on `NOTHING` does not stop it: it is the vault's own, and only takes risk away.

use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use vault_audit::EntryKind;
use vault_ipc::proto::v1;
use vault_model::{ClockTime, HaltTarget, Timestamp};
use vault_venue::{Answer, OwnRequest, Registry};

use super::OwnKey;
use super::job::{Aim, Ended, Job, State, Step};
use crate::act::Asker;
use crate::command::{self, Method};
use crate::error::{Conflict, VaultError};
use crate::halt::{covers, parse_target};
use crate::journal::Channel;
use crate::storage::{CredentialRow, CredentialState};
use crate::vault::{Vault, detail};

/// Who is told, and what there is to say of credentials for which nothing is sent.
pub struct CancelAll {
    asker: Asker,
    target: HaltTarget,
    notes: Vec<v1::CancelAllStep>,
}

impl Vault {
    /// Cancels the open orders of a halted target. Answered when it is done, or after
    /// [`JOB_MAX`].
    ///
    /// # Errors
    ///
    /// [`VaultError::Field`], [`VaultError::NotFound`]; [`Conflict::NotHalted`] for a target that no
    /// halt covers; [`VaultError::Overloaded`].
    pub(crate) fn cancel_all(
        &mut self,
        command: &v1::SignedCommand,
        asker: Asker,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let command: v1::CancelAllCommand = command::body(command)?;
        let target = parse_target(&command.target)?;
        self.check_target(&target)?;
        let credentials = self.credentials_of(&target)?;
        let tables = self.opened()?.state.tables();
        let is_halted = tables.halts.keys().any(|halt| {
            covers(halt, &target, |credential| {
                tables.credentials.get(credential).map(|row| row.venue.as_str())
            })
        });
        if !is_halted {
            return Err(VaultError::Conflict(Conflict::NotHalted));
        }

        let symbol = match &target {
            HaltTarget::Symbol { symbol, .. } => Some(symbol.as_str()),
            _ => None,
        };
        let (mut steps, mut notes) = (Vec::new(), Vec::new());
        for row in &credentials {
            match self.first_steps(row, symbol)? {
                Ok(first) => steps.extend(first),
                Err(problem) => notes.push(v1::CancelAllStep {
                    credential: row.name.to_string(),
                    venue: row.venue.clone(),
                    problem: problem.to_owned(),
                    ..v1::CancelAllStep::default()
                }),
            }
        }
        let by = asker.caller.as_ref().map(|caller| caller.name.clone());
        let mut entry = self.entry_of(EntryKind::HaltCancelAll, &asker, now);
        entry.operation = Some(Method::HaltCancelAll.name().to_owned());
        entry.detail = detail([
            ("credentials", credentials.len().to_string()),
            ("stage", "begun".to_owned()),
            ("target", target.to_string()),
        ]);
        asker.note_command(&mut entry);
        let aim = Aim::CancelAll(Box::new(CancelAll { asker, target, notes }));
        let job = Job { aim, by, deadline: self.clock_time().plus(JOB_MAX), steps };
        self.own_has_room()?;
        self.journal.record(entry)?;
        self.own_begin(job, now)
    }

    /// What is sent first for a credential, or why nothing is.
    fn first_steps(
        &self,
        row: &CredentialRow,
        symbol: Option<&str>,
    ) -> Result<Result<Vec<Step>, &'static str>, VaultError> {
        if row.state == CredentialState::Disabled {
            return Ok(Err("CREDENTIAL_DISABLED"));
        }
        let version = crate::authorize::version(self.opened()?, row)?.clone();
        let venue = self
            .registry
            .venue(&row.venue)
            .ok_or(VaultError::Internal("a credential is for an unknown venue"))?;
        // Of a key that may do more than is stated, orders may be anywhere.
        let is_drifted = self.checks.is_drifted(&row.name);
        let rights = row.rights.as_deref().filter(|_| !is_drifted);
        let key = Arc::new(OwnKey { row: row.clone(), version, is_new: false });
        let looks = venue.looks(row.account(), rights, symbol);
        Ok(looks.map(|looks| looks.into_iter().map(|look| Step::new(&key, look)).collect()))
    }

    fn credentials_of(&self, target: &HaltTarget) -> Result<Vec<CredentialRow>, VaultError> {
        let open = self.opened()?;
        let tables = open.state.tables();
        let scope = match target {
            HaltTarget::Client(name) => {
                let client = tables.clients.get(name).ok_or(VaultError::NotFound("target"))?;
                client.scope.as_ref().and_then(|scope| open.scopes.get(scope))
            }
            _ => None,
        };
        let is_meant = |row: &&CredentialRow| match target {
            HaltTarget::All => true,
            HaltTarget::Client(_) => {
                scope.is_some_and(|scope| scope.document.credentials.contains(&row.name))
            }
            HaltTarget::Credential(name) => row.name == *name,
            HaltTarget::Symbol { venue, .. } | HaltTarget::Venue(venue) => {
                row.venue == venue.as_str()
            }
        };
        Ok(tables.credentials.values().filter(is_meant).cloned().collect())
    }

    /// Answers.
    ///
    /// # Errors
    ///
    /// A defect.
    pub(super) fn end_cancel_all(&mut self, job: Job, now: Timestamp) -> Result<(), VaultError> {
        let Job { aim: Aim::CancelAll(cancel_all), steps, .. } = job else {
            return Err(VaultError::Internal("a job ends as another"));
        };
        let CancelAll { asker, target, notes } = *cancel_all;
        let steps: Vec<v1::CancelAllStep> = steps.iter().map(wire_step).chain(notes).collect();
        let count = |counts: &dyn Fn(&v1::CancelAllStep) -> bool| {
            steps.iter().filter(|step| counts(step)).count().to_string()
        };
        let mut entry = self.entry_of(EntryKind::HaltCancelAll, &asker, now);
        entry.operation = Some(Method::HaltCancelAll.name().to_owned());
        entry.detail = detail([
            ("failed", count(&|step| !step.problem.is_empty())),
            ("requests", count(&|step| step.entry.is_some())),
            ("stage", "done".to_owned()),
            ("target", target.to_string()),
        ]);
        self.journal.record(entry)?;
        let answer = v1::CancelAllResponse { steps }.encode_to_vec();
        // Whoever asked may have gone: then it is for nobody.
        self.journal.answer_encoded(Channel::Front, asker.correlation, answer);
        Ok(())
    }
}

fn wire_step(step: &Step) -> v1::CancelAllStep {
    let (status, problem) = match &step.state {
        State::Done { status, problem } => (*status, problem.clone()),
        State::Ended(Ended::Failed { status, problem }) => (*status, problem.clone()),
        State::Ended(Ended::Answered(answer)) => (u32::from(answer.status), String::new()),
        State::UnderWay | State::Waiting => (0, "DEADLINE_EXCEEDED".to_owned()),
    };
    v1::CancelAllStep {
        credential: step.key.row.name.to_string(),
        venue: step.key.row.venue.clone(),
        operation: step.request.operation().to_owned(),
        symbol: step.request.symbol().unwrap_or_default().to_owned(),
        entry: step.entry,
        status,
        problem,
        order_count: step.order_count,
    }
}

/// Takes up the answers that have come: cancels follow looks, and looks follow cancels.
pub fn proceed(steps: &mut Vec<Step>, registry: &Registry, now: ClockTime) {
    for at in 0..steps.len() {
        let Some(step) = steps.get_mut(at) else {
            continue;
        };
        let State::Ended(ended) = &step.state else {
            continue;
        };
        let answer = match ended.clone() {
            Ended::Answered(answer) => answer,
            Ended::Failed { status, problem } => {
                step.done(status, &problem);
                look_again(steps, at, now);
                continue;
            }
        };
        let Some(venue) = registry.venue(&step.key.row.venue) else {
            step.done(0, "VENUE_UNKNOWN");
            continue;
        };
        if step.request.is_look() {
            let follows = venue.cancels(step.key.row.account(), &step.request, &answer);
            take_look(steps, at, &answer, follows, now);
        } else {
            let status = u32::from(answer.status);
            match venue.cancelled(&step.request, &answer) {
                Ok(count) => {
                    step.order_count = count.unwrap_or(step.request.order_count());
                    step.done(status, "");
                }
                Err(problem) => step.done(status, problem),
            }
            look_again(steps, at, now);
        }
    }
}

fn take_look(
    steps: &mut Vec<Step>,
    at: usize,
    answer: &Answer,
    follows: Result<vault_venue::Step, &'static str>,
    now: ClockTime,
) {
    let used = steps.len();
    let Some(look) = steps.get_mut(at) else {
        return;
    };
    let status = u32::from(answer.status);
    let follows = match follows {
        Ok(follows) => follows,
        Err(problem) => {
            look.done(status, problem);
            return;
        }
    };
    look.order_count = follows.found;
    let key = Arc::clone(&look.key);
    let room = STEPS_MAX.saturating_sub(used);
    let is_last = look.round + 1 >= look.request.rounds();
    let problem = match (follows.found, follows.unread, is_last) {
        (0, 0, _) if !follows.is_partial => "",
        (_, _, true) => "ORDERS_LEFT",
        (_, 1.., _) => "ORDERS_UNREADABLE",
        _ if follows.requests.len() >= room => "TOO_MANY_ORDERS",
        _ => "",
    };
    look.done(status, problem);
    // The last look too: what it shows is cancelled, and only not looked after any more.
    let cancels = follows.requests.into_iter().take(room);
    steps.extend(cancels.map(|request: OwnRequest| {
        let order_count = request.order_count();
        Step { look: Some(at), order_count, ..Step::new(&key, request) }
    }));
    if steps.len() == used && follows.is_partial && problem.is_empty() {
        // What it showed was nothing to cancel, and there is more.
        again(steps, at, now);
    }
}

/// Looks again once all cancels of a look have ended, if any of them did what it was for.
fn look_again(steps: &mut Vec<Step>, at: usize, now: ClockTime) {
    let Some(look) = steps.get(at).and_then(|step| step.look) else {
        return;
    };
    let of_look = || steps.iter().filter(|step| step.look == Some(look));
    let is_open = |step: &Step| !matches!(step.state, State::Done { .. });
    let worked =
        |step: &Step| matches!(&step.state, State::Done { problem, .. } if problem.is_empty());
    if of_look().any(is_open) || !of_look().any(worked) {
        return;
    }
    again(steps, look, now);
}

fn again(steps: &mut Vec<Step>, look: usize, now: ClockTime) {
    let Some(before) = steps.get(look) else {
        return;
    };
    let round = before.round + 1;
    if round >= before.request.rounds() || steps.len() >= STEPS_MAX {
        return;
    }
    // A venue takes its time to cancel. The first time it is asked at once: most do not.
    let not_before = if round == 1 { now } else { now.plus(LOOK_AGAIN_AFTER) };
    let next = Step { round, not_before, ..Step::new(&before.key, before.request.clone()) };
    steps.push(next);
}

/// How long a job may take before it is answered with what there is: less than its caller waits.
pub(super) const JOB_MAX: Duration = Duration::from_secs(60);
/// Between two looks at the same orders.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// Requests of one job. Each is a row of the answer, which must fit into a frame.
const STEPS_MAX: usize = 2_000;
