//! Acts that change policy, one after another: intent in the log, transaction in the database,
//! applied in the log, barrier, answer. Decisions go on meanwhile, under the old rules until the act
//! is applied.
//!
//! An act that only forbids answers after the barrier: by then nothing that it forbids can be
//! written to a socket any more.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use prost::Message as _;
use sha2::{Digest, Sha256};
use vault_audit::{Approval, ENTRY_BYTES_MAX, Entry, EntryKind, Hash, Outcome};
use vault_ipc::proto::v1;
use vault_ipc::{Barrier, CommandCall, EnrollCall, LocalCall};
use vault_model::{HaltTarget, Name, Serial, Timestamp};

use crate::approval::Approved;
use crate::caller::{Caller, Origin};
use crate::error::VaultError;
use crate::journal::Channel;
use crate::stopped::Stops;
use crate::storage::{Applied, Changes, CommandNonce, Hex, Op, Stamp, State, StoreError};
use crate::vault::Vault;

/// A call that may become an act; kept while another act is under way.
#[derive(Clone, Debug)]
pub enum ActCall {
    /// An import whose key was checked.
    Checked(u64),
    /// A signed command.
    Command(CommandCall),
    /// An enrolment.
    Enroll(EnrollCall),
    /// A call over the local socket.
    Local(LocalCall),
}

/// Whom to answer, and who is to be named in the log.
#[derive(Clone, Debug)]
pub struct Asker {
    /// Where the answer goes.
    pub channel: Channel,
    /// The call it answers.
    pub correlation: u64,
    /// Who, if a certificate says so.
    pub caller: Option<Caller>,
    /// Where from.
    pub origin: Origin,
    /// The command's nonce, kept in the database with the act.
    pub nonce: Option<CommandNonce>,
    /// SHA-256 of the command's signature.
    pub signature_hash: Option<Hash>,
}

impl Asker {
    /// Names the command in the entry of what it did, if that is no act: of acts the database
    /// remembers the nonce, of all else the log.
    pub fn note_command(&self, entry: &mut Entry) {
        if let Some(CommandNonce { expires_at, nonce }) = &self.nonce {
            entry.detail.insert("command".to_owned(), hex::encode(nonce));
            entry.detail.insert("expires_at".to_owned(), expires_at.micros().to_string());
        }
    }
}

/// An act that was found good and is to be carried out.
pub struct Plan {
    /// The RPC, for the log.
    pub operation: &'static str,
    /// Rows to write and delete.
    pub changes: Changes,
    /// Facts for the log.
    pub detail: BTreeMap<String, String>,
    /// Of others than the asker; verified.
    pub approvals: Vec<Approved>,
    /// The credential or scope it is about, for the log.
    pub credential: Option<Name>,
    /// The scope it is about, for the log.
    pub scope: Option<Name>,
    /// Set if the act forbids something: certificates whose connections are cut at the barrier.
    pub barrier: Option<Vec<Serial>>,
    /// What the act halts: WebSockets that it touches end, whatever the halt lets pass.
    pub halts: Option<HaltTarget>,
    /// An entry beside the act's own.
    pub also: Option<(EntryKind, BTreeMap<String, String>)>,
    /// Makes the encoded response.
    pub respond: Respond,
}

/// Makes the encoded response of an act that was carried out.
pub type Respond = Box<dyn FnOnce(&Vault, v1::Change) -> Vec<u8>>;

impl Plan {
    /// A plan with its rows and its answer.
    pub fn new(
        operation: &'static str,
        changes: Changes,
        respond: impl FnOnce(&Vault, v1::Change) -> Vec<u8> + 'static,
    ) -> Self {
        Self {
            operation,
            changes,
            detail: BTreeMap::new(),
            approvals: Vec::new(),
            credential: None,
            scope: None,
            barrier: None,
            halts: None,
            also: None,
            respond: Box::new(respond),
        }
    }
}

/// The act that is under way, and those that wait.
#[derive(Default)]
pub struct Acts {
    current: Option<Current>,
    /// Of operators who forbid something: they go first, whatever else waits.
    urgent: VecDeque<Waiting>,
    waiting: VecDeque<Waiting>,
    last_barrier: u64,
    /// What was stopped last, so that nothing older lets it go on.
    pub(crate) stops: Stops,
    /// A transaction is under way that only remembers where the log is.
    anchoring: bool,
    /// Entries that the database remembers.
    anchored: u64,
    anchored_at: Option<Instant>,
}

impl ActCall {
    /// What it takes to keep it, about, in bytes.
    fn bytes(&self) -> usize {
        match self {
            // What it imports is kept elsewhere, and bounded there.
            Self::Checked(_) => 0,
            Self::Command(call) => call.encoded_len(),
            Self::Enroll(call) => call.encoded_len(),
            Self::Local(call) => call.encoded_len(),
        }
    }
}

/// A call that waits for the act under way.
struct Waiting {
    call: ActCall,
    bytes: usize,
    correlation: u64,
    /// Who may have one waiting call alone: a client's serial, or a token's id.
    alone: Option<Vec<u8>>,
}

/// How a call waits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Lane {
    /// One call for each of these (a client's serial, a token's id) at a time.
    Alone(Vec<u8>),
    /// An operator's.
    Operator,
    /// An operator's that forbids something.
    Urgent,
}

struct Current {
    asker: Asker,
    plan: Plan,
    /// Taken when it comes into force.
    next: Option<State>,
    applied: Applied,
    change_id: String,
    hash: Hash,
    hash_before: Hash,
    barrier: Option<AtBarrier>,
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
        let (queue, alone) = match lane {
            Lane::Urgent => (&mut self.urgent, None),
            Lane::Operator => (&mut self.waiting, None),
            Lane::Alone(who) => (&mut self.waiting, Some(who)),
        };
        let has_one =
            alone.is_some() && queue.iter().any(|waiting| waiting.alone.as_ref() == alone.as_ref());
        // Nobody has looked at its signature yet: whoever speaks for the front may have made it.
        let bytes = call.bytes();
        let waiting_bytes: usize = queue.iter().map(|waiting| waiting.bytes).sum();
        if has_one
            || queue.len() >= WAITING_MAX
            || waiting_bytes.saturating_add(bytes) > WAITING_BYTES_MAX
        {
            return Err(VaultError::TooManyActs);
        }
        queue.push_back(Waiting { call, bytes, correlation, alone });
        Ok(())
    }

    /// The next call that waited, if no act is under way.
    pub fn next_waiting(&mut self) -> Option<(ActCall, u64)> {
        if self.is_busy() {
            return None;
        }
        let next = self.urgent.pop_front().or_else(|| self.waiting.pop_front())?;
        Some((next.call, next.correlation))
    }

    /// Who has let a barrier's time pass, front or egress: it cannot be trusted to hold anything
    /// back. Its time begins when the barrier was written to both, not while a slow disk keeps it
    /// here; `written` is the last barrier that was.
    pub fn late(&mut self, written: u64) -> Option<Channel> {
        let barrier = self.current.as_mut()?.barrier.as_mut()?;
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
    /// # Errors
    ///
    /// What forbids the act; nothing is changed then.
    pub(crate) fn begin_act(
        &mut self,
        plan: Plan,
        asker: Asker,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let open = self.opened()?;
        let mut next = open.state.clone();
        let hash_before = open.state.state_root().0;
        let applied = next
            .apply(&plan.changes, &open.state_mac)
            .map_err(|_| VaultError::Internal("a change does not fit the tables"))?;
        // By the intent's own index: unique also when an act comes to nothing.
        let change_id = format!("{}-{}", self.instance.epoch, self.journal.size());
        let hash = change_hash(&applied.ops);

        let mut entry = self.act_entry(EntryKind::AdminIntent, &asker, &plan, now);
        entry.change_id = Some(change_id.clone());
        entry.hash_before = Some(hash_before);
        entry.hash_after = Some(applied.state_root.0);
        entry.state_rev = Some(applied.state_rev);
        // What follows the transaction says a little more, and must fit too.
        let intent_bytes = entry.to_line().map_or(usize::MAX, |line| line.len());
        if intent_bytes > ENTRY_BYTES_MAX - APPLIED_BYTES_MORE {
            return Err(VaultError::EntryTooLong);
        }
        self.journal.record(entry)?;

        let stamp = Stamp {
            at: now,
            audit_root: Hex(self.journal.root()),
            audit_size: self.journal.size(),
            change_id: Some(change_id.clone()),
            nonces: asker.nonce.iter().chain(marks(&plan)).cloned().collect(),
        };
        let commit = applied
            .clone()
            .into_commit(stamp, &self.opened()?.state_mac)
            .map_err(|_| VaultError::Internal("a change cannot be stored"))?;
        self.journal.commit(commit);
        let current = Current {
            asker,
            plan,
            next: Some(next),
            applied,
            change_id,
            hash,
            hash_before,
            barrier: None,
        };
        self.acts.current = Some(current);
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
            audit_root: Hex(self.journal.root()),
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
        let Some(mut current) = self.acts.current.take() else {
            return Err(VaultError::Internal("a transaction without an act"));
        };
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
            let mut entry =
                self.act_entry(EntryKind::AdminAborted, &current.asker, &current.plan, now);
            entry.change_id = Some(current.change_id);
            entry.outcome = Outcome::Error;
            entry.reason = Some(refusal.reason().to_owned());
            let place = self.journal.record(entry)?;
            let Asker { channel, correlation, .. } = current.asker;
            self.journal.refuse(channel, correlation, &refusal, Some(place.index));
            return Ok(());
        }

        let open = self.open.as_mut().ok_or(VaultError::Internal("sealed during an act"))?;
        if let Some(next) = current.next.take() {
            open.state = next;
        }
        open.recompile()?;
        self.refresh_drift(now)?;
        self.commands.use_up(marks(&current.plan), now);
        self.change_id = Some(current.change_id.clone());
        if current.plan.barrier.is_some() {
            // An old answer could release what is forbidden from now on.
            self.replay.forget_answers();
        }

        let mut entry = self.act_entry(EntryKind::AdminApplied, &current.asker, &current.plan, now);
        entry.change_id = Some(current.change_id.clone());
        entry.hash_before = Some(current.hash_before);
        entry.hash_after = Some(current.applied.state_root.0);
        entry.state_rev = Some(current.applied.state_rev);
        entry.state_root = Some(current.applied.state_root.0);
        if let (Some(caller), Some(hash)) = (&current.asker.caller, current.asker.signature_hash) {
            let command = Approval {
                approver: caller.name.clone(),
                method: "command".to_owned(),
                sig_sha256: Some(hash),
            };
            entry.approvals.insert(0, command);
        }
        let place = self.journal.record(entry)?;
        if let Some((kind, detail)) = current.plan.also.take() {
            let mut entry = self.act_entry(kind, &current.asker, &current.plan, now);
            entry.detail = detail;
            self.journal.record(entry)?;
        }
        self.cut_streams(current.plan.halts.as_ref(), now);
        let change = v1::Change {
            id: current.change_id.clone(),
            hash: current.hash.to_vec(),
            state: v1::ChangeState::Applied.into(),
            state_rev: current.applied.state_rev,
            seq: place.seq,
        };

        match &current.plan.barrier {
            Some(serials) => {
                self.acts.last_barrier += 1;
                let id = self.acts.last_barrier;
                let cut_serials = serials.iter().map(|serial| serial.0.to_vec()).collect();
                let barrier = Barrier { id, cut_serials };
                self.journal.barrier(&barrier);
                let open = vec![Channel::Egress, Channel::Front];
                current.barrier = Some(AtBarrier { id, change, deadline: None, open });
                self.acts.current = Some(current);
            }
            None => self.answer_act(current.asker, current.plan, change),
        }
        Ok(())
    }

    /// Front or egress has let everything out, or dropped it, that was released before the barrier.
    /// The act is answered when both have.
    pub(crate) fn barrier_done(&mut self, id: u64, by: Channel) {
        let reached = |current: &mut Current| {
            let at = current.barrier.as_mut().filter(|barrier| barrier.id == id);
            at.is_some_and(|barrier| {
                barrier.open.retain(|channel| *channel != by);
                barrier.open.is_empty()
            })
        };
        if let Some(Current { asker, plan, barrier: Some(barrier), .. }) =
            self.acts.current.take_if(reached)
        {
            self.answer_act(asker, plan, barrier.change);
        }
    }

    fn answer_act(&mut self, asker: Asker, plan: Plan, change: v1::Change) {
        let response = (plan.respond)(self, change);
        self.journal.answer_encoded(asker.channel, asker.correlation, response, false);
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

/// How long front and egress may take to let everything out.
const BARRIER_MAX: Duration = Duration::from_secs(2);
/// How often the database remembers where the log is.
const ANCHOR_EVERY: Duration = Duration::from_secs(60);
/// Calls that may wait, of those that only forbid and of all others.
const WAITING_MAX: usize = 1_024;
/// Their bytes.
const WAITING_BYTES_MAX: usize = 32 << 20;
/// By how much `admin.applied` may be longer than its intent: root, approval, longer index.
const APPLIED_BYTES_MORE: usize = 512;
