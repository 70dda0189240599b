//! What the vault asks a venue of its own accord: what a key may do (`[check]`), and how open
//! orders are found and cancelled (`[[cancel_all]]`). Only the head of a catalogue says it, so that
//! an operator's addition cannot make the vault send anything.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;
use vault_model::{Class, Environment};

use super::compile::cited;
use super::raw::OneOrMany;
use super::{Catalog, head};
use crate::key::KeyType;

/// How often open orders are looked for again, where the catalogue does not say.
const ROUNDS: u32 = 5;

/// What the vault asks of its own accord.
#[derive(Debug, Default)]
pub(crate) struct Own {
    pub answer: Option<AnswerRule>,
    pub check: Option<CheckRule>,
    pub cancel_all: Vec<CancelRule>,
}

/// What tells an answer that can be used from an error.
#[derive(Debug)]
pub(crate) struct AnswerRule {
    /// Where it says so.
    pub at: String,
    /// What may stand there if all is well.
    pub ok: Vec<String>,
    /// Whether all is well too if nothing stands there.
    pub silent: bool,
    /// Errors that mean that the key may not.
    pub not_permitted: Vec<String>,
}

/// How a venue says what a key may do.
#[derive(Debug)]
pub(crate) struct CheckRule {
    pub environments: Vec<Environment>,
    /// Types of keys that can be asked for; empty: all.
    pub key_types: Vec<KeyType>,
    pub ask: Ask,
    /// Where an operator changes it.
    pub manage: String,
    /// Rights that let funds out.
    pub withdraw: Vec<String>,
    /// Rights that move funds between accounts of the owner.
    pub transfer: Vec<String>,
    /// Rights, each with the place that says `true` or `false`.
    pub flags: Vec<(String, String)>,
    /// Flags that some documents of the venue do not have.
    pub optional: Vec<String>,
    /// Places that list rights, in the venue's words.
    pub lists: Vec<String>,
    /// What parts the words of one text in `lists`.
    pub separator: Option<String>,
    /// Something that is there whatever the key may do.
    pub present: Option<String>,
    /// The venue's word, and the right that it means; others mean themselves.
    pub words: BTreeMap<String, String>,
    pub read_only: Option<Says>,
    pub ip: Option<Says>,
    pub expires: Option<Expiry>,
    /// Where the nonce window is; anything but 0 lets nonces in that are too small.
    pub nonce_window: Option<String>,
}

impl CheckRule {
    /// Everything that is read of an answer, in a fixed order: flags, lists, `present`, `read_only`,
    /// `ip`, `expires`, `nonce_window`.
    pub(crate) fn pointers(&self) -> impl Iterator<Item = &String> {
        let says = [&self.read_only, &self.ip].into_iter().flatten().map(|says| &says.at);
        let expires = self.expires.iter().map(|expiry| &expiry.at);
        let flags = self.flags.iter().map(|(_, at)| at);
        let first = flags.chain(&self.lists).chain(&self.present);
        first.chain(says).chain(expires).chain(&self.nonce_window)
    }
}

/// A place, and the words there that mean yes; none: whatever stands there means yes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Says {
    pub at: String,
    #[serde(default)]
    pub yes: Vec<String>,
}

/// Where the end of a key is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expiry {
    pub at: String,
    pub form: TimeForm,
    /// Words that mean that it has no end.
    #[serde(default)]
    pub never: Vec<String>,
}

/// How a time is written.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TimeForm {
    /// RFC 3339.
    Iso,
    /// Since the epoch.
    Milliseconds,
    /// Since the epoch.
    Seconds,
}

/// A request without a host.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub method: String,
    pub path: String,
    /// With all that the credential has; `{symbol}`, `{id}` and `{items}` are filled in.
    pub all: Parameters,
    /// With one symbol only.
    pub one: Option<Parameters>,
}

/// The parameters of a request, of which only one place has any.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parameters {
    pub query: String,
    pub body: String,
}

impl Parameters {
    /// Whether a place to fill in is among them.
    pub(crate) fn mentions(&self, place: &str) -> bool {
        self.query.contains(place) || self.body.contains(place)
    }
}

/// How the open orders of one kind are found and cancelled.
#[derive(Debug)]
pub(crate) struct CancelRule {
    /// What they are, for people.
    pub name: String,
    pub environments: Vec<Environment>,
    /// Rights of which a key needs one; empty: none is known.
    pub rights: Vec<String>,
    /// They can only be found by their symbol.
    pub by_symbol_only: bool,
    pub rounds: u32,
    /// Absent: cancelled without looking.
    pub look: Option<LookRule>,
    pub cancel: Ask,
    /// One order of a batch, and how many a batch takes.
    pub item: Option<(String, usize)>,
    /// Where the answer to a cancel says how many there were.
    pub count: Option<String>,
}

/// How open orders are found.
#[derive(Debug)]
pub(crate) struct LookRule {
    pub ask: Ask,
    /// Where the symbols are.
    pub symbol: Option<String>,
    /// Where the ids are.
    pub id: Option<String>,
    /// How many orders one answer has at most; absent: all.
    pub page: Option<u32>,
}

/// As written.
#[derive(Default)]
pub(super) struct RawOwn {
    pub answer: Option<RawAnswer>,
    pub check: Option<RawCheck>,
    pub cancel_all: Vec<RawCancelAll>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAnswer {
    source: String,
    at: String,
    #[serde(default)]
    ok: Vec<String>,
    #[serde(default)]
    silent: bool,
    #[serde(default)]
    not_permitted: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCheck {
    source: String,
    method: String,
    path: String,
    manage: String,
    #[serde(default)]
    environments: Vec<String>,
    #[serde(default)]
    key_types: Vec<String>,
    withdraw: Vec<String>,
    transfer: Vec<String>,
    #[serde(default)]
    flags: BTreeMap<String, String>,
    #[serde(default)]
    optional: Vec<String>,
    #[serde(default)]
    lists: Vec<String>,
    #[serde(default)]
    separator: Option<String>,
    #[serde(default)]
    present: Option<String>,
    #[serde(default)]
    words: BTreeMap<String, String>,
    #[serde(default)]
    read_only: Option<Says>,
    #[serde(default)]
    ip: Option<Says>,
    #[serde(default)]
    expires: Option<Expiry>,
    #[serde(default)]
    nonce_window: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCancelAll {
    name: String,
    source: String,
    #[serde(default)]
    environments: Vec<String>,
    #[serde(default)]
    right: Option<OneOrMany>,
    #[serde(default)]
    by_symbol_only: bool,
    #[serde(default)]
    rounds: Option<u32>,
    #[serde(default)]
    look: Option<RawLook>,
    cancel: RawCancel,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLook {
    method: String,
    path: String,
    #[serde(default)]
    query: String,
    #[serde(default)]
    one_query: Option<String>,
    #[serde(default)]
    symbol: Option<String>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    page: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCancel {
    method: String,
    path: String,
    #[serde(default)]
    query: String,
    #[serde(default)]
    body: String,
    #[serde(default)]
    one_body: Option<String>,
    #[serde(default)]
    item: Option<String>,
    #[serde(default)]
    items_max: Option<usize>,
    #[serde(default)]
    count: Option<String>,
}

/// Checks it against the rest of the catalogue.
pub(super) fn own(raw: RawOwn, catalog: &Catalog) -> Result<Own, String> {
    let answer = raw.answer.map(|raw| answer(raw, catalog)).transpose()?;
    if answer.is_none() && (raw.check.is_some() || !raw.cancel_all.is_empty()) {
        return Err("check and cancel_all want [answer]".to_owned());
    }
    let check = raw.check.map(|raw| check(raw, catalog)).transpose()?;
    let mut names = HashSet::new();
    let mut rules = Vec::with_capacity(raw.cancel_all.len());
    for raw in raw.cancel_all {
        let name = raw.name.clone();
        if !names.insert(name.clone()) {
            return Err(format!("cancel_all {name}: stated twice"));
        }
        rules.push(cancel_rule(raw, catalog).map_err(|what| format!("cancel_all {name}: {what}"))?);
    }
    Ok(Own { answer, check, cancel_all: rules })
}

fn answer(raw: RawAnswer, catalog: &Catalog) -> Result<AnswerRule, String> {
    let RawAnswer { source, at, ok, silent, not_permitted } = raw;
    cited(&catalog.sources, &source).map_err(|what| format!("answer: {what}"))?;
    if !is_report(&at) || at.contains('*') {
        return Err(format!("answer: {at} leads to no one member"));
    }
    if ok.is_empty() && !silent {
        return Err("answer: wants ok, silent or both".to_owned());
    }
    Ok(AnswerRule { at, ok, silent, not_permitted })
}

fn check(raw: RawCheck, catalog: &Catalog) -> Result<CheckRule, String> {
    let within = |what: String| format!("check: {what}");
    cited(&catalog.sources, &raw.source).map_err(within)?;
    let ask = Ask { method: raw.method, path: raw.path, all: Parameters::default(), one: None };
    operation(&ask, Class::Read, catalog).map_err(within)?;
    let rule = CheckRule {
        environments: environments(&raw.environments, catalog).map_err(within)?,
        key_types: key_types(&raw.key_types, catalog).map_err(within)?,
        ask,
        manage: raw.manage,
        withdraw: raw.withdraw,
        transfer: raw.transfer,
        flags: raw.flags.into_iter().collect(),
        optional: raw.optional,
        lists: raw.lists,
        separator: raw.separator,
        present: raw.present,
        words: raw.words,
        read_only: raw.read_only,
        ip: raw.ip,
        expires: raw.expires,
        nonce_window: raw.nonce_window,
    };
    sound(&rule, catalog).map_err(within)?;
    Ok(rule)
}

/// A rule names what the catalogue has, and can tell an answer from something else.
fn sound(rule: &CheckRule, catalog: &Catalog) -> Result<(), String> {
    if let Some(pointer) = rule.pointers().find(|pointer| !is_report(pointer)) {
        return Err(format!("{pointer} is no JSON pointer with at most one *"));
    }
    let flags = || rule.flags.iter().map(|(right, _)| right);
    let mut named = (flags().chain(&rule.withdraw).chain(&rule.transfer))
        .chain(rule.words.values())
        .chain(&rule.optional);
    if let Some(right) = named.find(|right| !catalog.rights.contains(right)) {
        return Err(format!("right {right} is not in rights"));
    }
    if rule.flags.is_empty() == rule.lists.is_empty() {
        return Err("wants either flags or lists".to_owned());
    }
    // Without something that is always there, an answer of another form is a key without rights.
    if !rule.lists.is_empty() && rule.present.is_none() && rule.separator.is_none() {
        return Err("lists want present".to_owned());
    }
    match rule.optional.iter().find(|right| !flags().any(|flag| flag == *right)) {
        None => Ok(()),
        Some(right) => Err(format!("{right} is optional and no flag")),
    }
}

fn cancel_rule(raw: RawCancelAll, catalog: &Catalog) -> Result<CancelRule, String> {
    cited(&catalog.sources, &raw.source)?;
    let rights = raw.right.map(OneOrMany::into_vec).unwrap_or_default();
    if let Some(right) = rights.iter().find(|right| !catalog.rights.contains(right)) {
        return Err(format!("right {right} is not in rights"));
    }
    let look = raw.look.map(|raw| look(raw, catalog)).transpose()?;
    let RawCancel { method, path, query, body, one_body, item, items_max, count } = raw.cancel;
    let one = one_body.map(|body| Parameters { query: String::new(), body });
    let cancel = Ask { method, path, all: Parameters { query, body }, one };
    operation(&cancel, Class::Cancel, catalog)?;
    let item = match (item, items_max) {
        (Some(item), Some(max)) if max > 0 => Some((item, max)),
        (None, None) => None,
        _ => return Err("item and items_max go together".to_owned()),
    };
    let in_item = |place| item.as_ref().is_some_and(|(item, _)| item.contains(place));
    let fills = |place| cancel.all.mentions(place) || in_item(place);
    if cancel.all.mentions("{items}") != item.is_some() {
        return Err("items and item go together".to_owned());
    }
    let symbols = look.as_ref().is_some_and(|look| look.symbol.is_some());
    let ids = look.as_ref().is_some_and(|look| look.id.is_some());
    if (fills("{symbol}") && !symbols) || (fills("{id}") && !ids) {
        return Err("the cancel names what the look does not report".to_owned());
    }
    // What is asked for one symbol must never be answered by cancelling all.
    let narrow = cancel.one.is_some() || fills("{symbol}") || fills("{id}");
    let looks_narrow = look.as_ref().is_some_and(|look| look.ask.one.is_some());
    if looks_narrow && !(narrow && symbols) {
        return Err("one symbol can be found, and not cancelled alone".to_owned());
    }
    if raw.by_symbol_only && !looks_narrow {
        return Err("by_symbol_only wants one_query".to_owned());
    }
    if let Some(count) = count.as_ref().filter(|count| !is_report(count)) {
        return Err(format!("{count} is no JSON pointer with at most one *"));
    }
    Ok(CancelRule {
        name: raw.name,
        environments: environments(&raw.environments, catalog)?,
        rights,
        by_symbol_only: raw.by_symbol_only,
        rounds: raw.rounds.unwrap_or(ROUNDS),
        look,
        cancel,
        item,
        count,
    })
}

fn look(raw: RawLook, catalog: &Catalog) -> Result<LookRule, String> {
    let RawLook { method, path, query, one_query, symbol, id, page } = raw;
    let parameters = |query| Parameters { query, body: String::new() };
    let ask = Ask { method, path, all: parameters(query), one: one_query.map(parameters) };
    operation(&ask, Class::Read, catalog)?;
    let pointers: Vec<_> = symbol.iter().chain(&id).collect();
    if pointers.is_empty() {
        return Err("the look reports nothing".to_owned());
    }
    match pointers.into_iter().find(|pointer| !(is_report(pointer) && pointer.contains('*'))) {
        None => Ok(LookRule { ask, symbol, id, page }),
        Some(pointer) => Err(format!("{pointer} is no JSON pointer with one *")),
    }
}

/// A request names an operation of this class that is signed and goes over HTTPS.
fn operation(ask: &Ask, class: Class, catalog: &Catalog) -> Result<(), String> {
    let name = format!("{} {}", ask.method, ask.path);
    let operation = catalog.operation(&ask.method, &ask.path);
    let operation = operation.ok_or_else(|| format!("{name} is no operation"))?;
    if operation.class == class && operation.signed && !operation.is_socket() {
        Ok(())
    } else {
        Err(format!("{name} is no signed operation of class {class}"))
    }
}

fn environments(words: &[String], catalog: &Catalog) -> Result<Vec<Environment>, String> {
    if words.is_empty() {
        return Ok(catalog.environments.keys().copied().collect());
    }
    let one = |word: &String| {
        let environment = word.parse::<Environment>().ok();
        environment
            .filter(|environment| catalog.hosts(*environment).is_some())
            .ok_or_else(|| format!("environment {word} is not among the venue's"))
    };
    words.iter().map(one).collect()
}

fn key_types(words: &[String], catalog: &Catalog) -> Result<Vec<KeyType>, String> {
    let one = |word: &String| {
        let key_type = word.parse::<KeyType>().ok();
        key_type
            .filter(|key_type| catalog.signature.key_types.contains(key_type))
            .ok_or_else(|| format!("key type {word} is not in key_types"))
    };
    words.iter().map(one).collect()
}

/// Whether a text is a JSON pointer that leads somewhere, with at most one part `*`.
fn is_report(text: &str) -> bool {
    let stars = text.split('/').filter(|part| part.contains('*'));
    head::is_pointer(text) && stars.clone().count() <= 1 && stars.clone().all(|part| part == "*")
}
