//! WebSockets: what passes, what ends them, and what a barrier means for them.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Bytes, Message};
use vault_ipc::proto::v1::Header;
use vault_ipc::{Hold, StreamDial, StreamMessage, StreamSend};

use super::bed::{Egress, Event, HOST, Identity, Reply, Seen, Venue, dial, get, http, post};
use crate::name::Names;

type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// A venue that speaks WebSocket, notes what it got, and does what each message says.
fn echoing(identity: &Identity) -> Venue {
    let acceptor = identity.acceptor(&[b"http/1.1"]);
    Venue::start(move |socket, seen| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(stream) = acceptor.accept(socket).await else { return };
            let Some(socket) = accept(stream, &seen).await else { return };
            obey(socket, &seen).await;
        }
    })
}

#[expect(clippy::result_large_err, reason = "the library's own type")]
async fn accept(stream: TlsStream<TcpStream>, seen: &Arc<Mutex<Seen>>) -> Option<Socket> {
    let note = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        let mut text = format!("GET {}\r\n", request.uri());
        for (name, value) in request.headers() {
            if name != "sec-websocket-key" {
                text += &format!("{name}: {}\r\n", value.to_str().expect("text"));
            }
        }
        seen.lock().expect("whole").requests.push(text.into_bytes());
        Ok(response)
    };
    tokio_tungstenite::accept_hdr_async(stream, note).await.ok()
}

/// `say X`, `bytes X`, `close CODE`, `reset`, `long N`, `flood N`, `ping`, `stall` (reads nothing more).
async fn obey(mut socket: Socket, seen: &Arc<Mutex<Seen>>) {
    while let Some(Ok(message)) = socket.next().await {
        let text = match &message {
            Message::Text(text) => text.to_string(),
            Message::Pong(bytes) => format!("pong {}", String::from_utf8_lossy(bytes)),
            Message::Ping(_) => "pinged".to_owned(),
            Message::Close(_) => "closed".to_owned(),
            _ => continue,
        };
        seen.lock().expect("whole").requests.push(text.clone().into_bytes());
        let (word, rest) = text.split_once(' ').unwrap_or((&text, ""));
        let number = rest.parse().unwrap_or(0);
        let sent = match word {
            "say" => socket.send(Message::text(rest)).await,
            "bytes" => socket.send(Message::binary(rest.as_bytes().to_vec())).await,
            "ping" => socket.send(Message::Ping(Bytes::copy_from_slice(rest.as_bytes()))).await,
            "close" => {
                let code = (number as u16).into();
                let _ = socket.close(Some(CloseFrame { code, reason: "x".into() })).await;
                continue;
            }
            "long" => socket.send(Message::text("x".repeat(number))).await,
            "flood" => {
                for _ in 0..number {
                    if socket.send(Message::text("y".repeat(64 << 10))).await.is_err() {
                        return;
                    }
                }
                Ok(())
            }
            "raw" => {
                let (stream, _) = socket.get_mut().get_mut();
                let _ = stream.set_zero_linger();
                return;
            }
            "stall" => {
                tokio::time::sleep(Duration::from_secs(60)).await;
                return;
            }
            _ => Ok(()),
        };
        if sent.is_err() {
            return;
        }
    }
}

fn wait_for(venue: &Venue, text: &str) {
    venue.wait_until(text, |seen| seen.iter().any(|seen| seen == text));
}

fn send(text: &str, outcome: u64) -> StreamSend {
    StreamSend { text: text.into(), outcome, ..StreamSend::default() }
}

#[test]
fn messages_pass_both_ways_as_they_stand() {
    let identity = Identity::new(&[HOST]);
    let venue = echoing(&identity);
    let mut egress = Egress::new(&venue, &identity);
    let header = Header { name: "x-a".into(), value: "b".into() };
    egress.stand(1, &StreamDial { headers: vec![header], ..dial(1, "/ws//a?b=%2F&c") });

    egress.stream_send(1, &send("say {\"a\": 1 }", 77));
    assert_eq!(egress.event(1_001).text(), "{\"a\": 1 }");
    let outcome = egress.outcome(77);
    assert_eq!((outcome.problem.as_str(), outcome.sent, outcome.attempts), ("", true, 1));
    egress.say(1, "bytes ab");
    let expected = StreamMessage { bytes: b"ab".to_vec(), binary: true };
    assert_eq!(egress.event(1_001), Event::Message(expected));
    egress.say(1, "ping 42");
    wait_for(&venue, "pong 42");

    egress.say(1, "close 4321");
    egress.event(1_001).ends(4321, "");
    assert_eq!(egress.end(1).code, 4321);
    let agent = concat!("countersign/", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        venue.requests()[0],
        format!(
            "GET /ws//a?b=%2F&c\r\nhost: {HOST}:9443\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nx-a: b\r\nuser-agent: {agent}\r\n"
        )
    );
    // The close was answered.
    wait_for(&venue, "closed");
    egress.stream_send(1, &send("late", 78));
    let outcome = egress.outcome(78);
    assert_eq!((outcome.problem.as_str(), outcome.sent), ("CONNECTION_LOST", false));
}

#[test]
fn what_authorises_is_struck_out_of_messages() {
    let identity = Identity::new(&[HOST]);
    let venue = echoing(&identity);
    let mut egress = Egress::new(&venue, &identity);
    egress.stand(1, &dial(1, "/"));
    let text = r#"say {"sign":"c2lnbmF0dXJl/+==","again":"c2lnbmF0dXJl\/+=="}"#;
    let secrets = vec!["c2lnbmF0dXJl/+==".to_owned()];
    egress.stream_send(1, &StreamSend { secrets, ..send(text, 0) });
    let stars = |count| "*".repeat(count);
    let expected = format!(r#"{{"sign":"{}","again":"{}"}}"#, stars(16), stars(17));
    assert_eq!(egress.event(1_001).text(), expected);
    // Later messages too, and what it is inside of stays as long as it was.
    egress.say(1, "bytes =c2lnbmF0dXJl/+===");
    let Event::Message(message) = egress.event(1_001) else { panic!("no message") };
    assert_eq!(message.bytes, format!("={}=", stars(16)).into_bytes());
}

#[test]
fn handles_stand_for_keys_in_urls_and_messages() {
    const KEY: &str = "WW91ciBhdXRoZW50aWNhdGlvbiB0b2tlbg";
    const HANDLE: &str = "HANDLE0123456789abcdefghijklmnop";
    let identity = Identity::new(&[HOST]);
    let streams = echoing(&identity);
    let other = "rest.venue.example";
    let rest_identity = Identity::new(&[other]);
    let rest = Venue::plain(&rest_identity, |_, _| {
        Reply::Say(http("200 OK", "", &format!(r#"{{"token":"{KEY}"}}"#)))
    });
    let hosts = [
        (HOST, streams.address, Some(identity.pem.as_str())),
        (other, rest.address, Some(rest_identity.pem.as_str())),
    ];
    let mut egress = Egress::with(&hosts, Names::Nobody, |_| {});
    let mut token = post(1, "/", b"");
    token.url = format!("https://{other}/token");
    token.holds = vec![Hold { at: "/token".into(), handle: HANDLE.into(), ..Hold::default() }];
    assert_eq!(egress.send(1, &token).answer.text(), format!(r#"{{"token":"{HANDLE}"}}"#));

    let mut with_key = dial(2, &format!("/ws/{HANDLE}"));
    with_key.handles = vec![HANDLE.into()];
    egress.stand(2, &with_key);
    assert!(streams.requests()[0].starts_with(&format!("GET /ws/{KEY}\r\n")));
    let handles = vec![HANDLE.to_owned()];
    let text = format!("say {{\"token\":\"{HANDLE}\"}}");
    // Handles of texts with odd letters could stand in JSON alone; this one can stand anywhere.
    egress.stream_send(2, &StreamSend { handles, ..send(&text, 0) });
    wait_for(&streams, &format!("say {{\"token\":\"{KEY}\"}}"));
    assert_eq!(egress.event(1_002).text(), format!("{{\"token\":\"{HANDLE}\"}}"));

    // One that is unknown: the WebSocket is not opened, the message not sent.
    let mut unknown = dial(3, "/ws/UNKNOWN0123456789");
    unknown.handles = vec!["UNKNOWN0123456789".into()];
    egress.dial(3, &unknown);
    egress.event(1_003).ends(0, "HANDLE_UNKNOWN");
    assert_eq!(egress.end(3).problem, "HANDLE_UNKNOWN");
    let handles = vec!["UNKNOWN0123456789".to_owned()];
    egress.stream_send(2, &StreamSend { handles, ..send("UNKNOWN0123456789", 9) });
    let outcome = egress.outcome(9);
    assert_eq!((outcome.problem.as_str(), outcome.sent), ("HANDLE_UNKNOWN", false));
}

#[test]
fn a_cut_is_at_once_and_told_to_both() {
    let identity = Identity::new(&[HOST]);
    let venue = echoing(&identity);
    let mut egress = Egress::new(&venue, &identity);
    egress.stand(1, &dial(1, "/"));
    egress.say(1, "one");
    wait_for(&venue, "one");
    egress.cut(1);
    egress.stream_send(1, &send("two", 5));
    assert_eq!(egress.end(1).problem, "STREAM_CUT");
    egress.event(1_001).ends(0, "STREAM_CUT");
    assert!(!egress.outcome(5).sent);
    // While it is being opened, and when there is none.
    let silent = Venue::start(|socket, _| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(socket);
    });
    let mut egress = Egress::new(&silent, &identity);
    egress.dial(2, &dial(2, "/"));
    egress.cut(2);
    egress.cut(3);
    assert_eq!(egress.end(2).problem, "STREAM_CUT");
    egress.event(1_002).ends(0, "STREAM_CUT");
    std::thread::sleep(Duration::from_millis(50));
    assert!(!venue.requests().iter().any(|seen| seen == "two"));
}

#[test]
fn a_barrier_waits_for_what_is_written_and_drops_the_rest() {
    let identity = Identity::new(&[HOST]);
    let venue = echoing(&identity);
    let mut egress = Egress::new(&venue, &identity);
    egress.stand(1, &dial(1, "/"));
    for at in 1..=50 {
        egress.stream_send(1, &send(&format!("message {at}"), at));
    }
    egress.barrier(1);
    egress.wait_for_barrier(1);
    for at in 1..=50 {
        let outcome = egress.outcome(at);
        assert_eq!((outcome.problem.as_str(), outcome.sent), ("", true));
    }
    wait_for(&venue, "message 50");

    // A venue that reads nothing: what is half written is cut, what waits is dropped.
    egress.say(1, "stall");
    wait_for(&venue, "stall");
    // More than kernels hold.
    let large = "z".repeat(200 << 10);
    for at in 51..=90 {
        egress.stream_send(1, &send(&large, at));
        // Answered at once, as there is no such WebSocket: what came before it has had its turn.
        egress.stream_send(2, &send("", 1_000 + at));
        assert_eq!(egress.outcome(1_000 + at).problem, "CONNECTION_LOST");
        std::thread::sleep(Duration::from_millis(5));
    }
    let begun = Instant::now();
    egress.barrier(2);
    egress.wait_for_barrier(2);
    // Nor does it wait for much longer: the write would end by itself, and its problem be another.
    assert!(begun.elapsed().as_millis() >= 200, "{:?}", begun.elapsed());
    let outcomes: Vec<_> = (51..=90).map(|at| egress.outcome(at)).collect();
    let problems: Vec<_> =
        outcomes.iter().map(|outcome| (outcome.problem.as_str(), outcome.sent)).collect();
    let written = problems.iter().take_while(|one| **one == ("", true)).count();
    assert_eq!(problems[written], ("CONNECTION_LOST", true), "{problems:?}");
    let dropped = problems[written + 1..].iter();
    let dropped = dropped.take_while(|one| **one == ("BARRIER", false)).count();
    assert!((1..6).contains(&dropped), "{problems:?}");
    // What found no room was told so at once.
    assert!(problems[written + 1 + dropped..].iter().all(|one| *one == ("BUSY", false)));
    assert_eq!(egress.end(1).problem, "CONNECTION_LOST");
}

#[test]
fn a_venue_that_says_no_is_told_from_one_that_is_not_there() {
    let identity = Identity::new(&[HOST]);
    for (said, problem) in [
        (
            "HTTP/1.1 302 Found\r\nlocation: https://other.example/\r\ncontent-length: 0\r\n\r\n",
            "HANDSHAKE_REFUSED",
        ),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "HANDSHAKE_REFUSED"),
        (
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: x\r\n\r\n",
            "RESPONSE_MALFORMED",
        ),
        ("garbage\r\n\r\n", "RESPONSE_MALFORMED"),
        ("", "CONNECTION_LOST"),
    ] {
        let venue = Venue::plain(&identity, move |_, _| Reply::SayAndClose(said.into()));
        let mut egress = Egress::new(&venue, &identity);
        egress.dial(1, &dial(1, "/"));
        egress.event(1_001).ends(0, problem);
        assert_eq!(egress.end(1).problem, problem, "{said}");
        assert_eq!(venue.connections(), 1);
    }
    // A head without an end.
    let acceptor = identity.acceptor(&[b"http/1.1"]);
    let venue = Venue::start(move |socket, _| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(socket).await else { return };
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\n").await;
            while stream
                .write_all(&b"x-a: yyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(1_000))
                .await
                .is_ok()
            {}
        }
    });
    let mut egress = Egress::new(&venue, &identity);
    egress.dial(1, &dial(1, "/"));
    let Event::End(end) = egress.event(1_001) else { panic!("no end") };
    assert_eq!(end.problem, "RESPONSE_MALFORMED");
    // Time runs out.
    let silent = Venue::start(|socket, _| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        drop(socket);
    });
    let mut egress = Egress::new(&silent, &identity);
    egress.dial(1, &StreamDial { timeout_ms: 200, ..dial(1, "/") });
    egress.event(1_001).ends(0, "TIMEOUT");
    // A name that leads inside, and a URL that is none.
    let addresses = vec!["10.1.2.3".parse().expect("an address")];
    let table = Names::Table([(HOST.to_owned(), addresses)].into());
    let mut egress = Egress::with(&[], table, |_| {});
    egress.dial(1, &dial(1, "/"));
    egress.event(1_001).ends(0, "ADDRESS_REFUSED");
    egress.dial(2, &StreamDial { url: "wss://user@x/".into(), ..dial(2, "/") });
    egress.event(1_002).ends(0, "REQUEST_MALFORMED");
}

#[test]
fn a_venue_that_shuts_us_out_is_left_alone() {
    let identity = Identity::new(&[HOST]);
    let venue = Venue::plain(&identity, |_, _| {
        Reply::SayAndClose(http("418 x", "retry-after: 120\r\n", ""))
    });
    let mut egress = Egress::new(&venue, &identity);
    egress.dial(1, &dial(1, "/"));
    egress.event(1_001).ends(0, "HANDSHAKE_REFUSED");
    egress.dial(2, &dial(2, "/"));
    egress.event(1_002).ends(0, "VENUE_PAUSED");
    assert_eq!(venue.connections(), 1);
}

#[test]
fn messages_have_a_longest() {
    let identity = Identity::new(&[HOST]);
    let venue = echoing(&identity);
    let mut egress = Egress::new(&venue, &identity);
    egress.stand(1, &dial(1, "/"));
    egress.say(1, "long 1048576");
    assert_eq!(egress.event(1_001).text().len(), 1 << 20);
    egress.say(1, "long 1048577");
    egress.event(1_001).ends(0, "MESSAGE_TOO_LONG");
    // Of the core: one that nobody hears of ends the WebSocket.
    egress.stand(2, &dial(2, "/"));
    let long = "x".repeat((256 << 10) + 1);
    egress.stream_send(2, &send(&long, 3));
    assert_eq!(egress.outcome(3).problem, "REQUEST_MALFORMED");
    egress.say(2, &long);
    egress.event(1_002).ends(0, "REQUEST_MALFORMED");
}

#[test]
fn one_that_floods_holds_up_nobody() {
    let identity = Identity::new(&[HOST]);
    let venue = echoing(&identity);
    let mut egress = Egress::new(&venue, &identity);
    egress.stand(1, &dial(1, "/"));
    egress.stand(2, &dial(2, "/"));
    // 64 MiB that the front does not read.
    egress.say(1, "flood 1024");
    std::thread::sleep(Duration::from_millis(300));
    egress.stream_send(2, &send("say hello", 7));
    assert!(egress.outcome(7).sent);
    wait_for(&venue, "say hello");
    assert_eq!(egress.event(1_002).text(), "hello");
    // What lies before it in the queue is little.
    let before = egress.events_left(1_001);
    assert!(before < 512, "{before}");
    let flooded = (0..1024).map(|_| egress.event(1_001).text().len()).sum::<usize>();
    assert_eq!(flooded, 64 << 20);
}

#[test]
fn a_venue_that_is_gone_is_noticed() {
    let identity = Identity::new(&[HOST]);
    let venue = echoing(&identity);
    let hosts = [(HOST, venue.address, Some(identity.pem.as_str()))];
    // A venue that is held up for so long on a busy machine is as good as gone.
    let idle = Duration::from_secs(3);
    let mut egress = Egress::with(&hosts, Names::Nobody, |config| config.limits.stream_idle = idle);
    egress.stand(1, &dial(1, "/"));
    // It answers, and is let be.
    let pings = |seen: &[String]| seen.iter().filter(|seen| *seen == "pinged").count();
    venue.wait_until("the third ping", |seen| pings(seen) >= 3);
    let begun = Instant::now();
    egress.say(1, "stall");
    egress.event(1_001).ends(0, "TIMEOUT");
    // Asked after `idle` without a word, ended after twice as long; the last word may be `idle` old.
    let least = idle * 3 / 4;
    assert!((least..least * 20).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    assert_eq!(egress.end(1).problem, "TIMEOUT");

    egress.stand(2, &dial(2, "/"));
    egress.say(2, "raw");
    egress.event(1_002).ends(0, "CONNECTION_LOST");
}

#[test]
fn there_are_so_many_and_no_more() {
    let identity = Identity::new(&[HOST]);
    let venue = echoing(&identity);
    let hosts = [(HOST, venue.address, Some(identity.pem.as_str()))];
    let mut egress = Egress::with(&hosts, Names::Nobody, |config| config.limits.streams = 2);
    egress.stand(1, &dial(1, "/"));
    egress.stand(2, &dial(2, "/"));
    egress.dial(3, &dial(3, "/"));
    egress.event(1_003).ends(0, "BUSY");
    assert_eq!(egress.end(3).problem, "BUSY");
    egress.say(2, "close 1000");
    egress.event(1_002).ends(1000, "");
    egress.end(2);
    egress.stand(4, &dial(4, "/"));
}

#[test]
fn the_core_hears_how_venues_are() {
    let identity = Identity::new(&[HOST]);
    let venue = echoing(&identity);
    let mut egress = Egress::new(&venue, &identity);
    egress.stand(1, &dial(1, "/"));
    let row = |egress: &mut Egress| {
        let rows = egress.health().rows;
        assert_eq!(rows.len(), 1);
        rows[0].clone()
    };
    let first = row(&mut egress);
    assert_eq!((first.venue.as_str(), first.host.as_str()), ("example", HOST));
    assert_eq!((first.streams, first.in_flight, first.state), (1, 0, 1));
    egress.say(1, "close 1000");
    assert_eq!(row(&mut egress).streams, 0);
    // Not HTTP: the request is lost.
    egress.send(2, &get(2, "/"));
    let last = row(&mut egress);
    assert!(!last.last_problem.is_empty() && last.in_flight == 0, "{last:?}");
}
