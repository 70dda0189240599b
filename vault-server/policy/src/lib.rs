//! Scopes, rules and decisions. Pure: no I/O, no clock, no randomness.
//!
//! A [`ScopeDocument`] is what operators write and what is stored; a [`Scope`] is the same
//! compiled for judging. [`judge`] asks every rule, and every rule about every operation that a
//! signature would authorise. What a rule cannot judge, it denies; what is not granted, is denied.

mod denial;
mod document;
mod grant;

mod judge;
mod lattice;

mod parse;

mod remedy;
mod rule;

mod scope;

pub use denial::{Decision, Denial, Outside};
pub use document::{NetworkDocument, ScopeDocument};
pub use grant::{Grant, NotAGrant};
pub use judge::{Question, Rule, judge, judge_member};
pub use lattice::{Comparison, Dimension, compare, narrows, widens};
pub use parse::{Fault, ScopeError};
pub use remedy::{Remedy, execute_remedy, hint};
pub use rule::halt::Halts;
pub use rule::network::{NetworkError, admits, parse_network};
pub use rule::symbol::{NotASymbol, Symbol};
pub use scope::Scope;
