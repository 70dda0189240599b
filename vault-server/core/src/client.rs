//! Clients: list, describe, revoke. They come by `invite.rs` and `enroll.rs`, and renew by `renew.rs`.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

use prost::Message;
use vault_ipc::proto::v1;
use vault_model::{Name, Timestamp};

use crate::act::{Asker, Plan};
use crate::allow_list::{certificate_infos, revoke_certificates};
use crate::caller::wire_role;
use crate::command::{self, Method};
use crate::error::{Conflict, VaultError};
use crate::invite::{open_invite, withdraw_invites};
use crate::outstanding::Of;
use crate::page::{Listed, Page};
use crate::storage::{Changes, ClientRow, Holder, HolderState, InviteRow, Tables};
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
        let mut changes = Changes::new();
        let known = tables.clients.get(command.name.as_str());
        let Some(client) = known.filter(|row| row.state == HolderState::Active) else {
            // Nobody has come in by it yet, and now nobody will.
            let Some(invite) = open_invite(tables, &command.name, false, now) else {
                return Err(match known {
                    Some(_) => VaultError::Conflict(Conflict::AlreadySo),
                    None => VaultError::NotFound("client"),
                });
            };
            let withdrawn_invites =
                withdraw_invites(tables, &invite.name, false, now, &mut changes);
            let facts = detail([
                ("name", invite.name.to_string()),
                ("reason", reason),
                ("withdrawn_invites", withdrawn_invites.to_string()),
            ]);
            let mut plan = Plan::new(Method::ClientRevoke.name(), changes, move |_, change| {
                let outstanding = Some(v1::Outstanding::default());
                v1::RevokeClientResponse { change: Some(change), outstanding, withdrawn_invites }
                    .encode_to_vec()
            });
            plan.detail = facts;
            return self.begin_act(plan, asker, now);
        };
        changes.put(ClientRow {
            state: HolderState::Revoked,
            revoked_at: Some(now),
            revoke_reason: Some(reason.clone()),
            ..client.clone()
        });
        let holder = Holder::Client(client.name.clone());
        let serials = revoke_certificates(tables, &holder, &mut changes);
        let withdrawn_invites = withdraw_invites(tables, &client.name, false, now, &mut changes);
        let facts = detail([
            ("name", client.name.to_string()),
            ("reason", reason),
            ("withdrawn_invites", withdrawn_invites.to_string()),
        ]);

        let name = client.name.clone();
        let mut plan = Plan::new(Method::ClientRevoke.name(), changes, move |vault, change| {
            v1::RevokeClientResponse {
                outstanding: Some(vault.outstanding(Of::Client(&name))),
                change: Some(change),
                withdrawn_invites,
            }
            .encode_to_vec()
        });
        plan.detail = facts;
        plan.barrier = Some(serials);
        self.begin_act(plan, asker, now)
    }

    /// A page of the clients and of those who are invited, by name; or of the active clients of a scope.
    ///
    /// # Errors
    ///
    /// [`VaultError::Sealed`], [`VaultError::Field`] for a token that is none.
    pub(crate) fn list_clients(
        &self,
        command: &v1::ListClientsCommand,
        now: Timestamp,
    ) -> Result<v1::ListClientsResponse, VaultError> {
        let tables = self.opened()?.state.tables();
        let v1::ListClientsCommand { page_size, page_token, scope } = command;
        let page = Page::new(Method::ClientList, scope, *page_size, page_token)?;
        let after = page.after(|text| text.parse().ok())?;
        let known = |row: &ClientRow| {
            let holder = Holder::Client(row.name.clone());
            Ok(Listed {
                key: row.name.to_string(),
                message: Some(client_info(tables, row, now)),
                read: 1 + tables.certificates_of(&holder).count(),
            })
        };
        let (clients, next_page_token) = if scope.is_empty() {
            page.fill(people(&tables.clients, tables, after.as_ref()).map(|name| {
                tables.clients.get(name).map_or_else(
                    || {
                        let invite = open_invite(tables, name.as_str(), false, now);
                        let message = invite.map(invited_client);
                        Ok(Listed { key: name.to_string(), message, read: 1 })
                    },
                    known,
                )
            }))?
        } else {
            // A scope that nobody can have has no clients.
            let scope: Option<Name> = scope.parse().ok();
            let rows =
                scope.iter().flat_map(|scope| tables.clients_of_after(scope, after.as_ref()));
            page.fill(rows.map(known))?
        };
        Ok(v1::ListClientsResponse { clients, next_page_token })
    }

    /// One client, or one who is invited.
    ///
    /// # Errors
    ///
    /// [`VaultError::NotFound`].
    pub(crate) fn describe_client(
        &self,
        name: &str,
        now: Timestamp,
    ) -> Result<v1::DescribeClientResponse, VaultError> {
        let tables = self.opened()?.state.tables();
        let known = tables.clients.get(name).map(|row| client_info(tables, row, now));
        let invited = || open_invite(tables, name, false, now).map(invited_client);
        let client = known.or_else(invited).ok_or(VaultError::NotFound("client"))?;
        Ok(v1::DescribeClientResponse { client: Some(client) })
    }
}

/// The names after one of those who are known and those who are invited, each once, by name.
pub(crate) fn people<'t, R>(
    known: &'t BTreeMap<Name, R>,
    tables: &'t Tables,
    after: Option<&Name>,
) -> impl Iterator<Item = &'t Name> + use<'t, R> {
    let from = after.map_or(Unbounded, Excluded);
    let mut known = known.range::<Name, _>((from, Unbounded)).map(|(name, _)| name).peekable();
    let mut invited = tables.invited_after(after).peekable();
    std::iter::from_fn(move || match (known.peek(), invited.peek()) {
        (Some(one), Some(other)) if other < one => invited.next(),
        (Some(one), Some(other)) => {
            if one == other {
                invited.next();
            }
            known.next()
        }
        (Some(_), None) => known.next(),
        (None, _) => invited.next(),
    })
}

fn client_info(tables: &Tables, row: &ClientRow, now: Timestamp) -> v1::ClientInfo {
    let invite = open_invite(tables, row.name.as_str(), false, now);
    v1::ClientInfo {
        invited_by: invite.map(|invite| invite.created_by.clone()).unwrap_or_default(),
        invite_ends_ms: invite.map(|invite| invite.expires_at.millis()).unwrap_or_default(),
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

fn invited_client(invite: &InviteRow) -> v1::ClientInfo {
    v1::ClientInfo {
        name: invite.name.to_string(),
        role: wire_role(invite.role).into(),
        scope: invite.scope.as_ref().map(ToString::to_string).unwrap_or_default(),
        networks: invite.networks.iter().map(ToString::to_string).collect(),
        state: "invited".to_owned(),
        invited_by: invite.created_by.clone(),
        invite_ends_ms: invite.expires_at.millis(),
        ..Default::default()
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
