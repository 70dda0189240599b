//! The answers of the last minute, in blocks of bytes. In a block, one after the other:
//!
//! ```text
//! how it is written | time, since the one before (zigzag) | length of the answer, as kept
//! | content, 16 | the answer, as what the model has not
//! ```
//!
//! Numbers are LEB128; times are in microseconds. A model is an earlier answer to requests with the same
//! credential ([`super::model`]). How it is written: 0 not at all, it was the venue's; 1 as it was; otherwise
//! twice the number of the model and 2, and 1 more if by the model's form.

use std::collections::VecDeque;
use std::time::Duration;

use vault_model::{ClockTime, Name};

use super::model::{Models, Written};
use super::number::{put_number, take_length, take_number, unzigzag, zigzag};

/// What was asked: half a SHA-256.
pub type Content = [u8; 16];

/// Bounded, oldest out. An answer has the number of its request.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Answers {
    blocks: VecDeque<Block>,
    /// Bytes of the blocks.
    bytes: usize,
    /// Blocks that ever were.
    begun: u64,
    models: Models,
    /// Where an answer is packed.
    packed: Vec<u8>,
}

/// Answers to requests with numbers in a row.
#[derive(Debug, Eq, PartialEq)]
struct Block {
    /// Which of all blocks it is.
    block: u64,
    /// The number of its first answer, and how many there are.
    first: u64,
    length: u64,
    /// Times of the first answer and of the last.
    since: ClockTime,
    last: ClockTime,
    /// The models of its answers, each once.
    models: Vec<u32>,
    bytes: Vec<u8>,
}

/// An answer as it was kept.
#[derive(Debug, Eq, PartialEq)]
pub struct Answer {
    /// What was asked.
    pub content: Content,
    /// Absent: the answer was the venue's.
    pub reply: Option<Vec<u8>>,
}

impl Answers {
    /// Keeps an answer. Requests come in the order of their numbers; of an earlier one none is kept, which
    /// is `false`.
    pub fn put(
        &mut self,
        number: u64,
        content: &Content,
        reply: Option<(&Name, &[u8])>,
        now: ClockTime,
    ) -> bool {
        if self.next().is_some_and(|next| number < next) {
            return false;
        }
        self.packed.clear();
        let how = match reply {
            None => How::NotAtAll,
            Some((credential, reply)) => {
                let credential = credential.as_str().as_bytes();
                match self.models.pack(credential, reply, &mut self.packed) {
                    None => {
                        self.packed.extend_from_slice(reply);
                        How::AsItWas
                    }
                    Some(written) => How::Like(written),
                }
            }
        };
        let needed = HEAD_MAX + self.packed.len();
        if !self.blocks.back().is_some_and(|block| block.takes(number, needed, now)) {
            self.begin_block(number, needed, now);
        }
        if let Some(block) = self.blocks.back_mut() {
            if let How::Like(Written { model, .. }) = how
                && self.models.is_first_use(model, block.block)
            {
                block.models.push(model);
            }
            block.put(how, content, &self.packed, now);
        }
        while self.is_too_much() {
            // What nobody needs goes first.
            let is_freed = self.size() > BYTES_MAX && self.models.forget_idle();
            if !is_freed && !self.drop_oldest() {
                break;
            }
        }
        true
    }

    /// The answer to a request, if it was kept for less than a minute.
    pub fn of(&self, number: u64, now: ClockTime) -> Option<Answer> {
        if self.next()?.saturating_sub(number) > ANSWERS_MAX {
            return None;
        }
        let after = self.blocks.partition_point(|block| block.first <= number);
        let block = self.blocks.get(after.checked_sub(1)?)?;
        let kept = block.of(number)?;
        if kept.at.plus(ANSWER_KEPT) <= now {
            return None;
        }
        let reply = match kept.how {
            How::NotAtAll => None,
            How::AsItWas => Some(kept.packed.to_vec()),
            How::Like(written) => Some(self.models.unpack(written, kept.packed)?),
        };
        Some(Answer { content: *kept.content, reply })
    }

    /// Forgets what was kept for longer than a minute: a block when all of it was.
    pub fn forget_old(&mut self, now: ClockTime) {
        let is_old = |block: &Block| block.last.plus(ANSWER_KEPT) <= now;
        if !self.blocks.front().is_some_and(is_old) {
            return;
        }
        while self.blocks.front().is_some_and(is_old) {
            self.drop_oldest();
        }
        if self.blocks.is_empty() {
            self.clear();
        }
    }

    /// Forgets all, and gives their memory back.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// From the first to the last, with what lies between them.
    pub fn length(&self) -> usize {
        let ends = self.next().zip(self.blocks.front());
        ends.map_or(0, |(next, oldest)| usize::try_from(next - oldest.first).unwrap_or(usize::MAX))
    }

    /// Bytes that all of it takes.
    pub fn size(&self) -> usize {
        self.bytes + self.models.size()
    }

    /// The number after the last.
    fn next(&self) -> Option<u64> {
        self.blocks.back().map(Block::next)
    }

    fn begin_block(&mut self, number: u64, needed: usize, now: ClockTime) {
        if let Some(block) = self.blocks.back_mut() {
            // Full, but where answers are far between.
            if block.bytes.capacity() - block.bytes.len() > BLOCK_BYTES / 8 {
                self.bytes -= block.bytes.capacity();
                block.bytes.shrink_to_fit();
                self.bytes += block.bytes.capacity();
            }
        }
        let bytes = Vec::with_capacity(needed.max(BLOCK_BYTES));
        self.bytes += bytes.capacity();
        self.begun += 1;
        let (block, models) = (self.begun, Vec::new());
        let block = Block { block, first: number, length: 0, since: now, last: now, models, bytes };
        self.blocks.push_back(block);
    }

    fn is_too_much(&self) -> bool {
        let all = self.next().zip(self.blocks.front());
        let is_of_none = |(next, oldest): (u64, &Block)| next - oldest.next() >= ANSWERS_MAX;
        self.size() > BYTES_MAX || all.is_some_and(is_of_none)
    }

    fn drop_oldest(&mut self) -> bool {
        let Some(block) = self.blocks.pop_front() else {
            return false;
        };
        self.bytes -= block.bytes.capacity();
        for model in block.models {
            self.models.let_go(model);
        }
        true
    }
}

impl Block {
    fn next(&self) -> u64 {
        self.first + self.length
    }

    /// Whether there is room for an answer.
    fn takes(&self, number: u64, needed: usize, now: ClockTime) -> bool {
        self.next() == number
            && self.bytes.capacity() - self.bytes.len() >= needed
            && self.since.plus(BLOCK_SPAN) > now
    }

    fn put(&mut self, how: How, content: &Content, packed: &[u8], now: ClockTime) {
        put_number(&mut self.bytes, how.number());
        put_number(&mut self.bytes, zigzag(now.0, self.last.0));
        put_number(&mut self.bytes, packed.len() as u64);
        self.bytes.extend_from_slice(content);
        self.bytes.extend_from_slice(packed);
        (self.length, self.last) = (self.length + 1, now);
    }

    fn of(&self, number: u64) -> Option<Kept<'_>> {
        let (mut bytes, mut at) = (self.bytes.as_slice(), self.since);
        for _ in self.first..number {
            take_kept(&mut bytes, &mut at)?;
        }
        take_kept(&mut bytes, &mut at)
    }
}

/// An answer in its block.
struct Kept<'b> {
    how: How,
    at: ClockTime,
    content: &'b Content,
    packed: &'b [u8],
}

fn take_kept<'b>(bytes: &mut &'b [u8], at: &mut ClockTime) -> Option<Kept<'b>> {
    let how = How::of(take_number(bytes)?)?;
    *at = ClockTime(unzigzag(take_number(bytes)?, at.0));
    let length = take_length(bytes)?;
    let content;
    (content, *bytes) = bytes.split_first_chunk()?;
    let packed = bytes.split_off(..length)?;
    Some(Kept { how, at: *at, content, packed })
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum How {
    AsItWas,
    Like(Written),
    /// It was the venue's.
    NotAtAll,
}

impl How {
    fn number(self) -> u64 {
        match self {
            Self::NotAtAll => 0,
            Self::AsItWas => 1,
            Self::Like(Written { model, is_formed }) => {
                (u64::from(model) << 1 | u64::from(is_formed)) + 2
            }
        }
    }

    fn of(number: u64) -> Option<Self> {
        Some(match number {
            0 => Self::NotAtAll,
            1 => Self::AsItWas,
            more => {
                let model = u32::try_from((more - 2) >> 1).ok()?;
                Self::Like(Written { model, is_formed: more & 1 == 1 })
            }
        })
    }
}

/// Bytes before what is left of an answer, at most.
const HEAD_MAX: usize = 5 + 10 + 10 + size_of::<Content>();
/// Bytes of a block, but of one with an answer that needs more.
const BLOCK_BYTES: usize = 16 << 10;
/// From the first answer of a block to the last: so much longer than it is kept may an answer lie there.
const BLOCK_SPAN: Duration = Duration::from_secs(5);

/// How long an answer is kept.
const ANSWER_KEPT: Duration = Duration::from_secs(60);
/// So many are kept.
pub const ANSWERS_MAX: u64 = 262_144;
/// Bytes that are kept: at 30,000 Signs a second those of five seconds, the longest that a call lasts, if they
/// have the form of each other, as a program's have.
pub const BYTES_MAX: usize = 14_200 << 10;
