//! Requests in the order in which they came, each with the index of its entry: 18 bytes for most.
//!
//! In blocks, so that memory follows what is kept: a queue in one piece would double.

use std::collections::VecDeque;

use super::RequestKey;

/// Requests with numbers, the oldest first.
#[derive(Debug, Default)]
pub struct Requests {
    blocks: VecDeque<Block>,
    /// The number of the first of the first block.
    first: u64,
    /// Those of the first block that are forgotten.
    forgotten: usize,
}

#[derive(Debug, Default)]
struct Block {
    keys: Vec<RequestKey>,
    indexes: Indexes,
}

impl Requests {
    /// None yet; the first will have this number.
    #[cfg(test)]
    pub fn starting_at(number: u64) -> Self {
        Self { first: number, ..Self::default() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        (self.next() - self.oldest()) as usize
    }

    /// The number of the oldest, or of the next if there is none.
    pub fn oldest(&self) -> u64 {
        self.first + self.forgotten as u64
    }

    /// The number of the next.
    pub fn next(&self) -> u64 {
        let Some((last, full)) = self.blocks.len().checked_sub(1).zip(self.blocks.back()) else {
            return self.oldest();
        };
        self.first + (last * BLOCK + full.keys.len()) as u64
    }

    /// The last.
    pub fn last(&self) -> Option<&RequestKey> {
        self.blocks.back()?.keys.last()
    }

    /// The key of a request.
    pub fn key(&self, number: u64) -> Option<&RequestKey> {
        let (block, place) = self.place(number)?;
        self.blocks.get(block)?.keys.get(place)
    }

    /// The index of a request.
    pub fn index(&self, number: u64) -> Option<u64> {
        let (block, place) = self.place(number)?;
        self.blocks.get(block)?.indexes.get(place)
    }

    /// Gives a request another index.
    pub fn set_index(&mut self, number: u64, index: u64) {
        if let Some((block, place)) = self.place(number)
            && let Some(block) = self.blocks.get_mut(block)
        {
            block.indexes.set(place, index);
        }
    }

    /// One that came now.
    pub fn push(&mut self, key: RequestKey, index: u64) {
        if self.blocks.back().is_none_or(|block| block.keys.len() >= BLOCK) {
            self.blocks
                .push_back(Block { keys: Vec::with_capacity(BLOCK), indexes: Indexes::default() });
        }
        if let Some(block) = self.blocks.back_mut() {
            block.keys.push(key);
            block.indexes.push(index);
        }
    }

    /// Forgets the oldest.
    pub fn pop(&mut self) {
        if self.len() == 0 {
            return;
        }
        self.forgotten += 1;
        if self.forgotten >= BLOCK {
            self.blocks.pop_front();
            self.first += BLOCK as u64;
            self.forgotten = 0;
        }
    }

    /// All, the oldest first: keys and indexes.
    pub fn all(&self) -> impl Iterator<Item = (&RequestKey, u64)> {
        self.blocks.iter().flat_map(Block::all).skip(self.forgotten)
    }

    fn place(&self, number: u64) -> Option<(usize, usize)> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        (at >= self.forgotten).then_some((at / BLOCK, at % BLOCK))
    }
}

impl Block {
    fn all(&self) -> impl Iterator<Item = (&RequestKey, u64)> {
        self.keys.iter().zip(self.indexes.all())
    }
}

/// Indexes, each as how far it is behind the first of them, in as few bytes as the furthest needs.
#[derive(Debug, Default)]
struct Indexes {
    first: u64,
    /// Bytes of each.
    width: usize,
    behind: Vec<u8>,
}

impl Indexes {
    fn get(&self, place: usize) -> Option<u64> {
        let at = place * self.width;
        let bytes = self.behind.get(at..at + self.width)?;
        (self.width > 0).then(|| self.read(bytes))
    }

    fn set(&mut self, place: usize, index: u64) {
        // Wraps for one before the first: then it is far behind, and comes back all the same.
        let behind = index.wrapping_sub(self.first);
        self.widen(behind);
        let at = place * self.width;
        if let Some(bytes) = self.behind.get_mut(at..at + self.width) {
            bytes.copy_from_slice(&behind.to_le_bytes()[..self.width]);
        }
    }

    fn push(&mut self, index: u64) {
        if self.behind.is_empty() {
            self.first = index;
            self.width = WIDTHS[0];
            self.behind.reserve_exact(BLOCK * self.width);
        }
        let behind = index.wrapping_sub(self.first);
        self.widen(behind);
        self.behind.extend_from_slice(&behind.to_le_bytes()[..self.width]);
    }

    fn all(&self) -> impl Iterator<Item = u64> {
        self.behind.chunks_exact(self.width.max(1)).map(|bytes| self.read(bytes))
    }

    fn read(&self, bytes: &[u8]) -> u64 {
        let mut behind = [0; 8];
        behind[..bytes.len()].copy_from_slice(bytes);
        self.first.wrapping_add(u64::from_le_bytes(behind))
    }

    /// Makes all of them wide enough for one that is so far behind.
    fn widen(&mut self, behind: u64) {
        let fits = |width: &usize| *width == 8 || behind >> (8 * width) == 0;
        if fits(&self.width) {
            return;
        }
        let width = WIDTHS.into_iter().find(|width| fits(width)).unwrap_or(8);
        let mut wide = Vec::with_capacity(BLOCK * width);
        for bytes in self.behind.chunks_exact(self.width) {
            wide.extend_from_slice(bytes);
            wide.resize(wide.len() + width - self.width, 0);
        }
        (self.width, self.behind) = (width, wide);
    }
}

/// Requests of a block.
const BLOCK: usize = 1_024;
/// Bytes of an index: of signatures one after the other, with a thousand refusals between each two, and
/// of any.
const WIDTHS: [usize; 3] = [2, 4, 8];

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::{BLOCK, Indexes, Requests};

    #[test]
    fn indexes_in_a_row_take_two_bytes_and_any_others_come_back() {
        let mut indexes = Indexes::default();
        let mut all: Vec<u64> = (0..BLOCK as u64).map(|at| (1 << 40) + at * 64).collect();
        for index in &all {
            indexes.push(*index);
        }
        assert_eq!(indexes.width, 2);
        assert_eq!(indexes.behind.capacity(), 2 * BLOCK);
        for (place, index, width) in [(7, (1 << 40) + 0x1_0000, 4), (8, 1 << 41, 8), (9, 0, 8)] {
            all[place] = index;
            indexes.set(place, index);
            assert_eq!(indexes.width, width);
            assert!(indexes.all().eq(all.iter().copied()));
            assert_eq!(indexes.get(place), Some(index));
        }
        assert_eq!(indexes.get(BLOCK), None);
        indexes.set(BLOCK, 1);
        assert!(indexes.all().eq(all));
    }

    #[test]
    fn memory_follows_what_is_kept() {
        let mut requests = Requests::default();
        for number in 0..10 * BLOCK as u64 {
            requests.push([1; 16], number);
        }
        assert_eq!(requests.blocks.len(), 10);
        for _ in 0..9 * BLOCK {
            requests.pop();
        }
        assert_eq!((requests.blocks.len(), requests.len()), (1, BLOCK));
    }

    proptest! {
        /// The same as a queue of keys and indexes.
        #[test]
        fn is_a_queue_with_numbers(
            start in prop_oneof![Just(0), Just(u64::from(u32::MAX) - 7)],
            steps in vec((0..2_000usize, 0..2_000usize, any::<u64>(), 0..60u32), 1..12),
        ) {
            let mut requests = Requests::starting_at(start);
            let (mut queue, mut oldest) = (VecDeque::new(), start);
            for (pushed, popped, index, shift) in steps {
                for number in 0..pushed as u64 {
                    let key = [number as u8; 16];
                    let index = (index >> shift).wrapping_add(number);
                    requests.push(key, index);
                    queue.push_back((key, index));
                }
                for _ in 0..popped {
                    requests.pop();
                    oldest += u64::from(queue.pop_front().is_some());
                }
                let middle = queue.len() / 2;
                if let Some((_, last)) = queue.get_mut(middle) {
                    *last = index;
                    requests.set_index(oldest + middle as u64, index);
                }
                prop_assert!(requests.all().eq(queue.iter().map(|(key, index)| (key, *index))));
                prop_assert_eq!(requests.oldest(), oldest);
                prop_assert_eq!(requests.next(), oldest + queue.len() as u64);
                for (number, (key, index)) in (oldest..).zip(&queue) {
                    prop_assert_eq!(requests.key(number), Some(key));
                    prop_assert_eq!(requests.index(number), Some(*index));
                }
                prop_assert_eq!(requests.key(oldest.wrapping_sub(1)), None);
                prop_assert_eq!(requests.index(requests.next()), None);
            }
        }
    }
}
