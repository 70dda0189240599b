//! Scopes: put, get, list, delete.

use std::collections::BTreeSet;

use prost::Message;
use vault_ipc::proto::v1;
use vault_model::{Class, Mode, Name, Timestamp};
use vault_policy::{Grant, ScopeDocument};

use crate::act::{Asker, Plan};
use crate::command::{self, Method};
use crate::error::{Conflict, VaultError};
use crate::storage::{Changes, RowKey, ScopeRow};
use crate::vault::{CompiledScope, Vault, detail};

impl Vault {
    /// Makes or replaces a scope.
    ///
    /// # Errors
    ///
    /// What is wrong with the document; [`VaultError::Conflict`] if another revision is there.
    pub(crate) fn put_scope(
        &mut self,
        command: &v1::SignedCommand,
        asker: Asker,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let command: v1::PutScopeCommand = command::body(command)?;
        let wire = command.scope.ok_or(VaultError::Field("scope is not set"))?;
        let document = model_scope(&wire)?;
        let unknown_venue =
            document.symbols.keys().any(|venue| self.registry.venue(venue.as_str()).is_none());
        if unknown_venue {
            return Err(VaultError::Scope(
                "symbols name a venue that the vault does not know".into(),
            ));
        }

        let is_other = |operation: &String| {
            // By its name: a path may have a pattern in it.
            self.registry.names().find(|name| {
                self.registry.venue(name).is_some_and(|venue| {
                    let mut operations = venue.catalog.operations.iter();
                    operations
                        .any(|known| *known.name == **operation && known.class == Class::Other)
                })
            })
        };
        if document.operations.iter().any(|operation| is_other(operation).is_none()) {
            return Err(VaultError::Scope(
                "operations name one that is not catalogued, or not of class other".to_owned(),
            ));
        }
        let old = self.opened()?.scopes.get(&document.name);
        let revision = old.map_or(0, |old| old.revision);
        if command.expected_revision != 0 && command.expected_revision != revision {
            return Err(VaultError::Conflict(Conflict::Revision));
        }
        let widens = old.is_none_or(|old| vault_policy::widens(&old.document, &document));
        let narrows = old.is_some_and(|old| vault_policy::narrows(&old.document, &document));
        let holders = self.clients_of(&document.name);
        let row = ScopeRow {
            document: serde_json::to_value(&document)
                .map_err(|_| VaultError::Internal("a scope cannot be stored"))?,
            name: document.name.clone(),
            revision: revision + 1,
            updated_at: now,
        };
        let mut plan = Plan::new(Method::ScopePut.name(), Changes::new(), move |vault, change| {
            let outstanding = vault.released.outstanding(now, |client, _| {
                narrows && holders.iter().any(|holder| holder == client.as_str())
            });
            v1::PutScopeResponse {
                change: Some(change),
                revision: revision + 1,
                widens,
                narrows,
                outstanding: Some(outstanding),
            }
            .encode_to_vec()
        });
        plan.scope = Some(document.name.clone());
        plan.detail = detail([
            ("narrows", narrows.to_string()),
            ("revision", (revision + 1).to_string()),
            ("widens", widens.to_string()),
        ]);
        plan.barrier = narrows.then(Vec::new);
        plan.changes.put(row);
        self.begin_act(plan, asker, now)
    }

    /// Deletes a scope that no active client holds.
    ///
    /// # Errors
    ///
    /// [`VaultError::NotFound`], [`VaultError::Conflict`].
    pub(crate) fn delete_scope(
        &mut self,
        name: &str,
        asker: Asker,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let name = self.scope(name)?.document.name.clone();
        let invited = self.tables().invites.values().any(|invite| {
            invite.scope.as_ref() == Some(&name)
                && invite.used_at.is_none()
                && invite.expires_at > now
        });
        if invited || !self.clients_of(&name).is_empty() {
            return Err(VaultError::Conflict(Conflict::ScopeInUse));
        }
        let mut plan = Plan::new(Method::ScopeDelete.name(), Changes::new(), |_, change| {
            v1::DeleteScopeResponse { change: Some(change) }.encode_to_vec()
        });
        plan.scope = Some(name.clone());
        plan.changes.delete(RowKey::Scope(name));
        self.begin_act(plan, asker, now)
    }

    /// One scope.
    ///
    /// # Errors
    ///
    /// [`VaultError::NotFound`].
    pub(crate) fn get_scope(&self, name: &str) -> Result<v1::GetScopeResponse, VaultError> {
        Ok(v1::GetScopeResponse { scope: Some(self.scope_info(self.scope(name)?)) })
    }

    /// All scopes, by name.
    ///
    /// # Errors
    ///
    /// [`VaultError::Sealed`].
    pub(crate) fn list_scopes(&self) -> Result<v1::ListScopesResponse, VaultError> {
        let mut compiled: Vec<&CompiledScope> = self.opened()?.scopes.values().collect();
        compiled.sort_by_key(|compiled| &compiled.document.name);
        let scopes = compiled.into_iter().map(|compiled| self.scope_info(compiled)).collect();
        Ok(v1::ListScopesResponse { scopes })
    }

    fn scope(&self, name: &str) -> Result<&CompiledScope, VaultError> {
        self.opened()?.scopes.get(name).ok_or(VaultError::NotFound("scope"))
    }

    fn clients_of(&self, scope: &Name) -> Vec<String> {
        self.tables()
            .clients
            .values()
            .filter(|client| {
                client.scope.as_ref() == Some(scope)
                    && client.state == crate::storage::HolderState::Active
            })
            .map(|client| client.name.to_string())
            .collect()
    }

    fn scope_info(&self, compiled: &CompiledScope) -> v1::ScopeInfo {
        let name = &compiled.document.name;
        let updated_at = self.tables().scopes.get(name).map(|row| row.updated_at);
        v1::ScopeInfo {
            scope: Some(wire_scope(&compiled.document)),
            revision: compiled.revision,
            updated_at_ms: updated_at.unwrap_or_default().millis(),
            clients: self.clients_of(name),
        }
    }
}

fn model_scope(wire: &v1::Scope) -> Result<ScopeDocument, VaultError> {
    fn words<T: std::str::FromStr<Err = vault_model::UnknownWord>>(
        dimension: &str,
        words: &[String],
    ) -> Result<Vec<T>, VaultError> {
        words
            .iter()
            .map(|word| {
                word.parse().map_err(|error| VaultError::Scope(format!("{dimension}: {error}")))
            })
            .collect()
    }
    let mut venues = BTreeSet::new();
    if !wire.symbols.iter().all(|entry| venues.insert(&entry.venue)) {
        return Err(VaultError::Scope("symbols name a venue twice".to_owned()));
    }
    let network = wire.network.clone().unwrap_or_default();
    let document = serde_json::json!({
        "name": wire.name,
        "description": wire.description,
        "credentials": wire.credentials,
        "classes": words::<vault_model::Class>("classes", &wire.classes)?,
        "operations": wire.operations,
        "modes": words::<Mode>("modes", &wire.modes)?,
        "products": wire.products,
        "symbols": wire.symbols.iter()
            .map(|entry| (entry.venue.clone(), serde_json::json!(entry.symbols)))
            .collect::<serde_json::Map<_, _>>(),
        "network": {
            "allow": network.allow,
            "deny": network.deny,
            "allow_any": network.allow_any,
        },
    });
    serde_json::from_value(document).map_err(|_| {
        VaultError::Scope("a name, product, operation or network is not of its form".to_owned())
    })
}

fn wire_scope(document: &ScopeDocument) -> v1::Scope {
    fn granted<T: Clone + std::fmt::Display>(grant: &Grant<T>) -> Vec<String> {
        grant.clone().into()
    }
    v1::Scope {
        name: document.name.to_string(),
        description: document.description.clone(),
        credentials: document.credentials.iter().map(ToString::to_string).collect(),
        classes: document.classes.iter().map(ToString::to_string).collect(),
        operations: document.operations.iter().cloned().collect(),
        modes: document.modes.iter().map(ToString::to_string).collect(),
        products: granted(&document.products),
        symbols: document
            .symbols
            .iter()
            .map(|(venue, symbols)| v1::VenueSymbols {
                venue: venue.to_string(),
                symbols: granted(symbols),
            })
            .collect(),
        network: Some(v1::Network {
            allow: document.network.allow.iter().map(ToString::to_string).collect(),
            deny: document.network.deny.iter().map(ToString::to_string).collect(),
            allow_any: document.network.allow_any,
        }),
    }
}
