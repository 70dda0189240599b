//! Instruments and feeds through kills: an act is there whole or not at all, what was acknowledged
//! is there, and a price never moves further than from the last one that the log has.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::Connection;
use vault_audit::EntryKind;
use vault_client::{Client, ClientError, Operator, v1};
use vault_tests::{OKX_SCOPE, TestVault, okx_order, order};

const KILLS: u64 = 24;

/// What an admin did, and what he does not know of.
#[derive(Default)]
struct Acts {
    /// Contract sizes of pairs of instruments, by their number.
    sizes: BTreeMap<u64, u64>,
    /// Of the feed: its `max_age` in seconds.
    age_s: u64,
    /// What was asked last, without an answer.
    open: Option<Act>,
}

#[derive(Clone, Copy)]
enum Act {
    /// Two instruments in one act: `pair` and their contract size.
    Import(u64, u64),
    /// The same two.
    Delete(u64),
    Feed(u64),
}

impl Acts {
    fn apply(&mut self, act: Act) {
        match act {
            Act::Import(pair, size) => drop(self.sizes.insert(pair, size)),
            Act::Delete(pair) => drop(self.sizes.remove(&pair)),
            Act::Feed(age_s) => self.age_s = age_s,
        }
    }

    /// Acts until the vault is gone.
    async fn go_on(mut self, admin: Operator, from: u64) -> (Self, u64) {
        for number in from.. {
            let act = match number % 5 {
                0 | 1 => Act::Import(number, 1 + number % 7),
                2 => Act::Import(number - 1, 100 + number),
                3 => Act::Feed(60 + number),
                _ => Act::Delete(number - 4),
            };
            match act.ask(&admin).await {
                Ok(()) => self.apply(act),
                Err(error) => {
                    // Half an act of an earlier life may be missing where this one looks for it.
                    if error.refusal().is_none() {
                        self.open = Some(act);
                        return (self, number + 1);
                    }
                    assert!(matches!(act, Act::Delete(_)), "{error}");
                }
            }
        }
        unreachable!("numbers do not end")
    }
}

impl Act {
    async fn ask(self, admin: &Operator) -> Result<(), ClientError> {
        match self {
            Self::Import(pair, size) => {
                let instruments = symbols(pair).map(|symbol| instrument(symbol, size)).to_vec();
                let command = v1::ImportInstrumentsCommand { instruments };
                admin.import_instruments(command).await.map(drop)
            }
            Self::Delete(pair) => {
                let keys = symbols(pair).map(|symbol| v1::InstrumentKey {
                    venue: "okx".to_owned(),
                    product: "linear".to_owned(),
                    symbol,
                });
                let command = v1::DeleteInstrumentsCommand { keys: keys.to_vec() };
                admin.delete_instruments(command).await.map(drop)
            }
            Self::Feed(age_s) => {
                let command = v1::PutFeedCommand { feed: Some(feed(age_s)) };
                admin.put_feed(command).await.map(drop)
            }
        }
    }
}

fn symbols(pair: u64) -> [String; 2] {
    [format!("A-{pair}"), format!("B-{pair}")]
}

fn instrument(symbol: String, size: u64) -> v1::Instrument {
    v1::Instrument {
        venue: "okx".to_owned(),
        product: "linear".to_owned(),
        symbol,
        base: "BTC".to_owned(),
        quote: "USDT".to_owned(),
        contract_size: size.to_string(),
        size_unit: "base".to_owned(),
        reference: "BTC/USDT".to_owned(),
        ..v1::Instrument::default()
    }
}

fn feed(age_s: u64) -> v1::Feed {
    v1::Feed {
        pair: "BTC/USD".to_owned(),
        pricers: vec!["pricer".to_owned()],
        max_age: format!("{age_s}s"),
        max_step: "0.02".to_owned(),
        step_every: "1s".to_owned(),
        anchor: "60000".to_owned(),
        ..v1::Feed::default()
    }
}

/// Puts one price; the reason of a refusal, empty if there was none; `None` if the vault is gone.
async fn put(pricer: &Client, price: u64) -> Option<String> {
    let quote = v1::Quote { pair: "BTC/USD".to_owned(), price: price.to_string() };
    let answers = pricer.put_prices(vec![quote]).await.ok()?;
    Some(answers[0].reason.clone())
}

/// Puts ever higher prices until the vault is gone.
async fn drive(pricer: Client) {
    let mut price = 60_000;
    while let Some(reason) = put(&pricer, price).await {
        match reason.is_empty() {
            true => price += 900,
            false => price = price.saturating_sub(100).max(50_000),
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Sizes as the vault has them; a pair of instruments that is not whole fails.
async fn sizes(admin: &Operator) -> BTreeMap<u64, u64> {
    let command = v1::ListInstrumentsCommand { venue: "okx".to_owned(), ..Default::default() };
    let list = admin.list_instruments(command).await.expect("a list").instruments;
    let mut found: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for instrument in list {
        let (_, pair) = instrument.symbol.split_once('-').expect("a pair");
        let size = instrument.contract_size.parse().expect("a size");
        found.entry(pair.parse().expect("a number")).or_default().push(size);
    }
    let whole = |(pair, sizes): (u64, Vec<u64>)| match sizes.as_slice() {
        [one, other] if one == other => (pair, *one),
        half => panic!("pair {pair} is {half:?}"),
    };
    found.into_iter().map(whole).collect()
}

async fn age_s(admin: &Operator) -> u64 {
    let feeds = admin.list_prices(v1::ListPricesCommand::default()).await.expect("a list").feeds;
    let [info] = feeds.as_slice() else { panic!("one feed: {feeds:?}") };
    assert_eq!((info.price.as_str(), info.age_ms), ("", None), "no price is fresh after a start");
    let span: vault_policy::Span =
        info.feed.as_ref().expect("a feed").max_age.parse().expect("a span");
    u64::from(span.as_seconds())
}

#[tokio::test(flavor = "multi_thread")]
async fn acts_on_the_market_are_whole_and_prices_go_on_through_kills() {
    let mut vault = TestVault::builder().key_file().start().await;
    let pricer = vault.pricer("pricer").await;
    let mut acts = Acts::default();
    Act::Feed(60).ask(&*vault.admin().await).await.expect("a feed");
    acts.apply(Act::Feed(60));
    // The first kill comes soon, and there must be a price in the log by then.
    let pricer = Client::connect(pricer).await.expect("connected");
    assert_eq!(put(&pricer, 60_000).await.as_deref(), Some(""));
    drop(pricer);
    let (mut number, mut held) = (0, 0);

    for kill in 0..KILLS {
        let pricer = Client::connect(vault.identity("pricer")).await.expect("connected");
        let prices = tokio::spawn(drive(pricer));
        let admin = vault.connect("admin").await;
        let acting = tokio::spawn(acts.go_on(admin, number));
        tokio::time::sleep(Duration::from_micros(20_000 + kill * 7_919 % 60_000)).await;
        vault.kill_core().await;
        (acts, number) = acting.await.expect("no panic");
        prices.await.expect("no panic");
        vault.run_and_unseal().await;

        let admin = vault.admin().await;
        let (sizes, age_s) = (sizes(&admin).await, age_s(&admin).await);
        if (&sizes, age_s) != (&acts.sizes, acts.age_s) {
            let open = acts.open.take().expect("what was acknowledged is there, and no more");
            acts.apply(open);
        }
        assert_eq!((&sizes, age_s), (&acts.sizes, acts.age_s), "kill {kill}");
        acts.open = None;

        // The feed goes on from the last price that it has logged, or from its anchor.
        let (last, revision) = last_logged(&vault);
        let from = if revision == feed_revision(&vault) { last } else { 60_000 };
        held += u64::from(from != 60_000);
        let pricer = Client::connect(vault.identity("pricer")).await.expect("connected");
        // Until all that was in force before it has ended: the log has that, too.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let beyond = from * 102 / 100 + 1;
        assert_eq!(put(&pricer, beyond).await.as_deref(), Some("PRICE_STEP_TOO_LARGE"), "{from}");
        assert_eq!(put(&pricer, from * 102 / 100).await.as_deref(), Some(""), "{from}");
    }
    assert!(held > 0, "some price was held against the log's");
    vault.verify();
}

/// The newest price that was logged, and of which revision of its feed.
fn last_logged(vault: &TestVault) -> (u64, u64) {
    let entries = vault.log_entries();
    let entry = entries.iter().rev().find(|entry| entry.kind == EntryKind::PriceAccepted);
    let entry = entry.expect("a price");
    let number = |key: &str| entry.detail[key].parse().expect("a number");
    (number("price"), number("revision"))
}

/// The revision of the feed, as the log has it.
fn feed_revision(vault: &TestVault) -> u64 {
    let entries = vault.log_entries();
    let put = entries.iter().rev().find(|entry| {
        entry.kind == EntryKind::AdminApplied
            && entry.operation.as_deref() == Some("vault.v1.PriceService/PutFeed")
    });
    put.and_then(|entry| entry.state_rev).expect("a feed was put")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_the_first_release_is_brought_up_to_date_through_kills() {
    let mut vault = TestVault::builder().key_file().start().await;
    vault.import_okx("okx-main").await;
    drop(vault.bot("bot", OKX_SCOPE, &[]).await);
    let state_rev = vault.state_rev();
    vault.stop().await;
    // Nothing of it has been used yet, so this is the database as the first release left it.
    let file = vault.data().join("vault.db");
    let undo = "DROP TABLE feed; DROP TABLE instrument; PRAGMA user_version = 1;";
    let version = || -> i64 {
        let database = Connection::open(&file).expect("opens");
        database.pragma_query_value(None, "user_version", |row| row.get(0)).expect("a number")
    };
    Connection::open(&file).expect("opens").execute_batch(undo).expect("undone");

    // A start is killed earlier after one that had changed the database, and later after one that
    // had not: the kills close in on the change, whatever the machine's speed is.
    let mut found = [0u32; 3];
    let mut after = Duration::from_millis(40);
    for kill in 0..40u32 {
        vault.kill_while_starting(after).await;
        let version = usize::try_from(version()).expect("1 or 2");
        found[version] += 1;
        if version == 2 {
            Connection::open(&file).expect("opens").execute_batch(undo).expect("undone");
            after = after * (70 + kill % 7) / 100;
        } else {
            after = (after * (130 + kill % 7) / 100).min(Duration::from_secs(5));
        }
    }
    assert!(found[1] > 0 && found[2] > 0, "kills before and after: {found:?}");
    vault.run_and_unseal().await;
    assert_eq!((version(), vault.state_rev()), (2, state_rev));
    let bot = vault.connect_bot("bot").await;
    bot.sign(order("okx-main", okx_order("BTC-USDT", "1"))).await.expect("signed");
    Act::Import(1, 1).ask(&*vault.admin().await).await.expect("imported");
    vault.restart().await;
    assert_eq!(sizes(&*vault.admin().await).await, [(1, 1)].into());
    vault.verify();
}
