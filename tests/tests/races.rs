//! Revoke and Halt while bots sign as fast as they can: no signature whose decision came after the
//! act is ever received, and none arrives after the act's acknowledgement.
//!
//! "Arrives" is seen by the bot's side: what is written to a loopback socket is there at once, so a
//! reply that a task gets long after the acknowledgement would have been written after it. The
//! allowance is for the scheduler of a busy machine, and what it held this process up comes on top.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Barrier;
use vault_client::v1;
use vault_tests::{OKX_SCOPE, TestVault, is_late, okx_order, okx_post, order, patiently};

const TASKS: usize = 8;
/// How late a task may notice a reply that was there before the acknowledgement.
const ALLOWANCE: Duration = Duration::from_secs(1);

/// What one task saw: the highest `seq` it received, and when it received its last signature.
#[derive(Clone, Copy, Default)]
struct Seen {
    highest_seq: u64,
    last_at: Option<Instant>,
    count: u64,
}

/// Bots that sign until they are refused; `stop_at` lets them run into the act.
async fn sign_until_refused(
    client: Arc<vault_client::Client>,
    wanted: v1::VenueRequest,
    start: Arc<Barrier>,
) -> (Seen, String) {
    let mut seen = Seen::default();
    start.wait().await;
    loop {
        match client.sign(order("okx-main", wanted.clone())).await {
            Ok(signed) => {
                seen.highest_seq = seen.highest_seq.max(signed.seq);
                seen.last_at = Some(Instant::now());
                seen.count += 1;
            }
            // A disk stalls. What may have been signed meanwhile is not received.
            Err(error) if is_late(&error) => {}
            Err(error) => {
                let reason = error.refusal().map(|refusal| refusal.reason.clone());
                return (seen, reason.unwrap_or_else(|| "CONNECTION".to_owned()));
            }
        }
    }
}

struct Race {
    act_seq: u64,
    acknowledged_at: Instant,
    /// The longest that this process was held up.
    held_up: Duration,
    seen: Vec<(Seen, String)>,
}

impl Race {
    fn check(&self, round: usize, reasons: &[&str]) {
        for (seen, reason) in &self.seen {
            assert!(
                seen.highest_seq <= self.act_seq,
                "round {round}: a signature with seq {} was received, the act has {}",
                seen.highest_seq,
                self.act_seq
            );
            if let Some(last_at) = seen.last_at {
                let late = last_at.saturating_duration_since(self.acknowledged_at);
                assert!(
                    late < ALLOWANCE + self.held_up,
                    "round {round}: a signature came {late:?} after the answer"
                );
            }
            assert!(reasons.contains(&reason.as_str()), "round {round}: {reason}");
        }
    }
}

/// Starts the tasks, lets them sign for a moment, and acts among them.
async fn race<F>(clients: &[Arc<vault_client::Client>], pause: Duration, act: F) -> Race
where
    F: Future<Output = u64>,
{
    race_with(clients, okx_order("BTC-USDT", "0.001"), pause, act).await
}

/// As [`race`], with another order.
async fn race_with<F>(
    clients: &[Arc<vault_client::Client>],
    wanted: v1::VenueRequest,
    pause: Duration,
    act: F,
) -> Race
where
    F: Future<Output = u64>,
{
    let start = Arc::new(Barrier::new(TASKS + 1));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let client = Arc::clone(&clients[task % clients.len()]);
            tokio::spawn(sign_until_refused(client, wanted.clone(), Arc::clone(&start)))
        })
        .collect();
    let is_over = Arc::new(AtomicBool::new(false));
    let watching = tokio::spawn(watch(Arc::clone(&is_over)));
    start.wait().await;
    tokio::time::sleep(pause).await;
    let act_seq = act.await;
    let acknowledged_at = Instant::now();
    let mut seen = Vec::new();
    for task in tasks {
        let ended = tokio::time::timeout(Duration::from_secs(60), task);
        seen.push(ended.await.expect("bots are stopped").expect("no panic"));
    }
    is_over.store(true, Ordering::Relaxed);
    let held_up = watching.await.expect("no panic");
    Race { act_seq, acknowledged_at, held_up, seen }
}

/// The longest that a task did not run which wants to every few milliseconds.
async fn watch(is_over: Arc<AtomicBool>) -> Duration {
    let mut longest = Duration::ZERO;
    while !is_over.load(Ordering::Relaxed) {
        let begun = Instant::now();
        tokio::time::sleep(Duration::from_millis(2)).await;
        longest = longest.max(begun.elapsed());
    }
    longest
}

/// Different moments of the load, the same in every run.
fn pause(round: usize) -> Duration {
    Duration::from_micros((round as u64 * 7_919) % 6_000)
}

fn seq(change: Option<v1::Change>) -> u64 {
    change.expect("a change").seq
}

#[tokio::test(flavor = "multi_thread")]
async fn halts_win_every_race() {
    const ROUNDS: usize = 600;
    let vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    let admin = vault.admin().await;
    let bot = Arc::new(vault.bot("halted", OKX_SCOPE, &[]).await);
    let mut signed = 0;
    let targets =
        ["all", "venue:okx", "credential:okx-main", "client:halted", "symbol:okx/BTC-USDT"];

    for round in 0..ROUNDS {
        let target = targets[round % targets.len()];
        let (level, reason) = match round % 3 {
            0 => (v1::HaltLevel::Nothing, "HALT_NOTHING"),
            _ => (v1::HaltLevel::NoNewRisk, "HALT_NO_NEW_RISK"),
        };
        let halt = async {
            let command = v1::HaltCommand {
                level: level.into(),
                target: target.to_owned(),
                reason: "race".to_owned(),
            };
            seq(admin.halt(command).await.expect("halted").change)
        };
        let race = race(&[Arc::clone(&bot)], pause(round), halt).await;
        // A connection that had not drained in time may be cut: nothing else may be seen.
        race.check(round, &[reason]);
        signed += race.seen.iter().map(|(seen, _)| seen.count).sum::<u64>();
        let resume = v1::ResumeCommand { target: target.to_owned(), ..Default::default() };
        admin.resume(resume).await.expect("resumed");
    }
    assert!(signed > ROUNDS as u64, "the bots signed {signed} times under the halts");
    vault.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn revocations_win_every_race() {
    const ROUNDS: usize = 400;
    let vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    let admin = vault.admin().await;
    let mut signed = 0;

    for round in 0..ROUNDS {
        let name = format!("bot-{round}");
        let first = Arc::new(vault.bot(&name, OKX_SCOPE, &[]).await);
        let second = Arc::new(vault.connect_bot(&name).await);
        let revoke = async {
            let command = v1::RevokeClientCommand { name: name.clone(), reason: "race".to_owned() };
            seq(admin.revoke_client(command).await.expect("revoked").change)
        };
        let race = race(&[first, second], pause(round), revoke).await;
        race.check(round, &["CERTIFICATE_REVOKED", "CONNECTION"]);
        signed += race.seen.iter().map(|(seen, _)| seen.count).sum::<u64>();
    }
    assert!(signed > ROUNDS as u64, "the bots signed {signed} times before they were revoked");
    vault.verify();
}

/// Without a feed nobody knows what a sale could bring: after the act nothing is signed by its price.
#[tokio::test(flavor = "multi_thread")]
async fn feeds_that_are_deleted_win_every_race() {
    const ROUNDS: usize = 100;
    let vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    let admin = vault.admin().await;
    let priced = "[orders]\nmax_notional_usd = \"100000\"\n[pricing]\nusd_par = [\"USDT\"]\n";
    let bot = Arc::new(vault.bot("bot", &format!("{OKX_SCOPE}\n{priced}"), &[]).await);
    let pricer = vault_client::Client::connect(vault.pricer("pricer").await).await;
    let pricer = pricer.expect("connected");
    let instrument = v1::Instrument {
        venue: "okx".to_owned(),
        product: "spot".to_owned(),
        symbol: "BTC-USDT".to_owned(),
        base: "BTC".to_owned(),
        quote: "USDT".to_owned(),
        contract_size: "1".to_owned(),
        size_unit: "base".to_owned(),
        reference: "BTC/USDT".to_owned(),
        ..v1::Instrument::default()
    };
    let import = v1::ImportInstrumentsCommand { instruments: vec![instrument] };
    admin.import_instruments(import).await.expect("imported");
    let sale = r#"{"instId":"BTC-USDT","tdMode":"cash","side":"sell","ordType":"limit","px":"1","sz":"1"}"#;
    let sale = okx_post("/api/v5/trade/order", sale);
    let mut signed = 0;

    for round in 0..ROUNDS {
        let feed = v1::Feed {
            pair: "BTC/USDT".to_owned(),
            pricers: vec!["pricer".to_owned()],
            max_age: "1h".to_owned(),
            max_step: "0.1".to_owned(),
            anchor: "60000".to_owned(),
            ..v1::Feed::default()
        };
        admin.put_feed(v1::PutFeedCommand { feed: Some(feed) }).await.expect("a feed");
        let quote = v1::Quote { pair: "BTC/USDT".to_owned(), price: "60000".to_owned() };
        let answers = patiently(|| pricer.put_prices(vec![quote.clone()])).await.expect("answered");
        assert!(answers[0].accepted, "{answers:?}");
        let delete = async {
            let command = v1::DeleteFeedCommand { pair: "BTC/USDT".to_owned() };
            seq(admin.delete_feed(command).await.expect("deleted").change)
        };
        let clients = [Arc::clone(&bot)];
        let race = race_with(&clients, sale.clone(), pause(round), delete).await;
        race.check(round, &["PRICE_STALE"]);
        signed += race.seen.iter().map(|(seen, _)| seen.count).sum::<u64>();
    }
    assert!(signed > ROUNDS as u64, "the bot signed {signed} times by prices of these feeds");
    vault.verify();
}
