//! Credentials: import, list, disable, enable.

mod seal;
mod secret;

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};

use prost::Message;
use vault_ipc::proto::{sealed, v1};
use vault_model::{Environment, Name, Timestamp};
use vault_venue::{Account, KeyType, MAIN_SITE};

pub use self::seal::{open_credential, open_own};
pub use self::secret::OpenSecret;
use self::secret::{proven_key_type, read_secret};
use crate::act::{Asker, Plan};
use crate::authorize::VENUE_CHECKS;
use crate::caller::Caller;
use crate::checked::Checked;
use crate::command::{self, Method};
use crate::error::{Conflict, VaultError};
use crate::outstanding::Of;
use crate::page::{Listed, Page};
use crate::stopped::Stopped;
use crate::storage::{Changes, CredentialRow, CredentialState, CredentialVersionRow};
use crate::vault::{Vault, detail};

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
        let secret = read_secret(&vault_model::SecretBytes::new(secret.encode_to_vec()))
            .expect("a secret of its form");
        let mut row = self.credential_row(metadata, now).expect("sound metadata");
        row.version = version;
        let venue = self.registry.venue(&row.venue).expect("a venue");
        let key_type = proven_key_type(venue, &secret, "").expect("a key of the venue");
        let version =
            self.seal_version(&row, key_type.to_string(), &secret, now).expect("can be sealed");
        (row, version)
    }
}

/// Scopes that a description names at most.
const SCOPES_SHOWN: usize = 1_000;
