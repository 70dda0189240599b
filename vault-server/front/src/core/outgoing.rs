//! Frames on their way to the core: operators' before those of bots.

use std::collections::VecDeque;
use std::mem;

use prost::Message;
use vault_ipc::{FrameError, Kind};

use crate::registry::Connection;

/// Bots' frames that go out before it is looked for operators' again, in bytes.
const PIECE_BYTES: usize = 64 << 10;

/// Room that is kept for the next piece: one of the usual size.
const SPARE_BYTES_MAX: usize = 2 * PIECE_BYTES;

/// Whole frames that wait for the writer.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// Of bots' and strangers' calls, in pieces of about [`PIECE_BYTES`].
    bots: VecDeque<Vec<u8>>,
    bots_bytes: usize,
    /// Of operators' calls, and what the core waits for. They go before every piece.
    operators: Vec<u8>,
    /// What was the last piece, empty: it has the room that the next one needs.
    spare: Vec<u8>,
}

/// Whose frames a frame goes with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Queue {
    Bots,
    Operators,
}

impl Queue {
    pub(super) fn of(connection: &Connection) -> Self {
        if connection.facts().is_operator() { Self::Operators } else { Self::Bots }
    }
}

impl Outgoing {
    pub(super) fn waiting_bytes(&self, queue: Queue) -> usize {
        match queue {
            Queue::Bots => self.bots_bytes,
            Queue::Operators => self.operators.len(),
        }
    }

    pub(super) fn put(
        &mut self,
        queue: Queue,
        kind: Kind,
        correlation: u64,
        message: &impl Message,
    ) -> Result<(), FrameError> {
        let piece = match queue {
            Queue::Operators => &mut self.operators,
            Queue::Bots => {
                if self.bots.back().is_none_or(|piece| piece.len() >= PIECE_BYTES) {
                    self.bots.push_back(mem::take(&mut self.spare));
                }
                self.bots.back_mut().expect("just put there")
            }
        };
        let before = piece.len();
        vault_ipc::encode(kind, correlation, message, piece)?;
        if queue == Queue::Bots {
            self.bots_bytes += piece.len() - before;
        }
        Ok(())
    }

    /// The next frames to write, into `piece`, which is empty.
    pub(super) fn take(&mut self, piece: &mut Vec<u8>) {
        if !self.operators.is_empty() {
            mem::swap(piece, &mut self.operators);
        } else if let Some(next) = self.bots.pop_front() {
            self.bots_bytes -= next.len();
            self.spare = mem::replace(piece, next);
            if self.spare.capacity() > SPARE_BYTES_MAX {
                self.spare = Vec::new();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use vault_ipc::{Decoder, Kind, Listener, SignCall};

    use super::{Outgoing, PIECE_BYTES, Queue};
    use crate::caller::Facts;
    use crate::registry::Registry;

    #[test]
    fn the_certificate_decides_on_the_queue_and_not_the_listener() {
        let registry = Arc::new(Registry::default());
        let queue = |listener, is_operator| {
            let facts = Facts::for_test_at(listener, is_operator);
            let open = registry.enter(facts, 1, 8).expect("below the limit");
            Queue::of(open.connection())
        };
        for listener in [Listener::Bot, Listener::Enroll, Listener::Operator] {
            assert_eq!(queue(listener, true), Queue::Operators);
            assert_eq!(queue(listener, false), Queue::Bots);
        }
    }

    #[test]
    fn operators_frames_go_first_and_frames_stay_whole() {
        let mut outgoing = Outgoing::default();
        let call = SignCall { deadline_us: 1, ..SignCall::default() };
        for correlation in 0..10_000 {
            outgoing.put(Queue::Bots, Kind::Sign, correlation, &call).expect("short");
        }
        assert!(outgoing.waiting_bytes(Queue::Bots) > 2 * PIECE_BYTES);
        let (mut piece, mut decoder, mut order) = (Vec::new(), Decoder::default(), Vec::new());
        for turn in 0.. {
            if turn == 1 {
                outgoing.put(Queue::Operators, Kind::Command, 77_777, &call).expect("short");
            }
            piece.clear();
            outgoing.take(&mut piece);
            if piece.is_empty() {
                break;
            }
            decoder.extend(&piece);
            // Whatever went before, a piece ends with the end of a frame.
            while let Some(frame) = decoder.next_frame().expect("frames") {
                order.push(frame.correlation);
            }
            assert!(decoder.is_empty());
        }
        let place = order.iter().position(|correlation| *correlation == 77_777).expect("sent");
        assert!(place > 0 && place < 5_000, "{place}");
        order.remove(place);
        assert!(order.iter().copied().eq(0..10_000), "bots' calls in their order");
        assert_eq!(outgoing.waiting_bytes(Queue::Bots), 0);
    }
}
