//! Reference prices: pricers put them, orders are judged by those that are fresh, admins say where
//! they come from.
//!
//! Putting a price is no act: nothing of it is in the database, and of the prices only few are in
//! the log. What a restart goes on from is the last one there, with the window that it was held
//! against: no restart gives a pricer a step more.

use std::collections::{BTreeMap, HashMap};

use prost::Message;
use vault_audit::{EntryKind, Outcome};
use vault_ipc::proto::v1;
use vault_model::{ClockTime, Money, Pair, Timestamp};
use vault_policy::{Feed, FeedDocument, FeedState, Market, PriceBook, PriceRefused, PriceWindow};
use vault_wire::feed_to_wire;

use crate::act::{Asker, Plan};
use crate::caller::Caller;
use crate::command::{self, Method};
use crate::error::VaultError;
use crate::page::{Listed, Page};
use crate::storage::{Changes, FeedRow, RowKey};
use crate::vault::{Vault, detail};

/// A price that the log has.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LoggedPrice {
    /// When it was accepted.
    pub at: ClockTime,
    /// How often until then, since the start, two pricers had moved the price further than a step.
    pub jumps: u64,
    /// The price.
    pub price: Money,
    /// The revision of the feed that accepted it.
    pub revision: u64,
    /// What the next one is held against; absent in a feed without steps.
    pub window: Option<PriceWindow>,
}

/// The newest of each pair.
pub type LoggedPrices = HashMap<Pair, LoggedPrice>;

/// Feeds and prices, while the vault is open.
#[derive(Default)]
pub struct Prices {
    book: PriceBook,
    logged: LoggedPrices,
    /// When a refusal was last logged, by pair; those of pairs without a feed are one.
    refusal_logged_at: HashMap<Option<Pair>, ClockTime>,
    /// Before this, no price in the market is too old.
    stale_at: Option<ClockTime>,
}

impl Prices {
    /// Goes on from what the log has.
    pub fn resume(logged: LoggedPrices) -> Self {
        Self { logged, ..Self::default() }
    }

    /// Takes up the feeds of the tables, and puts their prices into the market, instead of those that
    /// are there; those that are too old go by [`Prices::refresh`].
    ///
    /// # Errors
    ///
    /// [`VaultError::Internal`] if a stored feed is none: nothing of it may be guessed.
    pub fn compile(
        &mut self,
        feeds: &BTreeMap<Pair, FeedRow>,
        market: &mut Market,
    ) -> Result<(), VaultError> {
        self.book.retain(|pair| feeds.contains_key(pair));
        for (pair, row) in feeds {
            let document: Option<FeedDocument> = serde_json::from_value(row.document.clone()).ok();
            let feed = document
                .and_then(|document| Feed::new(document).ok())
                .filter(|feed| feed.pair == *pair)
                .ok_or(VaultError::Internal("a stored feed does not read"))?;
            self.book.set(feed, row.revision);
            if let Some(logged) = self.logged.get(pair) {
                let window = logged.window.as_ref();
                self.book.resume(pair, logged.revision, logged.price, window);
            }
        }
        self.stale_at = None;
        market.forget_prices();
        for FeedState { feed, last, .. } in self.book.feeds() {
            if let Some((price, _)) = last {
                market.set_price(feed.pair.clone(), price);
                self.stale_at = earlier(self.stale_at, self.book.stale_at(&feed.pair));
            }
        }
        Ok(())
    }

    /// Takes prices that are too old out of the market.
    pub fn refresh(&mut self, market: &mut Market, clock: ClockTime) {
        if self.stale_at.is_none_or(|at| clock < at) {
            return;
        }
        self.stale_at = None;
        for FeedState { feed, last, .. } in self.book.feeds() {
            if last.is_none() {
                continue;
            }
            match self.book.stale_at(&feed.pair) {
                Some(at) if clock < at => self.stale_at = earlier(self.stale_at, Some(at)),
                _ => market.forget_price(&feed.pair),
            }
        }
    }

    fn put(
        &mut self,
        market: &mut Market,
        pricer: &vault_model::Name,
        (pair, price): (&Pair, Money),
        clock: ClockTime,
    ) -> Result<(), PriceRefused> {
        let price = self.book.put(pair, pricer, price, clock)?;
        market.set_price(pair.clone(), price);
        self.stale_at = earlier(self.stale_at, self.book.stale_at(pair));
        Ok(())
    }

    /// What to log of an accepted price, if it is to be: the first, then one a minute, and if it is
    /// more than a tenth away from the last that was, or where two have agreed on another place,
    /// one a second.
    fn logs(&mut self, pair: &Pair, price: Money, clock: ClockTime) -> Option<&LoggedPrice> {
        let (revision, jumps) = (self.book.revision(pair)?, self.book.jumps(pair));
        let is_due = self.logged.get(pair).is_none_or(|logged| {
            let passed = clock.0.saturating_sub(logged.at.0);
            let apart = logged.price.max(price).checked_sub(logged.price.min(price));
            let apart = apart.and_then(|apart| apart.checked_mul(Money::whole(10)));
            let is_elsewhere =
                jumps != logged.jumps || apart.is_none_or(|ten_times| ten_times > logged.price);
            logged.revision != revision
                || passed >= LOG_EVERY_US
                || (is_elsewhere && passed >= LOG_ELSEWHERE_EVERY_US)
        });
        if !is_due {
            return None;
        }
        let window = self.book.window(pair);
        let logged = LoggedPrice { at: clock, jumps, price, revision, window };
        Some(self.logged.entry(pair.clone()).insert_entry(logged).into_mut())
    }

    /// Whether a refusal is to be logged: one a minute for each pair.
    fn logs_refusal(&mut self, pair: &Pair, clock: ClockTime) -> bool {
        let slot = self.book.revision(pair).map(|_| pair.clone());
        let last = self.refusal_logged_at.get(&slot);
        let is_due = last.is_none_or(|at| clock.0.saturating_sub(at.0) >= LOG_EVERY_US);
        if is_due {
            self.refusal_logged_at.insert(slot, clock);
        }
        is_due
    }
}

fn earlier(one: Option<ClockTime>, other: Option<ClockTime>) -> Option<ClockTime> {
    one.into_iter().chain(other).min()
}

impl Vault {
    /// Takes prices that are too old away from what orders are judged by. To be called before a
    /// judgement, with its time.
    pub(crate) fn refresh_market(&mut self, clock: ClockTime) {
        if let Some(open) = &mut self.open {
            open.prices.refresh(&mut open.market, clock);
        }
    }

    /// Takes prices over, each for itself.
    ///
    /// # Errors
    ///
    /// [`VaultError::Field`] for none or too many.
    pub(crate) fn put_prices(
        &mut self,
        command: &v1::SignedCommand,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<v1::PutPricesResponse, VaultError> {
        let command: v1::PutPricesCommand = command::body(command)?;
        if !(1..=QUOTES_MAX).contains(&command.quotes.len()) {
            return Err(VaultError::Field("quotes are 1 to 200 prices"));
        }
        let clock = self.clock_time();
        let mut answers = Vec::with_capacity(command.quotes.len());
        for quote in command.quotes {
            let outcome = self.put_price(&quote, caller, clock, now)?;
            let (reason, hint) = outcome.err().unwrap_or_default();
            answers.push(v1::QuoteAnswer {
                accepted: reason.is_empty(),
                pair: quote.pair,
                reason: reason.to_owned(),
                hint: hint.to_owned(),
            });
        }
        Ok(v1::PutPricesResponse { answers })
    }

    /// One price: taken over, or code and hint why not.
    fn put_price(
        &mut self,
        quote: &v1::Quote,
        caller: &Caller,
        clock: ClockTime,
        now: Timestamp,
    ) -> Result<Result<(), (&'static str, &'static str)>, VaultError> {
        let parsed = quote.pair.parse::<Pair>().ok().zip(quote.price.parse::<Money>().ok());
        let Some((pair, price)) = parsed else {
            return Ok(Err(("BAD_FIELD", "a quote is BASE/QUOTE and a decimal: BTC/USD=60000.1")));
        };
        let open = self.open.as_mut().ok_or(VaultError::Sealed)?;
        let outcome = open.prices.put(&mut open.market, &caller.name, (&pair, price), clock);
        let facts = [("clock", clock.0.to_string()), ("price", price.to_string())];
        match outcome {
            Ok(()) => {
                if let Some(logged) = open.prices.logs(&pair, price, clock) {
                    let revision = logged.revision.to_string();
                    let window = logged.window.as_ref().map(ToString::to_string);
                    let mut entry = self.entry_by(EntryKind::PriceAccepted, caller, now);
                    entry.operation = Some(Method::PricePut.name().to_owned());
                    entry.detail = detail(facts);
                    entry.detail.insert("pair".to_owned(), pair.to_string());
                    entry.detail.insert("revision".to_owned(), revision);
                    entry.detail.extend(window.map(|window| ("window".to_owned(), window)));
                    self.journal.record(entry)?;
                }
                Ok(Ok(()))
            }
            Err(refused) => {
                if open.prices.logs_refusal(&pair, clock) {
                    let mut entry = self.entry_by(EntryKind::PriceRefused, caller, now);
                    entry.operation = Some(Method::PricePut.name().to_owned());
                    entry.outcome = Outcome::Denied;
                    entry.reason = Some(refused.code().to_owned());
                    entry.detail = detail(facts);
                    entry.detail.insert("pair".to_owned(), pair.to_string());
                    self.journal.record(entry)?;
                }
                Ok(Err((refused.code(), refused.hint())))
            }
        }
    }

    /// Makes or replaces a feed. A replaced one has no price until a pricer puts it again.
    ///
    /// # Errors
    ///
    /// [`VaultError::Field`] with what is wrong with the feed.
    pub(crate) fn put_feed(
        &mut self,
        command: &v1::SignedCommand,
        asker: Asker,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let command: v1::PutFeedCommand = command::body(command)?;
        let wire = command.feed.ok_or(VaultError::Field("feed is not set"))?;
        let feed = model_feed(&wire)?;
        let state = &self.opened()?.state;
        let is_new = !state.tables().feeds.contains_key(&feed.pair);
        if is_new && state.tables().feeds.len() >= FEEDS_MAX {
            return Err(VaultError::Field("there are 1000 feeds already: delete one first"));
        }
        let row = FeedRow {
            document: serde_json::to_value(&*feed)
                .map_err(|_| VaultError::Internal("a feed cannot be stored"))?,
            pair: feed.pair.clone(),
            revision: state.state_rev() + 1,
            updated_at: now,
        };
        let mut plan = Plan::new(Method::PricePutFeed.name(), Changes::new(), |_, change| {
            v1::PutFeedResponse { change: Some(change) }.encode_to_vec()
        });
        plan.detail = detail([
            ("agree_within", text(feed.agree_within)),
            ("anchor", text(feed.anchor)),
            ("max_age", feed.max_age.to_string()),
            ("max_step", text(feed.max_step)),
            ("pair", feed.pair.to_string()),
            ("pricers", list(&feed)),
            ("step_every", feed.step_every.to_string()),
        ]);
        plan.detail.retain(|_, value| !value.is_empty());
        // By another price, what was allowed may be forbidden.
        plan.barrier = (!is_new).then(Vec::new);
        plan.changes.put(row);
        self.begin_act(plan, asker, now)
    }

    /// Deletes a feed, and with it the price.
    ///
    /// # Errors
    ///
    /// [`VaultError::NotFound`].
    pub(crate) fn delete_feed(
        &mut self,
        command: &v1::SignedCommand,
        asker: Asker,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let command: v1::DeleteFeedCommand = command::body(command)?;
        let pair = parse_pair(&command.pair)?;
        if !self.opened()?.state.tables().feeds.contains_key(&pair) {
            return Err(VaultError::NotFound("feed"));
        }
        let mut plan = Plan::new(Method::PriceDeleteFeed.name(), Changes::new(), |_, change| {
            v1::DeleteFeedResponse { change: Some(change) }.encode_to_vec()
        });
        plan.detail = detail([("pair", pair.to_string())]);
        plan.barrier = Some(Vec::new());
        plan.changes.delete(RowKey::Feed(pair));
        self.begin_act(plan, asker, now)
    }

    /// A page of the feeds and their prices, by pair.
    ///
    /// # Errors
    ///
    /// [`VaultError::Sealed`], [`VaultError::Field`] for a token that is none.
    pub(crate) fn list_prices(
        &self,
        command: &v1::ListPricesCommand,
    ) -> Result<v1::ListPricesResponse, VaultError> {
        let clock = self.clock_time();
        let book = &self.opened()?.prices.book;
        let v1::ListPricesCommand { page_size, page_token } = command;
        let page = Page::new(Method::PriceList, "", *page_size, page_token)?;
        let after: Option<Pair> = page.after(|text| text.parse().ok())?;
        // There are few, whatever is asked for.
        let rows = book.feeds().filter(|state| Some(&state.feed.pair) > after.as_ref());
        let (feeds, next_page_token) = page.fill(rows.map(|state| {
            let info = v1::FeedInfo {
                feed: Some(feed_to_wire(state.feed)),
                price: text(book.price(&state.feed.pair, clock)),
                age_ms: state.last.map(|(_, at)| clock.0.saturating_sub(at.0) / 1_000),
                accepted: state.accepted,
                refused: state.refused,
            };
            Ok(Listed::row(state.feed.pair.to_string(), info))
        }))?;
        Ok(v1::ListPricesResponse { feeds, next_page_token })
    }
}

fn parse_pair(text: &str) -> Result<Pair, VaultError> {
    text.parse().map_err(|_| VaultError::Field("pair is BASE/QUOTE, such as BTC/USD"))
}

fn model_feed(wire: &v1::Feed) -> Result<Feed, VaultError> {
    let decimal = |text: &str| match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| {
            VaultError::Field("max_step, agree_within and anchor are decimals, such as 0.02")
        }),
    };
    let span = |text: &str| {
        text.parse()
            .map_err(|_| VaultError::Field("max_age and step_every are spans, such as 10s or 5m"))
    };
    let names = wire.pricers.iter().map(|name| name.parse());
    let document = FeedDocument {
        agree_within: decimal(&wire.agree_within)?,
        anchor: decimal(&wire.anchor)?,
        max_age: span(&wire.max_age)?,
        max_step: decimal(&wire.max_step)?,
        pair: parse_pair(&wire.pair)?,
        pricers: names
            .collect::<Result<_, _>>()
            .map_err(|_| VaultError::Field("pricers are names of clients"))?,
        step_every: match wire.step_every.as_str() {
            "" => FeedDocument::step_every_unstated(),
            text => span(text)?,
        },
    };
    Feed::new(document).map_err(|error| VaultError::Field(error.words()))
}

fn text(money: Option<Money>) -> String {
    money.map(|money| money.to_string()).unwrap_or_default()
}

fn list(feed: &Feed) -> String {
    let names: Vec<&str> = feed.pricers.iter().map(|name| name.as_str()).collect();
    names.join(",")
}

const FEEDS_MAX: usize = 1_000;
const QUOTES_MAX: usize = 200;
/// How often a price, and how often a refusal, of one pair is logged.
const LOG_EVERY_US: u64 = 60_000_000;
/// How often a price that is far from the one logged last is logged.
const LOG_ELSEWHERE_EVERY_US: u64 = 1_000_000;

#[cfg(test)]
mod tests;
