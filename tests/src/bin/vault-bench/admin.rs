//! Sign at a fixed rate, with and without an admin who makes changes that do not concern it: what the
//! one does must not be felt by the others.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vault_client::{EnrollOptions, Identity, Operator, v1};
use vault_tests::scope;

use crate::bar::{self, Judged};
use crate::figure::{Table, spread};
use crate::growth::Grown;
use crate::histogram::Latencies;
use crate::load::{Load, Pace};
use crate::paced::Paced;
use crate::{Arguments, Error, Report, cores};

/// Clients of the vault, if it is not said.
const CLIENTS: u64 = 1_000;
/// One change after the other, so often; later if the one before it is not answered.
const CHANGE_EVERY: Duration = Duration::from_millis(100);
/// How much longer than it is looked at the load goes on, at either end of the changes.
const MARGIN: Duration = Duration::from_millis(200);

fn json_of(signs: &Paced) -> Value {
    json!({
        "p50_us": signs.p50.json(),
        "p99_us": signs.p99.json(),
        "p999_us": signs.p999.json(),
        "made": signs.made.json(),
        "all_rounds_us": { "calls": signs.all.len(), "p999": signs.all.at(0.999) },
    })
}

fn row(name: &str, signs: &Paced, table: &mut Table) {
    table.row(&[
        name.to_owned(),
        spread(&signs.p50),
        spread(&signs.p99),
        spread(&signs.p999),
        format!("{:.0}", signs.all.at(0.999)),
        signs.made_text(),
    ]);
}

/// What the admin has done.
#[derive(Default)]
struct Changes {
    each: Latencies,
    made: usize,
}

pub(crate) fn measure(arguments: &Arguments) -> Result<Report, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(arguments))
}

async fn run(arguments: &Arguments) -> Result<Report, Error> {
    let clients = arguments.clients.unwrap_or(CLIENTS);
    let grown = Grown::new(clients, arguments.connections).await?;
    let Grown { vault, side, .. } = &grown;
    let time = Duration::from_secs(arguments.seconds.max(1));
    let rate = arguments.rate.unwrap_or(bar::ADMIN_RATE);
    let load = Load {
        connections: arguments.connections,
        streams: arguments.streams,
        pace: Pace::Open(rate),
        time: time + 2 * MARGIN,
    };
    let (mut with, mut without) = (Paced::default(), Paced::default());
    let mut changes = Changes::default();
    let mut replies = crate::reply::Replies::default();
    for round in 0..arguments.rounds {
        // Now the one first, now the other.
        for is_with in [round % 2 == 0, round % 2 == 1] {
            let admin = is_with.then(|| {
                let place = Place {
                    admin: vault.identity_folder("admin"),
                    new: vault.root().join(format!("new-{round}")),
                    round,
                };
                AtWork::begin(place)
            });
            let outcome = load.put_on(side).await?;
            if let Some(admin) = admin {
                let done = tokio::task::spawn_blocking(move || admin.end()).await??;
                changes.each.append(&done.each);
                changes.made += done.made;
            }
            if outcome.replies.refused > 0 {
                return Err(format!("{} calls were turned away", outcome.replies.refused).into());
            }
            if is_with { &mut with } else { &mut without }.push(&outcome);
            replies.append(outcome.replies);
        }
    }
    let log = replies.check_from(vault, grown.first)?;
    let more_ms = with.p999.with(&without.p999, |with, without| (with - without) / 1e3);
    let judged = match rate == bar::ADMIN_RATE {
        true => Judged::new(&bar::ADMIN_P999, load.name(), more_ms),
        false => {
            let what = format!("sign-hmac at {rate}/s, p99.9 with an admin less that without, ms");
            Judged::free(what, load.name(), more_ms)
        }
    };
    Ok(report(arguments, &grown, (&without, &with), &changes, judged, &log))
}

fn report(
    arguments: &Arguments,
    grown: &Grown,
    (without, with): (&Paced, &Paced),
    changes: &Changes,
    judged: Judged,
    log: &Value,
) -> Report {
    let judged = vec![judged];
    let json = json!({
        "scenario": "admin",
        "what": "sign-hmac at a fixed rate, with and without an admin who makes changes",
        "cores": cores(),
        "rounds": arguments.rounds,
        "seconds": arguments.seconds,
        "vault": grown.json(),
        "without": json_of(without),
        "with": json_of(with),
        "changes": { "made": changes.made, "p50_us": changes.each.at(0.5),
                     "p99_us": changes.each.at(0.99) },
        "ratios": bar::json(&judged),
        "log": log,
    });
    let mut table = Table::new(&[
        "sign-hmac",
        "p50, µs",
        "p99, µs",
        "p99.9, µs",
        "p99.9 of all rounds, µs",
        "made",
    ]);
    row("alone", without, &mut table);
    row("beside an admin", with, &mut table);
    let text = format!(
        "admin: {} rounds of {} s for each, {} cores; a vault with {} clients more than its bots.\n\
         {} changes, p50 {:.0} µs, p99 {:.0} µs.\n\n{}\n{}\nThe log: {log}\n",
        arguments.rounds,
        arguments.seconds,
        cores(),
        grown.size.clients,
        changes.made,
        changes.each.at(0.5),
        changes.each.at(0.99),
        table.text(),
        bar::table(&judged),
    );
    Report { json, text, judged }
}

/// Who changes, and what is new.
struct Place {
    admin: PathBuf,
    /// Where the identities lie of clients who enrol.
    new: PathBuf,
    round: usize,
}

/// An admin on a thread and runtime of his own.
struct AtWork {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Result<Changes, Error>>,
}

impl AtWork {
    fn begin(place: Place) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(change(&place, &over))
        });
        Self { is_over, thread }
    }

    fn end(self) -> Result<Changes, Error> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| "the admin panicked")?
    }
}

/// Makes changes until it is over, and ends what was begun: nothing is left halted or disabled.
async fn change(place: &Place, over: &AtomicBool) -> Result<Changes, Error> {
    let admin = Operator::connect(Identity::load(&place.admin)?).await?;
    tokio::time::sleep(MARGIN).await;
    let mut changes = Changes::default();
    let mut nth: usize = 0;
    while !over.load(Ordering::Relaxed) || !nth.is_multiple_of(STEPS) {
        let began = Instant::now();
        step(&admin, place, nth).await?;
        changes.each.push(began.elapsed());
        changes.made += 1;
        nth += 1;
        tokio::time::sleep(CHANGE_EVERY.saturating_sub(began.elapsed())).await;
    }
    Ok(changes)
}

/// After so many steps all is as it was, but for what has its traces for ever.
const STEPS: usize = 8;

/// What each step does concerns rows that were grown, or new ones: none of them is the bots'.
async fn step(admin: &Operator, place: &Place, nth: usize) -> Result<(), Error> {
    let client = format!("new-{}-{}", place.round, nth / STEPS);
    let credential = "credential-000001".to_owned();
    let target = "client:client-000001".to_owned();
    match nth % STEPS {
        0 => put(admin, spare(r#""BTC-USDT", "ETH-USDT""#)).await?,
        1 => {
            let invited = admin
                .invite_client(v1::InviteClientCommand {
                    name: client.clone(),
                    role: v1::Role::Bot.into(),
                    scope: SPARE.to_owned(),
                    ..v1::InviteClientCommand::default()
                })
                .await?;
            let folder = place.new.join(client);
            Identity::enroll(&invited.token, &folder, &EnrollOptions::default()).await?;
        }
        2 => {
            let command = v1::DisableCredentialCommand { name: credential };
            admin.disable_credential(command).await.map(drop)?;
        }
        3 => {
            let command = v1::EnableCredentialCommand { name: credential };
            admin.enable_credential(command).await.map(drop)?;
        }
        4 => {
            let level = v1::HaltLevel::Nothing.into();
            let command = v1::HaltCommand { level, target, reason: String::new() };
            admin.halt(command).await.map(drop)?;
        }
        5 => {
            let command = v1::ResumeCommand { target, halted_at_us: 0 };
            admin.resume(command).await.map(drop)?;
        }
        6 => put(admin, spare(r#""BTC-USDT""#)).await?,
        _ => {
            let command = v1::RevokeClientCommand { name: client, reason: String::new() };
            admin.revoke_client(command).await.map(drop)?;
        }
    }
    Ok(())
}

/// A scope that only new clients hold.
const SPARE: &str = "spare";

/// It, for some symbols: sometimes wider and sometimes narrower.
fn spare(symbols: &str) -> v1::Scope {
    scope(&format!(
        r#"
name = "{SPARE}"
credentials = ["okx-hmac"]
classes = ["read", "trade"]
modes = ["sign"]
products = ["spot"]

[symbols]
okx = [{symbols}]

[network]
allow = ["127.0.0.0/8"]
"#
    ))
}

async fn put(admin: &Operator, scope: v1::Scope) -> Result<(), Error> {
    let command = v1::PutScopeCommand { scope: Some(scope), ..v1::PutScopeCommand::default() };
    Ok(admin.put_scope(command).await.map(drop)?)
}
