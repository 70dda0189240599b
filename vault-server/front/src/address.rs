//! Peer addresses: one form for each, and the prefix that counts as one peer.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

/// The bytes of an address in its canonical form: 4 or 16. An IPv4-mapped IPv6 address is IPv4.
pub(crate) fn canonical_bytes(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// Who counts as one peer: an IPv4 address, or an IPv6 /64, whose addresses are free to its owner.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Peer {
    V4([u8; 4]),
    V6([u8; 8]),
}

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

/// Counts what each peer holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct PeerCount(Arc<Counted>);

#[derive(Debug, Default)]
struct Counted {
    held: Mutex<HashMap<Peer, usize>>,
}

/// One place of a peer; given back on drop.
#[derive(Debug)]
pub(crate) struct PeerPlace {
    count: PeerCount,
    peer: Peer,
}

impl PeerCount {
    /// One more place for `peer`, unless it holds `max` already.
    pub(crate) fn take(&self, peer: Peer, max: usize) -> Option<PeerPlace> {
        let mut held = self.0.held.lock().expect("no panic while locked");
        let places = held.entry(peer).or_default();
        if *places >= max {
            if *places == 0 {
                held.remove(&peer);
            }
            return None;
        }
        *places += 1;
        Some(PeerPlace { count: self.clone(), peer })
    }
}

impl Drop for PeerPlace {
    fn drop(&mut self) {
        let mut held = self.count.0.held.lock().expect("no panic while locked");
        if let Some(places) = held.get_mut(&self.peer) {
            *places -= 1;
            if *places == 0 {
                held.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Peer, PeerCount, canonical_bytes};

    fn peer(address: &str) -> Peer {
        Peer::from(address.parse::<std::net::IpAddr>().expect("a valid address"))
    }

    #[test]
    fn a_mapped_address_is_its_ipv4_address() {
        let mapped = "::ffff:10.0.0.5".parse().expect("a valid address");

        assert_eq!(canonical_bytes(mapped), [10, 0, 0, 5]);
        assert_eq!(peer("::ffff:10.0.0.5"), peer("10.0.0.5"));
    }

    #[test]
    fn a_64_is_one_peer_and_a_32_is_one_peer() {
        assert_eq!(peer("2001:db8::1"), peer("2001:db8::ffff:1"));
        assert_ne!(peer("2001:db8::1"), peer("2001:db8:0:1::1"));
        assert_ne!(peer("10.0.0.5"), peer("10.0.0.6"));
    }

    #[test]
    fn a_place_is_given_back() {
        let count = PeerCount::default();
        let first = count.take(peer("10.0.0.5"), 1);

        assert!(count.take(peer("10.0.0.5"), 1).is_none());
        assert!(count.take(peer("10.0.0.6"), 1).is_some());
        drop(first);
        assert!(count.take(peer("10.0.0.5"), 1).is_some());
        assert!(count.0.held.lock().expect("no panic").is_empty());
    }
}
