//! Sign: judge, open the credential, sign, wipe, log; the reply leaves once the entry is on disk. Where
//! to sign takes long, a call is judged twice (`ahead.rs`).

use std::time::Instant;

use vault_audit::EntryKind;
use vault_ipc::SignCall;
use vault_ipc::proto::v1;
use vault_model::{Mode, Name, SignedRequest, Timestamp, VenueRequest};
use vault_venue::{Key, Moment, Venue};

use crate::authorize::{Facts, Permit};
use crate::batch::HASH_BYTES;
use crate::credential::open_credential;
use crate::crypto::stack::wiping_stack;
use crate::error::VaultError;
use crate::metric::Came;
use crate::order::{
    Asked, Order, check_header_count, limits_left, model_request, notional, wire_headers,
};
use crate::storage::CredentialRow;
use crate::vault::Vault;

impl Vault {
    /// Answers a Sign. The answer is only prepared here: the writer releases it after its entry.
    ///
    /// # Errors
    ///
    /// None of a caller's making: those are answered. What is returned ends the process.
    pub(crate) fn sign(
        &mut self,
        call: SignCall,
        correlation: u64,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        // Of a call that was set aside it is counted once how it came.
        let queued_us = if self.ahead.has_waited() { 0 } else { call.queued_us };
        let began = self.counts.begin_sign(queued_us);
        if call.traced {
            self.journal.traces.begin(correlation);
        }
        let answered = self.answer_sign(call, correlation, now);
        if !self.ahead.is_set_aside() {
            self.counts.end_sign(began);
        }
        answered
    }

    fn answer_sign(
        &mut self,
        call: SignCall,
        correlation: u64,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        if self.is_late(Mode::Sign, call.deadline_us, correlation, now) {
            return Ok(());
        }
        let Some(caller) = self.admit_bot(&call.caller, correlation, now) else {
            return Ok(());
        };
        let asked = self.asked(&caller, correlation, Mode::Sign, call.deadline_us, now);
        let order = match read_order(&caller.name, call.request) {
            Ok(order) => order,
            Err(error) => return self.deny(asked, None, &Facts::default(), &error),
        };
        match self.screen(asked, &order) {
            Ok(None) => {}
            Ok(Some((mut reply, index))) => {
                reply.extend([0; HASH_BYTES]);
                self.journal.answer_with_receipt(correlation, reply, index, true, |_| false);
                return Ok(());
            }
            Err(error) => return self.deny(asked, Some(&order), &Facts::default(), &error),
        }

        self.refresh_market(asked.clock);
        let mut facts = Facts::default();
        match self.decide_sign(asked, &order, &mut facts) {
            Ok(Some((signed, nonce))) => self.release(asked, &order, &facts, signed, nonce)?,
            Ok(None) => return Ok(()),
            Err(error) => self.deny(asked, Some(&order), &facts, &error)?,
        }
        self.record_shadow(asked, &order, &facts)
    }

    /// The signed request and its nonce; absent if the call was set aside.
    fn decide_sign(
        &mut self,
        asked: Asked<'_>,
        order: &Order,
        facts: &mut Facts,
    ) -> Result<Option<(SignedRequest, Option<u64>)>, VaultError> {
        let permit = self.permit(asked, order, facts)?;
        let disclose = permit.credential().disclose_passphrase;
        if self.set_aside(asked, &permit, &order.request, disclose) {
            return Ok(None);
        }
        let class = permit.reading().stated.class;
        let may_be = self.requests.take(&asked.caller.name, class, asked.clock);
        let nonce = may_be.and_then(|()| self.take_nonce(&permit, asked));
        let signed = nonce.and_then(|nonce| {
            let began = Instant::now();
            let signed =
                self.sign_permitted(&permit, &order.request, nonce, disclose, asked.now)?;
            let took = began.elapsed();
            match self.ahead.ready(permit.credential(), asked.now) {
                Some(ready) => self.counts.signed_ahead_in(ready.took()),
                None => self.counts.signed_in(took),
            }
            self.journal.traces.signed(asked.correlation, took);
            Ok(Some((signed, nonce)))
        });
        facts.keep(permit);
        signed
    }

    /// Asks the gate for leave to serve an order with its credential.
    ///
    /// # Errors
    ///
    /// As for [`Vault::authorize`].
    pub(crate) fn permit(
        &self,
        asked: Asked<'_>,
        order: &Order,
        facts: &mut Facts,
    ) -> Result<Permit, VaultError> {
        let caller = asked.caller;
        let client = self
            .opened()?
            .state
            .tables()
            .clients
            .get(&caller.name)
            .ok_or(VaultError::Internal("a caller is no client"))?;
        let address = caller.origin.address.ok_or(VaultError::Internal("a bot has no address"))?;
        let judged = order
            .judged(client, address, asked)
            .ok_or(VaultError::Internal("an order without a credential is at the gate"))?;
        self.authorize(judged, facts)
    }

    /// At a nonce venue: holds the credential for this client, and takes the next nonce.
    fn take_nonce(&mut self, permit: &Permit, asked: Asked<'_>) -> Result<Option<u64>, VaultError> {
        let credential = permit.credential();
        let wants_nonce =
            self.registry.venue(&credential.venue).is_some_and(|venue| venue.needs_nonce());
        if !wants_nonce {
            return Ok(None);
        }
        if self.lanes.is_busy(&credential.name) {
            // The vault's own request is on its way with an earlier nonce.
            return Err(VaultError::CredentialLeased { retry_after_ms: LANE_RETRY_MS });
        }
        self.leases.take(&credential.name, &asked.caller.name, asked.clock)?;
        self.nonces.next(&credential.name, credential.nonce_floor, asked.now).map(Some)
    }

    /// Signs what was permitted. `disclose` lets the passphrase stand in the signed request.
    ///
    /// # Errors
    ///
    /// [`VaultError::Venue`], or a defect.
    pub(crate) fn sign_permitted(
        &self,
        permit: &Permit,
        request: &VenueRequest,
        nonce: Option<u64>,
        disclose: bool,
        now: Timestamp,
    ) -> Result<SignedRequest, VaultError> {
        wiping_stack(|| {
            let secret = open_credential(self.opened()?, &self.instance_id, permit)?;
            let venue = self.venue(permit.reading().venue)?;
            let key = secret.parsed_key(venue, permit.key_type())?;
            let moment = self.moment(permit.credential(), nonce, disclose, now)?;
            Ok(match self.ahead.ready(permit.credential(), now) {
                Some(ready) => {
                    venue.sign_given(request, &key, &ready.moment(moment), Some(ready.signed()))?
                }
                None => venue.sign(request, &key, &moment)?,
            })
        })
    }

    /// Signs with a key that was opened for a permit.
    ///
    /// # Errors
    ///
    /// [`VaultError::Venue`], or a defect.
    #[expect(clippy::too_many_arguments, reason = "each is another part of what is signed")]
    pub(crate) fn sign_with(
        &self,
        venue: &str,
        credential: &CredentialRow,
        key: &Key<'_>,
        request: &VenueRequest,
        nonce: Option<u64>,
        disclose: bool,
        now: Timestamp,
    ) -> Result<SignedRequest, VaultError> {
        let moment = self.moment(credential, nonce, disclose, now)?;
        Ok(self.venue(venue)?.sign(request, key, &moment)?)
    }

    /// What the vault adds to a request that is signed now.
    ///
    /// # Errors
    ///
    /// A defect.
    pub(crate) fn moment(
        &self,
        credential: &CredentialRow,
        nonce: Option<u64>,
        disclose: bool,
        now: Timestamp,
    ) -> Result<Moment, VaultError> {
        let unique = self
            .uniques
            .next(&self.rng)
            .map_err(|_| VaultError::Internal("the system has no randomness"))?;
        Ok(Moment {
            at: now,
            nonce,
            environment: credential.environment,
            disclose_passphrase: disclose,
            unique,
        })
    }

    /// The venue of a reading.
    ///
    /// # Errors
    ///
    /// A defect.
    pub(crate) fn venue(&self, name: &str) -> Result<&Venue, VaultError> {
        self.registry.venue(name).ok_or(VaultError::Internal("a reading is of an unknown venue"))
    }

    fn release(
        &mut self,
        asked: Asked<'_>,
        order: &Order,
        facts: &Facts,
        signed: SignedRequest,
        nonce: Option<u64>,
    ) -> Result<(), VaultError> {
        let entry = self.signed_entry(EntryKind::Sign, asked, order, facts, &signed, nonce)?;
        let cost = facts.cost.as_ref().ok_or(VaultError::Internal("a signature has no cost"))?;
        let place = match self.journal.record(entry) {
            Ok(place) => place,
            // Too many legs for one entry: what cannot be logged is not released.
            Err(error) => return self.deny(asked, Some(order), facts, &error),
        };

        let credential =
            facts.credential.as_ref().ok_or(VaultError::Internal("nothing was signed with"))?;
        let usable_for_ms = self
            .registry
            .venue(&credential.venue)
            .zip(facts.key_type)
            .and_then(|(venue, key_type)| venue.usable_ms(key_type));
        let response = v1::SignResponse {
            request: Some(wire_signed(signed)),
            usable_for_ms,
            receipt: None,
            seq: place.seq,
            notional_usd: notional(cost),
            limits_left: limits_left(cost),
        };
        let response = self.with_receipt(&response, RECEIPT_TAG, &place);
        let Asked { caller, correlation, clock, .. } = asked;
        self.journal.traces.at_venue(correlation, &credential.venue);
        self.journal.traces.recorded(correlation, &place);
        self.replay.signed(order.key, place.index);
        let scope = facts.scope.as_ref().map(|(name, _)| name);
        self.released.add(&caller.name, scope, &credential.name, usable_for_ms, clock);
        self.histories.add(&caller.name, scope, &cost.spend(clock));
        self.counts.count(&caller.name, Came::Signed);
        let (replay, client, credential) = (&mut self.replay, &caller.name, &credential.name);
        let keep = |known: &[u8]| {
            replay.answered(order.key, order.content, client, credential, known, clock)
        };
        self.journal.answer_with_receipt(correlation, response, place.index, true, keep);
        self.journal.keeps_answers(self.replay.answers());
        Ok(())
    }
}

/// The order that a call is.
///
/// # Errors
///
/// [`VaultError::Field`], and those of [`Order::new`].
pub(crate) fn read_order(client: &Name, request: v1::SignRequest) -> Result<Order, VaultError> {
    let v1::SignRequest { request_id, credential, request } = request;
    let request = request.ok_or(VaultError::Field("request is not set"))?;
    check_header_count(request.headers.len())?;
    let request = model_request(request);
    Order::new(client, Mode::Sign, &request_id, &credential, request)
}

fn wire_signed(signed: SignedRequest) -> v1::SignedRequest {
    v1::SignedRequest {
        method: signed.method,
        url: signed.url,
        headers: wire_headers(signed.headers),
        body: signed.body,
    }
}

/// Of the receipt in a `SignResponse`.
const RECEIPT_TAG: u32 = 3;
/// After which a Sign may find the lane of an Execute free. Milliseconds.
const LANE_RETRY_MS: u64 = 100;
