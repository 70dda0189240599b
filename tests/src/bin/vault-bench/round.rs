//! Rounds: in each, every side gets every load once, and none is always first.

use serde_json::{Value, json};

use crate::Error;
use crate::cpu::Watched;
use crate::figure::{Rounds, Table, spread};
use crate::histogram::Latencies;
use crate::load::{Load, Outcome, Pace};
use crate::memory::Memory;
use crate::reply::Replies;
use crate::side::Side;
use crate::sync::Disk;

/// One load, and those who get it, by their place among all sides.
#[derive(Clone, Debug)]
pub(crate) struct Heat {
    pub(crate) load: Load,
    pub(crate) sides: Vec<usize>,
}

/// What one side gave under one load.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    pub(crate) name: String,
    pub(crate) per_second: Rounds,
    pub(crate) p50: Rounds,
    pub(crate) p99: Rounds,
    pub(crate) p999: Rounds,
    /// Share of the intended calls.
    pub(crate) made: Rounds,
    /// Of each process, the load generator's first; microseconds a request.
    cpu: Vec<(&'static str, Rounds)>,
    /// Of all that are not the load generator.
    pub(crate) server_cpu: Rounds,
    /// Before the first round and after the last.
    memory: [Memory; 2],
    /// Of all rounds.
    all: Latencies,
    has_latencies: bool,
}

/// What was found under one load.
#[derive(Clone, Debug)]
pub(crate) struct HeatFindings {
    pub(crate) load: Load,
    pub(crate) figures: Vec<Figures>,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) heats: Vec<HeatFindings>,
    /// Write and sync of the disk alone, in each round; microseconds at the median.
    pub(crate) sync: Rounds,
    /// Of each side.
    pub(crate) replies: Vec<Replies>,
}

/// Records that are written and synced in each round.
const SYNCS: usize = 200;

/// Goes through the rounds.
pub(crate) async fn run(
    sides: &[Side],
    heats: &[Heat],
    rounds: usize,
    disk: &mut Disk,
) -> Result<Findings, Error> {
    let start = |heat: &Heat| HeatFindings {
        load: heat.load,
        figures: heat.sides.iter().map(|side| Figures::of(&sides[*side])).collect(),
    };
    let mut findings = Findings {
        heats: heats.iter().map(start).collect(),
        replies: vec![Replies::default(); sides.len()],
        ..Findings::default()
    };
    for round in 0..rounds {
        for (heat, found) in heats.iter().zip(&mut findings.heats) {
            let count = heat.sides.len();
            for place in (0..count).map(|place| (place + round) % count) {
                let side = &sides[heat.sides[place]];
                let outcome = heat.load.put_on(side).await?;
                if outcome.replies.refused > 0 {
                    let refused = outcome.replies.refused;
                    return Err(format!("{}: {refused} calls were turned away", side.name).into());
                }
                found.figures[place].push(&outcome, &side.watched);
                findings.replies[heat.sides[place]].append(outcome.replies);
            }
        }
        findings.sync.push(disk.measure(SYNCS)?.at(0.5));
    }
    Ok(findings)
}

impl Figures {
    fn of(side: &Side) -> Self {
        let memory = Memory::look(&side.watched);
        Self {
            name: side.name.clone(),
            per_second: Rounds::default(),
            p50: Rounds::default(),
            p99: Rounds::default(),
            p999: Rounds::default(),
            made: Rounds::default(),
            cpu: side.watched.names().map(|name| (name, Rounds::default())).collect(),
            server_cpu: Rounds::default(),
            memory: [memory.clone(), memory],
            all: Latencies::default(),
            has_latencies: side.has_latencies(),
        }
    }

    pub(crate) fn push(&mut self, outcome: &Outcome, watched: &Watched) {
        let Outcome { answered, took, latencies, made, cpu, .. } = outcome;
        self.per_second.push(*answered as f64 / took.as_secs_f64());
        self.p50.push(latencies.at(0.5));
        self.p99.push(latencies.at(0.99));
        self.p999.push(latencies.at(0.999));
        self.made.push(*made);
        for ((_, rounds), value) in self.cpu.iter_mut().zip(cpu) {
            rounds.push(*value);
        }
        let servers = self.cpu.iter().zip(cpu).filter(|((name, _), _)| *name != "client");
        self.server_cpu.push(servers.map(|(_, value)| value).sum());
        self.memory[1] = Memory::look(watched);
        self.all.append(latencies);
    }

    /// Memory of all its processes after the last round, in MiB: proportional, or where the kernel
    /// does not show that, resident.
    pub(crate) fn memory_mib(&self) -> f64 {
        self.memory[1].all_mib()
    }

    pub(crate) fn json(&self) -> Value {
        let cpu: serde_json::Map<String, Value> =
            self.cpu.iter().map(|(name, rounds)| ((*name).to_owned(), rounds.json())).collect();
        let mut all = json!({
            "per_second": self.per_second.json(),
            "made": self.made.json(),
            "cpu_us": cpu,
            "server_cpu_us": self.server_cpu.json(),
            "memory_before": self.memory[0].json(),
            "memory_after": self.memory[1].json(),
        });
        if self.has_latencies {
            all["p50_us"] = self.p50.json();
            all["p99_us"] = self.p99.json();
            all["p999_us"] = self.p999.json();
            all["all_rounds_us"] = json!({
                "calls": self.all.len(),
                "p50": self.all.at(0.5),
                "p99": self.all.at(0.99),
                "p999": self.all.at(0.999),
            });
        }
        all
    }

    fn cells(&self, pace: Pace) -> Vec<String> {
        let latency = |rounds: &Rounds| match self.has_latencies {
            true => spread(rounds),
            false => "-".to_owned(),
        };
        let mut cells = vec![
            self.name.clone(),
            spread(&self.per_second),
            latency(&self.p50),
            latency(&self.p99),
            latency(&self.p999),
        ];
        if matches!(pace, Pace::Open(_)) {
            cells.push(format!("{:.1} %", self.made.median() * 100.0));
        }
        cells
    }

    fn resource_cells(&self) -> Vec<String> {
        let of = |name: &str| self.cpu.iter().find(|(process, _)| *process == name);
        let client = of("client").map_or(f64::NAN, |(_, rounds)| rounds.median());
        let each: Vec<String> = self
            .cpu
            .iter()
            .filter(|(name, _)| *name != "client")
            .map(|(name, rounds)| format!("{name} {:.1}", rounds.median()))
            .collect();
        let [before, after] = &self.memory;
        let pss =
            |memory: &Memory| memory.pss_mib().map_or("-".to_owned(), |mib| format!("{mib:.1}"));
        vec![
            self.name.clone(),
            format!("{client:.1}"),
            format!("{:.1}", self.server_cpu.median()),
            each.join(", "),
            format!("{:.1} to {:.1}", before.rss_mib(), after.rss_mib()),
            format!("{} to {}", pss(before), pss(after)),
        ]
    }
}

impl HeatFindings {
    /// What the side of this name gave.
    pub(crate) fn of(&self, name: &str) -> Option<&Figures> {
        self.figures.iter().find(|figures| figures.name == name)
    }

    fn text(&self) -> String {
        let load = self.load.name();
        let mut columns = vec![load.as_str(), "calls/s", "p50, µs", "p99, µs", "p99.9, µs"];
        if matches!(self.load.pace, Pace::Open(_)) {
            columns.push("made");
        }
        let mut table = Table::new(&columns);
        for figures in &self.figures {
            table.row(&figures.cells(self.load.pace));
        }
        let mut resources = Table::new(&[
            "a request, and memory",
            "client, µs",
            "server, µs",
            "of these",
            "RSS, MiB",
            "PSS, MiB",
        ]);
        for figures in &self.figures {
            resources.row(&figures.resource_cells());
        }
        format!("{}\n{}\n", table.text(), resources.text())
    }
}

impl Findings {
    pub(crate) fn json(&self) -> Value {
        let loads: serde_json::Map<String, Value> = self
            .heats
            .iter()
            .map(|heat| {
                let sides: serde_json::Map<String, Value> =
                    heat.figures.iter().map(|it| (it.name.clone(), it.json())).collect();
                (heat.load.name(), json!(sides))
            })
            .collect();
        json!({ "loads": loads, "sync_p50_us": self.sync.json() })
    }

    pub(crate) fn text(&self) -> String {
        let heats: String = self.heats.iter().map(HeatFindings::text).collect();
        format!("{heats}Write and sync of the disk alone: {} µs\n\n", spread(&self.sync))
    }
}
