//! Clients: invite, enrol, renew, list, describe, revoke. Operators enrol and renew here too.

use std::time::Duration;

use ipnet::IpNet;
use prost::Message;
use ring::signature::{ED25519, UnparsedPublicKey};
use vault_audit::EntryKind;
use vault_ipc::EnrollCall;
use vault_ipc::proto::{enroll, v1};
use vault_model::{Name, Role, Serial, Timestamp};

use crate::act::{Asker, Plan};
use crate::caller::{Caller, model_role, wire_role};
use crate::certificate::{Issued, Subject, SubjectKey};
use crate::command::{self, Method};
use crate::error::{CertificateProblem, Conflict, InvitationProblem, VaultError};
use crate::storage::{
    CertificateRow, CertificateState, Changes, ClientRow, Hex, HexBytes, Holder, HolderState,
    InviteRow, OperatorRow, RowKey, Tables,
};
use crate::vault::{Vault, detail};

/// The RPC of an enrolment, for the log.
pub const ENROLL: &str = "vault.v1.ClientService/Enroll";

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

    /// Exchanges a token's proof and a CSR for a certificate.
    ///
    /// # Errors
    ///
    /// [`VaultError::Invitation`], [`VaultError::Csr`], [`VaultError::Sealed`].
    pub(crate) fn enroll(
        &mut self,
        call: &EnrollCall,
        asker: Asker,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let open = self.opened()?;
        let refuse = |problem| Err(VaultError::Invitation(problem));
        let request = &call.request;
        let Ok(token_id) = <[u8; 16]>::try_from(request.token_id.as_slice()) else {
            return refuse(InvitationProblem::Proof);
        };
        let Some(invite) = open.state.tables().invites.get(&Hex(token_id)).cloned() else {
            return refuse(InvitationProblem::Proof);
        };
        let proven = enroll::signing_bytes(&token_id, &request.csr).is_some_and(|bytes| {
            UnparsedPublicKey::new(&ED25519, invite.public_key.0)
                .verify(&bytes, &request.proof)
                .is_ok()
        });
        if !proven {
            return refuse(InvitationProblem::Proof);
        }
        let key = SubjectKey::from_csr(&request.csr)?;
        // The answer to the first try may be lost: the same key may ask again for a while.
        match (&invite.used_key, invite.used_at) {
            (None, _) if now >= invite.expires_at => return refuse(InvitationProblem::Expired),
            (None, _) => {}
            (Some(used), Some(at)) if used.0 == key.spki() && now < at.plus(ENROLL_RETRY) => {}
            (Some(_), _) => return refuse(InvitationProblem::Used),
        }

        let subject = match invite.role.is_operator() {
            true => Subject::Operator(&invite.name),
            false => Subject::Client(&invite.name),
        };
        let issued = open.authority.issue(subject, &key, now, &self.rng)?;
        let replaces = !invite.role.is_operator()
            && open.state.tables().clients.get(&invite.name).is_some_and(|row| {
                row.state == HolderState::Active
                    && (row.scope != invite.scope || row.networks != invite.networks)
            });
        let mut changes = Changes::new();
        self.admit(&invite, now, &mut changes)?;
        forget_stale(open.state.tables(), now, &mut changes);
        if let Some(lost) = invite.certificate
            && let Some(row) = self.tables().certificates.get(&lost)
        {
            // The certificate of the lost answer.
            changes.put(CertificateRow { state: CertificateState::Revoked, ..row.clone() });
        }
        let holder = match invite.role.is_operator() {
            true => Holder::Operator(invite.name.clone()),
            false => Holder::Client(invite.name.clone()),
        };
        changes.put(certificate_row(&issued, holder, &key, None, now));
        changes.put(InviteRow {
            certificate: Some(issued.serial),
            used_at: invite.used_at.or(Some(now)),
            used_key: Some(HexBytes(key.spki().to_vec())),
            ..invite.clone()
        });

        let facts = detail([
            ("name", invite.name.to_string()),
            ("role", invite.role.to_string()),
            ("serial", issued.serial.to_string()),
        ]);
        let (name, role) = (invite.name.to_string(), invite.role);
        let not_after_ms = issued.not_after.millis();
        let certificate = issued.der;
        let mut plan = Plan::new(ENROLL, changes, move |vault, _| {
            let address = match role.is_operator() {
                true => vault.config.public.operator.clone(),
                false => vault.config.public.bot.clone(),
            };
            v1::EnrollResponse {
                certificate,
                ca_certificate: vault.instance.ca_certificate.0.clone(),
                name,
                role: wire_role(role).into(),
                not_after_ms,
                core_public_key: vault.identity.public_key().to_vec(),
                instance_id: vault.instance.instance_id.0.to_vec(),
                address,
            }
            .encode_to_vec()
        });
        plan.detail = facts.clone();
        plan.also = Some((EntryKind::ClientEnrolled, facts));
        // A client that is enrolled anew may be allowed less than before, on its old certificates too.
        plan.barrier = replaces.then(Vec::new);
        self.begin_act(plan, asker, now)
    }

    /// Makes or renews the holder that an invitation names.
    fn admit(
        &self,
        invite: &InviteRow,
        now: Timestamp,
        changes: &mut Changes,
    ) -> Result<(), VaultError> {
        let tables = self.opened()?.state.tables();
        if invite.role.is_operator() {
            let known = tables.operators.get(&invite.name);
            if known.is_some_and(|row| row.state == HolderState::Active && row.role != invite.role)
            {
                return Err(VaultError::Conflict(Conflict::NameTaken));
            }
            if known.is_none_or(|row| row.state == HolderState::Revoked || row.role != invite.role)
            {
                changes.put(OperatorRow {
                    created_at: now,
                    name: invite.name.clone(),
                    revoked_at: None,
                    role: invite.role,
                    state: HolderState::Active,
                });
            }
            return Ok(());
        }
        if let Some(scope) = &invite.scope
            && !tables.scopes.contains_key(scope)
        {
            return Err(VaultError::NotFound("scope"));
        }
        let known = tables.clients.get(&invite.name);
        if known.is_some_and(|row| row.state == HolderState::Active && row.role != invite.role) {
            return Err(VaultError::Conflict(Conflict::ClientDiffers));
        }
        let created_at = known.map_or(now, |row| row.created_at);
        changes.put(ClientRow {
            created_at,
            name: invite.name.clone(),
            networks: invite.networks.clone(),
            revoke_reason: None,
            revoked_at: None,
            role: invite.role,
            scope: invite.scope.clone(),
            state: HolderState::Active,
        });
        Ok(())
    }

    /// Exchanges the caller's own certificate for a new one with a new key.
    ///
    /// # Errors
    ///
    /// [`VaultError::Csr`], [`VaultError::Certificate`].
    pub(crate) fn renew(
        &mut self,
        command: &v1::SignedCommand,
        caller: &Caller,
        asker: Asker,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let command: v1::RenewCommand = command::body(command)?;
        let key = SubjectKey::from_csr(&command.csr)?;
        let open = self.opened()?;
        let old = crate::caller::certificate(open.state.tables(), &caller.serial)?.clone();
        let alive = open
            .state
            .tables()
            .certificates
            .values()
            .filter(|row| row.holder == old.holder && row.not_after > now)
            .count();
        if alive >= CERTIFICATES_MAX {
            return Err(VaultError::Certificate(CertificateProblem::NotRenewable));
        }
        // The answer to the first renewal came through: nobody needs it again.
        let answered = open.state.tables().certificates.values().any(|child| {
            child.parent == Some(old.serial) && self.used_serials.contains(&child.serial)
        });
        if answered {
            return Err(VaultError::Certificate(CertificateProblem::NotRenewable));
        }
        if old.public_key.0 == key.spki() {
            return Err(VaultError::Field("a renewal needs a new key"));
        }
        let subject = match &old.holder {
            Holder::Client(name) => Subject::Client(name),
            Holder::Operator(name) => Subject::Operator(name),
        };
        let issued = open.authority.issue(subject, &key, now, &self.rng)?;
        let mut changes = Changes::new();
        forget_stale(open.state.tables(), now, &mut changes);
        // Of two answers to one certificate only the later one is good.
        for child in open.state.tables().certificates.values() {
            if child.parent == Some(old.serial) {
                changes.delete(RowKey::Certificate(child.serial));
            }
        }
        changes.put(certificate_row(&issued, old.holder.clone(), &key, Some(old.serial), now));
        changes.put(CertificateRow { state: CertificateState::Superseded, ..old.clone() });

        let facts =
            || detail([("parent", old.serial.to_string()), ("serial", issued.serial.to_string())]);
        let (plan_detail, also) = (facts(), facts());
        let not_after_ms = issued.not_after.millis();
        let certificate = issued.der.clone();
        let mut plan = Plan::new(Method::ClientRenew.name(), changes, move |vault, _| {
            v1::RenewResponse {
                certificate,
                ca_certificate: vault.instance.ca_certificate.0.clone(),
                not_after_ms,
            }
            .encode_to_vec()
        });
        plan.detail = plan_detail;
        plan.also = Some((EntryKind::CertIssued, also));
        self.begin_act(plan, asker, now)
    }

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

/// Takes every certificate of a holder off the allow-list; returns those that were on it.
pub(crate) fn revoke_certificates(
    tables: &Tables,
    holder: &Holder,
    changes: &mut Changes,
) -> Vec<Serial> {
    let held = tables
        .certificates
        .values()
        .filter(|row| row.holder == *holder && row.state != CertificateState::Revoked);
    let mut serials = Vec::new();
    for row in held {
        changes.put(CertificateRow { state: CertificateState::Revoked, ..row.clone() });
        serials.push(row.serial);
    }
    serials
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

/// Drops some of the rows that nobody can use any more, so that the tables stay small: certificates
/// that can be neither used nor renewed, and invitations that ran out or were used long ago.
fn forget_stale(tables: &Tables, now: Timestamp, changes: &mut Changes) {
    let certificates = tables
        .certificates
        .values()
        .filter(|row| {
            let kept = match row.state {
                CertificateState::Revoked => Duration::ZERO,
                CertificateState::Active | CertificateState::Superseded => CERTIFICATE_KEPT,
            };
            row.not_after.plus(kept) < now
        })
        .map(|row| RowKey::Certificate(row.serial));
    let invites = tables
        .invites
        .values()
        .filter(|row| row.expires_at.max(row.used_at.unwrap_or_default()).plus(INVITE_KEPT) < now)
        .map(|row| RowKey::Invite(row.token_id));
    for stale in certificates.chain(invites).take(STALE_MAX) {
        changes.delete(stale);
    }
}

fn certificate_row(
    issued: &Issued,
    holder: Holder,
    key: &SubjectKey,
    parent: Option<Serial>,
    now: Timestamp,
) -> CertificateRow {
    CertificateRow {
        fingerprint: Hex(issued.fingerprint),
        holder,
        issued_at: now,
        not_after: issued.not_after,
        parent,
        public_key: HexBytes(key.spki().to_vec()),
        serial: issued.serial,
        state: CertificateState::Active,
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

/// The newest certificates of a holder, newest first.
pub(crate) fn certificate_infos(tables: &Tables, holder: &Holder) -> Vec<v1::CertificateInfo> {
    let mut rows: Vec<&CertificateRow> =
        tables.certificates.values().filter(|row| row.holder == *holder).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.issued_at));
    rows.into_iter()
        .take(CERTIFICATES_SHOWN)
        .map(|row| v1::CertificateInfo {
            serial: row.serial.to_string(),
            state: match row.state {
                CertificateState::Active => "active",
                CertificateState::Revoked => "revoked",
                CertificateState::Superseded => "superseded",
            }
            .to_owned(),
            issued_at_ms: row.issued_at.millis(),
            not_after_ms: row.not_after.millis(),
            fingerprint: row.fingerprint.0.to_vec(),
        })
        .collect()
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
const ENROLL_RETRY: Duration = Duration::from_secs(900);
/// Longer than a certificate may be renewed after its end.
const CERTIFICATE_KEPT: Duration = Duration::from_secs(8 * 24 * 3_600);
/// Longer than an enrolment may be repeated.
const INVITE_KEPT: Duration = Duration::from_secs(24 * 3_600);
/// Certificates that one holder may have alive; renewals in time keep it at two.
const CERTIFICATES_MAX: usize = 32;
/// Rows that one act drops at most.
const STALE_MAX: usize = 64;
/// Certificates of a holder that an answer shows at most.
const CERTIFICATES_SHOWN: usize = 8;
