//! What a step is measured from: the prices that were in force a short while ago.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;

use vault_model::{ClockTime, Money};

/// Whether `high` is above `low` by no more than a fraction of `base`.
pub fn is_near(low: Money, high: Money, base: Money, fraction: Money) -> bool {
    let (apart, most) = (high.checked_sub(low), base.checked_mul(fraction));
    // What cannot be computed is not near.
    apart.zip(most).is_some_and(|(apart, most)| apart <= most)
}

/// The prices in force within the last `step_every`, as few numbers: those put within the same short
/// while share an entry.
///
/// As text, it is a list of `FROM:LOW:HIGH:PRICE:AT`, the oldest first: of the prices put from `FROM`
/// to `AT` the lowest, the highest and the last, which was in force until the next `FROM`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Window(VecDeque<Few>);

/// Prices put within one [`PARTS`]th of a window.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Few {
    first_at: ClockTime,
    high: Money,
    last: Money,
    last_at: ClockTime,
    low: Money,
}

impl Few {
    fn one(price: Money, at: ClockTime) -> Self {
        Self { first_at: at, high: price, last: price, last_at: at, low: price }
    }
}

impl Window {
    /// In which one price has always been in force.
    pub(super) fn from(price: Option<Money>) -> Self {
        Self(price.map(|price| Few::one(price, ClockTime::default())).into_iter().collect())
    }

    /// Whether a price is at most a step from all that were in force since `at - every`.
    pub(super) fn is_within(
        &mut self,
        price: Money,
        step: Money,
        at: ClockTime,
        every: u64,
    ) -> bool {
        // In the first moments of a clock, everything is within the window.
        if let Some(begin) = at.0.checked_sub(every).map(ClockTime) {
            // A price ends when the next one is put: what was followed by then is outside.
            while self.0.get(1).is_some_and(|next| next.first_at <= begin) {
                self.0.pop_front();
            }
            if let Some(oldest) = self.0.front_mut()
                && oldest.last_at <= begin
            {
                *oldest = Few::one(oldest.last, oldest.last_at);
            }
        }
        let low = self.0.iter().map(|few| few.low).min();
        let high = self.0.iter().map(|few| few.high).max();
        low.zip(high).is_some_and(|(low, high)| {
            is_near(low, price.max(low), low, step) && is_near(price.min(high), high, high, step)
        })
    }

    pub(super) fn add(&mut self, price: Money, at: ClockTime, every: u64) {
        let part = (every / PARTS).max(1);
        // The oldest entry may have been there always: it takes nobody in.
        let is_alone = self.0.len() == 1;
        match self.0.back_mut() {
            Some(few) if !is_alone && at.0 / part == few.first_at.0 / part => {
                few.low = few.low.min(price);
                few.high = few.high.max(price);
                (few.last, few.last_at) = (price, at);
            }
            _ => self.0.push_back(Few::one(price, at)),
        }
    }

    /// The same in fewer parts: each is in force for as long as the last of what it is made of.
    pub(super) fn coarse(&self, every: u64) -> Self {
        let part = (every / PARTS_COARSE).max(1);
        let mut coarse: VecDeque<Few> = VecDeque::new();
        for few in &self.0 {
            match coarse.back_mut() {
                Some(last) if few.last_at.0 / part == last.last_at.0 / part => {
                    let (low, high) = (last.low.min(few.low), last.high.max(few.high));
                    *last = Few { first_at: last.first_at, low, high, ..*few };
                }
                _ => coarse.push_back(*few),
            }
        }
        Self(coarse)
    }

    /// All prices that it tells.
    pub(super) fn prices(&self) -> impl Iterator<Item = Money> {
        self.0.iter().flat_map(|few| [few.low, few.high, few.last])
    }

    /// How many parts it has.
    #[cfg(test)]
    pub(super) fn parts(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Few { first_at, high, last, last_at, low }) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{}:{low}:{high}:{last}:{}", first_at.0, last_at.0)?;
        }
        Ok(())
    }
}

/// A text is no window.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("this is no window of prices")]
pub struct NotAWindow;

impl FromStr for Window {
    type Err = NotAWindow;

    fn from_str(text: &str) -> Result<Self, NotAWindow> {
        let few = |part: &str| {
            let fields: Vec<&str> = part.split(':').collect();
            let [first_at, low, high, last, last_at] = fields.as_slice() else {
                return None;
            };
            let few = Few {
                first_at: ClockTime(first_at.parse().ok()?),
                high: high.parse().ok()?,
                last: last.parse().ok()?,
                last_at: ClockTime(last_at.parse().ok()?),
                low: low.parse().ok()?,
            };
            let is_one = few.first_at <= few.last_at
                && (few.low..=few.high).contains(&few.last)
                && few.low > Money::ZERO;
            is_one.then_some(few)
        };
        let fews: Option<VecDeque<Few>> = text.split(',').map(few).collect();
        let fews = fews.ok_or(NotAWindow)?;
        let is_ordered = fews.iter().zip(fews.iter().skip(1));
        let is_ordered = is_ordered.into_iter().all(|(one, next)| one.last_at <= next.first_at);
        if is_ordered { Ok(Self(fews)) } else { Err(NotAWindow) }
    }
}

const PARTS: u64 = 64;
/// Of a window that is written down.
const PARTS_COARSE: u64 = 8;

#[cfg(test)]
mod tests;
