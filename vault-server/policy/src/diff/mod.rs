//! Says what two scopes differ in, with a request for each difference that the engine itself answers
//! one way under the one and the other way under the other.

mod choice;
mod draft;
mod example;
mod search;
mod terms;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeMap;

use vault_model::Name;

pub use example::{Before, Example};

use crate::document::ScopeDocument;
use crate::lattice::{Dimension, compare};
use crate::scope::Scope;

/// What is known beside the two scopes.
#[derive(Clone, Debug, Default)]
pub struct DiffContext {
    /// The venues that examples may be at. A venue that is not among them has no examples.
    pub venues: Vec<VenueFacts>,
    /// The venue of each credential, where it is known.
    pub credentials: BTreeMap<Name, Name>,
}

/// What examples have to know of a venue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct VenueFacts {
    /// Its name.
    pub name: &'static str,
    /// Whether it takes one signature once at most.
    pub takes_signatures_once: bool,
}

/// One dimension in which one scope lets pass what the other does not.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Which.
    pub dimension: Dimension,
    /// Which way.
    pub effect: Effect,
    /// What, for people: `SOL-USDT at okx`, `50000 -> 100000`.
    pub words: String,
    /// What it comes to.
    pub finding: Finding,
}

/// Which of two scopes, A and B, lets more pass.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Effect {
    /// A does: from A to B it closes.
    Closes,
    /// B does: from A to B it opens.
    Opens,
}

impl Effect {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closes => "closes",
            Self::Opens => "opens",
        }
    }
}

/// What a difference comes to.
#[derive(Clone, Debug)]
pub enum Finding {
    /// It changes nothing by itself: one of the scopes is closed to all of it by these dimensions
    /// too, or the two have nothing in common there.
    Closed(Vec<Dimension>),
    /// A request that the wider scope allows, and that the other denies for this dimension.
    Example(Box<Example>),
    /// No such request was found; that does not say that there is none.
    Unknown,
}

/// Compares two scopes, dimension by dimension: first what B lets pass and A does not, then the
/// reverse. Empty if they let the same pass.
pub fn diff(a: &ScopeDocument, b: &ScopeDocument, context: &DiffContext) -> Vec<Difference> {
    let change = compare(a, b);
    let (scope_a, scope_b) = (Scope::compile(a), Scope::compile(b));
    let opens = change.widened.into_iter().map(|dimension| Difference {
        dimension,
        effect: Effect::Opens,
        words: words::difference(dimension, a, b, Effect::Opens),
        finding: search::find(dimension, (b, &scope_b), (a, &scope_a), context),
    });
    let closes = change.narrowed.into_iter().map(|dimension| Difference {
        dimension,
        effect: Effect::Closes,
        words: words::difference(dimension, a, b, Effect::Closes),
        finding: search::find(dimension, (a, &scope_a), (b, &scope_b), context),
    });
    opens.chain(closes).collect()
}
