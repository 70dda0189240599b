//! What the database says about the vault itself: two documents, each with a MAC like a row's.

use serde::{Deserialize, Serialize};
use vault_model::{Name, Timestamp};

use super::hex::{Hex, HexBytes};
use super::table::{RowError, canonical};
use crate::crypto::mac::StateMac;

/// What a vault is. Readable while sealed, and believed only once its MAC is checked.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// The CA's certificate, DER.
    pub ca_certificate: HexBytes,
    /// The core identity's raw Ed25519 public key.
    pub core_identity_public: Hex<32>,
    /// When `init` made it.
    pub created_at: Timestamp,
    /// Whether it was made for development.
    pub development: bool,
    /// Counts restores from backup, from 1.
    pub epoch: u32,
    /// The vault's id, random.
    pub instance_id: Hex<16>,
    /// This node's name.
    pub node: Name,
    /// The name in certificates' URIs.
    pub trust_domain: String,
}

impl Instance {
    /// Makes the stored form.
    ///
    /// # Errors
    ///
    /// [`RowError`] if it cannot be written canonically.
    pub fn seal(&self, state_mac: &StateMac) -> Result<Sealed, RowError> {
        Sealed::new(INSTANCE, canonical(self)?, state_mac)
    }
}

/// Where the vault stands: changes with every commit.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Root of the log's tree at `audit_size`.
    pub audit_root: Hex<32>,
    /// Entries in the log when this was committed.
    pub audit_size: u64,
    /// The last change.
    pub change_id: Option<String>,
    /// Counts changes of the policy tables, from 0.
    pub state_rev: u64,
    /// Root over all policy rows.
    pub state_root: Hex<32>,
}

impl Head {
    /// Makes the stored form.
    ///
    /// # Errors
    ///
    /// [`RowError`] if it cannot be written canonically.
    pub fn seal(&self, state_mac: &StateMac) -> Result<Sealed, RowError> {
        Sealed::new(HEAD, canonical(self)?, state_mac)
    }
}

/// A document of the `meta` table with its MAC: that of a row in table `meta`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sealed {
    /// RFC 8785 JSON.
    pub doc: String,
    /// HMAC-SHA256, 32 bytes.
    pub mac: Vec<u8>,
}

impl Sealed {
    fn new(key: &str, doc: String, state_mac: &StateMac) -> Result<Self, RowError> {
        let mac = state_mac.row(META, key, &doc).to_vec();
        Ok(Self { doc, mac })
    }

    /// Checks the MAC and reads the document; `None` if either does not hold.
    pub(super) fn open<T: for<'de> Deserialize<'de>>(
        &self,
        key: &str,
        state_mac: &StateMac,
    ) -> Option<T> {
        state_mac
            .verifies(META, key, &self.doc, &self.mac)
            .then(|| serde_json::from_str(&self.doc).ok())
            .flatten()
    }
}

/// Row key of [`Head`] in table `meta`.
pub(super) const HEAD: &str = "head";
/// Row key of [`Instance`] in table `meta`.
pub(super) const INSTANCE: &str = "instance";
const META: &str = "meta";
