//! Reference prices: who may put them, how far they may move, and how long they hold.
//!
//! A pricer that lies, alone, moves a price by one step at most: every price is held against all
//! those in force within the last `step_every`, so many small steps are no further than a large one.
//! What is further away needs a second pricer that says about the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};
use vault_model::{ClockTime, Money, Name, Pair};

use self::window::is_near;
pub use self::window::{NotAWindow, Window};
use crate::document::Span;

mod window;

/// A feed as people write it and as it is stored.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FeedDocument {
    /// How far apart two pricers may be and still agree, as a fraction between 0 and 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agree_within: Option<Money>,
    /// The price to begin from: goes with `max_step`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<Money>,
    /// A price of this age counts as absent.
    pub max_age: Span,
    /// How far a price may move within `step_every` without a second pricer, as a fraction between
    /// 0 and 1; absent: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_step: Option<Money>,
    /// What is priced.
    pub pair: Pair,
    /// Who may put it.
    pub pricers: BTreeSet<Name>,
    /// Over how long `max_step` counts; a minute if it is not stated.
    #[serde(default = "FeedDocument::step_every_unstated")]
    pub step_every: Span,
}

impl FeedDocument {
    /// Reads TOML.
    ///
    /// # Errors
    ///
    /// The parser's own words.
    pub fn from_toml(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// `step_every`, where it is not stated: a minute.
    ///
    /// # Panics
    ///
    /// Never: a minute is a span.
    pub fn step_every_unstated() -> Span {
        Span::seconds(60).expect("a minute is a span")
    }
}

/// Why a document is no feed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotAFeed {
    /// An agreement of one.
    Alone,
    /// An anchor without a step, or the other way round.
    Anchor,
    /// Nothing would ever be accepted.
    Closed,
    /// A fraction of nothing or of all.
    Fraction,
    /// The anchor is no price.
    NotAPrice,
    /// Nobody, or a crowd.
    Pricers,
}

impl NotAFeed {
    /// What it must be instead.
    pub fn words(self) -> &'static str {
        match self {
            Self::Alone => "agree_within needs two pricers or more",
            Self::Anchor => "max_step and anchor go together",
            Self::Closed => "a feed needs max_step and anchor, or agree_within, or all of them",
            Self::Fraction => "max_step and agree_within are fractions above 0 and below 1",
            Self::NotAPrice => {
                "the anchor is above 0, with few enough digits to be multiplied exactly"
            }
            Self::Pricers => "a feed has 1 to 16 pricers",
        }
    }
}

impl fmt::Display for NotAFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

impl std::error::Error for NotAFeed {}

/// A feed that somebody could follow.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Feed(FeedDocument);

impl Feed {
    /// Checks a document.
    ///
    /// # Errors
    ///
    /// [`NotAFeed`].
    pub fn new(document: FeedDocument) -> Result<Self, NotAFeed> {
        if !(1..=PRICERS_MAX).contains(&document.pricers.len()) {
            return Err(NotAFeed::Pricers);
        }
        let fractions = [document.max_step, document.agree_within];
        let is_fraction = |of: Money| of > Money::ZERO && of < Money::ONE;
        if !fractions.into_iter().flatten().all(is_fraction) {
            return Err(NotAFeed::Fraction);
        }
        if document.max_step.is_some() != document.anchor.is_some() {
            return Err(NotAFeed::Anchor);
        }
        if document.max_step.is_none() && document.agree_within.is_none() {
            return Err(NotAFeed::Closed);
        }
        if document.agree_within.is_some() && document.pricers.len() < 2 {
            return Err(NotAFeed::Alone);
        }
        let feed = Self(document);
        match feed.anchor {
            Some(anchor) if anchor <= Money::ZERO || !feed.is_exact(anchor) => {
                Err(NotAFeed::NotAPrice)
            }
            _ => Ok(feed),
        }
    }

    /// Whether every comparison with this price can be made without rounding. Asked of each price
    /// before it can become one that others are held against.
    fn is_exact(&self, price: Money) -> bool {
        let mut fractions = [self.max_step, self.agree_within].into_iter().flatten();
        fractions.all(|fraction| price.checked_mul(fraction).is_some())
    }
}

impl Deref for Feed {
    type Target = FeedDocument;

    fn deref(&self) -> &FeedDocument {
        &self.0
    }
}

/// Why a price was not taken over.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PriceRefused {
    /// Nobody made a feed of this pair.
    #[error("there is no feed of this pair")]
    FeedUnknown,
    /// Further than a step, or no steps are allowed, and no second pricer says the same.
    #[error("no other pricer confirms this price")]
    NotConfirmed,
    /// Comparing it would round.
    #[error("the price has too many digits to be compared exactly")]
    NotExact,
    /// Zero or less.
    #[error("a price is above 0")]
    NotPositive,
    /// The feed does not name the pricer.
    #[error("the feed does not list this pricer")]
    PricerNotListed,
    /// Further than a step, and the feed asks nobody else.
    #[error("the price is further than one step from the last ones")]
    StepTooLarge,
}

impl PriceRefused {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::FeedUnknown => "FEED_UNKNOWN",
            Self::NotConfirmed => "PRICE_NOT_CONFIRMED",
            Self::NotExact => "PRICE_NOT_EXACT",
            Self::NotPositive => "PRICE_NOT_POSITIVE",
            Self::PricerNotListed => "PRICER_NOT_LISTED",
            Self::StepTooLarge => "PRICE_STEP_TOO_LARGE",
        }
    }

    /// What people can do about it.
    pub fn hint(self) -> &'static str {
        match self {
            Self::FeedUnknown => "an admin makes one: vaultctl price feed put",
            Self::NotConfirmed => {
                "another listed pricer must put about the same, or an admin a new anchor"
            }
            Self::NotExact => "put it with fewer digits behind the point",
            Self::NotPositive => "put no price where there is none: it goes stale by itself",
            Self::PricerNotListed => "an admin adds it: vaultctl price feed put",
            Self::StepTooLarge => {
                "put the feed again with a new anchor, or with agree_within and a second pricer"
            }
        }
    }
}

/// What is known of one feed, for people.
#[derive(Clone, Copy, Debug)]
pub struct FeedState<'a> {
    /// The feed.
    pub feed: &'a Feed,
    /// The last price that was accepted since the start, and when; fresh or not.
    pub last: Option<(Money, ClockTime)>,
    /// Prices accepted since the start.
    pub accepted: u64,
    /// Prices refused since the start.
    pub refused: u64,
}

/// All feeds and what was put into them.
#[derive(Clone, Debug, Default)]
pub struct PriceBook {
    lines: BTreeMap<Pair, Line>,
}

#[derive(Clone, Debug)]
struct Line {
    accepted: u64,
    feed: Feed,
    /// What each pricer said last, accepted or not.
    heard: BTreeMap<Name, (Money, ClockTime)>,
    /// How often two who agree have moved the price further than a step.
    jumps: u64,
    last: Option<(Money, ClockTime)>,
    refused: u64,
    revision: u64,
    /// Empty where nothing can be a step from anything: no `max_step`.
    window: Window,
}

impl PriceBook {
    /// Takes a feed in, or replaces the one of its pair: the price begins from the anchor again. A
    /// feed of the revision that is there already changes nothing.
    pub fn set(&mut self, feed: Feed, revision: u64) {
        let known = self.lines.get(&feed.pair);
        if known.is_some_and(|line| line.revision == revision) {
            return;
        }
        let line = Line {
            accepted: known.map_or(0, |line| line.accepted),
            heard: BTreeMap::new(),
            jumps: 0,
            last: None,
            refused: known.map_or(0, |line| line.refused),
            revision,
            window: Window::from(feed.anchor),
            feed,
        };
        self.lines.insert(line.feed.pair.clone(), line);
    }

    /// Keeps the feeds of these pairs only.
    pub fn retain(&mut self, keep: impl Fn(&Pair) -> bool) {
        self.lines.retain(|pair, _| keep(pair));
    }

    /// Goes on from what the feed of this revision had accepted before a restart: its last price, or
    /// its window, if that is known. It is what the next price is held against; it does not count as
    /// fresh.
    pub fn resume(&mut self, pair: &Pair, revision: u64, price: Money, window: Option<&Window>) {
        let line = self.lines.get_mut(pair).filter(|line| line.revision == revision);
        if let Some(line) = line
            && line.last.is_none()
            && line.feed.max_step.is_some()
        {
            let window = window.cloned().unwrap_or_else(|| Window::from(Some(price)));
            if window.prices().all(|price| price > Money::ZERO && line.feed.is_exact(price)) {
                line.window = window;
            }
        }
    }

    /// Takes a price over, or says why not.
    ///
    /// # Errors
    ///
    /// [`PriceRefused`]; the price in force stays then.
    pub fn put(
        &mut self,
        pair: &Pair,
        pricer: &Name,
        price: Money,
        at: ClockTime,
    ) -> Result<Money, PriceRefused> {
        let line = self.lines.get_mut(pair).ok_or(PriceRefused::FeedUnknown)?;
        let outcome = line.put(pricer, price, at);
        match outcome {
            Ok(_) => line.accepted += 1,
            Err(_) => line.refused += 1,
        }
        outcome
    }

    /// The price of a pair, if it is younger than its feed's `max_age`.
    pub fn price(&self, pair: &Pair, at: ClockTime) -> Option<Money> {
        let line = self.lines.get(pair)?;
        let (price, put_at) = line.last?;
        line.is_fresh(put_at, at).then_some(price)
    }

    /// From when on the price of a pair is too old, unless another one comes.
    pub fn stale_at(&self, pair: &Pair) -> Option<ClockTime> {
        let line = self.lines.get(pair)?;
        let (_, put_at) = line.last?;
        Some(ClockTime(put_at.0.saturating_add(line.feed.max_age.as_micros())))
    }

    /// The revision of the feed of a pair.
    pub fn revision(&self, pair: &Pair) -> Option<u64> {
        Some(self.lines.get(pair)?.revision)
    }

    /// What the next price of a pair is held against, made coarser: never is less held against it than
    /// here, and by about an eighth of `step_every` longer at most. `None` for a feed without steps.
    pub fn window(&self, pair: &Pair) -> Option<Window> {
        let line = self.lines.get(pair)?;
        line.feed.max_step?;
        Some(line.window.coarse(line.feed.step_every.as_micros()))
    }

    /// How often since the start, or since its feed was put, two who agree have moved the price of a
    /// pair further than a step. Nothing is a jump in a feed without steps.
    pub fn jumps(&self, pair: &Pair) -> u64 {
        self.lines.get(pair).map_or(0, |line| line.jumps)
    }

    /// All feeds, by pair.
    pub fn feeds(&self) -> impl Iterator<Item = FeedState<'_>> {
        self.lines.values().map(|line| FeedState {
            feed: &line.feed,
            last: line.last,
            accepted: line.accepted,
            refused: line.refused,
        })
    }
}

impl Line {
    fn put(&mut self, pricer: &Name, price: Money, at: ClockTime) -> Result<Money, PriceRefused> {
        if price <= Money::ZERO {
            return Err(PriceRefused::NotPositive);
        }
        if !self.feed.pricers.contains(pricer) {
            return Err(PriceRefused::PricerNotListed);
        }
        if !self.feed.is_exact(price) {
            return Err(PriceRefused::NotExact);
        }
        self.heard.insert(pricer.clone(), (price, at));
        let every = self.feed.step_every.as_micros();
        let is_step =
            self.feed.max_step.is_some_and(|step| self.window.is_within(price, step, at, every));
        if is_step {
            self.window.add(price, at, every);
        } else if let Some(heard) = self.confirmation(pricer, price, at) {
            // Two agree that the market is here: steps begin here, too. They are steps from both
            // prices, or a liar had a step beyond what the other confirmed.
            if self.feed.max_step.is_some() {
                self.window = Window::from(Some(heard));
                self.window.add(price, at, every);
                self.jumps += 1;
            }
        } else {
            return Err(match self.feed.agree_within {
                Some(_) => PriceRefused::NotConfirmed,
                None => PriceRefused::StepTooLarge,
            });
        }
        self.last = Some((price, at));
        Ok(price)
    }

    /// What somebody else has said a short while ago, if it is about the same.
    fn confirmation(&self, pricer: &Name, price: Money, at: ClockTime) -> Option<Money> {
        let within = self.feed.agree_within?;
        let confirms = |(other, &(heard, heard_at)): (&Name, &(Money, ClockTime))| {
            let is_near = is_near(price.min(heard), price.max(heard), price.min(heard), within);
            (other != pricer && self.is_fresh(heard_at, at) && is_near).then_some(heard)
        };
        self.heard.iter().find_map(confirms)
    }

    fn is_fresh(&self, put_at: ClockTime, at: ClockTime) -> bool {
        at.0.saturating_sub(put_at.0) < self.feed.max_age.as_micros()
    }
}

const PRICERS_MAX: usize = 16;

#[cfg(test)]
mod tests;
