//! Recognises a request that was seen before, so that a retry is neither signed, sent nor counted
//! twice.
//!
//! For 60 s the answer itself is kept. Of older ones, and of those before a restart, only the entry
//! is known: the answer is "outcome unknown", with its index. Both memories are bounded, oldest out, and
//! full after some hundred thousand requests: no load makes them larger than some 40 MiB. Of the answers
//! those to clients that take more than their share go first.

mod answer;
mod form;
mod letters;
mod likeness;
mod model;
mod number;
mod places;
mod region;
mod request;
mod share;
mod signed;

use std::time::Duration;

use sha2::{Digest, Sha256};
use vault_model::{ClockTime, Name, NotPacked, Pack, RequestId, Unpack};

use self::answer::Answers;
use self::region::Answer;
use self::signed::{SIGNED_MAX, Signed};

/// Names one request of one client: half a SHA-256.
pub type RequestKey = [u8; 16];

/// What is known of a request.
#[derive(Debug, Eq, PartialEq)]
pub enum Known {
    /// The same request: this was its answer, as it was given to [`Replay::answered`]; its entry has this
    /// index.
    Answered(Vec<u8>, u64),
    /// The id was used for another request.
    Different,
    /// Never seen, or too long ago.
    New,
    /// It was signed or sent; its entry has this index, and there is no answer to give again.
    Signed(u64),
}

/// The two memories.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Replay {
    answers: Answers,
    signed: Signed,
}

impl Replay {
    /// The key of a request.
    pub fn key(client: &Name, request_id: &RequestId) -> RequestKey {
        let mut hash = Sha256::new();
        hash.update(client.as_str());
        hash.update([0]);
        hash.update(request_id.as_str());
        half(&hash.finalize().into())
    }

    /// What is known of a request with this key and content.
    pub fn look(&mut self, key: &RequestKey, content: &[u8; 32], now: ClockTime) -> Known {
        self.answers.forget_old(now);
        let Some(number) = self.signed.number(key) else {
            return Known::New;
        };
        match self.answers.of(number, now) {
            Some(answer) if answer.content != half(content) => Known::Different,
            Some(Answer { reply: Some(reply), .. }) => match self.signed.index(key) {
                Some(index) => Known::Answered(reply, index),
                None => Known::New,
            },
            Some(Answer { reply: None, .. }) | None => {
                self.signed.index(key).map_or(Known::New, Known::Signed)
            }
        }
    }

    /// Keeps the answer to what was just noted as [`signed`](Self::signed) for 60 s, for this client.
    /// `credential` is whose answers are like it. `false` if it is not kept, because a later one is already.
    pub fn answered(
        &mut self,
        key: RequestKey,
        content: [u8; 32],
        client: &Name,
        credential: &Name,
        reply: &[u8],
        now: ClockTime,
    ) -> bool {
        let Some(number) = self.signed.number(&key) else {
            return false;
        };
        self.answers.put(number, &half(&content), client, Some((credential, reply)), now)
    }

    /// How many answers are kept, at most.
    pub fn answers(&self) -> usize {
        self.answers.length()
    }

    /// Remembers that a client's request was sent, by the index of its entry: it never is again. For 60 s
    /// another request with its id is told from a retry.
    pub fn sent(
        &mut self,
        key: RequestKey,
        content: [u8; 32],
        client: &Name,
        index: u64,
        now: ClockTime,
    ) {
        self.signed(key, index);
        if let Some(number) = self.signed.number(&key) {
            self.answers.put(number, &half(&content), client, None, now);
        }
    }

    /// Remembers that a request was signed or sent, by the index of its entry.
    pub fn signed(&mut self, key: RequestKey, index: u64) {
        self.signed.put(key, index);
    }

    /// Forgets all answers: after an act that forbids something, an old answer could release a
    /// signature that the act forbids.
    pub fn forget_answers(&mut self) {
        self.answers.clear();
    }

    /// Writes what the log says of it, for a snapshot: what was signed or sent. No answer is in the log.
    pub fn pack(&self, pack: &mut Pack<'_>) {
        let Self { answers: _, signed } = self;
        pack.len(signed.len());
        for (key, index) in signed.all() {
            pack.bytes(key);
            pack.number(index);
        }
    }

    /// Reads what [`Replay::pack`] wrote.
    ///
    /// # Errors
    ///
    /// [`NotPacked`].
    pub fn unpack(unpack: &mut Unpack<'_>) -> Result<Self, NotPacked> {
        let length = unpack.len(size_of::<RequestKey>() + 1)?;
        if length > SIGNED_MAX {
            return Err(NotPacked);
        }
        let mut replay = Self { signed: Signed::with_room(length), ..Self::default() };
        for number in 0..length as u64 {
            replay.signed(unpack.bytes()?, unpack.number()?);
            // Each once: there is one way to write it.
            if replay.signed.next() != number + 1 {
                return Err(NotPacked);
            }
        }
        Ok(replay)
    }
}

/// How long an answer is kept.
const ANSWER_KEPT: Duration = Duration::from_secs(60);
/// Bytes of answers that are kept: at 30,000 Signs a second those of five seconds, the longest that a call lasts, if they
/// have the form of each other, as a program's have.
const BYTES_MAX: usize = 14 << 20;

/// The first half of a hash.
fn half(hash: &[u8; 32]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&hash[..16]);
    half
}

#[cfg(test)]
mod tests;
