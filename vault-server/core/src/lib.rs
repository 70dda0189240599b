//! The heart of the vault: policy decisions, keys, the log and the database.
//!
//! Ordinary synchronous code. One thread decides everything, in one order ([`run`]); a writer thread
//! makes each batch of decisions durable and only then releases its answers. This process never
//! opens a socket: it has channels to the front and to egress, which speak to the network, and one
//! to the supervisor.

mod act;
mod ahead;
mod allow_list;
mod approval;
mod auth_failure;
mod authorize;
mod batch;
mod caller;
pub mod certificate;
mod checked;
mod client;
mod clock;
pub mod command;
mod config;
mod country;
mod credential;
pub mod crypto;
mod denial_budget;
mod dispatch;
mod enroll;
mod error;
mod execute;
mod explain;
mod grant;
mod halt;
mod hashes;
mod health;
mod history;
mod hold;
mod host;
mod inbox;
mod init;
mod instrument;
mod invite;
mod journal;
mod lane;
mod lease;
mod metric;
mod nonce;
mod open_key;
mod operator;
mod order;
mod outstanding;
mod own;
mod page;
mod price;
mod remedy;
mod renew;
mod replay;
mod request_budget;
mod run;
mod scope;
pub mod scope_replay;
pub mod seal;
mod server;
mod shadow;
mod sign;
mod snapshot;
mod spread;
mod start;
mod stopped;
pub mod storage;
mod stream;
mod ticket;
mod trace;
mod turn;
mod unseal;
mod vault;
mod whoami;
mod writer;

pub use authorize::VENUE_CHECKS;
pub use config::{
    CatalogAddition, CoreConfig, DataDir, PublicAddresses, RequestLimits, venue_ports,
};
pub use country::{Countries, GeoipError, GeoipFile, check_geoip};
pub use error::VaultError;
pub use init::{InitError, InitOptions, InitReport, init};
pub use run::{CoreError, run};
pub use snapshot::rewrite as rewrite_snapshot;
pub use vault_venue::CatalogError;
