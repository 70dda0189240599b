//! Sign of vaults that have grown, against one that has not: what it costs must not be a matter of how
//! many others there are.

use std::time::Duration;

use serde_json::{Value, json};
use vault_tests::TestVault;
use vault_tests::growth::{self, Size};

use crate::bar::{self, Judged};
use crate::load::{Load, Pace};
use crate::round::{self, Heat};
use crate::side::{Manner, Side};
use crate::sync::Disk;
use crate::work::Work;
use crate::{Arguments, Error, Report, cores, sign};

/// Clients of the vaults that the largest is measured against.
const SMALLER: [u64; 2] = [10, 1_000];
/// Of the largest in the short form.
const SHORT_CLIENTS: u64 = 10_000;
/// Entries for each client that was grown: it has been given something before.
const ENTRIES_PER_CLIENT: u64 = 2;

/// A vault that runs, and how it came to be what it is.
pub(crate) struct Grown {
    pub(crate) vault: TestVault,
    pub(crate) side: Side,
    pub(crate) size: Size,
    /// Index of the first entry that is this program's own.
    pub(crate) first: u64,
}

/// A vault with so many clients more than its bots. Of credentials there is one for each hundred
/// clients, of scopes one for each thousand, and ten and one at least.
fn size(clients: u64) -> Size {
    Size {
        clients,
        credentials: (clients / 100).max(10),
        scopes: (clients / 1_000).max(1),
        entries: clients * ENTRIES_PER_CLIENT,
        days: 1,
        is_lean: false,
    }
}

impl Grown {
    /// Makes it: its bots, one for each connection, enrol and sign once; then it is stopped, grows, and
    /// is started again.
    pub(crate) async fn new(clients: u64, bots: usize) -> Result<Self, Error> {
        let mut vault = TestVault::start().await;
        sign::import(&vault, Work::Hmac).await?;
        let bots: Vec<String> = (0..bots.max(1)).map(|bot| format!("bot-{bot}")).collect();
        for bot in &bots {
            vault.bot_identity(bot, &Work::Hmac.scope(), &[]).await;
        }
        let name = format!("{clients} clients");
        let side =
            |vault: &TestVault| Side::sign_as(&name, vault, &bots, Work::Hmac, Manner::Single);
        drop(side(&vault)?.lanes(1, 1).await?);
        vault.stop().await;

        let size = size(clients);
        let data = vault.data();
        tokio::task::spawn_blocking(move || {
            growth::grow(&data, &size)?.append(&size, size.entries, &mut |_| ())
        })
        .await??;
        vault.run_and_unseal().await;
        let first = vault.local().status().log_size;
        let side = side(&vault)?;
        Ok(Self { vault, side, size, first })
    }

    pub(crate) fn json(&self) -> Value {
        let Size { clients, credentials, scopes, entries, .. } = self.size;
        json!({ "clients": clients, "credentials": credentials, "scopes": scopes,
                "entries": entries })
    }
}

pub(crate) fn measure(arguments: &Arguments) -> Result<Report, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(arguments))
}

async fn run(arguments: &Arguments) -> Result<Report, Error> {
    let largest = if arguments.short { SHORT_CLIENTS } else { bar::GROWTH_CLIENTS };
    let largest = arguments.clients.unwrap_or(largest);
    let smaller = SMALLER.into_iter().filter(|clients| *clients < largest);
    let mut vaults = Vec::new();
    for clients in smaller.chain([largest]) {
        vaults.push(Grown::new(clients, arguments.connections).await?);
    }
    let load = Load {
        connections: arguments.connections,
        streams: arguments.streams,
        pace: Pace::Closed,
        time: Duration::from_secs(arguments.seconds.max(1)),
    };
    let sides: Vec<Side> = vaults.iter().map(|grown| grown.side.clone()).collect();
    let heats = [Heat { load, sides: (0..sides.len()).collect() }];
    let root = vaults.first().ok_or("no vault")?.vault.root().to_owned();
    let mut disk = Disk::new(&root)?;
    let mut findings = round::run(&sides, &heats, arguments.rounds, &mut disk).await?;
    let mut logs = Vec::new();
    for (grown, replies) in vaults.iter().zip(findings.replies.drain(..)) {
        logs.push(replies.check_from(&grown.vault, grown.first)?);
    }

    let figures = &findings.heats.first().ok_or("nothing was measured")?.figures;
    let (least, others) = figures.split_first().ok_or("nothing was measured")?;
    let judged: Vec<Judged> = others
        .iter()
        .zip(vaults.iter().skip(1))
        .map(|(own, grown)| {
            let ratio = own.per_second.over(&least.per_second);
            let is_barred =
                (grown.size.clients, vaults[0].size.clients) == (bar::GROWTH_CLIENTS, SMALLER[0]);
            match is_barred {
                true => Judged::new(&bar::GROWTH, load.name(), ratio),
                false => {
                    let what = format!("{}, calls/s by those of {}", own.name, least.name);
                    Judged::free(what, load.name(), ratio)
                }
            }
        })
        .collect();
    let json = json!({
        "scenario": "growth",
        "what": Work::Hmac.what(),
        "cores": cores(),
        "rounds": arguments.rounds,
        "seconds": arguments.seconds,
        "vaults": vaults.iter().map(Grown::json).collect::<Vec<_>>(),
        "findings": findings.json(),
        "ratios": bar::json(&judged),
        "logs": logs,
    });
    let text = format!(
        "growth: {} rounds of {} s for each, {} cores; closed loop, a bot for each connection.\n\n\
         {}{}\nThe logs: {}\n",
        arguments.rounds,
        arguments.seconds,
        cores(),
        findings.text(),
        bar::table(&judged),
        json!(logs),
    );
    Ok(Report { json, text, judged })
}
