//! Spans of single calls, as a collector gets them from a vault at work.

mod collector;
mod limit;
mod lost;
mod parent;
mod span;
mod venue;

use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use vault_client::Client;
use vault_tests::{Builder, OKX_SCOPE, TestVault, wire};

use crate::collector::Collector;

/// How long spans and figures may take to be there.
const SOON: Duration = Duration::from_secs(40);

/// A vault that traces so many of its calls.
fn builder(collector: &Collector, sample: f64) -> Builder {
    TestVault::builder()
        .config("tracing", "otlp_endpoint", collector.endpoint())
        .config("tracing", "sample", sample)
        .config("metrics", "listen", "127.0.0.1:0")
}

/// A bot of it that may sign for `okx-main`.
async fn bot(vault: &TestVault) -> Client {
    vault.import_okx("okx-main").await;
    vault.bot("bot", OKX_SCOPE, &[]).await
}

/// A channel of the bot for what its library does not send.
async fn channel(vault: &TestVault) -> tonic::transport::Channel {
    let identity = vault.identity("bot");
    let tls = wire::tls(&identity, Some(&identity));
    wire::channel(tls, vault.ready().bot, None).await.expect("connected")
}

/// An attribute as text; empty without one.
fn attribute(span: &Span, key: &str) -> String {
    let of_key = span.attributes.iter().find(|attribute| attribute.key == key);
    match of_key.and_then(|attribute| attribute.value.clone()?.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        _ => String::new(),
    }
}

/// Spans by name, of this parent.
fn children<'a>(spans: &'a [Span], parent: &Span) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.parent_span_id == parent.span_id).collect()
}

/// The roots of this name.
fn roots<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

/// A figure of the vault, as it is in the text.
async fn figure(vault: &TestVault, name: &str) -> f64 {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let at = vault.ready().metrics.expect("the listener for figures");
    let mut stream = tokio::net::TcpStream::connect(at).await.expect("connected");
    let request = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(request).await.expect("written");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("text");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().expect("a number")
}

/// Asks until a figure is as it should be.
async fn until(vault: &TestVault, name: &str, holds: impl Fn(f64) -> bool) -> f64 {
    let end = std::time::Instant::now() + SOON;
    loop {
        let figure = figure(vault, name).await;
        if holds(figure) {
            return figure;
        }
        assert!(std::time::Instant::now() < end, "{name} is {figure}");
        // The text is made once a second at most.
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}
