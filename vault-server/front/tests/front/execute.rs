//! Requests that the vault sends: core and egress answer, the front puts their answers together.

use std::time::Duration;

use bytes::Bytes;
use tonic::{Code, Status, Streaming};
use tonic_types::{ErrorInfo, StatusExt};
use vault_front::{FrontError, Limits};
use vault_ipc::proto::v1;
use vault_ipc::proto::v1::execute_service_client::ExecuteServiceClient;
use vault_ipc::proto::v1::execute_stream_response::Part;
use vault_ipc::{ExecuteCall, Failure, Kind, Listener, VenueEnd};

use crate::support::{
    Front, PATIENCE, client_config, connect, execute_request, executed, failed, frame, head, lost,
};

fn info(status: &Status) -> ErrorInfo {
    status.get_error_details().error_info().expect("details").clone()
}

/// The pieces of a stream's body, and how it ends.
async fn rest(stream: &mut Streaming<v1::ExecuteStreamResponse>) -> (Vec<u8>, Result<(), Status>) {
    let mut body = Vec::new();
    loop {
        match stream.message().await {
            Ok(Some(message)) => match message.part {
                Some(Part::Body(piece)) => body.extend_from_slice(&piece),
                other => panic!("not a piece: {other:?}"),
            },
            Ok(None) => return (body, Ok(())),
            Err(status) => return (body, Err(status)),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_execute_is_answered_by_core_and_venue_in_either_order() {
    let mut front = Front::start();
    let channel = front.channel(front.bot, Some(&front.ca.client(7))).await;
    for is_venue_first in [false, true] {
        let mut egress = front.egress();
        let play = front.play(move |core| {
            let (correlation, call) = core.next_execute();
            if !is_venue_first {
                core.send(Kind::Reply, correlation, &executed(41));
            }
            let head = head(418, &[("x-mbx-used-weight-1m", "5")]);
            egress.respond(correlation, &head, b"{\"orderId\":1}");
            if is_venue_first {
                std::thread::sleep(Duration::from_millis(50));
                core.send(Kind::Reply, correlation, &executed(41));
            }
            call
        });
        let response = ExecuteServiceClient::new(channel.clone())
            .execute(execute_request("order-1"))
            .await
            .expect("executed")
            .into_inner();
        let ExecuteCall { caller, request, deadline_us, .. } = play.end(&mut front).await;

        assert_eq!(response.status, 418);
        assert_eq!(response.body, b"{\"orderId\":1}");
        assert_eq!(response.headers[0].name, "x-mbx-used-weight-1m");
        assert_eq!(response.latency_us, 1234);
        let execution = response.execution.expect("said");
        assert_eq!((execution.seq, execution.receipt.expect("logged").index), (9, 41));
        assert_eq!(request, execute_request("order-1"));
        assert_eq!((&caller.serial[..], caller.listener()), (&[7; 16][..], Listener::Bot));
        // Longer than other calls may take.
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .expect("after 1970")
            .as_micros();
        let left = deadline_us - i64::try_from(now).expect("before 294000");
        assert!((20_000_000..=35_000_000).contains(&left), "{left}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_of_the_core_ends_the_call_and_what_a_venue_says_of_it_is_dropped() {
    let mut front = Front::start();
    let mut egress = front.egress();
    let channel = front.channel(front.bot, Some(&front.ca.client(1))).await;
    let play = front.play(move |core| {
        let (correlation, _) = core.next_execute();
        let failure = Failure {
            entry_index: Some(5),
            ..Failure::new(vault_ipc::Code::Denied, "SYMBOL_NOT_GRANTED", "denied by policy")
        };
        core.send(Kind::Reply, correlation, &failed(failure));
        correlation
    });
    let mut client = ExecuteServiceClient::new(channel);
    let status = client.execute(execute_request("a")).await.expect_err("denied");
    let denied = play.end(&mut front).await;
    assert_eq!(status.code(), Code::PermissionDenied);
    assert_eq!(info(&status).metadata["entry_index"], "5");

    // In whatever order: nobody waits for it, so nothing of it is wrong.
    egress.body(denied, b"late");
    egress.head(denied, &head(200, &[]));
    egress.end(denied, &VenueEnd::default());
    egress.end(denied, &VenueEnd::default());
    let play = front.play(move |core| {
        let (correlation, _) = core.next_execute();
        core.send(Kind::Reply, correlation, &executed(6));
        egress.respond(correlation, &head(200, &[]), b"ok");
    });
    client.execute(execute_request("b")).await.expect("the front lives on");
    play.end(&mut front).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_gets_no_response_learns_whether_anything_was_sent() {
    let mut front = Front::start();
    let channel = front.channel(front.bot, Some(&front.ca.client(1))).await;
    let mut client = ExecuteServiceClient::new(channel);
    let retry = VenueEnd { retry_after_ms: 2500, ..lost("VENUE_PAUSED", false) };
    for (end, code, reason) in [
        (lost("CONNECT_FAILED", false), Code::Unavailable, "NOT_SENT"),
        (retry, Code::ResourceExhausted, "NOT_SENT"),
        (lost("CONNECTION_LOST", true), Code::FailedPrecondition, "OUTCOME_UNKNOWN"),
        (lost("TIMEOUT", true), Code::FailedPrecondition, "OUTCOME_UNKNOWN"),
        // No head and no problem: an egress that errs.
        (lost("", true), Code::FailedPrecondition, "OUTCOME_UNKNOWN"),
    ] {
        for is_venue_first in [false, true] {
            let mut egress = front.egress();
            let sent = end.clone();
            let play = front.play(move |core| {
                let (correlation, _) = core.next_execute();
                if is_venue_first {
                    egress.end(correlation, &sent);
                    std::thread::sleep(Duration::from_millis(20));
                }
                core.send(Kind::Reply, correlation, &executed(77));
                if !is_venue_first {
                    egress.end(correlation, &sent);
                }
            });
            let status = client.execute(execute_request("a")).await.expect_err("lost");
            play.end(&mut front).await;
            assert_eq!(status.code(), code, "{end:?}");
            let info = info(&status);
            assert_eq!(info.reason, reason, "{end:?}");
            assert_eq!(info.metadata["entry_index"], "77");
            assert!(status.message().contains(&end.problem), "{}", status.message());
            if end.retry_after_ms > 0 {
                assert_eq!(info.metadata["retry_after_ms"], "2500");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_too_long_or_cut_is_no_answer_but_what_was_sent_is_said() {
    let mut front = Front::start();
    let channel = front.channel(front.bot, Some(&front.ca.client(1))).await;
    let mut client = ExecuteServiceClient::new(channel);
    for (bytes, expected) in [(1 << 20, true), ((1 << 20) + 1, false)] {
        let mut egress = front.egress();
        let play = front.play(move |core| {
            let (correlation, _) = core.next_execute();
            core.send(Kind::Reply, correlation, &executed(3));
            egress.respond(correlation, &head(200, &[]), &vec![b'x'; bytes]);
        });
        let answered = client.execute(execute_request("a")).await;
        play.end(&mut front).await;
        assert_eq!(answered.is_ok(), expected, "{bytes}");
        if let Err(status) = answered {
            assert_eq!(status.code(), Code::FailedPrecondition);
            let info = info(&status);
            assert_eq!(info.reason, "RESPONSE_TOO_LONG");
            assert_eq!(info.metadata["entry_index"], "3");
            assert!(info.metadata["hint"].contains("ExecuteStream"));
            assert!(status.message().contains("was sent"));
            assert!(status.message().contains("200"));
        }
    }

    let mut egress = front.egress();
    let play = front.play(move |core| {
        let (correlation, _) = core.next_execute();
        core.send(Kind::Reply, correlation, &executed(4));
        egress.head(correlation, &head(200, &[]));
        egress.body(correlation, b"half");
        egress.end(correlation, &lost("BODY_CUT", true));
    });
    let status = client.execute(execute_request("a")).await.expect_err("cut");
    play.end(&mut front).await;
    assert_eq!(info(&status).reason, "OUTCOME_UNKNOWN");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_has_the_head_first_and_the_body_as_it_comes() {
    let mut front = Front::start();
    let channel = front.channel(front.bot, Some(&front.ca.client(1))).await;
    let mut client = ExecuteServiceClient::new(channel);
    let mut egress = front.egress();
    let play = front.play(move |core| {
        let (correlation, _) = core.next_execute();
        core.send(Kind::Reply, correlation, &executed(3));
        egress.head(correlation, &head(200, &[("a", "b")]));
        correlation
    });
    let response = client.execute_stream(execute_request("a")).await.expect("executed");
    let correlation = play.end(&mut front).await;
    let mut stream = response.into_inner();
    let first = stream.message().await.expect("no error").expect("a head");
    let Some(Part::Head(first)) = first.part else { panic!("no head: {first:?}") };
    assert_eq!((first.status, first.headers.len(), first.body.len()), (200, 1, 0));
    assert_eq!(first.execution.expect("said").seq, 9);

    // The head was here before a byte of the body was.
    let mut egress = front.egress();
    let long: Vec<u8> = (0..3_000_000_u32).map(|at| at as u8).collect();
    let sent = long.clone();
    let sending = tokio::task::spawn_blocking(move || {
        for piece in sent.chunks(60_000) {
            egress.body(correlation, piece);
        }
        egress.end(correlation, &VenueEnd::default());
    });
    let (body, ended) = rest(&mut stream).await;
    sending.await.expect("sent");
    ended.expect("whole");
    assert!(body == long);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_cut_says_so() {
    let mut front = Front::start();
    let channel = front.channel(front.bot, Some(&front.ca.client(1))).await;
    let mut egress = front.egress();
    let play = front.play(move |core| {
        let (correlation, _) = core.next_execute();
        core.send(Kind::Reply, correlation, &executed(3));
        egress.head(correlation, &head(200, &[]));
        egress.body(correlation, b"half");
        egress.end(correlation, &lost("BODY_TOO_LONG", true));
    });
    let mut client = ExecuteServiceClient::new(channel);
    let response = client.execute_stream(execute_request("a")).await.expect("executed");
    play.end(&mut front).await;
    let mut stream = response.into_inner();
    stream.message().await.expect("no error").expect("a head");
    let (body, ended) = rest(&mut stream).await;
    assert_eq!(body, b"half");
    assert_eq!(info(&ended.expect_err("cut")).metadata["entry_index"], "3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_longer_than_the_deadline() {
    let mut limits = Limits::default();
    limits.bot.execute = Duration::from_millis(200);
    let mut front = Front::start_with(limits);
    let channel = front.channel(front.bot, Some(&front.ca.client(1))).await;
    let mut client = ExecuteServiceClient::new(channel);

    // Without a word of the core, it is not known whether anything was sent; and the core learns
    // that nobody waits.
    let play = front.play(|core| {
        let (correlation, _) = core.next_execute();
        core.expect_forget(correlation);
    });
    let status = client.execute(execute_request("a")).await.expect_err("late");
    play.end(&mut front).await;
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(info(&status).reason, "OUTCOME_UNKNOWN");
    assert!(status.message().ends_with(": TIMEOUT"), "{}", status.message());

    // What the core refuses for its lateness was not sent. After an answer there is no Forget: the
    // next frame is the next call.
    let play = front.play(|core| {
        let (correlation, _) = core.next_execute();
        let late = Failure::new(vault_ipc::Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "late");
        core.send(Kind::Reply, correlation, &failed(late));
    });
    let status = client.execute(execute_request("a")).await.expect_err("late");
    play.end(&mut front).await;
    assert_eq!(info(&status).reason, "DEADLINE_EXCEEDED");

    let play = front.play(|core| {
        let (correlation, _) = core.next_execute();
        core.send(Kind::Reply, correlation, &executed(8));
    });
    let status = client.execute(execute_request("a")).await.expect_err("late");
    play.end(&mut front).await;
    assert_eq!(info(&status).reason, "OUTCOME_UNKNOWN");
    assert_eq!(info(&status).metadata["entry_index"], "8");

    // Nor in the middle of a body.
    let mut egress = front.egress();
    let play = front.play(move |core| {
        let (correlation, _) = core.next_execute();
        core.send(Kind::Reply, correlation, &executed(9));
        egress.head(correlation, &head(200, &[]));
        egress.body(correlation, b"half");
    });
    let status = client.execute(execute_request("a")).await.expect_err("late");
    play.end(&mut front).await;
    assert_eq!(info(&status).reason, "OUTCOME_UNKNOWN");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_gets_an_eighth_of_the_places() {
    let mut limits = Limits::default();
    limits.bot.executes = 8;
    let mut front = Front::start_with(limits);
    let greedy = front.channel(front.bot, Some(&front.ca.client(1))).await;
    let modest = front.channel(front.bot, Some(&front.ca.client(2))).await;
    let mut waiting = ExecuteServiceClient::new(greedy.clone());
    let waiting = tokio::spawn(async move { waiting.execute(execute_request("a")).await });
    let (first, _) = front.core().next_execute();

    let status = ExecuteServiceClient::new(greedy.clone())
        .execute(execute_request("b"))
        .await
        .expect_err("shed");
    assert_eq!(
        (status.code(), info(&status).reason.as_str()),
        (Code::ResourceExhausted, "OVERLOADED")
    );
    let mut egress = front.egress();
    let play = front.play(move |core| {
        let (correlation, _) = core.next_execute();
        core.send(Kind::Reply, correlation, &executed(2));
        egress.respond(correlation, &head(200, &[]), b"");
    });
    ExecuteServiceClient::new(modest).execute(execute_request("c")).await.expect("executed");
    play.end(&mut front).await;

    front.core().send(Kind::Reply, first, &executed(1));
    front.egress().respond(first, &head(200, &[]), b"");
    waiting.await.expect("no panic").expect("executed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_wait_for_venues_take_no_places_from_others() {
    let mut limits = Limits::default();
    limits.bot.executes = 1;
    let mut front = Front::start_with(limits);
    let channel = front.channel(front.bot, Some(&front.ca.client(1))).await;
    let mut waiting = ExecuteServiceClient::new(channel.clone());
    let waiting = tokio::spawn(async move { waiting.execute(execute_request("a")).await });
    let (correlation, _) = front.core().next_execute();

    let status = ExecuteServiceClient::new(channel.clone())
        .execute(execute_request("b"))
        .await
        .expect_err("shed");
    assert_eq!(status.code(), Code::ResourceExhausted);
    let play = front.play(|core| {
        let (correlation, _) = core.next_sign();
        core.send(Kind::Reply, correlation, &crate::support::released(1));
    });
    v1::sign_service_client::SignServiceClient::new(channel)
        .sign(crate::support::sign_request("c"))
        .await
        .expect("signed");
    play.end(&mut front).await;

    front.core().send(Kind::Reply, correlation, &executed(1));
    front.egress().respond(correlation, &head(200, &[]), b"");
    waiting.await.expect("no panic").expect("executed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_loses_its_call_and_stops_nobody() {
    const BODY: usize = 4 << 20;
    let limits = Limits { venue_call_bytes: 1 << 20, ..Limits::default() };
    let mut front = Front::start_with(limits);
    let config = client_config(&front.ca.der(), Some(&front.ca.client(1)));
    let stream = connect(front.bot, config, &[]).await.expect("a handshake");
    // The window of the stream stays shut.
    let (mut send, connection) = h2::client::Builder::new()
        .initial_window_size(1000)
        .handshake::<_, Bytes>(stream)
        .await
        .expect("h2");
    tokio::spawn(connection);
    let request = http::Request::get("https://vault.test/https://x.y/a").body(()).expect("valid");
    let (response, _) = send.send_request(request, true).expect("sent");
    let (slow, _) = front.core().next_proxy();
    front.core().send(Kind::Reply, slow, &executed(1));
    front.egress().head(slow, &head(200, &[]));
    let response =
        tokio::time::timeout(PATIENCE, response).await.expect("in time").expect("a head");
    assert_eq!(response.status(), 200);

    // All of it is taken from the channel, and another's answer behind it comes.
    let channel = front.channel(front.bot, Some(&front.ca.client(2))).await;
    let mut egress = front.egress();
    let play = front.play(move |core| {
        let (good, _) = core.next_execute();
        for _ in 0..BODY / (64 << 10) {
            egress.body(slow, &[7; 64 << 10]);
        }
        egress.end(slow, &VenueEnd::default());
        core.send(Kind::Reply, good, &executed(2));
        egress.respond(good, &head(200, &[]), b"good");
    });
    let mut client = ExecuteServiceClient::new(channel);
    let good = client.execute(execute_request("b"));
    let good = tokio::time::timeout(PATIENCE, good).await.expect("in time").expect("executed");
    assert_eq!(good.into_inner().body, b"good");
    play.end(&mut front).await;

    let mut body = response.into_body();
    let mut received = 0;
    let ended = loop {
        match tokio::time::timeout(PATIENCE, body.data()).await.expect("in time") {
            Some(Ok(data)) => {
                received += data.len();
                body.flow_control().release_capacity(data.len()).expect("received");
            }
            Some(Err(error)) => break Some(error),
            None => break None,
        }
    };
    assert!(ended.is_some_and(|error| error.is_reset()), "cut, not ended");
    assert!(received < BODY, "{received}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_egress_says_ends_the_front() {
    let front = Front::start();
    let mut egress = front.egress();
    egress.send_bytes(b"garbage that is no frame");
    let ended = tokio::task::spawn_blocking(move || front.ended()).await.expect("no panic");
    assert!(matches!(ended, Err(FrontError::Channel(_))), "{ended:?}");

    // What the core may say, and an end inside a frame.
    for bytes in [frame(Kind::State, 0, &vault_ipc::State { sealed: false }), vec![9, 0, 0, 0, 1]] {
        let front = Front::start();
        let mut egress = front.egress();
        egress.send_bytes(&bytes);
        egress.hang_up();
        let ended = tokio::task::spawn_blocking(move || front.ended()).await.expect("no panic");
        assert!(matches!(ended, Err(FrontError::Channel(_))), "{ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_egress_is_gone_nobody_waits_for_it() {
    let mut front = Front::start();
    let channel = front.channel(front.bot, Some(&front.ca.client(1))).await;
    let mut client = ExecuteServiceClient::new(channel);
    let mut egress = front.egress();
    let play = front.play(move |core| {
        let (correlation, _) = core.next_execute();
        core.send(Kind::Reply, correlation, &executed(12));
        egress.hang_up();
    });
    let status = client.execute(execute_request("a")).await.expect_err("lost");
    play.end(&mut front).await;
    assert_eq!(info(&status).reason, "OUTCOME_UNKNOWN");
    assert_eq!(info(&status).metadata["entry_index"], "12");
    let status = client.execute(execute_request("b")).await.expect_err("not even asked");
    assert_eq!(status.code(), Code::Unavailable);
    front.end().expect("in order, with the core");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_barrier_waits_for_no_venue() {
    let mut front = Front::start_with(Limits { barrier_drain: 10 * PATIENCE, ..Limits::default() });
    let mut egress = front.egress();
    let channel = front.channel(front.bot, Some(&front.ca.client(1))).await;
    let play = front.play(move |core| {
        let (correlation, _) = core.next_execute();
        core.send(Kind::Reply, correlation, &executed(1));
        egress.head(correlation, &head(200, &[]));
        core.barrier(1, &[]);
        core.expect_barrier_done(1);
        egress.end(correlation, &VenueEnd::default());
    });
    let response = ExecuteServiceClient::new(channel).execute(execute_request("a")).await;
    assert_eq!(response.expect("executed").into_inner().status, 200);
    play.end(&mut front).await;
}
