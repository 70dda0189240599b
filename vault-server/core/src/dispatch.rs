//! Takes calls apart: who, what, may they, and which method of the vault answers.

mod command;

use std::sync::mpsc::Sender;

use prost::Message;
use vault_audit::EntryKind;
use vault_ipc::proto::v1;
use vault_ipc::{
    CommandCall, EnrollCall, Frame, Hardening, Kind, LocalCall, LocalOperation, PullCall, SignCall,
    WhoamiCall,
};
use vault_model::Timestamp;

use crate::act::{ActCall, Asker, Lane};
use crate::caller::Origin;
use crate::command::Method;
use crate::crypto::stack::wiping_stack;
use crate::error::{CommandProblem, VaultError};
use crate::execute::VenueCall;
use crate::grant::Read;
use crate::inbox::InputSender;
use crate::journal::Channel;
use crate::seal::Guesser;
use crate::storage::Hex;
use crate::vault::Vault;

/// What the loop does after a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Next {
    /// Goes on.
    Continue,
    /// Ends, and asks the supervisor to start the children anew, sealed.
    Seal,
    /// Ends.
    Stop,
}

/// The threads that the vault may give work to.
pub struct Hands<'a> {
    /// Back to the decision thread.
    pub core: &'a InputSender,
    /// Reads the log.
    pub librarian: &'a Sender<Read>,
}

impl Vault {
    /// Answers one frame of the front.
    ///
    /// # Errors
    ///
    /// What ends the process: a frame that no front of ours sends, or a defect.
    pub(crate) fn front_frame(
        &mut self,
        frame: &Frame,
        hands: &Hands<'_>,
        now: Timestamp,
    ) -> Result<Next, VaultError> {
        let foreign = |_| VaultError::Internal("the front sent a frame that does not decode");
        let id = frame.correlation;
        match frame.kind {
            Kind::Sign => {
                let call: SignCall = frame.message().map_err(foreign)?;
                self.sign(call, id, now)?;
            }
            // The front numbers its calls from 1; to egress 0 says that the core itself asks.
            Kind::Execute | Kind::Proxy | Kind::Stream if id == 0 => {
                return Err(VaultError::Internal("the front sent a call without a number"));
            }
            Kind::Execute => {
                let call = VenueCall::Execute(frame.message().map_err(foreign)?);
                self.execute(call, id, now)?;
            }
            Kind::Proxy => {
                let call = VenueCall::Proxy(frame.message().map_err(foreign)?);
                self.execute(call, id, now)?;
            }
            Kind::Forget => {
                if self.lanes.forget(id) {
                    // The front holds its client's place until there is an answer.
                    let error = VaultError::DeadlineExceeded;
                    self.journal.refuse(Channel::Front, id, &error, None);
                }
                self.stream_left(id);
            }
            Kind::Stream => self.open_stream(frame.message().map_err(foreign)?, id, now)?,
            Kind::StreamMessage => {
                let message = frame.message().map_err(foreign)?;
                self.stream_message(&message, id, now)?;
            }
            Kind::StreamEnd => {
                let _: vault_ipc::StreamEnd = frame.message().map_err(foreign)?;
                self.stream_left(id);
            }
            Kind::Command => {
                let call: CommandCall = frame.message().map_err(foreign)?;
                return self.command(call, id, hands, now);
            }
            Kind::Enroll => {
                let call: EnrollCall = frame.message().map_err(foreign)?;
                self.enroll_call(call, id, now)?;
            }
            Kind::MetricsCall => self.tell_metrics(Channel::Front),
            Kind::Whoami => {
                let call: WhoamiCall = frame.message().map_err(foreign)?;
                self.whoami(&call, id, now);
            }
            Kind::Pull => {
                let call: PullCall = frame.message().map_err(foreign)?;
                match self.pull(&call, id, now) {
                    // The librarian ends only with the process.
                    Ok(read) => drop(hands.librarian.send(read)),
                    Err(error) => self.journal.refuse(Channel::Front, id, &error, None),
                }
            }
            Kind::BarrierDone => {
                let done: vault_ipc::BarrierDone = frame.message().map_err(foreign)?;
                self.barrier_done(done.id, Channel::Front);
                return self.run_waiting(hands, now);
            }
            _ => {
                return Err(VaultError::Internal("the front sent a frame of another process"));
            }
        }
        Ok(Next::Continue)
    }

    /// Takes in one frame of egress.
    ///
    /// # Errors
    ///
    /// As for [`Vault::front_frame`].
    pub(crate) fn egress_frame(
        &mut self,
        frame: &Frame,
        hands: &Hands<'_>,
        now: Timestamp,
    ) -> Result<Next, VaultError> {
        let foreign = |_| VaultError::Internal("egress sent a frame that does not decode");
        match frame.kind {
            Kind::Outcome => {
                let outcome: vault_ipc::Outcome = frame.message().map_err(foreign)?;
                self.executed(&outcome, frame.correlation, now)?;
                Ok(Next::Continue)
            }
            Kind::StreamEnd => {
                let _: vault_ipc::StreamEnd = frame.message().map_err(foreign)?;
                self.stream_ended(frame.correlation)?;
                Ok(Next::Continue)
            }
            Kind::BarrierDone => {
                let done: vault_ipc::BarrierDone = frame.message().map_err(foreign)?;
                self.barrier_done(done.id, Channel::Egress);
                self.run_waiting(hands, now)
            }
            Kind::Health => {
                let health = frame.message().map_err(foreign)?;
                self.venues = crate::health::venues(health, &self.registry);
                Ok(Next::Continue)
            }
            Kind::Usage => {
                let usage = frame.message().map_err(foreign)?;
                self.counts.take_usage("egress", usage);
                Ok(Next::Continue)
            }
            _ => Err(VaultError::Internal("egress sent a frame of another process")),
        }
    }

    /// Answers one frame of the supervisor.
    ///
    /// # Errors
    ///
    /// As for [`Vault::front_frame`].
    pub(crate) fn supervisor_frame(
        &mut self,
        frame: &Frame,
        hands: &Hands<'_>,
        now: Timestamp,
    ) -> Result<Next, VaultError> {
        match frame.kind {
            Kind::Hardening => {
                let Hardening { processes } = frame
                    .message()
                    .map_err(|_| VaultError::Internal("the supervisor sent a broken frame"))?;
                self.hardening = processes;
                Ok(Next::Continue)
            }
            Kind::MetricsCall => {
                self.tell_metrics(Channel::Supervisor);
                Ok(Next::Continue)
            }
            Kind::Usage => {
                let usage = frame
                    .message()
                    .map_err(|_| VaultError::Internal("the supervisor sent a broken frame"))?;
                self.counts.take_usage("supervisor", usage);
                Ok(Next::Continue)
            }
            Kind::Shutdown => Ok(Next::Stop),
            Kind::Local => {
                let call: LocalCall = frame
                    .message()
                    .map_err(|_| VaultError::Internal("the supervisor sent a broken frame"))?;
                self.local(call, frame.correlation, hands, now)
            }
            _ => Err(VaultError::Internal("the supervisor sent a frame of another process")),
        }
    }

    /// Takes up the calls that waited for the act under way, if it has ended.
    ///
    /// # Errors
    ///
    /// As for [`Vault::front_frame`].
    pub(crate) fn run_waiting(
        &mut self,
        hands: &Hands<'_>,
        now: Timestamp,
    ) -> Result<Next, VaultError> {
        while let Some((call, id)) = self.acts.next_waiting() {
            let next = match call {
                ActCall::Checked(import) => {
                    self.unpark_import(import, now)?;
                    Next::Continue
                }
                ActCall::Command(call) => self.command(call, id, hands, now)?,
                ActCall::Enroll(call) => {
                    self.enroll_call(call, id, now)?;
                    Next::Continue
                }
                ActCall::Local(call) => self.local(call, id, hands, now)?,
            };
            if next != Next::Continue {
                return Ok(next);
            }
        }
        Ok(Next::Continue)
    }

    fn enroll_call(&mut self, call: EnrollCall, id: u64, now: Timestamp) -> Result<(), VaultError> {
        let origin = match Origin::new(&call.address, &call.via) {
            Ok(origin) => origin,
            Err(error) => {
                self.journal.refuse(Channel::Front, id, &error, None);
                return Ok(());
            }
        };
        let asker = Asker {
            channel: Channel::Front,
            correlation: id,
            caller: None,
            origin: origin.clone(),
            nonce: None,
            signature_hash: None,
        };
        // Only who knows a token's id may wait: others could fill the queue.
        let known = <[u8; 16]>::try_from(call.request.token_id.as_slice())
            .is_ok_and(|token_id| self.tables().invites.contains_key(&Hex(token_id)));
        let outcome = if self.acts.is_busy() && known {
            let lane = Lane::Alone(call.request.token_id.clone());
            self.acts.wait(ActCall::Enroll(call), id, lane)
        } else {
            self.enroll(&call, asker, now)
        };
        if let Err(error) = outcome {
            self.count_auth_failure(&origin, &error, now);
            self.journal.refuse(Channel::Front, id, &error, None);
        }
        Ok(())
    }

    fn local(
        &mut self,
        call: LocalCall,
        id: u64,
        hands: &Hands<'_>,
        now: Timestamp,
    ) -> Result<Next, VaultError> {
        let asker = Asker {
            channel: Channel::Supervisor,
            correlation: id,
            caller: None,
            origin: Origin::local(),
            nonce: None,
            signature_hash: None,
        };
        let name = call_name(&call);
        let outcome = match call.operation() {
            LocalOperation::Status => self.status(Guesser::Local, now).map(|status| {
                self.journal.answer(Channel::Supervisor, id, &status);
            }),
            LocalOperation::Unseal => v1::UnsealCommand::decode(call.body.as_slice())
                .map_err(|_| VaultError::Command(CommandProblem::Body))
                .and_then(|body| wiping_stack(|| self.begin_unseal(&body, asker, hands.core, now))),
            LocalOperation::Seal => {
                self.seal(&asker, now)?;
                return Ok(Next::Seal);
            }
            LocalOperation::Reissue if self.acts.is_busy() => {
                self.acts.wait(ActCall::Local(call), id, Lane::Operator)
            }
            LocalOperation::Reissue => self.reissue_operator(&call.body, asker, now),
            LocalOperation::Unspecified => Err(VaultError::Command(CommandProblem::Method)),
        };
        if let Err(error) = outcome {
            let mut entry = self.journal.entry(EntryKind::AdminDenied, now);
            self.place_origin(&mut entry, &Origin::local());
            entry.operation = Some(format!("local/{name}"));
            let place = self.record_denied(entry, &error)?;
            self.journal.refuse(Channel::Supervisor, id, &error, Some(place.index));
        }
        Ok(Next::Continue)
    }

    fn seal(&mut self, asker: &Asker, now: Timestamp) -> Result<(), VaultError> {
        self.sealed_by_hand = true;
        if let Some(caller) = &asker.caller {
            self.seals.insert(caller.name.clone(), now);
        }
        let mut entry = self.entry_of(EntryKind::Seal, asker, now);
        entry.operation = Some(Method::SealSeal.name().to_owned());
        asker.note_command(&mut entry);
        self.journal.record(entry)?;
        self.journal.answer(asker.channel, asker.correlation, &v1::SealResponse {});
        Ok(())
    }
}

fn call_name(call: &LocalCall) -> &'static str {
    match call.operation() {
        LocalOperation::Reissue => "operator.reissue",
        LocalOperation::Seal => "seal",
        LocalOperation::Status => "status",
        LocalOperation::Unseal => "unseal",
        LocalOperation::Unspecified => "unknown",
    }
}
