//! Orders through the vault against orders sent straight to the venue.

use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use vault_audit::EntryKind;
use vault_client::v1::{
    CredentialMetadata, CredentialSecret, ImportInstrumentsCommand, Instrument,
};
use vault_tests::TestVault;

use crate::cpu::Watched;
use crate::figure::{Rounds, Table, spread};
use crate::histogram::Latencies;
use crate::mock::{API_KEY, Mock, SECRET};
use crate::sync::Disk;
use crate::way::{CREDENTIAL, Connection, Places, WAYS, Way};
use crate::{Arguments, Error, cores, tls};

const SCOPE: &str = r#"
name = "bench"
credentials = ["binance-main"]
classes = ["public", "read", "trade", "cancel"]
modes = ["execute"]
products = ["spot"]

[symbols]
binance = ["BTCUSDT"]

[orders.max_quantity.binance]
BTCUSDT = "10"

[network]
allow = ["127.0.0.0/8"]
"#;
/// Orders one after the other of each way in one round, if nothing else is asked for.
const REQUESTS: usize = 400;
/// Orders that go before them, not counted.
const WARM_UP: usize = 50;

/// A vault, the venue behind it, and a bot.
pub(crate) struct Bed {
    // First: it ends before its venue does.
    pub(crate) vault: TestVault,
    pub(crate) mock: Mock,
}

impl Bed {
    pub(crate) async fn start(keep_awake: bool) -> Result<Self, Error> {
        let mock = Mock::start()?;
        let ca = tempfile::NamedTempFile::new()?;
        std::fs::write(ca.path(), &mock.ready.ca_pem)?;
        let place = toml::Table::from_iter([
            ("host".to_owned(), "*".into()),
            ("connect".to_owned(), mock.ready.address.to_string().into()),
            ("ca_file".to_owned(), ca.path().to_string_lossy().into_owned().into()),
        ]);
        let overrides = vec![toml::Value::Table(place)];
        let builder = TestVault::builder().config("egress", "override", overrides);
        let vault = builder.config("latency", "keep_awake", keep_awake).start().await;
        let admin = vault.admin().await;
        let metadata = CredentialMetadata {
            name: CREDENTIAL.to_owned(),
            venue: "binance".to_owned(),
            environment: "live".to_owned(),
            ..Default::default()
        };
        let secret = CredentialSecret {
            api_key: API_KEY.to_owned(),
            secret: SECRET.into(),
            ..Default::default()
        };
        admin.import_unchecked(metadata, secret).await?;
        let instrument = Instrument {
            venue: "binance".to_owned(),
            product: "spot".to_owned(),
            symbol: "BTCUSDT".to_owned(),
            base: "BTC".to_owned(),
            quote: "USDT".to_owned(),
            contract_size: "1".to_owned(),
            size_unit: "base".to_owned(),
            reference: "BTC/USDT".to_owned(),
            ..Default::default()
        };
        admin
            .import_instruments(ImportInstrumentsCommand { instruments: vec![instrument] })
            .await?;
        vault.bot_identity("bot", SCOPE, &[]).await;
        Ok(Self { vault, mock })
    }

    fn places(&self) -> Result<Places, Error> {
        let folder = self.vault.identity_folder("bot");
        let ca = CertificateDer::from_pem_slice(self.mock.ready.ca_pem.as_bytes())?;
        Ok(Places {
            venue: self.mock.ready.address,
            venue_tls: tls::client(ca, None, b"http/1.1")?,
            vault: self.vault.ready().bot,
            vault_tls: [tls::of_identity(&folder, b"h2")?, tls::of_identity(&folder, b"http/1.1")?],
        })
    }

    /// The processes whose time is counted.
    fn watched(&self) -> Watched {
        let ready = self.vault.ready();
        let own = i32::try_from(std::process::id()).unwrap_or_default();
        Watched::new(&[
            ("client", own),
            ("front", ready.pid_front),
            ("core", ready.pid_core),
            ("egress", ready.pid_egress),
            ("venue", self.mock.process()),
        ])
    }

    /// Fails unless the log verifies and holds so many orders at least.
    pub(crate) async fn check(&self, answered: usize) -> Result<Value, Error> {
        // Outcomes come after answers.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let entries = self.vault.log_entries();
        let count = |kind| entries.iter().filter(|entry| entry.kind == kind).count();
        let intents = count(EntryKind::ExecuteIntent);
        if intents < answered {
            return Err(format!("{answered} orders answered, {intents} in the log").into());
        }
        self.vault.verify();
        let outcomes = count(EntryKind::ExecuteOutcome);
        Ok(json!({ "answered": answered, "intents": intents, "outcomes": outcomes,
                   "verifies": true }))
    }
}

pub(crate) fn measure(arguments: &Arguments) -> Result<(Value, String), Error> {
    // One thread: it is to leave the cores to what is measured.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(arguments))
}

/// What was found out about one way.
#[derive(Default)]
struct Found {
    p50: Rounds,
    p99: Rounds,
    p999: Rounds,
    /// Above the direct way's median of the same round.
    added: Rounds,
    /// Per request, of each process, one after the other.
    alone_cpu: Vec<Rounds>,
    /// Side by side.
    per_second: Rounds,
    loaded_p50: Rounds,
    loaded_p99: Rounds,
    loaded_cpu: Vec<Rounds>,
}

async fn run(arguments: &Arguments) -> Result<(Value, String), Error> {
    let requests = arguments.requests.unwrap_or(REQUESTS);
    let mut bed = Bed::start(arguments.keep_awake).await?;
    let places = bed.places()?;
    let watched = bed.watched();
    let mut disk = Disk::new(bed.vault.root())?;

    let mut found: Vec<Found> = WAYS.iter().map(|_| Found::default()).collect();
    let mut sync = [Rounds::default(), Rounds::default()];
    let mut answered = 0;
    for round in 0..arguments.rounds {
        // Nobody is always first.
        let order = (0..WAYS.len()).map(|place| (place + round) % WAYS.len());
        let mut medians = [0.0; WAYS.len()];
        for index in order.clone() {
            // Anew: the venue closes what was idle for a while.
            let mut connection = WAYS[index].connect(&places).await?;
            connection.orders(WARM_UP).await?;
            let before = watched.look();
            let latencies = connection.orders(requests).await?;
            let cpu = watched.look().per_request(&before, requests);
            answered += through(WAYS[index], WARM_UP + requests);
            let found = &mut found[index];
            medians[index] = latencies.at(0.5);
            found.p50.push(medians[index]);
            found.p99.push(latencies.at(0.99));
            found.p999.push(latencies.at(0.999));
            push_all(&mut found.alone_cpu, &cpu);
        }
        for (found, median) in found.iter_mut().zip(medians) {
            found.added.push(median - medians[0]);
        }
        let synced = disk.measure(requests)?;
        sync[0].push(synced.at(0.5));
        sync[1].push(synced.at(0.99));
        if arguments.seconds > 0 {
            for index in order {
                let before = watched.look();
                let (latencies, took) = side_by_side(WAYS[index], &places, arguments).await?;
                let cpu = watched.look().per_request(&before, latencies.len());
                answered += through(WAYS[index], latencies.len());
                let found = &mut found[index];
                found.per_second.push(latencies.len() as f64 / took.as_secs_f64());
                found.loaded_p50.push(latencies.at(0.5));
                found.loaded_p99.push(latencies.at(0.99));
                push_all(&mut found.loaded_cpu, &cpu);
            }
        }
        let came = bed.mock.came()?;
        if came.refused > 0 {
            return Err(format!("the venue refused {} orders", came.refused).into());
        }
    }
    let log = bed.check(answered).await?;
    Ok((report(arguments, requests, &found, &sync, &watched, &log), {
        table(arguments, requests, &found, &sync, &watched, &log)
    }))
}

fn through(way: Way, orders: usize) -> usize {
    if way == Way::Direct { 0 } else { orders }
}

fn push_all(rounds: &mut Vec<Rounds>, values: &[f64]) {
    rounds.resize(values.len(), Rounds::default());
    for (rounds, value) in rounds.iter_mut().zip(values) {
        rounds.push(*value);
    }
}

/// Sends over all connections at a time, each with the next order as soon as one is answered.
async fn side_by_side(
    way: Way,
    places: &Places,
    arguments: &Arguments,
) -> Result<(Latencies, Duration), Error> {
    let mut lanes: Vec<Connection> = Vec::new();
    for _ in 0..arguments.connections {
        let first = way.connect(places).await?;
        for _ in 1..arguments.streams {
            match first.shared() {
                Some(shared) => lanes.push(shared),
                None => lanes.push(way.connect(places).await?),
            }
        }
        lanes.push(first);
    }
    let begun = Instant::now();
    let time = Duration::from_secs(arguments.seconds);
    let mut tasks = tokio::task::JoinSet::new();
    for mut lane in lanes {
        tasks.spawn(async move { lane.orders_for(time).await });
    }
    let mut all = Latencies::default();
    while let Some(done) = tasks.join_next().await {
        all.append(&done??);
    }
    Ok((all, begun.elapsed()))
}

fn report(
    arguments: &Arguments,
    requests: usize,
    found: &[Found],
    sync: &[Rounds; 2],
    watched: &Watched,
    log: &Value,
) -> Value {
    let cpu = |rounds: &[Rounds]| -> Value {
        watched.names().zip(rounds).map(|(name, rounds)| (name.to_owned(), rounds.json())).collect()
    };
    let ways: serde_json::Map<String, Value> = WAYS
        .iter()
        .zip(found)
        .map(|(way, found)| {
            let mut alone = json!({
                "p50_us": found.p50.json(),
                "p99_us": found.p99.json(),
                "p999_us": found.p999.json(),
                "cpu_us": cpu(&found.alone_cpu),
            });
            if *way != Way::Direct {
                alone["added_us"] = found.added.json();
            }
            let mut all = json!({ "alone": alone });
            if arguments.seconds > 0 {
                all["loaded"] = json!({
                    "per_second": found.per_second.json(),
                    "p50_us": found.loaded_p50.json(),
                    "p99_us": found.loaded_p99.json(),
                    "cpu_us": cpu(&found.loaded_cpu),
                });
            }
            (way.name().to_owned(), all)
        })
        .collect();
    json!({
        "scenario": "execute",
        "what": "a signed Binance order: mTLS, policy, closure, HMAC, synced log, TLS to the venue",
        "cores": cores(),
        "rounds": arguments.rounds,
        "requests": requests,
        "connections": arguments.connections,
        "streams": arguments.streams,
        "seconds": arguments.seconds,
        "ways": ways,
        "sync": { "p50_us": sync[0].json(), "p99_us": sync[1].json() },
        "log": log,
    })
}

fn table(
    arguments: &Arguments,
    requests: usize,
    found: &[Found],
    sync: &[Rounds; 2],
    watched: &Watched,
    log: &Value,
) -> String {
    let Arguments { rounds, connections, streams, .. } = arguments;
    let mut text = format!(
        "One after the other: {requests} orders in each of {rounds} rounds, {} cores. Medians of \
         the rounds, in brackets the least and the most; µs.\n\n",
        cores()
    );
    let mut alone = Table::new(&["Way", "p50", "p99", "p99.9", "added at the median"]);
    for (way, found) in WAYS.iter().zip(found) {
        let added = if *way == Way::Direct { "-".to_owned() } else { spread(&found.added) };
        alone.row(&[
            way.name().to_owned(),
            spread(&found.p50),
            spread(&found.p99),
            spread(&found.p999),
            added,
        ]);
    }
    alone.row(&[
        "write and sync alone".to_owned(),
        spread(&sync[0]),
        spread(&sync[1]),
        "-".to_owned(),
        "-".to_owned(),
    ]);
    text.push_str(alone.text());
    text.push_str("\nProcessor time of one order, µs.\n\n");
    text.push_str(&cpu_table(watched, found, |found| &found.alone_cpu));
    if arguments.seconds > 0 {
        text.push_str(&format!(
            "\nSide by side: {connections} connections x {streams}, closed loop.\n\n"
        ));
        let mut loaded = Table::new(&["Way", "orders/s", "p50", "p99"]);
        for (way, found) in WAYS.iter().zip(found) {
            loaded.row(&[
                way.name().to_owned(),
                spread(&found.per_second),
                spread(&found.loaded_p50),
                spread(&found.loaded_p99),
            ]);
        }
        text.push_str(loaded.text());
        text.push_str("\nProcessor time of one order, µs.\n\n");
        text.push_str(&cpu_table(watched, found, |found| &found.loaded_cpu));
    }
    text.push_str(&format!("\nThe log: {log}\n"));
    text
}

fn cpu_table(watched: &Watched, found: &[Found], pick: fn(&Found) -> &Vec<Rounds>) -> String {
    let mut columns = vec!["Way"];
    columns.extend(watched.names());
    let mut table = Table::new(&columns);
    for (way, found) in WAYS.iter().zip(found) {
        let mut cells = vec![way.name().to_owned()];
        cells.extend(pick(found).iter().map(|rounds| format!("{:.0}", rounds.median())));
        table.row(&cells);
    }
    table.text().to_owned()
}
