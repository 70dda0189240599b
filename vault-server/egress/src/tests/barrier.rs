//! Barriers: written, or never.

use std::time::{Duration, Instant};

use super::bed::{Egress, HOST, Identity, Reply, Venue, get, http, post};

#[test]
fn what_is_written_delays_no_barrier_and_is_answered() {
    let identity = Identity::new(&[HOST]);
    let wait = Duration::from_secs(3);
    for venue in [
        Venue::plain(&identity, move |_, _| Reply::Wait(wait, http("200 OK", "", "{}"))),
        Venue::framed(&identity, wait),
    ] {
        let mut egress = Egress::new(&venue, &identity);
        for at in 1..=5 {
            let mut order = post(at, "/", &vec![b'x'; 20_000]);
            order.timeout_ms = 15_000;
            egress.dispatch(at, &order);
        }
        while venue.requests().len() < 5 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let begun = Instant::now();
        egress.barrier(9);
        egress.wait_for_barrier(9);
        assert!(begun.elapsed() < wait / 2, "{:?}", begun.elapsed());
        assert!((1..=5).all(|at| !egress.has_outcome(at)));
        for at in 1..=5 {
            egress.told(at).is("", true, 1);
        }
    }
}

#[test]
fn a_barrier_with_nothing_before_it_is_done_at_once() {
    let identity = Identity::new(&[HOST]);
    let venue = Venue::framed(&identity, Duration::ZERO);
    let mut egress = Egress::new(&venue, &identity);
    // The quickest of some: a machine may be busy, and what waits for something waits each time.
    let quickest = (1..=10).map(|id| {
        let begun = Instant::now();
        egress.barrier(id);
        egress.wait_for_barrier(id);
        begun.elapsed()
    });
    let quickest = quickest.min().expect("ten");
    assert!(quickest < Duration::from_millis(150), "{quickest:?}");
}

#[test]
fn what_waits_for_a_connection_is_dropped() {
    let identity = Identity::new(&[HOST]);
    // Takes connections and says nothing.
    let venue = Venue::start(|socket, _| async move {
        tokio::time::sleep(Duration::from_secs(10)).await;
        drop(socket);
    });
    let mut egress = Egress::new(&venue, &identity);
    let begun = Instant::now();
    egress.dispatch(1, &post(1, "/", b"x"));
    egress.barrier(1);
    egress.dispatch(2, &post(2, "/", b"x"));
    egress.wait_for_barrier(1);
    assert!((240..2_000).contains(&begun.elapsed().as_millis()));
    egress.told(1).is("BARRIER", false, 0);
    // What came after it still waits.
    assert!(!egress.has_outcome(2));
}

#[test]
fn what_is_half_written_is_cut() {
    let identity = Identity::new(&[HOST]);
    let venue = Venue::framed(&identity, Duration::ZERO);
    let mut egress = Egress::new(&venue, &identity);
    egress.dispatch(1, &post(1, "/unread", &vec![b'x'; 1 << 20]));
    while venue.requests().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let begun = Instant::now();
    egress.barrier(1);
    egress.wait_for_barrier(1);
    assert!(begun.elapsed() >= Duration::from_millis(240), "{:?}", begun.elapsed());
    egress.told(1).is("CONNECTION_LOST", true, 1);
}

#[test]
fn nothing_is_tried_again_after_a_barrier() {
    let identity = Identity::new(&[HOST]);
    let wait = Duration::from_millis(500);
    // Takes a request, waits and closes.
    let venue = Venue::plain(&identity, move |_, _| Reply::WaitAndClose(wait));
    let mut egress = Egress::new(&venue, &identity);
    let mut read = get(1, "/");
    read.repeatable = true;
    egress.dispatch(1, &read);
    while venue.requests().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    egress.barrier(1);
    egress.wait_for_barrier(1);
    egress.told(1).is("CONNECTION_LOST", true, 1);
    assert_eq!(venue.requests().len(), 1);
}
