//! Scopes: put, get, list, delete.

use std::ops::Bound::{Excluded, Unbounded};

use prost::Message;
use vault_ipc::proto::v1;
use vault_model::{Class, Name, Timestamp};
use vault_policy::{Dimension, ScopeDocument};
use vault_wire::{scope_from_wire, scope_hash, scope_to_wire};

use crate::act::{Asker, Plan};
use crate::approval::{Approved, Proposal};
use crate::command::{self, Method};
use crate::error::{ApprovalProblem, Conflict, VaultError};
use crate::outstanding::Of;
use crate::page::{Listed, Page};
use crate::storage::{Changes, RowKey, ScopeRow};
use crate::vault::{CompiledScope, Vault, detail};

impl Vault {
    /// Makes or replaces a scope.
    ///
    /// # Errors
    ///
    /// What is wrong with the document; [`VaultError::Conflict`] if another revision is there;
    /// [`VaultError::Approval`] if it widens withdrawals and no other admin has approved it.
    pub(crate) fn put_scope(
        &mut self,
        command: &v1::SignedCommand,
        asker: Asker,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let command: v1::PutScopeCommand = command::body(command)?;
        let wire = command.scope.as_ref().ok_or(VaultError::Field("scope is not set"))?;
        let document =
            scope_from_wire(wire).map_err(|error| VaultError::Scope(error.to_string()))?;
        self.check_scope(&document)?;
        let old = self.opened()?.scopes.get(&document.name);
        let revision = old.map_or(0, |old| old.revision);
        if command.expected_revision != 0 && command.expected_revision != revision {
            return Err(VaultError::Conflict(Conflict::Revision));
        }
        let approvals = self.approvals(&command, &document, old, &asker, now)?;
        let widens = old.is_none_or(|old| vault_policy::widens(&old.document, &document));
        let narrows = old.is_some_and(|old| vault_policy::narrows(&old.document, &document));
        let name = document.name.clone();
        let row = ScopeRow {
            document: serde_json::to_value(&document)
                .map_err(|_| VaultError::Internal("a scope cannot be stored"))?,
            name: document.name.clone(),
            revision: revision + 1,
            updated_at: now,
        };
        let mut plan = Plan::new(Method::ScopePut.name(), Changes::new(), move |vault, change| {
            let outstanding = match narrows {
                true => vault.outstanding(Of::Scope(&name)),
                false => v1::Outstanding::default(),
            };
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
        plan.approvals = approvals;
        plan.barrier = narrows.then(Vec::new);
        plan.changes.put(row);
        self.begin_act(plan, asker, now)
    }

    /// Refuses a scope that says what this vault cannot keep.
    pub(crate) fn check_scope(&self, document: &ScopeDocument) -> Result<(), VaultError> {
        let refuse = |words: &str| Err(VaultError::Scope(words.to_owned()));
        let is_unknown = |venue: &Name| self.registry.venue(venue.as_str()).is_none();
        let limits = document.orders.max_quantity.as_ref();
        let withdrawal = document.withdrawal.as_ref();
        if document.symbols.keys().any(is_unknown) {
            return refuse("symbols: a venue that the vault does not know");
        }
        if limits.is_some_and(|limits| limits.keys().any(is_unknown)) {
            return refuse("orders.max_quantity: a venue that the vault does not know");
        }
        if withdrawal.is_some_and(|table| table.addresses.iter().any(|to| is_unknown(&to.venue))) {
            return refuse("withdrawal.addresses: a venue that the vault does not know");
        }
        if withdrawal.is_some_and(|table| table.per_day.iter().any(|cap| is_unknown(&cap.venue))) {
            return refuse("withdrawal.per_day: a venue that the vault does not know");
        }
        if !document.operations.iter().all(|operation| self.is_other(operation)) {
            return refuse("operations: one that is not catalogued, or not of class other");
        }
        let open = self.opened()?;
        let has_shadow =
            document.shadow.as_ref().is_none_or(|shadow| open.scopes.contains_key(shadow));
        if !has_shadow {
            return refuse("shadow: there is no scope of this name");
        }
        let credentials = &open.state.tables().credentials;
        vault_policy::enforceable(document, |credential| {
            let venue = self.registry.venue(&credentials.get(credential)?.venue)?;
            Some(venue.takes_signatures_once())
        })
        .map_err(|error| VaultError::Scope(error.to_string()))
    }

    /// Whether a catalogue has the operation, in class `other`.
    fn is_other(&self, operation: &str) -> bool {
        self.registry.names().any(|name| {
            self.registry.venue(name).is_some_and(|venue| {
                // By its name: a path may have a pattern in it.
                let mut operations = venue.catalog.operations.iter();
                operations.any(|known| *known.name == *operation && known.class == Class::Other)
            })
        })
    }

    /// The approvals of a change, verified; those that it does not need, too. A change that is carried
    /// out uses all of them up, one that is refused none.
    fn approvals(
        &self,
        command: &v1::PutScopeCommand,
        document: &ScopeDocument,
        old: Option<&CompiledScope>,
        asker: &Asker,
        now: Timestamp,
    ) -> Result<Vec<Approved>, VaultError> {
        let required = wants_approval(old.map(|old| &old.document), document);
        if command.approvals.is_empty() {
            return match required {
                true => Err(VaultError::Approval(ApprovalProblem::Required)),
                false => Ok(Vec::new()),
            };
        }
        let revision = old.map_or(0, |old| old.revision);
        // Here 0 does not stand for "do not ask": it is the revision of a scope that is not there.
        if command.expected_revision != revision {
            return Err(VaultError::Conflict(Conflict::Revision));
        }
        let caller = asker.caller.as_ref().ok_or(VaultError::Internal("a put without a caller"))?;
        let proposal = Proposal {
            asker: &caller.name,
            instance_id: &self.instance.instance_id.0,
            method: Method::ScopePut.name(),
            document_hash: scope_hash(document)
                .ok_or(VaultError::Internal("a scope has no canonical form"))?,
            revision,
        };
        proposal.verify(self.tables(), &self.commands, &command.approvals, now)
    }

    /// Deletes a scope that no active client holds and no other scope has as its shadow.
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
        if invited || self.tables().clients_of(&name).next().is_some() {
            return Err(VaultError::Conflict(Conflict::ScopeInUse));
        }
        let mut others = self.opened()?.scopes.values();
        if others.any(|other| other.document.shadow.as_ref() == Some(&name)) {
            return Err(VaultError::Conflict(Conflict::ScopeIsShadow));
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

    /// A page of the scopes, by name.
    ///
    /// # Errors
    ///
    /// [`VaultError::Sealed`], [`VaultError::Field`] for a token that is none.
    pub(crate) fn list_scopes(
        &self,
        command: &v1::ListScopesCommand,
    ) -> Result<v1::ListScopesResponse, VaultError> {
        let open = self.opened()?;
        let v1::ListScopesCommand { page_size, page_token } = command;
        let page = Page::new(Method::ScopeList, "", *page_size, page_token)?;
        let after: Option<Name> = page.after(|text| text.parse().ok())?;
        let from = after.as_ref().map_or(Unbounded, Excluded);
        let names = open.state.tables().scopes.range::<Name, _>((from, Unbounded));
        let (scopes, next_page_token) = page.fill(names.map(|(name, _)| {
            let info = open.scopes.get(name).map(|compiled| self.scope_info(compiled));
            let read = 1 + info.as_ref().map_or(0, |info| info.clients.len());
            Ok(Listed { key: name.to_string(), message: info, read })
        }))?;
        Ok(v1::ListScopesResponse { scopes, next_page_token })
    }

    fn scope(&self, name: &str) -> Result<&CompiledScope, VaultError> {
        self.opened()?.scopes.get(name).ok_or(VaultError::NotFound("scope"))
    }

    fn clients_of(&self, scope: &Name) -> Vec<String> {
        let clients = self.tables().clients_of(scope).take(CLIENTS_SHOWN);
        clients.map(|client| client.name.to_string()).collect()
    }

    fn scope_info(&self, compiled: &CompiledScope) -> v1::ScopeInfo {
        let name = &compiled.document.name;
        let updated_at = self.tables().scopes.get(name).map(|row| row.updated_at);
        let (shadow_judged, shadow_diverged) = self.shadows.counts(name);
        v1::ScopeInfo {
            scope: Some(scope_to_wire(&compiled.document)),
            revision: compiled.revision,
            updated_at_ms: updated_at.unwrap_or_default().millis(),
            clients: self.clients_of(name),
            client_count: self.tables().client_count_of(name) as u64,
            shadow_judged,
            shadow_diverged,
        }
    }
}

/// Whether a change needs another admin: it lets value leave by more ways than before. That is so if
/// it newly grants the class, names more addresses or amounts, or opens anything else of a scope
/// that grants the class.
fn wants_approval(old: Option<&ScopeDocument>, new: &ScopeDocument) -> bool {
    let nothing = ScopeDocument::new(new.name.clone());
    let widened = vault_policy::compare(old.unwrap_or(&nothing), new).widened;
    let opens = |dimension: &Dimension| {
        matches!(dimension, Dimension::WithdrawalAddresses | Dimension::WithdrawalPerDay)
    };
    widened.iter().any(opens) || (new.classes.contains(&Class::Withdraw) && !widened.is_empty())
}

/// Clients that are told of a scope at most.
const CLIENTS_SHOWN: usize = 100;

#[cfg(test)]
mod tests {
    use vault_policy::ScopeDocument;

    use super::wants_approval;

    const PAYS: &str = r#"
        name = "pays"
        credentials = ["kraken-main"]
        classes = ["read", "withdraw"]
        modes = ["sign"]
        [network]
        allow = ["10.0.0.0/8"]
        [withdrawal]
        addresses = [{ venue = "kraken", asset = "XBT", address = "cold" }]
        per_day = [{ venue = "kraken", asset = "XBT", at_most = "0.5" }]
    "#;

    fn scope(text: &str) -> ScopeDocument {
        ScopeDocument::from_toml(text).expect("a scope")
    }

    #[test]
    fn what_lets_more_value_leave_wants_another_admin() {
        let pays = scope(PAYS);
        let changed = |from: &str, to: &str| {
            assert!(PAYS.contains(from), "{from}");
            wants_approval(Some(&pays), &scope(&PAYS.replacen(from, to, 1)))
        };
        assert!(wants_approval(None, &pays));
        assert!(!wants_approval(Some(&pays), &pays));
        assert!(wants_approval(Some(&scope("name = \"pays\"")), &pays));
        for (from, to) in [
            ("\"cold\"", "\"warm\""),
            ("\"0.5\"", "\"0.500000000000000001\""),
            ("asset = \"XBT\", at_most", "asset = \"ETH\", at_most"),
            ("\"read\"", "\"read\", \"transfer\""),
            ("\"kraken-main\"", "\"kraken-main\", \"okx-main\""),
            ("\"sign\"", "\"sign\", \"execute\""),
            ("10.0.0.0/8", "10.0.0.0/7"),
        ] {
            assert!(changed(from, to), "{to}");
        }
        for (from, to) in [
            ("\"0.5\"", "\"0.4\""),
            ("10.0.0.0/8", "10.0.0.0/9"),
            ("\"read\", ", ""),
            (", \"withdraw\"", ""),
            ("name = \"pays\"", "name = \"pays\"\ndescription = \"money\"\nshadow = \"other\""),
        ] {
            assert!(!changed(from, to), "{to}");
        }
    }

    #[test]
    fn addresses_for_later_want_another_admin_already() {
        let without = scope(&PAYS.replacen(", \"withdraw\"", "", 1));
        let more = without.clone();
        let bare = ScopeDocument { withdrawal: None, ..without.clone() };
        assert!(wants_approval(Some(&bare), &more));
        // What does not pay out is one admin's to widen.
        let wider = ScopeDocument { modes: [vault_model::Mode::Execute].into(), ..without.clone() };
        assert!(!wants_approval(Some(&without), &wider));
    }
}
