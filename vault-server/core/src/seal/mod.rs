//! How the vault is opened: unseal key, root key, keyring.
//!
//! ```text
//! passphrase or key file -> unseal key -> root key -> keyring -> DEK per credential version -> secret
//!                           (slot.rs, never stored)   (keyring.rs)
//! ```
//!
//! Each arrow is one VE1 envelope. [`identity`] stands beside it: the one key that is needed while
//! the vault is sealed.

pub mod backoff;
pub mod identity;
pub mod keyring;
pub mod passphrase;
pub mod slot;

pub use backoff::{Backoff, BackoffError, Guesser, Guesses};
pub use identity::{CoreIdentity, IdentityError};
pub use keyring::{Keyring, KeyringError, KeyringRecord};
pub use passphrase::PassphraseError;
pub use slot::{Argon2Params, Kdf, RootKey, SlotError, SlotRecord, UnsealInput};
