//! Responses of venues: in order, too much, unread, and not at all.

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

    // Nobody waits for it any more.
    drop(response);
    assert_eq!(venues.0.bytes.load(std::sync::atomic::Ordering::Acquire), 0);
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
    for (correlation, open, bytes) in [(1, &greedy, 2500), (2, &greedy, 2600), (3, &modest, 4000)] {
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
async fn what_a_piece_and_a_head_take_beside_their_bytes_counts_too() {
    let registry = Arc::new(Registry::default());
    let open = enter(&registry, 1);
    let venues = venues(20_000, 1 << 20);
    let counted = || venues.0.bytes.load(std::sync::atomic::Ordering::Acquire);
    let slow = venues.expect(1, open.connection()).expect("not ended");
    venues.take(&head(1)).expect("in order");
    let mut pieces = 0;
    while slow.lost().is_none() {
        venues.take(&body(1, 1)).expect("in order");
        pieces += 1;
    }
    assert!(pieces < 200, "{pieces} pieces of a byte in 20,000 bytes");

    let mut full = venues.expect(2, open.connection()).expect("not ended");
    let headers = |count| VenueHead {
        status: 200,
        headers: vec![v1::Header::default(); count],
        latency_us: 0,
    };
    assert!(matches!(
        venues.take(&frame(Kind::VenueHead, 2, &headers(2_049))),
        Err(FrameError::Body)
    ));
    venues.take(&frame(Kind::VenueHead, 2, &headers(200))).expect("in order");
    full.head().await.expect("came");
    assert!(counted() > 200 * 48, "{} bytes of a head that is used", counted());
    drop((slow, full));
    assert_eq!(counted(), 0);
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
