//! What a catalogue says that a signature binds, held against the strings that ccxt signs.
//!
//! A catalogue says for any two operations whether what is signed for one can be the text that is
//! signed for the other, as far as method, host and path go, and which of query and body are
//! signed. So it foretells for any two requests whether ccxt signs the same string for both.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;
use vault_model::Class;
use vault_venue::{Catalog, Joined, KeyType, Operation};

/// Sets of parameters for which all pairs of operations are compared.
const SETS: &[&str] = &["none", "one", "order"];

/// One request that ccxt signed, or not; see `tests/vectors/ccxt/strings.py`.
#[derive(Debug, Deserialize)]
pub struct Record {
    pub venue: String,
    pub key_type: String,
    operation: String,
    template: String,
    set: String,
    path: String,
    query: String,
    body: String,
    string: Option<String>,
}

/// What came out for a venue and type of key.
pub struct Judged {
    pub operations: usize,
    /// Pairs of operations, each compared with every set of parameters.
    pub pairs: usize,
    /// Pairs that have one string in some set.
    pub alike: usize,
    /// Operations of the catalogue that take a signature and that ccxt does not know.
    pub others: usize,
    pub found: Vec<Disagreement>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// ccxt signs two strings where the catalogue foretells one: it is more cautious than need be.
    Apart,
    /// ccxt signs another string when a part changes that the catalogue says is not bound, or the
    /// same when one changes that it says is bound.
    Part,
    /// ccxt signs one string where the catalogue foretells two: a closure would be too small.
    Same,
    /// One of the two says that the operation takes a signature, the other that it does not.
    Signed,
    /// The same parameters become another text.
    Text,
    /// The catalogue does not know the operation.
    Unknown,
}

pub struct Disagreement {
    pub venue: String,
    pub kind: Kind,
    /// Method and path, as the catalogue has them or ccxt.
    pub operations: Vec<String>,
    what: String,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { venue, kind, operations, what } = self;
        write!(f, "{venue} {kind:?}: {} ({what})", operations.join(" | "))
    }
}

/// An operation that both know, and what ccxt did with each set of parameters.
struct Known<'c, 'r> {
    operation: &'c Operation,
    by_set: BTreeMap<&'r str, Signed<'r>>,
}

struct Signed<'r> {
    string: &'r str,
    /// As much of query and body as the catalogue says is signed.
    content: (String, String),
}

/// Compares all of a venue's operations for one type of key.
pub fn judge(catalog: &Catalog, key_type: &str, records: &[Record]) -> Judged {
    let key_type: KeyType = key_type.parse().expect("a type of key");
    let mut found = Vec::new();
    let known = known(catalog, key_type, records, &mut found);
    let disagree = |kind, operations: &[&Operation], what: &str| Disagreement {
        venue: catalog.venue.clone(),
        kind,
        operations: operations.iter().map(|operation| operation.name.to_string()).collect(),
        what: what.to_owned(),
    };

    let mut pairs = 0;
    let mut alike = 0;
    for (index, one) in known.iter().enumerate() {
        for other in &known[index + 1..] {
            pairs += 1;
            let is_bound_alike = catalog.bound_alike(one.operation, other.operation, key_type);
            let mut is_one_string = false;
            for &set in SETS {
                let (a, b) = (&one.by_set[set], &other.by_set[set]);
                let is_same = a.string == b.string;
                is_one_string |= is_same;
                let is_foretold = is_bound_alike && a.content == b.content;
                if is_same != is_foretold {
                    let kind = if is_same { Kind::Same } else { Kind::Apart };
                    found.push(disagree(kind, &[one.operation, other.operation], set));
                }
            }
            alike += usize::from(is_one_string);
        }
        let own = |set: &str| &one.by_set[set];
        let binds = catalog.binds(one.operation, key_type);
        let expectations = [
            ("other", own("one").content == own("other").content),
            ("host", !binds.host),
            ("verb", !binds.method && own("one").content == own("verb").content),
        ];
        for (set, is_foretold) in expectations {
            if (own("one").string == own(set).string) != is_foretold {
                found.push(disagree(Kind::Part, &[one.operation], set));
            }
        }
    }
    if catalog.signature.joined == Some(Joined::Concatenated) {
        for &set in SETS {
            let usual = usual_text(&known, set);
            for one in known.iter().filter(|one| one.by_set[set].content.0 != usual) {
                let what = format!("{set}: {:?}", one.by_set[set].content.0);
                found.push(disagree(Kind::Text, &[one.operation], &what));
            }
        }
    }
    let judged: BTreeSet<_> = known.iter().map(|one| &one.operation.name).collect();
    let is_other = |operation: &&Operation| {
        operation.signed && operation.class != Class::Public && !judged.contains(&operation.name)
    };
    let others = catalog.operations.iter().filter(is_other).count();
    Judged { operations: known.len(), pairs, alike, others, found }
}

/// The operations that ccxt signs, each once.
fn known<'c, 'r>(
    catalog: &'c Catalog,
    key_type: KeyType,
    records: &'r [Record],
    found: &mut Vec<Disagreement>,
) -> Vec<Known<'c, 'r>> {
    let mut known: BTreeMap<(&str, &str), Known<'c, 'r>> = BTreeMap::new();
    let mut unsigned = BTreeSet::new();
    for record in records {
        let name = (record.operation.as_str(), record.template.as_str());
        let Some(string) = record.string.as_deref() else {
            unsigned.insert((name, record.path.as_str()));
            continue;
        };
        let Some(operation) = catalog.operation(&record.operation, &record.path) else {
            found.push(Disagreement {
                venue: catalog.venue.clone(),
                kind: Kind::Unknown,
                operations: vec![format!("{} {}", record.operation, record.template)],
                what: record.set.clone(),
            });
            continue;
        };
        let binds = catalog.binds(operation, key_type);
        let query = if binds.query { record.query.clone() } else { String::new() };
        let body = if binds.body { record.body.clone() } else { String::new() };
        let content = match catalog.signature.joined {
            Some(Joined::Concatenated) => (query + &body, String::new()),
            Some(Joined::Either) if query.is_empty() => (body, String::new()),
            Some(Joined::Either) | None => (query, body),
        };
        let entry = known.entry(name);
        let entry = entry.or_insert_with(|| Known { operation, by_set: BTreeMap::new() });
        entry.by_set.insert(&record.set, Signed { string, content });
    }

    let mut disagree = |operation: &Operation, what: &str| {
        found.push(Disagreement {
            venue: catalog.venue.clone(),
            kind: Kind::Signed,
            operations: vec![operation.name.to_string()],
            what: what.to_owned(),
        });
    };
    for one in known.values().filter(|one| !one.operation.signed) {
        disagree(one.operation, "ccxt signs it");
    }
    // ccxt has some operations twice, signed and not.
    for (name, path) in unsigned.into_iter().filter(|(name, _)| !known.contains_key(name)) {
        let operation = catalog.operation(name.0, path);
        let needs = |one: &&Operation| one.signed && one.class != Class::Public;
        if let Some(operation) = operation.filter(needs) {
            disagree(operation, "ccxt does not sign it");
        }
    }
    known.into_values().collect()
}

/// What most operations have in common.
fn usual_text(known: &[Known], set: &str) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for one in known {
        *counts.entry(&one.by_set[set].content.0).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|&(_, count)| count);
    most.map_or_else(String::new, |(text, _)| text.to_owned())
}
