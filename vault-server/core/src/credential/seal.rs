//! A version of a credential in the database: its secret under a DEK, the DEK under the KEK, both
//! tied to their row; and the one door to a secret.

use std::rc::Rc;

use vault_model::Timestamp;

use super::secret::OpenSecret;
use crate::authorize::{Permit, version};
use crate::crypto::envelope::{self, Aad, Kek};
use crate::error::VaultError;
use crate::own::OwnPermit;
use crate::storage::{CredentialRow, CredentialVersionRow, HexBytes};
use crate::vault::{Open, Vault};

/// Opens the credential that a permit is for. There are two ways to one: this, for what clients ask
/// for, and [`open_own`].
///
/// # Errors
///
/// [`VaultError::Internal`] if the row does not open: the database was altered under the vault.
pub fn open_credential(
    open: &Open,
    instance_id: &str,
    permit: &Permit,
) -> Result<Rc<OpenSecret>, VaultError> {
    let credential = permit.credential();
    open.open_keys.get(&credential.name, credential.version, || {
        open_version(open, instance_id, credential, version(open, credential)?)
    })
}

/// Opens the key for a request of the vault's own.
///
/// # Errors
///
/// As for [`open_credential`].
pub fn open_own(
    open: &Open,
    instance_id: &str,
    permit: &OwnPermit,
) -> Result<OpenSecret, VaultError> {
    open_version(open, instance_id, &permit.key().row, &permit.key().version)
}

fn open_version(
    open: &Open,
    instance_id: &str,
    credential: &CredentialRow,
    row: &CredentialVersionRow,
) -> Result<OpenSecret, VaultError> {
    let unreadable = |_| VaultError::Internal("a credential does not open");
    let key = row_key(row);
    let kek_version = envelope::key_version(&row.wrapped_dek.0).map_err(unreadable)?;
    let kek = open
        .keys
        .kek(kek_version)
        .ok_or(VaultError::Internal("a credential is under an unknown KEK"))?;
    let aad = |usage| aad(instance_id, &key, row, &credential.venue, usage);
    let dek = envelope::open(kek, &aad("dek"), &row.wrapped_dek.0).map_err(unreadable)?;
    let dek = Kek::new(dek, row.version).map_err(unreadable)?;
    let secret = envelope::open(&dek, &aad("secret"), &row.sealed_secret.0).map_err(unreadable)?;
    OpenSecret::decode(&secret).ok_or(VaultError::Internal("a credential's secret does not read"))
}

impl Vault {
    pub(super) fn seal_version(
        &self,
        credential: &CredentialRow,
        key_type: String,
        secret: &OpenSecret,
        now: Timestamp,
    ) -> Result<CredentialVersionRow, VaultError> {
        let mut row = CredentialVersionRow {
            created_at: now,
            credential: credential.name.clone(),
            key_type,
            sealed_secret: HexBytes(Vec::new()),
            version: credential.version,
            wrapped_dek: HexBytes(Vec::new()),
        };
        let failed = |_| VaultError::Internal("a credential cannot be sealed");
        let dek = Kek::generate(row.version, &self.rng).map_err(failed)?;
        let key = row_key(&row);
        let seal = |kek: &Kek, usage, plaintext: &[u8]| {
            let aad = aad(&self.instance_id, &key, &row, &credential.venue, usage);
            envelope::seal(kek, &aad, plaintext, &self.rng).map(HexBytes).map_err(failed)
        };
        let kek = self.opened()?.keys.current_kek();
        let wrapped_dek = seal(kek, "dek", dek.secret().expose_secret())?;
        let sealed_secret = seal(&dek, "secret", secret.encode()?.expose_secret())?;
        row.wrapped_dek = wrapped_dek;
        row.sealed_secret = sealed_secret;
        Ok(row)
    }
}

fn row_key(row: &CredentialVersionRow) -> String {
    format!("{}/{}", row.credential, row.version)
}

fn aad<'a>(
    instance_id: &'a str,
    row_key: &'a str,
    row: &'a CredentialVersionRow,
    venue: &'a str,
    usage: &'a str,
) -> Aad<'a> {
    Aad {
        instance_id,
        table: "credential_version",
        row: row_key,
        version: row.version,
        venue,
        alg: &row.key_type,
        usage,
        created_at: row.created_at,
    }
}
