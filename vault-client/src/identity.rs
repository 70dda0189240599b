//! An identity: a folder with a key, its certificate, the CA and what was pinned.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use vault_proto::v1::Role;
use zeroize::Zeroizing;

use crate::certificate::{Certificate, ca_from_pem, fingerprint};
use crate::error::IdentityError;
use crate::folder::{self, at};
use crate::key::{KeyType, SigningKey};

/// Private key: PKCS#8, PEM, mode 0600.
pub(crate) const KEY_FILE: &str = "key.pem";
/// Certificate of that key, PEM.
pub(crate) const CERTIFICATE_FILE: &str = "cert.pem";
/// The vault's CA, PEM.
pub(crate) const CA_FILE: &str = "ca.pem";
/// Everything else: [`About`].
pub(crate) const ABOUT_FILE: &str = "identity.json";
/// What a renewal writes first, before it renames.
pub(crate) const NEW_SUFFIX: &str = ".new";

/// Who somebody is to one vault, and how that vault is known again.
#[derive(Debug)]
pub struct Identity {
    folder: PathBuf,
    about: About,
    key: SigningKey,
    certificate: Certificate,
    ca: CertificateDer<'static>,
}

/// `identity.json`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct About {
    /// 1.
    pub(crate) version: u32,
    pub(crate) name: String,
    pub(crate) role: String,
    /// `host:port` of the listener for this role.
    pub(crate) address: String,
    #[serde(with = "hex::serde")]
    pub(crate) ca_fingerprint: [u8; 32],
    #[serde(with = "hex::serde")]
    pub(crate) core_fingerprint: [u8; 32],
    #[serde(with = "hex::serde")]
    pub(crate) instance_id: [u8; 16],
}

impl Identity {
    /// Reads an identity from its folder. A renewal that was cut short by a crash is finished first.
    ///
    /// # Errors
    ///
    /// [`IdentityError`].
    pub fn load(folder: &Path) -> Result<Self, IdentityError> {
        let about_path = folder.join(ABOUT_FILE);
        let lock = File::open(&about_path).map_err(at(&about_path))?;
        lock.lock_shared().map_err(at(&about_path))?;
        let crashed = with_new(folder, CERTIFICATE_FILE).exists();
        match Self::read(folder) {
            Ok(identity) if !crashed => return Ok(identity),
            Ok(_) | Err(IdentityError::Mismatch(_)) => {}
            Err(error) => return Err(error),
        }
        lock.unlock().map_err(at(&about_path))?;
        lock.lock().map_err(at(&about_path))?;
        finish_renewal(folder)?;
        Self::read(folder)
    }

    /// Reads the files as they are. The caller holds a lock on `identity.json`.
    pub(crate) fn read(folder: &Path) -> Result<Self, IdentityError> {
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read(&path).map_err(at(&path))
        };
        let about_path = folder.join(ABOUT_FILE);
        let not_an_identity = || IdentityError::NotAnIdentity(about_path.clone());
        let about: About =
            serde_json::from_slice(&read(ABOUT_FILE)?).map_err(|_| not_an_identity())?;
        if about.version != 1 || role_from_word(&about.role).is_none() {
            return Err(not_an_identity());
        }
        let not_a_certificate = |name: &str| IdentityError::Certificate(folder.join(name));
        let ca = ca_from_pem(&read(CA_FILE)?)
            .filter(|ca| fingerprint(ca) == about.ca_fingerprint)
            .ok_or_else(|| not_a_certificate(CA_FILE))?;
        let key = read_key(&folder.join(KEY_FILE))?;
        let certificate = Certificate::from_pem(&read(CERTIFICATE_FILE)?)
            .ok_or_else(|| not_a_certificate(CERTIFICATE_FILE))?;
        if certificate.spki != key.spki() {
            return Err(IdentityError::Mismatch(folder.to_owned()));
        }
        Ok(Self { folder: folder.to_owned(), about, key, certificate, ca })
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Name of the client or operator.
    pub fn name(&self) -> &str {
        &self.about.name
    }

    /// What its holder is.
    pub fn role(&self) -> Role {
        role_from_word(&self.about.role).unwrap_or(Role::Unspecified)
    }

    /// `host:port` of the vault's listener for this role.
    pub fn address(&self) -> &str {
        &self.about.address
    }

    /// Uses another address, for this value only; the folder stays as it is.
    #[must_use]
    pub fn with_address(mut self, address: impl Into<String>) -> Self {
        self.about.address = address.into();
        self
    }

    /// SHA-256 of the CA certificate.
    pub fn ca_fingerprint(&self) -> &[u8; 32] {
        &self.about.ca_fingerprint
    }

    /// SHA-256 of the core's public key, pinned at enrolment.
    pub fn core_fingerprint(&self) -> &[u8; 32] {
        &self.about.core_fingerprint
    }

    /// The vault's instance.
    pub fn instance_id(&self) -> &[u8; 16] {
        &self.about.instance_id
    }

    /// Serial of the certificate, 16 bytes.
    pub fn serial(&self) -> &[u8; 16] {
        &self.certificate.serial.0
    }

    /// From when the certificate is valid.
    pub fn not_before(&self) -> SystemTime {
        self.certificate.not_before
    }

    /// Until when the certificate is valid.
    pub fn not_after(&self) -> SystemTime {
        self.certificate.not_after
    }

    /// Kind of its key.
    pub fn key_type(&self) -> KeyType {
        self.key.key_type()
    }

    /// When two thirds of the certificate's life are over.
    pub fn renewal_at(&self) -> SystemTime {
        let life = self.not_after().duration_since(self.not_before()).unwrap_or_default();
        self.not_before() + life * 2 / 3
    }

    /// Whether two thirds of the certificate's life are over.
    pub fn needs_renewal(&self, now: SystemTime) -> bool {
        now >= self.renewal_at()
    }

    pub(crate) fn key(&self) -> &SigningKey {
        &self.key
    }

    pub(crate) fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    pub(crate) fn ca(&self) -> &CertificateDer<'static> {
        &self.ca
    }
}

/// Puts the files of a renewal into place, as far as a crash left it undone. The certificate goes
/// first; so the states to be met are: both new files; a new key whose certificate is in place.
/// A new certificate is written only under the lock that the caller holds, so one that is there is
/// nobody else's work in progress.
fn finish_renewal(folder: &Path) -> Result<(), IdentityError> {
    let new_key_path = with_new(folder, KEY_FILE);
    let new_certificate_path = with_new(folder, CERTIFICATE_FILE);
    let Some(new_key) = read_key(&new_key_path).ok().map(|key| key.spki()) else {
        return folder::remove_if_there(&new_certificate_path).map_err(at(&new_certificate_path));
    };
    let belongs = |path: &Path| -> Result<bool, IdentityError> {
        let text = folder::read_if_there(path)?;
        let certificate = text.and_then(|text| Certificate::from_pem(&text));
        Ok(certificate.is_some_and(|certificate| certificate.spki == new_key))
    };
    let certificate_path = folder.join(CERTIFICATE_FILE);
    if belongs(&new_certificate_path)? {
        folder::rename(&new_certificate_path, &certificate_path)?;
    } else {
        folder::remove_if_there(&new_certificate_path).map_err(at(&new_certificate_path))?;
    }
    if belongs(&certificate_path)? {
        folder::rename(&new_key_path, &folder.join(KEY_FILE))?;
    }
    Ok(())
}

pub(crate) fn with_new(folder: &Path, name: &str) -> PathBuf {
    folder::with_suffix(&folder.join(name), NEW_SUFFIX)
}

/// Reads a private key, unless others than its owner may.
pub(crate) fn read_key(path: &Path) -> Result<SigningKey, IdentityError> {
    let mode = fs::metadata(path).map_err(at(path))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(IdentityError::KeyMode(path.to_owned()));
    }
    let text = Zeroizing::new(fs::read(path).map_err(at(path))?);
    SigningKey::from_pem(&text, path)
}

/// The role as people write it; empty for none.
pub fn role_word(role: Role) -> &'static str {
    match role {
        Role::Unspecified => "",
        Role::Admin => "admin",
        Role::Auditor => "auditor",
        Role::Bot => "bot",
        Role::Guard => "guard",
        Role::Pricer => "pricer",
    }
}

/// The role that people write so.
pub fn role_from_word(word: &str) -> Option<Role> {
    [Role::Admin, Role::Auditor, Role::Bot, Role::Guard, Role::Pricer]
        .into_iter()
        .find(|&role| role_word(role) == word)
}
