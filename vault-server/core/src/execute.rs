//! Execute: judge the one operation that is stated, sign it, log it, and have egress send it. The
//! request leaves once `execute.intent` is on disk; what becomes of it is in `execute.outcome`.
//!
//! No signature goes to the front, and the venue's answer does not come through here.

mod outcome;
mod public;
#[cfg(test)]
pub(crate) mod tests;

use std::time::Instant;

use prost::Message as _;
use vault_audit::EntryKind;
use vault_ipc::proto::v1;
use vault_ipc::{Dispatch, ExecuteCall, Kind, ProxyCall};
use vault_model::{Class, Mode, Name, Reading, SignedRequest, Timestamp, VenueRequest};
use vault_venue::ReadError;

use crate::authorize::{Facts, Permit};
use crate::error::VaultError;
use crate::hold::{HANDLE_LIFE, Hold, new_handle};
use crate::journal::Channel;
use crate::lane::Waiting;
use crate::metric::Came;
use crate::order::{
    Asked, Order, check_header_count, limits_left, model_request, notional, wire_headers,
};
use crate::vault::Vault;

pub use self::outcome::Executions;
pub(crate) use self::outcome::{Execution, Intent, is_problem, problem, status, write_outcome};

/// A call whose request the vault is to send.
#[derive(Clone, Debug)]
pub enum VenueCall {
    /// A request as its caller states it.
    Execute(ExecuteCall),
    /// A request as a bot's own library made it.
    Proxy(ProxyCall),
}

impl VenueCall {
    /// Who calls, as the front has it.
    pub(crate) fn caller(&self) -> &vault_ipc::Caller {
        match self {
            Self::Execute(call) => &call.caller,
            Self::Proxy(call) => &call.caller,
        }
    }

    pub(crate) fn traced(&self) -> bool {
        match self {
            Self::Execute(call) => call.traced,
            Self::Proxy(call) => call.traced,
        }
    }

    fn header_count(&self) -> usize {
        match self {
            Self::Execute(call) => call.request.request.as_ref().map_or(0, |it| it.headers.len()),
            Self::Proxy(call) => call.request.headers.len(),
        }
    }

    /// What it takes while it is kept.
    fn bytes(&self) -> usize {
        let encoded = match self {
            Self::Execute(call) => call.encoded_len(),
            Self::Proxy(call) => call.encoded_len(),
        };
        size_of::<Self>() + encoded + self.header_count() * size_of::<v1::Header>()
    }

    /// Microseconds since the epoch after which nobody waits for the answer; 0 for never.
    pub(crate) fn deadline_us(&self) -> i64 {
        match self {
            Self::Execute(call) => call.deadline_us,
            Self::Proxy(call) => call.deadline_us,
        }
    }
}

/// What comes of a call that is not refused.
enum Turn {
    /// It is set aside while its signature is computed.
    Aside,
    /// It is signed, with this nonce if there is one, and goes through a lane if it has one.
    Now(SignedRequest, Option<u64>),
    /// Another request of its credential is on its way.
    Later,
}

impl Vault {
    /// Answers an Execute, or keeps it until it is its turn. Answer and request are only prepared
    /// here: the writer releases them after the entry.
    ///
    /// # Errors
    ///
    /// None of a caller's making: those are answered. What is returned ends the process.
    pub(crate) fn execute(
        &mut self,
        call: VenueCall,
        correlation: u64,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        if call.traced() {
            self.journal.traces.begin(correlation);
        }
        if self.is_late(Mode::Execute, call.deadline_us(), correlation, now) {
            return Ok(());
        }
        let Some(caller) = self.admit_bot(call.caller(), correlation, now) else {
            return Ok(());
        };
        let asked = self.asked(&caller, correlation, Mode::Execute, call.deadline_us(), now);
        let order = match self.read_call(&caller.name, &call) {
            Ok(order) => order,
            Err(Unread { order, error }) => {
                // A refusal says nothing to an address that the client may not have.
                let error = self.check_networks(&caller).err().unwrap_or(error);
                return self.deny(asked, order.as_deref(), &Facts::default(), &error);
            }
        };
        match self.screen(asked, &order) {
            Ok(None) => {}
            Ok(Some(_)) => return Err(VaultError::Internal("the answer of an Execute was kept")),
            Err(error) => return self.deny(asked, Some(&order), &Facts::default(), &error),
        }
        let Some(credential) = order.credential.clone() else {
            return self.execute_public(asked, &order);
        };

        self.refresh_market(asked.clock);
        let mut facts = Facts::default();
        match self.decide_execute(asked, &order, &mut facts) {
            Ok(Turn::Aside) => return Ok(()),
            Ok(Turn::Now(signed, nonce)) => self.send(asked, &order, &facts, signed, nonce)?,
            Ok(Turn::Later) => {
                // Judged again when it is its turn: by then the answer may be another.
                let class = facts.reading.as_ref().map(|reading| reading.stated.class);
                let is_cancel = class == Some(Class::Cancel);
                let until = asked.left().map(|left| asked.clock.plus(left));
                let bytes = call.bytes();
                let waiting = Waiting { call, correlation, is_cancel, until, bytes };
                return match self.lanes.wait(&credential, &caller.name, waiting) {
                    Ok(()) => Ok(()),
                    Err(error) => self.deny(asked, Some(&order), &facts, &error),
                };
            }
            Err(error) => self.deny(asked, Some(&order), &facts, &error)?,
        }
        self.record_shadow(asked, &order, &facts)
    }

    /// Tells callers whose deadline has passed while they waited for their turn that nothing of
    /// theirs was sent.
    pub(crate) fn refuse_late(&mut self) {
        for correlation in self.lanes.take_late(self.clock_time()) {
            let error = VaultError::DeadlineExceeded;
            self.journal.refuse(Channel::Front, correlation, &error, None);
        }
    }

    /// The order that a call is.
    ///
    /// # Errors
    ///
    /// [`Unread`].
    pub(crate) fn read_call(&self, client: &Name, call: &VenueCall) -> Result<Order, Unread> {
        check_header_count(call.header_count())?;
        match call {
            VenueCall::Execute(call) => {
                let v1::ExecuteRequest { request_id, credential, request } = &call.request;
                let request = request.as_ref().ok_or(VaultError::Field("request is not set"))?;
                let request = model_request(request.clone());
                Ok(Order::new(client, Mode::Execute, request_id, credential, request)?)
            }
            VenueCall::Proxy(call) => {
                let id = &call.request_id;
                let dressed = model_request(call.request.clone());
                let order = |credential: &str, request: VenueRequest| {
                    Order::new(client, Mode::Execute, id, credential, request)
                };
                let undressed = self
                    .registry
                    .venue_of_host(&dressed.host)
                    .ok_or(ReadError::HostUnknown)
                    .and_then(|(venue, _)| venue.undress(&dressed));
                let (credential, request) = match undressed {
                    Ok(undressed) => (undressed.credential.unwrap_or_default(), undressed.request),
                    Err(error) => {
                        let order = order("", dressed)?;
                        return Err(Unread { order: Some(Box::new(order)), error: error.into() });
                    }
                };
                match order(&credential, request.clone()) {
                    // What cannot be a credential's name is not there: said as of any other.
                    Err(error @ VaultError::NotFound(_)) => {
                        let order = Some(Box::new(order("", request)?));
                        Err(Unread { order, error })
                    }
                    order => Ok(order?),
                }
            }
        }
    }

    fn decide_execute(
        &mut self,
        asked: Asked<'_>,
        order: &Order,
        facts: &mut Facts,
    ) -> Result<Turn, VaultError> {
        // A log-on or a frame is sent over a socket, and signed for one.
        if order.request.scheme != "https" {
            return Err(VaultError::Read(ReadError::SchemeNotAllowed));
        }
        let permit = self.permit(asked, order, facts)?;
        if self.set_aside(asked, &permit, &order.request, true) {
            return Ok(Turn::Aside);
        }
        let turn = self.take_turn(asked, order, &permit);
        facts.keep(permit);
        turn
    }

    fn take_turn(
        &mut self,
        asked: Asked<'_>,
        order: &Order,
        permit: &Permit,
    ) -> Result<Turn, VaultError> {
        let credential = permit.credential();
        if let Some(holder) = self.holder_of(asked, permit, &order.request)?
            && holder != credential.name
        {
            return Err(VaultError::HandleUnknown);
        }
        let in_order = self.goes_in_order(permit.reading());
        if in_order && self.lanes.is_busy(&credential.name) {
            return Ok(Turn::Later);
        }
        if !self.executions.has_room(&asked.caller.name, permit.reading().stated.class) {
            return Err(VaultError::Overloaded);
        }
        let class = permit.reading().stated.class;
        self.requests.take(&asked.caller.name, class, asked.clock)?;
        let nonce = if in_order {
            // To cancel is worth a nonce that overtakes those of whoever signs with it.
            if permit.reading().stated.class != Class::Cancel {
                self.leases.check(&credential.name, &asked.caller.name, asked.clock)?;
            }
            Some(self.nonces.next(&credential.name, credential.nonce_floor, asked.now)?)
        } else {
            None
        };
        let began = Instant::now();
        let signed = self.sign_permitted(permit, &order.request, nonce, true, asked.now)?;
        self.journal.traces.signed(asked.correlation, began.elapsed());
        Ok(Turn::Now(signed, nonce))
    }

    /// The credential behind the handles in a request.
    fn holder_of(
        &self,
        asked: Asked<'_>,
        permit: &Permit,
        request: &VenueRequest,
    ) -> Result<Option<Name>, VaultError> {
        let Some(venue) = self.registry.venue(permit.reading().venue) else {
            return Ok(None);
        };
        self.holder(asked, venue.name(), &venue.handles_in(request))
    }

    /// Whether an operation carries a nonce, so that one request of a credential goes at a time.
    pub(crate) fn goes_in_order(&self, reading: &Reading) -> bool {
        let Some(venue) = self.registry.venue(reading.venue).filter(|venue| venue.needs_nonce())
        else {
            return false;
        };
        let mut operations = venue.catalog.operations.iter();
        let stated = operations.find(|operation| operation.name == reading.stated.operation);
        stated.is_none_or(|operation| operation.signed)
    }

    fn send(
        &mut self,
        asked: Asked<'_>,
        order: &Order,
        facts: &Facts,
        signed: SignedRequest,
        nonce: Option<u64>,
    ) -> Result<(), VaultError> {
        let kind = EntryKind::ExecuteIntent;
        let entry = self.signed_entry(kind, asked, order, facts, &signed, nonce)?;
        let cost = facts.cost.as_ref().ok_or(VaultError::Internal("a signature has no cost"))?;
        let reading = facts.reading.as_ref().ok_or(VaultError::Internal("nothing was read"))?;
        let credential =
            facts.credential.as_ref().ok_or(VaultError::Internal("nothing was signed with"))?;
        let place = match self.journal.record(entry) {
            Ok(place) => place,
            // Too many legs for one entry: what cannot be logged is not sent.
            Err(error) => return self.deny(asked, Some(order), facts, &error),
        };

        let Asked { caller, clock, .. } = asked;
        self.journal.traces.recorded(asked.correlation, &place);
        self.replay.sent(order.key, order.content, &caller.name, place.index, clock);
        let scope = facts.scope.as_ref().map(|(name, _)| name);
        self.histories.add(&caller.name, scope, &cost.spend(clock));
        self.counts.count(&caller.name, Came::Executed);
        if nonce.is_some() {
            self.lanes.take(&credential.name);
        }
        let intent = Intent {
            index: place.index,
            credential: credential.name.clone(),
            environment: credential.environment,
            venue: reading.venue.to_owned(),
            operation: reading.stated.operation.to_string(),
            request_id: order.request_id.clone(),
        };
        let execution = Execution {
            client: caller.name.clone(),
            lane: nonce.is_some().then(|| credential.name.clone()),
            intent: Some(intent),
        };
        let answer = v1::Execution {
            receipt: None,
            seq: place.seq,
            notional_usd: notional(cost),
            limits_left: limits_left(cost),
        };
        self.dispatch(asked, execution, &order.request, reading, signed, nonce.is_some())?;
        let answer = self.with_receipt(&answer, RECEIPT_TAG, &place);
        let (correlation, index) = (asked.correlation, place.index);
        self.journal.answer_with_receipt(correlation, answer, index, false, |_| false);
        Ok(())
    }

    /// Hands a request to egress, behind everything that was recorded before it.
    fn dispatch(
        &mut self,
        asked: Asked<'_>,
        execution: Execution,
        request: &VenueRequest,
        reading: &Reading,
        signed: SignedRequest,
        has_nonce: bool,
    ) -> Result<(), VaultError> {
        let venue = self
            .registry
            .venue(reading.venue)
            .ok_or(VaultError::Internal("a reading is of an unknown venue"))?;
        self.journal.traces.at_venue(asked.correlation, venue.name());
        let class = reading.stated.class;
        let credential = execution.intent.as_ref().map(|intent| intent.credential.clone());
        let hold = match (venue.hold(request), &credential) {
            (Some((at, optional)), Some(credential)) => {
                let handle = new_handle(&self.rng)?;
                let hold = Hold {
                    client: asked.caller.name.clone(),
                    credential: credential.clone(),
                    version: self.version_of(credential),
                    venue: venue.name(),
                    until: asked.clock.plus(HANDLE_LIFE),
                };
                let at = at.to_owned();
                let owner = hold.client.to_string();
                Some((vault_ipc::Hold { at, handle, owner, optional }, hold))
            }
            _ => None,
        };
        let is_open = credential.is_none();
        let dispatch = Dispatch {
            front_correlation: asked.correlation,
            venue: venue.name().to_owned(),
            credential: credential.map(|name| name.to_string()).unwrap_or_default(),
            class: class.to_string(),
            method: signed.method,
            url: signed.url,
            headers: wire_headers(signed.headers),
            body: signed.body,
            timeout_ms: self.timeout_ms(asked),
            repeatable: matches!(class, Class::Public | Class::Read) && !has_nonce,
            secrets: signed.secrets,
            // The answer to a read has ids of orders too, and none of them is this request's.
            order_id_at: match class {
                Class::Public | Class::Read => Vec::new(),
                _ => venue.response().order_id.clone(),
            },
            error_code_at: venue.response().error_code.clone(),
            report_at: Vec::new(),
            holds: hold.iter().map(|(asked, _)| asked.clone()).collect(),
            // Whose they are was asked where there is a credential, and there alone.
            handles: match is_open {
                true => Vec::new(),
                false => venue.handles_in(request).into_iter().map(str::to_owned).collect(),
            },
            client: asked.caller.name.to_string(),
        };
        let id = self.executions.begin(execution);
        if let Some((asked, hold)) = hold {
            self.holds.ask(id, asked.handle, hold);
        }
        self.journal.frame(Channel::Egress, Kind::Dispatch, id, &dispatch);
        Ok(())
    }

    /// How long the venue may take: as long as anybody waits, and no longer than is configured.
    pub(crate) fn timeout_ms(&self, asked: Asked<'_>) -> u32 {
        let most = self.config.egress_timeout_ms;
        let Some(deadline) = asked.deadline else {
            return most;
        };
        // A little less than is left: the front should hear of a late venue before it gives up itself.
        let left_us = deadline.micros().saturating_sub(asked.now.micros()) - FRONT_MARGIN_US;
        u32::try_from((left_us / 1_000).max(1)).map_or(most, |left| left.min(most))
    }
}

/// Why a call is refused before it is judged; with its order, as far as there is one.
pub(crate) struct Unread {
    order: Option<Box<Order>>,
    error: VaultError,
}

impl From<VaultError> for Unread {
    fn from(error: VaultError) -> Self {
        Self { order: None, error }
    }
}

/// Of the receipt in an `Execution`.
const RECEIPT_TAG: u32 = 1;
/// What the front gets of a call's time for itself. Microseconds.
const FRONT_MARGIN_US: i64 = 100_000;
