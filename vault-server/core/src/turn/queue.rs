//! One queue: the calls of one client or operator, in their order.

use std::collections::VecDeque;

use vault_ipc::{Frame, Kind};

use super::Turn;
use crate::ahead::Done;

/// Whether a frame is a call that a venue is to get.
pub(super) fn is_call(frame: &Frame) -> bool {
    matches!(frame.kind, Kind::Execute | Kind::Proxy | Kind::Sign)
}

/// How much waits.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    pub bytes: usize,
    pub turns: usize,
}

/// Calls that wait, and whose turn it is when.
#[derive(Default)]
pub(super) struct Queue {
    /// Calls that were set aside, before all that is in `turns` but lanes.
    pub aside: VecDeque<Aside>,
    pub clock_ns: u64,
    pub turns: VecDeque<Turn>,
    pub is_in_line: bool,
    /// What is next cannot be set aside: it is decided when nothing is aside any more.
    pub is_held: bool,
    /// Jobs that workers have not handed back, those of forgotten calls too.
    pub jobs: usize,
    pub load: Load,
}

/// A call that waits for a signature.
pub(super) struct Aside {
    pub done: Option<Done>,
    pub frame: Frame,
    pub job: u64,
}

impl Queue {
    /// Whether it has something that can be taken now.
    pub fn can_go(&self) -> bool {
        match self.aside.front() {
            None => !self.turns.is_empty(),
            Some(first) => first.done.is_some() || self.has_lane() || self.looks_ahead(),
        }
    }

    fn has_lane(&self) -> bool {
        matches!(self.turns.front(), Some(Turn::Lane(_)))
    }

    fn looks_ahead(&self) -> bool {
        let is_call = |turn: &Turn| matches!(turn, Turn::Frame(frame) if is_call(frame));
        !self.is_held && self.may_set_aside() && self.turns.front().is_some_and(is_call)
    }

    /// Whether one more call may be set aside.
    pub fn may_set_aside(&self) -> bool {
        self.aside.len().max(self.jobs) < ASIDE_MAX
    }

    /// The next, if it can be taken now.
    pub fn take(&mut self) -> Option<Turn> {
        // Its call is older than all that came by the front since.
        if self.has_lane() {
            return self.turns.pop_front();
        }
        match self.aside.front() {
            None => self.turns.pop_front(),
            Some(Aside { done: Some(_), .. }) => {
                let Aside { done, frame, .. } = self.aside.pop_front()?;
                self.is_held &= !self.aside.is_empty();
                Some(Turn::Signed(frame, done.and_then(|done| done.signature)))
            }
            Some(_) if self.looks_ahead() => match self.turns.pop_front()? {
                Turn::Frame(frame) => Some(Turn::Behind(frame)),
                other => Some(other),
            },
            Some(_) => None,
        }
    }
}

impl Load {
    pub fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.turns += 1;
    }

    pub fn remove(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.turns -= 1;
    }

    pub fn has_room(self, bytes: usize, most: Self) -> bool {
        self.turns < most.turns && self.bytes + bytes <= most.bytes
    }
}

/// So many calls of one client may be set aside, and so many of its jobs be under way: as many as there
/// may be workers.
pub(super) const ASIDE_MAX: usize = 4;
