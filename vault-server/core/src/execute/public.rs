//! Execute without a credential: public endpoints. Nothing of ours is in such a request, so it is
//! not logged when it goes; what is refused is.

use vault_ipc::proto::v1;
use vault_model::{Class, Environment, Reading, SignedRequest, VenueRequest};
use vault_policy::{Denial, Outside, PublicQuestion, judge_public};
use vault_venue::{KeyType, ReadError, Standing, Venue};

use super::outcome::Execution;
use crate::authorize::Facts;
use crate::error::VaultError;
use crate::journal::Channel;
use crate::order::{Asked, Order};
use crate::vault::Vault;

impl Vault {
    /// Judges a request that names no credential, and has it sent as it stands.
    ///
    /// # Errors
    ///
    /// A defect.
    pub(super) fn execute_public(
        &mut self,
        asked: Asked<'_>,
        order: &Order,
    ) -> Result<(), VaultError> {
        let mut facts = Facts::default();
        let open = match self.open_public(asked, &order.request, &mut facts) {
            Ok(_) if !self.executions.has_room(&asked.caller.name, Class::Public) => {
                Err(VaultError::Overloaded)
            }
            open => open,
        };
        match (open, &facts.reading) {
            (Ok(request), Some(reading)) => {
                let client = asked.caller.name.clone();
                let execution = Execution { client, lane: None, intent: None };
                self.dispatch(asked, execution, &order.request, reading, request, false)?;
                let answer = v1::Execution::default();
                self.journal.answer(Channel::Front, asked.correlation, &answer);
                Ok(())
            }
            (Ok(_), None) => Err(VaultError::Internal("nothing was read")),
            (Err(error), _) => self.deny(asked, Some(order), &facts, &error),
        }
    }

    fn open_public(
        &self,
        asked: Asked<'_>,
        request: &VenueRequest,
        facts: &mut Facts,
    ) -> Result<SignedRequest, VaultError> {
        if request.scheme != "https" {
            return Err(VaultError::Read(ReadError::SchemeNotAllowed));
        }
        let open = self.opened()?;
        let caller = asked.caller;
        let client = open
            .state
            .tables()
            .clients
            .get(&caller.name)
            .ok_or(VaultError::Internal("a caller is no client"))?;
        let address = caller.origin.address.ok_or(VaultError::Internal("a bot has no address"))?;
        let scope = client.scope.as_ref().and_then(|name| open.scopes.get(name));
        facts.scope = scope.map(|scope| (scope.document.name.clone(), scope.revision));

        let found = self.registry.venue_of_host(&request.host);
        let (venue, environments) = found.ok_or(ReadError::HostUnknown)?;
        let operation = venue.catalog.operation(&request.method, &request.path);
        if operation.is_some_and(|stated| stated.signed || stated.class != Class::Public) {
            return Err(VaultError::CredentialMissing);
        }
        let (reading, environment) = read_public(venue, &environments, request)?;
        let stated = &facts.reading.insert(reading).stated;
        let Some(scope) = scope else {
            let (operation, class) = (stated.operation.to_string(), stated.class);
            let outside = Outside { operation, class, stated: true };
            return Err(VaultError::Deny(Denial::ClassNotGranted(outside)));
        };
        let asks_country = scope.document.network.countries.is_some();
        judge_public(&PublicQuestion {
            client: &caller.name,
            address,
            venue: venue.name(),
            member: stated,
            scope: &scope.scope,
            client_networks: &client.networks,
            halts: &open.halts,
            country: asks_country.then(|| self.countries.of(address)).flatten(),
        })
        .map_err(VaultError::Deny)?;
        Ok(venue.open_request(request, environment)?)
    }
}

/// Reads a request in the first of a host's environments that takes it: live comes first, and where
/// a host serves several, the request may have a header of one of them.
fn read_public(
    venue: &Venue,
    environments: &[Environment],
    request: &VenueRequest,
) -> Result<(Reading, Environment), ReadError> {
    let mut refused = None;
    for &environment in environments {
        let standing = Standing {
            environment,
            sites: None,
            venue_checks: false,
            rights: None,
            // It decides what a signature binds, and there is none.
            key_type: venue.key_types().first().copied().unwrap_or(KeyType::Hmac),
        };
        match venue.read(request, &standing) {
            Ok(reading) => return Ok((reading, environment)),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    Err(refused.unwrap_or(ReadError::EnvironmentUnknown))
}
