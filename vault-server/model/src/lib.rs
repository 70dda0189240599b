//! Plain values that every crate of the vault shares: names, secrets, times, requests and what was
//! read in them. No I/O, no clock, no randomness.

mod class;
mod halt;
mod intent;
mod market;
mod money;
mod name;
mod packed;
mod request;
mod said;
mod secret;
mod time;

pub use class::{Class, Environment, Mode, Product, Role, UnknownWord};
pub use halt::{HaltLevel, HaltTarget};
pub use intent::{
    Intent, Leg, MarginMode, Member, OrderType, Reading, Side, Symbols, TimeInForce, Transfer,
};
pub use market::{Asset, ClockTime, Instrument, NotAPair, Pair, SizeUnit};
pub use money::{Money, NotMoney};
pub use name::{Name, NameError, RequestId, Serial};
pub use packed::{NotPacked, Pack, Unpack};
pub use request::{SignedRequest, VenueRequest};
pub use said::without_input;
pub use secret::SecretBytes;
pub use time::Timestamp;
