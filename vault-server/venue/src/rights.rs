//! What a key may do, as its venue says it. Pure: nothing is asked here.
//!
//! An answer is the venue's, and may lack what it had yesterday: whatever it should say and does
//! not is taken as the worst case, and never as fine.

mod finding;

use vault_model::Timestamp;

pub use finding::{Finding, Findings, Severity};
pub(crate) use finding::{findings, not_possible};

use crate::catalog::{Catalog, CheckRule, TimeForm};
use crate::key::KeyType;
use crate::own::{self, Account, Answer, OwnRequest};

/// The longest word of a venue that is repeated, in bytes.
const WORD_BYTES_MAX: usize = 64;

/// What venues write for addresses that are all of them. At Bybit `"ips":["*"]` "means no bind".
///
/// Source: bybit-exchange/docs at 072c197d0c11b4d9a88d1dd0c7b9d7ca8ea3a996,
/// `docs/v5/user/modify-sub-apikey.mdx`, `list-sub-apikeys.mdx`; the others are what networks that
/// hold every address are written as.
const EVERYWHERE: &[&str] = &["*", "0.0.0.0", "0.0.0.0/0", "::", "::/0"];

/// The most words that are repeated.
const WORDS_MAX: usize = 64;

/// What a venue says of a key.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct KeyFacts {
    /// The rights that it holds, in the catalogue's words and order.
    pub rights: Vec<String>,
    /// Rights of which the answer should say something, and does not: they may be held.
    pub unsaid: Vec<String>,
    /// The same for rights that not every document of the venue has in the answer.
    pub unseen: Vec<String>,
    /// The venue's words for rights that the catalogue does not have.
    pub foreign: Vec<String>,
    /// Whether funds can leave; absent: not said.
    pub withdrawals: Option<bool>,
    /// Whether funds can move between the owner's accounts; absent: not said.
    pub transfers: Option<bool>,
    /// Whether it works from some addresses only; absent: this venue never says.
    pub ip_bound: Option<bool>,
    /// When it ends; absent: not said, or never.
    pub expires_at: Option<Timestamp>,
    /// It ends, at a time that cannot be read.
    pub expiry_unread: bool,
    /// The venue takes nonces of this key that are too small, or does not say that it refuses them.
    pub nonce_window: bool,
}

/// The request that asks what a key may do; absent where the venue cannot be asked.
pub(crate) fn check(
    catalog: &Catalog,
    account: Account<'_>,
    key_type: KeyType,
) -> Option<OwnRequest> {
    let (answer, rule) = (catalog.own.answer.as_ref()?, catalog.own.check.as_ref()?);
    let asks_for = rule.key_types.is_empty() || rule.key_types.contains(&key_type);
    if !asks_for || !rule.environments.contains(&account.environment) {
        return None;
    }
    let request = own::request(catalog, account, &rule.ask, &rule.ask.all)?;
    let operation = catalog.operation(&rule.ask.method, &rule.ask.path)?.name.clone();
    let report_at = std::iter::once(&answer.at).chain(rule.pointers()).cloned().collect();
    Some(OwnRequest {
        request,
        operation,
        report_at,
        rule: None,
        is_look: false,
        symbol: None,
        order_count: 0,
        rounds: 1,
        name: "key rights".to_owned(),
    })
}

/// Reads what the venue answered.
///
/// # Errors
///
/// A code: see [`Answer::judge`]; `ANSWER_CUT`, `ANSWER_UNREADABLE`; `CHECK_NOT_POSSIBLE` for a
/// venue that cannot be asked.
pub(crate) fn facts(catalog: &Catalog, answer: &Answer) -> Result<KeyFacts, &'static str> {
    let (Some(judge), Some(rule)) = (&catalog.own.answer, &catalog.own.check) else {
        return Err("CHECK_NOT_POSSIBLE");
    };
    answer.judge(judge)?;
    if answer.cut {
        return Err("ANSWER_CUT");
    }
    let mut said = Said { answer, next: 1 };
    let mut facts = KeyFacts::default();
    flags(rule, &mut said, &mut facts)?;
    lists(catalog, rule, &mut said, &mut facts)?;
    facts.rights.sort_by_key(|right| catalog.rights.iter().position(|known| known == right));
    facts.rights.dedup();

    let read_only = rule.read_only.as_ref().is_some_and(|says| said.one().is_yes(&says.yes));
    facts.ip_bound = rule.ip.as_ref().map(|says| {
        let at = said.one();
        let mut addresses = at.all().flat_map(|text| text.split(',')).map(str::trim);
        at.is_yes(&says.yes) && !addresses.any(|address| EVERYWHERE.contains(&address))
    });
    if let Some(expiry) = &rule.expires {
        let at = said.one();
        let ends = at.first().filter(|text| !expiry.never.iter().any(|never| never == text));
        facts.expires_at = ends.and_then(|text| time(text, expiry.form));
        facts.expiry_unread = ends.is_some() && facts.expires_at.is_none();
    }
    facts.nonce_window =
        rule.nonce_window.is_some() && said.one().first().is_none_or(|text| text != "0");

    let holds = |rights: &[String]| {
        let any = |of: &[String]| rights.iter().any(|right| of.contains(right));
        if any(&facts.rights) {
            Some(!read_only)
        } else if any(&facts.unsaid) || any(&facts.unseen) {
            None
        } else {
            Some(false)
        }
    };
    (facts.withdrawals, facts.transfers) = (holds(&rule.withdraw), holds(&rule.transfer));
    Ok(facts)
}

/// Rights that are said one by one.
fn flags(rule: &CheckRule, said: &mut Said<'_>, facts: &mut KeyFacts) -> Result<(), &'static str> {
    let mut any = rule.flags.is_empty();
    for (right, _) in &rule.flags {
        let value = said.one();
        match value.first() {
            Some("true") => facts.rights.push(right.clone()),
            Some("false") => {}
            _ if rule.optional.contains(right) => facts.unseen.push(right.clone()),
            _ => facts.unsaid.push(right.clone()),
        }
        any |= value.first().is_some();
    }
    // Not one of them: that is no answer to this question.
    if any { Ok(()) } else { Err("ANSWER_UNREADABLE") }
}

/// Rights that are listed.
fn lists(
    catalog: &Catalog,
    rule: &CheckRule,
    said: &mut Said<'_>,
    facts: &mut KeyFacts,
) -> Result<(), &'static str> {
    let mut any = false;
    for _ in &rule.lists {
        for text in said.one().all() {
            let separator = rule.separator.as_deref();
            let words = separator.map_or_else(|| vec![text], |by| text.split(by).collect());
            for word in words.into_iter().map(str::trim) {
                any = true;
                let right = rule.words.get(word).map_or(word, String::as_str);
                if catalog.rights.iter().any(|known| known == right) {
                    facts.rights.push(right.to_owned());
                } else if facts.foreign.len() < WORDS_MAX {
                    facts.foreign.push(plain(word));
                }
            }
        }
    }
    facts.foreign.sort();
    facts.foreign.dedup();
    let is_present = rule.present.is_some() && said.one().first().is_some();
    // A list that is empty and one that is not there look alike.
    if rule.lists.is_empty() || any || is_present { Ok(()) } else { Err("ANSWER_UNREADABLE") }
}

/// A venue's word, as it can be shown to people.
fn plain(word: &str) -> String {
    let is_plain = (1..=WORD_BYTES_MAX).contains(&word.len())
        && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_. :".contains(&b));
    if is_plain { word.to_owned() } else { "(not plain)".to_owned() }
}

/// The values of an answer, in the order of [`CheckRule::pointers`].
struct Said<'a> {
    answer: &'a Answer,
    next: usize,
}

impl<'a> Said<'a> {
    /// What is at the next pointer.
    fn one(&mut self) -> At<'a> {
        let at = self.next;
        self.next += 1;
        At { answer: self.answer, at }
    }
}

/// What is at one pointer.
struct At<'a> {
    answer: &'a Answer,
    at: usize,
}

impl<'a> At<'a> {
    fn all(&self) -> impl Iterator<Item = &'a str> {
        self.answer.at(self.at)
    }

    fn first(&self) -> Option<&'a str> {
        self.all().next()
    }

    /// Whether one of these words is there; without any: whether something is.
    fn is_yes(&self, words: &[String]) -> bool {
        self.first().is_some_and(|text| words.is_empty() || words.iter().any(|word| word == text))
    }
}

/// A time as a venue writes it.
fn time(text: &str, form: TimeForm) -> Option<Timestamp> {
    let number = || text.parse::<i64>().ok().filter(|number| *number > 0);
    match form {
        TimeForm::Iso => {
            let at = chrono::DateTime::parse_from_rfc3339(text).ok()?;
            Some(Timestamp(at.timestamp_micros()))
        }
        TimeForm::Milliseconds => number().map(Timestamp::from_millis),
        TimeForm::Seconds => {
            number().map(|seconds| Timestamp::from_millis(seconds.saturating_mul(1_000)))
        }
    }
}
