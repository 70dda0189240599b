//! What is wrong with a key, and what to do about it.

use std::fmt;
use std::time::Duration;

use vault_model::Timestamp;

use super::KeyFacts;
use crate::catalog::Catalog;

/// How long before its end a key is spoken of.
const EXPIRES_SOON: Duration = Duration::from_secs(14 * 24 * 3_600);

/// How bad a finding is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// Somebody has to act now.
    Alarm,
    /// Somebody should act.
    Warning,
    /// Worth knowing.
    Note,
}

impl Severity {
    /// The word as people write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alarm => "alarm",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something about a key that its owner should know.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// `A-Z_`.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What was found.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// All that was found, the worst first.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Findings {
    /// Empty: nothing to do.
    pub list: Vec<Finding>,
    /// The key may do what is not stated of it: closures of its signatures leave that out.
    pub drifted: bool,
}

impl Findings {
    /// Whether funds may be able to leave with this key.
    pub fn allows_withdrawals(&self) -> bool {
        let codes = ["WITHDRAWALS_ENABLED", "WITHDRAWALS_UNKNOWN"];
        self.list.iter().any(|finding| codes.contains(&finding.code))
    }

    fn add(&mut self, code: &'static str, severity: Severity, message: String, hint: String) {
        self.list.push(Finding { code, severity, message, hint });
    }
}

/// Holds what a venue says of a key against what is stated of it (absent: nothing, so that all
/// rights count as held).
pub(crate) fn findings(
    catalog: &Catalog,
    facts: &KeyFacts,
    stated: Option<&[String]>,
    now: Timestamp,
) -> Findings {
    let rule = catalog.own.check.as_ref();
    let place = Place {
        title: &catalog.title,
        manage: rule.map_or("its API key management", |rule| rule.manage.as_str()),
    };
    let withdraw = rule.map_or(&[][..], |rule| &rule.withdraw);
    let transfer = rule.map_or(&[][..], |rule| &rule.transfer);
    let mut found = Findings::default();
    funds(&mut found, facts, &place, withdraw, transfer);
    against_stated(&mut found, facts, &place, stated);
    address(&mut found, facts, &place);
    expiry(&mut found, facts, &place, now);
    if facts.nonce_window {
        found.add(
            "NONCE_WINDOW",
            Severity::Alarm,
            "the key has a nonce window, or the venue does not say that it has none: a signature \
             may be taken out of its order, and caps over several orders do not hold in mode sign"
                .to_owned(),
            place.at("set the nonce window to 0, or make a key without one"),
        );
    }
    found.list.sort_by_key(|finding| finding.severity);
    found
}

/// That a venue could not be asked.
pub(crate) fn not_possible(catalog: &Catalog, problem: &str) -> Finding {
    let title = &catalog.title;
    let (severity, message, hint) = match problem {
        "CHECK_NOT_POSSIBLE" => (
            Severity::Note,
            format!("{title} cannot be asked what this kind of key may do"),
            format!("look at {title}, and state the rights of the key at its import"),
        ),
        "NOT_PERMITTED" => (
            Severity::Warning,
            format!("{title} does not tell this key what it may do"),
            "see that the key is known, enabled, of this environment and site, and open to the \
             address that the vault sends from; then check again"
                .to_owned(),
        ),
        "NO_ANSWER" => (
            Severity::Warning,
            format!("{title} gave no answer"),
            "check again; `vaultctl doctor` shows whether the venue is within reach".to_owned(),
        ),
        _ => (
            Severity::Warning,
            format!("the answer of {title} cannot be used: {problem}"),
            format!("look at {title} what the key may do; its answers may have a new form"),
        ),
    };
    Finding { code: "CHECK_NOT_POSSIBLE", severity, message, hint }
}

/// Where a key is changed.
struct Place<'a> {
    title: &'a str,
    manage: &'a str,
}

impl Place<'_> {
    /// What to do there.
    fn at(&self, what: &str) -> String {
        format!("at {} ({}): {what}; then check again", self.title, self.manage)
    }
}

/// Whether funds can leave, or move.
fn funds(
    found: &mut Findings,
    facts: &KeyFacts,
    place: &Place<'_>,
    withdraw: &[String],
    transfer: &[String],
) {
    let held = |rights: &[String]| {
        let held = |right: &&String| facts.rights.contains(right);
        words(rights.iter().filter(held))
    };
    let sounds_like_it = |word: &&String| word.to_ascii_lowercase().contains("withdraw");
    let foreign: Vec<&String> = facts.foreign.iter().filter(sounds_like_it).collect();
    match facts.withdrawals {
        Some(false) if foreign.is_empty() => {}
        // A new word for it, or for a part of it, which the catalogue does not have yet.
        Some(false) => found.add(
            "WITHDRAWALS_UNKNOWN",
            Severity::Alarm,
            format!(
                "the key may be able to withdraw funds, by rights that this version does not \
                 know: {}",
                words(foreign)
            ),
            place.at("take these rights away; a trading bot needs none of them"),
        ),
        Some(true) => found.add(
            "WITHDRAWALS_ENABLED",
            Severity::Alarm,
            format!("the key can withdraw funds: {}", held(withdraw)),
            place.at("switch this right off; a trading bot needs none"),
        ),
        None => found.add(
            "WITHDRAWALS_UNKNOWN",
            Severity::Alarm,
            format!(
                "the venue does not say whether the key can withdraw funds: {}",
                words(withdraw)
            ),
            place.at("see that this right is off"),
        ),
    }
    if facts.transfers == Some(true) {
        found.add(
            "TRANSFERS_ENABLED",
            Severity::Note,
            format!("the key can move funds between accounts of its owner: {}", held(transfer)),
            place.at("if no client is to do that, take this right away"),
        );
    }
}

/// Against what is stated of the key.
fn against_stated(
    found: &mut Findings,
    facts: &KeyFacts,
    place: &Place<'_>,
    stated: Option<&[String]>,
) {
    if !facts.foreign.is_empty() {
        found.add(
            "RIGHT_UNKNOWN",
            Severity::Warning,
            format!("rights that this version does not know: {}", words(&facts.foreign)),
            place.at("take them away unless a client needs them"),
        );
    }
    let Some(stated) = stated else {
        if !facts.rights.is_empty() {
            found.add(
                "RIGHTS_NOT_STATED",
                Severity::Note,
                "no rights are stated, so that a signature counts for all that any key could do"
                    .to_owned(),
                format!("import the credential anew with its rights: {}", words(&facts.rights)),
            );
        }
        return;
    };
    let beyond = |rights: &[String]| -> Vec<String> {
        rights.iter().filter(|right| !stated.contains(right)).cloned().collect()
    };
    let not_stated = beyond(&facts.rights);
    if !not_stated.is_empty() {
        found.drifted = true;
        found.add(
            "RIGHT_NOT_STATED",
            Severity::Alarm,
            format!("the key can do more than is stated: {}", words(&not_stated)),
            place.at("take these rights away, or import the credential anew with them"),
        );
    }
    let unsaid = beyond(&facts.unsaid);
    if !unsaid.is_empty() {
        found.drifted = true;
        found.add(
            "RIGHT_UNSAID",
            Severity::Alarm,
            format!("the venue no longer says whether the key has: {}", words(&unsaid)),
            place.at("look, and import the credential anew with the rights that it has"),
        );
    }
    let unseen = beyond(&facts.unseen);
    if !unseen.is_empty() {
        found.add(
            "RIGHT_UNSAID",
            Severity::Note,
            format!("the venue does not say whether the key has: {}", words(&unseen)),
            place.at("look; if it has them, import the credential anew with them"),
        );
    }
    let silent = |right: &&String| facts.unsaid.contains(right) || facts.unseen.contains(right);
    let missing: Vec<&String> =
        stated.iter().filter(|right| !facts.rights.contains(right) && !silent(right)).collect();
    if !missing.is_empty() {
        found.add(
            "RIGHT_MISSING",
            Severity::Note,
            format!("stated, and not held: {}", words(missing)),
            "import the credential anew without these rights: what its signatures could do \
             becomes less"
                .to_owned(),
        );
    }
}

/// From where the key works.
fn address(found: &mut Findings, facts: &KeyFacts, place: &Place<'_>) {
    match facts.ip_bound {
        Some(true) => {}
        Some(false) => found.add(
            "NO_IP_BINDING",
            Severity::Warning,
            "the key works from every address: who copies it can use it without the vault"
                .to_owned(),
            place.at("bind the key to the addresses that the vault sends from"),
        ),
        None => found.add(
            "IP_BINDING_UNKNOWN",
            Severity::Note,
            format!("{} does not say whether the key is bound to addresses", place.title),
            place.at("see that the key is bound to the addresses that the vault sends from"),
        ),
    }
}

/// When the key ends.
fn expiry(found: &mut Findings, facts: &KeyFacts, place: &Place<'_>, now: Timestamp) {
    let renew = "make a new key or prolong this one, and import it as a new version";
    match facts.expires_at {
        Some(at) if at <= now => found.add(
            "EXPIRED",
            Severity::Alarm,
            format!("the key has ended at {at}"),
            place.at(renew),
        ),
        Some(at) if at < now.plus(EXPIRES_SOON) => found.add(
            "EXPIRES_SOON",
            Severity::Warning,
            format!("the key ends at {at}"),
            place.at(renew),
        ),
        Some(_) => {}
        None if facts.expiry_unread => found.add(
            "EXPIRY_UNKNOWN",
            Severity::Warning,
            "the key ends, at a time that cannot be read".to_owned(),
            place.at("look when it ends"),
        ),
        None => {}
    }
}

/// Words in a row.
fn words<'a>(words: impl IntoIterator<Item = &'a String>) -> String {
    words.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}
