//! What each client has been given: counted as it is signed, and read again from the log at start.
//!
//! What an entry says and what was counted are the same: [`write`] puts it into the entry of a
//! signature, [`Noted`] reads it there. Keys of orders and client order ids are made anew, never
//! stored.

mod packed;

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;
use vault_audit::Entry;
use vault_model::{
    Class, ClockTime, Leg, MarginMode, Member, Mode, Money, Name, Reading, Timestamp,
};
use vault_policy::{Cost, DuplicatesDocument, History, Span, Spend, Withdrawn};

/// What clients have been given, by their names.
#[derive(Debug, Eq, PartialEq)]
pub struct Histories {
    clients: HashMap<Name, History>,
    /// What has left, by the scopes under which it did.
    scopes: HashMap<Name, History>,
    /// Of who has been given nothing yet.
    empty: History,
    /// How long orders and client order ids are remembered.
    keys: Span,
    /// Since when none of them was forgotten.
    whole_since: ClockTime,
    /// Spends added since the last time old ones were forgotten, and when that was.
    added: u32,
    tidied_at: ClockTime,
    /// Where the next sweep goes on; absent while the log is read.
    sweep: Option<usize>,
}

impl Default for Histories {
    /// Remembers orders and client order ids for as long as any scope could ask for them.
    fn default() -> Self {
        Self::new(Span::DAY)
    }
}

impl Histories {
    /// Nothing yet. `keys` is for how long orders and client order ids will be asked for.
    pub fn new(keys: Span) -> Self {
        Self {
            clients: HashMap::new(),
            scopes: HashMap::new(),
            empty: History::default(),
            keys,
            whole_since: ClockTime::default(),
            added: 0,
            tidied_at: ClockTime::default(),
            sweep: None,
        }
    }

    /// Whether every order and client order id is remembered that was signed within this span.
    pub fn remembers(&self, keys: Span, clock: ClockTime) -> bool {
        self.whole_since.0 <= clock.0.saturating_sub(keys.as_micros())
    }

    /// What a client has been given.
    pub fn of(&self, client: &Name) -> &History {
        self.clients.get(client).unwrap_or(&self.empty)
    }

    /// What has left under a scope.
    pub fn withdrawn(&self, scope: &Name) -> &History {
        self.scopes.get(scope).unwrap_or(&self.empty)
    }

    /// A client was given something under a scope. What counts for nothing is not kept.
    pub fn add(&mut self, client: &Name, scope: Option<&Name>, spend: &Spend) {
        if *spend == (Spend { at: spend.at, until: spend.until, ..Spend::default() }) {
            return;
        }
        let keys_from = ClockTime(spend.at.0.saturating_sub(self.keys.as_micros()));
        match self.clients.get_mut(client) {
            Some(history) => {
                history.add(spend);
                if history.has_many_keys() {
                    let mut room = FORGOTTEN_AT_ONCE;
                    history.forget_keys(keys_from, &mut room);
                    self.whole_since = self.whole_since.max(keys_from);
                }
            }
            None => self.clients.entry(client.clone()).or_default().add(spend),
        }
        if let (Some(scope), false) = (scope, spend.withdrawn.is_empty()) {
            let Spend { at, until, .. } = *spend;
            let left = Spend { at, until, withdrawn: spend.withdrawn.clone(), ..Spend::default() };
            self.scopes.entry(scope.clone()).or_default().add(&left);
        }
        self.added = self.added.saturating_add(1);
        if self.added >= TIDY_EVERY && self.sweep.is_none() {
            self.tidy(spend.at);
        }
    }

    /// For how long orders and client order ids will be asked for from now on, and forgets what is
    /// old, if it is long since. A longer time than before brings nothing back.
    pub fn keep(&mut self, keys: Span, clock: ClockTime) {
        self.keys = keys;
        self.sweep(clock);
    }

    /// Forgets in some histories what no window reaches back to, in others the next time: a walk through
    /// all of them would hold up orders.
    fn sweep(&mut self, clock: ClockTime) {
        let forgotten = ClockTime(clock.0.saturating_sub(self.keys.as_micros()));
        self.whole_since = self.whole_since.max(forgotten);
        let from = self.sweep.unwrap_or(0);
        let (keys, mut swept, mut room) = (self.keys, 0, FORGOTTEN_MAX);
        for history in self.clients.values_mut().skip(from).take(SWEPT_MAX) {
            history.tidy_some(clock, keys, &mut room);
            swept += 1;
            if room == 0 {
                break;
            }
        }
        let is_end = swept < SWEPT_MAX && room > 0;
        if is_end {
            self.scopes.values_mut().for_each(|history| history.tidy(clock, keys));
        }
        // Who has more to forget than there was room for goes on the next time round. Clients that come
        // meanwhile may change places with others: those have their turn later.
        self.sweep = Some(if is_end { 0 } else { from + swept });
    }

    /// Forgets what no window reaches back to.
    pub fn tidy(&mut self, clock: ClockTime) {
        (self.added, self.tidied_at) = (0, clock);
        let forgotten = ClockTime(clock.0.saturating_sub(self.keys.as_micros()));
        self.whole_since = self.whole_since.max(forgotten);
        for history in self.clients.values_mut().chain(self.scopes.values_mut()) {
            history.tidy(clock, self.keys);
        }
    }
}

/// For how long scopes ask for orders and client order ids; a second if none does.
pub fn keys_asked(scopes: impl Iterator<Item = DuplicatesDocument>) -> Span {
    let spans = scopes.flat_map(|asked| [asked.client_order_id, asked.order]).flatten();
    spans.max().or(Span::seconds(1)).unwrap_or(Span::DAY)
}

/// How many spends may be added before old ones are forgotten.
const TIDY_EVERY: u32 = 1 << 16;
/// Histories in which old ones are forgotten at a time, while the vault runs.
const SWEPT_MAX: usize = 256;
/// Keys that are forgotten at a time, of all of them together: a millisecond or two.
const FORGOTTEN_MAX: usize = 8_192;
/// Keys of a client that are forgotten as it gets new ones: more than a request brings.
const FORGOTTEN_AT_ONCE: usize = 256;

/// Says in the entry of a signature what it counts for, and when. The entry says already what the
/// stated operation is, and in which mode.
pub fn write(entry: &mut Entry, reading: &Reading, cost: &Cost, clock: ClockTime) {
    let stated = &reading.stated;
    entry.notional = cost.notional_usd.filter(|_| cost.orders > 0).map(|sum| sum.to_string());
    write_prices(entry, cost);
    entry.limits_left.clone_from(&cost.limits_left);
    let judged = match entry.mode {
        Some(Mode::Execute) => std::slice::from_ref(&reading.stated),
        Some(Mode::Sign) | None => &reading.closure,
    };
    let ids = client_order_ids(judged);
    let mut say = |name: &str, value: String| entry.detail.insert(name.to_owned(), value);
    say("clock", clock.0.to_string());
    if cost.orders != stated.legs.len() as u64 {
        say("orders", cost.orders.to_string());
    }
    if cost.resting != 0 {
        say("resting", cost.resting.to_string());
    }
    let until = cost.spend(clock).until;
    if until != clock {
        say("until", until.0.to_string());
    }
    if ids != entry.client_order_id.iter().map(String::as_str).collect::<Vec<_>>() {
        say("client_order_ids", list(ids.into_iter().map(str::to_owned)));
    }
    if stated.legs.iter().any(|leg| leg.margin_mode.is_some()) {
        let modes = stated.legs.iter().map(|leg| leg.margin_mode);
        let word = |mode: Option<MarginMode>| mode.map(|mode| mode.to_string()).unwrap_or_default();
        say("margin_modes", list(modes.map(word)));
    }
    if !cost.withdrawn.is_empty() {
        let words = cost.withdrawn.iter();
        let words = words.map(|out| format!("{}:{}:{}", out.venue, out.asset, out.amount));
        say("withdrawn", list(words));
        let addresses = stated.transfers.iter().filter_map(|out| out.address.clone());
        say("withdrawn_to", list(addresses));
    }
    if stated.class == Class::Transfer && !stated.transfers.is_empty() {
        let word = |said: &Option<String>| said.clone().unwrap_or_default();
        let moved = stated.transfers.iter();
        say("moved", list(moved.clone().map(|to| [word(&to.asset), word(&to.amount)].join(":"))));
        if stated.transfers.iter().any(|to| to.address.is_some()) {
            say("moved_to", list(moved.map(|to| word(&to.address))));
        }
    }
}

/// Says of the orders of an entry what they do not say themselves: which of them change one that is
/// there, if any does, and by when the venue has to have them, if all of them state that.
pub fn write_legs(entry: &mut Entry) {
    if entry.legs.iter().any(|leg| leg.amends) {
        let word = |leg: &Leg| if leg.amends { "yes" } else { "no" }.to_owned();
        let words = list(entry.legs.iter().map(word));
        entry.detail.insert("amends".to_owned(), words);
    }
    let deadlines: Option<Vec<_>> = entry.legs.iter().map(|leg| leg.deadline).collect();
    if let Some(latest) = deadlines.and_then(|deadlines| deadlines.into_iter().max()) {
        entry.detail.insert("deadline".to_owned(), latest.micros().to_string());
    }
}

/// Takes back what an entry says of its orders, and them.
pub fn forget_legs(entry: &mut Entry) {
    entry.legs.clear();
    entry.prices.clear();
    entry.detail.remove("amends");
}

/// Says in an entry which reference prices its orders were held against.
pub fn write_prices(entry: &mut Entry, cost: &Cost) {
    entry.prices =
        cost.prices.iter().map(|(pair, price)| (pair.to_string(), price.to_string())).collect();
}

/// Every client order id of what was judged, each once.
fn client_order_ids(members: &[Member]) -> Vec<&str> {
    let mut ids: Vec<&str> = Vec::new();
    for id in members.iter().flat_map(|member| &member.client_order_ids) {
        if !ids.contains(&id.as_str()) {
            ids.push(id);
        }
    }
    ids
}

/// Joins with commas; a comma or backslash in a part gets a backslash before it.
fn list(parts: impl Iterator<Item = String>) -> String {
    let escaped = parts.map(|part| part.replace('\\', "\\\\").replace(',', "\\,"));
    escaped.collect::<Vec<_>>().join(",")
}

/// Takes a [`list`] of at least one part apart again.
pub fn parts(list: &str) -> Vec<String> {
    let (mut parts, mut part) = (Vec::new(), String::new());
    let mut characters = list.chars();
    while let Some(character) = characters.next() {
        match character {
            ',' => parts.push(std::mem::take(&mut part)),
            '\\' => part.extend(characters.next()),
            other => part.push(other),
        }
    }
    parts.push(part);
    parts
}

/// What the `detail` of an entry may say of the clock, prices and what was counted.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Noted<'a> {
    /// Of requests: a list of yes and no, if any order is an amendment.
    #[serde(borrow)]
    pub amends: Option<Cow<'a, str>>,
    /// `credential.check`: yes.
    #[serde(borrow)]
    pub answered: Option<Cow<'a, str>>,
    /// `log.started`.
    #[serde(borrow)]
    pub boot: Option<Cow<'a, str>>,
    /// `log.started`: microseconds.
    #[serde(borrow)]
    pub boottime: Option<Cow<'a, str>>,
    /// The vault's own clock.
    #[serde(borrow)]
    pub clock: Option<Cow<'a, str>>,
    /// What was signed or sent: a list.
    #[serde(borrow)]
    pub client_order_ids: Option<Cow<'a, str>>,
    /// Of what an operator's command did that is no act: its nonce, in hex.
    #[serde(borrow)]
    pub command: Option<Cow<'a, str>>,
    /// Of requests: microseconds since 1970, of the wall clock.
    #[serde(borrow)]
    pub deadline: Option<Cow<'a, str>>,
    /// `credential.check`: yes or no.
    #[serde(borrow)]
    pub drifted: Option<Cow<'a, str>>,
    /// `credential.check`: of the key, and of a `command`: microseconds since 1970.
    #[serde(borrow)]
    pub expires_at: Option<Cow<'a, str>>,
    /// `credential.check`: yes.
    #[serde(borrow)]
    pub expiry_unread: Option<Cow<'a, str>>,
    /// `credential.check`: a list.
    #[serde(borrow)]
    pub foreign: Option<Cow<'a, str>>,
    /// `credential.check`: of the key, microseconds since 1970.
    #[serde(borrow)]
    pub imported_at: Option<Cow<'a, str>>,
    /// `credential.check`: yes or no.
    #[serde(borrow)]
    pub ip_bound: Option<Cow<'a, str>>,
    /// What was signed or sent: a list.
    #[serde(borrow)]
    pub margin_modes: Option<Cow<'a, str>>,
    /// `credential.check`: yes.
    #[serde(borrow)]
    pub nonce_window: Option<Cow<'a, str>>,
    /// What was signed or sent: if not the number of legs.
    #[serde(borrow)]
    pub orders: Option<Cow<'a, str>>,
    /// `price.accepted`.
    #[serde(borrow)]
    pub pair: Option<Cow<'a, str>>,
    /// `price.accepted`.
    #[serde(borrow)]
    pub price: Option<Cow<'a, str>>,
    /// What was signed or sent: those that may rest.
    #[serde(borrow)]
    pub resting: Option<Cow<'a, str>>,
    /// `price.accepted`: of the feed.
    #[serde(borrow)]
    pub revision: Option<Cow<'a, str>>,
    /// `credential.check`: a list.
    #[serde(borrow)]
    pub rights: Option<Cow<'a, str>>,
    /// `credential.check`: yes or no.
    #[serde(borrow)]
    pub transfers: Option<Cow<'a, str>>,
    /// `credential.check`: a list.
    #[serde(borrow)]
    pub unsaid: Option<Cow<'a, str>>,
    /// `credential.check`: a list.
    #[serde(borrow)]
    pub unseen: Option<Cow<'a, str>>,
    /// What was signed or sent: until when it can still happen, on the vault's own clock; if not
    /// its time.
    #[serde(borrow)]
    pub until: Option<Cow<'a, str>>,
    /// What was signed or sent: a list.
    #[serde(borrow)]
    pub withdrawn: Option<Cow<'a, str>>,
    /// `credential.check`: yes or no.
    #[serde(borrow)]
    pub withdrawals: Option<Cow<'a, str>>,
    /// `price.accepted`: what the next price is held against.
    #[serde(borrow)]
    pub window: Option<Cow<'a, str>>,
}

impl Noted<'_> {
    /// The nonce of an operator's command, and when that ended.
    ///
    /// # Errors
    ///
    /// [`Foreign`] for what is neither hex nor a time.
    pub fn command(&self) -> Result<Option<(Vec<u8>, Timestamp)>, Foreign> {
        let (Some(nonce), Some(end)) = (&self.command, &self.expires_at) else {
            return Ok(None);
        };
        let nonce = hex::decode(nonce.as_bytes()).map_err(|_| Foreign("a nonce"))?;
        let end = i64::try_from(number(end)?).map_err(|_| Foreign("a time"))?;
        Ok(Some((nonce, Timestamp(end))))
    }

    /// Which orders change one that is there; nothing if none does.
    ///
    /// # Errors
    ///
    /// [`Foreign`] for another word than `yes` and `no`.
    pub fn amends(&self) -> Result<Vec<bool>, Foreign> {
        let words = self.amends.as_deref().map(parts).unwrap_or_default();
        let word = |word: &String| match word.as_str() {
            "yes" => Ok(true),
            "no" => Ok(false),
            _ => Err(Foreign("amends")),
        };
        words.iter().map(word).collect()
    }
}

/// What the entry of a signature says of what was counted.
pub struct Signed<'e, 'a> {
    pub credential: &'e Name,
    pub legs: Vec<Leg>,
    pub client_order_id: Option<&'e str>,
    pub notional: Option<&'e str>,
    pub noted: &'e Noted<'a>,
}

/// An entry does not say what an entry of a vault says.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("an entry says what no vault writes: {0}")]
pub struct Foreign(&'static str);

impl Signed<'_, '_> {
    /// What was counted.
    ///
    /// # Errors
    ///
    /// [`Foreign`]: what cannot be read must not count as nothing.
    pub fn spend(self, at: ClockTime) -> Result<Spend, Foreign> {
        let Self { credential, legs, client_order_id, notional, noted } = self;
        let orders = match &noted.orders {
            Some(orders) => number(orders)?,
            None => legs.len() as u64,
        };
        let amends = noted.amends()?.into_iter().chain(std::iter::repeat(false));
        let ids = match (&noted.client_order_ids, client_order_id) {
            (Some(list), _) => parts(list),
            (None, Some(id)) => vec![id.to_owned()],
            (None, None) => Vec::new(),
        };
        let placed = legs.iter().zip(amends).filter(|(_, amends)| !amends && orders > 0);
        let order_keys = placed.map(|(leg, _)| vault_policy::order_key(credential, leg)).collect();
        let id_key = |id: &String| vault_policy::id_key(credential, id);
        let withdrawn = noted.withdrawn.as_deref().map(parts).unwrap_or_default();
        let until = noted.until.as_deref().map(number).transpose()?.map_or(at, ClockTime);
        Ok(Spend {
            at,
            until,
            orders,
            resting: noted.resting.as_deref().map_or(Ok(0), number)?,
            notional_usd: notional.map(sum).transpose()?,
            order_keys,
            id_keys: ids.iter().map(id_key).collect(),
            withdrawn: withdrawn.iter().map(|out| moved(out)).collect::<Result<_, _>>()?,
        })
    }
}

/// Reads a whole number.
///
/// # Errors
///
/// [`Foreign`].
pub fn number(text: &str) -> Result<u64, Foreign> {
    text.parse().map_err(|_| Foreign("a number"))
}

/// Reads an amount. Sums and products may have more digits before the point than venues take.
fn sum(text: &str) -> Result<Money, Foreign> {
    const DIGITS: usize = 18;
    let read = || {
        let whole = text.find('.').unwrap_or(text.len());
        let Some(split) = whole.checked_sub(DIGITS).filter(|split| *split > 0) else {
            return text.parse::<Money>().ok();
        };
        let (high, low) = text.split_at_checked(split)?;
        let high: Money = high.parse().ok()?;
        let low: Money = low.parse().ok()?;
        high.checked_mul(Money::whole(10u64.pow(DIGITS as u32)))?.checked_add(low)
    };
    read().ok_or(Foreign("an amount"))
}

fn moved(text: &str) -> Result<Withdrawn, Foreign> {
    let read = || {
        let (venue, rest) = text.split_once(':')?;
        let (asset, amount) = rest.rsplit_once(':')?;
        let venue = venue.parse().ok()?;
        Some(Withdrawn { venue, asset: asset.to_owned(), amount: sum(amount).ok()? })
    };
    read().ok_or(Foreign("a withdrawal"))
}
