//! The lobby: connections that were accepted and have said nothing yet.
//!
//! Each costs a descriptor and no place that a client needs. Nobody new is turned away for them: who
//! comes in takes the place of who was silent the longest, of its own address first. So an address
//! that opens connections without end sends only its own away.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use tokio::sync::oneshot;

use crate::address::Peer;

/// Those who are silent, oldest first.
#[derive(Debug)]
pub(crate) struct Lobby {
    max: usize,
    max_of_peer: usize,
    silent: Mutex<Silent>,
}

#[derive(Debug, Default)]
struct Silent {
    by_age: BTreeMap<u64, Guest>,
    entered: u64,
}

#[derive(Debug)]
struct Guest {
    peer: Option<Peer>,
    /// Dropped: the guest is sent away.
    _stay: oneshot::Sender<()>,
}

/// One place in the lobby; given back on drop.
struct Place<'a> {
    lobby: &'a Lobby,
    number: u64,
}

impl Lobby {
    /// A lobby of `max` places, of which one peer has `max_of_peer`.
    pub(crate) fn new(max: usize, max_of_peer: usize) -> Self {
        Self { max, max_of_peer, silent: Mutex::default() }
    }

    /// Waits for a connection's first words; `None` if it is sent away before. A connection whose
    /// peer is not known yet counts for no peer.
    pub(crate) async fn wait<T>(
        &self,
        peer: Option<Peer>,
        words: impl Future<Output = T>,
    ) -> Option<T> {
        let (_place, sent_away) = self.enter(peer);
        tokio::select! {
            // Who has spoken is not silent, however old.
            biased;
            words = words => Some(words),
            _ = sent_away => None,
        }
    }

    fn enter(&self, peer: Option<Peer>) -> (Place<'_>, oneshot::Receiver<()>) {
        let (stay, sent_away) = oneshot::channel();
        let mut silent = self.silent();
        let number = silent.entered;
        silent.entered += 1;
        silent.by_age.insert(number, Guest { peer, _stay: stay });
        if peer.is_some() {
            let mut of_peer = silent.by_age.iter().filter(|(_, guest)| guest.peer == peer);
            let oldest = of_peer.next().map(|(&number, _)| number);
            // With the oldest, which is taken from the iterator already.
            let count = of_peer.count() + 1;
            if let Some(oldest) = oldest.filter(|_| count > self.max_of_peer) {
                silent.by_age.remove(&oldest);
            }
        }
        if silent.by_age.len() > self.max {
            silent.by_age.pop_first();
        }
        drop(silent);
        (Place { lobby: self, number }, sent_away)
    }

    fn silent(&self) -> MutexGuard<'_, Silent> {
        self.silent.lock().expect("no panic while locked")
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.lobby.silent().by_age.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::sync::oneshot::Receiver;

    use super::{Lobby, Place};
    use crate::address::Peer;

    fn enter(lobby: &Lobby, last: u8) -> (Place<'_>, Receiver<()>) {
        lobby.enter(Some(Peer::V4([10, 0, 0, last])))
    }

    fn stays((_, sent_away): &mut (Place<'_>, Receiver<()>)) -> bool {
        sent_away.try_recv() == Err(tokio::sync::oneshot::error::TryRecvError::Empty)
    }

    #[test]
    fn a_peer_that_has_its_places_sends_its_own_oldest_away() {
        let lobby = Lobby::new(8, 2);
        let mut other = enter(&lobby, 1);
        let mut guests: Vec<_> = (0..100).map(|_| enter(&lobby, 2)).collect();

        assert!(stays(&mut other));
        let staying: Vec<_> = guests.iter_mut().map(stays).collect();
        assert_eq!(staying.iter().filter(|stays| **stays).count(), 2);
        assert_eq!(staying[98..], [true, true]);
    }

    #[test]
    fn a_full_lobby_sends_the_oldest_of_all_away() {
        let lobby = Lobby::new(3, 2);
        let mut guests: Vec<_> = (0..4).map(|last| enter(&lobby, last)).collect();

        let staying: Vec<_> = guests.iter_mut().map(stays).collect();
        assert_eq!(staying, [false, true, true, true]);
    }

    #[test]
    fn a_connection_of_nobody_counts_for_all_only() {
        let lobby = Lobby::new(3, 1);
        let mut guests: Vec<_> = (0..4).map(|_| lobby.enter(None)).collect();

        let staying: Vec<_> = guests.iter_mut().map(stays).collect();
        assert_eq!(staying, [false, true, true, true]);
    }

    #[test]
    fn a_place_is_given_back() {
        let lobby = Lobby::new(2, 1);
        drop(enter(&lobby, 1));
        let mut first = enter(&lobby, 1);
        let mut second = enter(&lobby, 2);

        assert!(stays(&mut first));
        assert!(stays(&mut second));
        drop((first, second));
        assert!(lobby.silent().by_age.is_empty());
    }

    #[tokio::test]
    async fn who_speaks_is_heard_and_who_is_silent_goes() {
        let lobby = Lobby::new(1, 1);
        assert_eq!(lobby.wait(None, ready(7)).await, Some(7));

        let sent_away = async {
            let _newcomer = enter(&lobby, 1);
            tokio::task::yield_now().await;
        };
        let (silent, ()) = tokio::join!(lobby.wait(None, pending::<()>()), sent_away);
        assert_eq!(silent, None);
        assert!(lobby.silent().by_age.is_empty());
    }
}
