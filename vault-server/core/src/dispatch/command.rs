//! Signed commands: who has sent one, may they, and which method of the vault answers it.

use vault_audit::EntryKind;
use vault_ipc::proto::v1;
use vault_ipc::{Chunk, CommandCall};
use vault_model::{Role, Timestamp};

use super::{Hands, Next};
use crate::act::{ActCall, Asker, Lane};
use crate::caller::{Caller, Origin, Use, certificate, identify};
use crate::certificate::SubjectKey;
use crate::command::{self, Method};
use crate::crypto::stack::wiping_stack;
use crate::error::{Conflict, VaultError};
use crate::grant::{ExportEnd, checkpoint};
use crate::journal::Channel;
use crate::seal::Guesser;
use crate::storage::{CommandNonce, CredentialState};
use crate::vault::{Vault, detail};

impl Vault {
    pub(super) fn command(
        &mut self,
        call: CommandCall,
        id: u64,
        hands: &Hands<'_>,
        now: Timestamp,
    ) -> Result<Next, VaultError> {
        let Some(method) = Method::from_name(&call.method) else {
            let error = VaultError::NotFound("call");
            self.journal.refuse(Channel::Front, id, &error, None);
            return Ok(Next::Continue);
        };
        let purpose = if method == Method::ClientRenew { Use::Renewal } else { Use::Call };
        let caller = match identify(self.tables(), &call.caller, purpose, now) {
            Ok(caller) => caller,
            Err(error) => {
                if let Ok(origin) = Origin::new(&call.caller.address, &call.caller.via) {
                    self.count_auth_failure(&origin, &error, now);
                }
                self.journal.refuse(Channel::Front, id, &error, None);
                return Ok(Next::Continue);
            }
        };
        if method.is_act() && self.acts.is_busy() && method.check_role(caller.role).is_ok() {
            let lane = match (method.is_urgent(), caller.role.is_operator()) {
                (true, _) => Lane::Urgent,
                (false, true) => Lane::Operator,
                (false, false) => Lane::Alone(caller.serial.0.to_vec()),
            };
            if let Err(error) = self.acts.wait(ActCall::Command(call), id, lane) {
                self.journal.refuse(Channel::Front, id, &error, None);
            }
            return Ok(Next::Continue);
        }
        match self.obey(method, &caller, &call.command, id, hands, now) {
            Ok(next) => Ok(next),
            Err(error) => {
                self.refuse_command(method, &caller, &error, id, now)?;
                Ok(Next::Continue)
            }
        }
    }

    /// Refuses what an operator has waited for, if it came to nothing.
    ///
    /// # Errors
    ///
    /// A defect.
    pub(crate) fn refuse_asker(
        &mut self,
        outcome: Result<(), VaultError>,
        method: Method,
        asker: &Asker,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        match (outcome, &asker.caller) {
            (Err(VaultError::Internal(what)), _) => Err(VaultError::Internal(what)),
            (Err(error), Some(caller)) => {
                self.refuse_command(method, caller, &error, asker.correlation, now)
            }
            (Err(error), None) => {
                self.journal.refuse(asker.channel, asker.correlation, &error, None);
                Ok(())
            }
            (Ok(()), _) => Ok(()),
        }
    }

    fn refuse_command(
        &mut self,
        method: Method,
        caller: &Caller,
        error: &VaultError,
        id: u64,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let clock = self.clock_time();
        let budgets =
            if caller.role.is_operator() { &mut self.operator_denials } else { &mut self.denials };
        let is_logged = budgets.take(&caller.name, clock);
        if !is_logged || self.disk_full {
            self.count_auth_failure(&caller.origin, error, now);
            self.journal.refuse(Channel::Front, id, error, None);
            return Ok(());
        }
        let kind = match method {
            Method::SealUnseal => EntryKind::UnsealDenied,
            _ => EntryKind::AdminDenied,
        };
        let mut entry = self.entry_by(kind, caller, now);
        entry.operation = Some(method.name().to_owned());
        let place = self.record_denied(entry, error)?;
        self.journal.refuse(Channel::Front, id, error, Some(place.index));
        Ok(())
    }

    /// Checks a command and carries it out, or begins to.
    fn obey(
        &mut self,
        method: Method,
        caller: &Caller,
        command: &v1::SignedCommand,
        id: u64,
        hands: &Hands<'_>,
        now: Timestamp,
    ) -> Result<Next, VaultError> {
        method.check_role(caller.role)?;
        if !method.works_sealed() {
            self.opened()?;
        }
        self.check_networks(caller)?;
        let spki = certificate(self.tables(), &caller.serial)?.public_key.0.clone();
        let key = SubjectKey::from_spki(&spki)?;
        self.commands.accept(caller, &key, method, command, now)?;
        self.used_serials.insert(caller.serial);

        let asker = Asker {
            channel: Channel::Front,
            correlation: id,
            caller: Some(caller.clone()),
            origin: caller.origin.clone(),
            nonce: Some(CommandNonce {
                expires_at: Timestamp::from_millis(command.expires_at_ms),
                nonce: command.nonce.clone(),
            }),
            signature_hash: Some(<sha2::Sha256 as sha2::Digest>::digest(&command.signature).into()),
        };
        if method == Method::SealSeal {
            self.check_seal(caller, now)?;
            let was_open = self.open.is_some();
            self.seal(&asker, now)?;
            // What is sealed needs no restart, only to be told that a person wants it so.
            return Ok(if was_open { Next::Seal } else { Next::Continue });
        }
        self.act_or_answer(method, caller, command, asker, hands, now)?;
        Ok(Next::Continue)
    }

    /// The IP policy of a client, for calls that are not about a venue, and for kept answers.
    pub(crate) fn check_networks(&self, caller: &Caller) -> Result<(), VaultError> {
        let (Some(client), Some(open)) = (self.tables().clients.get(&caller.name), &self.open)
        else {
            return Ok(());
        };
        if caller.role.is_operator() {
            return Ok(());
        }
        let address =
            caller.origin.address.ok_or(VaultError::Internal("a client has no address"))?;
        let denied = match client.scope.as_ref().and_then(|name| open.scopes.get(name)) {
            Some(compiled) => vault_policy::admits(&compiled.scope, &client.networks, address)
                .and_then(|()| {
                    let lists = compiled.document.network.countries.is_some();
                    let country = lists.then(|| self.countries.of(address)).flatten();
                    vault_policy::admits_country(&compiled.scope, country)
                })
                .err(),
            None => {
                let inside = client.networks.iter().any(|network| network.contains(&address));
                (!inside && !client.networks.is_empty())
                    .then_some(vault_policy::Denial::ClientNetworkNotAllowed)
            }
        };
        denied.map_or(Ok(()), |denial| Err(VaultError::Deny(denial)))
    }

    fn act_or_answer(
        &mut self,
        method: Method,
        caller: &Caller,
        command: &v1::SignedCommand,
        asker: Asker,
        hands: &Hands<'_>,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let id = asker.correlation;
        macro_rules! answer {
            ($response:expr) => {{
                let response = $response;
                self.journal.answer(Channel::Front, id, &response);
                Ok(())
            }};
        }
        match method {
            Method::AuditExport => self.begin_export(command, caller, &asker, now),
            Method::AuditGetCheckpoint => {
                let checkpoint = checkpoint(&self.config.data.audit());
                answer!(v1::GetCheckpointResponse { checkpoint: Some(checkpoint) })
            }
            Method::AuditTail => self.begin_tail(command, caller, &asker, now),
            Method::ClientDescribe => {
                let body: v1::DescribeClientCommand = command::body(command)?;
                answer!(self.describe_client(&body.name, now)?)
            }
            Method::ClientInvite => self.invite_client(command, asker, now),
            Method::ClientList => answer!(self.list_clients(&command::body(command)?, now)?),
            Method::ClientRenew => self.renew(command, caller, asker, now),
            Method::ClientRevoke => self.revoke_client(command, asker, now),
            Method::CredentialBeginImport => answer!(self.begin_import(caller, now)?),
            Method::CredentialCheck => self.check_credential(command, asker, now),
            Method::CredentialDescribe => {
                let body: v1::DescribeCredentialCommand = command::body(command)?;
                answer!(self.describe_credential(&body.name, now)?)
            }
            Method::CredentialDisable => {
                let body: v1::DisableCredentialCommand = command::body(command)?;
                self.set_credential_state(method, &body.name, CredentialState::Disabled, asker, now)
            }
            Method::CredentialEnable => {
                let body: v1::EnableCredentialCommand = command::body(command)?;
                self.set_credential_state(method, &body.name, CredentialState::Enabled, asker, now)
            }
            Method::CredentialImport => {
                wiping_stack(|| self.import_credential(command, asker, now))
            }
            Method::CredentialList => {
                answer!(self.list_credentials(&command::body(command)?, now)?)
            }
            Method::HaltCancelAll => self.cancel_all(command, asker, now),
            Method::HaltHalt => self.halt(command, asker, now),
            Method::HaltResume => self.resume(command, asker, now),
            Method::HaltStatus => answer!(self.halt_status(&command::body(command)?)?),
            Method::InstrumentDelete => self.delete_instruments(command, asker, now),
            Method::InstrumentImport => self.import_instruments(command, asker, now),
            Method::InstrumentList => answer!(self.list_instruments(&command::body(command)?)?),
            Method::OperatorInvite => self.invite_operator(command, asker, now),
            Method::OperatorList => answer!(self.list_operators(&command::body(command)?, now)?),
            Method::OperatorRevoke => self.revoke_operator(command, asker, now),
            Method::PriceDeleteFeed => self.delete_feed(command, asker, now),
            Method::PriceList => answer!(self.list_prices(&command::body(command)?)?),
            Method::PricePut => answer!(self.put_prices(command, caller, now)?),
            Method::PricePutFeed => self.put_feed(command, asker, now),
            Method::ScopeDelete => {
                let body: v1::DeleteScopeCommand = command::body(command)?;
                self.delete_scope(&body.name, asker, now)
            }
            Method::ScopeExplain => {
                let body: v1::ExplainCommand = command::body(command)?;
                answer!(self.explain(&body, now)?)
            }
            Method::ScopeGet => {
                let body: v1::GetScopeCommand = command::body(command)?;
                answer!(self.get_scope(&body.name)?)
            }
            Method::ScopeGetReplay => {
                let body: v1::GetReplayCommand = command::body(command)?;
                answer!(self.get_replay(&body)?)
            }
            Method::ScopeList => answer!(self.list_scopes(&command::body(command)?)?),
            Method::ScopePut => self.put_scope(command, asker, now),
            Method::ScopeStartReplay => {
                let body: v1::StartReplayCommand = command::body(command)?;
                answer!(self.start_replay(&body)?)
            }
            Method::SealSeal => Err(VaultError::Internal("sealing is no act")),
            Method::SealStatus => answer!(self.status(Guesser::Operator(&caller.name), now)?),
            Method::SealUnseal => {
                let body: v1::UnsealCommand = command::body(command)?;
                wiping_stack(|| self.begin_unseal(&body, asker, hands.core, now))
            }
        }
    }

    /// Whether somebody may seal now. A guard who could do so without end would keep the admins from
    /// revoking him.
    fn check_seal(&self, caller: &Caller, now: Timestamp) -> Result<(), VaultError> {
        if self.open.is_none() && self.sealed_by_hand {
            return Err(VaultError::Conflict(Conflict::AlreadySo));
        }
        let last = self.seals.get(&caller.name).filter(|_| caller.role == Role::Guard);
        let passed_us = last.map(|last| now.micros().saturating_sub(last.micros()));
        let left_us = passed_us.map_or(0, |passed| GUARD_SEALS_EVERY_US.saturating_sub(passed));
        // A wall clock that went back says nothing.
        if (1..=GUARD_SEALS_EVERY_US).contains(&left_us) {
            let retry_after_ms = left_us.unsigned_abs().div_ceil(1_000);
            return Err(VaultError::SealedBefore { retry_after_ms });
        }
        Ok(())
    }

    fn begin_export(
        &mut self,
        command: &v1::SignedCommand,
        caller: &Caller,
        asker: &Asker,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let body: v1::ExportCommand = command::body(command)?;
        let checkpoint = checkpoint(&self.config.data.audit());
        let durable = self.durable.size();
        let to = match body.to_index {
            0 => durable,
            to => to.min(durable),
        };
        if body.from_index > to {
            return Err(VaultError::Field("from_index is beyond the end"));
        }
        let mut entry = self.entry_by(EntryKind::Export, caller, now);
        entry.operation = Some(Method::AuditExport.name().to_owned());
        entry.detail = detail([
            ("entries", (to - body.from_index).to_string()),
            ("first", body.from_index.to_string()),
        ]);
        asker.note_command(&mut entry);
        self.journal.record(entry)?;
        let grant = self.open_grant(caller.serial, Some(ExportEnd { to, checkpoint }), now);
        let chunk = Chunk { grant, first_index: body.from_index, ..Chunk::default() };
        self.journal.answer(asker.channel, asker.correlation, &chunk);
        Ok(())
    }

    fn begin_tail(
        &mut self,
        command: &v1::SignedCommand,
        caller: &Caller,
        asker: &Asker,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let body: v1::TailCommand = command::body(command)?;
        let first_index = if body.from_end { self.durable.size() } else { body.from_index };
        let mut entry = self.entry_by(EntryKind::Export, caller, now);
        entry.operation = Some(Method::AuditTail.name().to_owned());
        entry.detail = detail([("first", first_index.to_string())]);
        asker.note_command(&mut entry);
        self.journal.record(entry)?;
        let grant = self.open_grant(caller.serial, None, now);
        let chunk = Chunk { grant, first_index, ..Chunk::default() };
        self.journal.answer(asker.channel, asker.correlation, &chunk);
        Ok(())
    }
}

/// After a Seal of his the same guard halts, and seals again only after so long. Microseconds.
const GUARD_SEALS_EVERY_US: i64 = 5 * 60 * 1_000_000;
