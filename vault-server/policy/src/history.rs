//! What a client has been given.

mod packed;

use std::collections::{BTreeMap, HashMap, VecDeque};

use vault_model::{ClockTime, Money, Name};

use crate::document::Span;

/// One request that was allowed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Spend {
    /// When, on the vault's own clock.
    pub at: ClockTime,
    /// Until when it can still happen: a signature is sent by whoever has it. Not before `at`.
    pub until: ClockTime,
    /// Orders.
    pub orders: u64,
    /// Those that may rest.
    pub resting: u64,
    /// Notional in USD; absent: could not be priced.
    pub notional_usd: Option<Money>,
    /// See [`crate::Cost`].
    pub order_keys: Vec<u64>,
    /// See [`crate::Cost`].
    pub id_keys: Vec<u64>,
    /// What it moved out.
    pub withdrawn: Vec<Withdrawn>,
}

impl Spend {
    /// The same at another time, good for as long.
    #[must_use]
    pub fn moved_to(self, at: ClockTime) -> Self {
        let lasts = self.until.0.saturating_sub(self.at.0);
        Self { at, until: ClockTime(at.0.saturating_add(lasts)), ..self }
    }
}

/// An amount that left a venue.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Withdrawn {
    /// The venue.
    pub venue: Name,
    /// As the venue writes it.
    pub asset: String,
    /// In units of the asset.
    pub amount: Money,
}

/// All that one client has been given, as far back as any rule looks.
///
/// A window of a span that ends at `clock` is open at its beginning: what was spent exactly one span
/// ago is out of it. It has no end: what stands in the history with a later time counts too, so that
/// a clock that went back would not widen a cap.
///
/// Its size does not follow from how much was spent. Exact times are kept of the last 8,000 spends of
/// a kind at least; earlier ones may be joined by the second. A cap of at most 8,000 orders is judged by
/// exact times all the same: where a window begins among joined ones, 8,000 orders are in it already.
/// Any other cap may hold a spend for a second longer, and never for less.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct History {
    orders: Series<u64>,
    notional: Series<Money>,
    withdrawn: HashMap<Name, HashMap<String, Series<Money>>>,
    order_keys: Seen,
    id_keys: Seen,
    resting: u64,
}

impl History {
    /// Adds what was allowed. Times go on; one that is earlier than the last counts as the last.
    pub fn add(&mut self, spend: &Spend) {
        let until = spend.until.max(spend.at);
        if spend.orders > 0 {
            self.orders.push(until, spend.orders);
        }
        if let Some(notional) = spend.notional_usd
            && !notional.is_zero()
        {
            self.notional.push(until, notional);
        }
        for Withdrawn { venue, asset, amount } in &spend.withdrawn {
            let assets = self.withdrawn.entry(venue.clone()).or_default();
            assets.entry(asset.clone()).or_default().push(until, *amount);
        }
        for key in &spend.order_keys {
            self.order_keys.push(spend.at, *key);
        }
        for key in &spend.id_keys {
            self.id_keys.push(spend.at, *key);
        }
        self.resting = self.resting.saturating_add(spend.resting);
    }

    /// Orders in the window of this span that ends at `clock`.
    pub fn orders_within(&self, per: Span, clock: ClockTime) -> u64 {
        self.orders.within(per, clock)
    }

    /// Notional in the window, in USD; more than any cap if it is beyond counting. What could not be
    /// priced counts nothing: under a cap there is no such request.
    pub fn notional_within(&self, per: Span, clock: ClockTime) -> Money {
        self.notional.within(per, clock)
    }

    /// What left a venue in the window, in units of the asset.
    pub fn withdrawn_within(&self, venue: &str, asset: &str, per: Span, clock: ClockTime) -> Money {
        self.series(venue, asset).map_or(Money::ZERO, |series| series.within(per, clock))
    }

    /// Orders that may still rest: all that ever might, without those that ended.
    pub fn resting(&self) -> u64 {
        self.resting
    }

    /// So many orders rest no longer.
    pub fn ended(&mut self, orders: u64) {
        self.resting = self.resting.saturating_sub(orders);
    }

    /// Whether the same order is in the window.
    pub fn has_order(&self, key: u64, per: Span, clock: ClockTime) -> bool {
        self.order_keys.has(key, per, clock)
    }

    /// Whether a client order id is in the window.
    pub fn has_id(&self, key: u64, per: Span, clock: ClockTime) -> bool {
        self.id_keys.has(key, per, clock)
    }

    /// Makes room: drops what no window reaches any more; joins what was spent more than an hour ago
    /// by the second and more than a day ago by the minute, by which windows that reach so far get
    /// longer at most, and none gets shorter; drops keys that are older than `keys`. What rests still
    /// rests.
    pub fn tidy(&mut self, clock: ClockTime, keys: Span) {
        let mut room = usize::MAX;
        self.tidy_some(clock, keys, &mut room);
    }

    /// The same, but of keys drops as many as there is `room` for, and takes them off from it.
    pub fn tidy_some(&mut self, clock: ClockTime, keys: Span, room: &mut usize) {
        let ago = |micros: u64| ClockTime(clock.0.saturating_sub(micros));
        let oldest = ago(Span::MAX.as_micros());
        self.orders.forget_before(oldest);
        self.orders.join(clock);
        self.notional.forget_before(oldest);
        self.notional.join(clock);
        for assets in self.withdrawn.values_mut() {
            assets.values_mut().for_each(|series| series.forget_before(oldest));
            assets.retain(|_, series| !series.is_empty());
        }
        self.withdrawn.retain(|_, assets| !assets.is_empty());
        self.forget_keys(ago(keys.as_micros()), room);
    }

    /// Whether so many keys are kept that those for which nobody asks had better be dropped.
    pub fn has_many_keys(&self) -> bool {
        self.order_keys.sights.len().max(self.id_keys.sights.len()) >= KEYS_MANY
    }

    /// Drops keys that were seen before this and not since: as many as there is `room` for, which gets
    /// less by them.
    pub fn forget_keys(&mut self, before: ClockTime, room: &mut usize) {
        self.order_keys.forget_before(before, room);
        self.id_keys.forget_before(before, room);
    }

    /// When the window of orders has room for what leaves at most `room` in it.
    pub(crate) fn orders_free_at(&self, room: u64, per: Span) -> Option<ClockTime> {
        self.orders.free_at(room, per)
    }

    /// The same for notional.
    pub(crate) fn notional_free_at(&self, room: Money, per: Span) -> Option<ClockTime> {
        self.notional.free_at(room, per)
    }

    /// The same for what leaves a venue.
    pub(crate) fn withdrawn_free_at(
        &self,
        venue: &str,
        asset: &str,
        room: Money,
        per: Span,
    ) -> Option<ClockTime> {
        self.series(venue, asset)?.free_at(room, per)
    }

    fn series(&self, venue: &str, asset: &str) -> Option<&Series<Money>> {
        self.withdrawn.get(venue)?.get(asset)
    }
}

/// What a [`Series`] adds up.
trait Amount: Copy + Default + Ord {
    /// More than any cap can say.
    fn beyond_counting() -> Self;
    fn plus(self, other: Self) -> Option<Self>;
    fn minus(self, other: Self) -> Option<Self>;
}

impl Amount for u64 {
    fn beyond_counting() -> Self {
        Self::MAX
    }

    fn plus(self, other: Self) -> Option<Self> {
        self.checked_add(other)
    }

    fn minus(self, other: Self) -> Option<Self> {
        self.checked_sub(other)
    }
}

impl Amount for Money {
    fn beyond_counting() -> Self {
        // 1.8 * 10^19, where the numbers of a scope end at 10^18.
        Self::whole(u64::MAX)
    }

    fn plus(self, other: Self) -> Option<Self> {
        self.checked_add(other)
    }

    fn minus(self, other: Self) -> Option<Self> {
        self.checked_sub(other)
    }
}

/// Amounts in the order of their times, with their running sum.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Series<T> {
    /// The oldest first: those of more than a day ago by the minute; those of more than an hour ago, and
    /// later ones if there are many, by the second; and the last ones. A minute or second is what was
    /// spent in it, at its last moment.
    levels: [VecDeque<Point<T>>; 3],
    /// The sum of the points of this epoch.
    total: T,
    /// A new one begins where the sum would not fit.
    epoch: u32,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Point<T> {
    at: ClockTime,
    /// The sum of the points of its epoch before it.
    before: T,
    epoch: u32,
}

impl<T: Amount> Series<T> {
    fn push(&mut self, at: ClockTime, amount: T) {
        let last = self.levels.iter().rev().find_map(VecDeque::back);
        let at = last.map_or(at, |last| last.at.max(at));
        let (before, total) = match self.total.plus(amount) {
            Some(total) => (self.total, total),
            None => {
                self.epoch = self.epoch.wrapping_add(1);
                (T::default(), amount)
            }
        };
        self.levels[EXACT].push_back(Point { at, before, epoch: self.epoch });
        self.total = total;
        if self.levels[EXACT].len() >= EXACT_MAX {
            self.join_where(EXACT, SECOND_US, |points, _| points.len() > EXACT_KEPT);
            // It may have been read from a snapshot that was written when more were kept.
            self.levels[EXACT].shrink_to(EXACT_MAX);
        }
    }

    fn within(&self, per: Span, clock: ClockTime) -> T {
        let Some(begin) = begin(per, clock) else {
            return self.from(0);
        };
        let left = |point: &Point<T>| point.at <= begin;
        let mut first = 0;
        for points in &self.levels {
            first += points.partition_point(left);
            if points.back().is_some_and(|last| !left(last)) {
                break;
            }
        }
        self.from(first)
    }

    fn point(&self, mut place: usize) -> Option<&Point<T>> {
        for points in &self.levels {
            match place.checked_sub(points.len()) {
                None => return points.get(place),
                Some(rest) => place = rest,
            }
        }
        None
    }

    /// The sum of the points from this one on.
    fn from(&self, first: usize) -> T {
        let Some(point) = self.point(first) else {
            return T::default();
        };
        // A window that reaches over the end of an epoch holds more than can be counted.
        if point.epoch != self.epoch {
            return T::beyond_counting();
        }
        self.total.minus(point.before).unwrap_or_else(T::beyond_counting)
    }

    /// When the window has left behind enough for the rest to be at most `room`.
    fn free_at(&self, room: T, per: Span) -> Option<ClockTime> {
        let (mut low, mut high) = (0, self.levels.iter().map(VecDeque::len).sum::<usize>());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.from(middle) <= room { high = middle } else { low = middle + 1 }
        }
        let last_to_leave = self.point(low.checked_sub(1)?)?;
        last_to_leave.at.0.checked_add(per.as_micros()).map(ClockTime)
    }

    fn is_empty(&self) -> bool {
        self.levels.iter().all(VecDeque::is_empty)
    }

    fn forget_before(&mut self, clock: ClockTime) {
        for points in &mut self.levels {
            let gone = points.partition_point(|point| point.at < clock);
            points.drain(..gone);
        }
    }

    /// Joins old points: what is later in a second or minute is then taken for all of it, so that a
    /// window that begins inside has all of it too: never less than was spent.
    fn join(&mut self, clock: ClockTime) {
        for (level, width, age) in [(EXACT, SECOND_US, HOUR_US), (EXACT - 1, MINUTE_US, DAY_US)] {
            let before = ClockTime(clock.0.saturating_sub(age));
            self.join_where(level, width, |_, oldest| oldest.at < before);
        }
    }

    /// Moves points of a level to the one below, as long as its oldest is to go there. Of each `width` of
    /// microseconds one is left.
    fn join_where(
        &mut self,
        level: usize,
        width: u64,
        goes: impl Fn(&VecDeque<Point<T>>, &Point<T>) -> bool,
    ) {
        let (joined, points) = self.levels.split_at_mut(level);
        let (Some(joined), Some(points)) = (joined.last_mut(), points.first_mut()) else {
            return;
        };
        let of = |at: ClockTime| at.0 / width;
        while let Some(point) = points.front().copied()
            && goes(points, &point)
        {
            points.pop_front();
            match joined.back_mut() {
                Some(last) if of(last.at) == of(point.at) && last.epoch == point.epoch => {
                    last.at = point.at;
                }
                _ => joined.push_back(point),
            }
        }
    }
}

/// The level of points that are not joined.
const EXACT: usize = 2;
/// So many of them are kept at least, if there are as many.
const EXACT_KEPT: usize = 8_000;
/// And fewer than so many: a power of two, which is what a growing queue makes room for.
const EXACT_MAX: usize = 8_192;
/// Keys of a client that take some 100 KiB.
const KEYS_MANY: usize = 2_048;
const SECOND_US: u64 = 1_000_000;
const MINUTE_US: u64 = 60 * SECOND_US;
const HOUR_US: u64 = 60 * MINUTE_US;
const DAY_US: u64 = 24 * HOUR_US;

/// When keys were seen last. In a tree, which grows by a node: a table of a million keys that doubles holds
/// up everybody's orders.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Seen {
    last: BTreeMap<u64, ClockTime>,
    /// Every sight, the oldest first.
    sights: VecDeque<(ClockTime, u64)>,
}

impl Seen {
    fn push(&mut self, at: ClockTime, key: u64) {
        let at = self.sights.back().map_or(at, |(last, _)| (*last).max(at));
        self.last.insert(key, at);
        self.sights.push_back((at, key));
    }

    fn has(&self, key: u64, per: Span, clock: ClockTime) -> bool {
        let inside = |at: &ClockTime| begin(per, clock).is_none_or(|begin| *at > begin);
        self.last.get(&key).is_some_and(inside)
    }

    /// Forgets so many, which it takes off from `room`, and what was seen at the time of the last of them:
    /// what is left is what was seen since a time.
    fn forget_before(&mut self, clock: ClockTime, room: &mut usize) {
        let mut last = None;
        while let Some((at, key)) = self.sights.front().copied()
            && at < clock
            && (*room > 0 || last == Some(at))
        {
            *room = room.saturating_sub(1);
            last = Some(at);
            self.sights.pop_front();
            // Seen again since: that sight stays.
            if self.last.get(&key) == Some(&at) {
                self.last.remove(&key);
            }
        }
    }
}

/// What is later than this is in the window; `None`: all is.
fn begin(per: Span, clock: ClockTime) -> Option<ClockTime> {
    clock.0.checked_sub(per.as_micros()).map(ClockTime)
}
