//! A vault that has grown: many clients, credentials and scopes in the database, and a log of many
//! entries, all of it written by the vault's own code, without the network.
//!
//! What is grown is like what the vault's bots have left in it: somebody must have enrolled and signed an
//! order, and the vault must be stopped. Its clients stand in the database and the log alone: nobody has
//! the keys of their certificates. Of each 20 entries ten are orders, seven cancels, two reads, one is a
//! denial; each client has one at least if there are so many, and of the rest the more the more active it
//! is (1 / rank).

mod entries;
mod rows;

pub use self::rows::{Growth, grow, reopen};

/// What goes wrong while a vault is grown.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// How large.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Size {
    /// Clients, each with a certificate.
    pub clients: u64,
    /// Credentials.
    pub credentials: u64,
    /// Scopes.
    pub scopes: u64,
    /// Entries in the log.
    pub entries: u64,
    /// Over how many days they are spread.
    pub days: u64,
    /// Leaves out of the entries what no start reads: about 290 bytes less of each.
    pub is_lean: bool,
}
