//! Places for calls, shared by all clients, of which none gets more than its share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// Of all places, one client's are one in so many, where nothing else is said.
const SHARE: usize = 8;

#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// What one client gets.
    share: usize,
    /// Taken, by the holder of the client's certificate.
    taken: Arc<Mutex<HashMap<Vec<u8>, usize>>>,
    total: usize,
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
        // At most one entry for each client that has a call under way.
        let all: usize = taken.values().sum();
        let own = taken.get(holder).copied().unwrap_or(0);
        if all >= self.total || own >= self.share {
            return None;
        }
        taken.insert(holder.to_vec(), own + 1);
        Some(Place { places: self.clone(), holder: holder.to_vec() })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<Vec<u8>, usize>> {
        self.taken.lock().expect("no panic while locked")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        if let Some(count) = taken.get_mut(&self.holder) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.holder);
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
        assert!(places.taken().is_empty());
        assert!(Places::new(1).take(None).is_some());
        let part = places.part();
        let held = [part.take(Some(&[1])), part.take(Some(&[2]))];
        assert!(held.iter().all(Option::is_some) && part.take(Some(&[3])).is_none());
        assert!(places.taken().is_empty(), "others");
        assert!(Places::new(0).take(None).is_none());
    }
}
