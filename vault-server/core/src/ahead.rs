//! Signatures that take long, computed before their calls are decided.
//!
//! One of RSA takes as long as some dozens of decisions with any other key. So a call that would be
//! permitted, and whose signature is one of RSA, is set aside (`turn.rs`) while a worker thread signs
//! the text that it would be given. When the signature is there the call is decided from the beginning,
//! as if nothing had been: by the tables, the halts, the counters and the time of then. If the answer is
//! yes, and the text to be signed and the key are the very ones, then the signature is what would be
//! computed now, since PKCS#1 v1.5 leaves nothing to chance; else one is computed. If the answer is no,
//! nobody ever sees the signature.
//!
//! Nothing is counted, reserved or logged for a call that is set aside.

mod worker;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use vault_ipc::{Frame, Kind, SignCall};
use vault_model::{Mode, Name, Role, Timestamp, VenueRequest};
use vault_venue::{KeyType, Moment, SignedText};

use self::worker::Job;
use crate::authorize::{Facts, Permit, version};
use crate::caller::{Caller, Use, identify};
use crate::credential::open_credential;
use crate::crypto::stack::wiping_stack;
use crate::error::VaultError;
use crate::execute::VenueCall;
use crate::inbox::InputSender;
use crate::order::{Asked, Order};
use crate::sign::read_order;
use crate::storage::CredentialRow;
use crate::vault::Vault;

/// What a worker has done.
pub struct Done {
    /// Of the job.
    pub job: u64,
    /// Absent: it could not be signed. Whoever decides the call finds out why.
    pub signature: Option<Box<Ready>>,
}

/// A signature that waits for its call.
#[derive(Eq, PartialEq)]
pub struct Ready {
    signed: SignedText,
    credential: Name,
    version: u32,
    /// The time and the random bytes that the text has.
    at: Timestamp,
    unique: [u8; 16],
    /// How long the worker has signed.
    took: Duration,
}

/// How the call that is being decided may get its signature.
#[derive(Default)]
enum Call {
    /// It was set aside before, and this was computed for it, if it could be.
    Brought(Option<Box<Ready>>),
    /// It may be set aside.
    MayWait,
    /// At once.
    #[default]
    Now,
    /// It was set aside, for this job.
    SetAside(u64),
}

/// Signatures under way, and the one that is there for the call that is being decided.
pub struct Ahead {
    call: Call,
    jobs: Sender<Job>,
    last_job: u64,
    /// How many jobs have not come back.
    under_way: usize,
}

impl Ahead {
    /// Starts the workers, who hand back to the decision thread what they have signed.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn spawn(core: &InputSender) -> io::Result<Self> {
        let jobs = worker::spawn(core)?;
        Ok(Self { call: Call::Now, jobs, last_job: 0, under_way: 0 })
    }

    /// The next call may be set aside.
    pub fn begin(&mut self) {
        self.call = Call::MayWait;
    }

    /// The next call is one for which this was computed; it is not set aside again.
    pub fn bring(&mut self, ready: Option<Box<Ready>>) {
        self.call = Call::Brought(ready);
    }

    /// The call has had its turn. If it was set aside: the job that it waits for.
    pub fn end(&mut self) -> Option<u64> {
        match std::mem::take(&mut self.call) {
            Call::SetAside(job) => Some(job),
            Call::Brought(_) | Call::MayWait | Call::Now => None,
        }
    }

    /// Whether the call that is being decided was set aside before.
    pub fn has_waited(&self) -> bool {
        matches!(self.call, Call::Brought(_))
    }

    /// Whether the call that is being decided has been set aside.
    pub fn is_set_aside(&self) -> bool {
        matches!(self.call, Call::SetAside(_))
    }

    /// A worker has handed a job back.
    pub fn returned(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// The signature that was computed for the call that is being decided, if it is of this credential's
    /// key and of a time that is not too far from now. One of a time to come could be used for longer
    /// than whoever gets it is told.
    pub fn ready(&self, credential: &CredentialRow, now: Timestamp) -> Option<&Ready> {
        let Call::Brought(Some(ready)) = &self.call else {
            return None;
        };
        let is_of_now = ready.at <= now && now <= ready.at.plus(READY_FOR);
        let is_its_key = ready.credential == credential.name && ready.version == credential.version;
        (is_of_now && is_its_key).then_some(ready)
    }

    fn hand_out(&mut self, make: impl FnOnce(u64) -> Job) -> Option<u64> {
        self.last_job += 1;
        self.jobs.send(make(self.last_job)).ok()?;
        self.under_way += 1;
        Some(self.last_job)
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ready(redacted)")
    }
}

impl Ready {
    /// The moment that its text was made at, as far as that is not the call's.
    pub fn moment(&self, now: Moment) -> Moment {
        Moment { at: self.at, unique: self.unique, ..now }
    }

    /// How long it took to compute.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// Text and signature.
    pub fn signed(&self) -> &SignedText {
        &self.signed
    }
}

impl Vault {
    /// Sets the call that is being decided aside, if that is worth it: its signature is computed
    /// meanwhile. What cannot be signed is not: whoever decides finds out why. `disclose` as for
    /// [`Vault::sign_permitted`].
    pub(crate) fn set_aside(
        &mut self,
        asked: Asked<'_>,
        permit: &Permit,
        request: &VenueRequest,
        disclose: bool,
    ) -> bool {
        if !matches!(self.ahead.call, Call::MayWait) {
            return false;
        }
        let Ok(Some(job)) = self.sign_ahead(asked, permit, request, disclose) else {
            return false;
        };
        self.ahead.call = Call::SetAside(job);
        true
    }

    /// As [`Vault::set_aside`], for a call behind one that was: nothing of it is decided. Returns the job
    /// that it waits for.
    pub(crate) fn look_ahead(&mut self, frame: &Frame, now: Timestamp) -> Option<u64> {
        let id = frame.correlation;
        match frame.kind {
            Kind::Sign => {
                let call: SignCall = frame.message().ok()?;
                let caller = self.known_bot(&call.caller, now)?;
                let order = read_order(&caller.name, call.request).ok()?;
                let asked = self.asked(&caller, id, Mode::Sign, call.deadline_us, now);
                let job = self.order_ahead(asked, &order)?;
                // It is taken up here: whoever decides it later does not count how it came.
                self.counts.looked_at(call.queued_us);
                self.begin_trace(id, call.traced);
                Some(job)
            }
            Kind::Execute | Kind::Proxy => {
                let call = if frame.kind == Kind::Execute {
                    VenueCall::Execute(frame.message().ok()?)
                } else {
                    VenueCall::Proxy(frame.message().ok()?)
                };
                let caller = self.known_bot(call.caller(), now)?;
                let order = self.read_call(&caller.name, &call).ok()?;
                let asked = self.asked(&caller, id, Mode::Execute, call.deadline_us(), now);
                let job = self.order_ahead(asked, &order)?;
                self.begin_trace(id, call.traced());
                Some(job)
            }
            _ => None,
        }
    }

    fn begin_trace(&mut self, id: u64, is_traced: bool) {
        if is_traced {
            self.journal.traces.begin(id);
        }
    }

    fn known_bot(&self, facts: &vault_ipc::Caller, now: Timestamp) -> Option<Caller> {
        self.open.as_ref()?;
        identify(self.tables(), facts, Use::Call, now).ok().filter(|bot| bot.role == Role::Bot)
    }

    fn order_ahead(&mut self, asked: Asked<'_>, order: &Order) -> Option<u64> {
        let open = self.open.as_ref()?;
        let credential = open.state.tables().credentials.get(order.credential.as_ref()?)?;
        // Before anything that costs more: most keys are of other types.
        if version(open, credential).ok()?.key_type != KeyType::Rsa.as_str() || self.disk_full {
            return None;
        }
        let disclose = asked.mode == Mode::Execute || credential.disclose_passphrase;
        if !matches!(self.screen(asked, order), Ok(None)) {
            return None;
        }
        self.refresh_market(asked.clock);
        let permit = self.permit(asked, order, &mut Facts::default()).ok()?;
        self.sign_ahead(asked, &permit, &order.request, disclose).ok()?
    }

    /// Hands the text of a request that would be permitted to a worker, if its client has not used up
    /// what it may ask for: refused calls are not to occupy workers.
    fn sign_ahead(
        &mut self,
        asked: Asked<'_>,
        permit: &Permit,
        request: &VenueRequest,
        disclose: bool,
    ) -> Result<Option<u64>, VaultError> {
        if permit.key_type() != KeyType::Rsa || self.ahead.under_way >= UNDER_WAY_MAX {
            return Ok(None);
        }
        let class = permit.reading().stated.class;
        self.requests.look(&asked.caller.name, class, asked.clock)?;
        let credential = permit.credential();
        let venue = self.venue(permit.reading().venue)?;
        // A nonce is taken by whoever is decided, and not before.
        if venue.needs_nonce() {
            return Ok(None);
        }
        let moment = self.moment(credential, None, disclose, asked.now)?;
        let made = wiping_stack(|| {
            let secret = open_credential(self.opened()?, &self.instance_id, permit)?;
            let key = secret.parsed_key(venue, permit.key_type())?;
            let text = venue.text_to_sign(request, &key, &moment)?;
            Ok::<_, VaultError>(text.zip(secret.private_key().map(Arc::clone)))
        })?;
        let Some((text, key)) = made else {
            return Ok(None);
        };
        let (credential, version) = (credential.name.clone(), credential.version);
        let Moment { at, unique, .. } = moment;
        let job = |id| Job { id, key, text, credential, version, at, unique };
        Ok(self.ahead.hand_out(job))
    }
}

/// What workers would sign, for tests that say when.
#[cfg(test)]
pub(crate) struct Pile(std::sync::mpsc::Receiver<Job>);

#[cfg(test)]
impl Pile {
    /// All that was handed out, signed.
    pub fn sign(&self) -> Vec<Done> {
        self.0.try_iter().map(Job::sign).collect()
    }
}

#[cfg(test)]
impl Ahead {
    /// Without workers.
    pub(crate) fn onto_pile() -> (Self, Pile) {
        let (jobs, pile) = std::sync::mpsc::channel();
        (Self { call: Call::Now, jobs, last_job: 0, under_way: 0 }, Pile(pile))
    }
}

/// How old a signature may be that was computed ahead: far less than any venue lets pass, and more than
/// all that may be under way takes.
const READY_FOR: Duration = Duration::from_secs(1);
/// How many signatures may be under way; beyond them they are computed by whoever decides. One worker
/// computes so many of 4,096 bits within [`READY_FOR`].
const UNDER_WAY_MAX: usize = 64;
