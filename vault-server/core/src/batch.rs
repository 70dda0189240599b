//! A batch: what the decision thread has decided, on its way to the disk and out.
//!
//! What an entry's hash is, and with it what a receipt says, is computed where the entry is written,
//! and not where it is decided: only one thread decides. So answers leave that thread with their
//! receipts blank, those too that were given before.

use std::sync::Arc;
use std::time::Duration;

use vault_audit::{Appended, Entry, EntryError, Hash};
use vault_ipc::trace::Synced;
use vault_ipc::{Kind, Reply};

use crate::hashes::Hashes;
use crate::metric::monotonic_us;
use crate::storage::Commit;

/// Lines of the log in a row.
#[derive(Default)]
pub struct Lines {
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Lines {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Adds an entry.
    ///
    /// # Errors
    ///
    /// As for [`Entry::to_line`]; nothing is added then.
    pub fn push(&mut self, entry: &Entry) -> Result<(), EntryError> {
        entry.put_line(&mut self.bytes)?;
        self.ends.push(self.bytes.len());
        Ok(())
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(&0).chain(&self.ends);
        begins.zip(&self.ends).map(|(begin, end)| &self.bytes[*begin..*end])
    }

    /// Nothing, with room for as much again.
    pub fn room_for_as_much(&self) -> Self {
        Self {
            bytes: Vec::with_capacity(self.bytes.len()),
            ends: Vec::with_capacity(self.ends.len()),
        }
    }
}

/// Work in the order of its decisions: first all lines are on disk, then the rest happens.
#[derive(Default)]
pub struct Batch {
    /// Lines of the log.
    pub lines: Vec<Arc<Lines>>,
    /// Frames for egress.
    pub egress: Vec<u8>,
    /// Frames for the front.
    pub front: Vec<u8>,
    /// Frames for the supervisor.
    pub supervisor: Vec<u8>,
    /// Transactions that may begin now.
    pub commits: Vec<Commit>,
    /// The last barrier among the frames for egress and front; 0 for none.
    pub barrier: u64,
    /// Correlations of the front's calls that are traced, among those that are answered.
    pub traced: Vec<u64>,
    /// Its place among the batches of the decision thread; 0 for those of others.
    pub turn: u64,
    /// Answers that may be given again, if any came: the hashes of so many are needed still.
    pub answers: Option<usize>,
    receipts: Vec<Blank>,
}

/// Bytes of a leaf hash.
pub const HASH_BYTES: usize = size_of::<Hash>();

/// A receipt among the frames for the front that has no leaf hash yet.
#[derive(Clone, Copy)]
struct Blank {
    /// Of the entry.
    index: u64,
    /// Where the hash belongs.
    at: usize,
    /// Whether it may be needed again.
    is_kept: bool,
}

/// A receipt of an entry whose hash nobody knows.
#[derive(Debug, thiserror::Error)]
#[error("a receipt is of an entry whose hash is not known")]
pub struct NoHash;

impl Batch {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
            && self.egress.is_empty()
            && self.front.is_empty()
            && self.supervisor.is_empty()
            && self.commits.is_empty()
    }

    /// Whether it is more than lines: somebody waits for it.
    pub fn is_awaited(&self) -> bool {
        !(self.egress.is_empty()
            && self.front.is_empty()
            && self.supervisor.is_empty()
            && self.commits.is_empty())
    }

    /// The lines, in order.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.lines.iter().flat_map(|lines| lines.iter())
    }

    /// How many lines there are.
    pub fn entries(&self) -> usize {
        self.lines.iter().map(|lines| lines.len()).sum()
    }

    /// Adds an answer for the front that ends with the receipt of an entry, whose hash is blank. Once it is
    /// added, `keep` gets what is before the hash, and says whether it may be given again.
    ///
    /// # Errors
    ///
    /// If it is too long for a frame; nothing is added then.
    pub fn answer_blank(
        &mut self,
        correlation: u64,
        reply: &Reply,
        index: u64,
        keep: impl FnOnce(&[u8]) -> bool,
    ) -> Result<(), vault_ipc::FrameError> {
        let begin = self.front.len() + vault_ipc::HEADER_BYTES + reply.response_at();
        vault_ipc::encode(Kind::Reply, correlation, reply, &mut self.front)?;
        let known = reply.response.len() - HASH_BYTES;
        let is_kept = keep(&reply.response[..known]);
        self.receipts.push(Blank { index, at: begin + known, is_kept });
        Ok(())
    }

    /// Adds what was decided after it.
    pub fn append(&mut self, mut later: Self) {
        let before = self.front.len();
        let moved = |blank: Blank| Blank { at: before + blank.at, ..blank };
        self.receipts.extend(later.receipts.into_iter().map(moved));
        self.lines.append(&mut later.lines);
        self.egress.append(&mut later.egress);
        self.front.append(&mut later.front);
        self.supervisor.append(&mut later.supervisor);
        self.commits.append(&mut later.commits);
        self.traced.append(&mut later.traced);
        self.barrier = self.barrier.max(later.barrier);
        self.turn = self.turn.max(later.turn);
        self.answers = later.answers.or(self.answers);
    }

    /// Fills in the hashes of its own entries, if it has some, and of earlier ones.
    ///
    /// # Errors
    ///
    /// A defect: a receipt of an entry that is neither.
    pub fn fill_in(
        &mut self,
        appended: Option<&Appended>,
        earlier: &mut Hashes,
    ) -> Result<(), NoHash> {
        for Blank { index, at, is_kept } in self.receipts.drain(..) {
            let own = appended.and_then(|appended| {
                let place = index.checked_sub(appended.first_index)?;
                appended.leaf_hashes.get(usize::try_from(place).ok()?)
            });
            if let (Some(hash), true) = (own, is_kept) {
                earlier.push(index, *hash);
            }
            let hash = own.or_else(|| earlier.of(index)).ok_or(NoHash)?;
            self.front[at..at + hash.len()].copy_from_slice(hash);
        }
        if let Some(answers) = self.answers {
            earlier.keep(answers);
        }
        Ok(())
    }

    /// Tells the front when its traced calls were synced, ahead of their answers.
    pub fn tell_synced(&mut self, took: Duration) -> std::io::Result<()> {
        if self.traced.is_empty() {
            return Ok(());
        }
        let ended_us = monotonic_us();
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let began_us = ended_us.saturating_sub(took_us);
        let correlations = std::mem::take(&mut self.traced);
        let synced = Synced { correlations, began_us, ended_us };
        let mut front = Vec::new();
        vault_ipc::encode(Kind::Synced, 0, &synced, &mut front).map_err(std::io::Error::other)?;
        front.append(&mut self.front);
        self.front = front;
        Ok(())
    }

    /// Bytes that wait while it does.
    pub fn bytes(&self) -> u64 {
        let lines: usize = self.lines.iter().map(|lines| lines.bytes.len()).sum();
        (lines + self.egress.len() + self.front.len() + self.supervisor.len()) as u64
    }
}
