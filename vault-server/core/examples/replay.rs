//! Measures `vaultctl scope replay` without the network: writes a log of so many signatures, as the vault
//! writes them, and replays a candidate over all of it.
//!
//! ```text
//! cargo run --release -p vault-core --example replay -- [ENTRIES] [FOLDER]
//! ```
//!
//! 1,000,000 entries by default, in a folder that is made for it and removed again; with a folder, the log
//! is kept, and taken as it is if it is there already.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use vault_audit::{Entry, EntryKind, Log, Origin, Outcome, Reader, SEGMENT_BYTES_DEFAULT};
use vault_core::scope_replay::{Plan, Progress, replay};
use vault_model::{
    Class, Environment, Instrument, Leg, Mode, Name, OrderType, Product, Side, TimeInForce,
    Timestamp,
};
use vault_policy::ScopeDocument;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let entries: u64 = arguments.next().map_or(Ok(1_000_000), |number| number.parse())?;
    let (folder, is_ours) = match arguments.next() {
        Some(folder) => (PathBuf::from(folder), false),
        None => {
            let name = format!("vault-replay-{}", std::process::id());
            (std::env::temp_dir().join(name), true)
        }
    };
    let began = Instant::now();
    if Reader::open(&folder).size().unwrap_or(0) == 0 {
        let bytes = write(&folder, entries)?;
        say(&format!(
            "{entries} entries of {} bytes written in {:.1?}",
            bytes / entries.max(1),
            began.elapsed()
        ));
    }
    let outcome = measure(&folder);
    if is_ours {
        std::fs::remove_dir_all(&folder)?;
    }
    outcome
}

/// Replays one candidate without windows, and one with them.
fn measure(folder: &Path) -> Result<(), Box<dyn Error>> {
    let windows = "[cumulative]\norders = [{ per = \"1m\", at_most = 400 }]\n\
                   notional_usd = [{ per = \"24h\", at_most = \"1000000000\" }]\n\
                   [duplicates]\nclient_order_id = \"24h\"\n";
    for (title, rules) in [("rules of orders", ""), ("and windows", windows)] {
        let plan = Plan {
            audit: folder.to_owned(),
            size: Reader::open(folder).size()?,
            since: BEGIN,
            candidate: ScopeDocument::from_toml(&format!("{CANDIDATE}{rules}"))?,
            clients: (0..BOTS).map(|bot| (bot_name(bot), Vec::new())).collect(),
            stored: Vec::new(),
            instruments: vec![instrument("XBTUSD", "BTC"), instrument("ETHUSD", "ETH")],
            geoip: None,
            catalog_additions: Vec::new(),
        };
        let progress = Progress::default();
        let began = Instant::now();
        replay(&plan, &progress)?;
        let took = began.elapsed();
        let report = progress.report();
        say(&format!(
            "{title}: {} entries in {took:.2?} ({:.1} us each): {} judged, {} same, {} denied, \
             {} allowed, {} unknown",
            progress.entries().1,
            took.as_secs_f64() * 1e6 / progress.entries().1.max(1) as f64,
            report.judged,
            report.same,
            report.now_denied,
            report.now_allowed,
            report.unknown,
        ));
        for change in &report.changes {
            say(&format!(
                "  {} {} {} {}: #{} {}",
                change.becomes.as_str(),
                change.count,
                change.reason,
                change.operation,
                change.first_index,
                change.first_words,
            ));
        }
    }
    Ok(())
}

/// Returns the bytes of all lines.
fn write(folder: &Path, entries: u64) -> Result<u64, Box<dyn Error>> {
    let origin = Origin::new("example.org", "n1", 1)?;
    let opened =
        Log::open(folder, &origin, SEGMENT_BYTES_DEFAULT, BEGIN, None, &mut |_, _| Ok(()))?;
    let mut log = opened.log;
    let mut batch = Vec::with_capacity(BATCH);
    let mut bytes = 0;
    for index in 0..entries {
        let line = entry(index, entries).to_line()?;
        bytes += line.len() as u64;
        batch.push(line);
        if batch.len() == BATCH || index + 1 == entries {
            log.append(&batch)?;
            batch.clear();
        }
    }
    log.close()?;
    Ok(bytes)
}

/// A signature for an order at Kraken; of each hundred, five are refused and five are reads.
fn entry(index: u64, entries: u64) -> Entry {
    let step = 30 * 86_400_000_000 / entries.max(1);
    let passed = Duration::from_micros(index * step);
    let (operation, class) = match index % 20 {
        1 => ("POST /0/private/Balance", Class::Read),
        _ => ("POST /0/private/AddOrder", Class::Trade),
    };
    let is_refused = index % 20 == 2;
    let kind = if is_refused { EntryKind::SignDenied } else { EntryKind::Sign };
    let mut entry = Entry::new(kind, index, BEGIN.plus(passed), "n1", 1, "0.1.0 (example)");
    let operation_line = format!("{operation}\n");
    entry.seq = Some(index);
    entry.client = Some(bot_name(index % BOTS));
    entry.serial = Some(vault_model::Serial([7; 16]));
    entry.ip = Some([10, 0, 0, 1].into());
    entry.ip_via = Some("direct".to_owned());
    entry.request_id = format!("request-{index:016}").parse().ok();
    entry.credential = "kraken-main".parse().ok();
    entry.version = Some(1);
    entry.venue = Some("kraken".to_owned());
    entry.environment = Some(Environment::Live);
    entry.mode = Some(Mode::Sign);
    entry.operation = Some(operation.to_owned());
    entry.class = Some(class);
    entry.closure_hash = Some(Sha256::digest(operation_line.as_bytes()).into());
    entry.closure_widest = Some(operation.to_owned());
    entry.catalog_hash = Some([1; 32]);
    entry.payload_mac = Some([2; 32]);
    entry.mac_key = Some(1);
    entry.scope = "mm".parse().ok();
    entry.scope_rev = Some(1);
    entry.state_rev = Some(12);
    if class == Class::Trade {
        let is_btc = index.is_multiple_of(2);
        let price = if is_btc { 60_000 + index % 1_000 } else { 3_000 + index % 50 };
        entry.product = Some(Product::Spot);
        entry.client_order_id = Some(format!("order-{index:012}"));
        entry.legs = vec![Leg {
            product: Some(Product::Spot),
            symbol: Some(if is_btc { "XBTUSD" } else { "ETHUSD" }.to_owned()),
            side: Some(if index.is_multiple_of(3) { Side::Sell } else { Side::Buy }),
            order_type: Some(OrderType::Limit),
            tif: Some(TimeInForce::Gtc),
            quantity: Some(format!("0.{:03}", index % 900 + 1)),
            price: Some(format!("{price}.5")),
            ..Leg::default()
        }];
    }
    // Every order has to be there within 5 s, as a cap at Kraken asks.
    if class == Class::Trade {
        let deadline = entry.ts.plus(ORDER_LASTS);
        entry.detail.insert("deadline".to_owned(), deadline.micros().to_string());
    }
    if is_refused {
        entry.outcome = Outcome::Denied;
        entry.reason = Some("SYMBOL_NOT_GRANTED".to_owned());
        return entry;
    }
    entry.nonce = Some((1_762_732_800_000_000 + index).to_string());
    entry.sig_sha256 = Some([3; 32]);
    let clock = 31 * 86_400_000_000 + passed.as_micros();
    entry.detail.insert("clock".to_owned(), clock.to_string());
    if class == Class::Trade {
        entry.detail.insert("resting".to_owned(), "1".to_owned());
        let until = clock + ORDER_LASTS.as_micros();
        entry.detail.insert("until".to_owned(), until.to_string());
        entry.notional = Some("30000.25".to_owned());
        entry.prices = BTreeMap::from([
            ("BTC/USD".to_owned(), "60500".to_owned()),
            ("ETH/USD".to_owned(), "3020".to_owned()),
        ]);
    }
    entry
}

fn bot_name(bot: u64) -> Name {
    format!("bot-{bot}").parse().expect("a plain name")
}

fn instrument(symbol: &str, base: &str) -> Instrument {
    Instrument {
        base: base.parse().expect("an asset"),
        contract_size: vault_model::Money::ONE,
        price_tick: None,
        product: Product::Spot,
        quantity_step: None,
        quote: "USD".parse().expect("an asset"),
        reference: format!("{base}/USD").parse().expect("a pair"),
        size_unit: vault_model::SizeUnit::Base,
        symbol: symbol.to_owned(),
        venue: "kraken".parse().expect("a name"),
    }
}

#[allow(clippy::print_stdout)]
fn say(line: &str) {
    println!("{line}");
}

const CANDIDATE: &str = r#"
name = "mm"
credentials = ["kraken-main"]
classes = ["read", "trade", "cancel"]
modes = ["sign"]
products = ["*"]
symbols = { kraken = ["XBTUSD", "ETHUSD"] }
network = { allow = ["10.0.0.0/8"] }
[orders]
types = ["LIMIT", "LIMIT_MAKER"]
max_notional_usd = "50000"
price_band = "0.1"
[hours]
timezone = "Europe/Berlin"
windows = ["mon-sun 00:00-24:00"]
"#;
const BATCH: usize = 256;
const BEGIN: Timestamp = Timestamp(1_762_732_800_000_000);
const BOTS: u64 = 4;
const ORDER_LASTS: Duration = Duration::from_secs(5);
