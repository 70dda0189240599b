//! Room for what has not come whole: heads of requests, and messages of which the rest is awaited.
//!
//! What is read of a body gives HTTP/2's window back, so windows do not bound it: whoever sends all but
//! the last byte of as many calls as he may have would fill the memory. Each connection has so much room
//! for all of its calls together, and whoever wants more is refused. A message takes what its prefix says
//! that it will be, since that is what is allocated for it; a Sign that is there at once, whole, takes
//! nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::HeaderMap;
use vault_ipc::{Code, Failure};

/// Of each header, beside its name and value, in bytes.
///
/// Source: RFC 9113, section 6.5.2.
const HEADER_OVERHEAD_BYTES: usize = 32;

/// The room of one connection.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    left: Arc<AtomicUsize>,
}

/// A part of a room; it is free again on drop.
#[derive(Debug)]
pub(crate) struct Taken {
    bytes: usize,
    room: Room,
}

impl Room {
    /// So many bytes.
    pub(crate) fn of(bytes_max: usize) -> Self {
        Self { left: Arc::new(AtomicUsize::new(bytes_max)) }
    }

    /// Takes so many bytes, if there are as many left.
    pub(crate) fn take(&self, bytes: usize) -> Option<Taken> {
        let mut taken = Taken { bytes: 0, room: self.clone() };
        taken.grow(bytes).then_some(taken)
    }

    /// How many bytes are left.
    #[cfg(test)]
    pub(crate) fn left(&self) -> usize {
        self.left.load(Ordering::Relaxed)
    }

    /// As [`Room::take`], for the head of a request.
    pub(crate) fn take_head(&self, headers: &HeaderMap) -> Option<Taken> {
        let header_bytes = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            name.as_str().len() + value.len() + HEADER_OVERHEAD_BYTES
        };
        self.take(headers.iter().map(header_bytes).sum())
    }
}

impl Taken {
    /// Takes more; `false`, and nothing is taken, if there is not as much left.
    pub(crate) fn grow(&mut self, more: usize) -> bool {
        let less = |left: usize| left.checked_sub(more);
        let left = &self.room.left;
        let is_taken = left.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).is_ok();
        if is_taken {
            self.bytes += more;
        }
        is_taken
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.room.left.fetch_add(self.bytes, Ordering::AcqRel);
    }
}

/// The failure of a call for which there is no room.
pub(crate) fn full() -> Failure {
    let words = "too much of the connection's calls has not come whole";
    Failure::new(Code::Exhausted, "OVERLOADED", words)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::Room;

    #[test]
    fn what_is_taken_is_free_again_once() {
        let room = Room::of(100);
        let mut first = room.take(60).expect("room");
        assert!(room.take(41).is_none());
        assert!(!first.grow(41), "none is left");
        assert!(first.grow(40));
        assert!(room.take(1).is_none() && room.take(0).is_some());
        drop(first);
        assert_eq!(room.left(), 100);
        drop(room.take(100).expect("all of it"));
        assert_eq!(room.left(), 100);
    }

    #[test]
    fn a_head_takes_its_names_and_values() {
        let room = Room::of(100);
        let mut headers = HeaderMap::new();
        headers.insert("name", HeaderValue::from_static("value"));
        let head = room.take_head(&headers).expect("room");
        assert_eq!(room.left(), 100 - 4 - 5 - 32);
        headers.append("name", HeaderValue::from_static("another"));
        assert!(room.take_head(&headers).is_none());
        drop(head);
        assert!(room.take_head(&headers).is_some());
    }
}
