//! Slots of a few sizes in one mapping, and who has which.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::block::{Block, Home};
use crate::system::{Mapping, Memory};
use crate::{Kind, Status};

/// All slots.
pub(crate) struct Pool {
    system: &'static dyn Memory,
    kind: Kind,
    /// In order of size; none if nothing could be locked.
    classes: Vec<Class>,
    #[allow(dead_code, reason = "held to be dropped")]
    mapping: Option<Mapping>,
    overflows: AtomicU64,
    unlocked: AtomicU64,
}

/// One slot, while somebody has it.
#[derive(Clone, Copy)]
pub(crate) struct Slot {
    class: usize,
    index: u32,
}

/// Slots of one size.
struct Class {
    start: NonNull<u8>,
    slot_bytes: usize,
    slots: u32,
    /// Which slots nobody has; the last one given back is the first to go, since it is in the cache.
    /// Never grows beyond the capacity that it begins with.
    free: Mutex<Vec<u32>>,
}

// SAFETY: `start` is the address of memory that only blocks touch, each its own slot; everything
// else that changes is behind a lock or atomic.
unsafe impl Send for Pool {}
// SAFETY: as above.
unsafe impl Sync for Pool {}

impl Pool {
    /// Maps the strongest memory there is, and of that as much as there is, up to about `bytes`.
    pub(crate) fn new(system: &'static dyn Memory, bytes: usize) -> Self {
        for kind in [Kind::MemfdSecret, Kind::Locked] {
            let mut wanted = bytes.max(BYTES_MIN);
            while wanted >= BYTES_MIN {
                let slots = CLASSES.map(|(slot_bytes, share)| {
                    (slot_bytes, (wanted / SHARES * share / slot_bytes).max(1))
                });
                let sizes = slots.map(|(slot_bytes, slots)| slot_bytes * slots);
                if let Some((mapping, starts)) = system.map(kind, &sizes) {
                    let classes = starts.into_iter().zip(slots);
                    let classes =
                        classes.map(|(start, (size, slots))| Class::new(start, size, slots));
                    return Self::over(system, kind, classes.collect(), Some(mapping));
                }
                wanted /= 2;
            }
        }
        Self::over(system, Kind::Unlocked, Vec::new(), None)
    }

    fn over(
        system: &'static dyn Memory,
        kind: Kind,
        classes: Vec<Class>,
        mapping: Option<Mapping>,
    ) -> Self {
        let (overflows, unlocked) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { system, kind, classes, mapping, overflows, unlocked }
    }

    /// A block of `len` zero bytes: of the smallest slot it fits that is free.
    pub(crate) fn block(&'static self, len: usize) -> Block {
        for (class, slots) in self.classes.iter().enumerate() {
            if slots.slot_bytes >= len
                && let Some(index) = slots.lock().pop()
            {
                let start = slots.start_of(index);
                let home = Home::Slot(self, Slot { class, index });
                // SAFETY: the slot has `slot_bytes >= len` bytes within the mapping, which lives as
                // long as this static pool. Its number was in the list, so nobody has it; fresh
                // memory is zero, and whoever had it wiped what he had before he gave it back.
                return unsafe { Block::from_parts(start, len, home) };
            }
        }
        match self.kind {
            Kind::Unlocked => Block::on_heap(len),
            _ => self.own(len),
        }
    }

    /// Takes a slot back. Its bytes are zero.
    pub(crate) fn give_back(&self, slot: Slot) {
        if let Some(slots) = self.classes.get(slot.class) {
            slots.lock().push(slot.index);
        }
    }

    pub(crate) fn status(&self) -> Status {
        let bytes = self.classes.iter().map(|class| class.slot_bytes * class.slots as usize).sum();
        Status {
            kind: self.kind,
            bytes,
            overflows: self.overflows.load(Ordering::Relaxed),
            unlocked: self.unlocked.load(Ordering::Relaxed),
        }
    }

    /// Memory of one's own, for what finds no slot.
    fn own(&self, len: usize) -> Block {
        let overflows = self.overflows.fetch_add(1, Ordering::Relaxed) + 1;
        let mapped = self.system.map(Kind::Locked, &[len]);
        let unlocked = match mapped {
            Some(_) => self.unlocked.load(Ordering::Relaxed),
            None => self.unlocked.fetch_add(1, Ordering::Relaxed) + 1,
        };
        // Now and then: a log that is filled says nothing either.
        if overflows.is_power_of_two() || (mapped.is_none() && unlocked.is_power_of_two()) {
            tracing::warn!(overflows, unlocked, len, "no slot for a secret in locked memory");
        }
        match mapped {
            Some((mapping, starts)) if starts.len() == 1 => {
                // SAFETY: the mapping is fresh, so zero, has `len` bytes from there, is nobody
                // else's, and lives in the block.
                unsafe { Block::from_parts(starts[0], len, Home::Own(mapping)) }
            }
            _ => Block::on_heap(len),
        }
    }
}

impl Class {
    fn new(start: NonNull<u8>, slot_bytes: usize, slots: usize) -> Self {
        let slots = u32::try_from(slots).unwrap_or(u32::MAX);
        Self { start, slot_bytes, slots, free: Mutex::new((0..slots).rev().collect()) }
    }

    fn start_of(&self, index: u32) -> NonNull<u8> {
        // SAFETY: `index` is below `slots`, and the class has `slots * slot_bytes` bytes from `start`.
        unsafe { self.start.add(index as usize * self.slot_bytes) }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u32>> {
        // A list of numbers is sound after any panic: push and pop are whole or not at all.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sizes of slots, with how much of the arena is for them.
const CLASSES: [(usize, usize); 5] = [(64, 1), (256, 2), (1024, 2), (4096, 3), (16_384, 8)];
const SHARES: usize = 16;

/// With less than this, slots of the largest size are fewer than two.
const BYTES_MIN: usize = 64 << 10;

#[cfg(test)]
mod tests;
