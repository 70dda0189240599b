//! Bots that sign.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vault_client::Client;
use vault_tests::growth::Error;
use vault_tests::{OKX_SCOPE, TestVault, okx_order, order};

/// Clients that enrol and sign; the others only stand in the database and the log.
pub(crate) const BOTS: usize = 8;
const TASKS_PER_BOT: usize = 16;

pub(crate) fn bot_name(bot: usize) -> String {
    format!("signer-{bot}")
}

/// A credential and bots for it, one of which signs an order.
pub(crate) async fn prepare(vault: &TestVault) -> Result<(), Error> {
    vault.import_okx("okx-main").await;
    for bot in 0..BOTS {
        vault.bot_identity(&bot_name(bot), OKX_SCOPE, &[]).await;
    }
    sign_once(vault).await
}

/// Signs one order.
pub(crate) async fn sign_once(vault: &TestVault) -> Result<(), Error> {
    vault.connect_bot(&bot_name(0)).await.sign(wanted()).await?;
    Ok(())
}

fn wanted() -> vault_client::SignOrder {
    order("okx-main", okx_order("BTC-USDT", "0.001"))
}

/// Signs for a while, one connection for each bot and 16 requests at a time on each.
pub(crate) async fn run(vault: &TestVault, time: Duration) -> Result<Value, Error> {
    let mut tasks = Vec::new();
    for bot in 0..BOTS {
        let bot: Arc<Client> = Arc::new(vault.connect_bot(&bot_name(bot)).await);
        for _ in 0..TASKS_PER_BOT {
            tasks.push(tokio::spawn(sign_until(Arc::clone(&bot), time)));
        }
    }
    let mut took: Vec<Duration> = Vec::new();
    for task in tasks {
        took.extend(task.await??);
    }
    took.sort_unstable();
    let at = |part: f64| {
        let place = (took.len() as f64 * part) as usize;
        took.get(place).map(|time| time.as_micros() as u64)
    };
    Ok(json!({
        "a_second": took.len() as f64 / time.as_secs_f64(),
        "p50_us": at(0.5), "p99_us": at(0.99), "p999_us": at(0.999),
    }))
}

/// What each took; those of the first fifth are left out.
async fn sign_until(bot: Arc<Client>, time: Duration) -> Result<Vec<Duration>, Error> {
    let warm = Instant::now() + time / 5;
    let end = warm + time;
    let mut took = Vec::new();
    loop {
        let began = Instant::now();
        if began >= end {
            return Ok(took);
        }
        bot.sign(wanted()).await?;
        if began >= warm {
            took.push(began.elapsed());
        }
    }
}
