//! The connections, and the barrier: what was released before it is on its socket, or will never be.
//!
//! A reply that releases a signature is followed through the process by a [`Hold`]:
//!
//! ```text
//! channel.rs reads the reply ─ Hold made ─┬► sign.rs ─► unary.rs reply ───────────────────► Bytes
//!                                         └► handler ─► response extension ─► body.rs body ─► Bytes
//!     ─► h2's queue ─► h2's write buffer ─ Hold dropped ─► io.rs ─► TLS ─► socket
//! ```
//!
//! It is made by the task that reads the channel, before any later frame is looked at, and lives in
//! the owner of the very bytes, so whoever drops the bytes drops it. Once h2 has copied the bytes
//! it is gone, but they may not be on the socket. Therefore a connection is *settled* only after its
//! task has polled h2 to the end and the last thing that reached the stream was a completed flush:
//! h2 ends every poll either with its buffer flushed or with a write that waits.
//!
//! Holds carry the generation in which they were made; a barrier ends a generation and waits for
//! those up to it, so that later replies delay nothing. A connection that has not settled in time is
//! cut: the flag that `io.rs` looks at before it passes a byte is set, and that is final.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;
use tokio::time::Instant;
use vault_ipc::Listener;

use crate::caller::Facts;
use crate::metric::Metrics;
use crate::place::Place;
use crate::trace::{Call, Tracer};

/// All connections that have finished their handshake.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    barriers: Arc<Barriers>,
    generation: AtomicU64,
    metrics: Arc<Metrics>,
    next_id: AtomicU64,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    connections: HashMap<u64, Arc<Connection>>,
    /// Of clients and operators.
    per_holder: HashMap<Vec<u8>, usize>,
}

/// What connections and waiting barriers share.
#[derive(Debug, Default)]
struct Barriers {
    /// How many wait.
    waiting: AtomicUsize,
    /// Told whenever a connection settles, is cut or ends.
    changed: Notify,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    barriers: Arc<Barriers>,
    /// How many more it may have.
    calls_left: AtomicU32,
    cut: AtomicBool,
    facts: Facts,
    metrics: Arc<Metrics>,
    releases: Mutex<Releases>,
    task: AtomicWaker,
    /// Read since its turn began.
    turn_bytes: AtomicUsize,
    /// Something was written since the last completed flush, or wanted to be.
    unflushed: AtomicBool,
}

#[derive(Debug, Default)]
struct Releases {
    /// Living holds by generation.
    held: BTreeMap<u64, u32>,
    /// The oldest generation of which bytes may be neither on the socket nor dropped.
    unsettled_since: Option<u64>,
}

/// The place of one call of a connection; it is free again on drop.
#[derive(Debug)]
pub(crate) struct CallPlace(Arc<Connection>);

/// Follows the bytes of one released reply; see the module.
#[derive(Debug)]
pub(crate) struct Hold {
    connection: Arc<Connection>,
    generation: u64,
    since: std::time::Instant,
    /// Of a call that is traced.
    trace: Option<Arc<Call>>,
}

/// The holds of replies on their way into one response's bytes: put here before they are encoded,
/// taken by the bytes.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    held: Mutex<Vec<Hold>>,
    /// What the response takes until its last byte is gone: of those that carry much.
    place: Option<Arc<Place>>,
}

/// A connection's place in the registry; it leaves on drop.
#[derive(Debug)]
pub(crate) struct Registered {
    connection: Arc<Connection>,
    id: u64,
    registry: Arc<Registry>,
}

/// A barrier that is not passed yet.
#[derive(Debug)]
pub(crate) struct Wait {
    barriers: Arc<Barriers>,
    generation: u64,
    unsettled: Vec<Arc<Connection>>,
}

impl Registry {
    /// One whose calls are traced, if there is something that traces them.
    pub(crate) fn traced(tracer: Option<Arc<Tracer>>) -> Self {
        Self { metrics: Arc::new(Metrics::traced(tracer)), ..Self::default() }
    }

    /// Enters a connection; `None` if its client or operator has `per_holder_max` already.
    pub(crate) fn enter(
        self: &Arc<Self>,
        facts: Facts,
        calls_max: u32,
        per_holder_max: usize,
    ) -> Option<Registered> {
        let mut open = self.open();
        if let Some(holder) = facts.holder() {
            let connections = open.per_holder.entry(holder.to_vec()).or_default();
            if *connections >= per_holder_max {
                return None;
            }
            *connections += 1;
        }
        let connection = Arc::new(Connection {
            barriers: Arc::clone(&self.barriers),
            calls_left: AtomicU32::new(calls_max),
            cut: AtomicBool::new(false),
            facts,
            metrics: Arc::clone(&self.metrics),
            releases: Mutex::default(),
            task: AtomicWaker::new(),
            turn_bytes: AtomicUsize::new(0),
            unflushed: AtomicBool::new(false),
        });
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        open.connections.insert(id, Arc::clone(&connection));
        Some(Registered { connection, id, registry: Arc::clone(self) })
    }

    /// Follows a reply that was just read from the channel.
    pub(crate) fn hold(&self, connection: &Arc<Connection>) -> Hold {
        self.hold_since(connection, std::time::Instant::now())
    }

    /// As [`Registry::hold`]; it was read at this moment.
    pub(crate) fn hold_since(
        &self,
        connection: &Arc<Connection>,
        since: std::time::Instant,
    ) -> Hold {
        let generation = self.generation.load(Ordering::Acquire);
        let mut releases = connection.releases();
        *releases.held.entry(generation).or_default() += 1;
        releases.unsettled_since.get_or_insert(generation);
        drop(releases);
        Hold { connection: Arc::clone(connection), generation, since, trace: None }
    }

    /// Cuts the connections of `cut_serials` and ends the generation. `None` if nothing is left to
    /// wait for.
    pub(crate) fn barrier(&self, cut_serials: &[Vec<u8>]) -> Option<Wait> {
        let generation = self.generation.fetch_add(1, Ordering::AcqRel);
        let mut unsettled = Vec::new();
        for connection in self.open().connections.values() {
            let serial = connection.facts.serial();
            if serial.is_some_and(|serial| cut_serials.iter().any(|cut| cut == serial)) {
                connection.cut();
            }
            if !connection.is_settled(generation) {
                unsettled.push(Arc::clone(connection));
            }
        }
        if unsettled.is_empty() {
            return None;
        }
        self.barriers.waiting.fetch_add(1, Ordering::AcqRel);
        for connection in &unsettled {
            // Its bytes may be written already, without another poll due that would show it.
            connection.task.wake();
        }
        Some(Wait { barriers: Arc::clone(&self.barriers), generation, unsettled })
    }

    /// What is counted of their work.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// How many connections there are, by their listener.
    pub(crate) fn count_by_listener(&self) -> HashMap<Listener, usize> {
        let mut counts = HashMap::new();
        for connection in self.open().connections.values() {
            *counts.entry(connection.facts.listener()).or_default() += 1;
        }
        counts
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().expect("no panic while locked")
    }
}

impl Wait {
    /// Waits until everything is settled; cuts what is not after `drain`.
    pub(crate) async fn passed(mut self, drain: Duration) {
        let barriers = Arc::clone(&self.barriers);
        let end = Instant::now() + drain;
        loop {
            let changed = barriers.changed.notified();
            tokio::pin!(changed);
            // Before the look at the connections, so that no change between is missed.
            changed.as_mut().enable();
            self.unsettled.retain(|connection| !connection.is_settled(self.generation));
            if self.unsettled.is_empty() {
                return;
            }
            if tokio::time::timeout_at(end, changed).await.is_err() {
                break;
            }
        }
        for connection in &self.unsettled {
            // One more look: it may have settled in the turn in which the time ran out.
            if !connection.is_settled(self.generation) {
                tracing::warn!(
                    peer = %connection.facts.address(),
                    "connection cut at a barrier: not drained in time"
                );
                connection.cut();
            }
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.barriers.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Connection {
    /// What is known of the peer.
    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// What is counted of its work, and of others'.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// A place for one more call; `None` if the connection has all it may have.
    pub(crate) fn begin_call(self: &Arc<Self>) -> Option<CallPlace> {
        let one_less = |left: u32| left.checked_sub(1);
        let taken = self.calls_left.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_less);
        taken.ok().map(|_| CallPlace(Arc::clone(self)))
    }

    /// Lets nothing pass any more, at once and for good. Its task drops the socket when it is next
    /// polled.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        self.task.wake();
        self.barriers.changed.notify_waiters();
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    /// Has it polled, in its turn.
    pub(crate) fn wake(&self) {
        self.task.wake();
    }

    /// The task to wake when something about the connection changes from outside.
    pub(crate) fn register_task(&self, waker: &std::task::Waker) {
        self.task.register(waker);
    }

    /// To be called before h2 is polled.
    pub(crate) fn begin_turn(&self) {
        self.turn_bytes.store(0, Ordering::Relaxed);
    }

    /// Notes that so much was read; returns what that makes in this turn.
    pub(crate) fn note_read(&self, bytes: usize) -> usize {
        self.turn_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes
    }

    pub(crate) fn note_write(&self) {
        self.unflushed.store(true, Ordering::Release);
    }

    pub(crate) fn note_flush(&self) {
        self.unflushed.store(false, Ordering::Release);
    }

    /// To be called when h2 has been polled and waits: what is not held any more is on the socket,
    /// if the stream is flushed.
    pub(crate) fn settle(&self) {
        if self.unflushed.load(Ordering::Acquire) {
            return;
        }
        let mut releases = self.releases();
        if releases.unsettled_since.is_none() {
            return;
        }
        releases.unsettled_since = releases.held.keys().next().copied();
        drop(releases);
        self.barriers.changed.notify_waiters();
    }

    fn is_settled(&self, generation: u64) -> bool {
        self.is_cut() || self.releases().unsettled_since.is_none_or(|since| since > generation)
    }

    fn releases(&self) -> MutexGuard<'_, Releases> {
        self.releases.lock().expect("no panic while locked")
    }
}

impl Drop for CallPlace {
    fn drop(&mut self) {
        self.0.calls_left.fetch_add(1, Ordering::AcqRel);
    }
}

impl Hold {
    /// Tells a call that is traced when its bytes are gone.
    pub(crate) fn of_call(self, call: Option<Arc<Call>>) -> Self {
        let mut hold = self;
        hold.trace = call;
        hold
    }
}

impl Holds {
    pub(crate) fn of(hold: Hold) -> Self {
        Self { held: Mutex::new(vec![hold]), place: None }
    }

    pub(crate) fn in_place(place: Place) -> Self {
        Self { held: Mutex::default(), place: Some(Arc::new(place)) }
    }

    pub(crate) fn put(&self, hold: Hold) {
        self.holds().push(hold);
    }

    pub(crate) fn take(&self) -> Vec<Hold> {
        std::mem::take(&mut *self.holds())
    }

    pub(crate) fn place(&self) -> Option<Arc<Place>> {
        self.place.clone()
    }

    fn holds(&self) -> MutexGuard<'_, Vec<Hold>> {
        self.held.lock().expect("no panic while locked")
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.connection.metrics.released(self.since);
        if let Some(call) = &self.trace {
            call.released();
        }
        let mut releases = self.connection.releases();
        if let Some(held) = releases.held.get_mut(&self.generation) {
            *held -= 1;
            if *held == 0 {
                releases.held.remove(&self.generation);
            }
        }
        drop(releases);
        if self.connection.barriers.waiting.load(Ordering::Acquire) > 0 {
            self.connection.task.wake();
        }
    }
}

impl Registered {
    pub(crate) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut open = self.registry.open();
        open.connections.remove(&self.id);
        if let Some(holder) = self.connection.facts.holder()
            && let Some(connections) = open.per_holder.get_mut(holder)
        {
            *connections -= 1;
            if *connections == 0 {
                open.per_holder.remove(holder);
            }
        }
        drop(open);
        // Whoever still holds the record sees that nothing can pass.
        self.connection.cut();
    }
}

#[cfg(test)]
mod tests;
