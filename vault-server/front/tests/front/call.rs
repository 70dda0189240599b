//! Calls on their way to the core and back.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prost::Message;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_types::StatusExt;
use vault_front::{FrontError, Limits};
use vault_ipc::proto::v1::audit_service_client::AuditServiceClient;
use vault_ipc::proto::v1::client_service_client::ClientServiceClient;
use vault_ipc::proto::v1::sign_service_client::SignServiceClient;
use vault_ipc::proto::{FILE_DESCRIPTOR_SET, v1};
use vault_ipc::{
    Chunk, CommandCall, EnrollCall, Failure, Kind, Listener, PullCall, Reply, SignCall, State,
};

use crate::support::{
    Front, PATIENCE, answer, client_config, connect, failed, released, send_sign, sign_request,
};

const DEADLINE_EXCEEDED: &str = "4";
const INVALID_ARGUMENT: &str = "3";
const RESOURCE_EXHAUSTED: &str = "8";

fn command() -> v1::SignedCommand {
    v1::SignedCommand {
        method: "as the client says".to_owned(),
        body: b"body".to_vec(),
        nonce: vec![3; 16],
        expires_at_ms: 5,
        signature: vec![4; 64],
    }
}

fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_micros()).expect("before 294000")
}

/// Every request but two is one command, so one type serves for all.
async fn call(
    channel: &Channel,
    path: &str,
    command: Option<v1::SignedCommand>,
) -> Result<(), Status> {
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready().await.expect("connected");
    let codec = tonic_prost::ProstCodec::<v1::RenewRequest, ()>::default();
    let path = path.parse().expect("a path");
    let request = Request::new(v1::RenewRequest { command });
    grpc.unary(request, path, codec).await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_goes_to_the_core_with_its_caller_and_back() {
    let mut front = Front::start();
    let client = front.ca.client(0xfe);
    let channel = front.channel(front.bot, Some(&client)).await;
    let play = front.play(|core| {
        let (correlation, call) = core.next_sign();
        assert_ne!(correlation, 0);
        core.send(Kind::Reply, correlation, &released(10));
        call
    });
    let before = now_us();
    let response = SignServiceClient::new(channel)
        .sign(sign_request("order-1"))
        .await
        .expect("signed")
        .into_inner();
    let SignCall { caller, request, deadline_us, .. } = play.end(&mut front).await;

    assert_eq!(response.seq, 7);
    assert_eq!(request, sign_request("order-1"));
    assert_eq!(caller.serial, [0xfe; 16]);
    let digest: [u8; 32] = sha2::Digest::finalize(sha2::Digest::chain_update(
        <sha2::Sha256 as sha2::Digest>::new(),
        &client.chain[0],
    ))
    .into();
    assert_eq!(caller.fingerprint, digest);
    assert_eq!(caller.address, [127, 0, 0, 1]);
    assert_eq!(caller.via, "direct");
    assert_eq!(caller.listener(), Listener::Bot);
    assert!(deadline_us > before && deadline_us <= now_us() + 5_000_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_is_a_status_with_details() {
    let mut front = Front::start();
    let channel = front.channel(front.bot, Some(&front.ca.client(1))).await;
    let play = front.play(|core| {
        let (correlation, _) = core.next_sign();
        let failure = Failure {
            entry_index: Some(41),
            ..Failure::new(vault_ipc::Code::Denied, "SYMBOL_NOT_GRANTED", "denied by policy")
        };
        core.send(Kind::Reply, correlation, &failed(failure));
    });
    let status = SignServiceClient::new(channel).sign(sign_request("a")).await.expect_err("denied");
    play.end(&mut front).await;

    assert_eq!(status.code(), Code::PermissionDenied);
    assert_eq!(status.message(), "denied by policy");
    let details = status.get_error_details();
    let info = details.error_info().expect("details");
    assert_eq!(info.reason, "SYMBOL_NOT_GRANTED");
    assert_eq!(info.metadata["entry_index"], "41");
}

/// `(path, takes a command)` of every RPC in the descriptor.
fn every_rpc() -> Vec<(String, bool)> {
    let set = prost_types::FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).expect("descriptors");
    let mut rpcs = Vec::new();
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                let takes_command = !path.contains("SignService")
                    && !["/Enroll", "/Execute", "/ExecuteStream", "/Whoami"]
                        .iter()
                        .any(|method| path.ends_with(method));
                rpcs.push((path, takes_command));
            }
        }
    }
    assert!(rpcs.len() >= 30);
    rpcs
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_reaches_the_core_under_the_name_of_its_rpc() {
    let mut front = Front::start();
    let client = front.ca.client(1);
    let operator = front.channel(front.operator, Some(&client)).await;
    let bot = front.channel(front.bot, Some(&client)).await;

    for (path, takes_command) in every_rpc() {
        for (channel, listener) in [(&operator, Listener::Operator), (&bot, Listener::Bot)] {
            let is_served = match path.as_str() {
                "/vault.v1.PriceService/Put" => listener == Listener::Bot,
                path if path.contains("ClientService") => takes_command,
                _ => takes_command && listener == Listener::Operator,
            };
            // A question without a command, for everybody who has shown a certificate.
            if path.ends_with("/Whoami") {
                continue;
            }
            if !is_served {
                let is_for_bots = path.contains("SignService") || path.contains("ExecuteService");
                if !is_for_bots || listener == Listener::Operator {
                    let status = call(channel, &path, Some(command())).await.expect_err("none");
                    assert_eq!(status.code(), Code::Unimplemented, "{path} {listener:?}");
                }
                continue;
            }
            let unsigned = call(channel, &path, None).await.expect_err("no command");
            assert_eq!(unsigned.code(), Code::InvalidArgument, "{path}");

            let play = front.play(|core| {
                let frame = core.next();
                assert_eq!(frame.kind, Kind::Command);
                let refusal = Failure::new(vault_ipc::Code::Precondition, "TEST", "not now");
                core.send(Kind::Reply, frame.correlation, &failed(refusal));
                frame.message::<CommandCall>().expect("a command")
            });
            let status = call(channel, &path, Some(command())).await.expect_err("refused");
            let sent = play.end(&mut front).await;
            assert_eq!(status.code(), Code::FailedPrecondition, "{path}");
            assert_eq!(format!("/{}", sent.method), path);
            assert_eq!(sent.command, command());
            assert_eq!(sent.caller.serial, [1; 16]);
            assert_eq!(sent.caller.listener(), listener);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_enrol_listener_enrols_and_does_nothing_else() {
    let mut front = Front::start();
    let channel = front.channel(front.enroll, None).await;

    for (path, _) in every_rpc() {
        if path != "/vault.v1.ClientService/Enroll" {
            let status = call(&channel, &path, Some(command())).await.expect_err("none");
            assert_eq!(status.code(), Code::Unimplemented, "{path}");
        }
    }
    let request = v1::EnrollRequest { token_id: vec![9; 16], ..Default::default() };
    let play = front.play(|core| {
        let frame = core.next();
        assert_eq!(frame.kind, Kind::Enroll);
        let response = v1::EnrollResponse { name: "bot-1".to_owned(), ..Default::default() };
        core.send(Kind::Reply, frame.correlation, &answer(&response));
        frame.message::<EnrollCall>().expect("an enrolment")
    });
    let response =
        ClientServiceClient::new(channel).enroll(request.clone()).await.expect("enrolled");
    let sent = play.end(&mut front).await;
    assert_eq!(response.into_inner().name, "bot-1");
    assert_eq!(sent.request, request);
    assert_eq!(sent.address, [127, 0, 0, 1]);
    assert_eq!(sent.via, "direct");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_have_a_largest_size() {
    let mut front = Front::start();
    let client = front.ca.client(1);
    let bot = front.channel(front.bot, Some(&client)).await;
    let astray = front.channel(front.operator, Some(&client)).await;
    let alice = front.ca.named(2, "operator", "alice");
    let operator = front.channel(front.operator, Some(&alice)).await;
    let sized = |bytes| v1::SignedCommand { body: vec![0; bytes], ..command() };

    let renew = "/vault.v1.ClientService/Renew";
    // The certificate decides, not the listener.
    for channel in [&bot, &astray] {
        let status = call(channel, renew, Some(sized(65 << 10))).await.expect_err("too long");
        assert_eq!(status.code(), Code::OutOfRange);
    }
    let status = call(&operator, renew, Some(sized(1 << 20))).await.expect_err("too long");
    assert_eq!(status.code(), Code::OutOfRange);

    let play = front.play(|core| {
        let frame = core.next();
        core.send(Kind::Reply, frame.correlation, &Reply::default());
        frame.body.len()
    });
    call(&operator, renew, Some(sized(1_000_000))).await.expect("taken");
    assert!(play.end(&mut front).await > 1_000_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_ends_when_its_client_stops_waiting() {
    let mut front = Front::start();
    let config = client_config(&front.ca.der(), Some(&front.ca.client(1)));
    let stream = connect(front.bot, config, &[]).await.expect("a handshake");
    let (mut send, connection) = h2::client::handshake(stream).await.expect("h2");
    tokio::spawn(connection);

    let before = now_us();
    let response = send_sign(&mut send, Some("100m")).await;
    let (_, call) = front.core().next_sign();
    let response = response.await.expect("an answer");
    assert_eq!(response.headers()["grpc-status"], DEADLINE_EXCEEDED);
    assert!(call.deadline_us >= before + 100_000 && call.deadline_us <= now_us());

    let response = send_sign(&mut send, Some("soon")).await;
    let response = response.await.expect("an answer");
    assert_eq!(response.headers()["grpc-status"], INVALID_ARGUMENT);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_calls_are_shed() {
    let mut limits = Limits::default();
    limits.bot.calls = 1;
    let mut front = Front::start_with(limits);
    let client = front.ca.client(1);
    let bot = front.channel(front.bot, Some(&client)).await;
    let operator = front.channel(front.operator, Some(&client)).await;

    let mut first = SignServiceClient::new(bot.clone());
    let first = tokio::spawn(async move { first.sign(sign_request("a")).await });
    let (correlation, _) = front.core().next_sign();
    let status =
        SignServiceClient::new(bot.clone()).sign(sign_request("b")).await.expect_err("shed");
    assert_eq!(status.code(), Code::ResourceExhausted);

    // Operators have places of their own.
    let play = front.play(move |core| {
        let frame = core.next();
        core.send(Kind::Reply, frame.correlation, &Reply::default());
        core.send(Kind::Reply, correlation, &released(1));
    });
    call(&operator, "/vault.v1.HaltService/Halt", Some(command())).await.expect("taken");
    play.end(&mut front).await;
    first.await.expect("no panic").expect("signed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_who_call_where_operators_do_take_no_place_of_theirs() {
    let mut limits = Limits::default();
    limits.operator.calls = 8;
    let mut front = Front::start_with(limits);
    let client = front.channel(front.operator, Some(&front.ca.client(1))).await;
    let alice = front.ca.named(2, "operator", "alice");
    let alice = front.channel(front.operator, Some(&alice)).await;

    let halt = "/vault.v1.HaltService/Halt";
    let held = client.clone();
    let held = tokio::spawn(async move { call(&held, halt, Some(command())).await });
    let first = front.core().next();
    let status = call(&client, halt, Some(command())).await.expect_err("one for all clients");
    assert_eq!(status.code(), Code::ResourceExhausted);
    let play = front.play(move |core| {
        let frame = core.next();
        core.send(Kind::Reply, frame.correlation, &Reply::default());
        core.send(Kind::Reply, first.correlation, &Reply::default());
    });
    call(&alice, halt, Some(command())).await.expect("taken");
    play.end(&mut front).await;
    held.await.expect("no panic").expect("answered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_taken_back_keeps_its_place_until_the_core_has_answered() {
    let mut limits = Limits::default();
    limits.bot.calls = 1;
    let mut front = Front::start_with(limits);
    let config = client_config(&front.ca.der(), Some(&front.ca.client(1)));
    let stream = connect(front.bot, config, &[]).await.expect("a handshake");
    let (mut send, connection) = h2::client::handshake(stream).await.expect("h2");
    tokio::spawn(connection);

    let response = send_sign(&mut send, Some("100m")).await;
    let (correlation, _) = front.core().next_sign();
    let response = response.await.expect("an answer");
    assert_eq!(response.headers()["grpc-status"], DEADLINE_EXCEEDED);
    front.core().expect_forget(correlation);
    let response = send_sign(&mut send, None).await.await.expect("an answer");
    assert_eq!(response.headers()["grpc-status"], RESOURCE_EXHAUSTED);

    let late = Failure::new(vault_ipc::Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "too late");
    front.core().send(Kind::Reply, correlation, &failed(late));
    // Once the front has read it.
    front.core().barrier(1, &[]);
    front.core().expect_barrier_done(1);
    let response = send_sign(&mut send, None).await;
    let (correlation, _) = front.core().next_sign();
    front.core().send(Kind::Reply, correlation, &released(1));
    assert_eq!(response.await.expect("an answer").status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_pulls_until_its_end() {
    let mut front = Front::start();
    let channel = front.channel(front.operator, Some(&front.ca.client(1))).await;
    let play = front.play(|core| {
        let frame = core.next();
        assert_eq!(frame.kind, Kind::Command);
        let mut chunk = Chunk {
            grant: 77,
            first_index: 5,
            entries: vec![b"five".to_vec(), b"six".to_vec()],
            ..Default::default()
        };
        core.send(Kind::Reply, frame.correlation, &answer(&chunk));
        let frame = core.next();
        assert_eq!(frame.kind, Kind::Pull);
        let pull: PullCall = frame.message().expect("a pull");
        assert_eq!((pull.grant, pull.from_index), (77, 7));
        chunk.first_index = 7;
        chunk.entries = vec![b"seven".to_vec()];
        chunk.end = true;
        chunk.checkpoint = Some(v1::Checkpoint { note: "note".to_owned(), ..Default::default() });
        core.send(Kind::Reply, frame.correlation, &answer(&chunk));
    });
    let request = v1::ExportRequest { command: Some(command()) };
    let mut messages =
        AuditServiceClient::new(channel).export(request).await.expect("granted").into_inner();
    let first = messages.message().await.expect("no error").expect("entries");
    assert_eq!((first.first_index, first.entries.len()), (5, 2));
    assert_eq!(first.checkpoint, None);
    let last = messages.message().await.expect("no error").expect("entries");
    assert_eq!((last.first_index, &last.entries[0][..]), (7, &b"seven"[..]));
    assert_eq!(last.checkpoint.expect("at the end").note, "note");
    assert_eq!(messages.message().await.expect("no error"), None);
    play.end(&mut front).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_asks_again_and_ends_with_the_cores_refusal() {
    let mut front = Front::start();
    let channel = front.channel(front.operator, Some(&front.ca.client(1))).await;
    let play = front.play(|core| {
        let frame = core.next();
        let empty = Chunk { grant: 3, first_index: 10, ..Default::default() };
        core.send(Kind::Reply, frame.correlation, &answer(&empty));
        // Empty again, and without an index: the place is kept.
        let frame = core.next();
        let pull: PullCall = frame.message().expect("a pull");
        assert_eq!((pull.grant, pull.from_index), (3, 10));
        core.send(Kind::Reply, frame.correlation, &answer(&Chunk::default()));
        let frame = core.next();
        let pull: PullCall = frame.message().expect("a pull");
        assert_eq!((pull.grant, pull.from_index), (3, 10));
        let chunk = Chunk { first_index: 10, entries: vec![b"ten".to_vec()], ..Default::default() };
        core.send(Kind::Reply, frame.correlation, &answer(&chunk));
        let frame = core.next();
        let revoked = Failure::new(vault_ipc::Code::Unauthenticated, "REVOKED", "revoked");
        core.send(Kind::Reply, frame.correlation, &failed(revoked));
    });
    let request = v1::TailRequest { command: Some(command()) };
    let mut messages =
        AuditServiceClient::new(channel).tail(request).await.expect("granted").into_inner();
    let entries = messages.message().await.expect("no error").expect("entries");
    assert_eq!((entries.first_index, entries.entries.len()), (10, 1));
    let status = messages.message().await.expect_err("revoked");
    assert_eq!(status.code(), Code::Unauthenticated);
    play.end(&mut front).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_says_whether_the_vault_is_sealed() {
    let mut front = Front::start();
    let client = front.ca.client(1);
    let listeners = [
        (front.channel(front.bot, Some(&client)).await, "vault.v1.SignService"),
        (front.channel(front.operator, Some(&client)).await, "vault.v1.ScopeService"),
        (front.channel(front.enroll, None).await, "vault.v1.ClientService"),
    ];

    for (sealed, expected) in [
        (false, ServingStatus::Serving),
        (true, ServingStatus::NotServing),
        (false, ServingStatus::Serving),
    ] {
        front.core().send(Kind::State, 0, &State { sealed });
        front.core().barrier(1, &[]);
        front.core().expect_barrier_done(1);
        for (channel, service) in &listeners {
            for service in ["", service] {
                let response = HealthClient::new(channel.clone())
                    .check(HealthCheckRequest { service: service.to_owned() })
                    .await
                    .expect("known");
                assert_eq!(response.into_inner().status(), expected, "{service}");
            }
        }
    }
    let elsewhere = HealthClient::new(listeners[0].0.clone())
        .check(HealthCheckRequest { service: "vault.v1.ScopeService".to_owned() })
        .await
        .expect_err("not on this listener");
    assert_eq!(elsewhere.code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reflection_lists_what_operators_may_call() {
    let front = Front::start();
    let client = front.ca.client(1);
    let list = |channel| async {
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let mut responses = ServerReflectionClient::new(channel)
            .server_reflection_info(tokio_stream::once(request))
            .await?
            .into_inner();
        let response = responses.message().await?.expect("an answer");
        let Some(MessageResponse::ListServicesResponse(services)) = response.message_response
        else {
            panic!("not a list");
        };
        let names: BTreeSet<_> = services.service.into_iter().map(|service| service.name).collect();
        Ok::<_, Status>(names)
    };

    let names = list(front.channel(front.operator, Some(&client)).await).await.expect("listed");
    for service in [
        "Audit",
        "Client",
        "Credential",
        "Halt",
        "Instrument",
        "Operator",
        "Price",
        "Scope",
        "Seal",
    ] {
        assert!(names.contains(&format!("vault.v1.{service}Service")), "{service}");
    }
    assert!(!names.contains("vault.v1.SignService"));
    let status =
        list(front.channel(front.bot, Some(&client)).await).await.expect_err("operators only");
    assert_eq!(status.code(), Code::Unimplemented);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_with_the_channel() {
    let front = Front::start();
    let address = front.bot;
    let channel = front.channel(front.bot, Some(&front.ca.client(1))).await;
    front.end().expect("in order");

    let mut client = SignServiceClient::new(channel);
    tokio::time::timeout(PATIENCE, client.sign(sign_request("a")))
        .await
        .expect("in time")
        .expect_err("nobody is there");
    tokio::net::TcpStream::connect(address).await.expect_err("nobody listens");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_in_progress_are_told_when_the_channel_ends() {
    let mut front = Front::start();
    let channel = front.channel(front.bot, Some(&front.ca.client(1))).await;
    let call =
        tokio::spawn(async move { SignServiceClient::new(channel).sign(sign_request("a")).await });
    front.core().next_sign();
    tokio::task::spawn_blocking(move || front.end().expect("in order")).await.expect("no panic");
    tokio::time::timeout(PATIENCE, call)
        .await
        .expect("in time")
        .expect("no panic")
        .expect_err("no answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_core_says_ends_the_front() {
    for bytes in [
        &b"garbage that is no frame"[..],
        // A whole header of a kind that only the front sends.
        &[0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        // A reply that does not decode.
        &[1, 0, 0, 0, 1, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff],
        // The end inside a frame.
        &[9, 0, 0, 0, 1, 64],
    ] {
        let mut front = Front::start();
        front.core().send_bytes(bytes);
        let ended = tokio::task::spawn_blocking(move || front.end()).await.expect("no panic");
        assert!(matches!(ended, Err(FrontError::Channel(_))), "{ended:?}");
    }
    let mut front = Front::start_silent(crate::support::Ca::new(), Limits::default());
    front.core().send(Kind::ServerIdentity, 0, &vault_ipc::ServerIdentity::default());
    let ended = tokio::task::spawn_blocking(move || front.end()).await.expect("no panic");
    assert!(matches!(ended, Err(FrontError::Identity(_))), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_request_body_does_not_hold_its_place_for_ever() {
    let mut limits = Limits::default();
    limits.bot.call = Duration::from_millis(200);
    let front = Front::start_with(limits);
    let config = client_config(&front.ca.der(), Some(&front.ca.client(1)));
    let stream = connect(front.bot, config, &[]).await.expect("a handshake");
    let (mut send, connection) = h2::client::handshake(stream).await.expect("h2");
    tokio::spawn(connection);
    let request = http::Request::post("http://vault.test/vault.v1.SignService/Sign")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .expect("a request");
    let (response, mut body) = send.send_request(request, false).expect("sent");
    body.send_data(bytes::Bytes::from_static(&[0, 0, 0]), false).expect("sent");

    let response =
        tokio::time::timeout(PATIENCE, response).await.expect("in time").expect("an answer");
    assert_eq!(response.headers()["grpc-status"], DEADLINE_EXCEEDED);
}
