//! Client library of the vault.
//!
//! [`Identity`] is a folder with a key and a certificate: [`Identity::enroll`] makes it from an
//! invite token, [`Identity::load`] reads it, [`Identity::renew`] replaces key and certificate.
//! [`Client`] signs and executes for bots and puts prices for pricers; [`Proxied`] sends a bot's HTTP
//! requests through the vault as they are; [`Operator`] has one method for each RPC of
//! operators, whose commands it signs unseen; [`Caller`] asks who its holder is to the vault. Every failure is a [`ClientError`].
//!
//! The library never sends a private key, a passphrase or an imported secret in the clear: keys stay
//! in their folder, and secrets are sealed to the core that was pinned at enrolment.

mod approval;
mod batch;
mod caller;
mod certificate;
mod client;
mod command;
mod encoded;
mod enroll;
mod error;
mod folder;
mod gathered;
mod identity;
mod key;
mod operator;
mod proxied;
mod renew;
mod request;
mod transport;

pub use approval::approve_scope;
pub use batch::{SignOutcome, SignSender, SignStream};
pub use caller::{Caller, Reached};
pub use client::{Client, ExecuteOrder, Executed, ExecutedStream, SignOrder, Signed};
pub use command::signed_command;
pub use enroll::EnrollOptions;
pub use error::{ClientError, IdentityError, Refusal};
#[doc(hidden)]
pub use gathered::Gathered;
pub use identity::{Identity, role_from_word, role_word};
pub use key::KeyType;
pub use operator::{EntryStream, ImportOptions, Invited, Operator};
pub use proxied::{Proxied, ProxiedBody, ProxiedError};
pub use request::{UrlError, get, post, venue_request};
pub use vault_model::SecretBytes;
pub use vault_proto as proto;
pub use vault_proto::v1;
