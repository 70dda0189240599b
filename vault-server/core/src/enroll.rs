//! Enrolment: a token's proof and a CSR become a certificate, of a client or an operator.

use std::time::Duration;

use prost::Message;
use ring::signature::{ED25519, UnparsedPublicKey};
use vault_audit::EntryKind;
use vault_ipc::EnrollCall;
use vault_ipc::proto::{enroll, v1};
use vault_model::Timestamp;

use crate::act::{Asker, Plan};
use crate::allow_list::{certificate_row, forget_stale};
use crate::caller::wire_role;
use crate::certificate::{Subject, SubjectKey};
use crate::error::{Conflict, InvitationProblem, VaultError};
use crate::storage::{
    CertificateRow, CertificateState, Changes, ClientRow, Hex, HexBytes, Holder, HolderState,
    InviteRow, OperatorRow,
};
use crate::vault::{Vault, detail};

/// The RPC of an enrolment, for the log.
pub const ENROLL: &str = "vault.v1.ClientService/Enroll";

impl Vault {
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
        // The answer to the first try may be lost: the same key may ask again for a while. Once its
        // certificate is in use nobody needs that, and whoever repeats the call would end it.
        let is_answered =
            invite.certificate.is_some_and(|serial| self.used_serials.contains(&serial));
        match (&invite.used_key, invite.used_at) {
            (None, _) if now >= invite.expires_at => return refuse(InvitationProblem::Expired),
            (None, _) => {}
            (Some(used), Some(at))
                if used.0 == key.spki() && now < at.plus(ENROLL_RETRY) && !is_answered => {}
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
}

const ENROLL_RETRY: Duration = Duration::from_secs(900);
