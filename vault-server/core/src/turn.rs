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
//! The queues are bounded. What does not fit is handed back, to be refused before it has cost anything.
//! The front says whose a call is. If it lies, calls wait in the wrong queue, and that is all: nothing
//! is granted by it, and there are queues only for names that are in the policy tables.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::time::Duration;

use vault_ipc::{Frame, Kind};
use vault_model::{Name, Serial};

use crate::command::Method;
use crate::storage::{Holder, Tables};
use crate::vault::Vault;

/// Calls that wait to be decided.
#[derive(Default)]
pub(crate) struct Turns {
    /// Frames and bytes of all.
    all: Load,
    clients: Ring,
    operators: Ring,
    /// How much longer operators were served than clients, while both had calls that waited.
    operators_ahead: Duration,
    urgent: VecDeque<Frame>,
    urgent_load: Load,
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

/// How much waits.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    bytes: usize,
    frames: usize,
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

#[derive(Default)]
struct Queue {
    clock_ns: u64,
    frames: VecDeque<Frame>,
    is_in_line: bool,
    load: Load,
}

impl Load {
    fn add(&mut self, frame: &Frame) {
        self.bytes += bytes(frame);
        self.frames += 1;
    }

    fn remove(&mut self, frame: &Frame) {
        self.bytes -= bytes(frame);
        self.frames -= 1;
    }

    fn has_room(self, frame: &Frame, most: Self) -> bool {
        self.frames < most.frames && self.bytes + bytes(frame) <= most.bytes
    }
}

/// What it takes to keep a frame.
fn bytes(frame: &Frame) -> usize {
    frame.body.len() + size_of::<Frame>()
}

impl Turns {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.all.frames == 0
    }

    /// Whether more may be read from the front. An honest one does not come near: what is beyond a
    /// queue is refused, and only ends of WebSockets are not, of which there are few.
    pub fn has_room(&self) -> bool {
        self.all.frames < READ_MAX.frames && self.all.bytes < READ_MAX.bytes
    }

    /// Keeps a frame until its turn.
    ///
    /// # Errors
    ///
    /// The frame, if there is no room for it.
    pub fn put(&mut self, whose: Whose<'_>, frame: Frame) -> Result<(), Frame> {
        let ring = match whose {
            Whose::Urgent if !self.urgent_load.has_room(&frame, URGENT_MAX) => return Err(frame),
            Whose::Urgent => {
                self.all.add(&frame);
                self.urgent_load.add(&frame);
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

    /// Whether a WebSocket's call waits.
    pub fn is_opening(&self, correlation: u64) -> bool {
        self.clients.openings.contains_key(&correlation)
    }

    /// Takes a call for which nobody waits out of its queue; `false` if it is in none, because it has
    /// had its turn.
    pub fn forget(&mut self, whose: Whose<'_>, correlation: u64) -> bool {
        match whose {
            Whose::Client(name) => match self.clients.by_name.get(name) {
                Some(&queue) => self.clients.forget(queue, correlation, &mut self.all),
                None => false,
            },
            // No front of ours says so little.
            _ => {
                let mut queues = 0..self.clients.queues.len();
                queues.any(|queue| self.clients.forget(queue, correlation, &mut self.all))
            }
        }
    }

    /// The next frame, and who is to be charged for it.
    pub fn next(&mut self) -> Option<(Frame, Served)> {
        if let Some(frame) = self.urgent.pop_front() {
            self.all.remove(&frame);
            self.urgent_load.remove(&frame);
            return Some((frame, Served::Urgent));
        }
        let both = self.operators.load.frames > 0 && self.clients.load.frames > 0;
        if !both {
            self.operators_ahead = Duration::ZERO;
        }
        let clients_first = both && self.operators_ahead > Duration::ZERO;
        if !clients_first && let Some((frame, queue)) = self.operators.next(&mut self.all) {
            return Some((frame, Served::Operator(queue)));
        }
        let (frame, queue) = self.clients.next(&mut self.all)?;
        Some((frame, Served::Client(queue)))
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
            let is_idle = !queues[*queue].is_in_line && queues[*queue].frames.is_empty();
            if is_idle {
                queues[*queue] = Queue::default();
                free.push(*queue);
            }
            !is_idle
        });
    }

    fn put(&mut self, at: usize, frame: Frame, all: &mut Load) -> Result<(), Frame> {
        let queue = &mut self.queues[at];
        // It follows what was let in, one for one; refused, a WebSocket would stay open for nobody.
        let may = frame.kind == Kind::StreamEnd
            || queue.load.has_room(&frame, ONE_MAX) && self.load.has_room(&frame, ALL_MAX);
        if !may {
            return Err(frame);
        }
        if frame.kind == Kind::Stream {
            self.openings.insert(frame.correlation, at);
        }
        for load in [&mut queue.load, &mut self.load, all] {
            load.add(&frame);
        }
        queue.frames.push_back(frame);
        self.enter(at);
        Ok(())
    }

    /// Puts a queue that has something in line.
    fn enter(&mut self, at: usize) {
        let queue = &mut self.queues[at];
        if queue.is_in_line || queue.frames.is_empty() {
            return;
        }
        queue.is_in_line = true;
        queue.clock_ns = queue.clock_ns.max(self.now_ns);
        self.entered += 1;
        let in_line = InLine { clock_ns: queue.clock_ns, entered: self.entered, queue: at };
        self.line.push(Reverse(in_line));
    }

    fn next(&mut self, all: &mut Load) -> Option<(Frame, usize)> {
        while let Some(Reverse(InLine { clock_ns, queue: at, .. })) = self.line.pop() {
            let queue = &mut self.queues[at];
            queue.is_in_line = false;
            // What was in it may have been forgotten.
            let Some(frame) = queue.frames.pop_front() else {
                continue;
            };
            self.now_ns = clock_ns;
            for load in [&mut queue.load, &mut self.load, all] {
                load.remove(&frame);
            }
            if frame.kind == Kind::Stream {
                self.openings.remove(&frame.correlation);
            }
            return Some((frame, at));
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
        let queue = &mut self.queues[at];
        let is_it = |frame: &Frame| {
            let is_call = matches!(frame.kind, Kind::Execute | Kind::Proxy | Kind::Sign);
            is_call && frame.correlation == correlation
        };
        let Some(frame) =
            queue.frames.iter().rposition(is_it).and_then(|place| queue.frames.remove(place))
        else {
            return false;
        };
        for load in [&mut queue.load, &mut self.load, all] {
            load.remove(&frame);
        }
        true
    }
}

impl Vault {
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

fn holder<'t>(tables: &'t Tables, serial: &Serial) -> Whose<'t> {
    match tables.certificates.get(serial).map(|certificate| &certificate.holder) {
        Some(Holder::Client(name)) => Whose::Client(name),
        Some(Holder::Operator(name)) => Whose::Operator(name),
        None => Whose::Stranger,
    }
}

/// How much one client or operator may have waiting: more than an honest front lets through.
const ONE_MAX: Load = Load { bytes: 8 << 20, frames: 1_024 };
/// How much all clients together may have waiting; the same for all operators.
const ALL_MAX: Load = Load { bytes: 32 << 20, frames: 8_192 };
/// How much may wait that goes before all else.
const URGENT_MAX: Load = Load { bytes: 4 << 20, frames: 256 };
/// With so much waiting, nothing more is read.
const READ_MAX: Load = Load { bytes: 96 << 20, frames: 32_768 };
/// So many names are remembered though they have nothing in line.
const KEPT: usize = 4_096;

#[cfg(test)]
mod tests;
