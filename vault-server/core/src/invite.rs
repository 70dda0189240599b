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
        let plan = self.invite_plan(Method::ClientInvite.name(), invite, now, move |change| {
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

    /// A plan that writes an invitation, in the place of all earlier ones of its name: an old token,
    /// or the lost answer to one, would undo what the newest says.
    pub(crate) fn invite_plan(
        &self,
        operation: &'static str,
        invite: InviteRow,
        now: Timestamp,
        respond: impl FnOnce(v1::Change) -> Vec<u8> + 'static,
    ) -> Plan {
        let mut plan = Plan::new(operation, Changes::new(), move |_, change| respond(change));
        let operator = invite.role.is_operator();
        withdraw_invites(self.tables(), &invite.name, operator, now, &mut plan.changes);
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
}

/// Takes back what invitations a name still has: who is revoked must not come in again, and who is
/// invited anew comes in as the newest invitation says. Returns how many could still be used.
pub(crate) fn withdraw_invites(
    tables: &Tables,
    name: &Name,
    operator: bool,
    now: Timestamp,
    changes: &mut Changes,
) -> u32 {
    let of_name = tables.invites_of(name.as_str());
    withdraw(of_name.filter(|invite| invite.role.is_operator() == operator), now, changes)
}

/// Takes back what invitations an operator has made that nobody has used: who is revoked must not
/// come in again by a name that he invited before. Returns how many could still be used.
pub(crate) fn withdraw_invites_of(
    tables: &Tables,
    maker: &Name,
    now: Timestamp,
    changes: &mut Changes,
) -> u32 {
    let made = tables.invites_by(maker.as_str());
    withdraw(made.filter(|invite| invite.used_at.is_none()), now, changes)
}

fn withdraw<'t>(
    invites: impl Iterator<Item = &'t InviteRow>,
    now: Timestamp,
    changes: &mut Changes,
) -> u32 {
    let mut open = 0;
    for invite in invites {
        open += u32::from(is_open(invite, now));
        changes.delete(RowKey::Invite(invite.token_id));
    }
    open
}

/// Whether somebody can still come in by an invitation who has not yet.
fn is_open(invite: &InviteRow, now: Timestamp) -> bool {
    invite.used_at.is_none() && now < invite.expires_at
}

/// The invitation by which a name can still come in, if there is one.
pub(crate) fn open_invite<'t>(
    tables: &'t Tables,
    name: &str,
    operator: bool,
    now: Timestamp,
) -> Option<&'t InviteRow> {
    tables
        .invites_of(name)
        .find(|invite| invite.role.is_operator() == operator && is_open(invite, now))
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
