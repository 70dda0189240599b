//! WebSockets: dialled for the core, written to as it says, read for the front.
//!
//! Each has a connection and a task of its own. Messages of the core leave in its order and one at a
//! time, so that a barrier can tell what has left. Messages of the venue go to the front whole, with
//! everything struck out that authorises; a front that does not take them holds up the one WebSocket.

mod handshake;
mod pump;

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::{Instant, timeout_at};
use vault_ipc::{Kind, Outcome, StreamDial, StreamEnd, StreamReady, StreamSend};

use crate::asker::Asker;
use crate::flight::{Boarded, Flights};
use crate::health::{Now, Paused, VenueKey};
use crate::link::Link;
use crate::mask::Mask;
use crate::problem::Problem;
use crate::send::{PATIENCE_MS, Sender, micros};
use handshake::Target;

/// Messages of one WebSocket that wait to be written.
const QUEUE_MAX: usize = 256;
/// Their bytes.
const QUEUE_BYTES_MAX: usize = 1 << 20;
/// Longest message that the core sends, in bytes.
const SEND_BYTES_MAX: usize = 256 << 10;

/// All WebSockets.
pub(crate) struct Streams {
    sender: Rc<Sender>,
    /// The messages that wait to be written.
    flights: Rc<Flights>,
    idle: Duration,
    most: usize,
    open: RefCell<HashMap<u64, Rc<Stream>>>,
}

/// One WebSocket, from the core's word on.
struct Stream {
    credential: String,
    front_correlation: u64,
    venue: String,
    /// Why it ends, if not by itself.
    cut: Cell<Option<Problem>>,
    cut_bell: Notify,
    /// When the venue last said anything.
    heard_at: Cell<Instant>,
    /// Whether it is the front that does not take what the venue says.
    is_held_up: Cell<bool>,
    /// The message that is being written.
    in_hand: RefCell<Option<InHand>>,
    link: RefCell<Option<Rc<Link>>>,
    mask: RefCell<Mask>,
    queue: RefCell<VecDeque<Queued>>,
    queue_bell: Notify,
    queue_bytes: Cell<usize>,
}

/// A message that waits.
struct Queued {
    text: String,
    flight: Boarded,
    outcome: u64,
    arrived: Instant,
}

/// A message that was taken out of the queue, and its number on the connection once it is there.
struct InHand {
    flight: Boarded,
    outcome: u64,
    arrived: Instant,
    number: Option<u32>,
}

/// How a WebSocket ended.
struct End {
    code: u16,
    problem: Option<Problem>,
}

impl From<Problem> for End {
    fn from(problem: Problem) -> Self {
        Self { code: 0, problem: Some(problem) }
    }
}

impl Streams {
    pub(crate) fn new(
        sender: Rc<Sender>,
        flights: Rc<Flights>,
        idle: Duration,
        most: usize,
    ) -> Rc<Self> {
        Rc::new(Self { sender, flights, idle, most, open: RefCell::default() })
    }

    /// Opens a WebSocket; front and core are told of its end, each once.
    pub(crate) fn dial(self: &Rc<Self>, dial: StreamDial, correlation: u64, arrived: Instant) {
        let front_correlation = dial.front_correlation;
        if self.open.borrow().len() >= self.most {
            self.tell_end(correlation, front_correlation, &Problem::Busy.into());
            return;
        }
        let stream = Rc::new(Stream {
            credential: dial.credential.clone(),
            front_correlation,
            venue: dial.venue.clone(),
            cut: Cell::new(None),
            cut_bell: Notify::new(),
            heard_at: Cell::new(arrived),
            is_held_up: Cell::new(false),
            in_hand: RefCell::new(None),
            link: RefCell::new(None),
            mask: RefCell::default(),
            queue: RefCell::default(),
            queue_bell: Notify::new(),
            queue_bytes: Cell::new(0),
        });
        self.open.borrow_mut().insert(correlation, Rc::clone(&stream));
        let streams = Rc::clone(self);
        spawn_local(async move {
            let end = streams.live(&stream, dial, arrived).await;
            streams.open.borrow_mut().remove(&correlation);
            streams.settle(&stream, end.problem.unwrap_or(Problem::ConnectionLost));
            streams.tell_end(correlation, front_correlation, &end);
        });
    }

    /// Queues a message.
    pub(crate) fn send(&self, send: StreamSend, correlation: u64, arrived: Instant) {
        let open = self.open.borrow().get(&correlation).map(Rc::clone);
        let Some(stream) = open.filter(|stream| stream.cut.get().is_none()) else {
            // It has ended, and the core will hear so or has.
            self.tell_outcome(send.outcome, Some(Problem::ConnectionLost), false, arrived);
            return;
        };
        let outcome = send.outcome;
        let refused = match self.read(&stream, send) {
            Ok(text) => {
                let bytes = stream.queue_bytes.get() + text.len();
                if stream.queue.borrow().len() < QUEUE_MAX && bytes <= QUEUE_BYTES_MAX {
                    stream.queue_bytes.set(bytes);
                    let flight = self.flights.board();
                    let queued = Queued { text, flight, outcome, arrived };
                    stream.queue.borrow_mut().push_back(queued);
                    stream.queue_bell.notify_one();
                    return;
                }
                Problem::Busy
            }
            Err(problem) => problem,
        };
        if outcome == 0 {
            // Nobody would ever hear that it was not sent.
            self.end(&stream, refused);
        } else {
            self.tell_outcome(outcome, Some(refused), false, arrived);
        }
    }

    /// The text of a message, with what its handles stand for.
    fn read(&self, stream: &Stream, send: StreamSend) -> Result<String, Problem> {
        let mut text = send.text;
        let holder = self.sender.holder.borrow();
        let now = std::time::Instant::now();
        let held = holder.reveal(&stream.venue, &send.handles, &mut [&mut text], now)?;
        if text.len() > SEND_BYTES_MAX {
            return Err(Problem::RequestMalformed);
        }
        let text = String::from_utf8(text).map_err(|_| Problem::RequestMalformed)?;
        let mut mask = stream.mask.borrow_mut();
        mask.add(&send.secrets);
        mask.add_held(held);
        Ok(text)
    }

    /// Ends a WebSocket at once: nothing that was not handed to the kernel leaves any more.
    pub(crate) fn cut(&self, correlation: u64) {
        let open = self.open.borrow().get(&correlation).map(Rc::clone);
        if let Some(stream) = open {
            self.end(&stream, Problem::StreamCut);
        }
    }

    fn end(&self, stream: &Stream, problem: Problem) {
        if stream.cut.get().is_none() {
            stream.cut.set(Some(problem));
        }
        if let Some(link) = &*stream.link.borrow() {
            link.cut();
        }
        self.drop_queue(stream, problem);
        stream.cut_bell.notify_one();
    }

    fn drop_queue(&self, stream: &Stream, problem: Problem) {
        let left = std::mem::take(&mut *stream.queue.borrow_mut());
        stream.queue_bytes.set(0);
        for Queued { flight, outcome, arrived, .. } in left {
            let problem = if flight.is_fenced() { Problem::Barrier } else { problem };
            self.tell_outcome(outcome, Some(problem), false, arrived);
        }
    }

    /// Tells of what was not written when a WebSocket ended.
    fn settle(&self, stream: &Stream, problem: Problem) {
        // What is called unsent must stay so.
        let link = stream.link.borrow_mut().take();
        if let Some(link) = &link {
            link.cut();
        }
        if let Some(InHand { flight, outcome, arrived, number }) = stream.in_hand.take() {
            let is_sent = |(link, number): (&Rc<Link>, u32)| link.is_sent(number);
            let sent = link.as_ref().zip(number).is_some_and(is_sent);
            let problem = if flight.is_fenced() && !sent { Problem::Barrier } else { problem };
            self.tell_outcome(outcome, Some(problem), sent, arrived);
        }
        self.drop_queue(stream, problem);
    }

    async fn live(&self, stream: &Stream, dial: StreamDial, arrived: Instant) -> End {
        let target = match self.target(stream, &dial) {
            Ok(target) => target,
            Err(problem) => return problem.into(),
        };
        let health = &self.sender.health;
        let key: VenueKey = (target.host.clone(), self.sender.source(&dial.credential));
        let begun = health.borrow_mut().begin_stream(&key, &stream.venue, Now::read());
        let end = tokio::select! {
            biased;
            () = stream.cut_bell.notified() => stream.cut.get().unwrap_or(Problem::StreamCut).into(),
            end = self.stand(stream, &target, &key, &dial, arrived) => end,
        };
        // Cut under its feet, it says that the connection is lost.
        let end = stream.cut.get().map_or(end, End::from);
        if begun {
            health.borrow_mut().end_stream(&key, end.problem);
        }
        let (venue, host, code) = (&stream.venue, &target.host, end.code);
        match end.problem {
            Some(problem) if !problem.is_at_will() => {
                tracing::info!(venue, host, problem = problem.code(), "WebSocket ended");
            }
            _ => tracing::debug!(venue, host, code, "WebSocket ended"),
        }
        end
    }

    fn target(&self, stream: &Stream, dial: &StreamDial) -> Result<Target, Problem> {
        let mut url = dial.url.clone().into_bytes();
        let holder = self.sender.holder.borrow();
        let now = std::time::Instant::now();
        let held = holder.reveal(&dial.venue, &dial.handles, &mut [&mut url], now)?;
        stream.mask.borrow_mut().add_held(held);
        let url = String::from_utf8(url).map_err(|_| Problem::RequestMalformed)?;
        Target::new(&url, &dial.headers)
    }

    /// Connects, and serves until either side ends it.
    async fn stand(
        &self,
        stream: &Stream,
        target: &Target,
        key: &VenueKey,
        dial: &StreamDial,
        arrived: Instant,
    ) -> End {
        let health = &self.sender.health;
        // It waits for what it has of a budget, and no longer.
        let asker = Asker::new(&dial.client, "stream");
        let is_trial = match health.borrow_mut().admit(key, &asker, Now::read()) {
            Ok(is_trial) => is_trial,
            Err(Paused(_)) => return Problem::VenuePaused.into(),
        };
        let deadline = arrived + Duration::from_millis(dial.timeout_ms.into());
        let opened = timeout_at(deadline, self.open(stream, target, key, &asker)).await;
        let opened = opened.unwrap_or(Err(Problem::Timeout));
        let (socket, link) = match opened {
            Ok(opened) => {
                if is_trial {
                    health.borrow_mut().tried(key, &asker);
                }
                opened
            }
            Err(problem) => {
                let counts = match problem {
                    Problem::ConnectFailed | Problem::TlsFailed => true,
                    Problem::Timeout => dial.timeout_ms >= PATIENCE_MS,
                    _ => false,
                };
                if counts {
                    health.borrow_mut().failed(key, &asker, Now::read());
                }
                // Not before: what has failed as a trial lengthens the pause.
                if is_trial {
                    health.borrow_mut().tried(key, &asker);
                }
                return problem.into();
            }
        };
        let ready = StreamReady { latency_us: micros(arrived.elapsed()) };
        let told = self.sender.front.send(Kind::StreamReady, stream.front_correlation, &ready);
        debug_assert!(told.is_ok(), "it is short");
        stream.heard_at.set(Instant::now());
        self.pump(stream, socket, &link).await
    }

    fn tell_end(&self, correlation: u64, front_correlation: u64, end: &End) {
        let problem = end.problem.map(Problem::code).unwrap_or_default().to_owned();
        let end = StreamEnd { code: end.code.into(), problem };
        for (outbox, correlation) in
            [(&self.sender.front, front_correlation), (&self.sender.core, correlation)]
        {
            let told = outbox.send(Kind::StreamEnd, correlation, &end);
            debug_assert!(told.is_ok(), "it is short");
        }
    }

    fn tell_outcome(&self, outcome: u64, problem: Option<Problem>, sent: bool, arrived: Instant) {
        if outcome == 0 {
            return;
        }
        let told = Outcome {
            problem: problem.map(Problem::code).unwrap_or_default().to_owned(),
            sent,
            latency_us: micros(arrived.elapsed()),
            attempts: sent.into(),
            ..Outcome::default()
        };
        let told = self.sender.core.send(Kind::Outcome, outcome, &told);
        debug_assert!(told.is_ok(), "it is short");
    }
}
