//! What is on its way, and what became of it. Nobody waits for an outcome but the lane of its
//! credential: the front has the venue's answer from egress.
//!
//! Of what was on its way when a process ended nothing more is known: its `execute.intent` stays
//! without an outcome.

use std::collections::HashMap;

use vault_audit::{Entry, EntryKind, Outcome as Ending};
use vault_ipc::Outcome;
use vault_model::{Class, Environment, Mode, Name, RequestId, Timestamp};

use crate::error::VaultError;
use crate::journal::Channel;
use crate::vault::{Vault, detail};

/// Requests that egress has, by the correlations of their frames.
#[derive(Default)]
pub struct Executions {
    last: u64,
    of_client: HashMap<Name, usize>,
    under_way: HashMap<u64, Execution>,
}

/// A request that egress has.
pub(crate) struct Execution {
    pub client: Name,
    /// The credential whose lane it holds.
    pub lane: Option<Name>,
    /// Absent: to a public endpoint, without an entry.
    pub intent: Option<Intent>,
}

/// What the log says of a request that was sent, for the entry of its outcome.
pub(crate) struct Intent {
    /// Of its `execute.intent`.
    pub index: u64,
    pub credential: Name,
    pub environment: Environment,
    pub venue: String,
    pub operation: String,
    pub request_id: RequestId,
}

impl Executions {
    /// Whether one more of a client may set out. What one client has under way never fills all, and
    /// the last places are kept for cancels.
    pub fn has_room(&self, client: &Name, class: Class) -> bool {
        let reserve = if class == Class::Cancel { 0 } else { UNDER_WAY_MAX / 8 };
        let of_client = self.of_client.get(client).copied().unwrap_or(0);
        self.under_way.len() < UNDER_WAY_MAX - reserve
            && of_client < CLIENT_UNDER_WAY_MAX - reserve / 8
    }

    /// A correlation that nothing else of the core's has.
    pub fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// One sets out; returns its correlation.
    pub(crate) fn begin(&mut self, execution: Execution) -> u64 {
        self.last += 1;
        *self.of_client.entry(execution.client.clone()).or_default() += 1;
        self.under_way.insert(self.last, execution);
        self.last
    }

    #[cfg(test)]
    pub(super) fn client_of(&self, id: u64) -> Option<&Name> {
        self.under_way.get(&id).map(|execution| &execution.client)
    }

    fn end(&mut self, id: u64) -> Option<Execution> {
        let execution = self.under_way.remove(&id)?;
        if let Some(count) = self.of_client.get_mut(&execution.client) {
            *count -= 1;
            if *count == 0 {
                self.of_client.remove(&execution.client);
            }
        }
        Some(execution)
    }
}

impl Vault {
    /// Logs what became of a request, and takes up the next one of its lane.
    ///
    /// # Errors
    ///
    /// [`VaultError::Internal`] for an outcome of nothing that is on its way, or a defect.
    pub(crate) fn executed(
        &mut self,
        outcome: &Outcome,
        id: u64,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        if self.own.is_under_way(id) {
            return self.own_executed(outcome, id, now);
        }
        let Execution { client, lane, intent } = self
            .executions
            .end(id)
            .ok_or(VaultError::Internal("egress sent an outcome of nothing that was sent"))?;
        self.holds.settle(id, &outcome.held);
        self.message_settled(outcome, id);
        if let Some(intent) = intent {
            if !outcome.sent {
                self.requests.unsent(&client, self.clock.time());
            }
            self.counts.count_outcome(&intent.venue, outcome);
            self.record_outcome(client, intent, outcome, now)?;
        }
        let Some(credential) = lane else {
            return Ok(());
        };
        self.free_lane(&credential, now)
    }

    /// The request that held a lane has its outcome: the next one of the vault's own sets out, or the
    /// lane is in line for the next call of a bot.
    ///
    /// # Errors
    ///
    /// A defect.
    pub(crate) fn free_lane(
        &mut self,
        credential: &Name,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        self.lanes.free(credential);
        self.own_turn(credential, now)?;
        self.lanes.line_up(credential);
        Ok(())
    }

    /// The turn of a lane has come: its next call is decided, and no other one. If that is refused,
    /// the lane is in line again.
    ///
    /// # Errors
    ///
    /// A defect.
    pub(crate) fn lane_turn(
        &mut self,
        credential: &Name,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        self.lanes.free(credential);
        // What the vault itself has to ask came while the lane was in line.
        self.own_turn(credential, now)?;
        match self.lanes.next(credential) {
            Some(waiting) if waiting.is_late(self.clock_time()) => {
                let error = VaultError::DeadlineExceeded;
                self.journal.refuse(Channel::Front, waiting.correlation, &error, None);
            }
            Some(waiting) => self.execute(waiting.call, waiting.correlation, now)?,
            None => {}
        }
        self.lanes.line_up(credential);
        Ok(())
    }

    fn record_outcome(
        &mut self,
        client: Name,
        intent: Intent,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let mut entry = self.journal.entry(EntryKind::ExecuteOutcome, now);
        entry.client = Some(client);
        entry.credential = Some(intent.credential);
        entry.environment = Some(intent.environment);
        entry.mode = Some(Mode::Execute);
        entry.operation = Some(intent.operation);
        entry.request_id = Some(intent.request_id);
        entry.venue = Some(intent.venue);
        write_outcome(&mut entry, intent.index, outcome);
        self.journal.record(entry).map(drop)
    }
}

/// What an entry says of the outcome of the request that has the entry `intent`.
pub(crate) fn write_outcome(entry: &mut Entry, intent: u64, outcome: &Outcome) {
    entry.detail = detail([
        ("attempts", outcome.attempts.to_string()),
        ("intent", intent.to_string()),
        ("latency_us", outcome.latency_us.to_string()),
        ("sent", if outcome.sent { "yes" } else { "no" }.to_owned()),
    ]);
    let mut say = |name: &str, value: &str| entry.detail.insert(name.to_owned(), value.to_owned());
    if let Some(status) = status(outcome) {
        say("status", &status.to_string());
    }
    // Egress reads what venues write: its words are looked at again.
    if is_word(&outcome.order_id) {
        say("order_id", &outcome.order_id);
    }
    if let Some(code) = error_code(outcome) {
        say("error_code", code);
    }
    if let Some(problem) = problem(outcome) {
        say("problem", problem);
        entry.outcome = Ending::Error;
        entry.reason = Some(problem.to_owned());
    }
}

/// The venue's HTTP status, if one came.
pub(crate) fn status(outcome: &Outcome) -> Option<u32> {
    Some(outcome.status).filter(|status| (100..=999).contains(status))
}

/// The venue's error code, if one was found.
fn error_code(outcome: &Outcome) -> Option<&str> {
    Some(outcome.error_code.as_str()).filter(|code| is_word(code))
}

/// Why it did not end well.
pub(crate) fn problem(outcome: &Outcome) -> Option<&str> {
    let problem = Some(outcome.problem.as_str()).filter(|problem| !problem.is_empty())?;
    Some(if is_problem(problem) { problem } else { PROBLEM_UNREADABLE })
}

/// Whether it is an order id or error code as a frame may have it.
fn is_word(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'-');
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
}

/// Whether it is a problem of egress as a frame may have it.
pub(crate) fn is_problem(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
}

/// How many requests may be on their way.
pub(super) const UNDER_WAY_MAX: usize = 4_096;
/// Of these, how many of one client.
pub(super) const CLIENT_UNDER_WAY_MAX: usize = 512;

/// Stands for a problem that is not of its form.
const PROBLEM_UNREADABLE: &str = "PROBLEM_UNREADABLE";
