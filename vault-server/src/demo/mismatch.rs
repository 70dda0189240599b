//! What went otherwise than it must.

use std::error::Error;
use std::fmt;

use crate::child::chain;

/// A step that did not hold: what was expected, and what came. Never holds a secret.
#[derive(Debug, Eq, PartialEq)]
pub struct Mismatch {
    /// What the step is there to show.
    pub expected: String,
    /// What came instead.
    pub found: String,
}

impl Mismatch {
    /// A mismatch in words.
    pub fn new(expected: impl Into<String>, found: impl fmt::Display) -> Self {
        Self { expected: expected.into(), found: found.to_string() }
    }
}

/// Turns an error into a mismatch that says what was expected instead of it.
pub fn instead_of<E: Error>(expected: &'static str) -> impl FnOnce(E) -> Mismatch {
    move |error| Mismatch::new(expected, chain(&error))
}
