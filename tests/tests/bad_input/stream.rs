//! Bytes that are no TLS, no HTTP/2 and no frame.

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use vault_client::v1;
use vault_tests::{TestVault, okx_balance, order, wire};

use crate::with_bot;

const CLIENT_HELLO_CUT: &[u8] = &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03];
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Sends bytes and waits for the end of the connection.
async fn is_cut(to: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(to).await.expect("connected");
    // The vault may have closed already.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let end = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(Duration::from_secs(15), end).await.expect("cut in time");
    assert!(answer.len() < 1_000, "more than an alert: {} bytes", answer.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_at_the_listeners() {
    let (vault, bot) = with_bot().await;
    let state_rev = vault.state_rev();
    let ready = vault.ready();
    let mut random = vec![0; 70_000];
    aws_lc_rs::rand::fill(&mut random).expect("randomness");
    let cases: [&[u8]; 7] = [
        b"",
        b"GET / HTTP/1.1\r\nhost: vault\r\n\r\n",
        PREFACE,
        CLIENT_HELLO_CUT,
        &[0; 512],
        &[0x16, 0x03, 0x03, 0xff, 0xff],
        &random,
    ];
    let mut attempts = Vec::new();
    for listener in [ready.bot, ready.operator, ready.enroll] {
        for bytes in cases {
            attempts.push(is_cut(listener, bytes));
        }
    }
    futures_util::future::join_all(attempts).await;

    assert_eq!(vault.state_rev(), state_rev);
    bot.sign(order("okx-main", okx_balance())).await.expect("it still signs");
    vault
        .admin()
        .await
        .list_clients(v1::ListClientsCommand::default())
        .await
        .expect("it still obeys");
    vault.pricer("pricer").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_inside_tls() {
    let (vault, bot) = with_bot().await;
    let state_rev = vault.state_rev();
    let (bot_identity, admin) = (vault.identity("bot"), vault.identity("admin"));
    let ready = vault.ready();
    let huge_frame = [PREFACE, &[0, 0, 0, 4, 0, 0, 0, 0, 0], &[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1]];
    // A header block that never ends.
    let mut endless =
        [PREFACE, &[0, 0, 0, 4, 0, 0, 0, 0, 0], &[0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82]].concat();
    for _ in 0..10_000 {
        endless.extend_from_slice(&[0, 0, 1, 9, 0, 0, 0, 0, 1, 0x82]);
    }
    let cases: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\nhost: vault\r\n\r\n",
        &[0xff; 4_096],
        &huge_frame.concat(),
        &[PREFACE, &[0xff; 4_096]].concat(),
        &endless,
    ];
    for (listener, show) in
        [(ready.bot, Some(&bot_identity)), (ready.operator, Some(&admin)), (ready.enroll, None)]
    {
        for (number, bytes) in cases.iter().enumerate() {
            let tls = wire::tls(&admin, show);
            let mut stream = wire::stream(tls, listener, None).await.expect("TLS");
            let _ = stream.write_all(bytes).await;
            let mut answer = Vec::new();
            let end = stream.read_to_end(&mut answer);
            let end = tokio::time::timeout(Duration::from_secs(15), end).await;
            let _ = end.unwrap_or_else(|_| panic!("case {number} at {listener} is not cut"));
        }
    }
    assert_eq!(vault.state_rev(), state_rev);
    bot.sign(order("okx-main", okx_balance())).await.expect("it still signs");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_protocols_inside_tls() {
    let vault = TestVault::start().await;
    let admin = vault.identity("admin");
    let listener = vault.ready().operator;
    let refused = async |config: ClientConfig| {
        let tcp = TcpStream::connect(listener).await.expect("connected");
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let attempt = async {
            let mut stream = connector.connect(ServerName::from(listener.ip()), tcp).await?;
            stream.read_u8().await
        };
        let outcome = tokio::time::timeout(Duration::from_secs(15), attempt).await;
        outcome.expect("in time").expect_err("refused").to_string()
    };

    let mut http1 = wire::tls(&admin, Some(&admin));
    http1.alpn_protocols = vec![b"http/1.1".to_vec()];
    let said = refused(http1).await;
    assert!(said.contains("NoApplicationProtocol"), "{said}");
    let mut silent = wire::tls(&admin, Some(&admin));
    silent.alpn_protocols.clear();
    refused(silent).await;

    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let old = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .expect("TLS 1.2")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let said = refused(old).await;
    assert!(said.contains("ProtocolVersion") || said.contains("HandshakeFailure"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_at_the_local_socket() {
    let vault = TestVault::start().await;
    let state_rev = vault.state_rev();
    let mut header_of_a_huge_frame = vec![0xff, 0xff, 0xff, 0x7f, 1, 6, 0, 0];
    header_of_a_huge_frame.extend_from_slice(&1u64.to_le_bytes());
    let mut shutdown = Vec::new();
    let nothing = vault_ipc::State::default();
    vault_ipc::encode(vault_ipc::Kind::Shutdown, 1, &nothing, &mut shutdown).expect("short");
    for bytes in [vec![0xff; 64], header_of_a_huge_frame, shutdown, b"status\n".repeat(10)] {
        let mut stream = UnixStream::connect(&vault.ready().socket).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(15))).expect("set");
        let _ = stream.write_all(&bytes);
        let end = std::io::Read::read_to_end(&mut stream, &mut Vec::new());
        let cut = match end {
            Ok(answered) => answered == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        };
        assert!(cut, "{bytes:?}");
    }
    for operation in [0, 99] {
        let call = vault_ipc::LocalCall { operation, body: vec![1; 100], uid: 0 };
        let mut bytes = Vec::new();
        vault_ipc::encode(vault_ipc::Kind::Local, 5, &call, &mut bytes).expect("short");
        let mut stream = UnixStream::connect(&vault.ready().socket).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(15))).expect("set");
        stream.write_all(&bytes).expect("written");
        let frame = vault_ipc::read(&mut stream).expect("a frame").expect("an answer");
        let reply: vault_ipc::Reply = frame.message().expect("a reply");
        assert_eq!(reply.failure.expect("refused").reason, "COMMAND_METHOD");
    }
    assert_eq!(vault.state_rev(), state_rev);
    vault.verify();
}
