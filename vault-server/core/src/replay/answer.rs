//! The answers of the last minute.
//!
//! All clients share their room, but what one of them takes beyond [its share](super::share) lies in a region
//! of its own. When room is short that one gives way first, down to a quarter of the room. So whoever pads
//! what he signs, or signs much, takes room from himself and others beyond their share. What all share is how
//! many answers are kept.

use vault_model::{ClockTime, Name};

use super::BYTES_MAX;
use super::region::{Answer, Content, HEAD_MAX, Region};
use super::share::Shares;

/// Bounded, in each region oldest out. An answer has the number of its request.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Answers {
    /// To clients that are within their share.
    pub(super) within: Region,
    /// To those that are beyond it.
    pub(super) beyond: Region,
    shares: Shares,
    /// Where an answer is packed.
    packed: Vec<u8>,
}

impl Answers {
    /// Keeps an answer to a client. `reply` is with the credential whose answers are like it. Requests come in
    /// the order of their numbers; of an earlier one none is kept, which is `false`.
    pub fn put(
        &mut self,
        number: u64,
        content: &Content,
        client: &Name,
        reply: Option<(&Name, &[u8])>,
        now: ClockTime,
    ) -> bool {
        if self.next().is_some_and(|next| number < next) {
            return false;
        }
        let Self { within, beyond, shares, packed } = self;
        let mut share = shares.of(client, now);
        let most = HEAD_MAX + reply.map_or(0, |(_, reply)| reply.len());
        if share.has(most) {
            share.take(within.put(number, content, reply, now, packed));
        } else {
            beyond.put(number, content, reply, now, packed);
        }
        self.make_room();
        true
    }

    /// The answer to a request, if it was kept for less than a minute.
    pub fn of(&self, number: u64, now: ClockTime) -> Option<Answer> {
        if self.next()?.saturating_sub(number) > ANSWERS_MAX {
            return None;
        }
        self.within.of(number, now).or_else(|| self.beyond.of(number, now))
    }

    /// Forgets what was kept for longer than a minute.
    pub fn forget_old(&mut self, now: ClockTime) {
        let of_each = [&mut self.within, &mut self.beyond].map(|region| region.forget_old(now));
        if of_each.contains(&true) && self.within.is_empty() && self.beyond.is_empty() {
            self.clear();
        }
    }

    /// Forgets all, and gives their memory back.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// From the first to the last, with what lies between them; [`ANSWERS_MAX`] at most.
    pub fn length(&self) -> usize {
        let firsts = [&self.within, &self.beyond].map(Region::first);
        let ends = self.next().zip(firsts.into_iter().flatten().min());
        ends.map_or(0, |(next, first)| (next - first).min(ANSWERS_MAX) as usize)
    }

    /// Bytes of blocks, models and shares.
    pub fn size(&self) -> usize {
        self.within.size() + self.beyond.size() + self.shares.size()
    }

    /// The number after the last.
    fn next(&self) -> Option<u64> {
        self.within.next().max(self.beyond.next())
    }

    fn make_room(&mut self) {
        let first = self.next().unwrap_or(0).saturating_sub(ANSWERS_MAX);
        for region in [&mut self.within, &mut self.beyond] {
            region.forget_before(first);
        }
        while self.size() > BYTES_MAX && self.free_some() {}
    }

    /// Whether there was any.
    fn free_some(&mut self) -> bool {
        // What nobody needs goes first.
        let of_each = [&mut self.within, &mut self.beyond].map(Region::forget_idle);
        if of_each.contains(&true) {
            return true;
        }
        let is_beyond_due = self.beyond.size() > BEYOND_KEPT;
        is_beyond_due && self.beyond.drop_oldest()
            || self.within.drop_oldest()
            || self.beyond.drop_oldest()
    }
}

/// So many are kept.
pub const ANSWERS_MAX: u64 = 262_144;
/// Bytes that those beyond their share may keep whatever others need.
const BEYOND_KEPT: usize = BYTES_MAX / 4;
