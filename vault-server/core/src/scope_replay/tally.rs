//! What a replay has found so far.

use std::collections::HashMap;
use std::fmt::Write as _;

use vault_model::{Leg, Name, Timestamp};

use super::recorded::{Content, Recorded};

/// What a candidate would make of a request that it does not answer as it was answered.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Becomes {
    /// It was signed, and would be denied.
    Denied,
    /// It was denied, and would be signed.
    Allowed,
    /// The log does not say enough.
    Unknown,
}

impl Becomes {
    /// Its word: `denied`, `allowed`, `unknown`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Unknown => "unknown",
        }
    }
}

/// Requests that change alike.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// What they become.
    pub becomes: Becomes,
    /// Why: the candidate's reason; of what becomes allowed the one that was recorded; of what is
    /// unknown what is missing.
    pub reason: String,
    /// The stated operation; empty if it was not recorded.
    pub operation: String,
    /// How many.
    pub count: u64,
    /// Index in the log of the first.
    pub first_index: u64,
    /// Its client.
    pub first_client: Name,
    /// What it was, for people.
    pub first_words: String,
    /// When it was.
    pub first_at: Timestamp,
}

/// What a replay has found.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Report {
    /// Whether there is no more to come.
    pub finished: bool,
    /// Why it ended early; empty if it did not.
    pub error: &'static str,
    /// Requests judged.
    pub judged: u64,
    /// Those that are answered as they were.
    pub same: u64,
    /// Those that would be denied now.
    pub now_denied: u64,
    /// Those that would be allowed now.
    pub now_allowed: u64,
    /// Those of which the log does not say enough.
    pub unknown: u64,
    /// What changes, the most frequent first within each kind; [`CHANGES_MAX`] of them at most.
    pub changes: Vec<Change>,
}

/// What is kept of changes. The counts of a [`Report`] know of the rest too.
pub const CHANGES_MAX: usize = 200;

/// Counts.
#[derive(Default)]
pub struct Tally {
    report: Report,
    groups: HashMap<(Becomes, String, String), usize>,
}

impl Tally {
    /// One more is answered as it was.
    pub fn same(&mut self) {
        self.report.judged += 1;
        self.report.same += 1;
    }

    /// One more is not.
    pub fn changed(&mut self, becomes: Becomes, reason: &str, recorded: &Recorded) {
        let report = &mut self.report;
        report.judged += 1;
        match becomes {
            Becomes::Allowed => report.now_allowed += 1,
            Becomes::Denied => report.now_denied += 1,
            Becomes::Unknown => report.unknown += 1,
        }
        let operation = match &recorded.request {
            Content::Request(request) => &*request.reading.stated.operation,
            Content::Foreign(operation) => operation,
            Content::Nothing => "",
        };
        let group = (becomes, reason.to_owned(), operation.to_owned());
        if let Some(change) = self.groups.get(&group).and_then(|at| report.changes.get_mut(*at)) {
            change.count += 1;
        } else if report.changes.len() < CHANGES_MAX {
            report.changes.push(Change {
                becomes,
                reason: reason.to_owned(),
                operation: operation.to_owned(),
                count: 1,
                first_index: recorded.index,
                first_client: recorded.client.clone(),
                first_words: words(recorded),
                first_at: recorded.at,
            });
            self.groups.insert(group, report.changes.len() - 1);
        }
    }

    /// What was found so far, in order.
    pub fn report(&self) -> Report {
        let mut report = self.report.clone();
        report.changes.sort_by_key(|change| {
            (change.becomes, std::cmp::Reverse(change.count), change.first_index)
        });
        report
    }
}

/// A request as people say it: `buy 0.5 BTC-USDT limit 60000, okx-main, 2026-11-22T06:30:00.000Z`.
fn words(recorded: &Recorded) -> String {
    let mut words = String::new();
    match &recorded.request {
        Content::Request(request) => {
            let stated = &request.reading.stated;
            match stated.legs.as_slice() {
                [] => words += &stated.operation,
                [first, more @ ..] => {
                    words += &order(first);
                    if !more.is_empty() {
                        let _ = write!(words, " and {} more", more.len());
                    }
                }
            }
            let _ = write!(words, ", {}", request.credential);
        }
        Content::Foreign(operation) => words += operation,
        Content::Nothing => words += "not recorded",
    }
    if let Some((cut, _)) = words.char_indices().nth(WORDS_MAX) {
        words.truncate(cut);
    }
    let _ = write!(words, ", {}", recorded.at);
    words
}

fn order(leg: &Leg) -> String {
    let mut parts: Vec<String> = Vec::new();
    if leg.amends {
        parts.push("amend".to_owned());
    }
    parts.extend(leg.side.map(|side| side.to_string()));
    match (&leg.quantity, &leg.quote_quantity) {
        (Some(quantity), _) => parts.push(quantity.clone()),
        (None, Some(quantity)) => parts.push(format!("for {quantity} of")),
        (None, None) => {}
    }
    parts.extend(leg.symbol.clone());
    let order_type = leg.order_type.map(|word| word.to_string().to_lowercase().replace('_', "-"));
    parts.extend(order_type);
    parts.extend(leg.price.clone());
    parts.extend(leg.trigger_price.as_ref().map(|price| format!("behind {price}")));
    parts.extend(leg.leverage.as_ref().map(|leverage| format!("at {leverage}x")));
    if leg.reduce_only == Some(true) {
        parts.push("reduce-only".to_owned());
    }
    parts.join(" ")
}

/// Characters of the request in the words for the first of a group.
const WORDS_MAX: usize = 160;
