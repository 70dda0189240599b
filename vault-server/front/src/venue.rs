//! The channel from the egress: responses of venues, on their way to the calls that wait for them.
//!
//! The channel is never made to wait, or one client that does not read would stop all. What has come
//! and is not read yet is counted; when there is too much of it, a call ends: its own if it has too
//! much, else the fullest of the client that has the most.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use tokio::time::Instant;
use vault_ipc::half::{Frames, Inlet};
use vault_ipc::proto::v1;
use vault_ipc::{Frame, FrameError, Kind, VenueBody, VenueEnd, VenueHead};

use crate::FrontError;
use crate::limit::Limits;
use crate::registry::Connection;
use crate::stream::Streams;

/// Bytes taken from the channel at once.
const READ_BYTES: usize = 256 << 10;

/// Longest piece of a body, in bytes.
const PIECE_BYTES_MAX: usize = 64 << 10;

/// What a piece takes beside its bytes, of which there may be one.
const PIECE_OVERHEAD: usize = 128;

/// As many as an HTTP/2 list of 64 KiB can have.
const HEADERS_MAX: usize = 2_048;

/// How often clients are looked at that do not read.
const SWEEP: Duration = Duration::from_secs(1);

/// How long after its call was ended a client may take to notice before its connection is cut.
const CUT_AFTER: Duration = Duration::from_secs(10);

/// A handle on the responses.
#[derive(Clone, Debug)]
pub(crate) struct Venues(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    arrivals: Mutex<HashMap<u64, Arc<Arrival>>>,
    /// Bytes that have come and are not read yet, with what they take, and those of heads whose calls last.
    bytes: Arc<AtomicUsize>,
    bytes_max: usize,
    call_bytes_max: usize,
    ended: AtomicBool,
    read: Duration,
    streams: Streams,
}

/// What has come for one call.
#[derive(Debug)]
struct Arrival {
    /// As [`Shared::bytes`], of this call.
    bytes: Arc<AtomicUsize>,
    connection: Arc<Connection>,
    state: Mutex<State>,
    task: AtomicWaker,
}

#[derive(Default)]
struct State {
    end: Option<End>,
    /// Waits to be taken, with the place of its bytes.
    head: Option<(VenueHead, Place)>,
    /// When the head came.
    head_at: Option<Instant>,
    pieces: VecDeque<Bytes>,
    /// Of all of them.
    pieces_bytes: usize,
}

impl fmt::Debug for State {
    /// Shows no headers and no piece: they are the venue's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("end", &self.end)
            .field("head_at", &self.head_at)
            .field("piece_count", &self.pieces.len())
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Debug)]
enum End {
    /// The client did not read.
    Unread,
    /// As the egress says.
    Venue(VenueEnd),
}

/// Why no more of a response will come.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Lost {
    /// `A-Z0-9_`.
    pub(crate) problem: String,
    /// When to ask the venue again; 0 if that is not known.
    pub(crate) retry_after_ms: u64,
    /// Whether a byte of the request may have reached the venue.
    pub(crate) sent: bool,
}

impl Lost {
    /// The loss of a response to a request that was sent.
    pub(crate) fn sent(problem: &str) -> Self {
        Self { problem: problem.to_owned(), retry_after_ms: 0, sent: true }
    }
}

/// One call's end of it. Dropped, the rest of the response is dropped as it comes.
pub(crate) struct Response {
    arrival: Arc<Arrival>,
    correlation: u64,
    /// Of the head, which lasts as long as the call.
    head_place: Option<Place>,
    venues: Venues,
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response").field("correlation", &self.correlation).finish_non_exhaustive()
    }
}

/// Bytes that count until they are dropped.
#[derive(Debug)]
struct Place {
    count: usize,
    counters: [Arc<AtomicUsize>; 2],
}

struct Piece {
    bytes: Vec<u8>,
    _place: Place,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for counter in &self.counters {
            counter.fetch_sub(self.count, Ordering::AcqRel);
        }
    }
}

impl Venues {
    pub(crate) fn new(limits: &Limits, streams: Streams) -> Self {
        Self(Arc::new(Shared {
            arrivals: Mutex::default(),
            bytes: Arc::default(),
            bytes_max: limits.venue_bytes,
            call_bytes_max: limits.venue_call_bytes,
            ended: AtomicBool::new(false),
            read: limits.venue_read,
            streams,
        }))
    }

    /// Waits for the response to a call from now on; `None` if the egress is gone.
    pub(crate) fn expect(
        &self,
        correlation: u64,
        connection: &Arc<Connection>,
    ) -> Option<Response> {
        let arrival = Arc::new(Arrival {
            bytes: Arc::default(),
            connection: Arc::clone(connection),
            state: Mutex::default(),
            task: AtomicWaker::new(),
        });
        self.arrivals().insert(correlation, Arc::clone(&arrival));
        let response = Response { arrival, correlation, head_place: None, venues: self.clone() };
        // After the entry: whoever ends the channel sees one or the other.
        (!self.0.ended.load(Ordering::Acquire)).then_some(response)
    }

    /// Serves the channel until it ends, and tells those who wait then that nothing will come.
    ///
    /// # Errors
    ///
    /// [`FrontError::Channel`] if it breaks or says what no egress says.
    pub(crate) async fn run(&self, stream: Inlet) -> Result<(), FrontError> {
        let ended = self.read(stream).await;
        self.0.ended.store(true, Ordering::Release);
        for arrival in self.arrivals().values() {
            arrival.end(End::Venue(VenueEnd {
                problem: "CONNECTION_LOST".to_owned(),
                sent: true,
                retry_after_ms: 0,
            }));
        }
        self.0.streams.lost();
        ended
    }

    async fn read(&self, stream: Inlet) -> Result<(), FrontError> {
        let mut frames = Frames::new(stream, READ_BYTES);
        let mut sweep = tokio::time::interval(SWEEP);
        loop {
            tokio::select! {
                frame = frames.next() => match frame? {
                    Some(frame) => self.take(&frame)?,
                    None => return Ok(()),
                },
                now = sweep.tick() => self.sweep(now),
            }
        }
    }

    fn take(&self, frame: &Frame) -> Result<(), FrameError> {
        match frame.kind {
            Kind::VenueHead => {
                let head: VenueHead = frame.message()?;
                if head.headers.len() > HEADERS_MAX {
                    return Err(FrameError::Body);
                }
                let size = frame.body.len() + head.headers.len() * size_of::<v1::Header>();
                self.arrived(frame, size, |state, place| {
                    if state.head_at.is_some() {
                        return Err(FrameError::Header);
                    }
                    state.head_at = Some(Instant::now());
                    state.head = Some((head, place));
                    Ok(())
                })
            }
            Kind::VenueBody => {
                let VenueBody { bytes } = frame.message()?;
                if bytes.len() > PIECE_BYTES_MAX {
                    return Err(FrameError::Body);
                }
                self.arrived(frame, bytes.len() + PIECE_OVERHEAD, |state, place| {
                    if state.head_at.is_none() {
                        return Err(FrameError::Header);
                    }
                    if !bytes.is_empty() {
                        state.pieces_bytes += bytes.len();
                        state.pieces.push_back(Bytes::from_owner(Piece { bytes, _place: place }));
                    }
                    Ok(())
                })
            }
            Kind::VenueEnd => {
                let end: VenueEnd = frame.message()?;
                self.arrived(frame, 0, |state, _| {
                    state.end = Some(End::Venue(end));
                    Ok(())
                })
            }
            Kind::StreamEnd | Kind::StreamMessage | Kind::StreamReady => {
                self.0.streams.take_of_egress(frame)
            }
            // No egress says it.
            _ => Err(FrameError::Header),
        }
    }

    /// Hands `size` bytes of a frame to the call that waits for them, if there is one and they may
    /// lie there.
    fn arrived(
        &self,
        frame: &Frame,
        size: usize,
        put: impl FnOnce(&mut State, Place) -> Result<(), FrameError>,
    ) -> Result<(), FrameError> {
        let Some(arrival) = self.arrivals().get(&frame.correlation).map(Arc::clone) else {
            // The client is gone.
            return Ok(());
        };
        match arrival.state().end {
            None => {}
            Some(End::Unread) => return Ok(()),
            Some(End::Venue(_)) => return Err(FrameError::Header),
        }
        if arrival.connection.is_cut() {
            arrival.end(End::Unread);
            return Ok(());
        }
        if arrival.bytes.load(Ordering::Acquire) + size > self.0.call_bytes_max {
            arrival.end(End::Unread);
            return Ok(());
        }
        while self.0.bytes.load(Ordering::Acquire) + size > self.0.bytes_max {
            match self.fullest() {
                Some(fullest) if !Arc::ptr_eq(&fullest, &arrival) => fullest.end(End::Unread),
                _ => {
                    arrival.end(End::Unread);
                    return Ok(());
                }
            }
        }
        let counters = [Arc::clone(&arrival.bytes), Arc::clone(&self.0.bytes)];
        for counter in &counters {
            counter.fetch_add(size, Ordering::AcqRel);
        }
        put(&mut arrival.state(), Place { count: size, counters })?;
        arrival.task.wake();
        Ok(())
    }

    /// The call with the most bytes of the client with the most. Only what lies here counts: the end
    /// of a call frees that at once, and what hyper has of it later.
    fn fullest(&self) -> Option<Arc<Arrival>> {
        let arrivals = self.arrivals();
        let full = || {
            arrivals.values().filter_map(|arrival| {
                let state = arrival.state();
                let bytes = state.pieces_bytes + state.pieces.len() * PIECE_OVERHEAD;
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

    /// Ends the calls whose clients have had their time to read, and cuts the connections of those
    /// that do not even notice: hyper polls nothing while the socket is full.
    fn sweep(&self, now: Instant) {
        for arrival in self.arrivals().values() {
            let Some(head_at) = arrival.state().head_at else {
                continue;
            };
            let age = now.saturating_duration_since(head_at);
            if age > self.0.read + CUT_AFTER {
                tracing::info!(
                    peer = %arrival.connection.facts().address(),
                    "connection cut: a response is not read"
                );
                arrival.connection.cut();
            } else if age > self.0.read {
                arrival.end(End::Unread);
            }
        }
    }

    fn arrivals(&self) -> MutexGuard<'_, HashMap<u64, Arc<Arrival>>> {
        self.0.arrivals.lock().expect("no panic while locked")
    }
}

impl Arrival {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while locked")
    }

    /// Ends it, unless it has ended; what the client did not read is dropped with its call.
    fn end(&self, end: End) {
        let mut state = self.state();
        let is_unread = matches!(end, End::Unread);
        if is_unread || state.end.is_none() {
            state.end = Some(end);
        }
        if is_unread {
            state.head = None;
            state.pieces = VecDeque::new();
            state.pieces_bytes = 0;
        }
        drop(state);
        self.task.wake();
    }
}

impl Response {
    /// Waits for the head.
    ///
    /// # Errors
    ///
    /// [`Lost`] if none will come.
    pub(crate) async fn head(&mut self) -> Result<VenueHead, Lost> {
        poll_fn(|cx| {
            self.arrival.task.register(cx.waker());
            let mut state = self.arrival.state();
            if let Some((head, place)) = state.head.take() {
                self.head_place = Some(place);
                return Poll::Ready(Ok(head));
            }
            match &state.end {
                None => Poll::Pending,
                Some(end) => Poll::Ready(Err(end.lost())),
            }
        })
        .await
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    ///
    /// [`Lost`] if the rest will not come.
    pub(crate) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Lost>>> {
        self.arrival.task.register(cx.waker());
        let mut state = self.arrival.state();
        if let Some(piece) = state.pieces.pop_front() {
            state.pieces_bytes -= piece.len();
            return Poll::Ready(Some(Ok(piece)));
        }
        match &state.end {
            None => Poll::Pending,
            Some(End::Venue(end)) if end.problem.is_empty() => Poll::Ready(None),
            Some(end) => Poll::Ready(Some(Err(end.lost()))),
        }
    }

    /// As [`Response::poll_piece`], to be awaited.
    pub(crate) async fn piece(&mut self) -> Option<Result<Bytes, Lost>> {
        poll_fn(|cx| self.poll_piece(cx)).await
    }

    /// Why the body will not come whole, if that is known already.
    pub(crate) fn lost(&self) -> Option<Lost> {
        match &self.arrival.state().end {
            None => None,
            Some(End::Venue(end)) if end.problem.is_empty() => None,
            Some(end) => Some(end.lost()),
        }
    }

    /// How many bytes of the body are left; `None` as long as that is not known.
    pub(crate) fn left(&self) -> Option<u64> {
        let state = self.arrival.state();
        match &state.end {
            Some(End::Venue(end)) if end.problem.is_empty() => Some(state.pieces_bytes as u64),
            _ => None,
        }
    }
}

impl Drop for Response {
    fn drop(&mut self) {
        self.venues.arrivals().remove(&self.correlation);
        let unread = mem::take(&mut self.arrival.state().pieces);
        drop(unread);
    }
}

impl End {
    fn lost(&self) -> Lost {
        match self {
            Self::Unread => Lost::sent("NOT_READ"),
            Self::Venue(end) => Lost {
                problem: match end.problem.as_str() {
                    // An end in order where there is no head.
                    "" => "RESPONSE_MALFORMED".to_owned(),
                    problem => problem.to_owned(),
                },
                retry_after_ms: end.retry_after_ms,
                sent: end.sent,
            },
        }
    }
}

#[cfg(test)]
mod tests;
