//! WebSockets of bots to venues: what core and egress say of each, until the task that serves it
//! takes it up.
//!
//! ```text
//! bot ◄──► relay.rs ◄─ Link ─ StreamMessage, StreamEnd ─► core
//!                       ▲
//!                       └── Streams ◄─ StreamRefusal, StreamCut ─────────────── core
//!                                   ◄─ StreamReady, StreamMessage, StreamEnd ── egress
//! ```
//!
//! Neither channel is ever made to wait, or one bot that does not read would stop all. What has come
//! and is not read yet is counted; when there is too much of it, a WebSocket ends.
//!
//! A cut takes effect where it is read from the channel: from then on nothing that the venue has said
//! is written any more. Its [`Hold`] makes the barrier behind it wait until what was written before
//! is on the socket, and the bot is told.

mod handshake;
mod link;
mod pace;
mod relay;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use serde_json::Value;
use vault_ipc::{
    Code, Failure, Frame, FrameError, Kind, StreamCut, StreamEnd, StreamMessage, StreamReady,
    StreamRefusal,
};

pub(crate) use self::handshake::{Handshake, OF_HANDSHAKE, accept};
pub(crate) use self::link::Link;
pub(crate) use self::relay::{Upgrade, Upgrades, serve};

use crate::limit::{Limits, WebSocketLimits};
use crate::place::Places;
use crate::registry::{Connection, Hold, Registry};
use crate::venue_proxy::said;

/// A handle on all WebSockets.
#[derive(Clone, Debug)]
pub(crate) struct Streams(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    arrivals: Mutex<HashMap<u64, Arc<Arrival>>>,
    /// Of all.
    bytes: AtomicUsize,
    ended: AtomicBool,
    limits: WebSocketLimits,
    places: Places,
    registry: Arc<Registry>,
}

/// What has come for one WebSocket.
#[derive(Debug)]
struct Arrival {
    connection: Arc<Connection>,
    state: Mutex<State>,
    task: AtomicWaker,
}

#[derive(Default)]
struct State {
    /// Of the messages that wait.
    bytes: usize,
    end: Option<End>,
    /// The core says that venue or egress have ended it: their word is on its way.
    is_orphan: bool,
    messages: VecDeque<Outgoing>,
    /// Handshakes are done.
    ready: Option<StreamReady>,
}

impl fmt::Debug for State {
    /// Shows no message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("bytes", &self.bytes)
            .field("end", &self.end)
            .field("message_count", &self.messages.len())
            .finish_non_exhaustive()
    }
}

/// A message for the bot.
pub(crate) struct Outgoing {
    bytes: Bytes,
    is_binary: bool,
}

/// Why nothing more will come.
#[derive(Debug)]
pub(crate) enum End {
    /// The core wants it so.
    Cut { failure: Box<Failure>, hold: Hold },
    /// The bot did not read.
    Unread,
    /// As the egress says.
    Venue(StreamEnd),
}

/// Longest message of a venue, in bytes.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// The egress's word for what the core has cut.
const STREAM_CUT: &str = "STREAM_CUT";

/// What a message costs beside its bytes: many empty ones are much too.
const MESSAGE_OVERHEAD: usize = 64;

/// Longest id of a message that is repeated to its bot, in bytes.
const ID_BYTES_MAX: usize = 66;

impl Streams {
    pub(crate) fn new(limits: &Limits, registry: Arc<Registry>) -> Self {
        let limits = limits.websocket.clone();
        Self(Arc::new(Shared {
            arrivals: Mutex::default(),
            bytes: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
            places: Places::with_share(limits.sockets, limits.sockets_per_certificate),
            limits,
            registry,
        }))
    }

    /// Takes a frame of the core.
    ///
    /// # Errors
    ///
    /// [`FrameError`] for what no core says.
    pub(crate) fn take_of_core(&self, frame: &Frame) -> Result<(), FrameError> {
        match frame.kind {
            Kind::StreamCut => {
                let StreamCut { failure } = frame.message()?;
                let Some(arrival) = self.arrival(frame.correlation) else { return Ok(()) };
                match failure {
                    Some(failure) => {
                        let hold = self.0.registry.hold(&arrival.connection);
                        self.end(&arrival, End::Cut { failure: Box::new(failure), hold });
                    }
                    None => {
                        arrival.state().is_orphan = true;
                        arrival.task.wake();
                    }
                }
                Ok(())
            }
            Kind::StreamRefusal => {
                let refusal: StreamRefusal = frame.message()?;
                let Some(arrival) = self.arrival(frame.correlation) else { return Ok(()) };
                let bytes = text(refusal).into();
                self.put(&arrival, Outgoing { bytes, is_binary: false });
                Ok(())
            }
            _ => Err(FrameError::Header),
        }
    }

    /// Takes a frame of the egress.
    ///
    /// # Errors
    ///
    /// [`FrameError`] for what no egress says.
    pub(crate) fn take_of_egress(&self, frame: &Frame) -> Result<(), FrameError> {
        // What comes for a bot that is gone is looked at all the same.
        let arrival = self.arrival(frame.correlation);
        if let Some(arrival) = &arrival
            && matches!(arrival.state().end, Some(End::Venue(_)))
        {
            return Err(FrameError::Header);
        }
        match frame.kind {
            Kind::StreamReady => {
                let ready: StreamReady = frame.message()?;
                let Some(arrival) = arrival else { return Ok(()) };
                if arrival.state().ready.replace(ready).is_some() {
                    return Err(FrameError::Header);
                }
                arrival.task.wake();
            }
            Kind::StreamMessage => {
                let StreamMessage { bytes, binary } = frame.message()?;
                if bytes.len() > MESSAGE_BYTES_MAX {
                    return Err(FrameError::Body);
                }
                let Some(arrival) = arrival else { return Ok(()) };
                if arrival.state().ready.is_none() {
                    return Err(FrameError::Header);
                }
                self.put(&arrival, Outgoing { bytes: bytes.into(), is_binary: binary });
            }
            Kind::StreamEnd => {
                let end: StreamEnd = frame.message()?;
                let Some(arrival) = arrival else { return Ok(()) };
                // Cut by the core, whose own word, with the reason, may come after the egress's.
                if end.problem != STREAM_CUT {
                    self.end(&arrival, End::Venue(end));
                }
            }
            _ => return Err(FrameError::Header),
        }
        Ok(())
    }

    /// Ends all: the egress is gone.
    pub(crate) fn lost(&self) {
        self.0.ended.store(true, Ordering::Release);
        let all: Vec<_> = self.arrivals().values().map(Arc::clone).collect();
        for arrival in all {
            let end = StreamEnd { code: 0, problem: "CONNECTION_LOST".to_owned() };
            self.end(&arrival, End::Venue(end));
        }
    }

    /// Lets a message wait for its bot, if there is room.
    fn put(&self, arrival: &Arc<Arrival>, message: Outgoing) {
        let limits = &self.0.limits;
        let size = message.size();
        {
            let mut state = arrival.state();
            if state.end.is_some() {
                return;
            }
            if !state.messages.is_empty() && state.bytes + size > limits.waiting_bytes {
                drop(state);
                return self.end(arrival, End::Unread);
            }
            state.bytes += size;
            state.messages.push_back(message);
        }
        let mut all = self.0.bytes.fetch_add(size, Ordering::AcqRel) + size;
        while all > limits.waiting_bytes_of_all
            && let Some(fullest) = self.fullest()
        {
            self.end(&fullest, End::Unread);
            all = self.0.bytes.load(Ordering::Acquire);
        }
        arrival.task.wake();
    }

    /// Ends a WebSocket, unless it has ended more abruptly. What waits is told before an end in order,
    /// and never after a cut.
    fn end(&self, arrival: &Arrival, end: End) {
        let mut state = arrival.state();
        let is_over = match &state.end {
            None | Some(End::Venue(_)) => false,
            Some(End::Unread) => !matches!(end, End::Cut { .. }),
            Some(End::Cut { .. }) => true,
        };
        if !is_over {
            if matches!(end, End::Cut { .. } | End::Unread) {
                state.messages = VecDeque::new();
                self.0.bytes.fetch_sub(state.bytes, Ordering::AcqRel);
                state.bytes = 0;
            }
            state.end = Some(end);
        }
        drop(state);
        arrival.task.wake();
    }

    /// The WebSocket with the most bytes of the client with the most.
    fn fullest(&self) -> Option<Arc<Arrival>> {
        let arrivals = self.arrivals();
        let full = || {
            arrivals.values().filter_map(|arrival| {
                let bytes = arrival.state().bytes;
                (bytes > 0).then_some((arrival, bytes))
            })
        };
        let mut of_clients = HashMap::<Option<&[u8]>, usize>::new();
        for (arrival, bytes) in full() {
            *of_clients.entry(arrival.connection.facts().serial()).or_default() += bytes;
        }
        let (client, _) = of_clients.into_iter().max_by_key(|(_, bytes)| *bytes)?;
        full()
            .filter(|(arrival, _)| arrival.connection.facts().serial() == client)
            .max_by_key(|(_, bytes)| *bytes)
            .map(|(arrival, _)| Arc::clone(arrival))
    }

    fn arrival(&self, correlation: u64) -> Option<Arc<Arrival>> {
        self.arrivals().get(&correlation).map(Arc::clone)
    }

    fn arrivals(&self) -> MutexGuard<'_, HashMap<u64, Arc<Arrival>>> {
        self.0.arrivals.lock().expect("no panic while locked")
    }
}

impl Arrival {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while locked")
    }
}

impl Outgoing {
    fn size(&self) -> usize {
        self.bytes.len() + MESSAGE_OVERHEAD
    }
}

/// What a bot is told instead of the venue's answer. Beside the refusal stands the message's own id,
/// by which libraries know what they asked.
fn text(refusal: StreamRefusal) -> String {
    let StreamRefusal { failure, id_name, id } = refusal;
    let said = said(&failure, failure.retry_after_ms);
    let is_id = (1..=ID_BYTES_MAX).contains(&id.len())
        && matches!(serde_json::from_str(&id), Ok(Value::Number(_) | Value::String(_)));
    if !is_id || id_name.is_empty() || id_name == "countersign" {
        return format!("{{\"countersign\":{said}}}");
    }
    // The id as it was written: a number may be longer than any type of ours.
    format!("{{\"countersign\":{said},{}:{id}}}", Value::from(id_name))
}

/// The failure of a WebSocket that the venue or the way to it has not let come to be.
fn not_connected(end: &StreamEnd) -> Failure {
    let problem = code(&end.problem);
    let (code, hint) = match problem {
        "ADDRESS_REFUSED" => {
            (Code::Unavailable, "the venue's name leads to an address that no venue has")
        }
        "BARRIER" => (
            Code::Unavailable,
            "policy changed while the websocket was on its way: another is judged anew",
        ),
        "BUSY" => (Code::Exhausted, "too many requests to venues are under way"),
        "HANDLE_UNKNOWN" => (
            Code::Precondition,
            "the vault has forgotten what the handle stands for: ask the venue for a new one",
        ),
        "REQUEST_MALFORMED" => {
            (Code::BadRequest, "the request cannot be written as HTTP; it never will be sent")
        }
        "TIMEOUT" => (Code::DeadlineExceeded, "the venue took too long"),
        "VENUE_PAUSED" => (Code::Exhausted, "the venue wants to be left alone for a while"),
        _ => (Code::Unavailable, "the vault could not reach the venue, or it would not have it"),
    };
    let message = format!("the venue's websocket could not be opened: {problem}");
    Failure::new(code, "NOT_CONNECTED", message).with_hint(hint)
}

/// A problem, if it is written as one.
fn code(problem: &str) -> &str {
    let is_code = (1..=40).contains(&problem.len())
        && problem
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    if is_code { problem } else { "CONNECTION_LOST" }
}
