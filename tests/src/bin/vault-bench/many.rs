//! Many Signs in one call, against as many calls: a batch, and a stream.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use vault_proto::v1;
use vault_proto::v1::sign_service_client::SignServiceClient;
use vault_tests::TestVault;

use crate::figure::{Rounds, Table, spread};
use crate::sign::request;
use crate::{Arguments, Error, cores, tls, way};

/// Signs in one batch, and under way on one stream.
const TOGETHER: usize = 64;

/// Calls of one client that the front passes to the core at a time.
const UNDER_WAY_MAX: usize = 256;

/// How the Signs are asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Together {
    Batch,
    Stream,
    /// One call each, `--streams` of them at a time on each connection.
    Single,
}

pub(crate) fn measure(arguments: &Arguments, together: Together) -> Result<(Value, String), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(arguments, together))
}

async fn run(arguments: &Arguments, together: Together) -> Result<(Value, String), Error> {
    let vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    let bot = vault.bot("bench", vault_tests::OKX_SCOPE, &[]).await;
    let identity = bot.identity();
    let tls = tls::of_identity(identity.folder(), b"h2")?;
    // One client has so many calls with the core at a time; what is beyond is refused.
    let connections = arguments.connections.min(UNDER_WAY_MAX / TOGETHER);
    let mut channels = Vec::new();
    for _ in 0..connections {
        channels.push(way::channel(identity.address().parse()?, Arc::clone(&tls)).await?);
    }
    let time = Duration::from_secs(arguments.seconds.max(1));
    let (mut single, mut many, mut ratio) =
        (Rounds::default(), Rounds::default(), Rounds::default());
    let mut answered = 0;
    for _ in 0..arguments.rounds {
        let mut rates = [0.0; 2];
        for (rate, together) in rates.iter_mut().zip([Together::Single, together]) {
            let begun = Instant::now();
            let mut tasks = JoinSet::new();
            for channel in &channels {
                let at_once = if together == Together::Single { arguments.streams } else { 1 };
                for _ in 0..at_once {
                    tasks.spawn(sign_until(channel.clone(), together, begun + time));
                }
            }
            let mut signed = 0;
            while let Some(done) = tasks.join_next().await {
                signed += done??;
            }
            *rate = signed as f64 / begun.elapsed().as_secs_f64();
            answered += signed;
        }
        let [one, other] = rates;
        single.push(one);
        many.push(other);
        ratio.push(other / one);
    }
    vault.verify();
    let entries = vault.log_entries();
    let logged = entries.iter().filter(|entry| entry.kind == vault_audit::EntryKind::Sign).count();
    if logged != answered {
        return Err(format!("{answered} were answered, {logged} are in the log").into());
    }
    let name = if together == Together::Batch { "batch" } else { "stream" };
    let report = json!({
        "scenario": name,
        "what": "OKX order, HMAC-SHA256, mTLS, policy, closure, synced log",
        "cores": cores(),
        "rounds": arguments.rounds,
        "connections": connections,
        "together": TOGETHER,
        "single_per_second": single.json(),
        "together_per_second": many.json(),
        "together_per_single": ratio.json(),
        "log": { "answered": answered, "entries": logged, "verifies": true },
    });
    let mut table = Table::new(&["Signs", "a second"]);
    table.row(&[
        format!("one a call, {connections} connections x {}", arguments.streams),
        spread(&single),
    ]);
    let row = format!("{name} of {TOGETHER}, {connections} connections");
    table.row(&[row, spread(&many)]);
    let (median, least, most) = (ratio.median(), ratio.least(), ratio.most());
    let log = format!("The log: {logged} of {answered} answered are in it, and it verifies.");
    Ok((report, format!("{}\nRatio: {median:.2} ({least:.2} to {most:.2})\n{log}\n", table.text())))
}

/// Signs until a time; returns how many were answered.
async fn sign_until(channel: Channel, together: Together, end: Instant) -> Result<usize, Error> {
    let mut client = SignServiceClient::new(channel).max_decoding_message_size(2 << 20);
    let mut signed = 0;
    match together {
        Together::Single => {
            while Instant::now() < end {
                client.sign(request()).await?;
                signed += 1;
            }
        }
        Together::Batch => {
            while Instant::now() < end {
                let requests = (0..TOGETHER).map(|_| request()).collect();
                let answer = client.sign_batch(v1::SignBatchRequest { requests }).await?;
                for result in answer.into_inner().results {
                    count(result, &mut signed)?;
                }
            }
        }
        Together::Stream => {
            let (orders, waiting) = mpsc::channel(TOGETHER);
            for _ in 0..TOGETHER {
                orders.send(request()).await?;
            }
            let mut orders = Some(orders);
            let results = client.sign_stream(ReceiverStream::new(waiting)).await?;
            let mut results = results.into_inner();
            while let Some(result) = results.message().await? {
                count(result, &mut signed)?;
                if Instant::now() >= end {
                    // The stream ends when those under way are answered.
                    orders = None;
                }
                if let Some(orders) = &orders {
                    orders.send(request()).await?;
                }
            }
        }
    }
    Ok(signed)
}

fn count(result: v1::SignResult, signed: &mut usize) -> Result<(), Error> {
    match result.result {
        Some(v1::sign_result::Result::Signed(answer)) if answer.receipt.is_some() => {
            *signed += 1;
            Ok(())
        }
        Some(v1::sign_result::Result::Failure(failure)) => Err(failure.reason.into()),
        _ => Err("a signature without a receipt".into()),
    }
}
