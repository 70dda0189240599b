//! Venue catalogues, signing schemes and the closure of a request. Pure: no I/O, no clock, no
//! randomness; time and nonce come in as arguments. Only ECDSA and RSA take random numbers of their
//! own, inside aws-lc-rs: for `k`, and to blind.
//!
//! A request is first read ([`Venue::read`]): every part of it is checked against the venue's
//! catalogue, and out comes what it means, together with every other operation that its signature
//! would authorise. Only then is it signed ([`Venue::sign`]).

mod cancel_all;
mod catalog;
mod closure;
mod content;
mod error;
mod form;
mod glob;
mod json;
mod key;
pub mod listing;
mod member;
mod name;
mod own;
mod placeholder;
mod plain;
mod read;
mod registry;
mod rights;
mod scheme;
mod shape;
mod socket;
mod value;
mod venue;

pub use cancel_all::Step;
pub use catalog::{
    Binds, Catalog, CatalogError, Facts, Hosts, Joined, MAIN_SITE, Operation, Part, ResponseFacts,
    Reuse, Signature, Site, Sites, SocketKind, Window,
};
pub use error::{ReadError, VenueError};
pub use key::{KeyType, PrivateKey};
pub use name::{MarketName, market_name};
pub use own::{Account, Answer, OwnRequest, Reported};
pub use placeholder::{PLACEHOLDER, Placeholders, Undressed};
pub use read::{BODY_BYTES_MAX, Standing};
pub use registry::{Registry, VENUES};
pub use rights::{Finding, Findings, KeyFacts, Severity};
pub use scheme::{SCHEMES, Scheme, WireRequest};
pub use socket::{Message, MessageId, Opening, Socket, StreamRequest};
pub use venue::{Key, Moment, SignedText, Venue};
