//! Operators: invite, list, revoke, and the way back in for those who are locked out.

use std::collections::BTreeMap;

use prost::Message;
use vault_ipc::proto::v1;
use vault_model::{Name, Role, Timestamp};

use crate::act::{Asker, Plan};
use crate::allow_list::{certificate_infos, revoke_certificates};
use crate::caller::{model_role, wire_role};
use crate::client::{holder_state, parse_name, people};
use crate::command::{self, Method};
use crate::error::{Conflict, VaultError};
use crate::invite::{open_invite, withdraw_invites, withdraw_invites_of};
use crate::page::{Listed, Page};
use crate::storage::{Changes, Holder, HolderState, InviteRow, OperatorRow};
use crate::vault::{Vault, detail};

/// What a reissue over the local socket is called in the log.
pub const REISSUE: &str = "local/operator.reissue";

impl Vault {
    /// Lets a new operator be enrolled, or a new certificate for one.
    ///
    /// # Errors
    ///
    /// What is wrong with the invitation.
    pub(crate) fn invite_operator(
        &mut self,
        command: &v1::SignedCommand,
        asker: Asker,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let command: v1::InviteOperatorCommand = command::body(command)?;
        self.begin_operator_invite(Method::OperatorInvite.name(), &command, asker, now)
    }

    /// A new token for an operator who has no good certificate, or whose first one ran out; over the
    /// local socket.
    ///
    /// # Errors
    ///
    /// [`VaultError::NotFound`], what is wrong with the invitation.
    pub(crate) fn reissue_operator(
        &mut self,
        body: &[u8],
        asker: Asker,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let mut command = v1::InviteOperatorCommand::decode(body)
            .map_err(|_| VaultError::Field("the call does not decode"))?;
        let tables = self.opened()?.state.tables();
        let known = tables
            .operators
            .get(command.name.as_str())
            .filter(|operator| operator.state == HolderState::Active)
            .map(|operator| operator.role);
        // Also those whose first invitation ran out before they came.
        let mut invited: Vec<Role> = tables
            .invites_of(&command.name)
            .filter(|invite| invite.role.is_operator() && invite.used_at.is_none())
            .map(|invite| invite.role)
            .collect();
        invited.dedup();
        let role = match (known, invited.as_slice()) {
            (Some(role), _) | (None, &[role]) => role,
            // Nobody, or somebody whose role nobody can tell.
            (None, _) => return Err(VaultError::NotFound("operator")),
        };
        command.role = wire_role(role).into();
        self.begin_operator_invite(REISSUE, &command, asker, now)
    }

    fn begin_operator_invite(
        &mut self,
        operation: &'static str,
        command: &v1::InviteOperatorCommand,
        asker: Asker,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let name: Name = parse_name(&command.name)?;
        let role = model_role(command.role)?;
        if !role.is_operator() {
            return Err(VaultError::Field("an operator's role is admin, auditor or guard"));
        }
        let known = self.opened()?.state.tables().operators.get(&name);
        let active = known.filter(|row| row.state == HolderState::Active);
        // A certificate with the name of somebody who is active is for him to ask for, or for whoever
        // is at the machine: else one admin could approve his own changes as another.
        let is_own = asker.caller.as_ref().is_none_or(|caller| caller.name == name);
        if active.is_some_and(|row| row.role != role || !is_own) {
            return Err(VaultError::Conflict(Conflict::NameTaken));
        }
        let spec = command.invite.as_ref().ok_or(VaultError::Field("invite is not set"))?;
        let invite = self.invite_row(spec, name, role, &asker, now)?;
        let enroll_address = self.config.public.enroll.clone();
        let expires_at_ms = invite.expires_at.millis();
        let plan = self.invite_plan(operation, invite, now, move |change| {
            let invite = v1::InviteResult { change: Some(change), expires_at_ms, enroll_address };
            v1::InviteOperatorResponse { invite: Some(invite) }.encode_to_vec()
        });
        self.begin_act(plan, asker, now)
    }

    /// A page of the operators and of those who are invited, by name.
    ///
    /// # Errors
    ///
    /// [`VaultError::Sealed`], [`VaultError::Field`] for a token that is none.
    pub(crate) fn list_operators(
        &self,
        command: &v1::ListOperatorsCommand,
        now: Timestamp,
    ) -> Result<v1::ListOperatorsResponse, VaultError> {
        let tables = self.opened()?.state.tables();
        let v1::ListOperatorsCommand { page_size, page_token } = command;
        let page = Page::new(Method::OperatorList, "", *page_size, page_token)?;
        let after = page.after(|text| text.parse().ok())?;
        let rows = people(&tables.operators, tables, after.as_ref()).map(|name| {
            // Of an open invitation its maker and its end.
            let invited = open_invite(tables, name.as_str(), true, now).map(invited_operator);
            let key = name.to_string();
            let Some(row) = tables.operators.get(name) else {
                return Ok(Listed { key, message: invited, read: 1 });
            };
            let holder = Holder::Operator(row.name.clone());
            let message = Some(v1::OperatorInfo {
                name: row.name.to_string(),
                role: wire_role(row.role).into(),
                state: holder_state(row.state).to_owned(),
                created_at_ms: row.created_at.millis(),
                certificates: certificate_infos(tables, &holder),
                ..invited.unwrap_or_default()
            });
            Ok(Listed { key, message, read: 1 + tables.certificates_of(&holder).count() })
        });
        let (operators, next_page_token) = page.fill(rows)?;
        Ok(v1::ListOperatorsResponse { operators, next_page_token })
    }

    /// Ends an operator.
    ///
    /// # Errors
    ///
    /// [`VaultError::NotFound`], [`VaultError::Conflict`] for the last active admin.
    pub(crate) fn revoke_operator(
        &mut self,
        command: &v1::SignedCommand,
        asker: Asker,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let command: v1::RevokeOperatorCommand = command::body(command)?;
        let tables = self.opened()?.state.tables();
        let mut changes = Changes::new();
        let respond = |withdrawn_invites| {
            move |_: &Vault, change| {
                v1::RevokeOperatorResponse { change: Some(change), withdrawn_invites }
                    .encode_to_vec()
            }
        };
        let known = tables.operators.get(command.name.as_str());
        let Some(operator) = known.filter(|row| row.state == HolderState::Active) else {
            // Nobody has come in by it yet, and now nobody will.
            let Some(invite) = open_invite(tables, &command.name, true, now) else {
                return Err(match known {
                    Some(_) => VaultError::Conflict(Conflict::AlreadySo),
                    None => VaultError::NotFound("operator"),
                });
            };
            let withdrawn = withdraw_invites(tables, &invite.name, true, now, &mut changes);
            let method = Method::OperatorRevoke.name();
            let mut plan = Plan::new(method, changes, respond(withdrawn));
            plan.detail = facts_of(&command.name, withdrawn);
            return self.begin_act(plan, asker, now);
        };
        let other_admin = tables.operators.values().any(|row| {
            row.role == Role::Admin && row.state == HolderState::Active && row.name != operator.name
        });
        if operator.role == Role::Admin && !other_admin {
            return Err(VaultError::Conflict(Conflict::LastAdmin));
        }
        changes.put(OperatorRow {
            state: HolderState::Revoked,
            revoked_at: Some(now),
            ..operator.clone()
        });
        let holder = Holder::Operator(operator.name.clone());
        let serials = revoke_certificates(tables, &holder, &mut changes);
        let withdrawn = withdraw_invites(tables, &operator.name, true, now, &mut changes)
            + withdraw_invites_of(tables, &operator.name, now, &mut changes);
        let facts = facts_of(operator.name.as_str(), withdrawn);
        let mut plan = Plan::new(Method::OperatorRevoke.name(), changes, respond(withdrawn));
        plan.detail = facts;
        plan.barrier = Some(serials);
        self.begin_act(plan, asker, now)
    }
}

fn invited_operator(invite: &InviteRow) -> v1::OperatorInfo {
    v1::OperatorInfo {
        name: invite.name.to_string(),
        role: wire_role(invite.role).into(),
        state: "invited".to_owned(),
        invited_by: invite.created_by.clone(),
        invite_ends_ms: invite.expires_at.millis(),
        ..Default::default()
    }
}

fn facts_of(name: &str, withdrawn: u32) -> BTreeMap<String, String> {
    detail([("name", name.to_owned()), ("withdrawn_invites", withdrawn.to_string())])
}
