//! Sign against the echo.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tonic::transport::Channel;
use vault_proto::v1;
use vault_proto::v1::sign_service_client::SignServiceClient;
use vault_tests::TestVault;

use crate::figure::{Latencies, Rounds, Table, spread};
use crate::{Arguments, Error, cores, echo, tls, way};

/// How much load, for how long.
#[derive(Clone, Copy)]
struct Load {
    connections: usize,
    streams: usize,
    time: Duration,
}

/// What one server gave under one load.
#[derive(Default)]
struct Found {
    per_second: Rounds,
    p50: Rounds,
    p99: Rounds,
    p999: Rounds,
}

impl Found {
    fn push(&mut self, mut latencies: Latencies, took: Duration) -> f64 {
        let per_second = latencies.len() as f64 / took.as_secs_f64();
        self.per_second.push(per_second);
        self.p50.push(latencies.at(0.5));
        self.p99.push(latencies.at(0.99));
        self.p999.push(latencies.at(0.999));
        per_second
    }

    fn json(&self) -> Value {
        json!({
            "per_second": self.per_second.json(),
            "p50_us": self.p50.json(),
            "p99_us": self.p99.json(),
            "p999_us": self.p999.json(),
        })
    }

    fn row(&self, name: &str, table: &mut Table) {
        table.row(&[
            name.to_owned(),
            spread(&self.per_second),
            spread(&self.p50),
            spread(&self.p99),
            spread(&self.p999),
        ]);
    }
}

pub(crate) fn measure(arguments: &Arguments) -> Result<(Value, String), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(arguments))
}

async fn run(arguments: &Arguments) -> Result<(Value, String), Error> {
    let vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    let bot = vault.bot("bench", vault_tests::OKX_SCOPE, &[]).await;
    let identity = bot.identity();
    let sign_tls = tls::of_identity(identity.folder(), b"h2")?;
    let sign_address: SocketAddr = identity.address().parse()?;
    let echo_address = echo::start()?;
    let echo_tls = echo::client_tls()?;

    let time = Duration::from_secs(arguments.seconds.max(1));
    let alone = Load { connections: 1, streams: 1, time };
    let loaded = Load { connections: arguments.connections, streams: arguments.streams, time };
    let mut report = json!({
        "scenario": "sign-hmac",
        "what": "OKX order, HMAC-SHA256, mTLS, policy, closure, synced log",
        "cores": cores(),
        "rounds": arguments.rounds,
        "connections": arguments.connections,
        "streams": arguments.streams,
        "seconds": arguments.seconds,
    });
    let mut text = String::new();
    for (name, load) in [("loaded", loaded), ("alone", alone)] {
        let (mut echoes, mut signs) = (Found::default(), Found::default());
        let mut ratio = Rounds::default();
        for _ in 0..arguments.rounds {
            let (latencies, took) = drive(load, echo_address, &echo_tls, |channel| {
                Box::pin(async move { echo::call(&mut tonic::client::Grpc::new(channel)).await })
            })
            .await?;
            let echo = echoes.push(latencies, took);
            let (latencies, took) = drive(load, sign_address, &sign_tls, |channel| {
                Box::pin(async move { sign(&mut SignServiceClient::new(channel)).await })
            })
            .await?;
            ratio.push(signs.push(latencies, took) / echo);
        }
        report[name] = json!({
            "echo": echoes.json(), "sign": signs.json(), "sign_per_echo": ratio.json(),
        });
        let mut table = Table::new(&[name, "calls/s", "p50", "p99", "p99.9"]);
        echoes.row("echo", &mut table);
        signs.row("sign-hmac", &mut table);
        text.push_str(table.text());
        text.push_str(&format!("\nSign / echo: {:.2}\n\n", ratio.median()));
    }
    vault.verify();
    Ok((report, text))
}

/// Drives `call` in a closed loop over all connections and streams.
async fn drive(
    load: Load,
    address: SocketAddr,
    tls: &Arc<rustls::ClientConfig>,
    call: fn(Channel) -> BoxFuture<'static, Result<(), Error>>,
) -> Result<(Latencies, Duration), Error> {
    let mut channels = Vec::new();
    for _ in 0..load.connections {
        let channel = way::channel(address, Arc::clone(tls)).await?;
        call(channel.clone()).await?;
        channels.push(channel);
    }
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for channel in channels {
        for _ in 0..load.streams {
            let channel = channel.clone();
            tasks.spawn(async move {
                let mut latencies = Latencies::with_capacity(65_536);
                while begun.elapsed() < load.time {
                    let sent = Instant::now();
                    call(channel.clone()).await?;
                    latencies.push(sent.elapsed());
                }
                Ok::<_, Error>(latencies)
            });
        }
    }
    let mut all = Latencies::default();
    while let Some(done) = tasks.join_next().await {
        all.append(done??);
    }
    Ok((all, begun.elapsed()))
}

async fn sign(client: &mut SignServiceClient<Channel>) -> Result<(), Error> {
    let response = client.sign(request()).await?.into_inner();
    if response.receipt.is_none() {
        return Err("a signature without a receipt".into());
    }
    Ok(())
}

/// An order, with an id of its own.
pub(crate) fn request() -> v1::SignRequest {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    v1::SignRequest {
        request_id: format!("bench-{}-{number}", std::process::id()),
        credential: "okx-main".to_owned(),
        request: Some(v1::VenueRequest {
            method: "POST".to_owned(),
            scheme: String::new(),
            host: "www.okx.com".to_owned(),
            path: "/api/v5/trade/order".to_owned(),
            query: String::new(),
            body: ORDER.to_vec(),
            headers: Vec::new(),
        }),
    }
}

const ORDER: &[u8] = br#"{"instId":"BTC-USDT","tdMode":"cash","side":"buy","ordType":"limit","px":"60000","sz":"0.001"}"#;
