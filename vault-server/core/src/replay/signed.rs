//! The last requests that were signed or sent, each with the index of its entry: 18 bytes, and five or six
//! to find it by.

use std::hash::{BuildHasher as _, RandomState};

use super::RequestKey;
use super::places::{Places, Short};
use super::request::Requests;

/// Bounded, oldest out. Requests have numbers in the order in which they came.
#[derive(Debug, Default)]
pub struct Signed {
    requests: Requests,
    /// Where each stands, by the lower three bytes of its number: no two here have the same.
    places: Places,
    hasher: KeyHasher,
}

impl Signed {
    /// Empty, with room for so many, [`SIGNED_MAX`] at most, to be found.
    pub fn with_room(requests: usize) -> Self {
        let places = Places::with_room(requests.min(SIGNED_MAX));
        Self { places, ..Self::default() }
    }

    /// Keeps one that came now; one that is here gets another index and stays where it is.
    pub fn put(&mut self, key: RequestKey, index: u64) {
        if let Some(number) = self.number(&key) {
            self.requests.set_index(number, index);
            return;
        }
        if self.requests.len() >= SIGNED_MAX {
            self.drop_oldest();
        }
        let short = short(self.requests.next());
        self.requests.push(key, index);
        let Self { requests, places, hasher } = self;
        let hash = hasher.hash(&key);
        let hash_of =
            |short: Short| requests.key(number(requests, short)).map_or(0, |key| hasher.hash(key));
        places.insert(hash, short, hash_of);
    }

    /// The index of a request's entry.
    pub fn index(&self, key: &RequestKey) -> Option<u64> {
        self.requests.index(self.number(key)?)
    }

    /// The number of a request.
    pub fn number(&self, key: &RequestKey) -> Option<u64> {
        // What was just noted is what an answer is kept for next.
        if self.requests.last() == Some(key) {
            return self.requests.next().checked_sub(1);
        }
        let hash = self.hasher.hash(key);
        let is_it = |short: Short| self.requests.key(number(&self.requests, short)) == Some(key);
        Some(number(&self.requests, self.places.find(hash, is_it)?))
    }

    /// The number that the next request gets.
    pub fn next(&self) -> u64 {
        self.requests.next()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// All, the oldest first: keys and indexes.
    pub fn all(&self) -> impl Iterator<Item = (&RequestKey, u64)> {
        self.requests.all()
    }

    fn drop_oldest(&mut self) {
        let oldest = self.requests.oldest();
        if let Some(key) = self.requests.key(oldest) {
            self.places.remove(self.hasher.hash(key), short(oldest));
        }
        self.requests.pop();
    }
}

impl PartialEq for Signed {
    /// Whether both say the same of every request, and forget them in the same order.
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.all().eq(other.all())
    }
}

impl Eq for Signed {}

/// Whose lower three bytes are these.
fn number(requests: &Requests, short: Short) -> u64 {
    let [low, middle, high] = short;
    let behind = u32::from_le_bytes([low, middle, high, 0]).wrapping_sub(requests.oldest() as u32);
    requests.oldest() + u64::from(behind & 0xff_ffff)
}

fn short(number: u64) -> Short {
    let [low, middle, high, ..] = number.to_le_bytes();
    [low, middle, high]
}

/// Hashes keys, cheaper than SipHash, which is for texts of any length.
///
/// Keys are halves of SHA-256, but of what clients choose: who tries enough ids finds many that a hash which
/// he knows puts in one place, and each look would walk over all of them. So it has a secret, and is
/// strongly universal: two keys that are chosen without the secret have hashes that are independent of
/// each other, each of 64 random bits. Nothing that leaves the vault depends on it but time.
///
/// Source: M. Thorup, "High Speed Hashing for Integers and Strings", section 3.3 (vectors, by
/// multiplication, addition and shift, in twice the word's bits).
#[derive(Debug)]
struct KeyHasher([u128; 3]);

impl Default for KeyHasher {
    fn default() -> Self {
        let random = RandomState::new();
        let word = |number: u8| u128::from(random.hash_one(number));
        Self([0, 2, 4].map(|number| word(number) << 64 | word(number + 1)))
    }
}

impl KeyHasher {
    fn hash(&self, key: &RequestKey) -> u64 {
        let Self([zero, one, two]) = *self;
        let number = u128::from_le_bytes(*key);
        let (low, high) = (u128::from(number as u64), number >> 64);
        let sum = zero.wrapping_add(one.wrapping_mul(low)).wrapping_add(two.wrapping_mul(high));
        (sum >> 64) as u64
    }
}

/// So many are kept.
pub const SIGNED_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, VecDeque};

    use super::{Requests, SIGNED_MAX, Signed};
    use crate::replay::RequestKey;

    fn key(number: u32) -> RequestKey {
        let mut key = [0; 16];
        key[..4].copy_from_slice(&number.to_le_bytes());
        key
    }

    /// The same, kept as anybody would.
    #[test]
    fn keeps_the_last_ones_whatever_comes_again() {
        let requests = Requests::starting_at(u64::from(u32::MAX) - 500_000);
        let mut signed = Signed { requests, ..Signed::default() };
        let (mut known, mut order) = (HashMap::new(), VecDeque::new());
        let past = SIGNED_MAX as u32 / 4;
        for step in 0..SIGNED_MAX as u32 + past {
            // Each seventh is one that came before, and may be forgotten by now.
            let key = key(if step % 7 == 6 { step / 2 } else { step });
            signed.put(key, u64::from(step));
            if known.insert(key, u64::from(step)).is_none() {
                order.push_back(key);
            }
            if order.len() > SIGNED_MAX {
                known.remove(&order.pop_front().expect("there are some"));
            }
        }
        for number in (0..SIGNED_MAX as u32 + past).step_by(11) {
            assert_eq!(signed.index(&key(number)), known.get(&key(number)).copied(), "{number}");
        }
        let all: Vec<_> = order.iter().map(|key| (key, known[key])).collect();
        assert!(signed.all().eq(all));
    }

    #[test]
    fn numbers_go_on() {
        let mut signed = Signed::default();
        signed.put(key(1), 7);
        signed.put(key(2), 8);
        signed.put(key(1), 9);
        assert_eq!((signed.number(&key(1)), signed.number(&key(2))), (Some(0), Some(1)));
        assert_eq!((signed.next(), signed.index(&key(1))), (2, Some(9)));
        assert_eq!(signed.number(&key(3)), None);
    }
}
