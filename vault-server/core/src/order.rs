//! An order: a request to a venue that a client wants signed or sent. What both ways have in common:
//! who may ask, what was asked before, how a refusal is said and logged.

use std::net::IpAddr;
use std::time::Duration;

use prost::Message;
use prost::encoding::message;
use sha2::{Digest, Sha256};
use vault_audit::{Entry, EntryKind};
use vault_ipc::Failure;
use vault_ipc::proto::v1;
use vault_model::{
    ClockTime, Mode, Name, Reading, RequestId, Role, SignedRequest, Timestamp, VenueRequest,
};
use vault_policy::{Cost, Denial, Remedy};

use crate::authorize::{Facts, Judged};
use crate::batch::HASH_BYTES;
use crate::caller::{Caller, Origin, Use, identify};
use crate::crypto::mac::payload_mac;
use crate::error::VaultError;
use crate::history;
use crate::journal::{Channel, Place};
use crate::replay::{Known, Replay, RequestKey};
use crate::shadow::word;
use crate::storage::ClientRow;
use crate::vault::{Vault, detail};

/// Headers of a request; more than libraries send. What waits for its turn is kept as it came, and a header
/// of two bytes takes 48.
const HEADERS_MAX: usize = 128;
/// Of a call's time, what must be left for an Execute to begin.
pub(crate) const EXECUTE_LEFT_MIN: Duration = Duration::from_millis(250);

/// A request that is to be signed or sent, taken apart.
pub(crate) struct Order {
    pub request_id: RequestId,
    /// Absent: a public endpoint, which takes none.
    pub credential: Option<Name>,
    pub request: VenueRequest,
    /// By which a retry is recognised.
    pub key: RequestKey,
    /// By which a retry is told from another request with its id.
    pub content: [u8; 32],
}

/// Who waits for the answer to what, and since when.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub caller: &'a Caller,
    pub correlation: u64,
    pub mode: Mode,
    /// After which nobody waits any more.
    pub deadline: Option<Timestamp>,
    pub now: Timestamp,
    pub steady_now: Timestamp,
    pub clock: ClockTime,
}

impl Asked<'_> {
    /// How long somebody waits from now on; absent: for ever.
    pub fn left(&self) -> Option<Duration> {
        let left_us = self.deadline?.micros().saturating_sub(self.now.micros());
        Some(Duration::from_micros(u64::try_from(left_us).unwrap_or(0)))
    }
}

impl Order {
    /// An order as its client states it; an empty name is none.
    ///
    /// # Errors
    ///
    /// [`VaultError::Field`] for an id that is none, [`VaultError::NotFound`] for a credential that
    /// cannot be one.
    pub fn new(
        client: &Name,
        mode: Mode,
        request_id: &str,
        credential: &str,
        request: VenueRequest,
    ) -> Result<Self, VaultError> {
        let request_id: RequestId = request_id
            .parse()
            .map_err(|_| VaultError::Field("request_id is 1 to 64 of A-Z a-z 0-9 _ -"))?;
        let credential = match credential {
            "" if mode == Mode::Execute => None,
            name => Some(name.parse().map_err(|_| VaultError::NotFound("credential"))?),
        };
        let key = Replay::key(client, &request_id);
        let content = content(mode, credential.as_ref(), &request);
        Ok(Self { request_id, credential, request, key, content })
    }

    /// As it is judged; nothing for a public endpoint, which is judged otherwise.
    pub fn judged<'o>(
        &'o self,
        client: &'o ClientRow,
        address: IpAddr,
        asked: Asked<'_>,
    ) -> Option<Judged<'o>> {
        Some(Judged {
            client,
            address,
            credential: self.credential.as_ref()?,
            mode: asked.mode,
            request: &self.request,
            now: asked.now,
            steady_now: asked.steady_now,
            clock: asked.clock,
        })
    }
}

/// SHA-256 over all that is asked for, each part behind its length.
fn content(mode: Mode, credential: Option<&Name>, request: &VenueRequest) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut add = |part: &[u8]| {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    };
    add(mode.as_str().as_bytes());
    add(credential.map_or("", Name::as_str).as_bytes());
    let VenueRequest { method, scheme, host, path, query, body, headers } = request;
    for part in [method, scheme, host, path, query] {
        add(part.as_bytes());
    }
    add(body);
    for (name, value) in headers {
        add(name.as_bytes());
        add(value.as_bytes());
    }
    hash.finalize().into()
}

impl Vault {
    /// Who calls, if it is a bot and the vault can serve it; else the call is answered here.
    pub(crate) fn admit_bot(
        &mut self,
        facts: &vault_ipc::Caller,
        correlation: u64,
        now: Timestamp,
    ) -> Option<Caller> {
        let caller = match self.identify_bot(facts, now) {
            Ok(caller) => caller,
            Err(error) => {
                self.counts.count_denied(None, &error);
                self.journal.refuse(Channel::Front, correlation, &error, None);
                return None;
            }
        };
        if self.disk_full {
            // Counted, not logged one by one: the space that is left is for operators' acts.
            self.counts.count_denied(Some(&caller.name), &VaultError::DiskFull);
            self.count_auth_failure(&caller.origin, &VaultError::DiskFull, now);
            self.journal.refuse(Channel::Front, correlation, &VaultError::DiskFull, None);
            return None;
        }
        Some(caller)
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

    /// A call of a client, with the times by which it is judged. `deadline_us` is 0 for never.
    pub(crate) fn asked<'a>(
        &self,
        caller: &'a Caller,
        correlation: u64,
        mode: Mode,
        deadline_us: i64,
        now: Timestamp,
    ) -> Asked<'a> {
        let deadline = self.deadline(deadline_us);
        let (steady_now, clock) = (self.clock.steady(now), self.clock_time());
        Asked { caller, correlation, mode, deadline, now, steady_now, clock }
    }

    /// Whether nobody waits for a call any more: then it is refused here, before anything else of it is
    /// looked at. `deadline_us` is 0 for never.
    pub(crate) fn is_late(
        &mut self,
        mode: Mode,
        deadline_us: i64,
        correlation: u64,
        now: Timestamp,
    ) -> bool {
        let least = match mode {
            // A venue needs time to answer: less of it would make an outcome that nobody knows.
            Mode::Execute => EXECUTE_LEFT_MIN,
            Mode::Sign => Duration::ZERO,
        };
        let deadline = self.deadline(deadline_us);
        let is_late = deadline.is_some_and(|deadline| deadline <= now.plus(least));
        if is_late {
            let error = VaultError::DeadlineExceeded;
            self.counts.count_denied(None, &error);
            self.journal.refuse(Channel::Front, correlation, &error, None);
        }
        is_late
    }

    /// A deadline as the front has it, by our clock. 0 is none.
    fn deadline(&self, deadline_us: i64) -> Option<Timestamp> {
        // The front's clock is the machine's; ours may be shifted, in development.
        let offset_us = self.config.clock_offset_s.saturating_mul(1_000_000);
        (deadline_us != 0).then(|| Timestamp(deadline_us.saturating_add(offset_us)))
    }

    /// Looks at what must be known before a request is read: whether the client may be where it is,
    /// and whether it was asked before. Returns the answer of then, but for its last bytes: the leaf
    /// hash of the entry, whose index is beside it.
    ///
    /// # Errors
    ///
    /// What stands in the way.
    pub(crate) fn screen(
        &mut self,
        asked: Asked<'_>,
        order: &Order,
    ) -> Result<Option<(Vec<u8>, u64)>, VaultError> {
        // Before any answer that is kept: it must not reach an address that the client may not have.
        self.check_networks(asked.caller)?;
        match self.replay.look(&order.key, &order.content, asked.clock) {
            Known::Answered(reply, index) => Ok(Some((reply, index))),
            Known::Different => Err(VaultError::RequestIdReused),
            Known::Signed(index) => Err(VaultError::OutcomeUnknown { index }),
            Known::New => Ok(None),
        }
    }

    /// Refuses: in the log if the client's budget lets it, and with what would change the answer.
    ///
    /// # Errors
    ///
    /// A defect.
    pub(crate) fn deny(
        &mut self,
        asked: Asked<'_>,
        order: Option<&Order>,
        facts: &Facts,
        error: &VaultError,
    ) -> Result<(), VaultError> {
        let failure = self.refusal(asked, order, facts, error)?;
        if let Some(reading) = &facts.reading {
            self.journal.traces.at_venue(asked.correlation, reading.venue);
        }
        self.journal.fail(Channel::Front, asked.correlation, failure, None);
        Ok(())
    }

    /// What a refusal tells its caller; it is in the log then, if the client's budget lets it.
    ///
    /// # Errors
    ///
    /// A defect.
    pub(crate) fn refusal(
        &mut self,
        asked: Asked<'_>,
        order: Option<&Order>,
        facts: &Facts,
        error: &VaultError,
    ) -> Result<Failure, VaultError> {
        self.counts.count_denied(Some(&asked.caller.name), error);
        let mut failure = Failure::from(error);
        if matches!(error, VaultError::DeadlineExceeded) {
            return Ok(failure);
        }
        let logged = !matches!(error, VaultError::DiskFull | VaultError::Overloaded)
            && self.denials.take(&asked.caller.name, asked.clock);
        if !logged {
            // Counted from here on: nobody fills the disk with what is refused.
            self.count_auth_failure(&asked.caller.origin, error, asked.now);
            return Ok(failure);
        }
        let kind = match asked.mode {
            Mode::Execute => EntryKind::ExecuteDenied,
            Mode::Sign => EntryKind::SignDenied,
        };
        let mut entry = self.order_entry(kind, asked, order, facts);
        if let (VaultError::Deny(_), Some(order), Some(reading)) = (error, order, &facts.reading)
            && let Some(cost) = self.cost(asked, order, reading)
        {
            history::write_prices(&mut entry, &cost);
        }
        let place = match self.record_denied(entry, error) {
            Err(VaultError::EntryTooLong) => {
                // The legs do not fit: the refusal is logged without them.
                let mut bare = self.order_entry(kind, asked, order, facts);
                history::forget_legs(&mut bare);
                self.record_denied(bare, error)?
            }
            other => other?,
        };
        failure.entry_index = failure.entry_index.or(Some(place.index));
        if let (VaultError::Deny(denial), Some(order), Some(reading)) =
            (error, order, &facts.reading)
        {
            let remedies = self.remedies(asked, order, denial, reading);
            failure.hint = vault_policy::hint(denial, &remedies);
            failure.remedies = remedies.iter().map(ToString::to_string).collect();
        }
        Ok(failure)
    }

    /// Says in the log where the shadow of a scope answers otherwise. It comes after the answer, and
    /// within a budget of the client like that for denials, of its own: nobody fills the disk with
    /// it, and no shadow takes room from what the live scope denies.
    ///
    /// # Errors
    ///
    /// A defect.
    pub(crate) fn record_shadow(
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
        if !self.divergences.take(&asked.caller.name, asked.clock) {
            return Ok(());
        }
        let mut entry = self.entry_by(EntryKind::ShadowDiverged, asked.caller, asked.now);
        entry.mode = Some(asked.mode);
        entry.request_id = Some(order.request_id.clone());
        entry.credential = order.credential.clone();
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
        let judged = order.judged(client, asked.caller.origin.address?, asked)?;
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
        let Some(judged) = order.judged(client, address, asked) else {
            return Vec::new();
        };
        self.ground(judged)
            .map(|ground| ground.remedies(judged, denial, reading))
            .unwrap_or_default()
    }

    /// The entry of a signature, whoever gets to see it: with what it counts for.
    ///
    /// # Errors
    ///
    /// A defect.
    pub(crate) fn signed_entry(
        &self,
        kind: EntryKind,
        asked: Asked<'_>,
        order: &Order,
        facts: &Facts,
        signed: &SignedRequest,
        nonce: Option<u64>,
    ) -> Result<Entry, VaultError> {
        self.spent_entry(kind, asked, order, facts, Some(&signed.signature), nonce)
    }

    /// As [`Vault::signed_entry`], with or without a signature.
    ///
    /// # Errors
    ///
    /// A defect.
    pub(crate) fn spent_entry(
        &self,
        kind: EntryKind,
        asked: Asked<'_>,
        order: &Order,
        facts: &Facts,
        signature: Option<&[u8]>,
        nonce: Option<u64>,
    ) -> Result<Entry, VaultError> {
        let mut entry = self.order_entry(kind, asked, Some(order), facts);
        entry.nonce = nonce.map(|nonce| nonce.to_string());
        entry.sig_sha256 = signature.map(|signature| Sha256::digest(signature).into());
        let cost = facts.cost.as_ref().ok_or(VaultError::Internal("a signature has no cost"))?;
        let reading = facts.reading.as_ref().ok_or(VaultError::Internal("nothing was read"))?;
        history::write(&mut entry, reading, cost, asked.clock);
        Ok(entry)
    }

    /// A response, encoded, with the receipt of its entry at the end. The leaf hash, its last
    /// [`HASH_BYTES`], is blank: it is filled in where the entry is written.
    pub(crate) fn with_receipt(&self, response: &impl Message, tag: u32, place: &Place) -> Vec<u8> {
        let receipt = v1::Receipt {
            log_origin: self.log_origin.clone(),
            index: place.index,
            leaf_hash: vec![0; HASH_BYTES],
        };
        let length = response.encoded_len() + message::encoded_len(tag, &receipt);
        let mut encoded = Vec::with_capacity(length);
        response.encode_raw(&mut encoded);
        message::encode(tag, &receipt, &mut encoded);
        encoded
    }

    /// An entry about an order, with all that was found out about it.
    pub(crate) fn order_entry(
        &self,
        kind: EntryKind,
        asked: Asked<'_>,
        order: Option<&Order>,
        facts: &Facts,
    ) -> Entry {
        let mut entry = self.entry_by(kind, asked.caller, asked.now);
        entry.mode = Some(asked.mode);
        if let Some((scope, revision)) = &facts.scope {
            entry.scope = Some(scope.clone());
            entry.scope_rev = Some(*revision);
        }
        if let Some(reading) = &facts.reading {
            let stated = &reading.stated;
            entry.venue = Some(reading.venue.to_owned());
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
        if let Some(credential) = &facts.credential {
            entry.credential = Some(credential.name.clone());
            entry.version = Some(credential.version);
            entry.venue = Some(credential.venue.clone());
            entry.environment = Some(credential.environment);
            entry.assume = credential.assume.clone();
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

/// A wire request as the venue's reader takes it. Nothing is checked here.
pub(crate) fn model_request(request: v1::VenueRequest) -> VenueRequest {
    let v1::VenueRequest { method, scheme, host, path, query, body, headers } = request;
    let scheme = if scheme.is_empty() { "https".to_owned() } else { scheme };
    let headers = headers.into_iter().map(|header| (header.name, header.value)).collect();
    VenueRequest { method, scheme, host, path, query, body, headers }
}

/// Whether a request may have so many headers.
///
/// # Errors
///
/// [`VaultError::Field`].
pub(crate) fn check_header_count(count: usize) -> Result<(), VaultError> {
    if count > HEADERS_MAX {
        return Err(VaultError::Field("a request has at most 128 headers"));
    }
    Ok(())
}

/// Headers as the wire has them.
pub(crate) fn wire_headers(headers: Vec<(String, String)>) -> Vec<v1::Header> {
    headers.into_iter().map(|(name, value)| v1::Header { name, value }).collect()
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

#[cfg(test)]
mod tests {
    use vault_model::{Mode, Name, VenueRequest};

    use super::Order;

    fn order(mode: Mode, credential: &str, query: &str, body: &str) -> Order {
        let client: Name = "bot".parse().expect("a name");
        let request = VenueRequest {
            method: "POST".to_owned(),
            query: query.to_owned(),
            body: body.into(),
            ..VenueRequest::default()
        };
        Order::new(&client, mode, "one", credential, request).expect("an order")
    }

    #[test]
    fn the_same_id_is_told_apart_by_all_that_is_asked_for() {
        let one = order(Mode::Sign, "main", "a=1", "b=2");
        assert_eq!(one.content, order(Mode::Sign, "main", "a=1", "b=2").content);
        for other in [
            order(Mode::Execute, "main", "a=1", "b=2"),
            order(Mode::Sign, "other", "a=1", "b=2"),
            order(Mode::Sign, "main", "a=1b", "=2"),
        ] {
            assert_eq!(one.key, other.key);
            assert_ne!(one.content, other.content);
        }
    }

    #[test]
    fn only_what_is_sent_may_go_without_a_credential() {
        let client: Name = "bot".parse().expect("a name");
        let of = |mode, id: &str, credential: &str| {
            Order::new(&client, mode, id, credential, VenueRequest::default())
                .map(|order| order.credential.is_some())
                .map_err(|error| error.reason())
        };
        assert_eq!(of(Mode::Execute, "one", ""), Ok(false));
        assert_eq!(of(Mode::Execute, "one", "main"), Ok(true));
        assert_eq!(of(Mode::Sign, "one", ""), Err("NOT_FOUND"));
        assert_eq!(of(Mode::Execute, "one", "Ma in"), Err("NOT_FOUND"));
        assert_eq!(of(Mode::Execute, "", "main"), Err("BAD_FIELD"));
    }
}
