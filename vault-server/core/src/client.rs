//! Clients: list, describe, revoke. They come by `invite.rs` and `enroll.rs`, and renew by `renew.rs`.

use prost::Message;
use vault_ipc::proto::v1;
use vault_model::{Name, Timestamp};

use crate::act::{Asker, Plan};
use crate::allow_list::{certificate_infos, revoke_certificates};
use crate::caller::wire_role;
use crate::command::{self, Method};
use crate::error::{Conflict, VaultError};
use crate::invite::withdraw_invites;
use crate::storage::{Changes, ClientRow, Holder, HolderState, Tables};
use crate::vault::{Vault, detail};

impl Vault {
    /// Ends a client. The answer comes after the barrier.
    ///
    /// # Errors
    ///
    /// [`VaultError::NotFound`], [`VaultError::Conflict`] if it is revoked already.
    pub(crate) fn revoke_client(
        &mut self,
        command: &v1::SignedCommand,
        asker: Asker,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let command: v1::RevokeClientCommand = command::body(command)?;
        let reason = parse_reason(&command.reason)?;
        let tables = self.opened()?.state.tables();
        let client =
            tables.clients.get(command.name.as_str()).ok_or(VaultError::NotFound("client"))?;
        if client.state == HolderState::Revoked {
            return Err(VaultError::Conflict(Conflict::AlreadySo));
        }
        let facts = detail([("name", client.name.to_string()), ("reason", reason.clone())]);
        let mut changes = Changes::new();
        changes.put(ClientRow {
            state: HolderState::Revoked,
            revoked_at: Some(now),
            revoke_reason: Some(reason),
            ..client.clone()
        });
        let holder = Holder::Client(client.name.clone());
        let serials = revoke_certificates(tables, &holder, &mut changes);
        withdraw_invites(tables, &client.name, false, &mut changes);

        let name = client.name.clone();
        let mut plan = Plan::new(Method::ClientRevoke.name(), changes, move |vault, change| {
            v1::RevokeClientResponse {
                outstanding: Some(vault.released.outstanding(now, |client, _| *client == name)),
                change: Some(change),
            }
            .encode_to_vec()
        });
        plan.detail = facts;
        plan.barrier = Some(serials);
        self.begin_act(plan, asker, now)
    }

    /// All clients, by name.
    ///
    /// # Errors
    ///
    /// [`VaultError::Sealed`].
    pub(crate) fn list_clients(&self) -> Result<v1::ListClientsResponse, VaultError> {
        let tables = self.opened()?.state.tables();
        let clients = tables.clients.values().map(|row| client_info(tables, row)).collect();
        Ok(v1::ListClientsResponse { clients })
    }

    /// One client.
    ///
    /// # Errors
    ///
    /// [`VaultError::NotFound`].
    pub(crate) fn describe_client(
        &self,
        name: &str,
    ) -> Result<v1::DescribeClientResponse, VaultError> {
        let tables = self.opened()?.state.tables();
        let row = tables.clients.get(name).ok_or(VaultError::NotFound("client"))?;
        Ok(v1::DescribeClientResponse { client: Some(client_info(tables, row)) })
    }
}

fn client_info(tables: &Tables, row: &ClientRow) -> v1::ClientInfo {
    v1::ClientInfo {
        name: row.name.to_string(),
        role: wire_role(row.role).into(),
        scope: row.scope.as_ref().map(ToString::to_string).unwrap_or_default(),
        networks: row.networks.iter().map(ToString::to_string).collect(),
        state: holder_state(row.state).to_owned(),
        created_at_ms: row.created_at.millis(),
        revoked_at_ms: row.revoked_at.unwrap_or_default().millis(),
        certificates: certificate_infos(tables, &Holder::Client(row.name.clone())),
    }
}

/// The word for a holder's state.
pub(crate) fn holder_state(state: HolderState) -> &'static str {
    match state {
        HolderState::Active => "active",
        HolderState::Revoked => "revoked",
    }
}

/// Reads a name.
pub(crate) fn parse_name(text: &str) -> Result<Name, VaultError> {
    text.parse().map_err(|_| VaultError::Field("name is 1 to 63 of a-z 0-9 . _ -"))
}

/// Reads a reason that a person gives: short, printable.
pub(crate) fn parse_reason(text: &str) -> Result<String, VaultError> {
    let fits = text.chars().count() <= 200 && !text.chars().any(char::is_control);
    if fits {
        Ok(text.to_owned())
    } else {
        Err(VaultError::Field("reason is 200 printable characters at most"))
    }
}
