//! Recognises a request that was seen before, so that a retry is neither signed, sent nor counted
//! twice.
//!
//! For 60 s the answer itself is kept. Of older ones, and of those before a restart, only the entry
//! is known: the answer is "outcome unknown", with its index. Both memories are bounded, oldest out.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use sha2::{Digest, Sha256};
use vault_model::{ClockTime, Name, NotPacked, Pack, RequestId, Unpack};

/// Names one request of one client: half a SHA-256.
pub type RequestKey = [u8; 16];

/// What is known of a request.
#[derive(Debug, Eq, PartialEq)]
pub enum Known<'a> {
    /// The same request: this was its answer (an encoded reply).
    Answered(&'a [u8]),
    /// The id was used for another request.
    Different,
    /// Never seen, or too long ago.
    New,
    /// It was signed or sent; its entry has this index, and there is no answer to give again.
    Signed(u64),
}

#[derive(Debug, Eq, PartialEq)]
struct Answer {
    content: [u8; 32],
    at: ClockTime,
    /// Absent: the answer was the venue's.
    reply: Option<Vec<u8>>,
}

impl Answer {
    fn bytes(&self) -> usize {
        self.reply.as_ref().map_or(0, Vec::len)
    }
}

/// The two memories.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Replay {
    answers: HashMap<RequestKey, Answer>,
    answer_order: VecDeque<(ClockTime, RequestKey)>,
    answer_bytes: usize,
    signed: HashMap<RequestKey, u64>,
    signed_order: VecDeque<RequestKey>,
}

impl Replay {
    /// The key of a request.
    pub fn key(client: &Name, request_id: &RequestId) -> RequestKey {
        let mut hash = Sha256::new();
        hash.update(client.as_str());
        hash.update([0]);
        hash.update(request_id.as_str());
        let digest = hash.finalize();
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        key
    }

    /// What is known of a request with this key and content.
    pub fn look(&mut self, key: &RequestKey, content: &[u8; 32], now: ClockTime) -> Known<'_> {
        self.forget_old(now);
        match self.answers.get(key) {
            Some(answer) if answer.content != *content => Known::Different,
            Some(Answer { reply: Some(reply), .. }) => Known::Answered(reply),
            Some(Answer { reply: None, .. }) | None => match self.signed.get(key) {
                Some(&index) => Known::Signed(index),
                None => Known::New,
            },
        }
    }

    /// Keeps an answer for 60 s.
    pub fn answered(&mut self, key: RequestKey, content: [u8; 32], reply: Vec<u8>, now: ClockTime) {
        self.keep(key, Answer { content, at: now, reply: Some(reply) });
    }

    /// Remembers that a request was sent, by the index of its entry: it never is again. For 60 s
    /// another request with its id is told from a retry.
    pub fn sent(&mut self, key: RequestKey, content: [u8; 32], index: u64, now: ClockTime) {
        self.signed(key, index);
        self.keep(key, Answer { content, at: now, reply: None });
    }

    fn keep(&mut self, key: RequestKey, answer: Answer) {
        let now = answer.at;
        self.answer_bytes += answer.bytes();
        if let Some(old) = self.answers.insert(key, answer) {
            self.answer_bytes -= old.bytes();
        }
        self.answer_order.push_back((now, key));
        while self.answers.len() > ANSWERS_MAX || self.answer_bytes > ANSWER_BYTES_MAX {
            if !self.drop_oldest() {
                break;
            }
        }
    }

    /// Remembers that a request was signed or sent, by the index of its entry.
    pub fn signed(&mut self, key: RequestKey, index: u64) {
        if self.signed.insert(key, index).is_none() {
            self.signed_order.push_back(key);
        }
        if self.signed_order.len() > SIGNED_MAX
            && let Some(oldest) = self.signed_order.pop_front()
        {
            self.signed.remove(&oldest);
        }
    }

    /// Forgets all answers: after an act that forbids something, an old answer could release a
    /// signature that the act forbids.
    pub fn forget_answers(&mut self) {
        self.answers.clear();
        self.answer_order.clear();
        self.answer_bytes = 0;
    }

    /// Writes what the log says of it, for a snapshot: what was signed or sent. No answer is in the log.
    pub fn pack(&self, pack: &mut Pack<'_>) {
        let Self { signed, signed_order, .. } = self;
        pack.len(signed_order.len());
        for key in signed_order {
            pack.bytes(key);
            pack.number(signed.get(key).copied().unwrap_or_default());
        }
    }

    /// Reads what [`Replay::pack`] wrote.
    ///
    /// # Errors
    ///
    /// [`NotPacked`].
    pub fn unpack(unpack: &mut Unpack<'_>) -> Result<Self, NotPacked> {
        let length = unpack.len(size_of::<RequestKey>() + 1)?;
        let mut replay = Self {
            signed: HashMap::with_capacity(length),
            signed_order: VecDeque::with_capacity(length),
            ..Self::default()
        };
        for _ in 0..length {
            let key: RequestKey = unpack.bytes()?;
            if replay.signed.insert(key, unpack.number()?).is_some() {
                return Err(NotPacked);
            }
            replay.signed_order.push_back(key);
        }
        if length > SIGNED_MAX { Err(NotPacked) } else { Ok(replay) }
    }

    fn forget_old(&mut self, now: ClockTime) {
        while let Some(&(at, _)) = self.answer_order.front() {
            if at.plus(ANSWER_KEPT) > now || !self.drop_oldest() {
                break;
            }
        }
    }

    fn drop_oldest(&mut self) -> bool {
        let Some((at, key)) = self.answer_order.pop_front() else {
            return false;
        };
        // A key that was answered anew stands in the order a second time: keep the newer answer.
        if self.answers.get(&key).is_some_and(|answer| answer.at == at)
            && let Some(old) = self.answers.remove(&key)
        {
            self.answer_bytes -= old.bytes();
        }
        true
    }
}

const ANSWER_KEPT: Duration = Duration::from_secs(60);
const ANSWERS_MAX: usize = 262_144;
const ANSWER_BYTES_MAX: usize = 256 << 20;
const SIGNED_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::{ANSWER_BYTES_MAX, Known, Replay};
    use std::time::Duration;
    use vault_model::ClockTime;

    const NOW: ClockTime = ClockTime(1_000_000_000);

    #[test]
    fn gives_the_same_answer_for_a_minute_then_the_index() {
        let mut replay = Replay::default();
        replay.signed([1; 16], 7);
        replay.answered([1; 16], [9; 32], b"reply".to_vec(), NOW);

        let later = NOW.plus(Duration::from_secs(59));
        assert_eq!(replay.look(&[1; 16], &[9; 32], later), Known::Answered(b"reply"));
        assert_eq!(replay.look(&[1; 16], &[8; 32], later), Known::Different);
        assert_eq!(replay.look(&[2; 16], &[9; 32], later), Known::New);
        let too_late = NOW.plus(Duration::from_secs(61));
        assert_eq!(replay.look(&[1; 16], &[9; 32], too_late), Known::Signed(7));
    }

    #[test]
    fn what_was_sent_has_no_answer_to_give_again() {
        let mut replay = Replay::default();
        replay.sent([1; 16], [9; 32], 7, NOW);

        assert_eq!(replay.look(&[1; 16], &[9; 32], NOW), Known::Signed(7));
        assert_eq!(replay.look(&[1; 16], &[8; 32], NOW), Known::Different);
        let later = NOW.plus(Duration::from_secs(61));
        assert_eq!(replay.look(&[1; 16], &[8; 32], later), Known::Signed(7));
    }

    #[test]
    fn forgets_answers_on_demand_but_not_that_it_signed() {
        let mut replay = Replay::default();
        replay.signed([1; 16], 7);
        replay.answered([1; 16], [9; 32], b"reply".to_vec(), NOW);
        replay.forget_answers();

        assert_eq!(replay.look(&[1; 16], &[9; 32], NOW), Known::Signed(7));
    }

    #[test]
    fn is_bounded_in_bytes() {
        let mut replay = Replay::default();
        for round in 0..40u8 {
            replay.answered([round; 16], [0; 32], vec![0; ANSWER_BYTES_MAX / 32], NOW);
        }

        assert!(replay.answer_bytes <= ANSWER_BYTES_MAX);
        assert_eq!(replay.look(&[0; 16], &[0; 32], NOW), Known::New);
        assert!(matches!(replay.look(&[39; 16], &[0; 32], NOW), Known::Answered(_)));
    }
}
