//! The loop: take everything that is there, decide a slice of it, write it or hand it to the writer. What
//! the front sends is decided in turns (`turn.rs`), all else in its order.
//!
//! The thread that runs it is the only one that decides. It waits for input and, while there is hardly
//! any or processors are few, for the log's disk; not for a transaction, not for key derivation. Once a
//! minute at most it writes a small file: the server's certificate, when that is renewed.

mod slice;

use std::os::unix::net::UnixStream;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use vault_audit::{AuditError, EntryKind};
use vault_ipc::{Frame, FrameError, Kind, Restart};
use vault_model::{Name, SecretBytes, Timestamp};

use crate::ahead::Done;
use crate::clock::{Clock, Machine, boottime_us};
use crate::config::CoreConfig;
use crate::country::GeoipError;
use crate::crypto::stack::wiping_stack;
use crate::dispatch::{Hands, Next};
use crate::error::VaultError;
use crate::inbox::{Inbox, InputSender, Socket, inbox};
use crate::journal::Channel;
use crate::seal::IdentityError;
use crate::start::{Started, start};
use crate::storage::{Hashed, StoreError};
use crate::turn::{Turns, Whose};
use crate::unseal::Attempt;
use crate::vault::{Vault, detail};
use crate::writer::{Channels, ToWriter, WriterError};

/// What the decision thread takes in.
pub enum Input {
    /// Key derivation has ended.
    Attempted(Box<Attempt>),
    /// The database has answered.
    Committed(Result<(), StoreError>),
    /// From egress.
    Egress(Frame),
    /// From the front.
    Front(Frame),
    /// The root over all rows, as the act under way leaves them, is computed.
    Hashed(Box<Hashed>),
    /// The turn of a credential's lane.
    Lane(Name),
    /// A worker has signed ahead.
    Signed(Done),
    /// From the supervisor; `None` when it closed its channel.
    Supervisor(Result<Option<Frame>, FrameError>),
    /// The writer has stopped.
    WriterFailed(WriterError),
}

/// Why the core ends, other than in order.
#[derive(Debug, thiserror::Error)]
pub enum CoreError {
    /// The log is damaged, locked or full.
    #[error("the log cannot be used")]
    Audit(#[from] AuditError),
    /// A catalogue, or what the operator adds to it, does not read.
    #[error(transparent)]
    Catalog(#[from] vault_venue::CatalogError),
    /// A frame was not one of ours.
    #[error("a channel to another process broke")]
    Channel(#[from] FrameError),
    /// A defect, of this process or of one that sends what none of ours does.
    #[error("internal error: {0}")]
    Defect(&'static str),
    /// `development` in the configuration is not what the data directory was made with.
    #[error(
        "this data directory was made with development = {made_with}; the configuration says otherwise"
    )]
    Development {
        /// What it was made with.
        made_with: bool,
    },
    /// Egress is gone.
    #[error("egress has closed its channel")]
    EgressClosed,
    /// Egress did not confirm a barrier in time: nobody knows what it still holds.
    #[error("egress did not confirm a barrier in time")]
    EgressLate,
    /// The front is gone.
    #[error("the front has closed its channel")]
    FrontClosed,
    /// The front did not confirm a barrier in time: nobody knows what it still holds.
    #[error("the front did not confirm a barrier in time")]
    FrontLate,
    /// The database of countries cannot be used.
    #[error("the database of countries cannot be used")]
    Geoip(#[from] GeoipError),
    /// The core identity key cannot be read.
    #[error("the core identity key cannot be used")]
    Identity(#[from] IdentityError),
    /// A thread or file could not be opened.
    #[error("the operating system refused")]
    Io(#[from] std::io::Error),
    /// The server's certificate and key cannot be read.
    #[error("the server's certificate and key cannot be read")]
    ServerIdentity(#[source] std::io::Error),
    /// The database cannot be read.
    #[error("the database cannot be used")]
    Store(#[from] StoreError),
    /// A call ended in a way that must not go on.
    #[error("a decision could not be finished")]
    Vault(#[source] VaultError),
    /// The log could not be written: nothing of the batch was released.
    #[error("the log cannot be written; nothing was released")]
    Writer(#[from] WriterError),
}

impl From<VaultError> for CoreError {
    /// Callers are told of a defect that it is one; whoever looks why the process ended, which.
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Internal(what) => Self::Defect(what),
            error => Self::Vault(error),
        }
    }
}

/// Runs the core until it is told to stop, is sealed, or fails.
///
/// # Errors
///
/// [`CoreError`]. Whatever it is, nothing that is not on disk was released.
pub fn run(
    config: CoreConfig,
    front: UnixStream,
    supervisor: UnixStream,
    egress: UnixStream,
) -> Result<(), CoreError> {
    // A thread that panics leaves a vault that decides and answers nobody: better none at all.
    let say = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        say(panic);
        std::process::abort();
    }));
    let mut clock = Clock::new(config.clock_offset_s);
    let (core, inbox) = inbox()?;
    // A process that does not read for this long is as good as dead.
    for stream in [&front, &supervisor, &egress] {
        stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    }
    let (from_front, from_supervisor) = (front.try_clone()?, supervisor.try_clone()?);
    let from_egress = egress.try_clone()?;
    let channels = Channels { egress, front, supervisor };
    let started = start(config, channels, &core, clock.now(), &Machine::look())?;
    let Started { mut vault, librarian, writer } = started;

    vault.send_server_identity();
    vault.send_state();
    vault.unseal_at_start(clock.now());
    vault.journal.flush();
    (vault.config.give_back)();
    spawn_reader(from_supervisor, core.clone())?;

    let hands = Hands { core: &core, librarian: &librarian };
    let mut sockets = Sockets { egress: Socket::new(from_egress), front: Socket::new(from_front) };
    let ended = decide(&mut vault, &inbox, &mut sockets, &hands, &mut clock);
    match ended {
        Ok(next) => {
            if next == Next::Seal {
                let restart = Restart { stay_sealed: true };
                vault.journal.frame(Channel::Supervisor, Kind::Restart, 0, &restart);
            }
            let (done, stopped) = channel();
            vault.journal.tell_writer(ToWriter::Stop(done));
            // The sender is dropped once the log is closed; it never sends.
            let _ = stopped.recv();
            // It says so before it ends.
            let _ = writer.join();
            if next == Next::Stop {
                // A seal does not wait for it.
                vault.open = None;
                vault.snapshots.finish();
            }
            failure(&inbox).map_or(Ok(()), |error| Err(CoreError::Writer(error)))
        }
        Err(CoreError::Writer(poisoned @ WriterError::Audit(AuditError::Poisoned))) => {
            // By the writer's thread, which says why before it ends.
            let _ = writer.join();
            Err(CoreError::Writer(failure(&inbox).unwrap_or(poisoned)))
        }
        Err(error) => Err(error),
    }
}

/// Why the writer's thread has ended, if it failed.
fn failure(inbox: &Inbox) -> Option<WriterError> {
    std::iter::from_fn(|| inbox.next()).find_map(|input| match input {
        Input::WriterFailed(error) => Some(error),
        _ => None,
    })
}

/// The sockets of those who send the most.
struct Sockets {
    egress: Socket,
    front: Socket,
}

fn decide(
    vault: &mut Vault,
    inbox: &Inbox,
    sockets: &mut Sockets,
    hands: &Hands<'_>,
    clock: &mut Clock,
) -> Result<Next, CoreError> {
    let mut bytes = vec![0; READ_BYTES];
    let mut tick_due = Instant::now();
    let mut turns = Turns::default();
    loop {
        let mut until = vault.journal.due().map_or(tick_due, |due| due.min(tick_due));
        // What the front sends is left where it lies, so that it feels it.
        let is_heard = vault.durable.waiting_bytes() < BACKLOG_BYTES_MAX;
        if !is_heard {
            until = until.min(Instant::now() + DEAF);
        } else if !turns.is_empty() {
            // A look, no wait: whoever forbids must not wait for more than a slice.
            until = Instant::now();
        }
        let Sockets { egress, front } = sockets;
        let reads_front = is_heard && turns.has_room();
        let ready = inbox.wait(egress, reads_front.then_some(&*front), until)?;
        let mut round = Round { clock, hands, inputs: 0, vault };
        while round.inputs < ROUND_INPUTS
            && let Some(input) = inbox.next()
        {
            match round.hear(input, &mut turns)? {
                Next::Continue => {}
                next => return Ok(next),
            }
        }
        if ready.egress {
            let has_ended = egress.fill(&mut bytes)?;
            while let Some(frame) = egress.next_frame()? {
                match round.take(Input::Egress(frame))? {
                    Next::Continue => {}
                    next => return Ok(next),
                }
            }
            if has_ended {
                return Err(CoreError::EgressClosed);
            }
        }
        if ready.front {
            let has_ended = front.fill(&mut bytes)?;
            while let Some(frame) = front.next_frame()? {
                match round.sort(frame, &mut turns)? {
                    Next::Continue => {}
                    next => return Ok(next),
                }
            }
            if has_ended {
                // Nobody waits any more for what it has asked.
                return Err(CoreError::FrontClosed);
            }
        }
        if is_heard {
            match round.slice(&mut turns)? {
                Next::Continue => {}
                next => return Ok(next),
            }
        }
        let is_short = round.inputs <= ROUND_SHORT && turns.is_empty();
        // After the sockets and before the disk is waited for: else whoever answered while that hung would
        // be found late.
        if Instant::now() >= tick_due {
            vault.clock.look(boottime_us());
            vault.tick(clock)?;
            vault.journal.flush();
            tick_due = Instant::now() + TICK;
        }
        let writes_itself = vault.config.writes_itself && vault.durable.is_quick();
        vault.journal.settle(is_short || writes_itself)?;
    }
}

/// What is decided between two waits.
struct Round<'t> {
    clock: &'t mut Clock,
    hands: &'t Hands<'t>,
    inputs: usize,
    vault: &'t mut Vault,
}

impl Round<'_> {
    fn take(&mut self, input: Input) -> Result<Next, CoreError> {
        let now = self.look_at_clock();
        let next = take(self.vault, input, self.hands, now)?;
        if self.vault.journal.is_full() {
            self.vault.journal.flush();
        }
        Ok(next)
    }

    /// As [`Round::take`], of a frame of the front that is needed still.
    fn take_frame(&mut self, frame: &Frame) -> Result<Next, CoreError> {
        let now = self.look_at_clock();
        let next = self.vault.front_frame(frame, self.hands, now)?;
        if self.vault.journal.is_full() {
            self.vault.journal.flush();
        }
        Ok(next)
    }

    fn look_at_clock(&mut self) -> Timestamp {
        self.inputs += 1;
        self.vault.clock.look(boottime_us());
        self.clock.now()
    }

    /// Puts a frame of the front in line. What costs nothing, and what others wait for, is taken at
    /// once.
    fn sort(&mut self, frame: Frame, turns: &mut Turns) -> Result<Next, CoreError> {
        let id = frame.correlation;
        let refused = match frame.kind {
            Kind::Forget => {
                if turns.forget(self.vault.whose(&frame), id) {
                    // The front holds its client's place until there is an answer.
                    self.refuse(id, &VaultError::DeadlineExceeded);
                    return Ok(Next::Continue);
                }
                return self.take(Input::Front(frame));
            }
            Kind::StreamEnd | Kind::StreamMessage => match self.vault.whose(&frame) {
                Whose::Stranger if !turns.is_opening(id) => {
                    // Of none that there is.
                    return self.take(Input::Front(frame));
                }
                Whose::Stranger => turns.follow(frame),
                whose => turns.put(whose, frame),
            },
            // Of no caller, and they cost next to nothing.
            Kind::BarrierDone | Kind::MetricsCall => {
                self.vault.counts.set_turns(turns.waiting());
                return self.take(Input::Front(frame));
            }
            _ => turns.put(self.vault.whose(&frame), frame),
        };
        match refused {
            Ok(()) => {}
            Err(frame) if frame.kind == Kind::StreamMessage => self.vault.refuse_unread(id),
            Err(_) => self.refuse(id, &VaultError::Overloaded),
        }
        Ok(Next::Continue)
    }

    fn refuse(&mut self, id: u64, error: &VaultError) {
        self.vault.counts.count_denied(None, error);
        self.vault.journal.refuse(Channel::Front, id, error, None);
        if self.vault.journal.is_full() {
            self.vault.journal.flush();
        }
    }
}

fn take(
    vault: &mut Vault,
    input: Input,
    hands: &Hands<'_>,
    now: Timestamp,
) -> Result<Next, CoreError> {
    Ok(match input {
        Input::Attempted(attempt) => {
            wiping_stack(|| vault.end_unseal(*attempt, now))?;
            // What the key derivation took, above all: 512 MiB.
            (vault.config.give_back)();
            Next::Continue
        }
        Input::Committed(result) => {
            vault.act_committed(result, now)?;
            vault.run_waiting(hands, now)?
        }
        Input::Egress(frame) => vault.egress_frame(&frame, hands, now)?,
        Input::Front(frame) => vault.front_frame(&frame, hands, now)?,
        Input::Hashed(hashed) => {
            vault.act_hashed(*hashed, now)?;
            Next::Continue
        }
        Input::Lane(credential) => {
            vault.lane_turn(&credential, now)?;
            Next::Continue
        }
        // For the turns, which have its call.
        Input::Signed(_) => return Err(CoreError::Defect("a signature came for nobody")),
        // Without a supervisor there is nobody to serve.
        Input::Supervisor(Ok(None)) => Next::Stop,
        Input::Supervisor(frame) => {
            let frame = frame?.ok_or(CoreError::Defect("an end that was handled"))?;
            vault.supervisor_frame(&frame, hands, now)?
        }
        Input::WriterFailed(error) => return Err(CoreError::Writer(error)),
    })
}

impl Vault {
    /// Opens the vault with its key file, if it is configured to open by itself.
    fn unseal_at_start(&mut self, now: Timestamp) {
        let Some(path) = self.config.unseal_key_file.clone() else {
            return;
        };
        if self.config.stay_sealed || self.refused.is_some() {
            return;
        }
        if self.sealed_by_hand {
            tracing::warn!("sealed by a person: the key file is not used until a person unseals");
            return;
        }
        match std::fs::read(&path) {
            Ok(content) => match self.unseal_with_key_file(SecretBytes::new(content), now) {
                Ok(()) => tracing::info!("unsealed with the key file"),
                Err(error) => tracing::error!(%error, "the key file does not unseal the vault"),
            },
            Err(error) => tracing::error!(%error, "the key file cannot be read"),
        }
    }

    /// What is looked after about once a second.
    fn tick(&mut self, clock: &mut Clock) -> Result<(), CoreError> {
        let now = clock.now();
        match self.acts.late(self.durable.barrier()) {
            Some(Channel::Egress) => return Err(CoreError::EgressLate),
            Some(_) => return Err(CoreError::FrontLate),
            None => {}
        }
        self.record_auth_failures(now)?;
        self.refuse_late();
        self.own_tick(now)?;
        self.cut_expired_streams(now);
        self.holds.forget_old(self.clock.time());
        if let Some(jumped_us) = clock.jumped() {
            let mut entry = self.journal.entry(EntryKind::ClockJump, now);
            entry.detail = detail([("jump_us", jumped_us.to_string())]);
            self.journal.record(entry)?;
        }
        self.look_at_disk();
        if let Some(open) = &self.open {
            self.histories.keep(open.keys_asked, self.clock.time());
            self.snapshots.set_keys(open.keys_asked);
            open.open_keys.tick();
        }
        if self.open.is_some() {
            self.renew_server_certificate(now)?;
            self.anchor_log(now)?;
        }
        Ok(())
    }

    fn look_at_disk(&mut self) {
        let Ok(space) = rustix::fs::statvfs(self.config.data.audit()) else {
            return;
        };
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        let low = free < DISK_LOW_BYTES;
        if low && !self.disk_low {
            tracing::warn!(free_bytes = free, "the log's disk is getting full");
        }
        self.disk_low = low;
        let full = free < self.config.disk_free_min_bytes;
        if full && !self.disk_full {
            tracing::error!(free_bytes = free, "the log's disk is nearly full: signing stops");
        }
        self.disk_full = full;
    }
}

fn spawn_reader(mut stream: UnixStream, core: InputSender) -> std::io::Result<()> {
    std::thread::Builder::new().name("from-supervisor".to_owned()).spawn(move || {
        let mut stream = std::io::BufReader::with_capacity(READ_BYTES, &mut stream);
        loop {
            let frame = vault_ipc::read(&mut stream);
            let last = !matches!(frame, Ok(Some(_)));
            if core.send(Input::Supervisor(frame)).is_err() || last {
                return;
            }
        }
    })?;
    Ok(())
}

/// Inputs of other threads between two looks at what is due: ticks, and the writer's work.
const ROUND_INPUTS: usize = 1_024;
/// A round with no more inputs is written at once.
const ROUND_SHORT: usize = 2;
/// Bytes taken from a channel at once.
const READ_BYTES: usize = 256 << 10;
/// How long the front is not heard before the next look.
const DEAF: Duration = Duration::from_millis(1);
/// Bytes that wait for the disk or for their readers; beyond them nothing more is read from the front,
/// nor from the log for it.
pub(crate) const BACKLOG_BYTES_MAX: u64 = 64 << 20;
/// Below this much free space for the log there is a warning.
const DISK_LOW_BYTES: u64 = 2 << 30;
const TICK: Duration = Duration::from_secs(1);
