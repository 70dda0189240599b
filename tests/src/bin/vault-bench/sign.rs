//! Sign against the echoes, and against OpenBao if asked.

use std::time::Duration;

use serde_json::{Value, json};
use vault_tests::TestVault;

use crate::bao::{Bao, BaoTask, Protocol};
use crate::bar::{self, Bar, Judged};
use crate::echo_process::{Echo, EchoProcess};
use crate::figure::Rounds;
use crate::load::{Load, Pace};
use crate::reply::Replies;
use crate::round::{self, Figures, Findings, Heat, HeatFindings};
use crate::side::{Manner, Side};
use crate::sync::Disk;
use crate::work::Work;
use crate::{Arguments, Error, Report, cores};

/// What is measured beside the echoes.
#[derive(Clone, Debug)]
pub(crate) struct Course {
    pub(crate) name: &'static str,
    pub(crate) works: Vec<(Work, Manner)>,
    pub(crate) loads: Vec<Load>,
}

impl Course {
    /// One kind of Sign: under load and alone, or at a fixed rate.
    pub(crate) fn sign(work: Work, arguments: &Arguments) -> Self {
        let loaded = loaded(arguments);
        let loads = match loaded.pace {
            Pace::Closed => vec![loaded, Load { connections: 1, streams: 1, ..loaded }],
            Pace::Open(_) => vec![loaded],
        };
        Self { name: work.name(), works: vec![(work, Manner::Single)], loads }
    }

    /// Many Signs in one call or on one stream, against one a call.
    pub(crate) fn together(manner: Manner, arguments: &Arguments) -> Self {
        let name = if manner == Manner::Batch { "batch" } else { "stream" };
        let works = vec![(Work::Hmac, Manner::Single), (Work::Hmac, manner)];
        Self { name, works, loads: vec![Load { pace: Pace::Closed, ..loaded(arguments) }] }
    }

    /// For machines that are in a hurry: the bars of all kinds.
    pub(crate) fn short(arguments: &Arguments) -> Self {
        let works = [Work::Hmac, Work::Ed25519, Work::P256];
        let (connections, streams) = bar::LOADS[0];
        let loaded = Load { connections, streams, pace: Pace::Closed, ..loaded(arguments) };
        Self {
            name: "short",
            works: works.map(|work| (work, Manner::Single)).to_vec(),
            loads: vec![loaded, Load { connections: 1, streams: 1, ..loaded }],
        }
    }
}

fn loaded(arguments: &Arguments) -> Load {
    Load {
        connections: arguments.connections,
        streams: arguments.streams,
        pace: arguments.rate.map_or(Pace::Closed, Pace::Open),
        time: Duration::from_secs(arguments.seconds.max(1)),
    }
}

pub(crate) fn measure(arguments: &Arguments, course: &Course) -> Result<Report, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(arguments, course))
}

async fn run(arguments: &Arguments, course: &Course) -> Result<Report, Error> {
    let vault = TestVault::start().await;
    let mut echoes = Vec::new();
    for echo in arguments.echo.all() {
        echoes.push((*echo, EchoProcess::start(*echo)?));
    }
    let mut sides: Vec<Side> =
        echoes.iter().map(|(echo, process)| Side::echo(echo.name(), process)).collect();
    for (work, manner) in &course.works {
        // The same bot twice, if it asks in two manners.
        if !vault.identity_folder(work.name()).exists() {
            import(&vault, *work).await?;
            vault.bot_identity(work.name(), &work.scope(), &[]).await;
        }
        sides.push(Side::sign(&side_name(*work, *manner), &vault, work.name(), *work, *manner)?);
    }
    let bao = match &arguments.openbao {
        Some(path) => Some(Bao::start(path).await?),
        None => None,
    };
    if let Some(bao) = &bao {
        sides.extend(bao_sides(bao, course));
    }
    let everybody: Vec<usize> = (0..sides.len()).collect();
    let heats: Vec<Heat> =
        course.loads.iter().map(|load| Heat { load: *load, sides: everybody.clone() }).collect();
    let mut disk = Disk::new(vault.root())?;
    let mut findings = round::run(&sides, &heats, arguments.rounds, &mut disk).await?;
    let mut replies = Replies::default();
    findings.replies.drain(..).for_each(|of_side| replies.append(of_side));
    let log = replies.check(&vault)?;

    let judged: Vec<Judged> =
        findings.heats.iter().flat_map(|heat| judge(course, heat, &findings.sync)).collect();
    Ok(report(arguments, course, &findings, judged, &log))
}

/// Imports the keys that a kind of Sign needs.
pub(crate) async fn import(vault: &TestVault, work: Work) -> Result<(), Error> {
    let admin = vault.admin().await;
    for (metadata, secret) in work.credentials()? {
        admin.import_unchecked(metadata, secret).await?;
    }
    Ok(())
}

fn side_name(work: Work, manner: Manner) -> String {
    match manner {
        Manner::Batch => format!("{}, batches of 64", work.name()),
        Manner::Single => work.name().to_owned(),
        Manner::Stream => format!("{}, streams of 64", work.name()),
    }
}

fn bao_sides(bao: &Bao, course: &Course) -> Vec<Side> {
    let mut sides = Vec::new();
    for (work, manner) in &course.works {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let Some(task) = BaoTask::of(*work, *manner, protocol) else { continue };
            sides.push(Side::bao(&task.name(), &bao.target, task, bao.process()));
        }
    }
    sides
}

/// Holds what was found under one load against the bars.
fn judge(course: &Course, heat: &HeatFindings, sync: &Rounds) -> Vec<Judged> {
    let load = heat.load.name();
    let mut judged = Vec::new();
    for (work, manner) in &course.works {
        let Some(own) = heat.of(&side_name(*work, *manner)) else { continue };
        for echo in [Echo::Pinned, Echo::Own] {
            let Some(echo_figures) = heat.of(echo.name()) else { continue };
            if *manner == Manner::Single {
                judged.extend(by_echo(*work, heat.load, own, echo, echo_figures, sync));
            }
        }
        if *manner != Manner::Single
            && let Some(single) = heat.of(&side_name(*work, Manner::Single))
        {
            let what = format!("{}, signatures/s by one a call", own.name);
            judged.push(Judged::free(what, &load, own.per_second.over(&single.per_second)));
        }
        judged.extend(by_bao(*work, *manner, heat, own));
    }
    judged
}

fn by_echo(
    work: Work,
    load: Load,
    own: &Figures,
    echo: Echo,
    echo_figures: &Figures,
    sync: &Rounds,
) -> Vec<Judged> {
    let name = load.name();
    if matches!(load.pace, Pace::Open(_)) {
        let ratio = own.p99.over(&echo_figures.p99);
        let is_barred =
            (work, echo, load.pace) == (Work::Hmac, Echo::Pinned, Pace::Open(bar::OPEN_RATE));
        return vec![match is_barred {
            true => Judged::new(&bar::OPEN_P99, name, ratio),
            false => {
                Judged::free(format!("{}, p99 by that of {}", own.name, echo.name()), name, ratio)
            }
        }];
    }
    if load.connections * load.streams == 1 {
        let free = Judged::free(
            format!("{}, p50 by that of {}", own.name, echo.name()),
            &name,
            own.p50.over(&echo_figures.p50),
        );
        if (work, echo) != (Work::Hmac, Echo::Pinned) {
            return vec![free];
        }
        let sum = |syncs: f64, more: f64| {
            echo_figures.p50.with(sync, |echo, sync| echo + syncs * sync + more)
        };
        let allowed = own.p50.over(&sum(2.0, bar::ALONE_US));
        let aimed = own.p50.over(&sum(1.0, bar::ALONE_AIM_US));
        return vec![
            free,
            Judged::new(&bar::ALONE, &name, allowed),
            Judged::new(&bar::ALONE_AIM, &name, aimed),
        ];
    }
    let ratio = own.per_second.over(&echo_figures.per_second);
    vec![match throughput_bar(work, echo, (load.connections, load.streams)) {
        Some(bar) => Judged::new(bar, name, ratio),
        None => Judged::free(format!("{}, calls/s by {}", own.name, echo.name()), name, ratio),
    }]
}

fn throughput_bar(work: Work, echo: Echo, load: (usize, usize)) -> Option<&'static Bar> {
    let is_first = load == bar::LOADS[0];
    match (work, echo) {
        (Work::Ed25519, Echo::Pinned) if is_first => Some(&bar::ED25519_BY_PINNED),
        (Work::Hmac, Echo::Own) if bar::LOADS.contains(&load) => Some(&bar::HMAC_BY_OWN),
        (Work::Hmac, Echo::Pinned) if bar::LOADS.contains(&load) => Some(&bar::HMAC_BY_PINNED),
        (Work::P256, Echo::Pinned) if is_first => Some(&bar::P256_BY_PINNED),
        _ => None,
    }
}

/// Against OpenBao over the protocol with which it makes more calls.
fn by_bao(work: Work, manner: Manner, heat: &HeatFindings, own: &Figures) -> Vec<Judged> {
    let of = |protocol| BaoTask::of(work, manner, protocol).and_then(|task| heat.of(&task.name()));
    let (Some(one), Some(two)) = (of(Protocol::Http1), of(Protocol::Http2)) else {
        return Vec::new();
    };
    let better = if one.per_second.median() >= two.per_second.median() { one } else { two };
    let load = heat.load.name();
    let calls = own.per_second.over(&better.per_second);
    if manner == Manner::Batch {
        return vec![Judged::new(&bar::BAO_BATCH, load, calls)];
    }
    let is_alone = heat.load.connections * heat.load.streams == 1;
    if work != Work::Hmac || is_alone || heat.load.pace != Pace::Closed {
        let what = format!("{}, calls/s by {}", own.name, better.name);
        let p99 = format!("{}, p99 by that of {}", own.name, better.name);
        return vec![
            Judged::free(what, &load, calls),
            Judged::free(p99, &load, own.p99.over(&better.p99)),
        ];
    }
    let memory = own.memory_mib() / better.memory_mib();
    vec![
        Judged::new(&bar::BAO_CALLS, &load, calls),
        Judged::new(&bar::BAO_CPU, &load, own.server_cpu.over(&better.server_cpu)),
        Judged::new(&bar::BAO_P99, &load, own.p99.over(&better.p99)),
        Judged::new(&bar::BAO_MEMORY, &load, [memory].into_iter().collect()),
    ]
}

fn report(
    arguments: &Arguments,
    course: &Course,
    findings: &Findings,
    judged: Vec<Judged>,
    log: &Value,
) -> Report {
    let mut what: Vec<&str> = course.works.iter().map(|(work, _)| work.what()).collect();
    what.dedup();
    let mut json = json!({
        "scenario": course.name,
        "what": what,
        "cores": cores(),
        "rounds": arguments.rounds,
        "seconds": arguments.seconds,
        "ratios": bar::json(&judged),
        "log": log,
    });
    for (key, value) in findings.json().as_object().into_iter().flatten() {
        json[key] = value.clone();
    }
    let text = format!(
        "{}: {}\n{} rounds of {} s for each, {} cores. Medians of the rounds, in brackets the \
         least and the most.\n\n{}{}\nThe log: {log}\n",
        course.name,
        what.join("; "),
        arguments.rounds,
        arguments.seconds,
        cores(),
        findings.text(),
        bar::table(&judged),
    );
    Report { json, text, judged }
}
