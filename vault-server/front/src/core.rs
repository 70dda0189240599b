//! The channel to the core: calls out, replies in, barriers in between, all in one order.

mod channel;
mod outgoing;
mod pending;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use prost::Message;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use vault_ipc::{Code, Failure, FrameError, Kind, State, StreamCall, StreamEnd, StreamMessage};

pub(crate) use self::pending::Asked;

use self::outgoing::{Outgoing, Queue};
use self::pending::{Ask, Pending, PendingCalls};
use crate::limit::Limits;
use crate::place::Place;
use crate::registry::{Connection, Hold, Registry};
use crate::stream::{Link, Streams};
use crate::trace::Call;
use crate::unary::Framed;
use crate::venue::{Response, Venues};

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

/// What the core answered well.
#[derive(Debug)]
pub(crate) struct Answered {
    /// Must live as long as the bytes of `response`.
    pub(crate) hold: Option<Hold>,
    /// The call's place, for as long as it needs one.
    pub(crate) place: Option<Place>,
    pub(crate) response: Framed,
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

    /// Sends one call; what it returns is its answer. Dropping that forgets the call, and its place is
    /// free once the core has answered; the core may still act on it, but if it has not answered, it
    /// is told of a call that it need not decide, or that a venue would answer. `trace` follows the call.
    ///
    /// The message is dropped here, and by all that follow: decoded it may take 24 times as much as in
    /// its frame, and a venue half a minute.
    ///
    /// # Errors
    ///
    /// One of the channel: too long, too busy, ended. The answer: the core's failure, or the channel's.
    pub(crate) fn call(
        &self,
        connection: &Arc<Connection>,
        kind: Kind,
        message: impl Message,
        place: Place,
        trace: Option<Arc<Call>>,
    ) -> Result<Asked, Box<Failure>> {
        let correlation = self.next_correlation();
        let ask = Ask { correlation, ends: None, kind, place: Some(place), trace };
        self.ask(connection, message, ask)
    }

    /// As [`Core::call`], of a Sign. With `ends`, the answer is that it took too long some
    /// milliseconds (`SWEEP`) after that at most, without a timer of its own.
    ///
    /// # Errors
    ///
    /// As [`Core::call`].
    pub(crate) fn begin_sign(
        &self,
        connection: &Arc<Connection>,
        message: impl Message,
        place: Place,
        ends: Option<Instant>,
        trace: Option<Arc<Call>>,
    ) -> Result<Asked, Box<Failure>> {
        let correlation = self.next_correlation();
        let ask = Ask { correlation, ends, kind: Kind::Sign, place: Some(place), trace };
        self.ask(connection, message, ask)
    }

    /// As [`Core::call`], for a call that a venue will answer too: what comes from there is kept
    /// from now on, since it may be here before the core's answer.
    ///
    /// # Errors
    ///
    /// As [`Core::call`].
    pub(crate) fn execute(
        &self,
        connection: &Arc<Connection>,
        kind: Kind,
        message: impl Message,
        place: Place,
        trace: Option<Arc<Call>>,
    ) -> Result<(Asked, Response), Box<Failure>> {
        let correlation = self.next_correlation();
        let response = self.0.venues.expect(correlation, connection).ok_or_else(gone)?;
        // Nothing is released to the front: the signature goes another way.
        let ask = Ask { correlation, ends: None, kind, place: Some(place), trace };
        Ok((self.ask(connection, message, ask)?, response))
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
        call: StreamCall,
    ) -> Result<Link, Failure> {
        let correlation = self.next_correlation();
        let entered = self.0.streams.enter(correlation, self, connection);
        let mut link = entered.map_err(|failure| *failure)?;
        let kind = Kind::Stream;
        let ask = Ask { correlation, ends: None, kind, place: None, trace: None };
        match answered(self.ask(connection, call, ask)).await {
            Ok(_) => Ok(link),
            Err(failure) => {
                // It was never asked for, or the core does not have it.
                link.forget();
                Err(*failure)
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

    fn ask(
        &self,
        connection: &Arc<Connection>,
        message: impl Message,
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
                return Err(gone());
            }
            outgoing.put(queue, kind, correlation, &message).map_err(|_| {
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

/// What comes of a call, whether or not the core was asked.
///
/// # Errors
///
/// As [`Core::call`] and its answer.
pub(crate) async fn answered(asked: Result<Asked, Box<Failure>>) -> Result<Answered, Box<Failure>> {
    asked?.await
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

fn gone() -> Box<Failure> {
    Failure::new(Code::Unavailable, "SHUTTING_DOWN", "vault is shutting down").into()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::UnixStream;
    use vault_ipc::half::{self, Inlet, Outlet};
    use vault_ipc::{Kind, Reply, SignCall};

    use super::{Core, answered};
    use crate::FrontError;
    use crate::caller::Facts;
    use crate::health::Healths;
    use crate::limit::Limits;
    use crate::place::{Place, Places};
    use crate::registry::{Registered, Registry};
    use crate::stream::Streams;
    use crate::tls::TlsCell;
    use crate::venue::Venues;

    pub(crate) fn core() -> (Core, Registered) {
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

    pub(crate) fn split(ours: UnixStream) -> (Inlet, Outlet) {
        half::split(ours.into_std().expect("a stream")).expect("split")
    }

    pub(super) fn reply() -> Vec<u8> {
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
            answered(core.call(open.connection(), Kind::Sign, call, place(), None)),
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
                answered(core.call(open.connection(), Kind::Sign, call, place(), None)),
                core.run(split(ours), &tls, &healths),
            );
            assert_eq!(answer.expect("answered").response.as_slice(), b"signed");
            ended.expect("in order");
        }
    }
}
