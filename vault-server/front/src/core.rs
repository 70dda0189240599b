//! The channel to the core: calls out, replies in, barriers in between, all in one order.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use prost::Message;
use rustc_hash::FxHashMap;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use vault_ipc::half::{Inlet, Outlet};
use vault_ipc::trace::Synced;
use vault_ipc::{
    Barrier, BarrierDone, Code, Decoder, Failure, ForgetCall, FrameError, FrameRef, Kind,
    PeekedReply, Reply, ServerIdentity, State, StreamCall, StreamEnd, StreamMessage,
};

use crate::FrontError;
use crate::gate::late;
use crate::health::Healths;
use crate::limit::Limits;
use crate::place::Place;
use crate::registry::{Connection, Hold, Registry};
use crate::stream::{Link, Streams};
use crate::tls::TlsCell;
use crate::trace::Call;
use crate::unary::Framed;
use crate::venue::{Response, Venues};

/// Bytes taken from the channel at once.
const READ_BYTES: usize = 64 << 10;

/// Bots' frames that go out before it is looked for operators' again, in bytes.
const PIECE_BYTES: usize = 64 << 10;

/// Room that is kept for the next piece: one of the usual size.
const SPARE_BYTES_MAX: usize = 2 * PIECE_BYTES;

/// How often it is looked for calls that nobody waits for any more.
const SWEEP: Duration = Duration::from_millis(25);

/// A handle on the channel.
#[derive(Clone, Debug)]
pub(crate) struct Core(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    barrier_drain: Duration,
    ended: AtomicBool,
    next_correlation: AtomicU64,
    outgoing: Mutex<Outgoing>,
    pending: Mutex<PendingCalls>,
    queue_bytes: usize,
    registry: Arc<Registry>,
    streams: Streams,
    venues: Venues,
    wake_sweeper: Notify,
    wake_writer: Notify,
}

/// Whole frames that wait for the writer.
#[derive(Debug, Default)]
struct Outgoing {
    /// Of bots' and strangers' calls, in pieces of about [`PIECE_BYTES`].
    bots: VecDeque<Vec<u8>>,
    bots_bytes: usize,
    /// Of operators' calls, and what the core waits for. They go before every piece.
    operators: Vec<u8>,
    /// What was the last piece, empty: it has the room that the next one needs.
    spare: Vec<u8>,
}

/// What waits for the core.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    /// Of bots' and strangers' frames.
    pub(crate) bots_bytes: usize,
    /// Calls that are not answered.
    pub(crate) calls: usize,
    /// Of operators' frames.
    pub(crate) operators_bytes: usize,
}

/// Whose frames a frame goes with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Queue {
    Bots,
    Operators,
}

impl Queue {
    fn of(connection: &Connection) -> Self {
        if connection.facts().is_operator() { Self::Operators } else { Self::Bots }
    }
}

impl Outgoing {
    fn waiting_bytes(&self, queue: Queue) -> usize {
        match queue {
            Queue::Bots => self.bots_bytes,
            Queue::Operators => self.operators.len(),
        }
    }

    fn put(
        &mut self,
        queue: Queue,
        kind: Kind,
        correlation: u64,
        message: &impl Message,
    ) -> Result<(), FrameError> {
        let piece = match queue {
            Queue::Operators => &mut self.operators,
            Queue::Bots => {
                if self.bots.back().is_none_or(|piece| piece.len() >= PIECE_BYTES) {
                    self.bots.push_back(mem::take(&mut self.spare));
                }
                self.bots.back_mut().expect("just put there")
            }
        };
        let before = piece.len();
        vault_ipc::encode(kind, correlation, message, piece)?;
        if queue == Queue::Bots {
            self.bots_bytes += piece.len() - before;
        }
        Ok(())
    }

    /// The next frames to write, into `piece`, which is empty.
    fn take(&mut self, piece: &mut Vec<u8>) {
        if !self.operators.is_empty() {
            mem::swap(piece, &mut self.operators);
        } else if let Some(next) = self.bots.pop_front() {
            self.bots_bytes -= next.len();
            self.spare = mem::replace(piece, next);
            if self.spare.capacity() > SPARE_BYTES_MAX {
                self.spare = Vec::new();
            }
        }
    }
}

/// Calls that wait for their reply.
#[derive(Debug, Default)]
struct PendingCalls {
    /// By numbers of our own.
    by_correlation: FxHashMap<u64, Pending>,
    /// Whether it is looked for those that end.
    is_swept: bool,
}

/// A call that waits for its reply, whether or not anybody waits for that: as long as the core has it,
/// it takes a place. Whoever calls and resets at once would otherwise have more with the core than may
/// be.
#[derive(Debug)]
struct Pending {
    connection: Arc<Connection>,
    /// When nobody waits for it any more, if that is seen to here.
    ends: Option<Instant>,
    kind: Kind,
    place: Option<Place>,
    /// None: nobody waits for it any more.
    reply: Option<oneshot::Sender<Answer>>,
    trace: Option<Arc<Call>>,
}

/// A call, beside its connection and its message.
#[derive(Debug)]
struct Ask {
    correlation: u64,
    /// As in [`Pending`].
    ends: Option<Instant>,
    kind: Kind,
    place: Option<Place>,
    trace: Option<Arc<Call>>,
}

/// What comes of a call.
#[derive(Debug)]
enum Answer {
    /// The core answered.
    Given { hold: Option<Hold>, place: Option<Place>, result: Result<Framed, Box<Failure>> },
    /// It has not answered in time.
    Late,
}

/// What the core answered well.
#[derive(Debug)]
pub(crate) struct Answered {
    /// Must live as long as the bytes of `response`.
    pub(crate) hold: Option<Hold>,
    /// The call's place, for as long as it needs one.
    pub(crate) place: Option<Place>,
    pub(crate) response: Framed,
}

/// A call that the core has; its answer.
///
/// Dropped before that, it tells the core that nobody waits for the call any more, where that spares it
/// work or keeps a request from being sent. The core answers all the same, and the call is on the list
/// until then.
#[derive(Debug)]
pub(crate) struct Asked {
    answer: oneshot::Receiver<Answer>,
    connection: Arc<Connection>,
    correlation: u64,
    is_answered: bool,
    kind: Kind,
    shared: Arc<Shared>,
}

impl Future for Asked {
    type Output = Result<Answered, Box<Failure>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.answer).poll(cx));
        self.is_answered = !matches!(answer, Ok(Answer::Late));
        Poll::Ready(match answer {
            Ok(Answer::Given { hold, place, result }) => {
                result.map(|response| Answered { hold, place, response })
            }
            Ok(Answer::Late) => Err(Box::new(late())),
            Err(_) => Err(Box::new(match self.kind {
                // It may be at the venue already: whoever took this for "not sent" would send it again.
                Kind::Execute | Kind::Proxy => lost("SHUTTING_DOWN"),
                _ => gone(),
            })),
        })
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if self.is_answered || !matches!(self.kind, Kind::Execute | Kind::Proxy | Kind::Sign) {
            return;
        }
        if self.shared.pending().by_correlation.contains_key(&self.correlation) {
            // Not bounded by `queue_bytes`, but by the calls that were: each is longer than this.
            // Behind the call itself.
            let queue = Queue::of(&self.connection);
            let call = ForgetCall { caller: self.connection.facts().caller() };
            let sent = self.shared.send(queue, Kind::Forget, self.correlation, &call);
            debug_assert!(sent.is_ok(), "a caller is short");
        }
    }
}

impl Core {
    pub(crate) fn new(
        registry: Arc<Registry>,
        venues: Venues,
        streams: Streams,
        limits: &Limits,
    ) -> Self {
        Self(Arc::new(Shared {
            barrier_drain: limits.barrier_drain,
            ended: AtomicBool::new(false),
            next_correlation: AtomicU64::new(1),
            outgoing: Mutex::default(),
            pending: Mutex::default(),
            queue_bytes: limits.queue_bytes,
            registry,
            streams,
            venues,
            wake_sweeper: Notify::new(),
            wake_writer: Notify::new(),
        }))
    }

    /// Sends one call and waits for its answer. Dropping the future forgets the call, and its place is
    /// free once the core has answered; the core may still act on it, but if it has not answered, it
    /// is told of a call that it need not decide, or that a venue would answer. `trace` follows the call.
    ///
    /// # Errors
    ///
    /// The core's failure, or one of the channel: too long, too busy, ended.
    pub(crate) async fn call(
        &self,
        connection: &Arc<Connection>,
        kind: Kind,
        message: &impl Message,
        place: Place,
        trace: Option<Arc<Call>>,
    ) -> Result<Answered, Failure> {
        let correlation = self.next_correlation();
        let ask = Ask { correlation, ends: None, kind, place: Some(place), trace };
        self.ask(connection, message, ask).await
    }

    /// As [`Core::call`], of a Sign. With `ends`, the answer is that it took too long some
    /// [milliseconds](SWEEP) after that at most, without a timer of its own.
    ///
    /// # Errors
    ///
    /// As [`Core::call`].
    pub(crate) fn begin_sign(
        &self,
        connection: &Arc<Connection>,
        message: &impl Message,
        place: Place,
        ends: Option<Instant>,
        trace: Option<Arc<Call>>,
    ) -> Result<Asked, Box<Failure>> {
        let correlation = self.next_correlation();
        let ask = Ask { correlation, ends, kind: Kind::Sign, place: Some(place), trace };
        self.begin(connection, message, ask)
    }

    /// As [`Core::call`], for a call that a venue will answer too: what comes from there is kept
    /// from now on, since it may be here before the core's answer.
    ///
    /// # Errors
    ///
    /// As [`Core::call`].
    pub(crate) async fn execute(
        &self,
        connection: &Arc<Connection>,
        kind: Kind,
        message: &impl Message,
        place: Place,
        trace: Option<Arc<Call>>,
    ) -> Result<(Answered, Response), Failure> {
        let correlation = self.next_correlation();
        let response = self.0.venues.expect(correlation, connection).ok_or_else(gone)?;
        // Nothing is released to the front: the signature goes another way.
        let ask = Ask { correlation, ends: None, kind, place: Some(place), trace };
        Ok((self.ask(connection, message, ask).await?, response))
    }

    /// Asks for a WebSocket; what core and egress say of it is kept from now on. From its link on, the
    /// core is told of its end.
    ///
    /// # Errors
    ///
    /// As [`Core::call`], and as [`Streams::enter`].
    pub(crate) async fn stream(
        &self,
        connection: &Arc<Connection>,
        call: &StreamCall,
    ) -> Result<Link, Failure> {
        let correlation = self.next_correlation();
        let entered = self.0.streams.enter(correlation, self, connection);
        let mut link = entered.map_err(|failure| *failure)?;
        let kind = Kind::Stream;
        let ask = Ask { correlation, ends: None, kind, place: None, trace: None };
        match self.ask(connection, call, ask).await {
            Ok(_) => Ok(link),
            Err(failure) => {
                // It was never asked for, or the core does not have it.
                link.forget();
                Err(failure)
            }
        }
    }

    /// Passes a message of a WebSocket on; `false` if too much waits to be written already.
    pub(crate) fn say(&self, correlation: u64, message: &StreamMessage) -> bool {
        if self.0.outgoing().waiting_bytes(Queue::Bots) > self.0.queue_bytes {
            return false;
        }
        let sent = self.0.send(Queue::Bots, Kind::StreamMessage, correlation, message);
        debug_assert!(sent.is_ok(), "messages of bots are short");
        true
    }

    /// Tells of the end of a WebSocket. Not bounded but by the calls that were.
    pub(crate) fn say_end(&self, correlation: u64, end: &StreamEnd) {
        let sent = self.0.send(Queue::Bots, Kind::StreamEnd, correlation, end);
        debug_assert!(sent.is_ok(), "ends are short");
    }

    /// Asks the core for its figures, which come to [`Metrics`](crate::metric::Metrics). More often than
    /// a few times a second it does not answer.
    pub(crate) fn ask_metrics(&self) {
        let sent = self.0.send(Queue::Operators, Kind::MetricsCall, 0, &State::default());
        debug_assert!(sent.is_ok(), "an empty body is short");
    }

    /// What waits for the core now.
    pub(crate) fn waiting(&self) -> Waiting {
        let outgoing = self.0.outgoing();
        Waiting {
            bots_bytes: outgoing.waiting_bytes(Queue::Bots),
            calls: self.0.pending().by_correlation.len(),
            operators_bytes: outgoing.waiting_bytes(Queue::Operators),
        }
    }

    fn next_correlation(&self) -> u64 {
        self.0.next_correlation.fetch_add(1, Ordering::Relaxed)
    }

    async fn ask(
        &self,
        connection: &Arc<Connection>,
        message: &impl Message,
        ask: Ask,
    ) -> Result<Answered, Failure> {
        let asked = self.begin(connection, message, ask).map_err(|failure| *failure)?;
        asked.await.map_err(|failure| *failure)
    }

    fn begin(
        &self,
        connection: &Arc<Connection>,
        message: &impl Message,
        ask: Ask,
    ) -> Result<Asked, Box<Failure>> {
        let Ask { correlation, ends, kind, place, trace } = ask;
        let shared = &self.0;
        {
            let queue = Queue::of(connection);
            let mut outgoing = shared.outgoing();
            // Calls that were forgotten still lie here: without this, whoever calls and resets
            // without end would fill the memory.
            if outgoing.waiting_bytes(queue) > shared.queue_bytes {
                let busy = Failure::new(Code::Exhausted, "OVERLOADED", "vault is busy");
                return Err(Box::new(busy));
            }
            if shared.ended.load(Ordering::Acquire) {
                return Err(Box::new(gone()));
            }
            outgoing.put(queue, kind, correlation, message).map_err(|_| {
                let long = "the message is too long";
                Box::new(Failure::new(Code::BadRequest, "MESSAGE_TOO_LONG", long))
            })?;
        }
        let (reply, answer) = oneshot::channel();
        let connection = Arc::clone(connection);
        let reply = Some(reply);
        let pending =
            Pending { connection: Arc::clone(&connection), ends, kind, place, reply, trace };
        if shared.pending().insert(correlation, pending) {
            shared.wake_sweeper.notify_one();
        }
        shared.wake_writer.notify_one();
        let shared = Arc::clone(shared);
        Ok(Asked { answer, connection, correlation, is_answered: false, kind, shared })
    }

    /// Serves the channel until it ends. A core that closes it with calls in it unread ends it like
    /// any other: whether it was to end is the supervisor's to judge, by how its process does.
    ///
    /// # Errors
    ///
    /// [`FrontError::Channel`] if it breaks or says what no core says, [`FrontError::Identity`] if
    /// the first identity cannot be used.
    pub(crate) async fn run(
        &self,
        (read, write): (Inlet, Outlet),
        tls: &TlsCell,
        healths: &Healths,
    ) -> Result<(), FrontError> {
        let ended = tokio::select! {
            ended = self.read(read, tls, healths) => ended,
            Err(error) = self.write(write) => Err(FrontError::Channel(error)),
            never = self.sweep() => match never {},
        };
        self.0.ended.store(true, Ordering::Release);
        // Their callers see that no answer will come.
        self.0.pending().by_correlation.clear();
        ended
    }

    async fn read(
        &self,
        mut stream: impl AsyncRead + Unpin,
        tls: &TlsCell,
        healths: &Healths,
    ) -> Result<(), FrontError> {
        let mut bytes = vec![0; READ_BYTES];
        let mut decoder = Decoder::default();
        loop {
            let count = vault_ipc::read_count(stream.read(&mut bytes).await)?;
            if count == 0 {
                if decoder.is_empty() {
                    return Ok(());
                }
                let ended = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
                return Err(FrameError::Io(ended).into());
            }
            let came = std::time::Instant::now();
            decoder.extend(&bytes[..count]);
            while let Some(frame) = decoder.next_ref()? {
                self.take(frame, came, tls, healths).await?;
            }
        }
    }

    /// Handles one frame to its end before the next is looked at: a barrier comes after every reply
    /// that was sent before it.
    async fn take(
        &self,
        frame: FrameRef<'_>,
        came: std::time::Instant,
        tls: &TlsCell,
        healths: &Healths,
    ) -> Result<(), FrontError> {
        match frame.kind {
            Kind::Reply => match frame.peek_reply() {
                Some(PeekedReply { response, releases }) => {
                    let result = Ok(Framed::of(response));
                    self.take_answer(frame.correlation, result, releases, came);
                }
                None => self.take_reply(frame.correlation, frame.message()?, came),
            },
            Kind::Barrier => self.take_barrier(&frame.message()?)?,
            Kind::ServerIdentity => {
                let identity: ServerIdentity = frame.message()?;
                match tls.install(identity) {
                    Ok(()) => tracing::info!("server identity installed"),
                    // The old one still serves.
                    Err(error) if tls.is_installed() => {
                        tracing::error!(%error, "new server identity refused");
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            Kind::State => {
                let State { sealed } = frame.message()?;
                tracing::info!(sealed, "state of the vault");
                healths.set_sealed(sealed).await;
            }
            Kind::Synced => self.take_synced(&frame.message()?),
            Kind::Metrics => self.0.registry.metrics().told(frame.message()?),
            Kind::StreamCut | Kind::StreamRefusal => {
                self.0.streams.take_of_core(&frame.to_frame())?
            }
            // No core says it.
            _ => return Err(FrameError::Header.into()),
        }
        Ok(())
    }

    fn take_reply(&self, correlation: u64, reply: Reply, came: std::time::Instant) {
        let trace = |call: &Pending| call.trace.clone();
        let trace = self.0.pending().by_correlation.get(&correlation).and_then(trace);
        if let Some(call) = trace {
            call.decided(reply.stages);
        }
        let result = match reply.failure {
            Some(failure) => Err(Box::new(failure)),
            None => Ok(Framed::of(&reply.response)),
        };
        self.take_answer(correlation, result, reply.releases, came);
    }

    fn take_answer(
        &self,
        correlation: u64,
        result: Result<Framed, Box<Failure>>,
        releases: bool,
        came: std::time::Instant,
    ) {
        // No core of ours answers twice.
        let Some(pending) = self.0.pending().by_correlation.remove(&correlation) else {
            return;
        };
        let hold = || {
            let hold = self.0.registry.hold_since(&pending.connection, came);
            hold.of_call(pending.trace.clone())
        };
        let hold = releases.then(hold);
        // What a venue answers too goes on taking its place. All else is done with it, whenever its
        // caller looks: who does not read must not keep places of others.
        let asks_venue = matches!(pending.kind, Kind::Execute | Kind::Proxy);
        let place = pending.place.filter(|_| asks_venue);
        // If the call was dropped meanwhile, bytes, hold and place are dropped with the answer.
        if let Some(reply) = pending.reply {
            let _ = reply.send(Answer::Given { hold, place, result });
        }
    }

    /// Tells those calls that have taken too long, as long as there are any that may.
    async fn sweep(&self) -> Infallible {
        loop {
            self.0.wake_sweeper.notified().await;
            loop {
                tokio::time::sleep(SWEEP).await;
                if !self.0.pending().end_late(Instant::now()) {
                    break;
                }
            }
        }
    }

    fn take_synced(&self, synced: &Synced) {
        let pending = self.0.pending();
        for correlation in &synced.correlations {
            let call = pending.by_correlation.get(correlation);
            if let Some(call) = call.and_then(|call| call.trace.as_ref()) {
                call.synced(synced.began_us, synced.ended_us);
            }
        }
    }

    fn take_barrier(&self, barrier: &Barrier) -> Result<(), FrameError> {
        let done = BarrierDone { id: barrier.id };
        match self.0.registry.barrier(&barrier.cut_serials) {
            None => self.0.send(Queue::Operators, Kind::BarrierDone, 0, &done)?,
            Some(wait) => {
                let shared = Arc::clone(&self.0);
                tokio::spawn(async move {
                    wait.passed(shared.barrier_drain).await;
                    let sent = shared.send(Queue::Operators, Kind::BarrierDone, 0, &done);
                    if let Err(error) = sent {
                        tracing::error!(%error, "barrier not confirmed");
                    }
                });
            }
        }
        Ok(())
    }

    /// Writes what is queued until the core takes no more.
    async fn write(&self, mut stream: impl AsyncWrite + Unpin) -> Result<(), FrameError> {
        let mut batch = Vec::new();
        loop {
            self.0.wake_writer.notified().await;
            // What came while we waited or wrote goes out in few writes.
            loop {
                self.0.outgoing().take(&mut batch);
                if batch.is_empty() {
                    break;
                }
                match stream.write_all(&batch).await {
                    // What the core said before is still read, up to the end.
                    Err(error) if vault_ipc::is_end(&error) => return Ok(()),
                    written => written?,
                }
                batch.clear();
            }
        }
    }
}

impl PendingCalls {
    /// Whether somebody has to begin to look for those that end.
    fn insert(&mut self, correlation: u64, pending: Pending) -> bool {
        let begins = pending.ends.is_some() && !mem::replace(&mut self.is_swept, true);
        self.by_correlation.insert(correlation, pending);
        begins
    }

    /// Tells those whose time is over. `false`: there are none that have an end.
    fn end_late(&mut self, now: Instant) -> bool {
        self.is_swept = false;
        for pending in self.by_correlation.values_mut() {
            let Some(ends) = pending.ends else { continue };
            if ends > now {
                self.is_swept = true;
                continue;
            }
            pending.ends = None;
            if let Some(reply) = pending.reply.take() {
                let _ = reply.send(Answer::Late);
            }
        }
        self.is_swept
    }
}

impl Shared {
    fn pending(&self) -> MutexGuard<'_, PendingCalls> {
        self.pending.lock().expect("no panic while locked")
    }

    fn send(
        &self,
        queue: Queue,
        kind: Kind,
        correlation: u64,
        message: &impl Message,
    ) -> Result<(), FrameError> {
        self.outgoing().put(queue, kind, correlation, message)?;
        self.wake_writer.notify_one();
        Ok(())
    }

    fn outgoing(&self) -> MutexGuard<'_, Outgoing> {
        self.outgoing.lock().expect("no panic while locked")
    }
}

/// The failure of a call that the core has, and that it has not answered.
pub(crate) fn lost(problem: &str) -> Failure {
    Failure::new(
        Code::Precondition,
        "OUTCOME_UNKNOWN",
        format!("nobody waits for the request any more, and it may have been sent: {problem}"),
    )
    .with_hint("ask the venue what became of the request before you send another")
}

fn gone() -> Failure {
    Failure::new(Code::Unavailable, "SHUTTING_DOWN", "vault is shutting down")
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixStream;
    use tokio::time::Instant;
    use vault_ipc::half::{self, Inlet, Outlet};
    use vault_ipc::{Decoder, Kind, Listener, Reply, SignCall};

    use super::{Core, Outgoing, PIECE_BYTES, Queue, SWEEP};
    use crate::FrontError;
    use crate::caller::Facts;
    use crate::health::Healths;
    use crate::limit::Limits;
    use crate::place::{Place, Places};
    use crate::registry::{Registered, Registry};
    use crate::stream::Streams;
    use crate::tls::TlsCell;
    use crate::venue::Venues;

    fn core() -> (Core, Registered) {
        let limits = Limits::default();
        let registry = Arc::new(Registry::default());
        let open = registry.enter(Facts::for_test([1; 16]), 1, 8).expect("below the limit");
        let streams = Streams::new(&limits, Arc::clone(&registry));
        let venues = Venues::new(&limits, streams.clone());
        (Core::new(registry, venues, streams, &limits), open)
    }

    fn place() -> Place {
        Places::new(1).take(None).expect("a place")
    }

    fn split(ours: UnixStream) -> (Inlet, Outlet) {
        half::split(ours.into_std().expect("a stream")).expect("split")
    }

    fn reply() -> Vec<u8> {
        let reply = Reply { response: b"signed".to_vec(), ..Reply::default() };
        let mut bytes = Vec::new();
        vault_ipc::encode(Kind::Reply, 1, &reply, &mut bytes).expect("short");
        bytes
    }

    /// What becomes of a call and of the channel if the core says `last` and ends without reading
    /// more than the call's first byte.
    async fn end_with_unread(last: &[u8]) -> (bool, Result<(), FrontError>) {
        let (core, open) = core();
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        let (tls, healths) = (TlsCell::default(), Healths::new().await);
        let call = SignCall::default();
        let (answer, ended, ()) = tokio::join!(
            core.call(open.connection(), Kind::Sign, &call, place(), None),
            core.run(split(ours), &tls, &healths),
            async {
                theirs.read_u8().await.expect("the call");
                theirs.write_all(last).await.expect("written");
                drop(theirs);
            },
        );
        (answer.is_ok(), ended)
    }

    #[tokio::test]
    async fn a_core_that_leaves_calls_unread_ends_in_order() {
        let (is_answered, ended) = end_with_unread(&[]).await;
        assert!(!is_answered);
        ended.expect("in order");

        let (is_answered, ended) = end_with_unread(&reply()).await;
        assert!(is_answered);
        ended.expect("in order");

        // But for an end inside a frame.
        let (is_answered, ended) = end_with_unread(&reply()[..20]).await;
        assert!(!is_answered);
        assert!(matches!(ended, Err(FrontError::Channel(_))), "{ended:?}");
    }

    #[test]
    fn the_certificate_decides_on_the_queue_and_not_the_listener() {
        let registry = Arc::new(Registry::default());
        let queue = |listener, is_operator| {
            let facts = Facts::for_test_at(listener, is_operator);
            let open = registry.enter(facts, 1, 8).expect("below the limit");
            Queue::of(open.connection())
        };
        for listener in [Listener::Bot, Listener::Enroll, Listener::Operator] {
            assert_eq!(queue(listener, true), Queue::Operators);
            assert_eq!(queue(listener, false), Queue::Bots);
        }
    }

    #[tokio::test]
    async fn a_call_takes_its_place_until_the_core_has_answered() {
        let (core, open) = core();
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        let (tls, healths) = (TlsCell::default(), Healths::new().await);
        let places = Places::with_share(3, 1);
        let holder = open.connection().facts().holder();
        let call = SignCall {
            caller: open.connection().facts().caller().expect("a certificate"),
            ..SignCall::default()
        };
        let served = core.run(split(ours), &tls, &healths);
        let asked = async {
            // Called and taken back at once, as often as there are places.
            let place = places.take(holder).expect("the first");
            let call = core.call(open.connection(), Kind::Sign, &call, place, None);
            assert!(tokio::time::timeout(Duration::from_millis(1), call).await.is_err());
            assert!(places.take(holder).is_none(), "the core still has it");

            let (mut decoder, mut frames) = (Decoder::default(), Vec::new());
            while frames.len() < 2 {
                let mut bytes = vec![0; 1024];
                let count = theirs.read(&mut bytes).await.expect("frames");
                decoder.extend(&bytes[..count]);
                while let Some(frame) = decoder.next_frame().expect("frames") {
                    frames.push(frame);
                }
            }
            let [sign, forget] = frames.as_slice() else { panic!("{frames:?}") };
            assert_eq!((sign.kind, sign.correlation), (Kind::Sign, 1));
            assert_eq!((forget.kind, forget.correlation), (Kind::Forget, 1));
            assert_eq!(forget.peek().serial, sign.peek().serial);
            assert_eq!(forget.peek().serial, Some([1; 16]));
            assert!(places.take(holder).is_none(), "the core still has it");

            theirs.write_all(&reply()).await.expect("written");
            while places.take(holder).is_none() {
                tokio::task::yield_now().await;
            }
            assert!(core.0.pending().by_correlation.is_empty());
        };
        tokio::select! {
            ended = served => panic!("{ended:?}"),
            () = asked => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_sign_that_is_not_answered_in_time_is_late_and_forgotten() {
        let (core, open) = core();
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        let (tls, healths) = (TlsCell::default(), Healths::new().await);
        let places = Places::with_share(3, 1);
        let holder = open.connection().facts().holder();
        let call = SignCall::default();
        let served = core.run(split(ours), &tls, &healths);
        let asked = async {
            let place = places.take(holder).expect("the first");
            let ends = Instant::now() + Duration::from_secs(5);
            let asked = core.begin_sign(open.connection(), &call, place, Some(ends), None);
            let failure = asked.expect("asked").await.expect_err("late");
            assert_eq!(failure.reason, "DEADLINE_EXCEEDED");
            let late = Instant::now();
            assert!(ends <= late && late <= ends + 2 * SWEEP, "{:?}", late - ends);
            assert!(places.take(holder).is_none(), "the core still has it");

            let (mut decoder, mut kinds) = (Decoder::default(), Vec::new());
            while kinds.len() < 2 {
                let mut bytes = vec![0; 1024];
                let count = theirs.read(&mut bytes).await.expect("frames");
                decoder.extend(&bytes[..count]);
                while let Some(frame) = decoder.next_frame().expect("frames") {
                    kinds.push((frame.kind, frame.correlation));
                }
            }
            assert_eq!(kinds, [(Kind::Sign, 1), (Kind::Forget, 1)]);
            theirs.write_all(&reply()).await.expect("written");
            while places.take(holder).is_none() {
                tokio::task::yield_now().await;
            }
            assert!(!core.0.pending().is_swept);
        };
        tokio::select! {
            ended = served => panic!("{ended:?}"),
            () = asked => {}
        }
    }

    #[tokio::test]
    async fn an_answer_that_nobody_looks_at_keeps_no_place() {
        let (core, open) = core();
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        let (tls, healths) = (TlsCell::default(), Healths::new().await);
        let places = Places::with_share(2, 1);
        let holder = open.connection().facts().holder();
        let call = SignCall::default();
        let served = core.run(split(ours), &tls, &healths);
        let asked = async {
            let place = places.take(holder).expect("the first");
            let mut call = pin!(core.call(open.connection(), Kind::Sign, &call, place, None));
            // Asked once, and not looked at again: as a stream whose client does not read.
            assert!(futures_util::poll!(&mut call).is_pending());
            assert!(places.take(holder).is_none(), "the core has it");
            theirs.write_all(&reply()).await.expect("written");
            while places.take(holder).is_none() {
                tokio::task::yield_now().await;
            }
            assert!(call.await.is_ok());
        };
        tokio::select! {
            ended = served => panic!("{ended:?}"),
            () = asked => {}
        }
    }

    #[test]
    fn operators_frames_go_first_and_frames_stay_whole() {
        let mut outgoing = Outgoing::default();
        let call = SignCall { deadline_us: 1, ..SignCall::default() };
        for correlation in 0..10_000 {
            outgoing.put(Queue::Bots, Kind::Sign, correlation, &call).expect("short");
        }
        assert!(outgoing.waiting_bytes(Queue::Bots) > 2 * PIECE_BYTES);
        let (mut piece, mut decoder, mut order) = (Vec::new(), Decoder::default(), Vec::new());
        for turn in 0.. {
            if turn == 1 {
                outgoing.put(Queue::Operators, Kind::Command, 77_777, &call).expect("short");
            }
            piece.clear();
            outgoing.take(&mut piece);
            if piece.is_empty() {
                break;
            }
            decoder.extend(&piece);
            // Whatever went before, a piece ends with the end of a frame.
            while let Some(frame) = decoder.next_frame().expect("frames") {
                order.push(frame.correlation);
            }
            assert!(decoder.is_empty());
        }
        let place = order.iter().position(|correlation| *correlation == 77_777).expect("sent");
        assert!(place > 0 && place < 5_000, "{place}");
        order.remove(place);
        assert!(order.iter().copied().eq(0..10_000), "bots' calls in their order");
        assert_eq!(outgoing.waiting_bytes(Queue::Bots), 0);
    }

    #[tokio::test]
    async fn what_the_core_said_is_heard_though_it_takes_no_more() {
        // Reader and writer take turns by chance.
        for _ in 0..32 {
            let (core, open) = core();
            let (ours, mut theirs) = UnixStream::pair().expect("a pair");
            theirs.write_all(&reply()).await.expect("written");
            drop(theirs);
            let (tls, healths) = (TlsCell::default(), Healths::new().await);
            let call = SignCall::default();
            let (answer, ended) = tokio::join!(
                core.call(open.connection(), Kind::Sign, &call, place(), None),
                core.run(split(ours), &tls, &healths),
            );
            assert_eq!(answer.expect("answered").response.as_slice(), b"signed");
            ended.expect("in order");
        }
    }
}
