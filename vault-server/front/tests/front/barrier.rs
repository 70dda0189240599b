//! What was released before a barrier is written before it is confirmed, or never.

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::io::AsyncReadExt;
use tokio::net::TcpSocket;
use vault_front::Limits;
use vault_ipc::proto::v1;
use vault_ipc::proto::v1::sign_service_client::SignServiceClient;
use vault_ipc::{Barrier, Kind};

use crate::support::{
    Front, PATIENCE, client_config, connect, frame, handshake, released, send_sign, sign_request,
};

const SERIAL: [u8; 16] = [1; 16];

fn barrier(id: u64) -> Barrier {
    Barrier { id, cut_serials: Vec::new() }
}

/// A barrier that does not get through by itself times out the test: none is cut on a busy machine.
fn patient() -> Limits {
    Limits { barrier_drain: 10 * PATIENCE, ..Limits::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn normal_clients_get_their_answer_and_keep_their_connection() {
    let mut front = Front::start_with(patient());
    let channel = front.channel(front.bot, Some(&front.ca.client(1))).await;
    const ROUNDS: u64 = 200;

    // Below and above the size from which h2 keeps the bytes instead of copying them, above a
    // frame and above a window.
    let sizes = [1, 200, 300, 1500, 20_000, 100_000];
    let play = front.play(move |core| {
        for round in 0..ROUNDS {
            let (correlation, _) = core.next_sign();
            let size = sizes[round as usize % sizes.len()];
            let mut bytes = frame(Kind::Reply, correlation, &released(size));
            bytes.extend(frame(Kind::Barrier, 0, &barrier(round)));
            core.send_bytes(&bytes);
            core.expect_barrier_done(round);
        }
    });
    let mut client = SignServiceClient::new(channel);
    for round in 0..ROUNDS {
        let response = client.sign(sign_request("a")).await.expect("signed");
        let body = response.into_inner().request.expect("signed").body;
        assert_eq!(body.len(), sizes[round as usize % sizes.len()]);
    }
    play.end(&mut front).await;
    front.end().expect("ends in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_at_once_pass_many_barriers() {
    let mut front = Front::start_with(patient());
    let mut channels = Vec::new();
    for serial in 1..=4 {
        channels.push(front.channel(front.bot, Some(&front.ca.client(serial))).await);
    }
    const CALLS: u64 = 400;

    let play = front.play(|core| {
        let mut done = 0;
        for call in 0..CALLS {
            let frame = loop {
                let frame = core.next();
                if frame.kind == Kind::Sign {
                    break frame;
                }
                assert_eq!(frame.kind, Kind::BarrierDone);
                done += 1;
            };
            core.send(Kind::Reply, frame.correlation, &released(400));
            // Also several that overlap.
            if call % 3 == 0 {
                core.barrier(call, &[]);
            }
        }
        while done < CALLS.div_ceil(3) {
            assert_eq!(core.next().kind, Kind::BarrierDone);
            done += 1;
        }
    });
    let calls = (0..CALLS).map(|call| {
        let channel = channels[call as usize % channels.len()].clone();
        tokio::spawn(async move {
            SignServiceClient::new(channel).sign(sign_request("a")).await.expect("signed");
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.expect("no call is lost");
    }
    play.end(&mut front).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_right_after_a_barrier_loses_no_answer_before_it() {
    const CALLS: usize = 32;
    for size in [100, 1000, 60_000] {
        let mut front =
            Front::start_with(Limits { barrier_drain: 10 * PATIENCE, ..Limits::default() });
        let channel = front.channel(front.bot, Some(&front.ca.client(1))).await;
        let play = front.play(move |core| {
            let mut bytes = Vec::new();
            for _ in 0..CALLS {
                let (correlation, _) = core.next_sign();
                bytes.extend(frame(Kind::Reply, correlation, &released(size)));
            }
            bytes.extend(frame(Kind::Barrier, 0, &barrier(1)));
            core.send_bytes(&bytes);
            core.expect_barrier_done(1);
            core.hang_up();
        });
        let calls: Vec<_> = (0..CALLS)
            .map(|_| {
                let mut client = SignServiceClient::new(channel.clone());
                tokio::spawn(async move { client.sign(sign_request("a")).await })
            })
            .collect();
        play.end(&mut front).await;
        // The front and all its buffers are gone, from the moment of the confirmation on.
        front.end().expect("ends in order");
        for call in calls {
            let response = call.await.expect("no panic").expect("was on its way");
            let body = response.into_inner().request.expect("signed").body;
            assert_eq!(body.len(), size);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_opens_no_window_is_cut() {
    let mut front = Front::start();
    let config = client_config(&front.ca.der(), Some(&front.ca.client(1)));
    let stream = connect(front.bot, config, &[]).await.expect("a handshake");
    let (mut send, connection) = h2::client::Builder::new()
        .initial_window_size(0)
        .handshake::<_, Bytes>(stream)
        .await
        .expect("h2");
    let connection = tokio::spawn(connection);
    let other = front.channel(front.bot, Some(&front.ca.client(2))).await;

    let response = send_sign(&mut send, None).await;
    let core = front.core();
    let (correlation, _) = core.next_sign();
    core.send(Kind::Reply, correlation, &released(300));
    core.barrier(1, &[]);
    core.expect_barrier_done(1);

    // Headers may have come; opening the window brings nothing any more.
    if let Ok(response) = tokio::time::timeout(PATIENCE, response).await.expect("in time") {
        let mut body = response.into_body();
        let _ = body.flow_control().release_capacity(0);
        let data = tokio::time::timeout(PATIENCE, body.data()).await.expect("in time");
        assert!(!matches!(data, Some(Ok(_))), "{data:?}");
    }
    let ended = tokio::time::timeout(PATIENCE, connection).await.expect("cut");
    assert!(ended.expect("no panic").is_err());

    let play = front.play(|core| {
        let (correlation, _) = core.next_sign();
        core.send(Kind::Reply, correlation, &released(1));
    });
    SignServiceClient::new(other).sign(sign_request("b")).await.expect("others are not touched");
    play.end(&mut front).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_reads_nothing_is_cut() {
    let mut front = Front::start();
    let config = client_config(&front.ca.der(), Some(&front.ca.client(1)));
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let tcp = socket.connect(front.bot).await.expect("accepted");
    let stream = handshake(tcp, config).await.expect("a handshake");
    let (mut send, connection) = h2::client::Builder::new()
        .initial_window_size(16 << 20)
        .initial_connection_window_size(64 << 20)
        .handshake::<_, Bytes>(stream)
        .await
        .expect("h2");
    let mut connection = Box::pin(connection);

    // More than all buffers between: the windows are open, the socket is not read.
    const CALLS: usize = 16;
    let mut calls = Vec::new();
    {
        let sending = async {
            for _ in 0..CALLS {
                calls.push(send_sign(&mut send, None).await);
            }
        };
        let mut sending = Box::pin(sending);
        tokio::select! {
            () = &mut sending => {}
            ended = &mut connection => panic!("ended: {ended:?}"),
        }
    }
    let (stopped_reading, may_answer) = std::sync::mpsc::channel();
    let play = front.play(move |core| {
        let mut correlations = Vec::new();
        while correlations.len() < CALLS {
            correlations.push(core.next_sign().0);
        }
        may_answer.recv().expect("the client stops reading");
        for correlation in correlations {
            core.send(Kind::Reply, correlation, &released(1 << 20));
        }
        core.barrier(1, &[]);
        core.expect_barrier_done(1);
    });
    // The requests must leave; then nothing is read until the barrier is confirmed.
    let mut play = Box::pin(play.end(&mut front));
    let sent = tokio::time::timeout(Duration::from_millis(50), &mut connection).await;
    assert!(sent.is_err(), "ended early: {sent:?}");
    stopped_reading.send(()).expect("the core waits");
    play.as_mut().await;

    let ended = tokio::time::timeout(PATIENCE, connection).await.expect("cut");
    assert!(ended.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_ends_idle_connections_and_withholds_what_comes_after() {
    let mut front = Front::start();
    let revoked = front.ca.client(1);
    let config = client_config(&front.ca.der(), Some(&revoked));
    let (mut idle_send, idle) =
        h2::client::handshake(connect(front.bot, config, &[]).await.expect("a handshake"))
            .await
            .expect("h2");
    let idle: tokio::task::JoinHandle<_> = tokio::spawn(idle);
    poll_fn(|cx| idle_send.poll_ready(cx)).await.expect("ready");
    let _: &SendRequest<Bytes> = &idle_send;
    let channel = front.channel(front.bot, Some(&revoked)).await;
    let other = front.channel(front.bot, Some(&front.ca.client(2))).await;

    let (first_came, first_is_there) = tokio::sync::oneshot::channel();
    let play = front.play(move |core| {
        let (correlation, call) = core.next_sign();
        assert_eq!(call.caller.serial, SERIAL);
        first_came.send(()).expect("the other call waits");
        let (other_correlation, _) = core.next_sign();
        core.barrier(1, &[SERIAL]);
        core.send(Kind::Reply, correlation, &released(300));
        core.send(Kind::Reply, other_correlation, &released(300));
        core.expect_barrier_done(1);
    });
    let mut client = SignServiceClient::new(channel);
    let call = tokio::spawn(async move { client.sign(sign_request("a")).await });
    // In this order at the core.
    first_is_there.await.expect("the first call");
    let other_call =
        tokio::spawn(async move { SignServiceClient::new(other).sign(sign_request("b")).await });

    call.await.expect("no panic").expect_err("withheld");
    other_call.await.expect("no panic").expect("others are not touched");
    play.end(&mut front).await;
    tokio::time::timeout(PATIENCE, idle)
        .await
        .expect("the idle connection ends")
        .expect("no panic")
        .ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_connection_reads_as_ended() {
    let mut front = Front::start();
    let config = client_config(&front.ca.der(), Some(&front.ca.client(1)));
    let mut stream = connect(front.bot, config, &[]).await.expect("a handshake");
    // The front speaks first: its settings are here when it has entered the connection.
    let mut first = [0; 9];
    stream.read_exact(&mut first).await.expect("settings");

    front.core().barrier(1, &[SERIAL]);
    front.core().expect_barrier_done(1);
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    // No close_notify: nothing at all is written after a cut.
    assert!(ended.expect("ended").is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_was_dropped_delays_no_barrier() {
    let mut front = Front::start_with(Limits {
        // A barrier that waits for the dropped call would time out the test.
        barrier_drain: 10 * PATIENCE,
        ..Limits::default()
    });
    let channel = front.channel(front.bot, Some(&front.ca.client(1))).await;
    let mut client = SignServiceClient::new(channel.clone());
    let call = tokio::spawn(async move { client.sign(sign_request("a")).await });
    let (dropped, _) = front.core().next_sign();
    call.abort();
    let _ = call.await;

    // The reset is on the same connection before this call, so the front has seen it then.
    let play = front.play(move |core| {
        let two = [core.next(), core.next()];
        let of = |kind| two.iter().find(|frame| frame.kind == kind).map(|frame| frame.correlation);
        assert_eq!(of(Kind::Forget), Some(dropped));
        let correlation = of(Kind::Sign).expect("the other call");
        core.send(Kind::Reply, dropped, &released(300));
        core.barrier(1, &[]);
        core.expect_barrier_done(1);
        core.send(Kind::Reply, correlation, &released(300));
    });
    SignServiceClient::new(channel).sign(sign_request("b")).await.expect("the connection lives on");
    play.end(&mut front).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_barrier_waits_for_no_call_that_is_unanswered() {
    let mut front = Front::start_with(Limits { barrier_drain: 10 * PATIENCE, ..Limits::default() });
    let channel = front.channel(front.bot, Some(&front.ca.client(1))).await;
    let play = front.play(|core| {
        let (correlation, _) = core.next_sign();
        core.barrier(1, &[]);
        core.expect_barrier_done(1);
        core.send(Kind::Reply, correlation, &released(300));
    });
    let response: v1::SignResponse =
        SignServiceClient::new(channel).sign(sign_request("a")).await.expect("signed").into_inner();
    assert_eq!(response.seq, 7);
    play.end(&mut front).await;
}
