//! Turns: whose call of the front is decided next.
//!
//! What comes over the front's socket is sorted into queues before anything of it is decided:
//!
//! ```text
//! urgent      operators' calls that only forbid or stop (Halt, Revoke, Seal ...)    before all
//! operators   a queue for each operator                     half of the time, if they need it
//! clients     a queue for each client, one for strangers    the rest
//! ```
//!
//! Among operators, and among clients, time is shared out and not calls: each has a clock that goes on
//! by what its calls have cost, and the next call is one of whoever's clock is furthest behind. Who
//! comes back after a while is put forward to the present: nobody saves time up. So a client with
//! costly calls makes the others wait for one of them at a time, and pays for it. Within a client, and
//! within an operator's calls of one kind, the order is kept.
//!
//! A call whose signature takes long is set aside until a worker has computed it (`ahead.rs`), in its
//! place: nothing of its client is decided before it. Only the calls right behind it may be set aside as
//! well, a few of them, each for a signature of its own. Meanwhile others have their turns.
//!
//! A lane that is free for the next of the calls that wait for it (`lane.rs`) is in line as a call of the
//! client whose call that is, before the later ones: what waited is decided one call at a time, too.
//!
//! The queues are bounded. What does not fit is handed back, to be refused before it has cost anything.
//! The front says whose a call is. If it lies, calls wait in the wrong queue, and that is all: nothing
//! is granted by it, and there are queues only for names that are in the policy tables. Whoever was revoked
//! is a stranger.

mod queue;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::time::Duration;

use vault_ipc::{Frame, Kind};
use vault_model::{Name, Serial};

use self::queue::{Aside, Load, Queue, is_call};
use crate::ahead::{Done, Ready};
use crate::command::Method;
use crate::storage::{CertificateRow, CertificateState, Holder, HolderState, Tables};
use crate::vault::Vault;

/// Calls that wait to be decided.
#[derive(Default)]
pub(crate) struct Turns {
    /// What waits in all.
    all: Load,
    clients: Ring,
    operators: Ring,
    /// How much longer operators were served than clients, while both had calls that waited.
    operators_ahead: Duration,
    urgent: VecDeque<Frame>,
    urgent_load: Load,
}

/// What is next.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Turn {
    /// A call behind one that was set aside: it is not decided now. It is set aside as well, or put back.
    Behind(Frame),
    /// A frame of the front, to be decided.
    Frame(Frame),
    /// The next call of the lane of this credential, to be decided.
    Lane(Name),
    /// A call that was set aside, to be decided, with what was signed for it.
    Signed(Frame, Option<Box<Ready>>),
}

impl Turn {
    /// What it takes to keep it.
    fn bytes(&self) -> usize {
        match self {
            Self::Behind(frame) | Self::Frame(frame) | Self::Signed(frame, _) => bytes(frame),
            Self::Lane(_) => size_of::<Self>(),
        }
    }
}

/// What it takes to keep a frame.
fn bytes(frame: &Frame) -> usize {
    frame.body.len() + size_of::<Turn>()
}

/// Whose a frame is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Whose<'n> {
    /// A client's.
    Client(&'n Name),
    /// An operator's.
    Operator(&'n Name),
    /// Nobody's that is known.
    Stranger,
    /// An operator's that goes before all others.
    Urgent,
}

/// Who has had a turn.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Served {
    Client(usize),
    Operator(usize),
    Urgent,
}

/// Queues among which time is shared out.
#[derive(Default)]
struct Ring {
    by_name: HashMap<Name, usize>,
    /// How often a queue has come in line.
    entered: u64,
    /// Places in `queues` that nobody has.
    free: Vec<usize>,
    /// The furthest that any clock has come.
    furthest_ns: u64,
    /// The queues of the calls that are set aside, by their jobs.
    jobs: HashMap<u64, usize>,
    line: BinaryHeap<Reverse<InLine>>,
    load: Load,
    /// The clock of who was served last.
    now_ns: u64,
    /// Of WebSockets whose calls wait, by the front's numbers.
    openings: HashMap<u64, usize>,
    queues: Vec<Queue>,
    stranger: Option<usize>,
}

/// A queue that has something, by its clock; of two alike, who has waited longer.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct InLine {
    clock_ns: u64,
    entered: u64,
    queue: usize,
}

impl Turns {
    /// Whether nothing can be taken: nothing waits, or all of it for calls that are set aside.
    pub fn is_empty(&self) -> bool {
        self.urgent.is_empty() && self.clients.line.is_empty() && self.operators.line.is_empty()
    }

    /// How much waits, by queue.
    pub fn waiting(&self) -> [(&'static str, usize); 3] {
        [
            ("clients", self.clients.load.turns),
            ("operators", self.operators.load.turns),
            ("urgent", self.urgent_load.turns),
        ]
    }

    /// Whether more may be read from the front. An honest one does not come near: what is beyond a
    /// queue is refused, and only ends of WebSockets are not, of which there are few.
    pub fn has_room(&self) -> bool {
        self.all.turns < READ_MAX.turns && self.all.bytes < READ_MAX.bytes
    }

    /// Keeps a frame until its turn.
    ///
    /// # Errors
    ///
    /// The frame, if there is no room for it.
    pub fn put(&mut self, whose: Whose<'_>, frame: Frame) -> Result<(), Frame> {
        let ring = match whose {
            Whose::Urgent if !self.urgent_load.has_room(bytes(&frame), URGENT_MAX) => {
                return Err(frame);
            }
            Whose::Urgent => {
                self.all.add(bytes(&frame));
                self.urgent_load.add(bytes(&frame));
                self.urgent.push_back(frame);
                return Ok(());
            }
            Whose::Client(_) | Whose::Stranger => &mut self.clients,
            Whose::Operator(_) => &mut self.operators,
        };
        let queue = match whose {
            Whose::Client(name) | Whose::Operator(name) => ring.queue_of(name),
            Whose::Stranger | Whose::Urgent => ring.stranger(),
        };
        ring.put(queue, frame, &mut self.all)
    }

    /// As [`Turns::put`], for a frame of a WebSocket whose call waits: behind that.
    ///
    /// # Errors
    ///
    /// The frame, if no such call waits, or if there is no room.
    pub fn follow(&mut self, frame: Frame) -> Result<(), Frame> {
        match self.clients.openings.get(&frame.correlation) {
            Some(&queue) => self.clients.put(queue, frame, &mut self.all),
            None => Err(frame),
        }
    }

    /// Puts a lane in line whose next call is this client's: before all else of that client, which came
    /// later.
    pub fn put_lane(&mut self, client: &Name, credential: Name) {
        let queue = self.clients.queue_of(client);
        self.clients.put_first(queue, Turn::Lane(credential), &mut self.all);
    }

    /// Whether a WebSocket's call waits.
    pub fn is_opening(&self, correlation: u64) -> bool {
        self.clients.openings.contains_key(&correlation)
    }

    /// Takes a call for which nobody waits out of its queue; `false` if it is in none, because it has
    /// had its turn. It is looked for among the calls of whoever takes it back, and nowhere else.
    pub fn forget(&mut self, whose: Whose<'_>, correlation: u64) -> bool {
        let queue = match whose {
            Whose::Client(name) => self.clients.by_name.get(name).copied(),
            Whose::Stranger => self.clients.stranger,
            // Only what is a client's is ever taken back.
            Whose::Operator(_) | Whose::Urgent => None,
        };
        queue.is_some_and(|queue| self.clients.forget(queue, correlation, &mut self.all))
    }

    /// What is next, and who is to be charged for it.
    pub fn next(&mut self) -> Option<(Turn, Served)> {
        if let Some(frame) = self.urgent.pop_front() {
            self.all.remove(bytes(&frame));
            self.urgent_load.remove(bytes(&frame));
            return Some((Turn::Frame(frame), Served::Urgent));
        }
        let both = !self.operators.line.is_empty() && !self.clients.line.is_empty();
        if !both {
            self.operators_ahead = Duration::ZERO;
        }
        let clients_first = both && self.operators_ahead > Duration::ZERO;
        if !clients_first && let Some((turn, queue)) = self.operators.next(&mut self.all) {
            return Some((turn, Served::Operator(queue)));
        }
        if let Some((turn, queue)) = self.clients.next(&mut self.all) {
            return Some((turn, Served::Client(queue)));
        }
        // What was in line may have been forgotten.
        let (turn, queue) = self.operators.next(&mut self.all)?;
        Some((turn, Served::Operator(queue)))
    }

    /// Sets a call aside that has just been taken from a client's queue, until its job is done.
    pub fn set_aside(&mut self, queue: usize, frame: Frame, job: u64) {
        self.clients.set_aside(queue, frame, job, &mut self.all);
    }

    /// Whether one more call of a client's queue may be set aside.
    pub fn may_set_aside(&self, queue: usize) -> bool {
        self.clients.queues[queue].may_set_aside()
    }

    /// Puts a call back that was looked at behind one that is set aside: it goes when none is any more.
    pub fn put_back(&mut self, queue: usize, frame: Frame) {
        self.clients.queues[queue].is_held = true;
        self.clients.put_first(queue, Turn::Frame(frame), &mut self.all);
    }

    /// A job is done. Its call may have been forgotten.
    pub fn signed(&mut self, done: Done) {
        self.clients.signed(done);
    }

    /// Charges who has had a turn for the time that it took.
    pub fn charge(&mut self, served: Served, cost: Duration) {
        match served {
            Served::Client(queue) => {
                self.operators_ahead = self.operators_ahead.saturating_sub(cost);
                self.clients.charge(queue, cost);
            }
            Served::Operator(queue) => {
                self.operators_ahead += cost;
                self.operators.charge(queue, cost);
            }
            Served::Urgent => {}
        }
    }
}

impl Ring {
    fn queue_of(&mut self, name: &Name) -> usize {
        if let Some(&queue) = self.by_name.get(name) {
            return queue;
        }
        if self.by_name.len() >= KEPT {
            self.give_up_idle();
        }
        let queue = self.new_queue();
        self.by_name.insert(name.clone(), queue);
        queue
    }

    fn stranger(&mut self) -> usize {
        match self.stranger {
            Some(queue) => queue,
            None => {
                let queue = self.new_queue();
                *self.stranger.insert(queue)
            }
        }
    }

    fn new_queue(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.queues.push(Queue::default());
            self.queues.len() - 1
        })
    }

    /// Forgets those who have nothing in line, and what they owe.
    fn give_up_idle(&mut self) {
        let Self { by_name, free, queues, .. } = self;
        by_name.retain(|_, queue| {
            let Queue { aside, is_in_line, jobs, turns, .. } = &queues[*queue];
            let is_idle = !is_in_line && turns.is_empty() && aside.is_empty() && *jobs == 0;
            if is_idle {
                queues[*queue] = Queue::default();
                free.push(*queue);
            }
            !is_idle
        });
    }

    fn put(&mut self, at: usize, frame: Frame, all: &mut Load) -> Result<(), Frame> {
        let queue = &self.queues[at];
        let bytes = bytes(&frame);
        // It follows what was let in, one for one; refused, a WebSocket would stay open for nobody.
        let may = frame.kind == Kind::StreamEnd
            || queue.load.has_room(bytes, ONE_MAX) && self.load.has_room(bytes, ALL_MAX);
        if !may {
            return Err(frame);
        }
        if frame.kind == Kind::Stream {
            self.openings.insert(frame.correlation, at);
        }
        self.add(at, bytes, all);
        self.queues[at].turns.push_back(Turn::Frame(frame));
        self.enter(at);
        Ok(())
    }

    /// Puts what was let in before into its queue again, as the first.
    fn put_first(&mut self, at: usize, turn: Turn, all: &mut Load) {
        self.add(at, turn.bytes(), all);
        self.queues[at].turns.push_front(turn);
        self.enter(at);
    }

    fn add(&mut self, at: usize, bytes: usize, all: &mut Load) {
        for load in [&mut self.queues[at].load, &mut self.load, all] {
            load.add(bytes);
        }
    }

    fn remove(&mut self, at: usize, bytes: usize, all: &mut Load) {
        for load in [&mut self.queues[at].load, &mut self.load, all] {
            load.remove(bytes);
        }
    }

    fn set_aside(&mut self, at: usize, frame: Frame, job: u64, all: &mut Load) {
        self.add(at, bytes(&frame), all);
        let queue = &mut self.queues[at];
        queue.aside.push_back(Aside { done: None, frame, job });
        queue.jobs += 1;
        self.jobs.insert(job, at);
    }

    fn signed(&mut self, done: Done) {
        let Some(at) = self.jobs.remove(&done.job) else {
            return;
        };
        let queue = &mut self.queues[at];
        queue.jobs = queue.jobs.saturating_sub(1);
        let mut calls = queue.aside.iter_mut();
        if let Some(aside) = calls.find(|aside| aside.job == done.job) {
            aside.done = Some(done);
        }
        self.enter(at);
    }

    /// Puts a queue in line that has something to take.
    fn enter(&mut self, at: usize) {
        let queue = &mut self.queues[at];
        if queue.is_in_line || !queue.can_go() {
            return;
        }
        queue.is_in_line = true;
        queue.clock_ns = queue.clock_ns.max(self.now_ns);
        self.entered += 1;
        let in_line = InLine { clock_ns: queue.clock_ns, entered: self.entered, queue: at };
        self.line.push(Reverse(in_line));
    }

    fn next(&mut self, all: &mut Load) -> Option<(Turn, usize)> {
        while let Some(Reverse(InLine { clock_ns, queue: at, .. })) = self.line.pop() {
            let queue = &mut self.queues[at];
            queue.is_in_line = false;
            // What was in it may have been forgotten.
            let Some(turn) = queue.take() else {
                continue;
            };
            self.now_ns = clock_ns;
            self.remove(at, turn.bytes(), all);
            if let Turn::Frame(frame) = &turn
                && frame.kind == Kind::Stream
            {
                self.openings.remove(&frame.correlation);
            }
            return Some((turn, at));
        }
        None
    }

    fn charge(&mut self, at: usize, cost: Duration) {
        let cost_ns = u64::try_from(cost.as_nanos()).unwrap_or(u64::MAX);
        let queue = &mut self.queues[at];
        queue.clock_ns = queue.clock_ns.saturating_add(cost_ns.max(1));
        self.furthest_ns = self.furthest_ns.max(queue.clock_ns);
        self.enter(at);
        if self.line.is_empty() {
            // Nobody has waited for what it took.
            self.now_ns = self.furthest_ns;
        }
    }

    fn forget(&mut self, at: usize, correlation: u64, all: &mut Load) -> bool {
        let Queue { aside, turns, .. } = &mut self.queues[at];
        let is_it = |frame: &Frame| is_call(frame) && frame.correlation == correlation;
        let is_its_turn = |turn: &Turn| matches!(turn, Turn::Frame(frame) if is_it(frame));
        let waits = turns.iter().rposition(is_its_turn).and_then(|place| turns.remove(place));
        let bytes = if let Some(turn) = waits {
            turn.bytes()
        } else if let Some(Aside { frame, .. }) =
            aside.iter().position(|aside| is_it(&aside.frame)).and_then(|place| aside.remove(place))
        {
            // Its job counts until it comes back: what is taken back is signed all the same.
            bytes(&frame)
        } else {
            return false;
        };
        self.queues[at].is_held &= !self.queues[at].aside.is_empty();
        self.remove(at, bytes, all);
        self.enter(at);
        true
    }
}

impl Vault {
    /// Puts the lanes in line that have become free since the last time.
    pub(crate) fn line_up_lanes(&mut self, turns: &mut Turns) {
        while let Some((credential, client)) = self.lanes.take_ready() {
            turns.put_lane(&client, credential);
        }
    }

    /// Whose a frame of the front is, as far as it says so: for its place in line, and for nothing
    /// else.
    pub(crate) fn whose(&self, frame: &Frame) -> Whose<'_> {
        match frame.kind {
            Kind::StreamEnd | Kind::StreamMessage => {
                let client = self.streams.client_of(frame.correlation);
                return client.map_or(Whose::Stranger, Whose::Client);
            }
            Kind::Enroll => return Whose::Stranger,
            Kind::Pull => {
                let pull = frame.message::<vault_ipc::PullCall>().ok();
                let serial = pull.and_then(|pull| self.grants.serial(pull.grant));
                return serial.map_or(Whose::Stranger, |serial| holder(self.tables(), &serial));
            }
            _ => {}
        }
        let peek = frame.peek();
        let Some(serial) = peek.serial else {
            return Whose::Stranger;
        };
        let tables = self.tables();
        match holder(tables, &Serial(serial)) {
            Whose::Operator(name) if frame.kind == Kind::Command => {
                let method = peek.method.and_then(Method::from_name);
                let role = tables.operators.get(name).map(|operator| operator.role);
                match (method, role) {
                    (Some(method), Some(role))
                        if method.stops() && method.check_role(role).is_ok() =>
                    {
                        Whose::Urgent
                    }
                    _ => Whose::Operator(name),
                }
            }
            whose => whose,
        }
    }
}

/// Whose a certificate is, as long as neither was revoked. Whether it has run out is for the decision.
fn holder<'t>(tables: &'t Tables, serial: &Serial) -> Whose<'t> {
    let certificate = tables.certificates.get(serial);
    match certificate.filter(|certificate| certificate.state != CertificateState::Revoked) {
        Some(CertificateRow { holder: Holder::Client(name), .. })
            if tables.clients.get(name).is_some_and(|row| row.state == HolderState::Active) =>
        {
            Whose::Client(name)
        }
        Some(CertificateRow { holder: Holder::Operator(name), .. })
            if tables.operators.get(name).is_some_and(|row| row.state == HolderState::Active) =>
        {
            Whose::Operator(name)
        }
        _ => Whose::Stranger,
    }
}

/// How much one client or operator may have waiting: more than an honest front lets through.
const ONE_MAX: Load = Load { bytes: 8 << 20, turns: 1_024 };
/// How much all clients together may have waiting; the same for all operators.
const ALL_MAX: Load = Load { bytes: 32 << 20, turns: 8_192 };
/// How much may wait that goes before all else.
const URGENT_MAX: Load = Load { bytes: 4 << 20, turns: 256 };
/// With so much waiting, nothing more is read.
const READ_MAX: Load = Load { bytes: 96 << 20, turns: 32_768 };
/// So many names are remembered though they have nothing in line.
const KEPT: usize = 4_096;

#[cfg(test)]
mod tests;
