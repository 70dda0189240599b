//! A client with one call at a time, alone and beside one that asks as fast as it can: how much the
//! one feels of the other. The same with the pinned echo, which knows no clients: what of it is the
//! machine's.

use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};
use vault_tests::TestVault;

use crate::bar::{self, Judged};
use crate::echo_process::{Echo, EchoProcess};
use crate::figure::{Rounds, Table, spread};
use crate::load::{Load, Outcome, Pace};
use crate::paced::Paced;
use crate::reply::Replies;
use crate::side::{Manner, Side};
use crate::work::Work;
use crate::{Arguments, Error, Report, cores, sign};

/// Calls a second of the quiet client.
const RATE: u64 = 50;
/// How much longer than the quiet one the loud one goes on, at either end.
const MARGIN: Duration = Duration::from_millis(300);

/// Who is asked by both.
struct Pair {
    name: &'static str,
    loud: Side,
    quiet: Side,
    found: Found,
}

#[derive(Default)]
struct Found {
    alone: Paced,
    beside: Paced,
    loud_per_second: Rounds,
}

fn json_of(quiet: &Paced) -> Value {
    json!({
        "p50_us": quiet.p50.json(),
        "p99_us": quiet.p99.json(),
        "made": quiet.made.json(),
        "all_rounds_us": { "calls": quiet.all.len(), "p50": quiet.all.at(0.5), "p99": quiet.all.at(0.99) },
    })
}

fn row(name: String, quiet: &Paced, table: &mut Table) {
    table.row(&[
        name,
        spread(&quiet.p50),
        spread(&quiet.p99),
        format!("{:.0}", quiet.all.at(0.99)),
        quiet.made_text(),
    ]);
}

pub(crate) fn measure(arguments: &Arguments) -> Result<Report, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(arguments))
}

async fn run(arguments: &Arguments) -> Result<Report, Error> {
    let vault = TestVault::start().await;
    sign::import(&vault, Work::Hmac).await?;
    for bot in ["loud", "quiet"] {
        vault.bot_identity(bot, &Work::Hmac.scope(), &[]).await;
    }
    let side = |bot: &str| Side::sign(bot, &vault, bot, Work::Hmac, Manner::Single);
    let mut pairs = vec![Pair {
        name: "sign-hmac",
        loud: side("loud")?,
        quiet: side("quiet")?,
        found: Found::default(),
    }];
    let echo = EchoProcess::start(Echo::Pinned)?;
    let side = |name| Side::echo(name, &echo);
    let (loud, quiet) = (side("loud"), side("quiet"));
    pairs.push(Pair { name: Echo::Pinned.name(), loud, quiet, found: Found::default() });

    let time = Duration::from_secs(arguments.seconds.max(1));
    let quiet = Load { connections: 1, streams: 1, pace: Pace::Open(RATE), time };
    let loud = Load {
        connections: arguments.connections,
        streams: arguments.streams,
        pace: Pace::Closed,
        time: time + 2 * MARGIN,
    };
    let mut replies = Replies::default();
    for round in 0..arguments.rounds {
        for pair in &mut pairs {
            // Now the one first, now the other.
            for beside in [round % 2 == 0, round % 2 == 1] {
                replies.append(if beside {
                    pair.beside(loud, quiet).await?
                } else {
                    pair.alone(quiet).await?
                });
            }
        }
    }
    let log = replies.check(&vault)?;
    Ok(report(arguments, &pairs, loud, &log))
}

impl Pair {
    async fn alone(&mut self, load: Load) -> Result<Replies, Error> {
        let outcome = joined(apart(load, self.quiet.clone())).await?;
        self.found.alone.push(&outcome);
        Ok(outcome.replies)
    }

    async fn beside(&mut self, loud: Load, quiet: Load) -> Result<Replies, Error> {
        let side = self.loud.clone();
        let blast = tokio::spawn(async move { loud.put_on(&side).await });
        tokio::time::sleep(MARGIN).await;
        let heard = joined(apart(quiet, self.quiet.clone())).await?;
        let blast = blast.await??;
        self.found.beside.push(&heard);
        self.found.loud_per_second.push(blast.answered as f64 / blast.took.as_secs_f64());
        let mut replies = heard.replies;
        replies.append(blast.replies);
        Ok(replies)
    }
}

/// On a thread and runtime of its own: it is not to stand in the load generator's own queue.
fn apart(load: Load, side: Side) -> JoinHandle<Result<Outcome, Error>> {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(load.put_on(&side))
    })
}

async fn joined(thread: JoinHandle<Result<Outcome, Error>>) -> Result<Outcome, Error> {
    let joined = tokio::task::spawn_blocking(move || thread.join()).await?;
    joined.map_err(|_| "the quiet client panicked")?
}

fn report(arguments: &Arguments, pairs: &[Pair], loud: Load, log: &Value) -> Report {
    let mut table =
        Table::new(&["50/s, one at a time", "p50, µs", "p99, µs", "p99 of all rounds, µs", "made"]);
    let mut blast = Table::new(&["at full blast", "calls/s"]);
    let mut json = json!({
        "scenario": "fairness",
        "what": "one call at a time at 50/s, alone and beside a client at full blast",
        "cores": cores(),
        "rounds": arguments.rounds,
        "seconds": arguments.seconds,
        "blast": loud.name(),
        "log": log,
    });
    let mut judged = Vec::new();
    for Pair { name, found, .. } in pairs {
        row(format!("{name}, alone"), &found.alone, &mut table);
        row(format!("{name}, beside"), &found.beside, &mut table);
        blast.row(&[(*name).to_owned(), spread(&found.loud_per_second)]);
        json[*name] = json!({
            "alone": json_of(&found.alone),
            "beside": json_of(&found.beside),
            "blast_per_second": found.loud_per_second.json(),
        });
        let ratio = found.beside.p99.over(&found.alone.p99);
        judged.push(match *name {
            "sign-hmac" => Judged::new(&bar::FAIR_P99, loud.name(), ratio),
            _ => Judged::free(format!("{name}, the same"), loud.name(), ratio),
        });
    }
    json["ratios"] = bar::json(&judged);
    let text = format!(
        "fairness: {} rounds of {} s for each, {} cores; full blast is {}, closed loop.\n\n\
         {}\n{}\n{}\nThe log: {log}\n",
        arguments.rounds,
        arguments.seconds,
        cores(),
        loud.name(),
        table.text(),
        blast.text(),
        bar::table(&judged),
    );
    Report { json, text, judged }
}
