//! Invitations: who may enrol, as what, until when. The token itself is made by who invites; the vault
//! knows its public half.

use std::time::Duration;

use ipnet::IpNet;
use prost::Message;
use vault_ipc::proto::v1;
use vault_model::{Name, Role, Timestamp};

use crate::act::{Asker, Plan};
use crate::caller::model_role;
use crate::client::parse_name;
use crate::command::{self, Method};
use crate::error::{Conflict, VaultError};
use crate::storage::{Changes, Hex, HolderState, InviteRow, RowKey, Tables};
use crate::vault::{Vault, detail};

impl Vault {
    /// Lets a new client be enrolled, or a new certificate for one.
    ///
    /// # Errors
    ///
    /// What is wrong with the invitation.
    pub(crate) fn invite_client(
        &mut self,
        command: &v1::SignedCommand,
        asker: Asker,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let command: v1::InviteClientCommand = command::body(command)?;
        let name = parse_name(&command.name)?;
        let role = model_role(command.role)?;
        if role.is_operator() {
            return Err(VaultError::Field("a client's role is bot or pricer"));
        }
        let scope = match (role, command.scope.as_str()) {
            (Role::Pricer, "") => None,
            (Role::Pricer, _) => return Err(VaultError::Field("a pricer has no scope")),
            (_, text) => {
                let scope: Name = text.parse().map_err(|_| VaultError::NotFound("scope"))?;
                if !self.opened()?.scopes.contains_key(&scope) {
                    return Err(VaultError::NotFound("scope"));
                }
                Some(scope)
            }
        };
        let networks = parse_networks(&command.networks)?;
        if let Some(client) = self.tables().clients.get(&name)
            && client.state == HolderState::Active
            && client.role != role
        {
            return Err(VaultError::Conflict(Conflict::ClientDiffers));
        }
        let spec = command.invite.ok_or(VaultError::Field("invite is not set"))?;
        let invite = self.invite_row(&spec, name, role, &asker, now)?;
        let invite = InviteRow { networks, scope, ..invite };
        let enroll_address = self.config.public.enroll.clone();
        let expires_at_ms = invite.expires_at.millis();
        let plan = invite_plan(Method::ClientInvite.name(), invite, move |change| {
            let invite = v1::InviteResult { change: Some(change), expires_at_ms, enroll_address };
            v1::InviteClientResponse { invite: Some(invite) }.encode_to_vec()
        });
        self.begin_act(plan, asker, now)
    }

    /// Makes the row of an invitation from what its maker sent.
    pub(crate) fn invite_row(
        &self,
        spec: &v1::InviteSpec,
        name: Name,
        role: Role,
        asker: &Asker,
        now: Timestamp,
    ) -> Result<InviteRow, VaultError> {
        let token_id = spec
            .token_id
            .as_slice()
            .try_into()
            .map(Hex)
            .map_err(|_| VaultError::Field("token_id is 16 bytes"))?;
        let public_key = spec
            .token_public_key
            .as_slice()
            .try_into()
            .map(Hex)
            .map_err(|_| VaultError::Field("token_public_key is 32 bytes"))?;
        let lifetime_s = if spec.lifetime_s == 0 { INVITE_S_DEFAULT } else { spec.lifetime_s };
        if !(INVITE_S_MIN..=INVITE_S_MAX).contains(&lifetime_s) {
            return Err(VaultError::Field("lifetime_s is 60 to 86,400"));
        }
        if self.tables().invites.contains_key(&token_id) {
            return Err(VaultError::Conflict(Conflict::NameTaken));
        }
        Ok(InviteRow {
            certificate: None,
            created_by: asker
                .caller
                .as_ref()
                .map_or_else(|| "local".to_owned(), |caller| caller.name.to_string()),
            expires_at: now.plus(Duration::from_secs(lifetime_s.into())),
            name,
            networks: Vec::new(),
            public_key,
            role,
            scope: None,
            token_id,
            used_at: None,
            used_key: None,
        })
    }
}

/// A plan that writes an invitation.
pub(crate) fn invite_plan(
    operation: &'static str,
    invite: InviteRow,
    respond: impl FnOnce(v1::Change) -> Vec<u8> + 'static,
) -> Plan {
    let mut plan = Plan::new(operation, Changes::new(), move |_, change| respond(change));
    plan.detail = detail([
        ("expires_at", invite.expires_at.micros().to_string()),
        ("name", invite.name.to_string()),
        ("role", invite.role.to_string()),
        ("token_id", invite.token_id.to_string()),
    ]);
    plan.scope = invite.scope.clone();
    plan.changes.put(invite);
    plan
}

/// Takes back what invitations a name still has: a revoked client must not come in again.
pub(crate) fn withdraw_invites(
    tables: &Tables,
    name: &Name,
    operator: bool,
    changes: &mut Changes,
) {
    for invite in tables.invites.values() {
        if invite.name == *name && invite.role.is_operator() == operator {
            changes.delete(RowKey::Invite(invite.token_id));
        }
    }
}

fn parse_networks(texts: &[String]) -> Result<Vec<IpNet>, VaultError> {
    texts
        .iter()
        .map(|text| {
            vault_policy::parse_network(text, false)
                .map_err(|_| VaultError::Field("networks are CIDRs such as 10.0.0.0/8"))
        })
        .collect()
}

const INVITE_S_DEFAULT: u32 = 900;
const INVITE_S_MIN: u32 = 60;
const INVITE_S_MAX: u32 = 86_400;
