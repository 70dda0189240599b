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
use vault_ipc::{Frame, FrameError, Kind, VenueBody, VenueEnd, VenueHead};

use crate::FrontError;
use crate::limit::Limits;
use crate::registry::Connection;
use crate::stream::Streams;

/// Bytes taken from the channel at once.
const READ_BYTES: usize = 256 << 10;

/// Longest piece of a body, in bytes.
const PIECE_BYTES_MAX: usize = 64 << 10;

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
    /// Bytes that have come and are not read yet.
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
        let response = Response { arrival, correlation, venues: self.clone() };
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
        let size = frame.body.len();
        match frame.kind {
            Kind::VenueHead => {
                let head = frame.message()?;
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
                self.arrived(frame, size, |state, place| {
                    if state.head_at.is_none() {
                        return Err(FrameError::Header);
                    }
                    if !bytes.is_empty() {
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
                let bytes: usize = arrival.state().pieces.iter().map(Bytes::len).sum();
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
            if let Some((head, _)) = state.head.take() {
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
            Some(End::Venue(end)) if end.problem.is_empty() => {
                Some(state.pieces.iter().map(|piece| piece.len() as u64).sum())
            }
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
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use prost::Message;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::UnixStream;
    use tokio::time::Instant;
    use vault_ipc::half;
    use vault_ipc::proto::v1;
    use vault_ipc::{Frame, FrameError, Kind, VenueBody, VenueEnd, VenueHead};

    use super::{CUT_AFTER, Lost, Venues};
    use crate::FrontError;
    use crate::caller::Facts;
    use crate::limit::Limits;
    use crate::registry::{Registered, Registry};

    fn enter(registry: &Arc<Registry>, serial: u8) -> Registered {
        registry.enter(Facts::for_test([serial; 16]), 1, 8).expect("below the limit")
    }

    fn venues(venue_call_bytes: usize, venue_bytes: usize) -> Venues {
        let limits = Limits { venue_bytes, venue_call_bytes, ..Limits::default() };
        let streams = crate::stream::Streams::new(&limits, Arc::default());
        Venues::new(&limits, streams)
    }

    fn frame(kind: Kind, correlation: u64, message: &impl Message) -> Frame {
        Frame { kind, correlation, body: message.encode_to_vec() }
    }

    fn head(correlation: u64) -> Frame {
        frame(Kind::VenueHead, correlation, &VenueHead { status: 200, ..Default::default() })
    }

    fn body(correlation: u64, bytes: usize) -> Frame {
        frame(Kind::VenueBody, correlation, &VenueBody { bytes: vec![7; bytes] })
    }

    fn end(correlation: u64, problem: &str) -> Frame {
        let end = VenueEnd { problem: problem.to_owned(), sent: true, retry_after_ms: 0 };
        frame(Kind::VenueEnd, correlation, &end)
    }

    /// What the channel makes of an egress that says `last` and leaves unread what it was sent.
    async fn end_with_unread(venues: &Venues, last: &[u8]) -> Result<(), FrontError> {
        let (mut ours, mut theirs) = UnixStream::pair().expect("a pair");
        ours.write_all(b"never read").await.expect("written");
        theirs.write_all(last).await.expect("written");
        drop(theirs);
        venues.run(half::inlet(ours.into_std().expect("a stream")).expect("an inlet")).await
    }

    #[tokio::test]
    async fn an_egress_that_leaves_bytes_unread_ends_in_order() {
        let registry = Arc::new(Registry::default());
        let open = enter(&registry, 1);
        let Frame { kind, correlation, body } = head(5);
        let mut bytes = Vec::new();
        let message = VenueHead::decode(body.as_slice()).expect("a head");
        vault_ipc::encode(kind, correlation, &message, &mut bytes).expect("short");

        let venues_of_one = venues(1 << 20, 1 << 20);
        let mut response = venues_of_one.expect(5, open.connection()).expect("not ended");
        end_with_unread(&venues_of_one, &bytes).await.expect("in order");
        assert_eq!(response.head().await.expect("came before").status, 200);
        assert_eq!(response.lost(), Some(Lost::sent("CONNECTION_LOST")));

        // But for an end inside a frame.
        let ended = end_with_unread(&venues(1 << 20, 1 << 20), &bytes[..18]).await;
        assert!(matches!(ended, Err(FrontError::Channel(_))), "{ended:?}");
    }

    #[tokio::test]
    async fn a_response_comes_in_pieces_and_ends() {
        let registry = Arc::new(Registry::default());
        let open = enter(&registry, 1);
        let venues = venues(1 << 20, 1 << 20);
        let mut response = venues.expect(5, open.connection()).expect("not ended");
        for frame in [head(5), body(5, 10), body(5, 0), body(5, 20)] {
            venues.take(&frame).expect("in order");
        }

        assert_eq!(response.left(), None);
        assert_eq!(response.head().await.expect("came").status, 200);
        venues.take(&end(5, "")).expect("in order");
        assert_eq!(response.left(), Some(30));
        assert_eq!(response.piece().await.expect("one").expect("whole").len(), 10);
        assert_eq!(response.piece().await.expect("two").expect("whole").len(), 20);
        assert_eq!(response.piece().await, None);
        assert_eq!(venues.0.bytes.load(std::sync::atomic::Ordering::Acquire), 0);

        // Nobody waits for it any more.
        drop(response);
        venues.take(&body(5, 10)).expect("dropped");
    }

    #[test]
    fn debug_shows_nothing_that_a_venue_said() {
        let registry = Arc::new(Registry::default());
        let open = enter(&registry, 1);
        let venues = venues(1 << 20, 1 << 20);
        let response = venues.expect(5, open.connection()).expect("not ended");
        let canary = v1::Header { name: "a".to_owned(), value: "canary".to_owned() };
        let head = VenueHead { status: 200, headers: vec![canary], latency_us: 0 };
        venues.take(&frame(Kind::VenueHead, 5, &head)).expect("in order");
        let body = VenueBody { bytes: b"canary".to_vec() };
        venues.take(&frame(Kind::VenueBody, 5, &body)).expect("in order");

        let shown = format!("{venues:?} {response:?}");
        assert!(shown.contains("piece_count: 1") && !shown.contains("canary"), "{shown}");
    }

    #[test]
    fn what_no_egress_says_is_an_error() {
        let registry = Arc::new(Registry::default());
        let open = enter(&registry, 1);
        let venues = venues(1 << 20, 1 << 20);
        let _responses: Vec<_> = (1..=4)
            .map(|correlation| venues.expect(correlation, open.connection()).expect("not ended"))
            .collect();

        let early = venues.take(&body(1, 1));
        assert!(matches!(early, Err(FrameError::Header)));
        venues.take(&head(2)).expect("in order");
        assert!(matches!(venues.take(&head(2)), Err(FrameError::Header)));
        venues.take(&end(3, "TIMEOUT")).expect("in order");
        assert!(matches!(venues.take(&end(3, "")), Err(FrameError::Header)));
        venues.take(&head(4)).expect("in order");
        assert!(matches!(venues.take(&body(4, (64 << 10) + 1)), Err(FrameError::Body)));
        for kind in [Kind::Reply, Kind::Barrier, Kind::Dispatch, Kind::Outcome, Kind::State] {
            let frame = Frame { kind, correlation: 0, body: Vec::new() };
            assert!(matches!(venues.take(&frame), Err(FrameError::Header)), "{kind:?}");
        }
    }

    #[tokio::test]
    async fn a_call_that_does_not_read_is_ended_and_others_are_not() {
        let registry = Arc::new(Registry::default());
        let open = enter(&registry, 1);
        let venues = venues(1000, 1 << 20);
        let mut slow = venues.expect(1, open.connection()).expect("not ended");
        let mut good = venues.expect(2, open.connection()).expect("not ended");
        for correlation in [1, 2] {
            venues.take(&head(correlation)).expect("in order");
            venues.take(&body(correlation, 800)).expect("in order");
        }
        assert_eq!(good.piece().await.expect("some").expect("whole").len(), 800);
        for correlation in [1, 2] {
            venues.take(&body(correlation, 800)).expect("in order");
            venues.take(&end(correlation, "")).expect("in order");
        }

        assert_eq!(slow.head().await, Err(Lost::sent("NOT_READ")));
        assert_eq!(slow.piece().await, Some(Err(Lost::sent("NOT_READ"))));
        assert_eq!(good.piece().await.expect("some").expect("whole").len(), 800);
        assert_eq!(good.piece().await, None);
    }

    #[tokio::test]
    async fn when_all_is_full_the_greediest_client_loses_its_fullest_call() {
        let registry = Arc::new(Registry::default());
        let (greedy, modest) = (enter(&registry, 1), enter(&registry, 2));
        let venues = venues(1 << 20, 10_000);
        let mut calls = Vec::new();
        for (correlation, open, bytes) in
            [(1, &greedy, 2500), (2, &greedy, 2600), (3, &modest, 4000)]
        {
            calls.push(venues.expect(correlation, open.connection()).expect("not ended"));
            venues.take(&head(correlation)).expect("in order");
            venues.take(&body(correlation, bytes)).expect("in order");
        }
        venues.take(&body(3, 2000)).expect("in order");

        let is_ended = |call: &super::Response| call.arrival.state().end.is_some();
        assert_eq!(calls.iter().map(is_ended).collect::<Vec<_>>(), [false, true, false]);

        // What a call has given out counts until it is dropped, but no call is ended for it.
        let mut held = Vec::new();
        for call in &mut calls {
            while let std::task::Poll::Ready(Some(Ok(piece))) =
                call.poll_piece(&mut std::task::Context::from_waker(std::task::Waker::noop()))
            {
                held.push(piece);
            }
        }
        venues.take(&body(1, 9000)).expect("in order");
        assert_eq!(calls.iter().map(is_ended).collect::<Vec<_>>(), [true, true, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_for_too_long_loses_the_call_and_then_the_connection() {
        let registry = Arc::new(Registry::default());
        let open = enter(&registry, 1);
        let venues = venues(1 << 20, 1 << 20);
        let response = venues.expect(1, open.connection()).expect("not ended");
        venues.take(&head(1)).expect("in order");
        venues.take(&body(1, 10)).expect("in order");
        venues.take(&end(1, "")).expect("in order");
        let read = Limits::default().venue_read;

        tokio::time::advance(read).await;
        venues.sweep(Instant::now());
        assert_eq!(response.left(), Some(10));
        tokio::time::advance(Duration::from_millis(1)).await;
        venues.sweep(Instant::now());
        assert_eq!(response.left(), None);
        assert!(!open.connection().is_cut());
        tokio::time::advance(CUT_AFTER).await;
        venues.sweep(Instant::now());
        assert!(open.connection().is_cut());
    }

    #[tokio::test]
    async fn a_connection_that_was_cut_gets_no_more() {
        let registry = Arc::new(Registry::default());
        let open = enter(&registry, 1);
        let venues = venues(1 << 20, 1 << 20);
        let mut response = venues.expect(1, open.connection()).expect("not ended");
        venues.take(&head(1)).expect("in order");
        open.connection().cut();
        venues.take(&body(1, 10)).expect("dropped");

        assert_eq!(response.piece().await, Some(Err(Lost::sent("NOT_READ"))));
    }

    #[tokio::test]
    async fn an_end_without_a_head_is_a_loss() {
        let registry = Arc::new(Registry::default());
        let open = enter(&registry, 1);
        let venues = venues(1 << 20, 1 << 20);
        for (correlation, problem, expected) in
            [(1, "TLS_FAILED", "TLS_FAILED"), (2, "", "RESPONSE_MALFORMED")]
        {
            let mut response = venues.expect(correlation, open.connection()).expect("not ended");
            venues.take(&end(correlation, problem)).expect("in order");
            assert_eq!(response.head().await, Err(Lost::sent(expected)));
        }
    }
}
