//! What a bot writes on a WebSocket: read, judged, and passed on, signed, or refused.
//!
//! What passes unsigned and moves nothing is not logged, as a request without a signature is not.
//! A log-on, an order and whatever else is signed or moves something has its `execute.intent` on
//! disk before it leaves.

use std::sync::Arc;

use vault_audit::EntryKind;
use vault_ipc::{Code, Failure, Kind, Outcome, StreamMessage, StreamRefusal, StreamSend};
use vault_model::{Mode, Name, SignedRequest, Timestamp, VenueRequest};
use vault_venue::{Message, MessageId, ReadError, Socket, StreamRequest};

use super::{Awaited, LoggedOn, MESSAGE_BYTES_MAX, REFUSED_MAX, Read};
use crate::authorize::Facts;
use crate::caller::{Use, identify};
use crate::error::{StreamProblem, VaultError};
use crate::execute::{Execution, Intent, problem};
use crate::journal::Channel;
use crate::metric::Came;
use crate::order::{Asked, Order};
use crate::vault::Vault;

/// A WebSocket on which a message came.
struct Place {
    id: u64,
    socket: Arc<Socket>,
    logged_on: Option<Name>,
}

impl Vault {
    /// Decides on one message of a bot. One on a WebSocket that has ended meanwhile goes nowhere.
    ///
    /// # Errors
    ///
    /// None of a caller's making: those are answered. What is returned ends the process.
    pub(crate) fn stream_message(
        &mut self,
        message: &StreamMessage,
        correlation: u64,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let Some((id, stream)) = self.streams.of_front(correlation) else {
            return Ok(());
        };
        let (facts, dialled) = (stream.caller.clone(), Arc::clone(&stream.request));
        let logged_on = stream.logged_on.as_ref().map(|logged_on| logged_on.credential.clone());
        let place = Place { id, socket: Arc::clone(&stream.socket), logged_on };
        let caller = match identify(self.tables(), &facts, Use::Call, now) {
            Ok(caller) => caller,
            Err(error) => {
                self.cut_stream(id, &error);
                return Ok(());
            }
        };
        let asked = self.asked(&caller, correlation, Mode::Execute, 0, now);
        let whole = VenueRequest { body: message.bytes.clone(), ..(*dialled).clone() };
        let mut order = self.stream_order(&caller.name, "", whole)?;
        let mut facts = Facts::default();
        let text = text_of(message);
        let decided = match text {
            Some(text) => self.decide_message(asked, &place, text, &mut order, &mut facts),
            None => Err(VaultError::Stream(StreamProblem::Message)),
        };
        if let Err(error) = decided {
            self.refuse_message(asked, &place, text, &order, &facts, &error)?;
        }
        self.record_shadow(asked, &order, &facts)
    }

    fn refuse_message(
        &mut self,
        asked: Asked<'_>,
        place: &Place,
        text: Option<&str>,
        order: &Order,
        facts: &Facts,
        error: &VaultError,
    ) -> Result<(), VaultError> {
        let failure = self.refusal(asked, Some(order), facts, error)?;
        let venue = self.registry.venue(place.socket.venue);
        let id = venue.zip(text).and_then(|(venue, text)| venue.message_id(text));
        self.refuse_as(asked.correlation, failure, id);
        let Some((_, stream)) = self.streams.of_front(asked.correlation) else {
            return Ok(());
        };
        stream.refused += 1;
        if stream.refused >= REFUSED_MAX {
            self.cut_stream(place.id, &VaultError::Stream(StreamProblem::TooManyRefused));
        }
        Ok(())
    }

    /// Refuses a message for which there is no room, unread: its id is not known.
    pub(crate) fn refuse_unread(&mut self, correlation: u64) {
        self.refuse_as(correlation, Failure::from(&VaultError::Overloaded), None);
    }

    /// Reads and judges a message, and sends what comes of it. `order` becomes what is judged.
    fn decide_message(
        &mut self,
        asked: Asked<'_>,
        place: &Place,
        text: &str,
        order: &mut Order,
        facts: &mut Facts,
    ) -> Result<(), VaultError> {
        let socket = &*place.socket;
        let venue = self
            .registry
            .venue(socket.venue)
            .ok_or(VaultError::Internal("a socket is of an unknown venue"))?;
        let message = venue.read_message(socket, text)?;
        let holder = self.holder(asked, socket.venue, &message.handles)?;
        match &message.request {
            StreamRequest::Open { public } => {
                if *public {
                    self.judge_channel(asked, socket, &order.request, facts)?;
                }
                self.pass(place, text, message.handles);
                Ok(())
            }
            StreamRequest::Read { readings } => {
                if self.disk_full {
                    return Err(VaultError::DiskFull);
                }
                let credential = holder
                    .or_else(|| place.logged_on.clone())
                    .ok_or(VaultError::Stream(StreamProblem::NotLoggedOn))?;
                if readings.is_empty() {
                    return Err(VaultError::Internal("a subscription reads nothing"));
                }
                for reading in readings {
                    self.judge_read(asked, socket, &credential, reading, facts)?;
                }
                let version = self.version_of(&credential);
                if let Some((_, stream)) = self.streams.of_front(asked.correlation) {
                    for reading in readings {
                        stream.remember(credential.clone(), version, reading.clone());
                    }
                }
                self.pass(place, text, message.handles);
                Ok(())
            }
            StreamRequest::Logon { credential, request } => {
                *order = self.stream_order(&asked.caller.name, credential, request.clone())?;
                self.log_on(asked, place, order, &message, facts)
            }
            StreamRequest::Order { credential, signed, request } => {
                let stated = match credential {
                    Some(name) => {
                        Some(name.parse().map_err(|_| VaultError::NotFound("credential"))?)
                    }
                    None => None,
                };
                let by = acting(stated, holder, place.logged_on.as_ref(), *signed)?;
                *order = self.stream_order(&asked.caller.name, by.as_str(), request.clone())?;
                let signed = self.permit_message(asked, place, order, *signed, facts)?;
                let body = signed.as_ref().map_or(&request.body, |signed| &signed.body);
                let text = message.text(body)?;
                self.send_message(asked, place, order, facts, signed, text, &message)
            }
        }
    }

    /// Has a message sent as its bot wrote it.
    fn pass(&mut self, place: &Place, text: &str, handles: Vec<String>) {
        let send =
            StreamSend { text: text.as_bytes().to_vec(), secrets: Vec::new(), handles, outcome: 0 };
        self.journal.frame(Channel::Egress, Kind::StreamSend, place.id, &send);
    }

    /// Logs a credential on: one alone for each WebSocket, so that it is never in doubt on whose
    /// account an unsigned order is.
    fn log_on(
        &mut self,
        asked: Asked<'_>,
        place: &Place,
        order: &Order,
        message: &Message,
        facts: &mut Facts,
    ) -> Result<(), VaultError> {
        if place.logged_on.is_some() && place.logged_on != order.credential {
            return Err(VaultError::Stream(StreamProblem::OtherCredential));
        }
        let signed = self
            .permit_message(asked, place, order, true, facts)?
            .ok_or(VaultError::Internal("a log-on was not signed"))?;
        let text = message.text(&signed.body)?;
        self.send_message(asked, place, order, facts, Some(signed), text, message)?;
        let (Some(credential), Some(reading)) = (&facts.credential, &facts.reading) else {
            return Err(VaultError::Internal("a log-on has no credential"));
        };
        let name = credential.name.clone();
        let (version, reading) = (credential.version, reading.clone());
        let read = Arc::new(Read { credential: name.clone(), version, reading });
        let logged_on = LoggedOn { credential: name, read };
        if let Some((_, stream)) = self.streams.of_front(asked.correlation) {
            stream.logged_on = Some(logged_on);
        }
        Ok(())
    }

    /// Judges a request of a message, and signs it if it takes a signature.
    fn permit_message(
        &mut self,
        asked: Asked<'_>,
        place: &Place,
        order: &Order,
        is_signed: bool,
        facts: &mut Facts,
    ) -> Result<Option<SignedRequest>, VaultError> {
        if self.disk_full {
            return Err(VaultError::DiskFull);
        }
        self.refresh_market(asked.clock);
        let permit = self.permit(asked, order, facts)?;
        let is_of_socket = permit.reading().venue == place.socket.venue
            && place.socket.environments.contains(&permit.credential().environment);
        let may_go = if !is_of_socket {
            Err(VaultError::Read(ReadError::HostUnknown))
        } else if !self.serves(&place.socket, permit.credential()) {
            Err(VaultError::Read(ReadError::HostElsewhere))
        } else if !self.executions.has_room(&asked.caller.name, permit.reading().stated.class) {
            Err(VaultError::Overloaded)
        } else {
            self.requests.take(&asked.caller.name, permit.reading().stated.class, asked.clock)
        };
        let signed = may_go.and_then(|()| {
            is_signed
                .then(|| self.sign_permitted(&permit, &order.request, None, true, asked.now))
                .transpose()
        });
        facts.keep(permit);
        signed
    }

    /// Records what is permitted, and has it sent behind its entry.
    #[expect(clippy::too_many_arguments, reason = "all of it goes into one entry and one frame")]
    fn send_message(
        &mut self,
        asked: Asked<'_>,
        place: &Place,
        order: &Order,
        facts: &Facts,
        signed: Option<SignedRequest>,
        text: Vec<u8>,
        message: &Message,
    ) -> Result<(), VaultError> {
        let cost = facts.cost.as_ref().ok_or(VaultError::Internal("a message has no cost"))?;
        let reading = facts.reading.as_ref().ok_or(VaultError::Internal("nothing was read"))?;
        let credential =
            facts.credential.as_ref().ok_or(VaultError::Internal("a message has no credential"))?;
        let (signature, secrets) =
            signed.map_or((None, Vec::new()), |signed| (Some(signed.signature), signed.secrets));
        let kind = EntryKind::ExecuteIntent;
        let entry = self.spent_entry(kind, asked, order, facts, signature.as_deref(), None)?;
        // Too many legs for one entry: what cannot be logged is not sent.
        let place_in_log = self.journal.record(entry)?;

        let Asked { caller, clock, .. } = asked;
        self.replay.sent(order.key, order.content, &caller.name, place_in_log.index, clock);
        let scope = facts.scope.as_ref().map(|(name, _)| name);
        self.histories.add(&caller.name, scope, &cost.spend(clock));
        self.counts.count(&caller.name, Came::Executed);
        let intent = Intent {
            index: place_in_log.index,
            credential: credential.name.clone(),
            environment: credential.environment,
            venue: reading.venue.to_owned(),
            operation: reading.stated.operation.to_string(),
            request_id: order.request_id.clone(),
        };
        let client = caller.name.clone();
        let outcome = self.executions.begin(Execution { client, lane: None, intent: Some(intent) });
        let (front, intent, id) = (asked.correlation, place_in_log.index, message.id.clone());
        self.streams.awaited.insert(outcome, Awaited { front, intent, id });
        let send = StreamSend { text, secrets, handles: message.handles.clone(), outcome };
        self.journal.frame(Channel::Egress, Kind::StreamSend, place.id, &send);
        Ok(())
    }

    /// Tells the bot of a message that never left. One that left is for the venue to answer.
    pub(crate) fn message_settled(&mut self, outcome: &Outcome, id: u64) {
        let Some(Awaited { front, intent, id }) = self.streams.awaited.remove(&id) else {
            return;
        };
        if outcome.sent || self.streams.of_front(front).is_none() {
            return;
        }
        let message = match problem(outcome) {
            Some(problem) => format!("the message was not sent: {problem}"),
            None => "the message was not sent".to_owned(),
        };
        let mut failure = Failure::new(Code::Unavailable, "NOT_SENT", message)
            .with_hint("nothing of it has left; another message is judged anew");
        failure.entry_index = Some(intent);
        self.refuse_as(front, failure, id);
    }

    fn refuse_as(&mut self, front: u64, failure: Failure, id: Option<MessageId>) {
        let (id_name, id) = id.map_or_else(Default::default, |id| (id.name.to_owned(), id.value));
        let refusal = StreamRefusal { failure, id_name, id };
        self.journal.frame(Channel::Front, Kind::StreamRefusal, front, &refusal);
    }
}

/// By which credential an order goes. One that carries a signature says so itself. One without goes
/// on the account that the venue knows the WebSocket, or the token in the order, to be of.
fn acting(
    stated: Option<Name>,
    holder: Option<Name>,
    logged_on: Option<&Name>,
    is_signed: bool,
) -> Result<Name, VaultError> {
    let known = holder.as_ref().or(logged_on);
    match (stated, known) {
        (Some(stated), Some(known)) if stated != *known && (!is_signed || holder.is_some()) => {
            Err(VaultError::Stream(StreamProblem::OtherCredential))
        }
        (Some(stated), Some(_)) => Ok(stated),
        (Some(stated), None) if is_signed => Ok(stated),
        (None, Some(known)) => Ok(known.clone()),
        (_, None) => Err(VaultError::Stream(StreamProblem::NotLoggedOn)),
    }
}

fn text_of(message: &StreamMessage) -> Option<&str> {
    let fits = !message.binary && message.bytes.len() <= MESSAGE_BYTES_MAX;
    std::str::from_utf8(&message.bytes).ok().filter(|_| fits)
}
