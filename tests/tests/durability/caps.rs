//! Caps hold through kills: whatever moment the core is killed at, what was signed is counted, once,
//! and no more signatures than a cap allows ever leave.
//!
//! Two bots ask for orders at Kraken under caps: one without a pause, on orders and notional in
//! windows that slide over many lives of the vault, and one now and then, on a month. In the end
//! three things are held against the caps: the log, what it says was left at every signature, and
//! what the bots received, by their own clock, as if every signature were sent at the worst moment.
//!
//! `COUNTERSIGN_KILLS` is how many kills there are, over all vaults: `docs/contributing.md`.

#![expect(clippy::print_stdout, reason = "what was done, for whoever runs it by hand")]

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use tokio::task::JoinHandle;
use vault_audit::{Entry, EntryKind};
use vault_client::{Client, SignOrder, Signed, v1};
use vault_model::Money;
use vault_tests::{KRAKEN_SCOPE, TestVault, is_late, kraken_deadline, kraken_post, order};

use super::{Received, check_once};

/// Kills, unless `COUNTERSIGN_KILLS` says otherwise.
const KILLS: usize = 1_000;
/// Vaults side by side: a start waits more than it computes.
const VAULTS: usize = 4;
/// One of so many kills comes while the processes start.
const STARTS: u64 = 8;
/// Tasks of the bot that asks without a pause.
const TASKS: usize = 4;
/// How long an order is good for.
const GOOD_FOR: Duration = Duration::from_secs(2);
/// Between what the vault takes for the time of a decision and what a bot does.
const ALLOWANCE: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_is_never_exceeded_through_a_thousand_kills() {
    let kills = std::env::var("COUNTERSIGN_KILLS")
        .map_or(KILLS, |kills| kills.parse().expect("COUNTERSIGN_KILLS is a number"));
    let begun = std::time::Instant::now();
    let vaults: Vec<_> = (0..VAULTS)
        .map(|place| {
            // So that they sum up to `kills`.
            let own = kills / VAULTS + usize::from(place < kills % VAULTS);
            tokio::spawn(live_and_die(own, place as u64))
        })
        .collect();
    let (mut signed, mut refused) = (0, BTreeMap::<String, u64>::new());
    for vault in vaults {
        let (received, reasons) = vault.await.expect("no panic");
        signed += received;
        for (reason, count) in reasons {
            *refused.entry(reason).or_default() += count;
        }
    }
    println!("{kills} kills in {:?}: {signed} signatures, refused: {refused:?}", begun.elapsed());
    for reason in ["NOTIONAL_CAP_REACHED", "ORDER_RATE_REACHED"] {
        assert!(
            refused.contains_key(reason),
            "a cap that is never reached shows nothing: {reason}"
        );
    }
    let unexpected = refused.keys().find(|reason| !EXPECTED.contains(&reason.as_str()));
    assert_eq!(unexpected, None);
}

/// How a bot may be refused. What it asks again after a kill may have been signed before it, or be
/// over by now.
const EXPECTED: &[&str] =
    &["CAP_NOT_ENFORCEABLE", "NOTIONAL_CAP_REACHED", "ORDER_RATE_REACHED", "OUTCOME_UNKNOWN"];

/// One vault through its share of kills. Returns how many signatures were received and how often
/// what was refused.
async fn live_and_die(kills: usize, seed: u64) -> (usize, BTreeMap<String, u64>) {
    let mut dice = Dice(seed);
    let mut vault = TestVault::builder().key_file().segment_bytes(1 << 20).start().await;
    let mut bots = [Bot::hasty(), Bot::patient(kills)];
    prepare(&vault, &bots).await;
    vault.kill_core().await;

    for kill in 1..kills {
        if dice.below(STARTS) == 0 {
            let after = Duration::from_micros(dice.below(250_000));
            vault.kill_while_starting(after).await;
            continue;
        }
        vault.run_and_unseal().await;
        let mut loads = Vec::new();
        for bot in &mut bots {
            loads.push(bot.load(&vault, &mut dice).await);
        }
        tokio::time::sleep(Duration::from_micros(dice.below(60_000))).await;
        assert!(vault.kill_core().await.code().is_some_and(|code| code != 0), "kill {kill}");
        for (bot, load) in bots.iter_mut().zip(loads) {
            bot.take(load).await;
        }
    }

    // Who has a month has taken all of it by now, or takes what is left, and no more.
    vault.run_and_unseal().await;
    let patient = &mut bots[1];
    while !patient.refused.contains_key("ORDER_RATE_REACHED") {
        let load = patient.load(&vault, &mut dice).await;
        patient.take(load).await;
    }
    vault.stop().await;

    let entries = vault.log_entries();
    check_once(&entries);
    let mut refused = BTreeMap::new();
    let mut received = Received::default();
    for bot in bots {
        let counted = counted(&entries, bot.name);
        bot.caps.check(&counted);
        bot.caps.check_received(&bot.received);
        if bot.caps.month.is_some() {
            let total: u64 = counted.iter().map(|spent| spent.orders).sum();
            assert_eq!(Some(total), bot.caps.month, "not one of the month is lost");
        }
        for (reason, count) in bot.refused {
            *refused.entry(reason).or_default() += count;
        }
        received.0.extend(bot.received.into_iter().map(|heard| heard.signed));
    }
    let places: HashSet<u64> = received.0.iter().map(|signed| signed.receipt.index).collect();
    assert_eq!(places.len(), received.0.len(), "an entry for each signature");
    assert_eq!(received.missing_in(&entries), 0);
    vault.verify_with(received.0.iter().step_by(97).map(vault_tests::receipt).collect());
    (received.0.len(), refused)
}

async fn prepare(vault: &TestVault, bots: &[Bot]) {
    let xbt = v1::Instrument {
        venue: "kraken".to_owned(),
        product: "spot".to_owned(),
        symbol: "XBTUSD".to_owned(),
        base: "BTC".to_owned(),
        quote: "USD".to_owned(),
        contract_size: "1".to_owned(),
        size_unit: "base".to_owned(),
        reference: "BTC/USD".to_owned(),
        ..v1::Instrument::default()
    };
    let import = v1::ImportInstrumentsCommand { instruments: vec![xbt] };
    vault.admin().await.import_instruments(import).await.expect("imported");
    for bot in bots {
        vault.import_kraken(bot.credential).await;
        vault.bot_identity(bot.name, &bot.caps.scope(bot.name, bot.credential), &[]).await;
    }
}

/// The caps of a bot. Spans are in seconds.
struct Caps {
    month: Option<u64>,
    notional_usd: Vec<(u64, u64)>,
    orders: Vec<(u64, u64)>,
}

impl Caps {
    fn scope(&self, name: &str, credential: &str) -> String {
        let mut scope =
            KRAKEN_SCOPE.replace("kraken-demo", name).replace("kraken-main", credential);
        for (per, at_most) in self.all_orders() {
            scope += &format!("[[cumulative.orders]]\nper = \"{per}s\"\nat_most = {at_most}\n");
        }
        for (per, at_most) in &self.notional_usd {
            let cap = format!("per = \"{per}s\"\nat_most = \"{at_most}\"\n");
            scope += &format!("[[cumulative.notional_usd]]\n{cap}");
        }
        scope
    }

    fn all_orders(&self) -> impl Iterator<Item = (u64, u64)> {
        self.month.map(|at_most| (MONTH_S, at_most)).into_iter().chain(self.orders.iter().copied())
    }

    /// Holds every signature of a log against the caps, and what its entry says was left.
    fn check(&self, counted: &[Spent]) {
        for (place, spent) in counted.iter().enumerate() {
            let so_far = &counted[..=place];
            for (per, at_most) in self.all_orders() {
                let orders: u64 = within(so_far, per).map(|spent| spent.orders).sum();
                assert!(orders <= at_most, "entry {}: {orders} orders in {per} s", spent.idx);
                let left = spent.left("orders", per);
                assert_eq!(left, (at_most - orders).to_string(), "entry {}", spent.idx);
            }
            for (per, at_most) in &self.notional_usd {
                let notional = within(so_far, *per).map(|spent| spent.notional);
                let sum =
                    notional.fold(Money::ZERO, |sum, one| sum.checked_add(one).expect("small"));
                let left = Money::whole(*at_most).checked_sub(sum).expect("small");
                assert!(left >= Money::ZERO, "entry {}: {sum} USD in {per} s", spent.idx);
                assert_eq!(spent.left("notional_usd", *per), left.to_string(), "{}", spent.idx);
            }
        }
    }

    /// Holds what a bot received against the caps: at any moment it could have had so many orders
    /// taken within a window, keeping each signature until its last moment.
    fn check_received(&self, received: &[Heard]) {
        for (per, at_most) in self.all_orders() {
            let per = Duration::from_secs(per);
            for now in received.iter().map(|heard| heard.at) {
                let begin = now - per + ALLOWANCE;
                let count =
                    received.iter().filter(|one| one.at <= now && one.deadline > begin).count();
                assert!(count as u64 <= at_most, "{count} orders could be sent within {per:?}");
            }
        }
    }
}

const MONTH_S: u64 = 30 * 86_400;

/// What one entry of the log counts for.
#[derive(Clone, Debug, Default)]
struct Spent {
    at_us: u64,
    idx: u64,
    limits_left: BTreeMap<String, String>,
    notional: Money,
    orders: u64,
    /// Until when this or an earlier one can still happen.
    until_us: u64,
}

impl Spent {
    fn left(&self, what: &str, per: u64) -> &str {
        let span = vault_policy::Span::seconds(u32::try_from(per).expect("a span"));
        let name = format!("{what}/{}", span.expect("a span"));
        self.limits_left.get(&name).unwrap_or_else(|| panic!("{name} in entry {}", self.idx))
    }
}

/// Those of some signatures that count at the time of the last of them.
fn within(so_far: &[Spent], per_s: u64) -> impl Iterator<Item = &Spent> {
    let now = so_far.last().map_or(0, |spent| spent.at_us);
    so_far.iter().rev().take_while(move |spent| spent.until_us + per_s * 1_000_000 > now)
}

/// What the log says that a client was given.
fn counted(entries: &[Entry], client: &str) -> Vec<Spent> {
    let mut until_us: u64 = 0;
    let signed = entries.iter().filter(|entry| {
        entry.kind == EntryKind::Sign
            && entry.client.as_ref().is_some_and(|name| name.as_str() == client)
    });
    let spent = signed.map(|entry| {
        let number = |key: &str| -> Option<u64> {
            entry.detail.get(key).map(|text| text.parse().expect("a number"))
        };
        let at_us = number("clock").expect("every signature has its time");
        until_us = number("until").unwrap_or(at_us).max(until_us);
        Spent {
            at_us,
            idx: entry.idx,
            limits_left: entry.limits_left.clone().into_iter().collect(),
            notional: entry
                .notional
                .as_deref()
                .map_or(Money::ZERO, |sum| sum.parse().expect("one")),
            orders: number("orders").unwrap_or(entry.legs.len() as u64),
            until_us,
        }
    });
    spent.collect()
}

/// A bot, through the lives of its vault.
struct Bot {
    name: &'static str,
    caps: Caps,
    credential: &'static str,
    tasks: usize,
    /// What a kill left without an answer: asked again in the next life.
    pending: Vec<Wanted>,
    received: Vec<Heard>,
    refused: BTreeMap<String, u64>,
}

/// An order, and until when it is good.
#[derive(Clone)]
struct Wanted {
    deadline: SystemTime,
    order: SignOrder,
}

/// A signature, and when it came.
struct Heard {
    at: SystemTime,
    deadline: SystemTime,
    signed: Signed,
}

/// What a task has to tell in the end.
#[derive(Default)]
struct Told {
    pending: Vec<Wanted>,
    received: Vec<Heard>,
    refused: Vec<String>,
}

impl Bot {
    /// Asks without a pause: one cap or the other is reached nearly always.
    fn hasty() -> Self {
        let orders = vec![(10, 300), (60, 1_400)];
        let caps = Caps { month: None, notional_usd: vec![(10, 3_000)], orders };
        Self::new("hasty", "kraken-main", TASKS, caps)
    }

    /// Asks once in a life, and gets half of what it asks.
    fn patient(kills: usize) -> Self {
        let month = Some(kills as u64 / 2);
        let caps = Caps { month, notional_usd: Vec::new(), orders: Vec::new() };
        Self::new("patient", "kraken-more", 1, caps)
    }

    fn new(name: &'static str, credential: &'static str, tasks: usize, caps: Caps) -> Self {
        let (pending, received, refused) = Default::default();
        Self { name, caps, credential, tasks, pending, received, refused }
    }

    async fn load(&mut self, vault: &TestVault, dice: &mut Dice) -> Vec<JoinHandle<Told>> {
        let client = Arc::new(vault.connect_bot(self.name).await);
        let mut again = std::mem::take(&mut self.pending);
        let (tasks, credential) = (self.tasks, self.credential);
        (0..tasks)
            .map(|task| {
                let pending = again.split_off(again.len() - again.len() / (tasks - task));
                let client = Arc::clone(&client);
                if tasks > 1 {
                    return tokio::spawn(ask_on(client, credential, pending));
                }
                let pause = Duration::from_micros(dice.below(40_000));
                tokio::spawn(ask_once(client, credential, pending, pause))
            })
            .collect()
    }

    async fn take(&mut self, load: Vec<JoinHandle<Told>>) {
        for task in load {
            let told = task.await.expect("no panic");
            self.pending.extend(told.pending);
            self.received.extend(told.received);
            for reason in told.refused {
                *self.refused.entry(reason).or_default() += 1;
            }
        }
    }
}

impl Told {
    /// Asks for one order; whether the vault answered.
    async fn ask(&mut self, client: &Client, wanted: Wanted) -> bool {
        match client.sign(wanted.order.clone()).await {
            Ok(signed) => {
                let (at, deadline) = (SystemTime::now(), wanted.deadline);
                self.received.push(Heard { at, deadline, signed });
            }
            Err(error) => match error.refusal() {
                // What came too late, by the vault's word too, may have been signed.
                Some(refusal) if !is_late(&error) => self.refused.push(refusal.reason.clone()),
                _ => {
                    self.pending.push(wanted);
                    return false;
                }
            },
        }
        true
    }
}

/// What was left open, then ever new orders until the vault is gone.
async fn ask_on(client: Arc<Client>, credential: &'static str, pending: Vec<Wanted>) -> Told {
    let mut told = Told::default();
    let mut open = pending.into_iter();
    while let Some(wanted) = open.next() {
        if !told.ask(&client, wanted).await {
            told.pending.extend(open);
            return told;
        }
    }
    loop {
        let refused = told.refused.len();
        if !told.ask(&client, wanted(credential)).await {
            return told;
        }
        // The log is read whole at every start: it need not be full of refusals.
        if told.refused.len() > refused {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn ask_once(
    client: Arc<Client>,
    credential: &'static str,
    pending: Vec<Wanted>,
    pause: Duration,
) -> Told {
    let mut told = Told::default();
    tokio::time::sleep(pause).await;
    let mut open = pending.into_iter().chain([wanted(credential)]);
    while let Some(wanted) = open.next() {
        if !told.ask(&client, wanted).await {
            told.pending.extend(open);
            break;
        }
    }
    told
}

/// A new order, unlike all others.
fn wanted(credential: &str) -> Wanted {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let deadline = SystemTime::now() + GOOD_FOR;
    let (price, end) = (500 + number * 7_919 % 1_000, kraken_deadline(deadline));
    let body =
        format!("pair=XBTUSD&type=buy&ordertype=limit&price={price}&volume=0.01{number:06}&{end}");
    let order = SignOrder {
        request_id: Some(format!("order-{number}")),
        ..order(credential, kraken_post("AddOrder", body))
    };
    Wanted { deadline, order }
}

/// Numbers that look random and can be had again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

#[test]
fn the_checks_notice_one_order_too_many_and_a_count_that_is_off() {
    let caps = Caps { month: None, notional_usd: Vec::new(), orders: vec![(10, 2)] };
    let spent = |at_s: u64, good_for_s: u64, left: &str| Spent {
        at_us: at_s * 1_000_000,
        limits_left: [("orders/10s".to_owned(), left.to_owned())].into(),
        orders: 1,
        until_us: (at_s + good_for_s) * 1_000_000,
        ..Spent::default()
    };
    let passes = |counted: &[Spent]| std::panic::catch_unwind(|| caps.check(counted)).is_ok();
    assert!(passes(&[spent(1, 0, "1"), spent(2, 0, "0"), spent(11, 0, "0")]));
    assert!(!passes(&[spent(1, 0, "1"), spent(2, 0, "0"), spent(10, 0, "0")]), "one too many");
    assert!(!passes(&[spent(1, 1, "1"), spent(2, 0, "0"), spent(11, 0, "0")]), "sent at 2");
    assert!(!passes(&[spent(1, 0, "1"), spent(2, 0, "1")]), "the first was forgotten");
}
