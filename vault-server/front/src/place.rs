//! Places for calls, shared by all clients, of which none gets more than its share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

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
    /// By the holder of the client's certificate: of each that has a call under way.
    by_holder: HashMap<Vec<u8>, usize>,
}

/// A place; it is free again on drop.
#[derive(Debug)]
pub(crate) struct Place {
    places: Places,
    holder: Vec<u8>,
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
        match taken.by_holder.get_mut(holder) {
            Some(own) if *own >= self.share => return None,
            Some(own) => *own += 1,
            None if self.share == 0 => return None,
            None => {
                taken.by_holder.insert(holder.to_vec(), 1);
            }
        }
        taken.all += 1;
        Some(Place { places: self.clone(), holder: holder.to_vec() })
    }

    #[cfg(test)]
    fn is_untouched(&self) -> bool {
        let taken = self.taken();
        taken.all == 0 && taken.by_holder.is_empty()
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().expect("no panic while locked")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all -= 1;
        if let Some(count) = taken.by_holder.get_mut(&self.holder) {
            *count -= 1;
            if *count == 0 {
                taken.by_holder.remove(&self.holder);
            }
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
}
