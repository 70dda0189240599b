//! What is on its way, and what became of it. Nobody waits for an outcome but the lane of its
//! credential: the front has the venue's answer from egress.
//!
//! Of what was on its way when a process ended nothing more is known: its `execute.intent` stays
//! without an outcome.

use std::collections::HashMap;

use vault_audit::{EntryKind, Outcome as Ending};
use vault_ipc::Outcome;
use vault_model::{Class, Environment, Mode, Name, RequestId, Timestamp};

use crate::error::VaultError;
use crate::vault::{Vault, detail};

/// Requests that egress has, by the correlations of their frames.
#[derive(Default)]
pub struct Executions {
    last: u64,
    of_client: HashMap<Name, usize>,
    under_way: HashMap<u64, Execution>,
}

/// A request that egress has.
pub(super) struct Execution {
    pub client: Name,
    /// The credential whose lane it holds.
    pub lane: Option<Name>,
    /// Absent: to a public endpoint, without an entry.
    pub intent: Option<Intent>,
}

/// What the log says of a request that was sent, for the entry of its outcome.
pub(super) struct Intent {
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

    /// One sets out; returns its correlation.
    pub(super) fn begin(&mut self, execution: Execution) -> u64 {
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
        let Execution { client, lane, intent } = self
            .executions
            .end(id)
            .ok_or(VaultError::Internal("egress sent an outcome of nothing that was sent"))?;
        if let Some(intent) = intent {
            self.record_outcome(client, intent, outcome, now)?;
        }
        let Some(credential) = lane else {
            return Ok(());
        };
        self.lanes.free(&credential);
        while let Some((call, correlation)) = self.lanes.next(&credential) {
            self.execute(call, correlation, now)?;
        }
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
        entry.detail = detail([
            ("attempts", outcome.attempts.to_string()),
            ("intent", intent.index.to_string()),
            ("latency_us", outcome.latency_us.to_string()),
            ("sent", if outcome.sent { "yes" } else { "no" }.to_owned()),
        ]);
        let mut say =
            |name: &str, value: &str| entry.detail.insert(name.to_owned(), value.to_owned());
        if (100..=999).contains(&outcome.status) {
            say("status", &outcome.status.to_string());
        }
        // Egress reads what venues write: its words are looked at again.
        if is_word(&outcome.order_id) {
            say("order_id", &outcome.order_id);
        }
        if is_word(&outcome.error_code) {
            say("error_code", &outcome.error_code);
        }
        if !outcome.problem.is_empty() {
            let problem =
                if is_problem(&outcome.problem) { &outcome.problem } else { PROBLEM_UNREADABLE };
            say("problem", problem);
            entry.outcome = Ending::Error;
            entry.reason = Some(problem.to_owned());
        }
        self.journal.record(entry).map(drop)
    }
}

/// Whether it is an order id or error code as a frame may have it.
fn is_word(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'-');
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
}

fn is_problem(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
}

/// How many requests may be on their way.
pub(super) const UNDER_WAY_MAX: usize = 4_096;
/// Of these, how many of one client.
pub(super) const CLIENT_UNDER_WAY_MAX: usize = 512;

/// Stands for a problem that is not of its form.
const PROBLEM_UNREADABLE: &str = "PROBLEM_UNREADABLE";
