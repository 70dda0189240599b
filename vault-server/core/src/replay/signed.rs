//! The last requests that were signed or sent, each with the index of its entry: 24 bytes, and 10 to find
//! it by.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;

use super::RequestKey;

/// Bounded, oldest out. Requests have numbers in the order in which they came.
#[derive(Debug, Default)]
pub struct Signed {
    requests: VecDeque<Request>,
    /// The number of the oldest of them.
    oldest: u64,
    /// Where each stands: the lower half of its number, of which no two here are the same.
    places: HashTable<u32>,
    hasher: RandomState,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Request {
    key: RequestKey,
    index: u64,
}

impl Signed {
    /// Nothing yet, with room for so many.
    pub fn with_capacity(length: usize) -> Self {
        Self {
            requests: VecDeque::with_capacity(length),
            places: HashTable::with_capacity(length),
            ..Self::default()
        }
    }

    /// Keeps one that came now; one that is here gets another index and stays where it is.
    pub fn put(&mut self, key: RequestKey, index: u64) {
        if let Some(number) = self.number(&key) {
            let place = self.place(number as u32);
            self.requests[place].index = index;
            return;
        }
        if self.requests.len() >= SIGNED_MAX {
            self.drop_oldest();
        }
        let number = self.next() as u32;
        self.requests.push_back(Request { key, index });
        let Self { requests, oldest, places, hasher } = self;
        let key_at = |number: &u32| requests[number.wrapping_sub(*oldest as u32) as usize].key;
        let hash = hasher.hash_one(key);
        places.insert_unique(hash, number, |number| hasher.hash_one(key_at(number)));
    }

    /// The index of a request's entry.
    pub fn index(&self, key: &RequestKey) -> Option<u64> {
        let number = self.number(key)?;
        Some(self.requests[self.place(number as u32)].index)
    }

    /// The number of a request.
    pub fn number(&self, key: &RequestKey) -> Option<u64> {
        let is_it = |number: &u32| self.requests[self.place(*number)].key == *key;
        let number = *self.places.find(self.hasher.hash_one(key), is_it)?;
        Some(self.oldest + self.place(number) as u64)
    }

    /// The number that the next request gets.
    pub fn next(&self) -> u64 {
        self.oldest + self.requests.len() as u64
    }

    /// All, the oldest first: keys and indexes.
    pub fn all(&self) -> impl ExactSizeIterator<Item = (&RequestKey, u64)> {
        self.requests.iter().map(|request| (&request.key, request.index))
    }

    fn place(&self, number: u32) -> usize {
        number.wrapping_sub(self.oldest as u32) as usize
    }

    fn drop_oldest(&mut self) {
        let Some(request) = self.requests.front() else {
            return;
        };
        let (hash, number) = (self.hasher.hash_one(request.key), self.oldest as u32);
        if let Ok(place) = self.places.find_entry(hash, |other| *other == number) {
            place.remove();
        }
        self.requests.pop_front();
        self.oldest += 1;
    }
}

impl PartialEq for Signed {
    /// Whether both say the same of every request, and forget them in the same order.
    fn eq(&self, other: &Self) -> bool {
        self.requests == other.requests
    }
}

impl Eq for Signed {}

/// So many are kept.
pub const SIGNED_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, VecDeque};

    use super::{SIGNED_MAX, Signed};
    use crate::replay::RequestKey;

    fn key(number: u32) -> RequestKey {
        let mut key = [0; 16];
        key[..4].copy_from_slice(&number.to_le_bytes());
        key
    }

    /// The same, kept as anybody would.
    #[test]
    fn keeps_the_last_ones_whatever_comes_again() {
        let mut signed = Signed { oldest: u64::from(u32::MAX) - 500_000, ..Signed::default() };
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
