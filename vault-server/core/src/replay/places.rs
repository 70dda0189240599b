//! Finds numbers by hashes, in buckets of 64 bytes, 15 numbers in each:
//!
//! ```text
//! tags, 15: eight bits of each hash, 0 is none | passed, 1 | numbers, 15 times 3 | 3 unused
//! ```
//!
//! A number whose bucket is full is in the next one that is not, and each bucket knows how many passed it:
//! where none did, a search ends, and what is removed leaves no trace. A table that marks what was removed
//! (as hashbrown does) fills with marks when the oldest goes for each that comes, and doubles at three
//! fifths of its places; this one is good for nine tenths.

/// The lower three bytes of a number.
pub type Short = [u8; 3];

/// A table in parts: one that is full grows by half, and each of many small ones does so in no time.
#[derive(Debug)]
pub struct Places {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
struct Part {
    buckets: Vec<Bucket>,
    length: usize,
}

#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Bucket {
    /// The last one says how many passed.
    tags: [u8; 16],
    numbers: [Short; SLOTS],
}

impl Default for Places {
    fn default() -> Self {
        Self::with_room(0)
    }
}

impl Places {
    /// Empty, and as large as it would have become with so many numbers, which each part gets its share of.
    pub fn with_room(numbers: usize) -> Self {
        let mut buckets = 0;
        while numbers / PARTS > room(buckets) {
            buckets = more(buckets);
        }
        let part = Part { buckets: vec![Bucket::default(); buckets], length: 0 };
        Self { parts: vec![part; PARTS] }
    }

    /// The number with this hash that is the right one.
    pub fn find(&self, hash: u64, is_it: impl Fn(Short) -> bool) -> Option<Short> {
        let part = &self.parts[part(hash)];
        let (bucket, slot) = part.find(hash, is_it)?;
        Some(part.buckets[bucket].numbers[slot])
    }

    /// Adds a number, which is not there; `hash_of` knows the hashes of all that are.
    pub fn insert(&mut self, hash: u64, number: Short, hash_of: impl Fn(Short) -> u64) {
        let part = &mut self.parts[part(hash)];
        if part.length >= room(part.buckets.len()) {
            part.grow(hash_of);
        }
        part.insert(hash, number);
    }

    /// Removes a number that was added with this hash.
    pub fn remove(&mut self, hash: u64, number: Short) {
        self.parts[part(hash)].remove(hash, number);
    }
}

impl Part {
    /// Buckets in the order in which a number with this hash takes the first that has room.
    fn path(&self, hash: u64) -> impl Iterator<Item = usize> + use<> {
        let buckets = self.buckets.len();
        let first = (((hash & 0xffff_ffff) * buckets as u64) >> 32) as usize;
        (first..buckets).chain(0..first)
    }

    fn find(&self, hash: u64, is_it: impl Fn(Short) -> bool) -> Option<(usize, usize)> {
        for at in self.path(hash) {
            let bucket = &self.buckets[at];
            if let Some(slot) = bucket.slots(tag(hash)).find(|slot| is_it(bucket.numbers[*slot])) {
                return Some((at, slot));
            }
            if bucket.passed() == 0 {
                return None;
            }
        }
        None
    }

    fn insert(&mut self, hash: u64, number: Short) {
        for at in self.path(hash) {
            let bucket = &mut self.buckets[at];
            if let Some(slot) = bucket.slots(NONE).next() {
                bucket.tags[slot] = tag(hash);
                bucket.numbers[slot] = number;
                self.length += 1;
                return;
            }
            // One that very many passed is passed for ever: a search goes on in vain, no more.
            bucket.tags[SLOTS] = bucket.passed().saturating_add(1);
        }
    }

    fn remove(&mut self, hash: u64, number: Short) {
        let Some((found, slot)) = self.find(hash, |other| other == number) else {
            return;
        };
        for at in self.path(hash).take_while(|at| *at != found) {
            let bucket = &mut self.buckets[at];
            if bucket.passed() < u8::MAX {
                bucket.tags[SLOTS] = bucket.passed().saturating_sub(1);
            }
        }
        self.buckets[found].tags[slot] = NONE;
        self.length -= 1;
    }

    fn grow(&mut self, hash_of: impl Fn(Short) -> u64) {
        let buckets = vec![Bucket::default(); more(self.buckets.len())];
        let mut grown = Self { buckets, length: 0 };
        for bucket in &self.buckets {
            for (number, tag) in bucket.numbers.iter().zip(bucket.tags) {
                if tag != NONE {
                    grown.insert(hash_of(*number), *number);
                }
            }
        }
        *self = grown;
    }
}

impl Bucket {
    fn passed(&self) -> u8 {
        self.tags[SLOTS]
    }

    /// Slots with this tag.
    fn slots(&self, tag: u8) -> impl Iterator<Item = usize> + use<> {
        let differ = u128::from_le_bytes(self.tags) ^ (ONES * u128::from(tag));
        // The highest bit of each byte that is 0: of no other byte, since nothing is carried from one to
        // the next.
        let same = !(((differ & (ONES * 0x7f)) + ONES * 0x7f) | differ) & (ONES << 7);
        let mut same = same & (u128::MAX >> 8);
        std::iter::from_fn(move || {
            let slot = (same != 0).then_some(same.trailing_zeros() as usize / 8);
            same &= same.wrapping_sub(1);
            slot
        })
    }
}

/// How many numbers a part with so many buckets takes before it grows.
fn room(buckets: usize) -> usize {
    buckets * SLOTS * 9 / 10
}

/// How many buckets come after so many.
fn more(buckets: usize) -> usize {
    (buckets * 3 / 2).max(BUCKETS_MIN)
}

/// The part of a hash, its bucket there and its tag depend on different bits.
fn part(hash: u64) -> usize {
    ((((hash >> 24) & 0xffff_ffff) * PARTS as u64) >> 32) as usize
}

fn tag(hash: u64) -> u8 {
    ((hash >> 56) as u8).max(1)
}

/// The tag of an empty slot.
const NONE: u8 = 0;
const SLOTS: usize = 15;
/// A one in every byte.
const ONES: u128 = u128::MAX / 0xff;
/// The first buckets of a part.
const BUCKETS_MIN: usize = 4;
/// So many that those with 2^20 numbers in all, four fifths full, need not grow again: 4 buckets that grew by
/// half fourteen times are 1,066.
const PARTS: usize = 80;

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::{PARTS, Places, Short};

    fn short(number: u32) -> Short {
        let [low, middle, high, _] = number.to_le_bytes();
        [low, middle, high]
    }

    /// The number that it is the lower three bytes of, if that has no more.
    fn low([low, middle, high]: Short) -> u32 {
        u32::from_le_bytes([low, middle, high, 0])
    }

    fn buckets(places: &Places) -> usize {
        places.parts.iter().map(|part| part.buckets.len()).sum()
    }

    #[test]
    fn a_bucket_has_64_bytes() {
        assert_eq!(size_of::<super::Bucket>(), 64);
    }

    proptest! {
        /// The same as a queue, whatever hashes are alike.
        #[test]
        fn finds_what_was_added_and_not_removed(
            steps in vec((0..300u32, 0..300u32, 1..40u64, 0..64u32), 1..12),
        ) {
            let mut places = Places::default();
            let (mut queue, mut next) = (VecDeque::new(), 0);
            // Few hashes, in some bits.
            let mut hashes = Vec::new();
            for (added, removed, different, shift) in steps {
                for _ in 0..added {
                    let hash = (u64::from(next) % different).rotate_left(shift);
                    hashes.push(hash);
                    places.insert(hash, short(next), |short| {
                        hashes[low(short) as usize]
                    });
                    queue.push_back(next);
                    next += 1;
                }
                for _ in 0..removed {
                    if let Some(number) = queue.pop_front() {
                        places.remove(hashes[number as usize], short(number));
                    }
                }
                let oldest = queue.front().copied().unwrap_or(next);
                for number in 0..next {
                    let is_it = |other| other == short(number);
                    let found = places.find(hashes[number as usize], is_it);
                    prop_assert_eq!(found.is_some(), number >= oldest);
                }
                let length: usize = places.parts.iter().map(|part| part.length).sum();
                prop_assert_eq!(length, queue.len());
            }
        }
    }

    #[test]
    fn room_that_is_made_at_once_is_what_it_would_have_become() {
        let hash = |number: u32| u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for kept in [0, 1, 5_000, 1 << 17, 1 << 20] {
            let (mut grown, made) = (Places::default(), Places::with_room(kept as usize));
            for number in 0..kept {
                grown.insert(hash(number), short(number), |short| hash(low(short)));
            }
            let (grown, made) = (buckets(&grown), buckets(&made));
            // A part that gets more than its share is a step ahead, one that gets less is one behind.
            assert!(2 * made <= 3 * grown, "{kept}: {grown}, {made}");
            assert!(2 * grown <= 3 * made || kept < 5_000, "{kept}: {grown}, {made}");
        }
    }

    #[test]
    fn does_not_grow_for_what_comes_when_as_much_goes() {
        let hash = |number: u32| {
            let mixed = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
        };
        const KEPT: u32 = 1 << 17;
        let mut places = Places::default();
        let mut full = 0;
        for number in 0..16 * KEPT {
            if number >= KEPT {
                places.remove(hash(number - KEPT), short(number - KEPT));
            }
            let hash_of = |short: Short| hash((number & !0xff_ffff) | low(short));
            places.insert(hash(number), short(number), hash_of);
            if number == KEPT {
                full = buckets(&places);
            }
        }
        assert_eq!(places.parts.len(), PARTS);
        // A few parts have some more at times.
        assert!(buckets(&places) < full + full / 10, "{} {full}", buckets(&places));
        // Nothing is passed for ever.
        for number in 15 * KEPT..16 * KEPT {
            places.remove(hash(number), short(number));
        }
        let mut all = places.parts.iter().flat_map(|part| &part.buckets);
        assert!(all.all(|bucket| bucket.tags == [0; 16]));
    }
}
