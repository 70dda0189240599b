//! Sign: judge, open the credential, sign, wipe, log; the reply leaves once the entry is on disk.

use std::net::IpAddr;

use prost::Message;
use ring::rand::SecureRandom;
use sha2::{Digest, Sha256};
use vault_audit::{Entry, EntryKind};
use vault_ipc::proto::v1;
use vault_ipc::{Failure, SignCall};
use vault_model::{
    ClockTime, Mode, Name, Reading, RequestId, Role, SignedRequest, Timestamp, VenueRequest,
};
use vault_policy::{Cost, Denial, Remedy};
use vault_venue::Moment;

use crate::authorize::{Facts, Judged, Permit};
use crate::caller::{Caller, Origin, Use, identify};
use crate::credential::open_credential;
use crate::crypto::mac::payload_mac;
use crate::error::VaultError;
use crate::history;
use crate::journal::Channel;
use crate::replay::{Known, Replay, RequestKey};
use crate::shadow::word;
use crate::storage::ClientRow;
use crate::vault::{Vault, detail};

/// A Sign, taken apart.
struct Order {
    request_id: RequestId,
    credential: Name,
    request: VenueRequest,
    /// By which a retry is recognised.
    key: RequestKey,
    /// By which a retry is told from another request with its id.
    content: [u8; 32],
}

impl Order {
    fn judged<'o>(
        &'o self,
        client: &'o ClientRow,
        address: IpAddr,
        asked: Asked<'_>,
    ) -> Judged<'o> {
        Judged {
            client,
            address,
            credential: &self.credential,
            mode: Mode::Sign,
            request: &self.request,
            now: asked.now,
            steady_now: asked.steady_now,
            clock: asked.clock,
        }
    }
}

/// Who waits for the answer, and since when.
#[derive(Clone, Copy)]
struct Asked<'a> {
    caller: &'a Caller,
    correlation: u64,
    now: Timestamp,
    steady_now: Timestamp,
    clock: ClockTime,
}

impl Vault {
    /// Answers a Sign. The answer is only prepared here: the writer releases it after its entry.
    ///
    /// # Errors
    ///
    /// None of a caller's making: those are answered. What is returned ends the process.
    pub(crate) fn sign(
        &mut self,
        call: &SignCall,
        correlation: u64,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let caller = match self.identify_bot(&call.caller, now) {
            Ok(caller) => caller,
            Err(error) => {
                self.journal.refuse(Channel::Front, correlation, &error, None);
                return Ok(());
            }
        };
        if self.disk_full {
            // Counted, not logged one by one: the space that is left is for operators' acts.
            self.count_auth_failure(&caller.origin, &VaultError::DiskFull, now);
            self.journal.refuse(Channel::Front, correlation, &VaultError::DiskFull, None);
            return Ok(());
        }
        let (steady_now, clock) = (self.clock.steady(now), self.clock_time());
        let asked = Asked { caller: &caller, correlation, now, steady_now, clock };
        let order = match read_order(&caller.name, &call.request) {
            Ok(order) => order,
            Err(error) => return self.deny_sign(asked, None, &Facts::default(), &error),
        };
        // The front's clock is the machine's; ours may be shifted, in development.
        let offset_us = self.config.clock_offset_s.saturating_mul(1_000_000);
        let deadline_us = call.deadline_us.saturating_add(offset_us);
        if call.deadline_us != 0 && deadline_us <= now.micros() {
            self.journal.refuse(Channel::Front, correlation, &VaultError::DeadlineExceeded, None);
            return Ok(());
        }

        // Before any answer that is kept: it must not reach an address that the client may not have.
        if let Err(error) = self.check_networks(&caller) {
            return self.deny_sign(asked, Some(&order), &Facts::default(), &error);
        }
        let seen = match self.replay.look(&order.key, &order.content, now) {
            Known::Answered(reply) => Some(Ok(reply.to_vec())),
            Known::Different => Some(Err(VaultError::RequestIdReused)),
            Known::Signed(index) => Some(Err(VaultError::OutcomeUnknown { index })),
            Known::New => None,
        };
        match seen {
            Some(Ok(reply)) => {
                self.journal.answer_encoded(Channel::Front, correlation, reply, true);
                return Ok(());
            }
            Some(Err(error)) => {
                return self.deny_sign(asked, Some(&order), &Facts::default(), &error);
            }
            None => {}
        }

        self.refresh_market(asked.clock);
        let mut facts = Facts::default();
        match self.decide(asked, &order, &mut facts) {
            Ok((signed, nonce)) => self.release(asked, &order, &facts, signed, nonce)?,
            Err(error) => self.deny_sign(asked, Some(&order), &facts, &error)?,
        }
        self.record_shadow(asked, &order, &facts)
    }

    fn identify_bot(
        &mut self,
        facts: &vault_ipc::Caller,
        now: Timestamp,
    ) -> Result<Caller, VaultError> {
        self.opened()?;
        let identified = identify(self.tables(), facts, Use::Call, now).and_then(|caller| {
            if caller.role == Role::Bot { Ok(caller) } else { Err(VaultError::Role(caller.role)) }
        });
        if let Ok(caller) = &identified {
            self.used_serials.insert(caller.serial);
        }
        if let Err(error) = &identified {
            let origin = Origin::new(&facts.address, &facts.via)?;
            self.count_auth_failure(&origin, error, now);
        }
        identified
    }

    fn decide(
        &mut self,
        asked: Asked<'_>,
        order: &Order,
        facts: &mut Facts,
    ) -> Result<(SignedRequest, Option<u64>), VaultError> {
        let Asked { caller, now, .. } = asked;
        let client = self
            .opened()?
            .state
            .tables()
            .clients
            .get(&caller.name)
            .ok_or(VaultError::Internal("a caller is no client"))?;
        let address = caller.origin.address.ok_or(VaultError::Internal("a bot has no address"))?;
        let permit = self.authorize(order.judged(client, address, asked), facts)?;
        let signed = self.take_nonce(&permit, &caller.name, now).and_then(|nonce| {
            let signed = self.sign_permitted(&permit, &order.request, nonce, now)?;
            Ok((signed, nonce))
        });
        facts.keep(permit);
        signed
    }

    /// At a nonce venue: holds the credential for this client, and takes the next nonce.
    fn take_nonce(
        &mut self,
        permit: &Permit,
        client: &Name,
        now: Timestamp,
    ) -> Result<Option<u64>, VaultError> {
        let credential = permit.credential();
        let wants_nonce =
            self.registry.venue(&credential.venue).is_some_and(|venue| venue.needs_nonce());
        if !wants_nonce {
            return Ok(None);
        }
        self.leases.take(&credential.name, client, now)?;
        self.nonces.next(&credential.name, credential.nonce_floor, now).map(Some)
    }

    fn sign_permitted(
        &self,
        permit: &Permit,
        request: &VenueRequest,
        nonce: Option<u64>,
        now: Timestamp,
    ) -> Result<SignedRequest, VaultError> {
        let venue = self
            .registry
            .venue(permit.reading().venue)
            .ok_or(VaultError::Internal("a reading is of an unknown venue"))?;
        let secret = open_credential(self.opened()?, &self.instance_id, permit)?;
        let mut unique = [0; 16];
        self.rng
            .fill(&mut unique)
            .map_err(|_| VaultError::Internal("the system has no randomness"))?;
        let moment = Moment {
            at: now,
            nonce,
            environment: permit.credential().environment,
            disclose_passphrase: permit.credential().disclose_passphrase,
            unique,
        };
        Ok(venue.sign(request, &secret.key(permit.key_type()), &moment)?)
    }

    fn release(
        &mut self,
        asked: Asked<'_>,
        order: &Order,
        facts: &Facts,
        signed: SignedRequest,
        nonce: Option<u64>,
    ) -> Result<(), VaultError> {
        let mut entry = self.sign_entry(EntryKind::Sign, asked, Some(order), facts);
        entry.nonce = nonce.map(|nonce| nonce.to_string());
        entry.sig_sha256 = Some(Sha256::digest(&signed.signature).into());
        let cost = facts.cost.as_ref().ok_or(VaultError::Internal("a signature has no cost"))?;
        let reading = facts.reading.as_ref().ok_or(VaultError::Internal("nothing was read"))?;
        history::write(&mut entry, reading, cost, asked.clock);
        let place = match self.journal.record(entry) {
            Ok(place) => place,
            // Too many legs for one entry: what cannot be logged is not released.
            Err(error) => return self.deny_sign(asked, Some(order), facts, &error),
        };

        let usable_for_ms = facts
            .credential
            .as_ref()
            .and_then(|credential| self.registry.venue(&credential.venue))
            .zip(facts.key_type)
            .and_then(|(venue, key_type)| venue.usable_ms(key_type));
        let response = v1::SignResponse {
            request: Some(wire_signed(signed)),
            usable_for_ms,
            receipt: Some(v1::Receipt {
                log_origin: self.log_origin.clone(),
                index: place.index,
                leaf_hash: place.leaf_hash.to_vec(),
            }),
            seq: place.seq,
            notional_usd: notional(cost),
            limits_left: limits_left(cost),
        }
        .encode_to_vec();
        let Asked { caller, correlation, now, clock, .. } = asked;
        self.replay.signed(order.key, place.index);
        self.replay.answered(order.key, order.content, response.clone(), now);
        self.released.add(&caller.name, &order.credential, usable_for_ms, now);
        self.histories.add(&caller.name, &cost.spend(clock));
        self.journal.answer_encoded(Channel::Front, correlation, response, true);
        Ok(())
    }

    fn deny_sign(
        &mut self,
        asked: Asked<'_>,
        order: Option<&Order>,
        facts: &Facts,
        error: &VaultError,
    ) -> Result<(), VaultError> {
        if !self.denials.take(&asked.caller.name, asked.now) {
            // Counted from here on: nobody fills the disk with what is refused.
            self.count_auth_failure(&asked.caller.origin, error, asked.now);
            self.journal.refuse(Channel::Front, asked.correlation, error, None);
            return Ok(());
        }
        let mut entry = self.sign_entry(EntryKind::SignDenied, asked, order, facts);
        if let (VaultError::Deny(_), Some(order), Some(reading)) = (error, order, &facts.reading)
            && let Some(cost) = self.cost(asked, order, reading)
        {
            history::write_prices(&mut entry, &cost);
        }
        let place = match self.record_denied(entry, error) {
            Err(VaultError::EntryTooLong) => {
                // The legs do not fit: the refusal is logged without them.
                let mut bare = self.sign_entry(EntryKind::SignDenied, asked, order, facts);
                history::forget_legs(&mut bare);
                self.record_denied(bare, error)?
            }
            other => other?,
        };
        let mut failure = Failure::from(error);
        if let (VaultError::Deny(denial), Some(order), Some(reading)) =
            (error, order, &facts.reading)
        {
            let remedies = self.remedies(asked, order, denial, reading);
            failure.hint = vault_policy::hint(denial, &remedies);
            failure.remedies = remedies.iter().map(ToString::to_string).collect();
        }
        self.journal.fail(Channel::Front, asked.correlation, failure, Some(place.index));
        Ok(())
    }

    /// Says in the log where the shadow of a scope answers otherwise. It comes after the answer, and
    /// within a budget of the client like that for denials, of its own: nobody fills the disk with
    /// it, and no shadow takes room from what the live scope denies.
    fn record_shadow(
        &mut self,
        asked: Asked<'_>,
        order: &Order,
        facts: &Facts,
    ) -> Result<(), VaultError> {
        let (Some(shadow), Some((scope, _))) = (&facts.shadow, &facts.scope) else {
            return Ok(());
        };
        let diverged = shadow.diverged();
        self.shadows.count(scope, diverged.is_some());
        let Some(reason) = diverged else {
            return Ok(());
        };
        if !self.divergences.take(&asked.caller.name, asked.now) {
            return Ok(());
        }
        let mut entry = self.entry_by(EntryKind::ShadowDiverged, asked.caller, asked.now);
        entry.mode = Some(Mode::Sign);
        entry.request_id = Some(order.request_id.clone());
        entry.credential = Some(order.credential.clone());
        entry.venue = facts.credential.as_ref().map(|credential| credential.venue.clone());
        entry.operation =
            facts.reading.as_ref().map(|reading| reading.stated.operation.to_string());
        entry.scope = Some(shadow.shadow.clone());
        entry.scope_rev = Some(shadow.revision);
        entry.reason = Some(reason.to_owned());
        entry.detail = detail([
            ("live", word(shadow.live).to_owned()),
            ("shadow", word(shadow.shadow_says).to_owned()),
        ]);
        match self.journal.record(entry) {
            // It is short; if ever it were not, it would be no reason to stop.
            Ok(_) | Err(VaultError::EntryTooLong) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// What a denied request would have counted for.
    fn cost(&self, asked: Asked<'_>, order: &Order, reading: &Reading) -> Option<Cost> {
        let client = self.tables().clients.get(&asked.caller.name)?;
        let judged = order.judged(client, asked.caller.origin.address?, asked);
        let ground = self.ground(judged).ok()?;
        Some(vault_policy::cost(&ground.question(judged, reading)))
    }

    /// What would change a denial, for the hint.
    fn remedies(
        &self,
        asked: Asked<'_>,
        order: &Order,
        denial: &Denial,
        reading: &Reading,
    ) -> Vec<Remedy> {
        let caller = asked.caller;
        let (Some(client), Some(address)) =
            (self.tables().clients.get(&caller.name), caller.origin.address)
        else {
            return Vec::new();
        };
        let judged = order.judged(client, address, asked);
        self.ground(judged)
            .map(|ground| ground.remedies(judged, denial, reading))
            .unwrap_or_default()
    }

    fn sign_entry(
        &self,
        kind: EntryKind,
        asked: Asked<'_>,
        order: Option<&Order>,
        facts: &Facts,
    ) -> Entry {
        let mut entry = self.entry_by(kind, asked.caller, asked.now);
        entry.mode = Some(Mode::Sign);
        if let Some((scope, revision)) = &facts.scope {
            entry.scope = Some(scope.clone());
            entry.scope_rev = Some(*revision);
        }
        if let Some(credential) = &facts.credential {
            entry.credential = Some(credential.name.clone());
            entry.version = Some(credential.version);
            entry.venue = Some(credential.venue.clone());
            entry.environment = Some(credential.environment);
            entry.assume = credential.assume.clone();
        }
        if let Some(reading) = &facts.reading {
            let stated = &reading.stated;
            entry.operation = Some(stated.operation.to_string());
            entry.class = Some(stated.class);
            entry.product = match stated.products.as_deref() {
                Some([product]) => Some(*product),
                _ => None,
            };
            entry.legs = stated.legs.clone();
            history::write_legs(&mut entry);
            entry.client_order_id = stated.client_order_id.clone();
            entry.closure_hash = Some(reading.closure_hash);
            entry.closure_widest = Some(reading.widest().operation.to_string());
            entry.catalog_hash = Some(reading.catalog_hash);
        }
        if let Some(order) = order {
            entry.request_id = Some(order.request_id.clone());
            if let Some(open) = &self.open {
                let (version, audit_mac) = open.keys.current_audit_mac();
                let venue = entry.venue.clone().unwrap_or_default();
                entry.mac_key = Some(version);
                entry.payload_mac =
                    Some(payload_mac(audit_mac, &self.instance_id, &venue, &order.request));
            }
        }
        entry
    }
}

fn read_order(client: &Name, request: &v1::SignRequest) -> Result<Order, VaultError> {
    let request_id: RequestId = request
        .request_id
        .parse()
        .map_err(|_| VaultError::Field("request_id is 1 to 64 of A-Z a-z 0-9 _ -"))?;
    let credential = request.credential.parse().map_err(|_| VaultError::NotFound("credential"))?;
    let venue_request = request.request.as_ref().ok_or(VaultError::Field("request is not set"))?;
    let content = Sha256::new()
        .chain_update(request.credential.as_bytes())
        .chain_update([0])
        .chain_update(venue_request.encode_to_vec())
        .finalize()
        .into();
    let key = Replay::key(client, &request_id);
    let request = model_request(venue_request);
    Ok(Order { request_id, credential, request, key, content })
}

/// A wire request as the venue's reader takes it. Nothing is checked here.
pub(crate) fn model_request(request: &v1::VenueRequest) -> VenueRequest {
    VenueRequest {
        method: request.method.clone(),
        scheme: if request.scheme.is_empty() { "https".to_owned() } else { request.scheme.clone() },
        host: request.host.clone(),
        path: request.path.clone(),
        query: request.query.clone(),
        body: request.body.clone(),
        headers: request
            .headers
            .iter()
            .map(|header| (header.name.clone(), header.value.clone()))
            .collect(),
    }
}

/// A notional as an answer has it; empty without one.
pub(crate) fn notional(cost: &Cost) -> String {
    match cost.notional_usd {
        Some(notional) if cost.orders > 0 => notional.to_string(),
        _ => String::new(),
    }
}

/// What is left, as an answer has it.
pub(crate) fn limits_left(cost: &Cost) -> Vec<v1::LimitLeft> {
    let left = cost.limits_left.iter();
    left.map(|(limit, left)| v1::LimitLeft { limit: limit.clone(), left: left.clone() }).collect()
}

fn wire_signed(signed: SignedRequest) -> v1::SignedRequest {
    v1::SignedRequest {
        method: signed.method,
        url: signed.url,
        headers: signed
            .headers
            .into_iter()
            .map(|(name, value)| v1::Header { name, value })
            .collect(),
        body: signed.body,
    }
}
