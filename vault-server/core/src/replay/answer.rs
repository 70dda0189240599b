//! The answers of the last minute, in a ring of bytes:
//!
//! ```text
//! number of the model, 4 | time, 8 | content, 32 | the answer, as what the model has not
//! ```
//!
//! A model is an earlier answer to requests with the same credential ([`super::likeness`]).

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use vault_model::{ClockTime, Name};

use super::likeness::Model;

/// Bounded, oldest out. An answer has the number of its request.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Answers {
    bytes: VecDeque<u8>,
    /// Where each answer begins, as the lower half of the number of bytes that ever were before it. A
    /// request without one begins where the next does.
    begins: VecDeque<u32>,
    /// The number of the first request.
    oldest: u64,
    /// Bytes that were dropped.
    dropped: u64,
    models: Models,
}

/// An answer as it was kept.
#[derive(Debug, Eq, PartialEq)]
pub struct Answer {
    /// What was asked.
    pub content: [u8; 32],
    /// Absent: the answer was the venue's.
    pub reply: Option<Vec<u8>>,
}

impl Answers {
    /// Keeps an answer. Requests come in the order of their numbers; of an earlier one none is kept.
    pub fn put(
        &mut self,
        number: u64,
        content: &[u8; 32],
        reply: Option<(&Name, &[u8])>,
        now: ClockTime,
    ) {
        if self.begins.is_empty() {
            self.oldest = number;
        }
        match number.checked_sub(self.oldest + self.begins.len() as u64) {
            None => return,
            Some(without) if without >= ANSWERS_MAX as u64 => {
                self.clear();
                self.oldest = number;
            }
            Some(without) => {
                let end = self.end();
                self.begins.extend((0..without).map(|_| end));
            }
        }
        let end = self.end();
        self.begins.push_back(end);

        let mut packed = Vec::with_capacity(PACKED);
        packed.extend_from_slice(&[0; HEAD]);
        let model = match reply {
            None => NO_REPLY,
            Some((credential, reply)) => self.models.pack(credential, reply, &mut packed),
        };
        packed[..4].copy_from_slice(&model.to_le_bytes());
        packed[4..12].copy_from_slice(&now.0.to_le_bytes());
        packed[12..HEAD].copy_from_slice(content);
        self.make_room(packed.len());
        self.bytes.extend(&packed);
        while self.begins.len() > ANSWERS_MAX || self.size() > BYTES_MAX {
            if !self.drop_oldest() {
                break;
            }
        }
    }

    /// The answer to a request.
    pub fn of(&self, number: u64) -> Option<Answer> {
        let place = usize::try_from(number.checked_sub(self.oldest)?).ok()?;
        let begin = self.offset(*self.begins.get(place)?);
        let end = self.begins.get(place + 1).map_or(self.bytes.len(), |next| self.offset(*next));
        let bytes: Vec<u8> = self.bytes.range(begin..end).copied().collect();
        let (head, packed) = bytes.split_at_checked(HEAD)?;
        let (model, content) = (number_at(head), head[12..].try_into().ok()?);
        let reply = match model {
            NO_REPLY => None,
            model => Some(self.models.unpack(model, packed)?),
        };
        Some(Answer { content, reply })
    }

    /// Forgets what was kept for longer than a minute.
    pub fn forget_old(&mut self, now: ClockTime) {
        while self.oldest_at().is_some_and(|at| at.plus(ANSWER_KEPT) <= now) {
            self.drop_oldest();
        }
        if self.begins.is_empty() && self.bytes.capacity() > 0 {
            self.clear();
        }
    }

    /// Forgets all, and gives their memory back.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Bytes that all of it takes, but for a word for each answer.
    pub fn size(&self) -> usize {
        self.bytes.len() + self.models.bytes
    }

    fn end(&self) -> u32 {
        (self.dropped + self.bytes.len() as u64) as u32
    }

    fn offset(&self, begin: u32) -> usize {
        begin.wrapping_sub(self.dropped as u32) as usize
    }

    fn oldest_at(&self) -> Option<ClockTime> {
        if self.begins.is_empty() {
            return None;
        }
        // Of requests without an answer nothing is kept; they go with the one before the next.
        let mut at = [0; 8];
        for (byte, kept) in at.iter_mut().zip(self.bytes.range(4.min(self.bytes.len())..)) {
            *byte = *kept;
        }
        Some(ClockTime(u64::from_le_bytes(at)))
    }

    /// Doubles the room, but never beyond what may be taken.
    fn make_room(&mut self, more: usize) {
        let needed = self.bytes.len() + more;
        if needed > self.bytes.capacity() {
            let room = (self.bytes.capacity() * 2).clamp(ROOM_MIN, ROOM_MAX).max(needed);
            self.bytes.reserve_exact(room - self.bytes.len());
        }
    }

    fn drop_oldest(&mut self) -> bool {
        let Some(begin) = self.begins.pop_front() else {
            return false;
        };
        self.oldest += 1;
        let next = self.begins.front().copied().unwrap_or_else(|| self.end());
        let length = next.wrapping_sub(begin) as usize;
        if length > 0 {
            let model: Vec<u8> = self.bytes.range(..4).copied().collect();
            self.models.let_go(number_at(&model));
            self.bytes.drain(..length);
            self.dropped += length as u64;
        }
        true
    }
}

/// A number at the beginning of some bytes.
fn number_at(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(NO_REPLY, |bytes| u32::from_le_bytes(*bytes))
}

/// The models, and how many answers need each.
#[derive(Debug, Default, Eq, PartialEq)]
struct Models {
    /// By the credential's hash: what its answers are compared with.
    present: HashMap<u8, u32>,
    all: HashMap<u32, Used>,
    last: u32,
    bytes: usize,
}

#[derive(Debug, Eq, PartialEq)]
struct Used {
    model: Model,
    /// Answers that need it.
    now: u32,
    /// Answers that were compared with it.
    ever: u32,
}

impl Models {
    /// Writes what a model does not have; returns the model's number.
    fn pack(&mut self, credential: &Name, reply: &[u8], packed: &mut Vec<u8>) -> u32 {
        let mut hash = DefaultHasher::new();
        credential.hash(&mut hash);
        let place = hash.finish() as u8;
        let head = packed.len();
        if let Some(number) = self.present.get(&place).copied()
            && let Some(used) = self.all.get_mut(&number)
        {
            used.model.pack(reply, packed);
            used.ever += 1;
            let is_like = packed.len() - head <= reply.len() / 2;
            // If answers differ from each other anyway, another model is no better.
            if is_like || used.ever < MODEL_TRIED {
                used.now += 1;
                return number;
            }
            packed.truncate(head);
        }
        let Some(model) = Model::new(reply.to_vec()) else {
            packed.extend_from_slice(reply);
            return NO_MODEL;
        };
        self.last = self.last.wrapping_add(1).max(FIRST_MODEL);
        let number = self.last;
        model.pack(reply, packed);
        self.bytes += model.size();
        self.all.insert(number, Used { model, now: 1, ever: 1 });
        if let Some(before) = self.present.insert(place, number) {
            self.drop_unused(before);
        }
        number
    }

    fn unpack(&self, number: u32, packed: &[u8]) -> Option<Vec<u8>> {
        match number {
            NO_MODEL => Some(packed.to_vec()),
            number => self.all.get(&number)?.model.unpack(packed),
        }
    }

    /// An answer is forgotten.
    fn let_go(&mut self, number: u32) {
        if let Some(used) = self.all.get_mut(&number) {
            used.now = used.now.saturating_sub(1);
            self.drop_unused(number);
        }
    }

    fn drop_unused(&mut self, number: u32) {
        let is_unused = self.all.get(&number).is_some_and(|used| used.now == 0);
        if is_unused && !self.present.values().any(|present| *present == number) {
            let gone = self.all.remove(&number);
            self.bytes -= gone.map_or(0, |used| used.model.size());
        }
    }
}

/// Numbers that are no model's: the answer was the venue's, or is here as it was.
const NO_REPLY: u32 = 0;
const NO_MODEL: u32 = 1;
const FIRST_MODEL: u32 = 2;
/// Answers that a model is tried with at least.
const MODEL_TRIED: u32 = 16;
/// Bytes before what is left of an answer.
const HEAD: usize = 44;
/// Room for most of them at once.
const PACKED: usize = 512;

/// How long an answer is kept.
pub const ANSWER_KEPT: Duration = Duration::from_secs(60);
/// So many are kept.
pub const ANSWERS_MAX: usize = 262_144;
/// Bytes that are kept: at 30,000 Signs a second those of five seconds, the longest that a call lasts.
pub const BYTES_MAX: usize = 24 << 20;
/// Room that is made at first, and at most, but for one answer that does not fit.
const ROOM_MIN: usize = 64 << 10;
const ROOM_MAX: usize = BYTES_MAX + (64 << 10);
