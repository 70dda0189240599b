//! Places for calls, shared by all clients, of which none gets more than its share.

use std::sync::{Arc, Mutex, MutexGuard};

use rustc_hash::FxHashMap;

/// Of all places, one client's are one in so many, where nothing else is said.
const SHARE: usize = 8;

#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// What one client gets.
    share: usize,
    taken: Arc<Mutex<Taken>>,
    total: usize,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// The slot of each holder of a client's certificate that has a call under way. Our CA gives the
    /// names, so nobody chooses those that collide.
    by_holder: FxHashMap<Arc<[u8]>, usize>,
    free: Vec<usize>,
    slots: Vec<Slot>,
}

/// What one holder has.
#[derive(Debug)]
struct Slot {
    holder: Arc<[u8]>,
    taken: usize,
}

/// A place; it is free again on drop.
#[derive(Debug)]
pub(crate) struct Place {
    places: Places,
    slot: usize,
}

impl Places {
    /// So many, an eighth of them for each client.
    pub(crate) fn new(total: usize) -> Self {
        Self::with_share(total, total.div_ceil(SHARE))
    }

    /// So many, `share` of them for each client.
    pub(crate) fn with_share(total: usize, share: usize) -> Self {
        Self { share, taken: Arc::default(), total }
    }

    /// Others, an eighth as many as these.
    pub(crate) fn part(&self) -> Self {
        Self::new(self.total.div_ceil(SHARE))
    }

    /// Takes a place, if there is one for this client. All without a certificate are one client.
    pub(crate) fn take(&self, holder: Option<&[u8]>) -> Option<Place> {
        let holder = holder.unwrap_or_default();
        let mut taken = self.taken();
        if taken.all >= self.total {
            return None;
        }
        let slot = match taken.by_holder.get(holder) {
            Some(slot) => *slot,
            None if self.share == 0 => return None,
            None => taken.enter(holder),
        };
        let own = &mut taken.slots[slot].taken;
        if *own >= self.share {
            return None;
        }
        *own += 1;
        taken.all += 1;
        Some(Place { places: self.clone(), slot })
    }

    #[cfg(test)]
    fn is_untouched(&self) -> bool {
        let taken = self.taken();
        taken.all == 0 && taken.by_holder.is_empty() && taken.free.len() == taken.slots.len()
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().expect("no panic while locked")
    }
}

impl Taken {
    /// Gives a holder a slot, of which nothing is taken yet.
    fn enter(&mut self, holder: &[u8]) -> usize {
        let holder = Arc::<[u8]>::from(holder);
        let entered = Slot { holder: Arc::clone(&holder), taken: 0 };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot] = entered;
                slot
            }
            None => {
                self.slots.push(entered);
                self.slots.len() - 1
            }
        };
        self.by_holder.insert(holder, slot);
        slot
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut guard = self.places.taken();
        let taken = &mut *guard;
        taken.all -= 1;
        let own = &mut taken.slots[self.slot];
        own.taken -= 1;
        if own.taken == 0 {
            taken.by_holder.remove(&own.holder);
            taken.free.push(self.slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Places;

    #[test]
    fn one_client_gets_an_eighth_and_all_together_no_more_than_there_are() {
        let places = Places::new(16);
        let mut held = Vec::new();
        for serial in 0..8_u8 {
            held.push(places.take(Some(&[serial])).expect("the first"));
            held.push(places.take(Some(&[serial])).expect("the second"));
            assert!(places.take(Some(&[serial])).is_none(), "a third for {serial}");
        }
        assert!(places.take(Some(&[9])).is_none(), "all are taken");

        held.remove(0);
        assert!(places.take(Some(&[1])).is_none());
        held.push(places.take(Some(&[9])).expect("free again"));
        drop(held);
        assert!(places.is_untouched());
        assert!(Places::new(1).take(None).is_some());
        let part = places.part();
        let held = [part.take(Some(&[1])), part.take(Some(&[2]))];
        assert!(held.iter().all(Option::is_some) && part.take(Some(&[3])).is_none());
        assert!(places.is_untouched(), "others");
        assert!(Places::new(0).take(None).is_none());
    }

    #[test]
    fn who_has_none_any_more_is_forgotten_and_his_slot_goes_to_another() {
        let places = Places::new(16);
        for holder in 0..100_u8 {
            let both = [places.take(Some(&[holder])), places.take(Some(&[holder]))];
            assert!(both.iter().all(Option::is_some));
            let other = places.take(Some(&[holder, 1])).expect("another's");
            drop(both);
            drop(other);
        }
        assert!(places.is_untouched());
        assert_eq!(places.taken().slots.len(), 2);
    }
}
