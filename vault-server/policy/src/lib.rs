//! Scopes, rules and decisions. Pure: no I/O, no clock, no randomness.
//!
//! A [`ScopeDocument`] is what operators write and what is stored; a [`Scope`] is the same
//! compiled for judging. [`judge`] asks every rule, and every rule about every operation that a
//! signature would authorise. What a rule cannot judge, it denies; what is not granted, is denied.

mod cost;
mod denial;
mod diff;
mod document;
mod enforceable;
mod grant;
mod history;
mod judge;
mod lattice;
mod lint;
mod market;
mod parse;
mod price;
mod public;
mod remedy;
mod rule;
mod scope;
#[cfg(feature = "testing")]
pub mod testing;

pub use cost::{Cost, id_key, order_key};
pub use denial::{Decision, Denial, Outside, Reached};
pub use diff::{Before, DiffContext, Difference, Effect, Example, Finding, VenueFacts, diff};
pub use document::{
    AmountCap, Country, CumulativeDocument, DuplicatesDocument, HoursDocument, Misfit,
    NetworkDocument, NotADocument, NotionalCap, OrderCap, OrdersDocument, PricingDocument,
    ScopeDocument, Span, Timezone, Window, WithdrawalAddress, WithdrawalDocument,
};
pub use enforceable::{NotEnforceable, enforceable};
pub use grant::{Grant, NotAGrant};
pub use history::{History, Spend, Withdrawn};
pub use judge::{Question, Rule, cost, judge, judge_member};
pub use lattice::{Comparison, Dimension, compare, narrows, widens};
pub use lint::{CredentialFacts, LintFacts, Warning, lint};
pub use market::Market;
pub use parse::{Fault, ScopeError};
pub use price::{
    Feed, FeedDocument, FeedState, NotAFeed, NotAWindow, PriceBook, PriceRefused,
    Window as PriceWindow,
};
pub use public::{PublicQuestion, judge_public};
pub use remedy::{Remedy, execute_remedy, hint};
pub use rule::country::admits_country;
pub use rule::halt::Halts;
pub use rule::network::{NetworkError, admits, parse_network};
pub use rule::symbol::{NotASymbol, Symbol};
pub use scope::Scope;
