//! Answers in blocks of bytes. In a block, one after the other:
//!
//! ```text
//! how it is written, twice, and 1 if requests before it have no answer here | if so: how many
//! | time, since the one before (zigzag) | length of the answer, as kept
//! | content, 16 | the answer, as what the model has not
//! ```
//!
//! Numbers are LEB128; times are in microseconds. A model is an earlier answer to requests with the same
//! credential ([`super::model`]). How it is written: 0 not at all, it was the venue's; 1 as it was; otherwise
//! twice the number of the model and 2, and 1 more if by the model's form.

use std::collections::VecDeque;
use std::time::Duration;

use vault_model::{ClockTime, Name};

use super::ANSWER_KEPT;
use super::model::{Models, Written};
use super::number::{put_number, take_length, take_number, unzigzag, zigzag};

/// What was asked: half a SHA-256.
pub type Content = [u8; 16];

/// An answer as it was kept.
#[derive(Debug, Eq, PartialEq)]
pub struct Answer {
    /// What was asked.
    pub content: Content,
    /// Absent: the answer was the venue's.
    pub reply: Option<Vec<u8>>,
}

/// Oldest out. An answer has the number of its request; numbers rise.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Region {
    blocks: VecDeque<Block>,
    /// Bytes of the blocks.
    bytes: usize,
    /// Blocks that ever were.
    begun: u64,
    models: Models,
}

#[derive(Debug, Eq, PartialEq)]
struct Block {
    /// Which of all blocks it is.
    block: u64,
    /// The number of its first answer, and the one after that of its last.
    first: u64,
    next: u64,
    /// Times of the first answer and of the last.
    since: ClockTime,
    last: ClockTime,
    /// The models of its answers, each once.
    models: Vec<u32>,
    bytes: Vec<u8>,
}

impl Region {
    /// Keeps an answer, packed in `packed`; returns how many bytes it takes, with its model [once in a
    /// minute](Models::charge).
    pub fn put(
        &mut self,
        number: u64,
        content: &Content,
        reply: Option<(&Name, &[u8])>,
        now: ClockTime,
        packed: &mut Vec<u8>,
    ) -> usize {
        packed.clear();
        let how = match reply {
            None => How::NotAtAll,
            Some((credential, reply)) => {
                let credential = credential.as_str().as_bytes();
                match self.models.pack(credential, reply, packed) {
                    None => {
                        packed.extend_from_slice(reply);
                        How::AsItWas
                    }
                    Some(written) => How::Like(written),
                }
            }
        };
        let needed = HEAD_MAX + packed.len();
        if !self.blocks.back().is_some_and(|block| block.takes(needed, now)) {
            self.begin_block(number, needed, now);
        }
        let mut taken = 0;
        if let Some(block) = self.blocks.back_mut() {
            if let How::Like(Written { model, .. }) = how
                && self.models.is_first_use(model, block.block)
            {
                block.models.push(model);
                taken += self.models.charge(model, now);
            }
            let before = block.bytes.len();
            block.put(number, how, content, packed, now);
            taken += block.bytes.len() - before;
        }
        taken
    }

    /// The answer to a request, if it was kept for less than a minute.
    pub fn of(&self, number: u64, now: ClockTime) -> Option<Answer> {
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

    /// Forgets what was kept for longer than a minute: a block when all of it was. Whether there was any.
    pub fn forget_old(&mut self, now: ClockTime) -> bool {
        self.forget_while(|block| block.last.plus(ANSWER_KEPT) <= now)
    }

    /// Forgets answers to requests before this one: a block when all of it is.
    pub fn forget_before(&mut self, number: u64) {
        self.forget_while(|block| block.next <= number);
    }

    /// Forgets the models that no answer needs. Whether there were any.
    pub fn forget_idle(&mut self) -> bool {
        self.models.forget_idle()
    }

    /// Forgets the oldest block. Whether there was one.
    pub fn drop_oldest(&mut self) -> bool {
        let Some(block) = self.blocks.pop_front() else {
            return false;
        };
        self.bytes -= block.bytes.capacity();
        for model in block.models {
            self.models.let_go(model);
        }
        true
    }

    /// Whether no answer is kept.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// The number of the oldest.
    pub fn first(&self) -> Option<u64> {
        self.blocks.front().map(|block| block.first)
    }

    /// The number after the last.
    pub fn next(&self) -> Option<u64> {
        self.blocks.back().map(|block| block.next)
    }

    /// Bytes that all of it takes, with models.
    pub fn size(&self) -> usize {
        self.bytes + self.models.size()
    }

    fn forget_while(&mut self, is_over: impl Fn(&Block) -> bool) -> bool {
        let mut is_any = false;
        while self.blocks.front().is_some_and(&is_over) {
            is_any |= self.drop_oldest();
        }
        is_any
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
        let (first, next) = (number, number);
        let block = Block { block, first, next, since: now, last: now, models, bytes };
        self.blocks.push_back(block);
    }
}

impl Block {
    /// Whether there is room for an answer.
    fn takes(&self, needed: usize, now: ClockTime) -> bool {
        self.bytes.capacity() - self.bytes.len() >= needed && self.since.plus(BLOCK_SPAN) > now
    }

    fn put(&mut self, number: u64, how: How, content: &Content, packed: &[u8], now: ClockTime) {
        let left_out = number.saturating_sub(self.next);
        put_number(&mut self.bytes, how.number() << 1 | u64::from(left_out > 0));
        if left_out > 0 {
            put_number(&mut self.bytes, left_out);
        }
        put_number(&mut self.bytes, zigzag(now.0, self.last.0));
        put_number(&mut self.bytes, packed.len() as u64);
        self.bytes.extend_from_slice(content);
        self.bytes.extend_from_slice(packed);
        (self.next, self.last) = (number + 1, now);
    }

    fn of(&self, number: u64) -> Option<Kept<'_>> {
        let (mut bytes, mut next, mut at) = (self.bytes.as_slice(), self.first, self.since);
        loop {
            let kept = take_kept(&mut bytes, &mut next, &mut at)?;
            if next > number {
                return (next == number + 1).then_some(kept);
            }
        }
    }
}

/// An answer in its block.
struct Kept<'b> {
    how: How,
    at: ClockTime,
    content: &'b Content,
    packed: &'b [u8],
}

/// Reads an answer; `next` is the number after the one before, then after its own.
fn take_kept<'b>(bytes: &mut &'b [u8], next: &mut u64, at: &mut ClockTime) -> Option<Kept<'b>> {
    let head = take_number(bytes)?;
    let how = How::of(head >> 1)?;
    let left_out = if head & 1 == 1 { take_number(bytes)? } else { 0 };
    *next = next.checked_add(left_out)?.checked_add(1)?;
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
pub const HEAD_MAX: usize = 5 + 10 + 10 + 10 + size_of::<Content>();
/// Bytes of a block, but of one with an answer that needs more.
const BLOCK_BYTES: usize = 16 << 10;
/// From the first answer of a block to the last: so much longer than it is kept may an answer lie there.
const BLOCK_SPAN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use vault_model::{ClockTime, Name};

    use super::Region;

    const NOW: ClockTime = ClockTime(1_000_000_000);

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    #[test]
    fn a_new_model_counts_whole_and_what_it_has_not_again() {
        let (mut region, mut packed) = (Region::default(), Vec::new());
        let reply = [b' '; 16_000];
        let mut put = |number| {
            let reply = Some((&name("main"), reply.as_slice()));
            region.put(number, &[9; 16], reply, NOW, &mut packed)
        };
        assert!(put(0) > 2 * reply.len(), "the text, and where others differ from it");
        assert!(put(1) < 50);
    }

    #[test]
    fn a_request_between_two_answers_has_none() {
        let (mut region, mut packed) = (Region::default(), Vec::new());
        for number in [3, 4, 9, 1_000] {
            let reply = number.to_string();
            let reply = Some((&name("main"), reply.as_bytes()));
            region.put(number, &[9; 16], reply, NOW, &mut packed);
        }
        assert_eq!((region.blocks.len(), region.first(), region.next()), (1, Some(3), Some(1_001)));
        for number in 0..1_010 {
            let found = region.of(number, NOW).map(|answer| answer.reply);
            let is_there = [3, 4, 9, 1_000].contains(&number);
            assert_eq!(found, is_there.then(|| Some(number.to_string().into_bytes())));
        }
    }

    proptest! {
        /// What answers are counted as is never less than what they and their models take.
        #[test]
        fn nothing_is_kept_that_was_not_counted(
            answers in vec((0..3u8, 0..4u8, any::<u8>(), 0..6_000usize), 1..200),
        ) {
            let (mut region, mut packed) = (Region::default(), Vec::new());
            let mut counted = 0;
            for (number, (credential, kind, byte, length)) in (0u64..).zip(answers) {
                let reply: Vec<u8> = match kind {
                    0 => vec![byte; length],
                    1 => number.to_string().into_bytes().repeat(length / 9),
                    _ => format!("POST https://venue.test/order at {:07}", number * 977).into_bytes(),
                };
                let credential = name(&format!("key-{credential}"));
                let reply = (kind < 3 || byte > 99).then_some((&credential, reply.as_slice()));
                counted += region.put(number, &[9; 16], reply, NOW, &mut packed);
                let written: usize = region.blocks.iter().map(|block| block.bytes.len()).sum();
                prop_assert!(written + region.models.size() <= counted);
            }
        }
    }
}
