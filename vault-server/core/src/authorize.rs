//! The only gate. A [`Permit`] can be made here alone, and a credential's secret is opened for a
//! permit alone, so code that forgets the gate does not compile.

use std::net::IpAddr;

use vault_model::{ClockTime, Mode, Name, Reading, Timestamp, VenueRequest};
use vault_policy::{Cost, Country, Decision, Halts, History, Market, Question};
use vault_venue::{KeyType, Standing, Venue};

use crate::error::VaultError;
use crate::shadow::Divided;
use crate::storage::{ClientRow, CredentialRow, CredentialState, CredentialVersionRow};
use crate::vault::{CompiledScope, Open, Vault};

/// Leave to sign one request with one credential.
pub struct Permit {
    cost: Cost,
    credential: CredentialRow,
    key_type: KeyType,
    reading: Reading,
    // Keeps others from making one.
    _gate: (),
}

impl Permit {
    /// The credential as it was judged.
    pub fn credential(&self) -> &CredentialRow {
        &self.credential
    }

    /// The type of its key, as it was judged.
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// The request as it was judged.
    pub fn reading(&self) -> &Reading {
        &self.reading
    }
}

/// What is known of a request when its judgement ends, allowed or not: for the log.
#[derive(Default)]
pub struct Facts {
    /// What it counts for, if the answer is yes.
    pub cost: Option<Cost>,
    /// The credential, if the client may know it.
    pub credential: Option<CredentialRow>,
    /// The type of its key, if the answer is yes.
    pub key_type: Option<KeyType>,
    /// Intents and closure, once the request could be read.
    pub reading: Option<Reading>,
    /// The scope and its revision.
    pub scope: Option<(Name, u64)>,
    /// What the scope's shadow says, if it has one.
    pub shadow: Option<Divided>,
}

impl Facts {
    /// Takes back what a permit holds, once it has served.
    pub fn keep(&mut self, permit: Permit) {
        self.cost = Some(permit.cost);
        self.credential = Some(permit.credential);
        self.key_type = Some(permit.key_type);
        self.reading = Some(permit.reading);
    }
}

/// A request to be judged.
#[derive(Clone, Copy)]
pub struct Judged<'a> {
    /// Who sends it.
    pub client: &'a ClientRow,
    /// From where.
    pub address: IpAddr,
    /// With which credential.
    pub credential: &'a Name,
    /// How.
    pub mode: Mode,
    /// What.
    pub request: &'a VenueRequest,
    /// When, by the wall clock.
    pub now: Timestamp,
    /// The same, without what it was put forward since the vault started.
    pub steady_now: Timestamp,
    /// When, on the vault's own clock.
    pub clock: ClockTime,
}

impl Vault {
    /// Judges a request with everything that its signature would authorise.
    ///
    /// `facts` gets what was found out on the way if the answer is no. If it is yes, the permit holds
    /// credential and reading, and [`Facts::keep`] takes them back.
    ///
    /// # Errors
    ///
    /// [`VaultError::Sealed`], [`VaultError::NotFound`] for a credential that is not there or not the
    /// client's to know, [`VaultError::CredentialDisabled`], [`VaultError::CredentialDrifted`],
    /// [`VaultError::Read`], [`VaultError::Deny`].
    pub(crate) fn authorize(
        &self,
        judged: Judged<'_>,
        facts: &mut Facts,
    ) -> Result<Permit, VaultError> {
        let ground = self.ground(judged)?;
        facts.scope = Some((ground.scope.document.name.clone(), ground.scope.revision));
        let credential = facts.credential.insert(ground.credential.clone());
        if credential.state == CredentialState::Disabled {
            return Err(VaultError::CredentialDisabled);
        }
        if judged.mode == Mode::Sign && ground.drifted {
            return Err(VaultError::CredentialDrifted);
        }
        let reading = ground.venue.read_in(judged.mode, judged.request, &ground.standing())?;
        let question = ground.question(judged, &reading);
        let decision = vault_policy::judge(&question);
        facts.shadow = ground.shadow.map(|shadow| Divided::judge(shadow, &question, &decision));
        match (decision, facts.credential.take()) {
            (Decision::Allow(cost), Some(credential)) => {
                Ok(Permit { cost, credential, key_type: ground.key_type, reading, _gate: () })
            }
            (Decision::Allow(_), None) => {
                Err(VaultError::Internal("a judgement lost its credential"))
            }
            (Decision::Deny(denial), credential) => {
                facts.credential = credential;
                facts.reading = Some(reading);
                Err(VaultError::Deny(denial))
            }
        }
    }

    /// What a request is judged by.
    ///
    /// # Errors
    ///
    /// [`VaultError::Sealed`], [`VaultError::NotFound`] as for [`Vault::authorize`].
    pub(crate) fn ground(&self, judged: Judged<'_>) -> Result<Ground<'_>, VaultError> {
        let open = self.opened()?;
        let (scope, credential) = visible_credential(open, judged)?;
        let venue = self
            .registry
            .venue(&credential.venue)
            .ok_or(VaultError::Internal("a credential is for an unknown venue"))?;
        let key_type = version(open, credential)?
            .key_type
            .parse()
            .map_err(|_| VaultError::Internal("a credential is of an unknown key type"))?;
        let shadow = scope.document.shadow.as_ref().and_then(|name| open.scopes.get(name));
        let asks_country = |scope: &CompiledScope| scope.document.network.countries.is_some();
        let country = (asks_country(scope) || shadow.is_some_and(asks_country))
            .then(|| self.countries.of(judged.address))
            .flatten();
        Ok(Ground {
            country,
            credential,
            drifted: self.checks.is_drifted(judged.credential),
            halts: &open.halts,
            history: self.histories.of(&judged.client.name),
            withdrawn: self.histories.withdrawn(&scope.document.name),
            key_type,
            market: &open.market,
            scope,
            shadow,
            venue,
        })
    }
}

/// What a request is judged by: the client's scope, the credential and its venue, the halts, what
/// is known of markets, and what the client has been given.
pub(crate) struct Ground<'v> {
    pub(crate) country: Option<Country>,
    pub(crate) credential: &'v CredentialRow,
    /// Its key has rights that are not stated.
    pub(crate) drifted: bool,
    pub(crate) halts: &'v Halts,
    pub(crate) history: &'v History,
    /// What has left under its scope.
    pub(crate) withdrawn: &'v History,
    pub(crate) key_type: KeyType,
    pub(crate) market: &'v Market,
    pub(crate) scope: &'v CompiledScope,
    pub(crate) shadow: Option<&'v CompiledScope>,
    pub(crate) venue: &'v Venue,
}

impl<'v> Ground<'v> {
    /// What is known about the credential.
    pub(crate) fn standing(&self) -> Standing<'v> {
        let credential = self.credential;
        Standing {
            environment: credential.environment,
            sites: Some(&credential.sites),
            venue_checks: credential.assume.iter().any(|word| word == VENUE_CHECKS),
            rights: credential.rights.as_deref(),
            key_type: self.key_type,
        }
    }

    /// What policy is asked.
    pub(crate) fn question<'q>(&'q self, judged: Judged<'q>, reading: &'q Reading) -> Question<'q> {
        Question {
            client: &judged.client.name,
            credential: judged.credential,
            mode: judged.mode,
            address: judged.address,
            reading,
            scope: &self.scope.scope,
            client_networks: &judged.client.networks,
            halts: self.halts,
            market: self.market,
            history: self.history,
            withdrawn: self.withdrawn,
            now: judged.now,
            steady_now: judged.steady_now,
            clock: judged.clock,
            country: self.country,
            takes_signatures_once: self.venue.takes_signatures_once(),
        }
    }
}

/// The present version of a credential.
///
/// # Errors
///
/// [`VaultError::Internal`] if there is none.
pub(crate) fn version<'o>(
    open: &'o Open,
    credential: &CredentialRow,
) -> Result<&'o CredentialVersionRow, VaultError> {
    let versions = &open.state.tables().credential_versions;
    versions
        .get(&(credential.name.clone(), credential.version))
        .ok_or(VaultError::Internal("a credential has no version"))
}

/// The client's scope and the credential, if the scope names it: "not yours" and "not there" answer
/// alike.
fn visible_credential<'o>(
    open: &'o Open,
    judged: Judged<'_>,
) -> Result<(&'o CompiledScope, &'o CredentialRow), VaultError> {
    let not_found = || VaultError::NotFound("credential");
    let scope = judged
        .client
        .scope
        .as_ref()
        .and_then(|name| open.scopes.get(name))
        .ok_or_else(not_found)?;
    let credential = open.state.tables().credentials.get(judged.credential);
    match credential {
        Some(row) if scope.document.credentials.contains(judged.credential) => Ok((scope, row)),
        _ => Err(not_found()),
    }
}

/// The word in a credential's `assume`.
pub const VENUE_CHECKS: &str = "venue_checks";
