//! Who asks, how, and how much of it.

use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use vault_tests::TestVault;

use crate::{answer, at, builder, text};

#[tokio::test(flavor = "multi_thread")]
async fn one_path_is_answered_by_one_method_to_this_machine_alone() {
    let vault = builder().sealed().start().await;
    let at = at(&vault);
    assert!(at.ip().is_loopback());
    for (request, status) in [
        ("GET /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n", "200 OK"),
        ("GET /metrics HTTP/1.0\r\nhost: [::1]:9464\r\n\r\n", "200 OK"),
        ("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n", "404 Not Found"),
        ("GET /metrics/x HTTP/1.1\r\nhost: localhost\r\n\r\n", "404 Not Found"),
        ("POST /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n", "405 Method Not Allowed"),
        ("GET /metrics HTTP/1.1\r\nhost: vault.example\r\n\r\n", "421 Misdirected Request"),
        ("GET /metrics HTTP/1.1\r\n\r\n", "421 Misdirected Request"),
        ("no HTTP at all\r\n\r\n", "400 Bad Request"),
    ] {
        let answer = answer(at, request).await;
        let first = answer.lines().next().unwrap_or_default();
        assert!(first.ends_with(status), "{request:?}: {first}");
        assert_eq!(answer.contains("# TYPE"), status == "200 OK", "{request:?}");
    }
    // A head that does not end fits no buffer.
    let long =
        format!("GET /metrics HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "a".repeat(20_000));
    assert!(!answer(at, &long).await.contains("# TYPE"));
    // One request is all that a connection is for.
    let twice = "GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(2);
    assert_eq!(answer(at, &twice).await.matches("HTTP/1.1 200").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_keeps_nobody_out_for_long() {
    let vault = builder().sealed().start().await;
    let at = at(&vault);
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(TcpStream::connect(at).await.expect("connected"));
    }
    // All places are taken; those who came later were closed, and the first have a few seconds.
    for mut stream in silent {
        let mut byte = [0];
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut byte)).await;
        assert!(matches!(read.expect("closed in time"), Ok(0) | Err(_)));
    }
    text(&vault).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_answered_where_nothing_is_configured() {
    let vault = TestVault::builder().sealed().start().await;
    assert_eq!(vault.ready().metrics, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_others_reach_ends_the_start() {
    let mut vault = TestVault::builder().sealed().start().await;
    vault.stop().await;
    vault.set_config("metrics", "listen", "0.0.0.0:0");
    let refused = vault.try_run().await.expect_err("refused");
    assert!(
        refused.stderr.contains("metrics.listen must be a loopback address"),
        "{}",
        refused.stderr
    );
}
