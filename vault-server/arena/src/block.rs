//! One piece of the arena.

use std::fmt;
use std::ptr::{NonNull, slice_from_raw_parts_mut};
use std::slice;

use crate::ARENA;
use crate::pool::{Pool, Slot};
use crate::system::Mapping;

/// Bytes of a fixed length that lie in the arena: zero at first, wiped on drop.
///
/// Never moves what it holds: moving a block moves a pointer. No `Clone`; `Debug` shows no byte.
pub struct Block {
    start: NonNull<u8>,
    len: usize,
    /// What was asked for, and all that was ever written to; `len` may be less.
    capacity: usize,
    home: Home,
}

/// Whom the memory goes back to.
pub(crate) enum Home {
    Heap,
    #[allow(dead_code, reason = "held to be dropped")]
    Own(Mapping),
    Slot(&'static Pool, Slot),
}

impl Block {
    /// Takes `len` zero bytes.
    pub fn zeroed(len: usize) -> Self {
        match ARENA.get() {
            Some(pool) => pool.block(len),
            None => Self::on_heap(len),
        }
    }

    /// Takes a copy of some bytes; wiping those is the caller's.
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut block = Self::zeroed(bytes.len());
        block.as_mut_slice().copy_from_slice(bytes);
        block
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: `start` is valid for reads of `capacity >= len` initialised bytes (each home hands
        // them out zeroed) that belong to this block alone until it is dropped; the borrow of `self`
        // keeps anybody from writing.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    /// The bytes, to be written.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as in `as_slice`, and the borrow of `self` is exclusive.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }

    /// Shortens the block to its first `len` bytes; what is cut off is wiped.
    pub fn truncate(&mut self, len: usize) {
        if let Some(cut) = self.as_mut_slice().get_mut(len..) {
            wipe(cut);
            self.len = len;
        }
    }

    /// Heap of one's own.
    pub(crate) fn on_heap(len: usize) -> Self {
        let bytes = Box::into_raw(vec![0; len].into_boxed_slice());
        // SAFETY: a box is never null.
        let start = unsafe { NonNull::new_unchecked(bytes.cast::<u8>()) };
        // SAFETY: `len` zero bytes of a box that nobody else knows.
        unsafe { Self::from_parts(start, len, Home::Heap) }
    }

    /// Puts a block together.
    ///
    /// # Safety
    ///
    /// `start` is valid for reads and writes of `len` bytes, which are zero and which nobody else uses
    /// until the block is dropped. For [`Home::Heap`] they are a whole boxed slice.
    pub(crate) unsafe fn from_parts(start: NonNull<u8>, len: usize, home: Home) -> Self {
        Self { start, len, capacity: len, home }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.len = self.capacity;
        wipe(self.as_mut_slice());
        match &self.home {
            Home::Heap => {
                let bytes = slice_from_raw_parts_mut(self.start.as_ptr(), self.capacity);
                // SAFETY: came from a box of `capacity` bytes in `on_heap`, and is used no more.
                drop(unsafe { Box::from_raw(bytes) });
            }
            // Unmapped when the field is dropped, after this.
            Home::Own(_) => {}
            // Only now may somebody else get it.
            Home::Slot(pool, slot) => pool.give_back(*slot),
        }
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Block(redacted)")
    }
}

// SAFETY: a block owns its bytes as a box does; where they came from can be asked from any thread.
unsafe impl Send for Block {}
// SAFETY: a shared block only gives out shared slices.
unsafe impl Sync for Block {}

/// Writes zeros that the compiler may not leave out.
fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    // Reads all of them as far as the compiler knows, so the zeros have to be there.
    zeroize::optimization_barrier(bytes);
}

#[cfg(test)]
mod tests {
    use super::Block;

    #[test]
    fn holds_what_it_was_given_and_no_more() {
        let mut block = Block::copy_of(b"canary");
        assert_eq!(block.as_slice(), b"canary");
        block.truncate(9);
        assert_eq!(block.as_slice(), b"canary");
        block.truncate(3);
        assert_eq!(block.as_slice(), b"can");
        block.as_mut_slice()[0] = b'p';
        assert_eq!(block.as_slice(), b"pan");

        assert_eq!(Block::zeroed(5).as_slice(), [0; 5]);
        assert!(Block::copy_of(b"").as_slice().is_empty());
    }

    #[test]
    fn what_is_cut_off_is_wiped_at_once() {
        let mut block = Block::copy_of(b"canary");
        block.truncate(3);
        block.len = 6;

        assert_eq!(block.as_slice(), b"can\0\0\0");
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Block::copy_of(b"canary")), "Block(redacted)");
    }
}
