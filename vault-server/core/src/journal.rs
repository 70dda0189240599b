//! What the decision thread has decided and the writer thread has not yet got: entries, in the
//! order of the decisions, and the frames that may leave once they are on disk.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use prost::Message;
use vault_audit::tree::leaf_hash;
use vault_audit::{Entry, EntryError, EntryKind, Hash};
use vault_ipc::trace::Stages;
use vault_ipc::{Barrier, Failure, Kind, Reply};
use vault_model::Timestamp;

use crate::batch::{Batch, Lines};
use crate::error::VaultError;
use crate::storage::Commit;
use crate::trace::Traces;
use crate::writer::{Durable, Shared, ToWriter, WriterError};

/// Where an entry stands.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Index in the log.
    pub index: u64,
    /// Place in the order of decisions.
    pub seq: u64,
}

/// The journal.
pub struct Journal {
    batch: Batch,
    /// Of the batch.
    lines: Lines,
    /// Lines that were handed over and may not be on disk yet, with the index after their last.
    on_their_way: VecDeque<(u64, Arc<Lines>)>,
    build: String,
    epoch: u32,
    node: String,
    next_index: u64,
    next_seq: u64,
    writer: Sender<ToWriter>,
    shared: Option<Shared>,
    durable: Durable,
    /// Until when the lines of the batch may lie, if nobody waits for them.
    kept_until: Option<Instant>,
    /// Of the front's calls that ask for it.
    pub traces: Traces,
}

impl Journal {
    /// Goes on after what is on disk.
    pub fn new(
        node: String,
        epoch: u32,
        build: String,
        last_seq: u64,
        writer: Sender<ToWriter>,
        durable: Durable,
    ) -> Self {
        Self {
            batch: Batch::default(),
            lines: Lines::default(),
            on_their_way: VecDeque::new(),
            build,
            epoch,
            node,
            next_index: durable.size(),
            next_seq: last_seq + 1,
            writer,
            shared: None,
            durable,
            kept_until: None,
            traces: Traces::default(),
        }
    }

    /// Writes by itself from now on, where nothing else is under way.
    pub fn share(&mut self, writer: Shared) {
        self.shared = Some(writer);
    }

    /// An entry with the fields that every entry has. Its index is given when it is recorded.
    pub fn entry(&self, kind: EntryKind, now: Timestamp) -> Entry {
        Entry::new(kind, 0, now, self.node.as_str(), self.epoch, self.build.as_str())
    }

    /// Takes an entry into the log; it is on disk before anything that is added after it leaves.
    ///
    /// # Errors
    ///
    /// [`VaultError::EntryTooLong`]; nothing is recorded then.
    pub fn record(&mut self, mut entry: Entry) -> Result<Place, VaultError> {
        let (index, seq) = (self.next_index, self.next_seq);
        entry.idx = index;
        entry.seq = Some(seq);
        self.lines.push(&entry).map_err(|error| match error {
            EntryError::TooLong => VaultError::EntryTooLong,
            _ => VaultError::Internal("an entry cannot be written"),
        })?;
        self.next_index += 1;
        self.next_seq += 1;
        Ok(Place { index, seq })
    }

    /// Lets the lines recorded so far lie no longer than this turn, though nobody waits for them.
    pub fn hurry(&mut self) {
        if !self.is_empty() {
            self.kept_until = Some(Instant::now());
        }
    }

    fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.batch.is_empty()
    }

    /// Entries recorded so far, on disk or not.
    pub fn size(&self) -> u64 {
        self.next_index
    }

    /// Root over them. Those that are not on disk are hashed for it.
    ///
    /// # Errors
    ///
    /// A defect.
    pub fn root(&self) -> Result<Hash, VaultError> {
        let mut tree = self.durable.tree();
        let begin_of = |(end, lines): &(u64, Arc<Lines>)| end - lines.len() as u64;
        let begin_here = self.next_index - self.lines.len() as u64;
        let begin = self.on_their_way.front().map_or(begin_here, begin_of);
        let on_disk = tree.size().saturating_sub(begin) as usize;
        let handed_over = self.on_their_way.iter().flat_map(|(_, lines)| lines.iter());
        for line in handed_over.chain(self.lines.iter()).skip(on_disk) {
            tree.append(leaf_hash(line));
        }
        if tree.size() != self.next_index {
            return Err(VaultError::Internal("an entry is neither on disk nor on its way"));
        }
        Ok(tree.root())
    }

    /// Whether so much waits that it should be handed over.
    pub fn is_full(&self) -> bool {
        self.lines.len() >= LINES_MAX
            || self.batch.front.len() >= FRONT_BYTES_MAX
            || self.batch.egress.len() >= EGRESS_BYTES_MAX
    }

    /// Answers a call with a response message.
    pub fn answer(&mut self, to: Channel, correlation: u64, response: &impl Message) {
        self.answer_encoded(to, correlation, response.encode_to_vec());
    }

    /// Answers a call with an encoded response.
    pub fn answer_encoded(&mut self, to: Channel, correlation: u64, response: Vec<u8>) {
        let stages = self.end_trace(to, correlation);
        let reply = Reply { response, stages, ..Reply::default() };
        self.frame(to, Kind::Reply, correlation, &reply);
    }

    /// Answers a call of the front with an encoded response that ends with the receipt of an entry
    /// ([`crate::vault::Vault::with_receipt`]). `releases` if it holds a signature. `keep` gets it without its
    /// hash and says whether it may be given again; it is not asked about one that is too long to be given.
    pub fn answer_with_receipt(
        &mut self,
        correlation: u64,
        response: Vec<u8>,
        index: u64,
        releases: bool,
        keep: impl FnOnce(&[u8]) -> bool,
    ) {
        let stages = self.end_trace(Channel::Front, correlation);
        let reply = Reply { response, failure: None, releases, stages };
        if self.batch.answer_blank(correlation, &reply, index, keep).is_err() {
            self.too_long(Channel::Front, correlation);
        }
    }

    /// How many answers may be given again.
    pub fn keeps_answers(&mut self, answers: usize) {
        self.batch.answers = Some(answers);
    }

    /// Answers a call with a failure; `index` is that of the entry which records it.
    pub fn refuse(
        &mut self,
        to: Channel,
        correlation: u64,
        error: &VaultError,
        index: Option<u64>,
    ) {
        self.fail(to, correlation, Failure::from(error), index);
    }

    /// As [`Journal::refuse`], with a failure that says more than its error.
    pub fn fail(
        &mut self,
        to: Channel,
        correlation: u64,
        mut failure: Failure,
        index: Option<u64>,
    ) {
        failure.entry_index = failure.entry_index.or(index);
        let stages = self.end_trace(to, correlation);
        let reply = Reply { failure: Some(failure), stages, ..Reply::default() };
        self.frame(to, Kind::Reply, correlation, &reply);
    }

    /// What is told of a traced call with its answer; the front then hears of its sync too.
    fn end_trace(&mut self, to: Channel, correlation: u64) -> Option<Box<Stages>> {
        let of_front = to == Channel::Front;
        let stages = of_front.then(|| self.traces.end(correlation)).flatten()?;
        self.batch.traced.push(correlation);
        Some(stages)
    }

    /// Sends any frame.
    pub fn frame(&mut self, to: Channel, kind: Kind, correlation: u64, message: &impl Message) {
        if vault_ipc::encode(kind, correlation, message, self.frames(to)).is_err() {
            self.too_long(to, correlation);
        }
    }

    /// An answer is longer than a frame may be: the caller gets one all the same.
    fn too_long(&mut self, to: Channel, correlation: u64) {
        let failure = Failure::from(&VaultError::Internal("an answer is too long"));
        let reply = Reply { failure: Some(failure), ..Reply::default() };
        let fits = vault_ipc::encode(Kind::Reply, correlation, &reply, self.frames(to));
        debug_assert!(fits.is_ok(), "a failure fits into a frame");
    }

    fn frames(&mut self, to: Channel) -> &mut Vec<u8> {
        match to {
            Channel::Egress => &mut self.batch.egress,
            Channel::Front => &mut self.batch.front,
            Channel::Supervisor => &mut self.batch.supervisor,
        }
    }

    /// Asks front and egress to let nothing more out that was released before.
    pub fn barrier(&mut self, barrier: &Barrier) {
        for to in [Channel::Egress, Channel::Front] {
            self.frame(to, Kind::Barrier, 0, barrier);
        }
        self.batch.barrier = self.batch.barrier.max(barrier.id);
    }

    /// Begins a transaction once everything recorded so far is on disk.
    pub fn commit(&mut self, commit: Commit) {
        self.batch.commits.push(commit);
    }

    /// Hands everything over to the writer.
    pub fn flush(&mut self) {
        self.kept_until = None;
        if !self.is_empty() {
            let batch = self.close();
            self.send(batch);
        }
    }

    /// What was decided since the last time.
    fn close(&mut self) -> Batch {
        let on_disk = self.durable.size();
        while self.on_their_way.front().is_some_and(|(end, _)| *end <= on_disk) {
            self.on_their_way.pop_front();
        }
        let mut batch = std::mem::take(&mut self.batch);
        if !self.lines.is_empty() {
            let room = self.lines.room_for_as_much();
            let lines = Arc::new(std::mem::replace(&mut self.lines, room));
            self.on_their_way.push_back((self.next_index, Arc::clone(&lines)));
            batch.lines.push(lines);
        }
        batch
    }

    fn send(&self, mut batch: Batch) {
        self.durable.handed_over(&mut batch);
        self.hand_over(ToWriter::Batch(batch));
    }

    /// Ends a turn of the decision thread. Lines for which nobody waits stay for a moment: they go
    /// with the next for which somebody does, so that their sync is not in its way. With
    /// `writes_itself` all else is written here, if the writer has nothing to do and it is not much.
    ///
    /// # Errors
    ///
    /// The writer's.
    pub fn settle(&mut self, writes_itself: bool) -> Result<(), WriterError> {
        if self.is_empty() {
            return Ok(());
        }
        if !self.batch.is_awaited() {
            let now = Instant::now();
            if *self.kept_until.get_or_insert(now + KEPT) > now && !self.is_full() {
                return Ok(());
            }
            self.flush();
            return Ok(());
        }
        self.kept_until = None;
        let batch = self.close();
        let is_little = batch.front.len() + batch.egress.len() <= RELEASED_MAX;
        let left = match &self.shared {
            Some(shared) if writes_itself && is_little => shared.write(batch)?,
            _ => Some(batch),
        };
        if let Some(batch) = left {
            self.send(batch);
        }
        Ok(())
    }

    /// When [`Journal::settle`] has to be called again.
    pub fn due(&self) -> Option<Instant> {
        self.kept_until
    }

    /// What is not handed over yet.
    #[cfg(test)]
    pub(crate) fn take(&mut self) -> Batch {
        self.close()
    }

    /// Hands something else to the writer, after everything before it.
    pub fn tell_writer(&mut self, message: ToWriter) {
        self.flush();
        self.hand_over(message);
    }

    fn hand_over(&self, message: ToWriter) {
        // The writer ends early only with an error of its own, which reaches the decision thread as
        // an input and ends the process: nothing of this message is released then.
        let _ = self.writer.send(message);
    }
}

/// How long lines may lie for which nobody waits.
const KEPT: Duration = Duration::from_millis(5);
/// Bytes of frames that a socket takes at once, by the system's default: the thread that decides waits for
/// no process to read.
const RELEASED_MAX: usize = 128 << 10;
const LINES_MAX: usize = 1_024;
const FRONT_BYTES_MAX: usize = 1 << 20;
const EGRESS_BYTES_MAX: usize = 1 << 20;

/// Where a frame goes to, or comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Channel {
    /// Egress: signed requests.
    Egress,
    /// The front: calls over the network.
    Front,
    /// The supervisor: calls over the local socket.
    Supervisor,
}

#[cfg(test)]
mod tests;
