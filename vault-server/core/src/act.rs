//! Acts that change policy, one after another: intent in the log, transaction in the database,
//! applied in the log, barrier, answer. Decisions go on meanwhile, under the old rules until the act
//! is applied.
//!
//! An act that only forbids answers after the barrier: by then nothing that it forbids can be
//! written to a socket any more.

mod line;
mod plan;

use std::collections::BTreeSet;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use vault_audit::{Approval, ENTRY_BYTES_MAX, EntryKind, Hash, Outcome};
use vault_ipc::Barrier;
use vault_ipc::proto::v1;
use vault_model::{Name, Timestamp};

use self::line::Line;
pub use self::line::{ActCall, Lane};
pub use self::plan::{Asker, Plan};
use crate::error::VaultError;
use crate::inbox::InputSender;
use crate::journal::Channel;
use crate::run::Input;
use crate::stopped::Stops;
use crate::storage::{Applied, CommandNonce, Hashed, Hex, Op, Prepared, RowKey, Stamp, StoreError};
use crate::vault::Vault;

/// The act that is under way, and those that wait.
#[derive(Default)]
pub struct Acts {
    current: Option<Current>,
    line: Line,
    last_barrier: u64,
    /// What was stopped last, so that nothing older lets it go on.
    pub(crate) stops: Stops,
    /// A transaction is under way that only remembers where the log is.
    anchoring: bool,
    /// Entries that the database remembers.
    anchored: u64,
    anchored_at: Option<Instant>,
    /// Where other threads bring what they have computed; absent: nothing is left to them.
    core: Option<InputSender>,
}

struct Current {
    asker: Asker,
    plan: Plan,
    stage: Stage,
}

/// How far an act is.
enum Stage {
    /// Another thread computes the root over all rows.
    Hashing,
    /// The database carries it out.
    Committing(Box<Committing>),
    /// It is in force, and answered once nothing that it forbids can be written to a socket any more.
    AtBarrier(AtBarrier),
}

struct Committing {
    /// Taken over when it comes into force.
    hashed: Hashed,
    applied: Applied,
    change_id: String,
    hash: Hash,
    hash_before: Hash,
}

struct AtBarrier {
    id: u64,
    change: v1::Change,
    /// Set once the barrier is written.
    deadline: Option<Instant>,
    /// Who has not confirmed it yet.
    open: Vec<Channel>,
}

impl Acts {
    /// Acts that leave what takes long to other threads.
    pub fn new(core: InputSender) -> Self {
        Self { core: Some(core), ..Self::default() }
    }

    /// Whether a new act must wait.
    pub fn is_busy(&self) -> bool {
        self.current.is_some() || self.anchoring
    }

    /// Keeps a call until the act under way has ended.
    ///
    /// # Errors
    ///
    /// [`VaultError::TooManyActs`].
    pub fn wait(&mut self, call: ActCall, correlation: u64, lane: Lane) -> Result<(), VaultError> {
        self.line.wait(call, correlation, lane)
    }

    /// The next call that waited, if no act is under way.
    pub fn next_waiting(&mut self) -> Option<(ActCall, u64)> {
        if self.is_busy() {
            return None;
        }
        self.line.next()
    }

    /// Who has let a barrier's time pass, front or egress: it cannot be trusted to hold anything
    /// back. Its time begins when the barrier was written to both, not while a slow disk keeps it
    /// here; `written` is the last barrier that was.
    pub fn late(&mut self, written: u64) -> Option<Channel> {
        let Stage::AtBarrier(barrier) = &mut self.current.as_mut()?.stage else {
            return None;
        };
        if written < barrier.id {
            return None;
        }
        let deadline = *barrier.deadline.get_or_insert_with(|| Instant::now() + BARRIER_MAX);
        barrier.open.first().copied().filter(|_| Instant::now() >= deadline)
    }
}

impl Vault {
    /// Begins an act: its intent goes to the log, and its transaction follows once that is on disk.
    ///
    /// The root over all rows goes into the intent. Where it takes more hashes than an order should
    /// wait for, another thread computes it; decisions go on meanwhile. What forbids something waits for
    /// no thread, however many hashes it takes.
    ///
    /// # Errors
    ///
    /// What forbids the act; nothing is changed then.
    pub(crate) fn begin_act(
        &mut self,
        plan: Plan,
        asker: Asker,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        self.opened()?;
        self.check_intent_fits(&asker, &plan, now)?;
        let open = self.open.as_mut().ok_or(VaultError::Sealed)?;
        let prepared = open
            .state
            .prepare(&plan.changes, &open.state_mac)
            .map_err(|_| VaultError::Internal("a change does not fit the tables"))?;
        let is_long = plan.barrier.is_none() && prepared.cost() > HASHES_MAX;
        self.acts.current = Some(Current { asker, plan, stage: Stage::Hashing });
        let core = self.acts.core.as_ref().filter(|_| is_long);
        match core.and_then(hash_apart) {
            // It waits for nothing else, so it takes it.
            Some(hasher) => hasher
                .send(prepared)
                .map_err(|_| VaultError::Internal("the state root was left uncomputed")),
            None => self.act_hashed(prepared.hash(), now),
        }
    }

    /// Whether the entries of an act will fit: it must not be found out half-way that they do not.
    fn check_intent_fits(
        &self,
        asker: &Asker,
        plan: &Plan,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let mut entry = self.act_entry(EntryKind::AdminIntent, asker, plan, now);
        entry.idx = self.journal.size();
        entry.change_id = Some(self.next_change_id());
        entry.hash_before = Some([0; 32]);
        entry.hash_after = Some([0; 32]);
        // What follows says a little more, and must fit too.
        let intent_bytes = entry.to_line().map_or(usize::MAX, |line| line.len());
        if intent_bytes > ENTRY_BYTES_MAX - APPLIED_BYTES_MORE {
            return Err(VaultError::EntryTooLong);
        }
        Ok(())
    }

    /// By the intent's own index: unique also when an act comes to nothing.
    fn next_change_id(&self) -> String {
        format!("{}-{}", self.instance.epoch, self.journal.size())
    }

    /// The root of the act under way is known: its intent goes to the log.
    ///
    /// # Errors
    ///
    /// A defect.
    pub(crate) fn act_hashed(&mut self, hashed: Hashed, now: Timestamp) -> Result<(), VaultError> {
        let Some(Current { asker, plan, stage: Stage::Hashing }) = self.acts.current.take() else {
            return Err(VaultError::Internal("a root without an act"));
        };
        let open = self.opened()?;
        let applied = open.state.applied(&hashed);
        let hash_before = open.state.state_root().0;
        let change_id = self.next_change_id();
        let hash = change_hash(&applied.ops);

        let mut entry = self.act_entry(EntryKind::AdminIntent, &asker, &plan, now);
        entry.change_id = Some(change_id.clone());
        entry.hash_before = Some(hash_before);
        entry.hash_after = Some(applied.state_root.0);
        entry.state_rev = Some(applied.state_rev);
        self.journal.record(entry)?;

        let stamp = Stamp {
            at: now,
            audit_root: Hex(self.journal.root()?),
            audit_size: self.journal.size(),
            change_id: Some(change_id.clone()),
            nonces: asker.nonce.iter().chain(marks(&plan)).cloned().collect(),
        };
        let commit = applied
            .clone()
            .into_commit(stamp, &self.opened()?.state_mac)
            .map_err(|_| VaultError::Internal("a change cannot be stored"))?;
        self.journal.commit(commit);
        let committing = Committing { hashed, applied, change_id, hash, hash_before };
        let stage = Stage::Committing(Box::new(committing));
        self.acts.current = Some(Current { asker, plan, stage });
        Ok(())
    }

    /// Lets the database remember how far the log is, about once a minute while it grows: a log
    /// that is cut behind that, or put back to an older one, is noticed at the next start.
    ///
    /// # Errors
    ///
    /// A defect.
    pub(crate) fn anchor_log(&mut self, now: Timestamp) -> Result<(), VaultError> {
        let size = self.journal.size();
        let is_due = self.acts.anchored_at.is_none_or(|at| at.elapsed() >= ANCHOR_EVERY)
            && size > self.acts.anchored;
        let Some(open) = self.open.as_ref().filter(|_| is_due && !self.acts.is_busy()) else {
            return Ok(());
        };
        let stamp = Stamp {
            at: now,
            audit_root: Hex(self.journal.root()?),
            audit_size: size,
            change_id: self.change_id.clone(),
            nonces: Vec::new(),
        };
        let commit = open
            .state
            .unchanged()
            .into_commit(stamp, &open.state_mac)
            .map_err(|_| VaultError::Internal("the log's size cannot be stored"))?;
        self.journal.commit(commit);
        self.acts.anchoring = true;
        self.acts.anchored = size;
        self.acts.anchored_at = Some(Instant::now());
        Ok(())
    }

    /// The database has carried the act out, or not.
    ///
    /// # Errors
    ///
    /// What ends the process: nobody knows then what is in the database.
    pub(crate) fn act_committed(
        &mut self,
        result: Result<(), StoreError>,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        if std::mem::take(&mut self.acts.anchoring) {
            return result.map_err(|error| {
                tracing::error!(%error, "the database failed");
                VaultError::Internal("the database failed")
            });
        }
        let Some(Current { asker, mut plan, stage: Stage::Committing(committing) }) =
            self.acts.current.take()
        else {
            return Err(VaultError::Internal("a transaction without an act"));
        };
        let Committing { hashed, applied, change_id, hash, hash_before } = *committing;
        let open = self.open.as_mut().ok_or(VaultError::Internal("sealed during an act"))?;
        if let Err(error) = result {
            let refusal = match error {
                StoreError::NonceUsed => {
                    VaultError::Command(crate::error::CommandProblem::Replayed)
                }
                _ => {
                    tracing::error!(%error, "the database failed");
                    return Err(VaultError::Internal("the database failed"));
                }
            };
            open.state.abandon(hashed);
            let mut entry = self.act_entry(EntryKind::AdminAborted, &asker, &plan, now);
            entry.change_id = Some(change_id);
            entry.outcome = Outcome::Error;
            entry.reason = Some(refusal.reason().to_owned());
            let place = self.journal.record(entry)?;
            self.journal.refuse(asker.channel, asker.correlation, &refusal, Some(place.index));
            return Ok(());
        }

        let changed: Vec<RowKey> = plan.changes.keys().cloned().collect();
        open.state.carry_out(std::mem::take(&mut plan.changes), hashed);
        open.recompile(&changed)?;
        self.note_holders(&changed);
        self.refresh_drift(&credentials(&changed), now)?;
        self.commands.use_up(marks(&plan), now);
        self.change_id = Some(change_id.clone());
        if plan.barrier.is_some() {
            // An old answer could release what is forbidden from now on.
            self.replay.forget_answers();
        }

        let mut entry = self.act_entry(EntryKind::AdminApplied, &asker, &plan, now);
        entry.change_id = Some(change_id.clone());
        entry.hash_before = Some(hash_before);
        entry.hash_after = Some(applied.state_root.0);
        entry.state_rev = Some(applied.state_rev);
        entry.state_root = Some(applied.state_root.0);
        if let (Some(caller), Some(hash)) = (&asker.caller, asker.signature_hash) {
            let command = Approval {
                approver: caller.name.clone(),
                method: "command".to_owned(),
                sig_sha256: Some(hash),
            };
            entry.approvals.insert(0, command);
        }
        let place = self.journal.record(entry)?;
        if let Some((kind, detail)) = plan.also.take() {
            let mut entry = self.act_entry(kind, &asker, &plan, now);
            entry.detail = detail;
            self.journal.record(entry)?;
        }
        self.cut_streams(plan.halts.as_ref(), now);
        let change = v1::Change {
            id: change_id,
            hash: hash.to_vec(),
            state: v1::ChangeState::Applied.into(),
            state_rev: applied.state_rev,
            seq: place.seq,
        };

        match &plan.barrier {
            Some(serials) => {
                self.acts.last_barrier += 1;
                let id = self.acts.last_barrier;
                let cut_serials = serials.iter().map(|serial| serial.0.to_vec()).collect();
                let barrier = Barrier { id, cut_serials };
                self.journal.barrier(&barrier);
                let open = vec![Channel::Egress, Channel::Front];
                let stage = Stage::AtBarrier(AtBarrier { id, change, deadline: None, open });
                self.acts.current = Some(Current { asker, plan, stage });
            }
            None => self.answer_act(asker, plan, change),
        }
        Ok(())
    }

    /// Front or egress has let everything out, or dropped it, that was released before the barrier.
    /// The act is answered when both have.
    pub(crate) fn barrier_done(&mut self, id: u64, by: Channel) {
        let reached = |current: &mut Current| match &mut current.stage {
            Stage::AtBarrier(barrier) if barrier.id == id => {
                barrier.open.retain(|channel| *channel != by);
                barrier.open.is_empty()
            }
            _ => false,
        };
        if let Some(Current { asker, plan, stage: Stage::AtBarrier(barrier) }) =
            self.acts.current.take_if(reached)
        {
            self.answer_act(asker, plan, barrier.change);
        }
    }

    /// Clients may hold other scopes than before.
    fn note_holders(&mut self, changed: &[RowKey]) {
        let Some(open) = &self.open else {
            return;
        };
        for key in changed {
            if let RowKey::Client(name) = key
                && let Some(scope) =
                    open.state.tables().clients.get(name).and_then(|row| row.scope.as_ref())
            {
                self.released.holds(name, scope);
            }
        }
    }

    fn answer_act(&mut self, asker: Asker, plan: Plan, change: v1::Change) {
        let response = (plan.respond)(self, change);
        self.journal.answer_encoded(asker.channel, asker.correlation, response);
    }

    fn act_entry(
        &self,
        kind: EntryKind,
        asker: &Asker,
        plan: &Plan,
        now: Timestamp,
    ) -> vault_audit::Entry {
        let mut entry = self.entry_of(kind, asker, now);
        entry.operation = Some(plan.operation.to_owned());
        entry.credential = plan.credential.clone();
        entry.scope = plan.scope.clone();
        entry.detail = plan.detail.clone();
        entry.approvals = plan.approvals.iter().map(|approved| approved.entry.clone()).collect();
        entry
    }
}

/// A thread that computes one root; `None` if there is none to be had.
fn hash_apart(core: &InputSender) -> Option<Sender<Prepared>> {
    let (hasher, work) = channel::<Prepared>();
    let core = core.clone();
    let hash = move || {
        if let Ok(prepared) = work.recv() {
            // The decision thread is gone only when the process ends.
            let _ = core.send(Input::Hashed(Box::new(prepared.hash())));
        }
    };
    std::thread::Builder::new().name("state-root".to_owned()).spawn(hash).ok()?;
    Some(hasher)
}

/// The credentials among rows, or those of a version.
fn credentials(rows: &[RowKey]) -> BTreeSet<Name> {
    let name = |key: &RowKey| match key {
        RowKey::Credential(name) | RowKey::CredentialVersion(name, _) => Some(name.clone()),
        _ => None,
    };
    rows.iter().filter_map(name).collect()
}

/// What keeps the approvals of a plan from being used again.
fn marks(plan: &Plan) -> impl Iterator<Item = &CommandNonce> {
    plan.approvals.iter().map(|approved| &approved.mark)
}

/// SHA-256 over the rows: for each `put` or `delete`, table, key and document, a zero byte after each.
fn change_hash(ops: &[Op]) -> Hash {
    let mut hash = Sha256::new();
    for op in ops {
        let fields: [&str; 4] = match op {
            Op::Delete { key, table } => ["delete", table.as_str(), key, ""],
            Op::Put(row) => ["put", row.table.as_str(), &row.key, &row.doc],
        };
        for field in fields {
            hash.update(field);
            hash.update([0]);
        }
    }
    hash.finalize().into()
}

/// So many hashes are computed between two decisions; more take longer than one does.
const HASHES_MAX: usize = 512;
/// How long front and egress may take to let everything out.
const BARRIER_MAX: Duration = Duration::from_secs(2);
/// How often the database remembers where the log is.
const ANCHOR_EVERY: Duration = Duration::from_secs(60);
/// By how much `admin.applied` may be longer than its intent: root, approval, longer index.
const APPLIED_BYTES_MORE: usize = 512;

#[cfg(test)]
mod tests;
