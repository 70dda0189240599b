//! TLS beside plain HTTP: the certificate, and both versions of HTTP.

mod common;

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use vault_mock_venue::{Fault, Identity, MockConfig, MockVenues, Tls};

use common::NOW_MS;

fn venues(tls: Tls) -> MockVenues {
    let config = MockConfig { tls: Some(tls), ..MockConfig::new(Vec::new(), Arc::new(|| NOW_MS)) };
    MockVenues::start(config).expect("start")
}

async fn shake(
    venues: &MockVenues,
    name: &str,
    protocol: &[u8],
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    let ca = venues.ca_pem().expect("an authority");
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).expect("PEM")).expect("authority");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let tcp = TcpStream::connect(venues.tls_address().expect("TLS")).await?;
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await
}

fn time_request(target: &str) -> Request<Empty<Bytes>> {
    Request::get(target).header("host", "api.binance.com").body(Empty::new()).expect("a request")
}

#[tokio::test]
async fn shows_a_certificate_for_every_venue_and_nobody_else() {
    let venues = venues(Tls::made());
    for name in
        ["api.binance.com", "fapi.binance.com", "www.okx.com", "api.kraken.com", "127.0.0.1"]
    {
        assert!(shake(&venues, name, b"http/1.1").await.is_ok(), "{name}");
    }
    for name in ["binance.com.example", "example.com"] {
        assert!(shake(&venues, name, b"http/1.1").await.is_err(), "{name}");
    }
}

#[tokio::test]
async fn speaks_both_versions_of_http() {
    let venues = venues(Tls::made());
    let stream = shake(&venues, "api.binance.com", b"http/1.1").await.expect("TLS");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("HTTP/1.1");
    tokio::spawn(connection);
    let answer = sender.send_request(time_request("/api/v3/time")).await.expect("an answer");
    assert_eq!(answer.status(), 200);

    let stream = shake(&venues, "api.binance.com", b"h2").await.expect("TLS");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("HTTP/2");
    tokio::spawn(connection);
    let target = "https://fapi.binance.com/api/v3/time?";
    let request = Request::get(target).body(Empty::<Bytes>::new()).expect("a request");
    let answer = sender.send_request(request).await.expect("an answer");
    assert_eq!(answer.status(), 200);

    let seen = venues.public();
    let seen: Vec<_> = seen
        .iter()
        .map(|request| (request.http2, request.host.as_str(), request.target.as_str()))
        .collect();
    let expected =
        [(false, "api.binance.com", "/api/v3/time"), (true, "fapi.binance.com", "/api/v3/time?")];
    assert_eq!(seen, expected);

    // Faults reach HTTP/2 as well.
    for fault in [Fault::LengthTooShort, Fault::LengthTooLong, Fault::ResetInBody] {
        venues.fault(fault.clone());
        let stream = shake(&venues, "api.binance.com", b"h2").await.expect("TLS");
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .expect("HTTP/2");
        tokio::spawn(connection);
        let request = Request::get(target).body(Empty::<Bytes>::new()).expect("a request");
        let whole = match sender.send_request(request).await {
            Ok(answer) => answer.into_body().collect().await.is_ok(),
            Err(_) => false,
        };
        assert!(!whole, "{fault:?}");
    }
}

#[tokio::test]
async fn offers_http1_alone_if_told_to() {
    let venues = venues(Tls { http2: false, ..Tls::made() });
    assert!(shake(&venues, "api.binance.com", b"http/1.1").await.is_ok());
    assert!(shake(&venues, "api.binance.com", b"h2").await.is_err());
}

#[test]
fn a_certificate_that_is_none_does_not_start() {
    let given = |chain_pem: &str| {
        let identity =
            Identity::Given { chain_pem: chain_pem.to_owned(), key_pem: chain_pem.to_owned() };
        let tls = Some(Tls { identity, ..Tls::made() });
        MockVenues::start(MockConfig { tls, ..MockConfig::new(Vec::new(), Arc::new(|| NOW_MS)) })
    };
    for pem in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert!(given(pem).is_err());
    }
}
