//! Scopes, rules and decisions. Pure: no I/O, no clock, no randomness.
//!
//! A [`ScopeDocument`] is what operators write and what is stored; a [`Scope`] is the same
//! compiled for judging. [`judge`] asks every rule, and every rule about every operation that a
//! signature would authorise. What a rule cannot judge, it denies; what is not granted, is denied.

mod class;
mod credential;
mod denial;
mod document;
mod grant;
mod halt;
mod judge;
mod lattice;
mod mode;
mod network;
mod parse;
mod product;
mod remedy;
mod schema;
mod scope;
mod symbol;

pub use denial::{Decision, Denial, Outside};
pub use document::{NetworkDocument, ScopeDocument};
pub use grant::{Grant, NotAGrant};
pub use halt::Halts;
pub use judge::{Question, Rule, judge, judge_member};
pub use lattice::{Comparison, Dimension, compare, narrows, widens};
pub use network::{NetworkError, admits, parse_network};
pub use parse::{Fault, ScopeError};
pub use remedy::{Remedy, execute_remedy, hint};
pub use scope::Scope;
pub use symbol::{NotASymbol, Symbol};
