//! Warns of what a careful reviewer of a scope would say: what can never pass, and what passes more
//! than its author may think. A scope with warnings is a scope like any other.

mod grant;
mod order;
mod sign;

use std::collections::BTreeSet;

use vault_model::{Class, Instrument, Mode, Name, Pair};

use crate::document::ScopeDocument;
use crate::lattice::Dimension;

/// What is known beside the scope. What is absent is not known, and not warned of.
#[derive(Clone, Debug, Default)]
pub struct LintFacts {
    /// All credentials that are stored.
    pub credentials: Option<Vec<CredentialFacts>>,
    /// All instruments that are approved.
    pub instruments: Option<Vec<Instrument>>,
    /// All pairs that have a feed of reference prices.
    pub feeds: Option<BTreeSet<Pair>>,
}

/// What is known of a credential and of its venue.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CredentialFacts {
    /// Its name.
    pub name: Name,
    /// Its venue.
    pub venue: Name,
    /// Whether it can be used.
    pub is_enabled: bool,
    /// Whether its rights at the venue are stated; without, it is taken to have all of them.
    pub rights_stated: bool,
    /// Whether it is assumed that the venue refuses what it does not know.
    pub venue_checks: bool,
    /// Whether its venue takes one signature once at most.
    pub takes_signatures_once: bool,
    /// Whether a signature names the method and the path that it is for.
    pub signs_path: bool,
    /// Whether some read can be signed without a signature that is good for writes.
    pub reads_can_be_signed: bool,
    /// How many operations its API key opens without a signature, public ones not counted.
    pub disclosed: usize,
}

/// One warning.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Warning {
    /// A stable code.
    pub code: &'static str,
    /// The dimension to look at.
    pub dimension: Dimension,
    /// What is so, for people.
    pub words: String,
    /// What may be done about it; empty if that is for the author alone to say.
    pub remedy: String,
}

/// Looks at a scope, with what is known beside it. Sorted by dimension, then by code.
pub fn lint(document: &ScopeDocument, facts: &LintFacts) -> Vec<Warning> {
    let mut found = Findings { document, facts, warnings: Vec::new() };
    grant::look(&mut found);
    order::look(&mut found);
    sign::look(&mut found);
    let mut warnings = found.warnings;
    warnings.sort_by(|one, other| {
        (one.dimension, one.code, &one.words).cmp(&(other.dimension, other.code, &other.words))
    });
    warnings
}

struct Findings<'a> {
    document: &'a ScopeDocument,
    facts: &'a LintFacts,
    warnings: Vec<Warning>,
}

impl<'a> Findings<'a> {
    fn warn(
        &mut self,
        dimension: Dimension,
        code: &'static str,
        words: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let warning = Warning { code, dimension, words: words.into(), remedy: remedy.into() };
        self.warnings.push(warning);
    }

    fn grants(&self, class: Class) -> bool {
        self.document.classes.contains(&class)
    }

    fn signs(&self) -> bool {
        self.document.modes.contains(&Mode::Sign)
    }

    /// The credentials of the scope that are known.
    fn credentials(&self) -> impl Iterator<Item = &'a CredentialFacts> + use<'a> {
        let named = &self.document.credentials;
        let all = self.facts.credentials.iter().flatten();
        all.filter(move |credential| named.contains(&credential.name))
    }
}

/// Words, with commas between them.
fn listed<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}
