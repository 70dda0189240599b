//! Warm connections: one pool for each host and credential.
//!
//! Whoever needs a connection takes one that is there or waits for the next that becomes free,
//! whether it was opened for them or not: cancels first, then clients in turns. The last connections
//! of HTTP/1.1 are not for reads, and the very last for cancels alone. Nothing is sent by itself, and
//! nothing twice: what is done about a connection that breaks is decided by whoever sends.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use tokio::sync::oneshot;

use crate::Limits;
use crate::asker::{Asker, Errand};
use crate::dial::{Destination, Dialer, Opened};
use crate::health::{Health, Now, VenueKey};
use crate::line::Line;
use crate::link::Link;
use crate::problem::Problem;

/// Pools; the one that was used longest ago goes first.
const POOLS_MAX: usize = 1024;
/// Requests at a time on one connection of HTTP/2.
const STREAMS_MAX: usize = 64;
/// Requests on one connection of HTTP/2 in its life: servers end it at a round number of them
/// (nginx at 1,000: unverified), and what is then on its way is lost.
const STREAM_USES_MAX: u32 = 900;
/// At so many of them the next connection is opened, so that nobody waits for it.
const STREAM_USES_LATE: u32 = 800;
/// Of the connections of HTTP/1.1 of one pool, one in so many is not for reads.
const NO_READ_SHARE: usize = 8;
/// One in so many is for cancels alone.
const CANCEL_SHARE: usize = 32;
/// How often idle connections are looked through.
pub(crate) const SWEEP: Duration = Duration::from_secs(5);

/// All pools.
pub(crate) struct Pools {
    dialer: Rc<Dialer>,
    health: Rc<RefCell<Health>>,
    idle: Duration,
    idle_per_host: usize,
    per_host: usize,
    pools: RefCell<HashMap<(String, String), Rc<Pool>>>,
}

/// The connections to one host for one credential.
pub(crate) struct Pool {
    destination: Destination,
    dialer: Rc<Dialer>,
    health: Rc<RefCell<Health>>,
    idle: Duration,
    idle_max: usize,
    key: VenueKey,
    /// Connections of HTTP/1.1, those being opened included.
    plain_max: usize,
    /// Those that have not ended, in use or not.
    plain_open: Cell<usize>,
    state: RefCell<State>,
    used_at: Cell<Instant>,
}

#[derive(Default)]
struct State {
    /// One of those that are being opened side by side has failed.
    burst_failed: bool,
    connecting: usize,
    framed: Vec<Rc<Framed>>,
    /// The newest last.
    plain: Vec<Idle>,
    /// What the host spoke last.
    speaks_http2: Option<bool>,
    waiting: Line<oneshot::Sender<Result<Lease, Problem>>>,
}

struct Idle {
    link: Rc<Link>,
    sender: http1::SendRequest<Full<Bytes>>,
    since: Instant,
}

/// A connection of HTTP/2.
struct Framed {
    link: Rc<Link>,
    quiet_since: Cell<Instant>,
    sender: h2::client::SendRequest<Bytes>,
    streams: Cell<usize>,
    uses: Cell<u32>,
}

/// A connection for one request.
pub(crate) enum Lease {
    Framed(Stream),
    Plain { link: Rc<Link>, sender: http1::SendRequest<Full<Bytes>>, pool: Rc<Pool> },
}

/// A place for one request on a connection of HTTP/2; it is free again on drop.
pub(crate) struct Stream {
    framed: Rc<Framed>,
    pool: Rc<Pool>,
}

impl Pools {
    pub(crate) fn new(dialer: Dialer, health: Rc<RefCell<Health>>, limits: &Limits) -> Self {
        Self {
            dialer: Rc::new(dialer),
            health,
            idle: limits.idle,
            idle_per_host: limits.idle_per_host,
            per_host: limits.per_host,
            pools: RefCell::default(),
        }
    }

    /// Who opens the connections.
    pub(crate) fn dialer(&self) -> &Dialer {
        &self.dialer
    }

    /// The pool for a host and credential.
    pub(crate) fn pool(
        &self,
        credential: &str,
        host: &str,
        source: Option<IpAddr>,
    ) -> Result<Rc<Pool>, Problem> {
        let mut pools = self.pools.borrow_mut();
        let key = (credential.to_owned(), host.to_owned());
        if let Some(pool) = pools.get(&key) {
            pool.used_at.set(Instant::now());
            return Ok(Rc::clone(pool));
        }
        if pools.len() >= POOLS_MAX {
            let oldest = pools.iter().min_by_key(|(_, pool)| pool.used_at.get());
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                pools.remove(&oldest);
            }
        }
        let destination = self.dialer.destination(host, source).ok_or(Problem::RequestMalformed)?;
        let pool = Rc::new(Pool {
            destination,
            dialer: Rc::clone(&self.dialer),
            health: Rc::clone(&self.health),
            idle: self.idle,
            idle_max: self.idle_per_host,
            key: (host.to_owned(), source),
            plain_max: self.per_host,
            plain_open: Cell::new(0),
            state: RefCell::default(),
            used_at: Cell::new(Instant::now()),
        });
        pools.insert(key, Rc::clone(&pool));
        Ok(pool)
    }

    /// Closes what was idle for too long.
    pub(crate) fn sweep(&self) {
        for pool in self.pools.borrow().values() {
            pool.sweep();
        }
    }
}

impl Pool {
    /// A connection, as soon as there is one.
    ///
    /// # Errors
    ///
    /// Why none could be opened.
    pub(crate) async fn lease(self: &Rc<Self>, asker: &Asker) -> Result<Lease, Problem> {
        let in_use = self.in_use(&self.state.borrow());
        if in_use < self.most_for(asker.errand)
            && let Some(lease) = self.take(asker)
        {
            return Ok(lease);
        }
        let (sender, receiver) = oneshot::channel();
        self.state.borrow_mut().waiting.push(asker, sender);
        self.dial_if_needed();
        // Whoever holds the other end is never dropped while somebody waits.
        receiver.await.unwrap_or(Err(Problem::ConnectFailed))
    }

    /// Connections of HTTP/1.1 that may be in use before an errand gets one.
    fn most_for(&self, errand: Errand) -> usize {
        let kept = |share: usize| (self.plain_max / share).max(1);
        let most = match errand {
            Errand::Cancel => self.plain_max,
            Errand::Read => self.plain_max.saturating_sub(kept(NO_READ_SHARE)),
            Errand::Order | Errand::Stream => self.plain_max.saturating_sub(kept(CANCEL_SHARE)),
        };
        most.max(1)
    }

    /// Connections of HTTP/1.1 that are in use.
    fn in_use(&self, state: &State) -> usize {
        self.plain_open.get().saturating_sub(state.plain.len())
    }

    /// One that is there.
    fn take(self: &Rc<Self>, asker: &Asker) -> Option<Lease> {
        let mut state = self.state.borrow_mut();
        while let Some(Idle { link, sender, since }) = state.plain.pop() {
            let is_good = sender.is_ready()
                && link.is_usable()
                && since.elapsed() < self.idle
                && !link.is_stale();
            if is_good {
                return Some(Lease::Plain { link, sender, pool: Rc::clone(self) });
            }
        }
        state.framed.retain(|framed| framed.link.is_usable());
        let framed = Rc::clone(state.framed.iter().find(|framed| framed.has_room())?);
        let is_late = framed.uses.get() == STREAM_USES_LATE;
        let is_last = state.framed.len() == 1 && state.connecting == 0;
        drop(state);
        if is_late && is_last {
            self.state.borrow_mut().connecting += 1;
            self.dial(asker.clone());
        }
        Some(Lease::Framed(Stream::begin(&framed, self)))
    }

    fn dial_if_needed(self: &Rc<Self>) {
        loop {
            let mut state = self.state.borrow_mut();
            state.waiting.retain(|waiting| !waiting.is_closed());
            // Who would get one, if all got one in the order of the line.
            let mut in_use = self.in_use(&state);
            let waiting: Vec<Asker> = state
                .waiting
                .askers()
                .filter(|(_, errand)| {
                    let may = in_use < self.most_for(*errand);
                    in_use += usize::from(may);
                    may
                })
                .map(|(client, errand)| Asker { client: Rc::clone(client), errand })
                .collect();
            let wanted = match state.speaks_http2 {
                Some(false) => waiting.len(),
                // One connection may do for many.
                Some(true) => waiting.len().div_ceil(STREAMS_MAX),
                None => waiting.len().min(1),
            };
            // Whoever is left over waits for a connection that becomes free or ends.
            let room = self.plain_max.saturating_sub(self.plain_open.get());
            if state.connecting >= wanted.min(room) {
                return;
            }
            let Some(asker) = waiting.into_iter().nth(state.connecting) else { return };
            if state.connecting == 0 {
                state.burst_failed = false;
            }
            state.connecting += 1;
            drop(state);
            self.dial(asker);
        }
    }

    /// Opens one that is counted as being opened.
    fn dial(self: &Rc<Self>, asker: Asker) {
        let pool = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let opened = pool.dialer.open(&pool.destination).await;
            pool.state.borrow_mut().connecting -= 1;
            match opened {
                Ok(opened) => pool.add(opened),
                Err(problem) => pool.fail(problem, &asker),
            }
        });
    }

    fn add(self: &Rc<Self>, opened: Opened) {
        let mut state = self.state.borrow_mut();
        state.burst_failed = false;
        match opened {
            Opened::Framed { link, sender } => {
                state.speaks_http2 = Some(true);
                let (quiet_since, streams, uses) =
                    (Cell::new(Instant::now()), Cell::new(0), Cell::new(0));
                state.framed.push(Rc::new(Framed { link, quiet_since, sender, streams, uses }));
            }
            Opened::Plain { link, sender } => {
                state.speaks_http2 = Some(false);
                self.count_until_it_ends(&link);
                state.plain.push(Idle { link, sender, since: Instant::now() });
            }
        }
        drop(state);
        self.serve_waiting();
    }

    fn count_until_it_ends(self: &Rc<Self>, link: &Rc<Link>) {
        self.plain_open.set(self.plain_open.get() + 1);
        let (pool, link) = (Rc::downgrade(self), Rc::clone(link));
        tokio::task::spawn_local(async move {
            link.ended().await;
            drop(link);
            if let Some(pool) = pool.upgrade() {
                pool.plain_open.set(pool.plain_open.get() - 1);
                pool.serve_waiting();
            }
        });
    }

    /// Notes that the one that was opened for `asker` does not come about.
    fn fail(self: &Rc<Self>, problem: Problem, asker: &Asker) {
        let mut state = self.state.borrow_mut();
        // What says nothing about the venue is no mark against it; nor do many that fail at a time say
        // more than one.
        if !matches!(problem, Problem::AddressRefused | Problem::DnsFailed)
            && !std::mem::replace(&mut state.burst_failed, true)
        {
            self.health.borrow_mut().failed(&self.key, asker, Now::read());
        }
        // It was opened for one; but if there is none and no other is under way, nobody has anything to
        // hope for.
        let is_last =
            state.connecting == 0 && state.framed.is_empty() && self.plain_open.get() == 0;
        if let Some(waiting) = state.waiting.pop_of(asker) {
            let _ = waiting.send(Err(problem));
        }
        while is_last && let Some(waiting) = state.waiting.pop(|_| true) {
            let _ = waiting.send(Err(problem));
        }
    }

    /// Hands out what is there.
    fn serve_waiting(self: &Rc<Self>) {
        loop {
            let mut state = self.state.borrow_mut();
            state.waiting.retain(|waiting| !waiting.is_closed());
            let in_use = self.in_use(&state);
            let may = |errand| in_use < self.most_for(errand);
            let first = state.waiting.askers().find(|(_, errand)| may(*errand));
            let first = first.map(|(client, errand)| Asker { client: Rc::clone(client), errand });
            drop(state);
            let Some(first) = first else { return };
            let Some(lease) = self.take(&first) else {
                self.dial_if_needed();
                return;
            };
            // Nothing ran since the look above: whoever may go still waits. Taken out first, since a
            // lease that is dropped comes back here.
            let waiting = self.state.borrow_mut().waiting.pop(may);
            if let Some(waiting) = waiting {
                let _ = waiting.send(Ok(lease));
            }
        }
    }

    fn sweep(&self) {
        let mut state = self.state.borrow_mut();
        state.plain.retain(|idle| idle.link.is_usable() && idle.since.elapsed() < self.idle);
        state.framed.retain(|framed| {
            let is_idle =
                framed.streams.get() == 0 && framed.quiet_since.get().elapsed() >= self.idle;
            framed.link.is_usable() && !is_idle
        });
    }
}

impl Framed {
    fn has_room(&self) -> bool {
        // Beyond what the venue takes, a request would wait inside the library.
        let room = STREAMS_MAX.min(self.sender.current_max_send_streams());
        self.link.is_usable() && self.streams.get() < room && self.uses.get() < STREAM_USES_MAX
    }
}

impl Stream {
    fn begin(framed: &Rc<Framed>, pool: &Rc<Pool>) -> Self {
        framed.streams.set(framed.streams.get() + 1);
        framed.uses.set(framed.uses.get() + 1);
        if framed.uses.get() >= STREAM_USES_MAX {
            framed.link.retire();
        }
        Self { framed: Rc::clone(framed), pool: Rc::clone(pool) }
    }

    pub(crate) fn link(&self) -> &Rc<Link> {
        &self.framed.link
    }

    pub(crate) fn sender(&self) -> h2::client::SendRequest<Bytes> {
        self.framed.sender.clone()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.framed.streams.set(self.framed.streams.get() - 1);
        self.framed.quiet_since.set(Instant::now());
        self.pool.serve_waiting();
    }
}

impl Lease {
    pub(crate) fn link(&self) -> &Rc<Link> {
        match self {
            Self::Framed(stream) => stream.link(),
            Self::Plain { link, .. } => link,
        }
    }

    /// Gives a connection back whose response was read to its end.
    pub(crate) fn give_back(self) {
        // A stream is free on drop.
        let Self::Plain { link, mut sender, pool } = self else { return };
        if !link.is_usable() {
            return;
        }
        if sender.is_ready() {
            pool.put(link, sender);
        } else {
            // Its task has not seen yet that the response is over.
            tokio::task::spawn_local(async move {
                if sender.ready().await.is_ok() {
                    pool.put(link, sender);
                }
            });
        }
    }
}

impl Pool {
    fn put(self: &Rc<Self>, link: Rc<Link>, sender: http1::SendRequest<Full<Bytes>>) {
        {
            let mut state = self.state.borrow_mut();
            state.plain.push(Idle { link, sender, since: Instant::now() });
            if state.plain.len() > self.idle_max {
                // The oldest.
                state.plain.remove(0);
            }
        }
        self.serve_waiting();
    }
}
