//! Credentials: import, list, disable, enable; and the one door to a secret.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};
use std::rc::Rc;
use std::sync::Arc;

use prost::Message;
use vault_ipc::proto::{sealed, v1};
use vault_model::{Environment, Name, SecretBytes, Timestamp};
use vault_venue::{Account, Key, KeyType, MAIN_SITE, PrivateKey, Venue, VenueError};

use crate::act::{Asker, Plan};
use crate::authorize::{Permit, VENUE_CHECKS, version};
use crate::caller::Caller;
use crate::checked::Checked;
use crate::command::{self, Method};
use crate::crypto::envelope::{self, Aad, Kek};
use crate::error::{Conflict, VaultError};
use crate::outstanding::Of;
use crate::own::OwnPermit;
use crate::page::{Listed, Page};
use crate::stopped::Stopped;
use crate::storage::{Changes, CredentialRow, CredentialState, CredentialVersionRow, HexBytes};
use crate::vault::{Open, Vault, detail};

/// The secret of a credential, opened. Wiped on drop, with the private key that was parsed from it.
pub struct OpenSecret {
    api_key: String,
    secret: SecretBytes,
    passphrase: Option<SecretBytes>,
    /// Once it was asked for; `None` in it: a shared secret.
    private_key: OnceCell<Option<Arc<PrivateKey>>>,
}

impl OpenSecret {
    fn new(api_key: String, secret: SecretBytes, passphrase: Option<SecretBytes>) -> Self {
        Self { api_key, secret, passphrase, private_key: OnceCell::new() }
    }

    /// As a venue signs with it once: a private key is parsed for it.
    pub fn key(&self, key_type: KeyType) -> Key<'_> {
        Key {
            api_key: &self.api_key,
            secret: &self.secret,
            passphrase: self.passphrase.as_ref(),
            key_type,
            private_key: None,
        }
    }

    /// As a venue signs with it again and again: a private key is parsed once.
    ///
    /// # Errors
    ///
    /// [`VaultError::Venue`] if it cannot be parsed.
    pub fn parsed_key(&self, venue: &Venue, key_type: KeyType) -> Result<Key<'_>, VaultError> {
        let key = self.key(key_type);
        let private_key = match self.private_key.get() {
            Some(private_key) => private_key,
            None => {
                let private_key = venue.private_key(&key)?.map(Arc::new);
                self.private_key.get_or_init(|| private_key)
            }
        };
        Ok(Key { private_key: private_key.as_deref(), ..key })
    }

    /// The private key, if it was parsed. Whoever keeps it keeps it open.
    pub fn private_key(&self) -> Option<&Arc<PrivateKey>> {
        self.private_key.get()?.as_ref()
    }

    /// One like any other.
    #[cfg(test)]
    pub(crate) fn for_test() -> Self {
        Self::new("key".to_owned(), SecretBytes::copy_of(b"secret"), None)
    }

    /// One with a private key, in PEM.
    #[cfg(test)]
    pub(crate) fn with_pem(pem: &str) -> Self {
        Self::new("key".to_owned(), SecretBytes::copy_of(pem.as_bytes()), None)
    }

    /// `u8 version = 1`, then api key, secret and passphrase, each as `u16 BE length | bytes`.
    fn encode(&self) -> Result<SecretBytes, VaultError> {
        let passphrase = self.passphrase.as_ref().map_or(&[][..], SecretBytes::expose_secret);
        let fields = [self.api_key.as_bytes(), self.secret.expose_secret(), passphrase];
        let len = 7 + fields.iter().map(|field| field.len()).sum::<usize>();
        SecretBytes::build(len, |bytes| {
            bytes[0] = SECRET_VERSION;
            let mut at = 1;
            for field in fields {
                let len = u16::try_from(field.len())
                    .map_err(|_| VaultError::Field("a secret is longer than 65,535 bytes"))?;
                bytes[at..at + 2].copy_from_slice(&len.to_be_bytes());
                at += 2;
                bytes[at..at + field.len()].copy_from_slice(field);
                at += field.len();
            }
            Ok(len)
        })
    }

    fn decode(bytes: &SecretBytes) -> Option<Self> {
        let (&SECRET_VERSION, mut rest) = bytes.expose_secret().split_first()? else {
            return None;
        };
        let mut field = || {
            let (len, tail) = rest.split_first_chunk::<2>()?;
            let (field, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
            rest = tail;
            Some(field)
        };
        let api_key = std::str::from_utf8(field()?).ok()?.to_owned();
        let secret = SecretBytes::copy_of(field()?);
        let passphrase = SecretBytes::copy_of(field()?);
        let passphrase = (!passphrase.is_empty()).then_some(passphrase);
        rest.is_empty().then_some(Self::new(api_key, secret, passphrase))
    }
}

impl CredentialRow {
    /// Where its key is known.
    pub(crate) fn account(&self) -> Account<'_> {
        Account { environment: self.environment, sites: &self.sites }
    }
}

/// A credential that was found good and is to be stored, if its key may be.
pub(crate) struct Import {
    pub row: CredentialRow,
    pub version: CredentialVersionRow,
    pub key_type: KeyType,
    /// The credential as it was.
    pub before: Option<CredentialRow>,
    /// Whether the key may be one that may withdraw.
    pub allow_withdrawals: bool,
    pub asker: Asker,
}

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
    /// A ticket to seal a secret to.
    ///
    /// # Errors
    ///
    /// [`VaultError::Sealed`].
    pub(crate) fn begin_import(
        &mut self,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<v1::BeginImportResponse, VaultError> {
        self.opened()?;
        let ticket = self.issue_ticket(sealed::IMPORT, Some(&caller.name), now)?;
        Ok(v1::BeginImportResponse { ticket: Some(ticket) })
    }

    /// Stores a credential, or a new version of one.
    ///
    /// # Errors
    ///
    /// What is wrong with the metadata or the secret.
    pub(crate) fn import_credential(
        &mut self,
        command: &v1::SignedCommand,
        asker: Asker,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let command: v1::ImportCommand = command::body(command)?;
        let metadata = command.metadata.ok_or(VaultError::Field("metadata is not set"))?;
        let holder = asker.caller.as_ref().map(|caller| caller.name.clone());
        let secret = self.open_sealed(
            &command.ticket_id,
            sealed::IMPORT,
            holder.as_ref(),
            &metadata.encode_to_vec(),
            &command.sealed,
            now,
        )?;
        let secret = read_secret(&secret)?;
        let mut row = self.credential_row(&metadata, now)?;
        let venue = self
            .registry
            .venue(&row.venue)
            .ok_or(VaultError::Field("venue is not one of the vault's"))?;
        let key_type = proven_key_type(venue, &secret, &command.key_type)?;

        let before = self.opened()?.state.tables().credentials.get(&row.name).cloned();
        if let Some(old) = &before {
            if old.venue != row.venue || old.environment != row.environment {
                return Err(VaultError::Conflict(Conflict::CredentialDiffers));
            }
            row.version = old.version + 1;
            row.created_at = old.created_at;
            row.state = old.state;
            row.nonce_floor = row.nonce_floor.max(old.nonce_floor);
        }
        let version = self.seal_version(&row, key_type.to_string(), &secret, now)?;
        drop(secret);

        let allow_withdrawals = command.allow_withdrawals;
        let import = Import { row, version, key_type, before, allow_withdrawals, asker };
        if command.skip_check {
            return self.finish_import(import, None, now);
        }
        self.check_import(import, now)
    }

    /// Stores a credential whose key was checked, or is not to be.
    ///
    /// # Errors
    ///
    /// [`Conflict::CredentialChanged`] if another import was faster.
    pub(crate) fn finish_import(
        &mut self,
        import: Import,
        checked: Option<&Checked>,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let Import { row, version, key_type, before, allow_withdrawals, asker } = import;
        if self.opened()?.state.tables().credentials.get(&row.name) != before.as_ref() {
            return Err(VaultError::Conflict(Conflict::CredentialChanged));
        }
        // A new version may allow less: fewer assumptions, a passphrase that is kept.
        let replaces = row.version > 1;
        let number = row.version;
        let check = checked.map(|checked| self.wire_check(&row, checked, now)).transpose()?;
        let said = match checked {
            None => "skipped",
            Some(Checked { problem: Some(_), .. }) => "not_possible",
            Some(_) => "done",
        };
        let mut plan =
            Plan::new(Method::CredentialImport.name(), Changes::new(), move |_, change| {
                let key_type = key_type.to_string();
                v1::ImportResponse { change: Some(change), version: number, key_type, check }
                    .encode_to_vec()
            });
        plan.credential = Some(row.name.clone());
        plan.detail = detail([
            ("allow_withdrawals", allow_withdrawals.to_string()),
            ("assume", row.assume.join(",")),
            ("check", said.to_owned()),
            ("disclose_passphrase", row.disclose_passphrase.to_string()),
            ("environment", row.environment.to_string()),
            ("key_type", key_type.to_string()),
            ("rights", row.rights.as_ref().map_or("all".to_owned(), |rights| rights.join(","))),
            ("sites", row.sites.join(",")),
            ("venue", row.venue.clone()),
            ("version", number.to_string()),
        ]);
        plan.barrier = replaces.then(Vec::new);
        plan.changes.put(row).put(version);
        self.begin_act(plan, asker, now)
    }

    /// Stops every use of a credential, or allows it again.
    ///
    /// # Errors
    ///
    /// [`VaultError::NotFound`], [`VaultError::Conflict`].
    pub(crate) fn set_credential_state(
        &mut self,
        method: Method,
        name: &str,
        state: CredentialState,
        asker: Asker,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let mut row = self.credential(name)?.clone();
        let stopped = Stopped::Credential(row.name.clone());
        match state {
            CredentialState::Disabled => self.acts.stops.note(stopped, asker.correlation),
            CredentialState::Enabled => self.acts.stops.check(&stopped, asker.correlation)?,
        }
        if row.state == state {
            return Err(VaultError::Conflict(Conflict::AlreadySo));
        }
        row.state = state;
        let name = row.name.clone();
        let mut plan = Plan::new(method.name(), Changes::new(), move |vault, change| match state {
            CredentialState::Disabled => v1::DisableCredentialResponse {
                outstanding: Some(vault.outstanding(Of::Credential(&name))),
                change: Some(change),
            }
            .encode_to_vec(),
            CredentialState::Enabled => {
                v1::EnableCredentialResponse { change: Some(change) }.encode_to_vec()
            }
        });
        plan.credential = Some(row.name.clone());
        plan.barrier = (state == CredentialState::Disabled).then(Vec::new);
        plan.changes.put(row);
        self.begin_act(plan, asker, now)
    }

    /// A page of the credentials, by name, without their secrets.
    ///
    /// # Errors
    ///
    /// [`VaultError::Sealed`], [`VaultError::Field`] for a token that is none.
    pub(crate) fn list_credentials(
        &self,
        command: &v1::ListCredentialsCommand,
        now: Timestamp,
    ) -> Result<v1::ListCredentialsResponse, VaultError> {
        let tables = self.opened()?.state.tables();
        let v1::ListCredentialsCommand { page_size, page_token } = command;
        let page = Page::new(Method::CredentialList, "", *page_size, page_token)?;
        let after: Option<Name> = page.after(|text| text.parse().ok())?;
        let from = after.as_ref().map_or(Unbounded, Excluded);
        let rows = tables.credentials.range::<Name, _>((from, Unbounded));
        let (credentials, next_page_token) = page.fill(rows.map(|(name, row)| {
            Ok(Listed::row(name.to_string(), self.credential_info(row, now)?))
        }))?;
        Ok(v1::ListCredentialsResponse { credentials, next_page_token })
    }

    /// One credential, without its secret.
    ///
    /// # Errors
    ///
    /// [`VaultError::NotFound`].
    pub(crate) fn describe_credential(
        &self,
        name: &str,
        now: Timestamp,
    ) -> Result<v1::DescribeCredentialResponse, VaultError> {
        let row = self.credential(name)?;
        let open = self.opened()?;
        let (mut scopes, mut scope_count) = (Vec::new(), 0);
        for name in open.state.tables().scopes.keys() {
            let scope = open.scopes.get(name);
            if !scope.is_some_and(|scope| scope.document.credentials.contains(&row.name)) {
                continue;
            }
            scope_count += 1;
            if scopes.len() < SCOPES_SHOWN {
                scopes.push(name.to_string());
            }
        }
        let credential = Some(self.credential_info(row, now)?);
        Ok(v1::DescribeCredentialResponse { credential, scopes, scope_count })
    }

    pub(crate) fn credential(&self, name: &str) -> Result<&CredentialRow, VaultError> {
        let tables = self.opened()?.state.tables();
        tables.credentials.get(name).ok_or(VaultError::NotFound("credential"))
    }

    fn credential_info(
        &self,
        row: &CredentialRow,
        now: Timestamp,
    ) -> Result<v1::CredentialInfo, VaultError> {
        let version = self.tables().credential_versions.get(&(row.name.clone(), row.version));
        let checked = version.and_then(|version| self.checked(row, version));
        Ok(v1::CredentialInfo {
            metadata: Some(v1::CredentialMetadata {
                name: row.name.to_string(),
                venue: row.venue.clone(),
                environment: row.environment.to_string(),
                rights: row.rights.clone().unwrap_or_default(),
                rights_stated: row.rights.is_some(),
                assume: row.assume.clone(),
                disclose_passphrase: row.disclose_passphrase,
                nonce_floor: row.nonce_floor,
                sites: row.sites.clone(),
            }),
            version: row.version,
            state: match row.state {
                CredentialState::Disabled => "disabled".to_owned(),
                CredentialState::Enabled => "enabled".to_owned(),
            },
            created_at_ms: row.created_at.millis(),
            key_type: version.map(|version| version.key_type.clone()).unwrap_or_default(),
            check: checked.map(|checked| self.wire_check(row, checked, now)).transpose()?,
        })
    }

    pub(crate) fn credential_row(
        &self,
        metadata: &v1::CredentialMetadata,
        now: Timestamp,
    ) -> Result<CredentialRow, VaultError> {
        let name: Name = metadata
            .name
            .parse()
            .map_err(|_| VaultError::Field("name is 1 to 63 of a-z 0-9 . _ -"))?;
        let venue = self
            .registry
            .venue(&metadata.venue)
            .ok_or(VaultError::Field("venue is not one of the vault's"))?;
        let environment: Environment = metadata
            .environment
            .parse()
            .map_err(|_| VaultError::Field("environment is live or demo"))?;
        if !venue.has_environment(environment) {
            return Err(VaultError::Field("the venue has no such environment"));
        }
        if metadata.rights.iter().any(|right| !venue.rights().contains(right)) {
            return Err(VaultError::Field("rights are in the venue's own words"));
        }
        if metadata.assume.iter().any(|word| word != VENUE_CHECKS) {
            return Err(VaultError::Field("assume knows venue_checks alone"));
        }
        let sites = venue.catalog.hosts(environment).map(|hosts| &hosts.sites);
        if !sites.is_some_and(|sites| metadata.sites.iter().all(|name| sites.has(name))) {
            return Err(VaultError::Field("sites are those of the venue's catalogue"));
        }
        let once = |words: &[String]| {
            words.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>()
        };
        let mut sites = once(&metadata.sites);
        if sites == [MAIN_SITE] {
            // Said or not, it is one document.
            sites.clear();
        }
        Ok(CredentialRow {
            assume: once(&metadata.assume),
            created_at: now,
            disclose_passphrase: metadata.disclose_passphrase,
            environment,
            name,
            nonce_floor: metadata.nonce_floor,
            rights: metadata.rights_stated.then(|| once(&metadata.rights)),
            sites,
            state: CredentialState::Enabled,
            venue: metadata.venue.clone(),
            version: 1,
        })
    }

    fn seal_version(
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

#[cfg(test)]
impl Vault {
    /// The rows of a credential as an import makes them.
    pub(crate) fn sample_credential(
        &self,
        metadata: &v1::CredentialMetadata,
        secret: &v1::CredentialSecret,
        now: Timestamp,
    ) -> (CredentialRow, CredentialVersionRow) {
        self.sample_version(metadata, secret, 1, now)
    }

    /// The same of a later import.
    pub(crate) fn sample_version(
        &self,
        metadata: &v1::CredentialMetadata,
        secret: &v1::CredentialSecret,
        version: u32,
        now: Timestamp,
    ) -> (CredentialRow, CredentialVersionRow) {
        let secret =
            read_secret(&SecretBytes::new(secret.encode_to_vec())).expect("a secret of its form");
        let mut row = self.credential_row(metadata, now).expect("sound metadata");
        row.version = version;
        let venue = self.registry.venue(&row.venue).expect("a venue");
        let key_type = proven_key_type(venue, &secret, "").expect("a key of the venue");
        let version =
            self.seal_version(&row, key_type.to_string(), &secret, now).expect("can be sealed");
        (row, version)
    }
}

/// What a secret is: the venue finds the type, and signs with it once.
fn proven_key_type(
    venue: &Venue,
    secret: &OpenSecret,
    stated: &str,
) -> Result<KeyType, VaultError> {
    let stated: Option<KeyType> = match stated {
        "" => None,
        word => Some(word.parse().map_err(VaultError::VenueKey)?),
    };
    let found = venue.key_type_of(&secret.secret).map_err(VaultError::VenueKey)?;
    if stated.is_some_and(|stated| stated != found) {
        return Err(VaultError::VenueKey(VenueError::KeyTypeWrong));
    }
    venue.check_key(&secret.key(found)).map_err(VaultError::VenueKey)?;
    Ok(found)
}

fn read_secret(encoded: &SecretBytes) -> Result<OpenSecret, VaultError> {
    let mut secret = v1::CredentialSecret::default();
    let read = secret.merge(encoded.expose_secret());
    // Whatever comes of it, all of them are wiped: also what was read before the reading failed.
    let passphrase = SecretBytes::new(secret.passphrase);
    let text = SecretBytes::new(secret.secret);
    let private_key_pem = SecretBytes::new(secret.private_key_pem);
    read.map_err(|_| VaultError::SealedSecret)?;
    let secret_text = match (text.is_empty(), private_key_pem.is_empty()) {
        (_, true) => text,
        (true, false) => private_key_pem,
        (false, false) => {
            return Err(VaultError::Field("give a secret or a private key, and not both"));
        }
    };
    let passphrase = (!passphrase.is_empty()).then_some(passphrase);
    Ok(OpenSecret::new(secret.api_key, secret_text, passphrase))
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

const SECRET_VERSION: u8 = 1;
/// Scopes that a description names at most.
const SCOPES_SHOWN: usize = 1_000;

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::AsBigEndian;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    };
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use prost::Message;
    use vault_ipc::proto::v1;
    use vault_model::SecretBytes;
    use vault_venue::{KeyType, Registry};

    use super::{OpenSecret, proven_key_type, read_secret};

    #[test]
    fn secrets_read_back() {
        // The second is longer than any PEM of an RSA key with 4,096 bits.
        for secret in [b"canary".to_vec(), [b"line\n".as_slice(); 1_000].concat()] {
            for passphrase in [None, Some(SecretBytes::new(b"phrase".to_vec()))] {
                let secret = SecretBytes::new(secret.clone());
                let secret = OpenSecret::new("key".to_owned(), secret, passphrase);
                let bytes = secret.encode().expect("short");
                let read = OpenSecret::decode(&bytes).expect("reads back");

                assert_eq!(read.api_key, "key");
                assert_eq!(read.secret.expose_secret(), secret.secret.expose_secret());
                assert_eq!(read.passphrase.is_some(), secret.passphrase.is_some());
                for end in (0..bytes.len()).step_by(7) {
                    let cut = SecretBytes::new(bytes.expose_secret()[..end].to_vec());
                    assert!(OpenSecret::decode(&cut).is_none());
                }
            }
        }
    }

    fn uploaded(secret: &str, pem: &str) -> Result<OpenSecret, &'static str> {
        let encoded = v1::CredentialSecret {
            api_key: "key".to_owned(),
            secret: secret.into(),
            passphrase: Vec::new(),
            private_key_pem: pem.into(),
        }
        .encode_to_vec();
        read_secret(&SecretBytes::new(encoded)).map_err(|error| error.reason())
    }

    #[test]
    fn a_private_key_takes_the_place_of_a_secret() {
        const PEM: &str = "-----BEGIN X-----\nYQ==\n-----END X-----\n";
        let pem = uploaded("", PEM).expect("a key");
        assert_eq!(pem.secret.expose_secret(), PEM.as_bytes());
        assert_eq!(uploaded("text", "").expect("a secret").secret.expose_secret(), b"text");
        assert_eq!(uploaded("text", PEM).err(), Some("BAD_FIELD"));
    }

    #[test]
    fn private_keys_are_taken_where_the_venue_takes_them() {
        let registry = Registry::bundled().expect("catalogues");
        let proven = |venue: &str, secret: &str, pem: &str| {
            let secret = uploaded(secret, pem).expect("read");
            let venue = registry.venue(venue).expect("a venue");
            proven_key_type(venue, &secret, "").map_err(|error| error.reason())
        };
        let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        let p256 = crate::server::pem("PRIVATE KEY", p256.to_pkcs8v1().expect("a key").as_ref());
        let ed25519 = Ed25519KeyPair::generate().expect("a key");
        let seed = ed25519.seed().expect("its seed").as_be_bytes().expect("its bytes");
        let halves = [seed.as_ref(), ed25519.public_key().as_ref()].concat();
        let ed25519 = BASE64_STANDARD.encode(halves);

        assert_eq!(proven("coinbase", "", &p256), Ok(KeyType::Es256));
        assert_eq!(proven("coinbase", &ed25519, ""), Ok(KeyType::Ed25519));
        assert_eq!(proven("bybit", "", &p256), Err("KEY_TYPE_NOT_TAKEN"));
        let cut = p256.get(..p256.len() / 2).expect("ASCII");
        assert_eq!(proven("coinbase", "", cut), Err("PEM_FORM"));
    }

    #[test]
    fn a_key_is_what_it_proves_to_be() {
        let registry = Registry::bundled().expect("catalogues");
        let venue = registry.venue("kraken").expect("a venue");
        let proven = |secret: &str, stated: &str| {
            let secret = uploaded(secret, "").expect("read");
            proven_key_type(venue, &secret, stated).map_err(|error| error.reason())
        };
        // 64 bytes of zero, as Kraken writes a secret.
        let text = format!("{}A==", "A".repeat(85));

        assert_eq!(proven(&text, ""), Ok(KeyType::Hmac));
        assert_eq!(proven(&text, "hmac"), Ok(KeyType::Hmac));
        assert_eq!(proven(&text, "rsa"), Err("KEY_TYPE_WRONG"));
        assert_eq!(proven(&text, "Hmac"), Err("KEY_TYPE_UNKNOWN"));
        assert!(proven("not base64!", "").is_err());
    }
}
