//! Scopes, instruments and feeds to and from `vault.v1`, for the core and for clients alike. Pure: no
//! I/O, no clock.
//!
//! Nothing is guessed on the way: a word that this version does not know is an error, never
//! dropped, since what is dropped might have been what restricts.

mod error;
mod feed;
mod hash;
mod instrument;
mod read;
mod write;

pub use error::WireError;
pub use feed::feed_to_wire;
pub use hash::scope_hash;
pub use instrument::{InstrumentError, instrument_from_wire, instrument_to_wire};
pub use read::scope_from_wire;
pub use write::scope_to_wire;
