//! Requests of the vault's own: to ask a venue what a key may do, and to find and cancel open
//! orders. No client asks for them, and no scope judges them; a door of their own lets them through.
//!
//! The door: an [`OwnPermit`] can be made here alone, of a request that the venue's catalogue makes
//! ([`OwnRequest`], which nothing from outside can become), and only if it reads as the very
//! operation that it names, of class `read`, or `cancel` where orders are to be cancelled. It is
//! signed, logged and sent as any other, and holds the lane of its credential where nonces go in
//! order.

mod cancel_all;
mod check;
mod job;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use vault_audit::EntryKind;
use vault_ipc::{Dispatch, Kind, Outcome, REPORTS_MAX};
use vault_model::{Class, ClockTime, Environment, Mode, Name, Reading, Timestamp, VenueRequest};
use vault_venue::{Answer, KeyType, OwnRequest, ReadError, Reported, Standing};

use crate::credential::open_own;
use crate::crypto::mac::payload_mac;
use crate::crypto::stack::wiping_stack;
use crate::error::VaultError;
use crate::execute::{problem, status, write_outcome};
use crate::journal::Channel;
use crate::order::wire_headers;
use crate::storage::{CredentialRow, CredentialState, CredentialVersionRow};
use crate::vault::{Vault, detail};

pub(crate) use self::check::Parked;
use self::job::{Ended, Job};

/// What a request of the vault's own is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Purpose {
    /// To find open orders and cancel them.
    CancelAll,
    /// To learn what a key may do.
    Check,
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CancelAll => "cancel_all",
            Self::Check => "check",
        })
    }
}

/// A key as it was when its job began.
#[derive(Debug)]
pub(crate) struct OwnKey {
    pub row: CredentialRow,
    pub version: CredentialVersionRow,
    /// It is about to be imported: its rows are in no table.
    pub is_new: bool,
}

/// Leave to sign one request of the vault's own with one key.
pub(crate) struct OwnPermit {
    key: Arc<OwnKey>,
    key_type: KeyType,
    reading: Reading,
    request: VenueRequest,
    // Keeps others from making one.
    _gate: (),
}

impl OwnPermit {
    /// The key it is for.
    pub fn key(&self) -> &OwnKey {
        &self.key
    }
}

/// One request of a job.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub job: u64,
    /// Its place among the job's steps.
    pub step: usize,
    pub key: Arc<OwnKey>,
    pub request: OwnRequest,
    pub purpose: Purpose,
    /// Who asked; absent: the vault's schedule.
    pub by: Option<Name>,
    /// After which its job has ended, on the vault's own clock.
    pub deadline: ClockTime,
}

/// A request that egress has.
struct UnderWay {
    task: Task,
    /// Of its `execute.intent`.
    intent: u64,
    environment: Environment,
    /// Whether it holds the lane of its credential.
    has_lane: bool,
}

/// What the vault itself has asked venues for.
#[derive(Default)]
pub(crate) struct Own {
    jobs: BTreeMap<u64, Job>,
    last_job: u64,
    under_way: HashMap<u64, UnderWay>,
    /// Checks in a row that were not made since a bot held the credential, by their jobs.
    put_off: HashMap<Name, Vec<u64>>,
    /// Requests that wait for the lane of their credential.
    waiting: HashMap<Name, VecDeque<Task>>,
    /// Imports that were checked, and wait for the act under way.
    parked: BTreeMap<u64, Parked>,
    /// The last credential that the schedule has looked at; absent: it begins with the first.
    looked_at: Option<Name>,
}

impl Own {
    /// Whether the vault itself has sent a request, by the correlation of its frame.
    pub fn is_under_way(&self, id: u64) -> bool {
        self.under_way.contains_key(&id)
    }

    /// Whether a check makes way for a bot that holds the credential: [`PUT_OFF_MAX`] in a row do.
    fn is_put_off(&mut self, credential: &Name, job: u64) -> bool {
        let jobs = self.put_off.entry(credential.clone()).or_default();
        if jobs.contains(&job) {
            return true;
        }
        if jobs.len() >= PUT_OFF_MAX {
            return false;
        }
        jobs.push(job);
        true
    }

    /// A check was answered.
    fn checked(&mut self, credential: &Name) {
        self.put_off.remove(credential);
    }
}

impl Vault {
    /// Asks the door for leave.
    ///
    /// # Errors
    ///
    /// [`VaultError::CredentialDisabled`]; [`VaultError::Read`], also for a request that does not
    /// read as what it is for: the catalogue is wrong then.
    fn own_permit(&self, task: &Task) -> Result<OwnPermit, VaultError> {
        let Task { key, request, purpose, .. } = task;
        if !key.is_new {
            // Things may have changed since the job began.
            let row = self.opened()?.state.tables().credentials.get(&key.row.name);
            let row = row.filter(|row| row.version == key.row.version);
            match row.map(|row| row.state) {
                Some(CredentialState::Enabled) => {}
                Some(CredentialState::Disabled) => return Err(VaultError::CredentialDisabled),
                None => return Err(VaultError::NotFound("credential")),
            }
        }
        let venue = self
            .registry
            .venue(&key.row.venue)
            .ok_or(VaultError::Internal("a credential is for an unknown venue"))?;
        let key_type = key
            .version
            .key_type
            .parse()
            .map_err(|_| VaultError::Internal("a credential is of an unknown key type"))?;
        let standing = Standing {
            environment: key.row.environment,
            sites: Some(&key.row.sites),
            venue_checks: false,
            // What is stated may be wrong: that is for the venue to say.
            rights: None,
            key_type,
        };
        let reading = venue.read(request.request(), &standing)?;
        let fits = match purpose {
            Purpose::CancelAll => matches!(reading.stated.class, Class::Cancel | Class::Read),
            Purpose::Check => reading.stated.class == Class::Read,
        };
        if !fits || *reading.stated.operation != *request.operation() {
            return Err(VaultError::Read(ReadError::OperationUnknown));
        }
        let (key, request) = (Arc::clone(key), request.request().clone());
        Ok(OwnPermit { key, key_type, reading, request, _gate: () })
    }

    /// Sends a request, or keeps it until the lane of its credential is free.
    ///
    /// # Errors
    ///
    /// Why it is not sent.
    fn own_send(&mut self, task: Task, now: Timestamp) -> Result<(), VaultError> {
        let clock = self.clock_time();
        if task.deadline <= clock {
            return Err(VaultError::DeadlineExceeded);
        }
        if self.disk_full {
            return Err(VaultError::DiskFull);
        }
        let permit = self.own_permit(&task)?;
        let name = &task.key.row.name;
        let in_order = self.goes_in_order(&permit.reading);
        if in_order && self.lanes.is_busy(name) {
            self.own.waiting.entry(name.clone()).or_default().push_back(task);
            return Ok(());
        }
        // A bot that signs with this credential may have a nonce that it has not sent yet, and would
        // lose it. To cancel is worth that; to ask is not, unless it never gets round to it.
        let may_wait = task.purpose == Purpose::Check && !task.key.is_new;
        if in_order
            && may_wait
            && self.leases.is_held(name, clock)
            && self.own.is_put_off(name, task.job)
        {
            return Err(VaultError::CredentialLeased { retry_after_ms: 0 });
        }
        let nonce = if in_order {
            Some(self.nonces.next(name, task.key.row.nonce_floor, now)?)
        } else {
            None
        };

        let OwnPermit { key, key_type, reading, request, .. } = &permit;
        let signed = wiping_stack(|| {
            let secret = open_own(self.opened()?, &self.instance_id, &permit)?;
            let key_for_venue = secret.key(*key_type);
            self.sign_with(reading.venue, &key.row, &key_for_venue, request, nonce, true, now)
        })?;
        let mut entry = self.journal.entry(EntryKind::ExecuteIntent, now);
        entry.state_rev = self.open.as_ref().map(|open| open.state.state_rev());
        entry.mode = Some(Mode::Execute);
        entry.venue = Some(reading.venue.to_owned());
        entry.credential = Some(key.row.name.clone());
        entry.version = Some(key.row.version);
        entry.environment = Some(key.row.environment);
        entry.operation = Some(reading.stated.operation.to_string());
        entry.class = Some(reading.stated.class);
        entry.catalog_hash = Some(reading.catalog_hash);
        entry.nonce = nonce.map(|nonce| nonce.to_string());
        entry.sig_sha256 = Some(Sha256::digest(&signed.signature).into());
        if let Some(open) = &self.open {
            let (version, audit_mac) = open.keys.current_audit_mac();
            entry.mac_key = Some(version);
            entry.payload_mac =
                Some(payload_mac(audit_mac, &self.instance_id, reading.venue, request));
        }
        entry.detail = detail([("purpose", task.purpose.to_string())]);
        if let Some(by) = &task.by {
            entry.detail.insert("by".to_owned(), by.to_string());
        }
        let place = self.journal.record(entry)?;

        if in_order {
            self.lanes.take(&key.row.name);
        }
        let is_read = reading.stated.class == Class::Read;
        let venue = self
            .registry
            .venue(reading.venue)
            .ok_or(VaultError::Internal("a reading is of an unknown venue"))?;
        let left_ms = task.deadline.since(clock).as_millis();
        let dispatch = Dispatch {
            front_correlation: 0,
            venue: reading.venue.to_owned(),
            credential: key.row.name.to_string(),
            // What lists the orders that an operator wants cancelled is as urgent as the cancels: no
            // pause holds it up, and no bot that has caused one.
            class: match task.purpose {
                Purpose::CancelAll => Class::Cancel,
                _ => reading.stated.class,
            }
            .to_string(),
            method: signed.method,
            url: signed.url,
            headers: wire_headers(signed.headers),
            body: signed.body,
            timeout_ms: u32::try_from(left_ms.max(1))
                .map_or(self.config.egress_timeout_ms, |left| {
                    left.min(self.config.egress_timeout_ms)
                }),
            repeatable: is_read && nonce.is_none(),
            secrets: signed.secrets,
            order_id_at: Vec::new(),
            error_code_at: venue.response().error_code.clone(),
            report_at: task.request.report_at().to_vec(),
            ..Dispatch::default()
        };
        let environment = key.row.environment;
        let id = self.executions.number();
        if let Some(job) = self.own.jobs.get_mut(&task.job) {
            job.sent(task.step, place.index);
        }
        self.journal.frame(Channel::Egress, Kind::Dispatch, id, &dispatch);
        let under_way = UnderWay { task, intent: place.index, environment, has_lane: in_order };
        self.own.under_way.insert(id, under_way);
        Ok(())
    }

    /// Logs what became of a request of the vault's own, and goes on with its job.
    ///
    /// # Errors
    ///
    /// A defect.
    pub(crate) fn own_executed(
        &mut self,
        outcome: &Outcome,
        id: u64,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let UnderWay { task, intent, environment, has_lane } = self
            .own
            .under_way
            .remove(&id)
            .ok_or(VaultError::Internal("egress sent an outcome of nothing that was sent"))?;
        let credential = &task.key.row.name;
        let mut entry = self.journal.entry(EntryKind::ExecuteOutcome, now);
        entry.credential = Some(credential.clone());
        entry.environment = Some(environment);
        entry.mode = Some(Mode::Execute);
        entry.operation = Some(task.request.operation().to_owned());
        entry.venue = Some(task.key.row.venue.clone());
        write_outcome(&mut entry, intent, outcome);
        entry.detail.insert("purpose".to_owned(), task.purpose.to_string());
        self.journal.record(entry)?;

        let status = status(outcome).unwrap_or(0);
        let reports = outcome.report.iter().take(REPORTS_MAX);
        let ended = match problem(outcome) {
            Some(problem) => Ended::Failed { status, problem: problem.to_owned() },
            None => Ended::Answered(Answer {
                status: u16::try_from(status).unwrap_or(0),
                reported: reports.filter_map(reported).collect(),
                cut: outcome.report_cut || outcome.report.len() > REPORTS_MAX,
            }),
        };
        if let Some(job) = self.own.jobs.get_mut(&task.job) {
            job.end(task.step, ended);
        }
        if has_lane {
            self.free_lane(credential, now)?;
        }
        self.own_drive(task.job, now)
    }

    /// Sends what waited for the lane of a credential, if that is free. Requests that are not sent
    /// make room for the next.
    ///
    /// # Errors
    ///
    /// A defect.
    pub(crate) fn own_turn(&mut self, credential: &Name, now: Timestamp) -> Result<(), VaultError> {
        while !self.lanes.is_busy(credential) {
            let Some(tasks) = self.own.waiting.get_mut(credential) else {
                return Ok(());
            };
            // What takes risk away goes first.
            let is_first = |task: &Task| task.purpose == Purpose::CancelAll;
            let at = tasks.iter().position(is_first).unwrap_or(0);
            let Some(task) = tasks.remove(at) else {
                self.own.waiting.remove(credential);
                return Ok(());
            };
            let (job, step) = (task.job, task.step);
            if !self.own.jobs.contains_key(&job) {
                continue;
            }
            if let Err(error) = self.own_send(task, now) {
                self.own_not_sent(job, step, error)?;
                self.own_drive(job, now)?;
            }
        }
        Ok(())
    }

    /// Tells a job that one of its requests is not sent.
    ///
    /// # Errors
    ///
    /// A defect: what a job cannot be told.
    fn own_not_sent(&mut self, job: u64, step: usize, error: VaultError) -> Result<(), VaultError> {
        match error {
            VaultError::Internal(_) => Err(error),
            error => {
                if let Some(job) = self.own.jobs.get_mut(&job) {
                    let problem = error.reason().to_owned();
                    job.end(step, Ended::Failed { status: 0, problem });
                }
                Ok(())
            }
        }
    }

    /// Sends what a job has to send now, and ends it if nothing is left.
    ///
    /// # Errors
    ///
    /// A defect.
    fn own_drive(&mut self, id: u64, now: Timestamp) -> Result<(), VaultError> {
        loop {
            let Some(job) = self.own.jobs.get_mut(&id) else {
                return Ok(());
            };
            let clock = self.clock.time();
            job.proceed(&self.registry, clock);
            if let Some(task) = job.next_task(id, clock) {
                let step = task.step;
                if let Err(error) = self.own_send(task, now) {
                    self.own_not_sent(id, step, error)?;
                }
                continue;
            }
            if !job.is_done() {
                return Ok(());
            }
            return self.own_end(id, now);
        }
    }

    /// Looks after jobs whose time is over, and begins checks that are due.
    ///
    /// # Errors
    ///
    /// A defect.
    pub(crate) fn own_tick(&mut self, now: Timestamp) -> Result<(), VaultError> {
        let clock = self.clock_time();
        let late: Vec<u64> = self
            .own
            .jobs
            .iter()
            .filter(|(_, job)| job.deadline <= clock)
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            if let Some(job) = self.own.jobs.get_mut(&id) {
                job.give_up();
            }
            self.own_end(id, now)?;
        }
        // Looks that were put off.
        let open: Vec<u64> = self.own.jobs.keys().copied().collect();
        for id in open {
            self.own_drive(id, now)?;
        }
        for tasks in self.own.waiting.values_mut() {
            tasks.retain(|task| self.own.jobs.contains_key(&task.job));
        }
        self.own.waiting.retain(|_, tasks| !tasks.is_empty());
        self.begin_due_check(now)
    }

    /// Whether one more job may begin.
    ///
    /// # Errors
    ///
    /// [`VaultError::Overloaded`] while [`JOBS_MAX`] are under way.
    fn own_has_room(&self) -> Result<(), VaultError> {
        if self.own.jobs.len() < JOBS_MAX { Ok(()) } else { Err(VaultError::Overloaded) }
    }

    fn own_begin(&mut self, job: Job, now: Timestamp) -> Result<(), VaultError> {
        self.own.last_job += 1;
        let id = self.own.last_job;
        self.own.jobs.insert(id, job);
        self.own_drive(id, now)
    }

    fn own_end(&mut self, id: u64, now: Timestamp) -> Result<(), VaultError> {
        let Some(job) = self.own.jobs.remove(&id) else {
            return Ok(());
        };
        match job.aim {
            job::Aim::CancelAll(_) => self.end_cancel_all(job, now),
            job::Aim::Check(_) => self.end_check(id, job, now),
        }
    }
}

/// A value that egress found in an answer; its words are looked at again.
fn reported(report: &vault_ipc::Report) -> Option<Reported> {
    let is_plain = (1..=256).contains(&report.value.len())
        && report.value.bytes().all(|b| (b' '..=b'~').contains(&b));
    let vault_ipc::Report { at, row, value } = report;
    is_plain.then(|| Reported { at: *at, row: *row, value: value.clone() })
}

/// How many checks in a row a bot may hold up that signs with a credential.
const PUT_OFF_MAX: usize = 2;
/// How many jobs may be under way.
const JOBS_MAX: usize = 64;
