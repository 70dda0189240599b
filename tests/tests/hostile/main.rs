//! A hostile front and a hostile egress against the real core: this test is its supervisor, plays an
//! honest front until everybody has enrolled, and then does with the channels what nobody should.
//!
//! After each test [`judge`] holds everything that came out of the core against its log and against
//! rules of its own: no signature outside the scope of a client that exists, none without an entry, no
//! secret in any form, no act that no operator signed, none twice, no end but a documented one, and
//! memory that is bounded.

#![expect(clippy::result_large_err, reason = "refusals are looked at as they come")]

mod bed;
mod core;
mod egress;
mod front;
mod fuzz;
mod judge;
mod mutate;
mod person;
mod replay;
mod turn;
