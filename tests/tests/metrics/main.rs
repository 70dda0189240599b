//! The figures: asked for over plain HTTP by whoever reaches the loopback address.

mod alarm;
mod asked;
mod echo;
mod page;
mod value;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use vault_client::{Client, ExecuteOrder};
use vault_tests::{Builder, OKX_SCOPE, TestVault, okx_balance};

/// How long a figure may take to become what is expected.
const SOON: Duration = Duration::from_secs(30);

/// A vault that tells its figures and sends requests nowhere.
fn builder() -> Builder {
    let place = [("host", "*"), ("connect", "127.0.0.1:9")];
    let place = place.map(|(key, value)| (key.to_owned(), toml::Value::from(value)));
    let nowhere = vec![toml::Value::Table(place.into_iter().collect())];
    let builder = TestVault::builder().config("metrics", "listen", "127.0.0.1:0");
    builder.config("egress", "override", nowhere)
}

/// A bot of it that may sign and send for `okx-main`.
async fn bot(vault: &TestVault) -> Client {
    vault.import_okx("okx-main").await;
    let scope = OKX_SCOPE.replace(r#"["sign"]"#, r#"["sign", "execute"]"#);
    vault.bot("bot", &scope, &[]).await
}

/// A request that no venue will answer.
fn lost_request() -> ExecuteOrder {
    ExecuteOrder {
        credential: "okx-main".to_owned(),
        request: okx_balance(),
        ..ExecuteOrder::default()
    }
}

/// Figures by name and labels, as they stand in the text.
type Figures = BTreeMap<String, f64>;

fn at(vault: &TestVault) -> SocketAddr {
    vault.ready().metrics.expect("the listener for figures")
}

/// The answer to these bytes, to its end.
async fn answer(at: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(at).await.expect("connected");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut answer = Vec::new();
    // Whoever is not answered is cut.
    let _ = tokio::time::timeout(SOON, stream.read_to_end(&mut answer)).await.expect("in time");
    String::from_utf8(answer).expect("text")
}

/// The text of all figures.
async fn text(vault: &TestVault) -> String {
    let answer = answer(at(vault), "GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let (head, text) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    text.to_owned()
}

fn figures(text: &str) -> Figures {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a name and a number");
            (name.to_owned(), value.parse().expect("a number"))
        })
        .collect()
}

/// Asks until the figures are as they should be.
async fn until(vault: &TestVault, holds: impl Fn(&Figures) -> bool) -> Figures {
    let end = Instant::now() + SOON;
    loop {
        let text = text(vault).await;
        let figures = figures(&text);
        if holds(&figures) {
            return figures;
        }
        assert!(Instant::now() < end, "not in time:\n{text}");
        // The text is made once a second at most.
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

fn of(figures: &Figures, name: &str) -> f64 {
    figures.get(name).copied().unwrap_or(0.0)
}
