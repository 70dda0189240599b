//! Calls of which the rest is awaited: of one connection they take so much memory and no more.

use std::future::poll_fn;

use bytes::Bytes;
use futures_util::FutureExt;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, SendStream};
use http::Request;
use http::request::Builder;
use prost::Message;
use tokio::time::Instant;
use vault_front::Limits;
use vault_ipc::Kind;

use crate::support::{Front, PATIENCE, client_config, connect, released, sign_request};

/// A connection may have so many bytes of calls that have not come whole.
const ROOM_BYTES: usize = 1 << 20;
/// Of one of them: one frame.
const CALL_BYTES: usize = 16_000;
/// So many fit, with their heads, and not one more.
const FIT: usize = ROOM_BYTES / CALL_BYTES;

/// A call that waits for the rest of its body.
type Half = (ResponseFuture, SendStream<Bytes>);

/// A front in which no call's time is over.
fn patient() -> Front {
    let mut limits = Limits::default();
    limits.bot.call = 4 * PATIENCE;
    limits.bot.execute = 4 * PATIENCE;
    Front::start_with(limits)
}

async fn dial(front: &Front) -> SendRequest<Bytes> {
    let config = client_config(&front.ca.der(), Some(&front.ca.client(1)));
    let stream = connect(front.bot, config, &[]).await.expect("a handshake");
    let (send, connection) = h2::client::handshake(stream).await.expect("h2");
    tokio::spawn(connection);
    send
}

async fn begin(send: &mut SendRequest<Bytes>, head: Builder, come: &[u8]) -> Half {
    let request = head.body(()).expect("a request");
    poll_fn(|cx| send.poll_ready(cx)).await.expect("served");
    let (response, mut body) = send.send_request(request, false).expect("sent");
    // A front that refuses what the head says has ended the stream already; the response tells.
    let _ = body.send_data(Bytes::copy_from_slice(come), false);
    (response, body)
}

fn grpc(method: &str) -> Builder {
    Request::post(format!("http://vault.test/vault.v1.{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
}

fn prefixed(message_bytes: usize) -> Vec<u8> {
    let length = u32::try_from(message_bytes).expect("short").to_be_bytes();
    [&[0][..], &length].concat()
}

/// A Sign in two frames: handled behind all calls that came before, and answered when they are.
async fn sign(front: &mut Front, send: &mut SendRequest<Bytes>) {
    let message = sign_request("behind").encode_to_vec();
    let whole = [prefixed(message.len()), message].concat();
    let (response, mut body) = begin(send, grpc("SignService/Sign"), &whole[..20]).await;
    body.send_data(Bytes::copy_from_slice(&whole[20..]), true).expect("sent");
    let (correlation, _) = front.core().next_sign();
    front.core().send(Kind::Reply, correlation, &released(10));
    let response = response.await.expect("answered");
    assert!(!response.headers().contains_key("grpc-status"), "signed");
}

/// Begins calls until as many wait as fit: what was taken back before may not be gone yet.
async fn fill(
    front: &mut Front,
    send: &mut SendRequest<Bytes>,
    head: impl Fn() -> Builder,
    come: &[u8],
) -> Vec<Half> {
    let begun = Instant::now();
    let mut waiting = Vec::new();
    while waiting.len() < FIT {
        assert!(begun.elapsed() < PATIENCE, "room for {} and no more", waiting.len());
        while waiting.len() < FIT {
            waiting.push(begin(send, head(), come).await);
        }
        sign(front, send).await;
        waiting.retain_mut(|(response, _)| response.now_or_never().is_none());
    }
    waiting
}

async fn is_refused((response, _body): Half) {
    let response = tokio::time::timeout(PATIENCE, response).await.expect("one more than fit");
    let response = response.expect("a response");
    let status = response.headers().get("grpc-status").map(|status| status.as_bytes());
    assert!(status == Some(b"8") || response.status() == 503, "{response:?}");
}

/// One is too many, again and again: after those that waited were taken back.
async fn one_is_too_many(head: impl Fn() -> Builder, come: &[u8]) {
    let mut front = patient();
    let mut send = dial(&front).await;
    for _ in 0..3 {
        let waiting = fill(&mut front, &mut send, &head, come).await;
        is_refused(begin(&mut send, head(), come).await).await;
        for (_, mut body) in waiting {
            body.send_reset(Reason::CANCEL);
        }
        // Behind what they leave: until then they count among the calls that a connection may have.
        sign(&mut front, &mut send).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signs_that_have_not_come_whole_have_so_much_room() {
    one_is_too_many(|| grpc("SignService/Sign"), &prefixed(CALL_BYTES)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signs_that_have_not_come_to_their_end_have_so_much_room() {
    let whole = [prefixed(CALL_BYTES), vec![0; CALL_BYTES]].concat();
    one_is_too_many(|| grpc("SignService/Sign"), &whole).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_calls_that_have_not_come_whole_have_so_much_room() {
    one_is_too_many(|| grpc("ExecuteService/Execute"), &prefixed(CALL_BYTES)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_through_the_proxy_that_have_not_come_whole_have_so_much_room() {
    let head = || Request::post("http://vault.test/https://www.okx.com/api/v5/trade/order");
    one_is_too_many(head, &[b' '; CALL_BYTES]).await;
    let stated = || head().header("content-length", CALL_BYTES);
    one_is_too_many(stated, b"{").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_of_calls_that_have_not_come_whole_have_so_much_room() {
    // Beside it there are two short headers.
    let long = "x".repeat(CALL_BYTES / 2 - 200);
    let head = || grpc("ExecuteService/Execute").header("x-long", &long);
    one_is_too_many(head, &prefixed(CALL_BYTES / 2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_ends_a_call_has_its_room_again() {
    let mut front = patient();
    let mut send = dial(&front).await;
    let head = || grpc("SignService/Sign");
    let mut waiting = fill(&mut front, &mut send, head, &prefixed(CALL_BYTES)).await;
    // No request: it is refused for what it is.
    let (response, mut body) = waiting.remove(0);
    body.send_data(vec![0xff; CALL_BYTES].into(), true).expect("sent");
    let response = response.await.expect("answered");
    assert_eq!(response.headers()["grpc-status"], "13");

    let (mut response, _body) = begin(&mut send, head(), &prefixed(CALL_BYTES)).await;
    sign(&mut front, &mut send).await;
    assert!((&mut response).now_or_never().is_none(), "it has the room");
    is_refused(begin(&mut send, head(), &prefixed(CALL_BYTES)).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_have_room_of_their_own() {
    let mut front = patient();
    let (mut first, mut second) = (dial(&front).await, dial(&front).await);
    let head = || grpc("SignService/Sign");
    // Kept to the end: they take nothing from the other.
    let _of_first = fill(&mut front, &mut first, head, &prefixed(CALL_BYTES)).await;
    let _of_second = fill(&mut front, &mut second, head, &prefixed(CALL_BYTES)).await;
    is_refused(begin(&mut first, head(), &prefixed(CALL_BYTES)).await).await;
}
