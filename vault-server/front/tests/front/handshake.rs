//! Who gets in, and who does not.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use vault_front::Limits;
use vault_ipc::Kind;
use vault_ipc::proto::v1::sign_service_client::SignServiceClient;

use crate::support::{
    Ca, Front, PATIENCE, client_config, config_with, connect, handshake, is_let_in, proxy_header,
    released, sign_request,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lets_our_clients_in_with_a_post_quantum_key_exchange() {
    let front = Front::start();
    let client = front.ca.client(1);

    let config = client_config(&front.ca.der(), Some(&client));
    let stream = connect(front.bot, config, &[]).await.expect("a handshake");

    let (_, session) = stream.get_ref();
    let group = session.negotiated_key_exchange_group().expect("done");
    assert_eq!(group.name(), rustls::NamedGroup::X25519MLKEM768);
    assert_eq!(session.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    assert_eq!(session.alpn_protocol(), Some(&b"h2"[..]));
    assert!(is_let_in(Ok(stream)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refuses_strangers() {
    let front = Front::start();
    let ours = front.ca.der();
    let good = front.ca.client(1);
    let foreign = Ca::new().client(1);
    let server = front.ca.server();

    for listener in [front.bot, front.operator] {
        for (name, config) in [
            ("no certificate", client_config(&ours, None)),
            ("foreign ca", client_config(&ours, Some(&foreign))),
            ("a server certificate", client_config(&ours, Some(&server))),
            ("tls 1.2", config_with(&ours, Some(&good), &[&rustls::version::TLS12])),
        ] {
            assert!(!is_let_in(connect(listener, config, &[]).await).await, "{name}");
        }
        let mut no_alpn = client_config(&ours, Some(&good));
        no_alpn.alpn_protocols.clear();
        assert!(!is_let_in(connect(listener, no_alpn, &[]).await).await);
    }
    assert!(is_let_in(connect(front.enroll, client_config(&ours, None), &[]).await).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_certificate_passes_for_seven_days() {
    let front = Front::start();
    let now = SystemTime::now();

    for (days, lets_in) in [(6, true), (8, false)] {
        let client = front.ca.client_until(1, now - days * DAY);
        let config = client_config(&front.ca.der(), Some(&client));
        assert_eq!(is_let_in(connect(front.bot, config, &[]).await).await, lets_in, "{days} days");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waits_for_the_first_identity_and_swaps_to_the_next() {
    let mut front = Front::start_silent(Ca::new(), Limits::default());
    let client = front.ca.client(1);
    let config = client_config(&front.ca.der(), Some(&client));

    let waiting = tokio::spawn(connect(front.bot, config.clone(), &[]));
    let identity = front.ca.server_identity();
    front.core().send(Kind::ServerIdentity, 0, &identity);
    let early = waiting.await.expect("no panic").expect("a handshake");
    let first_leaf = early.get_ref().1.peer_certificates().expect("done")[0].clone();
    assert_eq!(first_leaf.as_ref(), identity.chain[0]);

    let renewed = front.ca.server_identity();
    front.core().send(Kind::ServerIdentity, 0, &renewed);
    front.core().barrier(1, &[]);
    front.core().expect_barrier_done(1);
    let late = connect(front.bot, config, &[]).await.expect("a handshake");
    assert_eq!(late.get_ref().1.peer_certificates().expect("done")[0].as_ref(), renewed.chain[0]);

    // A broken one changes nothing; nor does any of them end connections.
    front.core().send(Kind::ServerIdentity, 0, &vault_ipc::ServerIdentity::default());
    assert!(is_let_in(Ok(late)).await);
    assert!(is_let_in(Ok(early)).await);
    front.end().expect("ends in order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn takes_the_address_from_a_trusted_balancer() {
    let mut front = Front::start();
    let client = front.ca.client(1);
    let config = client_config(&front.ca.der(), Some(&client));

    for (source, address) in [
        ("203.0.113.7", vec![203, 0, 113, 7]),
        ("::ffff:203.0.113.7", vec![203, 0, 113, 7]),
        ("2001:db8::7", [&[0x20, 0x01, 0x0d, 0xb8][..], &[0; 11], &[7]].concat()),
    ] {
        let header = proxy_header(source.parse().expect("an address"));
        let config = config.clone();
        let proxied = front.proxied;
        let channel = tonic::transport::Endpoint::from_static("http://vault.test")
            .connect_with_connector(tower::service_fn(move |_| {
                let (config, header) = (config.clone(), header.clone());
                async move {
                    let stream = connect(proxied, config, &header).await?;
                    Ok::<_, std::io::Error>(hyper_util::rt::TokioIo::new(stream))
                }
            }))
            .await
            .expect("lets it in");
        let play = front.play(|core| {
            let (correlation, call) = core.next_sign();
            core.send(Kind::Reply, correlation, &released(1));
            call.caller
        });
        SignServiceClient::new(channel).sign(sign_request("a")).await.expect("signed");
        let caller = play.end(&mut front).await;
        assert_eq!(caller.address, address);
        assert_eq!(caller.via, "127.0.0.1");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refuses_proxy_headers_where_they_do_not_belong() {
    let front = Front::start();
    let client = front.ca.client(1);
    let config = || client_config(&front.ca.der(), Some(&client));
    let header = proxy_header([203, 0, 113, 7].into());
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";
    let version_1 = b"PROXY TCP4 203.0.113.7 10.0.0.1 12345 443\r\n";

    for (name, address, before) in [
        ("a header on the direct listener", front.bot, &header[..]),
        ("no header", front.proxied, b""),
        ("version 1", front.proxied, version_1),
        ("local", front.proxied, local),
        ("a balancer that nobody trusts", front.proxied_elsewhere, &header),
    ] {
        assert!(!is_let_in(connect(address, config(), before).await).await, "{name}");
    }
    assert!(is_let_in(connect(front.proxied, config(), &header).await).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_has_so_many_connections_and_no_more() {
    let front = Front::start();
    let client = front.ca.client(1);
    let config = client_config(&front.ca.der(), Some(&client));
    let mut held = Vec::new();
    for _ in 0..Limits::default().bot.connections_per_certificate {
        let stream = connect(front.bot, config.clone(), &[]).await.expect("a handshake");
        let (send, connection) = h2::client::handshake(stream).await.expect("h2");
        let connection = tokio::spawn(connection);
        // The front's settings are here: it has entered the connection.
        let send = send.ready().await.expect("served");
        held.push((send, connection));
    }

    assert!(!is_let_in(connect(front.bot, config.clone(), &[]).await).await);
    let other = client_config(&front.ca.der(), Some(&front.ca.client(2)));
    assert!(is_let_in(connect(front.bot, other, &[]).await).await);

    let (send, connection) = held.pop().expect("some");
    drop(send);
    connection.abort();
    let deadline = SystemTime::now() + PATIENCE;
    while !is_let_in(connect(front.bot, config.clone(), &[]).await).await {
        assert!(SystemTime::now() < deadline, "the place is not given back");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_nothing_is_dropped() {
    let front = Front::start_with(Limits {
        // Only the shorter times can end it.
        handshake: 10 * PATIENCE,
        ..Limits::default()
    });

    let header = proxy_header([203, 0, 113, 7].into());
    for (address, before) in [
        (front.bot, &[][..]),
        (front.proxied, &[]),
        (front.proxied, &header),
        (front.operator, &[]),
        (front.enroll, &[]),
    ] {
        let mut tcp = TcpStream::connect(address).await.expect("accepted");
        tcp.write_all(before).await.expect("written");
        let end = tokio::time::timeout(PATIENCE, tcp.read(&mut [0; 1])).await.expect("in time");
        assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    }
}

/// Limits under which only other connections end a silent one.
fn endless_silence() -> Limits {
    let limits = Limits::default();
    Limits { first_byte: 10 * PATIENCE, handshake: 10 * PATIENCE, ..limits }
}

/// Connects from `127.0.0.last` and says nothing.
async fn silent(address: SocketAddr, last: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, last], 0).into()).expect("loopback is a whole /8");
    socket.connect(address).await.expect("accepted")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_nothing_keeps_nobody_out() {
    let front = Front::start_with(endless_silence());
    let config = client_config(&front.ca.der(), Some(&front.ca.client(1)));
    for address in [front.operator, front.enroll, front.bot] {
        let mut held = Vec::new();
        for _ in 0..200 {
            held.push(silent(address, 2).await);
        }

        let let_in = async { is_let_in(connect(address, config.clone(), &[]).await).await };
        let let_in = tokio::time::timeout(PATIENCE, let_in).await;
        assert_eq!(let_in, Ok(true));
        // It is its own oldest that went.
        let end = tokio::time::timeout(PATIENCE, held[0].read(&mut [0; 1])).await;
        assert!(matches!(end.expect("in time"), Ok(0) | Err(_)));
        let newest = handshake(held.pop().expect("200"), config.clone()).await;
        assert!(is_let_in(newest).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_of_many_addresses_keeps_nobody_out() {
    let front = Front::start_with(endless_silence());
    let config = client_config(&front.ca.der(), Some(&front.ca.client(1)));
    let mut held = Vec::new();
    for last in 2..=41 {
        for _ in 0..10 {
            held.push(silent(front.operator, last).await);
        }
    }

    let let_in = async { is_let_in(connect(front.operator, config, &[]).await).await };
    assert_eq!(tokio::time::timeout(PATIENCE, let_in).await, Ok(true));
    let end = tokio::time::timeout(PATIENCE, held[0].read(&mut [0; 1])).await;
    assert!(matches!(end.expect("in time"), Ok(0) | Err(_)));
}

/// A hello as our clients say it.
fn hello(config: &rustls::ClientConfig) -> Vec<u8> {
    let name = rustls_pki_types::ServerName::try_from("vault.test").expect("a name");
    let mut client =
        rustls::ClientConnection::new(std::sync::Arc::new(config.clone()), name).expect("a client");
    let mut hello = Vec::new();
    client.write_tls(&mut hello).expect("written to memory");
    hello
}

async fn is_ended(tcp: &mut TcpStream) -> bool {
    let mut bytes = [0; 4096];
    let end = async { while matches!(tcp.read(&mut bytes).await, Ok(read) if read > 0) {} };
    tokio::time::timeout(PATIENCE, end).await.is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stops_in_the_middle_of_a_handshake_keeps_nobody_out() {
    let front = Front::start_with(endless_silence());
    let config = client_config(&front.ca.der(), Some(&front.ca.client(1)));
    let hello = hello(&config);
    // From one address; then from many; then of all of them only a part of the hello.
    for (addresses, bytes) in [(1, &hello[..]), (40, &hello[..]), (40, &hello[..100])] {
        let mut stuck = Vec::new();
        for number in 0..320_u16 {
            let last = u8::try_from(2 + number % addresses).expect("small");
            let mut tcp = silent(front.operator, last).await;
            tcp.write_all(bytes).await.expect("written");
            stuck.push(tcp);
        }

        let let_in = is_let_in(connect(front.operator, config.clone(), &[]).await);
        assert_eq!(tokio::time::timeout(PATIENCE, let_in).await, Ok(true), "{addresses}");
        assert!(is_ended(&mut stuck[0]).await, "the oldest goes");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_fails_too_often_is_turned_away_unless_a_good_client_came_from_there() {
    let front = Front::start_with(Limits {
        failed_handshakes_burst: 5,
        failed_handshakes_per_second: 0,
        ..Limits::default()
    });
    let config = client_config(&front.ca.der(), Some(&front.ca.client(1)));
    let is_let_in = async |last: u8| {
        let tcp = silent(front.bot, last).await;
        is_let_in(handshake(tcp, config.clone()).await).await
    };
    // With an alert, if it was read at all.
    let fail = async |last: u8| {
        let mut tcp = silent(front.bot, last).await;
        // One that is turned away may be closed already.
        let _ = tcp.write_all(&[22, 3, 1, 0, 5, 1, 0, 0, 1, 0]).await;
        matches!(tcp.read(&mut [0; 64]).await, Ok(read) if read > 0)
    };

    for _ in 0..5 {
        assert!(fail(2).await);
    }
    assert!(!fail(2).await);
    assert!(!is_let_in(2).await);
    // Another address, one from which somebody has shown who he is.
    assert!(is_let_in(3).await);
    for _ in 0..20 {
        assert!(fail(3).await);
    }
    assert!(is_let_in(3).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_cannot_take_all_places_of_operators_nor_more_by_new_certificates() {
    let mut limits = Limits::default();
    limits.operator.connections_of_clients = 2;
    limits.bot.connections_per_certificate = 2;
    let front = Front::start_with(limits);
    let hold = async |address, identity: &crate::support::Identity| {
        let config = client_config(&front.ca.der(), Some(identity));
        let stream = connect(address, config, &[]).await.expect("a handshake");
        let (send, connection) = h2::client::handshake(stream).await.expect("h2");
        let connection = tokio::spawn(connection);
        // While it is kept, so is the connection.
        (send.ready().await.expect("served"), connection)
    };
    let comes_in = async |address, identity: &crate::support::Identity| {
        let config = client_config(&front.ca.der(), Some(identity));
        is_let_in(connect(address, config, &[]).await).await
    };

    let mut held = Vec::new();
    for serial in 1..=2 {
        let client = front.ca.named(serial, "client", &format!("bot-{serial}"));
        held.push(hold(front.operator, &client).await);
    }
    assert!(!comes_in(front.operator, &front.ca.named(3, "client", "operator")).await);
    assert!(comes_in(front.operator, &front.ca.named(4, "operator", "alice")).await);

    for serial in 11..=12 {
        held.push(hold(front.bot, &front.ca.named(serial, "client", "renewing")).await);
    }
    assert!(!comes_in(front.bot, &front.ca.named(13, "client", "renewing")).await);
    assert!(comes_in(front.bot, &front.ca.named(14, "client", "other")).await);
    assert!(held.iter().all(|(_, connection)| !connection.is_finished()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_of_one_address_get_in_at_once() {
    let front = Front::start();
    let config = client_config(&front.ca.der(), Some(&front.ca.client(1)));
    let connecting: Vec<_> = (0..32)
        .map(|_| {
            let (address, config) = (front.bot, config.clone());
            tokio::spawn(async move { is_let_in(connect(address, config, &[]).await).await })
        })
        .collect();

    for connected in connecting {
        assert!(connected.await.expect("no panic"));
    }
}
