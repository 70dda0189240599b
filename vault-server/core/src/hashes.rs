//! Leaf hashes of the last answers that may be given again.

use std::collections::VecDeque;

use vault_audit::Hash;

/// Oldest out. In blocks, so that it is no larger than what is in it.
#[derive(Debug, Default)]
pub struct Hashes {
    /// Entries' indexes, rising, and their hashes. None is empty.
    blocks: VecDeque<Vec<(u64, Hash)>>,
    length: usize,
}

impl Hashes {
    /// Adds that of a later entry.
    pub fn push(&mut self, index: u64, hash: Hash) {
        match self.blocks.back_mut() {
            Some(block) if block.len() < BLOCK => block.push((index, hash)),
            _ => {
                let mut block = Vec::with_capacity(BLOCK);
                block.push((index, hash));
                self.blocks.push_back(block);
            }
        }
        self.length += 1;
    }

    /// That of an entry, if it is here.
    pub fn of(&self, index: u64) -> Option<&Hash> {
        let is_before =
            |block: &Vec<(u64, Hash)>| block.first().is_some_and(|(at, _)| *at <= index);
        let block = self.blocks.get(self.blocks.partition_point(is_before).checked_sub(1)?)?;
        let place = block.binary_search_by_key(&index, |(at, _)| *at).ok()?;
        Some(&block[place].1)
    }

    /// Forgets all but at least so many of the last.
    pub fn keep(&mut self, last: usize) {
        while let Some(block) = self.blocks.front()
            && self.length - block.len() >= last
        {
            self.length -= block.len();
            self.blocks.pop_front();
        }
    }
}

/// Of one block: some 40 KiB.
const BLOCK: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::{BLOCK, Hashes};

    #[test]
    fn has_the_last_ones_and_little_more() {
        let mut hashes = Hashes::default();
        let hash = |index: u64| [(index % 251) as u8; 32];
        let last = 3 * BLOCK + 7;
        for number in 0..10 * BLOCK as u64 {
            // Not every entry has an answer.
            let index = number * 3;
            hashes.push(index, hash(index));
            hashes.keep(last);
            assert!(hashes.length <= last + BLOCK);
            assert_eq!(hashes.of(index), Some(&hash(index)));
            assert_eq!(hashes.of(index + 1), None);
            let oldest = number.saturating_sub(last as u64 - 1) * 3;
            assert_eq!(hashes.of(oldest), Some(&hash(oldest)));
        }
        assert_eq!(hashes.of(0), None);
        hashes.keep(0);
        assert!(hashes.blocks.is_empty());
        assert_eq!(hashes.of(9), None);
    }
}
