//! The only gate. A [`Permit`] can be made here alone, and a credential's secret is opened for a
//! permit alone, so code that forgets the gate does not compile.

use std::net::IpAddr;

use vault_model::{Mode, Name, Reading, VenueRequest};
use vault_policy::{Decision, Question};
use vault_venue::Standing;

use crate::error::VaultError;
use crate::storage::{ClientRow, CredentialRow, CredentialState};
use crate::vault::{CompiledScope, Open, Vault};

/// Leave to sign one request with one credential.
pub struct Permit {
    credential: CredentialRow,
    reading: Reading,
    // Keeps others from making one.
    _gate: (),
}

impl Permit {
    /// The credential as it was judged.
    pub fn credential(&self) -> &CredentialRow {
        &self.credential
    }

    /// The request as it was judged.
    pub fn reading(&self) -> &Reading {
        &self.reading
    }
}

/// What is known of a request when its judgement ends, allowed or not: for the log.
#[derive(Default)]
pub struct Facts {
    /// The credential, if the client may know it.
    pub credential: Option<CredentialRow>,
    /// Intents and closure, once the request could be read.
    pub reading: Option<Reading>,
    /// The scope and its revision.
    pub scope: Option<(Name, u64)>,
}

impl Facts {
    /// Takes back what a permit holds, once it has served.
    pub fn keep(&mut self, permit: Permit) {
        self.credential = Some(permit.credential);
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
    /// client's to know, [`VaultError::Read`], [`VaultError::Deny`].
    pub(crate) fn authorize(
        &self,
        judged: Judged<'_>,
        facts: &mut Facts,
    ) -> Result<Permit, VaultError> {
        let open = self.opened()?;
        let (scope, credential) = visible_credential(open, judged)?;
        facts.scope = Some((scope.document.name.clone(), scope.revision));
        let credential = facts.credential.insert(credential.clone());
        if credential.state == CredentialState::Disabled {
            return Err(VaultError::CredentialDisabled);
        }

        let venue = self
            .registry
            .venue(&credential.venue)
            .ok_or(VaultError::Internal("a credential is for an unknown venue"))?;
        let standing = Standing {
            environment: credential.environment,
            venue_checks: credential.assume.iter().any(|word| word == VENUE_CHECKS),
            rights: credential.rights.as_deref(),
        };
        let reading = venue.read(judged.request, &standing)?;
        let decision = vault_policy::judge(&Question {
            client: &judged.client.name,
            credential: judged.credential,
            mode: judged.mode,
            address: judged.address,
            reading: &reading,
            scope: &scope.scope,
            client_networks: &judged.client.networks,
            halts: &open.halts,
        });
        match (decision, facts.credential.take()) {
            (Decision::Allow, Some(credential)) => Ok(Permit { credential, reading, _gate: () }),
            (Decision::Allow, None) => Err(VaultError::Internal("a judgement lost its credential")),
            (Decision::Deny(denial), credential) => {
                facts.credential = credential;
                facts.reading = Some(reading);
                Err(VaultError::Deny(denial))
            }
        }
    }
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
