//! Operators: invite, list, revoke, and the way back in for those who are locked out.

use prost::Message;
use vault_ipc::proto::v1;
use vault_model::{Name, Role, Timestamp};

use crate::act::{Asker, Plan};
use crate::allow_list::{certificate_infos, revoke_certificates};
use crate::caller::{model_role, wire_role};
use crate::client::{holder_state, parse_name};
use crate::command::{self, Method};
use crate::error::{Conflict, VaultError};
use crate::invite::{invite_plan, withdraw_invites};
use crate::storage::{Changes, Holder, HolderState, OperatorRow};
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
            .invites
            .values()
            .filter(|invite| {
                invite.name.as_str() == command.name
                    && invite.role.is_operator()
                    && invite.used_at.is_none()
            })
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
        let taken = self
            .opened()?
            .state
            .tables()
            .operators
            .get(&name)
            .is_some_and(|row| row.state == HolderState::Active && row.role != role);
        if taken {
            return Err(VaultError::Conflict(Conflict::NameTaken));
        }
        let spec = command.invite.as_ref().ok_or(VaultError::Field("invite is not set"))?;
        let invite = self.invite_row(spec, name, role, &asker, now)?;
        let enroll_address = self.config.public.enroll.clone();
        let expires_at_ms = invite.expires_at.millis();
        let plan = invite_plan(operation, invite, move |change| {
            let invite = v1::InviteResult { change: Some(change), expires_at_ms, enroll_address };
            v1::InviteOperatorResponse { invite: Some(invite) }.encode_to_vec()
        });
        self.begin_act(plan, asker, now)
    }

    /// All operators, and those who are invited.
    ///
    /// # Errors
    ///
    /// [`VaultError::Sealed`].
    pub(crate) fn list_operators(
        &self,
        now: Timestamp,
    ) -> Result<v1::ListOperatorsResponse, VaultError> {
        let tables = self.opened()?.state.tables();
        let known = tables.operators.values().map(|row| v1::OperatorInfo {
            name: row.name.to_string(),
            role: wire_role(row.role).into(),
            state: holder_state(row.state).to_owned(),
            created_at_ms: row.created_at.millis(),
            certificates: certificate_infos(tables, &Holder::Operator(row.name.clone())),
        });
        let invited = tables
            .invites
            .values()
            .filter(|invite| {
                invite.role.is_operator()
                    && invite.used_at.is_none()
                    && invite.expires_at > now
                    && !tables.operators.contains_key(&invite.name)
            })
            .map(|invite| v1::OperatorInfo {
                name: invite.name.to_string(),
                role: wire_role(invite.role).into(),
                state: "invited".to_owned(),
                created_at_ms: 0,
                certificates: Vec::new(),
            });
        Ok(v1::ListOperatorsResponse { operators: known.chain(invited).collect() })
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
        let operator =
            tables.operators.get(command.name.as_str()).ok_or(VaultError::NotFound("operator"))?;
        if operator.state == HolderState::Revoked {
            return Err(VaultError::Conflict(Conflict::AlreadySo));
        }
        let other_admin = tables.operators.values().any(|row| {
            row.role == Role::Admin && row.state == HolderState::Active && row.name != operator.name
        });
        if operator.role == Role::Admin && !other_admin {
            return Err(VaultError::Conflict(Conflict::LastAdmin));
        }
        let mut changes = Changes::new();
        changes.put(OperatorRow {
            state: HolderState::Revoked,
            revoked_at: Some(now),
            ..operator.clone()
        });
        let holder = Holder::Operator(operator.name.clone());
        let serials = revoke_certificates(tables, &holder, &mut changes);
        withdraw_invites(tables, &operator.name, true, &mut changes);
        let facts = detail([("name", operator.name.to_string())]);
        let mut plan = Plan::new(Method::OperatorRevoke.name(), changes, |_, change| {
            v1::RevokeOperatorResponse { change: Some(change) }.encode_to_vec()
        });
        plan.detail = facts;
        plan.barrier = Some(serials);
        self.begin_act(plan, asker, now)
    }
}
