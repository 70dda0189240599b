//! Exact decimals, held against their own laws and against Python's `decimal` and `fractions`.

mod laws;
mod python;
